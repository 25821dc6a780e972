//! Writes layers and the docker-archive around them, as `docker save` of engines from 25 on does: an OCI layout with
//! a `manifest.json` beside it, layers uncompressed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

/// 2024-01-01T00:00:00Z, the one date in generated images.
pub(crate) const DATE: u64 = 1_704_067_200;
const CREATED: &str = "2024-01-01T00:00:00Z";

/// A layer tar under construction. Parent folders are listed before their first entry, as engines do.
pub(crate) struct LayerWriter {
    tar: tar::Builder<Hashing<BufWriter<File>>>,
    path: PathBuf,
    folders: HashSet<PathBuf>,
    layer: Layer,
}

/// A finished layer tar on disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    path: PathBuf,
    hex: String,
    size: u64,
    created_by: String,
    /// Regular files and hard links.
    pub(crate) files: u64,
    /// Whiteouts.
    pub(crate) whiteouts: u64,
}

/// What every entry states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata {
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner and group.
    pub(crate) owner: (u64, u64),
    /// Seconds since 1970.
    pub(crate) mtime: u64,
}

impl Metadata {
    /// Owned by root, from the one date.
    pub(crate) fn mode(mode: u32) -> Self {
        Self { mode, owner: (0, 0), mtime: DATE }
    }

    fn header(self, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(self.mtime);
        header.set_size(size);
        header
    }
}

impl LayerWriter {
    /// Starts a layer at `path`, made by the instruction `created_by`.
    pub(crate) fn create(path: PathBuf, created_by: String) -> Result<Self> {
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let tar = tar::Builder::new(Hashing::new(BufWriter::with_capacity(1 << 20, file)));
        Ok(Self { tar, path, folders: HashSet::new(), layer: Layer { created_by, ..Layer::default() } })
    }

    /// A folder, unless this layer has it already.
    pub(crate) fn folder(&mut self, path: &Path, metadata: Metadata) -> Result<()> {
        self.parents(path)?;
        if self.folders.insert(path.to_owned()) {
            let mut header = metadata.header(EntryType::Directory, 0);
            self.tar.append_data(&mut header, path.join(""), std::io::empty())?;
        }
        Ok(())
    }

    /// A regular file of `size` bytes.
    pub(crate) fn file(&mut self, path: &Path, metadata: Metadata, size: u64, content: impl Read) -> Result<()> {
        self.parents(path)?;
        let mut header = metadata.header(EntryType::Regular, size);
        // A file of the host may shrink while it is read; an entry must have the bytes that its header promises.
        let content = content.chain(std::io::repeat(0)).take(size);
        self.tar.append_data(&mut header, path, content)?;
        self.layer.files += 1;
        Ok(())
    }

    /// A symbolic link.
    pub(crate) fn symlink(&mut self, path: &Path, metadata: Metadata, target: &Path) -> Result<()> {
        self.parents(path)?;
        Ok(self.tar.append_link(&mut metadata.header(EntryType::Symlink, 0), path, target)?)
    }

    /// A hard link to an earlier file of this layer.
    pub(crate) fn hard_link(&mut self, path: &Path, metadata: Metadata, target: &Path) -> Result<()> {
        self.parents(path)?;
        self.layer.files += 1;
        Ok(self.tar.append_link(&mut metadata.header(EntryType::Link, 0), path, target)?)
    }

    /// The mark that `path` of a lower layer is gone.
    pub(crate) fn whiteout(&mut self, path: &Path) -> Result<()> {
        let mut name = std::ffi::OsString::from(".wh.");
        name.push(path.file_name().context("the root cannot be deleted")?);
        let path = path.with_file_name(name);
        self.parents(&path)?;
        self.layer.whiteouts += 1;
        let mut header = Metadata::mode(0o600).header(EntryType::Regular, 0);
        Ok(self.tar.append_data(&mut header, path, std::io::empty())?)
    }

    /// Ends the layer.
    pub(crate) fn finish(self) -> Result<Layer> {
        let hashing = self.tar.into_inner()?;
        let hex = hex(hashing.hash);
        hashing.inner.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok(Layer { path: self.path, hex, size: hashing.size, ..self.layer })
    }

