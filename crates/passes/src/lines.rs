//! Where the lines of a rewritten file come from.

use jettison_syntax::Span;
use jettison_syntax::editor::Edited;

/// For each line of a text the lines of the original that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineMap {
    /// First and last line of the original, counted from 0, a line of the text each.
    lines: Vec<(usize, usize)>,
    /// The parts that never changed: where each stands now, and where it stood in the original.
    kept: Vec<(Span, Span)>,
}

impl LineMap {
    /// The map of a text that nothing changed yet.
    #[must_use]
    pub fn identity(text: &str) -> Self {
        let whole = Span::new(0, text.len());
        Self { lines: (0..=text.matches('\n').count()).map(|line| (line, line)).collect(), kept: vec![(whole, whole)] }
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

    /// For each line of the text the first and last line of the original that it stands for, counted from 1.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        self.lines.iter().map(|(from, to)| (from + 1, to + 1))
    }

    /// The part of the original that a part of the text is, where that never changed.
    #[must_use]
    pub fn original_span(&self, span: Span) -> Option<Span> {
        let (now, then) = self.kept.iter().find(|(now, _)| now.start <= span.start && span.start < now.end)?;
        let start = then.start + (span.start - now.start);
        Some(Span { start, end: (start + (span.end - span.start)).min(then.end) })
    }

    /// The map after changes to the text.
    #[must_use]
    pub fn after(&self, before: &str, edited: &Edited) -> Self {
        let mut lines: Vec<(usize, usize)> = Vec::new();
        let mut kept = Vec::new();
        for (now, was) in &edited.kept {
            kept.extend(self.kept.iter().filter_map(|(current, original)| {
                let (start, end) = (current.start.max(was.start), current.end.min(was.end));
                (start < end).then(|| {
                    let now = Span { start: now.start + (start - was.start), end: now.start + (end - was.start) };
                    let from = original.start + (start - current.start);
                    (now, Span { start: from, end: from + (end - start) })
                })
            }));
        }
        let old_starts = starts(before);
        let old_line = |offset: u32| old_starts.partition_point(|start| *start <= offset) - 1;
        let new_starts = starts(&edited.text);
        let end = Span::new(0, edited.text.len()).end;
        for (at, start) in new_starts.iter().enumerate() {
            let stop = new_starts.get(at + 1).copied().unwrap_or(end + 1);
            // A line stands for the lines that its kept parts came from; one that is new altogether, for those that
            // stood between the kept parts around it.
            let parts = edited.kept.iter().filter(|(now, _)| now.start < stop && *start < now.end);
            let from_parts = parts.filter_map(|(now, was)| {
                let (from, to) = (now.start.max(*start), now.end.min(stop));
                let text = edited.text.get(from as usize..to as usize)?;
                (!text.trim().is_empty()).then(|| {
                    let offset = was.start + (from - now.start);
                    (old_line(offset), old_line(offset + (to - from) - 1))
                })
            });
            let range = from_parts.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_else(|| {
                let before_it = edited.kept.iter().rev().find(|(now, _)| now.end <= *start + 1);
                let behind = edited.kept.iter().find(|(now, _)| now.start >= *start);
                let from = before_it.map_or(0, |(_, was)| old_line(was.end));
                let to = behind.map_or(old_starts.len() - 1, |(_, was)| old_line(was.start.saturating_sub(1)));
                (from.min(to), to.max(from))
            });
            let (first, last) = self.original(range.0, range.1);
            lines.push((first - 1, last - 1));
        }
        Self { lines, kept }
    }
}

/// The offset at which each line starts.
fn starts(text: &str) -> Vec<u32> {
    let behind = text.match_indices('\n').map(|(at, _)| Span::new(0, at + 1).end);
    std::iter::once(0).chain(behind).collect()
}
