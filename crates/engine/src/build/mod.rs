//! Building: the stages that the target needs, each step from the cache or anew.
//!
//! Stages run in threads of their own and wait for each other only where one really takes something from
//! another. A step's key is looked up before anything is mounted, so that a build without changes touches no tree.

mod copy;
mod error;
mod execute;
mod identity;
mod keys;
mod model;
mod mounts;
mod output;
mod platform;
mod probe;
mod run;
mod session;
mod sources;
mod stages;
mod state;
mod step;
mod stoppable;
mod time;
mod transfer;

pub use error::{BuildError, FailedStep, StepError};
pub use execute::build;
pub use identity::identify;
pub use model::{
    BaseTree, Built, BuiltBase, BuiltLayer, BuiltLayers, BuiltStage, BuiltStep, Cancel, ContextFolder, NamedContext,
    Outcome, Request, Secret,
};
pub use probe::{Probe, Probed, Startup, needs, probe, startup};
pub use session::Session;
pub use stoppable::Stoppable;
pub(crate) use transfer::Transfer;
