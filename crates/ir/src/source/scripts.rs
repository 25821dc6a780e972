//! The shell text of RUN, CMD, ENTRYPOINT and HEALTHCHECK, with the way back to the Dockerfile, and its parsed form.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use jettison_syntax::Span;
use jettison_syntax::dockerfile::{Arguments, Dockerfile, Instruction, Kind};
use jettison_syntax::shell::{Dialect, Script};

/// The text that a shell gets, and where each part of it stands in the Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunText {
    /// The text.
    pub text: String,
    /// Where each part starts in the text, and where it stands.
    pieces: Vec<(u32, Span)>,
    /// Whether it is the body of a heredoc that is the whole command, as in `RUN <<EOF`.
    pub is_heredoc: bool,
}

impl RunText {
    /// The shell text of an instruction; none where it has none: exec form, a heredoc with its own interpreter.
    #[must_use]
    pub fn of(tree: &Dockerfile, instruction: &Instruction) -> Option<Self> {
        let (arguments, is_run) = match (&instruction.body.arguments, instruction.body.kind) {
            (Arguments::Health { command, .. }, _) => (&**command, false),
            (arguments, Kind::Run) => (arguments, true),
            (arguments, Kind::Cmd | Kind::Entrypoint) => (arguments, false),
            _ => return None,
        };
        let Arguments::Text(span) = arguments else { return None };
        let line = tree.line(instruction);
        if is_run
            && let [heredoc] = &instruction.heredocs[..]
            && heredoc.word == *span
        {
            let body = heredoc.body.of(tree.text());
            let mut text = String::with_capacity(body.len());
            let mut pieces = Vec::new();
            let mut at = heredoc.body.start;
            for line in body.split_inclusive('\n') {
                let kept = if heredoc.strips_tabs { line.trim_start_matches('\t') } else { line };
                let end = at + Span::new(0, line.len()).end;
                pieces.push((Span::new(0, text.len()).end, Span { start: end - Span::new(0, kept.len()).end, end }));
                text.push_str(kept);
                at = end;
            }
            return (!body.starts_with("#!")).then_some(Self { text, pieces, is_heredoc: true });
        }
        let mut text = span.of(line).to_owned();
        let mut pieces: Vec<(u32, Span)> = Vec::new();
        for (start, source) in instruction.logical.pieces() {
            let end = start + (source.end - source.start);
            let (from, to) = (start.max(span.start), end.min(span.end));
            if from < to {
                let begin = source.start + (from - start);
                pieces.push((from - span.start, Span { start: begin, end: begin + (to - from) }));
            }
        }
        for heredoc in &instruction.heredocs {
            text.push('\n');
            for part in [heredoc.body, heredoc.terminator] {
                pieces.push((Span::new(0, text.len()).end, part));
                text.push_str(part.of(tree.text()));
            }
        }
        Some(Self { text, pieces, is_heredoc: false })
    }

    /// The place in the Dockerfile of a byte of the text.
    #[must_use]
    pub fn source_of(&self, offset: u32) -> u32 {
        let at = self.pieces.partition_point(|(start, _)| *start <= offset).max(1) - 1;
        self.pieces.get(at).map_or(0, |(start, span)| span.start + (offset - start).min(span.end - span.start))
    }

    /// The place in the Dockerfile of a part of the text.
    #[must_use]
    pub fn source_span(&self, span: Span) -> Span {
        let start = self.source_of(span.start);
        if span.is_empty() {
            return Span { start, end: start };
        }
        Span { start, end: self.source_of(span.end - 1) + 1 }
    }
}

/// Parsed shell texts, kept while a Dockerfile is rewritten: most of them stay the same from one change to the next.
#[derive(Default)]
pub struct Scripts {
    parsed: RefCell<HashMap<(bool, String), Rc<Script>>>,
}

impl Scripts {
    /// The parsed form of a text.
    #[must_use]
    pub fn parse(&self, text: &str, dialect: Dialect) -> Rc<Script> {
        let key = (dialect == Dialect::Bash, text.to_owned());
        Rc::clone(self.parsed.borrow_mut().entry(key).or_insert_with_key(|key| Rc::new(Script::parse(&key.1, dialect))))
    }
}
