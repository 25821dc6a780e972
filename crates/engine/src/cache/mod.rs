//! The cache: results of steps by their keys, kept as snapshots, shared by all builds of a user.
//!
//! Nothing in it is ever half written: what is made lies in a folder of its own that its process holds locked, and
//! one rename brings it in. What a killed process leaves is found unlocked and removed by the next. Whoever uses a
//! snapshot holds a shared lock on it, which pruning respects. A machine that loses power may lose what was written
//! shortly before: files are not synced one by one, as no builder does.

mod digests;
mod error;
mod mounts;
mod records;
mod snapshots;
mod transfer;
mod usage;
mod work;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jettison_image::Digest;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

pub use digests::FileDigests;
pub use error::CacheError;
pub use mounts::MountFolder;
pub use records::{KeyLock, StepRecord};
pub use snapshots::Snapshot;
pub use transfer::{Import, check_export, export};
pub use usage::{Entry, EntryKind, Filter, Part, Pruned, Usage};
pub use work::Work;

/// The version of what lies in the folder. A version that reads another form gets another number.
const VERSION: &str = "1";
/// The folder of the local content store within the cache's.
pub const IMAGES: &str = "images";
/// The folders of a cache.
const FOLDERS: [&str; 6] = ["snapshots", "steps", "values", "work", "locks", "mounts"];

/// A folder with results of steps.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens or makes a cache in `folder`, and removes what killed processes left there.
    ///
    /// # Errors
    /// Where the folder cannot be made or written, or holds a cache of another version.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let cache = Self { root: folder.to_owned() };
        cache.make_folder("")?;
        let version = folder.join("version");
        match fs::read_to_string(&version) {
            Ok(found) if found.trim() == VERSION => {}
            // A machine that lost its power may have left it empty.
            Ok(found) if found.trim().is_empty() => cache.replace("version", VERSION.as_bytes())?,
            Ok(found) => {
                return Err(CacheError::Version { folder: folder.to_owned(), found: found.trim().to_owned() });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => cache.begin()?,
            Err(error) => return Err(CacheError::io("read", version)(error)),
        }
        // Nobody else is to see what secrets steps left, nor to run what set-id programs they made.
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .map_err(CacheError::io("set the mode of", folder))?;
        for name in FOLDERS {
            cache.make_folder(name)?;
        }
        cache.remove_leftovers()?;
        Ok(cache)
    }

    /// Makes a folder that is empty, but for the local images, a cache.
    fn begin(&self) -> Result<(), CacheError> {
        let entries = fs::read_dir(&self.root).map_err(CacheError::io("read", &self.root))?;
        let ours = [IMAGES, "lock"].into_iter().chain(FOLDERS);
        let ours: Vec<_> = ours.map(std::ffi::OsString::from).collect();
        let is_other =
            |name: &std::ffi::OsString| !ours.contains(name) && !name.as_encoded_bytes().starts_with(b".tmp");
        if entries.flatten().any(|entry| is_other(&entry.file_name())) {
            return Err(CacheError::Occupied { folder: self.root.clone() });
        }
        self.replace("version", VERSION.as_bytes())
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.root
    }

    /// A small value that was kept under a key. One that cannot be read is none.
    #[must_use]
    pub fn value(&self, key: Digest) -> Option<Vec<u8>> {
        let path = self.path("values", &key.hex());
        let bytes = fs::read(&path).ok()?;
        used(&path);
        Some(bytes)
    }

    /// Keeps a small value under a key.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn set_value(&self, key: Digest, bytes: &[u8]) -> Result<(), CacheError> {
        self.replace(&format!("values/{}", key.hex()), bytes)
    }

    fn path(&self, folder: &str, name: &str) -> PathBuf {
        self.root.join(folder).join(name)
    }

    fn make_folder(&self, name: &str) -> Result<(), CacheError> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(CacheError::io("make the folder", path))
    }

    /// Writes a file beside its place, and puts it there with one rename.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), CacheError> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(bytes)?;
            file.persist(&path).map(|_| ()).map_err(|error| error.error)
        };
        write().map_err(CacheError::io("write", &path))
    }

    /// The lock that guards what takes more than one step: it is held for moments only.
    fn guard(&self) -> Result<File, CacheError> {
        let path = self.root.join("lock");
        let open = File::options().create(true).append(true).open(&path);
        let file = open.map_err(CacheError::io("open", &path))?;
        lock(&file, FlockOperation::LockExclusive).map_err(CacheError::io("lock", &path))?;
        Ok(file)
    }
}

/// Locks a file; waits through signals.
fn lock(file: &File, operation: FlockOperation) -> std::io::Result<()> {
    loop {
        match flock(file, operation) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Opens a file to lock and locks it; one that somebody removed in between is opened anew.
fn open_locked(path: &Path, operation: FlockOperation) -> std::io::Result<File> {
    use std::os::unix::fs::MetadataExt as _;
    loop {
        let file = File::options().create(true).append(true).open(path)?;
        lock(&file, operation)?;
        let own = file.metadata()?;
        let is_there = fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()));
        if is_there {
            return Ok(file);
        }
    }
}

/// Notes that something was used: its time of modification says when, to the hour.
fn used(path: &Path) {
    /// Writing it more often would cost more than it tells.
    const RESOLUTION: std::time::Duration = std::time::Duration::from_secs(3600);
    let now = std::time::SystemTime::now();
    let is_old = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|last| now.duration_since(last).is_ok_and(|age| age > RESOLUTION));
    if is_old && let Ok(file) = File::open(path) {
        // What cannot be noted counts as used long ago, which costs a rebuild at most.
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests;
