//! Who owns files, where this process may not give them away: identities and how they are recorded.
//!
//! A process without subordinate ids has one user and one group. What an image says of owners and device
//! nodes is then recorded beside the files, in extended attributes that no layer shows.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat};
use rustix::fs::{getxattr, lgetxattr, lremovexattr, lsetxattr, removexattr, setxattr};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// The extended attribute of a recorded owner: `UID:GID`. Where it is absent the owner is 0:0.
pub const OWNER: &str = "user.jettison.owner";
/// The extended attribute of a recorded owner where the kernel allows no `user.` attribute: at symbolic links, pipes and
/// sockets. It means nothing there to the kernel, which nobody can have execute one; of all others it is the only one
/// that root of a user namespace may set, and overlayfs copies it. The user stands in the place of the first
/// permitted capabilities, the group in that of the first inheritable ones (`vfs_cap_data` of linux/capability.h).
pub(crate) const LINK_OWNER: &str = "security.capability";
/// The revision of that structure that has 20 bytes.
const REVISION_2: u32 = 0x0200_0000;
/// The extended attribute that makes an empty file stand for a device node: `c:MAJOR:MINOR` or `b:MAJOR:MINOR`.
pub const NODE: &str = "user.jettison.node";

/// Which user and group ids of an image this process can really give to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// All that images use: it is root, or has subordinate ids.
    Many,
    /// Only 0, which stands for the user who builds. Owners and device nodes are recorded instead.
    One,
}

/// The two kinds of device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A character device.
    Char,
    /// A block device.
    Block,
}

/// Owners that could not be recorded at the file itself: those of symbolic links, on some file systems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// User and group by inode number in the folder that holds a snapshot's files.
    pub by_inode: HashMap<u64, (u32, u32)>,
}

/// Gives the file at `path` to an owner, links not followed. With [`Ids::One`] the owner is recorded; where the file
/// system cannot hold the record of a symbolic link, pipe or socket, none is kept. Set the mode after this: the kernel
/// takes setuid bits from files that change their owner.
///
/// # Errors
/// Where the file system or the kernel refuses.
pub fn give(path: &Path, uid: u32, gid: u32, ids: Ids) -> io::Result<()> {
    if ids == Ids::Many {
        return lchown(path, Some(uid), Some(gid));
    }
    let kind = kind_of(&fs::symlink_metadata(path)?);
    let (name, value) = owner_record(kind, (uid, gid));
    let result = match value {
        None => lremovexattr(path, name),
        Some(value) => lsetxattr(path, name, &value, XattrFlags::empty()),
    };
    match recorded(kind, result) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Records an owner at the file that the path leads to, as [`give`] does with [`Ids::One`]; false where that file system
/// cannot hold it. The path is a descriptor's in `/proc`.
pub(crate) fn record_owner(path: &str, kind: FileType, owner: (u32, u32)) -> Result<bool, Errno> {
    let (name, value) = owner_record(kind, owner);
    let result = match value {
        None => removexattr(path, name),
        Some(value) => setxattr(path, name, &value, XattrFlags::empty()),
    };
    match recorded(kind, result) {
        Err(Errno::NOTSUP) => Ok(false),
        result => result,
    }
}

/// What is written where for an owner; nothing is written of root.
fn owner_record(kind: FileType, owner: (u32, u32)) -> (&'static str, Option<Vec<u8>>) {
    let is_root = owner == (0, 0);
    match kind {
        FileType::RegularFile | FileType::Directory => {
            (OWNER, (!is_root).then(|| format!("{}:{}", owner.0, owner.1).into_bytes()))
        }
        _ => {
            let words = [REVISION_2, owner.0, owner.1, 0, 0];
            (LINK_OWNER, (!is_root).then(|| words.iter().flat_map(|word| word.to_le_bytes()).collect()))
        }
    }
}

/// Whether it was written.
fn recorded(kind: FileType, result: Result<(), Errno>) -> Result<bool, Errno> {
    let is_simple = matches!(kind, FileType::RegularFile | FileType::Directory);
    match result {
        Ok(()) | Err(Errno::NODATA) => Ok(true),
        Err(Errno::PERM | Errno::NOTSUP | Errno::INVAL) if !is_simple => Ok(false),
        Err(error) => Err(error),
    }
}

fn kind_of(metadata: &Metadata) -> FileType {
    FileType::from_raw_mode(metadata.mode())
}

/// Makes a device node, or an empty file that stands for one where this process may not: with [`Ids::One`],
/// and in any user namespace.
///
/// # Errors
/// Where the path is taken, or the file system refuses.
pub fn make_node(path: &Path, kind: NodeKind, major: u32, minor: u32, mode: u32, ids: Ids) -> io::Result<()> {
    if ids == Ids::Many {
        let file_type = match kind {
            NodeKind::Char => FileType::CharacterDevice,
            NodeKind::Block => FileType::BlockDevice,
        };
        match mknodat(CWD, path, file_type, Mode::from_raw_mode(mode & 0o7777), makedev(major, minor)) {
            // The process's mask took bits off.
            Ok(()) => return fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777)),
            Err(Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    rustix::fs::fsetxattr(&file, NODE, node_value(kind, major, minor).as_bytes(), XattrFlags::empty())?;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))
}

