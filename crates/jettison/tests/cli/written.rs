//! Reading what jettison wrote, with other code than its own, and what must hold of all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;

use jettison_image::{Digest, Layer, Limits};
use serde_json::Value;

use crate::image::seen;
use crate::place::{blob_name, blob_of};

/// The files of an output.
pub(crate) struct Written {
    files: BTreeMap<String, Vec<u8>>,
}

/// One image of an output.
#[derive(Debug)]
pub(crate) struct WrittenImage {
    pub(crate) digest: String,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
    /// The blobs as stored, lowest first.
    pub(crate) blobs: Vec<Vec<u8>>,
    /// The same, unpacked.
    pub(crate) tars: Vec<Vec<u8>>,
}

impl Written {
    /// An output that is a folder or an archive, checked.
    #[track_caller]
    pub(crate) fn at(path: impl AsRef<Path>) -> Self {
        let written = Self::with_unused(path);
        let unused = written.unused();
        assert!(unused.is_empty(), "blobs that no image uses: {unused:?}");
        written
    }

    /// The same for a layout in which images were replaced.
    #[track_caller]
    pub(crate) fn with_unused(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let files = if path.is_dir() { folder(path) } else { archive(path) };
        let written = Self { files };
        written.check();
        written
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        let bytes = self.files.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The descriptors of `index.json`.
    pub(crate) fn listed(&self) -> Vec<Value> {
        self.json("index.json")["manifests"].as_array().expect("manifests").clone()
    }

    /// The names in `index.json`, the fullest of each descriptor.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |descriptor: &Value| {
            let annotation = |key: &str| descriptor["annotations"][key].as_str().map(str::to_owned);
            annotation("io.containerd.image.name").or_else(|| annotation("org.opencontainers.image.ref.name"))
        };
        self.listed().iter().filter_map(name).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub(crate) fn blob(&self, descriptor: &Value) -> &[u8] {
        &self.files[&blob_of(descriptor)]
    }

    /// The one image that the output holds, under whatever names.
    pub(crate) fn image(&self) -> WrittenImage {
        let listed = self.listed();
        assert!(listed.iter().all(|other| other["digest"] == listed[0]["digest"]), "several images: {listed:?}");
        self.image_of(&listed[0])
    }

    pub(crate) fn image_of(&self, descriptor: &Value) -> WrittenImage {
        let manifest = self.json(&blob_of(descriptor));
        let layers = manifest["layers"].as_array().expect("layers");
        let blobs: Vec<Vec<u8>> = layers.iter().map(|layer| self.blob(layer).to_vec()).collect();
        let tars = layers.iter().zip(&blobs).map(|(layer, blob)| unpacked(&layer["mediaType"], blob)).collect();
        let config = self.json(&blob_of(&manifest["config"]));
        let digest = descriptor["digest"].as_str().expect("a digest").to_owned();
        WrittenImage { digest, manifest, config, blobs, tars }
    }

    /// The descriptors of the one index that the output lists.
    #[track_caller]
    pub(crate) fn index(&self) -> (Value, Vec<Value>) {
        let listed = self.listed();
        assert!(listed.iter().all(|other| other["digest"] == listed[0]["digest"]), "several images: {listed:?}");
        assert_eq!(listed[0]["mediaType"], "application/vnd.oci.image.index.v1+json");
        let index = self.json(&blob_of(&listed[0]));
        let manifests = index["manifests"].as_array().expect("manifests").clone();
        (index, manifests)
    }

    /// Whether a manifest is a container image's: what stands beside images has layers of other kinds.
    fn is_image(&self, manifest: &Value) -> bool {
        let manifest = self.json(&blob_of(manifest));
        let is_layer = |layer: &Value| layer["mediaType"].as_str().is_some_and(|kind| kind.contains("image.layer"));
        manifest["layers"].as_array().expect("layers").iter().all(is_layer)
    }

    /// What must hold of every output (merging, 13 and 16): digests and sizes are true, nothing is
    /// missing, the config agrees with the layers.
    fn check(&self) {
        for (name, bytes) in self.files.iter().filter(|(name, _)| name.starts_with("blobs/")) {
            assert_eq!(*name, format!("blobs/sha256/{}", Digest::of(bytes).hex()));
        }
        assert_eq!(self.json("oci-layout")["imageLayoutVersion"], "1.0.0");
        for descriptor in self.descriptors() {
            assert_eq!(descriptor["size"], self.blob(&descriptor).len() as u64, "{descriptor}");
            if descriptor["mediaType"] == "application/vnd.oci.image.manifest.v1+json" && self.is_image(&descriptor) {
                self.image_of(&descriptor).check();
            }
        }
    }

