//! A snapshot's files again, from the tar of its layer.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use jettison_image::{Entry, Kind, Layer};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};

use super::attributes::{Attributes, OPAQUE};
use super::content::PIECE;
use super::{SnapshotError, at};
use crate::ids::{Ids, NodeKind, make_node};

/// Writes the files of `layer`, whose uncompressed tar is `plain`, into the new folder `to`, with whiteouts and opaque
/// folders as overlayfs has them.
///
/// # Errors
/// Where the tar is shorter than the layer says, an entry lies below a link or a file, or something cannot be written.
pub fn restore(layer: &Layer, plain: &File, to: &Path, ids: Ids) -> Result<(), SnapshotError> {
    fs::create_dir(to).map_err(at(to))?;
    super::scan::root_of_nothing().apply(to, ids).map_err(at(to))?;
    let mut folders = Vec::new();
    for entry in &layer.entries {
        let path = to.join(OsStr::from_bytes(layer.path(entry)));
        write(layer, entry, plain, to, &path, ids).map_err(at(&path))?;
        if entry.kind == Kind::Directory {
            folders.push((entry, path));
        }
    }
    // What is put into a folder changes its time, and its mode may forbid it.
    for (entry, path) in folders.into_iter().rev() {
        attributes(layer, entry).apply(&path, ids).map_err(at(&path))?;
    }
    Ok(())
}

fn attributes(layer: &Layer, entry: &Entry) -> Attributes {
    let xattrs = layer.xattrs(entry).to_vec();
    Attributes { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime(), xattrs }
}

fn write(layer: &Layer, entry: &Entry, plain: &File, root: &Path, path: &Path, ids: Ids) -> io::Result<()> {
    make_parents(root, path)?;
    match entry.kind {
        Kind::Directory => {
            if path != root && !path.is_dir() {
                fs::create_dir(path)?;
            }
            return Ok(());
        }
        Kind::Opaque => {
            if path != root && !path.is_dir() {
                fs::create_dir(path)?;
            }
            return Ok(lsetxattr(path, OPAQUE, b"y", XattrFlags::empty())?);
        }
        Kind::Whiteout => return Ok(mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0)?),
        Kind::HardLink => {
            let first = root.join(OsStr::from_bytes(layer.link(entry)));
            no_links(root, &first)?;
            return fs::hard_link(first, path);
        }
        Kind::Symlink => std::os::unix::fs::symlink(OsStr::from_bytes(layer.link(entry)), path)?,
        Kind::Fifo => mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0)?,
        Kind::CharDevice => make_node(path, NodeKind::Char, entry.device.0, entry.device.1, 0o600, ids)?,
        Kind::BlockDevice => make_node(path, NodeKind::Block, entry.device.0, entry.device.1, 0o600, ids)?,
        Kind::File => content(layer, entry, plain, path)?,
    }
    attributes(layer, entry).apply(path, ids)
}

/// Makes the folders above a path that the layer has no entries for; nothing is ever written through a link.
fn make_parents(root: &Path, path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|_| path != root) else { return Ok(()) };
    let mut reached = PathBuf::from(root);
    for part in parent.strip_prefix(root).map_err(io::Error::other)? {
        reached.push(part);
        match fs::symlink_metadata(&reached) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&reached)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// That no link is on the way to a file.
fn no_links(root: &Path, path: &Path) -> io::Result<()> {
    let mut reached = PathBuf::from(root);
    for part in path.strip_prefix(root).map_err(io::Error::other)? {
        reached.push(part);
        if fs::symlink_metadata(&reached)?.is_symlink() && reached != path {
            return Err(io::ErrorKind::NotADirectory.into());
        }
    }
    Ok(())
}

fn content(layer: &Layer, entry: &Entry, plain: &File, path: &Path) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let mut piece = vec![0; PIECE];
    let mut copy = |file: &mut File, from: u64, length: u64| -> io::Result<()> {
        let mut done = 0;
        while done < length {
            let take = usize::try_from(length - done).unwrap_or(usize::MAX).min(PIECE);
            plain.read_exact_at(&mut piece[..take], from + done)?;
            file.write_all(&piece[..take])?;
            done += take as u64;
        }
        Ok(())
    };
    let Some(runs) = layer.sparse(entry) else { return copy(&mut file, entry.data_offset, entry.size) };
    let mut stored = entry.data_offset;
    for run in runs {
        io::Seek::seek(&mut file, io::SeekFrom::Start(run.offset))?;
        copy(&mut file, stored, run.length)?;
        stored += run.length;
    }
    file.set_len(entry.size)
}
