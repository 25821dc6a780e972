//! What the store holds, and removing what no image needs.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, SystemTime};

use jettison_image::manifest::CONTAINERD_NAME;
use jettison_image::{Descriptor, Digest, Index, Manifest};

use super::LocalStore;
use crate::error::{Error, Result};

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The images, by name.
    pub images: usize,
    /// The blobs.
    pub blobs: usize,
    /// Their bytes as stored.
    pub bytes: u64,
    /// The bytes of those that no image needs.
    pub unused_bytes: u64,
}

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// The blobs.
    pub blobs: usize,
    /// Their bytes as stored.
    pub bytes: u64,
}

impl LocalStore {
    /// The sizes of what is there.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn usage(&self) -> Result<Usage> {
        let index = self.index()?;
        let used = self.reachable(&index)?;
        let mut usage = Usage { images: index.manifests.len(), ..Usage::default() };
        for (digest, metadata) in self.blobs()? {
            usage.blobs += 1;
            usage.bytes += metadata.len();
            usage.unused_bytes += if used.contains(&digest) { 0 } else { metadata.len() };
        }
        Ok(usage)
    }

    /// Removes the images without a name, and the blobs that no image needs, but those that were written or reused within `grace`: they may
    /// be about to be named.
    ///
    /// # Errors
    /// Where the store cannot be read or a manifest in it is not valid: then nothing is removed.
    pub fn collect(&self, grace: Duration) -> Result<Collected> {
        let _lock = self.lock()?;
        // Making a stage removes those of processes that are gone.
        drop(self.stage()?);
        let now = SystemTime::now();
        let mut index = self.index()?;
        let count = index.manifests.len();
        index.manifests.retain(|descriptor| {
            let metadata = fs::metadata(self.blob_path(descriptor.digest));
            let written = metadata.and_then(|metadata| metadata.modified()).ok();
            let age = written.and_then(|written| now.duration_since(written).ok()).unwrap_or_default();
            descriptor.annotation(CONTAINERD_NAME).is_some() || age < grace
        });
        if index.manifests.len() < count {
            self.write_index(&index)?;
        }
        let used = self.reachable(&index)?;
        let mut collected = Collected::default();
        for (digest, metadata) in self.blobs()? {
            let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
            if used.contains(&digest) || age.unwrap_or_default() < grace {
                continue;
            }
            let path = self.blob_path(digest);
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            collected.blobs += 1;
            collected.bytes += metadata.len();
        }
        Ok(collected)
    }

    fn blobs(&self) -> Result<Vec<(Digest, fs::Metadata)>> {
        let folder = self.folder.join("blobs/sha256");
        let read = |error| Error::io("read", &folder)(error);
        let mut blobs = Vec::new();
        for entry in fs::read_dir(&folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            if let (Ok(digest), Ok(metadata)) =
                (Digest::from_hex(&entry.file_name().to_string_lossy()), entry.metadata())
            {
                blobs.push((digest, metadata));
            }
        }
        Ok(blobs)
    }

    /// The blobs that the images of an index need. Platforms that were not fetched are passed over.
    pub(super) fn reachable(&self, index: &Index) -> Result<HashSet<Digest>> {
        let mut found = HashSet::new();
        let mut waiting: Vec<Descriptor> = index.manifests.clone();
        while let Some(descriptor) = waiting.pop() {
            let is_list = descriptor.is_index() || descriptor.is_manifest();
            if !found.insert(descriptor.digest) || !is_list || !self.has_blob(descriptor.digest) {
                continue;
            }
            let path = self.blob_path(descriptor.digest);
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            let invalid = |source| Error::Json { path: path.clone(), name: descriptor.digest.to_string(), source };
            if descriptor.is_index() {
                waiting.extend(serde_json::from_slice::<Index>(&bytes).map_err(invalid)?.manifests);
            } else {
                let manifest: Manifest = serde_json::from_slice(&bytes).map_err(invalid)?;
                found.insert(manifest.config.digest);
                found.extend(manifest.layers.iter().map(|layer| layer.digest));
                found.extend(manifest.receipt());
            }
        }
        Ok(found)
    }
}
