//! The folders of `RUN --mount=type=cache`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use jettison_image::Digest;
use rustix::fs::FlockOperation;

use super::{Cache, CacheError, open_locked, used};
use crate::plan::CacheSharing;

/// A cache mount's folder, for as long as a value of it lives.
#[derive(Debug)]
pub struct MountFolder {
    path: PathBuf,
    is_new: bool,
    _locks: Vec<File>,
}

impl MountFolder {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nobody used it before.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

impl Cache {
    /// The folder of the cache mount of that name. `Locked` waits until nobody else has it; `Private` takes the
    /// first that nobody has.
    ///
    /// # Errors
    /// Where it cannot be made or locked.
    pub fn mount(&self, name: &str, sharing: CacheSharing) -> Result<MountFolder, CacheError> {
        let hex = Digest::of(name.as_bytes()).hex();
        self.make_folder(&format!("mounts/{hex}"))?;
        let folder = self.path("mounts", &hex);
        let name_file = folder.join("name");
        if !name_file.exists() {
            self.replace(&format!("mounts/{hex}/name"), name.as_bytes())?;
        }
        used(&name_file);
        for number in 0.. {
            let file = folder.join(format!("{number}.lock"));
            let operation = match sharing {
                CacheSharing::Shared => FlockOperation::LockShared,
                CacheSharing::Locked => FlockOperation::LockExclusive,
                CacheSharing::Private => FlockOperation::NonBlockingLockExclusive,
            };
            let held = match open_locked(&file, operation) {
                Ok(held) => held,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(CacheError::io("lock", file)(error)),
            };
            // Who comes first makes it ready while others that share it wait for the guard only.
            let _guard = self.guard()?;
            let path = folder.join(number.to_string());
            let is_new = !path.exists();
            fs::create_dir_all(&path).map_err(CacheError::io("make the folder", &path))?;
            return Ok(MountFolder { path, is_new, _locks: vec![held] });
        }
        unreachable_number(folder)
    }
}

/// All numbers are taken, which no machine has the descriptors for.
fn unreachable_number(folder: PathBuf) -> Result<MountFolder, CacheError> {
    Err(CacheError::io("lock", folder)(std::io::Error::from(std::io::ErrorKind::WouldBlock)))
}
