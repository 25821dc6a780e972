//! What a failure means: its exit code and what the user could do.

use jettison_ir::{LevelError, UnitError};
use jettison_passes::SelectionError;

/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// An input cannot be read, or the output not be written.
pub(crate) const UNREADABLE: u8 = 3;

/// A request that contradicts itself or the input.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Usage {
    message: String,
    hint: Option<String>,
}

impl Usage {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A build that ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Unbuilt {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The exit code.
    pub(crate) code: u8,
}

/// A Dockerfile that builders refuse.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Refused {
    /// `FILE:LINE: message`, and the line with carets below it.
    pub(crate) text: String,
    /// What may have been meant, or where there is more of the kind.
    pub(crate) hint: Option<String>,
}

pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(unbuilt) = error.downcast_ref::<Unbuilt>() {
        return unbuilt.code;
    }
    let is_usage = error.is::<Usage>() || error.is::<SelectionError>() || error.is::<LevelError>();
    if is_usage { USAGE } else { UNREADABLE }
}

pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(usage) = error.downcast_ref::<Usage>() {
        return usage.hint.clone();
    }
    if let Some(unbuilt) = error.downcast_ref::<Unbuilt>() {
        return unbuilt.hint.clone();
    }
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return refused.hint.clone();
    }
    if error.is::<SelectionError>() {
        return Some("`jettison passes` lists them".to_owned());
    }
    if error.is::<UnitError>() {
        return Some("engines refuse this image as well; it has to be built again".to_owned());
    }
    if let Some(daemon) = error.downcast_ref::<jettison_store::daemon::DaemonError>() {
        return daemon.hint();
    }
    if let Some(containers) = error.downcast_ref::<jettison_engine::containers::ContainersError>() {
        return containers.hint();
    }
    if let Some(remote) = error.downcast_ref::<jettison_store::RemoteError>() {
        return remote.hint();
    }
    error.downcast_ref::<jettison_store::Error>().and_then(jettison_store::Error::hint)
}
