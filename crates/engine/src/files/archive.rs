//! Archives as ADD recognises them: by what they begin with, never by their names.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use jettison_image::tar::{Member, Reader};

use super::hash;

/// How many bytes tell the compression: BuildKit looks at as many.
const PREFIX: usize = 10;

/// A file's content, unpacked where it is compressed.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    decompressed(BufReader::with_capacity(128 * 1024, hash::open(path)?))
}

/// Whether a file is a tar, compressed or not: its first member's header can be read.
pub(super) fn is_archive(path: &Path) -> bool {
    let Ok(file) = hash::open(path) else { return false };
    is_file(&file) && decompressed(BufReader::new(file)).is_ok_and(begins_with_member)
}

fn is_file(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Whether a stream begins with a tar's member.
pub(super) fn begins_with_member(input: impl Read) -> bool {
    matches!(Reader::new(BufReader::new(input)).next(&mut Member::default()), Ok(true))
}

/// How a stream is compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    Bzip2,
    Gzip,
    Xz,
    Zstd,
}

/// How a stream that begins so is compressed.
fn packing(start: &[u8]) -> Option<Packing> {
    let is_skippable = start.len() >= 8 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18];
    if start.starts_with(b"BZh") {
        Some(Packing::Bzip2)
    } else if start.starts_with(&[0x1f, 0x8b, 0x08]) {
        Some(Packing::Gzip)
    } else if start.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        Some(Packing::Xz)
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || is_skippable {
        Some(Packing::Zstd)
    } else {
        None
    }
}

/// Whether a stream that begins so is compressed.
pub(super) fn is_compressed(start: &[u8]) -> bool {
    packing(start).is_some()
}

/// The unpacked stream: gzip, bzip2, xz and zstd are known, all else is taken to be plain.
pub(super) fn decompressed<'a>(mut input: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut start = Vec::with_capacity(PREFIX);
    // A pipe may give less at once than is asked for.
    (&mut input).take(PREFIX as u64).read_to_end(&mut start)?;
    let packing = packing(&start);
    let input = Cursor::new(start).chain(input);
    Ok(match packing {
        None => Box::new(input),
        Some(Packing::Bzip2) => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Some(Packing::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Some(Packing::Xz) => Box::new(lzma_rust2::XzReader::new(input, true)),
        Some(Packing::Zstd) => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            // Long windows (`zstd --long=31`) are legal; libzstd's default refuses those above 128 MiB.
            decoder.window_log_max(31)?;
            Box::new(decoder)
        }
    })
}
