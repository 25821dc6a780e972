//! Why the cache cannot be used.

use std::io;
use std::path::PathBuf;

use jettison_image::layer::BytesError;

use crate::snapshot::SnapshotError;

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file of it.
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
    /// Another version made it.
    #[error("the cache in {} is of version {found:?}, which this jettison cannot read: use another --cache-dir", folder.display())]
    Version {
        /// The cache's folder.
        folder: PathBuf,
        /// What it says of itself.
        found: String,
    },
    /// What it holds of a layer is damaged.
    #[error("{} was damaged and is removed: build again", path.display())]
    Layer {
        /// The file.
        path: PathBuf,
        /// How.
        #[source]
        source: BytesError,
    },
    /// A JSON file of it is damaged.
    #[error("{} is damaged", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// How.
        #[source]
        source: serde_json::Error,
    },
    /// A folder that holds something else.
    #[error("{} is not empty and no cache of jettison's: give --cache-dir a folder of its own", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder given as a cache is none.
    #[error("{} is not a cache that jettison exported: {reason}", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// A folder given as a cache is not as it was exported.
    #[error("the cache in {} is damaged: {problem}", folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is missing or wrong.
        problem: String,
    },
    /// A snapshot of a given cache cannot be brought in.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl CacheError {
    /// For `map_err` on something tried with a path.
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
