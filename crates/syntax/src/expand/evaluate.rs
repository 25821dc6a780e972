//! From a word's pieces to its value, and to words split at white space.

use std::collections::BTreeSet;

use super::parse::{Form, Piece, Substitution, modifier_kind};
use super::pattern::{Pattern, Stars, reversed_pattern};
use super::{ExpandError, ExpandErrorKind, Lexer, ModifierKind, PlacedWords};
use crate::Span;

/// Evaluates the pieces of one text.
pub(super) struct Evaluator<'a> {
    lexer: &'a Lexer,
    text: &'a str,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) used: BTreeSet<String>,
    pub(super) unmatched: BTreeSet<String>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(lexer: &'a Lexer, text: &'a str, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lexer, text, lookup, used: BTreeSet::new(), unmatched: BTreeSet::new() }
    }

    /// The value of the whole text, and its words with their places.
    pub(super) fn top(&mut self, pieces: &[Piece]) -> Result<(String, PlacedWords), ExpandError> {
        let raw = self.lexer.raw_escapes;
        let mut value = String::new();
        let mut words = Words::default();
        for piece in pieces {
            let part = self.piece(piece, raw)?;
            match piece {
                Piece::Text(span) => words.add(&part, *span, span.of(self.text)),
                Piece::Substitution(inner) => words.add(&part, inner.span, inner.span.of(self.text)),
                Piece::Escaped(span) | Piece::KeptEscape(span) | Piece::Quoted { span, .. } => {
                    words.add_unsplit(&part, *span);
                }
            }
            value.push_str(&part);
        }
        Ok((value, words.finish()))
    }

    fn pieces(&mut self, pieces: &[Piece], raw: bool) -> Result<String, ExpandError> {
        let mut value = String::new();
        for piece in pieces {
            value.push_str(&self.piece(piece, raw)?);
        }
        Ok(value)
    }

    fn piece(&mut self, piece: &Piece, raw: bool) -> Result<String, ExpandError> {
        let escape = self.lexer.escape;
        Ok(match piece {
            Piece::Text(span) => span.of(self.text).to_owned(),
            Piece::Escaped(span) if raw => span.of(self.text).to_owned(),
            Piece::Escaped(span) => span.of(self.text)[escape.len_utf8()..].to_owned(),
            // BuildKit writes such an escape twice where escapes are kept.
            Piece::KeptEscape(_) => String::from(escape).repeat(if raw { 2 } else { 1 }),
            Piece::Quoted { double, pieces, .. } => {
                let inner = self.pieces(pieces, raw)?;
                match (self.lexer.raw_quotes, double) {
                    (false, _) => inner,
                    (true, true) => format!("\"{inner}\""),
                    (true, false) => format!("'{inner}'"),
                }
            }
            Piece::Substitution(substitution) => self.substitution(substitution)?,
        })
    }

    fn lookup(&mut self, name: &str) -> Option<String> {
        let mut value = (self.lookup)(name);
        if value.is_none() && self.lexer.windows {
            value = (self.lookup)(&name.to_uppercase()).or_else(|| (self.lookup)(&name.to_lowercase()));
        }
        let names = if value.is_some() { &mut self.used } else { &mut self.unmatched };
        names.insert(name.to_owned());
        value
    }

    fn substitution(&mut self, substitution: &Substitution) -> Result<String, ExpandError> {
        let name = substitution.name.of(self.text);
        match &substitution.form {
            Form::Plain { braced } => {
                let value = self.lookup(name);
                if value.is_none() && self.lexer.keep_unset {
                    return Ok(if *braced { format!("${{{name}}}") } else { format!("${name}") });
                }
                Ok(value.unwrap_or_default())
            }
            Form::Word { colon, operator, word, .. } => {
                let word = self.pieces(word, matches!(operator, '#' | '%'))?;
                let value = self.lookup(name);
                if value.is_none() && self.lexer.keep_unset {
                    let colon = if *colon { ":" } else { "" };
                    return Ok(format!("${{{name}{colon}{operator}{word}}}"));
                }
                modified(substitution.span, name, *colon, *operator, word, value)
            }
            Form::Replace { all, pattern, replacement, .. } => {
                let pattern = self.pieces(pattern, true)?;
                let replacement = self.pieces(replacement, true)?;
                let value = self.lookup(name);
                if value.is_none() && self.lexer.keep_unset {
                    return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
                }
                let value = value.unwrap_or_default();
                let pattern = compile(substitution.span, &pattern, Stars::Longest)?;
                Ok(if *all {
                    pattern.replace_all(&value, &replacement)
                } else {
                    pattern.replace_first(&value, &replacement)
                })
            }
        }
    }
}

