//! Building: the stages that the target needs, each step from the cache or anew.

mod model;

pub use model::{
    Built, BuiltBase, BuiltLayer, BuiltStep, Cancel, ContextFolder, NamedContext, Outcome, Request, Secret,
};
