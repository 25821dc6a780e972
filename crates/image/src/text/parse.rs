//! Reading the text form.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::{Attributes, Content, EntryText, ImageText, Item, LayerText, TextError, What};
use crate::config::HistoryEntry;
use crate::digest::Digest;
use crate::layer::Xattrs;
use crate::tar::Mtime;

impl FromStr for ImageText {
    type Err = TextError;

    /// Reads the text form. Errors name the line and what was expected in it.
    fn from_str(text: &str) -> Result<Self, TextError> {
        let mut image = Self::default();
        let mut layers = 0;
        for (at, text) in text.lines().enumerate() {
            let mut line = Line { number: at + 1, rest: text.trim() };
            if line.rest.is_empty() || line.rest.starts_with('#') {
                continue;
            }
            let whole = line;
            match line.word() {
                "config" if image.items.is_empty() && image.settings.is_empty() => image.settings = line.settings()?,
                "config" => return Err(whole.expected("one config line, before the history and the layers")),
                "empty" => image.items.push(Item::Empty(line.history(true)?)),
                "surplus" => image.items.push(Item::Surplus(line.history(false)?)),
                "layer" => {
                    layers += 1;
                    let number = line;
                    if line.word().parse() != Ok(layers) {
                        return Err(number.expected("the layer's number, counted from 1"));
                    }
                    let history = if line.rest.is_empty() { None } else { Some(line.history(false)?) };
                    image.items.push(Item::Layer(LayerText { history, entries: Vec::new() }));
                }
                letter => {
                    let Some(Item::Layer(layer)) = image.items.last_mut() else {
                        return Err(whole.expected("`config`, `empty`, `surplus` or `layer`"));
                    };
                    layer.entries.push(line.entry(letter, whole)?);
                }
            }
        }
        Ok(image)
    }
}

/// What is left of a line, without blanks around it.
#[derive(Clone, Copy)]
struct Line<'t> {
    number: usize,
    rest: &'t str,
}

impl<'t> Line<'t> {
    fn expected(self, expected: &'static str) -> TextError {
        TextError::Expected { line: self.number, expected, found: self.rest.to_owned() }
    }

