//! `jettison demo`: a real image from this machine's own files, weighed, optimized and proven.

mod host;
mod image;
mod layer;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::cli::{Cli, Command, Demo};
use crate::printer::Printer;

pub(crate) fn run(args: &Demo, printer: &Printer) -> Result<ExitCode> {
    let folder = args.folder.clone().unwrap_or_else(|| std::env::temp_dir().join("jettison-demo"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let before = folder.join("demo.tar");
    let after = folder.join("demo-optimized.tar");
    let files = host::files().context("cannot read this machine's own files")?;
    image::build(&before, &files)?;
    let before = format!("docker-archive:{}:demo:latest", before.display());
    let after = format!("docker-archive:{}", after.display());
    let commands =
        [vec!["jettison", "weigh", &before, "--rows", "6"], vec!["jettison", "optimize", &before, "-O1", "-o", &after]];
    printer.result(&format!(
        "An image of {} of this machine's files stands in {}.\nLook at it with the same commands:\n",
        files.count(),
        folder.display()
    ))?;
    let mut code = ExitCode::SUCCESS;
    for command in commands {
        printer.result(&format!("\n$ {}\n", command.join(" ")))?;
        code = match Cli::try_parse_from(&command)?.command {
            Command::Weigh(args) => super::weigh::run(&args, printer)?,
            Command::Optimize(args) => super::optimize::run(&args, printer)?,
            _ => code,
        };
    }
    Ok(code)
}
