//! Copies dependency manifests before the sources, so that a change of the sources does not install everything again.

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Assumption, Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::{Arguments, Instruction, Kind};
use jettison_syntax::packages::PackageCommand;
use jettison_syntax::shell::CommandKind;
use jettison_syntax::view::Setting;

use crate::analysis::hazards::Refusal;
use crate::analysis::manifests::Project;
use crate::analysis::separable::package_command;
use crate::analysis::state::{self, Tier};

const INSTALLS_READ_MANIFESTS: Assumption = Assumption {
    name: "dependency-installs-read-manifests-only",
    holds: "installing dependencies reads a project's manifests alone, and changes none of its files",
};

pub(crate) const PASS: Pass = Pass {
    name: "late-manifests",
    summary: "for development: dependencies that are installed again when any file of the project changes",
    level: Level::O2,
    safety: Safety::Assuming(&[INSTALLS_READ_MANIFESTS]),
    page: include_str!("late_manifests.md"),
    aliases: &["DD006"],
    run: Run::Development(run),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let Some(context) = unit.context.filter(|_| unit.may_assume(&INSTALLS_READ_MANIFESTS)) else { return Vec::new() };
    let mut project = None;
    let mut remarks = Vec::new();
    for stage in unit.stages() {
        for run in stage.instructions.clone().skip(1) {
            let copy = run - 1;
            if unit.kind(run) != Kind::Run || !copies_all(unit, unit.instruction(copy)) {
                continue;
            }
            let Some(package) = installs(unit, run) else { continue };
            let Setting::Known(directory) = &unit.settings(copy).workdir else { continue };
            let project = project.get_or_insert_with(|| Project::read(context, unit.ignore.as_ref()));
            let Some(manifests) = project.manifests(&package, directory) else { continue };
            let span = unit.instruction(run).span;
            let manifests = manifests.map_err(|(code, reason)| Refusal { code, reason: reason.to_owned() });
            match manifests.and_then(|manifests| moved(unit, copy, run, directory, &manifests)) {
                Ok(edits) => {
                    let message =
                        "all dependencies are installed again when any file of the project changes".to_owned();
                    remarks.push(SourceRemark::Found(SourceFinding::fixed(span, message, edits, SourceClaim::Same)));
                }
                Err(Refusal { code, reason }) => {
                    remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason }));
                }
            }
        }
    }
    remarks
}

/// Whether an instruction copies the whole context, and nothing else.
fn copies_all(unit: &SourceUnit<'_>, instruction: &Instruction) -> bool {
    if !matches!(instruction.body.kind, Kind::Copy | Kind::Add) || instruction.body.flag("from").is_some() {
        return false;
    }
    let is_all = |word: &str| matches!(word, "." | "./");
    match &instruction.body.arguments {
        Arguments::Words(words) => words.len() == 2 && is_all(unit.tree.part(instruction, words[0])),
        Arguments::Json(strings) => strings.len() == 2 && is_all(&strings[0].value),
        _ => false,
    }
}

/// The package manager's command that a RUN consists of.
fn installs(unit: &SourceUnit<'_>, at: usize) -> Option<PackageCommand> {
    let script = unit.script(at).filter(|script| script.error.is_none() && state::tier(script) == Tier::Plain)?;
    let [step] = &state::steps(script)[..] else { return None };
    let [command] = &step.commands[..] else { return None };
    match &command.kind {
        CommandKind::Simple(simple) => package_command(simple),
        _ => None,
    }
}

/// The changes: manifests where all was copied, and all behind the installation.
fn moved(
    unit: &SourceUnit<'_>,
    copy: usize,
    run: usize,
    directory: &str,
    manifests: &[&str],
) -> Result<Vec<TextEdit>, Refusal> {
    let refuse = |code, reason: &str| Err(Refusal { code, reason: reason.to_owned() });
    let instruction = unit.instruction(copy);
    let (target, is_words) = match &instruction.body.arguments {
        Arguments::Words(words) => (unit.tree.part(instruction, words[1]), true),
        Arguments::Json(strings) => (strings[1].value.as_str(), false),
        _ => ("", false),
    };
    let trimmed = target.trim_end_matches('/');
    if !(matches!(target, "." | "./") || trimmed == directory) {
        return refuse(
            "other-folder",
            "the project is not copied into the directory in which its dependencies are installed",
        );
    }
    if directory == "/" {
        return refuse("other-folder", "the project is copied over the root folder");
    }
    let flags = &instruction.body.flags;
    if !is_words
        || instruction.logical.is_joined()
        || flags.iter().any(|flag| !matches!(flag.name(), "chown" | "chmod"))
    {
        return refuse("other-copy", "it is copied in a form that is left as it is");
    }
    if manifests.iter().any(|name| name.contains(|ch: char| ch.is_whitespace() || "$\\\"'*?[`".contains(ch))) {
        return refuse("odd-name", "a manifest's name would need quotes");
    }
    let text = unit.tree.text();
    // Comments directly above go with it.
    let first =
        unit.tree.comments.get(instruction.above.0 as usize).filter(|_| instruction.above.0 < instruction.above.1);
    let start = first.map_or(instruction.span.start, |comment| comment.span.start);
    let start = text[..start as usize].rfind('\n').map_or(0, |at| at + 1);
    let block = Span::new(start, unit.lines_of(copy).end as usize);
    let line = unit.lines_of(copy).start;
    let head = Span { start: line, end: instruction.logical.source_of(instruction.body.rest.start) }.of(text);
    let folder = if target.ends_with('/') { target.to_owned() } else { format!("{target}/") };
    let copied = format!("{head}{} {folder}\n", manifests.join(" "));
    let end = unit.lines_of(run).end;
    let is_apart = text[block.end as usize..].lines().next().is_some_and(|line| line.trim().is_empty());
    let gap = if is_apart { "\n" } else { "" };
    let all = if text[..end as usize].ends_with('\n') {
        format!("{gap}{}", block.of(text))
    } else {
        format!("\n{gap}{}", block.of(text).trim_end())
    };
    Ok(vec![TextEdit::replace(block, copied), TextEdit::insert(end, all)])
}
