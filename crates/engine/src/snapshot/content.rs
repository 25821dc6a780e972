//! Contents of files: copied, compared and hashed, with their holes kept.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use jettison_image::tar::Extent;
use jettison_image::{Digest, Hasher};
use rustix::fs::{SeekFrom, copy_file_range, ioctl_ficlone, seek};
use rustix::io::Errno;

/// How much is read at once.
pub(super) const PIECE: usize = 512 << 10;

/// The runs of a file between its holes; `None` where it has no holes.
pub(super) fn runs(file: &File, size: u64) -> io::Result<Option<Vec<Extent>>> {
    let mut runs = Vec::new();
    let mut position = 0;
    while position < size {
        let start = match seek(file, SeekFrom::Data(position)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::NOTSUP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if start >= size {
            break;
        }
        let end = seek(file, SeekFrom::Hole(start))?.min(size);
        runs.push(Extent { offset: start, length: end - start });
        position = end;
    }
    seek(file, SeekFrom::Start(0))?;
    let is_whole = runs.iter().map(|run| run.length).sum::<u64>() == size;
    Ok((!is_whole).then_some(runs))
}

/// The runs of the file at `path` where it takes less room than its size: others are not even opened.
pub(super) fn sparse_runs(path: &Path, metadata: &std::fs::Metadata) -> io::Result<Option<Vec<Extent>>> {
    if metadata.blocks() * 512 >= metadata.size() {
        return Ok(None);
    }
    runs(&File::open(path)?, metadata.size())
}

/// Copies all of `from` into the empty file `to`: shared where the file system can, else run by run.
pub(super) fn copy(from: &File, to: &File, size: u64) -> io::Result<()> {
    if size == 0 || ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let whole = vec![Extent { offset: 0, length: size }];
    for run in runs(from, size)?.unwrap_or(whole) {
        copy_run(from, to, run)?;
    }
    to.set_len(size)
}

fn copy_run(from: &File, to: &File, run: Extent) -> io::Result<()> {
    let (mut input, mut output) = (run.offset, run.offset);
    let end = run.offset + run.length;
    while input < end {
        let left = usize::try_from(end - input).unwrap_or(usize::MAX).min(1 << 30);
        match copy_file_range(from, Some(&mut input), to, Some(&mut output), left) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(Errno::INTR) => {}
            // File systems that cannot copy by themselves.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let mut piece = vec![0; if input < end { PIECE } else { 0 }];
    while input < end {
        let take = usize::try_from(end - input).unwrap_or(usize::MAX).min(PIECE);
        from.read_exact_at(&mut piece[..take], input)?;
        to.write_all_at(&piece[..take], input)?;
        input += take as u64;
    }
    Ok(())
}

/// The digest of the content of the file at `path`, read piece by piece into `piece`.
pub(super) fn digest(path: &Path, size: u64, piece: &mut Vec<u8>) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::default();
    piece.resize(PIECE, 0);
    let mut total: u64 = 0;
    loop {
        let read = match file.read(piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..read]);
        total += read as u64;
    }
    if total == size {
        return Ok(hasher.finish());
    }
    Err(io::Error::other(format!("the file changed while it was read: {total} bytes instead of {size}")))
}

/// Whether two files of the same size hold the same.
pub(super) fn equal(one: &Path, other: &Path, size: u64) -> io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    let length = usize::try_from(size).unwrap_or(usize::MAX).min(PIECE);
    let (mut left, mut right) = (vec![0; length], vec![0; length]);
    let mut position = 0;
    while position < size {
        let take = usize::try_from(size - position).unwrap_or(usize::MAX).min(length);
        one.read_exact_at(&mut left[..take], position)?;
        other.read_exact_at(&mut right[..take], position)?;
        if left[..take] != right[..take] {
            return Ok(false);
        }
        position += take as u64;
    }
    Ok(true)
}
