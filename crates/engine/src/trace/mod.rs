//! What a step read and wrote.

use serde::{Deserialize, Serialize};

/// The paths that a RUN's processes used. Each list is sorted, without doubles; paths are absolute, cleaned of `.`,
/// `..` and doubled slashes, as the container sees them, with symbolic links as the programs named them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Opened for reading.
    pub opened: Vec<Vec<u8>>,
    /// Executed: the program, its interpreter, its loader.
    pub executed: Vec<Vec<u8>>,
    /// Folders whose entries were listed.
    pub listed: Vec<Vec<u8>>,
    /// Asked about (the stat and access families, readlink).
    pub examined: Vec<Vec<u8>>,
    /// Looked up in vain: they were not there.
    pub missed: Vec<Vec<u8>>,
    /// Opened for writing, made, renamed, linked, removed, or changed in mode, owner or attributes.
    pub written: Vec<Vec<u8>>,
    /// Why the trace may not be complete: one sentence each. Empty for a complete one.
    pub gaps: Vec<String>,
}
