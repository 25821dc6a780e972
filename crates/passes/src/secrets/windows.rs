//! The pieces of a text that can hold a token, found at the speed of memory.
//!
//! Every token of a provider has a long run of letters and digits. Text and source have few of them, so that the
//! library looks at a fiftieth of an ordinary file. Digests are such runs too and by far the most frequent ones: a
//! run of hexadecimal digits alone is no token that could be known by its form.

use std::ops::Range;

use bstr::ByteSlice as _;

/// The shortest run: an AWS access key has 20 characters, and hardly anything that can be known has fewer.
const RUN: usize = 20;

/// How much before and after a run is looked at where its line is longer: names stand near.
const NEAR: usize = 256;

/// The longest part between a URL's scheme and its host.
const USER_INFO: usize = 256;

/// The windows of a text: whole lines where they are short, in order and without overlaps. `urls` asks for URLs with
/// a password as well.
pub(super) fn of(content: &[u8], urls: bool) -> Vec<Range<usize>> {
    let mut windows: Vec<Range<usize>> = runs(content).map(|run| around(content, &run)).collect();
    if urls {
        windows.extend(urls_with_password(content).map(|url| around(content, &url)));
        windows.sort_by_key(|window| window.start);
    }
    let mut merged: Vec<Range<usize>> = Vec::new();
    for window in windows {
        match merged.last_mut() {
            Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
            _ => merged.push(window),
        }
    }
    merged
}

/// The runs that can be tokens. Only every twentieth byte is looked at until one is in a run.
fn runs(content: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = RUN - 1;
    std::iter::from_fn(move || {
        while let Some(&byte) = content.get(at) {
            if !is_of_token(byte) {
                at += RUN;
                continue;
            }
            let before = content[..at].iter().rev().take_while(|&&byte| is_of_token(byte)).count();
            let after = content[at..].iter().take_while(|&&byte| is_of_token(byte)).count();
            let run = at - before..at + after;
            at = run.end + RUN;
            if run.len() >= RUN && can_be_token(&content[run.clone()]) {
                return Some(run);
            }
        }
        None
    })
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Random text of this length has a digit; names have none. Only the shortest of all tokens may lack one.
fn can_be_token(run: &[u8]) -> bool {
    let has_digit = run.iter().any(u8::is_ascii_digit);
    let is_digest = run.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    (has_digit && !is_digest) || run.contains_str(b"AKIA") || run.contains_str(b"ASIA")
}

/// URLs with a user and a password in front of the host.
fn urls_with_password(content: &[u8]) -> impl Iterator<Item = Range<usize>> {
    content.find_iter(b"://").filter_map(|start| {
        let rest = &content[start + 3..];
        let rest = &rest[..rest.len().min(USER_INFO)];
        let end = rest.find_byteset(b"/ \t\r\n\"'<>`").unwrap_or(rest.len());
        let host = rest[..end].rfind_byte(b'@')?;
        rest[..host].contains(&b':').then_some(start..start + 3 + end)
    })
}

/// The line that a run is in, cut where it is long.
fn around(content: &[u8], run: &Range<usize>) -> Range<usize> {
    let before = &content[run.start.saturating_sub(NEAR)..run.start];
    let after = &content[run.end..(run.end + NEAR).min(content.len())];
    let start = before.rfind_byte(b'\n').map_or(run.start - before.len(), |at| run.start - before.len() + at + 1);
    start..run.end + after.find_byte(b'\n').unwrap_or(after.len())
}
