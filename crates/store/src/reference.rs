//! How people name an image in a place: skopeo's transports, and bare paths.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jettison_image::Digest;

/// The kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `docker-archive:`, what `docker save` writes.
    DockerArchive,
    /// `oci:`, a folder in the OCI image layout.
    Oci,
    /// `oci-archive:`, a tar of such a folder.
    OciArchive,
}

impl Transport {
    const ALL: [Self; 3] = [Self::DockerArchive, Self::Oci, Self::OciArchive];

    /// The name before the colon.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DockerArchive => "docker-archive",
            Self::Oci => "oci",
            Self::OciArchive => "oci-archive",
        }
    }
}

/// Which of a place's images is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// By tag or full name.
    Name(String),
    /// By the digest of its manifest.
    Digest(Digest),
    /// By its place in the file, counted from 0.
    Position(usize),
}

/// A place, and perhaps which of its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `None` for a bare path: what lies there decides.
    pub transport: Option<Transport>,
    /// The file or folder.
    pub path: PathBuf,
    /// `None` where the place must hold one image only.
    pub selector: Option<Selector>,
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A transport of other tools that this version does not have.
    #[error("the transport {transport}: is not supported; `skopeo copy` or `docker save` bring such an image to a file")]
    Transport {
        /// The name before the colon.
        transport: String,
    },
    /// Nothing after the transport.
    #[error("{text:?} names no file or folder")]
    Empty {
        /// The text.
        text: String,
    },
    /// `@` and something that is neither digest nor number.
    #[error("{text:?} is neither a digest nor a position")]
    Selector {
        /// What follows the `@`.
        text: String,
    },
}

/// Transports that skopeo's users know and this version lacks.
const UNSUPPORTED: [&str; 7] =
    ["docker", "docker-daemon", "containers-storage", "dir", "ostree", "sif", "oci-registry"];

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (prefix, rest) = text.split_once(':').unwrap_or(("", text));
        let transport = Transport::ALL.into_iter().find(|transport| transport.name() == prefix);
        if transport.is_none() && UNSUPPORTED.contains(&prefix) && !Path::new(text).exists() {
            return Err(ReferenceError::Transport { transport: prefix.to_owned() });
        }
        let place = if transport.is_some() { rest } else { text };
        // A path that exists as it stands holds no selector, whatever colons are in it.
        let (path, selector) = if Path::new(place).exists() {
            (place, None)
        } else if let Some((path, selector)) = place.split_once('@').filter(|(path, _)| !path.contains(':')) {
            let known = selector.parse().map(Selector::Digest).ok();
            let known = known.or_else(|| selector.parse().map(Selector::Position).ok());
            let error = || ReferenceError::Selector { text: selector.to_owned() };
            (path, Some(known.ok_or_else(error)?))
        } else {
            let (path, name) = place.split_once(':').unwrap_or((place, ""));
            (path, (!name.is_empty()).then(|| Selector::Name(name.to_owned())))
        };
        if path.is_empty() {
            return Err(ReferenceError::Empty { text: text.to_owned() });
        }
        Ok(Self { transport, path: PathBuf::from(path), selector })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(transport) = self.transport {
            write!(f, "{}:", transport.name())?;
        }
        write!(f, "{}", self.path.display())?;
        match &self.selector {
            None => Ok(()),
            Some(Selector::Name(name)) => write!(f, ":{name}"),
            Some(Selector::Digest(digest)) => write!(f, "@{digest}"),
            Some(Selector::Position(position)) => write!(f, "@{position}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_skopeo_parses() {
        for text in [
            "docker-archive:/x/a.tar",
            "docker-archive:a.tar:app:latest",
            "oci:dir:tag",
            "oci-archive:a.tar@3",
            "bare.tar",
            "oci:dir@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert_eq!(text.parse::<Reference>().expect(text).to_string(), text);
        }
        let reference: Reference = "docker-archive:a.tar:app:latest".parse().expect("parses");
        assert_eq!(reference.path, Path::new("a.tar"));
        assert_eq!(reference.selector, Some(Selector::Name("app:latest".to_owned())));
    }

    #[test]
    fn refuses_by_name_what_it_does_not_have() {
        let error = "docker://alpine".parse::<Reference>().expect_err("unsupported");
        assert_eq!(error, ReferenceError::Transport { transport: "docker".to_owned() });
        assert!(matches!("oci:".parse::<Reference>(), Err(ReferenceError::Empty { .. })));
        assert!(matches!("oci:d@x".parse::<Reference>(), Err(ReferenceError::Selector { .. })));
    }
}
