//! A snapshot as the tar of its layer.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_image::changes::Contents;
use jettison_image::tar::{END, Extent, padding};
use jettison_image::{Entry, Kind, Layer};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::content::PIECE;

/// Writes the tar of `layer`, whose files' contents are in `folder`: byte for byte what the offsets of the
/// layer's entries speak of.
///
/// # Errors
/// Where a file is missing or shorter than the layer says, or `out` cannot be written.
pub fn write_tar(layer: &Layer, folder: &Path, out: &mut dyn Write) -> io::Result<()> {
    let root = open_folder(folder)?;
    let mut out = BufWriter::with_capacity(PIECE, out);
    let (mut blocks, mut piece) = (Vec::new(), Vec::new());
    for entry in &layer.entries {
        blocks.clear();
        let stored = layer.header(entry, &mut blocks);
        out.write_all(&blocks)?;
        if stored > 0 {
            copy_stored(&root, layer, entry, 0, stored, &mut piece, &mut out)?;
            out.write_all(&END[..padding(stored)])?;
        }
    }
    out.write_all(&END)?;
    out.flush()
}

/// The contents of an image whose layers are snapshots: each layer with the folder of its files.
pub struct SnapshotContents {
    layers: Vec<(Arc<Layer>, PathBuf)>,
    /// Opened when they are first asked for.
    folders: Vec<Option<OwnedFd>>,
    piece: Vec<u8>,
}

impl SnapshotContents {
    /// The contents of `layers`, the lowest first.
    #[must_use]
    pub fn new(layers: Vec<(Arc<Layer>, PathBuf)>) -> Self {
        let folders = layers.iter().map(|_| None).collect();
        Self { layers, folders, piece: Vec::new() }
    }
}

impl Contents for SnapshotContents {
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        let missing = || io::Error::other(format!("layer {} has no content at offset {offset}", layer + 1));
        let (values, path) = self.layers.get(layer).ok_or_else(missing)?;
        // Offsets ascend: each entry has a header of its own.
        let after = values.entries.partition_point(|entry| entry.data_offset <= offset);
        let entry = after.checked_sub(1).and_then(|index| values.entries.get(index)).ok_or_else(missing)?;
        let skip = offset - entry.data_offset;
        if entry.kind != Kind::File || skip.checked_add(length).is_none_or(|end| end > stored_of(values, entry)) {
            return Err(missing());
        }
        let folder = self.folders.get_mut(layer).ok_or_else(missing)?;
        let root = match folder {
            Some(root) => root,
            None => folder.insert(open_folder(path)?),
        };
        copy_stored(root, values, entry, skip, length, &mut self.piece, out)
    }
}

fn stored_of(layer: &Layer, entry: &Entry) -> u64 {
    layer.sparse(entry).map_or(entry.size, |runs| runs.iter().map(|run| run.length).sum())
}

/// Writes `length` of the stored bytes of a file, `skip` of them left out: of a sparse file its runs.
fn copy_stored(
    root: &OwnedFd,
    layer: &Layer,
    entry: &Entry,
    mut skip: u64,
    mut length: u64,
    piece: &mut Vec<u8>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let path = std::ffi::OsStr::from_bytes(layer.path(entry));
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", Path::new(path).display()));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(root, path, flags, Mode::empty(), within).map_err(|error| named(error.into()))?);
    let metadata = file.metadata().map_err(named)?;
    if !metadata.is_file() || metadata.len() != entry.size {
        return Err(named(io::Error::other("it is not the file that its layer speaks of")));
    }
    piece.resize(PIECE, 0);
    let whole = [Extent { offset: 0, length: entry.size }];
    for run in layer.sparse(entry).unwrap_or(&whole) {
        let skipped = skip.min(run.length);
        skip -= skipped;
        let mut position = run.offset + skipped;
        let end = (run.offset + run.length).min(position.saturating_add(length));
        while position < end {
            let take = usize::try_from(end - position).unwrap_or(usize::MAX).min(PIECE);
            file.read_exact_at(&mut piece[..take], position).map_err(named)?;
            out.write_all(&piece[..take])?;
            position += take as u64;
            length -= take as u64;
        }
    }
    Ok(())
}

fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::empty())?)
}
