//! Values in configuration files, whatever the file's grammar: found by the name before them.

use std::ops::Range;

use bstr::ByteSlice as _;

/// How a name must stand in the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// As a whole word.
    Whole,
    /// At the end of a longer one, as in `APP_DB_PASSWORD`.
    Ending,
}

/// The values of `names`, as in `name = value`, `name: value`, `"name": "value"`, by where they stand. Comments and
/// values that stand for another one do not count.
pub(super) fn assigned(content: &[u8], names: &[&str], how: Name) -> Vec<Range<usize>> {
    let lower = content.to_ascii_lowercase();
    let mut found: Vec<Range<usize>> = Vec::new();
    for name in names {
        for start in lower.find_iter(name) {
            let before = start.checked_sub(1).map(|at| lower[at]);
            let is_whole = before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'-');
            if (how == Name::Whole && (!is_whole || before == Some(b'_') && !name.starts_with('_')))
                || is_comment(content, start)
            {
                continue;
            }
            found.extend(
                value(content, start + name.len()).filter(|value| !stands_for_another(&content[value.clone()])),
            );
        }
    }
    found.sort_by_key(|value| value.start);
    found.dedup();
    found
}

/// The words that follow `name`, as in `.netrc`.
pub(super) fn following(content: &[u8], name: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut is_next = false;
    let mut at = 0;
    for word in content.split(u8::is_ascii_whitespace) {
        let start = at;
        at += word.len() + 1;
        if word.is_empty() {
            continue;
        }
        if is_next && !stands_for_another(word) && !is_comment(content, start) {
            found.push(start..start + word.len());
        }
        is_next = word == name.as_bytes();
    }
    found
}

/// The contents of XML elements with these names.
pub(super) fn elements(content: &[u8], names: &[&str]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for name in names {
        let open = format!("<{name}>");
        for start in content.find_iter(&open) {
            let start = start + open.len();
            let Some(length) = content[start..].find(b"</") else { continue };
            if !stands_for_another(content[start..start + length].trim()) {
                found.push(start..start + length);
            }
        }
    }
    found
}

/// The passwords in URLs.
pub(super) fn in_urls(content: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for start in content.find_iter(b"://").map(|at| at + 3) {
        let rest = &content[start..];
        let end = rest.find_byteset(b"/ \t\r\n\"'<>").unwrap_or(rest.len());
        let Some(host) = rest[..end].rfind_byte(b'@') else { continue };
        let Some(colon) = rest[..host].find_byte(b':') else { continue };
        let password = start + colon + 1..start + host;
        if !is_comment(content, start) && !stands_for_another(&content[password.clone()]) {
            found.push(password);
        }
    }
    found
}

/// The field at `index` of lines that are split by colons.
pub(super) fn fields(content: &[u8], index: usize, is_secret: fn(&[u8]) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in content.lines_with_terminator() {
        let mut at = start;
        start += line.len();
        for (place, field) in line.trim_end_with(|c| c == '\n' || c == '\r').split_str(b":").enumerate() {
            if place == index && !line.starts_with(b"#") && is_secret(field) {
                found.push(at..at + field.len());
            }
            at += field.len() + 1;
        }
    }
    found
}

/// Whether the file says nothing but these values: every line is one, a comment, a section or empty.
pub(super) fn are_all(content: &[u8], values: &[Range<usize>]) -> bool {
    let mut start = 0;
    content.lines_with_terminator().all(|line| {
        let range = start..start + line.len();
        start = range.end;
        let line = line.trim();
        line.is_empty()
            || line.starts_with(b"#")
            || line.starts_with(b";")
            || line.starts_with(b"[")
            || values.iter().any(|value| range.contains(&value.start))
    })
}

fn is_comment(content: &[u8], at: usize) -> bool {
    let line = content[..at].rsplit_once_str(b"\n").map_or(&content[..at], |(_, line)| line).trim_start();
    line.starts_with(b"#") || line.starts_with(b";")
}

/// The value behind a name that ends at `at`.
fn value(content: &[u8], at: usize) -> Option<Range<usize>> {
    let blank = |at: usize| at + content[at..].iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
    let quoted = |at: usize| matches!(content.get(at), Some(b'"' | b'\''));
    let at = blank(if quoted(at) { at + 1 } else { at });
    if !matches!(content.get(at), Some(b'=' | b':')) {
        return None;
    }
    let start = blank(at + 1);
    let (start, ends): (usize, &[u8]) = match content.get(start) {
        Some(b'"') => (start + 1, b"\"\n"),
        Some(b'\'') => (start + 1, b"'\n"),
        _ => (start, b" \t\r\n,;\"'"),
    };
    let length = content[start..].find_byteset(ends).unwrap_or(content.len() - start);
    (length > 0).then_some(start..start + length)
}

/// Whether a value is a reference, a default or an invitation to fill something in.
pub(super) fn stands_for_another(value: &[u8]) -> bool {
    const STARTS: &[u8] = b"$<{[%*@!&|>";
    const WORDS: [&str; 12] = [
        "changeme",
        "change_me",
        "change-me",
        "dummy",
        "example",
        "insert",
        "placeholder",
        "redacted",
        "replace",
        "todo",
        "xxxx",
        "your",
    ];
    const NOTHING: [&str; 6] = ["null", "none", "nil", "true", "false", "password"];
    let lower = value.to_ascii_lowercase();
    let Some(first) = lower.first() else { return true };
    STARTS.contains(first)
        || lower.iter().all(|byte| byte == first)
        || NOTHING.iter().any(|word| lower == word.as_bytes())
        || WORDS.iter().any(|word| lower.contains_str(word))
}
