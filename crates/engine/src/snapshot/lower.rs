//! The parents of a snapshot, looked into one name at a time as an overlay of them would show it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::attributes::is_opaque;

/// A folder of the merged parents: the folders on disk that make it up, the topmost first. Empty where the
/// parents have none.
#[derive(Clone, Debug, Default)]
pub(super) struct Lower {
    places: Vec<PathBuf>,
}

/// What the parents show under a name.
pub(super) enum Found {
    Nothing,
    Folder(Lower),
    Other(PathBuf, Metadata),
}

impl Lower {
    /// The root of the merged parents, given from the lowest up.
    pub(super) fn root(parents: &[PathBuf]) -> Self {
        Self { places: parents.iter().rev().cloned().collect() }
    }

    /// The folder on disk whose attributes the merged folder has.
    pub(super) fn top(&self) -> Option<&Path> {
        self.places.first().map(PathBuf::as_path)
    }

    pub(super) fn find(&self, name: &OsStr) -> io::Result<Found> {
        let mut places = Vec::new();
        for place in &self.places {
            let path = place.join(name);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if metadata.is_dir() {
                let ends = is_opaque(&path)?;
                places.push(path);
                if ends {
                    break;
                }
                continue;
            }
            if places.is_empty() && !is_whiteout(&metadata) {
                return Ok(Found::Other(path, metadata));
            }
            break;
        }
        Ok(if places.is_empty() { Found::Nothing } else { Found::Folder(Self { places }) })
    }

    /// All names that any of the folders holds, those of whiteouts included.
    pub(super) fn names(&self) -> io::Result<BTreeSet<OsString>> {
        let mut names = BTreeSet::new();
        for place in &self.places {
            for entry in fs::read_dir(place)? {
                names.insert(entry?.file_name());
            }
        }
        Ok(names)
    }
}

/// Whether a file on disk is a whiteout: a character device 0:0.
pub(super) fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}
