//! The local content store: an OCI layout that grows image by image, shared by processes.
//!
//! A blob is written beside the others, synced to the disk, and then takes its name: a name always means
//! whole content. `index.json` is replaced by a synced one, under an exclusive lock, after the blobs that
//! it needs are there. Whatever is killed at any moment, the layout stays one that can be read.
//!
//! Layers that a build wrote are not synced, as its cache is not: a gigabyte would take as long to reach the disk as
//! the build takes. Where the machine loses power within the next half minute, such a layer may be cut short. Its
//! size, which every use compares, and its digest, which every reading does, then tell, and the next build writes it
//! again.

mod blob;
mod garbage;
mod images;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jettison_image::manifest::{CONTAINERD_NAME, REF_NAME};
use jettison_image::{Descriptor, Digest, Index, Limits};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::name::ImageName;
use crate::open::{Opened, blob_name, open};
use crate::platforms::Wanted;
use crate::reference::{Reference, Selector, Transport};
use crate::stage::Stage;

pub use blob::BlobWriter;
pub use garbage::{Collected, Usage};
pub use images::{Listed, Removed};

/// What stages in the store are named by.
const STAGES: &str = "staged";

/// The images that this machine has at hand, by name.
#[derive(Debug)]
pub struct LocalStore {
    folder: PathBuf,
}

/// A place for blobs on their way into the store. What a killed process leaves of it is removed later.
#[derive(Debug)]
pub struct Incoming {
    stage: Stage,
}

/// An image of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The full name.
    pub name: String,
    /// Its manifest or index.
    pub descriptor: Descriptor,
}

impl LocalStore {
    /// Opens the store in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// Where the folder cannot be made or written.
    pub fn open(folder: &Path) -> Result<Self> {
        let write = |error| Error::io("write", folder)(error);
        if folder.as_os_str().is_empty() {
            // A reference that nobody told where the store is; the current folder must not become one.
            return Err(write(io::ErrorKind::NotFound.into()));
        }
        fs::create_dir_all(folder.join("blobs/sha256")).map_err(write)?;
        let store = Self { folder: folder.to_owned() };
        if !folder.join("oci-layout").exists() || !folder.join("index.json").exists() {
            let _lock = store.lock()?;
            if !folder.join("index.json").exists() {
                store.write_index(&Index::new(Vec::new()))?;
            }
            store.replace("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        Ok(store)
    }

    /// The folder: an OCI layout.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The image of this name or ID, if the store has it for the platform that is wanted.
    ///
    /// # Errors
    /// Where the store holds the image but it cannot be read.
    pub fn find(&self, name: &ImageName, wanted: &Wanted, limits: Limits) -> Result<Option<Opened>> {
        let Some(descriptor) = self.lookup(name)? else { return Ok(None) };
        let selector = match descriptor.annotation(CONTAINERD_NAME) {
            Some(full) if full == name.full() => Selector::Name(full.to_owned()),
            _ => Selector::Digest(descriptor.digest),
        };
        let reference = Reference { selector: Some(selector), ..self.reference(name) };
        match open(&reference, wanted, limits) {
            // Of an index, only the platforms that were asked for are at hand.
            Err(Error::Missing { .. } | Error::NoSuchImage { .. }) => Ok(None),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// The image of this name as a reference that [`open`] takes.
    #[must_use]
    pub fn reference(&self, name: &ImageName) -> Reference {
        let selector = Some(Selector::Name(name.full()));
        Reference { transport: Some(Transport::Local), path: self.folder.clone(), selector }
    }

    /// The manifest or index that a name stands for.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub fn descriptor(&self, name: &ImageName) -> Result<Option<Descriptor>> {
        let full = name.full();
        Ok(self.names()?.into_iter().find(|named| named.name == full).map(|named| named.descriptor))
    }

    /// All images, in the order in which they were named.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub fn names(&self) -> Result<Vec<Named>> {
        let named = |descriptor: Descriptor| {
            descriptor.annotation(CONTAINERD_NAME).map(str::to_owned).map(|name| Named { name, descriptor })
        };
        Ok(self.index()?.manifests.into_iter().filter_map(named).collect())
    }

    /// Whether a blob is at hand.
    #[must_use]
    pub fn has_blob(&self, digest: Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// Whether a blob of this size is at hand; if so it counts as fresh, so that nobody collects it before it is
    /// named.
    #[must_use]
    pub fn reuse(&self, digest: Digest, size: u64) -> bool {
        let Ok(file) = File::options().write(true).open(self.blob_path(digest)) else { return false };
        file.metadata().is_ok_and(|metadata| metadata.len() == size)
            && file.set_modified(std::time::SystemTime::now()).is_ok()
    }

    /// A place for blobs that are on their way in.
    ///
    /// # Errors
    /// Where the store's folder cannot be written.
    pub fn incoming(&self) -> Result<Incoming> {
        // A stage that another process has made but not locked yet looks like a leftover: one at a time.
        let _lock = self.lock()?;
        self.stage()
    }

    /// The same for who holds the lock. Leftovers of processes that are gone are removed on the way.
    fn stage(&self) -> Result<Incoming> {
        Ok(Incoming { stage: Stage::beside(&self.folder.join(STAGES))? })
    }

    /// Writes a small blob: a manifest, an index, a config.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let descriptor = Descriptor::of(media_type, bytes);
        if !self.reuse(descriptor.digest, descriptor.size) {
            let incoming = self.incoming()?;
            let mut writer = self.writer(&incoming)?;
            writer.write_all(bytes).map_err(Error::io("write", &self.folder))?;
            writer.commit(Some((descriptor.digest, descriptor.size)))?;
        }
        Ok(descriptor)
    }

    /// Names a manifest or index whose blobs are there; what had the name before loses it, and stays without one until
    /// the blobs are collected.
    ///
    /// # Errors
    /// Where one of `needed` is not there, or the index cannot be written.
    pub fn tag(&self, name: &ImageName, descriptor: &Descriptor, needed: &[Digest]) -> Result<()> {
        self.update(needed, vec![annotated(descriptor, &name.full())])
    }

    /// Takes a name away and says what it stood for. The blobs stay until they are collected.
    ///
    /// # Errors
    /// Where the index cannot be read or written.
    pub fn untag(&self, name: &ImageName) -> Result<Option<Descriptor>> {
        let full = name.full();
        let _lock = self.lock()?;
        let mut index = self.index()?;
        let at = index.manifests.iter().position(|d| d.annotation(CONTAINERD_NAME) == Some(&full));
        let Some(at) = at else { return Ok(None) };
        let removed = index.manifests.remove(at);
        self.write_index(&index)?;
        Ok(Some(removed))
    }

    /// Brings the blobs of a staged layout in and lists its images, which take the names they carry. All but `layers`
    /// are synced.
    pub(crate) fn adopt(
        &self,
        staged: &Path,
        blobs: &[Digest],
        layers: &HashSet<Digest>,
        descriptors: Vec<Descriptor>,
    ) -> Result<()> {
        for &digest in blobs {
            let from = staged.join(blob_name(digest));
            let size = fs::metadata(&from).map_err(Error::io("read", &from))?.len();
            if !self.reuse(digest, size) {
                if !layers.contains(&digest) {
                    let file = File::open(&from).map_err(Error::io("read", &from))?;
                    file.sync_all().map_err(Error::io("write", &from))?;
                }
                fs::rename(&from, self.blob_path(digest)).map_err(Error::io("write", &self.folder))?;
            }
        }
        self.sync(&self.folder.join("blobs/sha256"))?;
        self.update(blobs, descriptors)
    }

    fn update(&self, needed: &[Digest], descriptors: Vec<Descriptor>) -> Result<()> {
        let _lock = self.lock()?;
        let all = needed.iter().copied().chain(descriptors.iter().map(|descriptor| descriptor.digest));
        if let Some(missing) = all.into_iter().find(|&digest| !self.has_blob(digest)) {
            return Err(Error::Missing { path: self.folder.clone(), name: blob_name(missing) });
        }
        let mut index = self.index()?;
        let name = |descriptor: &Descriptor| descriptor.annotation(CONTAINERD_NAME).map(str::to_owned);
        let (unnamed, mut named): (Vec<_>, Vec<_>) = index
            .manifests
            .drain(..)
            .chain(descriptors.iter().filter(|new| name(new).is_none()).cloned())
            .map(|old| {
                let is_replaced = descriptors.iter().any(|new| name(new).is_some() && name(new) == name(&old));
                if is_replaced { images::unnamed(&old) } else { old }
            })
            .partition(|descriptor| name(descriptor).is_none());
        named.extend(descriptors.into_iter().filter(|new| name(new).is_some()));
        // One without a name is listed once, and only while it has none.
        for descriptor in unnamed {
            if !named.iter().chain(&index.manifests).any(|other| other.digest == descriptor.digest) {
                index.manifests.push(descriptor);
            }
        }
        index.manifests.extend(named);
        self.write_index(&index)
    }

    fn index(&self) -> Result<Index> {
        let path = self.folder.join("index.json");
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let name = "index.json".to_owned();
        serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: self.folder.clone(), name, source })
    }

