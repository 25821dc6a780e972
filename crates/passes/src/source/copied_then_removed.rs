//! Mounts files that are copied, used and removed: the layer of the COPY keeps them for good.

use std::collections::{BTreeMap, BTreeSet};

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Assumption, Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::path::clean;

use crate::analysis::copies::{self, Copied, Source};
use crate::analysis::mounts;
use crate::analysis::owners::NEW;
use crate::analysis::ownership::Refusal;
use crate::analysis::places::{exists, lineage, may_be_of_packages, parent};
use crate::analysis::removals::{InRun, trail};
use crate::analysis::steps;

const SCRIPTS: Assumption = Assumption {
    name: "scripts-leave-themselves-alone",
    holds: "a script that is copied, run and removed neither changes nor removes its own file and the folder of that",
};

pub(crate) const PASS: Pass = Pass {
    name: "copied-then-removed",
    summary: "files that are copied, used by a RUN and removed: the layer of the COPY keeps them",
    level: Level::O2,
    safety: Safety::Assuming(&[NEW, SCRIPTS]),
    page: include_str!("copied_then_removed.md"),
    aliases: &[],
    run: Run::Source(run),
};

/// How many copies of a file are looked at. Each look goes over the whole file; no file that people write has as many.
const MAX_COPIES: usize = 200;

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let has_removal = unit.tree.text().contains("rm ");
    let all = 0..unit.instructions().len();
    for at in all.filter(|at| has_removal && unit.kind(*at) == Kind::Copy).take(MAX_COPIES) {
        let span = unit.instruction(at).span;
        match look_at(unit, at) {
            Ok(None) => {}
            Ok(Some(finding)) => remarks.push(SourceRemark::Found(finding)),
            Err(Refusal { code, reason }) => {
                remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason: reason.to_owned() }));
            }
        }
    }
    remarks
}

fn look_at(unit: &SourceUnit<'_>, at: usize) -> Result<Option<SourceFinding>, Refusal> {
    let Some(copied) = copies::read(unit, at) else { return Ok(None) };
    let Some(files) = targets(unit, &copied) else { return Ok(None) };
    let mut trails = Vec::new();
    for (file, _) in &files {
        match trail(unit, at, file) {
            None => return Ok(None),
            Some(trail) => trails.push(trail?),
        }
    }
    // What no command reads is removed for another reason than having been used.
    if !trails.iter().all(|trail| trail.iter().any(|run| run.reads || run.runs)) {
        return Ok(None);
    }
    check_copy(unit, &copied, &files)?;
    let uses: BTreeSet<usize> = trails.iter().flatten().filter(|run| run.reads || run.runs).map(|run| run.at).collect();
    if uses.iter().any(|at| files.iter().any(|(file, _)| mounts::are_at(unit, *at, file))) {
        return Err(Refusal { code: "run-flags", reason: "the RUN mounts something at that place already" });
    }
    if trails.iter().flatten().any(|run| run.runs) && !unit.may_assume(&SCRIPTS) {
        return Err(Refusal { code: "may-write", reason: "a script that is run may write to its own file" });
    }
    let mut edits = vec![TextEdit::delete(steps::lines_with_blank(unit, at))];
    for run in &uses {
        edits.push(mount_flags(unit, *run, &copied, &files, &trails));
    }
    edits.extend(removals(unit, &trails)?);
    let names: Vec<&str> = files.iter().map(|(file, _)| file.as_str()).collect();
    let message = format!("{} is removed after its use, and stays in the layer of the COPY", names.join(", "));
    let mut finding = SourceFinding::fixed(unit.instruction(at).span, message, edits, SourceClaim::Same);
    finding.help = Some("the RUN reads it from a mount instead, which needs BuildKit to build".to_owned());
    Ok(Some(finding))
}

/// Where each source ends up, with what it is in the build context or the other stage.
fn targets(unit: &SourceUnit<'_>, copied: &Copied) -> Option<Vec<(String, String)>> {
    let relative = |source: &String| clean(source).trim_start_matches('/').to_owned();
    let source_of = |source: &String| if copied.from.is_some() { clean(source) } else { relative(source) };
    if let Some(files) = copied.files(unit) {
        return Some(files.into_iter().map(|(file, _)| file).zip(copied.sources.iter().map(source_of)).collect());
    }
    let [only] = &copied.sources[..] else { return None };
    let is_unknown = copied.kind(unit, only) == Source::Unknown && !copied.into_folder;
    is_unknown.then(|| vec![(copied.target.clone(), source_of(only))])
}

