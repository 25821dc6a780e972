//! `--output`: BuildKit's comma-separated form, docker build's short ones, and jettison's own references.

use std::path::PathBuf;

use anyhow::Result;
use jettison_store::{Encoding, Reference, Transport};

use super::values::{fields, tagged};
use crate::error::Usage;

/// Where something goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file or folder.
    Path(PathBuf),
    /// The standard output.
    Stdout,
}

/// What is made of a built image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is put among the local images.
    Store,
    /// An image in a file or a folder; without a transport's name in front.
    Image(Transport, Place),
    /// Its tree, in a folder.
    Folder(PathBuf),
    /// Its tree, in a tar.
    Tar(Place),
    /// Nothing: the steps are kept in the cache, and that is all.
    Nothing,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    /// Names that take the place of `--tag`'s.
    pub(crate) names: Vec<String>,
    /// How layers are packed where that is not as usual.
    pub(crate) encoding: Option<Encoding>,
    /// Where else it goes by its names: registries, or an engine.
    pub(crate) goes_to: Option<Transport>,
}

impl Target {
    /// The local images, under the names of `--tag`.
    pub(crate) fn store() -> Self {
        Self::of(Kind::Store)
    }

    fn of(kind: Kind) -> Self {
        Self { kind, names: Vec::new(), encoding: None, goes_to: None }
    }

    /// Whether it takes the standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(&self.kind, Kind::Image(_, Place::Stdout) | Kind::Tar(Place::Stdout))
    }

    /// How its layers are packed: what stays on this machine, and what Docker unpacks at once, is not.
    pub(crate) fn encoding(&self) -> Encoding {
        let usual = match self.kind {
            Kind::Image(Transport::Oci | Transport::OciArchive, _) => Encoding::GZIP,
            Kind::Store if self.goes_to == Some(Transport::Registry) => Encoding::GZIP,
            _ => Encoding::NONE,
        };
        self.encoding.unwrap_or(usual)
    }

    /// Reads one `--output`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix("local:") {
            return Ok(Self { names: vec![tagged(name)?], ..Self::store() });
        }
        for transport in [Transport::Registry, Transport::DockerDaemon, Transport::ContainersStorage] {
            if let Some(name) = transport.before_name().and_then(|prefix| text.strip_prefix(prefix)) {
                return Ok(Self { names: vec![tagged(name)?], goes_to: Some(transport), ..Self::store() });
            }
        }
        let transports = ["oci:", "oci-archive:", "docker-archive:"];
        if transports.iter().any(|transport| text.starts_with(transport)) {
            return Self::of_reference(text);
        }
        let all = fields(text)?;
        match all.as_slice() {
            [(_, None)] if text == "-" => Ok(Self::of(Kind::Tar(Place::Stdout))),
            [(_, None)] if text.is_empty() => Err(Usage::new("--output names nothing").into()),
            [(_, None)] => Ok(Self::of(Kind::Folder(PathBuf::from(text)))),
            _ => Csv::read(text, all)?.target(),
        }
    }

    fn of_reference(text: &str) -> Result<Self> {
        use jettison_store::Selector;
        let reference: Reference = text.parse().map_err(|error| Usage::new(format!("--output {text}: {error}")))?;
        let names = match reference.selector {
            None => Vec::new(),
            Some(Selector::Name(name)) => vec![name],
            Some(other) => return Err(Usage::new(format!("--output {text}: {other:?} cannot be chosen")).into()),
        };
        let transport = reference.transport.unwrap_or(Transport::OciArchive);
        Ok(Self { names, ..Self::of(Kind::Image(transport, Place::Path(reference.path))) })
    }
}

/// The options of the comma-separated form.
#[derive(Default)]
struct Csv {
    text: String,
    kind: Option<String>,
    place: Option<String>,
    is_tar: Option<bool>,
    compression: Option<String>,
    level: Option<String>,
    long: Option<String>,
    names: Vec<String>,
    pushes: bool,
}

impl Csv {
    fn read(text: &str, all: Vec<(String, Option<String>)>) -> Result<Self> {
        let mut csv = Self { text: text.to_owned(), ..Self::default() };
        for (key, value) in all {
            let value = value.ok_or_else(|| Usage::new(format!("--output {text}: {key:?} has no value")))?;
            match key.as_str() {
                "type" => csv.kind = Some(value),
                "dest" => csv.place = Some(value),
                "tar" => csv.is_tar = Some(flag(text, &key, &value)?),
                "compression" => csv.compression = Some(value),
                "compression-level" => csv.level = Some(value),
                "compression-long" => csv.long = Some(value),
                // Several names stand in one quoted field.
                "name" => csv.names.extend(value.split(',').map(tagged).collect::<Result<Vec<_>>>()?),
                "push" => csv.pushes = flag(text, &key, &value)?,
                // What these ask for is the case anyway.
                "oci-mediatypes" if flag(text, &key, &value)? => {}
                "force-compression" if !flag(text, &key, &value)? => {}
                _ => return Err(Usage::new(format!("--output {text}: {key}={value} is not supported")).into()),
            }
        }
        Ok(csv)
    }

