//! A Dockerfile as stages and steps with every expansion done: what is to be built, before anything is.

mod model;

pub use model::{
    Base, BuildArguments, CacheSharing, Copy, CopySource, FileMount, FileMountKind, Owner, Plan, Run, Settings,
    StagePlan, Step, StepKind,
};
