//! Writing an image: blobs, index and, for Docker, its `manifest.json`, into a folder or one tar; or to a registry, for
//! which only what is new lies in a folder until it is pushed.

mod copied;
mod receipt;
mod remote;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use jettison_image::manifest::{CONTAINERD_NAME, RECEIPT, REF_NAME};
use jettison_image::tar::{END, blob_header, padding};
use jettison_image::{Descriptor, Digest, Index, Layer, Limits, Manifest, media};
use serde_json::{Value, json};

use crate::Progress;
use crate::blob::Blob;
use crate::compress::{Encoder, Encoding};
use crate::error::{Error, Result};
use crate::local::{LocalStore, annotated};
use crate::open::{Opened, StoredLayer, blob_name, open_staged};
use crate::platforms::Wanted;
use crate::reference::{Reference, Selector, Transport};
use crate::registry::{self, Pushed};
use crate::scan::{ScannedLayer, read_back};
use crate::section::Section;
use crate::stage::Stage;

use remote::RemoteTarget;

/// The name of the output within its stage.
const STAGED: &str = "image";
/// The size of the pieces in which blobs are copied and layers written.
const PIECE: usize = 256 << 10;

/// An image that is being written. Nothing shows at the target before [`Output::publish`].
pub struct Output {
    stage: Stage,
    /// The local store, where the target is an image of it: what it has is linked, not written.
    store: Option<LocalStore>,
    transport: Transport,
    target: PathBuf,
    tag: Option<String>,
    body: Body,
    blobs: HashMap<Digest, u64>,
    images: Vec<(Descriptor, Manifest)>,
    /// Indexes that were copied.
    indexes: Vec<Descriptor>,
    /// What the index lists.
    listed: Vec<Descriptor>,
    /// Blobs at the target that only replaced images used.
    unused: HashSet<Digest>,
    /// The manifest or index that its names stand for.
    top: Option<Descriptor>,
    /// The registry that it is to be pushed to.
    remote: Option<RemoteTarget>,
}

enum Body {
    Folder,
    Tar { file: File, position: u64 },
}

/// A point that an output can go back to.
pub struct Mark {
    blobs: HashMap<Digest, u64>,
    position: u64,
}

impl Output {
    /// Starts an output for `target`, whose transport must be known; `default` is that of bare paths.
    ///
    /// # Errors
    /// Where nothing can be written beside the target.
    pub fn create(target: &Reference, default: Transport) -> Result<Self> {
        Self::create_with(target, default, &registry::Options::default())
    }