    fn target(self) -> Result<Target> {
        let kind = self.kind.as_deref().unwrap_or("local");
        match kind {
            "image" | "registry" => {}
            _ if self.pushes => return Err(Usage::new(format!("--output type={kind} has no push")).into()),
            _ => {}
        }
        let encoding = self.encoding()?;
        let kind = match kind {
            "image" | "registry" | "docker-daemon" if self.place.is_none() && self.is_tar.is_none() => Kind::Store,
            "oci" if self.is_tar == Some(false) => Kind::Image(Transport::Oci, self.path()?),
            "oci" => Kind::Image(Transport::OciArchive, self.place()?),
            "docker" if self.is_tar == Some(false) => {
                let hint = "type=oci,tar=false writes an OCI layout";
                return Err(Usage::new("--output type=docker is a tar always").with_hint(hint).into());
            }
            "docker" if self.place.is_none() => Kind::Store,
            "docker" => Kind::Image(Transport::DockerArchive, self.place()?),
            "cacheonly"
                if self.place.is_some() || encoding.is_some() || !self.names.is_empty() || self.is_tar.is_some() =>
            {
                let message = format!("--output {}: nothing is written, so there is nothing to say of it", self.text);
                return Err(Usage::new(message).into());
            }
            "cacheonly" => Kind::Nothing,
            "local" | "tar" if encoding.is_some() || !self.names.is_empty() || self.is_tar.is_some() => {
                let message = format!("--output {}: a tree has no name, no layers, and is packed by nobody", self.text);
                return Err(Usage::new(message).into());
            }
            "local" => match self.path()? {
                Place::Path(path) => Kind::Folder(path),
                Place::Stdout => Kind::Tar(Place::Stdout),
            },
            "tar" => Kind::Tar(self.place()?),
            other => {
                let message = format!("--output {}: there is no type {other:?}", self.text);
                return Err(Usage::new(message)
                    .with_hint("there are oci, docker, local, tar, image, registry, docker-daemon and cacheonly")
                    .into());
            }
        };
        let goes_to = match self.kind.as_deref() {
            _ if self.pushes => Some(Transport::Registry),
            Some("registry") => Some(Transport::Registry),
            Some("docker-daemon" | "docker") if kind == Kind::Store => Some(Transport::DockerDaemon),
            _ => None,
        };
        Ok(Target { kind, names: self.names, encoding, goes_to })
    }

    fn place(&self) -> Result<Place> {
        match self.place.as_deref() {
            // As buildx has it.
            None | Some("") if matches!(self.kind.as_deref(), Some("oci" | "tar")) => Ok(Place::Stdout),
            None | Some("") => Err(Usage::new(format!("--output {} names no dest", self.text)).into()),
            Some("-") => Ok(Place::Stdout),
            Some(path) => Ok(Place::Path(PathBuf::from(path))),
        }
    }

    /// The place of a folder.
    fn path(&self) -> Result<Place> {
        match self.place()? {
            Place::Stdout => {
                let message = format!("--output {}: a folder cannot go to the standard output", self.text);
                Err(Usage::new(message).into())
            }
            path => Ok(path),
        }
    }

    /// How layers are packed: buildx's two keys, and one for zstd's long window, as `zstd --long=N` has it.
    fn encoding(&self) -> Result<Option<Encoding>> {
        let format = match self.compression.as_deref() {
            None if self.level.is_none() && self.long.is_none() => return Ok(None),
            None => "gzip",
            Some("uncompressed") => "none",
            Some(format) => format,
        };
        let text = self.level.as_ref().map_or_else(|| format.to_owned(), |level| format!("{format}:{level}"));
        let refused = |error: &dyn std::fmt::Display| {
            let hint = "there are gzip, zstd and uncompressed";
            Usage::new(format!("--output {}: {error}", self.text)).with_hint(hint)
        };
        if format == "none" && self.level.is_some() {
            return Err(Usage::new(format!("--output {}: what is not packed has no level", self.text)).into());
        }
        let encoding: Encoding = text.parse().map_err(|error| refused(&error))?;
        let long = match self.long.as_deref() {
            None | Some("false") => return Ok(Some(encoding)),
            Some("true") => None,
            window => window,
        };
        Ok(Some(encoding.with_long(long).map_err(|error| refused(&error))?))
    }
}

