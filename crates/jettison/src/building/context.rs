//! The Dockerfile and the build context that a command line names, brought here and unpacked where needed.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jettison_engine::build::{Cancel, ContextFolder};
use jettison_engine::files::context::{Kind, Unpacked, read_dockerfile, read_ignore_file, unpack_context};
use jettison_engine::files::git::{CheckoutOptions, checkout};
use tempfile::TempDir;

use crate::dockerfile::{Located, named};
use crate::error::Usage;

/// What a build starts from.
#[derive(Debug)]
pub(crate) struct Source {
    /// The Dockerfile's bytes, and its name in messages.
    pub(crate) dockerfile: Vec<u8>,
    pub(crate) name: String,
    pub(crate) context: ContextFolder,
    /// Holds what was unpacked.
    _unpacked: Option<TempDir>,
}

/// How sources are brought here.
pub(crate) struct Fetching<'f> {
    /// Where contexts are unpacked.
    pub(crate) folder: &'f Path,
    pub(crate) offline: bool,
    /// Writes what is at a URL to a file.
    pub(crate) download: &'f dyn Fn(&str, &Path) -> Result<()>,
    pub(crate) cancel: &'f Cancel,
}

impl Source {
    /// Reads what `jettison build [CONTEXT] [-f FILE]` names.
    pub(crate) fn read(context: &str, file: Option<&Path>, fetching: &Fetching<'_>) -> Result<Self> {
        let file_is_stdin = file == Some(Path::new("-"));
        match Kind::parse(context)? {
            Kind::Folder(folder) => Self::of_folder(&folder, file),
            Kind::StandardInput if file_is_stdin => {
                let hint = "give the Dockerfile by -f FILE, or the context as a folder";
                Err(Usage::new("the Dockerfile and the context cannot both be stdin").with_hint(hint).into())
            }
            Kind::StandardInput => Self::of_stream(BufReader::new(io::stdin()), "<stdin>", file, fetching),
            Kind::Archive(path) => {
                let input = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
                Self::of_stream(BufReader::new(input), &path.display().to_string(), file, fetching)
            }
            Kind::Url(url) => {
                if fetching.offline {
                    return Err(Usage::new(format!("the context {url} cannot be fetched with --offline")).into());
                }
                let to = tempfile::NamedTempFile::new_in(fetching.folder).context("cannot write in the cache")?;
                (fetching.download)(&url, to.path())?;
                let input = File::open(to.path()).context("cannot read what was downloaded")?;
                Self::of_stream(BufReader::new(input), &url, file, fetching)
            }
            Kind::Git(reference) => {
                let kept = fetching.unpacking()?;
                let options = CheckoutOptions {
                    keep_git_dir: reference.keep_git_dir.unwrap_or(false),
                    checksum: reference.checksum.as_deref(),
                    offline: fetching.offline,
                    cancel: fetching.cancel,
                };
                let to = kept.path().join("context");
                fs::create_dir(&to).context("cannot write in the cache")?;
                let folder = checkout(&reference, &to, &options)?;
                Self::within(&folder, file, Some(kept))
            }
        }
    }

    /// A folder of this machine: `-f` counts from where the command runs.
    fn of_folder(folder: &Path, file: Option<&Path>) -> Result<Self> {
        let located = Located::of(Some(folder), file)?;
        let name = located.name();
        let dockerfile = match &located.path {
            Some(path) => fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => {
                let mut bytes = Vec::new();
                io::stdin().lock().read_to_end(&mut bytes).context("cannot read stdin")?;
                bytes
            }
        };
        let context = context_folder(folder, located.path.as_deref())?;
        Ok(Self { dockerfile, name, context, _unpacked: None })
    }

    /// A tar, or a Dockerfile alone.
    fn of_stream(input: impl BufRead + Send, name: &str, file: Option<&Path>, fetching: &Fetching<'_>) -> Result<Self> {
        let kept = fetching.unpacking()?;
        let folder = kept.path().join("context");
        fs::create_dir(&folder).context("cannot write in the cache")?;
        match unpack_context(input, name, &folder, fetching.cancel)? {
            Unpacked::Context => Self::within(&folder, file, Some(kept)),
            Unpacked::Dockerfile(_) if file.is_some() => {
                Err(Usage::new(format!("{name} is no tar: a context that has the Dockerfile of -f is one")).into())
            }
            Unpacked::Dockerfile(dockerfile) => {
                let context = ContextFolder::default();
                Ok(Self { dockerfile, name: name.to_owned(), context, _unpacked: None })
            }
        }
    }