/// The owner that an image should have for the file at `path`, whose own metadata is given.
#[must_use]
pub fn owner_of(path: &Path, metadata: &Metadata, ids: Ids) -> (u32, u32) {
    if ids == Ids::Many {
        return (metadata.uid(), metadata.gid());
    }
    recorded_owner(path, kind_of(metadata))
}

/// The owner that was recorded at a file of this kind, with [`Ids::One`]; links are not followed.
pub(crate) fn recorded_owner(path: &Path, kind: FileType) -> (u32, u32) {
    let mut room = [0; 64];
    let (name, _) = owner_record(kind, (0, 0));
    let length = lgetxattr(path, name, &mut room[..]).unwrap_or_default();
    owner_in(kind, room.get(..length).unwrap_or_default()).unwrap_or_default()
}

/// The owner that was recorded at the file that a descriptor's path in `/proc` leads to.
pub(crate) fn owner_at(path: &str, kind: FileType) -> Option<(u32, u32)> {
    let mut room = [0; 64];
    let (name, _) = owner_record(kind, (0, 0));
    let length = getxattr(path, name, &mut room[..]).ok()?;
    owner_in(kind, room.get(..length)?)
}

fn owner_in(kind: FileType, value: &[u8]) -> Option<(u32, u32)> {
    if matches!(kind, FileType::RegularFile | FileType::Directory) {
        return pair(std::str::from_utf8(value).ok()?);
    }
    let word = |index: usize| Some(u32::from_le_bytes(value.get(index * 4..index * 4 + 4)?.try_into().ok()?));
    Some((word(1)?, word(2)?))
}

/// The record of a device.
pub(crate) fn node_value(kind: NodeKind, major: u32, minor: u32) -> String {
    let letter = match kind {
        NodeKind::Char => 'c',
        NodeKind::Block => 'b',
    };
    format!("{letter}:{major}:{minor}")
}

/// The device that the file at `path` is or stands for.
#[must_use]
pub fn node_of(path: &Path, metadata: &Metadata) -> Option<(NodeKind, u32, u32)> {
    let kind = metadata.file_type();
    let device = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    if kind.is_char_device() {
        return Some((NodeKind::Char, device.0, device.1));
    }
    if kind.is_block_device() {
        return Some((NodeKind::Block, device.0, device.1));
    }
    if !kind.is_file() || metadata.len() > 0 {
        return None;
    }
    recorded_node(path)
}

/// The device that an empty file stands for.
pub(crate) fn recorded_node(path: &Path) -> Option<(NodeKind, u32, u32)> {
    let mut room = [0; 64];
    let length = lgetxattr(path, NODE, &mut room[..]).ok()?;
    node_in(room.get(..length)?)
}

/// The device that the file stands for that a descriptor's path in `/proc` leads to.
pub(crate) fn node_at(path: &str) -> Option<(NodeKind, u32, u32)> {
    let mut room = [0; 64];
    let length = getxattr(path, NODE, &mut room[..]).ok()?;
    node_in(room.get(..length)?)
}

fn node_in(value: &[u8]) -> Option<(NodeKind, u32, u32)> {
    let (letter, numbers) = std::str::from_utf8(value).ok()?.split_once(':')?;
    let (major, minor) = pair(numbers)?;
    match letter {
        "c" => Some((NodeKind::Char, major, minor)),
        "b" => Some((NodeKind::Block, major, minor)),
        _ => None,
    }
}

fn pair(text: &str) -> Option<(u32, u32)> {
    let (first, second) = text.split_once(':')?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What holds for every user: nothing is really given away.
    #[test]
    fn recorded_owners_and_nodes_are_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "x").expect("a file");
        let owner = |path: &Path| owner_of(path, &fs::symlink_metadata(path).expect("a file"), Ids::One);
        assert_eq!(owner(&file), (0, 0));
        give(&file, 12, 4_000_000_000, Ids::One).expect("recorded");
        assert_eq!(owner(&file), (12, 4_000_000_000));
        give(&file, 0, 0, Ids::One).expect("forgotten");
        assert_eq!(owner(&file), (0, 0));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("file", &link).expect("a link");
        give(&link, 5, 6, Ids::One).expect("recorded, or not possible");
        // Only root of some namespace can record it at a link.
        let expected = if rustix::process::geteuid().is_root() { (5, 6) } else { (0, 0) };
        assert_eq!((owner(&link), owner(&file)), (expected, (0, 0)));
        let node = folder.path().join("node");
        make_node(&node, NodeKind::Block, 8, 300, 0o640, Ids::One).expect("recorded");
        let metadata = fs::symlink_metadata(&node).expect("a file");
        assert_eq!(node_of(&node, &metadata), Some((NodeKind::Block, 8, 300)));
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
        assert_eq!(node_of(&file, &fs::symlink_metadata(&file).expect("a file")), None);
        make_node(&node, NodeKind::Char, 1, 3, 0o600, Ids::One).expect_err("taken");
    }
}
