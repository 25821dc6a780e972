//! From what was done with which path to a trace: which look-ups were in vain, which opens were of folders.
//!
//! A notification comes before the kernel does the call, so whether a path was there is asked afterwards, of the tree
//! that the step leaves: one `lstat` for each path, in the order of the folders. What is not there, and was not changed
//! by the step, was not there before.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hashbrown::HashMap;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};

use crate::supervisor::marks::{EXAMINED, EXECUTED, LISTED, OPENED, WRITTEN};
use crate::trace::Trace;
use crate::trace::clean::{is_below, split};

/// A root in which paths are looked up without ever leaving it.
pub(crate) struct Tree {
    root: OwnedFd,
    /// The folder that was looked into last, and its descriptor if there is one.
    last: Option<(Vec<u8>, Option<OwnedFd>)>,
}

impl Tree {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::openat(CWD, root, flags, Mode::empty())?, last: None })
    }

    /// Opens a file as a process with this root would; magic links are not followed.
    pub(crate) fn open_file(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let confined = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), confined)?)
    }

    /// What is at a clean path, symbolic links in its folder followed, itself not; nothing where nothing is.
    fn kind(&mut self, path: &[u8]) -> Option<FileType> {
        let Some((folder, name)) = split(path) else {
            return Some(FileType::Directory);
        };
        if self.last.as_ref().is_none_or(|(known, _)| known != folder) {
            let descriptor = self.open_file(folder, OFlags::PATH | OFlags::DIRECTORY).ok();
            self.last = Some((folder.to_vec(), descriptor));
        }
        let descriptor = self.last.as_ref()?.1.as_ref()?;
        let found = rustix::fs::statat(descriptor.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(found.st_mode))
    }
}

/// Makes a trace. What is in `mounts` is taken as it was named: the tree does not hold it any more.
pub(crate) fn judge(paths: HashMap<Vec<u8>, u8>, mut tree: Tree, mounts: &[Vec<u8>]) -> Trace {
    let mut trace = Trace::default();
    // By bytes: nearly all of a folder's entries come one after the other.
    let mut sorted: Vec<(Vec<u8>, u8)> = paths.into_iter().collect();
    sorted.sort_unstable();
    let written: Vec<&[u8]> =
        sorted.iter().filter(|(_, marks)| marks & WRITTEN != 0).map(|(path, _)| path.as_slice()).collect();
    let mut verdicts = Vec::with_capacity(sorted.len());
    for (path, marks) in &sorted {
        let marks = *marks;
        let is_mounted = mounts.iter().any(|mount| is_below(path, mount));
        let found = if marks & !WRITTEN == 0 || is_mounted { Some(FileType::Unknown) } else { tree.kind(path) };
        verdicts.push(match found {
            None if is_changed(path, &written) => marks,
            None => 0,
            Some(FileType::Directory) if marks & OPENED != 0 => marks & !OPENED | LISTED,
            Some(FileType::RegularFile) if marks & LISTED != 0 => marks & !LISTED | EXAMINED,
            Some(_) => marks,
        });
    }
    for (path, marks) in sorted.into_iter().map(|(path, _)| path).zip(verdicts) {
        let lists = [
            (OPENED, &mut trace.opened),
            (EXECUTED, &mut trace.executed),
            (LISTED, &mut trace.listed),
            (EXAMINED, &mut trace.examined),
            (WRITTEN, &mut trace.written),
        ];
        if marks == 0 {
            trace.missed.push(path);
            continue;
        }
        for (mark, list) in lists {
            if marks & mark != 0 {
                list.push(path.clone());
            }
        }
    }
    trace
}

/// Whether the path or a folder above it is among the sorted paths.
fn is_changed(path: &[u8], written: &[&[u8]]) -> bool {
    let mut at = Some(path);
    while let Some(path) = at {
        if written.binary_search(&path).is_ok() {
            return true;
        }
        at = split(path).map(|(folder, _)| folder);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_paths_were_missed_unless_the_step_took_them_away() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/conf.d")).unwrap();
        std::fs::write(root.path().join("etc/file"), "").unwrap();
        // An absolute link that would lead out of the root if it were followed there.
        std::os::unix::fs::symlink("/etc", root.path().join("out")).unwrap();
        let paths = [
            ("/etc/file", OPENED),
            ("/etc/conf.d", OPENED),
            ("/etc/none", OPENED | EXAMINED),
            ("/out/file", EXAMINED),
            ("/out/passwd", EXAMINED),
            ("/tmp/gone", WRITTEN),
            ("/tmp/gone/x", EXAMINED),
            ("/cache/x", OPENED),
            ("/", EXAMINED),
        ];
        let paths = paths.iter().map(|(path, marks)| (path.as_bytes().to_vec(), *marks)).collect();
        let trace = judge(paths, Tree::open(root.path()).unwrap(), &[b"/cache".to_vec()]);
        let text = |list: &[Vec<u8>]| {
            list.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text(&trace.opened), "/cache/x /etc/file");
        assert_eq!(text(&trace.listed), "/etc/conf.d");
        assert_eq!(text(&trace.missed), "/etc/none /out/passwd");
        assert_eq!(text(&trace.examined), "/ /out/file /tmp/gone/x");
        assert_eq!(text(&trace.written), "/tmp/gone");
    }
}
