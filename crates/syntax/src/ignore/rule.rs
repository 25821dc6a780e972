//! One pattern of `.dockerignore`, ready to be matched: moby's translation into a regular expression, and the three
//! shortcuts that it takes, which differ from the expression in places (`**foo` matches `barfoo`).

use super::IgnoreErrorKind;
use super::glob;
use super::regex::Regex;

/// What a pattern became.
#[derive(Clone, Debug)]
pub(super) enum Matcher {
    /// The path is the pattern.
    Exact(String),
    /// The path begins with this.
    Prefix(String),
    /// The path ends with this, or is this without its leading slash.
    Suffix(String),
    /// The path matches.
    Regex(Regex),
}

enum Kind {
    Exact,
    Prefix,
    Suffix,
    Regex,
}

impl Matcher {
    pub(super) fn new(pattern: &str) -> Result<Self, IgnoreErrorKind> {
        if pattern.is_empty() {
            return Err(IgnoreErrorKind::NothingNegated);
        }
        glob::check(pattern).map_err(|_| IgnoreErrorKind::Syntax { pattern: pattern.to_owned() })?;
        let (expression, kind) = translate(pattern);
        Ok(match kind {
            Kind::Exact => Self::Exact(pattern.to_owned()),
            Kind::Prefix => Self::Prefix(pattern[..pattern.len() - 2].to_owned()),
            Kind::Suffix => Self::Suffix(pattern[2..].to_owned()),
            Kind::Regex => Self::Regex(
                Regex::new(&expression)
                    .map_err(|reason| IgnoreErrorKind::Unmatchable { pattern: pattern.to_owned(), reason })?,
            ),
        })
    }

    pub(super) fn is_match(&self, path: &str) -> bool {
        match self {
            Self::Exact(pattern) => path == pattern,
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => path.ends_with(suffix.as_str()) || suffix.strip_prefix('/') == Some(path),
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

/// The regular expression of a pattern, and whether it is needed. `{`, `|`, `}` and `^` are not escaped, as in moby.
fn translate(pattern: &str) -> (String, Kind) {
    let mut expression = String::from("^");
    let mut kind = Kind::Exact;
    let mut chars = pattern.chars().peekable();
    let mut first = true;
    while let Some(ch) = chars.next() {
        match ch {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                if chars.peek().is_some() {
                    expression.push_str("(.*/)?");
                    kind = Kind::Regex;
                } else if matches!(kind, Kind::Exact) {
                    kind = Kind::Prefix;
                } else {
                    expression.push_str(".*");
                    kind = Kind::Regex;
                }
                if first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                expression.push_str("[^/]*");
                kind = Kind::Regex;
            }
            '?' => {
                expression.push_str("[^/]");
                kind = Kind::Regex;
            }
            '.' | '+' | '(' | ')' | '$' => expression.extend(['\\', ch]),
            '\\' => {
                // The syntax was checked: something follows.
                expression.push('\\');
                expression.extend(chars.next());
                kind = Kind::Regex;
            }
            '[' | ']' => {
                expression.push(ch);
                kind = Kind::Regex;
            }
            literal => expression.push(literal),
        }
        first = false;
    }
    expression.push('$');
    (expression, kind)
}
