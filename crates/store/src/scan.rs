//! Reading layers: one streaming pass over each, several at a time, every digest checked.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use jettison_image::layer::{ContentWatch, LayerError, Limits};
use jettison_image::tar::{TarError, TarErrorKind};
use jettison_image::validate::Inconsistency;
use jettison_image::{Compression, Digest, Hasher, Layer};

use crate::Progress;
use crate::cover::Cover;
use crate::decompress;
use crate::error::{Error, Result};
use crate::kept::Kept;
use crate::open::{StoredImage, StoredLayer};
use crate::plain::{Later, Plain};
use crate::remote::RemoteError;
use crate::section::Section;

/// The size of the pieces in which layers pass from reading to hashing. Small enough for a core's
/// second-level cache, large enough that handing over costs nothing.
const PIECE: usize = 256 << 10;

/// What reading a layer showed.
#[derive(Clone, Debug)]
pub struct ScannedLayer {
    /// The digest of the blob as stored.
    pub digest: Digest,
    /// The digest of the unpacked layer.
    pub diff_id: Digest,
    /// The blob's size as stored, in bytes.
    pub stored_size: u64,
    /// How the blob is compressed.
    pub compression: Compression,
    /// The unpacked layer, where its content can be read again: the blob itself where it is not
    /// compressed, else a temporary file if one was asked for.
    pub plain: Plain,
}

/// What to read, and what to keep of it.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Bounds on what is read.
    pub limits: Limits,
    /// Which layers' contents can be read again.
    pub unpack: Option<Unpack>,
}

/// Which layers are unpacked to temporary files, if they are compressed or lie elsewhere.
#[derive(Clone, Debug)]
pub struct Unpack {
    /// The first one that is; all above it are too.
    pub first: usize,
    /// Whether those below are as well, each when its content is first asked for.
    pub later: bool,
    /// Whether contents that an upper layer hides may be lost, so that they take no room.
    pub seen_only: bool,
    /// Where the files are made.
    pub folder: PathBuf,
}

/// Layers that were read before, by the digest of their blob: a layer that stands in several images, or
/// was copied as it is, is hashed again but not taken apart again.
#[derive(Debug, Default)]
pub struct Scans {
    known: Mutex<HashMap<Digest, Scan>>,
    read_back: Mutex<HashSet<Digest>>,
    kept: Option<Kept>,
}

/// Reads all layers of an image.
///
/// # Errors
/// For the lowest layer that is damaged, does not have the digest that its descriptor or the config
/// states, or exceeds the limits.
pub fn scan(
    path: &Path,
    image: &StoredImage,
    scope: &Scope,
    scans: &Scans,
    progress: &dyn Progress,
) -> Result<(Vec<ScannedLayer>, Vec<Arc<Layer>>)> {
    scan_watched(path, image, scope, scans, progress, None)
}

/// Reads all layers of an image and shows `watch` the contents that it wants, from the threads that read. A layer
/// that `scans` knows is not taken apart again: its contents were there to be seen when it was.
///
/// # Errors
/// As [`scan`].
pub fn scan_watched(
    path: &Path,
    image: &StoredImage,
    scope: &Scope,
    scans: &Scans,
    progress: &dyn Progress,
    watch: Option<&dyn ContentWatch>,
) -> Result<(Vec<ScannedLayer>, Vec<Arc<Layer>>)> {
    let count = image.layers.len();
    let mut results: Vec<Option<Result<Scan>>> = (0..count).map(|_| None).collect();
    let (queue, slots) = (Mutex::new(scope.order(image).into_iter()), Mutex::new(&mut results));
    let cover = Cover::new(count);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    thread::scope(|threads| {
        for _ in 0..workers {
            threads.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(at) = next else { return };
                    let unpack = scope.unpack.as_ref().filter(|unpack| at >= unpack.first);
                    let unpack = unpack.map(|unpack| &*unpack.folder);
                    let (stored, limits) = (&image.layers[at], scope.limits);
                    let job = Job { path, stored, limits, unpack, progress, watch };
                    let result = match job.known(scans) {
                        Ok(None) => job.kept_or_run(scans),
                        Ok(Some(known)) => Ok(known),
                        Err(error) => Err(error),
                    };
                    if let Ok((scan, layer)) = &result
                        && scope.unpack.as_ref().is_some_and(|unpack| unpack.seen_only && at >= unpack.first)
                    {
                        cover.add(at, layer, job.spooled(scan));
                    }
                    if let Ok(mut slots) = slots.lock() {
                        slots[at] = Some(result);
                    }
                }
            });
        }
    });
    let mut scanned = Vec::with_capacity(count);
    let mut layers = Vec::with_capacity(count);
    for (at, result) in results.into_iter().enumerate() {
        let name = image.layers[at].name.clone();
        let stopped = || Error::Missing { path: path.to_owned(), name };
        let (layer, entries) = result.ok_or_else(stopped)??;
        let expected = image.config.diff_ids()[at];
        if layer.diff_id != expected {
            let source = Inconsistency::DiffId { layer: at + 1, expected, got: layer.diff_id };
            return Err(Error::Inconsistent { path: path.to_owned(), source });
        }
        let plain = scope.later(path, image, at).unwrap_or_else(|| layer.plain.clone());
        scanned.push(ScannedLayer { plain, ..layer });
        layers.push(entries);
    }
    Ok((scanned, layers))
}

