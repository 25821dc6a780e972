//! Talking to one registry about one repository.

use std::io::Write as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use jettison_image::{Descriptor, Digest, media};
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol, LayerDescriptor};
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use super::{Credentials, Options, Place, media_type_of};
use crate::Progress;
use crate::local::{BlobWriter, Incoming, LocalStore};
use crate::name::ImageName;
use crate::remote::{CONNECT_TIMEOUT, READ_TIMEOUT, RemoteError, Retry, USER_AGENT, is_loopback};

/// Blobs that are fetched at the same time: what registries bear without limiting.
pub(super) const AT_ONCE: usize = 4;
/// Manifests are small (distribution-spec: registries should refuse more than 4 MiB).
const MAX_MANIFEST: u64 = 4 << 20;
/// The kinds of manifest that are asked for.
const ACCEPTED: [&str; 4] = [media::OCI_INDEX, media::DOCKER_INDEX, media::OCI_MANIFEST, media::DOCKER_MANIFEST];

/// A manifest or index as the registry gave it.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
}

impl Fetched {
    pub(super) fn is_index(&self) -> bool {
        [media::OCI_INDEX, media::DOCKER_INDEX].contains(&self.media_type.as_str())
    }
}

/// A registry that let us in.
pub(super) struct Session {
    client: Client,
    place: Place,
    reference: Reference,
    auth: RegistryAuth,
    what: String,
    retry: Retry,
}

impl Session {
    pub(super) async fn start(place: Place, name: &ImageName, options: &Options) -> Result<Self, RemoteError> {
        let is_local = is_loopback(&place.host);
        let mut config = ClientConfig {
            protocol: if is_local { ClientProtocol::Http } else { ClientProtocol::Https },
            platform_resolver: None,
            read_timeout: Some(READ_TIMEOUT),
            connect_timeout: Some(CONNECT_TIMEOUT),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        if is_local {
            // A proxy never stands before this machine; naming one that everything is excepted from is this
            // client's way to say so.
            config.https_proxy = Some("http://127.0.0.1:9".to_owned());
            config.no_proxy = Some("*".to_owned());
        }
        let client = Client::try_from(config).map_err(|error| RemoteError::Client { source: Box::new(error) })?;
        let (host, repository) = (place.host.clone(), place.repository.clone());
        let reference = match (name.digest(), name.tag()) {
            (Some(digest), _) => Reference::with_digest(host, repository, digest.to_string()),
            (None, tag) => Reference::with_tag(host, repository, tag.unwrap_or("latest").to_owned()),
        };
        let auth = match &options.credentials {
            // What was given for the registry is not for its mirrors.
            Credentials::Given { .. } if place.registry != name.domain() => RegistryAuth::Anonymous,
            credentials => credentials.for_registry(&place.registry)?,
        };
        let session = Self { client, place, reference, auth, what: name.to_string(), retry: options.retry };
        session.retry.run(|| session.log_in()).await?;
        Ok(session)
    }

    async fn log_in(&self) -> Result<(), RemoteError> {
        let answer = self.client.auth(&self.reference, &self.auth, RegistryOperation::Pull).await;
        answer.map(drop).map_err(|error| self.error(&self.what, error))
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    pub(super) fn host(&self) -> &str {
        &self.place.host
    }

    /// The digest that the reference stands for.
    pub(super) async fn digest(&self) -> Result<Digest, RemoteError> {
        let text = self
            .retry
            .run(|| async {
                let answer = self.client.fetch_manifest_digest(&self.reference, &self.auth).await;
                answer.map_err(|error| self.error(&self.what, error))
            })
            .await?;
        text.parse().map_err(|error| self.malformed(format!("{error}")))
    }

    /// The manifest that the reference stands for, or the one of a descriptor, checked against its digest.
    pub(super) async fn manifest(&self, below: Option<&Descriptor>) -> Result<Fetched, RemoteError> {
        let reference = match below {
            Some(below) => self.reference.clone_with_digest(below.digest.to_string()),
            None => self.reference.clone(),
        };
        let what = match below {
            Some(below) => format!("the manifest {} of {}", below.digest, self.what),
            None => self.what.clone(),
        };
        let (bytes, _) = self
            .retry
            .run(|| async {
                let answer = self.client.pull_manifest_raw(&reference, &self.auth, &ACCEPTED).await;
                answer.map_err(|error| self.error(&what, error))
            })
            .await?;
        let bytes = bytes.to_vec();
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(RemoteError::TooLarge { what, host: self.place.host.clone(), limit: MAX_MANIFEST });
        }
        let named = self.reference.digest().and_then(|digest| digest.parse::<Digest>().ok());
        let expected = below.map(|below| below.digest).or(named);
        let got = Digest::of(&bytes);
        if let Some(expected) = expected.filter(|&expected| expected != got) {
            return Err(RemoteError::digest(&what, &self.place.host, expected, got));
        }
        let media_type = media_type_of(&bytes)
            .filter(|media_type| ACCEPTED.contains(&media_type.as_str()))
            .ok_or_else(|| self.malformed("it is neither an image nor an index of images".to_owned()))?;
        Ok(Fetched { media_type, bytes })
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, RemoteError> {
        serde_json::from_slice(bytes).map_err(|error| self.malformed(error.to_string()))
    }

    pub(super) fn malformed(&self, reason: String) -> RemoteError {
        RemoteError::Malformed { what: self.what.clone(), host: self.place.host.clone(), reason }
    }

    /// Fetches one blob into the store; a cut connection is taken up where it was cut.
    pub(super) async fn blob(
        &self,
        blob: &Descriptor,
        store: &LocalStore,
        incoming: &Incoming,
        progress: &dyn Progress,
    ) -> Result<(), RemoteError> {
        let what = format!("the blob {} of {}", blob.digest, self.what);
        let mut writer = store.writer(incoming)?;
        let mut attempt = 1;
        // What was reported of a blob that starts again is not reported twice.
        let mut reported = 0;
        loop {
            let before = writer.size();
            match self.some_of_blob(blob, &what, &mut writer, &mut reported, progress).await {
                Ok(()) => break,
                Err(error) => {
                    // A connection that brings something each time may be cut as often as it likes.
                    attempt = if writer.size() > before { 1 } else { attempt };
                    let pause = self.retry.pause_after(attempt, &error);
                    tokio::time::sleep(pause.ok_or(error)?).await;
                    attempt += 1;
                }
            }
        }
        let host = self.place.host.clone();
        match writer.commit(Some((blob.digest, blob.size))) {
            Ok(_) => Ok(()),
            Err(crate::Error::Digest { expected, got, .. }) => Err(RemoteError::digest(&what, &host, expected, got)),
            Err(crate::Error::Size { expected, got, .. }) => Err(RemoteError::Size { what, host, expected, got }),
            Err(error) => Err(error.into()),
        }
    }

    async fn some_of_blob(
        &self,
        blob: &Descriptor,
        what: &str,
        writer: &mut BlobWriter<'_>,
        reported: &mut u64,
        progress: &dyn Progress,
    ) -> Result<(), RemoteError> {
        let digest = blob.digest.to_string();
        let urls = blob.rest.get("urls").and_then(|urls| serde_json::from_value(urls.clone()).ok());
        let layer = LayerDescriptor { digest: &digest, urls: &urls };
        if writer.size() >= blob.size && writer.size() > 0 {
            return Ok(());
        }
        let mut stream = if writer.size() == 0 {
            self.client.pull_blob_stream(&self.reference, &layer).await.map_err(|error| self.error(what, error))?
        } else {
            let rest = self.client.pull_blob_stream_partial(&self.reference, &layer, writer.size(), None).await;
            match rest.map_err(|error| self.error(what, error))? {
                BlobResponse::Partial(stream) => stream,
                BlobResponse::Full(stream) => {
                    writer.restart()?;
                    stream
                }
            }
        };
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| self.io_error(what, error))?;
            let size = writer.size() + piece.len() as u64;
            if size > blob.size {
                let (what, host) = (what.to_owned(), self.place.host.clone());
                return Err(RemoteError::Size { what, host, expected: blob.size, got: size });
            }
            writer.write_all(&piece).map_err(crate::Error::io("write", std::path::Path::new(&digest)))?;
            progress.advance(size.saturating_sub(*reported));
            *reported = (*reported).max(size);
        }
        Ok(())
    }