fn flag(text: &str, key: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Usage::new(format!("--output {text}: {key} is neither true nor false")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Target {
        Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn short_and_long_forms() {
        let path = |text: &str| Place::Path(PathBuf::from(text));
        for (text, kind) in [
            ("out", Kind::Folder(PathBuf::from("out"))),
            ("-", Kind::Tar(Place::Stdout)),
            ("type=local,dest=out", Kind::Folder(PathBuf::from("out"))),
            ("type=tar,dest=a.tar", Kind::Tar(path("a.tar"))),
            ("type=tar,dest=-", Kind::Tar(Place::Stdout)),
            ("type=tar", Kind::Tar(Place::Stdout)),
            ("type=oci", Kind::Image(Transport::OciArchive, Place::Stdout)),
            ("type=oci,dest=a.tar", Kind::Image(Transport::OciArchive, path("a.tar"))),
            ("type=oci,tar=false,dest=a", Kind::Image(Transport::Oci, path("a"))),
            ("type=docker,dest=-", Kind::Image(Transport::DockerArchive, Place::Stdout)),
            ("oci:/x", Kind::Image(Transport::Oci, path("/x"))),
            ("oci-archive:/x=y.tar", Kind::Image(Transport::OciArchive, path("/x=y.tar"))),
            ("type=image", Kind::Store),
            ("type=cacheonly", Kind::Nothing),
        ] {
            assert_eq!(parse(text).kind, kind, "{text}");
        }
        assert_eq!(parse("local:app").names, ["app:latest"]);
        for text in ["docker://host/app", "type=registry,name=host/app", "type=image,push=true,name=host/app"] {
            let target = parse(text);
            assert_eq!(
                (target.kind, target.goes_to, &*target.names),
                (Kind::Store, Some(Transport::Registry), &["host/app:latest".to_owned()][..])
            );
        }
        assert_eq!(parse("type=image").goes_to, None);
        for text in ["type=docker", "type=docker-daemon", "docker-daemon:app"] {
            let target = parse(text);
            assert_eq!((target.kind, target.goes_to), (Kind::Store, Some(Transport::DockerDaemon)), "{text}");
        }
        assert_eq!(parse("containers-storage:app").goes_to, Some(Transport::ContainersStorage));
        assert_eq!(parse("type=docker,dest=x").goes_to, None);
        assert_eq!(parse("type=registry,name=x").encoding(), Encoding::GZIP);
        assert_eq!(parse("docker-archive:x.tar:app:v1").names, ["app:v1"]);
        assert_eq!(parse("type=docker,dest=x,\"name=a,b:2\"").names, ["a:latest", "b:2"]);
    }

    #[test]
    fn packing() {
        assert_eq!(parse("type=oci,dest=x").encoding(), Encoding::GZIP);
        assert_eq!(parse("type=docker,dest=x").encoding(), Encoding::NONE);
        let zstd = parse("type=oci,dest=x,compression=zstd,compression-level=9").encoding();
        assert_eq!(zstd, Encoding { level: 9, ..Encoding::ZSTD });
        for (long, window) in [("true", Some(27)), ("24", Some(24)), ("false", None)] {
            let text = format!("type=oci,dest=x,compression=zstd,compression-long={long}");
            assert_eq!(parse(&text).encoding(), Encoding { long: window, ..Encoding::ZSTD });
        }
        assert_eq!(parse("type=oci,dest=x,compression=uncompressed").encoding(), Encoding::NONE);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (text, part) in [
            ("type=registry,dest=x", "registry"),
            ("type=docker-daemon,dest=x", "docker-daemon"),
            ("type=oci,dest=x,push=true", "push"),
            ("type=local", "dest"),
            ("type=docker,dest=x,tar=false", "tar"),
            ("type=oci,dest=x,compression=estargz", "estargz is not written"),
            ("type=oci,dest=x,compression=zstd:chunked", "chunked is not written"),
            ("type=oci,dest=x,compression=xz", "xz"),
            ("type=oci,dest=x,compression=zstd,compression-long=28", "10 to 27"),
            ("type=oci,dest=x,compression-long=true", "not gzip"),
            ("type=oci,dest=x,compression=uncompressed,compression-level=1", "level"),
            ("type=oci,dest=x,compression-level=99", "99"),
            ("type=oci,dest=x,annotation.a=b", "annotation.a"),
            ("type=oci,dest=x,force-compression=true", "force-compression"),
            ("type=tar,dest=x,compression=gzip", "packed"),
            ("type=cacheonly,dest=x", "cacheonly"),
            ("type=oci,tar=false,dest=-", "folder"),
            ("type=oci,tar=maybe,dest=x", "maybe"),
        ] {
            let error = Target::parse(text).expect_err(text);
            let all = format!("{error} {}", crate::error::hint(&error).unwrap_or_default());
            assert!(all.contains(part) || part == "maybe", "{text}: {all}");
        }
    }
}
