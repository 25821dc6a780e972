//! The commands, a file each.

mod build;
mod cache;
mod copy;
mod demo;
mod diff;
mod dump;
mod images;
mod lint;
mod optimize;
mod passes;
mod receipt;
mod rewrite;
mod weigh;

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory as _;
use jettison_engine::sandbox::Host;

use crate::cli::{Cli, Command};
use crate::printer::Printer;

/// Findings over budget, or a verdict that is not `equal`.
const FAILED: u8 = 1;

/// Runs a command. `host` is what this process may do, for those that make trees of files.
pub(crate) fn run(cli: &Cli, host: Option<&Host>, printer: &Printer) -> Result<ExitCode> {
    match &cli.command {
        Command::Build(args) => build::run(args, host, printer),
        Command::Cache(args) => cache::run(args, printer),
        Command::Images(args) => images::list(args, printer),
        Command::Rmi(args) => images::remove(args, printer),
        Command::Weigh(args) => weigh::run(args, printer),
        Command::Optimize(args) => optimize::run(args, printer),
        Command::Rewrite(args) => rewrite::run(args, host, printer),
        Command::Lint(args) => lint::run(args, printer),
        Command::Copy(args) => copy::run(args, printer),
        Command::Receipt(args) => receipt::run(args, printer),
        Command::Diff(args) => diff::run(args, printer),
        Command::Dump(args) => dump::run(args, printer),
        Command::Demo(args) => demo::run(args, host, printer),
        Command::Passes => passes::list(printer),
        Command::Explain { name } => passes::explain(name, printer),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "jettison", &mut script);
            printer.result(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
