//! A place beside the target where output is made, and the one rename that makes it visible.
//!
//! Whatever happens before the rename, the target is as it was. What a killed run leaves behind is
//! recognised by its name and its lock, and removed by the next run to the same target.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use crate::error::{Error, Result};

/// Marks the folders made here.
const MARK: &str = ".jettison-";

/// The folders of this process that an interruption must remove.
static STAGES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes what unfinished outputs of this process left, for use where it is about to be ended.
pub fn remove_all_stages() {
    if let Ok(stages) = STAGES.lock() {
        for stage in stages.iter() {
            let _ = fs::remove_dir_all(stage);
        }
    }
}

/// A folder beside the target, removed with all it holds when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: PathBuf,
    target: PathBuf,
    /// Holds the lock that tells a running process's stage from a leftover.
    _lock: File,
}

impl Stage {
    pub(crate) fn beside(target: &Path) -> Result<Self> {
        let failed = Error::io("write beside", target);
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let prefix = format!(".{name}{MARK}");
        remove_leftovers(&parent, &prefix);
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent).and_then(|folder| {
            let lock = File::open(folder.path())?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            Ok((folder.keep(), lock))
        });
        let (folder, lock) = made.map_err(failed)?;
        if let Ok(mut stages) = STAGES.lock() {
            stages.push(folder.clone());
        }
        Ok(Self { folder, target: target.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Puts what was made under `name` in the target's place. A folder that takes the place of another is
    /// exchanged with it in one step, so that there is no moment without one; a file never takes a folder's.
    pub(crate) fn publish(&self, name: &str) -> Result<()> {
        let made = self.path(name);
        let renamed = if made.is_dir() && self.target.is_dir() {
            renameat_with(CWD, &made, CWD, &self.target, RenameFlags::EXCHANGE).map_err(io::Error::from)
        } else {
            fs::rename(&made, &self.target)
        };
        renamed.map_err(Error::io("put the result in place at", &self.target))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        if let Ok(mut stages) = STAGES.lock() {
            stages.retain(|stage| *stage != self.folder);
        }
    }
}

fn remove_leftovers(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        let path = entry.path();
        let unlocked =
            File::open(&path).is_ok_and(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok());
        if unlocked {
            let _ = fs::remove_dir_all(path);
        }
    }
}
