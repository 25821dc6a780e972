//! From text to tree: physical lines, directives, comments, continuations, heredocs.

use crate::Span;

use super::error::{ErrorKind, SyntaxError};
use super::instruction::{Arguments, Body, Instruction};
use super::logical::Logical;
use super::{Comment, Directive, Dockerfile, Token, TokenKind, check, heredoc, words};

/// The longest physical line that BuildKit's scanner takes, in bytes.
const LONGEST_LINE: usize = 65_535;

/// Parses a text.
pub(super) fn parse(text: String) -> Dockerfile {
    let mut parser = Parser {
        text: &text,
        at: 0,
        line: 0,
        escape: '\\',
        tokens: Vec::with_capacity(text.len() / 32),
        directives: Vec::new(),
        directives_end: false,
        instructions: Vec::with_capacity(text.len() / 96),
        comments: Vec::new(),
        above: 0,
        errors: Vec::new(),
    };
    parser.run();
    let Parser { escape, tokens, directives, instructions, comments, errors, .. } = parser;
    let mut tree = Dockerfile { text, tokens, directives, instructions, comments, errors, escape };
    check::check(&mut tree);
    tree.errors.sort_by_key(|error| error.span.start);
    tree
}

/// A physical line.
#[derive(Clone, Copy)]
struct Line {
    start: usize,
    /// Behind its text, before carriage returns and line feed.
    end: usize,
    /// Behind its line feed.
    next: usize,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// How many lines were read.
    line: u32,
    escape: char,
    tokens: Vec<Token>,
    directives: Vec<Directive>,
    directives_end: bool,
    instructions: Vec<Instruction>,
    comments: Vec<Comment>,
    /// The first of the comments that stand directly above what comes next.
    above: usize,
    errors: Vec<SyntaxError>,
}

impl<'a> Parser<'a> {
    fn run(&mut self) {
        if self.text.starts_with('\u{feff}') {
            self.token(TokenKind::Bom, '\u{feff}'.len_utf8());
            self.at = '\u{feff}'.len_utf8();
        }
        while let Some(line) = self.read() {
            self.start(line);
        }
        if self.instructions.is_empty() {
            let span = Span::new(self.text.len(), self.text.len());
            self.errors.push(SyntaxError { span, kind: ErrorKind::NoInstructions });
        }
    }

    fn token(&mut self, kind: TokenKind, end: usize) {
        let end = Span::new(0, end).end;
        let start = self.tokens.last().map_or(0, |token| token.end);
        if end > start {
            self.tokens.push(Token { kind, end });
        }
    }

    fn read(&mut self) -> Option<Line> {
        if self.at == self.text.len() {
            return None;
        }
        let start = self.at;
        let rest = &self.text[start..];
        let (length, next) = rest.find('\n').map_or((rest.len(), rest.len()), |at| (at, at + 1));
        if length > LONGEST_LINE {
            let span = Span::new(start, start + length);
            self.errors.push(SyntaxError { span, kind: ErrorKind::LineTooLong { length } });
        }
        let end = start + rest[..length].trim_end_matches('\r').len();
        self.at = start + next;
        self.line += 1;
        Some(Line { start, end, next: self.at })
    }

    /// Ends a line's tokens: what is left of it is its line end.
    fn end(&mut self, line: Line) {
        self.token(TokenKind::Newline, line.next);
    }

    /// A line outside of instructions.
    fn start(&mut self, line: Line) {
        let text = &self.text[line.start..line.end];
        let start = line.end - text.trim_start().len();
        self.token(TokenKind::Blank, start);
        let text = &self.text[start..line.end];
        if text.starts_with('#') {
            let span = Span::new(start, line.end);
            if self.directive(text, span) {
                self.token(TokenKind::Directive, line.end);
                self.above = self.comments.len();
            } else {
                self.token(TokenKind::Comment, line.end);
                self.comments.push(Comment { span, line: self.line });
            }
            self.end(line);
            return;
        }
        self.directives_end = true;
        if text.is_empty() {
            self.above = self.comments.len();
            self.end(line);
            return;
        }
        self.instruction(line, start);
        self.above = self.comments.len();
    }

    /// Takes a comment for a directive where it is one.
    fn directive(&mut self, text: &str, span: Span) -> bool {
        if self.directives_end {
            return false;
        }
        // Go's regular expressions know no other white space.
        let blanks = [' ', '\t', '\r', '\n', '\u{c}'];
        let found = text[1..].trim_start_matches(blanks).split_once('=').and_then(|(name, value)| {
            let (name, trimmed) = (name.trim_end_matches(blanks), value.trim_matches(blanks));
            // A value of nothing but blanks is the last one of them: BuildKit's pattern wants one character.
            let value =
                if trimmed.is_empty() { &value[value.len() - usize::from(!value.is_empty())..] } else { trimmed };
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let name = name.to_ascii_lowercase();
            (is_name && !value.is_empty() && matches!(&*name, "syntax" | "escape" | "check")).then(|| Directive {
                span,
                name,
                value: value.to_owned(),
            })
        });
        let Some(directive) = found else {
            self.directives_end = true;
            return false;
        };
        if self.directives.iter().any(|before| before.name == directive.name) {
            let kind = ErrorKind::RepeatedDirective { name: directive.name.clone() };
            self.errors.push(SyntaxError { span, kind });
        } else if directive.name == "escape" {
            match &*directive.value {
                "\\" => self.escape = '\\',
                "`" => self.escape = '`',
                other => {
                    let kind = ErrorKind::InvalidEscape { found: other.to_owned() };
                    self.errors.push(SyntaxError { span, kind });
                }
            }
        }
        self.directives.push(directive);
        true
    }

