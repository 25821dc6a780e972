//! What a pass finds, what it proposes, and what it claims about that.

use std::sync::Arc;

use jettison_image::Node;
use jettison_image::changes::Grouping;
use jettison_image::tree::{Cause, Hidden, Origin};

use crate::edits::Changed;
use crate::level::{Level, Safety};
use crate::plan::Plan;
use crate::source::{SourceRemark, SourceUnit};
use crate::unit::{ImageUnit, Owner};

/// One pass. The table in `jettison-passes` holds them all, in the order in which they run.
pub struct Pass {
    /// The waste that the pass finds, in kebab-case.
    pub name: &'static str,
    /// One line for lists.
    pub summary: &'static str,
    /// The lowest level at which it runs.
    pub level: Level,
    /// What it promises.
    pub safety: Safety,
    /// The page: what it finds, why it is safe, when it stays quiet, cases.
    pub page: &'static str,
    /// The codes that other tools have for the same waste.
    pub aliases: &'static [&'static str],
    /// What it looks at, and how.
    pub run: Run,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pass({})", self.name)
    }
}

/// What a pass looks at.
#[derive(Clone, Copy)]
pub enum Run {
    /// An image, and the plan so far.
    Image(fn(&ImageUnit<'_>, &Plan) -> Vec<Remark>),
    /// A Dockerfile on the way to its release form.
    Source(fn(&SourceUnit<'_>) -> Vec<SourceRemark>),
    /// A Dockerfile on the way to its development form.
    Development(fn(&SourceUnit<'_>) -> Vec<SourceRemark>),
}

/// What a pass says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Waste, and what to do about it.
    Found(Finding),
    /// Something that looks like the waste and is left alone.
    Declined(Decline),
}

/// Waste of one kind, from one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The layer that ships it, counted from 0.
    pub shipped_by: usize,
    /// The layer that makes it waste, counted from 0.
    pub hidden_by: Option<usize>,
    /// In which way.
    pub cause: Option<Cause>,
    /// What it is and why it is waste; empty where the cause says it.
    pub what: String,
    /// What to write in a Dockerfile so that it is not there; empty where there is nothing to be said.
    pub help: String,
    /// How many files.
    pub files: usize,
    /// Their content's bytes, unpacked.
    pub bytes: u64,
    /// The proposal.
    pub fix: Fix,
}

impl Finding {
    /// One of nothing yet, in a layer.
    #[must_use]
    pub fn of(shipped_by: usize, fix: Fix) -> Self {
        let (what, help) = (String::new(), String::new());
        Self { shipped_by, hidden_by: None, cause: None, what, help, files: 0, bytes: 0, fix }
    }

    /// The copies of files that no container sees, where it is about such; none otherwise.
    pub fn copies(&self, unit: &ImageUnit<'_>) -> impl Iterator<Item = Origin> {
        let (shipped_by, key) = (self.shipped_by, (self.hidden_by, self.cause));
        let is_of_this =
            move |one: &&Hidden| one.shipped.layer == shipped_by && (Some(one.by.layer), Some(one.cause)) == key;
        unit.upper.hidden().iter().filter(is_of_this).map(|one| one.shipped)
    }
}

/// A proposed change, which only the driver carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is to be done.
    pub edit: Edit,
    /// What the judge may hold the change to.
    pub claim: Claim,
}

/// A change to a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Own layers are written without what no container sees.
    DropHidden,
    /// Own layers are merged into at most so many.
    Regroup {
        /// The most own layers.
        at_most: usize,
    },
    /// Own layers are written by what owns the paths in them.
    Group(Arc<Grouping>),
    /// Paths of the tree are changed, each for itself.
    Change(Vec<(Node, Changed)>),
    /// Paths of the tree are changed, all of them or none.
    ChangeAll(Vec<(Node, Changed)>),
    /// Packages go, with their files, and their databases say so.
    RemovePackages(Vec<Owner>),
    /// Nothing: it is for people to decide.
    Nothing,
}

impl Edit {
    /// The changes of paths.
    #[must_use]
    pub fn changes(&self) -> &[(Node, Changed)] {
        match self {
            Self::Change(all) | Self::ChangeAll(all) => all,
            Self::DropHidden | Self::Regroup { .. } | Self::Group(_) | Self::RemovePackages(_) | Self::Nothing => &[],
        }
    }
}

/// What a fix says about the difference between before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// There is none: every path and every setting is as it was.
    NoDifference,
    /// The paths that it changes are gone, and the databases of package managers no longer list them.
    Gone,
    /// Packages are gone, with what only they needed, as the databases of their managers say before and after.
    PackagesGone(Vec<String>),
    /// Executables and libraries hold no debug information; what is loaded of them is the same.
    Stripped,
    /// Files that are the same in everything are one file with several names.
    Linked,
}

/// A claim with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// What is said.
    pub claim: Claim,
    /// The paths, without their leading slash, sorted.
    pub paths: Vec<Vec<u8>>,
}

/// Why a pass did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline {
    /// The layer that it is about, counted from 0.
    pub layer: Option<usize>,
    /// A whole sentence without its full stop.
    pub reason: String,
    /// The paths that it says stay: once all of them are gone, by whatever pass, it is not true and is not said. Empty where
    /// it is about no paths of its own.
    pub stays: Vec<Node>,
}
