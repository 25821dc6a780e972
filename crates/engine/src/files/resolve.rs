//! Finds paths within a root: links are followed as a process in a `chroot` would, and never lead out.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::FilesError;

/// What is done with a link at a path's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// It is followed.
    Follow,
    /// The link itself is meant.
    Keep,
}

/// As many links are followed as Go's `EvalSymlinks` and containerd's `RootPath` follow.
const MOST_LINKS: usize = 255;

/// The path, relative to `root` and free of links, that `path` leads to. What is not there, and what would
/// lie below it, is taken as written.
pub(super) fn follow(root: &Path, path: &Path, last: Last) -> Result<PathBuf, FilesError> {
    let mut waiting: VecDeque<OsString> = VecDeque::new();
    prepend(&mut waiting, path.as_os_str());
    let mut done = PathBuf::new();
    let mut links = 0;
    while let Some(part) = waiting.pop_front() {
        if part == ".." {
            done.pop();
            continue;
        }
        let candidate = root.join(&done).join(&part);
        let is_followed = last == Last::Follow || !waiting.is_empty();
        let target = match fs::symlink_metadata(&candidate) {
            Ok(metadata) if metadata.is_symlink() && is_followed => {
                Some(fs::read_link(&candidate).map_err(FilesError::io("read the link", &candidate))?)
            }
            Ok(_) => None,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(error) => return Err(FilesError::io("look at", &candidate)(error)),
        };
        let Some(target) = target else {
            done.push(&part);
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(FilesError::TooManyLinks { path: shown(path) });
        }
        if target.is_absolute() {
            done = PathBuf::new();
        }
        prepend(&mut waiting, target.as_os_str());
    }
    Ok(done)
}

/// Puts a path's parts before those that wait.
fn prepend(waiting: &mut VecDeque<OsString>, path: &OsStr) {
    let parts = path.as_bytes().split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    for part in parts.rev() {
        waiting.push_front(OsStr::from_bytes(part).to_owned());
    }
}

/// A path below a root as messages show it: absolute.
pub(super) fn shown(path: &Path) -> String {
    format!("/{}", path.to_string_lossy().trim_start_matches('/'))
}

/// A path below a root on the host. Other than `Path::join` it adds no slash for the root itself.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{Last, follow};
    use crate::files::FilesError;

    #[test]
    fn links_stay_within_their_root() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).expect("makes folders");
        for (target, link) in [("/etc", "out"), ("../../../..", "a/up"), ("/a/b", "abs"), ("x", "y"), ("y", "x")] {
            symlink(target, root.join(link)).expect("links");
        }
        let cases = [
            ("out/passwd", "etc/passwd"),
            ("a/up/out/../a/b", "a/b"),
            ("abs/c/../d", "a/b/d"),
            ("../../etc", "etc"),
            ("", ""),
            ("missing/../a", "a"),
        ];
        for (path, found) in cases {
            assert_eq!(follow(&root, Path::new(path), Last::Follow).expect(path), Path::new(found), "{path}");
        }
        assert_eq!(follow(&root, Path::new("a/../abs"), Last::Keep).expect("keeps"), Path::new("abs"));
        let circle = follow(&root, Path::new("x"), Last::Follow);
        assert!(matches!(circle, Err(FilesError::TooManyLinks { .. })), "{circle:?}");
    }
}
