//! What a rewrite changed, as a unified diff.
//!
//! Which lines stayed is known from the rewrite and need not be guessed, so that a diff takes no more than its lines'
//! number of steps, and a line that only looks like another one is not taken for it.

use std::fmt::Write as _;
use std::ops::Range;

use similar::{Algorithm, DiffTag};

use crate::place::readable;
use crate::style::{BAD, FAINT, GOOD, HEADING, styled};

/// Lines shown around each change.
const CONTEXT: usize = 3;

/// Gaps with more pairs of lines than this are not looked into.
const QUICK: usize = 1 << 20;

/// A unified diff of two texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    lines: Vec<(Mark, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    File,
    Hunk,
    Same,
    Gone,
    New,
    /// The line before has no line end.
    NoEnd,
}

/// A step from one text to the other.
#[derive(Clone, Copy)]
enum Step {
    Same(usize),
    Gone(usize),
    New(usize),
}

impl Diff {
    /// The diff of a file. `origin` says for each line of `after` the first and last line of `before` that it stands
    /// for, counted from 1.
    #[must_use]
    pub fn of(name: &str, before: &str, after: &str, origin: &[(usize, usize)]) -> Self {
        let old: Vec<&str> = before.split_inclusive('\n').collect();
        let new: Vec<&str> = after.split_inclusive('\n').collect();
        let candidates = origin.iter().zip(&new).enumerate().filter_map(|(at, ((first, last), line))| {
            (first == last && old.get(first - 1) == Some(line)).then_some((first - 1, at))
        });
        Self::between(name, &old, &new, candidates.collect())
    }

    /// The diff of a file of which only the texts are known: what is equal at both ends stayed.
    #[must_use]
    pub fn of_texts(name: &str, before: &str, after: &str) -> Self {
        let old: Vec<&str> = before.split_inclusive('\n').collect();
        let new: Vec<&str> = after.split_inclusive('\n').collect();
        let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        let rest = old.len().min(new.len()) - head;
        let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
        let behind = (0..tail).map(|at| (old.len() - tail + at, new.len() - tail + at));
        Self::between(name, &old, &new, (0..head).map(|at| (at, at)).chain(behind).collect())
    }

    fn between(name: &str, old: &[&str], new: &[&str], candidates: Vec<(usize, usize)>) -> Self {
        let mut steps = Vec::with_capacity(new.len());
        let (mut from, mut to) = (0, 0);
        for (was, is) in longest_rise(&candidates).into_iter().chain([(old.len(), new.len())]) {
            gap(&mut steps, old, from..was, new, to..is);
            if was < old.len() {
                steps.push(Step::Same(was));
            }
            (from, to) = (was + 1, is + 1);
        }
        let mut diff = Self { lines: Vec::new() };
        let names = if name.starts_with('/') {
            (name.to_owned(), name.to_owned())
        } else {
            (format!("a/{name}"), format!("b/{name}"))
        };
        for hunk in hunks(&steps) {
            if diff.lines.is_empty() {
                let before = if old.is_empty() { "/dev/null" } else { &*names.0 };
                diff.lines.push((Mark::File, format!("--- {before}")));
                diff.lines.push((Mark::File, format!("+++ {}", names.1)));
            }
            diff.hunk(&steps[hunk.clone()], starts(&steps[..hunk.start]), old, new);
        }
        diff
    }

    fn hunk(&mut self, steps: &[Step], (before, after): (usize, usize), old: &[&str], new: &[&str]) {
        let (gone, added) = starts(steps);
        // A range without lines is named by the line before it.
        let range = |start: usize, count: usize| match count {
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            count => format!("{},{count}", start + 1),
        };
        self.lines.push((Mark::Hunk, format!("@@ -{} +{} @@", range(before, gone), range(after, added))));
        for step in steps {
            let (mark, line) = match step {
                Step::Same(at) => (Mark::Same, old[*at]),
                Step::Gone(at) => (Mark::Gone, old[*at]),
                Step::New(at) => (Mark::New, new[*at]),
            };
            let sign = match mark {
                Mark::Gone => '-',
                Mark::New => '+',
                _ => ' ',
            };
            match line.strip_suffix('\n') {
                Some(line) => self.lines.push((mark, format!("{sign}{line}"))),
                None => {
                    self.lines.push((mark, format!("{sign}{line}")));
                    self.lines.push((Mark::NoEnd, "\\ No newline at end of file".to_owned()));
                }
            }
        }
    }

    /// Whether the texts are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The diff for programs: the lines as they are, bytes that are no UTF-8 as the characters that stand for them.
    #[must_use]
    pub fn plain(&self) -> String {
        self.lines.iter().fold(String::new(), |mut out, (_, line)| {
            let _ = writeln!(out, "{line}");
            out
        })
    }

    /// The diff for a terminal: in colour, and without characters that would steer it.
    #[must_use]
    pub fn coloured(&self) -> String {
        self.lines.iter().fold(String::new(), |mut out, (mark, line)| {
            let line = readable(line.trim_end_matches('\r'));
            let line: String = line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
            let _ = match mark {
                Mark::Same => writeln!(out, "{line}"),
                Mark::File => writeln!(out, "{}", styled(HEADING, &line)),
                Mark::Hunk | Mark::NoEnd => writeln!(out, "{}", styled(FAINT, &line)),
                Mark::Gone => writeln!(out, "{}", styled(BAD, &line)),
                Mark::New => writeln!(out, "{}", styled(GOOD, &line)),
            };
            out
        })
    }
}

