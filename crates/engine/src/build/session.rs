//! What builds of one process share: the cache, the images at hand, the way trees are made.

use std::path::Path;

use jettison_store::LocalStore;

use super::error::BuildError;
use crate::cache::{Cache, IMAGES};
use crate::ids::Ids;
use crate::snapshot::{Kind, Snapshotter};

/// Where builds keep what they make.
#[derive(Debug)]
pub struct Session {
    /// The cache.
    pub cache: Cache,
    /// The images at hand.
    pub store: LocalStore,
    /// How trees are made.
    pub snapshotter: Snapshotter,
    /// Which ids files can really have.
    pub ids: Ids,
}

impl Session {
    /// Opens the cache in `folder`, and tries how trees can be made there.
    ///
    /// # Errors
    /// Where the folder cannot be used, or not in the way that is `wanted`.
    pub fn open(folder: &Path, wanted: Option<Kind>, ids: Ids) -> Result<Self, BuildError> {
        let cache = Cache::open(folder)?;
        let snapshotter = Snapshotter::probe(folder, wanted, ids)?;
        let store = LocalStore::open(&folder.join(IMAGES))?;
        Ok(Self { cache, store, snapshotter, ids })
    }
}
