//! What the cache takes on the disk, and making it smaller.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;
use serde::Serialize;

use super::{Cache, CacheError, StepRecord, lock};
use crate::snapshot::remove_tree;

/// Values and locks are dropped after so long where nobody asked for them.
const VALUES_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Nothing is written for so long.
const HALF_WRITTEN: Duration = Duration::from_secs(3600);

/// So many things, and the bytes that they take on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// How many.
    pub count: usize,
    /// Bytes in blocks of the disk; hard links count once.
    pub bytes: u64,
}

/// What the cache takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Results of steps.
    pub steps: Part,
    /// Unpacked base images.
    pub bases: Part,
    /// Cache mounts of RUN.
    pub mounts: Part,
    /// Images of the local content store: blobs.
    pub images: Part,
    /// Everything else: records, digests, what is being made.
    pub other: Part,
}

impl Usage {
    /// All of it, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        [self.steps, self.bases, self.mounts, self.images, self.other].iter().map(|part| part.bytes).sum()
    }
}

/// What an entry of the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// The result of a step.
    Step,
    /// An unpacked base image.
    Base,
    /// A cache mount of RUN.
    Mount,
}

/// Something that is kept, and can be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name in the cache.
    pub id: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes in blocks of the disk.
    pub bytes: u64,
    /// When a build used it last, in seconds since 1970.
    pub used: u64,
}

/// What is to be removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Everything that nobody uses now, cache mounts included.
    pub all: bool,
    /// The least recently used, until steps, bases and mounts take no more than so many bytes.
    pub keep_bytes: Option<u64>,
    /// What was not used for so long.
    pub older_than: Option<Duration>,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Results of steps and unpacked base images.
    pub snapshots: Part,
    /// Cache mounts.
    pub mounts: Part,
    /// What would have gone but is in use.
    pub in_use: usize,
}

/// Something that can be removed.
struct Item {
    path: PathBuf,
    is_mount: bool,
    bytes: u64,
    used: SystemTime,
    records: Vec<PathBuf>,
    /// How many snapshots lie below it.
    depth: usize,
}

