//! Writing images into the places that engines and tools write, with other code than jettison's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::write::GzEncoder;
use jettison_image::Digest;
use serde_json::{Map, Value, json};

use crate::image::Image;

/// How a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    /// gzip of several members.
    Members,
    Zstd,
    /// zstd with skippable frames first and last.
    Framed,
}

impl Packing {
    pub(crate) fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => bytes.to_vec(),
            Self::Gzip => gzip(bytes),
            Self::Members => {
                let (first, rest) = bytes.split_at(bytes.len() / 3);
                [gzip(first), gzip(b""), gzip(rest)].concat()
            }
            Self::Zstd => zstd::encode_all(bytes, 3).expect("packs"),
            Self::Framed => {
                let skippable = |magic: u8| [&[magic, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"note!"].concat();
                let (first, rest) = bytes.split_at(bytes.len() / 2);
                let frame = |bytes| zstd::encode_all(bytes, 1).expect("packs");
                [skippable(0x50), frame(first), skippable(0x5f), frame(rest), skippable(0x53)].concat()
            }
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip | Self::Members => "gzip",
            Self::Zstd | Self::Framed => "zstd",
        }
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

/// Whose media types are used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Oci,
    Docker,
}

impl Dialect {
    fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    fn index(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.index.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    fn layer(self, packing: Packing) -> String {
        let (base, separator) = match self {
            Self::Oci => ("application/vnd.oci.image.layer.v1.tar", "+"),
            Self::Docker => ("application/vnd.docker.image.rootfs.diff.tar", "."),
        };
        let suffix = packing.suffix();
        if suffix.is_empty() { base.to_owned() } else { format!("{base}{separator}{suffix}") }
    }
}

/// A file of an archive.
#[derive(Clone)]
pub(crate) enum Member {
    File(Vec<u8>),
    Symlink(String),
}

/// The files of an archive or folder, in order.
#[derive(Clone, Default)]
pub(crate) struct Files(pub(crate) Vec<(String, Member)>);

impl Files {
    pub(crate) fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((name.into(), Member::File(bytes.into())));
    }

    /// The bytes of one file, to be damaged.
    pub(crate) fn bytes(&mut self, name: &str) -> &mut Vec<u8> {
        let found = self.0.iter_mut().find(|(known, _)| known == name);
        match found {
            Some((_, Member::File(bytes))) => bytes,
            _ => panic!("there is no file {name}"),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let before = self.0.len();
        self.0.retain(|(known, _)| known != name);
        assert!(self.0.len() < before, "there is no file {name}");
    }

    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, member) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            match member {
                Member::File(bytes) => {
                    header.set_size(bytes.len() as u64);
                    builder.append_data(&mut header, name, &bytes[..]).expect("writes to memory");
                }
                Member::Symlink(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    builder.append_link(&mut header, name, target).expect("writes to memory");
                }
            }
        }
        builder.into_inner().expect("writes to memory")
    }

    pub(crate) fn to_archive(&self, path: impl AsRef<Path>) {
        fs::write(path, self.tar()).expect("writes");
    }

    pub(crate) fn to_folder(&self, path: impl AsRef<Path>) {
        for (name, member) in &self.0 {
            let path = path.as_ref().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("makes folders");
            match member {
                Member::File(bytes) => fs::write(path, bytes).expect("writes"),
                Member::Symlink(target) => std::os::unix::fs::symlink(target, path).expect("links"),
            }
        }
    }
}

/// The place of a blob.
pub(crate) fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The place of the blob that a descriptor names.
pub(crate) fn blob_of(descriptor: &Value) -> String {
    blob_name(descriptor["digest"].as_str().expect("a digest"))
}

/// An OCI layout that is being made.
#[derive(Clone, Default)]
pub(crate) struct Layout {
    blobs: BTreeMap<String, Vec<u8>>,
    listed: Vec<Value>,
    docker: Option<Vec<Value>>,
}

