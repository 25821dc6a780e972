//! The patterns of `${v#pattern}`, `${v%pattern}` and `${v/pattern/text}`: `*`, `?` and backslashes, no brackets.
//! BuildKit turns them into Go regular expressions; what such an expression prefers is matched here, up to `.` not
//! matching a line end and `$0` in the replacement of `//` being the match.

use std::collections::HashSet;

/// What `*` prefers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stars {
    /// As little as possible.
    Shortest,
    /// As much as possible.
    Longest,
}

enum Element {
    Literal(char),
    One,
    Star,
}

/// A pattern that was understood.
pub(super) struct Pattern {
    elements: Vec<Element>,
    stars: Stars,
}

impl Pattern {
    /// Reads a pattern; the error is the character behind a backslash that cannot be escaped.
    pub(super) fn new(text: &str, stars: Stars) -> Result<Self, char> {
        let mut elements = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(ch) = chars.next() {
            elements.push(match ch {
                '*' => Element::Star,
                '?' => Element::One,
                // The escape of `}` and `/` belongs to the substitution's own syntax.
                '\\' if matches!(chars.peek(), Some('}' | '/')) => continue,
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '?' | '\\')) => Element::Literal(escaped),
                    other => return Err(other.unwrap_or(char::REPLACEMENT_CHARACTER)),
                },
                literal => Element::Literal(literal),
            });
        }
        Ok(Self { elements, stars })
    }

    /// The end of the preferred match that begins at `from`. Alternatives wait on a stack, best on top; a state that was
    /// tried once cannot succeed later.
    fn match_at(&self, text: &str, from: usize) -> Option<usize> {
        let mut tried = HashSet::new();
        let mut alternatives = vec![(0, from)];
        'alternative: while let Some((mut index, mut at)) = alternatives.pop() {
            while let Some(element) = self.elements.get(index) {
                let next = text[at..].chars().next();
                let next_at = at + next.map_or(0, char::len_utf8);
                match element {
                    Element::Literal(literal) if next == Some(*literal) => at = next_at,
                    Element::One if next.is_some_and(|ch| ch != '\n') => at = next_at,
                    Element::Literal(_) | Element::One => continue 'alternative,
                    Element::Star => {
                        if !tried.insert((index, at)) {
                            continue 'alternative;
                        }
                        if next.is_some_and(|ch| ch != '\n') {
                            if self.stars == Stars::Longest {
                                alternatives.push((index + 1, at));
                                at = next_at;
                                continue;
                            }
                            alternatives.push((index, next_at));
                        }
                    }
                }
                index += 1;
            }
            return Some(at);
        }
        None
    }

    /// The leftmost match at or behind `from`.
    fn find(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let starts = text[from..].char_indices().map(|(at, _)| from + at).chain([text.len()]);
        starts.into_iter().find_map(|start| self.match_at(text, start).map(|end| (start, end)))
    }

    /// `text` without the match at its start.
    pub(super) fn trim_prefix<'a>(&self, text: &'a str) -> &'a str {
        self.match_at(text, 0).map_or(text, |end| &text[end..])
    }

    /// `text` with its first match replaced.
    pub(super) fn replace_first(&self, text: &str, replacement: &str) -> String {
        match self.find(text, 0) {
            Some((start, end)) => format!("{}{replacement}{}", &text[..start], &text[end..]),
            None => text.to_owned(),
        }
    }

    /// `text` with all matches replaced. An empty match directly behind another match is none.
    pub(super) fn replace_all(&self, text: &str, replacement: &str) -> String {
        let mut out = String::new();
        let mut last_end = 0;
        let mut search = 0;
        while search <= text.len() {
            let Some((start, end)) = self.find(text, search) else { break };
            out.push_str(&text[last_end..start]);
            if end > last_end || start == 0 {
                push_template(&mut out, replacement, &text[start..end]);
            }
            last_end = end;
            let width = text[search..].chars().next().map_or(1, char::len_utf8);
            search = end.max(search + width);
        }
        out.push_str(&text[last_end..]);
        out
    }
}

/// Writes `template` with `$0` replaced by the match, other groups by nothing, `$$` by `$`: Go reads the replacement so.
fn push_template(out: &mut String, template: &str, matched: &str) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = after.starts_with('{');
        let inner = &after[usize::from(braced)..];
        let length = inner.find(|ch: char| ch != '_' && !ch.is_alphanumeric()).unwrap_or(inner.len());
        let (name, behind) = inner.split_at(length);
        let behind = if braced { behind.strip_prefix('}') } else { Some(behind) };
        match behind {
            Some(behind) if !name.is_empty() => {
                if name == "0" {
                    out.push_str(matched);
                }
                rest = behind;
            }
            _ => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

/// `pattern` from its end to its start, with backslashes still before what they escape.
pub(super) fn reversed_pattern(pattern: &str) -> String {
    let mut units: Vec<String> = Vec::new();
    let mut chars = pattern.chars();
    while let Some(ch) = chars.next() {
        let mut unit = String::from(ch);
        if ch == '\\' {
            unit.extend(chars.next());
        }
        units.push(unit);
    }
    units.reverse();
    units.concat()
}
