//! How people name an image in a place: skopeo's transports, and bare paths.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jettison_image::Digest;

use crate::error::Error;
use crate::local::LocalStore;
use crate::name::{ImageName, NameError};

/// The kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `docker-archive:`, what `docker save` writes.
    DockerArchive,
    /// `oci:`, a folder in the OCI image layout.
    Oci,
    /// `oci-archive:`, a tar of such a folder.
    OciArchive,
    /// `local:`, the images that this machine has at hand, by name.
    Local,
    /// `docker://`, a registry.
    Registry,
    /// `docker-daemon:`, the images of Docker's engine.
    DockerDaemon,
    /// `containers-storage:`, the images of podman and buildah.
    ContainersStorage,
}

impl Transport {
    const ALL: [Self; 7] = [
        Self::DockerArchive,
        Self::Oci,
        Self::OciArchive,
        Self::Local,
        Self::Registry,
        Self::DockerDaemon,
        Self::ContainersStorage,
    ];

    /// Whether an engine keeps the images, which gives and takes them as archives.
    #[must_use]
    pub fn is_engine(self) -> bool {
        matches!(self, Self::DockerDaemon | Self::ContainersStorage)
    }

    /// The name before the colon.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DockerArchive => "docker-archive",
            Self::Oci => "oci",
            Self::OciArchive => "oci-archive",
            Self::Local => "local",
            Self::Registry => "docker",
            Self::DockerDaemon => "docker-daemon",
            Self::ContainersStorage => "containers-storage",
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
    /// The file or folder; for images of the local store, empty until [`Reference::in_store`]; for those of registries,
    /// empty; for those of engines, empty until they are brought to a file.
    pub path: PathBuf,
    /// `None` where the place must hold one image only.
    pub selector: Option<Selector>,
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A transport of other tools that this version does not have.
    #[error(
        "the transport {transport}: is not supported; `skopeo copy` or `docker save` bring such an image to a file"
    )]
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
    /// `docker:` without the slashes.
    #[error("{text:?} names no image of a registry, which is written docker://NAME")]
    Slashes {
        /// The text.
        text: String,
    },
    /// Something that is no image's name where one belongs.
    #[error(transparent)]
    Name(#[from] NameError),
    /// `@` and something that is neither digest nor number.
    #[error("{text:?} is neither a digest nor a position")]
    Selector {
        /// What follows the `@`.
        text: String,
    },
}

