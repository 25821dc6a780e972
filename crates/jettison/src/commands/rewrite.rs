//! `jettison rewrite`: a Dockerfile's release form from its development form, or the other way round.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use jettison_engine::sandbox::Host;
use jettison_ir::Level;
use jettison_ir::source::{Goal, RunStyle, SourceOptions};
use jettison_report::{IgnoreChange, RewriteReport, rewrite_human, rewrite_json, source_map};
use jettison_syntax::dockerfile::encode;

use super::FAILED;
use crate::cli::{Format, Rewrite};
use crate::context::{Walked, ignore_file, is_used, own_ignore_file, walk};
use crate::dockerfile::{self, Located, named};
use crate::error::Usage;
use crate::pipeline::{self, Subject};
use crate::printer::Printer;
use crate::proving;
use crate::replace::Replacement;
use crate::rewriting::{Rewriting, report};

/// `host` is what this process may do, where builds were asked for.
pub(crate) fn run(args: &Rewrite, host: Option<&Host>, printer: &Printer) -> Result<ExitCode> {
    let selection = pipeline::selection(args.level, &args.passes, Subject::Dockerfiles)?;
    let located = Located::of(args.context.as_deref(), args.file.as_deref())?;
    if args.write && located.path.is_none() {
        let hint = "-o FILE writes the result to a file, -o - to stdout";
        return Err(Usage::new("what comes from stdin cannot be replaced").with_hint(hint).into());
    }
    if args.proof.multi_stage && (args.level != Level::Os || Goal::from(args.goal) != Goal::Release) {
        let hint = "-Os --prove --smoke CMD --multi-stage ships what CMD and the image's own command use";
        return Err(Usage::new("--multi-stage is for size, at -Os and for releases").with_hint(hint).into());
    }
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && args.format == Format::Json {
        return Err(Usage::new("stdout can hold the Dockerfile or the JSON, not both").into());
    }
    let name = located.name();
    let tree = dockerfile::read(located.path.as_deref())?;
    dockerfile::accept(&name, &tree)?;
    let ignore_path = located.context.as_deref().map(|folder| ignore_file(located.path.as_deref(), folder));
    let mut walked = match (&located.context, &ignore_path) {
        (Some(folder), Some(ignore)) if is_used(&tree) => walk(folder, ignore)?,
        _ => Walked { context: None, notes: Vec::new() },
    };
    let commits = proving::learn(args, &selection, &located, &mut walked)?;
    let options = SourceOptions {
        level: args.level,
        goal: args.goal.into(),
        style: if args.heredoc { RunStyle::Heredoc } else { RunStyle::Operators },
        denied: args.passes.skip.clone(),
    };
    let rewriting = Rewriting { tree: &tree, context: walked.context.as_ref(), options, selection };
    let (rewritten, proof) = match args.proof.prove {
        true => proving::of_rewrite(&args.proof, host, &located, &rewriting, &commits, printer)?,
        false => (rewriting.shown(&args.passes, printer), None),
    };
    let ignore_text = walked.context.as_ref().and_then(|context| context.ignore.clone());
    let mut report = report(&name, &tree, &rewritten, walked.notes);
    report.proof = proof;
    report.ignore = ignore_path.zip(rewritten.ignore.as_ref()).map(|(path, after)| IgnoreChange {
        name: named(&path),
        before: ignore_text.unwrap_or_default(),
        after: after.clone(),
    });
    write(args, &located, &mut report)?;
    let remarks = args.passes.remarks || printer.is_verbose();
    if args.format == Format::Json {
        printer.json(&rewrite_json(&report))?;
    } else {
        show(args, &report, to_stdout, printer)?;
        printer.say_lines(&rewrite_human(&report, remarks));
    }
    Ok(if args.check && report.is_change() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Writes what is asked for: all files beside their targets first, so that a full disk leaves them as they were.
fn write(args: &Rewrite, located: &Located, report: &mut RewriteReport<'_>) -> Result<()> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let ignore = report.ignore.as_ref().map(|ignore| encode(&ignore.after));
    match (&args.output, &located.path) {
        (Some(output), _) => {
            // A pipe or a device has no place beside it.
            let is_file = output != Path::new("-") && output.metadata().map_or(true, |metadata| metadata.is_file());
            match ignore {
                Some(bytes) if is_file => files.push((own_ignore_file(output), bytes)),
                Some(_) => report.notes.push(".dockerignore is not written: --write changes it in place".to_owned()),
                None => {}
            }
            if output != Path::new("-") {
                files.push((output.clone(), encode(report.after)));
            }
        }
        (None, Some(path)) if args.write => {
            let ignore_path = located.context.as_deref().map(|folder| ignore_file(Some(path), folder));
            files.extend(ignore_path.zip(ignore));
            if report.before != report.after {
                files.push((path.clone(), encode(report.after)));
            }
        }
        _ => {}
    }
    let mut prepared = Vec::with_capacity(files.len());
    for (path, bytes) in &files {
        prepared.push(Replacement::prepare(path, bytes)?);
    }
    prepared.into_iter().try_for_each(Replacement::publish)?;
    report.written = files.iter().map(|(path, _)| named(path)).collect();
    Ok(())
}

fn show(args: &Rewrite, report: &RewriteReport<'_>, to_stdout: bool, printer: &Printer) -> Result<()> {
    if to_stdout {
        printer.bytes(&encode(report.after))?;
    } else if args.output.is_none() && !args.write {
        for diff in report.diffs() {
            match printer.has_colour() {
                true => printer.result(&diff.coloured())?,
                false => printer.bytes(&encode(&diff.plain()))?,
            }
        }
    }
    if args.source_map {
        let map = source_map(report);
        if to_stdout { printer.say_lines(&map) } else { printer.result(&map)? }
    }
    Ok(())
}