    /// Where a line's text ends and whether the next line continues it.
    fn continuation(&self, start: usize, end: usize) -> (usize, bool) {
        let text = self.text[start..end].trim_end_matches([' ', '\t']);
        match text.strip_suffix(self.escape) {
            Some(before) if !before.ends_with(self.escape) => (start + before.len(), true),
            _ => (end, false),
        }
    }

    fn instruction(&mut self, line: Line, start: usize) {
        let above = (index(self.above), index(self.comments.len()));
        let first_line = self.line;
        let (mut end, mut continues) = self.continuation(start, line.end);
        self.token(TokenKind::Text, end);
        self.token(TokenKind::Continuation, line.end);
        let mut logical = Logical::new(Span::new(start, end));
        let mut last = line;
        while continues {
            self.end(last);
            let Some(line) = self.read() else { break };
            last = line;
            let text = &self.text[line.start..line.end];
            let trimmed = text.trim_start();
            if trimmed.starts_with('#') {
                let span = Span::new(line.end - trimmed.len(), line.end);
                self.token(TokenKind::Blank, span.start as usize);
                self.token(TokenKind::Comment, line.end);
                self.comments.push(Comment { span, line: self.line });
                continue;
            }
            if trimmed.is_empty() {
                self.token(TokenKind::Blank, line.end);
                continue;
            }
            (end, continues) = self.continuation(line.start, line.end);
            self.token(TokenKind::Text, end);
            self.token(TokenKind::Continuation, line.end);
            logical.push(self.text, Span::new(line.start, end));
        }
        self.end(last);
        let within = (above.1, index(self.comments.len()));
        let last_end = if last.end > start { last.end } else { end };
        let mut instruction = self.node(logical, Span::new(start, last_end));
        instruction.above = above;
        instruction.within = within;
        self.heredocs(&mut instruction);
        instruction.lines = (first_line, self.line);
        self.instructions.push(instruction);
    }

    fn node(&mut self, logical: Logical, span: Span) -> Instruction {
        let text = logical.text(self.text);
        let whole = words::trimmed(text, 0);
        let mut errors = Vec::new();
        let body = Body::parse(text, whole, self.escape, &mut errors);
        self.errors.extend(
            errors.into_iter().map(|error| SyntaxError { span: logical.source_span(error.span), kind: error.kind }),
        );
        Instruction { span, lines: (0, 0), logical, body, heredocs: Vec::new(), above: (0, 0), within: (0, 0) }
    }

    fn heredocs(&mut self, instruction: &mut Instruction) {
        let body = instruction.body.effective();
        if !body.kind.takes_heredocs() || matches!(body.arguments, Arguments::Json(_)) {
            return;
        }
        let text = instruction.logical.text(self.text);
        if !text.contains("<<") {
            return;
        }
        let mut heredocs = match heredoc::announced(text) {
            Ok(heredocs) => heredocs,
            Err(error) => {
                let kind = ErrorKind::HeredocName { why: error.kind };
                self.errors.push(SyntaxError { span: instruction.span, kind });
                return;
            }
        };
        for heredoc in &mut heredocs {
            let start = self.at;
            heredoc.body = Span::new(start, start);
            heredoc.terminator = Span::new(start, start);
            let mut terminated = false;
            while let Some(line) = self.read() {
                let text = &self.text[line.start..line.end];
                let text = if heredoc.strips_tabs { text.trim_start_matches('\t') } else { text };
                instruction.span.end = Span::new(0, line.end).end;
                if text == heredoc.name {
                    self.token(TokenKind::HeredocEnd, line.end);
                    self.end(line);
                    heredoc.terminator = Span::new(line.start, line.end);
                    terminated = true;
                    break;
                }
                self.token(TokenKind::HeredocLine, line.next);
                heredoc.body.end = Span::new(0, line.next).end;
                heredoc.terminator = Span::new(line.next, line.next);
            }
            if !terminated {
                let span = instruction.logical.source_span(heredoc.word);
                let kind = ErrorKind::UnterminatedHeredoc { terminator: heredoc.name.clone() };
                self.errors.push(SyntaxError { span, kind });
            }
        }
        instruction.heredocs = heredocs;
    }
}

fn index(at: usize) -> u32 {
    Span::new(0, at).end
}
