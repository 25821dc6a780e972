//! Places in a text: lines and columns of offsets, and offsets in the file's own bytes.

use jettison_syntax::dockerfile::{encode, stood_for};

/// A text with the offsets at which its lines start, so that each look-up is quick.
pub(crate) struct Places<'t> {
    pub(crate) text: &'t str,
    starts: Vec<usize>,
    /// Whether the text holds characters that stand for bytes of the file.
    has_stand_ins: bool,
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl<'t> Places<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts, has_stand_ins: text.contains(|c| stood_for(c).is_some()) }
    }

    pub(crate) fn position(&self, offset: u32) -> Position {
        let offset = self.clamped(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        // The byte-order mark is no column.
        let before = self.text[start..offset].trim_start_matches('\u{feff}');
        Position { line, column: before.chars().count() + 1 }
    }

    /// Where the offset is in the file's own bytes.
    pub(crate) fn file_offset(&self, offset: u32) -> usize {
        let offset = self.clamped(offset);
        if self.has_stand_ins { encode(&self.text[..offset]).len() } else { offset }
    }

    /// The range of the lines that hold these offsets, without the last line's end.
    pub(crate) fn lines_around(&self, start: u32, end: u32) -> std::ops::Range<usize> {
        let (first, last) = (self.position(start).line, self.position(end.max(start + 1) - 1).line);
        let end = self.starts.get(last).map_or(self.text.len(), |next| next - 1);
        self.starts[first - 1]..end
    }

    /// An offset within the text and between characters.
    fn clamped(&self, offset: u32) -> usize {
        let mut offset = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// The text for people: bytes that are no UTF-8 are shown as such.
pub(crate) fn readable(text: &str) -> String {
    text.chars().map(|c| if stood_for(c).is_some() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Places, Position};

    #[test]
    fn offsets_have_a_line_and_a_column() {
        let places = Places::of("\u{feff}FROM ä\r\nRUN b\n");
        let at = |offset| {
            let Position { line, column } = places.position(offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (1, 1));
        assert_eq!(at(8), (1, 6));
        assert_eq!(at(9), (1, 6), "in the middle of a character");
        assert_eq!(at(10), (1, 7));
        assert_eq!(at(12), (2, 1));
        assert_eq!(at(18), (3, 1));
        assert_eq!(at(99), (3, 1));
        assert_eq!(places.lines_around(8, 14), 0..17);
        assert_eq!(places.lines_around(18, 18), 18..18);
    }

    #[test]
    fn offsets_in_the_file_count_its_bytes() {
        let text = jettison_syntax::dockerfile::decode(b"# \xe9\nFROM a".to_vec());
        let places = Places::of(&text);
        assert_eq!(places.file_offset(7), 4);
        assert_eq!(places.position(7), Position { line: 2, column: 1 });
    }
}
