//! What is known of the commands in RUN instructions: the state they leave, what stands against merging them, and
//! which paths they touch.

pub(crate) mod bases;
pub(crate) mod cache_use;
pub(crate) mod caches;
pub(crate) mod context_use;
pub(crate) mod hazards;
pub(crate) mod join;
pub(crate) mod manifests;
pub(crate) mod separable;
pub(crate) mod state;