    /// Takes what stands before the next blank.
    fn word(&mut self) -> &'t str {
        let (word, rest) = self.rest.split_once(char::is_whitespace).unwrap_or((self.rest, ""));
        self.rest = rest.trim_start();
        word
    }

    /// Takes a word that `read` understands.
    fn value<T>(&mut self, expected: &'static str, read: impl FnOnce(&'t str) -> Option<T>) -> Result<T, TextError> {
        let before = *self;
        read(self.word()).ok_or_else(|| before.expected(expected))
    }

    fn end(self) -> Result<(), TextError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.expected("the end of the line")) }
    }

    fn json(self) -> Result<Map<String, Value>, TextError> {
        serde_json::from_str(self.rest).map_err(|source| TextError::Json { line: self.number, source })
    }

    fn settings(self) -> Result<Map<String, Value>, TextError> {
        let settings = self.json()?;
        if settings.contains_key("rootfs") || settings.contains_key("history") {
            return Err(self.expected("settings without `rootfs` and `history`, which the layers give"));
        }
        Ok(settings)
    }

    /// A history entry: its instruction in quotes, and its other fields as a JSON object; either may miss.
    fn history(mut self, empty_layer: bool) -> Result<HistoryEntry, TextError> {
        let mut created_by = None;
        if self.rest.starts_with('"') {
            let before = self;
            let text = String::from_utf8(self.quoted()?).map_err(|_| before.expected("an instruction in UTF-8"))?;
            created_by = Some(text);
        }
        let mut entry = HistoryEntry::default();
        if !self.rest.is_empty() {
            let fields = self.json()?;
            if fields.contains_key("created_by") || fields.contains_key("empty_layer") {
                return Err(self.expected("fields other than `created_by` and `empty_layer`, which the line gives"));
            }
            let json = |source| TextError::Json { line: self.number, source };
            entry = serde_json::from_value(Value::Object(fields)).map_err(json)?;
        } else if created_by.is_none() {
            return Err(self.expected("an instruction in quotes or a JSON object"));
        }
        Ok(HistoryEntry { created_by, empty_layer, ..entry })
    }

    /// The rest of an entry's line; `whole` is the line with its letter.
    fn entry(mut self, letter: &str, whole: Self) -> Result<EntryText, TextError> {
        let has_attributes = matches!(letter, "f" | "d" | "l" | "c" | "b" | "p");
        let mut attributes = if has_attributes { self.common()? } else { Attributes::default() };
        let content = if letter == "f" { Some(self.content()?) } else { None };
        let device = if matches!(letter, "c" | "b") { self.device()? } else { (0, 0) };
        let path = self.path()?;
        let what = match (letter, content) {
            ("f", Some(content)) => What::File(content),
            ("d", _) => What::Directory,
            ("l", _) => {
                self.arrow("->", "`->` and the link's target")?;
                What::Symlink(self.name("the link's target")?)
            }
            ("h", _) => {
                self.arrow("=>", "`=>` and the path of the file that is linked")?;
                What::HardLink(self.path()?)
            }
            ("c", _) => What::CharDevice(device.0, device.1),
            ("b", _) => What::BlockDevice(device.0, device.1),
            ("p", _) => What::Fifo,
            ("w", _) => What::Whiteout,
            ("o", _) => What::Opaque,
            ("x", _) => What::Dropped,
            _ => return Err(whole.expected("`layer`, or an entry's letter: one of f d l h c b p w o x")),
        };
        if has_attributes {
            attributes.xattrs = self.xattrs()?;
        }
        self.end()?;
        Ok(EntryText { path, what, attributes })
    }

    /// Mode, owner and group, and the time where one stands.
    fn common(&mut self) -> Result<Attributes, TextError> {
        let mode = self.value("an octal mode such as 0644", |word| {
            u16::from_str_radix(word, 8).ok().filter(|mode| *mode <= 0o7777 && !word.starts_with('+'))
        })?;
        let (uid, gid) = self.value("an owner and a group such as 0:0", |word| pair(word, ':'))?;
        let mut mtime = Mtime::default();
        if self.rest.starts_with('@') {
            mtime =
                self.value("a time in seconds such as @1700000000.5", |word| Mtime::parse(&word.as_bytes()[1..]))?;
        }
        Ok(Attributes { mode, uid, gid, mtime, xattrs: Xattrs::new() })
    }

    fn device(&mut self) -> Result<(u32, u32), TextError> {
        self.value("the device's numbers such as 1,3", |word| pair(word, ','))
    }

    fn content(&mut self) -> Result<Content, TextError> {
        let before = *self;
        if self.rest.starts_with('"') {
            return Ok(Content::Literal(self.quoted()?));
        }
        let expected = "a file's content: its size and digest, a quoted text, or SIZE*\"TEXT\"";
        let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let size = self.rest[..digits].parse().map_err(|_| before.expected(expected))?;
        self.rest = &self.rest[digits..];
        if let Some(rest) = self.rest.strip_prefix("*\"") {
            self.rest = &self.rest[self.rest.len() - rest.len() - 1..];
            let unit = self.quoted()?;
            if size > Content::MAX_FILL || (size > 0 && unit.is_empty()) {
                return Err(before.expected("a text that is not empty, repeated up to at most 1 GiB"));
            }
            return Ok(Content::Fill { size, unit });
        }
        if !self.rest.starts_with(char::is_whitespace) {
            return Err(before.expected(expected));
        }
        self.rest = self.rest.trim_start();
        let digest: Digest = self.value(expected, |word| word.parse().ok())?;
        Ok(Content::Known { size, digest })
    }

    fn arrow(&mut self, arrow: &str, expected: &'static str) -> Result<(), TextError> {
        self.value(expected, |word| (word == arrow).then_some(()))
    }

    /// A path; without its leading slash.
    fn path(&mut self) -> Result<Vec<u8>, TextError> {
        let before = *self;
        let expected = "a path with a leading slash";
        let mut path = self.name(expected)?;
        if path.first() != Some(&b'/') {
            return Err(before.expected(expected));
        }
        path.remove(0);
        Ok(path)
    }

    /// A word, or a text in quotes, that a tar can hold as a name.
    fn name(&mut self, expected: &'static str) -> Result<Vec<u8>, TextError> {
        let before = *self;
        let name = if self.rest.starts_with('"') {
            self.quoted()?
        } else {
            // Within a word a quote or backslash would be read as something else than it looks like.
            self.value(expected, |word| (!word.is_empty() && !word.contains(['"', '\\'])).then_some(word))?.into()
        };
        if name.contains(&0) { Err(before.expected("a name without NUL bytes")) } else { Ok(name) }
    }

    fn xattrs(&mut self) -> Result<Xattrs, TextError> {
        let mut xattrs = Xattrs::new();
        while !self.rest.is_empty() {
            let before = *self;
            let expected = "an extended attribute such as user.name=\"value\"";
            let name = if self.rest.starts_with('"') {
                self.quoted()?
            } else {
                let end = self.rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(self.rest.len());
                let name = self.rest.as_bytes()[..end].to_vec();
                self.rest = &self.rest[end..];
                name
            };
            self.rest = self.rest.strip_prefix('=').ok_or_else(|| before.expected(expected))?;
            // A tar's records end a name at its first equals sign.
            if name.contains(&b'=') {
                return Err(before.expected("an extended attribute's name without `=`"));
            }
            if xattrs.iter().any(|(known, _)| *known == name) {
                return Err(before.expected("each extended attribute once"));
            }
            let value = self.quoted()?;
            xattrs.push((name, value));
        }
        xattrs.sort();
        Ok(xattrs)
    }

    /// Takes a text in quotes, and the blanks behind it.
    fn quoted(&mut self) -> Result<Vec<u8>, TextError> {
        let before = *self;
        let expected = "a text in quotes, with no escapes but \\n \\t \\r \\\" \\\\ and \\x with two digits";
        let (text, length) = unquote(self.rest.as_bytes()).ok_or_else(|| before.expected(expected))?;
        self.rest = self.rest[length..].trim_start();
        Ok(text)
    }
}

/// Reads a quoted text; gives its bytes and how long it stands in `quoted`, both quotes included.
fn unquote(quoted: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut text = Vec::new();
    let mut at = 1;
    if quoted.first() != Some(&b'"') {
        return None;
    }
    loop {
        let byte = *quoted.get(at)?;
        at += 1;
        match byte {
            b'"' => return Some((text, at)),
            b'\\' => {
                let escape = *quoted.get(at)?;
                at += 1;
                text.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'"' | b'\\' => escape,
                    b'x' => {
                        let digit = |at: usize| char::from(*quoted.get(at)?).to_digit(16);
                        let value = digit(at)? * 16 + digit(at + 1)?;
                        at += 2;
                        u8::try_from(value).ok()?
                    }
                    _ => return None,
                });
            }
            other => text.push(other),
        }
    }
}

/// Two numbers with `between` between them.
fn pair(word: &str, between: char) -> Option<(u32, u32)> {
    let (first, second) = word.split_once(between)?;
    let number = |text: &str| if text.starts_with('+') { None } else { text.parse().ok() };
    Some((number(first)?, number(second)?))
}