/// Transports that skopeo's users know and this version lacks.
const UNSUPPORTED: [&str; 4] = ["dir", "ostree", "sif", "oci-registry"];

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (prefix, rest) = text.split_once(':').unwrap_or(("", text));
        let transport = Transport::ALL.into_iter().find(|transport| transport.name() == prefix);
        if transport.is_none() && UNSUPPORTED.contains(&prefix) && !Path::new(text).exists() {
            return Err(ReferenceError::Transport { transport: prefix.to_owned() });
        }
        if transport == Some(Transport::Registry) {
            let name = rest.strip_prefix("//").ok_or_else(|| ReferenceError::Slashes { text: text.to_owned() })?;
            let selector = Some(Selector::Name(name.parse::<ImageName>()?.full()));
            return Ok(Self { transport, path: PathBuf::new(), selector });
        }
        if transport == Some(Transport::ContainersStorage) {
            // As it stands: these engines look a short name up in their own way.
            rest.parse::<ImageName>()?;
            return Ok(Self { transport, path: PathBuf::new(), selector: Some(Selector::Name(rest.to_owned())) });
        }
        if transport == Some(Transport::DockerDaemon) {
            let selector = Some(Selector::Name(ImageName::or_id(rest)?.full()));
            return Ok(Self { transport, path: PathBuf::new(), selector });
        }
        if transport == Some(Transport::Local) {
            let name = ImageName::or_id(rest)?;
            return Ok(Self { transport, path: PathBuf::new(), selector: Some(Selector::Name(name.full())) });
        }
        let place = if transport.is_some() { rest } else { text };
        // A path that exists as it stands holds no selector, whatever colons are in it.
        let (path, selector) = if Path::new(place).exists() {
            (place, None)
        } else if let Some((path, selector)) = place.rsplit_once('@').filter(is_selector) {
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

/// Whether what follows the last `@` can be a selector: neither part of a path nor of an image's name.
fn is_selector((path, selector): &(&str, &str)) -> bool {
    !path.contains(':') && !selector.contains('/')
}

impl Reference {
    /// The image of a registry that is meant.
    #[must_use]
    pub fn on_registry(&self) -> Option<ImageName> {
        match (self.transport, &self.selector) {
            (Some(Transport::Registry), Some(Selector::Name(name))) => name.parse().ok(),
            _ => None,
        }
    }

    /// An image of the local store, now that the store's folder is known; everything else stays as it is.
    #[must_use]
    pub fn in_store(&self, folder: &Path) -> Self {
        match self.transport {
            Some(Transport::Local) => Self { path: folder.to_owned(), ..self.clone() },
            _ => self.clone(),
        }
    }

    /// The same for what is to be read, where a name may also be the ID of an image, and a bare text a name: it is one if
    /// no such file exists and the store has the name.
    ///
    /// # Errors
    /// Where the store has no such image, though the text can be nothing else, or several with such an ID.
    pub fn found_in_store(&self, folder: &Path) -> Result<Self, Error> {
        let is_local = self.transport == Some(Transport::Local);
        if !is_local && (self.transport.is_some() || self.path.exists()) {
            return Ok(self.clone());
        }
        let text = self.to_string();
        let name = ImageName::or_id(text.strip_prefix("local:").filter(|_| is_local).unwrap_or(&text));
        // What is a path and no name is missed as one.
        let Ok(name) = name else { return Ok(self.in_store(folder)) };
        let store = if folder.join("index.json").is_file() { Some(LocalStore::open(folder)?) } else { None };
        let named = |store: LocalStore| -> Result<Option<Self>, Error> {
            if store.descriptor(&name)?.is_some() {
                return Ok(Some(store.reference(&name)));
            }
            let found = store.lookup(&name)?.map(|found| Selector::Digest(found.digest));
            Ok(found.map(|selector| Self { selector: Some(selector), ..store.reference(&name) }))
        };
        if let Some(found) = store.map(named).transpose()?.flatten() {
            return Ok(found);
        }
        let is_path = !is_local && (text.contains('/') || self.path.extension().is_some());
        if is_path {
            return Ok(self.clone());
        }
        Err(Error::NoSuchLocalImage { wanted: name.to_string(), near: near(folder, &name) })
    }
}

/// The names of local images that are alike: of the same repository, or different by a letter or two.
fn near(folder: &Path, wanted: &ImageName) -> Vec<String> {
    let named = if folder.join("index.json").is_file() {
        LocalStore::open(folder).and_then(|store| store.names()).unwrap_or_default()
    } else {
        Vec::new()
    };
    let names = named.into_iter().filter_map(|named| named.name.parse::<ImageName>().ok());
    let is_near = |name: &ImageName| {
        let (one, other) = (name.path().rsplit('/').next(), wanted.path().rsplit('/').next());
        one == other || distance(one.unwrap_or_default(), other.unwrap_or_default()) <= 2
    };
    names.filter(is_near).map(|name| name.to_string()).collect()
}

/// How many letters must be put in, taken out or replaced to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for column in 0..other.len() {
            let replaced = diagonal + usize::from(letter != other[column]);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

impl Transport {
    /// The name in full by which a place lists what is put there under a name.
    #[must_use]
    pub fn stored_name(self, name: &str) -> String {
        match (self, name.parse::<ImageName>()) {
            // As podman names what is built on this machine.
            (Self::ContainersStorage, Ok(full)) if full.is_of_default_registry() && !name.contains("docker.io/") => {
                let tag = full.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
                format!("localhost/{}{tag}", name.split([':', '@']).next().unwrap_or_default())
            }
            (Self::ContainersStorage | Self::DockerDaemon | Self::Local, Ok(full)) => full.full(),
            _ => name.to_owned(),
        }
    }

    /// What stands before the name of an image, where a place knows its images by names alone.
    #[must_use]
    pub fn before_name(self) -> Option<&'static str> {
        match self {
            Self::Local => Some("local:"),
            Self::Registry => Some("docker://"),
            Self::DockerDaemon => Some("docker-daemon:"),
            Self::ContainersStorage => Some("containers-storage:"),
            Self::DockerArchive | Self::Oci | Self::OciArchive => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(transport), Some(Selector::Name(name))) = (self.transport, &self.selector)
            && let Some(prefix) = transport.before_name()
        {
            // As people write it.
            let parsed = name.parse::<ImageName>().ok().filter(|_| transport != Transport::ContainersStorage);
            let shown = parsed.map_or_else(|| name.clone(), |name| name.to_string());
            return write!(f, "{prefix}{shown}");
        }
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
    use proptest::strategy::Strategy as _;

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
    fn images_of_registries_are_named_as_engines_name_them() {
        for (text, full, shown) in [
            ("docker://alpine", "docker.io/library/alpine:latest", "docker://alpine:latest"),
            ("docker://localhost:5000/a/b:1", "localhost:5000/a/b:1", "docker://localhost:5000/a/b:1"),
        ] {
            let reference: Reference = text.parse().expect(text);
            assert_eq!(reference.on_registry().map(|name| name.full()).as_deref(), Some(full));
            assert_eq!(reference.to_string(), shown);
        }
        assert_eq!("oci:a".parse::<Reference>().expect("parses").on_registry(), None);
        for text in ["docker-daemon:app:dev", "containers-storage:localhost/app:dev", "containers-storage:app"] {
            assert_eq!(text.parse::<Reference>().expect(text).to_string(), text);
        }
        for (name, stored) in
            [("app:1", "localhost/app:1"), ("me/app", "localhost/me/app:latest"), ("h.io/a:1", "h.io/a:1")]
        {
            assert_eq!(Transport::ContainersStorage.stored_name(name), stored);
        }
        assert_eq!(Transport::DockerDaemon.stored_name("app:1"), "docker.io/library/app:1");
        assert_eq!(Transport::Oci.stored_name("v1"), "v1");
        assert!(
            "docker-daemon:App".parse::<Reference>().is_err() && "containers-storage:".parse::<Reference>().is_err()
        );
    }

    #[test]
    fn an_at_sign_may_be_part_of_a_path_or_name() {
        for (text, path, selector) in [
            ("oci:/home/me@work/out", "/home/me@work/out", None),
            ("oci:/home/me@work/out@3", "/home/me@work/out", Some(Selector::Position(3))),
            ("oci:me@home/out:v1", "me@home/out", Some(Selector::Name("v1".to_owned()))),
            ("oci:out:host/app@sha256", "out", Some(Selector::Name("host/app@sha256".to_owned()))),
        ] {
            let expected = Reference { transport: Some(Transport::Oci), path: PathBuf::from(path), selector };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_path_that_exists_is_taken_as_it_stands() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a:b@c");
        let text = format!("oci-archive:{}", path.display());
        assert!(text.parse::<Reference>().is_ok_and(|reference| reference.path != path));
        std::fs::write(&path, "").expect("writes");
        let reference: Reference = text.parse().expect("parses");
        assert_eq!((reference.path, reference.selector), (path, None));
    }

    proptest::proptest! {
        #[test]
        fn prints_what_it_parses(
            transport in proptest::sample::select(vec![None, Some(Transport::DockerArchive), Some(Transport::Oci), Some(Transport::OciArchive)]),
            // A last component with an at sign would be read as a selector.
            path in "/none/([a-z@._-]{0,6}/){0,2}[a-z._-]{0,6}x",
            selector in proptest::option::of(proptest::prop_oneof![
                "[a-z][a-z0-9./_-]{0,8}(:[a-z0-9.]{1,5})?".prop_map(Selector::Name),
                proptest::prelude::any::<usize>().prop_map(Selector::Position),
                proptest::prelude::any::<[u8; 32]>().prop_map(|digest| Selector::Digest(Digest(digest))),
            ]),
        ) {
            let reference = Reference { transport, path: PathBuf::from(path), selector };
            proptest::prop_assert_eq!(reference.to_string().parse(), Ok(reference));
        }
    }

    #[test]
    fn refuses_by_name_what_it_does_not_have() {
        let error = "sif:alpine".parse::<Reference>().expect_err("unsupported");
        assert_eq!(error, ReferenceError::Transport { transport: "sif".to_owned() });
        assert!(matches!("docker:alpine".parse::<Reference>(), Err(ReferenceError::Slashes { .. })));
        assert!(matches!("docker://Alpine".parse::<Reference>(), Err(ReferenceError::Name(_))));
        assert!(matches!("oci:".parse::<Reference>(), Err(ReferenceError::Empty { .. })));
        assert!(matches!("oci:d@x".parse::<Reference>(), Err(ReferenceError::Selector { .. })));
    }
}
