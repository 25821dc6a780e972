//! Caches that go from machine to machine: an OCI layout whose layers are snapshots, as registries would take it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use jettison_image::{Descriptor, Digest, Hasher, Index, Limits, Manifest, media};
use serde::{Deserialize, Serialize};

use super::{Cache, CacheError, Snapshot, StepRecord};
use crate::ids::Ids;
use crate::snapshot;
use crate::trace::Trace;

/// The media type of the config, which holds the records.
const CONFIG: &str = "application/vnd.jettison.cache.config.v1+json";
/// The annotation that says in words what something is (OCI image specification, annotations).
const DESCRIPTION: &str = "org.opencontainers.image.description";
/// The media type of what a step read and wrote.
const TRACE: &str = "application/vnd.jettison.cache.trace.v1+json+zstd";
/// The level of compression: speed counts, the cache is short-lived.
const LEVEL: i32 = 3;
/// Longer indexes, manifests, configs and traces are none of ours.
const LONGEST: u64 = 256 << 20;

/// What the config of an exported cache says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// Results of steps, by their keys.
    records: BTreeMap<String, StepRecord>,
    /// Each snapshot, by the name that records use: the digest of its tar, the same whoever exports it.
    snapshots: BTreeMap<String, Packed>,
}

/// A snapshot's blobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Packed {
    /// Its tar.
    files: Blob,
    /// What its step read and wrote, where that was traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<Blob>,
}

/// A compressed blob.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Blob {
    /// As it lies there.
    digest: Digest,
    /// In bytes, compressed.
    size: u64,
    /// Of its content.
    diff_id: Digest,
    /// In bytes, unpacked.
    unpacked: u64,
}

/// Whether [`export`] will find a folder that it may write: so much can be told before anything is built.
///
/// # Errors
/// Where the folder holds something else.
pub fn check_export(folder: &Path) -> Result<(), CacheError> {
    if folder.join("index.json").exists() {
        return read(folder).map(drop);
    }
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(foreign(folder, "it is not empty and has no index.json")),
            None => Ok(()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CacheError::io("read", folder)(error)),
    }
}

/// Writes the results under `keys` to `folder`. What an earlier export left there and is not of these is removed.
///
/// # Errors
/// Where the folder cannot be written, or holds something else.
pub fn export(cache: &Cache, keys: &[Digest], folder: &Path) -> Result<(), CacheError> {
    check_export(folder)?;
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(CacheError::io("make the folder", &blobs))?;
    let mut contents = Contents::default();
    let mut names: HashMap<String, String> = HashMap::new();
    for key in keys {
        let Some((mut record, snapshot)) = cache.step(*key) else { continue };
        for id in record.parents.iter().chain(&record.snapshot) {
            if names.contains_key(id) {
                continue;
            }
            let own = snapshot.clone().filter(|snapshot| snapshot.id() == id);
            if let Some(snapshot) = own.or_else(|| cache.snapshot(id)) {
                let packed = packed(cache, &snapshot, &blobs)?;
                let name = packed.files.diff_id.hex();
                contents.snapshots.insert(name.clone(), packed);
                names.insert(id.clone(), name);
            }
        }
        // What was pruned in between is left out, with all that lies upon it.
        let named = |id: &String| names.get(id).cloned();
        let Some(parents) = record.parents.iter().map(named).collect() else { continue };
        let own = record.snapshot.as_ref().map(named);
        if own == Some(None) {
            continue;
        }
        (record.parents, record.snapshot) = (parents, own.flatten());
        contents.records.insert(key.hex(), record);
    }
    // Texts and numbers always print.
    let config = serde_json::to_vec(&contents).unwrap_or_default();
    let mut layers = Vec::new();
    for packed in contents.snapshots.values() {
        let files = media::Compression::Zstd.media_type(media::Dialect::Oci);
        layers.push(Descriptor::new(files, packed.files.digest, packed.files.size));
        layers.extend(packed.trace.iter().map(|trace| Descriptor::new(TRACE, trace.digest, trace.size)));
    }
    let manifest = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "artifactType": CONFIG,
        "config": Descriptor::of(CONFIG, &config),
        "layers": layers,
        // A config that tools take for an image's would have them run it.
        "annotations": { DESCRIPTION: "results of build steps for `jettison build --cache-from`, and no image" },
    }))
    .unwrap_or_default();
    let index = Index::new(vec![Descriptor::of(media::OCI_MANIFEST, &manifest)]);
    let mut kept: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    for bytes in [&config, &manifest] {
        let digest = Digest::of(bytes);
        replace(&blobs.join(digest.hex()), bytes)?;
        kept.push(digest);
    }
    replace(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    replace(&folder.join("index.json"), &serde_json::to_vec(&index).unwrap_or_default())?;
    remove_others(&blobs, &kept)
}

/// Removes what nothing names any more.
fn remove_others(blobs: &Path, kept: &[Digest]) -> Result<(), CacheError> {
    let kept: std::collections::HashSet<String> = kept.iter().map(Digest::hex).collect();
    let entries = fs::read_dir(blobs).map_err(CacheError::io("read", blobs))?;
    for entry in entries.flatten() {
        if !kept.contains(&*entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path()).map_err(CacheError::io("remove", entry.path()))?;
        }
    }
    Ok(())
}

