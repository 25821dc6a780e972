//! Why a command could not be run.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why a command could not be run. That it ran and failed is no error, but a [`super::Status`].
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The command is in none of the folders that `PATH` names, or its path leads nowhere.
    #[error("{command}: not found in the image")]
    NotFound {
        /// The command as given.
        command: String,
    },
    /// The command is there but cannot be executed.
    #[error("{command}: cannot be executed")]
    NotExecutable {
        /// The command, with the folder in which it was found.
        command: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The world that the command is to see could not be made.
    #[error("preparing the sandbox: cannot {operation} {}", path.display())]
    Prepare {
        /// What was tried.
        operation: String,
        /// On which path, in the sandbox or of the host.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The process that makes the sandbox could not be started, heard or waited for.
    #[error("cannot {operation} the sandbox's process")]
    Runner {
        /// What was tried.
        operation: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The process that makes the sandbox ended without saying why.
    #[error("the sandbox's process ended before the command did: {how}")]
    RunnerEnded {
        /// How, as the system words it.
        how: String,
    },
    /// The command could not be watched.
    #[error("cannot watch what the command uses")]
    Watch {
        /// The kernel's reason.
        source: io::Error,
    },
    /// A mount point that was made for the command could not be taken away.
    #[error("cannot remove the mount point {}", path.display())]
    Remove {
        /// The mount point, in the sandbox.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// The part of [`SandboxError`] that the runner finds out, as it tells the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    NotFound { command: String },
    NotExecutable { command: String, errno: i32 },
    Prepare { operation: String, path: PathBuf, errno: i32 },
}

impl Failure {
    /// For `map_err`: what was tried, and on which path.
    pub(super) fn of<E: Into<io::Error>>(operation: &str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let (operation, path) = (operation.to_owned(), path.into());
        move |error| {
            let error = error.into();
            // Errors that are none of the kernel's (a broken message) have words but no number.
            match error.raw_os_error() {
                Some(errno) => Self::Prepare { operation, path, errno },
                None => Self::Prepare { operation: format!("{operation} ({error})"), path, errno: libc::EIO },
            }
        }
    }

    /// The error that it is for the engine.
    pub(super) fn into_error(self) -> SandboxError {
        let source = io::Error::from_raw_os_error;
        match self {
            Self::NotFound { command } => SandboxError::NotFound { command },
            Self::NotExecutable { command, errno } => SandboxError::NotExecutable { command, source: source(errno) },
            Self::Prepare { operation, path, errno } => {
                SandboxError::Prepare { operation, path, source: source(errno) }
            }
        }
    }
}
