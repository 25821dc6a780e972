//! The Dockerfile and the build context that a command line names, brought here and unpacked where needed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jettison_engine::build::{Cancel, ContextFolder, NamedContext, Stoppable};
use jettison_engine::files::FilesError;
use jettison_engine::files::context::{Kind, Unpacked, read_dockerfile, read_ignore_file, unpack_context};
use jettison_engine::files::git::{CheckoutOptions, checkout};
use tempfile::TempDir;

use super::values::pair;
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
            Kind::Folder(folder) => Self::of_folder(&folder, file, fetching.cancel),
            Kind::StandardInput if file_is_stdin => {
                let hint = "give the Dockerfile by -f FILE, or the context as a folder";
                Err(Usage::new("the Dockerfile and the context cannot both be stdin").with_hint(hint).into())
            }
            kind => match fetching.bring(kind)? {
                Brought::Tree(folder, kept) => Self::within(&folder, file, kept, fetching.cancel),
                Brought::Dockerfile(_, name) if file.is_some() => {
                    Err(Usage::new(format!("{name} is no tar: a context that has the Dockerfile of -f is one")).into())
                }
                Brought::Dockerfile(dockerfile, name) => {
                    Ok(Self { dockerfile, name, context: ContextFolder::default(), _unpacked: None })
                }
            },
        }
    }

    /// A folder of this machine: `-f` counts from where the command runs.
    fn of_folder(folder: &Path, file: Option<&Path>, cancel: &Cancel) -> Result<Self> {
        let located = Located::of(Some(folder), file)?;
        let name = located.name();
        let dockerfile = match &located.path {
            Some(path) => fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => read_stdin(cancel)?,
        };
        let context = context_folder(folder, located.path.as_deref())?;
        Ok(Self { dockerfile, name, context, _unpacked: None })
    }

    /// A context that was brought here: `-f` counts from its root, unless it is stdin.
    fn within(folder: &Path, file: Option<&Path>, kept: TempDir, cancel: &Cancel) -> Result<Self> {
        let kept = Some(kept);
        if file == Some(Path::new("-")) {
            let dockerfile = read_stdin(cancel)?;
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

/// What was brought here.
enum Brought {
    /// A tree of files, and what removes it again.
    Tree(PathBuf, TempDir),
    /// A Dockerfile alone, and what it is called.
    Dockerfile(Vec<u8>, String),
}

impl Fetching<'_> {
    fn bring(&self, kind: Kind) -> Result<Brought> {
        match kind {
            Kind::StandardInput => self.unpacked(BufReader::new(Stoppable::new(stdin()?, self.cancel)), "<stdin>"),
            Kind::Folder(path) | Kind::Archive(path) => {
                let input = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
                self.unpacked(BufReader::new(input), &path.display().to_string())
            }
            Kind::Url(url) => {
                if self.offline {
                    return Err(Usage::new(format!("the context {url} cannot be fetched with --offline")).into());
                }
                let to = tempfile::NamedTempFile::new_in(self.folder).context("cannot write in the cache")?;
                (self.download)(&url, to.path())?;
                let input = File::open(to.path()).context("cannot read what was downloaded")?;
                self.unpacked(BufReader::new(input), &url)
            }
            Kind::Git(reference) => {
                let kept = self.unpacking()?;
                let options = CheckoutOptions {
                    keep_git_dir: reference.keep_git_dir.unwrap_or(false),
                    checksum: reference.checksum.as_deref(),
                    offline: self.offline,
                    cancel: self.cancel,
                };
                let to = kept.path().join("context");
                fs::create_dir(&to).context("cannot write in the cache")?;
                Ok(Brought::Tree(checkout(&reference, &to, &options)?, kept))
            }
        }
    }

    /// A tar, or a Dockerfile alone.
    fn unpacked(&self, input: impl BufRead + Send, name: &str) -> Result<Brought> {
        let kept = self.unpacking()?;
        let folder = kept.path().join("context");
        fs::create_dir(&folder).context("cannot write in the cache")?;
        Ok(match unpack_context(input, name, &folder, self.cancel)? {
            Unpacked::Context => Brought::Tree(folder, kept),
            Unpacked::Dockerfile(dockerfile) => Brought::Dockerfile(dockerfile, name.to_owned()),
        })
    }

    fn unpacking(&self) -> Result<TempDir> {
        tempfile::Builder::new().prefix("context-").tempdir_in(self.folder).context("cannot write in the cache")
    }
}

fn read_stdin(cancel: &Cancel) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Stoppable::new(stdin()?, cancel).read_to_end(&mut bytes).context("cannot read stdin")?;
    Ok(bytes)
}

