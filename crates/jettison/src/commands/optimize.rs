//! `jettison optimize`: a smaller image, proven.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use jettison_ir::OptimizeReport;
use jettison_report::{optimize_human, optimize_json};
use jettison_store::{ImageName, Reference, Transport};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::FAILED;
use crate::cli::{Format, Optimize};
use crate::error::Usage;
use crate::optimizer::{Request, optimize};
use crate::printer::Printer;

/// Where the receipt goes beside the image.
enum Target<'t> {
    /// Standard output.
    Output,
    /// A file, which takes its name when it is whole.
    File(&'t Path, NamedTempFile),
}

impl<'t> Target<'t> {
    /// Where it was asked to go. That a file can be made there shows before there is anything to be written to it.
    fn of(args: &'t Optimize) -> Result<Option<Self>> {
        let Some(path) = &args.receipt else { return Ok(None) };
        if path == Path::new("-") {
            if args.format == Format::Json {
                let hint = "the report holds the receipt already";
                return Err(Usage::new("--receipt - and --format json both write to standard output")
                    .with_hint(hint)
                    .into());
            }
            return Ok(Some(Self::Output));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = || format!("the receipt cannot be written to {}", path.display());
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(".jettison-receipt-").permissions(Permissions::from_mode(0o644)).tempfile_in(folder);
        Ok(Some(Self::File(path, file.with_context(failed)?)))
    }

    fn write(self, reports: &[OptimizeReport], printer: &Printer) -> Result<()> {
        // The packings of one image have one receipt.
        let images = reports.iter().filter(|report| !report.is_further);
        let mut values = images.map(|report| serde_json::to_value(&report.receipt)).collect::<Result<Vec<_>, _>>()?;
        let value = if values.len() == 1 { values.remove(0) } else { Value::from(values) };
        match self {
            Self::Output => printer.json(&value),
            Self::File(path, mut file) => {
                let failed = || format!("the receipt cannot be written to {}", path.display());
                let text = format!("{}\n", serde_json::to_string_pretty(&value)?);
                file.write_all(text.as_bytes()).with_context(failed)?;
                file.persist(path).map(drop).with_context(failed)
            }
        }
    }
}

/// The names of `--tag`, as the output's place lists them.
fn names(args: &Optimize, output: &Reference) -> Result<Vec<String>> {
    let name = |tag: &String| {
        tag.parse::<ImageName>().map_err(|error| Usage::new(error.to_string()))?;
        Ok(output.transport.map_or_else(|| tag.clone(), |transport| transport.stored_name(tag)))
    };
    args.tags.iter().map(name).collect()
}

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
    let names = names(args, output)?;
    let request = Request {
        input: &args.image,
        output,
        is_plan: args.plan,
        level: args.level,
        base: &args.base,
        layers: &args.layers,
        compression: args.compression,
        is_dual: args.dual,
        recompress_base: args.recompress_base,
        wanted: args.read.wanted_for(output)?,
        read: &args.read,
        passes: &args.passes,
        verify_each: args.verify_each,
        names: (!names.is_empty()).then_some(&names[..]),
        options: args.keeping.options(),
        attaches_receipt: args.attach_receipt,
        target_options: args.read.registry.options_for(args.dest_creds.as_deref())?,
    };
    let receipt = Target::of(args)?;
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
            match receipt {
                // The receipt has standard output for itself.
                Some(Target::Output) => printer.say_lines(&texts.join("\n")),
                _ => printer.result(&texts.join("\n"))?,
            }
        }
    }
    if is_equal {
        if let Some(target) = receipt {
            target.write(&reports, printer)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    printer.say("nothing was written: the result would differ from the input; please report this");
    Ok(ExitCode::from(FAILED))
}
