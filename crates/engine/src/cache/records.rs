//! What is known of a step's result, by its key.

use std::fs::{self, File};

use jettison_image::Digest;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::{Cache, CacheError, Snapshot, open_locked, used};

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The snapshot of what it changed; none where it changed nothing.
    pub snapshot: Option<String>,
    /// The snapshots that it lies upon, the lowest first, without the base's.
    pub parents: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
    /// Whether the snapshot is a base image's whole tree.
    #[serde(default)]
    pub is_base: bool,
}

impl StepRecord {
    /// Of what needs no work.
    #[must_use]
    pub fn empty(created: i64) -> Self {
        Self { snapshot: None, parents: Vec::new(), created, took_ms: 0, is_base: false }
    }

    /// Of a base image's tree.
    #[must_use]
    pub fn of_base(snapshot: &str) -> Self {
        Self { snapshot: Some(snapshot.to_owned()), is_base: true, ..Self::empty(0) }
    }
}

/// The right to make the result of a step.
#[derive(Debug)]
pub struct KeyLock {
    _file: File,
}

impl Cache {
    /// The result of a step, if it is there with all that it lies upon. What is not whole is no result.
    #[must_use]
    pub fn step(&self, key: Digest) -> Option<(StepRecord, Option<Snapshot>)> {
        let path = self.path("steps", &key.hex());
        let record: StepRecord = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let snapshot = match &record.snapshot {
            Some(id) => Some(self.snapshot(id)?),
            None => None,
        };
        if !record.parents.iter().all(|parent| self.path("snapshots", parent).join("layer").is_file()) {
            return None;
        }
        used(&path);
        Some((record, snapshot))
    }

    /// Keeps the result of a step.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn record(&self, key: Digest, record: &StepRecord) -> Result<(), CacheError> {
        // Texts and numbers always print.
        let json = serde_json::to_vec(record).unwrap_or_default();
        self.replace(&format!("steps/{}", key.hex()), &json)
    }

    /// Waits until nobody else makes the result of a step, in this process or another.
    ///
    /// # Errors
    /// Where the lock's file cannot be made.
    pub fn lock(&self, key: Digest) -> Result<KeyLock, CacheError> {
        let path = self.path("locks", &key.hex());
        let file = open_locked(&path, FlockOperation::LockExclusive).map_err(CacheError::io("lock", path))?;
        Ok(KeyLock { _file: file })
    }
}
