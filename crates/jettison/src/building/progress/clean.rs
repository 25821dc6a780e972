//! Lines out of what a command writes: bytes in pieces of any size, with progress bars and terminal sequences.

/// Bytes after which a line is shown even where it has no end yet.
const LONGEST: usize = 8 << 10;

/// Where in a terminal's sequence the input stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In a control sequence, until its final byte.
    Control,
    /// In a string for the terminal (a title, a link), until its terminator.
    Text7,
    /// In such a string after ESC.
    TextEscape,
}

/// Takes one stream apart into lines without anything that a terminal would obey.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    line: Vec<u8>,
    /// A carriage return came: what follows overwrites the line.
    returned: bool,
    state: State,
}

impl Cleaner {
    /// Takes bytes in; gives the lines that they end.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            self.state = match (self.state, byte) {
                // A line's end also ends what was left open, so that no garbage swallows the rest.
                (State::Text | State::Control | State::Escape, b'\n') => {
                    lines.push(self.take());
                    State::Text
                }
                (State::Text, 0x1b) => State::Escape,
                (State::Text, b'\r') => {
                    self.returned = true;
                    State::Text
                }
                (State::Text, 0x08) => {
                    self.line.pop();
                    State::Text
                }
                (State::Text, byte) => {
                    if byte == b'\t' || byte >= 0x20 && byte != 0x7f {
                        if std::mem::take(&mut self.returned) {
                            self.line.clear();
                        }
                        self.line.push(byte);
                    }
                    if self.line.len() >= LONGEST && byte < 0x80 {
                        lines.push(self.take());
                    }
                    State::Text
                }
                (State::Escape, b'[') => State::Control,
                (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Text7,
                // `ESC ( B` and its like: intermediate bytes, then a final one.
                (State::Escape, 0x20..=0x2f) => State::Escape,
                (State::Control, 0x20..=0x3f) => State::Control,
                (State::Escape | State::Control, 0x1b) => State::Escape,
                (State::Text7, 0x1b) => State::TextEscape,
                (State::Text7, 0x07) => State::Text,
                (State::Text7, b'\n') => {
                    lines.push(self.take());
                    State::Text
                }
                (State::Text7, _) => State::Text7,
                (State::Escape | State::Control | State::TextEscape, _) => State::Text,
            };
        }
        lines
    }

    /// What stands in the line that has no end yet.
    pub(crate) fn partial(&self) -> String {
        readable(&self.line)
    }

    /// The last line, where it has no end.
    pub(crate) fn end(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        self.returned = false;
        let text = readable(&self.line);
        self.line.clear();
        text
    }
}

/// Text without control characters; what is no UTF-8 is shown as such.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let is_harmless = |c: &char| *c == '\t' || !(c.is_control() || is_bidirectional(*c));
    text.chars().filter(is_harmless).collect()
}

/// Characters that reorder what stands around them.
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut cleaner = Cleaner::default();
        let mut lines: Vec<String> = pieces.iter().flat_map(|piece| cleaner.feed(piece)).collect();
        lines.extend(cleaner.end());
        lines
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        assert_eq!(lines(&[b"a", b"b\nc", b"\n\nd"]), ["ab", "c", "", "d"]);
        assert_eq!(lines(&[b"\xc3", b"\xa9\n", b"\xff\n"]), ["\u{e9}", "\u{fffd}"]);
    }

    #[test]
    fn progress_bars_leave_their_last_state() {
        assert_eq!(lines(&[b"10%\r20%\r", b"100%\r\ndone\r\n"]), ["100%", "done"]);
        let mut cleaner = Cleaner::default();
        assert!(cleaner.feed(b"10%\r20%").is_empty());
        assert_eq!(cleaner.partial(), "20%");
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        let input: &[&[u8]] = &[
            b"\x1b[31mred\x1b[0m\n",
            b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\n",
            b"\x1b[2",
            b"J\x1b(Bb\x1b7c\x07\x00\n",
            b"\xc2\x9b31md\xe2\x80\xae\n",
            b"\x1b[3\nnext\n",
        ];
        assert_eq!(lines(input), ["red", "alink", "bc", "31md", "", "next"]);
    }

    #[test]
    fn a_line_without_end_is_not_kept_for_ever() {
        let long = vec![b'x'; 3 * LONGEST + 5];
        let lines = lines(&[&long]);
        assert_eq!(lines.iter().map(String::len).sum::<usize>(), long.len());
        assert_eq!(lines.len(), 4);
    }
}
