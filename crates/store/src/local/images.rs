//! The images of the store one by one: by name or by ID, as engines show it, and taking one away.

use std::collections::HashSet;
use std::fs;

use jettison_image::manifest::{CONTAINERD_NAME, REF_NAME};
use jettison_image::{Descriptor, Digest, Index, Manifest};

use super::LocalStore;
use crate::error::{Error, Result};
use crate::name::ImageName;

/// The fewest digits of an ID that are taken for one: fewer are rather a word.
const FEWEST_DIGITS: usize = 6;

/// An image with all of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its names, as people write them; none where it was built without one, or lost its name to another.
    pub names: Vec<String>,
    /// The digest of its config; of an index, that of the first platform that is at hand.
    pub id: Digest,
    /// Its manifest or index.
    pub descriptor: Descriptor,
    /// The bytes of its blobs as stored. Images share blobs.
    pub bytes: u64,
}

/// What [`LocalStore::remove`] took away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The names that are gone.
    pub names: Vec<String>,
    /// The image, where it has no name left: its blobs can be collected.
    pub image: Option<Digest>,
}

impl LocalStore {
    /// All images, those that were listed first come first.
    ///
    /// # Errors
    /// Where the index or a manifest cannot be read.
    pub fn images(&self) -> Result<Vec<Listed>> {
        self.listed(&self.index()?)
    }

    /// The manifest or index that a name stands for, or else an ID or the first digits of one.
    ///
    /// # Errors
    /// Where the store cannot be read, or several images have such an ID.
    pub fn lookup(&self, name: &ImageName) -> Result<Option<Descriptor>> {
        if let Some(named) = self.descriptor(name)? {
            return Ok(Some(named));
        }
        let Some(digits) = digits_of(name) else { return Ok(None) };
        Ok(self.by_id(&self.index()?, &digits)?.map(|listed| listed.descriptor))
    }

    /// Takes a name away, and the image with its last one; an ID takes an image away that has one name at most.
    /// The blobs stay until they are collected.
    ///
    /// # Errors
    /// Where the store cannot be read or written, several images have such an ID, or one has several names.
    pub fn remove(&self, name: &ImageName) -> Result<Option<Removed>> {
        if let Some(gone) = self.untag(name)? {
            // The image itself stays under its other names.
            let is_left = self.index()?.manifests.iter().any(|other| other.digest == gone.digest);
            let image = if is_left { None } else { Some(self.id_of(&gone)?) };
            return Ok(Some(Removed { names: vec![name.to_string()], image }));
        }
        let Some(digits) = digits_of(name) else { return Ok(None) };
        let _lock = self.lock()?;
        let mut index = self.index()?;
        let Some(listed) = self.by_id(&index, &digits)? else { return Ok(None) };
        if listed.names.len() > 1 {
            return Err(Error::SeveralNames { id: listed.id, names: listed.names });
        }
        index.manifests.retain(|descriptor| descriptor.digest != listed.descriptor.digest);
        self.write_index(&index)?;
        Ok(Some(Removed { names: listed.names, image: Some(listed.id) }))
    }

    /// Lists an image that has no name, unless it has one or is listed already. Its blobs are there.
    ///
    /// # Errors
    /// Where one of `needed` is not there, or the index cannot be written.
    pub fn keep(&self, descriptor: &Descriptor, needed: &[Digest]) -> Result<()> {
        if self.index()?.manifests.iter().any(|known| known.digest == descriptor.digest) {
            return Ok(());
        }
        self.update(needed, vec![descriptor.clone()])
    }

    fn listed(&self, index: &Index) -> Result<Vec<Listed>> {
        let mut all: Vec<Listed> = Vec::new();
        for descriptor in &index.manifests {
            let name = descriptor.annotation(CONTAINERD_NAME);
            let shown = name.map(|full| full.parse::<ImageName>().map_or(full.to_owned(), |name| name.to_string()));
            if let Some(known) = all.iter_mut().find(|known| known.descriptor.digest == descriptor.digest) {
                known.names.extend(shown);
                continue;
            }
            all.push(Listed {
                names: shown.into_iter().collect(),
                id: self.id_of(descriptor)?,
                descriptor: descriptor.clone(),
                bytes: self.bytes_of(index, descriptor)?,
            });
        }
        Ok(all)
    }

    fn bytes_of(&self, index: &Index, descriptor: &Descriptor) -> Result<u64> {
        let one =
            Index::new(index.manifests.iter().filter(|other| other.digest == descriptor.digest).cloned().collect());
        let sizes = self.reachable(&one)?.into_iter().filter_map(|digest| fs::metadata(self.blob_path(digest)).ok());
        Ok(sizes.map(|metadata| metadata.len()).sum())
    }

    fn id_of(&self, descriptor: &Descriptor) -> Result<Digest> {
        Ok(self.ids_of(descriptor)?.first().copied().unwrap_or(descriptor.digest))
    }

    /// The digests of the configs of an image's platforms, as far as they are at hand.
    fn ids_of(&self, descriptor: &Descriptor) -> Result<Vec<Digest>> {
        let mut ids = Vec::new();
        let mut waiting = vec![descriptor.clone()];
        let mut seen = HashSet::new();
        while let Some(descriptor) = waiting.pop() {
            let is_list = descriptor.is_index() || descriptor.is_manifest();
            if !is_list || !seen.insert(descriptor.digest) || !self.has_blob(descriptor.digest) {
                continue;
            }
            let path = self.blob_path(descriptor.digest);
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            let invalid = |source| Error::Json { path: path.clone(), name: descriptor.digest.to_string(), source };
            if descriptor.is_index() {
                waiting.extend(serde_json::from_slice::<Index>(&bytes).map_err(invalid)?.manifests.into_iter().rev());
            } else {
                ids.push(serde_json::from_slice::<Manifest>(&bytes).map_err(invalid)?.config.digest);
            }
        }
        Ok(ids)
    }

    /// The one image whose ID, or whose manifest's digest, begins so.
    fn by_id(&self, index: &Index, digits: &str) -> Result<Option<Listed>> {
        let mut found: Vec<Listed> = Vec::new();
        for listed in self.listed(index)? {
            let mut all = self.ids_of(&listed.descriptor)?;
            all.push(listed.descriptor.digest);
            if all.iter().any(|id| id.hex().starts_with(digits)) {
                found.push(listed);
            }
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => Err(Error::AmbiguousId {
                digits: digits.to_owned(),
                ids: found.iter().map(|listed| listed.id.to_string()).collect(),
            }),
        }
    }
}

/// The digits of an ID that a name may be meant for: `sha256:` and an ID look like a name and its tag.
fn digits_of(name: &ImageName) -> Option<String> {
    let text = name.to_string();
    let digits = match text.strip_prefix("sha256:") {
        Some(digits) => digits,
        None => text.strip_suffix(":latest")?,
    };
    let is_id = (FEWEST_DIGITS..=64).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
    is_id.then(|| digits.to_owned())
}

/// The same image under no name.
pub(super) fn unnamed(descriptor: &Descriptor) -> Descriptor {
    let mut descriptor = descriptor.clone();
    if let Some(annotations) = &mut descriptor.annotations {
        annotations.shift_remove(CONTAINERD_NAME);
        annotations.shift_remove(REF_NAME);
    }
    descriptor.annotations = descriptor.annotations.take().filter(|annotations| !annotations.is_empty());
    descriptor
}
