//! How an instruction's text splits into keyword, flags, words and pairs.

use crate::Span;

use super::instruction::Flag;

/// The blanks that separate a keyword and plain words.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x0B | 0x0C | b'\r' | b' ')
}

/// The span of `text` without white space around it, counted from `offset`.
pub(super) fn trimmed(text: &str, offset: usize) -> Span {
    let start = text.len() - text.trim_start().len();
    Span::new(offset + start, offset + start + text[start..].trim_end().len())
}

/// The first word and the rest, which may be empty: of the part `span` of `line`.
pub(super) fn keyword(line: &str, span: Span) -> (Span, Span) {
    let text = span.of(line);
    let start = span.start as usize;
    let end = text.bytes().position(is_separator).unwrap_or(text.len());
    let rest = text[end..].bytes().position(|byte| !is_separator(byte)).map_or(text.len(), |blanks| end + blanks);
    (Span::new(start, start + end), Span::new(start + rest, start + text.len()))
}

/// Words between blanks.
pub(super) fn plain(line: &str, span: Span) -> Vec<Span> {
    let text = span.of(line).as_bytes();
    let base = span.start as usize;
    let mut words = Vec::new();
    let mut start = 0;
    while start <= text.len() && !text.is_empty() {
        let end = text[start..].iter().position(|byte| is_separator(*byte)).map_or(text.len(), |at| start + at);
        words.push(Span::new(base + start, base + end));
        if end == text.len() {
            break;
        }
        start = text[end..].iter().position(|byte| !is_separator(*byte)).map_or(text.len(), |at| end + at);
    }
    words
}

/// Words between white space, quotes and escapes kept in them, as in `ENV`, `LABEL` and `ARG`.
pub(super) fn quoted(line: &str, span: Span, escape: char) -> Vec<Span> {
    let text = span.of(line);
    let base = span.start as usize;
    let mut words = Vec::new();
    let mut start: Option<usize> = None;
    let mut quote: Option<char> = None;
    // The end of the last word stops before an escape character that nothing follows.
    let mut end = text.len();
    let mut chars = text.char_indices();
    while let Some((at, character)) = chars.next() {
        if quote.is_none() && character.is_whitespace() {
            if let Some(start) = start.take() {
                words.push(Span::new(base + start, base + at));
            }
            continue;
        }
        start.get_or_insert(at);
        if character == escape && quote != Some('\'') {
            if chars.next().is_none() {
                end = at;
            }
            continue;
        }
        match quote {
            Some(open) if open == character => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            _ => {}
        }
    }
    if let Some(start) = start
        && start < end
    {
        words.push(Span::new(base + start, base + end));
    }
    words
}

/// The white space around flags: BuildKit reads them byte by byte, and knows no other.
fn is_flag_space(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// The leading `--name=value` words of `span`, and what is behind them.
pub(super) fn flags(line: &str, span: Span) -> (Vec<Flag>, Span) {
    let text = span.of(line);
    let base = span.start as usize;
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches(is_flag_space).len();
        if !text[at..].starts_with("--") {
            break;
        }
        let (end, value) = flag(&text[at..]);
        let (start, stop) = (base + at, base + at + end);
        at += end;
        if value == "--" {
            break;
        }
        if !value.is_empty() {
            flags.push(Flag { span: Span::new(start, stop), text: value });
        }
    }
    (flags, trimmed(&text[at..], base + at))
}

/// One flag: where it ends, and its text without quotes and escapes.
fn flag(text: &str) -> (usize, String) {
    let mut value = String::new();
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices();
    while let Some((at, character)) = chars.next() {
        match (quote, character) {
            (None, c) if is_flag_space(c) => return (at, value),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), c) if open == c => quote = None,
            (_, '\\') => {
                if let Some((_, escaped)) = chars.next() {
                    value.push(escaped);
                }
            }
            _ => value.push(character),
        }
    }
    (text.len(), value)
}
