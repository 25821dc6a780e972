//! Turns the tree of `shuck-parser` into ours: the cursor, lists and pipelines.
//!
//! The spans of that tree include trailing operators or lack delimiters, so only those of words, assignments and
//! redirects are used. Everything else is found by a cursor that passes over the text from left to right, as the tree
//! says what must stand next. By construction, hence, spans nest and follow one another whatever the other tree says;
//! `exact` turns false where text and tree disagree.

use shuck_ast::{BinaryOp, Command as Source, Stmt, StmtSeq, StmtTerminator};

use shuck_parser::ShellDialect;
use shuck_parser::parser::Parser;

use super::{AndOr, Dialect, Item, List, Operator, Pipe, Pipeline, Terminator};
use crate::Span;

/// The state of the translation.
pub(super) struct Lowerer<'text> {
    /// The text that the other tree's offsets count in.
    pub(super) source: &'text str,
    /// Which expansions there are.
    pub(super) dialect: Dialect,
    /// The cursor.
    pub(super) low: usize,
    /// The end of the node around the cursor.
    pub(super) high: usize,
    /// Where the spans lie when `source` is not the script's text but made from it.
    pub(super) place: Option<u32>,
    /// Whether a blank is text where the cursor stands, as it is within `${…}`.
    pub(super) spaced: bool,
    /// Whether text and tree agreed up to now.
    pub(super) exact: bool,
    /// Bodies of here-documents: where each begins, and where the line of its delimiter ends.
    pub(super) heredocs: Vec<(usize, usize)>,
    comments: Vec<Span>,
}

/// What [`Lowerer::enter`] puts aside for [`Lowerer::leave`].
pub(super) struct Outer {
    start: usize,
    high: usize,
}

impl Outer {
    /// The end of the node around.
    pub(super) fn high(&self) -> usize {
        self.high
    }
}

impl<'text> Lowerer<'text> {
    pub(super) fn new(source: &'text str, dialect: Dialect) -> Self {
        Self {
            source,
            dialect,
            low: 0,
            high: source.len(),
            place: None,
            spaced: false,
            exact: true,
            heredocs: Vec::new(),
            comments: Vec::new(),
        }
    }

    /// The whole text: nothing may stand behind its last command.
    pub(super) fn script(&mut self, body: &StmtSeq) -> List {
        let list = self.list(body);
        self.start();
        self.exact &= self.low == self.high;
        list
    }

    /// Parses a text that is made from the script's.
    pub(super) fn parse(&mut self, text: &str) -> StmtSeq {
        let dialect = match self.dialect {
            Dialect::Sh => ShellDialect::Posix,
            Dialect::Bash => ShellDialect::Bash,
        };
        let parsed = Parser::with_dialect(text, dialect).parse();
        self.exact &= parsed.is_ok();
        parsed.file.body
    }

    /// The comments, in order, and whether all spans are exact.
    pub(super) fn finish(self) -> (Vec<Span>, bool) {
        (self.comments, self.exact)
    }

    /// A span as the script sees it.
    pub(super) fn emit(&self, start: usize, end: usize) -> Span {
        match self.place {
            Some(place) => Span { start: place, end: place },
            None => Span::new(start, end),
        }
    }

    /// From `start` up to the cursor.
    pub(super) fn since(&self, start: usize) -> Span {
        self.emit(start.min(self.low), self.low)
    }

    /// Narrows the text to a node of the other tree.
    pub(super) fn enter(&mut self, span: shuck_ast::Span) -> Outer {
        let (start, end) = (span.start.offset(), span.end.offset());
        self.enter_at(start, end)
    }

    pub(super) fn enter_at(&mut self, start: usize, end: usize) -> Outer {
        let first = boundary(self.source, start.clamp(self.low, self.high)).max(self.low);
        let last = boundary(self.source, end.clamp(first, self.high)).max(first);
        self.exact &= (first, last) == (start, end);
        let outer = Outer { start: first, high: self.high };
        (self.low, self.high) = (first, last);
        outer
    }

    /// Ends the node: the cursor stands behind it.
    pub(super) fn leave(&mut self, outer: &Outer) -> Span {
        self.low = self.high;
        self.high = outer.high;
        self.since(outer.start)
    }