impl Layout {
    /// A layout of one image with a tag.
    pub(crate) fn of(image: &Image, packing: Packing, tag: &str) -> Self {
        let mut layout = Self::default();
        let manifest = layout.image(image, packing, Dialect::Oci);
        layout.tag(&manifest, tag);
        layout
    }

    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes).to_string();
        self.blobs.insert(blob_name(&digest), bytes.to_vec());
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Adds an image's blobs; gives its manifest's descriptor.
    pub(crate) fn image(&mut self, image: &Image, packing: Packing, dialect: Dialect) -> Value {
        self.image_with(image, packing, dialect, |_| {})
    }

    /// The same with a manifest that `edit` changes.
    pub(crate) fn image_with(
        &mut self,
        image: &Image,
        packing: Packing,
        dialect: Dialect,
        edit: impl FnOnce(&mut Value),
    ) -> Value {
        let config = self.blob(dialect.config(), &image.config);
        let layers: Vec<Value> =
            image.layers.iter().map(|tar| self.blob(&dialect.layer(packing), &packing.pack(tar))).collect();
        let mut manifest =
            json!({ "schemaVersion": 2, "mediaType": dialect.manifest(), "config": config, "layers": layers });
        edit(&mut manifest);
        self.blob(dialect.manifest(), manifest.to_string().as_bytes())
    }

    /// Adds an index of these descriptors; gives its own.
    pub(crate) fn index(&mut self, manifests: &[Value], dialect: Dialect) -> Value {
        self.index_with(manifests, dialect, |_| {})
    }

    /// The same, which `edit` changes.
    pub(crate) fn index_with(&mut self, manifests: &[Value], dialect: Dialect, edit: impl FnOnce(&mut Value)) -> Value {
        let mut index = json!({ "schemaVersion": 2, "mediaType": dialect.index(), "manifests": manifests });
        edit(&mut index);
        self.blob(dialect.index(), index.to_string().as_bytes())
    }

    /// Adds a manifest of what is no image, with blobs of its own.
    pub(crate) fn artifact(&mut self, config: &str, layer: (&str, &[u8]), edit: impl FnOnce(&mut Value)) -> Value {
        let config = self.blob(config, b"{}");
        let layers = [self.blob(layer.0, layer.1)];
        let mut manifest =
            json!({ "schemaVersion": 2, "mediaType": Dialect::Oci.manifest(), "config": config, "layers": layers });
        edit(&mut manifest);
        self.blob(Dialect::Oci.manifest(), manifest.to_string().as_bytes())
    }

    /// Takes a blob away, as engines leave out what they do not have.
    pub(crate) fn lose(&mut self, descriptor: &Value) {
        assert!(self.blobs.remove(&blob_of(descriptor)).is_some(), "there is no {descriptor}");
    }

    /// The descriptors of the layers that a manifest lists.
    pub(crate) fn layers_of(&self, manifest: &Value) -> Vec<Value> {
        let manifest: Value = serde_json::from_slice(&self.blobs[&blob_of(manifest)]).expect("a manifest");
        manifest["layers"].as_array().expect("layers").clone()
    }

    /// Lists a descriptor under a name: as skopeo does for a tag, as containerd does for a full name.
    pub(crate) fn tag(&mut self, descriptor: &Value, name: &str) {
        let mut annotations = Map::new();
        let tag = name.rsplit_once(':').map_or(name, |(_, tag)| tag);
        if tag != name {
            annotations.insert("io.containerd.image.name".to_owned(), json!(name));
        }
        annotations.insert("org.opencontainers.image.ref.name".to_owned(), json!(tag));
        let mut descriptor = descriptor.clone();
        descriptor["annotations"] = Value::Object(annotations);
        self.listed.push(descriptor);
    }

    /// Lists a descriptor in place of all others.
    pub(crate) fn relist(&mut self, descriptor: &Value, name: &str) {
        self.listed.clear();
        self.tag(descriptor, name);
    }

    /// Lists a descriptor as it is.
    pub(crate) fn list(&mut self, descriptor: &Value) {
        self.listed.push(descriptor.clone());
    }

    /// Lists an image in a `manifest.json` beside the index, as Docker does from version 25 on.
    pub(crate) fn docker(&mut self, manifest: &Value, tags: &[&str]) {
        let manifest: Value = serde_json::from_slice(&self.blobs[&blob_of(manifest)]).expect("a manifest");
        let layers: Vec<String> = manifest["layers"].as_array().expect("layers").iter().map(blob_of).collect();
        let image = json!({ "Config": blob_of(&manifest["config"]), "RepoTags": tags, "Layers": layers });
        self.docker.get_or_insert_default().push(image);
    }

    pub(crate) fn files(&self) -> Files {
        let mut files = Files::default();
        files.add("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        for (name, bytes) in &self.blobs {
            files.add(name, &bytes[..]);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": Dialect::Oci.index(), "manifests": self.listed });
        files.add("index.json", index.to_string());
        if let Some(images) = &self.docker {
            files.add("manifest.json", Value::from(images.clone()).to_string());
        }
        files
    }
}

/// A descriptor with its platform.
pub(crate) fn for_platform(mut descriptor: Value, platform: &str) -> Value {
    let (os, architecture) = platform.split_once('/').expect("a platform");
    descriptor["platform"] = match architecture.split_once('/') {
        Some((architecture, variant)) => json!({ "os": os, "architecture": architecture, "variant": variant }),
        None => json!({ "os": os, "architecture": architecture }),
    };
    descriptor
}

/// What `docker save` wrote before version 25, several images in one file. A layer that another image has
/// already is listed as a symbolic link to it.
pub(crate) fn docker_archive(images: &[(&Image, &[&str])], packing: Packing) -> Files {
    let mut files = Files::default();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut listed = Vec::new();
    let mut repositories = Map::new();
    for (number, (image, tags)) in images.iter().enumerate() {
        let mut layers = Vec::new();
        for (at, tar) in image.layers.iter().enumerate() {
            let id = Digest::of(format!("{number} {at}").as_bytes()).hex();
            let name = format!("{id}/layer.tar");
            files.add(format!("{id}/VERSION"), "1.0");
            files.add(format!("{id}/json"), json!({ "id": id }).to_string());
            match seen.get(&Digest::of(tar).hex()) {
                Some(first) => files.0.push((name.clone(), Member::Symlink(format!("../{first}")))),
                None => files.add(&name, packing.pack(tar)),
            }
            seen.entry(Digest::of(tar).hex()).or_insert_with(|| name.clone());
            layers.push(name);
        }
        let config = format!("{}.json", Digest::of(&image.config).hex());
        files.add(&config, &image.config[..]);
        for (repository, tag) in tags.iter().filter_map(|tag| tag.rsplit_once(':')) {
            repositories.insert(repository.to_owned(), json!({ tag: layers.last() }));
        }
        listed.push(json!({ "Config": config, "RepoTags": tags, "Layers": layers }));
    }
    files.add("manifest.json", Value::from(listed).to_string());
    files.add("repositories", Value::Object(repositories).to_string());
    files
}
