//! A repository that several threads read from, each blob as a stream.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use jettison_image::{Descriptor, Digest, Hasher};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::Fetched;
use super::session::{Pieces, Session};
use crate::remote::RemoteError;

/// Pieces of a blob that wait to be read; a piece is what comes at once, up to some hundred kilobytes.
const WAITING: usize = 8;

/// A repository of a registry, and the threads that listen to it.
#[derive(Clone)]
pub struct Remote(Arc<Inner>);

struct Inner {
    session: Session,
    /// Dropped last: connections end with it.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Remote").field(&self.0.session.what()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The last one may go on a thread of the runtime itself, which cannot wait for itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Remote {
    /// Starts listening; `start` makes the session.
    pub(super) fn start<F: Future<Output = Result<Session, RemoteError>>>(
        start: impl FnOnce() -> F,
    ) -> Result<Self, RemoteError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| RemoteError::Client { source: Box::new(error) })?;
        let session = runtime.block_on(start())?;
        Ok(Self(Arc::new(Inner { session, runtime: Some(runtime) })))
    }

    /// Waits for an answer.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, RemoteError>>) -> Result<T, RemoteError> {
        match &self.0.runtime {
            Some(runtime) => runtime.block_on(answer),
            None => Err(RemoteError::Stopped),
        }
    }

    pub(super) fn host(&self) -> &str {
        self.0.session.host()
    }

    pub(super) fn repository(&self) -> &str {
        self.0.session.repository()
    }

    /// The manifest or index that the name stands for, or that a descriptor names.
    pub(super) fn manifest(&self, below: Option<&Descriptor>) -> Result<Fetched, RemoteError> {
        self.wait(self.0.session.manifest(below))
    }

    /// The bytes of a blob of no more than `limit` bytes.
    pub(crate) fn small_blob(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, RemoteError> {
        self.wait(self.0.session.small_blob(blob, limit))
    }

    /// The bytes of a blob that no descriptor describes.
    pub(crate) fn blob_of_unknown_size(&self, digest: Digest, limit: u64) -> Result<Vec<u8>, RemoteError> {
        self.wait(self.0.session.blob_of_unknown_size(digest, limit))
    }

    /// The bytes of a manifest, an index or a small blob, by what its descriptor says that it is.
    pub(crate) fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, RemoteError> {
        if descriptor.is_index() || descriptor.is_manifest() {
            return Ok(self.manifest(Some(descriptor))?.bytes);
        }
        self.small_blob(descriptor, limit)
    }

    /// A blob, of which nothing is fetched yet.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> RemoteBlob {
        RemoteBlob { remote: self.clone(), descriptor: Arc::new(descriptor.clone()) }
    }
}

/// A blob that lies on a registry.
#[derive(Clone, Debug)]
pub struct RemoteBlob {
    remote: Remote,
    descriptor: Arc<Descriptor>,
}

impl RemoteBlob {
    /// Its length in bytes, as its descriptor states it.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.descriptor.size
    }

    /// The repository in which it lies, if that is on `host`.
    pub(crate) fn repository_on(&self, host: &str) -> Option<&str> {
        (self.remote.host() == host).then(|| self.remote.repository())
    }

    /// Reads it from its first byte; the end comes only where size and digest are those of the descriptor.
    #[must_use]
    pub fn reader(&self) -> RemoteReader {
        let (to, pieces) = mpsc::channel(WAITING);
        if let Some(runtime) = &self.remote.0.runtime {
            let (inner, blob) = (Arc::clone(&self.remote.0), Arc::clone(&self.descriptor));
            runtime.spawn(async move {
                let mut to = ToReader(to);
                if let Err(error) = inner.session.read(&blob, &mut to).await {
                    // Who has stopped reading needs no reason.
                    let _ = to.0.send(Err(error)).await;
                }
            });
        }
        let (hasher, left) = (Some(Hasher::default()), self.descriptor.size);
        let what = format!("the blob {} of {}", self.descriptor.digest, self.remote.0.session.what());
        let expected = self.descriptor.digest;
        RemoteReader { pieces, piece: Bytes::new(), hasher, left, expected, what, host: self.remote.host().to_owned() }
    }
}

struct ToReader(mpsc::Sender<Result<Bytes, RemoteError>>);

impl Pieces for ToReader {
    async fn take(&mut self, piece: Bytes) -> Result<(), RemoteError> {
        self.0.send(Ok(piece)).await.map_err(|_| RemoteError::Stopped)
    }
}

/// Reads a [`RemoteBlob`] as it comes.
pub struct RemoteReader {
    pieces: mpsc::Receiver<Result<Bytes, RemoteError>>,
    piece: Bytes,
    /// None after the end.
    hasher: Option<Hasher>,
    left: u64,
    expected: Digest,
    what: String,
    host: String,
}

impl Read for RemoteReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => {
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&piece);
                    }
                    self.left = self.left.saturating_sub(piece.len() as u64);
                    self.piece = piece;
                }
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return self.end(),
            }
        }
        let take = self.piece.len().min(buffer.len());
        buffer[..take].copy_from_slice(&self.piece[..take]);
        self.piece.advance(take);
        Ok(take)
    }
}

impl RemoteReader {
    fn end(&mut self) -> io::Result<usize> {
        if self.left > 0 {
            return Err(io::Error::other(RemoteError::Stopped));
        }
        let Some(mut hasher) = self.hasher.take() else { return Ok(0) };
        let got = hasher.finish();
        if got == self.expected {
            return Ok(0);
        }
        Err(io::Error::other(RemoteError::digest(&self.what, &self.host, self.expected, got)))
    }
}
