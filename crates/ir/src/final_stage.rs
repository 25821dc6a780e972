//! A final stage of its own: whether a Dockerfile could ship less by copying only what is used from the stage that made
//! all of it.

use serde::{Deserialize, Serialize};

use crate::Evidence;

/// What came of looking for such a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalStage {
    /// It was built, is a part of the image without it, and does the same.
    Suggested(Box<Suggestion>),
    /// None is suggested.
    Declined {
        /// Why: a sentence without its full stop.
        reason: String,
    },
    /// One was built, and does not do the same.
    Refuted {
        /// What speaks against it.
        evidence: Evidence,
    },
}

/// A final stage that was built and measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// Whether it does without the base image, of which nothing was used.
    pub is_from_scratch: bool,
    /// Unpacked bytes of the image's own layers, merged into one, without the stage; where it does without the base
    /// image, those of all layers.
    pub bytes_before: u64,
    /// The same with it.
    pub bytes_after: u64,
    /// How many paths the image has with it, each of which was compared.
    pub paths: usize,
    /// How many paths it has less.
    pub missing: usize,
    /// How often it was built with more than before, because a smoke command missed something.
    pub rounds: usize,
    /// The stage's text.
    pub stage: String,
    /// The whole Dockerfile with it.
    pub dockerfile: String,
    /// For each line of that the first and last line of the original that it stands for, counted from 1.
    pub origin: Vec<(usize, usize)>,
    /// Whether the rewritten Dockerfile has it.
    pub is_applied: bool,
}

impl FinalStage {
    /// One that is not suggested.
    #[must_use]
    pub fn declined(reason: impl Into<String>) -> Self {
        Self::Declined { reason: reason.into() }
    }

    /// The suggestion, where there is one.
    #[must_use]
    pub fn suggestion(&self) -> Option<&Suggestion> {
        match self {
            Self::Suggested(suggestion) => Some(suggestion),
            Self::Declined { .. } | Self::Refuted { .. } => None,
        }
    }
}
