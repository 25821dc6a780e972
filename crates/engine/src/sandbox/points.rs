//! Mount points: finding them within a root, making those that are missing, and taking away afterwards what was made.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fstat, mkdirat, openat,
    openat2, readlinkat, statat, unlinkat, utimensat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::SandboxError;

/// As many links are followed as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// A mount point that was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Point {
    /// Where, in the root.
    path: PathBuf,
    /// What was made; another file of the name is the command's.
    inode: u64,
    /// The file system of the folder that holds it.
    pub(super) device: u64,
    is_folder: bool,
    /// When the folder that holds it had last been changed, before and after: seconds and nanoseconds.
    before: (i64, i64),
    after: (i64, i64),
}

/// What a mount point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

/// Opens what is at a path within the root, links followed as in a `chroot`.
pub(super) fn open(root: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Something was renamed or mounted while `..` was followed, anywhere (openat2(2)).
            Err(Errno::AGAIN) => std::thread::yield_now(),
            result => return result,
        }
    }
}

/// Opens a mount point, and makes it and the folders above it where they are missing. `made` hears of each.
pub(super) fn open_or_make(
    root: BorrowedFd<'_>,
    path: &Path,
    kind: Kind,
    made: &mut dyn FnMut(Point) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    make(root, path, kind, MOST_LINKS, made)
}

fn make(
    root: BorrowedFd<'_>,
    path: &Path,
    kind: Kind,
    links: u32,
    made: &mut dyn FnMut(Point) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) if links > 0 => {}
        result => return Ok(result?),
    }
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL.into());
    };
    let folder = make(root, above, Kind::Folder, links - 1, made)?;
    // A link that leads nowhere: what it names is made.
    if let Ok(target) = readlinkat(&folder, name, Vec::new()) {
        let target = above.join(OsStr::from_bytes(target.as_bytes()));
        make(root, &target, kind, links - 1, made)?;
        return Ok(open(root, path, OFlags::PATH)?);
    }
    let holder = fstat(&folder)?;
    match kind {
        Kind::Folder => mkdirat(&folder, name, Mode::from_raw_mode(0o755))?,
        Kind::File => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            drop(openat(&folder, name, flags, Mode::from_raw_mode(0o644))?);
        }
    }
    let is_folder = kind == Kind::Folder;
    let inode = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino;
    let (before, after, device) = (changed(&holder), changed(&fstat(&folder)?), holder.st_dev);
    made(Point { path: path.to_owned(), inode, device, is_folder, before, after })?;
    Ok(open(root, path, OFlags::PATH)?)
}

/// Takes away what was made, the latest first. What the command used stays; a folder that it did not change keeps the
/// time it had.
pub(super) fn remove(root: &Path, points: &[Point]) -> Result<(), SandboxError> {
    if points.is_empty() {
        return Ok(());
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: Errno| SandboxError::Remove { path, source: error.into() }
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty()).map_err(failed(root))?;
    for point in points.iter().rev() {
        remove_one(root.as_fd(), point).map_err(failed(&point.path))?;
    }
    Ok(())
}

fn remove_one(root: BorrowedFd<'_>, point: &Point) -> rustix::io::Result<()> {
    let (Some(above), Some(name)) = (point.path.parent(), point.path.file_name()) else {
        return Ok(());
    };
    let folder = match open(root, above, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(folder) => folder,
        // The command took it away.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(error) => return Err(error),
    };
    let found = match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error),
    };
    let kind = FileType::from_raw_mode(found.st_mode);
    let is_ours = match kind {
        FileType::Directory => point.is_folder,
        FileType::RegularFile => !point.is_folder && found.st_size == 0,
        _ => false,
    };
    if !is_ours || found.st_ino != point.inode {
        return Ok(());
    }
    let now = changed(&fstat(&folder)?);
    let how = if point.is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match unlinkat(&folder, name, how) {
        Ok(()) => {}
        Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(()),
        Err(error) => return Err(error),
    }
    let (tv_sec, tv_nsec) = if now == point.after { point.before } else { now };
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec, tv_nsec },
    };
    utimensat(&folder, ".", &times, AtFlags::empty())
}

fn changed(found: &Stat) -> (i64, i64) {
    (found.st_mtime, i64::try_from(found.st_mtime_nsec).unwrap_or_default())
}

/// The path of a target that was written as bytes.
pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}
