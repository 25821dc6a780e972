//! Encoders for layer blobs, all deterministic: the same bytes whatever the number of threads.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use jettison_image::Compression;
use libdeflater::{CompressionLvl, Compressor, Crc};

/// How layers that are written get compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The format.
    pub compression: Compression,
    /// The level, within the format's own range.
    pub level: i32,
    /// For zstd with long-distance matching: the binary logarithm of the window in bytes. A decoder holds a window in
    /// memory.
    pub long: Option<u32>,
}

/// A text is no encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum EncodingError {
    #[error("{0:?} is not one of gzip, zstd, none")]
    Name(String),
    #[error("the {0} level {1:?} is not a number from {2} to {3}")]
    Level(Compression, String, i32, i32),
    #[error("{0:?} is not one of what may stand behind zstd: long, or long=N for a window of 2^N bytes")]
    Option(String),
    #[error("only zstd has a long window, not {0}")]
    NotLong(Compression),
    #[error(
        "the window {0:?} is not a number from {1} to {2}: decoders refuse larger ones unless they are told otherwise"
    )]
    Window(String, u32, u32),
    #[error("{0} is not written: no kept library writes it; such layers are read, as the gzip or zstd that they are")]
    Lazy(String),
}

/// The binary logarithms of the windows that may be asked for. From 128 MiB on up `zstd`, and what is built on its
/// library, refuses a frame without being told (`ZSTD_WINDOWLOG_LIMIT_DEFAULT`); containerd's and Podman's decoder would
/// take 512 MiB. The lower end is the format's (RFC 8878, 3.1.1.1.2).
const WINDOWS: std::ops::RangeInclusive<u32> = 10..=27;

impl Encoding {
    /// A plain tar.
    pub const NONE: Self = Self { compression: Compression::None, level: 0, long: None };
    /// gzip at libdeflate's level 3: on real files 3 % smaller than what `skopeo copy` and `docker push` make,
    /// in two thirds of the time of level 6, which is 4 % smaller still.
    pub const GZIP: Self = Self { compression: Compression::Gzip, level: 3, long: None };
    /// zstd at its own default level.
    pub const ZSTD: Self = Self { compression: Compression::Zstd, level: 3, long: None };
    /// The window of `long` without a number: the largest that every decoder takes.
    pub const LONG: u32 = *WINDOWS.end();

    /// The format at its usual level.
    #[must_use]
    pub fn of(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::NONE,
            Compression::Gzip => Self::GZIP,
            Compression::Zstd => Self::ZSTD,
        }
    }

    /// The same with a long window: its binary logarithm, or nothing for the usual one.
    ///
    /// # Errors
    /// Where the format has none, or decoders would refuse it.
    pub fn with_long(self, window: Option<&str>) -> Result<Self, EncodingError> {
        if self.compression != Compression::Zstd {
            return Err(EncodingError::NotLong(self.compression));
        }
        let Some(text) = window else { return Ok(Self { long: Some(Self::LONG), ..self }) };
        let parsed = text.parse().ok().filter(|window| WINDOWS.contains(window));
        let error = || EncodingError::Window(text.to_owned(), *WINDOWS.start(), *WINDOWS.end());
        Ok(Self { long: Some(parsed.ok_or_else(error)?), ..self })
    }
}

/// Formats from which files can be had before the layer is there as a whole.
const LAZY: [&str; 4] = ["estargz", "stargz", "zstd:chunked", "nydus"];

impl FromStr for Encoding {
    type Err = EncodingError;

