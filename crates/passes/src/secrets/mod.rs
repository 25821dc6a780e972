//! Secrets in files: which files are looked at, and what is found in one; and those in an image's config (`config`).
//!
//! What tokens of providers look like, and what stands beside a secret, is knowledge that a library keeps
//! (`redact-secret`). Which files are secrets by their place and form is here (`forms`), and so is what keeps the
//! library's work small and its false alarms few: where a file is (`place`), and which pieces of it can hold a token
//! at all (`windows`).

mod config;
mod forms;
mod keys;
mod place;
mod redact;
mod rules;
mod values;
mod windows;

use aho_corasick::AhoCorasick;
use bstr::ByteSlice as _;
use jettison_ir::{Confidence, Secret};

pub use config::ConfigSecret;
use place::Place;
use rules::{Hit, Rules};

/// Larger files are no text that somebody wrote a secret into; programs and data are.
const MOST: u64 = 1 << 20;

/// The same for files that are known to hold secrets by their names.
const MOST_BY_NAME: u64 = 16 << 20;

/// A NUL in so many first bytes makes a file binary, as `git` and `grep` have it.
const BINARY_BY: usize = 8 << 10;

/// Whether a name says that its file is packed or compiled: looking at it costs time and shows nothing.
#[rustfmt::skip]
fn is_opaque(path: &[u8]) -> bool {
    // No ending is longer.
    let end = &path[path.len().saturating_sub(6)..];
    let Some(dot) = end.iter().rposition(|&byte| byte == b'.') else { return false };
    matches!(
        &end[dot + 1..],
        b"a" | b"bmp" | b"br" | b"bz2" | b"class" | b"deb" | b"dll" | b"eot" | b"exe" | b"gif" | b"gmo" | b"gz" | b"ico"
        | b"jar" | b"jpeg" | b"jpg" | b"ko" | b"lz4" | b"lzma" | b"mo" | b"mp3" | b"mp4" | b"o" | b"otf" | b"png"
        | b"pyc" | b"pyo" | b"rlib" | b"rpm" | b"so" | b"tgz" | b"ttf" | b"wasm" | b"webp" | b"whl" | b"woff" | b"woff2"
        | b"xz" | b"zip" | b"zst"
    )
}

/// Why secrets cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The rules name a detector that the library does not have.
    #[error("the rules for secrets do not fit the library")]
    Rules {
        /// What the library says.
        #[source]
        source: redact_secret::DetectionConfigError,
    },
    /// The library's own table is wrong.
    #[error("the library for secrets cannot start")]
    Library {
        /// What the library says.
        #[source]
        source: redact_secret::SecretScanError,
    },
    /// The words that name secrets are wrong.
    #[error("the words for secrets make no search")]
    Words {
        /// What the library says.
        #[source]
        source: aho_corasick::BuildError,
    },
    /// A file cannot be looked through: more finds than the library counts.
    #[error("the file has more finds than can be told apart")]
    File {
        /// What the library says.
        #[source]
        source: redact_secret::SecretScanError,
    },
}

/// Looks for secrets. Made once and shared by all threads.
pub struct Scanner {
    rules: Rules,
    /// The words by which settings name secrets.
    names: AhoCorasick,
}

impl Scanner {
    /// A scanner with all rules.
    ///
    /// # Errors
    /// Where the rules and the library do not fit together.
    pub fn new() -> Result<Self, SecretsError> {
        let names = windows::names().map_err(|source| SecretsError::Words { source })?;
        Ok(Self { rules: Rules::new()?, names })
    }

    /// Whether the content of the file at `path` is worth reading: decided by its cleaned path and its size alone.
    #[must_use]
    pub fn wants(path: &[u8], size: u64) -> bool {
        if size == 0 {
            return false;
        }
        if forms::knows(path) {
            return size <= MOST_BY_NAME;
        }
        size <= MOST && !is_opaque(path) && Place::of(path) != Place::Unread
    }