/// The steps between lines that stayed. What was written anew may hold lines as they were before; they are looked for
/// where that is quick.
fn gap(steps: &mut Vec<Step>, old: &[&str], was: Range<usize>, new: &[&str], is: Range<usize>) {
    if was.len().saturating_mul(is.len()) > QUICK {
        steps.extend(was.map(Step::Gone));
        steps.extend(is.map(Step::New));
        return;
    }
    for operation in similar::capture_diff_slices(Algorithm::Myers, &old[was.clone()], &new[is.clone()]) {
        let (tag, gone, added) = operation.as_tag_tuple();
        if tag == DiffTag::Equal {
            steps.extend(gone.map(|at| Step::Same(was.start + at)));
        } else {
            steps.extend(gone.map(|at| Step::Gone(was.start + at)));
            steps.extend(added.map(|at| Step::New(is.start + at)));
        }
    }
}

/// How many lines of each text some steps cover.
fn starts(steps: &[Step]) -> (usize, usize) {
    steps.iter().fold((0, 0), |(old, new), step| match step {
        Step::Same(..) => (old + 1, new + 1),
        Step::Gone(_) => (old + 1, new),
        Step::New(_) => (old, new + 1),
    })
}

/// The ranges of steps that make a hunk each.
fn hunks(steps: &[Step]) -> Vec<Range<usize>> {
    let mut hunks: Vec<Range<usize>> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if matches!(step, Step::Same(..)) {
            continue;
        }
        let (start, end) = (at.saturating_sub(CONTEXT), (at + CONTEXT + 1).min(steps.len()));
        match hunks.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => hunks.push(start..end),
        }
    }
    hunks
}

/// The most pairs, in order of the second number, whose first numbers rise.
fn longest_rise(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // The pair that ends the rise of each length with the least first number, and for each pair the one before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![usize::MAX; pairs.len()];
    for (at, (first, _)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].0 < *first);
        if length > 0 {
            before[at] = ends[length - 1];
        }
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut rise = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        rise.push(pairs[at]);
        next = Some(before[at]).filter(|before| *before != usize::MAX);
    }
    rise.reverse();
    rise
}

#[cfg(test)]
mod tests {
    use super::Diff;

    fn check(before: &str, after: &str, origin: &[(usize, usize)], expected: &str) {
        let diff = Diff::of("Dockerfile", before, after, origin);
        assert_eq!(diff.plain(), expected);
        assert_eq!(diff.is_empty(), before == after);
    }

    #[test]
    fn lines_that_stayed_are_known() {
        check("a\nb\n", "a\nb\n", &[(1, 1), (2, 2), (3, 3)], "");
        let merged = "--- a/Dockerfile\n+++ b/Dockerfile\n@@ -1,3 +1,2 @@\n a\n-b\n-c\n+b c\n";
        check("a\nb\nc\n", "a\nb c\n", &[(1, 1), (2, 3), (4, 4)], merged);
        // The second of two equal lines is the one that went.
        let second = "--- a/Dockerfile\n+++ b/Dockerfile\n@@ -1,3 +1,2 @@\n a\n a\n-a\n";
        check("a\na\na\n", "a\na\n", &[(1, 1), (2, 2)], second);
    }

    #[test]
    fn what_moved_is_shown_at_one_of_its_places() {
        let expected = "--- a/Dockerfile\n+++ b/Dockerfile\n@@ -1,4 +1,4 @@\n+d\n a\n b\n c\n-d\n";
        check("a\nb\nc\nd\n", "d\na\nb\nc\n", &[(4, 4), (1, 1), (2, 2), (3, 3), (5, 5)], expected);
    }

    #[test]
    fn changes_far_apart_are_hunks_of_their_own() {
        let before: String = (1..=20).map(|line| format!("{line}\n")).collect();
        let after = before.replace("2\n3\n", "2\n").replace("19\n", "nineteen\n");
        let origin: Vec<(usize, usize)> = (1..=20).filter(|line| *line != 3).map(|line| (line, line)).collect();
        let expected = "--- a/Dockerfile\n+++ b/Dockerfile\n@@ -1,6 +1,5 @@\n 1\n 2\n-3\n 4\n 5\n 6\n\
                        @@ -16,5 +15,5 @@\n 16\n 17\n 18\n-19\n+nineteen\n 20\n";
        check(&before, &after, &origin, expected);
    }

    #[test]
    fn a_missing_line_end_is_said() {
        let expected = "--- a/Dockerfile\n+++ b/Dockerfile\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n";
        check("a", "a\n", &[(1, 1), (1, 1)], expected);
    }

    #[test]
    fn texts_alone_are_compared_from_both_ends() {
        let diff = Diff::of_texts("/x", "a\nb\nc\n", "a\nB\nB\nc\n");
        assert_eq!(diff.plain(), "--- /x\n+++ /x\n@@ -1,3 +1,4 @@\n a\n-b\n+B\n+B\n c\n");
        assert_eq!(Diff::of_texts("/x", "", "a\n").plain(), "--- /dev/null\n+++ /x\n@@ -0,0 +1 @@\n+a\n");
        assert!(Diff::of_texts("/x", "a\na\n", "a\na\n").is_empty());
    }

    #[test]
    fn terminals_are_not_steered() {
        let diff = Diff::of_texts("x", "", "a\u{1b}[2J\tb\r\n");
        assert!(diff.plain().contains('\u{1b}'));
        assert!(diff.coloured().contains("+a\u{fffd}[2J\tb"));
    }
}
