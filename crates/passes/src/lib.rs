//! The passes, in the order in which they run, and the driver that runs them.
//!
//! A pass is one file with its page beside it. This table is the one place that knows them all: lists,
//! explanations, flags and tests are made from it.

mod driver;
mod lines;
mod rewrite;
mod image {
    pub(super) mod shadowed_files;
    pub(super) mod split_layers;
}
mod analysis {
    pub(crate) mod copies;
    pub(crate) mod mounts;
    pub(crate) mod owned_steps;
    pub(crate) mod owners;
    pub(crate) mod ownership;
    pub(crate) mod places;
    pub(crate) mod readers;
    pub(crate) mod removals;
    pub(crate) mod steps;
}
mod source {
    pub(super) mod copied_then_owned;
    pub(super) mod copied_then_removed;
    pub(super) mod latest_tag;
}

use jettison_ir::Pass;

pub use driver::{Event, Outcome, Selection, SelectionError, assumptions, is_named, run};
pub use lines::LineMap;
pub use rewrite::{Fixes, Found, LeftAlone, RewriteEvent, Rewritten, Source, rewrite};

/// Every pass, in execution order. On images what nobody sees goes first, so that what is merged is small.
pub const PASSES: &[Pass] = &[
    image::shadowed_files::PASS,
    image::split_layers::PASS,
    source::copied_then_owned::PASS,
    source::copied_then_removed::PASS,
    source::latest_tag::PASS,
];
