//! Where the lines of a rewritten file come from.

use std::collections::{HashMap, VecDeque};

use jettison_syntax::Span;
use jettison_syntax::editor::Edited;

/// How many lines a command that is written anew is looked for in.
const NEAR: usize = 64;

/// What joins a command to the ones before it.
const JOINTS: [&str; 9] = ["RUN ", "ENV ", "LABEL ", "&&", "||", ";", "(", "set -e;", "set +e;"];

/// For each line of a text the lines of the original that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineMap {
    /// First and last line of the original, counted from 0, a line of the text each.
    lines: Vec<(usize, usize)>,
    /// The parts that never changed, in order: where each stands now, and where it stood in the original.
    kept: Vec<(Span, Span)>,
    /// The offset at which each line of the text starts.
    starts: Vec<u32>,
}

impl LineMap {
    /// The map of a text that nothing changed yet.
    #[must_use]
    pub fn identity(text: &str) -> Self {
        let whole = Span::new(0, text.len());
        let starts = starts(text);
        Self { lines: (0..starts.len()).map(|line| (line, line)).collect(), kept: vec![(whole, whole)], starts }
    }

    /// The map of a text whose lines stand for these lines of the original, each its first and last, counted from 1.
    #[must_use]
    pub fn of_lines(text: &str, lines: &[(usize, usize)]) -> Self {
        let starts = starts(text);
        let lines = starts.iter().enumerate().map(|(at, _)| lines.get(at).or(lines.last()).map_or((0, 0), counted));
        Self { lines: lines.collect(), kept: Vec::new(), starts: starts.clone() }
    }

    /// The lines of the original, counted from 1, for a range of lines, counted from 0.
    #[must_use]
    pub fn original(&self, first: usize, last: usize) -> (usize, usize) {
        let end = self.lines.len().saturating_sub(1);
        let range = &self.lines[first.min(end)..=last.min(end)];
        let from = range.iter().map(|lines| lines.0).min().unwrap_or(0);
        let to = range.iter().map(|lines| lines.1).max().unwrap_or(0);
        (from + 1, to + 1)
    }

    /// The line of the text, counted from 0, that holds the byte at an offset.
    #[must_use]
    pub fn line_of(&self, offset: u32) -> usize {
        self.starts.partition_point(|start| *start <= offset) - 1
    }

    /// For each line of the text the first and last line of the original that it stands for, counted from 1.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        self.lines.iter().map(|(from, to)| (from + 1, to + 1))
    }

    /// The part of the original that a part of the text is, where that never changed.
    #[must_use]
    pub fn original_span(&self, span: Span) -> Option<Span> {
        let at = self.kept.partition_point(|(now, _)| now.end <= span.start);
        let (now, then) = self.kept.get(at).filter(|(now, _)| now.start <= span.start)?;
        let start = then.start + (span.start - now.start);
        Some(Span { start, end: (start + (span.end - span.start)).min(then.end) })
    }

    /// The map after changes to the text.
    #[must_use]
    pub fn after(&self, before: &str, edited: &Edited) -> Self {
        let mut kept = Vec::with_capacity(self.kept.len() + edited.kept.len());
        for (now, was) in &edited.kept {
            let first = self.kept.partition_point(|(current, _)| current.end <= was.start);
            let within = self.kept[first..].iter().take_while(|(current, _)| current.start < was.end);
            kept.extend(within.map(|(current, original)| {
                let (start, end) = (current.start.max(was.start), current.end.min(was.end));
                let now = Span { start: now.start + (start - was.start), end: now.start + (end - was.start) };
                let from = original.start + (start - current.start);
                (now, Span { start: from, end: from + (end - start) })
            }));
        }
        let starts = starts(&edited.text);
        let end = Span::new(0, edited.text.len()).end;
        let stops = starts.iter().skip(1).copied().chain([end + 1]);
        let mut behind = 0;
        let mut moved = self.removed(before, edited);
        let lines = starts.iter().zip(stops).map(|(start, stop)| {
            let text = edited.text.get(*start as usize..(stop - 1) as usize).unwrap_or_default().trim();
            let near = edited.kept.partition_point(|(now, _)| now.end <= *start);
            let is_new = edited.kept.get(near).is_none_or(|(now, _)| now.start >= stop - 1);
            // A line that was taken out elsewhere was moved here.
            if let Some(at) = moved.get_mut(text).filter(|_| is_new).and_then(VecDeque::pop_front) {
                let (first, last) = self.original(at, at);
                return (first - 1, last - 1);
            }
            let (mut first, mut last) = self.before(edited, *start, stop);
            if first < last {
                // What was written anew holds most commands as they were.
                let line = edited.text.get(*start as usize..(stop - 1) as usize).unwrap_or_default();
                let mut near = behind.max(first)..(last + 1).min(behind.max(first) + NEAR);
                if let Some(same) = near.find(|at| is_same_command(self.line(before, *at), line)) {
                    (first, last) = (same, same);
                }
            }
            if first == last {
                behind = last + 1;
            }
            let (first, last) = self.original(first, last);
            (first - 1, last - 1)
        });
        Self { lines: lines.collect(), kept, starts }
    }

    /// The lines that are not there any more, by their text, each with the lines that hold it.
    fn removed<'t>(&self, text: &'t str, edited: &Edited) -> HashMap<&'t str, VecDeque<usize>> {
        let mut removed: HashMap<&str, VecDeque<usize>> = HashMap::new();
        let mut kept = edited.kept.iter().map(|(_, was)| *was).peekable();
        for (at, start) in self.starts.iter().enumerate() {
            let line = self.line(text, at);
            let end = *start + Span::new(0, line.len()).end;
            while kept.next_if(|was| was.end <= *start).is_some() {}
            if kept.peek().is_none_or(|was| was.start >= end) && !line.trim().is_empty() {
                removed.entry(line.trim()).or_default().push_back(at);
            }
        }
        removed
    }

    /// A line of the text that this is the map of, counted from 0, without its end.
    fn line<'t>(&self, text: &'t str, at: usize) -> &'t str {
        let end = self.starts.get(at + 1).map_or(text.len(), |next| *next as usize - 1);
        &text[self.starts[at] as usize..end]
    }

    /// The lines of this text that a line of the edited one, `start..stop`, stands for: those that its kept parts come
    /// from; where it is new altogether, those that stood between the kept parts around it.
    fn before(&self, edited: &Edited, start: u32, stop: u32) -> (usize, usize) {
        let first = edited.kept.partition_point(|(now, _)| now.end <= start);
        let parts = edited.kept[first..].iter().take_while(|(now, _)| now.start < stop);
        let from_parts = parts.filter_map(|(now, was)| {
            let (from, to) = (now.start.max(start), now.end.min(stop));
            let text = edited.text.get(from as usize..to as usize)?;
            (!text.trim().is_empty()).then(|| {
                let offset = was.start + (from - now.start);
                (self.line_of(offset), self.line_of(offset + (to - from) - 1))
            })
        });
        from_parts.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_else(|| {
            let before_it = edited.kept[..edited.kept.partition_point(|(now, _)| now.end <= start + 1)].last();
            let behind = edited.kept.get(edited.kept.partition_point(|(now, _)| now.start < start));
            let from = before_it.map_or(0, |(_, was)| self.line_of(was.end));
            let to = behind.map_or(self.starts.len() - 1, |(_, was)| self.line_of(was.start.saturating_sub(1)));
            (from.min(to), to.max(from))
        })
    }
}

