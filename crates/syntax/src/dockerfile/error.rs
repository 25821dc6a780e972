//! What is wrong with a Dockerfile, where, and what may have been meant.

use std::fmt;

use crate::Span;
use crate::expand::ExpandErrorKind;

/// Something that a builder refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where.
    pub span: Span,
    /// What.
    pub kind: ErrorKind,
}

/// At which point a builder refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The text does not parse.
    Parse,
    /// The text parses, an instruction makes no sense.
    Instruction,
}

/// What a builder refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// A file without a single instruction.
    #[error("the file has no instructions")]
    NoInstructions,
    /// A physical line of 65,536 bytes or more.
    #[error("the line has {length} bytes; a builder reads at most 65,535")]
    LineTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// An escape directive with another character.
    #[error("the escape character can be \\ or `, not {found:?}")]
    InvalidEscape {
        /// What it names.
        found: String,
    },
    /// A directive given twice.
    #[error("only one {name} directive can be used")]
    RepeatedDirective {
        /// Which.
        name: String,
    },
    /// A heredoc without its end.
    #[error("the heredoc has no closing line {terminator:?}")]
    UnterminatedHeredoc {
        /// The line that should end it.
        terminator: String,
    },
    /// A heredoc whose name cannot be read.
    #[error("the heredoc's name cannot be read: {why}")]
    HeredocName {
        /// What is wrong with it.
        why: ExpandErrorKind,
    },
    /// A JSON array with something else than strings in it.
    #[error("an array in JSON form can hold strings only")]
    NotStrings,
    /// `ENV name` or `LABEL name`.
    #[error("{keyword} needs a name and a value")]
    NoValue {
        /// The instruction.
        keyword: &'static str,
    },
    /// A word without `=` among pairs.
    #[error("{word:?} has no =; each pair has the form name=value")]
    NoEquals {
        /// The word.
        word: String,
    },
    /// A pair without a name.
    #[error("a name cannot be empty")]
    EmptyName,
    /// An instruction that there is not.
    #[error("there is no instruction {found}")]
    UnknownInstruction {
        /// What stands there.
        found: String,
        /// What may have been meant.
        meant: Option<&'static str>,
    },
    /// A flag that the instruction does not have.
    #[error("{keyword} has no flag --{found}")]
    UnknownFlag {
        /// The instruction.
        keyword: &'static str,
        /// What stands there.
        found: String,
        /// What may have been meant.
        meant: Option<&'static str>,
    },
    /// Too few or too many arguments.
    #[error("{keyword} needs {wanted}")]
    Arguments {
        /// The instruction.
        keyword: &'static str,
        /// What it needs.
        wanted: &'static str,
    },
    /// An instruction before the first FROM.
    #[error("{keyword} stands before the first FROM")]
    BeforeFrom {
        /// The instruction.
        keyword: &'static str,
    },
    /// No FROM at all.
    #[error("the file has no FROM")]
    NoFrom,
    /// An instruction that ONBUILD does not take.
    #[error("ONBUILD does not take {keyword}")]
    Trigger {
        /// Which.
        keyword: String,
    },
    /// A stage name with other characters.
    #[error("a stage cannot be named {name:?}: names are lower-case letters, digits, - _ and .")]
    StageName {
        /// The name.
        name: String,
    },
}

impl ErrorKind {
    /// At which point a builder refuses it.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::NoInstructions
            | Self::LineTooLong { .. }
            | Self::InvalidEscape { .. }
            | Self::RepeatedDirective { .. }
            | Self::UnterminatedHeredoc { .. }
            | Self::HeredocName { .. }
            | Self::NotStrings
            | Self::NoValue { .. }
            | Self::NoEquals { .. } => Stage::Parse,
            _ => Stage::Instruction,
        }
    }

    /// What may have been meant.
    #[must_use]
    pub fn meant(&self) -> Option<&'static str> {
        match self {
            Self::UnknownInstruction { meant, .. } | Self::UnknownFlag { meant, .. } => *meant,
            _ => None,
        }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// The candidate that is closest to `found`, where one is close enough to be a slip of the hand.
#[must_use]
pub fn closest<'c>(found: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let found = found.to_ascii_lowercase();
    let distance = |candidate: &&'c str| edit_distance(&found, &candidate.to_ascii_lowercase());
    let best = candidates.iter().min_by_key(|candidate| distance(candidate))?;
    // A name of which nothing is left was not meant.
    let most = (1 + best.len() / 4).min(best.chars().count().saturating_sub(1));
    (distance(best) <= most).then_some(*best)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
