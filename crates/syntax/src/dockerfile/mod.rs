//! The lossless tree of a Dockerfile: what BuildKit's parser makes of it, with the place of every piece.
//!
//! Parsing never fails. Tokens cover the text from end to end, errors are values with spans, and an instruction that a
//! builder would refuse stands in the tree like any other.

mod check;
mod error;
mod heredoc;
mod instruction;
mod json;
mod logical;
mod parse;
mod source;
mod words;

use crate::Span;

pub use error::{ErrorKind, Stage as ErrorStage, SyntaxError, closest};
pub use heredoc::Heredoc;
pub use instruction::{Arguments, Body, Flag, Instruction, Kind, Pair};
pub use json::{JsonString, starts_with_array};
pub use logical::Logical;
pub use source::{decode, encode, stood_for};

/// A parsed Dockerfile.
#[derive(Clone, Debug)]
pub struct Dockerfile {
    /// The text. Bytes that are not UTF-8 are stood for by characters of a private range ([`decode`]).
    text: String,
    /// The pieces of the text, each up to where the next one starts.
    tokens: Vec<Token>,
    /// `# syntax=…`, `# escape=…`, `# check=…`.
    pub directives: Vec<Directive>,
    /// The instructions, in order.
    pub instructions: Vec<Instruction>,
    /// Comments, in order; directives are none.
    pub comments: Vec<Comment>,
    /// What builders refuse, in order of place.
    pub errors: Vec<SyntaxError>,
    /// The escape character, `\` or a backtick.
    pub escape: char,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it ends; it starts where the one before ends.
    pub end: u32,
}

/// What a piece of the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The byte-order mark.
    Bom,
    /// A directive, without its line end.
    Directive,
    /// A comment, without its line end.
    Comment,
    /// Blanks before an instruction or a comment, or on an otherwise empty line.
    Blank,
    /// The text of an instruction on one line.
    Text,
    /// The escape character at a line's end, with the blanks behind it.
    Continuation,
    /// The end of a line: a line feed with the carriage returns before it.
    Newline,
    /// One line of a heredoc, with its end.
    HeredocLine,
    /// The line that ends a heredoc, without its line end.
    HeredocEnd,
}

/// A parser directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The whole line without its end.
    pub span: Span,
    /// Its name in lower case.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A comment line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment {
    /// From its `#` to the end of the line.
    pub span: Span,
    /// Its line, counted from 1.
    pub line: u32,
}

impl Dockerfile {
    /// Parses a text.
    #[must_use]
    pub fn parse(text: impl Into<String>) -> Self {
        parse::parse(text.into())
    }

    /// Parses a file's bytes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        parse::parse(decode(bytes))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        encode(&self.text)
    }

    /// The pieces of the text; concatenated they are the text.
    pub fn tokens(&self) -> impl Iterator<Item = (TokenKind, Span)> {
        self.tokens.iter().scan(0, |start, token| {
            let span = Span { start: *start, end: token.end };
            *start = token.end;
            Some((token.kind, span))
        })
    }

    /// The logical line of an instruction: its physical lines joined, comments left out.
    #[must_use]
    pub fn line<'a>(&'a self, instruction: &'a Instruction) -> &'a str {
        instruction.logical.text(&self.text)
    }

    /// A part of an instruction's logical line.
    #[must_use]
    pub fn part<'a>(&'a self, instruction: &'a Instruction, span: Span) -> &'a str {
        span.of(self.line(instruction))
    }

    /// The line, counted from 1, and the column in characters, counted from 1, of an offset.
    #[must_use]
    pub fn position(&self, offset: u32) -> (usize, usize) {
        let before = &self.text[..offset as usize];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.bytes().filter(|byte| *byte == b'\n').count() + 1, before[start..].chars().count() + 1)
    }

    /// The line end that the file uses: that of its first line.
    #[must_use]
    pub fn newline(&self) -> &'static str {
        match self.text.find('\n') {
            Some(at) if self.text[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    /// Whether BuildKit's parser takes the text: the first error that it would stop at is none.
    #[must_use]
    pub fn parses(&self) -> bool {
        self.errors.iter().all(|error| error.kind.stage() != ErrorStage::Parse)
    }

    /// Whether BuildKit takes every instruction too.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}
