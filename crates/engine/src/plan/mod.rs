//! A Dockerfile as stages and steps with every expansion done: what is to be built, before anything is.

mod copy;
mod document;
mod error;
mod global;
mod model;
mod mount;
mod planner;
mod run;
mod settings;
mod state;
mod values;

use std::collections::BTreeMap;

use jettison_image::Platform;
use jettison_syntax::dockerfile::Dockerfile;

pub use error::{BasesError, PlanError, PlanErrorKind};
pub use model::{
    Base, BuildArguments, CacheSharing, Copy, CopySource, FileMount, FileMountKind, Owner, Plan, Run, Settings,
    StagePlan, Step, StepKind,
};

use crate::sandbox::Network;

/// What a build is asked, as far as the reading of the Dockerfile goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--build-arg`.
    pub build_args: BuildArguments,
    /// `--target`: a stage by name or number.
    pub target: Option<String>,
    /// `--platform`.
    pub platform: Platform,
    /// The platform that commands run on.
    pub build_platform: Platform,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--network`.
    pub default_network: Network,
}

/// Images and named contexts.
pub trait Bases {
    /// The config of the image that FROM names, without `rootfs` and `history`: of a named context of that name,
    /// else of the image itself. `lines` are those of FROM.
    ///
    /// # Errors
    /// Where there is no such image, or none for the platform.
    fn settings(
        &mut self,
        reference: &str,
        platform: &Platform,
        lines: (u32, u32),
    ) -> Result<(Base, Settings), BasesError>;

    /// Whether a named context (`--build-context`) has that name.
    fn is_context(&self, name: &str) -> bool;

    /// Whether a named context of that name is a folder rather than an image.
    fn is_folder(&self, name: &str) -> bool;
}

/// Plans a build.
///
/// # Errors
/// For all that BuildKit refuses, and by name for what it does and this engine does not.
pub fn plan(tree: &Dockerfile, options: &Options, bases: &mut dyn Bases) -> Result<Plan, PlanError> {
    planner::plan(tree, options, bases)
}

#[cfg(test)]
mod tests;
