//! What building both forms of a Dockerfile showed.

use serde::{Deserialize, Serialize};

use crate::{Difference, FinalStage, Held, Measured};

/// The comparison of the images of a Dockerfile and of its rewritten form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighed {
    /// How many paths were compared.
    pub paths: usize,
    /// The differences that speak against nothing, each with the reason.
    pub excused: Vec<Excused>,
    /// The differences that refute the rewrite.
    pub refuting: Vec<Difference>,
    /// The packages that are gone, those that changes name first.
    #[serde(default)]
    pub gone: Vec<GonePackage>,
    /// Bytes of all that is gone with them.
    #[serde(default)]
    pub gone_bytes: u64,
}

/// A package that only the image of the Dockerfile as it was has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GonePackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Bytes of the files that its list has.
    pub bytes: u64,
    /// Whether a change names it; the others were there for those alone.
    pub is_claimed: bool,
}

/// A difference that speaks against nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excused {
    /// The difference.
    #[serde(flatten)]
    pub difference: Difference,
    /// Why it does not count.
    pub because: Because,
}

/// Why a difference does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Because {
    /// A change claims it: the path is meant to be gone.
    Claimed,
    /// It belongs to packages that a change claims to be gone.
    Packages,
    /// The contents are the same but for this, which is different in every build.
    Form(String),
    /// Two builds of the original differ there as well.
    Noise,
}

/// A rewrite that was proven, and what had to be taken back for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What the images of both forms differ in.
    pub weighed: Weighed,
    /// The changes that were refuted, in the order in which they were.
    pub withdrawn: Vec<Withdrawal>,
    /// What the layers of both forms hold; none where an earlier version proved it.
    #[serde(default)]
    pub measured: Option<Measured>,
    /// What happened on the way that the user should know.
    pub notes: Vec<String>,
    /// Whether some instructions were moved because a traced build showed that this is safe.
    pub is_observed: bool,
    /// What an order of instructions by the history brings, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<Gain>,
    /// The smoke commands that did the same in both images.
    #[serde(default)]
    pub smoke: Vec<Smoked>,
    /// What came of looking for a final stage that ships less, where that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_stage: Option<FinalStage>,
    /// How many builds it took; none where an earlier proof holds still.
    pub builds: usize,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
    /// Whether it was proven earlier, from the same file, base, context and arguments.
    #[serde(default)]
    pub is_kept: bool,
}

/// A command of the user's that did the same in the images of both forms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smoked {
    /// The command, as the user gave it.
    pub command: String,
    /// How it ends.
    pub exit_code: i32,
    /// What of its output is not compared, and why: a sentence each.
    pub noise: Vec<String>,
}

/// A change that was refuted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The pass that proposed it.
    pub pass: String,
    /// The lines of the original that it is about, counted from 1.
    pub lines: (usize, usize),
    /// What its finding says.
    pub message: String,
    /// What speaks against it.
    pub evidence: Evidence,
    /// What the layers held without it and with it; none where it does not build.
    #[serde(default)]
    pub measured: Option<(Held, Held)>,
}

/// What speaks against a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The images differ.
    Differs(Vec<Difference>),
    /// The file does not build any more: how that ends.
    Fails(String),
    /// It was to make rebuilds faster, and does not.
    Slow {
        /// After so many commits.
        rebuilds: usize,
        /// What all of them took without it, in milliseconds.
        without_ms: u64,
        /// What they took with it.
        with_ms: u64,
    },
    /// A package is gone that is used: its name, and the use.
    Uses(String, String),
    /// A smoke command does something else.
    Smoke {
        /// The command, as the user gave it.
        command: String,
        /// What it does differently: parts of sentences whose subject is the command.
        differs: Vec<String>,
    },
}

/// What rebuilds took, after one commit and another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gain {
    /// The rebuilds, the oldest commit first.
    pub rebuilds: Vec<Rebuild>,
    /// What all of them took by the other changes alone, in milliseconds; none where there are no others.
    pub without_ms: Option<u64>,
}

/// A rebuild after a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// The commit's name.
    pub commit: String,
    /// By the Dockerfile as it was.
    pub before: Work,
    /// By its rewritten form.
    pub after: Work,
}

/// What a rebuild took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// In milliseconds.
    pub took_ms: u64,
    /// How many RUN instructions ran.
    pub runs: usize,
}

impl Gain {
    /// What all rebuilds took by the Dockerfile as it was.
    #[must_use]
    pub fn before(&self) -> Work {
        self.rebuilds.iter().fold(Work::default(), |sum, rebuild| sum.and(rebuild.before))
    }

    /// What all rebuilds took by its rewritten form.
    #[must_use]
    pub fn after(&self) -> Work {
        self.rebuilds.iter().fold(Work::default(), |sum, rebuild| sum.and(rebuild.after))
    }
}

impl Work {
    fn and(self, other: Self) -> Self {
        Self { took_ms: self.took_ms.saturating_add(other.took_ms), runs: self.runs + other.runs }
    }
}

impl Evidence {
    /// The evidence as a sentence without its full stop.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Slow { rebuilds, without_ms, with_ms } => {
                format!("with it {rebuilds} rebuilds take {with_ms} ms, and {without_ms} ms without it")
            }
            Self::Fails(message) => format!("with it the file does not build: {message}"),
            Self::Uses(package, used) => format!("with it {package} is gone, and {used}"),
            Self::Smoke { command, differs } => match differs.as_slice() {
                [] => format!("with it the smoke command {command} does something else"),
                [one, ..] => format!("with it the smoke command {command} {one}"),
            },
            Self::Differs(differences) => match differences.as_slice() {
                [] => "with it the images differ".to_owned(),
                [one] => format!("with it {one}"),
                [one, rest @ ..] => format!("with it {one}, and {} more differences", rest.len()),
            },
        }
    }
}
