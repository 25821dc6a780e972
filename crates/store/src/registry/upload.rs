//! Uploading one blob: in pieces, so that what is cut goes on where it was cut (distribution-spec, "Pushing a blob in
//! chunks"); at once where it is small, or the registry takes no pieces.

use std::io::Read;

use bytes::Bytes;
use futures_util::stream;
use jettison_image::{Descriptor, Digest, Hasher};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Body, Response, StatusCode};

use super::client::Client;
use crate::Progress;
use crate::blob::Blob;
use crate::error::Error;
use crate::remote::RemoteError;

/// The bytes of one request: as many as are sent again when a connection is cut. Storage behind registries takes no
/// pieces below 5 MiB.
const CHUNK: usize = 8 << 20;
const OCTETS: &str = "application/octet-stream";

/// One blob on its way to a repository.
pub(super) struct Upload<'u> {
    pub(super) client: &'u Client,
    /// The address at which uploads are begun.
    pub(super) uploads: String,
    /// For messages.
    pub(super) what: String,
    pub(super) descriptor: &'u Descriptor,
    pub(super) blob: &'u Blob,
    pub(super) progress: &'u dyn Progress,
}

/// Why an upload did not come to its end.
enum Trouble {
    /// The registry has lost what it had: from the first byte on again.
    Lost(RemoteError),
    /// The registry takes no pieces.
    NoPieces,
    /// For good.
    Failed(RemoteError),
}

impl From<RemoteError> for Trouble {
    fn from(error: RemoteError) -> Self {
        Self::Failed(error)
    }
}

impl Upload<'_> {
    /// Uploads the blob; `begun` is where an upload was begun already.
    pub(super) async fn run(&self, begun: Option<String>) -> Result<(), RemoteError> {
        let (mut begun, mut in_pieces, mut reported) = (begun, self.descriptor.size > CHUNK as u64, 0);
        let mut attempt = 1;
        loop {
            let to = match begun.take() {
                Some(to) => to,
                None => self.begin().await?,
            };
            let done = if in_pieces { self.pieces(to, &mut reported).await } else { self.at_once(to).await };
            match done {
                Ok(()) => {
                    self.progress.advance(self.descriptor.size - reported);
                    return Ok(());
                }
                Err(Trouble::NoPieces) => in_pieces = false,
                Err(Trouble::Failed(error)) => return Err(error),
                Err(Trouble::Lost(error)) => {
                    let pause = self.client.retry.pause_whatever(attempt, &error);
                    tokio::time::sleep(pause.ok_or(error)?).await;
                    attempt += 1;
                }
            }
        }
    }

    async fn begin(&self) -> Result<String, RemoteError> {
        let answer = self.client.send(&self.what, |http| http.post(&self.uploads).body("")).await?;
        self.location(&answer).ok_or_else(|| self.malformed("it begins an upload and does not say where"))
    }

    fn location(&self, answer: &Response) -> Option<String> {
        location(self.client, answer)
    }

    fn malformed(&self, reason: &str) -> RemoteError {
        let host = self.client.host().to_owned();
        RemoteError::Malformed { what: self.what.clone(), host, reason: reason.to_owned() }
    }

    /// All of it in one request.
    async fn at_once(&self, to: String) -> Result<(), Trouble> {
        let size = self.descriptor.size;
        let url = self.last(&to);
        let request = |http: &reqwest::Client| http.put(&url).header(CONTENT_TYPE, OCTETS).header(CONTENT_LENGTH, size);
        let answer = if size <= CHUNK as u64 {
            let mut chunks = Chunks::of(self.blob);
            let body = chunks.next().await?;
            self.check(chunks)?;
            self.client.once(&self.what, |http| request(http).body(body.clone())).await
        } else {
            // Only here is a body sent that cannot be sent twice; beginning the upload has shown who asks.
            let pieces = stream::try_unfold(Chunks::of(self.blob), |mut chunks| async move {
                let piece = chunks.next().await?;
                Ok::<_, RemoteError>((!piece.is_empty()).then_some((piece, chunks)))
            });
            let body = std::sync::Mutex::new(Some(Body::wrap_stream(pieces)));
            let taken = || body.lock().ok().and_then(|mut body| body.take()).unwrap_or_default();
            self.client.once(&self.what, |http| request(http).body(taken())).await
        };
        self.settled(answer).await.map(drop)
    }

    /// Piece by piece.
    async fn pieces(&self, to: String, reported: &mut u64) -> Result<(), Trouble> {
        let mut chunks = Chunks::of(self.blob);
        let (mut to, mut sent) = (to, 0);
        loop {
            let piece = chunks.next().await?;
            if piece.is_empty() {
                break;
            }
            let size = piece.len() as u64;
            to = self.piece(to, sent, piece).await?;
            sent += size;
            self.progress.advance(sent.saturating_sub(*reported));
            *reported = (*reported).max(sent);
        }
        self.check(chunks)?;
        let url = self.last(&to);
        let answer = self.client.once(&self.what, |http| http.put(&url).header(CONTENT_LENGTH, 0)).await;
        self.settled(answer).await.map(drop)
    }

    /// Sends the piece that begins at `start`, whatever it takes; says where the next one goes.
    async fn piece(&self, to: String, start: u64, piece: Bytes) -> Result<String, Trouble> {
        let (mut to, mut at) = (to, start);
        let end = start + piece.len() as u64;
        let mut attempt = 1;
        while at < end {
            let rest = piece.slice(usize::try_from(at - start).unwrap_or(usize::MAX).min(piece.len())..);
            let make = |http: &reqwest::Client| {
                let request = http.patch(&to).header(CONTENT_TYPE, OCTETS).header(CONTENT_LENGTH, rest.len());
                request.header(CONTENT_RANGE, format!("{at}-{}", end - 1)).body(rest.clone())
            };
            let error = match self.client.once(&self.what, make).await {
                Ok(answer) if answer.status().is_success() => {
                    let has = held(&answer).unwrap_or(end);
                    to = self.location(&answer).unwrap_or(to);
                    // A registry may keep a part of a piece.
                    if (at + 1..=end).contains(&has) {
                        at = has;
                        attempt = 1;
                        continue;
                    }
                    let reason = format!("it has {has} bytes where {end} were sent");
                    return Err(Trouble::Lost(self.malformed(&reason)));
                }
                Ok(answer) => {
                    let status = answer.status();
                    let error = self.client.refusal(&self.what, answer).await;
                    let knows_no_pieces = matches!(status.as_u16(), 400 | 404 | 405 | 411 | 415 | 416 | 501);
                    match error {
                        _ if at == 0 && knows_no_pieces => return Err(Trouble::NoPieces),
                        error if status == StatusCode::RANGE_NOT_SATISFIABLE || error.is_passing() => error,
                        error => return Err(Trouble::Lost(error)),
                    }
                }
                Err(error) if error.is_passing() => error,
                Err(error) => return Err(error.into()),
            };
            match self.client.retry.pause_after(attempt, &error) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error.into()),
            }
            attempt += 1;
            (to, at) = self.state(to, start, end).await.ok_or(Trouble::Lost(error))?;
        }
        Ok(to)
    }

    /// Where an upload goes on, and from which byte; `None` where it does not, or not within the piece at hand.
    async fn state(&self, to: String, start: u64, end: u64) -> Option<(String, u64)> {
        let answer = self.client.once(&self.what, |http| http.get(&to)).await.ok()?;
        let has = held(&answer).filter(|_| answer.status().is_success())?;
        (start..=end).contains(&has).then(|| (self.location(&answer).unwrap_or(to), has))
    }

    /// Whether the registry has taken the whole blob.
    async fn settled(&self, answer: Result<Response, RemoteError>) -> Result<Response, Trouble> {
        let error = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(answer),
            Ok(answer) => self.client.refusal(&self.what, answer).await,
            Err(error) => error,
        };
        Err(if error.is_passing() { Trouble::Lost(error) } else { Trouble::Failed(error) })
    }

    /// What was read must be the blob; a registry would say it in its own words.
    fn check(&self, mut chunks: Chunks) -> Result<(), RemoteError> {
        let got = chunks.hasher.finish();
        if got == self.descriptor.digest {
            return Ok(());
        }
        Err(RemoteError::digest(&self.what, "the source", self.descriptor.digest, got))
    }

    /// The address at which the upload is ended.
    fn last(&self, to: &str) -> String {
        let digest: Digest = self.descriptor.digest;
        format!("{to}{}digest={digest}", if to.contains('?') { '&' } else { '?' })
    }
}