impl Scope {
    /// The order in which layers are read: the largest first, so that the last to end is a small one. Those of which upper
    /// layers take room away change places, the topmost first.
    fn order(&self, image: &StoredImage) -> Vec<usize> {
        let mut order: Vec<usize> = (0..image.layers.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(image.layers[at].blob.length()));
        if let Some(unpack) = self.unpack.as_ref().filter(|unpack| unpack.seen_only) {
            let mut own = (unpack.first..image.layers.len()).rev();
            let places = order.iter_mut().filter(|at| **at >= unpack.first);
            places.zip(&mut own).for_each(|(place, at)| *place = at);
        }
        order
    }

    /// A layer that is to be unpacked when its content is first asked for.
    fn later(&self, path: &Path, image: &StoredImage, at: usize) -> Option<Plain> {
        let unpack = self.unpack.as_ref().filter(|unpack| unpack.later && at < unpack.first)?;
        let (stored, folder) = (image.layers[at].clone(), unpack.folder.clone());
        Some(Plain::later(Later { path: path.to_owned(), stored, limits: self.limits, folder }))
    }
}

/// Unpacks a layer that was read before; one that lies plain in a file is that.
pub(crate) fn unpack(path: &Path, stored: &StoredLayer, limits: Limits, folder: &Path) -> Result<Option<Section>> {
    let job = Job { path, stored, limits, unpack: Some(folder), progress: &(), watch: None };
    Ok(job.run()?.0.plain.section().cloned())
}

/// What one layer's reading gives.
type Scan = (ScannedLayer, Arc<Layer>);

/// One layer to be read.
struct Job<'a> {
    path: &'a Path,
    stored: &'a StoredLayer,
    limits: Limits,
    /// Where to unpack a compressed layer to.
    unpack: Option<&'a Path>,
    progress: &'a dyn Progress,
    watch: Option<&'a dyn ContentWatch>,
}

/// Reads back one layer that was just written and has no name yet.
pub(crate) fn read_back(
    path: &Path,
    stored: &StoredLayer,
    progress: &dyn Progress,
) -> Result<(ScannedLayer, Arc<Layer>)> {
    // What was written holds no more than what was read, which the user's limits admitted.
    let limits = Limits { layer_bytes: u64::MAX, layer_entries: u32::MAX };
    Job { path, stored, limits, unpack: None, progress, watch: None }.run()
}

