//! Decoders for layer blobs: gzip with any number of members, zstd with skippable frames, plain.

use std::collections::VecDeque;
use std::io::{self, BufRead, Cursor, Read};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use jettison_image::Compression;
use libdeflater::Decompressor;

use crate::compress::{MEMBER, MEMBER_HEADER, member_size};

/// A reader of the unpacked bytes.
pub(crate) fn decoder<'a, R: BufRead + Send + 'a>(
    input: R,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(Gunzip::new(input)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            // Long windows (`zstd --long=31`) are legal; libzstd's default refuses those above 128 MiB.
            decoder.window_log_max(31)?;
            Box::new(decoder)
        }
    })
}

type Unpacked = io::Result<Vec<u8>>;

/// Unpacks gzip. Members that say how long they are, as those written here do, are unpacked by several
/// threads; the first that does not, and all after it, one byte after the other.
struct Gunzip<R> {
    state: State<R>,
    /// The unpacked bytes that are handed out at present.
    current: Cursor<Vec<u8>>,
    waiting: VecDeque<Receiver<Unpacked>>,
    workers: Option<Sender<(Vec<u8>, Sender<Unpacked>)>>,
    most: usize,
}

enum State<R> {
    Members(R),
    /// What was read of a member of another make, and all that follows it.
    Stream(Box<flate2::bufread::MultiGzDecoder<io::Chain<Cursor<Vec<u8>>, R>>>),
    Ended,
}

impl<R: BufRead> Gunzip<R> {
    fn new(input: R) -> Self {
        let most = 2 * thread::available_parallelism().map_or(1, usize::from);
        let current = Cursor::new(Vec::new());
        Self { state: State::Members(input), current, waiting: VecDeque::new(), workers: None, most }
    }

    /// Reads members ahead until as many are under way as there may be.
    fn read_ahead(&mut self) -> io::Result<()> {
        while self.waiting.len() < self.most {
            let State::Members(input) = &mut self.state else { return Ok(()) };
            let mut member = vec![0; MEMBER_HEADER];
            let filled = fill(input, &mut member)?;
            let Some(size) = member_size(&member[..filled]) else {
                member.truncate(filled);
                let State::Members(input) = std::mem::replace(&mut self.state, State::Ended) else { return Ok(()) };
                if filled > 0 {
                    let rest = Cursor::new(member).chain(input);
                    self.state = State::Stream(Box::new(flate2::bufread::MultiGzDecoder::new(rest)));
                }
                return Ok(());
            };
            member.resize(size, 0);
            if fill(input, &mut member[MEMBER_HEADER..])? < size - MEMBER_HEADER {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (done, unpacked) = bounded(1);
            let workers = self.workers.get_or_insert_with(start_workers);
            workers.send((member, done)).map_err(|_| io::Error::other("a decompression thread ended early"))?;
            self.waiting.push_back(unpacked);
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            // An error beyond the members under way is for after them: what came before is good.
            let ahead = self.read_ahead();
            if let Some(next) = self.waiting.pop_front() {
                let gone = |_| io::Error::other("a decompression thread ended early");
                self.current = Cursor::new(next.recv().map_err(gone)??);
                continue;
            }
            ahead?;
            return match &mut self.state {
                State::Stream(stream) => stream.read(buffer),
                State::Members(_) | State::Ended => Ok(0),
            };
        }
    }
}

fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn start_workers() -> Sender<(Vec<u8>, Sender<Unpacked>)> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (tasks, queue) = bounded::<(Vec<u8>, Sender<Unpacked>)>(threads);
    let queue = Arc::new(queue);
    for _ in 0..threads {
        let queue = Arc::clone(&queue);
        // They end when the reader is dropped, and with it the other end of the queue.
        thread::spawn(move || {
            let mut decompressor = Decompressor::new();
            for (member, done) in queue.iter() {
                let _ = done.send(unpack(&mut decompressor, &member));
            }
        });
    }
    tasks
}

/// Unpacks one whole member. Its last four bytes state the length (RFC 1952, 2.3.1, ISIZE).
fn unpack(decompressor: &mut Decompressor, member: &[u8]) -> Unpacked {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let length = member.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
    if length > MEMBER {
        return Err(invalid(format!("a gzip member states {length} bytes, more than those of its make hold")));
    }
    let mut out = vec![0; length];
    let written = decompressor.gzip_decompress(member, &mut out).map_err(|error| invalid(error.to_string()))?;
    out.truncate(written);
    Ok(out)
}
