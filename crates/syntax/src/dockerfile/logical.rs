//! Logical lines: what an instruction's physical lines are once they are joined, and where each byte came from.

use crate::Span;

/// An instruction's text without continuations and the comments among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logical {
    first: Span,
    /// The text where it is not one piece of the source.
    joined: Option<Box<Joined>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Joined {
    text: String,
    /// Each further piece: where it starts in the text, and where it comes from.
    pieces: Vec<(u32, Span)>,
}

impl Logical {
    pub(super) fn new(first: Span) -> Self {
        Self { first, joined: None }
    }

    /// Appends what a further physical line holds.
    pub(super) fn push(&mut self, source: &str, piece: Span) {
        let first = self.first;
        let joined = self
            .joined
            .get_or_insert_with(|| Box::new(Joined { text: first.of(source).to_owned(), pieces: Vec::new() }));
        joined.pieces.push((Span::new(0, joined.text.len()).end, piece));
        joined.text.push_str(piece.of(source));
    }

    /// The text.
    #[must_use]
    pub fn text<'a>(&'a self, source: &'a str) -> &'a str {
        match &self.joined {
            Some(joined) => &joined.text,
            None => self.first.of(source),
        }
    }

    /// Whether it is more than one physical line.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.joined.is_some()
    }

    /// The parts of the source that it is made of: where each starts in the text, and its span.
    pub fn pieces(&self) -> impl Iterator<Item = (u32, Span)> {
        let more = self.joined.as_deref().map_or(&[][..], |joined| &joined.pieces);
        std::iter::once((0, self.first)).chain(more.iter().copied())
    }

    /// The place in the source of the byte at `offset`.
    #[must_use]
    pub fn source_of(&self, offset: u32) -> u32 {
        let (start, span) = self.piece(|start| start <= offset);
        span.start + (offset - start)
    }

    /// The place in the source behind the byte before `offset`.
    fn source_end(&self, offset: u32) -> u32 {
        let (start, span) = self.piece(|start| start < offset);
        span.start + (offset - start)
    }

    fn piece(&self, starts_before: impl Fn(u32) -> bool) -> (u32, Span) {
        let pieces = self.joined.as_deref().map_or(&[][..], |joined| &joined.pieces);
        match pieces.partition_point(|(start, _)| starts_before(*start)) {
            0 => (0, self.first),
            count => pieces[count - 1],
        }
    }

    /// The part of the source from the first to the last byte of a part of the text.
    #[must_use]
    pub fn source_span(&self, span: Span) -> Span {
        let start = self.source_of(span.start);
        if span.is_empty() {
            return Span { start, end: start };
        }
        Span { start, end: self.source_end(span.end) }
    }
}