impl Job<'_> {
    fn run(&self) -> Result<Scan> {
        let stored = self.stored;
        let compression = self.compression(stored)?;
        let spool = match self.unpack {
            Some(folder) if self.is_spooled(compression) => {
                Some(tempfile::tempfile_in(folder).map_err(Error::io("make a temporary file in", folder))?)
            }
            _ => None,
        };
        let state = BlobState { input: stored.blob.reader(), position: 0, hasher: None };
        let blob = Arc::new(Mutex::new(state));
        let input = BlobReader { state: Arc::clone(&blob), progress: self.progress };
        let (layer, diff_id, spool) = if compression == Compression::None {
            // The blob is the layer: one digest serves both.
            self.read_pieces(Box::new(input), spool, stored, &blob)?
        } else {
            if let Ok(mut state) = blob.lock() {
                state.hasher = Some(Hasher::default());
            }
            let input = BufReader::with_capacity(PIECE, input);
            let decoder = decompress::decoder(input, compression).map_err(|source| Error::Io {
                action: "unpack",
                path: self.path.to_owned(),
                source,
            })?;
            self.read_pieces(decoder, spool, stored, &blob)?
        };
        let digest = match compression {
            Compression::None => diff_id,
            _ => self.rest_of_blob(&blob)?,
        };
        self.check(stored, digest)?;
        let plain = match (compression, spool) {
            (_, Some(file)) => Some(Section::whole(file).map_err(Error::io("read", self.path))?),
            (Compression::None, None) => stored.blob.section().cloned(),
            _ => None,
        };
        let stored_size = stored.blob.length();
        let plain = plain.into();
        Ok((ScannedLayer { digest, diff_id, stored_size, compression, plain }, Arc::new(layer)))
    }

    /// Whether a layer that is to be read again goes to a file of its own.
    fn is_spooled(&self, compression: Compression) -> bool {
        compression != Compression::None || self.stored.blob.section().is_none()
    }

    /// The file of its own that the layer was unpacked to.
    fn spooled(&self, scan: &ScannedLayer) -> Option<Section> {
        let is_own = self.unpack.is_some() && self.is_spooled(scan.compression);
        scan.plain.section().filter(|_| is_own).cloned()
    }

    /// How the blob is compressed: by its media type, which its bytes must bear out; by the bytes alone
    /// in docker archives of old. Of blobs elsewhere, unpacking tells.
    fn compression(&self, stored: &StoredLayer) -> Result<Compression> {
        let (path, name) = (self.path.to_owned(), stored.name.clone());
        let mut got = None;
        if let Some(section) = stored.blob.section() {
            let mut first = Vec::new();
            section.reader().take(512).read_to_end(&mut first).map_err(Error::io("read", self.path))?;
            got = Some(Compression::of_magic(&first));
        }
        let Some(descriptor) = &stored.descriptor else { return Ok(got.unwrap_or(Compression::None)) };
        let media_type = descriptor.media_type.clone();
        match (Compression::of_media_type(&media_type), got) {
            (None, _) => Err(Error::MediaType { path, name, media_type }),
            (Some(expected), Some(got)) if expected != got => Err(Error::Compression { path, name, expected, got }),
            (Some(expected), _) => Ok(expected),
        }
    }

    /// A blob with a digest that was read before is hashed, and that is all; one that was read back from
    /// this very place is not read again, nor one that lies elsewhere under this digest.
    fn known(&self, scans: &Scans) -> Result<Option<Scan>> {
        let stored = self.stored;
        let Some(descriptor) = &stored.descriptor else { return Ok(None) };
        let Some((scan, layer)) = scans.get(descriptor.digest) else { return Ok(None) };
        let compression = self.compression(stored)?;
        let plain = stored.blob.section().filter(|_| compression == Compression::None).cloned();
        let found = (ScannedLayer { compression, plain: plain.into(), ..scan }, layer);
        let is_known = scans.was_read_back(descriptor.digest) || stored.blob.section().is_none();
        if is_known && stored.blob.length() == descriptor.size {
            self.progress.advance(descriptor.size);
            return Ok(Some(found));
        }
        let mut hasher = Hasher::default();
        let mut reader = stored.blob.reader();
        let mut piece = vec![0; PIECE];
        loop {
            let read = reader.read(&mut piece).map_err(Error::io("read", self.path))?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
            self.progress.advance(read as u64);
        }
        self.check(stored, hasher.finish())?;
        Ok(Some(found))
    }

    /// A layer on a registry whose contents are not asked for is not fetched where it is known from an earlier run.
    fn kept_or_run(&self, scans: &Scans) -> Result<Scan> {
        let descriptor = self.stored.descriptor.as_ref().filter(|_| self.stored.blob.section().is_none());
        let Some((kept, blob)) = scans.kept.as_ref().zip(descriptor).filter(|_| self.unpack.is_none()) else {
            return self.run();
        };
        if let Some((diff_id, layer)) = kept.find(blob.digest, self.watch) {
            let compression = self.compression(self.stored)?;
            self.progress.advance(blob.size);
            let scan = ScannedLayer {
                digest: blob.digest,
                diff_id,
                stored_size: blob.size,
                compression,
                plain: Plain::default(),
            };
            return Ok((scan, Arc::new(layer)));
        }
        let (scan, layer) = self.run()?;
        if let Some(watch) = self.watch {
            kept.keep(blob.digest, scan.diff_id, &layer, watch);
        }
        Ok((scan, layer))
    }

    fn read_pieces<'r>(
        &self,
        input: Box<dyn Read + Send + 'r>,
        spool: Option<File>,
        stored: &StoredLayer,
        blob: &Arc<Mutex<BlobState>>,
    ) -> Result<(Layer, Digest, Option<File>)> {
        thread::scope(|threads| {
            let (full, to_hash) = bounded::<(Vec<u8>, usize)>(4);
            let (empty, free) = bounded(4);
            let hashing = threads.spawn(move || hash_pieces(&to_hash, &empty, spool));
            let mut pieces = Pieces { input, piece: Vec::new(), filled: 0, position: 0, full, free, made: 0 };
            let layer = Layer::read_watched(&mut pieces, self.limits, self.watch);
            pieces.hand_over();
            drop(pieces);
            let (diff_id, spool) = match hashing.join() {
                Ok(result) => result.map_err(|source| {
                    let folder = self.unpack.unwrap_or(self.path);
                    Error::Io { action: "write a temporary file in", path: folder.to_owned(), source }
                })?,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            let layer = layer.map_err(|source| self.unreadable(stored, source, blob))?;
            Ok((layer, diff_id, spool))
        })
    }

    /// Says whether the tar inside is damaged, or the compression around it.
    fn unreadable(&self, stored: &StoredLayer, source: LayerError, blob: &Mutex<BlobState>) -> Error {
        let (path, name) = (self.path.to_owned(), stored.name.clone());
        match source {
            LayerError::Tar { source: TarError { kind: TarErrorKind::Io(source), .. }, .. } => {
                let source = match source.downcast::<RemoteError>() {
                    Ok(remote) => return Box::new(remote).into(),
                    Err(source) => source,
                };
                let offset = blob.lock().map_or(0, |state| state.position);
                Error::Decode { path, name, offset, source }
            }
            source => Error::Layer { path, name, source },
        }
    }

    /// Why a blob cannot be read.
    fn unread(&self, source: io::Error) -> Error {
        match source.downcast::<RemoteError>() {
            Ok(remote) => Box::new(remote).into(),
            Err(source) => Error::io("read", self.path)(source),
        }
    }

    /// The digest of a compressed blob, whose last bytes the decoder may not have asked for.
    fn rest_of_blob(&self, blob: &Arc<Mutex<BlobState>>) -> Result<Digest> {
        let mut rest = BlobReader { state: Arc::clone(blob), progress: self.progress };
        io::copy(&mut rest, &mut io::sink()).map_err(|source| self.unread(source))?;
        let digest = blob.lock().ok().and_then(|mut state| state.hasher.as_mut().map(Hasher::finish));
        Ok(digest.unwrap_or_default())
    }

    fn check(&self, stored: &StoredLayer, got: Digest) -> Result<()> {
        let Some(descriptor) = &stored.descriptor else { return Ok(()) };
        let (path, name) = (self.path.to_owned(), stored.name.clone());
        let length = stored.blob.length();
        if length != descriptor.size {
            return Err(Error::Size { path, name, expected: descriptor.size, got: length });
        }
        if got != descriptor.digest {
            return Err(Error::Digest { path, name, expected: descriptor.digest, got });
        }
        Ok(())
    }
}

