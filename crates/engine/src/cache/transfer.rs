//! Caches that go from machine to machine: an OCI layout whose layers are snapshots, as registries would take it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use jettison_image::{Descriptor, Digest, Index, Limits, Manifest, media};
use serde::{Deserialize, Serialize};

use super::{Cache, CacheError, Snapshot, StepRecord};
use crate::ids::Ids;
use crate::snapshot;

/// The media type of the config, which holds the records.
const CONFIG: &str = "application/vnd.jettison.cache.config.v1+json";
/// The level of compression: speed counts, the cache is short-lived.
const LEVEL: i32 = 3;

/// What the config of an exported cache says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// Results of steps, by their keys.
    records: BTreeMap<String, StepRecord>,
    /// The blob of each snapshot, by the name that records use.
    snapshots: BTreeMap<String, Blob>,
}

/// A snapshot's blob.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Blob {
    /// Of the compressed tar.
    digest: Digest,
    /// In bytes, compressed.
    size: u64,
    /// Of the tar.
    diff_id: Digest,
}

/// Writes the results under `keys` to `folder`. What an earlier export left there and is not of these is removed.
///
/// # Errors
/// Where the folder cannot be written, or holds something else.
pub fn export(cache: &Cache, keys: &[Digest], folder: &Path) -> Result<(), CacheError> {
    let blobs = folder.join("blobs/sha256");
    let earlier = if folder.join("index.json").exists() { read(folder)? } else { Contents::default() };
    if !folder.join("index.json").exists() && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(foreign(folder, "it is not empty and has no index.json"));
    }
    fs::create_dir_all(&blobs).map_err(CacheError::io("make the folder", &blobs))?;
    let mut contents = Contents::default();
    for key in keys {
        let Some((record, snapshot)) = cache.step(*key) else { continue };
        let names = record.parents.iter().cloned().chain(record.snapshot.clone());
        for name in names {
            if contents.snapshots.contains_key(&name) {
                continue;
            }
            let known = earlier.snapshots.get(&name).filter(|blob| blobs.join(blob.digest.hex()).is_file());
            let blob = match known {
                Some(blob) => *blob,
                None => match snapshot.clone().filter(|s| s.id() == name).or_else(|| cache.snapshot(&name)) {
                    Some(snapshot) => pack(&snapshot, &blobs)?,
                    None => continue,
                },
            };
            contents.snapshots.insert(name, blob);
        }
        contents.records.insert(key.hex(), record);
    }
    // Texts and numbers always print.
    let config = serde_json::to_vec(&contents).unwrap_or_default();
    let layers = contents.snapshots.values();
    let layers: Vec<Descriptor> = layers
        .map(|blob| Descriptor::new(media::Compression::Zstd.media_type(media::Dialect::Oci), blob.digest, blob.size))
        .collect();
    let manifest = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "artifactType": CONFIG,
        "config": Descriptor::of(CONFIG, &config),
        "layers": layers,
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

/// Writes a snapshot's blob.
fn pack(snapshot: &Snapshot, blobs: &Path) -> Result<Blob, CacheError> {
    let layer = snapshot.layer()?;
    let write = |file: &mut tempfile::NamedTempFile| -> std::io::Result<(Digest, Digest, u64)> {
        let mut plain = jettison_image::Hasher::default();
        let mut encoder = zstd::Encoder::new(file.as_file_mut(), LEVEL)?;
        snapshot::write_tar(&layer, &snapshot.folder(), &mut Both(&mut encoder, &mut plain))?;
        encoder.finish()?;
        let mut packed = jettison_image::Hasher::default();
        file.as_file_mut().rewind()?;
        let mut piece = vec![0; 256 << 10];
        let mut size = 0;
        loop {
            let read = file.as_file_mut().read(&mut piece)?;
            if read == 0 {
                return Ok((packed.finish(), plain.finish(), size));
            }
            packed.update(&piece[..read]);
            size += read as u64;
        }
    };
    let mut file = tempfile::NamedTempFile::new_in(blobs).map_err(CacheError::io("write in", blobs))?;
    let (digest, diff_id, size) = write(&mut file).map_err(CacheError::io("write", file.path()))?;
    let path = blobs.join(digest.hex());
    file.persist(&path).map_err(|error| CacheError::io("write", path)(error.error))?;
    Ok(Blob { digest, size, diff_id })
}

/// Writes to a file and a hash.
struct Both<'b, W>(&'b mut W, &'b mut jettison_image::Hasher);

impl<W: Write> Write for Both<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// A cache that was given: its snapshots are brought in when they are asked for.
#[derive(Debug)]
pub struct Import {
    folder: PathBuf,
    records: HashMap<Digest, StepRecord>,
    snapshots: BTreeMap<String, Blob>,
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
        let Some(blob) = self.snapshots.get(name) else { return Ok(None) };
        // The name is another cache's: what it became here is remembered.
        let known = Digest::of(format!("imported {} {ids:?}", blob.diff_id).as_bytes());
        let _lock = cache.lock(known)?;
        let here = cache.value(known).and_then(|id| cache.snapshot(&String::from_utf8_lossy(&id)));
        if let Some(snapshot) = here {
            return Ok(Some(snapshot));
        }
        let work = cache.work()?;
        let path = self.folder.join("blobs/sha256").join(blob.digest.hex());
        let plain = self.unpacked(&path, blob, work.path())?;
        let reader = std::io::BufReader::new(plain.try_clone().map_err(CacheError::io("read", &path))?);
        let layer = jettison_image::Layer::read(reader, Limits::default());
        let layer = layer.map_err(|error| foreign(&self.folder, &format!("{}: {error}", path.display())))?;
        snapshot::restore(&layer, &plain, &work.path().join("fs"), ids)?;
        let snapshot = cache.adopt(work, &layer, None)?;
        cache.set_value(known, snapshot.id().as_bytes())?;
        Ok(Some(snapshot))
    }

    /// A blob's tar in a file without a name, its digest checked.
    fn unpacked(&self, path: &Path, blob: &Blob, folder: &Path) -> Result<File, CacheError> {
        let read = || -> std::io::Result<(File, Digest)> {
            let mut hasher = jettison_image::Hasher::default();
            let mut plain = tempfile::tempfile_in(folder)?;
            let mut decoder = zstd::Decoder::new(File::open(path)?)?;
            std::io::copy(&mut decoder, &mut Both(&mut plain, &mut hasher))?;
            plain.rewind()?;
            Ok((plain, hasher.finish()))
        };
        let (plain, found) = read().map_err(CacheError::io("read", path))?;
        if found != blob.diff_id {
            let reason = format!("{} is damaged: it unpacks to {found}, not {}", path.display(), blob.diff_id);
            return Err(foreign(&self.folder, &reason));
        }
        Ok(plain)
    }
}

fn foreign(folder: &Path, reason: &str) -> CacheError {
    CacheError::Foreign { folder: folder.to_owned(), reason: reason.to_owned() }
}

/// What an exported cache holds.
fn read(folder: &Path) -> Result<Contents, CacheError> {
    let bytes = |path: PathBuf| fs::read(&path).map_err(CacheError::io("read", path));
    let blob = |descriptor: &Descriptor| -> Result<Vec<u8>, CacheError> {
        let content = bytes(folder.join("blobs/sha256").join(descriptor.digest.hex()))?;
        if Digest::of(&content) != descriptor.digest {
            return Err(foreign(folder, &format!("the blob {} is damaged", descriptor.digest)));
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
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
        file.write_all(bytes)?;
        file.persist(path).map(|_| ()).map_err(|error| error.error)
    };
    write().map_err(CacheError::io("write", path))
}
