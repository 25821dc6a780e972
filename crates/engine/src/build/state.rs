//! Where a stage stands: its base, the snapshots above it, the history so far.

use std::path::PathBuf;
use std::sync::Arc;

use jettison_image::Digest;
use jettison_image::config::HistoryEntry;

use super::keys;
use crate::base::{BaseError, BaseImage};
use crate::cache::{Cache, Snapshot};

/// A stage after some of its steps.
#[derive(Clone)]
pub(crate) struct State {
    /// What the tree depends on, as one digest.
    pub(crate) id: Digest,
    /// The image that it stands on.
    pub(crate) base: Option<Arc<BaseImage>>,
    /// What steps changed, the lowest first.
    pub(crate) own: Vec<OwnLayer>,
    /// The history, the base's included.
    pub(crate) history: Vec<HistoryEntry>,
    /// The newest of the times at which steps were done, in seconds since 1970.
    pub(crate) created: i64,
}

/// What a step changed.
#[derive(Clone, Debug)]
pub(crate) struct OwnLayer {
    pub(crate) snapshot: Snapshot,
    pub(crate) instruction: String,
    /// The number of the step.
    pub(crate) step: usize,
}

impl State {
    /// Nothing.
    pub(crate) fn scratch() -> Self {
        Self { id: keys::scratch(), base: None, own: Vec::new(), history: Vec::new(), created: 0 }
    }

    /// An image.
    pub(crate) fn of_image(image: Arc<BaseImage>) -> Self {
        let config = &image.image.config;
        Self {
            id: keys::base(config.diff_ids()),
            history: config.history().to_vec(),
            created: 0,
            own: Vec::new(),
            base: Some(image),
        }
    }

    /// The folders that the tree is made of, the lowest first. A base that was never used is unpacked.
    pub(crate) fn folders(&self, cache: &Cache, ids: crate::ids::Ids) -> Result<Vec<PathBuf>, BaseError> {
        let mut folders = Vec::with_capacity(self.own.len() + 1);
        if let Some(base) = &self.base {
            folders.push(base.unpacked(cache, ids)?.folder());
        }
        folders.extend(self.own.iter().map(|own| own.snapshot.folder()));
        Ok(folders)
    }

    /// The names of the snapshots that a new one would lie upon.
    pub(crate) fn parents(&self) -> Vec<String> {
        self.own.iter().map(|own| own.snapshot.id().to_owned()).collect()
    }

    /// Adds a step to the history.
    pub(crate) fn note(&mut self, created_by: &str, created: i64, empty_layer: bool) {
        self.created = self.created.max(created);
        self.history.push(HistoryEntry {
            created: Some(super::time::rfc3339(created)),
            created_by: Some(created_by.to_owned()),
            comment: Some("jettison".to_owned()),
            empty_layer,
            ..HistoryEntry::default()
        });
    }
}
