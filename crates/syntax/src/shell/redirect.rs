//! Turns the redirects of `shuck-parser` into ours. Descriptor and operator are read from the text, as the other tree
//! puts defaults for what is not written and splits `&>>` in two.

use shuck_ast::{HeredocBodyPart, Redirect as Source, RedirectTarget};

use super::lower::Lowerer;
use super::word::unescape_heredoc;
use super::{Heredoc, Redirect, RedirectOperator, Word, WordPart, WordPartKind};

/// The operators; one that begins like another stands before it.
const OPERATORS: [(&str, RedirectOperator); 12] = [
    ("&>>", RedirectOperator::AppendBoth),
    ("&>", RedirectOperator::OutBoth),
    ("<<<", RedirectOperator::HereString),
    ("<<-", RedirectOperator::Heredoc),
    ("<<", RedirectOperator::Heredoc),
    ("<&", RedirectOperator::DuplicateIn),
    ("<>", RedirectOperator::ReadWrite),
    ("<", RedirectOperator::In),
    (">>", RedirectOperator::Append),
    (">&", RedirectOperator::DuplicateOut),
    (">|", RedirectOperator::Clobber),
    (">", RedirectOperator::Out),
];

impl Lowerer<'_> {
    /// A redirect; nothing for the half of `&>>` that is not in the text.
    pub(super) fn redirect(&mut self, redirect: &Source) -> Option<Redirect> {
        if redirect.span.end.offset() <= self.low {
            return None;
        }
        // The braces around the variable are not part of its span.
        let start = match redirect.fd_var_span {
            Some(variable) => variable.start.offset().saturating_sub(1),
            None => redirect.span.start.offset(),
        };
        let outer = self.enter_at(start, redirect.span.end.offset());
        if let Some(variable) = &redirect.fd_var {
            self.low += variable.as_str().len() + 2;
            self.low = self.low.min(self.high);
        }
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let fd = self.rest()[..digits].parse().ok();
        self.low += digits;
        let sign = self.low;
        let operator = OPERATORS.iter().find(|(text, _)| self.rest().starts_with(text));
        self.exact &= operator.is_some();
        let (text, operator) = operator.copied().unwrap_or(("", RedirectOperator::Out));
        self.low += text.len();
        self.blanks();
        let (target, heredoc) = match &redirect.target {
            RedirectTarget::Word(word) if word.span.start.offset() >= self.low => (self.word(word), None),
            RedirectTarget::Word(_) => (self.remaining(), None),
            RedirectTarget::Heredoc(heredoc) => {
                let delimiter = self.remaining();
                let expand = delimiter.parts.iter().all(|part| !part.quoted);
                let operator = &self.source[sign..self.high];
                let high = std::mem::replace(&mut self.high, outer.high());
                let body = self.heredoc(heredoc, operator, expand);
                self.high = high;
                (delimiter, Some(body))
            }
        };
        let span = self.leave(&outer);
        let fd_variable = redirect.fd_var.as_ref().map(ToString::to_string);
        Some(Redirect { span, fd, fd_variable, operator, target, heredoc })
    }

    /// The rest of the redirect as a word without expansions.
    fn remaining(&mut self) -> Word {
        let outer = self.enter_at(self.low, self.high);
        let mut parts = Vec::new();
        self.plain(&mut parts);
        Word { span: self.leave(&outer), parts }
    }

    fn heredoc(&mut self, heredoc: &shuck_ast::Heredoc, operator: &str, expand: bool) -> Heredoc {
        let before = self.low;
        let outer = self.enter(heredoc.body.span);
        let (start, end) = (self.low, self.high);
        let line = self.source[end..outer.high()].find('\n').map_or(outer.high(), |at| end + at);
        self.heredocs.push((start, line));
        let mut parts = Vec::new();
        if !expand {
            if start < end {
                let kind = WordPartKind::Literal(self.rest().to_owned());
                parts.push(WordPart { span: self.emit(start, end), quoted: true, kind });
            }
        } else if heredoc.delimiter.expands_body {
            for part in &heredoc.body.parts {
                self.heredoc_part(part, &mut parts);
            }
        } else {
            self.read_again(operator, &self.source[start..line], &mut parts);
        }
        let body = self.leave(&outer);
        self.low = before;
        Heredoc { body, expand, strip_tabs: heredoc.delimiter.strip_tabs, parts }
    }

    /// Reads a body that the other tree took for one without expansions, as it does with all here-documents of a line
    /// but the first. What stands before the body is replaced by blanks, so that the offsets stay the same.
    fn read_again(&mut self, operator: &str, body: &str, parts: &mut Vec<WordPart>) {
        let Some(blanks) = self.low.checked_sub(operator.len() + 1) else {
            self.exact = false;
            return;
        };
        let text = format!("{:blanks$}{operator}\n{body}", "");
        let parsed = self.parse(&text);
        let redirect = parsed.stmts.first().and_then(|statement| statement.redirects.first());
        let Some(heredoc) = redirect.and_then(Source::heredoc) else {
            self.exact = false;
            return;
        };
        self.exact &= heredoc.delimiter.expands_body;
        for part in &heredoc.body.parts {
            self.heredoc_part(part, parts);
        }
    }

    fn heredoc_part(&mut self, part: &shuck_ast::HeredocBodyPartNode, parts: &mut Vec<WordPart>) {
        let outer = self.enter(part.span);
        let kind = match &part.kind {
            HeredocBodyPart::Literal(_) => WordPartKind::Literal(unescape_heredoc(self.rest())),
            HeredocBodyPart::Variable(name) => self.variable(name.as_str()),
            HeredocBodyPart::CommandSubstitution { body, .. } => self.substitution(body, false),
            HeredocBodyPart::ArithmeticExpansion { expression, expression_ast, expression_word_ast, .. } => {
                let tree = expression_ast.as_deref();
                self.arithmetic_expansion(expression.span(), tree, expression_word_ast)
            }
            HeredocBodyPart::Parameter(parameter) => self.parameter_expansion(parameter),
        };
        parts.push(WordPart { span: self.leave(&outer), quoted: true, kind });
    }
}
