//! The bytes of a build by the lines of its Dockerfile: what a report by lines is made of.

mod change;
mod github;
mod human;
mod json;

use std::time::Duration;

use jettison_image::tree::Cause;
use jettison_ir::{Held, Lines, Share};

pub use github::lines_github;
pub use human::lines_human;
pub use json::lines_json;

pub(crate) use change::{forms, gain};
pub(crate) use json::measured as gain_json;

/// A build by the lines of its Dockerfile. Lines are those of the file as the user has it, counted from 1; sizes are bytes
/// of files' contents, unpacked, unless they say otherwise.
#[derive(Clone, Debug)]
pub struct LinesReport {
    /// The Dockerfile, as named by the user.
    pub dockerfile: String,
    /// The level, as in `-O2`.
    pub level: String,
    /// Whether a rewritten form was built in place of the Dockerfile.
    pub is_rewritten: bool,
    /// The instructions, in order of line.
    pub rows: Vec<LineRow>,
    /// The stages that were not needed: name, and the lines from FROM to the end.
    pub unneeded: Vec<(String, Lines)>,
    /// What no container sees, the largest first.
    pub waste: Vec<LineWaste>,
    /// What was changed, or could be.
    pub changes: Vec<LineChange>,
    /// The image that was written; none where only a tree was.
    pub image: Option<LinesImage>,
    /// From start to end.
    pub took: Duration,
}

/// The image that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinesImage {
    /// Its layers.
    pub layers: usize,
    /// Their bytes as stored.
    pub stored: u64,
}

/// An instruction.
#[derive(Clone, Debug)]
pub struct LineRow {
    /// Its lines.
    pub lines: Lines,
    /// Its lines in the rewritten form, where that was built.
    pub built_lines: Option<Lines>,
    /// Its stage's name; none where there is only one stage, and before the first.
    pub stage: Option<String>,
    /// Whether the image only copies from its stage, if anything.
    pub is_elsewhere: bool,
    /// The instruction.
    pub instruction: String,
    /// What it brought into the image. None where it brought nothing: it is of a stage that the image only copies from,
    /// or changes settings, or nothing.
    pub share: Option<Share>,
    /// Whether it is the base.
    pub is_base: bool,
    /// Its layers' bytes as stored, where there are such layers in the image; none where they were merged with others.
    pub stored: Option<u64>,
    /// How long it took to find, fetch and unpack the image that a stage starts from; none for other instructions.
    pub prepared_in: Option<Duration>,
    /// Its step; none for what needs no work.
    pub step: Option<LineStep>,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineStep {
    /// Whether it was in the cache before this command began.
    pub cached: bool,
    /// How long it took now.
    pub took: Duration,
    /// How long its result took when it was made.
    pub made_in: Duration,
}

/// Files that an instruction brought and no container sees.
#[derive(Clone, Debug)]
pub struct LineWaste {
    /// The row that brought them.
    pub row: usize,
    /// The row that hides them.
    pub hidden_by: usize,
    /// In which way.
    pub cause: Cause,
    /// How many files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The largest: its path without a leading slash, and its bytes.
    pub largest: (Vec<u8>, u64),
    /// What became of them.
    pub fate: Fate,
}

/// What became of waste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not in the image's layers: the pass that left it out.
    Dropped(String),
    /// It is in the image's layers: why.
    Kept(String),
    /// Only the tree was written, which has no layers.
    NoLayers,
}

/// A change to the Dockerfile that was made, or could be.
#[derive(Clone, Debug)]
pub struct LineChange {
    /// The pass that proposes it.
    pub pass: String,
    /// Its lines.
    pub lines: Lines,
    /// What and why.
    pub message: String,
    /// What became of it.
    pub outcome: ChangeOutcome,
    /// What it saves.
    pub gain: Option<Gain>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It was made and proven.
    Applied,
    /// It was made, and makes another image.
    Withdrawn,
    /// It could be made; nothing was built for it.
    Proposed,
    /// It is for people to decide.
    Advice,
}

/// What a change saves, measured by building both forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gain {
    /// What the layers of the lines concerned hold without it.
    pub before: Held,
    /// The same with it.
    pub after: Held,
    /// The lines of all instructions that changed together with it; empty where it was measured alone.
    pub lines: Vec<Lines>,
    /// Whether an earlier change of the list has the same numbers, because both are about the same instructions.
    pub is_shared: bool,
}

impl LinesReport {
    /// The bytes of the base, and of the lines, as containers see them.
    fn seen(&self) -> (u64, u64) {
        let of = |is_base: bool| {
            let rows = self.rows.iter().filter(move |row| row.is_base == is_base);
            rows.filter_map(|row| row.share).map(|share| share.seen).sum()
        };
        (of(true), of(false))
    }

    /// How many steps there are, how many were in the cache, and the time that this saved.
    fn cache(&self) -> (usize, usize, Duration) {
        let steps = || self.rows.iter().filter_map(|row| row.step);
        let cached = || steps().filter(|step| step.cached);
        (steps().count(), cached().count(), cached().map(|step| step.made_in.saturating_sub(step.took)).sum())
    }
}

impl ChangeOutcome {
    /// As programs read it.
    fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Withdrawn => "withdrawn",
            Self::Proposed => "proposed",
            Self::Advice => "advice",
        }
    }
}

impl LineWaste {
    /// What hides it.
    fn sentence(&self, report: &LinesReport) -> String {
        let how = match self.cause {
            Cause::Overwritten => "overwritten",
            Cause::MetadataOnly => "copied for another mode, owner or time",
            Cause::Deleted => "deleted",
            Cause::Opaque => "hidden by an opaque folder",
            Cause::TypeChanged => "replaced by something of another type",
        };
        match report.rows.get(self.hidden_by) {
            Some(row) if !row.is_base => format!("{how} by {}", on_lines(row.lines)),
            _ => format!("{how} within the base"),
        }
    }
}

impl Fate {
    fn sentence(&self) -> String {
        match self {
            Self::Dropped(pass) => format!("not written ({pass})"),
            Self::Kept(reason) => format!("in the image: {reason}"),
            Self::NoLayers => "not written: a tree has no layers".to_owned(),
        }
    }
}

/// `line 3`, `lines 3-4`.
pub(crate) fn on_lines((first, last): Lines) -> String {
    if first == last { format!("line {first}") } else { format!("lines {first}-{last}") }
}

/// `3`, `3-4`.
fn bare((first, last): Lines) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests;
