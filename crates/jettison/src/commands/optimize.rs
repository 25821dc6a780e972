//! `jettison optimize`: a smaller image, proven.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use jettison_report::{optimize_human, optimize_json};
use jettison_store::{Reference, Transport};
use serde_json::Value;

use super::FAILED;
use crate::cli::{Format, Optimize};
use crate::error::Usage;
use crate::optimizer::{Request, optimize};
use crate::printer::Printer;

pub(crate) fn run(args: &Optimize, printer: &Printer) -> Result<ExitCode> {
    let place = tempfile::tempdir().context("no folder for temporary files")?;
    // A plan is what is written and read back, and then thrown away: its numbers are measured.
    let planned =
        Reference { transport: Some(Transport::OciArchive), path: place.path().join("planned.tar"), selector: None };
    let output = args.output.as_ref().unwrap_or(&planned);
    if output.path == Path::new("-") {
        let hint = "what is written is read back before it counts, which a pipe does not allow";
        return Err(Usage::new("the output must be a file or a folder").with_hint(hint).into());
    }
    let request = Request {
        input: &args.image,
        output,
        is_plan: args.plan,
        level: args.level,
        base: &args.base,
        layers: usize::from(args.layers),
        compression: args.compression,
        read: &args.read,
        passes: &args.passes,
        verify_each: args.verify_each,
        names: None,
        options: args.keeping.options(),
    };
    let reports = optimize(&request, printer)?;
    let is_equal = reports.iter().all(|report| report.verdict.is_equal());
    match args.format {
        Format::Json => {
            let mut values: Vec<Value> = reports.iter().map(optimize_json).collect();
            // One image is an object, as users of one platform expect; several are an array.
            let value = if values.len() == 1 { values.remove(0) } else { Value::from(values) };
            printer.json(&value)?;
        }
        Format::Human => {
            let remarks = args.passes.remarks || printer.is_verbose();
            let texts: Vec<String> = reports.iter().map(|report| optimize_human(report, remarks)).collect();
            printer.result(&texts.join("\n"))?;
        }
    }
    if is_equal {
        return Ok(ExitCode::SUCCESS);
    }
    printer.say("nothing was written: the result would differ from the input; please report this");
    Ok(ExitCode::from(FAILED))
}