    fn from_str(text: &str) -> Result<Self, EncodingError> {
        if LAZY.contains(&text) {
            return Err(EncodingError::Lazy(text.to_owned()));
        }
        let (format, options) = text.split_once(',').map_or((text, None), |(format, options)| (format, Some(options)));
        let (name, level) = format.split_once(':').map_or((format, None), |(name, level)| (name, Some(level)));
        let (default, low, high) = match name {
            "none" => (Self::NONE, 0, 0),
            "gzip" => (Self::GZIP, 1, 12),
            "zstd" => (Self::ZSTD, 1, 22),
            _ => return Err(EncodingError::Name(text.to_owned())),
        };
        let mut encoding = default;
        if let Some(level) = level {
            let parsed = level.parse().ok().filter(|level| (low..=high).contains(level));
            let error = || EncodingError::Level(default.compression, level.to_owned(), low, high);
            encoding.level = parsed.ok_or_else(error)?;
        }
        match options {
            None => Ok(encoding),
            Some("long") => encoding.with_long(None),
            Some(option) => match option.strip_prefix("long=") {
                Some(window) => encoding.with_long(Some(window)),
                None => Err(EncodingError::Option(option.to_owned())),
            },
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.compression {
            Compression::None => f.write_str("none"),
            compression => write!(f, "{compression}:{}", self.level),
        }?;
        self.long.iter().try_for_each(|window| write!(f, ",long={window}"))
    }
}

/// A writer that packs what it is given. [`Encoder::finish`] must be called at the end.
pub(crate) enum Encoder<W: Write> {
    Plain(W),
    Gzip(ParallelGzip<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    pub(crate) fn new(out: W, encoding: Encoding) -> io::Result<Self> {
        Self::with_threads(out, encoding, thread::available_parallelism().map_or(1, usize::from))
    }

    fn with_threads(out: W, encoding: Encoding, threads: usize) -> io::Result<Self> {
        Ok(match encoding.compression {
            Compression::None => Self::Plain(out),
            Compression::Gzip => Self::Gzip(ParallelGzip::new(out, encoding.level, threads)?),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, encoding.level)?;
                // libzstd's output is the same for any number of workers, but another one for none.
                encoder.multithread(u32::try_from(threads).unwrap_or(1))?;
                encoder.include_checksum(true)?;
                if let Some(window) = encoding.long {
                    encoder.long_distance_matching(true)?;
                    encoder.window_log(window)?;
                }
                Self::Zstd(encoder)
            }
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(gzip) => gzip.finish(),
            Self::Zstd(mut encoder) => {
                // Where the input ends with a job of libzstd's, whether the frame gets an empty last block depends on
                // whether a thread was free to begin that job. Once all is flushed it always does: three bytes.
                encoder.flush()?;
                encoder.finish()
            }
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(gzip) => gzip.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            // Flushing would cut a member short and change the bytes.
            Self::Gzip(_) => Ok(()),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// The size of the members that are packed independently. At 1 MiB the ratio is within 0.2 % of one
/// single member's, and every core has work.
pub(crate) const MEMBER: usize = 1 << 20;

/// A block to be packed, and where the packed member goes.
type Task = (Vec<u8>, Sender<io::Result<Vec<u8>>>);

/// gzip of several members (RFC 1952, 2.2), packed by several threads and written in order.
pub(crate) struct ParallelGzip<W: Write> {
    out: W,
    block: Vec<u8>,
    tasks: Option<Sender<Task>>,
    waiting: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    workers: Vec<JoinHandle<()>>,
    any: bool,
}

impl<W: Write> ParallelGzip<W> {
    fn new(out: W, level: i32, threads: usize) -> io::Result<Self> {
        let level = CompressionLvl::new(level).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let (tasks, queue) = bounded::<Task>(threads);
        let queue = Arc::new(queue);
        let workers = (0..threads)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let mut compressor = Compressor::new(level);
                    for (block, done) in queue.iter() {
                        // The receiver is gone only where writing failed; then nobody waits.
                        let _ = done.send(pack(&mut compressor, &block));
                    }
                })
            })
            .collect();
        let block = Vec::with_capacity(MEMBER);
        Ok(Self { out, block, tasks: Some(tasks), waiting: VecDeque::new(), workers, any: false })
    }