/// Whether two lines hold the same but for what joins it to its neighbours.
fn is_same_command(one: &str, other: &str) -> bool {
    let one = command(one);
    !one.is_empty() && one == command(other)
}

/// A line without instruction, operators, parentheses and continuation around it.
fn command(line: &str) -> &str {
    let mut rest = line.trim();
    while let Some(shorter) = JOINTS.iter().find_map(|joint| rest.strip_prefix(joint)) {
        rest = shorter.trim_start();
    }
    while let Some(shorter) = rest.strip_suffix(['\\', '`', '&', '|', ';', ')']) {
        rest = shorter.trim_end();
    }
    rest
}

/// The offset at which each line starts.
fn starts(text: &str) -> Vec<u32> {
    let behind = text.match_indices('\n').map(|(at, _)| Span::new(0, at + 1).end);
    std::iter::once(0).chain(behind).collect()
}

/// Lines counted from 0 that are counted from 1.
fn counted(lines: &(usize, usize)) -> (usize, usize) {
    (lines.0.saturating_sub(1), lines.1.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use jettison_syntax::Span;
    use jettison_syntax::dockerfile::Dockerfile;
    use jettison_syntax::editor::Editor;

    use super::LineMap;

    /// The lines of the original, counted from 1, after the replacement of a part.
    fn check(before: &str, part: &str, text: &str, expected: &[(usize, usize)]) -> LineMap {
        let tree = Dockerfile::parse(before);
        let at = before.find(part).expect("the part");
        let mut editor = Editor::new(&tree);
        editor.replace(Span::new(at, at + part.len()), text).expect("one edit");
        let edited = editor.finish();
        let map = LineMap::identity(before).after(before, &edited);
        assert_eq!(map.iter().collect::<Vec<_>>(), expected, "{}", edited.text);
        map
    }

    #[test]
    fn lines_come_from_where_their_command_stood() {
        let before = "FROM a\nRUN b\n# c\nRUN d \\\n  && e\nCMD f\n";
        let part = "RUN b\n# c\nRUN d \\\n  && e";
        let merged = "RUN b \\\n    # c\n    && ( set +e; d ) \\\n    && ( e )";
        check(before, part, merged, &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7)]);
        check(before, part, "RUN x", &[(1, 1), (2, 5), (6, 6), (7, 7)]);
        check(before, "b\n", "b \\\n && more\n", &[(1, 1), (2, 2), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7)]);
    }

    #[test]
    fn moved_lines_come_from_where_they_stood() {
        let tree = Dockerfile::parse("FROM a\nRUN b\nADD c d\nRUN e\n");
        let mut editor = Editor::new(&tree);
        editor.replace(Span::new(7, 7), "ADD c d\n").expect("above");
        editor.replace(Span::new(13, 21), "").expect("away");
        let edited = editor.finish();
        let map = LineMap::identity(tree.text()).after(tree.text(), &edited);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(1, 1), (3, 3), (2, 2), (4, 4), (5, 5)], "{}", edited.text);
    }

    #[test]
    fn equal_commands_are_taken_in_order() {
        check("FROM a\nRUN b\nRUN b\n", "RUN b\nRUN b", "RUN b \\\n && b", &[(1, 1), (2, 2), (3, 3), (4, 4)]);
    }

    #[test]
    fn what_never_changed_is_known_to_the_byte() {
        let map = check("FROM a\nRUN b\nCMD c\n", "RUN b\n", "", &[(1, 1), (3, 3), (4, 4)]);
        assert_eq!(map.original_span(Span::new(11, 12)), Some(Span::new(17, 18)));
        assert_eq!(map.original_span(Span::new(0, 4)), Some(Span::new(0, 4)));
    }
}