/// Where an answer says that the next request goes.
pub(super) fn location(client: &Client, answer: &Response) -> Option<String> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    Some(if location.starts_with('/') { client.url(location) } else { location.to_owned() })
}

/// The bytes that a registry says to have: `Range: 0-N` names the last one. An upload of which it has nothing says `0-0`
/// as well, which is taken for nothing, since no piece is that small.
fn held(answer: &Response) -> Option<u64> {
    let range = answer.headers().get(RANGE)?.to_str().ok()?;
    let last: u64 = range.rsplit('-').next()?.trim().parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}

/// A blob's bytes in order, read on another thread.
struct Chunks {
    reader: Option<Box<dyn Read + Send>>,
    hasher: Hasher,
}

impl Chunks {
    fn of(blob: &Blob) -> Self {
        Self { reader: Some(blob.reader()), hasher: Hasher::default() }
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> Result<Bytes, RemoteError> {
        let Some(mut reader) = self.reader.take() else { return Ok(Bytes::new()) };
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(CHUNK);
            reader.by_ref().take(CHUNK as u64).read_to_end(&mut bytes).map(|_| (reader, bytes))
        });
        let read = read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let (reader, bytes) = read.map_err(of_reading)?;
        self.reader = Some(reader);
        self.hasher.update(&bytes);
        Ok(Bytes::from(bytes))
    }
}

/// What reading a blob that lies on another registry says is said as it is.
fn of_reading(error: std::io::Error) -> RemoteError {
    match error.downcast::<RemoteError>() {
        Ok(error) => error,
        Err(source) => RemoteError::Store(Error::Io { action: "read", path: "a blob".into(), source }),
    }
}
