//! Running one command in namespaces of its own, in a root that is mounted already.

mod spec;

pub use spec::{Mount, MountKind, Network, Spec, Status, User};
