//! Where the lines of a rewritten file come from.

use jettison_syntax::Span;
use jettison_syntax::editor::Edited;

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
    pub fn after(&self, edited: &Edited) -> Self {
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
        let lines = starts.iter().zip(stops).map(|(start, stop)| {
            let (first, last) = self.before(edited, *start, stop);
            let (first, last) = self.original(first, last);
            (first - 1, last - 1)
        });
        Self { lines: lines.collect(), kept, starts }
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

/// The offset at which each line starts.
fn starts(text: &str) -> Vec<u32> {
    let behind = text.match_indices('\n').map(|(at, _)| Span::new(0, at + 1).end);
    std::iter::once(0).chain(behind).collect()
}
