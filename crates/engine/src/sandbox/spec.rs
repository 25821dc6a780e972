//! What is to be run, and how.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::Ids;

/// A command and the world it sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The mounted, writable root file system, on the host.
    pub root: PathBuf,
    /// The command and its arguments; the first is looked up in `PATH` of `env` unless it has a slash.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value`, each name once.
    pub env: Vec<Vec<u8>>,
    /// The working directory, absolute in the root; it must be there.
    pub workdir: Vec<u8>,
    /// Who runs it.
    pub user: User,
    /// What is mounted beyond `/proc`, `/dev`, `/sys`, `/etc/resolv.conf` and `/etc/hosts`, in this order.
    pub mounts: Vec<Mount>,
    /// The network it sees.
    pub network: Network,
    /// Its host name.
    pub hostname: String,
    /// `/etc/hosts` entries that are added: name and address.
    pub extra_hosts: Vec<(String, String)>,
    /// Which ids can really be used in it.
    pub ids: Ids,
    /// Bytes of `/dev/shm`.
    pub shm_size: u64,
    /// Connects the command to this terminal instead of pipes: for a debug shell.
    pub terminal: bool,
}

/// A numeric identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
    /// The home folder that the image's `/etc/passwd` names, for `HOME`; `/` where it names none.
    pub home: Vec<u8>,
}

/// A mount within the root.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mount {
    /// Where, absolute in the root. It is made where it is missing, and taken away afterwards.
    pub target: Vec<u8>,
    /// What.
    pub kind: MountKind,
    /// Whether nothing can be written to it.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum MountKind {
    /// A file, socket or folder of the host: one that the engine made or the user named.
    Bind(PathBuf),
    /// A folder in memory.
    Tmpfs {
        /// At most so many bytes; 0 for no limit.
        size: u64,
        /// Its mode.
        mode: u32,
    },
}

/// The network a step sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The host's.
    Host,
    /// None but a loopback of its own.
    None,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// By itself.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// The kernel ran out of memory and killed it.
    OutOfMemory,
    /// It took longer than it may.
    TimedOut,
    /// The build was stopped.
    Cancelled,
}

/// What is watched while a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watch {
    /// Nothing.
    Nothing,
    /// The paths it uses.
    Trace,
    /// The owners and devices that it asks for: needed with [`Ids::One`], and only then.
    Owners,
    /// Both.
    TraceAndOwners,
}

impl Watch {
    /// Whether paths are recorded.
    pub fn traces(self) -> bool {
        matches!(self, Self::Trace | Self::TraceAndOwners)
    }

    /// Whether owners and devices are recorded instead of given.
    pub fn owners(self) -> bool {
        matches!(self, Self::Owners | Self::TraceAndOwners)
    }
}