    fn submit(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(MEMBER));
        let (done, packed) = bounded(1);
        let gone = || io::Error::other("a compression thread ended early");
        self.tasks.as_ref().ok_or_else(gone)?.send((block, done)).map_err(|_| gone())?;
        self.waiting.push_back(packed);
        self.any = true;
        while self.waiting.len() > 2 * self.workers.len() {
            self.write_next()?;
        }
        Ok(())
    }

    fn write_next(&mut self) -> io::Result<()> {
        let Some(packed) = self.waiting.pop_front() else { return Ok(()) };
        let member = packed.recv().map_err(|_| io::Error::other("a compression thread ended early"))??;
        self.out.write_all(&member)
    }

    fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() || !self.any {
            self.submit()?;
        }
        self.tasks = None;
        while !self.waiting.is_empty() {
            self.write_next()?;
        }
        for worker in self.workers {
            worker.join().map_err(|_| io::Error::other("a compression thread ended early"))?;
        }
        Ok(self.out)
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = bytes.len().min(MEMBER - self.block.len());
        self.block.extend_from_slice(&bytes[..take]);
        if self.block.len() == MEMBER {
            self.submit()?;
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The fixed part of a member's header (RFC 1952, 2.3), with an extra field `JT` that holds the size of
/// the whole member: with it a reader can hand members to several threads. Other readers pass over it.
const HEADER_START: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0, b'J', b'T', 4, 0];
/// The length of that header.
pub(crate) const MEMBER_HEADER: usize = HEADER_START.len() + 4;

/// The size of the member whose header this is, where it is one written here.
pub(crate) fn member_size(header: &[u8]) -> Option<usize> {
    let size = header.strip_prefix(&HEADER_START)?.first_chunk::<4>()?;
    let size = u32::from_le_bytes(*size) as usize;
    // The header and trailer at least, and not more than an incompressible block can take.
    (MEMBER_HEADER + 8..=2 * MEMBER).contains(&size).then_some(size)
}

