//! Heredocs of RUN, COPY and ADD.

use crate::Span;
use crate::expand::{ExpandError, Lexer};

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

/// The heredocs that a logical line announces, without their lines; the error is what BuildKit's parser stops at.
///
/// BuildKit reads the line with its word lexer, as if no variable were set and always with `\` as the escape character.
/// A line that the lexer does not take announces none.
pub(super) fn announced(line: &str) -> Result<Vec<Heredoc>, ExpandError> {
    let lexer = Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lexer::new('\\') };
    let words = lexer.process_words_in_place(line, &|_| None).unwrap_or_default();
    let found = words.into_iter().map(|(word, span)| heredoc(&word, span));
    found.filter_map(Result::transpose).collect()
}

/// The word as a heredoc: digits, `<<`, `-`, then a single word without another `<`.
fn heredoc(text: &str, word: Span) -> Result<Option<Heredoc>, ExpandError> {
    let Some((descriptor, strips_tabs, rest)) = announcement(text) else { return Ok(None) };
    let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let mut names = lexer.process_words(rest, &|_| None)?;
    let raw = Lexer { raw_quotes: true, raw_escapes: true, ..lexer }.process_words(rest, &|_| None)?;
    if names.len() != 1 {
        return Ok(None);
    }
    Ok(names.pop().map(|name| Heredoc {
        word,
        // Quotes and escapes are seen by what they leave in the name where they are kept.
        expands: raw.first() == Some(&name),
        name,
        descriptor,
        strips_tabs,
        body: Span::default(),
        terminator: Span::default(),
    }))
}

/// The number, whether tabs are stripped, and the text behind `<<`, where it has the shape of a heredoc.
fn announcement(text: &str) -> Option<(u64, bool, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text[digits..].strip_prefix("<<")?;
    let (strips_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    // Go's number is the largest one where the digits are too many.
    let descriptor = if digits == 0 { 0 } else { text[..digits].parse().unwrap_or(u64::MAX) };
    Some((descriptor, strips_tabs, rest))
}
