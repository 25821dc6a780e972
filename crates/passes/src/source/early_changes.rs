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
const MOST_INSTRUCTIONS: usize = 250;

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let Some(changes) = Changes::of(unit) else { return Vec::new() };
    unit.stages().iter().flat_map(|stage| in_stage(unit, stage, &changes)).collect()
}

/// An instruction, with what depends on it, below another one.
struct Sinking {
    /// What moves, in its order.
    moved: Vec<usize>,
    /// What moves up for that, in its order.
    passed: Vec<usize>,
    /// How many RUN instructions of how many commits are not run again.
    gain: usize,
    /// How many RUN instructions run less often.
    spared: usize,
}

fn in_stage(unit: &SourceUnit<'_>, stage: &Stage, changes: &Changes) -> Vec<SourceRemark> {
    let causes: Vec<usize> = stage.instructions.clone().filter(|at| !changes.at(*at).is_empty()).collect();
    let runs = stage.instructions.clone().filter(|at| unit.kind(*at) == Kind::Run).count();
    if causes.is_empty() || runs == 0 || stage.instructions.len() > MOST_INSTRUCTIONS {
        return Vec::new();
    }
    let order = Order { unit, stage, changes, ties: Ties::of(unit, stage) };
    let mut sinking: Vec<(usize, Sinking)> = Vec::new();
    let mut remarks = Vec::new();
    for at in causes.into_iter().filter(|at| unit.kept(*at).is_none()) {
        match order.sink(at) {
            Ok(found) => sinking.push((at, found)),
            Err(Some(Tie { reason, is_open })) => {
                let code = if is_open { "not-proven" } else { "used" };
                let span = unit.instruction(at).span;
                remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason }));
            }
            Err(None) => {}
        }
    }
    // Where two do not go together, the one that brings more goes first; of equals the later one, so that the other one
    // comes to stand above it again.
    sinking.sort_by_key(|(at, found)| std::cmp::Reverse((found.gain, *at)));
    let found = sinking.iter().filter_map(|(at, found)| finding(unit, *at, found, changes));
    remarks.extend(found.map(SourceRemark::Found));
    remarks
}

struct Order<'o, 'u, 'a> {
    unit: &'u SourceUnit<'a>,
    stage: &'o Stage,
    changes: &'o Changes,
    ties: Ties<'u, 'a>,
}

impl Order<'_, '_, '_> {
    /// The place below at which an instruction makes the fewest commands run again; else why it stays, where there is
    /// something to gain.
    fn sink(&self, at: usize) -> Result<Sinking, Option<Tie>> {
        let all = self.stage.instructions.clone();
        let before = self.reruns(all.clone());
        let (mut moved, mut passed) = (vec![at], Vec::new());
        let mut best: Option<(usize, Sinking)> = None;
        let mut held: Option<Tie> = None;
        for next in at + 1..all.end {
            match moved.iter().find_map(|moved| self.ties.between(*moved, next).err()) {
                Some(tie) => {
                    let is_better = held.as_ref().is_none_or(|held| tie.is_open && !held.is_open);
                    if self.unit.kind(next) == Kind::Run && is_better {
                        held = Some(tie);
                    }
                    if self.unit.kept(next).is_some() {
                        break;
                    }
                    moved.push(next);
                }
                None => {
                    passed.push(next);
                    if self.unit.kind(next) != Kind::Run {
                        continue;
                    }
                    let order = (all.start..at).chain(passed.iter().copied()).chain(moved.iter().copied());
                    let after = self.reruns(order.chain(next + 1..all.end));
                    let (was, is): (usize, usize) = (before.iter().sum(), after.iter().sum());
                    if is < best.as_ref().map_or(was, |(least, _)| *least) {
                        let spared = before.iter().zip(&after).filter(|(before, after)| after < before).count();
                        best = Some((
                            is,
                            Sinking { moved: moved.clone(), passed: passed.clone(), gain: was - is, spared },
                        ));
                    }
                }
            }
        }
        let mut above = self.changes.below(self.stage.index).clone();
        (all.start..at).for_each(|other| above.extend(self.changes.at(other)));
        let could_gain = !self.changes.at(at).is_within(&above);
        best.map(|(_, sinking)| sinking).ok_or(held.filter(|_| could_gain))
    }

    /// For each instruction of the stage, in an order of them, the commits after which it runs again: none but of RUN.
    fn reruns(&self, order: impl Iterator<Item = usize>) -> Vec<usize> {
        let start = self.stage.instructions.start;
        let mut reruns = vec![0; self.stage.instructions.len()];
        let mut seen: Commits = self.changes.below(self.stage.index).clone();
        for at in order {
            seen.extend(self.changes.at(at));
            if self.unit.kind(at) == Kind::Run {
                reruns[at - start] = seen.len();
            }
        }
        reruns
    }
}

/// None where the lines cannot be moved to the byte.
fn finding(unit: &SourceUnit<'_>, at: usize, sinking: &Sinking, changes: &Changes) -> Option<SourceFinding> {
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
    let instruction = unit.instruction(at);
    let keyword = unit.kind(at).keyword();
    let what = match named_anew(unit, instruction, at) {
        Some(name) => format!("{keyword} {name} is another one in each build"),
        None => {
            let (touched, all) = (changes.at(at).len(), changes.commits);
            format!("{keyword} depends on what {touched} of the last {all} commits changed")
        }
    };
    let runs = if sinking.spared == 1 {
        "a RUN instruction that uses".to_owned()
    } else {
        format!("{} RUN instructions that use", sinking.spared)
    };
    let message = format!("{what}, and stands before {runs} nothing of it");
    Some(SourceFinding::fixed(instruction.span, message, edits, SourceClaim::Same))
}