    /// Every descriptor that can be reached from the index.
    fn descriptors(&self) -> Vec<Value> {
        let mut found = Vec::new();
        let mut waiting = self.listed();
        while let Some(descriptor) = waiting.pop() {
            let media_type = descriptor["mediaType"].as_str().expect("a media type");
            if media_type.contains("index") || media_type.contains("manifest") {
                let document = self.json(&blob_of(&descriptor));
                waiting.extend(
                    ["manifests", "layers"].iter().flat_map(|key| document[*key].as_array().cloned()).flatten(),
                );
                waiting.extend(document.get("config").cloned());
            }
            found.push(descriptor);
        }
        found
    }

    /// The blobs that no image uses.
    pub(crate) fn unused(&self) -> Vec<&String> {
        let mut used: BTreeSet<String> = self.descriptors().iter().map(blob_of).collect();
        // A receipt is no descriptor's: an annotation of a manifest names it.
        let manifests: Vec<Value> =
            used.iter().filter_map(|name| serde_json::from_slice(&self.files[name]).ok()).collect();
        let receipts = manifests.iter().filter_map(|manifest| manifest["annotations"]["dev.jettison.receipt"].as_str());
        used.extend(receipts.map(blob_name));
        self.files.keys().filter(|name| name.starts_with("blobs/") && !used.contains(*name)).collect()
    }
}

impl WrittenImage {
    /// What a container sees.
    pub(crate) fn seen(&self) -> String {
        seen(&self.tars)
    }

    /// The digests of the layer blobs.
    pub(crate) fn layer_digests(&self) -> Vec<String> {
        let layers = self.manifest["layers"].as_array().expect("layers");
        layers.iter().map(|layer| layer["digest"].as_str().expect("a digest").to_owned()).collect()
    }

    /// The media types of the layers, without what all have in common.
    pub(crate) fn packings(&self) -> Vec<String> {
        let layers = self.manifest["layers"].as_array().expect("layers");
        let suffix = |layer: &Value| {
            let media_type = layer["mediaType"].as_str().expect("a media type");
            media_type.strip_prefix("application/vnd.oci.image.layer.v1.tar").expect("an OCI layer").to_owned()
        };
        layers.iter().map(suffix).collect()
    }

    /// The texts of the history, those of entries without a layer in brackets.
    pub(crate) fn history(&self) -> Vec<String> {
        let Some(history) = self.config["history"].as_array() else { return Vec::new() };
        let text = |entry: &Value| {
            let text = entry["created_by"].as_str().unwrap_or_default();
            if entry["empty_layer"] == true { format!("[{text}]") } else { text.to_owned() }
        };
        history.iter().map(text).collect()
    }

    fn check(&self) {
        assert_eq!(self.manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(self.manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
        let diff_ids: Vec<Value> = self.tars.iter().map(|tar| Value::from(Digest::of(tar).to_string())).collect();
        assert_eq!(self.config["rootfs"]["diff_ids"], Value::from(diff_ids));
    }
}

/// Whether every entry of a layer stands once, after its folders, and links stay within the layer.
#[track_caller]
pub(crate) fn check_canonical(tar: &[u8]) {
    let layer = Layer::read(tar, Limits::default()).expect("a valid layer");
    let mut paths: BTreeSet<&[u8]> = BTreeSet::new();
    for entry in &layer.entries {
        let path = layer.path(entry);
        let shown = String::from_utf8_lossy(path);
        assert!(paths.insert(path), "{shown} stands twice");
        let folder = path.iter().rposition(|&c| c == b'/').map(|slash| &path[..slash]);
        assert!(folder.is_none_or(|folder| paths.contains(folder)), "{shown} stands before its folder");
        if entry.kind == jettison_image::Kind::HardLink {
            assert!(paths.contains(layer.link(entry)), "{shown} leads out of its layer");
        }
    }
}

/// Unpacks a blob as its media type says, and by no other means.
fn unpacked(media_type: &Value, blob: &[u8]) -> Vec<u8> {
    let media_type = media_type.as_str().expect("a media type");
    if media_type.ends_with("gzip") {
        let mut bytes = Vec::new();
        flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut bytes).expect("gzip");
        return bytes;
    }
    if media_type.ends_with("zstd") {
        return zstd::decode_all(blob).expect("zstd");
    }
    assert!(media_type.ends_with(".tar"), "{media_type}");
    blob.to_vec()
}

fn folder(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry").path();
            if entry.is_dir() {
                waiting.push(entry);
            } else {
                let name = entry.strip_prefix(path).expect("below").to_str().expect("UTF-8").to_owned();
                files.insert(name, fs::read(&entry).expect("a file"));
            }
        }
    }
    files
}

fn archive(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").to_str().expect("UTF-8").to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("the content");
        assert!(files.insert(name.clone(), bytes).is_none(), "{name} stands twice");
    }
    files
}
