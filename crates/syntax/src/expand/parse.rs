//! From a word to its pieces: text, escapes, quotes and substitutions, with spans and the errors on the way.

use super::{ExpandError, ExpandErrorKind, ModifierKind};
use crate::Span;

/// Substitutions deeper than this are refused: the parser and what walks its result recurse.
const DEPTH_LIMIT: usize = 100;

/// A word's pieces, and what is wrong with it in the order in which it was noticed.
pub(super) struct Parsed {
    pub(super) pieces: Vec<Piece>,
    pub(super) errors: Vec<ExpandError>,
}

/// A part of a word.
pub(super) enum Piece {
    /// Text that stands for itself.
    Text(Span),
    /// The escape character and the character behind it, which there may be none of at the end.
    Escaped(Span),
    /// Between double quotes, an escape character before something that needs no escape: it stays.
    KeptEscape(Span),
    /// Text between quotes.
    Quoted { span: Span, double: bool, pieces: Vec<Piece> },
    /// A variable.
    Substitution(Box<Substitution>),
}

/// A variable and what is done to it.
pub(super) struct Substitution {
    pub(super) span: Span,
    pub(super) name: Span,
    pub(super) form: Form,
}

/// The forms of a substitution.
pub(super) enum Form {
    /// `$v` or `${v}`.
    Plain { braced: bool },
    /// `${v:-word}` and the like; `span` is that of the word.
    Word { colon: bool, operator: char, word: Vec<Piece>, span: Span },
    /// `${v/pattern/replacement}`; `span` covers both.
    Replace { all: bool, pattern: Vec<Piece>, replacement: Vec<Piece>, span: Span },
}

/// What an operator stands for.
pub(super) fn modifier_kind(operator: char) -> ModifierKind {
    match operator {
        '-' => ModifierKind::Default,
        '+' => ModifierKind::Alternative,
        '?' => ModifierKind::Required,
        '#' => ModifierKind::TrimPrefix,
        '%' => ModifierKind::TrimSuffix,
        _ => ModifierKind::Unsupported,
    }
}