    /// A context that was brought here: `-f` counts from its root, unless it is stdin.
    fn within(folder: &Path, file: Option<&Path>, kept: Option<TempDir>) -> Result<Self> {
        if file == Some(Path::new("-")) {
            let mut dockerfile = Vec::new();
            io::stdin().lock().read_to_end(&mut dockerfile).context("cannot read stdin")?;
            let context = context_folder(folder, None)?;
            return Ok(Self { dockerfile, name: "<stdin>".to_owned(), context, _unpacked: kept });
        }
        let name = match file {
            Some(file) => named(file),
            None => {
                let names = ["Dockerfile", "dockerfile", "Containerfile"];
                let found = names.into_iter().find(|name| folder.join(name).is_file());
                found.unwrap_or("Dockerfile").to_owned()
            }
        };
        let (path, dockerfile) = read_dockerfile(folder, &name)?;
        let context = context_folder(folder, Some(&path))?;
        Ok(Self { dockerfile, name, context, _unpacked: kept })
    }
}

impl Source {
    /// A Dockerfile that was read, and the folder that is its context.
    pub(crate) fn of_located(located: &Located, dockerfile: Vec<u8>) -> Result<Self> {
        let context = located.context.as_deref().map(|folder| context_folder(folder, located.path.as_deref()));
        let context = context.transpose()?.unwrap_or_default();
        Ok(Self { dockerfile, name: located.name(), context, _unpacked: None })
    }
}

#[cfg(test)]
impl Source {
    /// A Dockerfile without a context.
    pub(crate) fn of_bytes(dockerfile: &[u8]) -> Self {
        let (dockerfile, name) = (dockerfile.to_vec(), "Dockerfile".to_owned());
        Self { dockerfile, name, context: ContextFolder::default(), _unpacked: None }
    }
}

impl Fetching<'_> {
    fn unpacking(&self) -> Result<TempDir> {
        tempfile::Builder::new().prefix("context-").tempdir_in(self.folder).context("cannot write in the cache")
    }
}

/// A folder as a context, with its ignore file.
pub(crate) fn context_folder(folder: &Path, dockerfile: Option<&Path>) -> Result<ContextFolder> {
    let ignore = read_ignore_file(folder, dockerfile)?.map(|(_, text)| text).unwrap_or_default();
    let folder: PathBuf = fs::canonicalize(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    Ok(ContextFolder { folder: Some(folder), ignore })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(context: &str, file: Option<&str>, folder: &Path) -> Result<Source> {
        let download = |url: &str, _: &Path| -> Result<()> { anyhow::bail!("{url} is not there") };
        let fetching = Fetching { folder, offline: true, download: &download, cancel: &Cancel::default() };
        Source::read(context, file.map(Path::new), &fetching)
    }

    #[test]
    fn folders_and_tars_are_contexts() {
        let cache = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").expect("writes");
        fs::write(folder.path().join("Dockerfile.dockerignore"), "*.o\n").expect("writes");
        let source = read(folder.path().to_str().expect("UTF-8"), None, cache.path()).expect("reads");
        assert_eq!((source.dockerfile.as_slice(), source.context.ignore.as_str()), (&b"FROM scratch\n"[..], "*.o\n"));
        let tar = cache.path().join("context.tar");
        let mut builder = tar::Builder::new(File::create(&tar).expect("a file"));
        builder.append_dir_all(".", folder.path()).expect("packs");
        builder.into_inner().expect("finishes");
        let text = tar.to_str().expect("UTF-8");
        let source = read(text, None, cache.path()).expect("reads");
        assert_eq!((source.dockerfile.as_slice(), source.context.ignore.as_str()), (&b"FROM scratch\n"[..], "*.o\n"));
        assert!(source.context.folder.as_ref().is_some_and(|folder| folder.join("Dockerfile").is_file()));
        let unpacked = source.context.folder.clone().expect("a folder");
        drop(source);
        assert!(!unpacked.exists(), "what was unpacked stays behind");
        assert!(read(text, Some("none"), cache.path()).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let cache = tempfile::tempdir().expect("a folder");
        let both = read("-", Some("-"), cache.path()).expect_err("both are stdin");
        assert!(both.is::<Usage>(), "{both}");
        let offline = read("https://example.invalid/context.tar", None, cache.path()).expect_err("offline");
        assert!(offline.to_string().contains("--offline"), "{offline}");
        assert!(read("/no/such/folder", None, cache.path()).is_err());
    }
}
