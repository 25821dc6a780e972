//! Replacing a file in one step: what is new is written beside it, and one rename puts it in place.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;

/// A file's new contents, which nobody sees yet.
pub(crate) struct Replacement {
    target: PathBuf,
    made: Made,
}

enum Made {
    /// Beside the target.
    Beside(NamedTempFile),
    /// A pipe or a device is written to, not replaced.
    Direct(Vec<u8>),
}

impl Replacement {
    /// Writes the new contents beside the file, with its permissions and owner. A symbolic link stays, and what it
    /// points to is replaced.
    pub(crate) fn prepare(path: &Path, bytes: &[u8]) -> Result<Self> {
        let existing = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => bail!("cannot write {}: it is a folder", path.display()),
            Ok(metadata) if !metadata.is_file() => {
                return Ok(Self { target: path.to_owned(), made: Made::Direct(bytes.to_vec()) });
            }
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
                bail!("cannot write {}: it is a symbolic link to nothing", path.display())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        };
        let target = match existing {
            Some(_) => fs::canonicalize(path).with_context(|| format!("cannot write {}", path.display()))?,
            None => path.to_owned(),
        };
        let made = beside(&target, bytes, existing.as_ref());
        let made = made.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { target, made: Made::Beside(made) })
    }

    /// Puts the new contents in place.
    pub(crate) fn publish(self) -> Result<()> {
        let result = match self.made {
            Made::Beside(file) => file.persist(&self.target).map(drop).map_err(|error| error.error),
            Made::Direct(bytes) => fs::OpenOptions::new()
                .write(true)
                .open(&self.target)
                .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.flush())),
        };
        result.with_context(|| format!("cannot write {}", self.target.display()))
    }
}

fn beside(target: &Path, bytes: &[u8], existing: Option<&fs::Metadata>) -> io::Result<NamedTempFile> {
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // What the process's mask leaves of them, as for any new file.
    let usual = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".jettison-").permissions(usual).tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Some(existing) = existing {
        use std::os::unix::fs::MetadataExt as _;
        // Only root may give files away; for others the file is theirs from now on.
        let _ = fchown(file.as_file(), Some(existing.uid()), Some(existing.gid()));
        file.as_file().set_permissions(existing.permissions())?;
    }
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::Replacement;

    #[test]
    fn links_and_permissions_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").expect("writes");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("sets");
        symlink("file", &link).expect("links");
        let replacement = Replacement::prepare(&link, b"new").expect("prepares");
        assert_eq!(fs::read(&file).expect("reads"), b"old", "nothing is seen before");
        replacement.publish().expect("publishes");
        assert_eq!(fs::read(&file).expect("reads"), b"new");
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }

    #[test]
    fn what_cannot_be_written_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        symlink("nothing", folder.path().join("link")).expect("links");
        for path in ["", "link", "none/file"] {
            assert!(Replacement::prepare(&folder.path().join(path), b"new").is_err(), "{path}");
        }
        drop(Replacement::prepare(&folder.path().join("file"), b"new").expect("prepares"));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left behind");
    }
}