    /// The same, and how registries are spoken to.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn create_with(target: &Reference, default: Transport, options: &registry::Options) -> Result<Self> {
        // A bare path is no place on a registry or in an engine, whatever the input was.
        let transport = target.transport.unwrap_or(match default {
            Transport::Registry => Transport::OciArchive,
            engine if engine.is_engine() => Transport::DockerArchive,
            other => other,
        });
        let store = (transport == Transport::Local).then(|| LocalStore::open(&target.path)).transpose()?;
        let remote =
            target.on_registry().map(|name| RemoteTarget { name, options: options.clone(), elsewhere: HashMap::new() });
        let stage = match (&store, &remote) {
            (Some(store), _) => store.incoming()?.into_stage(),
            (None, Some(_)) => Stage::beside(&std::env::temp_dir().join("push"))?,
            (None, None) => Stage::beside(&target.path)?,
        };
        let staged = stage.path(STAGED);
        let write = Error::io("write", &target.path);
        let body = if matches!(transport, Transport::Oci | Transport::Local | Transport::Registry) {
            fs::create_dir_all(staged.join("blobs/sha256")).map_err(write)?;
            Body::Folder
        } else {
            Body::Tar {
                file: File::options().read(true).write(true).create_new(true).open(&staged).map_err(write)?,
                position: 0,
            }
        };
        let tag = match &target.selector {
            Some(Selector::Name(name)) => Some(transport.stored_name(name)),
            _ => None,
        };
        // For messages, where there is no path.
        let path = if remote.is_some() { PathBuf::from(target.to_string()) } else { target.path.clone() };
        Ok(Self {
            stage,
            store,
            transport,
            target: path,
            tag,
            body,
            blobs: HashMap::new(),
            images: Vec::new(),
            indexes: Vec::new(),
            listed: Vec::new(),
            unused: HashSet::new(),
            top: None,
            remote,
        })
    }

    /// The folder in which temporary files belong: beside the target, on the disk that is to hold it.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.stage.path("")
    }

    /// Copies a blob as it is.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn copy_blob(&mut self, blob: &Blob, digest: Digest, progress: &dyn Progress) -> Result<()> {
        if self.blobs.contains_key(&digest) {
            return Ok(());
        }
        if let Some(remote) = &mut self.remote {
            remote.elsewhere.insert(digest, blob.clone());
            self.blobs.insert(digest, blob.length());
            progress.advance(blob.length());
            return Ok(());
        }
        if self.link_from_store(digest, blob.length()) {
            progress.advance(blob.length());
            return Ok(());
        }
        let target = self.target.clone();
        let mut reader = blob.reader();
        self.blob(|out| {
            let mut piece = vec![0; PIECE];
            loop {
                let read = reader.read(&mut piece)?;
                if read == 0 {
                    return Ok((digest, ()));
                }
                out.write_all(&piece[..read])?;
                progress.advance(read as u64);
            }
        })
        .map_err(Error::io("write", &target))
    }

    /// Takes a layer's blob that the local store has already, without reading it; says whether it has it.
    #[must_use]
    pub fn reuse_blob(&mut self, digest: Digest, size: u64) -> bool {
        self.blobs.contains_key(&digest) || self.link_from_store(digest, size)
    }

    /// Takes a blob that the local store has already; its files are only ever replaced as a whole.
    fn link_from_store(&mut self, digest: Digest, size: u64) -> bool {
        let Some(store) = self.store.as_ref().filter(|store| store.reuse(digest, size)) else { return false };
        let linked = fs::hard_link(store.blob_path(digest), self.stage.path(STAGED).join(blob_name(digest))).is_ok();
        if linked {
            self.blobs.insert(digest, size);
        }
        linked
    }

    /// Packs and writes a layer whose unpacked bytes `fill` writes, and reads it back: its digests are
    /// those of what lies on the disk.
    ///
    /// # Errors
    /// Where `fill` fails, or the layer cannot be written or read back.
    pub fn write_layer(
        &mut self,
        encoding: Encoding,
        progress: &dyn Progress,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(ScannedLayer, Arc<Layer>)> {
        let target = self.target.clone();
        self.blob(|out| {
            let start = out.stream_position()?;
            let mut encoder = Encoder::new(BufWriter::with_capacity(PIECE, &mut *out), encoding)?;
            fill(&mut encoder)?;
            encoder.finish()?.flush()?;
            let end = out.stream_position()?;
            let blob = Section::whole(out.try_clone()?)?.part(start, end - start);
            let stored = StoredLayer { name: "the written layer".to_owned(), blob: blob.into(), descriptor: None };
            Ok(match read_back(&target, &stored, progress) {
                Ok(read) => (read.0.digest, Ok(read)),
                Err(error) => (Digest::default(), Err(error)),
            })
        })
        .map_err(Error::io("write", &target))?
    }

    /// The point that [`Output::go_back`] returns to.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let position = match &self.body {
            Body::Folder => 0,
            Body::Tar { position, .. } => *position,
        };
        Mark { blobs: self.blobs.clone(), position }
    }

    /// Takes back the blobs written since `mark`.
    ///
    /// # Errors
    /// Where they cannot be removed.
    pub fn go_back(&mut self, mark: Mark) -> Result<()> {
        let folder = self.stage.path(STAGED).join("blobs/sha256");
        let result = match &mut self.body {
            Body::Folder => {
                let is_here =
                    |digest: &&Digest| self.remote.as_ref().is_none_or(|to| !to.elsewhere.contains_key(*digest));
                let mut new = self.blobs.keys().filter(|digest| !mark.blobs.contains_key(*digest)).filter(is_here);
                new.try_for_each(|digest| fs::remove_file(folder.join(digest.hex())))
            }
            Body::Tar { file, position } => {
                *position = mark.position;
                file.set_len(mark.position).and_then(|()| file.seek(SeekFrom::Start(mark.position))).map(|_| ())
            }
        };
        self.blobs = mark.blobs;
        result.map_err(Error::io("write", &self.target))
    }

    /// Adds an image whose layers were all written; writes its config and manifest.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn add_image(&mut self, manifest: Manifest, manifest_bytes: &[u8], config: &[u8]) -> Result<Digest> {
        self.small_blob(config)?;
        self.small_blob(manifest_bytes)?;
        let descriptor = Descriptor::of(media::OCI_MANIFEST, manifest_bytes);
        let digest = descriptor.digest;
        self.images.push((descriptor, manifest));
        Ok(digest)
    }

    /// Adds the blob of a receipt, which an annotation of the image's manifest is to name
    /// ([`jettison_image::manifest::RECEIPT`]); gives its digest. No index lists it: tools that expect one image in a
    /// layout without names take a further manifest in its index for a second one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn attach(&mut self, receipt: &[u8]) -> Result<Digest> {
        self.small_blob(receipt)
    }

    pub(crate) fn small_blob(&mut self, bytes: &[u8]) -> Result<Digest> {
        let (digest, target) = (Digest::of(bytes), self.target.clone());
        if !self.blobs.contains_key(&digest) {
            let written = self.blob(|out| out.write_all(bytes).map(|()| (digest, ())));
            written.map_err(Error::io("write", &target))?;
        }
        Ok(digest)
    }

    /// Writes what the transport asks for: the list of names, and `index`, the bytes of an OCI index over the images that
    /// were added, where there is one. `names` are the image's own; a name in the target's reference takes their place.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn finish(&mut self, names: &[String], index: Option<&[u8]>) -> Result<()> {
        let mut descriptors: Vec<Descriptor> = self.images.iter().map(|(descriptor, _)| descriptor.clone()).collect();
        if let Some(bytes) = index {
            self.small_blob(bytes)?;
            descriptors = vec![Descriptor::of(media::OCI_INDEX, bytes)];
        }
        self.list(names, &descriptors)
    }

    fn list(&mut self, names: &[String], descriptors: &[Descriptor]) -> Result<()> {
        let names: Vec<String> = self.tag.clone().map_or_else(|| names.to_vec(), |tag| vec![tag]);
        let target = self.target.clone();
        self.top = descriptors.first().cloned();
        let mut listed = self.kept_descriptors(&names)?;
        for descriptor in descriptors {
            if self.store.is_some() && names.is_empty() {
                listed.push(descriptor.clone());
            } else if self.store.is_some() {
                listed.extend(names.iter().map(|name| annotated(descriptor, name)));
            } else {
                listed.extend(named(descriptor, &names));
            }
        }
        self.listed.clone_from(&listed);
        self.small_file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        self.small_file("index.json", &to_json(&Index::new(listed)))?;
        if self.transport == Transport::DockerArchive || self.transport.is_engine() {
            let tags: Vec<&String> = names.iter().filter(|name| name.contains(':')).collect();
            // Engines load images; what tells of them is none. Those that know this list alone would load all platforms
            // under one name, of which the last one stays: the first one it is.
            let images = self.images.iter().filter(|(descriptor, _)| !descriptor.is_referrer());
            let images = images.filter(|(_, manifest)| manifest.artifact_type().is_none()).take(1);
            let images: Vec<Value> = images.map(|(_, manifest)| docker_image(manifest, &tags)).collect();
            self.small_file("manifest.json", &to_json(&images))?;
        }
        if let Body::Tar { file, .. } = &mut self.body {
            file.write_all(&END).map_err(Error::io("write", &target))?;
        }
        Ok(())
    }

    /// Where the finished output can be read before it is published.
    #[must_use]
    pub fn staged(&self) -> Reference {
        // What is staged for the local store or a registry is a layout of its own.
        let is_layout = self.store.is_some() || self.remote.is_some();
        let transport = match self.transport {
            _ if is_layout => Transport::Oci,
            engine if engine.is_engine() => Transport::DockerArchive,
            other => other,
        };
        Reference { transport: Some(transport), path: self.stage.path(STAGED), selector: None }
    }

    /// Opens the finished output before it is published, as `reference` to what is staged names it.
    ///
    /// # Errors
    /// Where it cannot be read back.
    pub fn reopen(&self, reference: &Reference, wanted: &Wanted, limits: Limits) -> Result<Opened> {
        let elsewhere = self.remote.as_ref().map(|remote| remote.elsewhere.clone());
        open_staged(reference, elsewhere.unwrap_or_default(), wanted, limits)
    }

    /// The image's manifest digests, in the order in which they were added.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        self.images.iter().map(|(descriptor, _)| descriptor.digest)
    }

    /// Puts the output in the target's place. Other images of a layout that stands there stay. Says what was pushed,
    /// where the target is on a registry.
    ///
    /// # Errors
    /// Where it cannot be put there; the target is then as it was.
    pub fn publish(self, progress: &dyn Progress) -> Result<Option<Pushed>> {
        if let Some(remote) = &self.remote {
            return self.push(remote, progress).map(Some);
        }
        self.put_in_place().map(|()| None)
    }

    fn put_in_place(self) -> Result<()> {
        if let Some(store) = &self.store {
            let blobs: Vec<Digest> = self.blobs.keys().copied().collect();
            let layers = self.images.iter().flat_map(|(_, manifest)| &manifest.layers);
            let layers: HashSet<Digest> = layers.map(|layer| layer.digest).collect();
            return store.adopt(&self.stage.path(STAGED), &blobs, &layers, self.listed.clone());
        }
        if self.transport == Transport::Oci && self.target.is_dir() {
            self.keep_blobs().map_err(Error::io("keep the other images of", &self.target))?;
        }
        self.stage.publish(STAGED)
    }

    /// The images that a layout at the target has under other names; those that this one replaces are noted.
    fn kept_descriptors(&mut self, names: &[String]) -> Result<Vec<Descriptor>> {
        let path = self.target.join("index.json");
        if self.transport != Transport::Oci || !path.is_file() {
            // A folder of something else must not vanish under the output.
            let occupied =
                self.transport == Transport::Oci && fs::read_dir(&self.target).is_ok_and(|mut d| d.next().is_some());
            let reason = "the folder is not empty and holds no OCI layout".to_owned();
            let path = self.target.clone();
            return if occupied { Err(Error::NotAnImage { path, reason }) } else { Ok(Vec::new()) };
        }
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let index: Index = serde_json::from_slice(&bytes).map_err(|source| Error::Json {
            path: self.target.clone(),
            name: "index.json".to_owned(),
            source,
        })?;
        let new: Vec<Descriptor> =
            self.images.first().map(|(descriptor, _)| named(descriptor, names)).unwrap_or_default();
        let is_replaced = |old: &Descriptor| {
            let name = |d: &Descriptor| d.annotation(CONTAINERD_NAME).or(d.annotation(REF_NAME)).map(str::to_owned);
            new.iter().any(|new| name(new) == name(old))
        };
        let (replaced, kept): (Vec<_>, Vec<_>) = index.manifests.into_iter().partition(is_replaced);
        let used = self.reachable(&kept);
        self.unused = self.reachable(&replaced).difference(&used).copied().collect();
        Ok(kept)
    }

    /// The blobs at the target that some manifests name, and those that these name in turn.
    fn reachable(&self, manifests: &[Descriptor]) -> HashSet<Digest> {
        let mut found = HashSet::new();
        let mut waiting: Vec<Digest> = manifests.iter().map(|descriptor| descriptor.digest).collect();
        while let Some(digest) = waiting.pop() {
            let path = self.target.join(blob_name(digest));
            // Layers name nothing; manifests and indexes are small.
            let is_small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() < 4 << 20);
            if found.insert(digest) && is_small {
                let value: Option<Value> = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
                value.iter().for_each(|value| digests_in(value, &mut waiting));
            }
        }
        found
    }

    fn keep_blobs(&self) -> io::Result<()> {
        let staged = self.stage.path(STAGED).join("blobs");
        let from = self.target.join("blobs");
        let algorithms = if from.is_dir() { Some(fs::read_dir(from)?) } else { None };
        for algorithm in algorithms.into_iter().flatten() {
            let algorithm = algorithm?;
            let to = staged.join(algorithm.file_name());
            fs::create_dir_all(&to)?;
            for blob in fs::read_dir(algorithm.path())? {
                let blob = blob?;
                let name = blob.file_name().to_string_lossy().into_owned();
                let is_unused = Digest::from_hex(&name).is_ok_and(|digest| self.unused.contains(&digest));
                let to = to.join(blob.file_name());
                if !is_unused && !to.exists() {
                    fs::hard_link(blob.path(), &to).or_else(|_| fs::copy(blob.path(), &to).map(|_| ()))?;
                }
            }
        }
        Ok(())
    }

    fn small_file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let write = Error::io("write", &self.target);
        match &mut self.body {
            Body::Folder => fs::write(self.stage.path(STAGED).join(name), bytes).map_err(write),
            Body::Tar { file, position } => {
                let mut member = blob_header(name.as_bytes(), bytes.len() as u64).to_vec();
                member.extend_from_slice(bytes);
                member.resize(member.len() + padding(bytes.len() as u64), 0);
                *position += member.len() as u64;
                file.write_all(&member).map_err(write)
            }
        }
    }

    /// Writes one blob whose digest is known only at its end; one that is there already is dropped.
    fn blob<T>(&mut self, write: impl FnOnce(&mut File) -> io::Result<(Digest, T)>) -> io::Result<T> {
        match &mut self.body {
            Body::Folder => {
                let folder = self.stage.path(STAGED).join("blobs/sha256");
                let unnamed = folder.join("unnamed");
                let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&unnamed)?;
                let (digest, result) = write(&mut file)?;
                self.blobs.insert(digest, file.metadata()?.len());
                fs::rename(&unnamed, folder.join(digest.hex()))?;
                Ok(result)
            }
            Body::Tar { file, position } => {
                let start = *position;
                // The header's place; its size and name are known at the end.
                file.write_all(&[0; 512])?;
                let (digest, result) = write(file)?;
                let end = file.stream_position()?;
                if self.blobs.contains_key(&digest) {
                    file.set_len(start)?;
                    file.seek(SeekFrom::Start(start))?;
                    return Ok(result);
                }
                let size = end - start - 512;
                file.write_all(&END[..padding(size)])?;
                let block = blob_header(blob_name(digest).as_bytes(), size);
                file.seek(SeekFrom::Start(start))?;
                file.write_all(&block)?;
                *position = file.seek(SeekFrom::End(0))?;
                self.blobs.insert(digest, size);
                Ok(result)
            }
        }
    }
}

