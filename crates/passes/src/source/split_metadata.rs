//! Finds settings that are spread over several instructions, and those that a later one replaces.

use jettison_ir::source::{SourceClaim, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::expand;
use jettison_syntax::view::Setting;

use crate::analysis::{bases, directories, moves};

pub(crate) const PASS: Pass = Pass {
    name: "split-metadata",
    summary: "ENV, LABEL, EXPOSE and COPY that can be one, and settings that a later instruction replaces",
    level: Level::O1,
    safety: Safety::Exact,
    page: include_str!("split_metadata.md"),
    aliases: &["MultipleInstructionsDisallowed", "DL4003", "DL4004"],
    run: Run::Source(run),
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let count = unit.instructions().len();
    let mut at = 0;
    while at < count {
        if let Some(finding) = replaced(unit, at) {
            remarks.push(SourceRemark::Found(finding));
            at += 1;
            continue;
        }
        let mut end = at + 1;
        while end < count && joins(unit, at, end) {
            end += 1;
        }
        if end > at + 1 {
            remarks.push(SourceRemark::Found(joined(unit, at, end)));
        }
        at = end;
    }
    remarks
}

/// The finding that an instruction's setting is replaced, or was in force already.
fn replaced(unit: &SourceUnit<'_>, at: usize) -> Option<SourceFinding> {
    let kind = unit.kind(at);
    let stage = unit.outline.stage_of(at)?;
    let later = || at + 1..stage.instructions.end;
    let why = match kind {
        Kind::Cmd | Kind::Entrypoint | Kind::Healthcheck | Kind::Stopsignal => {
            later().find(|other| unit.kind(*other) == kind).map(|_| "replaces it")
        }
        Kind::User => {
            let next = later()
                .find(|other| matches!(unit.kind(*other), Kind::User | Kind::Run | Kind::Workdir | Kind::Onbuild));
            // Of two that say the same the second one goes, not both.
            let is_same = |other: usize| user_after(unit, other).is_some_and(|user| user_after(unit, at) == Some(user));
            let is_replaced = next.is_some_and(|other| unit.kind(other) == Kind::User && !is_same(other));
            let is_repeated = match (&unit.settings(at).user, user_after(unit, at)) {
                (Setting::Known(before), Some(after)) => **before == *after,
                _ => false,
            };
            if is_replaced { Some("replaces it") } else { is_repeated.then_some("says the same") }
        }
        Kind::Workdir => useless_workdir(unit, at, stage.instructions.clone()),
        _ => None,
    }?;
    // Comments stay where they are: they may speak of what comes next as well.
    let keyword = kind.keyword();
    let message = if why == "says the same" {
        format!("this {keyword} says what is in force already")
    } else {
        format!("this {keyword} has no effect: a later one {why}")
    };
    let edits = vec![TextEdit::delete(unit.lines_of(at))];
    Some(SourceFinding::fixed(unit.instruction(at).span, message, edits, SourceClaim::Same))
}

fn user_after(unit: &SourceUnit<'_>, at: usize) -> Option<String> {
    let instruction = unit.instruction(at);
    let Arguments::Text(span) = instruction.body.arguments else { return None };
    unit.scope(at).expand(unit.tree.part(instruction, span), unit.tree.escape)
}

/// Why a WORKDIR can go: it names the directory that is in force, or the next one makes its directory too.
fn useless_workdir(unit: &SourceUnit<'_>, at: usize, stage: std::ops::Range<usize>) -> Option<&'static str> {
    let path = moves::workdir(unit, at)?;
    // Only a WORKDIR of the file itself: it made the directory, and nothing took it away.
    if let Setting::Known(current) = &unit.settings(at).workdir
        && **current == *path
        && is_written(unit, at, &path)
    {
        let maker = (stage.start..at).rev().find(|other| unit.kind(*other) == Kind::Workdir)?;
        let still = (maker..at).filter(|other| unit.kind(*other) == Kind::Run).all(|other| {
            unit.script(other)
                .is_some_and(|script| script.exact && directories::removed(unit, other, script, Some(&path)).is_none())
        });
        return still.then_some("says the same");
    }
    let next = (at + 1..stage.end).find(|other| {
        matches!(
            unit.kind(*other),
            Kind::Run | Kind::Copy | Kind::Add | Kind::Workdir | Kind::Onbuild | Kind::User | Kind::Volume
        )
    })?;
    if unit.kind(next) != Kind::Workdir || !is_absolute(unit, next) || !bases::is_root(unit, at) {
        return None;
    }
    let following = moves::workdir(unit, next)?;
    // Of two that say the same the second one goes, not both.
    let makes_it = following.starts_with(&format!("{}/", path.trim_end_matches('/')));
    (following != path && (makes_it || moves::is_made(unit, at, next, &path))).then_some("replaces it")
}

/// Whether a WORKDIR has the path in that very spelling: builders of 2020 put others into the image as they are.
fn is_written(unit: &SourceUnit<'_>, at: usize, path: &str) -> bool {
    let instruction = unit.instruction(at);
    let text = match instruction.body.arguments {
        Arguments::Text(span) => unit.scope(at).expand(unit.tree.part(instruction, span), unit.tree.escape),
        _ => None,
    };
    text.is_some_and(|text| text == path)
}

fn is_absolute(unit: &SourceUnit<'_>, at: usize) -> bool {
    let instruction = unit.instruction(at);
    matches!(instruction.body.arguments, Arguments::Text(span) if unit.tree.part(instruction, span).starts_with('/'))
}

/// Whether the instruction `at` can be joined to those from `first` on, which stand directly before it.
fn joins(unit: &SourceUnit<'_>, first: usize, at: usize) -> bool {
    let kind = unit.kind(first);
    if unit.kind(at) != kind || replaced(unit, at).is_some() {
        return false;
    }
    match kind {
        Kind::Env | Kind::Label => {
            let (Some(one), Some(other)) = (pairs(unit, at - 1), pairs(unit, at)) else { return false };
            if one.is_empty() || other.is_empty() {
                return false;
            }
            let before: Vec<String> =
                (first..at).flat_map(|at| pairs(unit, at).unwrap_or_default()).map(|(name, _)| name).collect();
            other.iter().all(|(name, value)| {
                let refers = expand::references(value, unit.tree.escape);
                !before.contains(name)
                    && !name.contains('$')
                    && (kind == Kind::Label || refers.iter().all(|reference| !before.contains(&reference.name)))
            })
        }
        Kind::Expose => true,
        Kind::Copy | Kind::Add => copies_join(unit, first, at),
        _ => false,
    }
}

/// The names and values of ENV or LABEL as `name=value` has them; none where the old form has no such form.
fn pairs(unit: &SourceUnit<'_>, at: usize) -> Option<Vec<(String, String)>> {
    let instruction = unit.instruction(at);
    let Arguments::Pairs { pairs, legacy } = &instruction.body.arguments else { return None };
    let part = |span| unit.tree.part(instruction, span).to_owned();
    let simple = |value: &str| !value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '`'));
    pairs
        .iter()
        .map(|pair| {
            let (name, value) = (part(pair.name), part(pair.value));
            (!*legacy || simple(&value)).then_some((name, value))
        })
        .collect()
}

