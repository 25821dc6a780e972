//! The `jettison` command.

mod base;
mod building;
mod cli;
mod commands;
mod contents;
mod context;
mod dockerfile;
mod engines;
mod error;
mod folders;
mod installed;
mod linter;
mod load;
mod optimizer;
mod parallel;
mod pipeline;
mod plugin;
mod printer;
mod progress;
mod proving;
mod pulling;
mod receipt;
mod replace;
mod rewriting;
mod search;
mod secrets;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use jettison_engine::sandbox::{self, Entered};

use crate::building::engines::Choice;
use crate::cli::{Cli, Command};
use crate::printer::Printer;

fn main() -> ExitCode {
    // A step's runner is this program too: it has nothing to do with what follows.
    sandbox::run_if_asked();
    install_panic_message();
    let mut cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap prints them to the right stream.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { error::USAGE } else { 0 });
        }
    };
    let printer = Printer::new(&cli.output);
    // Before there is any thread: namespaces are entered by a process as a whole.
    let host = match enter_if_needed(&cli, &printer) {
        Ok(None) => None,
        Ok(Some(Entered::Inside(host))) => Some(host),
        Ok(Some(Entered::Finished(code))) => return code,
        Err(error) => {
            printer.error(&error);
            return ExitCode::from(error::exit_code(&error));
        }
    };
    install_interruption();
    // What engines gave goes with it.
    let found = folders::find_images(&mut cli, &printer);
    match found.and_then(|_brought| commands::run(&cli, host.as_ref(), &printer)) {
        Ok(code) => code,
        Err(error) => {
            printer.error(&error);
            ExitCode::from(error::exit_code(&error))
        }
    }
}

/// The command line; by way of docker, what docker says of its engine counts.
fn parse() -> Result<Cli, clap::Error> {
    match plugin::call(std::env::args_os().collect()) {
        plugin::Call::Plain(words) => Cli::try_parse_from(words),
        plugin::Call::Metadata => {
            anstream::print!("{}", plugin::metadata());
            #[allow(clippy::exit)] // Nothing was started yet.
            std::process::exit(0);
        }
        plugin::Call::Plugin { words, engine } => {
            engines::told(engine);
            Cli::try_parse_from(words)
        }
    }
}

/// Goes where trees of files of any owner can be made, for commands that do.
fn enter_if_needed(cli: &Cli, printer: &Printer) -> Result<Option<Entered>> {
    let is_needed = match &cli.command {
        Command::Build(args) => matches!(Choice::of(args.results.engine.as_deref())?, Choice::Embedded),
        Command::Rewrite(args) => args.proof.prove,
        Command::Cache(_) => true,
        // It has something to show also where nothing can be built.
        Command::Demo(_) => {
            let entered = sandbox::enter().map_err(anyhow::Error::from);
            return Ok(entered.inspect_err(|error| printer.error(error)).ok());
        }
        _ => false,
    };
    Ok(if is_needed { Some(sandbox::enter()?) } else { None })
}

fn install_interruption() {
    if let Err(error) = ctrlc::set_handler(|| {
        // A build is stopped in order the first time: its steps' processes end with it.
        if building::interrupt() {
            return;
        }
        building::progress::restore_cursor();
        jettison_store::remove_all_stages();
        engines::remove_folders();
        // What the shell reports for an interrupted command.
        #[allow(clippy::exit)] // The binary, and the one place where threads are not waited for.
        std::process::exit(130);
    }) {
        anstream::eprintln!("warning: interruptions leave temporary files behind: {error}");
    }
}

/// A panic is a bug: say so, and where to take it. The exit code is 70 (`EX_SOFTWARE`, sysexits.h).
fn install_panic_message() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // What is caught is no end of the run.
        if jettison_syntax::shell::is_guarded() {
            return;
        }
        // A closed pipe (`jettison dump X | head`) is the reader's decision.
        let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.contains("Broken pipe") {
            #[allow(clippy::exit)] // The reader has gone; nobody hears of anything else.
            std::process::exit(0);
        }
        building::progress::restore_cursor();
        default(panic);
        anstream::eprintln!("error: this is a bug in jettison\n  hint: please report it with the message above");
        jettison_store::remove_all_stages();
        #[allow(clippy::exit)] // Other threads may wait for the one that panicked.
        std::process::exit(70);
    }));
}