fn check_copy(unit: &SourceUnit<'_>, copied: &Copied, files: &[(String, String)]) -> Result<(), Refusal> {
    let instruction = unit.instruction(copied.at);
    let refuse = |code, reason| Err(Refusal { code, reason });
    if !instruction.heredocs.is_empty() {
        return refuse("heredoc", "what is copied stands in the Dockerfile itself, and cannot be mounted");
    }
    if instruction.body.flags.iter().any(|flag| flag.name() != "from") {
        return refuse("other-flags", "a mount cannot set owners and modes, nor do what the other flags do");
    }
    if instruction.within.0 != instruction.within.1 {
        return refuse("comment", "a comment stands among the lines that would go");
    }
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/@+:".contains(&byte));
    if !files.iter().all(|(file, source)| plain(file) && plain(source)) || !copied.from.as_deref().is_none_or(plain) {
        return refuse("odd-name", "a mount cannot be written for such a name");
    }
    let before = lineage(unit, copied.at);
    if !files.iter().all(|(file, _)| exists(unit, parent(file), &before)) {
        return refuse(
            "makes-parents",
            "the COPY makes the folder that the file is in, which stays when the file goes",
        );
    }
    if !unit.may_assume(&NEW) || files.iter().any(|(file, _)| may_be_of_packages(file)) {
        return refuse("not-fresh", "the base image may have a file there, which is removed as well");
    }
    if !mounts::are_known(unit) {
        return refuse("old-frontend", "the frontend that the file names may know no mounts");
    }
    Ok(())
}

/// The mounts of a RUN.
fn mount_flags(
    unit: &SourceUnit<'_>,
    at: usize,
    copied: &Copied,
    files: &[(String, String)],
    trails: &[Vec<InRun>],
) -> TextEdit {
    let instruction = unit.instruction(at);
    let is_heredoc = unit.text(at).is_some_and(|text| text.is_heredoc);
    let from = copied.from.as_ref().map(|from| format!("from={from},")).unwrap_or_default();
    let mut text = String::new();
    for ((file, source), _) in files.iter().zip(trails).filter(|(_, trail)| trail.iter().any(|run| run.at == at)) {
        text.push_str(&format!(" --mount=type=bind,{from}source={source},target={file}"));
        if !is_heredoc {
            text.push_str(" \\\n   ");
        }
    }
    let body = &instruction.body;
    let end = body.flags.last().map_or(body.keyword.end, |flag| flag.span.end);
    TextEdit::insert(instruction.logical.source_span(Span { start: end - 1, end }).end, text)
}

/// What takes the removals out.
fn removals(unit: &SourceUnit<'_>, trails: &[Vec<InRun>]) -> Result<Vec<TextEdit>, Refusal> {
    let mut words: BTreeMap<(usize, usize), Vec<Span>> = BTreeMap::new();
    for run in trails.iter().flatten().filter(|run| !run.with_others) {
        if let Some((step, word)) = run.removed_by {
            words.entry((run.at, step)).or_default().push(word);
        }
    }
    let mut edits = Vec::new();
    let runs: BTreeSet<usize> = words.keys().map(|(at, _)| *at).collect();
    for at in runs {
        let steps = steps::of(unit, at).unwrap_or_default();
        let mut gone = Vec::new();
        for ((_, step), spans) in words.range((at, 0)..=(at, usize::MAX)) {
            let Some(simple) = steps.get(*step).and_then(|step| step.simple) else { continue };
            let operands =
                simple.arguments().iter().filter(|word| !word.literal().is_some_and(|text| text.starts_with('-')));
            if operands.count() == spans.len() {
                gone.push(*step);
                continue;
            }
            for span in spans {
                let before = simple.words.iter().rev().find(|word| word.span.end <= span.start);
                let start = before.map_or(span.start, |word| word.span.end);
                let (from, to) =
                    (unit.source_span(at, Span { start: start - 1, end: start }).end, unit.source_span(at, *span).end);
                edits.push(TextEdit::delete(Span { start: from, end: to }));
            }
        }
        if !gone.is_empty() {
            let removal = steps::removal(unit, at, &steps, &gone);
            let reason = "a comment stands among the commands that would go";
            edits.extend(removal.ok_or(Refusal { code: "comment", reason })?);
        }
    }
    Ok(edits)
}
