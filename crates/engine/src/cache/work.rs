//! Folders in which something is made: locked by their process, removed with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jettison_image::Digest;
use rustix::fs::FlockOperation;

use super::{Cache, CacheError, lock};
use crate::snapshot::remove_tree;

/// The letters of names. Short names let many layers fit where the kernel takes their paths as one text.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// The letters in a name: 50 bits.
const LENGTH: usize = 10;

/// A folder in which something is made. It is removed when dropped.
#[derive(Debug)]
pub struct Work {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) lock: Option<File>,
    is_adopted: bool,
}

impl Work {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder moved elsewhere: it is not removed any more, and its lock goes with it.
    pub(super) fn adopted(mut self) -> Option<File> {
        self.is_adopted = true;
        self.lock.take()
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.is_adopted {
            // What cannot be removed now is found unlocked by the next process.
            let _ = remove_tree(&self.path);
        }
    }
}

impl Cache {
    /// A new folder on the cache's disk.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn work(&self) -> Result<Work, CacheError> {
        // A folder that is made and not yet locked looks like a leftover.
        let _guard = self.guard()?;
        let name = loop {
            let name = new_name();
            let path = self.path("work", &name);
            match fs::create_dir(&path) {
                Ok(()) => break name,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(CacheError::io("make the folder", path)(error)),
            }
        };
        let path = self.path("work", &name);
        let file = path.join("lock");
        let open = File::options().create_new(true).append(true).open(&file);
        let lock_file = open.map_err(CacheError::io("make", &file))?;
        lock(&lock_file, FlockOperation::NonBlockingLockExclusive).map_err(CacheError::io("lock", &file))?;
        Ok(Work { name, path, lock: Some(lock_file), is_adopted: false })
    }

    /// Removes folders of processes that are gone.
    pub(super) fn remove_leftovers(&self) -> Result<(), CacheError> {
        let mut leftovers = Vec::new();
        {
            let _guard = self.guard()?;
            let folder = self.root.join("work");
            let entries = fs::read_dir(&folder).map_err(CacheError::io("read", &folder))?;
            for entry in entries.flatten() {
                let path = entry.path();
                let file = File::options().append(true).open(path.join("lock"));
                let is_free = match &file {
                    Ok(file) => lock(file, FlockOperation::NonBlockingLockExclusive).is_ok(),
                    Err(_) => true,
                };
                if is_free {
                    leftovers.push((path, file.ok()));
                }
            }
        }
        for (path, _lock) in leftovers {
            // Mounts of a killed process went with its namespace. One that cannot be removed is tried again.
            let _ = remove_tree(&path);
        }
        Ok(())
    }
}

/// A name that nothing has yet: of the time, the process and a count.
fn new_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let digest = Digest::of(format!("{} {now} {count}", std::process::id()).as_bytes());
    digest.0[..LENGTH].iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}
