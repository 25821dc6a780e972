//! What holds for the rewritten form of any file.

use std::collections::{BTreeMap, BTreeSet};

use jettison_ir::source::{SourceOptions, Target};
use jettison_passes::{Fixes, RewriteEvent, Rewritten, Selection, Source, rewrite};
use jettison_syntax::dockerfile::Dockerfile;
use jettison_syntax::editor::{Edited, Editor};

/// The rewritten form of a file, with the text after each pass that changed it.
pub(crate) struct Outcome {
    pub(crate) result: Rewritten,
    steps: Vec<(&'static str, String)>,
}

/// Rewrites a file.
pub(crate) fn rewritten(tree: Dockerfile, options: &SourceOptions) -> Outcome {
    let mut last = tree.text().to_owned();
    let mut steps = Vec::new();
    let mut tell = |event: RewriteEvent<'_>| {
        if let RewriteEvent::End(pass, text) = event
            && text != last
        {
            last = text.to_owned();
            steps.push((pass, last.clone()));
        }
    };
    let result = rewrite(
        Source { tree, context: None, observations: None },
        options,
        &Selection::of(options.level),
        Fixes::Applied,
        &mut tell,
    );
    Outcome { result, steps }
}

/// The laws that a result breaks.
pub(crate) fn broken(before: &Dockerfile, outcome: &Outcome, options: &SourceOptions) -> impl Iterator<Item = String> {
    let result = &outcome.result;
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
    broken.extend(replay(before, outcome).err());
    let again = rewritten(after.clone(), options).result;
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

/// Makes the applied changes once more, one step after the other: the result must be these changes and nothing else, and
/// the line map must know every line that none of them touched.
fn replay(before: &Dockerfile, outcome: &Outcome) -> Result<(), String> {
    let mut applied = outcome.result.found.iter().filter(|one| one.applied).peekable();
    let mut tree = before.clone();
    // For each line the line of the original that it is, byte for byte.
    let mut origins: Vec<Option<usize>> = (0..before.text().split('\n').count()).map(Some).collect();
    for (pass, text) in &outcome.steps {
        let mut edits = Vec::new();
        let edited = loop {
            let Some(found) = applied.next_if(|one| one.pass.name == *pass) else {
                return Err(format!("{pass} changes more than its findings say"));
            };
            let fix = found.finding.fix.as_ref().ok_or_else(|| format!("{pass} applies a finding without a fix"))?;
            if fix.target == Target::Dockerfile {
                edits.extend(&fix.edits);
            }
            let mut editor = Editor::new(&tree);
            let fits = edits.iter().all(|edit| editor.replace(edit.span, &edit.text).is_ok());
            let edited = editor.finish();
            if fits && edited.text == *text {
                break edited;
            }
        };
        origins = kept_lines(tree.text(), &edited, &origins);
        tree = Dockerfile::parse(edited.text);
    }
    let old: Vec<&str> = before.text().split('\n').collect();
    let lines = tree.text().split('\n').zip(outcome.result.lines.iter()).zip(origins);
    for ((line, mapped), origin) in lines.filter(|((line, _), _)| !line.trim().is_empty()) {
        let Some(origin) = origin else { continue };
        if old[origin] != line || mapped != (origin + 1, origin + 1) {
            return Err(format!("line {} is untouched, and mapped to {mapped:?}: {line}", origin + 1));
        }
    }
    Ok(())
}

/// The origins of the lines of a changed text: those of lines that are kept whole.
fn kept_lines(before: &str, edited: &Edited, origins: &[Option<usize>]) -> Vec<Option<usize>> {
    let starts = |text: &str| -> Vec<usize> {
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
    };
    let old = starts(before);
    let mut kept = edited.kept.iter().peekable();
    let mut next = starts(&edited.text);
    next.push(edited.text.len());
    next.windows(2)
        .map(|line| {
            while kept.next_if(|(now, _)| (now.end as usize) < line[1].max(line[0] + 1)).is_some() {}
            let (now, was) = kept.peek().filter(|(now, _)| now.start as usize <= line[0])?;
            let at = was.start as usize + (line[0] - now.start as usize);
            origins[old.binary_search(&at).ok()?]
        })
        .collect()
}
