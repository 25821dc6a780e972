//! The nodes of a script's tree, and the questions a single node answers.

use std::borrow::Cow;

use crate::Span;

/// Commands one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// From the first item up to the last one's terminator; empty where there is no item.
    pub span: Span,
    /// Its items.
    pub items: Vec<Item>,
}

/// An element of a [`List`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its text without the terminator.
    pub span: Span,
    /// What it runs.
    pub and_or: AndOr,
    /// What ends it; the last item of a list may have none.
    pub terminator: Option<(Terminator, Span)>,
}

/// What ends an [`Item`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Terminator {
    /// `;`
    Semicolon,
    /// The end of the line.
    Newline,
    /// `&`: the shell does not wait for the item.
    Background,
}

/// Pipelines joined by `&&` and `||`, which bind equally and from left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AndOr {
    /// Its text.
    pub span: Span,
    /// The pipeline that always runs.
    pub first: Pipeline,
    /// Those that depend on what ran before, with the operator before each.
    pub rest: Vec<(Operator, Span, Pipeline)>,
}

/// What joins pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `&&`
    And,
    /// `||`
    Or,
}

/// Commands joined by `|`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Its text, with the `!`.
    pub span: Span,
    /// Whether a `!` stands before it.
    pub negated: bool,
    /// Its commands, one at least.
    pub commands: Vec<Command>,
    /// The operators between them, one less than there are commands.
    pub pipes: Vec<Pipe>,
}

/// An operator between the commands of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// Its text.
    pub span: Span,
    /// Whether it is `|&`, which passes on standard error too.
    pub with_errors: bool,
}

/// A command with its redirects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its text, redirects included.
    pub span: Span,
    /// What it does.
    pub kind: CommandKind,
    /// Its redirects, from left to right.
    pub redirects: Vec<Redirect>,
}

/// What a [`Command`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// Assignments and words.
    Simple(Simple),
    /// `( … )`
    Subshell(List),
    /// `{ …; }`
    Group(List),
    /// `if … then … elif … then … else … fi`
    If {
        /// Each condition with what runs when it holds.
        branches: Vec<(List, List)>,
        /// What runs when none holds.
        otherwise: Option<List>,
    },
    /// `for name in words; do …; done`
    For {
        /// The variable.
        variable: String,
        /// What it runs through; absent for the positional parameters.
        words: Option<Vec<Word>>,
        /// What runs for each.
        body: List,
    },
    /// `for ((first; condition; step)); do …; done`
    ArithmeticFor {
        /// The expressions that are there.
        expressions: Vec<Arithmetic>,
        /// What it runs.
        body: List,
    },
    /// `while` or `until`.
    While {
        /// Whether it is `until`.
        until: bool,
        /// The condition.
        condition: List,
        /// What it runs.
        body: List,
    },
    /// `case subject in …esac`
    Case {
        /// What is compared.
        subject: Word,
        /// Its arms.
        arms: Vec<CaseArm>,
    },
    /// `select name in words; do …; done`
    Select {
        /// The variable.
        variable: String,
        /// The choices.
        words: Vec<Word>,
        /// What runs for each choice.
        body: List,
    },
    /// The definition of a function.
    Function {
        /// Its name.
        name: String,
        /// What a call runs.
        body: Box<Command>,
    },
    /// `[[ … ]]`
    Test {
        /// The operands from left to right, without the operators.
        words: Vec<Word>,
    },
    /// `(( … ))`
    Arithmetic(Arithmetic),
    /// `time pipeline`
    Time(Option<Box<Pipeline>>),
    /// `coproc name command`
    Coproc(Box<Command>),
    /// A construct of another shell, kept as text.
    Other,
}

/// An arm of `case`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseArm {
    /// From the first pattern up to the end of the body.
    pub span: Span,
    /// Its patterns.
    pub patterns: Vec<Word>,
    /// What it runs.
    pub body: List,
}

/// A simple command. `export`, `local` and the like, `exit`, `return`, `break` and `continue` are simple commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simple {
    /// From its first assignment or word up to its last; empty when it has redirects only.
    pub span: Span,
    /// The assignments before its name.
    pub assignments: Vec<Assignment>,
    /// Its name and arguments; none when it only assigns or redirects.
    pub words: Vec<Word>,
}

impl Simple {
    /// Its name, where that is known without running anything.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let [WordPart { kind: WordPartKind::Literal(name), .. }] = self.words.first()?.parts.as_slice() else {
            return None;
        };
        Some(name)
    }

    /// Its words behind the name.
    #[must_use]
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// `name=value`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Its text.
    pub span: Span,
    /// The variable.
    pub name: String,
    /// What stands in brackets behind the name.
    pub subscript: Option<Word>,
    /// The value; absent when nothing stands behind the sign.
    pub value: Option<Word>,
    /// Whether the sign is `+=`.
    pub append: bool,
}

