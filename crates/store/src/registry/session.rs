//! One repository of one registry, to read from.

use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use jettison_image::{Descriptor, Digest, media};
use reqwest::header::{ACCEPT, RANGE};
use reqwest::{Response, StatusCode};

use super::client::Client;
use super::{Credentials, Options, Place, media_type_of};
use crate::Progress;
use crate::local::{BlobWriter, Incoming, LocalStore};
use crate::name::ImageName;
use crate::remote::RemoteError;

/// Blobs that are fetched at the same time: what registries bear without limiting.
pub(super) const AT_ONCE: usize = 4;
/// Manifests are small (distribution-spec: registries should refuse more than 4 MiB).
const MAX_MANIFEST: u64 = 4 << 20;
/// The kinds of manifest that are asked for.
const ACCEPTED: [&str; 4] = [media::OCI_INDEX, media::DOCKER_INDEX, media::OCI_MANIFEST, media::DOCKER_MANIFEST];
/// Where a registry says what a manifest's digest is.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// A manifest or index as the registry gave it.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Fetched {
    pub(super) fn is_index(&self) -> bool {
        [media::OCI_INDEX, media::DOCKER_INDEX].contains(&self.media_type.as_str())
    }

    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }
}

/// Takes a blob's bytes as they come.
pub(super) trait Pieces {
    /// Takes the next bytes.
    async fn take(&mut self, piece: Bytes) -> Result<(), RemoteError>;
}

/// A repository that can be read.
pub(super) struct Session {
    client: Client,
    repository: String,
    /// The tag or digest that was asked for.
    reference: String,
    /// The digest that was asked for.
    pinned: Option<Digest>,
    what: String,
}

impl Session {
    pub(super) async fn start(place: Place, name: &ImageName, options: &Options) -> Result<Self, RemoteError> {
        let login = match &options.credentials {
            // What was given for the registry is not for its mirrors.
            Credentials::Given { .. } if place.registry != name.domain() => Credentials::Anonymous,
            credentials => credentials.clone(),
        };
        let login = login.for_repository(&place.registry, &place.repository)?;
        let scopes = vec![format!("repository:{}:pull", place.repository)];
        let client = Client::start(&place, login, scopes, options).await?;
        let reference = match (name.digest(), name.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        Ok(Self { client, repository: place.repository, reference, pinned: name.digest(), what: name.to_string() })
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    pub(super) fn host(&self) -> &str {
        self.client.host()
    }

    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    fn manifest_url(&self, reference: &str) -> String {
        self.client.url(&format!("/v2/{}/manifests/{reference}", self.repository))
    }

    /// The digest that the reference stands for.
    pub(super) async fn digest(&self) -> Result<Digest, RemoteError> {
        let url = self.manifest_url(&self.reference);
        let answer = self.client.send(&self.what, |http| http.head(&url).header(ACCEPT, ACCEPTED.join(", "))).await?;
        let said = answer.headers().get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()?.parse().ok());
        match said {
            Some(digest) => Ok(digest),
            None => Ok(self.manifest(None).await?.descriptor().digest),
        }
    }

    /// The manifest that the reference stands for, or the one of a descriptor, checked against its digest.
    pub(super) async fn manifest(&self, below: Option<&Descriptor>) -> Result<Fetched, RemoteError> {
        let (what, reference) = match below {
            Some(below) => (format!("the manifest {} of {}", below.digest, self.what), below.digest.to_string()),
            None => (self.what.clone(), self.reference.clone()),
        };
        let url = self.manifest_url(&reference);
        let bytes = self
            .client
            .retry
            .run(|| async {
                let make = |http: &reqwest::Client| http.get(&url).header(ACCEPT, ACCEPTED.join(", "));
                let answer = self.client.checked(&what, self.client.once(&what, make).await?).await?;
                self.small(&what, answer, MAX_MANIFEST).await
            })
            .await?;
        let expected = below.map(|below| below.digest).or(self.pinned);
        let got = Digest::of(&bytes);
        if let Some(expected) = expected.filter(|&expected| expected != got) {
            return Err(RemoteError::digest(&what, self.host(), expected, got));
        }
        let media_type = media_type_of(&bytes)
            .filter(|media_type| ACCEPTED.contains(&media_type.as_str()))
            .ok_or_else(|| self.malformed("it is neither an image nor an index of images".to_owned()))?;
        Ok(Fetched { media_type, bytes })
    }

    /// The body of an answer that cannot be large.
    async fn small(&self, what: &str, mut answer: Response, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.failed(what, error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > limit {
                let (what, host) = (what.to_owned(), self.host().to_owned());
                return Err(RemoteError::TooLarge { what, host, limit });
            }
        }
        Ok(bytes)
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, RemoteError> {
        serde_json::from_slice(bytes).map_err(|error| self.malformed(error.to_string()))
    }

    pub(super) fn malformed(&self, reason: String) -> RemoteError {
        RemoteError::Malformed { what: self.what.clone(), host: self.host().to_owned(), reason }
    }

    fn failed(&self, what: &str, error: reqwest::Error) -> RemoteError {
        RemoteError::of_request(what, self.host(), error)
    }

    fn what_blob(&self, blob: &Descriptor) -> String {
        format!("the blob {} of {}", blob.digest, self.what)
    }

    /// Reads a blob and hands it on as it comes; what is cut is taken up where it was cut. Its size is checked; its
    /// digest is for who takes the bytes.
    pub(super) async fn read(&self, blob: &Descriptor, to: &mut impl Pieces) -> Result<(), RemoteError> {
        let what = self.what_blob(blob);
        let (mut at, mut attempt) = (0, 1);
        loop {
            let before = at;
            match self.some_of_blob(blob, &what, &mut at, to).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    // A connection that brings something each time may be cut as often as it likes.
                    attempt = if at > before { 1 } else { attempt };
                    let pause = self.client.retry.pause_after(attempt, &error);
                    tokio::time::sleep(pause.ok_or(error)?).await;
                    attempt += 1;
                }
            }
        }
    }

