//! Why a build failed, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::BaseError;
use crate::cache::CacheError;
use crate::files::FilesError;
use crate::plan::PlanError;
use crate::sandbox::{SandboxError, Status, UserError};
use crate::snapshot::SnapshotError;

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile cannot be built.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(Box<CacheError>),
    /// No tree can be made in the cache's folder.
    #[error(transparent)]
    Snapshot(Box<SnapshotError>),
    /// A base image cannot be unpacked or read.
    #[error("the base image {image} cannot be used")]
    Base {
        /// As FROM names it.
        image: String,
        /// Why.
        #[source]
        source: Box<BaseError>,
    },
    /// A step failed.
    #[error("{}", .0.text)]
    Step(Box<FailedStep>),
    /// The local content store cannot be opened.
    #[error(transparent)]
    Store(Box<jettison_store::Error>),
    /// The settings that came out are not an image's.
    #[error(transparent)]
    Config(#[from] jettison_image::config::ConfigError),
    /// It was stopped.
    #[error("the build was stopped")]
    Cancelled,
}

/// A step that failed.
#[derive(Debug)]
pub struct FailedStep {
    /// Its stage's name.
    pub stage: String,
    /// Its first and last line.
    pub lines: (u32, u32),
    /// The instruction as shown.
    pub text: String,
    /// The last that it wrote, standard output and error as they came.
    pub output: Vec<u8>,
    /// Why it failed.
    pub error: StepError,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The command did not end well.
    #[error("{}", Ending(.status, .timeout.as_ref(), .full.as_deref()))]
    Failed {
        /// How it ended.
        status: Status,
        /// How long it was allowed to take.
        timeout: Option<Duration>,
        /// The cache's folder, where its disk was full by then.
        full: Option<PathBuf>,
    },
    /// The command could not be run.
    #[error(transparent)]
    Sandbox(Box<SandboxError>),
    /// Files could not be copied.
    #[error(transparent)]
    Files(Box<FilesError>),
    /// A user or group is not known.
    #[error(transparent)]
    User(Box<UserError>),
    /// The tree could not be made or read.
    #[error(transparent)]
    Snapshot(Box<SnapshotError>),
    /// The cache could not be read or written.
    #[error(transparent)]
    Cache(Box<CacheError>),
    /// An image that files come from cannot be used.
    #[error("the image {image} cannot be used")]
    Base {
        /// As the instruction names it.
        image: String,
        /// Why.
        #[source]
        source: Box<BaseError>,
    },
    /// A named context that is needed is not a folder.
    #[error("the named context {name:?} is not a folder")]
    NoContext {
        /// Which.
        name: String,
    },
    /// A secret that is needed was not given.
    #[error("the secret {id:?} was not given: add --secret id={id},src=FILE")]
    NoSecret {
        /// Which.
        id: String,
    },
    /// An agent that is needed was not given.
    #[error("the SSH agent {id:?} was not given: add --ssh {id}")]
    NoAgent {
        /// Which.
        id: String,
    },
    /// The source of a mount is not there.
    #[error("the source {path:?} of the mount at {target} is not there")]
    NoMountSource {
        /// The source.
        path: String,
        /// Where it was to be mounted.
        target: String,
    },
    /// This machine cannot run programs of the platform.
    #[error(
        "this machine cannot run programs for {platform}: no emulator is registered for it in /proc/sys/fs/binfmt_misc"
    )]
    Platform {
        /// Which.
        platform: String,
    },
    /// A file of the build could not be read or written.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another step failed, or the build was stopped.
    #[error("the build was stopped")]
    Cancelled,
}

impl StepError {
    /// For `map_err` on something tried with a path.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

/// How a command ended, in words.
struct Ending<'e>(&'e Status, Option<&'e Duration>, Option<&'e Path>);

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the command, which may be a script of many lines: the step is shown with the error.
        let Self(status, timeout, full) = self;
        match status {
            Status::Exited(code) => write!(f, "the command ended with exit code {code}")?,
            Status::Signalled(signal) => write!(f, "the command was killed by signal {signal}")?,
            Status::OutOfMemory => {
                f.write_str("the command was killed: the machine, or its limit, ran out of memory")?;
            }
            Status::TimedOut => match timeout {
                Some(time) => write!(f, "the command took longer than --timeout ({time:?}) allows and was killed")?,
                None => f.write_str("the command took too long and was killed")?,
            },
            Status::Cancelled => f.write_str("the command was stopped")?,
        }
        match full {
            Some(folder) => write!(f, "; the disk of the cache, {}, is full", folder.display()),
            None => Ok(()),
        }
    }
}

impl From<FilesError> for StepError {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Cancelled => Self::Cancelled,
            error => Self::Files(Box::new(error)),
        }
    }
}

/// Errors are large, and results are passed around often: they are kept apart.
macro_rules! boxed {
    ($($outer:ident::$variant:ident($inner:ty)),* $(,)?) => {
        $(impl From<$inner> for $outer {
            fn from(error: $inner) -> Self {
                Self::$variant(Box::new(error))
            }
        })*
    };
}

boxed!(
    BuildError::Plan(PlanError),
    BuildError::Cache(CacheError),
    BuildError::Snapshot(SnapshotError),
    BuildError::Store(jettison_store::Error),
    StepError::Sandbox(SandboxError),
    StepError::User(UserError),
    StepError::Snapshot(SnapshotError),
    StepError::Cache(CacheError),
);
