//! Images on registries (OCI distribution-spec): read where they are, pulled into the local store, pushed.
//!
//! Manifests are kept byte for byte. A mirror is asked before the default registry, as Docker's engine does.
//! Plain HTTP is spoken to registries on this machine, and to others only where the user says so.

mod client;
mod credentials;
#[cfg(test)]
mod layers_tests;
mod push;
#[cfg(test)]
mod push_tests;
mod remote_blob;
#[cfg(test)]
pub(crate) mod server;
mod session;
#[cfg(test)]
mod tests;
mod upload;

use std::path::Path;
use std::time::Duration;

use jettison_image::{Descriptor, Digest, Index, Manifest, Platform, media};

use crate::Progress;
use crate::local::{Incoming, LocalStore};
use crate::name::ImageName;
use crate::remote::{READ_TIMEOUT, RemoteError, Retry, block_on};

pub use credentials::Credentials;
pub use push::Pushed;
pub(crate) use push::{Load, Referrer, push};
pub use remote_blob::{Remote, RemoteBlob, RemoteReader};
pub(crate) use session::Fetched;
use session::Session;

/// Where the default registry answers.
const DEFAULT_HOST: &str = "registry-1.docker.io";
/// Indexes within indexes that are followed.
const MAX_NESTING: usize = 8;

/// How registries are spoken to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hosts, with ports where they have them, that are asked first for images of the default registry.
    pub mirrors: Vec<String>,
    /// Who asks.
    pub credentials: Credentials,
    /// Use no network: fail for what is not at hand.
    pub offline: bool,
    /// How often requests are tried.
    pub retry: Retry,
    /// Who may vouch for servers besides those whom this machine trusts.
    pub authorities: Vec<reqwest::Certificate>,
    /// Speak plain HTTP, to whatever host.
    pub plain_http: bool,
    /// How long a server may be silent before a connection counts as cut.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            credentials: Credentials::default(),
            offline: false,
            retry: Retry::default(),
            authorities: Vec::new(),
            plain_http: false,
            patience: READ_TIMEOUT,
        }
    }
}

impl Options {
    /// Trusts the authorities whose certificates a file holds, in PEM.
    ///
    /// # Errors
    /// Where the file cannot be read or holds no certificate.
    pub fn trust(&mut self, path: &Path) -> Result<(), RemoteError> {
        let bytes = std::fs::read(path).map_err(crate::Error::io("read", path))?;
        let authority = |source| RemoteError::Authority { path: path.to_owned(), source };
        let found = reqwest::Certificate::from_pem_bundle(&bytes).map_err(|error| authority(Some(error)))?;
        if found.is_empty() {
            return Err(authority(None));
        }
        self.authorities.extend(found);
        Ok(())
    }
}

/// One image's place on one host.
#[derive(Clone, Debug)]
struct Place {
    host: String,
    repository: String,
    /// The registry as the user names it, for messages and credentials.
    registry: String,
}

/// Brings an image for one platform into the store under its name. Blobs that are there are not fetched.
/// The result is what the name stands for: a manifest, or the index that lists it.
///
/// # Errors
/// Where it cannot be fetched or written; the store is then as it was, but for whole blobs.
pub fn pull(
    name: &ImageName,
    platform: &Platform,
    store: &LocalStore,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Descriptor, RemoteError> {
    let work = |place| async move {
        let session = Session::start(place, name, options).await?;
        let pull = Pull { session: &session, store, incoming: store.incoming()?, platform, progress };
        pull.image(name).await
    };
    at_first_place(name, options, progress, work)
}

/// The digest that a name stands for in its registry now.
///
/// # Errors
/// Where the registry cannot be asked or does not have it.
pub fn resolve(name: &ImageName, options: &Options, progress: &dyn Progress) -> Result<Digest, RemoteError> {
    at_first_place(name, options, progress, |place| async move {
        let session = Session::start(place, name, options).await?;
        session.digest().await
    })
}

/// Does the work at each mirror, and last at the registry itself, until it is done. A mirror that fails,
/// whatever the reason, leaves the word to the next.
fn at_first_place<T, F: Future<Output = Result<T, RemoteError>>>(
    name: &ImageName,
    options: &Options,
    progress: &dyn Progress,
    work: impl Fn(Place) -> F,
) -> Result<T, RemoteError> {
    if options.offline {
        return Err(RemoteError::Offline { what: name.to_string() });
    }
    let asked = async {
        for mirror in mirrors(name, options) {
            match work(mirror).await {
                Ok(value) => return Ok(value),
                // The next would fail in the same way.
                Err(error @ RemoteError::Store(_)) => return Err(error),
                Err(_) => {}
            }
        }
        work(own_place(name)).await
    };
    block_on(asked, progress)
}

/// Finds an image on its registry; what it consists of comes when it is read.
pub(crate) fn connect(name: &ImageName, options: &Options) -> Result<(Remote, Fetched), RemoteError> {
    if options.offline {
        return Err(RemoteError::Offline { what: name.to_string() });
    }
    let at = |place| {
        let remote = Remote::start(|| Session::start(place, name, options))?;
        let top = remote.manifest(None)?;
        Ok((remote, top))
    };
    let found = mirrors(name, options).into_iter().find_map(|mirror| at(mirror).ok());
    found.map_or_else(|| at(own_place(name)), Ok)
}

/// Where mirrors have an image of the default registry.
fn mirrors(name: &ImageName, options: &Options) -> Vec<Place> {
    let place = |mirror: &String| {
        // The place of a mirror is its host; people also write it with a scheme, as for Docker's engine.
        let host = mirror.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        Place { host: host.to_owned(), repository: name.path().to_owned(), registry: host.to_owned() }
    };
    let mirrors: &[String] = if name.is_of_default_registry() { &options.mirrors } else { &[] };
    mirrors.iter().map(place).collect()
}

fn own_place(name: &ImageName) -> Place {
    Place { host: host_of(name), repository: name.path().to_owned(), registry: name.domain().to_owned() }
}

/// Where an image's registry answers.
fn host_of(name: &ImageName) -> String {
    if name.is_of_default_registry() { DEFAULT_HOST.to_owned() } else { name.domain().to_owned() }
}

/// One pull from one host.
struct Pull<'p> {
    session: &'p Session,
    store: &'p LocalStore,
    incoming: Incoming,
    platform: &'p Platform,
    progress: &'p dyn Progress,
}