/// The value of `${name…}` with an operator other than `/`.
fn modified(
    span: Span,
    name: &str,
    colon: bool,
    operator: char,
    word: String,
    value: Option<String>,
) -> Result<String, ExpandError> {
    let present = value.as_ref().is_some_and(|value| !(colon && value.is_empty()));
    let required = |own: &str| {
        let message = if word.is_empty() { own.to_owned() } else { word.clone() };
        ExpandError { span, kind: ExpandErrorKind::Required { name: name.to_owned(), message } }
    };
    if modifier_kind(operator) == ModifierKind::Unsupported {
        let modifier = if colon { format!(":{operator}") } else { operator.to_string() };
        return Err(ExpandError { span, kind: ExpandErrorKind::UnsupportedModifier { modifier } });
    }
    match (operator, value) {
        ('-', Some(value)) if present => Ok(value),
        ('-', _) => Ok(word),
        ('+', _) => Ok(if present { word } else { String::new() }),
        ('?', None) => Err(required("is not allowed to be unset")),
        ('?', Some(_)) if !present => Err(required("is not allowed to be empty")),
        ('?', Some(value)) => Ok(value),
        (_, value) => {
            let value = value.unwrap_or_default();
            // The second `#` or `%` is looked for after expansion, so it may come from a variable.
            let (stars, word) = match word.strip_prefix(operator) {
                Some(rest) => (Stars::Longest, rest),
                None => (Stars::Shortest, word.as_str()),
            };
            if operator == '#' {
                return Ok(compile(span, word, stars)?.trim_prefix(&value).to_owned());
            }
            let reversed = |text: &str| text.chars().rev().collect::<String>();
            let pattern = compile(span, &reversed_pattern(word), stars)?;
            Ok(reversed(pattern.trim_prefix(&reversed(&value))))
        }
    }
}

fn compile(span: Span, pattern: &str, stars: Stars) -> Result<Pattern, ExpandError> {
    Pattern::new(pattern, stars).map_err(|escaped| ExpandError {
        span,
        kind: ExpandErrorKind::InvalidPattern { pattern: pattern.to_owned(), escaped },
    })
}

/// Words while they grow.
#[derive(Default)]
struct Words {
    word: String,
    /// Where the word stands so far.
    span: Option<Span>,
    words: PlacedWords,
}

impl Words {
    /// Adds text that is split at white space and stands for `source` at `span`. An empty word, as `""` gives, is none.
    fn add(&mut self, text: &str, span: Span, source: &str) {
        let is_verbatim = text == source;
        for (at, ch) in text.char_indices() {
            if ch.is_whitespace() {
                self.end_word();
                continue;
            }
            self.word.push(ch);
            let from = span.start as usize + at;
            self.widen(if is_verbatim { Span::new(from, from + ch.len_utf8()) } else { span });
        }
    }

    fn add_unsplit(&mut self, text: &str, span: Span) {
        self.word.push_str(text);
        self.widen(span);
    }

    fn widen(&mut self, span: Span) {
        self.span = Some(self.span.map_or(span, |before| before.to(span)));
    }

    fn end_word(&mut self) {
        let span = self.span.take().unwrap_or_default();
        if !self.word.is_empty() {
            self.words.push((std::mem::take(&mut self.word), span));
        }
    }

    fn finish(mut self) -> PlacedWords {
        self.end_word();
        self.words
    }
}
