//! The one place in which copying meets [`crate::ids`]: owners, devices and extended attributes of files.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Timespec, Timestamps, UTIME_OMIT, XattrFlags};

use super::stat::Stat;
pub(super) use crate::ids::NodeKind;
use crate::ids::{self, Ids};

/// Extended attributes, sorted by name.
pub(super) type Xattrs = Vec<(CString, Vec<u8>)>;

/// Who owns a file of a stage or an image; `path` is asked for only where that is recorded.
pub(super) fn owner_of(path: impl FnOnce() -> PathBuf, stat: &Stat, ids: Ids) -> (u32, u32) {
    match ids {
        Ids::Many => stat.owner,
        Ids::One => ids::recorded_owner(&path(), stat.kind()),
    }
}

/// The device node that a file is or stands for.
pub(super) fn node_of(path: impl FnOnce() -> PathBuf, stat: &Stat) -> Option<(NodeKind, u32, u32)> {
    match stat.kind() {
        FileType::CharacterDevice => Some((NodeKind::Char, stat.device.0, stat.device.1)),
        FileType::BlockDevice => Some((NodeKind::Block, stat.device.0, stat.device.1)),
        FileType::RegularFile if stat.size == 0 => ids::recorded_node(&path()),
        _ => None,
    }
}

/// Makes a device node, or records it.
pub(super) fn make_node(path: &Path, node: (NodeKind, u32, u32), mode: u32, ids: Ids) -> io::Result<()> {
    ids::make_node(path, node.0, node.1, node.2, mode, ids)
}

/// Gives files to their owners, and remembers the owners of links that cannot be recorded on them.
#[derive(Clone, Copy)]
pub(super) struct Giver {
    pub(super) ids: Ids,
}

impl Giver {
    /// Gives a file that is no link.
    pub(super) fn file(self, path: &Path, owner: (u32, u32)) -> io::Result<()> {
        ids::give(path, owner.0, owner.1, self.ids)
    }

    /// Gives a link: where it cannot hold its owner, that is to be added to `owners`.
    pub(super) fn link(self, path: &Path, owner: (u32, u32)) -> io::Result<Option<(u64, (u32, u32))>> {
        ids::give(path, owner.0, owner.1, self.ids)?;
        let is_kept = || ids::recorded_owner(path, FileType::Symlink) == owner;
        if self.ids == Ids::Many || owner == (0, 0) || is_kept() {
            return Ok(None);
        }
        Ok(Some((std::fs::symlink_metadata(path)?.ino(), owner)))
    }
}

/// Owners of symbolic links by inode.
pub(super) type LinkOwners = HashMap<u64, (u32, u32)>;

/// Whether an attribute goes where the file goes. Names that overlayfs, this engine or the host's security
/// modules give a meaning would let a context forge whiteouts and owners, or carry labels of another machine.
pub(super) fn is_copied(name: &[u8]) -> bool {
    if name == b"security.capability" {
        return true;
    }
    let reserved: [&[u8]; 4] = [b"user.overlay.", b"user.jettison.", b"user.fuseoverlayfs.", b"user.containers."];
    name.starts_with(b"user.") && !reserved.iter().any(|prefix| name.starts_with(prefix))
}

/// The attributes of a file that are copied.
pub(super) fn xattrs(path: &Path) -> io::Result<Xattrs> {
    let mut names = Vec::new();
    match rustix::fs::llistxattr_query(path) {
        Ok(0) => return Ok(Vec::new()),
        Ok(size) => names.resize(size + 256, 0_u8),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let size = rustix::fs::llistxattr(path, &mut names[..])?;
    let mut found = Vec::new();
    for name in names[..size].split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if !is_copied(name.to_bytes()) {
            continue;
        }
        let mut value = vec![0_u8; rustix::fs::lgetxattr_query(path, name)?];
        if !value.is_empty() {
            let size = rustix::fs::lgetxattr(path, name, &mut value[..])?;
            value.truncate(size);
        }
        found.push((name.to_owned(), value));
    }
    found.sort_unstable();
    Ok(found)
}

/// Sets attributes. As in BuildKit, one that the file system does not take is left out.
pub(super) fn set_xattrs(path: &Path, xattrs: &Xattrs) {
    for (name, value) in xattrs {
        let _ = rustix::fs::lsetxattr(path, name.as_c_str(), value, XattrFlags::empty());
    }
}

/// Sets the time of last modification, of a link too.
pub(super) fn set_time(path: &Path, seconds: i64, nanoseconds: i64) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
    };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?)
}
