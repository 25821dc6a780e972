//! Who owns files, where this process may not give them away: identities and how they are recorded.
//!
//! A process without subordinate ids has one user and one group. What an image says of owners and device
//! nodes is then recorded beside the files, in extended attributes that no layer shows.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lgetxattr, lremovexattr, lsetxattr, makedev, mknodat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// The extended attribute of a recorded owner: `UID:GID`. Where it is absent the owner is 0:0.
pub const OWNER: &str = "user.jettison.owner";
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

/// Owners that could not be recorded at the file itself: those of symbolic links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// User and group by inode number in the folder that holds a snapshot's files.
    pub by_inode: HashMap<u64, (u32, u32)>,
}

/// Gives the file at `path` to an owner, links not followed. With [`Ids::One`] the owner is recorded; a
/// symbolic link, pipe or socket cannot hold the record and keeps none. Set the mode after this: the kernel
/// takes setuid bits from files that change their owner.
///
/// # Errors
/// Where the file system or the kernel refuses.
pub fn give(path: &Path, uid: u32, gid: u32, ids: Ids) -> io::Result<()> {
    if ids == Ids::Many {
        return lchown(path, Some(uid), Some(gid));
    }
    let kind = fs::symlink_metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Ok(());
    }
    if (uid, gid) == (0, 0) {
        return match lremovexattr(path, OWNER) {
            Ok(()) | Err(Errno::NODATA) => Ok(()),
            Err(error) => Err(error.into()),
        };
    }
    Ok(lsetxattr(path, OWNER, format!("{uid}:{gid}").as_bytes(), XattrFlags::empty())?)
}

/// Makes a device node, or an empty file that stands for one where this process may not: with [`Ids::One`],
/// and in any user namespace.
///
/// # Errors
/// Where the path is taken, or the file system refuses.
pub fn make_node(path: &Path, kind: NodeKind, major: u32, minor: u32, mode: u32, ids: Ids) -> io::Result<()> {
    let (file_type, letter) = match kind {
        NodeKind::Char => (FileType::CharacterDevice, 'c'),
        NodeKind::Block => (FileType::BlockDevice, 'b'),
    };
    if ids == Ids::Many {
        match mknodat(CWD, path, file_type, Mode::from_raw_mode(mode & 0o7777), makedev(major, minor)) {
            // The process's mask took bits off.
            Ok(()) => return fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777)),
            Err(Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let record = format!("{letter}:{major}:{minor}");
    rustix::fs::fsetxattr(&file, NODE, record.as_bytes(), XattrFlags::empty())?;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))
}

/// The owner that an image should have for the file at `path`, whose own metadata is given.
#[must_use]
pub fn owner_of(path: &Path, metadata: &Metadata, ids: Ids) -> (u32, u32) {
    if ids == Ids::Many {
        return (metadata.uid(), metadata.gid());
    }
    let may_hold_one = metadata.is_file() || metadata.is_dir();
    if may_hold_one { recorded_owner(path) } else { (0, 0) }
}

/// The owner that was recorded at a file or folder, with [`Ids::One`].
pub(crate) fn recorded_owner(path: &Path) -> (u32, u32) {
    record(path, OWNER).and_then(|text| pair(&text)).unwrap_or_default()
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
    let text = record(path, NODE)?;
    let (letter, numbers) = text.split_once(':')?;
    let (major, minor) = pair(numbers)?;
    match letter {
        "c" => Some((NodeKind::Char, major, minor)),
        "b" => Some((NodeKind::Block, major, minor)),
        _ => None,
    }
}

/// The value of one of our own attributes: all of them are short texts.
fn record(path: &Path, name: &str) -> Option<String> {
    let mut value = [0_u8; 64];
    let length = lgetxattr(path, name, &mut value[..]).ok()?;
    Some(std::str::from_utf8(value.get(..length)?).ok()?.to_owned())
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
        give(&link, 5, 5, Ids::One).expect("nothing to do");
        assert_eq!((owner(&link), owner(&file)), ((0, 0), (0, 0)));
        let node = folder.path().join("node");
        make_node(&node, NodeKind::Block, 8, 300, 0o640, Ids::One).expect("recorded");
        let metadata = fs::symlink_metadata(&node).expect("a file");
        assert_eq!(node_of(&node, &metadata), Some((NodeKind::Block, 8, 300)));
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
        assert_eq!(node_of(&file, &fs::symlink_metadata(&file).expect("a file")), None);
        make_node(&node, NodeKind::Char, 1, 3, 0o600, Ids::One).expect_err("taken");
    }
}