    /// The text from the cursor up to the end of the node around it.
    pub(super) fn rest(&self) -> &'text str {
        &self.source[self.low..self.high]
    }

    /// Moves the cursor over blanks, ends of lines and comments.
    pub(super) fn start(&mut self) -> usize {
        loop {
            self.blanks();
            let rest = self.rest();
            if rest.starts_with('#') {
                self.comment();
            } else if rest.starts_with('\n') {
                self.newline();
            } else {
                return self.low;
            }
        }
    }

    /// Moves the cursor over blanks and continued lines.
    pub(super) fn blanks(&mut self) {
        let rest = self.rest().as_bytes();
        let mut at = 0;
        loop {
            match &rest[at..] {
                [b' ' | b'\t' | b'\r', ..] => at += 1,
                [b'\\', b'\n', ..] => at += 2,
                [b'\\', b'\r', b'\n', ..] => at += 3,
                _ => break,
            }
        }
        self.low += at;
    }

    /// Moves the cursor over the end of a line and the bodies of here-documents behind it.
    fn newline(&mut self) {
        self.low += 1;
        while let Some(&(_, end)) = self.heredocs.iter().find(|(start, _)| *start == self.low) {
            if end <= self.low {
                break;
            }
            self.low = (end + 1).min(self.high).max(self.low);
        }
    }

    /// Moves the cursor over `text`, which must be what stands next.
    pub(super) fn expect(&mut self, text: &str) -> Span {
        let start = self.start();
        if self.rest().starts_with(text) {
            self.low += text.len();
        } else {
            self.exact = false;
        }
        self.since(start)
    }

    /// Moves the cursor over `text` if it stands next.
    pub(super) fn accept(&mut self, text: &str) -> bool {
        self.start();
        let found = self.rest().starts_with(text);
        if found {
            self.low += text.len();
        }
        found
    }

    /// Moves the cursor over a comment.
    fn comment(&mut self) {
        let start = self.low;
        self.low += self.rest().find('\n').unwrap_or(self.rest().len());
        if self.place.is_none() {
            self.comments.push(Span::new(start, self.low));
        }
    }

    pub(super) fn list(&mut self, body: &StmtSeq) -> List {
        let spaced = std::mem::take(&mut self.spaced);
        let start = self.start();
        let items: Vec<Item> = body.stmts.iter().map(|statement| self.item(statement)).collect();
        self.spaced = spaced;
        let end = items.last().map(|item| item.terminator.map_or(item.span, |(_, span)| span));
        let start = self.emit(start, start);
        List { span: end.map_or(start, |end| start.to(end)), items }
    }

    fn item(&mut self, statement: &Stmt) -> Item {
        let and_or = self.and_or(statement);
        let terminator = self.terminator(statement);
        Item { span: and_or.span, and_or, terminator }
    }

    fn terminator(&mut self, statement: &Stmt) -> Option<(Terminator, Span)> {
        match statement.terminator {
            Some(StmtTerminator::Semicolon) => Some((Terminator::Semicolon, self.expect(";"))),
            Some(StmtTerminator::Background(_)) => Some((Terminator::Background, self.expect("&"))),
            None => {
                let before = self.low;
                let count = self.comments.len();
                self.blanks();
                // Before the word that closes a list, the other tree leaves it out.
                if self.rest().starts_with(';') && !self.rest().starts_with(";;") && !self.rest().starts_with(";&") {
                    return Some((Terminator::Semicolon, self.expect(";")));
                }
                if self.rest().starts_with('#') {
                    self.comment();
                }
                if self.rest().starts_with('\n') {
                    let start = self.low;
                    let span = self.emit(start, start + 1);
                    self.newline();
                    return Some((Terminator::Newline, span));
                }
                self.comments.truncate(count);
                self.low = before;
                None
            }
        }
    }

    fn and_or(&mut self, statement: &Stmt) -> AndOr {
        let start = self.start();
        // The other tree leans to the left: a chain of a thousand operators is a thousand levels deep.
        let mut pending = Vec::new();
        let mut current = statement;
        while let Source::Binary(binary) = &current.command
            && let Some(operator) = joining(binary.op)
        {
            pending.push((operator, &*binary.right));
            current = &binary.left;
        }
        let first = self.pipeline(current);
        let mut rest = Vec::with_capacity(pending.len());
        for (operator, right) in pending.into_iter().rev() {
            let text = if operator == Operator::And { "&&" } else { "||" };
            let span = self.expect(text);
            if matches!(&right.command, Source::Binary(binary) if joining(binary.op).is_some()) {
                let right = self.and_or(right);
                rest.push((operator, span, right.first));
                rest.extend(right.rest);
            } else {
                rest.push((operator, span, self.pipeline(right)));
            }
        }
        AndOr { span: self.since(start), first, rest }
    }

    pub(super) fn pipeline(&mut self, statement: &Stmt) -> Pipeline {
        let start = self.start();
        if statement.negated {
            self.expect("!");
        }
        let mut pending = Vec::new();
        let mut current = statement;
        while let Source::Binary(binary) = &current.command
            && joining(binary.op).is_none()
        {
            pending.push((binary.op == BinaryOp::PipeAll, &*binary.right));
            current = &binary.left;
        }
        let mut commands = vec![self.command(current)];
        let mut pipes = Vec::new();
        for (with_errors, right) in pending.into_iter().rev() {
            let span = self.expect(if with_errors { "|&" } else { "|" });
            pipes.push(Pipe { span, with_errors });
            if right.negated {
                self.expect("!");
            }
            if matches!(&right.command, Source::Binary(_)) {
                let mut right = self.pipeline(right);
                commands.append(&mut right.commands);
                pipes.append(&mut right.pipes);
            } else {
                commands.push(self.command(right));
            }
        }
        Pipeline { span: self.since(start), negated: statement.negated, commands, pipes }
    }
}

/// What joins pipelines, as opposed to commands.
fn joining(operator: BinaryOp) -> Option<Operator> {
    match operator {
        BinaryOp::And => Some(Operator::And),
        BinaryOp::Or => Some(Operator::Or),
        BinaryOp::Pipe | BinaryOp::PipeAll => None,
    }
}

/// The offset itself, or the next one before it that does not split a character.
fn boundary(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset)
}

/// A span of the other tree, cut to the text.
pub(super) fn within(text: &str, span: shuck_ast::Span) -> (usize, usize) {
    let end = boundary(text, span.end.offset());
    (boundary(text, span.start.offset()).min(end), end)
}
