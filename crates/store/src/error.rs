//! What can go wrong with stored images, each with the file and the place in it.

use std::io;
use std::path::{Path, PathBuf};

use jettison_image::config::ConfigError;
use jettison_image::layer::LayerError;
use jettison_image::tar::TarError;
use jettison_image::validate::Inconsistency;
use jettison_image::{Compression, Digest};

use crate::remote::RemoteError;

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum Error {
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is neither an image archive nor an OCI layout: {reason}", path.display())]
    NotAnImage { path: PathBuf, reason: String },
    #[error("{}: the archive is damaged at entry {entry}", path.display())]
    Archive {
        path: PathBuf,
        entry: String,
        #[source]
        source: TarError,
    },
    #[error("{} unpacks to more than the limit of {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{}: {name} is missing", path.display())]
    Missing { path: PathBuf, name: String },
    #[error("{}: {name} is not valid", path.display())]
    Json {
        path: PathBuf,
        name: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("{}: {name} is not valid", path.display())]
    Config {
        path: PathBuf,
        name: String,
        #[source]
        source: ConfigError,
    },
    #[error("{}: {name} has {got}, not the {expected} that its name or descriptor states", path.display())]
    Digest { path: PathBuf, name: String, expected: Digest, got: Digest },
    #[error("{}: {name} has {got} bytes, not the {expected} that its descriptor states", path.display())]
    Size { path: PathBuf, name: String, expected: u64, got: u64 },
    #[error("{}: {name} is {got}, but its media type says {expected}", path.display())]
    Compression { path: PathBuf, name: String, expected: Compression, got: Compression },
    #[error("{}: {name} is no container image, but {artifact}", path.display())]
    Artifact { path: PathBuf, name: String, artifact: String },
    #[error("{}: {name} has the media type {media_type:?}, which is no layer that can be read", path.display())]
    MediaType { path: PathBuf, name: String, media_type: String },
    #[error("{}: {name} cannot be read", path.display())]
    Layer {
        path: PathBuf,
        name: String,
        #[source]
        source: LayerError,
    },
    #[error("{}: {name} cannot be unpacked at offset {offset}", path.display())]
    Decode {
        path: PathBuf,
        name: String,
        /// In the blob as stored, in bytes.
        offset: u64,
        #[source]
        source: io::Error,
    },
    #[error("{}: the image contradicts itself", path.display())]
    Inconsistent {
        path: PathBuf,
        #[source]
        source: Inconsistency,
    },
    #[error("{} holds several images", path.display())]
    Ambiguous { path: PathBuf, names: Vec<String> },
    #[error("{} has no image {wanted}", path.display())]
    NoSuchImage { path: PathBuf, wanted: String, names: Vec<String> },
    #[error("no local image is called {wanted}")]
    NoSuchLocalImage { wanted: String, near: Vec<String> },
    #[error("several local images have an ID that begins with {digits}")]
    AmbiguousId { digits: String, ids: Vec<String> },
    #[error("the image {id} has several names")]
    SeveralNames { id: Digest, names: Vec<String> },
    #[error("{} has no image for {wanted}", path.display())]
    NoSuchPlatform { path: PathBuf, wanted: String, platforms: Vec<String> },
    #[error("{}: indexes are nested more than {limit} deep", path.display())]
    NestedTooDeep { path: PathBuf, limit: usize },
    #[error(transparent)]
    Remote(#[from] Box<RemoteError>),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What the user could do about it, where something can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Remote(error) => error.hint(),
            Self::Ambiguous { names, .. } if names.is_empty() => {
                Some("none has a name; choose by position, as in FILE@0".to_owned())
            }
            Self::Ambiguous { names, .. } => {
                let names = names.join(" or FILE:");
                Some(format!("name one of them after the path, as in FILE:{names}, or its position, as in FILE@0"))
            }
            Self::NoSuchLocalImage { near, .. } if near.is_empty() => Some("`jettison images` lists them".to_owned()),
            Self::NoSuchLocalImage { near, .. } => Some(format!("there is {}", near.join(" or "))),
            Self::AmbiguousId { ids, .. } => Some(format!("write more digits: {}", ids.join(", "))),
            Self::SeveralNames { names, .. } => Some(format!("remove them one by one: {}", names.join(", "))),
            Self::NoSuchImage { names, .. } => Some(format!("it has {}", list(names))),
            Self::Artifact { .. } => {
                Some("artifacts have no layers of files: name the image that this one stands beside".to_owned())
            }
            Self::NoSuchPlatform { platforms, .. } => {
                Some(format!("it has {}; choose one with --platform", list(platforms)))
            }
            Self::TooLarge { .. } | Self::Layer { source: LayerError::TooLarge { .. }, .. } => {
                Some("if the image is to be trusted, raise the limit with --max-layer-size".to_owned())
            }
            _ => None,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
