//! An output that is pushed to a registry: only what is new lies in a folder until then.

use std::collections::HashMap;
use std::fs::{self, File};

use jettison_image::manifest::BASE_NAME;
use jettison_image::{Descriptor, Digest, Manifest, media};

use super::{Output, STAGED, receipt};
use crate::Progress;
use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::name::ImageName;
use crate::open::blob_name;
use crate::registry::{self, Pushed, Referrer};
use crate::section::Section;

/// An image of a registry that is to be.
pub(super) struct RemoteTarget {
    pub(super) name: ImageName,
    pub(super) options: registry::Options,
    /// Blobs that are not written here, since the registry may have them or can take them from where they lie.
    pub(super) elsewhere: HashMap<Digest, Blob>,
}

impl Output {
    /// Whether it goes to a registry.
    pub(crate) fn is_pushed(&self) -> bool {
        self.remote.is_some()
    }

    /// The bytes that publishing will bring to a registry, or find there.
    #[must_use]
    pub fn to_push(&self) -> u64 {
        if self.remote.is_some() { self.blobs.values().sum() } else { 0 }
    }

    pub(super) fn push(&self, remote: &RemoteTarget, progress: &dyn Progress) -> Result<Pushed> {
        let staged = self.stage.path(STAGED);
        let read = |digest: Digest| {
            let path = staged.join(blob_name(digest));
            fs::read(&path).map_err(Error::io("read", &path))
        };
        let told = self.receipts()?;
        let manifests =
            self.images.iter().map(|(_, manifest)| manifest).chain(told.iter().map(|(manifest, _)| manifest));
        let mut blobs: Vec<(Descriptor, Blob)> = Vec::new();
        for descriptor in manifests.flat_map(|manifest| manifest.layers.iter().chain([&manifest.config])) {
            if blobs.iter().any(|(known, _)| known.digest == descriptor.digest) {
                continue;
            }
            let blob = match remote.elsewhere.get(&descriptor.digest) {
                Some(blob) => blob.clone(),
                None => {
                    let path = staged.join(blob_name(descriptor.digest));
                    let file = File::open(&path).map_err(Error::io("read", &path))?;
                    Blob::Here(Section::whole(file).map_err(Error::io("read", &path))?)
                }
            };
            blobs.push((descriptor.clone(), blob));
        }
        let missing = || Error::Missing { path: self.target.clone(), name: "index.json".to_owned() };
        let top = self.top.clone().ok_or_else(missing)?;
        let below = self.images.iter().map(|(descriptor, _)| descriptor).chain(&self.indexes);
        let below = below.filter(|below| below.digest != top.digest);
        let manifests = below.map(|below| Ok((below.clone(), read(below.digest)?))).collect::<Result<_>>()?;
        let bytes = read(top.digest)?;
        let referrers = told.into_iter().map(|(_, referrer)| referrer).collect();
        let named = self.images.iter().filter_map(|(_, manifest)| manifest.annotation(BASE_NAME));
        let bases = named.filter_map(|name| name.parse().ok()).collect();
        let load = registry::Load { blobs, bases, manifests, top: (top, bytes), referrers, progress };
        Ok(registry::push(&remote.name, &load, &remote.options).map_err(Box::new)?)
    }

    /// The manifests of the receipts that images carry.
    fn receipts(&self) -> Result<Vec<(Manifest, Referrer)>> {
        let blobs = self.stage.path(STAGED).join("blobs/sha256");
        let mut told = Vec::new();
        for (image, manifest) in &self.images {
            let receipt = manifest.receipt().and_then(|digest| Some((digest, *self.blobs.get(&digest)?)));
            let Some((digest, size)) = receipt else { continue };
            let path = blobs.join(Digest::of(receipt::EMPTY).hex());
            fs::write(&path, receipt::EMPTY).map_err(Error::io("write", &path))?;
            let manifest = receipt::manifest(image, Descriptor::new(receipt::RECEIPT_TYPE, digest, size));
            let bytes = serde_json::to_vec(&manifest).unwrap_or_default();
            let mut descriptor = Descriptor::of(media::OCI_MANIFEST, &bytes);
            descriptor.rest.insert("artifactType".to_owned(), receipt::RECEIPT_TYPE.into());
            told.push((manifest, Referrer { descriptor, bytes, subject: image.digest }));
        }
        Ok(told)
    }
}
