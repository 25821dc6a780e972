//! The pieces of a text that can hold a token, found at the speed of memory.
//!
//! Every token of a provider has a long run of letters and digits. Text and source have few of them, so that the
//! library looks at a fiftieth of an ordinary file. Digests are such runs too and by far the most frequent ones: a
//! run of hexadecimal digits alone is no token that could be known by its form.

use std::ops::Range;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
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
    let mut windows: Vec<Range<usize>> = runs(content, is_likely).map(|run| around(content, &run)).collect();
    if urls {
        windows.extend(urls_with_password(content).map(|url| around(content, &url)));
    }
    merged(windows)
}

/// The windows of somebody's settings, where values are known by the names beside them: lines with a long run of any
/// kind or with a word that names secrets, each with the lines before and after it, where a name or a value may stand.
pub(super) fn of_settings(content: &[u8], names: &AhoCorasick) -> Vec<Range<usize>> {
    let named = names.find_iter(content).map(|found| found.range());
    let runs = runs(content, |content, run| content[run.clone()].iter().any(u8::is_ascii_digit));
    let urls = urls_with_password(content);
    merged(named.chain(runs).chain(urls).map(|found| with_neighbours(content, &found)).collect())
}

/// Finds parts of the words by which settings name their secrets.
///
/// # Errors
/// Where the words make no automaton.
pub(super) fn names() -> Result<AhoCorasick, BuildError> {
    const WORDS: [&str; 7] = ["auth", "cred", "key", "pass", "pwd", "secret", "token"];
    // Written out, the ways in which people write these words are found many bytes at a time.
    let capital = |word: &str| [&word[..1].to_ascii_uppercase(), &word[1..]].concat();
    let words = WORDS.iter().flat_map(|word| [(*word).to_owned(), capital(word), word.to_ascii_uppercase()]);
    // The standard kind knows no such search.
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(words)
}

/// Windows in order, those that touch as one.
fn merged(mut windows: Vec<Range<usize>>) -> Vec<Range<usize>> {
    windows.sort_by_key(|window| window.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for window in windows {
        match merged.last_mut() {
            Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
            _ => merged.push(window),
        }
    }
    merged
}

/// So many bytes in a row are looked at, and so many from one row to the next: no run of [`RUN`] bytes lies between.
const PROBE: usize = 8;
const STRIDE: usize = RUN - PROBE + 1;

/// The long runs of a kind. Most of a text has shorter words than a probe is long, so that only the probes are read.
fn runs(content: &[u8], is_wanted: fn(&[u8], &Range<usize>) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let mut at = next;
        while let Some(probe) = content.get(at..at + PROBE) {
            // All of them without a branch: which byte ends a word no processor can guess.
            if probe.iter().fold(1, |all, &byte| all & OF_TOKEN[usize::from(byte)]) == 0 {
                at += STRIDE;
                continue;
            }
            let before = content[..at].iter().rev().take_while(|&&byte| is_of_token(byte)).count();
            let after = content[at..].iter().take_while(|&&byte| is_of_token(byte)).count();
            let run = at - before..at + after;
            at = run.end + 1;
            next = at;
            if run.len() >= RUN && is_wanted(content, &run) {
                return Some(run);
            }
        }
        None
    })
}

/// Whether a run can be a token that is known by its form.
fn is_likely(content: &[u8], run: &Range<usize>) -> bool {
    can_be_token(&content[run.clone()]) && !is_digest(content, run) && !is_wrapped(content, run)
}

/// 1 for each byte that tokens consist of.
const OF_TOKEN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = u8::MAX;
    while byte > 0 {
        table[byte as usize] = (byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') as u8;
        byte -= 1;
    }
    table
};

fn is_of_token(byte: u8) -> bool {
    OF_TOKEN[usize::from(byte)] == 1
}

/// Random text of this length has a digit; names have none. Only the shortest of all tokens may lack one.
fn can_be_token(run: &[u8]) -> bool {
    let has_digit = run.iter().any(u8::is_ascii_digit);
    let is_hexadecimal = run.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    // Setting up a search costs more than the search of so short a text.
    (has_digit && !is_hexadecimal) || run.windows(4).any(|four| four == b"AKIA" || four == b"ASIA")
}

/// Whether a run is a digest in Base64 by the name before it, as in lists of files and in lock files.
fn is_digest(content: &[u8], run: &Range<usize>) -> bool {
    const NAMES: [&[u8]; 4] = [b"sha1", b"sha256", b"sha384", b"sha512"];
    // A `/` of Base64 splits a digest, and the name may stand before an earlier part of it.
    let before = &content[run.start.saturating_sub(96)..run.start];
    let word = before.iter().rev().take_while(|&&byte| is_of_token(byte) || matches!(byte, b'+' | b'/' | b'=')).count();
    let word = &content[run.start - word..run.end];
    NAMES.iter().any(|name| word.strip_prefix(*name).is_some_and(|rest| matches!(rest.first(), Some(b'-' | b'='))))
}

/// Whether a run's line is one of those that programs wrap Base64 into (64 by RFC 7468, 76 by RFC 2045), such as a
/// certificate's. Tokens are not split over lines.
fn is_wrapped(content: &[u8], run: &Range<usize>) -> bool {
    let is_base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let before = content[..run.start].iter().rev().take(77).take_while(is_base64).count();
    let after = content[run.start..].iter().take(77).take_while(is_base64).count();
    let (start, end) = (run.start - before, run.start + after);
    let is_line = (start == 0 || content[start - 1] == b'\n') && matches!(content.get(end), None | Some(b'\r' | b'\n'));
    is_line && matches!(end - start, 64 | 76)
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

/// The line that something is in with the one before and the one after it, each cut where it is long.
fn with_neighbours(content: &[u8], found: &Range<usize>) -> Range<usize> {
    let own = around(content, found);
    let before = around(content, &(own.start.saturating_sub(1)..own.start));
    let after = around(content, &(own.end..(own.end + 1).min(content.len())));
    before.start.min(own.start)..after.end.max(own.end)
}
