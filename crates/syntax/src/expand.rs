//! Variables and quotes in instructions, as the builder expands them: BuildKit's word lexer, which resembles a shell's
//! but is its own language.
//!
//! A word is parsed once to pieces with spans; evaluating it and listing its references read the same pieces. Two
//! details of Go are approximated: which characters beyond ASCII are letters (Rust's `Alphabetic` also has combining
//! marks) and which are digits (none here).

mod evaluate;
mod parse;
mod pattern;

use std::collections::BTreeSet;

use crate::Span;
use evaluate::Evaluator;
use parse::{Form, Parsed, Piece};

/// Words, each with its place in the text.
pub type PlacedWords = Vec<(String, Span)>;

/// How words are read. [`Lexer::new`] is what instructions use.
#[derive(Clone, Debug)]
pub struct Lexer {
    /// The escape character: `\` or a backtick.
    pub escape: char,
    /// Whether names of variables are the same whatever their case, as on a builder that runs on Windows. A name is
    /// looked up as written, then in upper and in lower case.
    pub windows: bool,
    /// Keep the quotes in the value.
    pub raw_quotes: bool,
    /// Keep the escape characters in the value.
    pub raw_escapes: bool,
    /// Take quotes for plain text, as in the body of a heredoc.
    pub plain_quotes: bool,
    /// Leave references to unknown variables as they are.
    pub keep_unset: bool,
}

impl Lexer {
    /// A lexer for the words of instructions.
    #[must_use]
    pub fn new(escape: char) -> Self {
        Self { escape, windows: false, raw_quotes: false, raw_escapes: false, plain_quotes: false, keep_unset: false }
    }

    /// The value of `word`; `lookup` gives the values of variables that are set.
    ///
    /// # Errors
    /// For quotes and braces without an end, substitutions that the builder does not know, and `${v?message}` of a
    /// variable that is not set. Spans are relative to `word`.
    pub fn process_word(&self, word: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, ExpandError> {
        let (value, _, evaluator) = self.process(word, lookup)?;
        Ok(Expanded { value, used: evaluator.used, unmatched: evaluator.unmatched })
    }

    /// The values of `words`, split at white space after expansion except where it is quoted or escaped.
    ///
    /// # Errors
    /// As [`Lexer::process_word`].
    pub fn process_words(
        &self,
        words: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, ExpandError> {
        Ok(self.process(words, lookup)?.1.into_iter().map(|(word, _)| word).collect())
    }

    /// As [`Lexer::process_words`], each word with its place in `words`. A word that is only a part of what a
    /// substitution stands for has the place of the whole substitution.
    ///
    /// # Errors
    /// As [`Lexer::process_word`].
    pub fn process_words_in_place(
        &self,
        words: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<PlacedWords, ExpandError> {
        Ok(self.process(words, lookup)?.1)
    }

    fn process<'a>(
        &'a self,
        text: &'a str,
        lookup: &'a dyn Fn(&str) -> Option<String>,
    ) -> Result<(String, PlacedWords, Evaluator<'a>), ExpandError> {
        let Parsed { pieces, mut errors } = parse::parse(text, self.escape, self.plain_quotes);
        if !errors.is_empty() {
            return Err(errors.swap_remove(0));
        }
        let mut evaluator = Evaluator::new(self, text, lookup);
        let (value, words) = evaluator.top(&pieces)?;
        Ok((value, words, evaluator))
    }
}

/// A word with its variables replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expanded {
    /// What the word stands for.
    pub value: String,
    /// The variables in it that are set.
    pub used: BTreeSet<String>,
    /// The variables in it that are not.
    pub unmatched: BTreeSet<String>,
}

/// Why a word has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ExpandError {
    /// The quote or substitution at fault, relative to the word.
    pub span: Span,
    /// What is wrong with it.
    pub kind: ExpandErrorKind,
}