/// Reads `text`.
pub(super) fn parse(text: &str, escape: char, plain_quotes: bool) -> Parsed {
    // Go's scanner skips a byte order mark at the start of any text.
    let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut parser = Parser { text, at, escape, plain_quotes, depth: 0, errors: Vec::new() };
    let pieces = parser.until(None).0;
    Parsed { pieces, errors: parser.errors }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    escape: char,
    plain_quotes: bool,
    depth: usize,
    errors: Vec<ExpandError>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let ch = self.peek()?;
        self.at += ch.len_utf8();
        Some(ch)
    }

    fn error(&mut self, start: usize, kind: ExpandErrorKind) {
        self.errors.push(ExpandError { span: Span::new(start, self.at), kind });
    }

    fn flush(&self, start: usize, pieces: &mut Vec<Piece>) {
        if start < self.at {
            pieces.push(Piece::Text(Span::new(start, self.at)));
        }
    }

    /// The pieces up to `stop`, which is consumed, or to the end; and whether `stop` was found.
    fn until(&mut self, stop: Option<char>) -> (Vec<Piece>, bool) {
        let mut pieces = Vec::new();
        let mut start = self.at;
        while let Some(ch) = self.peek() {
            if Some(ch) == stop {
                self.flush(start, &mut pieces);
                self.next();
                return (pieces, true);
            }
            let quotes = !self.plain_quotes;
            if ch == '$' || (quotes && (ch == '\'' || ch == '"')) || ch == self.escape {
                self.flush(start, &mut pieces);
                let piece = match ch {
                    '$' => self.dollar(),
                    '\'' if quotes => self.single_quoted(),
                    '"' if quotes => self.double_quoted(),
                    _ => {
                        let from = self.at;
                        self.next();
                        self.next();
                        Piece::Escaped(Span::new(from, self.at))
                    }
                };
                pieces.push(piece);
                start = self.at;
            } else {
                self.next();
            }
        }
        self.flush(start, &mut pieces);
        (pieces, stop.is_none())
    }

    fn single_quoted(&mut self) -> Piece {
        let start = self.at;
        self.next();
        let inner = self.at;
        let end = self.text[inner..].find('\'').map(|length| inner + length);
        self.at = end.unwrap_or(self.text.len());
        let mut pieces = Vec::new();
        self.flush(inner, &mut pieces);
        if end.is_some() {
            self.next();
        } else {
            self.error(start, ExpandErrorKind::UnterminatedSingleQuote);
        }
        Piece::Quoted { span: Span::new(start, self.at), double: false, pieces }
    }

    fn double_quoted(&mut self) -> Piece {
        let start = self.at;
        self.next();
        let mut pieces = Vec::new();
        let mut text = self.at;
        loop {
            match self.peek() {
                None => {
                    self.flush(text, &mut pieces);
                    self.error(start, ExpandErrorKind::UnterminatedDoubleQuote);
                    break;
                }
                Some('"') => {
                    self.flush(text, &mut pieces);
                    self.next();
                    break;
                }
                Some('$') => {
                    self.flush(text, &mut pieces);
                    pieces.push(self.dollar());
                    text = self.at;
                }
                Some(ch) if ch == self.escape => {
                    self.flush(text, &mut pieces);
                    let from = self.at;
                    self.next();
                    pieces.push(match self.peek() {
                        Some(next) if next == '"' || next == '$' || next == self.escape => {
                            self.next();
                            Piece::Escaped(Span::new(from, self.at))
                        }
                        None => Piece::Escaped(Span::new(from, self.at)),
                        Some(_) => Piece::KeptEscape(Span::new(from, self.at)),
                    });
                    text = self.at;
                }
                Some(_) => {
                    self.next();
                }
            }
        }
        Piece::Quoted { span: Span::new(start, self.at), double: true, pieces }
    }

    fn dollar(&mut self) -> Piece {
        let start = self.at;
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            let span = Span::new(start, self.at);
            if name.is_empty() {
                return Piece::Text(span);
            }
            return Piece::Substitution(Box::new(Substitution { span, name, form: Form::Plain { braced: false } }));
        }
        self.next();
        let bad = match self.peek() {
            None => Some(ExpandErrorKind::MissingBrace),
            Some('{' | '}' | ':') => Some(ExpandErrorKind::BadSubstitution),
            Some(_) if self.depth >= DEPTH_LIMIT => {
                self.at = self.text.len();
                Some(ExpandErrorKind::NestedTooDeep { limit: DEPTH_LIMIT })
            }
            Some(_) => None,
        };
        if let Some(kind) = bad {
            self.error(start, kind);
            return Piece::Text(Span::new(start, self.at));
        }
        self.depth += 1;
        let name = self.name();
        let form = self.form(start);
        self.depth -= 1;
        Piece::Substitution(Box::new(Substitution { span: Span::new(start, self.at), name, form }))
    }

    /// What follows the name in braces, with the closing brace.
    fn form(&mut self, start: usize) -> Form {
        let mut operator = self.next();
        if operator == Some('}') {
            return Form::Plain { braced: true };
        }
        if operator == Some('/') {
            return self.replace(start);
        }
        let colon = operator == Some(':');
        if colon {
            operator = self.next();
        }
        let Some(operator) = operator else {
            self.error(start, ExpandErrorKind::MissingBrace);
            return Form::Plain { braced: true };
        };
        // Behind a colon the builder reads on, and looks at the operator only once it knows whether the variable is set.
        if !colon && modifier_kind(operator) == ModifierKind::Unsupported {
            self.error(start, ExpandErrorKind::UnsupportedModifier { modifier: operator.to_string() });
        }
        let from = self.at;
        let (word, closed) = self.until(Some('}'));
        if !closed {
            self.error(start, ExpandErrorKind::MissingBrace);
        }
        let end = self.at - usize::from(closed);
        Form::Word { colon, operator, word, span: Span::new(from, end) }
    }

    fn replace(&mut self, start: usize) -> Form {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let from = self.at;
        let (pattern, closed) = self.until(Some('/'));
        if !closed {
            self.error(start, ExpandErrorKind::MissingSlash);
            let span = Span::new(from, self.at);
            return Form::Replace { all, pattern, replacement: Vec::new(), span };
        }
        let (replacement, closed) = self.until(Some('}'));
        if !closed {
            self.error(start, ExpandErrorKind::MissingBrace);
        }
        Form::Replace { all, pattern, replacement, span: Span::new(from, self.at - usize::from(closed)) }
    }

    /// A name, a number or one of the shell's special parameters; empty where there is none.
    fn name(&mut self) -> Span {
        let start = self.at;
        match self.peek() {
            Some(ch) if ch.is_ascii_digit() => {
                while self.peek().is_some_and(|ch| ch.is_ascii_digit()) {
                    self.next();
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => {
                self.next();
            }
            _ => {
                while self.peek().is_some_and(|ch| ch == '_' || ch.is_ascii_digit() || ch.is_alphabetic()) {
                    self.next();
                }
            }
        }
        Span::new(start, self.at)
    }
}