impl Pull<'_> {
    async fn image(&self, name: &ImageName) -> Result<Descriptor, RemoteError> {
        let top = self.session.manifest(None).await?;
        let mut needed = Vec::new();
        let mut current = top.clone();
        for _ in 0..MAX_NESTING {
            needed.push(self.store.put(&current.media_type, &current.bytes)?.digest);
            if !current.is_index() {
                self.blobs(&current, &mut needed).await?;
                let descriptor = top.descriptor();
                self.store.tag(name, &descriptor, &needed)?;
                return Ok(descriptor);
            }
            let next = self.choose(&current)?;
            current = self.session.manifest(Some(&next)).await?;
        }
        Err(self.session.malformed(format!("indexes are nested more than {MAX_NESTING} deep")))
    }

    /// The manifest for the platform; an index that does not say its platforms may hold it.
    fn choose(&self, fetched: &Fetched) -> Result<Descriptor, RemoteError> {
        let index: Index = self.session.json(&fetched.bytes)?;
        let candidates: Vec<Descriptor> = index.manifests.into_iter().filter(|d| !d.is_referrer()).collect();
        let is_wanted = |d: &&Descriptor| d.platform.as_ref().is_some_and(|platform| platform.satisfies(self.platform));
        let chosen = candidates.iter().find(is_wanted);
        let chosen = chosen.or_else(|| candidates.iter().find(|descriptor| descriptor.platform.is_none()));
        chosen.cloned().ok_or_else(|| RemoteError::NoSuchPlatform {
            what: self.session.what().to_owned(),
            host: self.session.host().to_owned(),
            wanted: self.platform.to_string(),
            platforms: candidates.iter().filter_map(|d| d.platform.as_ref()).map(Platform::to_string).collect(),
        })
    }

    /// Fetches config and layers, several at a time.
    async fn blobs(&self, fetched: &Fetched, needed: &mut Vec<Digest>) -> Result<(), RemoteError> {
        use futures_util::{StreamExt as _, TryStreamExt as _};
        let manifest: Manifest = self.session.json(&fetched.bytes)?;
        let mut missing: Vec<&Descriptor> = Vec::new();
        for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
            if needed.contains(&blob.digest) {
                continue;
            }
            needed.push(blob.digest);
            if !self.store.reuse(blob.digest, blob.size) {
                self.progress.expect(blob.size);
                missing.push(blob);
            }
        }
        let fetches =
            missing.into_iter().map(|blob| self.session.blob(blob, self.store, &self.incoming, self.progress));
        futures_util::stream::iter(fetches).buffer_unordered(session::AT_ONCE).try_collect::<Vec<()>>().await?;
        Ok(())
    }
}

/// What a manifest's bytes are, where they say it or their fields show it.
fn media_type_of(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    if let Some(said) = value.get("mediaType").and_then(serde_json::Value::as_str) {
        return Some(said.to_owned());
    }
    let shown = if value.get("manifests").is_some() { media::OCI_INDEX } else { media::OCI_MANIFEST };
    (value.get("manifests").is_some() || value.get("config").is_some()).then(|| shown.to_owned())
}