/// A snapshot's blobs: those that an earlier export wrote there, or new ones.
fn packed(cache: &Cache, snapshot: &Snapshot, blobs: &Path) -> Result<Packed, CacheError> {
    let key = Digest::of(format!("exported {}", snapshot.id()).as_bytes());
    let is_there = |blob: &Blob| fs::metadata(blobs.join(blob.digest.hex())).is_ok_and(|file| file.len() == blob.size);
    let known: Option<Packed> = cache.value(key).and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(packed) = known.filter(|packed| is_there(&packed.files) && packed.trace.iter().all(is_there)) {
        return Ok(packed);
    }
    let layer = snapshot.layer()?;
    let files = pack(blobs, |out| snapshot::write_tar(&layer, &snapshot.folder(), out))?;
    // Lists of bytes always print.
    let trace = snapshot.trace()?.map(|trace| trace.to_json().unwrap_or_default());
    let trace = trace.map(|json| pack(blobs, |out| out.write_all(&json))).transpose()?;
    let packed = Packed { files, trace };
    cache.set_value(key, &serde_json::to_vec(&packed).unwrap_or_default())?;
    Ok(packed)
}

/// Writes a blob.
fn pack(blobs: &Path, content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<Blob, CacheError> {
    let write = |file: &mut tempfile::NamedTempFile| -> std::io::Result<Blob> {
        let mut plain =
            Counted { inner: zstd::Encoder::new(file.as_file_mut(), LEVEL)?, hasher: Hasher::default(), size: 0 };
        content(&mut plain)?;
        let (diff_id, unpacked) = (plain.hasher.finish(), plain.size);
        plain.inner.finish()?;
        file.as_file_mut().rewind()?;
        let mut whole = Counted { inner: std::io::sink(), hasher: Hasher::default(), size: 0 };
        std::io::copy(file.as_file_mut(), &mut whole)?;
        Ok(Blob { digest: whole.hasher.finish(), size: whole.size, diff_id, unpacked })
    };
    let mut file = beside(blobs).map_err(CacheError::io("write in", blobs))?;
    let blob = write(&mut file).map_err(CacheError::io("write", file.path()))?;
    let path = blobs.join(blob.digest.hex());
    file.persist(&path).map_err(|error| CacheError::io("write", path)(error.error))?;
    Ok(blob)
}

/// A new file that whoever may read the folder may read.
fn beside(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    tempfile::Builder::new().permissions(mode).tempfile_in(folder)
}

/// Writes on, and hashes and counts what it writes.
struct Counted<W> {
    inner: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// A cache that was given: its snapshots are brought in when they are asked for.
#[derive(Debug)]
pub struct Import {
    folder: PathBuf,
    records: HashMap<Digest, StepRecord>,
    snapshots: BTreeMap<String, Packed>,
}

impl Import {
    /// Reads the records in `folder`.
    ///
    /// # Errors
    /// Where it cannot be read or is no exported cache.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let contents = read(folder)?;
        let parse = |(key, record): (String, StepRecord)| Digest::from_hex(&key).ok().map(|key| (key, record));
        let records = contents.records.into_iter().filter_map(parse).collect();
        Ok(Self { folder: folder.to_owned(), records, snapshots: contents.snapshots })
    }

    /// The result of a step, brought into `cache` if it is here.
    ///
    /// # Errors
    /// Where a snapshot is damaged or cannot be written.
    pub fn step(
        &self,
        cache: &Cache,
        key: Digest,
        ids: Ids,
    ) -> Result<Option<(StepRecord, Option<Snapshot>)>, CacheError> {
        let Some(record) = self.records.get(&key) else { return Ok(None) };
        let mut record = record.clone();
        let mut parents = Vec::with_capacity(record.parents.len());
        for parent in &record.parents {
            let Some(snapshot) = self.snapshot(cache, parent, ids)? else { return Ok(None) };
            parents.push(snapshot.id().to_owned());
        }
        let snapshot = match &record.snapshot {
            None => None,
            Some(name) => match self.snapshot(cache, name, ids)? {
                Some(snapshot) => Some(snapshot),
                None => return Ok(None),
            },
        };
        (record.parents, record.snapshot) = (parents, snapshot.as_ref().map(|snapshot| snapshot.id().to_owned()));
        cache.record(key, &record)?;
        Ok(Some((record, snapshot)))
    }

    /// A snapshot: the one that was brought in before, or a new one.
    fn snapshot(&self, cache: &Cache, name: &str, ids: Ids) -> Result<Option<Snapshot>, CacheError> {
        let Some(packed) = self.snapshots.get(name) else { return Ok(None) };
        // The name is another cache's: what it became here is remembered.
        let trace_id = packed.trace.map(|trace| trace.diff_id.to_string()).unwrap_or_default();
        let known = Digest::of(format!("imported {} {trace_id} {ids:?}", packed.files.diff_id).as_bytes());
        let _lock = cache.lock(known)?;
        let here = cache.value(known).and_then(|id| cache.snapshot(&String::from_utf8_lossy(&id)));
        if let Some(snapshot) = here {
            return Ok(Some(snapshot));
        }
        let work = cache.work()?;
        let plain = self.unpacked(&packed.files, work.path())?;
        let reader = std::io::BufReader::new(plain.try_clone().map_err(CacheError::io("read", &self.folder))?);
        let damaged = |error: &dyn std::fmt::Display| {
            self.damaged(format!("the blob {} is none of ours: {error}", packed.files.digest))
        };
        let layer = jettison_image::Layer::read(reader, Limits::default()).map_err(|error| damaged(&error))?;
        let trace = match &packed.trace {
            None => None,
            Some(blob) => {
                let mut json = Vec::new();
                let read = self.unpacked(blob, work.path())?.take(LONGEST).read_to_end(&mut json);
                read.map_err(CacheError::io("read", &self.folder))?;
                Some(Trace::from_json(&json).map_err(|error| damaged(&error))?)
            }
        };
        snapshot::restore(&layer, &plain, &work.path().join("fs"), ids)?;
        let snapshot = cache.adopt(work, &layer, trace.as_ref())?;
        cache.set_value(known, snapshot.id().as_bytes())?;
        Ok(Some(snapshot))
    }

    /// A blob's content in a file without a name, its digest checked. No more is written than it says to be.
    fn unpacked(&self, blob: &Blob, folder: &Path) -> Result<File, CacheError> {
        let path = self.folder.join("blobs/sha256").join(blob.digest.hex());
        let packed = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(self.damaged(format!("the blob {} is missing", blob.digest)));
            }
            opened => opened.map_err(CacheError::io("read", &path))?,
        };
        let file = tempfile::tempfile_in(folder).map_err(CacheError::io("write in", folder))?;
        let mut plain = Counted { inner: file, hasher: Hasher::default(), size: 0 };
        let damaged = |problem: String| self.damaged(format!("the blob {} {problem}", blob.digest));
        let decoder = zstd::Decoder::new(packed.take(blob.size)).map_err(CacheError::io("read", &path))?;
        let copied = std::io::copy(&mut decoder.take(blob.unpacked.saturating_add(1)), &mut plain);
        if let Err(error) = copied {
            // A disk that is full is no fault of the blob's.
            return Err(match error.raw_os_error() {
                Some(_) => CacheError::io("unpack", path)(error),
                None => damaged(format!("cannot be unpacked: {error}")),
            });
        }
        let found = plain.hasher.finish();
        if plain.size != blob.unpacked || found != blob.diff_id {
            return Err(damaged(format!("unpacks to {found}, not to {}", blob.diff_id)));
        }
        let mut file = plain.inner;
        file.rewind().map_err(CacheError::io("read", folder))?;
        Ok(file)
    }

    fn damaged(&self, problem: String) -> CacheError {
        CacheError::Damaged { folder: self.folder.clone(), problem }
    }
}