/// What a layer would be packed to, without writing it anywhere: to measure a saving.
///
/// # Errors
/// Where `fill` fails.
pub fn measure(encoding: Encoding, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut encoder = Encoder::new(Count(0), encoding)?;
    fill(&mut encoder)?;
    encoder.finish().map(|count| count.0)
}

/// The digests of all descriptors within a document, and of the receipts that it names.
fn digests_in(value: &Value, out: &mut Vec<Digest>) {
    match value {
        Value::Object(map) => {
            let named = ["digest", RECEIPT].into_iter().filter_map(|key| map.get(key)?.as_str());
            out.extend(named.filter_map(|digest| digest.parse::<Digest>().ok()));
            map.values().for_each(|value| digests_in(value, out));
        }
        Value::Array(values) => values.iter().for_each(|value| digests_in(value, out)),
        _ => {}
    }
}

fn docker_image(manifest: &Manifest, tags: &[&String]) -> Value {
    let layers: Vec<String> = manifest.layers.iter().map(|layer| blob_name(layer.digest)).collect();
    json!({ "Config": blob_name(manifest.config.digest), "RepoTags": tags, "Layers": layers })
}

/// A descriptor for each name: the tag in the specification's annotation, a full name in containerd's.
fn named(descriptor: &Descriptor, names: &[String]) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![descriptor.clone()];
    }
    let annotated = |name: &String| {
        let mut descriptor = descriptor.clone();
        let annotations = descriptor.annotations.get_or_insert_default();
        match name.rsplit_once(':') {
            Some((_, tag)) if !tag.contains('/') => {
                annotations.insert(CONTAINERD_NAME.to_owned(), Value::from(name.as_str()));
                annotations.insert(REF_NAME.to_owned(), Value::from(tag));
            }
            _ => {
                annotations.insert(REF_NAME.to_owned(), Value::from(name.as_str()));
            }
        }
        descriptor
    };
    names.iter().map(annotated).collect()
}

fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // These values hold string keys only, the one thing that JSON cannot do without.
    serde_json::to_vec(value).unwrap_or_default()
}