/// What can be wrong with a word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandErrorKind {
    /// `'…` without an end.
    #[error("unexpected end of statement while looking for matching single-quote")]
    UnterminatedSingleQuote,
    /// `"…` without an end.
    #[error("unexpected end of statement while looking for matching double-quote")]
    UnterminatedDoubleQuote,
    /// `${v…` without an end.
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    /// `${v/pattern}` without a replacement.
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    /// `${}`, `${{`, `${:`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// A modifier that the builder does not know, such as `:=`.
    #[error("unsupported modifier ({modifier}) in substitution")]
    UnsupportedModifier {
        /// The modifier's characters.
        modifier: String,
    },
    /// `${v?message}` of a variable without a value, or `${v:?message}` of an empty one.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the file says, or the builder's own words.
        message: String,
    },
    /// A pattern with an escape that is none.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")]
    InvalidPattern {
        /// The pattern, expanded.
        pattern: String,
        /// The character behind the backslash; the replacement character at the pattern's end.
        escaped: char,
    },
    /// Substitutions within substitutions beyond the limit of this reader.
    #[error("substitutions are nested more than {limit} deep")]
    NestedTooDeep {
        /// The limit.
        limit: usize,
    },
}

/// A variable that a word refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// From the `$` to the end of the name or brace, relative to the word.
    pub span: Span,
    /// The variable.
    pub name: String,
    /// What is done to its value.
    pub modifier: Option<Modifier>,
    /// Whether it stands between double quotes.
    pub quoted: bool,
}

/// What a substitution does besides inserting the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modifier {
    /// What it does.
    pub kind: ModifierKind,
    /// Whether a colon precedes it, so that empty counts as unset.
    pub colon: bool,
    /// The text behind the operator, without the closing brace.
    pub word: Span,
}

/// The kinds of modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModifierKind {
    /// `${v-word}`.
    Default,
    /// `${v+word}`.
    Alternative,
    /// `${v?message}`.
    Required,
    /// `${v#pattern}` and `${v##pattern}`.
    TrimPrefix,
    /// `${v%pattern}` and `${v%%pattern}`.
    TrimSuffix,
    /// `${v/pattern/replacement}` and `${v//pattern/replacement}`.
    Replace,
    /// One that the builder refuses.
    Unsupported,
}

/// The references in `word` in their order, those within other substitutions after the one that holds them. A word with
/// errors gives those that can be made out.
#[must_use]
pub fn references(word: &str, escape: char) -> Vec<Reference> {
    let parsed = parse::parse(word, escape, false);
    let mut found = Vec::new();
    collect(&parsed.pieces, word, false, &mut found);
    found
}

fn collect(pieces: &[Piece], text: &str, quoted: bool, found: &mut Vec<Reference>) {
    for piece in pieces {
        match piece {
            Piece::Text(_) | Piece::Escaped(_) | Piece::KeptEscape(_) => {}
            Piece::Quoted { double, pieces, .. } => collect(pieces, text, quoted || *double, found),
            Piece::Substitution(substitution) => {
                let modifier = |kind, colon, word| Some(Modifier { kind, colon, word });
                found.push(Reference {
                    span: substitution.span,
                    name: substitution.name.of(text).to_owned(),
                    quoted,
                    modifier: match &substitution.form {
                        Form::Plain { .. } => None,
                        Form::Word { colon, operator, span, .. } => {
                            modifier(parse::modifier_kind(*operator), *colon, *span)
                        }
                        Form::Replace { span, .. } => modifier(ModifierKind::Replace, false, *span),
                    },
                });
                match &substitution.form {
                    Form::Plain { .. } => {}
                    Form::Word { word, .. } => collect(word, text, quoted, found),
                    Form::Replace { pattern, replacement, .. } => {
                        collect(pattern, text, quoted, found);
                        collect(replacement, text, quoted, found);
                    }
                }
            }
        }
    }
}

/// The value of `word` where it refers to no variable; `None` where it does, or where it cannot be read.
#[must_use]
pub fn literal(word: &str, escape: char) -> Option<String> {
    if !references(word, escape).is_empty() {
        return None;
    }
    Lexer::new(escape).process_word(word, &|_| None).ok().map(|expanded| expanded.value)
}
