//! The shell inside instructions: a small tree of its own over the text of a `RUN`.
//!
//! [`Script::parse`] never fails. Behind it stands `shuck-parser`; none of its types leaves this module, so that
//! another parser can take its place. The text has to be what the shell gets to see: an instruction's continuation
//! lines joined.
//!
//! # Spans
//! A span covers exactly the text of its node: a command begins with its first byte and ends behind its last, without
//! a blank or an operator. Spans nest and siblings follow one another; between them lie blanks, operators, keywords,
//! quotes and comments only. There are two exceptions:
//! - the body of a here-document stands behind the line of its redirect, hence outside of its command;
//! - commands within backquotes that hold backslashes have no text of their own in the script, since the shell reads
//!   them after it removed the backslashes. Their spans are empty and lie at the closing backquote.
//!
//! [`Script::exact`] tells whether all of this is known to hold. Where it does not, spans still nest and lie within the
//! text, but an edit must leave the script alone.

mod arithmetic;
mod command;
mod lower;
mod parameter;
mod quote;
mod redirect;
mod tree;
mod visit;
mod word;

pub use quote::quote;
pub use tree::{
    AndOr, Arithmetic, Assignment, CaseArm, Command, CommandKind, Heredoc, Item, List, Operator, Pipe, Pipeline,
    Redirect, RedirectOperator, Simple, Terminator, Word, WordPart, WordPartKind,
};
pub use visit::Node;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use shuck_parser::ShellDialect;
use shuck_parser::parser::{ParseResult, Parser};

use self::lower::Lowerer;
use crate::Span;

/// The language a text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The shell of POSIX: `dash`, BusyBox `ash` or whatever `/bin/sh` is. As that may be Bash, what is no valid text
    /// of POSIX's language is read as Bash's.
    Sh,
    /// GNU Bash.
    Bash,
}

/// A parsed shell text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The text that was parsed; all spans count its bytes.
    pub text: String,
    /// Its commands; with an error, those that could be recovered, possibly none.
    pub body: List,
    /// Its comments in order, from `#` up to the end of the line.
    pub comments: Vec<Span>,
    /// What is wrong with the text.
    pub error: Option<ScriptError>,
    /// Whether each span is known to cover exactly the text of its node. It is not with an error, nor where the parser
    /// took for a script what is none, as it does with some texts of PowerShell: such a script is best left alone.
    pub exact: bool,
}

/// Why a text is no valid script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScriptError {
    /// Where it was noticed.
    pub span: Span,
    /// What is wrong, in the words of the parser.
    pub message: String,
}

thread_local! {
    /// Whether this thread parses a script now.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic in this thread now would be caught, and cost no more than one script's tree: for panic hooks.
#[must_use]
pub fn is_guarded() -> bool {
    GUARDED.get()
}

impl Script {
    /// Parses `text`. Of a text that is no valid script it keeps what could be recovered, and says so in
    /// [`error`](Self::error).
    #[must_use]
    pub fn parse(text: &str, dialect: Dialect) -> Self {
        if u32::try_from(text.len()).is_err() {
            return Self::failed(text, "the text is larger than 4 GiB");
        }
        // The parser behind it is young: a defect there must cost one script's tree and not the run.
        GUARDED.set(true);
        let parsed = catch_unwind(AssertUnwindSafe(|| Self::parse_guarded(text, dialect)));
        GUARDED.set(false);
        parsed.unwrap_or_else(|_| Self::failed(text, "the parser gave up"))
    }

    fn parse_guarded(text: &str, dialect: Dialect) -> Self {
        let result = match dialect {
            Dialect::Bash => Parser::with_dialect(text, ShellDialect::Bash).parse(),
            Dialect::Sh => {
                let strict = Parser::with_dialect(text, ShellDialect::Posix).parse();
                if strict.is_ok() { strict } else { better(strict, text) }
            }
        };
        let mut lowerer = Lowerer::new(text, dialect);
        let body = lowerer.script(&result.file.body);
        let (comments, exact) = lowerer.finish();
        let error = result.diagnostics.first().map(|diagnostic| {
            let (start, end) = lower::within(text, diagnostic.span);
            ScriptError { span: Span::new(start, end), message: diagnostic.message.clone() }
        });
        let error = error.or_else(|| {
            let whole = Span::new(0, text.len());
            result.is_err().then(|| ScriptError { span: whole, message: result.strict_error().to_string() })
        });
        Self { text: text.to_owned(), body, comments, exact: exact && error.is_none(), error }
    }

    fn failed(text: &str, message: &str) -> Self {
        let error = Some(ScriptError { span: Span::default(), message: message.to_owned() });
        Self { text: text.to_owned(), body: List::default(), comments: Vec::new(), error, exact: false }
    }
}

/// What Bash makes of a text that POSIX's language refuses, unless it refuses the text as well.
fn better(strict: ParseResult, text: &str) -> ParseResult {
    let loose = Parser::with_dialect(text, ShellDialect::Bash).parse();
    if loose.is_ok() { loose } else { strict }
}