impl Scans {
    /// The same, and what is read of layers on registries is kept in a folder from run to run.
    #[must_use]
    pub fn kept_in(folder: PathBuf) -> Self {
        Self { kept: Some(Kept::in_folder(folder)), ..Self::default() }
    }

    /// Remembers layers that were read and whose digests were found right.
    pub fn remember(&self, scanned: &[ScannedLayer], layers: &[Arc<Layer>]) {
        let Ok(mut known) = self.known.lock() else { return };
        for (scan, layer) in scanned.iter().zip(layers) {
            known.entry(scan.digest).or_insert_with(|| (scan.clone(), Arc::clone(layer)));
        }
    }

    /// Remembers a layer that was read back from the output that is to be judged.
    pub fn remember_read_back(&self, scan: &ScannedLayer, layer: &Arc<Layer>) {
        self.remember(std::slice::from_ref(scan), std::slice::from_ref(layer));
        if let Ok(mut read_back) = self.read_back.lock() {
            read_back.insert(scan.digest);
        }
    }

    fn get(&self, digest: Digest) -> Option<Scan> {
        self.known.lock().ok()?.get(&digest).cloned()
    }

    fn was_read_back(&self, digest: Digest) -> bool {
        self.read_back.lock().is_ok_and(|read_back| read_back.contains(&digest))
    }
}