    fn write_index(&self, index: &Index) -> Result<()> {
        let name = "index.json".to_owned();
        let bytes =
            serde_json::to_vec(index).map_err(|source| Error::Json { path: self.folder.clone(), name, source })?;
        self.replace("index.json", &bytes)
    }

    /// Puts a whole, synced file in the place of another.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let write = |error| Error::io("write", &self.folder)(error);
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder).map_err(write)?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(write)?;
        file.persist(self.folder.join(name)).map_err(|error| write(error.error))?;
        self.sync(&self.folder)
    }

    fn sync(&self, folder: &Path) -> Result<()> {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("write", folder))
    }

    /// Whoever changes `index.json` or removes blobs holds this; it goes with the process.
    fn lock(&self) -> Result<File> {
        let path = self.folder.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(Error::io("lock", &path))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| Error::io("lock", &path)(error.into()))?;
        Ok(lock)
    }

    pub(crate) fn blob_path(&self, digest: Digest) -> PathBuf {
        self.folder.join(blob_name(digest))
    }
}

impl Incoming {
    pub(crate) fn into_stage(self) -> Stage {
        self.stage
    }
}

/// A descriptor under a full name, as Docker's and containerd's layouts carry it.
pub(crate) fn annotated(descriptor: &Descriptor, full: &str) -> Descriptor {
    let mut descriptor = descriptor.clone();
    let annotations = descriptor.annotations.get_or_insert_default();
    annotations.insert(CONTAINERD_NAME.to_owned(), Value::from(full));
    let tag = full.split('@').next().and_then(|name| name.rsplit_once(':')).map(|(_, tag)| tag);
    if let Some(tag) = tag.filter(|tag| !tag.contains('/')) {
        annotations.insert(REF_NAME.to_owned(), Value::from(tag));
    }
    descriptor
}