fn foreign(folder: &Path, reason: &str) -> CacheError {
    CacheError::Foreign { folder: folder.to_owned(), reason: reason.to_owned() }
}

/// What an exported cache holds.
fn read(folder: &Path) -> Result<Contents, CacheError> {
    let bytes = |path: PathBuf| -> Result<Vec<u8>, CacheError> {
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
        read.map_err(CacheError::io("read", path))?;
        Ok(bytes)
    };
    let blob = |descriptor: &Descriptor| -> Result<Vec<u8>, CacheError> {
        let content = bytes(folder.join("blobs/sha256").join(descriptor.digest.hex()))?;
        if Digest::of(&content) != descriptor.digest {
            let problem = format!("the blob {} has another content", descriptor.digest);
            return Err(CacheError::Damaged { folder: folder.to_owned(), problem });
        }
        Ok(content)
    };
    fn parse<T: for<'d> Deserialize<'d>>(folder: &Path, what: &str, bytes: &[u8]) -> Result<T, CacheError> {
        serde_json::from_slice(bytes).map_err(|error| foreign(folder, &format!("{what}: {error}")))
    }
    let index: Index = parse(folder, "index.json", &bytes(folder.join("index.json"))?)?;
    let descriptor = index.manifests.first().ok_or_else(|| foreign(folder, "index.json lists nothing"))?;
    let manifest: Manifest = parse(folder, "the manifest", &blob(descriptor)?)?;
    if manifest.config.media_type != CONFIG {
        return Err(foreign(folder, &format!("its config is {}", manifest.config.media_type)));
    }
    parse(folder, "the config", &blob(&manifest.config)?)
}

/// Writes a file beside its place, and puts it there with one rename.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
    let write = || {
        let mut file = beside(path.parent().unwrap_or(path))?;
        file.write_all(bytes)?;
        file.persist(path).map(|_| ()).map_err(|error| error.error)
    };
    write().map_err(CacheError::io("write", path))
}
