//! Settings that a later instruction replaces before anything notices them, and those that are in force already.

use jettison_ir::source::{SourceClaim, SourceFinding, SourceUnit, TextEdit};
use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::view::Setting;

use super::{bases, directories, moves};

/// The finding that an instruction's setting is replaced, or was in force already.
pub(crate) fn replaced(unit: &SourceUnit<'_>, at: usize) -> Option<SourceFinding> {
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
    unit.expand(at, unit.tree.part(instruction, span))
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
        Arguments::Text(span) => unit.expand(at, unit.tree.part(instruction, span)),
        _ => None,
    };
    text.is_some_and(|text| text == path)
}

fn is_absolute(unit: &SourceUnit<'_>, at: usize) -> bool {
    let instruction = unit.instruction(at);
    matches!(instruction.body.arguments, Arguments::Text(span) if unit.tree.part(instruction, span).starts_with('/'))
}
