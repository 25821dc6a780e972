//! The owners and devices that are recorded at files, by descriptors that stand for them (O_PATH).

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Stat, XattrFlags};
use rustix::io::Errno;

use crate::ids::{self, NODE, NodeKind, Owners};
use crate::supervisor::world::by_descriptor;

/// Whose a file is.
pub(in crate::supervisor) fn owner(file: &OwnedFd, found: &Stat, owners: &Owners) -> (u32, u32) {
    if let Some(owner) = owners.by_inode.get(&found.st_ino).filter(|_| holds_little(found)) {
        return *owner;
    }
    ids::owner_at(&by_descriptor(file), FileType::from_raw_mode(found.st_mode)).unwrap_or_default()
}

/// Records whose a file is, which must be the one that was found. False where its file system cannot hold it.
pub(in crate::supervisor) fn give(file: &OwnedFd, found: &Stat, owner: (u32, u32)) -> Result<bool, Errno> {
    ids::record_owner(&by_descriptor(file), FileType::from_raw_mode(found.st_mode), owner)
}

/// The device that an empty file stands for.
pub(in crate::supervisor) fn node(file: &OwnedFd, found: &Stat) -> Option<(NodeKind, u32, u32)> {
    let may_be = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile && found.st_size == 0;
    if may_be { ids::node_at(&by_descriptor(file)) } else { None }
}

/// Makes an empty file stand for a device.
pub(super) fn make_node(file: &OwnedFd, kind: NodeKind, major: u32, minor: u32) -> Result<(), Errno> {
    let value = ids::node_value(kind, major, minor);
    rustix::fs::setxattr(by_descriptor(file), NODE, value.as_bytes(), XattrFlags::empty())
}

/// Whether a file is one whose owner may be noted by its inode.
fn holds_little(found: &Stat) -> bool {
    !matches!(FileType::from_raw_mode(found.st_mode), FileType::RegularFile | FileType::Directory)
}