/// A word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Its text, quotes included.
    pub span: Span,
    /// Its parts in order; none for a word without text.
    pub parts: Vec<WordPart>,
}

impl Word {
    /// Its value, where that is known without running anything: no expansion, tilde or pattern is in it.
    #[must_use]
    pub fn literal(&self) -> Option<Cow<'_, str>> {
        match self.parts.as_slice() {
            [] => Some(Cow::Borrowed("")),
            [WordPart { kind: WordPartKind::Literal(text), .. }] => Some(Cow::Borrowed(text)),
            parts => parts
                .iter()
                .map(|part| match &part.kind {
                    WordPartKind::Literal(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<Option<String>>()
                .map(Cow::Owned),
        }
    }

    /// Its text in the script's `source`.
    #[must_use]
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        self.span.of(source)
    }

    /// Whether a pattern for file names stands in it, unquoted.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.kind, WordPartKind::Glob(_)))
    }

    /// Whether its value depends on more than its own text and the files there are: a parameter, command, tilde,
    /// arithmetic expression or list in braces.
    #[must_use]
    pub fn has_expansion(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part.kind, WordPartKind::Literal(_) | WordPartKind::Glob(_)))
    }
}

/// A part of a [`Word`] or of a here-document's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordPart {
    /// Its text. Single quotes belong to it; double quotes do unless something stands between them.
    pub span: Span,
    /// Whether it stands in quotes.
    pub quoted: bool,
    /// What it is.
    pub kind: WordPartKind,
}

/// What a [`WordPart`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordPartKind {
    /// Text, with quotes and escapes resolved.
    Literal(String),
    /// `$name` or `${…}`.
    Parameter {
        /// The parameter's name.
        name: String,
        /// What stands before the name within the braces: `#` for the length, `!` for indirection.
        prefix: Option<char>,
        /// The raw text behind the name within the braces.
        operator: Option<String>,
        /// The words that text holds: subscript, default, pattern, replacement, offset and length.
        words: Vec<Word>,
    },
    /// `$(…)` or backquotes.
    Command(List),
    /// `$((…))`
    Arithmetic(Arithmetic),
    /// `<(…)` or `>(…)`
    Process(List),
    /// A pattern for file names, such as `*` or `[a-z]`.
    Glob(String),
    /// `~` or `~user` where a home directory takes its place.
    Tilde,
    /// Raw text of a list in braces, such as `{a,b}`, which Bash expands.
    Brace(String),
    /// The elements of an array: `(…)` behind `name=`.
    Array(Vec<Word>),
}

/// An arithmetic expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arithmetic {
    /// Its text, without the parentheses.
    pub span: Span,
    /// Names of variables it reads without a `$`.
    pub reads: Vec<String>,
    /// Names of variables it sets.
    pub assigns: Vec<String>,
    /// The words with expansions in it.
    pub words: Vec<Word>,
}

/// A redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// From the file descriptor up to the target; a here-document's body lies elsewhere.
    pub span: Span,
    /// The file descriptor, where it is written.
    pub fd: Option<u32>,
    /// The variable that takes the descriptor, as in `{name}>file`.
    pub fd_variable: Option<String>,
    /// Its operator.
    pub operator: RedirectOperator,
    /// The file, the descriptor, the string or the here-document's delimiter.
    pub target: Word,
    /// What a here-document's operator refers to.
    pub heredoc: Option<Heredoc>,
}

/// The operator of a [`Redirect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RedirectOperator {
    /// `<`
    In,
    /// `>`
    Out,
    /// `>>`
    Append,
    /// `>|`
    Clobber,
    /// `<>`
    ReadWrite,
    /// `<&`
    DuplicateIn,
    /// `>&`
    DuplicateOut,
    /// `<<<`
    HereString,
    /// `<<` and `<<-`
    Heredoc,
    /// `&>`
    OutBoth,
    /// `&>>`
    AppendBoth,
}

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// Its body up to the line of the delimiter.
    pub body: Span,
    /// Whether parameters, commands and arithmetic in it are expanded: no part of the delimiter is quoted.
    pub expand: bool,
    /// Whether leading tabs are dropped (`<<-`).
    pub strip_tabs: bool,
    /// Its body in parts; tabs that are dropped are still there.
    pub parts: Vec<WordPart>,
}
