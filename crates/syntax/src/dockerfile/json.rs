//! The JSON form of arguments, `["a", "b"]`, accepted exactly where Go's `encoding/json` accepts it.

use crate::Span;

/// One string of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonString {
    /// Its value.
    pub value: String,
    /// Where it stands in the logical line, with its quotes.
    pub span: Span,
}

/// Why a text is not in JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotStrings {
    /// It is no JSON array: a builder takes it as text.
    NoArray,
    /// It is an array with something else in it: a builder refuses it.
    OtherValues,
}

/// How deep values may be nested, as in Go.
const DEPTH: usize = 10_000;

/// Whether a text starts with a whole array, whatever follows it. Builders of before 2024 read such a line as the array
/// alone.
#[must_use]
pub fn starts_with_array(text: &str) -> bool {
    let start = text.len() - text.trim_start().len();
    let mut reader = Reader { text, at: start };
    reader.peek() == Some(b'[') && reader.value(0).is_some()
}

/// Reads an array of strings; spans count from `offset`.
pub(super) fn strings(text: &str, offset: usize) -> Result<Vec<JsonString>, NotStrings> {
    let start = text.len() - text.trim_start().len();
    if text.as_bytes().get(start) != Some(&b'[') {
        return Err(NotStrings::NoArray);
    }
    let mut reader = Reader { text, at: start + 1 };
    let mut strings = Vec::new();
    let mut others = false;
    reader.blanks();
    if !reader.take(b']') {
        loop {
            reader.blanks();
            let from = reader.at;
            if reader.peek() == Some(b'"') {
                let value = reader.string().ok_or(NotStrings::NoArray)?;
                strings.push(JsonString { value, span: Span::new(offset + from, offset + reader.at) });
            } else {
                reader.value(0).ok_or(NotStrings::NoArray)?;
                others = true;
            }
            reader.blanks();
            if reader.take(b']') {
                break;
            }
            if !reader.take(b',') {
                return Err(NotStrings::NoArray);
            }
        }
    }
    reader.blanks();
    match (reader.at == text.len(), others) {
        (false, _) => Err(NotStrings::NoArray),
        (true, true) => Err(NotStrings::OtherValues),
        (true, false) => Ok(strings),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Skips one value of any type; `None` where there is none.
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'[' => self.sequence(depth, b']', |reader| reader.value(depth + 1)),
            b'{' => self.sequence(depth, b'}', |reader| {
                reader.string()?;
                reader.blanks();
                reader.take(b':').then_some(())?;
                reader.blanks();
                reader.value(depth + 1)
            }),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn sequence(&mut self, _: usize, end: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        self.blanks();
        if self.take(end) {
            return Some(());
        }
        loop {
            self.blanks();
            item(self)?;
            self.blanks();
            if self.take(end) {
                return Some(());
            }
            self.take(b',').then_some(())?;
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        // Go refuses numbers that no float holds.
        self.text[start..self.at].parse::<f64>().ok().filter(|number| number.is_finite()).map(drop)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"').then_some(())?;
        let mut value = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ')?;
            value.push_str(&rest[..plain]);
            self.at += plain;
            if self.take(b'"') {
                return Some(value);
            }
            self.take(b'\\').then_some(())?;
            value.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Option<char> {
        let kind = self.peek()?;
        self.at += 1;
        Some(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.unit()?;
                // A lone half of a pair becomes the replacement character, as in Go.
                if (0xD800..0xDC00).contains(&high) && self.text[self.at..].starts_with("\\u") {
                    let before = self.at;
                    self.at += 2;
                    let low = self.unit()?;
                    if let Some(Ok(character)) = char::decode_utf16([high, low]).next() {
                        return Some(character);
                    }
                    self.at = before;
                }
                char::from_u32(u32::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let unit =
            digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())??;
        self.at += 4;
        Some(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::{NotStrings, strings};

    #[test]
    fn what_go_accepts() {
        let values = |text| strings(text, 0).map(|all| all.into_iter().map(|one| one.value).collect::<Vec<_>>());
        assert_eq!(values(r#" [ "a" , "b c" ] "#), Ok(vec!["a".to_owned(), "b c".to_owned()]));
        assert_eq!(values("[]"), Ok(vec![]));
        assert_eq!(values(r#"["\u00e9\n\ud83d\ude00\ud800x"]"#), Ok(vec!["\u{e9}\n\u{1f600}\u{fffd}x".to_owned()]));
        for no_array in ["[ -d /x ] && y", "['a']", r#"["a",]"#, r#"["a"] x"#, r#"["\x"]"#, "[1e999]", "[01]", "a", "["]
        {
            assert_eq!(values(no_array), Err(NotStrings::NoArray), "{no_array}");
        }
        for others in ["[1]", "[null, \"a\"]", r#"[{"a": [true, -1.5e3]}]"#] {
            assert_eq!(values(others), Err(NotStrings::OtherValues), "{others}");
        }
    }

    #[test]
    fn arrays_with_more_behind_them() {
        assert!(super::starts_with_array(r#" ["a"] && b"#));
        assert!(super::starts_with_array(r#"[ "-d", "/tmp" ] ; b"#));
        assert!(!super::starts_with_array(r#"[ "$a" = b ] && c"#));
        assert!(!super::starts_with_array("[ -d /tmp ]"));
    }

    #[test]
    fn spans_cover_the_quotes() {
        let all = strings(r#"["a", "\"b"]"#, 10).expect("an array");
        assert_eq!(all[1].span.range(), 16..21);
    }
}
