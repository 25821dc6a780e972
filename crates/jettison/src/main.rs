//! The `jettison` command.

mod base;
mod cli;
mod commands;
mod context;
mod dockerfile;
mod error;
mod linter;
mod load;
mod optimizer;
mod pipeline;
mod printer;
mod progress;
mod replace;
mod rewriting;
mod search;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::printer::Printer;

fn main() -> ExitCode {
    install_panic_message();
    if let Err(error) = ctrlc::set_handler(|| {
        jettison_store::remove_all_stages();
        // What the shell reports for an interrupted command.
        #[allow(clippy::exit)] // The binary, and the one place where threads are not waited for.
        std::process::exit(130);
    }) {
        anstream::eprintln!("warning: interruptions leave temporary files behind: {error}");
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap prints them to the right stream.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { error::USAGE } else { 0 });
        }
    };
    let printer = Printer::new(&cli.output);
    match commands::run(&cli, &printer) {
        Ok(code) => code,
        Err(error) => {
            printer.error(&error);
            ExitCode::from(error::exit_code(&error))
        }
    }
}

/// A panic is a bug: say so, and where to take it. The exit code is 70 (`EX_SOFTWARE`, sysexits.h).
fn install_panic_message() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A closed pipe (`jettison dump X | head`) is the reader's decision.
        let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.contains("Broken pipe") {
            #[allow(clippy::exit)] // The reader has gone; nobody hears of anything else.
            std::process::exit(0);
        }
        default(panic);
        anstream::eprintln!("error: this is a bug in jettison\n  hint: please report it with the message above");
        jettison_store::remove_all_stages();
        #[allow(clippy::exit)] // Other threads may wait for the one that panicked.
        std::process::exit(70);
    }));
}
