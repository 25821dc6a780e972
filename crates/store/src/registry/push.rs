//! Pushing an image to a registry: what is there stays, what another repository of it has is mounted, the rest is
//! uploaded. The name comes last, so that nobody ever pulls half an image.

use jettison_image::{Descriptor, Digest};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;

use super::client::Client;
use super::session::AT_ONCE;
use super::upload::{Upload, location};
use super::{Options, host_of, own_place};
use crate::Progress;
use crate::blob::Blob;
use crate::name::ImageName;
use crate::remote::{RemoteError, block_on};

/// What a registry says of a manifest that names a subject (distribution-spec, "Pushing Manifests with Subject").
const SUBJECT: &str = "oci-subject";

/// What is pushed.
pub(crate) struct Load<'l> {
    /// Configs and layers, each once.
    pub(crate) blobs: Vec<(Descriptor, Blob)>,
    /// The images that these were made from, whose repositories may have some of the blobs.
    pub(crate) bases: Vec<ImageName>,
    /// The manifests below the named one.
    pub(crate) manifests: Vec<(Descriptor, Vec<u8>)>,
    /// What the name is to stand for.
    pub(crate) top: (Descriptor, Vec<u8>),
    /// Manifests that tell of others, as their `subject`.
    pub(crate) referrers: Vec<Referrer>,
    pub(crate) progress: &'l dyn Progress,
}

/// A manifest about another one.
pub(crate) struct Referrer {
    pub(crate) descriptor: Descriptor,
    pub(crate) bytes: Vec<u8>,
    pub(crate) subject: Digest,
}

/// What became of the blobs of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Blobs that were there.
    pub there: usize,
    /// Blobs that another repository of the registry had.
    pub mounted: usize,
    /// Blobs that were uploaded.
    pub uploaded: usize,
    /// The bytes of these.
    pub bytes: u64,
}

enum Fate {
    There,
    Mounted,
    Uploaded(u64),
}

/// Pushes an image under its name.
///
/// # Errors
/// Where the registry cannot be reached or refuses something. The name then stands for what it stood for.
pub(crate) fn push(name: &ImageName, load: &Load<'_>, options: &Options) -> Result<Pushed, RemoteError> {
    if options.offline {
        return Err(RemoteError::Offline { what: name.to_string() });
    }
    let work = async {
        let push = Push::start(name, load, options).await?;
        let pushed = push.blobs(load).await?;
        for (descriptor, bytes) in &load.manifests {
            push.manifest(&descriptor.digest.to_string(), descriptor, bytes).await?;
        }
        for referrer in &load.referrers {
            push.referrer(referrer).await?;
        }
        let (descriptor, bytes) = &load.top;
        match (name.tag(), name.digest()) {
            (_, Some(digest)) if digest != descriptor.digest => {
                return Err(RemoteError::digest(&name.to_string(), push.client.host(), digest, descriptor.digest));
            }
            (Some(tag), _) => push.manifest(tag, descriptor, bytes).await?,
            (None, _) => push.manifest(&descriptor.digest.to_string(), descriptor, bytes).await?,
        };
        Ok(pushed)
    };
    block_on(work, load.progress)
}

struct Push {
    client: Client,
    repository: String,
    /// A repository of the registry that may have blobs which lie here.
    base: Option<String>,
    what: String,
}

impl Push {
    async fn start(name: &ImageName, load: &Load<'_>, options: &Options) -> Result<Self, RemoteError> {
        let place = own_place(name);
        let login = options.credentials.for_repository(&place.registry, &place.repository)?;
        // Who mounts must be let into both repositories.
        let mut scopes = vec![format!("repository:{}:pull,push", place.repository)];
        let base = load.bases.iter().find(|base| host_of(base) == place.host).map(|base| base.path().to_owned());
        let others = load.blobs.iter().filter_map(|(_, blob)| blob.repository_on(&place.host));
        for from in others.chain(base.as_deref()) {
            let from = Some(from).filter(|from| *from != place.repository);
            let scope = from.map(|from| format!("repository:{from}:pull"));
            scopes.extend(scope.filter(|scope| !scopes.contains(scope)));
        }
        let client = Client::start(&place, login, scopes, options).await?;
        Ok(Self { client, repository: place.repository, base, what: name.to_string() })
    }