    /// The secrets in a file, by line. What is in an ordinary file's lines is found by the library; what is one as a
    /// file, or stands where such things stand, by its form.
    ///
    /// # Errors
    /// Where the library gives up on the file.
    pub fn scan(&self, path: &[u8], content: &[u8]) -> Result<Vec<Secret>, SecretsError> {
        let place = Place::of(path);
        let mut found = forms::secrets(path, place, content);
        let is_binary = content[..content.len().min(BINARY_BY)].contains(&0);
        // What is known to be a secret as a whole needs no list of what is in it.
        let is_one = found.iter().any(|secret| secret.line.is_none() && secret.confidence == Confidence::High);
        if !is_binary && !is_one {
            self.scan_text(path, place, content, &mut found)?;
        }
        if found.is_empty() {
            return Ok(found);
        }
        // A token in what a package brought is most likely nobody's secret, and so is a key among tests.
        let most = match place {
            _ if place::is_made_up(path) => Confidence::Low,
            Place::Software | Place::Unread => Confidence::Medium,
            Place::System | Place::Own => Confidence::High,
        };
        found.iter_mut().for_each(|secret| secret.confidence = secret.confidence.min(most));
        found.sort_by(|a, b| (a.line, &a.rule).cmp(&(b.line, &b.rule)));
        Ok(found)
    }

    /// Adds what the library finds in a text to what is known by the file's form.
    fn scan_text(
        &self,
        path: &[u8],
        place: Place,
        content: &[u8],
        found: &mut Vec<Secret>,
    ) -> Result<(), SecretsError> {
        let keys = if place == Place::Software { Vec::new() } else { self.keys(path, content)? };
        found.retain(|secret| secret.line.is_none() || keys.iter().all(|key| key.line != secret.line));
        let has_key = !keys.is_empty();
        found.extend(keys);
        let mut hits = Vec::new();
        if place.is_configuration(path) {
            for window in windows::of_settings(content, &self.names) {
                hits.extend(self.rules.everything(&content[window.clone()], window.start)?);
            }
        } else {
            for window in windows::of(content, place != Place::Software) {
                hits.extend(self.rules.tokens(place, &content[window.clone()], window.start)?);
            }
        }
        for hit in hits {
            let line = line_of(content, hit.start);
            // A form says the same with more words; and what looks like a token inside a key is the key.
            let is_known = found.iter().any(|secret| secret.line == Some(line));
            let is_in_key = has_key && keys::covers(content, hit.start);
            if !is_known && !is_in_key {
                found.push(secret_of(&hit, content, line));
            }
        }
        Ok(())
    }

    /// The private keys in a text.
    fn keys(&self, path: &[u8], content: &[u8]) -> Result<Vec<Secret>, SecretsError> {
        if content.find(b"PRIVATE KEY").is_none() {
            return Ok(Vec::new());
        }
        let mut hits = self.rules.keys(content)?;
        let of_pgp = keys::of_pgp(content).into_iter();
        let is_new = |key: &Hit| !hits.iter().any(|hit| hit.start < key.end && key.start < hit.end);
        let of_pgp: Vec<Hit> = of_pgp.filter(is_new).collect();
        hits.extend(of_pgp);
        Ok(hits.iter().map(|hit| keys::secret(path, content, hit, line_of(content, hit.start))).collect())
    }
}

fn secret_of(hit: &Hit, content: &[u8], line: u32) -> Secret {
    Secret {
        rule: hit.rule.clone(),
        description: hit.kind.replace(['_', '-'], " "),
        line: Some(line),
        redacted: redact::shown(&content[hit.start..hit.end]),
        confidence: hit.confidence,
        is_whole_file: false,
    }
}

/// The line of the byte at `offset`, counted from 1.
fn line_of(content: &[u8], offset: usize) -> u32 {
    let before = content[..offset.min(content.len())].iter().filter(|&&byte| byte == b'\n').count();
    u32::try_from(before).unwrap_or(u32::MAX - 1) + 1
}

#[cfg(test)]
mod tests;
