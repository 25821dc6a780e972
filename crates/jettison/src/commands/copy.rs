//! `jettison copy`: an image from one place to another, byte for byte.

use std::process::ExitCode;

use anyhow::Result;
use jettison_report::{CopyReport, copy_human};
use jettison_store::{CopyOrder, copy};

use crate::cli::{Copy, Format};
use crate::engines;
use crate::load::pushed;
use crate::printer::Printer;
use crate::progress::Stage;

pub(crate) fn run(args: &Copy, printer: &Printer) -> Result<ExitCode> {
    let order = CopyOrder {
        wanted: args.read.wanted_for(&args.target)?,
        limits: args.read.limits(),
        source: args.read.registry.options()?,
        target: args.read.registry.options_for(args.dest_creds.as_deref())?,
    };
    let stage = Stage::start(printer, format!("copying {} to {}", args.source, args.target), 0);
    let copied = copy(&args.source, &args.target, &order, &stage)?;
    stage.end();
    engines::deliver(&args.target, printer)?;
    let report = CopyReport {
        source: args.source.to_string(),
        target: args.target.to_string(),
        digest: copied.digest.to_string(),
        manifests: copied.manifests,
        blobs: copied.blobs,
        bytes: copied.bytes,
        left_out: copied.left_out,
        pushed: copied.pushed.map(pushed),
    };
    match args.format {
        Format::Json => printer.json(&serde_json::to_value(&report)?)?,
        Format::Human => printer.result(&copy_human(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}
