//! Go's `filepath.Match`: `*`, `?`, classes and backslashes within one path component. COPY and ADD choose their sources
//! with it.

/// A pattern that Go's `filepath.Match` refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

enum Element {
    Literal(char),
    /// Any character but a slash.
    One,
    /// Any number of characters but slashes.
    Star,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Element {
    fn accepts(&self, ch: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == ch,
            Self::One => ch != '/',
            Self::Star => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&ch)) != *negated
            }
        }
    }
}

/// Whether the whole of `path` matches `pattern`.
///
/// # Errors
/// Where the pattern is malformed anywhere, also behind the place of a mismatch.
pub fn matches_pattern(pattern: &str, path: &str) -> Result<bool, BadPattern> {
    let elements = parse(pattern)?;
    let (mut index, mut at) = (0, 0);
    // Where to go on after a mismatch: behind the last star, which then takes one character more. Earlier stars need
    // not be tried again.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let next = path[at..].chars().next();
        match (elements.get(index), next) {
            (None, None) => return Ok(true),
            (Some(Element::Star), _) => {
                index += 1;
                retry = Some((index, at));
                continue;
            }
            (Some(element), Some(ch)) if element.accepts(ch) => {
                index += 1;
                at += ch.len_utf8();
                continue;
            }
            _ => {}
        }
        let Some((star, from)) = retry else { return Ok(false) };
        match path[from..].chars().next() {
            Some(ch) if ch != '/' => {
                at = from + ch.len_utf8();
                index = star;
                retry = Some((star, at));
            }
            _ => return Ok(false),
        }
    }
}

/// Whether the pattern is well-formed.
pub(super) fn check(pattern: &str) -> Result<(), BadPattern> {
    parse(pattern).map(|_| ())
}

fn parse(pattern: &str) -> Result<Vec<Element>, BadPattern> {
    let mut elements = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(ch) = chars.next() {
        elements.push(match ch {
            '*' => Element::Star,
            '?' => Element::One,
            '\\' => Element::Literal(chars.next().ok_or(BadPattern)?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                    let low = class_character(&mut chars)?;
                    let high = if chars.next_if_eq(&'-').is_some() { class_character(&mut chars)? } else { low };
                    ranges.push((low, high));
                }
                Element::Class { negated, ranges }
            }
            literal => Element::Literal(literal),
        });
    }
    Ok(elements)
}

fn class_character(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, BadPattern> {
    match chars.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => chars.next().ok_or(BadPattern),
        Some(ch) => Ok(ch),
    }
}
