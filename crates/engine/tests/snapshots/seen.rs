//! A file tree as text, read from disk or out of a merged tree, so that the two can be compared.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use jettison_engine::ids::{Ids, node_of, owner_of};
use jettison_image::{Digest, Kind, Layer, Tree};

pub(crate) type Seen = BTreeMap<Vec<u8>, String>;

/// What a folder on disk shows. Owners of symbolic links and pipes are left out: they are
/// not on disk for everyone.
pub(crate) fn on_disk(root: &Path, ids: Ids) -> Seen {
    let mut seen = Seen::new();
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("a file");
            let (uid, gid) = owner_of(&path, &metadata, ids);
            let kind = metadata.file_type();
            let what = if kind.is_dir() {
                waiting.push(path.clone());
                "folder".to_owned()
            } else if kind.is_symlink() {
                format!("link to {}", fs::read_link(&path).expect("a link").display())
            } else if kind.is_fifo() {
                "pipe".to_owned()
            } else if let Some((_, major, minor)) = node_of(&path, &metadata) {
                format!("device {major}:{minor}")
            } else {
                format!("file {}", Digest::of(&fs::read(&path).expect("a file")))
            };
            let attributes = if kind.is_symlink() {
                String::new()
            } else if kind.is_fifo() {
                format!("{:o}", metadata.mode() & 0o7777)
            } else {
                format!("{:o} {uid}:{gid}", metadata.mode() & 0o7777)
            };
            let name = path.strip_prefix(root).expect("below").as_os_str().as_bytes().to_vec();
            seen.insert(name, format!("{what} {attributes} {}.{}", metadata.mtime(), metadata.mtime_nsec()));
        }
    }
    seen
}

/// The same of the tree of `layers`.
pub(crate) fn in_layers(layers: &[Layer]) -> Seen {
    let tree = Tree::of(layers).expect("layers that fit");
    let nodes = tree.walk().skip(1);
    nodes
        .map(|node| {
            let a = tree.attributes(node);
            let what = match a.kind {
                Kind::Directory => "folder".to_owned(),
                Kind::Symlink => format!("link to {}", String::from_utf8_lossy(a.link)),
                Kind::Fifo => "pipe".to_owned(),
                Kind::CharDevice | Kind::BlockDevice => format!("device {}:{}", a.device.0, a.device.1),
                _ => format!("file {}", a.digest),
            };
            let attributes = match a.kind {
                Kind::Symlink => String::new(),
                Kind::Fifo => format!("{:o}", a.mode),
                _ => format!("{:o} {}:{}", a.mode, a.uid, a.gid),
            };
            (tree.path(node), format!("{what} {attributes} {}.{}", a.mtime.seconds, a.mtime.nanos))
        })
        .collect()
}

/// The names that share an inode, on disk.
pub(crate) fn links_on_disk(root: &Path) -> Vec<Vec<Vec<u8>>> {
    let mut groups: HashMap<u64, Vec<Vec<u8>>> = HashMap::new();
    for path in on_disk(root, Ids::Many).into_keys() {
        let metadata = fs::symlink_metadata(root.join(std::ffi::OsStr::from_bytes(&path))).expect("a file");
        if !metadata.is_dir() {
            groups.entry(metadata.ino()).or_default().push(path);
        }
    }
    sorted(groups.into_values())
}

/// The names that share an inode, in the tree of `layers`.
pub(crate) fn links_in_layers(layers: &[Layer]) -> Vec<Vec<Vec<u8>>> {
    let tree = Tree::of(layers).expect("layers that fit");
    sorted(tree.hard_links().into_values().map(|names| names.iter().map(|&node| tree.path(node)).collect()))
}

fn sorted(groups: impl Iterator<Item = Vec<Vec<u8>>>) -> Vec<Vec<Vec<u8>>> {
    let mut groups: Vec<_> = groups.filter(|names| names.len() > 1).collect();
    groups.iter_mut().for_each(|names| names.sort());
    groups.sort();
    groups
}
