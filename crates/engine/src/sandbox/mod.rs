//! Running one command in namespaces of its own, in a root that is mounted already.
//!
//! Three processes take part. The engine ([`run()`]) starts its own program again as a *runner* ([`run_if_asked`]),
//! which has one thread and can therefore leave namespaces and fork. The runner makes a process namespace and forks
//! the container's first process, which makes the other namespaces, mounts what the command is to see, gives up what
//! it may, and becomes the command. When the first process ends, the kernel ends all others of its namespace before it
//! reports that. When the engine ends, the runner sees its socket close and kills the first process; when the runner
//! ends, the kernel does.
//!
//! An engine that is in a user namespace already (it was started by an ordinary user) gives each container a user
//! namespace below its own, with the same ids, so that the container has no power over the engine's namespaces. The
//! machine's real root gives it none: the kernel lets nobody make device nodes in a user namespace, and `RUN mknod`
//! has to work there as it does elsewhere. What guards the machine then is what guards it in other engines: the
//! capabilities, the system call filter, the masked paths. Where those forbid the *use* of other devices by a control
//! group, here every mount that the command could make a node on is `nodev`, and it can mount nothing.

mod devices;
mod enter;
mod error;
mod execute;
mod filter;
mod identity;
mod mounts;
mod network;
mod points;
mod protocol;
mod run;
mod runner;
mod spec;
mod terminal;
pub mod users;

use std::time::Duration;

pub(crate) use enter::outside;
pub use enter::{EnterError, Entered, Host, enter};
pub use error::SandboxError;
pub use run::run;
pub use runner::run_if_asked;
pub use spec::{Mount, MountKind, Network, Spec, Status, User, Watch};
pub use users::UserError;

use crate::build::Cancel;
use crate::ids::Owners;
use crate::trace::Trace;

/// Hears what a command prints, as it is printed.
pub trait Console: Sync {
    /// Some bytes of the standard output or, with `is_error`, of the standard error.
    fn write(&self, is_error: bool, bytes: &[u8]);
}

/// What ends a command early.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Stops it from another thread.
    pub cancel: Cancel,
}

/// What came of a command that was started.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: Status,
    /// What it used, where that was traced.
    pub trace: Option<Trace>,
    /// The owners of symbolic links that it asked for, where they are recorded.
    pub owners: Owners,
}
