//! Printing the text form: one canonical text for each image.

use std::fmt::{self, Display, Formatter};

use bstr::ByteSlice as _;
use serde_json::Value;

use super::{Attributes, Content, EntryText, ImageText, Item, LayerText, What};
use crate::config::HistoryEntry;
use crate::tar::Mtime;

impl Display for ImageText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.settings.is_empty() {
            writeln!(f, "config {}", Value::Object(self.settings.clone()))?;
        }
        let mut number = 0;
        for item in &self.items {
            match item {
                Item::Empty(history) => writeln!(f, "empty{}", History(history))?,
                Item::Surplus(history) => writeln!(f, "surplus{}", History(history))?,
                Item::Layer(layer) => {
                    number += 1;
                    write!(f, "layer {number}")?;
                    if let Some(history) = &layer.history {
                        write!(f, " {}", History(history))?;
                    }
                    writeln!(f)?;
                    layer.fmt(f)?;
                }
            }
        }
        Ok(())
    }
}

/// The entries of the layer, a line each.
impl Display for LayerText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "  {entry}"))
    }
}

/// The entry's line, without the blanks before it and the line's end.
impl Display for EntryText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = RootedPath(&self.path);
        let common = Common(&self.attributes);
        match &self.what {
            What::File(content) => write!(f, "f {common}  {content}  {path}")?,
            What::Directory => write!(f, "d {common}  {path}")?,
            What::Symlink(target) => write!(f, "l {common}  {path} -> {}", Word(target))?,
            What::HardLink(target) => write!(f, "h {path} => {}", RootedPath(target))?,
            What::CharDevice(major, minor) => write!(f, "c {common}  {major},{minor}  {path}")?,
            What::BlockDevice(major, minor) => write!(f, "b {common}  {major},{minor}  {path}")?,
            What::Fifo => write!(f, "p {common}  {path}")?,
            What::Whiteout => write!(f, "w {path}")?,
            What::Opaque => write!(f, "o {path}")?,
            What::Dropped => write!(f, "x {path}")?,
        }
        self.attributes.xattrs.iter().try_for_each(|(name, value)| {
            // An equals sign within a name would end it early.
            let plain = is_plain(name) && !name.contains(&b'=');
            if plain { write!(f, "  {}", name.as_bstr()) } else { write!(f, "  {}", Quoted(name)) }?;
            write!(f, "={}", Quoted(value))
        })
    }
}

impl Display for Content {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { size, digest } => write!(f, "{size} {digest}"),
            Self::Literal(bytes) => Quoted(bytes).fmt(f),
            Self::Fill { size, unit } => write!(f, "{size}*{}", Quoted(unit)),
        }
    }
}

/// Mode, owner, and the time where there is one.
struct Common<'a>(&'a Attributes);

impl Display for Common<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Attributes { mode, uid, gid, mtime, .. } = self.0;
        write!(f, "{mode:04o} {uid}:{gid}")?;
        if *mtime == Mtime::default() { Ok(()) } else { write!(f, "  @{mtime}") }
    }
}

/// A history entry: its instruction, then its other fields as JSON.
struct History<'a>(&'a HistoryEntry);

impl Display for History<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.0.created_by {
            write!(f, " {}", Quoted(text.as_bytes()))?;
        }
        let Ok(Value::Object(mut fields)) = serde_json::to_value(self.0) else { return Ok(()) };
        fields.shift_remove("created_by");
        fields.shift_remove("empty_layer");
        // An entry without any text is told from none at all by its braces.
        if fields.is_empty() && self.0.created_by.is_some() {
            return Ok(());
        }
        let blanks = if self.0.created_by.is_some() { "  " } else { " " };
        write!(f, "{blanks}{}", Value::Object(fields))
    }
}

/// A path with its leading slash.
struct RootedPath<'a>(&'a [u8]);

impl Display for RootedPath<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) || self.0.is_empty() {
            write!(f, "/{}", self.0.as_bstr())
        } else {
            f.write_str("\"/")?;
            escape(self.0, f)?;
            f.write_str("\"")
        }
    }
}

/// A text, quoted where it must be.
struct Word<'a>(&'a [u8]);

impl Display for Word<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_plain(self.0) { self.0.as_bstr().fmt(f) } else { Quoted(self.0).fmt(f) }
    }
}

/// A text in quotes.
struct Quoted<'a>(&'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        escape(self.0, f)?;
        f.write_str("\"")
    }
}

/// Whether a text is read back as it stands, and looks like what it is.
fn is_plain(text: &[u8]) -> bool {
    let quoted = |c: char| c.is_whitespace() || matches!(c, '"' | '\\') || is_invisible(c);
    !text.is_empty() && std::str::from_utf8(text).is_ok_and(|text| !text.contains(quoted))
}

/// Control characters, and those that change or hide what stands around them on a screen: zero-width
/// and direction marks, line and paragraph separators.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn escape(text: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    for (start, end, c) in text.char_indices() {
        let bytes = &text[start..end];
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            ' ' => f.write_str(" ")?,
            // Invalid bytes come as this character, and so does the character itself.
            char::REPLACEMENT_CHARACTER => hexadecimal(bytes, f)?,
            c if c.is_whitespace() || is_invisible(c) => hexadecimal(bytes, f)?,
            c => write!(f, "{c}")?,
        }
    }
    Ok(())
}

fn hexadecimal(bytes: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}