/// The standard input without a buffer of its own: whoever waits for it would not see what that holds.
fn stdin() -> Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned().context("cannot read stdin")?))
}

/// `--build-context`: what the names stand for.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    pub(crate) named: BTreeMap<String, NamedContext>,
    /// Holds what was unpacked.
    _unpacked: Vec<TempDir>,
}

impl Contexts {
    /// Reads each `NAME=VALUE`: an image by the names that docker has for it, or what a context can be.
    pub(crate) fn read(texts: &[String], fetching: &Fetching<'_>) -> Result<Self> {
        let mut contexts = Self::default();
        for text in texts {
            let (name, value) = pair("--build-context", text)?;
            let context = match image(&value) {
                Some(image) => NamedContext::Image(image),
                None => contexts.folder(&name, &value, fetching)?,
            };
            contexts.named.insert(name, context);
        }
        Ok(contexts)
    }

    fn folder(&mut self, name: &str, value: &str, fetching: &Fetching<'_>) -> Result<NamedContext> {
        let usage = |problem: &str| {
            let hint = "it is a folder, a tar, a URL, a git repository, or an image as docker-image://NAME or oci:DIR";
            Usage::new(format!("--build-context {name}: {problem}")).with_hint(hint)
        };
        let kind = match Kind::parse(value) {
            Err(FilesError::NotFound { path, .. }) => return Err(usage(&format!("there is no {path}")).into()),
            kind => kind?,
        };
        let folder = match kind {
            Kind::Folder(folder) => folder,
            Kind::StandardInput => return Err(usage("it cannot be stdin").into()),
            kind => match fetching.bring(kind).with_context(|| format!("the context {name} cannot be used"))? {
                Brought::Tree(folder, kept) => {
                    self._unpacked.push(kept);
                    folder
                }
                Brought::Dockerfile(_, path) => return Err(usage(&format!("{path} is no tar")).into()),
            },
        };
        Ok(NamedContext::Folder(context_folder(&folder, None)?))
    }
}

/// The image that a named context is, as commands name it.
fn image(value: &str) -> Option<String> {
    if let Some(image) = value.strip_prefix("docker-image://") {
        return Some(image.to_owned());
    }
    if let Some(layout) = value.strip_prefix("oci-layout://") {
        return Some(format!("oci:{layout}"));
    }
    let transports = ["oci:", "oci-archive:", "docker-archive:"];
    transports.iter().any(|transport| value.starts_with(transport)).then(|| value.to_owned())
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

    #[test]
    fn contexts_by_name() {
        let cache = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a"), "here").expect("writes");
        let tar = cache.path().join("context.tar");
        let mut builder = tar::Builder::new(File::create(&tar).expect("a file"));
        builder.append_dir_all(".", folder.path()).expect("packs");
        builder.into_inner().expect("finishes");
        let download = |_: &str, _: &Path| -> Result<()> { anyhow::bail!("nothing is there") };
        let fetching =
            Fetching { folder: cache.path(), offline: true, download: &download, cancel: &Cancel::default() };
        let read = |text: &str| Contexts::read(&[text.to_owned()], &fetching);
        for (value, image) in [
            ("docker-image://alpine:3", "alpine:3"),
            ("oci-layout:///x", "oci:/x"),
            ("oci-archive:x.tar", "oci-archive:x.tar"),
        ] {
            let contexts = read(&format!("a={value}")).expect(value);
            assert!(matches!(&contexts.named["a"], NamedContext::Image(found) if found == image), "{contexts:?}");
        }
        for value in [folder.path(), &tar] {
            let contexts = read(&format!("a={}", value.display())).expect("reads");
            let NamedContext::Folder(found) = &contexts.named["a"] else { panic!("{contexts:?}") };
            let found = found.folder.as_ref().expect("a folder").join("a");
            assert_eq!(fs::read_to_string(found).expect("reads"), "here");
        }
        for bad in ["a=/no/such", "a", "a=-", "a=https://example.invalid/x.tar", "a=https://example.invalid/x.git"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let left = fs::read_dir(cache.path()).expect("lists").count();
        assert_eq!(left, 1, "what was unpacked stays behind");
    }
}
