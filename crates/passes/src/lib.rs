//! The passes, in the order in which they run, and the driver that runs them.
//!
//! A pass is one file with its page beside it. This table is the one place that knows them all: lists,
//! explanations, flags and tests are made from it.

mod analysis {
    pub(crate) mod calls;
    pub(crate) mod downloads;
    pub(crate) mod folders;
    pub(crate) mod insertion;
    pub(crate) mod later;
    pub(crate) mod leftovers;
    pub(crate) mod place;
    pub(crate) mod switches;
}
mod driver;
mod lines;
mod rewrite;
mod image {
    pub(super) mod shadowed_files;
    pub(super) mod split_layers;
}
mod source {
    pub(super) mod apk_cache;
    pub(super) mod apt_lists;
    pub(super) mod dnf_cache;
    pub(super) mod gem_cache;
    pub(super) mod language_caches;
    pub(super) mod latest_tag;
    pub(super) mod leftover_downloads;
    pub(super) mod npm_cache;
    pub(super) mod pacman_cache;
    pub(super) mod pip_cache;
    pub(super) mod python_caches;
    pub(super) mod zypper_cache;
}

use jettison_ir::Pass;

pub use driver::{Event, Outcome, Selection, SelectionError, assumptions, is_named, run};
pub use lines::LineMap;
pub use rewrite::{Fixes, Found, LeftAlone, RewriteEvent, Rewritten, Source, rewrite};

/// Every pass, in execution order. On images what nobody sees goes first, so that what is merged is small.
pub const PASSES: &[Pass] = &[
    image::shadowed_files::PASS,
    image::split_layers::PASS,
    source::apt_lists::PASS,
    source::apk_cache::PASS,
    source::dnf_cache::PASS,
    source::zypper_cache::PASS,
    source::pacman_cache::PASS,
    source::pip_cache::PASS,
    source::python_caches::PASS,
    source::npm_cache::PASS,
    source::gem_cache::PASS,
    source::language_caches::PASS,
    source::leftover_downloads::PASS,
    source::latest_tag::PASS,
];
