//! Takes a long list of commands in one RUN apart, so that each of its steps is cached by itself.

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;

use crate::analysis::hazards::{self, Refusal};
use crate::analysis::separable;
use crate::analysis::state::{self, Tier};

pub(crate) const PASS: Pass = Pass {
    name: "joined-steps",
    summary: "for development: steps in one RUN, all of which run again when one of them changes",
    level: Level::O1,
    safety: Safety::Exact,
    page: include_str!("joined_steps.md"),
    aliases: &[],
    run: Run::Development(run),
};

/// More layers than this in a stage are not made: engines take 127, the base's included.
const MOST_LAYERS: usize = 90;

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    for stage in unit.stages() {
        let mut layers = stage.instructions.clone().filter(|at| makes_layer(unit.kind(*at))).count();
        for at in stage.instructions.clone().filter(|at| unit.kind(*at) == Kind::Run) {
            let Some(script) = unit.script(at) else { continue };
            let borders =
                if state::tier(script) == Tier::Plain { separable::borders(unit, at, script) } else { Vec::new() };
            if borders.is_empty() {
                continue;
            }
            let span = unit.instruction(at).span;
            if let Err(Refusal { code, reason }) = may_cut(unit, at, layers + borders.len()) {
                remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason }));
                continue;
            }
            layers += borders.len();
            let message = format!("{} steps in one RUN run again when one of them changes", borders.len() + 1);
            let edits = borders.into_iter().map(|border| cut(unit, at, border)).collect();
            remarks.push(SourceRemark::Found(SourceFinding::fixed(span, message, edits, SourceClaim::Same)));
        }
    }
    remarks
}

fn makes_layer(kind: Kind) -> bool {
    matches!(kind, Kind::Run | Kind::Copy | Kind::Add | Kind::Workdir)
}

/// What stands against running the steps in shells of their own: the same as against joining them.
fn may_cut(unit: &SourceUnit<'_>, at: usize, layers: usize) -> Result<(), Refusal> {
    let refuse = |code, reason: &str| Err(Refusal { code, reason: reason.to_owned() });
    if layers > MOST_LAYERS {
        return refuse("many-layers", "the stage would have more layers than engines take");
    }
    let script = hazards::alone(unit, at)?;
    hazards::between(unit, at, at)?;
    if !unit.instruction(at).heredocs.is_empty() {
        return refuse("heredoc", "the lines of a heredoc would have to move with their command");
    }
    let end = script.body.items.last().map_or(0, |item| item.span.end);
    if script.comments.iter().any(|comment| comment.start < end) {
        return refuse("shell-comment", "a comment of the shell stands in the middle of it");
    }
    Ok(())
}

/// Ends the RUN before a step and starts another one with the same flags, below the comments that stood there.
fn cut(unit: &SourceUnit<'_>, at: usize, border: Span) -> TextEdit {
    let (tree, instruction) = (unit.tree, unit.instruction(at));
    let gap = unit.source_span(at, border);
    // A gap that ends a line ends with the last byte of that line: the next piece starts later.
    let end = unit.source_span(at, Span { start: border.end, end: border.end + 1 }).start;
    let gap = Span { start: gap.start, end };
    let within = &tree.comments[instruction.within.0 as usize..instruction.within.1 as usize];
    let line = unit.lines_of(at).start;
    let indent = Span { start: line, end: instruction.span.start }.of(tree.text());
    let mut text = String::from("\n");
    for comment in within.iter().filter(|comment| gap.contains(comment.span)) {
        text.push_str(indent);
        text.push_str(comment.span.of(tree.text()).trim_end());
        text.push('\n');
    }
    text.push_str(indent);
    text.push_str(tree.part(instruction, instruction.body.keyword));
    text.push(' ');
    for flag in &instruction.body.flags {
        text.push_str(tree.part(instruction, flag.span));
        text.push(' ');
    }
    TextEdit::replace(gap, text)
}
