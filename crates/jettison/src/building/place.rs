//! Where the cache is, and who this process really is.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::Result;

use crate::cli::CachePlace;
use crate::error::Usage;
use crate::folders;

impl CachePlace {
    /// The cache's folder, whole: steps run elsewhere, and mounts need all of the path.
    pub(crate) fn find(&self) -> Result<PathBuf> {
        let found = folders::cache(self.folder.as_deref());
        let hint = "--cache-dir DIR names one";
        let found =
            found.ok_or_else(|| Usage::new("there is no folder for the cache: HOME is not set").with_hint(hint))?;
        Ok(std::path::absolute(found)?)
    }
}

/// Whether this process is the machine's root, and not only that of a user namespace: root alone leaves files of
/// other owners outside of the cache.
pub(crate) fn is_real_root() -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let first: Vec<&str> = map.lines().next().unwrap_or_default().split_whitespace().collect();
    is_root && first.first() == Some(&"0") && first.get(1) == Some(&"0")
}
