//! `jettison lint`: waste in Dockerfiles.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use jettison_ir::source::{Goal, RunStyle, SourceOptions};
use jettison_ir::{Pass, Run};
use jettison_passes::PASSES;
use jettison_report::{LintedFile, Severity, lint_github, lint_human, lint_json, lint_sarif};

use super::FAILED;
use crate::cli::{ErrorOn, Lint, LintFormat, PassArgs};
use crate::error::{UNREADABLE, Usage};
use crate::linter::{Linter, expand};
use crate::pipeline::{self, Subject};
use crate::printer::Printer;

pub(crate) fn run(args: &Lint, printer: &Printer) -> Result<ExitCode> {
    if args.fix && args.paths.iter().any(|path| path == Path::new("-")) {
        let hint = "`jettison rewrite -f - -o -` gives the rewritten file";
        return Err(Usage::new("what comes from stdin cannot be fixed in place").with_hint(hint).into());
    }
    let choice = PassArgs { skip: args.skip.clone(), only: args.only.clone(), ..PassArgs::default() };
    let selection = pipeline::selection(args.level, &choice, Subject::Dockerfiles)?;
    let options =
        SourceOptions { level: args.level, goal: Goal::Release, style: RunStyle::Operators, denied: args.skip.clone() };
    let linter = Linter::new(options, selection, args.fix);
    let (paths, errors) = expand(&args.paths);
    let mut unreadable = errors.len();
    errors.iter().for_each(|error| printer.error(error));
    if paths.is_empty() && unreadable == 0 {
        printer.say("note: there is no Dockerfile in what was named");
    }
    let (mut files, mut fixed, mut notes) = (Vec::new(), 0, Vec::new());
    for result in linter.all(&paths) {
        match result {
            Ok(linted) => {
                fixed += linted.fixed;
                files.push(linted.file);
                for note in linted.notes {
                    if !notes.contains(&note) {
                        printer.say(&format!("note: {note}"));
                        notes.push(note);
                    }
                }
            }
            Err(error) => {
                unreadable += 1;
                printer.error(&error);
            }
        }
    }
    show(args, &files, fixed, printer)?;
    if unreadable > 0 {
        return Ok(ExitCode::from(UNREADABLE));
    }
    let worst = files.iter().flat_map(|file| &file.findings).map(|finding| finding.rule.severity()).max();
    let fails = match args.error_on {
        ErrorOn::Never => false,
        ErrorOn::Warning => worst.is_some(),
        ErrorOn::Error => worst == Some(Severity::Error),
    };
    Ok(if fails { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn show(args: &Lint, files: &[LintedFile], fixed: usize, printer: &Printer) -> Result<()> {
    match args.format {
        LintFormat::Human => printer.result(&lint_human(files, files.len(), fixed))?,
        LintFormat::Json => printer.json(&lint_json(files))?,
        LintFormat::Sarif => {
            let passes: Vec<&'static Pass> = PASSES.iter().filter(|pass| matches!(pass.run, Run::Source(_))).collect();
            printer.bytes(format!("{}\n", lint_sarif(files, &passes)?).as_bytes())?;
        }
        LintFormat::Github => printer.bytes(lint_github(files).as_bytes())?,
    }
    Ok(())
}
