//! The passes, in the order in which they run, and the driver that runs them.
//!
//! A pass is one file with its page beside it. This table is the one place that knows them all: lists,
//! explanations, flags and tests are made from it.

mod allow;
mod analysis;
mod databases;
mod driver;
mod lines;
mod rewrite;
pub mod secrets;
mod settings;
pub mod shipping;
mod image {
    pub(super) mod asked_packages;
    pub(super) mod backup_files;
    pub(super) mod build_logs;
    pub(super) mod build_only_packages;
    pub(super) mod compiled_python;
    pub(super) mod debug_symbols;
    pub(super) mod development_files;
    pub(super) mod documentation;
    pub(super) mod equal_files;
    pub(super) mod package_caches;
    pub(super) mod shadowed_files;
    pub(super) mod shipped_secrets;
    pub(super) mod source_maps;
    pub(super) mod split_layers;
    pub(super) mod temporary_files;
    pub(super) mod test_folders;
    pub(super) mod tool_caches;
    pub(super) mod unused_locales;
    pub(super) mod vcs_folders;
}
mod source {
    pub(super) mod adjacent_runs;
    pub(super) mod apk_cache;
    pub(super) mod apt_lists;
    pub(super) mod apt_recommends;
    pub(super) mod build_packages;
    pub(super) mod cold_caches;
    pub(super) mod copied_then_owned;
    pub(super) mod copied_then_removed;
    pub(super) mod dnf_cache;
    pub(super) mod early_changes;
    pub(super) mod gem_cache;
    pub(super) mod joined_steps;
    pub(super) mod language_caches;
    pub(super) mod large_base;
    pub(super) mod late_context;
    pub(super) mod late_manifests;
    pub(super) mod latest_tag;
    pub(super) mod leftover_downloads;
    pub(super) mod npm_cache;
    pub(super) mod pacman_cache;
    pub(super) mod pip_cache;
    pub(super) mod python_caches;
    pub(super) mod split_metadata;
    pub(super) mod unpinned_base;
    pub(super) mod unreachable_stage;
    pub(super) mod wide_context;
    pub(super) mod zypper_cache;
}

use jettison_ir::Pass;

pub use allow::{Allowance, Allowances, Misread};
pub use driver::{Event, Made, Outcome, Selection, SelectionError, Withdrawn, assumptions, is_named, run};
pub use lines::LineMap;
pub use rewrite::{Allowed, Fixes, Found, LeftAlone, RewriteEvent, Rewritten, Source, rewrite};

/// Every pass, in execution order. On images what nobody sees goes first: whatever writes layers anew leaves it out, and it
/// would be told, and counted, as that pass's. Then goes what a container does not need, so that what is merged is small. On
/// Dockerfiles settings and files are put in place before RUNs meet, and leftovers are looked for in what they became.
#[rustfmt::skip]
pub const PASSES: &[Pass] = &[
    image::shadowed_files::PASS,
    image::asked_packages::PASS,
    image::shipped_secrets::PASS,
    image::build_only_packages::PASS,
    // Behind the packages that go, so that no compiler and no reader of manuals among them counts.
    image::documentation::PASS,
    image::unused_locales::PASS,
    image::development_files::PASS,
    image::test_folders::PASS,
    image::source_maps::PASS,
    image::package_caches::PASS,
    image::tool_caches::PASS,
    image::temporary_files::PASS,
    image::build_logs::PASS,
    image::backup_files::PASS,
    image::vcs_folders::PASS,
    image::compiled_python::PASS,
    image::debug_symbols::PASS,
    image::equal_files::PASS,
    image::split_layers::PASS,
    source::latest_tag::PASS,
    source::unpinned_base::PASS,
    source::large_base::PASS,
    source::unreachable_stage::PASS,
    source::split_metadata::PASS,
    source::copied_then_removed::PASS,
    source::copied_then_owned::PASS,
    source::late_context::PASS,
    source::adjacent_runs::PASS,
    source::apt_recommends::PASS,
    source::build_packages::PASS,
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
    source::wide_context::PASS,
    source::joined_steps::PASS,
    source::late_manifests::PASS,
    source::early_changes::PASS,
    source::cold_caches::PASS,
];
