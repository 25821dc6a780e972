//! Removing whole trees, whatever their modes, owners and depth are.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// How deep folders are descended into: each costs a descriptor, of which a process may have only 1024.
/// What lies deeper is moved up first.
const MAX_DEPTH: usize = 64;

/// Removes the file or tree at `path`; it is no error that there is none. Links are never followed. Folders
/// that their modes make unreadable are opened up first.
///
/// # Errors
/// The first thing that could not be removed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        // Linux answers ISDIR for a folder; a folder's own mode may answer first.
        Err(Errno::ISDIR | Errno::PERM | Errno::ACCESS) => {}
        Err(error) => return Err(error.into()),
    }
    let name = CString::new(path.as_os_str().as_encoded_bytes())?;
    let top = open(CWD, &name)?;
    let mut removal = Removal { top: &top, moved: 0 };
    removal.empty(&top, 0)?;
    Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?)
}

struct Removal<'a> {
    top: &'a OwnedFd,
    /// How many deep folders were moved to the top.
    moved: u64,
}

impl Removal<'_> {
    /// Removes all that a folder holds. Moved folders land at the top, so that is read until it stays empty.
    fn empty(&mut self, folder: &OwnedFd, depth: usize) -> io::Result<()> {
        loop {
            let mut seen = false;
            for entry in Dir::read_from(folder)? {
                let entry = entry?;
                if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    continue;
                }
                seen = true;
                self.remove(folder, entry.file_name(), entry.file_type(), depth)?;
            }
            if !seen || depth > 0 {
                return Ok(());
            }
        }
    }

    fn remove(&mut self, folder: &OwnedFd, name: &CStr, kind: FileType, depth: usize) -> io::Result<()> {
        if kind != FileType::Directory {
            match unlinkat(folder, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => {}
                // The names were read before a folder was moved.
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        match unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
        if depth >= MAX_DEPTH {
            // A folder that is moved must be writable itself: its `..` changes.
            drop(open(folder.as_fd(), name)?);
            self.moved += 1;
            let place = format!(".jettison-removed-{}-{}", std::process::id(), self.moved);
            return Ok(renameat(folder, name, self.top, place)?);
        }
        let inner = open(folder.as_fd(), name)?;
        self.empty(&inner, depth + 1)?;
        match unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Opens a folder whose names can be read and removed.
fn open(folder: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(folder, name, flags, Mode::empty());
    // Who owns a folder may change its mode; where others do, this process has the right to read it anyway.
    if let Ok(fd) = &opened
        && rustix::fs::fstat(fd)?.st_mode & 0o300 == 0o300
    {
        return Ok(opened?);
    }
    if chmodat(folder, name, Mode::RWXU, AtFlags::empty()).is_err() {
        return Ok(opened?);
    }
    Ok(openat(folder, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn closed_folders_and_links_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = folder.path().join("kept");
        fs::create_dir(&kept).expect("a folder");
        fs::write(kept.join("file"), "x").expect("a file");
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).expect("folders");
        fs::write(tree.join("a/b/c/file"), "x").expect("a file");
        std::os::unix::fs::symlink(&kept, tree.join("a/link")).expect("a link");
        for closed in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(tree.join(closed), fs::Permissions::from_mode(0o000)).expect("closed");
        }
        remove_tree(&tree).expect("removed");
        assert!(!tree.exists());
        assert!(kept.join("file").exists());
        remove_tree(&tree).expect("nothing to do");
        std::os::unix::fs::symlink(&kept, &tree).expect("a link");
        remove_tree(&tree).expect("the link alone");
        assert!(kept.join("file").exists() && !tree.is_symlink());
    }

    /// Deeper than a path may be long and than a process may have files open.
    #[test]
    fn depth_is_no_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).expect("a folder");
        let mut fd = open(CWD, &CString::new(tree.as_os_str().as_encoded_bytes()).expect("a path")).expect("open");
        for _ in 0..3000 {
            rustix::fs::mkdirat(&fd, "folder", Mode::RWXU).expect("a folder");
            fd = open(fd.as_fd(), c"folder").expect("open");
        }
        drop(fd);
        remove_tree(&tree).expect("removed");
        assert!(!tree.exists());
    }
}