    /// Brings the blobs there, several at a time.
    async fn blobs(&self, load: &Load<'_>) -> Result<Pushed, RemoteError> {
        use futures_util::{StreamExt as _, TryStreamExt as _};
        let fates = load.blobs.iter().map(|(descriptor, blob)| self.blob(descriptor, blob, load.progress));
        let count = |mut pushed: Pushed, fate| async move {
            match fate {
                Fate::There => pushed.there += 1,
                Fate::Mounted => pushed.mounted += 1,
                Fate::Uploaded(bytes) => {
                    pushed.uploaded += 1;
                    pushed.bytes += bytes;
                }
            }
            Ok(pushed)
        };
        futures_util::stream::iter(fates).buffer_unordered(AT_ONCE).try_fold(Pushed::default(), count).await
    }

    async fn blob(&self, descriptor: &Descriptor, blob: &Blob, progress: &dyn Progress) -> Result<Fate, RemoteError> {
        let what = format!("the blob {} of {}", descriptor.digest, self.what);
        if self.has(&what, descriptor.digest).await? {
            progress.advance(descriptor.size);
            return Ok(Fate::There);
        }
        let uploads = self.client.url(&format!("/v2/{}/blobs/uploads/", self.repository));
        let from = blob.repository_on(self.client.host()).or(self.base.as_deref());
        let from = from.filter(|from| *from != self.repository);
        let mut started = None;
        if let Some(from) = from {
            let url = format!("{uploads}?mount={}&from={from}", descriptor.digest);
            let answer = self.client.send(&what, |http| http.post(&url).body("")).await;
            match answer {
                Ok(answer) if answer.status() == StatusCode::CREATED => {
                    progress.advance(descriptor.size);
                    return Ok(Fate::Mounted);
                }
                // A registry that does not mount has begun an upload instead, or knows nothing of mounting.
                Ok(answer) => started = location(&self.client, &answer),
                Err(RemoteError::Stopped) => return Err(RemoteError::Stopped),
                Err(_) => {}
            }
        }
        let upload = Upload { client: &self.client, uploads, what, descriptor, blob, progress };
        upload.run(started).await?;
        Ok(Fate::Uploaded(descriptor.size))
    }

    async fn has(&self, what: &str, digest: Digest) -> Result<bool, RemoteError> {
        let url = self.client.url(&format!("/v2/{}/blobs/{digest}", self.repository));
        match self.client.send(what, |http| http.head(&url)).await {
            Ok(_) => Ok(true),
            Err(RemoteError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest under a tag or its digest; says whether the registry took note of its subject.
    async fn manifest(&self, reference: &str, descriptor: &Descriptor, bytes: &[u8]) -> Result<bool, RemoteError> {
        let url = self.client.url(&format!("/v2/{}/manifests/{reference}", self.repository));
        let what = format!("the manifest {} of {}", descriptor.digest, self.what);
        let make =
            |http: &reqwest::Client| http.put(&url).header(CONTENT_TYPE, &descriptor.media_type).body(bytes.to_vec());
        let answer = self.client.send(&what, make).await?;
        Ok(answer.headers().contains_key(SUBJECT))
    }

    /// Puts a manifest about another one. Registries that keep no list of these have it under a tag
    /// (distribution-spec, "Referrers Tag Schema").
    async fn referrer(&self, referrer: &Referrer) -> Result<(), RemoteError> {
        let digest = referrer.descriptor.digest.to_string();
        if self.manifest(&digest, &referrer.descriptor, &referrer.bytes).await? {
            return Ok(());
        }
        let tag = referrer.subject.to_string().replace(':', "-");
        let url = self.client.url(&format!("/v2/{}/manifests/{tag}", self.repository));
        let what = format!("the referrers of {}", self.what);
        let accept = jettison_image::media::OCI_INDEX;
        let mut index = match self.client.send(&what, |http| http.get(&url).header("accept", accept)).await {
            Ok(answer) => {
                let bytes =
                    answer.bytes().await.map_err(|error| RemoteError::of_request(&what, self.client.host(), error))?;
                serde_json::from_slice(&bytes).map_err(|error| {
                    let host = self.client.host().to_owned();
                    RemoteError::Malformed { what: what.clone(), host, reason: error.to_string() }
                })?
            }
            Err(RemoteError::NotFound { .. }) => jettison_image::Index::new(Vec::new()),
            Err(error) => return Err(error),
        };
        if index.manifests.iter().all(|known| known.digest != referrer.descriptor.digest) {
            index.manifests.push(referrer.descriptor.clone());
        }
        let bytes = serde_json::to_vec(&index).unwrap_or_default();
        let descriptor = Descriptor::of(accept, &bytes);
        self.manifest(&tag, &descriptor, &bytes).await.map(drop)
    }
}
