//! The steps of a RUN: commands that follow each other, of which each runs only when all before it succeeded.

use jettison_ir::source::{SourceUnit, TextEdit};
use jettison_syntax::Span;
use jettison_syntax::shell::{CommandKind, Operator, Pipeline, Script, Simple, Terminator};

/// A step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    /// Its place in the shell text.
    pub(crate) span: Span,
    /// The command, where it is one and plain: neither redirected nor part of a pipe, without assignments.
    pub(crate) simple: Option<&'a Simple>,
}

/// The steps of a RUN; none where its commands do not simply follow each other.
pub(crate) fn of<'a>(unit: &'a SourceUnit<'_>, at: usize) -> Option<Vec<Step<'a>>> {
    let script = unit.script(at)?;
    let text = unit.text(at)?;
    if !text.is_heredoc && !unit.instruction(at).heredocs.is_empty() {
        return None;
    }
    let strips_tabs = unit.instruction(at).heredocs.iter().any(|heredoc| heredoc.strips_tabs);
    (!strips_tabs).then(|| in_script(script, unit.settings(at).shell.has_option('e'))).flatten()
}

fn in_script(script: &Script, exits_on_error: bool) -> Option<Vec<Step<'_>>> {
    if !script.exact || script.error.is_some() {
        return None;
    }
    let items = &script.body.items;
    if items.iter().any(|item| matches!(item.terminator, Some((Terminator::Background, _)))) {
        return None;
    }
    let [only] = &items[..] else {
        // Behind `set -e`, one pipeline an item is as good as `&&`. Within an and-list that is not the last item, it
        // is not: a failure there is passed over.
        let stops =
            exits_on_error || items.first().and_then(|item| step(&item.and_or.first).simple).is_some_and(sets_e);
        let plain = items.iter().all(|item| item.and_or.rest.is_empty());
        return (stops && plain).then(|| items.iter().map(|item| step(&item.and_or.first)).collect());
    };
    let rest = &only.and_or.rest;
    if rest.iter().any(|(operator, ..)| *operator != Operator::And) {
        return None;
    }
    Some(std::iter::once(&only.and_or.first).chain(rest.iter().map(|(.., pipeline)| pipeline)).map(step).collect())
}

fn step(pipeline: &Pipeline) -> Step<'_> {
    let simple = match &pipeline.commands[..] {
        [command] if !pipeline.negated && command.redirects.is_empty() => match &command.kind {
            CommandKind::Simple(simple) if simple.assignments.is_empty() => Some(simple),
            _ => None,
        },
        _ => None,
    };
    Step { span: pipeline.span, simple }
}

/// Whether the command makes the shell stop at the first failure.
fn sets_e(simple: &Simple) -> bool {
    is_set(simple)
        && simple
            .arguments()
            .iter()
            .filter_map(|word| word.literal())
            .any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('e') || word == "errexit")
}

/// Whether the command only sets options of the shell.
pub(crate) fn is_set(simple: &Simple) -> bool {
    simple.name() == Some("set")
}

/// What takes steps out of a RUN: the whole instruction where no step of worth is left. None where a comment stands
/// among what goes.
pub(crate) fn removal(unit: &SourceUnit<'_>, at: usize, steps: &[Step<'_>], gone: &[usize]) -> Option<Vec<TextEdit>> {
    let is_gone = |index: usize| gone.contains(&index);
    let is_setting = |step: &Step<'_>| step.simple.is_some_and(is_set);
    if steps.iter().enumerate().all(|(index, step)| is_gone(index) || is_setting(step)) {
        let lines = lines_with_blank(unit, at);
        return is_free_of_comments(unit, at, unit.instruction(at).span).then(|| vec![TextEdit::delete(lines)]);
    }
    let text = unit.text(at)?;
    let mut edits = Vec::new();
    let mut index = 0;
    while index < steps.len() {
        if !is_gone(index) {
            index += 1;
            continue;
        }
        let first = index;
        while index < steps.len() && is_gone(index) {
            index += 1;
        }
        let span = match steps.get(index) {
            Some(next) => Span { start: text.source_of(steps[first].span.start), end: text.source_of(next.span.start) },
            None => {
                let before = text.source_span(steps.get(first.checked_sub(1)?)?.span).end;
                Span { start: before, end: text.source_span(steps[index - 1].span).end }
            }
        };
        if !is_free_of_comments(unit, at, span) {
            return None;
        }
        edits.push(TextEdit::delete(span));
    }
    Some(edits)
}

/// Whether no comment stands in a part of an instruction, be it the Dockerfile's or the shell's.
fn is_free_of_comments(unit: &SourceUnit<'_>, at: usize, span: Span) -> bool {
    let (first, last) = unit.instruction(at).within;
    let mut comments = unit.tree.comments[first as usize..last as usize].iter();
    let script = unit.script(at).map(|script| &script.comments[..]).unwrap_or_default();
    comments.all(|comment| !span.contains(comment.span))
        && script.iter().all(|comment| !span.contains(unit.source_span(at, *comment)))
}

/// The lines of an instruction, and the blank line behind it where one stands before it too: two would be left.
pub(crate) fn lines_with_blank(unit: &SourceUnit<'_>, at: usize) -> Span {
    let text = unit.tree.text();
    let lines = unit.lines_of(at);
    let is_blank = |line: &str| line.trim_end_matches(['\r', '\n']).is_empty();
    let before = &text[..lines.start as usize];
    let last = before.trim_end_matches('\n').len();
    let blank_before = before.len() > last + 1;
    let after = &text[lines.end as usize..];
    let next = after.split_inclusive('\n').next().unwrap_or_default();
    if blank_before && is_blank(next) && !next.is_empty() {
        return Span { start: lines.start, end: lines.end + Span::new(0, next.len()).end };
    }
    lines
}