fn pack(compressor: &mut Compressor, block: &[u8]) -> io::Result<Vec<u8>> {
    let mut member = vec![0; MEMBER_HEADER + compressor.deflate_compress_bound(block.len())];
    let packed = compressor
        .deflate_compress(block, &mut member[MEMBER_HEADER..])
        .map_err(|error| io::Error::other(error.to_string()))?;
    member.truncate(MEMBER_HEADER + packed);
    let mut checksum = Crc::new();
    checksum.update(block);
    member.extend_from_slice(&checksum.sum().to_le_bytes());
    let narrow = |n: usize| u32::try_from(n).map_err(io::Error::other);
    member.extend_from_slice(&narrow(block.len())?.to_le_bytes());
    let size = narrow(member.len())?;
    member[..HEADER_START.len()].copy_from_slice(&HEADER_START);
    member[HEADER_START.len()..MEMBER_HEADER].copy_from_slice(&size.to_le_bytes());
    Ok(member)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::decompress::decoder;

    fn data(length: usize) -> Vec<u8> {
        (0..length).map(|i| u8::try_from((i * i / 7 + i / 1000) % 251).unwrap_or_default()).collect()
    }

    fn packed(threads: usize, data: &[u8]) -> Vec<u8> {
        let mut gzip = ParallelGzip::new(Vec::new(), 6, threads).expect("level 6 exists");
        gzip.write_all(data).expect("writes to memory");
        gzip.finish().expect("finishes")
    }

    #[test]
    fn gzip_is_the_same_for_any_number_of_threads() {
        for length in [0, 1, MEMBER, MEMBER + 1, 5 * MEMBER + 17] {
            let data = data(length);
            let one = packed(1, &data);
            assert_eq!(one, packed(8, &data), "{length}");
            let mut back = Vec::new();
            decoder(&one[..], Compression::Gzip).expect("decoder").read_to_end(&mut back).expect("unpacks");
            assert_eq!(back, data);
        }
    }

    #[test]
    fn every_encoding_unpacks_to_what_went_in() {
        for text in ["none", "gzip", "gzip:1", "gzip:12", "zstd", "zstd:19", "zstd,long", "zstd:1,long=10"] {
            let encoding: Encoding = text.parse().expect(text);
            let data = data(3 * MEMBER + 5);
            let mut encoder = Encoder::new(Vec::new(), encoding).expect(text);
            encoder.write_all(&data).expect("writes to memory");
            let packed = encoder.finish().expect("finishes");
            assert_eq!(Compression::of_magic(&packed), encoding.compression, "{text}");
            let mut back = Vec::new();
            decoder(&packed[..], encoding.compression).expect("decoder").read_to_end(&mut back).expect("unpacks");
            assert_eq!(back, data, "{text}");
        }
    }

    /// Blocks that come again after so many bytes, which no window below that sees.
    fn repeated(apart: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let noise = |length: usize, state: &mut u32| -> Vec<u8> {
            let mut next = || {
                *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (*state >> 24) as u8
            };
            (0..length).map(|_| next()).collect()
        };
        let block = noise(1 << 20, &mut state);
        let between = noise(apart, &mut state);
        [&block[..], &between, &block].concat()
    }

    fn zstd(text: &str, threads: usize, data: &[u8]) -> Vec<u8> {
        let encoding: Encoding = text.parse().expect(text);
        let mut encoder = Encoder::with_threads(Vec::new(), encoding, threads).expect(text);
        // In pieces, as layers come.
        for piece in data.chunks(100_000) {
            encoder.write_all(piece).expect("writes to memory");
        }
        encoder.finish().expect("finishes")
    }

    #[test]
    fn zstd_is_the_same_for_any_number_of_threads() {
        let data = repeated(12 << 20);
        for text in ["zstd:1", "zstd", "zstd,long", "zstd:1,long=24"] {
            let one = zstd(text, 1, &data);
            assert!([2, 3, 8].iter().all(|&threads| zstd(text, threads, &data) == one), "{text}");
        }
    }

    #[test]
    fn zstd_is_the_same_where_the_input_ends_with_a_job() {
        // At level 1 a job has 2 MiB. Without care about every second run differs, by an empty block at the end.
        let data = repeated(12 << 20);
        assert_eq!(data.len() % (2 << 20), 0);
        let first = zstd("zstd:1", 8, &data);
        assert!((0..12).all(|_| zstd("zstd:1", 1, &data) == first));
    }

    #[test]
    fn a_long_window_finds_what_is_far_away() {
        let data = repeated(12 << 20);
        let [usual, long, short] = ["zstd", "zstd,long", "zstd,long=22"].map(|text| zstd(text, 2, &data).len());
        assert!(long < usual - (900 << 10), "{long} {usual}");
        assert!(short > usual - (100 << 10), "{short} {usual}");
        // What every decoder takes unless it is told otherwise: that of the reference, at its own limit.
        let packed = zstd("zstd:1,long=27", 2, &data);
        assert!(zstd::stream::decode_all(&packed[..]).expect("unpacks") == data);
    }

    #[test]
    fn encodings_are_printed_as_they_are_written() {
        for text in ["none", "gzip:3", "zstd:19", "zstd:3,long=27", "zstd:22,long=10"] {
            assert_eq!(text.parse::<Encoding>().map(|encoding| encoding.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("zstd,long".parse::<Encoding>(), "zstd:3,long=27".parse());
    }

    #[test]
    fn levels_and_windows_are_checked() {
        for text in ["gzip:0", "gzip:13", "zstd:23", "none:1", "gzip:x", "xz", ""] {
            assert!(text.parse::<Encoding>().is_err(), "{text}");
        }
        for (text, part) in [
            ("zstd,long=28", "10 to 27"),
            ("zstd,long=9", "10 to 27"),
            ("zstd,long=", "10 to 27"),
            ("zstd,wide", "\"wide\""),
            ("zstd,", "\"\""),
            ("gzip,long", "not gzip"),
            ("none,long=20", "not none"),
            ("estargz", "estargz is not written"),
            ("zstd:chunked", "zstd:chunked is not written"),
        ] {
            let error = text.parse::<Encoding>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
