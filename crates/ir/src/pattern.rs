//! Patterns of paths, as `--keep` takes them.

use std::fmt;

/// A pattern of absolute paths: `*`, `?` and sets such as `[0-9]` within a name, `**` over folders. What matches a folder
/// matches all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    names: Vec<Vec<u8>>,
}

/// A text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not start at the root.
    #[error("the pattern {text:?} must be an absolute path, such as /usr/share/doc/**")]
    Relative {
        /// The text.
        text: String,
    },
    /// A set of characters has no end in its name.
    #[error("the pattern {text:?} has a [ at character {at} that no ] closes before the name ends")]
    Unclosed {
        /// The text.
        text: String,
        /// Where the set starts, in characters from 1.
        at: usize,
    },
}

impl Pattern {
    /// Whether it matches a path or a folder above it; `path` is without its leading slash.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
        (0..=names.len()).any(|length| matches(&self.names, &names[..length]))
    }
}

fn matches(pattern: &[Vec<u8>], names: &[&[u8]]) -> bool {
    match pattern.split_first() {
        None => names.is_empty(),
        Some((first, rest)) if first == b"**" => (0..=names.len()).any(|skip| matches(rest, &names[skip..])),
        Some((first, rest)) => {
            names.split_first().is_some_and(|(name, left)| matches_name(first, name) && matches(rest, left))
        }
    }
}

/// Whether a name is one of a pattern's, which has no folders: `*`, `?`, `[a-z]`.
#[must_use]
pub fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| matches_name(rest, &name[skip..])),
        Some((b'?', rest)) => !name.is_empty() && matches_name(rest, &name[1..]),
        Some((b'[', rest)) if rest.contains(&b']') => {
            let end = rest.iter().position(|byte| *byte == b']').unwrap_or_default();
            name.first().is_some_and(|byte| is_in_set(&rest[..end], *byte))
                && matches_name(&rest[end + 1..], &name[1..])
        }
        Some((byte, rest)) => name.first() == Some(byte) && matches_name(rest, &name[1..]),
    }
}

/// Where a set starts that does not end within its name, in characters from 1.
fn unclosed(text: &str) -> Option<usize> {
    let mut open = None;
    for (at, character) in text.chars().enumerate() {
        match character {
            '[' => open = open.or(Some(at + 1)),
            ']' => open = None,
            '/' if open.is_some() => break,
            _ => {}
        }
    }
    open
}

/// Whether a byte is one of a set's, or within one of its ranges.
fn is_in_set(set: &[u8], byte: u8) -> bool {
    match set {
        [from, b'-', to, rest @ ..] => (*from..=*to).contains(&byte) || is_in_set(rest, byte),
        [one, rest @ ..] => *one == byte || is_in_set(rest, byte),
        [] => false,
    }
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::Relative { text: text.to_owned() });
        }
        if let Some(at) = unclosed(text) {
            return Err(PatternError::Unclosed { text: text.to_owned(), at });
        }
        let names = text.split('/').filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec());
        Ok(Self { text: text.to_owned(), names: names.collect() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_paths_and_all_below_folders() {
        let is_match = |pattern: &str, path: &str| pattern.parse::<Pattern>().unwrap().matches(path.as_bytes());
        for (pattern, path) in [
            ("/usr/share/doc/**", "usr/share/doc/bash/README"),
            ("/usr/share/doc", "usr/share/doc/bash"),
            ("/**/*.md", "opt/app/README.md"),
            ("/**/*.md", "README.md"),
            ("/opt/?pp", "opt/app/x"),
            ("/", "anything"),
            ("/core.[0-9]*", "core.123"),
            ("/[a-cx]", "x"),
        ] {
            assert!(is_match(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/usr/share/doc", "usr/share/docs"),
            ("/*.md", "opt/README.md"),
            ("/opt/app/x", "opt/app"),
            ("/a?", "a"),
            ("/core.[0-9]*", "core.js"),
            ("/[a-c]", "d"),
        ] {
            assert!(!is_match(pattern, path), "{pattern} {path}");
        }
        assert_eq!("doc".parse::<Pattern>(), Err(PatternError::Relative { text: "doc".to_owned() }));
    }

    #[test]
    fn a_set_ends_within_its_name() {
        for (text, at) in [("/usr/[a", 6), ("/ü/[a/b]", 4), ("/[ab]/[[c", 7), ("/[", 2)] {
            assert_eq!(text.parse::<Pattern>(), Err(PatternError::Unclosed { text: text.to_owned(), at }), "{text}");
        }
        for text in ["/usr/[a]", "/a]", "/[[]", "/[a][b]/c"] {
            assert!(text.parse::<Pattern>().is_ok(), "{text}");
        }
        let shown = "/usr/[a".parse::<Pattern>().unwrap_err().to_string();
        assert_eq!(shown, r#"the pattern "/usr/[a" has a [ at character 6 that no ] closes before the name ends"#);
    }
}
