//! Builds Dockerfiles: sandboxed steps, snapshots, cache, traces.
//!
//! The way of a build: `plan` turns the syntax tree into stages and steps with all expansions done;
//! `build` walks the stages that the target needs, looks each step's key up in the `cache`, and runs
//! what is missing: `sandbox` for RUN, `files` for COPY and ADD, each in a `snapshot`'s workspace.
//! What comes out is a [`build::Built`]: a config and layers that were never packed.

pub mod adapters;
pub mod base;
pub mod build;
pub mod cache;
pub mod containers;
pub mod events;
pub mod files;
pub mod ids;
mod kernel;
pub mod plan;
pub mod sandbox;
pub mod snapshot;
pub mod ssh;
pub mod supervisor;
pub mod trace;
