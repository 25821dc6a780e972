//! Heredocs of RUN, COPY and ADD.

use crate::Span;

/// A heredoc: `<<NAME` on the instruction's line, and its lines below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The whole word, `<<-"NAME"`, in the logical line.
    pub word: Span,
    /// The line that ends it.
    pub name: String,
    /// The number before `<<`, 0 where there is none.
    pub descriptor: u64,
    /// Whether variables in its lines are expanded: not where the name is quoted.
    pub expands: bool,
    /// Whether leading tabs are stripped: `<<-`.
    pub strips_tabs: bool,
    /// Its lines in the source, each with its end.
    pub body: Span,
    /// The ending line without its line end; empty where the file ends before it.
    pub terminator: Span,
}

/// The heredocs that a logical line announces, without their lines.
pub(super) fn announced(line: &str, escape: char) -> Vec<Heredoc> {
    raw_words(line, escape).into_iter().filter_map(|word| heredoc(line, word)).collect()
}

/// The word as a heredoc: digits, `<<`, `-`, then a single word without another `<`.
fn heredoc(line: &str, word: Span) -> Option<Heredoc> {
    let text = word.of(line);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text[digits..].strip_prefix("<<")?;
    let (strips_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let name = unquoted(rest)?;
    Some(Heredoc {
        word,
        expands: name == rest,
        name,
        descriptor: text[..digits].parse().unwrap_or(0),
        strips_tabs,
        body: Span::default(),
        terminator: Span::default(),
    })
}

/// The value of a single word without its quotes; `None` where quotes are not closed.
fn unquoted(word: &str) -> Option<String> {
    let mut value = String::new();
    let mut chars = word.chars();
    while let Some(character) = chars.next() {
        match character {
            '\'' => loop {
                match chars.next()? {
                    '\'' => break,
                    inner => value.push(inner),
                }
            },
            '"' => loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => match chars.next()? {
                        escaped @ ('"' | '$' | '\\') => value.push(escaped),
                        other => value.extend(['\\', other]),
                    },
                    inner => value.push(inner),
                }
            },
            '\\' => value.extend(chars.next()),
            other => value.push(other),
        }
    }
    Some(value)
}

/// Words between white space, quotes kept; none at all where a quote or a `${` is not closed.
fn raw_words(line: &str, escape: char) -> Vec<Span> {
    let mut words = Vec::new();
    let mut start: Option<usize> = None;
    let mut chars = line.char_indices().peekable();
    while let Some((at, character)) = chars.next() {
        if character.is_whitespace() {
            if let Some(start) = start.take() {
                words.push(Span::new(start, at));
            }
            continue;
        }
        start.get_or_insert(at);
        match character {
            '\'' if !chars.by_ref().any(|(_, inner)| inner == '\'') => return Vec::new(),
            '"' => loop {
                match chars.next() {
                    None => return Vec::new(),
                    Some((_, '"')) => break,
                    Some((_, inner)) if inner == escape => drop(chars.next()),
                    Some((_, '$')) if chars.peek().is_some_and(|next| next.1 == '{') && !closed(&mut chars) => {
                        return Vec::new();
                    }
                    Some(_) => {}
                }
            },
            '$' if chars.peek().is_some_and(|next| next.1 == '{') && !closed(&mut chars) => return Vec::new(),
            other if other == escape => drop(chars.next()),
            _ => {}
        }
    }
    words.extend(start.map(|start| Span::new(start, line.len())));
    words
}

/// Skips `{name…}`, nested ones too; whether it is closed and has a name.
fn closed(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>) -> bool {
    chars.next();
    if chars.peek().is_some_and(|next| matches!(next.1, '}' | ':')) {
        return false;
    }
    let mut depth = 1;
    while depth > 0 {
        match chars.next() {
            None => return false,
            Some((_, '}')) => depth -= 1,
            Some((_, '$')) if chars.peek().is_some_and(|next| next.1 == '{') => {
                chars.next();
                depth += 1;
            }
            Some(_) => {}
        }
    }
    true
}