impl Cache {
    /// What the cache takes; `images` is the folder of the local content store.
    ///
    /// # Errors
    /// Where the cache cannot be read.
    pub fn du(&self, images: &Path) -> Result<Usage, CacheError> {
        let mut usage = Usage::default();
        let bases: HashSet<String> = self
            .records()?
            .into_iter()
            .filter(|(_, record)| record.is_base)
            .filter_map(|(_, record)| record.snapshot)
            .collect();
        let mut seen = HashSet::new();
        for path in children(&self.root.join("snapshots"))? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let part = if bases.contains(&name) { &mut usage.bases } else { &mut usage.steps };
            part.count += 1;
            part.bytes += size(&path, &mut seen);
        }
        for path in children(&self.root.join("mounts"))? {
            usage.mounts.count += 1;
            usage.mounts.bytes += size(&path, &mut seen);
        }
        let blobs = images.join("blobs/sha256");
        usage.images.count = if blobs.is_dir() { children(&blobs)?.len() } else { 0 };
        usage.images.bytes = size(images, &mut seen);
        for path in children(&self.root)? {
            let is_counted = path.ends_with("snapshots") || path.ends_with("mounts") || path == images;
            if !is_counted {
                usage.other.count += 1;
                usage.other.bytes += size(&path, &mut seen);
            }
        }
        Ok(usage)
    }

    /// All entries, the one that was used last first.
    ///
    /// # Errors
    /// Where the cache cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>, CacheError> {
        let records = self.records()?.into_iter().filter(|(_, record)| record.is_base);
        let bases: HashSet<String> = records.filter_map(|(_, record)| record.snapshot).collect();
        let mut items = self.items()?;
        items.sort_by_key(|item| (Reverse(item.used), item.depth));
        let entry = |item: Item| {
            let id = item.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let kind = match item.is_mount {
                true => EntryKind::Mount,
                false if bases.contains(&id) => EntryKind::Base,
                false => EntryKind::Step,
            };
            let used = item.used.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |used| used.as_secs());
            Entry { id, kind, bytes: item.bytes, used }
        };
        Ok(items.into_iter().map(entry).collect())
    }

    /// Removes what the filter names and nobody uses. A filter that names nothing removes only what no record leads
    /// to any more.
    ///
    /// # Errors
    /// Where the cache cannot be read or something cannot be removed.
    pub fn prune(&self, filter: Filter) -> Result<Pruned, CacheError> {
        self.remove_leftovers()?;
        let mut items = self.items()?;
        // Of what was used at the same time, what lies upon the rest goes first: without the rest it would be of no use.
        items.sort_by_key(|item| (item.used, Reverse(item.depth)));
        let mut left: u64 = items.iter().map(|item| item.bytes).sum();
        let now = SystemTime::now();
        let mut pruned = Pruned::default();
        for item in &items {
            let is_old = |age: Duration| now.duration_since(item.used).is_ok_and(|unused| unused >= age);
            let is_orphan = !item.is_mount && item.records.is_empty() && is_old(Duration::from_secs(60));
            let goes = filter.all
                || is_orphan
                || filter.older_than.is_some_and(is_old)
                || filter.keep_bytes.is_some_and(|most| left > most);
            if !goes {
                continue;
            }
            if self.remove(item)? {
                let part = if item.is_mount { &mut pruned.mounts } else { &mut pruned.snapshots };
                part.count += 1;
                part.bytes += item.bytes;
                left = left.saturating_sub(item.bytes);
            } else {
                pruned.in_use += 1;
            }
        }
        self.remove_stale(now, filter.all)?;
        Ok(pruned)
    }

    /// Removes an item unless somebody uses it.
    fn remove(&self, item: &Item) -> Result<bool, CacheError> {
        let mut held = Vec::new();
        let locks: Vec<PathBuf> = if item.is_mount {
            children(&item.path)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "lock")).collect()
        } else {
            vec![item.path.join("lock")]
        };
        for path in locks {
            let Ok(file) = File::options().append(true).open(&path) else { continue };
            if lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                return Ok(false);
            }
            held.push(file);
        }
        for record in &item.records {
            let _ = fs::remove_file(record);
        }
        // Moved away first: a folder is never seen half removed.
        let work = self.work()?;
        let gone = work.path().join("gone");
        fs::rename(&item.path, &gone).map_err(CacheError::io("remove", &item.path))?;
        remove_tree(&gone).map_err(CacheError::io("remove", &item.path))?;
        Ok(true)
    }

    /// Removes records that lead nowhere, and values and locks that nobody asked for in a long time.
    fn remove_stale(&self, now: SystemTime, all: bool) -> Result<(), CacheError> {
        for (path, record) in self.records()? {
            let is_there = |id: &String| self.path("snapshots", id).is_dir();
            if !record.snapshot.iter().chain(&record.parents).all(is_there) {
                let _ = fs::remove_file(path);
            }
        }
        // What a process was writing when it was killed.
        let halves = ["", "steps", "values"].map(|folder| children(&self.root.join(folder)));
        for path in halves.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            let is_half = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".tmp"));
            let is_old = now.duration_since(modified(&path)).is_ok_and(|age| age > HALF_WRITTEN);
            if is_half && is_old {
                let _ = fs::remove_file(path);
            }
        }
        for folder in ["values", "locks"] {
            for path in children(&self.root.join(folder))? {
                let age = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
                let is_old = age.and_then(|used| now.duration_since(used).ok()).is_some_and(|age| age > VALUES_KEPT);
                let is_free = folder == "values"
                    || File::options()
                        .append(true)
                        .open(&path)
                        .is_ok_and(|file| lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
                if (is_old || all) && is_free {
                    let _ = fs::remove_file(path);
                }
            }
        }
        Ok(())
    }

    fn items(&self) -> Result<Vec<Item>, CacheError> {
        let mut by_snapshot: HashMap<String, (SystemTime, Vec<PathBuf>, usize)> = HashMap::new();
        let unknown = || (SystemTime::UNIX_EPOCH, Vec::new(), 0);
        for (path, record) in self.records()? {
            let used = modified(&path);
            // What lies below a result was used when that was.
            for parent in &record.parents {
                let entry = by_snapshot.entry(parent.clone()).or_insert_with(unknown);
                entry.0 = entry.0.max(used);
            }
            if let Some(snapshot) = record.snapshot {
                let entry = by_snapshot.entry(snapshot).or_insert_with(unknown);
                entry.2 = entry.2.max(record.parents.len());
                entry.0 = entry.0.max(used);
                entry.1.push(path);
            }
        }
        let mut seen = HashSet::new();
        let mut items = Vec::new();
        for path in children(&self.root.join("snapshots"))? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let (used, records, depth) = by_snapshot.remove(&name).unwrap_or_else(|| (modified(&path), Vec::new(), 0));
            let bytes = size(&path, &mut seen);
            items.push(Item { path, is_mount: false, bytes, used, records, depth });
        }
        for path in children(&self.root.join("mounts"))? {
            let bytes = size(&path, &mut seen);
            let used = modified(&path.join("name"));
            items.push(Item { path, is_mount: true, bytes, used, records: Vec::new(), depth: 0 });
        }
        Ok(items)
    }

    /// All records that can be read.
    fn records(&self) -> Result<Vec<(PathBuf, StepRecord)>, CacheError> {
        let paths = children(&self.root.join("steps"))?;
        let read = |path: PathBuf| {
            let record = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            Some((path, record))
        };
        Ok(paths.into_iter().filter_map(read).collect())
    }
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn children(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let entries = fs::read_dir(folder).map_err(CacheError::io("read", folder))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// The bytes that a tree takes on the disk. What vanishes meanwhile takes none.
fn size(path: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if metadata.nlink() > 1 && !metadata.is_dir() && !seen.insert((metadata.dev(), metadata.ino())) {
        return 0;
    }
    // stat(2): blocks are of 512 bytes.
    let own = metadata.blocks() * 512;
    if !metadata.is_dir() {
        return own;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    own + entries.map(|entry| size(&entry.path(), seen)).sum::<u64>()
}