/// A blob that is being read.
struct BlobState {
    input: Box<dyn Read + Send>,
    position: u64,
    /// Where its digest is asked for.
    hasher: Option<Hasher>,
}

/// Reads a blob as stored, from where its state is.
struct BlobReader<'a> {
    state: Arc<Mutex<BlobState>>,
    progress: &'a dyn Progress,
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock().map_err(|_| io::Error::other("another reader of the blob has failed"))?;
        let read = state.input.read(buffer)?;
        state.position += read as u64;
        if let Some(hasher) = &mut state.hasher {
            hasher.update(&buffer[..read]);
        }
        drop(state);
        self.progress.advance(read as u64);
        Ok(read)
    }
}

fn hash_pieces(
    full: &Receiver<(Vec<u8>, usize)>,
    empty: &Sender<Vec<u8>>,
    mut spool: Option<File>,
) -> io::Result<(Digest, Option<File>)> {
    let mut hasher = Hasher::default();
    let mut result = Ok(());
    for (piece, filled) in full {
        hasher.update(&piece[..filled]);
        if let (Some(file), Ok(())) = (&mut spool, &result) {
            result = file.write_all(&piece[..filled]);
        }
        // The reader may be done already and want no piece back.
        let _ = empty.send(piece);
    }
    result.map(|()| (hasher.finish(), spool))
}

/// Hands each piece, once it was read here, to the thread that hashes the whole layer.
struct Pieces<R> {
    input: R,
    piece: Vec<u8>,
    filled: usize,
    position: usize,
    full: Sender<(Vec<u8>, usize)>,
    free: Receiver<Vec<u8>>,
    made: usize,
}

impl<R> Pieces<R> {
    /// Passes the current piece on, whether it was read here to its end or not.
    fn hand_over(&mut self) {
        if self.filled > 0 {
            let piece = std::mem::take(&mut self.piece);
            // The other end lives until this sender is dropped.
            let _ = self.full.send((piece, self.filled));
            (self.filled, self.position) = (0, 0);
        }
    }
}

impl<R: Read> Read for Pieces<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let take = available.len().min(buffer.len());
        buffer[..take].copy_from_slice(&available[..take]);
        self.consume(take);
        Ok(take)
    }
}

impl<R: Read> BufRead for Pieces<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.filled {
            self.hand_over();
            if self.piece.is_empty() {
                self.piece = if self.made < 4 {
                    self.made += 1;
                    vec![0; PIECE]
                } else {
                    self.free.recv().unwrap_or_else(|_| vec![0; PIECE])
                };
            }
            // Decoders return little at a time; a full piece costs fewer hand-overs.
            while self.filled < self.piece.len() {
                match self.input.read(&mut self.piece[self.filled..]) {
                    Ok(0) => break,
                    Ok(read) => self.filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(&self.piece[self.position..self.filled])
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount;
    }
}