    fn io_error(&self, what: &str, error: std::io::Error) -> RemoteError {
        let (what, host) = (what.to_owned(), self.place.host.clone());
        match error.get_ref().and_then(|inner| inner.downcast_ref::<DigestError>()) {
            Some(DigestError::VerificationError { expected, actual }) => {
                RemoteError::Digest { what, host, expected: expected.clone(), got: actual.clone() }
            }
            _ => RemoteError::Cut { what, host, source: Box::new(error) },
        }
    }

    fn error(&self, what: &str, error: OciDistributionError) -> RemoteError {
        let host = self.place.host.as_str();
        let status = |code, message: &str| RemoteError::of_status(what, host, code, message, None::<Duration>);
        match error {
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                status(401, "")
            }
            OciDistributionError::ServerError { code, message, .. } => status(code, &message),
            OciDistributionError::RegistryError { envelope, .. } => {
                let first = envelope.errors.first();
                let message = first.map_or("", |error| error.message.as_str());
                status(first.map_or(400, |error| status_of(&error.code)), message)
            }
            OciDistributionError::RequestError(error) => RemoteError::of_request(what, host, error),
            OciDistributionError::IoError(error) => self.io_error(what, error),
            OciDistributionError::DigestError(DigestError::VerificationError { expected, actual }) => {
                RemoteError::Digest { what: what.to_owned(), host: host.to_owned(), expected, got: actual }
            }
            other => {
                let (what, host) = (what.to_owned(), host.to_owned());
                RemoteError::Malformed { what, host, reason: other.to_string() }
            }
        }
    }
}

/// The status with which the specification sends an error code.
fn status_of(code: &OciErrorCode) -> u16 {
    match code {
        OciErrorCode::Unauthorized => 401,
        OciErrorCode::Denied => 403,
        OciErrorCode::ManifestUnknown
        | OciErrorCode::ManifestBlobUnknown
        | OciErrorCode::NameUnknown
        | OciErrorCode::BlobUnknown
        | OciErrorCode::NotFound => 404,
        OciErrorCode::Toomanyrequests => 429,
        _ => 400,
    }
}
