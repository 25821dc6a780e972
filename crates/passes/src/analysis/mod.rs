//! What is known of the commands in RUN instructions: the state they leave, what stands against merging them, and
//! which paths they touch.

pub(crate) mod bases;
pub(crate) mod build_group;
pub(crate) mod build_needs;
pub(crate) mod build_steps;
pub(crate) mod build_tools;
pub(crate) mod cache_use;
pub(crate) mod caches;
pub(crate) mod calls;
pub(crate) mod context_use;
pub(crate) mod copies;
pub(crate) mod directories;
pub(crate) mod downloads;
pub(crate) mod effects;
pub(crate) mod families;
pub(crate) mod folders;
pub(crate) mod hazards;
pub(crate) mod insertion;
pub(crate) mod join;
pub(crate) mod later;
pub(crate) mod leftovers;
pub(crate) mod manifests;
pub(crate) mod mounts;
pub(crate) mod moves;
pub(crate) mod owned_steps;
pub(crate) mod owners;
pub(crate) mod ownership;
pub(crate) mod place;
pub(crate) mod places;
pub(crate) mod readers;
pub(crate) mod removals;
pub(crate) mod replaced;
pub(crate) mod separable;
pub(crate) mod state;
pub(crate) mod steps;
pub(crate) mod switches;
