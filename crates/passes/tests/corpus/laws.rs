//! What holds for the rewritten form of any file.

use std::collections::{BTreeMap, BTreeSet};

use jettison_ir::source::SourceOptions;
use jettison_passes::{Fixes, Rewritten, Selection, Source, rewrite};
use jettison_syntax::dockerfile::Dockerfile;

/// The rewritten form of a file.
pub(crate) fn rewritten(tree: Dockerfile, options: &SourceOptions) -> Rewritten {
    rewrite(Source { tree, context: None }, options, &Selection::of(options.level), Fixes::Applied, &mut |_| {})
}

/// The laws that a result breaks.
pub(crate) fn broken(before: &Dockerfile, result: &Rewritten, options: &SourceOptions) -> impl Iterator<Item = String> {
    let mut broken = Vec::new();
    let after = &result.tree;
    if let Some(error) = after.errors.first() {
        broken.push(format!("the result is not valid: {error}"));
    }
    if before.text() == after.text() {
        return broken.into_iter();
    }
    let (was, is) = (comments(before), comments(after));
    if let Some((comment, _)) = was.iter().find(|(comment, count)| is.get(*comment).is_none_or(|now| now < count)) {
        broken.push(format!("a comment is lost: {comment}"));
    }
    if let Some(line) = changed_line(before, result) {
        broken.push(format!("a line outside of every change is another one: {line}"));
    }
    let again = rewritten(after.clone(), options);
    if again.tree.text() != after.text() {
        let first = again.tree.text().lines().zip(after.text().lines()).position(|(one, other)| one != other);
        let acted: BTreeSet<&str> = again.found.iter().filter(|one| one.applied).map(|one| one.pass.name).collect();
        broken.push(format!("a second run changes it from line {first:?} on: {acted:?}"));
    }
    broken.into_iter()
}

/// The comments, and those in the lines of heredocs.
fn comments(tree: &Dockerfile) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    let heredocs = tree.instructions.iter().flat_map(|instruction| &instruction.heredocs);
    let lines = heredocs.flat_map(|heredoc| heredoc.body.of(tree.text()).lines().map(str::trim));
    let comments = tree.comments.iter().map(|comment| comment.span.of(tree.text()).trim());
    for comment in comments.chain(lines.filter(|line| line.starts_with('#'))) {
        *counts.entry(comment).or_default() += 1;
    }
    counts
}

/// The lines of the original that a change may be about, as ranges: those of applied findings, widened to whole
/// instructions with the comments above them, and to the neighbours that they are joined with.
fn touched(before: &Dockerfile, result: &Rewritten) -> Vec<(usize, usize)> {
    let instructions = &before.instructions;
    let first_line = |at: usize| {
        let instruction = &instructions[at];
        let above = before.comments.get(instruction.above.0 as usize..instruction.above.1 as usize);
        above.and_then(<[_]>::first).map_or(instruction.lines.0, |comment| comment.line) as usize
    };
    let applied = result.found.iter().filter(|one| one.applied).map(|one| one.lines);
    applied
        .map(|(from, to)| {
            let one = instructions.partition_point(|instruction| (instruction.lines.1 as usize) < from);
            let other = instructions.partition_point(|instruction| (instruction.lines.0 as usize) <= to);
            let behind = other.min(instructions.len() - 1);
            (first_line(one.saturating_sub(1)).min(from), (instructions[behind].lines.1 as usize).max(to))
        })
        .collect()
}

/// A line of the original that no applied finding is about, and that is not in the result as it was, where the map says.
fn changed_line(before: &Dockerfile, result: &Rewritten) -> Option<String> {
    let touched = touched(before, result);
    let is_touched = |line: usize| touched.iter().any(|(from, to)| *from <= line && line <= *to);
    let old: Vec<&str> = before.text().split('\n').collect();
    let new: Vec<&str> = result.tree.text().split('\n').collect();
    let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, (from, to)) in result.lines.iter().enumerate() {
        if from == to {
            places.entry(from).or_default().push(at);
        }
    }
    old.iter().enumerate().find_map(|(at, line)| {
        let number = at + 1;
        if is_touched(number) || line.trim().is_empty() {
            return None;
        }
        let kept = places.get(&number).is_some_and(|all| all.iter().any(|at| new.get(*at) == Some(line)));
        (!kept).then(|| format!("line {number}: {line}"))
    })
}
