//! What was written before: a build that changed nothing finds its image by what it was made of, and writes nothing.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jettison_image::{Config, Digest, Hasher, Manifest};
use jettison_store::{Encoding, Plain, ScannedLayer, StoredImage};
use serde_json::{Value, json};

use super::results::Summary;
use super::write::{Blobs, Wish};
use crate::optimizer::Rewritten;

/// Changes with whatever changes the bytes of an image that is written.
const VERSION: &str = concat!("jettison-release-1 ", env!("CARGO_PKG_VERSION"));

/// The records of one cache.
pub(crate) struct Records {
    folder: PathBuf,
    /// The local images: an OCI layout.
    images: PathBuf,
}

/// An image that was written, whose verdict was `equal`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) manifest: Digest,
    pub(crate) summary: Summary,
}

/// What an image is made of, told without reading its layers.
#[derive(Clone, Copy)]
pub(crate) struct Ingredients<'i> {
    /// The base's name and what it is.
    pub(crate) base: Option<(&'i str, &'i StoredImage)>,
    /// The digest of what each own layer says.
    pub(crate) own: &'i [Digest],
    pub(crate) config: &'i Config,
}

/// What an image is made of and how it is written.
pub(crate) fn key(image: &Ingredients<'_>, wish: &Wish<'_>, encoding: Encoding) -> Digest {
    let mut hasher = Hasher::default();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(VERSION.as_bytes());
    if let Some((name, image)) = image.base {
        part(name.as_bytes());
        let stored = image.stored_manifest.as_ref().map(|(_, descriptor)| descriptor.digest);
        part(stored.unwrap_or_default().to_string().as_bytes());
        part(&image.config_bytes);
    }
    part(&image.config.to_json());
    for own in image.own {
        part(&own.0);
    }
    let passes = wish.passes;
    let layers = (wish.layers.layers, wish.pulling.map(|pulling| &pulling.before));
    let choice = (wish.level, layers, &passes.skip, &passes.only, passes.pass_limit, encoding.to_string());
    part(format!("{choice:?}").as_bytes());
    hasher.finish()
}

/// Own layers that were written before, each as it is, and what they say.
pub(crate) struct LayerRecords<'r> {
    pub(crate) records: &'r Records,
    pub(crate) own: &'r [Digest],
}

impl LayerRecords<'_> {
    fn key(&self, layer: usize, encoding: Encoding) -> Option<Digest> {
        let says = self.own.get(layer)?;
        Some(Digest::of(format!("{VERSION} layer {says} {encoding}").as_bytes()))
    }
}

impl Blobs for LayerRecords<'_> {
    fn find(&self, layer: usize, encoding: Encoding) -> Option<ScannedLayer> {
        let value = self.records.get(self.key(layer, encoding)?)?;
        let digest = |name: &str| value.get(name)?.as_str()?.parse().ok();
        Some(ScannedLayer {
            digest: digest("blob")?,
            diff_id: digest("diff_id")?,
            stored_size: value.get("size")?.as_u64()?,
            compression: encoding.compression,
            plain: Plain::default(),
        })
    }

    /// Only what was read back as exactly what it was written from is worth a record: no verdict would differ.
    fn keep(&self, layer: usize, encoding: Encoding, (scan, read_back): &Rewritten) {
        let Some(key) = self.key(layer, encoding) else { return };
        if self.own.get(layer).is_some_and(|says| Digest::of(&read_back.to_bytes()) == *says) {
            let value = json!({ "blob": scan.digest, "diff_id": scan.diff_id, "size": scan.stored_size });
            self.records.put(key, &value);
        }
    }
}

impl Records {
    pub(crate) fn of(cache: &Path, images: &Path) -> Self {
        Self { folder: cache.join("released"), images: images.to_owned() }
    }

    /// The image that was made of the same before, if all its blobs are still among the local images.
    pub(crate) fn find(&self, key: Digest) -> Option<(Record, Manifest)> {
        let value = self.get(key)?;
        let manifest: Digest = value.get("manifest")?.as_str()?.parse().ok()?;
        let summary = Summary::from_json(value.get("summary")?)?;
        let bytes = fs::read(self.blob(manifest)).ok()?;
        if Digest::of(&bytes) != manifest {
            return None;
        }
        let read: Manifest = serde_json::from_slice(&bytes).ok()?;
        let is_there = |digest: Digest, size: u64| fs::metadata(self.blob(digest)).is_ok_and(|blob| blob.len() == size);
        let is_whole = read.layers.iter().chain([&read.config]).all(|blob| is_there(blob.digest, blob.size));
        is_whole.then_some((Record { manifest, summary }, read))
    }

    /// Remembers an image. Failing to costs time later, and nothing else.
    pub(crate) fn keep(&self, key: Digest, record: &Record) {
        self.put(key, &json!({ "manifest": record.manifest, "summary": record.summary.to_json() }));
    }

    fn put(&self, key: Digest, value: &Value) {
        let _ = fs::create_dir_all(&self.folder).and_then(|()| {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(value.to_string().as_bytes())?;
            file.persist(self.path(key)).map_err(|error| error.error)
        });
    }

    fn get(&self, key: Digest) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.path(key)).ok()?).ok()
    }

    fn path(&self, key: Digest) -> PathBuf {
        self.folder.join(key.hex())
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.images.join("blobs/sha256").join(digest.hex())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jettison_image::Compression;

    use super::super::testing::{layers, tar};
    use super::*;

    #[test]
    fn a_layer_is_known_that_was_read_back_as_what_it_was_written_from() {
        let cache = tempfile::tempdir().expect("a folder");
        let records = Records::of(cache.path(), cache.path());
        let own = layers(&[tar(&[("a", "a", 0o644)]), tar(&[("a", "b", 0o644)])]);
        let says: Vec<Digest> = own.iter().map(|own| Digest::of(&own.layer.to_bytes())).collect();
        let known = LayerRecords { records: &records, own: &says };
        let scan = |text: &str| ScannedLayer {
            digest: Digest::of(text.as_bytes()),
            diff_id: Digest::of(b"plain"),
            stored_size: 7,
            compression: Compression::None,
            plain: Plain::default(),
        };
        let found = |layer, encoding| known.find(layer, encoding).map(|scan| (scan.digest, scan.stored_size));
        assert_eq!(found(0, Encoding::NONE), None);
        known.keep(0, Encoding::NONE, &(scan("blob"), Arc::clone(&own[0].layer)));
        // One that was read back as another is not worth remembering.
        known.keep(1, Encoding::NONE, &(scan("other"), Arc::clone(&own[0].layer)));
        assert_eq!(found(0, Encoding::NONE), Some((Digest::of(b"blob"), 7)));
        assert_eq!(found(1, Encoding::NONE), None);
        let gzip = Encoding { level: 6, ..Encoding::GZIP };
        assert_eq!(found(0, gzip), None, "another encoding is another blob");
    }
}
