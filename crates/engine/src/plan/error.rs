//! Why a Dockerfile cannot be planned, and where in it.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use jettison_syntax::dockerfile::SyntaxError;
use jettison_syntax::expand::ExpandErrorKind;

/// What is wrong, and where.
#[derive(Debug)]
pub struct PlanError {
    /// What.
    pub kind: PlanErrorKind,
    /// Where, in bytes of the file; empty where the file is not at fault.
    pub span: Range<usize>,
    /// The first and last line at fault, counted from 1; zeros where the file is not at fault.
    pub lines: (u32, u32),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Error for PlanError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

/// Why the base of a stage could not be had.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BasesError(pub Box<dyn Error + Send + Sync>);

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum PlanErrorKind {
    /// The file does not parse: everything that is wrong with it, in order.
    #[error("{}", all(.0))]
    Syntax(Vec<SyntaxError>),
    /// A word could not be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandErrorKind),
    /// The base could not be had.
    #[error("the image {reference} cannot be used")]
    Base {
        /// As FROM names it, expanded.
        reference: String,
        /// Why.
        source: BasesError,
    },
    /// FROM's image is empty once expanded.
    #[error("base name ({0}) should not be blank")]
    BlankBase(String),
    /// `--target` names no stage.
    #[error("target stage {name:?} could not be found; the stages are {}{}", .stages.join(", "), did_you_mean(.meant.as_ref()))]
    NoTarget {
        /// What was asked for.
        name: String,
        /// The stages that there are.
        stages: Vec<String>,
        /// The closest of them.
        meant: Option<String>,
    },
    /// `--from` names a stage by a number that there is not.
    #[error("invalid stage index {0}")]
    StageIndex(String),
    /// `--from` names the stage itself or a later one.
    #[error("cannot use stage {stage:?}, it needs to be defined before current stage {current:?}")]
    NotBefore {
        /// The one that is named.
        stage: String,
        /// The one it is named in.
        current: String,
    },
    /// Stages that need each other.
    #[error("circular dependency detected on stage: {0}")]
    Circular(String),
    /// Something that other builders do and this one does not.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A value that is none of those that there are.
    #[error("invalid {what} {found:?}: {wanted}")]
    Value {
        /// What it is the value of.
        what: String,
        /// What stands there.
        found: String,
        /// What may.
        wanted: String,
    },
    /// Flags or arguments that do not go together, or are missing.
    #[error("{0}")]
    Combination(String),
    /// An ONBUILD trigger of a base that is no single instruction, or cannot be read.
    #[error("ONBUILD trigger {trigger:?}: {why}")]
    Trigger {
        /// The trigger.
        trigger: String,
        /// What is wrong.
        why: String,
    },
}

fn all(errors: &[SyntaxError]) -> String {
    errors.iter().map(|error| error.kind.to_string()).collect::<Vec<_>>().join("; ")
}

fn did_you_mean(meant: Option<&String>) -> String {
    meant.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

/// Shorthand of a value that is refused.
pub(super) fn value(what: impl Into<String>, found: &str, wanted: impl Into<String>) -> PlanErrorKind {
    PlanErrorKind::Value { what: what.into(), found: found.to_owned(), wanted: wanted.into() }
}