    fn parents(&mut self, path: &Path) -> Result<()> {
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.folder(parent, Metadata::mode(0o755)),
            _ => Ok(()),
        }
    }
}

/// Writes the docker-archive of `layers`, lowest first, tagged `bench/NAME:latest`. The first layer is the base: an
/// instruction without a layer of its own ends it. The layers' files are removed.
pub(crate) fn write_archive(path: &Path, name: &str, layers: &[Layer]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut tar = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
    for folder in ["blobs/", "blobs/sha256/"] {
        tar.append_data(&mut Metadata::mode(0o755).header(EntryType::Directory, 0), folder, std::io::empty())?;
    }
    let documents = Documents::new(name, layers);
    for (path, bytes) in &documents.0 {
        let mut header = Metadata::mode(0o644).header(EntryType::Regular, bytes.len() as u64);
        tar.append_data(&mut header, path, bytes.as_slice())?;
    }
    let mut written = HashSet::new();
    for layer in layers.iter().filter(|layer| written.insert(&layer.hex)) {
        let mut header = Metadata::mode(0o644).header(EntryType::Regular, layer.size);
        tar.append_data(&mut header, blob(&layer.hex), File::open(&layer.path)?)?;
    }
    tar.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    for layer in layers {
        std::fs::remove_file(&layer.path)?;
    }
    Ok(())
}

/// Everything in the archive but the layers: path and bytes.
struct Documents(Vec<(String, Vec<u8>)>);

impl Documents {
    fn new(name: &str, layers: &[Layer]) -> Self {
        let mut documents = Self(Vec::new());
        let (config, config_size) = documents.blob(&config(layers));
        let media = |layer: &Layer| {
            json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": format!("sha256:{}", layer.hex),
                "size": layer.size,
            })
        };
        let (manifest, manifest_size) = documents.blob(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": format!("sha256:{config}"),
                "size": config_size,
            },
            "layers": layers.iter().map(media).collect::<Vec<_>>(),
        }));
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": format!("sha256:{manifest}"),
                "size": manifest_size,
                "annotations": {
                    "io.containerd.image.name": format!("docker.io/bench/{name}:latest"),
                    "org.opencontainers.image.ref.name": "latest",
                },
            }],
        });
        let paths = layers.iter().map(|layer| blob(&layer.hex)).collect::<Vec<_>>();
        let sources = layers.iter().map(|layer| (format!("sha256:{}", layer.hex), media(layer)));
        let docker = json!([{
            "Config": blob(&config),
            "RepoTags": [format!("bench/{name}:latest")],
            "Layers": paths,
            "LayerSources": sources.collect::<serde_json::Map<_, _>>(),
        }]);
        documents.add("index.json", &index);
        documents.add("manifest.json", &docker);
        documents.add("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}));
        documents
    }

    fn add(&mut self, path: &str, value: &Value) {
        self.0.push((path.to_owned(), value.to_string().into_bytes()));
    }

    fn blob(&mut self, value: &Value) -> (String, usize) {
        let bytes = value.to_string().into_bytes();
        let hex = hex(Sha256::new_with_prefix(&bytes));
        let size = bytes.len();
        self.0.push((blob(&hex), bytes));
        (hex, size)
    }
}

fn config(layers: &[Layer]) -> Value {
    let mut history = Vec::new();
    for layer in layers {
        if history.is_empty() {
            history.push(json!({"created": CREATED, "created_by": layer.created_by}));
            let command = "CMD [\"/bin/sh\"]";
            history.push(json!({"created": CREATED, "created_by": command, "empty_layer": true}));
        } else {
            let by = format!("RUN /bin/sh -c {} # buildkit", layer.created_by);
            history.push(json!({"created": CREATED, "created_by": by, "comment": "buildkit.dockerfile.v0"}));
        }
    }
    json!({
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["/bin/sh"],
            "WorkingDir": "/",
            "Labels": {"org.opencontainers.image.title": "jettison bench"},
        },
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| format!("sha256:{}", layer.hex)).collect::<Vec<_>>()},
        "history": history,
    })
}

fn blob(hex: &str) -> String {
    format!("blobs/sha256/{hex}")
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Counts and hashes what passes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