    /// Reads a blob from `at` on, until it ends or is cut.
    async fn some_of_blob(
        &self,
        blob: &Descriptor,
        what: &str,
        at: &mut u64,
        to: &mut impl Pieces,
    ) -> Result<(), RemoteError> {
        let wrong_size = |got| {
            let (what, host) = (what.to_owned(), self.host().to_owned());
            RemoteError::Size { what, host, expected: blob.size, got }
        };
        let mut answer = self.answer(blob, what, *at).await?;
        // A registry that knows no ranges starts anew.
        let mut skip = if answer.status() == StatusCode::PARTIAL_CONTENT { 0 } else { *at };
        while let Some(mut piece) = answer.chunk().await.map_err(|error| self.failed(what, error))? {
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= skipped as u64;
            let _ = piece.split_to(skipped);
            let size = *at + piece.len() as u64;
            if size > blob.size {
                return Err(wrong_size(size));
            }
            to.take(piece).await?;
            *at = size;
        }
        if *at < blob.size { Err(wrong_size(*at)) } else { Ok(()) }
    }

    /// Asks for a blob from `at` on: here, or where its descriptor says that it is.
    async fn answer(&self, blob: &Descriptor, what: &str, at: u64) -> Result<Response, RemoteError> {
        let url = self.client.url(&format!("/v2/{}/blobs/{}", self.repository, blob.digest));
        let ranged = |request: reqwest::RequestBuilder| match at {
            0 => request,
            _ => request.header(RANGE, format!("bytes={at}-")),
        };
        let answer = self.client.once(what, |http| ranged(http.get(&url))).await?;
        if answer.status() != StatusCode::NOT_FOUND {
            return self.client.checked(what, answer).await;
        }
        let elsewhere: Option<Vec<String>> =
            blob.rest.get("urls").and_then(|urls| serde_json::from_value(urls.clone()).ok());
        for url in elsewhere.iter().flatten().filter(|url| url.starts_with("https://") || url.starts_with("http://")) {
            // Nobody else is told who asks.
            if let Ok(other) = self.client.bare(what, |http| ranged(http.get(url))).await
                && other.status().is_success()
            {
                return Ok(other);
            }
        }
        self.client.checked(what, answer).await
    }

    /// Fetches one blob into the store.
    pub(super) async fn blob(
        &self,
        blob: &Descriptor,
        store: &LocalStore,
        incoming: &Incoming,
        progress: &dyn Progress,
    ) -> Result<(), RemoteError> {
        let mut to = ToStore { writer: store.writer(incoming)?, digest: blob.digest, progress };
        self.read(blob, &mut to).await?;
        match to.writer.commit(Some((blob.digest, blob.size))) {
            Ok(_) => Ok(()),
            Err(crate::Error::Digest { expected, got, .. }) => {
                Err(RemoteError::digest(&self.what_blob(blob), self.host(), expected, got))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes of a blob that no descriptor describes; their digest is for who asked.
    pub(super) async fn blob_of_unknown_size(&self, digest: Digest, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let what = format!("the blob {digest} of {}", self.what);
        let url = self.client.url(&format!("/v2/{}/blobs/{digest}", self.repository));
        let answer = self.client.send(&what, |http| http.get(&url)).await?;
        self.small(&what, answer, limit).await
    }

    /// The bytes of a blob that cannot be large, such as a config.
    pub(super) async fn small_blob(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let what = self.what_blob(blob);
        if blob.size > limit {
            return Err(RemoteError::TooLarge { what, host: self.host().to_owned(), limit });
        }
        let mut bytes = ToMemory(Vec::new());
        self.read(blob, &mut bytes).await?;
        let got = Digest::of(&bytes.0);
        if got != blob.digest {
            return Err(RemoteError::digest(&what, self.host(), blob.digest, got));
        }
        Ok(bytes.0)
    }
}

struct ToStore<'t> {
    writer: BlobWriter<'t>,
    digest: Digest,
    progress: &'t dyn Progress,
}

impl Pieces for ToStore<'_> {
    async fn take(&mut self, piece: Bytes) -> Result<(), RemoteError> {
        let name = self.digest.to_string();
        self.writer.write_all(&piece).map_err(crate::Error::io("write", Path::new(&name)))?;
        self.progress.advance(piece.len() as u64);
        Ok(())
    }
}

struct ToMemory(Vec<u8>);

impl Pieces for ToMemory {
    async fn take(&mut self, piece: Bytes) -> Result<(), RemoteError> {
        self.0.extend_from_slice(&piece);
        Ok(())
    }
}
