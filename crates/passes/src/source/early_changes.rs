//! Moves what changes often below what does not depend on it, so that a rebuild runs less again.

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::view::Stage;

use crate::analysis::changes::{Changes, Commits, named_anew};
use crate::analysis::effects;
use crate::analysis::moves;
use crate::analysis::order::{Tie, Ties};
use crate::analysis::sinking::{Order, Sinking};

pub(crate) const PASS: Pass = Pass {
    name: "early-changes",
    summary: "for development: what changes often stands before commands that do not depend on it",
    level: Level::O1,
    safety: Safety::Assuming(&[effects::PACKAGE_MANAGERS]),
    page: include_str!("early_changes.md"),
    aliases: &[],
    run: Run::Development(run),
};

/// Longer stages are left alone: each instruction is compared with each.
const MOST_INSTRUCTIONS: usize = 150;

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let Some(changes) = Changes::of(unit) else { return Vec::new() };
    unit.stages().iter().flat_map(|stage| in_stage(unit, stage, &changes)).collect()
}

fn in_stage(unit: &SourceUnit<'_>, stage: &Stage, changes: &Changes) -> Vec<SourceRemark> {
    let is_cause = |at: &usize| !changes.at(*at).is_empty() && unit.kept(*at).is_none();
    let causes: Vec<usize> = stage.instructions.clone().filter(is_cause).collect();
    let has_runs = stage.instructions.clone().any(|at| unit.kind(at) == Kind::Run);
    if causes.is_empty() || !has_runs || stage.instructions.len() > MOST_INSTRUCTIONS {
        return Vec::new();
    }
    let order = Order { unit, stage, changes, causes: &causes, ties: Ties::of(unit, stage) };
    let mut sinking: Vec<Sinking> = Vec::new();
    let mut remarks = Vec::new();
    for at in &causes {
        match order.sink(*at) {
            Ok(found) => sinking.push(found),
            Err(Some(Tie { reason, is_open })) => {
                let code = if is_open { "not-proven" } else { "used" };
                let span = unit.instruction(*at).span;
                remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason }));
            }
            Err(None) => {}
        }
    }
    // Where two do not go together, the one that brings more goes first; of equals the later one, so that the other one
    // comes to stand above it again.
    sinking.sort_by_key(|found| std::cmp::Reverse((found.gain, found.causes[0])));
    let found = sinking.iter().filter_map(|found| finding(unit, found, changes));
    remarks.extend(found.map(SourceRemark::Found));
    remarks
}

/// None where the lines cannot be moved to the byte.
fn finding(unit: &SourceUnit<'_>, sinking: &Sinking, changes: &Changes) -> Option<SourceFinding> {
    let source = unit.tree.text();
    let (mut edits, mut text) = (Vec::new(), String::new());
    for moved in &sinking.moved {
        let lines = moves::block(unit, *moved);
        let block = lines.of(source);
        let is_plain = match unit.tree.newline() {
            "\n" => true,
            newline => block.matches('\n').count() == block.matches(newline).count(),
        };
        if !is_plain || (unit.tree.escape != '\\' && block.contains("\\\n")) {
            return None;
        }
        let block = if unit.tree.newline() == "\n" { block.to_owned() } else { block.replace("\r\n", "\n") };
        text += &moves::ended(block);
        edits.push(TextEdit::delete(lines));
    }
    // What is moved across is written anew as it is, so that no other finding moves it at the same time.
    for passed in &sinking.passed {
        let Span { start, end } = unit.instruction(*passed).span;
        let last = source[start as usize..end as usize].chars().next_back()?;
        let width = Span::new(0, last.len_utf8()).end;
        edits.push(TextEdit::replace(Span { start: end - width, end }, last));
    }
    let end = unit.lines_of(*sinking.passed.last()?).end;
    let starts_line = source[..end as usize].ends_with('\n');
    edits.push(TextEdit::insert(end, if starts_line { text } else { format!("\n{}", text.trim_end_matches('\n')) }));
    let span = unit.instruction(sinking.causes[0]).span;
    Some(SourceFinding::fixed(span, message(unit, sinking, changes), edits, SourceClaim::Same))
}

fn message(unit: &SourceUnit<'_>, sinking: &Sinking, changes: &Changes) -> String {
    let causes = &sinking.causes;
    let named = |at: &usize| named_anew(unit, unit.instruction(*at), *at).map(|name| (unit.kind(*at).keyword(), name));
    let names: Vec<String> =
        causes.iter().filter_map(named).map(|(keyword, name)| format!("{keyword} {name}")).collect();
    let mut keywords: Vec<&str> = causes.iter().map(|at| unit.kind(*at).keyword()).collect();
    keywords.dedup();
    let mut touching = Commits::default();
    causes.iter().for_each(|at| touching.extend(changes.at(*at)));
    let files = format!("on what {} of the last {} commits changed", touching.len(), changes.commits);
    let what = match (&names[..], &keywords[..]) {
        ([name], _) => format!("{name} is another one in each build"),
        ([_, _, ..], _) => format!("{} are others in each build", names.join(", ")),
        ([], [keyword]) if causes.len() == 1 => format!("{keyword} depends {files}"),
        ([], [keyword]) => format!("{} {keyword} instructions depend {files}", causes.len()),
        ([], _) => format!("{} depend {files}", keywords.join(", ")),
    };
    let them = if causes.len() == 1 { "it" } else { "them" };
    match sinking.spared {
        1 => format!("{what}, and a RUN instruction below uses nothing of {them}"),
        many => format!("{what}, and {many} RUN instructions below use nothing of {them}"),
    }
}
