//! What a pass on a Dockerfile finds, what it proposes, what it leaves alone.

use jettison_syntax::Span;

/// What a pass says about a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceRemark {
    /// Waste, and what to do about it.
    Found(SourceFinding),
    /// Something that looks like the waste and is left alone.
    Declined(SourceDecline),
}

/// Waste in a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFinding {
    /// Where, in the Dockerfile.
    pub span: Span,
    /// What is wasted and why, as a sentence without its full stop.
    pub message: String,
    /// What a person can do where nothing is proposed, or should know of the proposal.
    pub help: Option<String>,
    /// The proposal.
    pub fix: Option<SourceFix>,
}

/// A proposed change, which only the driver carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFix {
    /// The file that it changes.
    pub target: Target,
    /// The changes, which do not overlap. They are made all or none.
    pub edits: Vec<TextEdit>,
    /// What the judge may hold the change to.
    pub claim: SourceClaim,
}

/// What a fix says about the difference between the images of before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceClaim {
    /// There is none, but for times and history.
    Same,
    /// What matches these is missing, and nothing else differs: absolute paths, `*` for any part of one name, a
    /// trailing `/**` for all that is below.
    Gone(Vec<String>),
    /// These packages are missing, with all that belongs to them and to what only they needed.
    PackagesGone(Vec<String>),
    /// The image is not touched: the change is to what a builder reads or keeps.
    BuildOnly,
}

/// A file that a fix changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The Dockerfile.
    Dockerfile,
    /// `.dockerignore` of the build context, which may not exist.
    Ignore,
}

/// The replacement of a part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextEdit {
    /// What is replaced.
    pub span: Span,
    /// What stands there then, with `\n` as line ends and `\` as the continuation: the driver writes the file's own.
    pub text: String,
}

/// Why a pass left something alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDecline {
    /// Where, in the Dockerfile.
    pub span: Span,
    /// A short name of the reason, in kebab-case, the same for all cases of one kind.
    pub code: &'static str,
    /// A whole sentence without its full stop.
    pub reason: String,
}

impl SourceFinding {
    /// A finding with its proposal for the Dockerfile.
    #[must_use]
    pub fn fixed(span: Span, message: String, edits: Vec<TextEdit>, claim: SourceClaim) -> Self {
        Self { span, message, help: None, fix: Some(SourceFix { target: Target::Dockerfile, edits, claim }) }
    }

    /// A finding for people to decide about.
    #[must_use]
    pub fn advice(span: Span, message: String, help: String) -> Self {
        Self { span, message, help: Some(help), fix: None }
    }
}

impl TextEdit {
    /// Replaces a part.
    #[must_use]
    pub fn replace(span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into() }
    }

    /// Puts text in at an offset.
    #[must_use]
    pub fn insert(at: u32, text: impl Into<String>) -> Self {
        Self { span: Span { start: at, end: at }, text: text.into() }
    }

    /// Takes a part out.
    #[must_use]
    pub fn delete(span: Span) -> Self {
        Self { span, text: String::new() }
    }
}