/// COPY or ADD to one place, which is a folder in both.
fn copies_join(unit: &SourceUnit<'_>, first: usize, at: usize) -> bool {
    let parts = |at: usize| {
        let instruction = unit.instruction(at);
        let Arguments::Words(words) = &instruction.body.arguments else { return None };
        let target = unit.tree.part(instruction, *words.last()?);
        let flags: Vec<&str> = instruction.body.flags.iter().map(|flag| flag.text.as_str()).collect();
        let is_folder = target.ends_with('/') || target == ".";
        (instruction.heredocs.is_empty() && words.len() > 1 && is_folder).then_some((target.to_owned(), flags))
    };
    // ADD of archives and addresses: what each makes is told apart by its own name.
    parts(first).is_some() && parts(first) == parts(at)
}

/// The finding that the instructions of a range can be one.
fn joined(unit: &SourceUnit<'_>, first: usize, end: usize) -> SourceFinding {
    let kind = unit.kind(first);
    let source = unit.tree.text();
    let indent = "    ";
    let mut text = String::new();
    for at in first..end {
        let instruction = unit.instruction(at);
        let from = if at == first { instruction.within.0 } else { unit.instruction(at - 1).within.1 };
        let comments = &unit.tree.comments[from as usize..instruction.within.0 as usize];
        let comments: String =
            comments.iter().map(|comment| format!("{indent}{}\n", comment.span.of(source).trim_end())).collect();
        let own = own_text(unit, at, at + 1 == end);
        if at == first {
            text = format!("{} {own}", instruction.logical.source_span(instruction.body.keyword).of(source));
        } else if matches!(kind, Kind::Expose | Kind::Copy | Kind::Add) && comments.is_empty() && !own.contains('\n') {
            text += &format!(" {own}");
        } else {
            text += &format!(" \\\n{comments}{indent}{own}");
        }
    }
    let span = unit.instruction(first).span.to(unit.instruction(end - 1).span);
    let message = format!("{} {} instructions can be one", end - first, kind.keyword());
    SourceFinding::fixed(span, message, vec![TextEdit::replace(span, text)], SourceClaim::Same)
}

/// What an instruction says behind its keyword, as it stands in the file. COPY and ADD say their flags first, and only
/// the last one its destination.
fn own_text(unit: &SourceUnit<'_>, at: usize, is_last: bool) -> String {
    let instruction = unit.instruction(at);
    let source = unit.tree.text();
    let shown = |span| instruction.logical.source_span(span).of(source).to_owned();
    match &instruction.body.arguments {
        Arguments::Pairs { pairs, legacy: true } => {
            pairs.iter().map(|pair| format!("{}={}", shown(pair.name), shown(pair.value))).collect()
        }
        Arguments::Words(words) if matches!(unit.kind(at), Kind::Copy | Kind::Add) => {
            let flags: String = match at.checked_sub(1) {
                Some(before) if unit.kind(before) == unit.kind(at) && copies_join(unit, before, at) => String::new(),
                _ => instruction.body.flags.iter().map(|flag| format!("{} ", shown(flag.span))).collect(),
            };
            let (target, sources) = words.split_last().map_or((None, &words[..]), |(last, rest)| (Some(*last), rest));
            let sources: Vec<String> = sources.iter().map(|word| shown(*word)).collect();
            let target = target
                .filter(|_| is_last)
                .map(shown)
                .map(|target| if target == "." { "./".to_owned() } else { target });
            format!("{flags}{}{}", sources.join(" "), target.map(|target| format!(" {target}")).unwrap_or_default())
        }
        _ => shown(instruction.body.rest),
    }
}
