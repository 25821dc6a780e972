//! Writes a command into a Dockerfile behind another one, in the style of its neighbours.

use jettison_ir::source::{SourceUnit, TextEdit};
use jettison_syntax::Span;

use super::place::{Joint, Place};

/// The edits that put `commands`, which always succeed, at a place in the shell text of an instruction.
pub(crate) fn insert(unit: &SourceUnit<'_>, at: usize, place: &Place, commands: &[String]) -> Vec<TextEdit> {
    let text = unit.tree.text();
    let anchor = unit.source_span(at, place.anchor);
    let separator = separator(unit, at, place, anchor);
    let mut added = String::new();
    for command in commands {
        added.push_str(&separator);
        added.push_str(command);
    }
    let mut end = anchor.end as usize;
    if separator.starts_with('\n') {
        // A comment behind the command stays with it.
        let rest = text[end..].split('\n').next().unwrap_or_default();
        if rest.trim_start().starts_with('#') && rest.starts_with([' ', '\t']) {
            end += rest.trim_end().len();
        }
    }
    let end = Span::new(end, end).start;
    if place.grouped {
        added.push_str("; }");
        return vec![TextEdit::insert(anchor.start, "{ "), TextEdit::insert(end, added)];
    }
    vec![TextEdit::insert(end, added)]
}

/// What stands between a command and the next one, with `\n` and `\` for line ends and continuations.
fn separator(unit: &SourceUnit<'_>, at: usize, place: &Place, anchor: Span) -> String {
    let text = unit.tree.text();
    let is_heredoc = unit.text(at).is_some_and(|text| text.is_heredoc);
    let gap = |(left, right): &(Span, Span)| {
        let (left, right) = (unit.source_span(at, *left), unit.source_span(at, *right));
        tidied(text.get(left.end as usize..right.start as usize)?, unit.tree.escape, place.joint, is_heredoc)
    };
    let gaps: Vec<String> = place.models.iter().filter_map(gap).collect();
    let anchor_text = anchor.of(text);
    if let Some(gap) = gaps.iter().find(|gap| gap.contains('\n')) {
        return gap.clone();
    }
    let last_line = anchor_text.rsplit('\n').next().unwrap_or_default();
    let indent = &last_line[..last_line.len() - last_line.trim_start().len()];
    let indent = if indent.is_empty() { "    " } else { indent };
    match place.joint {
        Joint::And if anchor_text.contains('\n') => format!(" \\\n{indent}&& "),
        Joint::And => gaps.into_iter().next().unwrap_or_else(|| " && ".to_owned()),
        Joint::Statement => gaps.into_iter().next().unwrap_or_else(|| "; ".to_owned()),
    }
}

/// A gap without the comments in it; none where it holds anything but the operator.
fn tidied(gap: &str, escape: char, joint: Joint, is_heredoc: bool) -> Option<String> {
    let lines: Vec<&str> = gap.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let (last, before) = lines.split_last()?;
    if is_heredoc && joint == Joint::Statement && !before.is_empty() {
        return Some(format!("\n{last}")).filter(|gap| gap.trim().is_empty());
    }
    let mut out = String::new();
    for (at, line) in before.iter().enumerate() {
        let is_comment = line.trim_start().starts_with('#') || line.trim().is_empty();
        if is_comment && at > 0 {
            continue;
        }
        // In a heredoc a line may end without a continuation, behind the operator.
        let continued = line.trim_end().strip_suffix(escape);
        out.push_str(continued.or_else(|| is_heredoc.then_some(line))?);
        out.push_str(if continued.is_some() { "\\\n" } else { "\n" });
    }
    out.push_str(last);
    let operator: String = out.chars().filter(|c| !c.is_whitespace() && *c != '\\').collect();
    (operator == if joint == Joint::And { "&&" } else { ";" }).then_some(out)
}
