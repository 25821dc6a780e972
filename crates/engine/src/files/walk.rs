//! Walks sources: what of a context or an image is there to be copied.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, DirEntry};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jettison_image::Digest;
use jettison_syntax::ignore::{Ignore, Matched};
use rayon::prelude::{IntoParallelIterator as _, ParallelIterator as _, ParallelSlice as _};
use rustix::fs::{FileType, Mode, OFlags, RawDir};

use super::hash::{Digests, Known};
use super::identity::{self, NodeKind, Xattrs};
use super::resolve::below;
use super::select::Ownership;
use super::stat::Stat;
use super::{FilesError, Source};

/// Names of a folder that one thread takes at a time.
const AT_ONCE: usize = 16;

/// A file, folder or other thing of a tree that is copied.
#[derive(Debug)]
pub(super) struct Entry {
    /// Below the tree's root; empty for the root itself.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// The low twelve bits.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) xattrs: Xattrs,
    pub(super) stat: Stat,
    /// A folder that no pattern includes is made only where something below it is copied.
    pub(super) is_included: bool,
    /// Of a file's content, where that is known.
    pub(super) digest: Option<Digest>,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
    Link(Vec<u8>),
    Fifo,
    Socket,
    Node(NodeKind, u32, u32),
}

/// The files that a source offers: those of its folder that its ignore file leaves.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) root: &'a Path,
    pub(super) source: &'a Source<'a>,
}

/// Which paths below a source are taken: `--parents` names those to include, `--exclude` those to leave.
#[derive(Default)]
pub(super) struct Filter {
    /// As a file of exceptions, so that it can tell what may lie below a folder, and as plain rules.
    include: Option<(Ignore, Ignore)>,
    exclude: Option<Ignore>,
}

impl Filter {
    /// A filter of the patterns that are excluded and the one that is included.
    pub(super) fn new(include: Option<&str>, exclude: &[String]) -> Result<Self, FilesError> {
        let mut filter = Self::default();
        if let Some(pattern) = include {
            let plain = patterns(std::iter::once(pattern))?;
            filter.include = Some((patterns(std::iter::once(&*format!("!{pattern}")))?, plain));
        }
        if !exclude.is_empty() {
            filter.exclude = Some(patterns(exclude.iter().map(String::as_str))?);
        }
        Ok(filter)
    }

    /// Whether all paths are taken.
    fn takes_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// Whether a path is taken.
    fn takes(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|(_, include)| include.walk_excludes(path)) && !self.excludes(path)
    }

    /// Whether `--exclude` names a path.
    pub(super) fn excludes(&self, path: &str) -> bool {
        self.exclude.as_ref().is_some_and(|exclude| exclude.walk_excludes(path))
    }

    /// Whether something below a folder that is not taken may be.
    fn may_take_below(&self, path: &str) -> bool {
        let is_excluded = self
            .exclude
            .as_ref()
            .is_some_and(|exclude| exclude.walk_excludes(path) && !exclude.could_reinclude_below(path));
        !is_excluded && self.include.as_ref().is_none_or(|(exceptions, _)| exceptions.could_reinclude_below(path))
    }
}

fn patterns<'p>(patterns: impl Iterator<Item = &'p str>) -> Result<Ignore, FilesError> {
    let mut text = String::new();
    for pattern in patterns {
        // A pattern is not a comment, other than a line of an ignore file.
        if pattern.starts_with('#') {
            text.push_str("./");
        }
        text.push_str(pattern);
        text.push('\n');
    }
    let ignore = Ignore::parse(&text);
    match ignore.errors.first() {
        None => Ok(ignore),
        Some(error) => {
            let pattern = text.lines().nth(error.line - 1).unwrap_or_default().to_owned();
            Err(FilesError::Filter { pattern, reason: error.kind.to_string() })
        }
    }
}

impl View<'_> {
    /// What is at a path that leads through no links, unless the ignore file hides it.
    pub(super) fn look(&self, path: &Path) -> Result<Option<Stat>, FilesError> {
        let at = below(self.root, path);
        let stat = match fs::symlink_metadata(&at) {
            Ok(metadata) => Stat::from(&metadata),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(FilesError::io("look at", &at)(error)),
        };
        Ok(self.is_visible(path, stat.is_folder())?.then_some(stat))
    }

    fn is_visible(&self, path: &Path, is_folder: bool) -> Result<bool, FilesError> {
        let Some(ignore) = self.source.ignore.filter(|ignore| !ignore.rules.is_empty()) else { return Ok(true) };
        let text = path.to_string_lossy();
        if text.is_empty() || !ignore.walk_excludes(&text) {
            return Ok(true);
        }
        if !is_folder || !ignore.could_reinclude_below(&text) {
            return Ok(false);
        }
        for entry in self.list(path)? {
            let kind = entry.file_type().map_err(FilesError::io("look at", &entry.path()))?;
            if self.is_visible(&path.join(entry.file_name()), kind.is_dir())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A folder's entries, sorted by name.
    pub(super) fn list(&self, path: &Path) -> Result<Vec<DirEntry>, FilesError> {
        let folder = below(self.root, path);
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(FilesError::io("list", &folder))?;
        entries.sort_by_cached_key(DirEntry::file_name);
        Ok(entries)
    }

    /// What is at `start` and below it. The contents of files are looked up in `digests`.
    pub(super) fn walk(
        &self,
        start: &Path,
        stat: &Stat,
        filter: &Filter,
        digests: &dyn Digests,
    ) -> Result<Vec<Entry>, FilesError> {
        let walk = Walk { view: *self, start, at: below(self.root, start), filter, digests };
        let first: Vec<Entry> = walk.entry(PathBuf::new(), *stat, true)?.into_iter().collect();
        if !stat.is_folder() {
            return Ok(first);
        }
        let mut reached = PathBuf::new();
        let above = start.iter().fold(Matched::default(), |above, part| {
            reached.push(part);
            walk.enter(&above, &reached)
        });
        let (_, runs) = walk.folder(Path::new(""), &above)?;
        let mut entries = Vec::with_capacity(first.len() + count(&runs));
        entries.extend(first);
        entries.extend(runs.into_iter().flatten());
        Ok(entries)
    }
}

/// Entries in their order, as the threads found them: put together once, since a tree's are many.
type Runs = Vec<Vec<Entry>>;

fn count(runs: &[Vec<Entry>]) -> usize {
    runs.iter().map(Vec::len).sum()
}

struct Walk<'a> {
    view: View<'a>,
    /// Where it starts, below the view's root.
    start: &'a Path,
    /// The same on the host.
    at: PathBuf,
    filter: &'a Filter,
    digests: &'a dyn Digests,
}

/// What lies in a folder, in order: what is no folder, and folders that are still to be walked.
enum Part {
    Entries(Vec<Entry>),
    Folder(Below),
}

/// A folder that is to be walked.
struct Below {
    path: PathBuf,
    is_taken: bool,
    is_hidden: bool,
}

impl Walk<'_> {
    /// The ignore file, unless it has no rules.
    fn ignore(&self) -> Option<&Ignore> {
        self.view.source.ignore.filter(|ignore| !ignore.rules.is_empty())
    }

    /// What the ignore file's rules matched at a folder of the context.
    fn enter(&self, above: &Matched, folder: &Path) -> Matched {
        self.ignore().map_or_else(Matched::default, |ignore| ignore.enter(above, &folder.to_string_lossy()))
    }

    /// A folder, and what is in it, each folder before what it holds. `above` is what rules matched at the folder.
    fn folder(&self, path: &Path, above: &Matched) -> Result<(Stat, Runs), FilesError> {
        let failed = |what, error| self.failed(what, path, error);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(below(&self.at, path), flags, Mode::empty())
            .map_err(|error| failed("list", error.into()))?;
        let stat = Stat::at(&folder, c"").map_err(|error| failed("look at", error))?;
        let names = names(&folder).map_err(|error| failed("list", error))?;
        let parts = |names: &[(CString, FileType)]| {
            let mut parts = Vec::new();
            for (name, kind) in names {
                self.name(&folder, joined(path, name), above, (name, *kind), &mut parts)?;
            }
            Ok(parts)
        };
        let parts: Vec<Vec<Part>> = if names.len() <= AT_ONCE {
            vec![parts(&names)?]
        } else {
            names.par_chunks(AT_ONCE).map(parts).collect::<Result<_, _>>()?
        };
        // However deep the tree is and however many threads walk it, each keeps one folder open.
        drop((folder, names));
        let parts: Vec<Part> = parts.into_iter().flatten().collect();
        let walk = |part| match part {
            Part::Entries(entries) => Ok(vec![entries]),
            Part::Folder(folder) => self.below(folder, above),
        };
        let runs: Vec<Runs> = if parts.iter().any(|part| matches!(part, Part::Folder(_))) {
            parts.into_par_iter().map(walk).collect::<Result<_, _>>()?
        } else {
            parts.into_iter().map(walk).collect::<Result<_, _>>()?
        };
        Ok((stat, runs.into_iter().flatten().collect()))
    }

    /// A folder within another one; nothing where neither it nor anything in it is taken.
    fn below(&self, folder: Below, above: &Matched) -> Result<Runs, FilesError> {
        let Below { path, is_taken, is_hidden } = folder;
        let entered = match self.ignore() {
            Some(_) => self.enter(above, &self.start.join(&path)),
            None => Matched::default(),
        };
        let (stat, found) = self.folder(&path, &entered)?;
        if count(&found) == 0 && (!is_taken || is_hidden) {
            return Ok(Vec::new());
        }
        let mut runs: Runs = vec![self.entry(path, stat, is_taken)?.into_iter().collect()];
        runs.extend(found);
        Ok(runs)
    }

    /// Adds what is under a name in an open folder; nothing where it is not taken.
    fn name(
        &self,
        folder: &OwnedFd,
        path: PathBuf,
        above: &Matched,
        (name, kind): (&CStr, FileType),
        parts: &mut Vec<Part>,
    ) -> Result<(), FilesError> {
        let look = || Stat::at(folder, name).map_err(|error| self.failed("look at", &path, error));
        let in_context = self.ignore().map(|ignore| (ignore, self.start.join(&path)));
        let ignored = in_context.as_ref().map(|(ignore, path)| (ignore, path.to_string_lossy()));
        let is_hidden = ignored.as_ref().is_some_and(|(ignore, text)| ignore.walk_excludes_in(above, text));
        let is_taken = self.filter.takes_all() || self.filter.takes(&path.to_string_lossy());
        // Some file systems leave the kind to be asked for.
        let kind = if kind == FileType::Unknown { look()?.kind() } else { kind };
        if kind != FileType::Directory {
            if is_hidden || !is_taken {
                return Ok(());
            }
            let stat = look()?;
            let entry = self.entry(path, stat, true)?;
            match parts.last_mut() {
                Some(Part::Entries(run)) => run.extend(entry),
                _ => {
                    let mut run = Vec::with_capacity(AT_ONCE);
                    run.extend(entry);
                    parts.push(Part::Entries(run));
                }
            }
            return Ok(());
        }
        let may_be_visible =
            !is_hidden || ignored.as_ref().is_some_and(|(ignore, text)| ignore.could_reinclude_below(text));
        if !may_be_visible || (!is_taken && !self.filter.may_take_below(&path.to_string_lossy())) {
            return Ok(());
        }
        parts.push(Part::Folder(Below { path, is_taken, is_hidden }));
        Ok(())
    }

    fn failed(&self, what: &'static str, path: &Path, error: io::Error) -> FilesError {
        FilesError::io(what, &below(&self.at, path))(error)
    }

    /// The entry of a path, but for sockets of a context, which BuildKit's clients do not send.
    fn entry(&self, path: PathBuf, stat: Stat, is_included: bool) -> Result<Option<Entry>, FilesError> {
        let at = || below(&self.at, &path);
        let ids = self.view.source.ids;
        let is_kept = self.view.source.owners == Ownership::Kept;
        let node = if is_kept || !stat.is_file() { identity::node_of(at, &stat) } else { None };
        let kind = match (node, stat.kind()) {
            (Some((kind, major, minor)), _) => Kind::Node(kind, major, minor),
            (None, FileType::Directory) => Kind::Folder,
            (None, FileType::Symlink) => {
                let target = rustix::fs::readlink(at(), Vec::new());
                Kind::Link(target.map_err(|error| self.failed("read the link", &path, error.into()))?.into_bytes())
            }
            (None, FileType::Fifo) => Kind::Fifo,
            (None, FileType::Socket) if !is_kept => return Ok(None),
            (None, FileType::Socket) => Kind::Socket,
            (None, _) => Kind::File,
        };
        let known = if kind == Kind::File { self.digests.get(&stat) } else { None };
        // The kernel allows no attributes at others but one, which may be the record of their owner.
        let is_plain =
            !matches!(kind, Kind::File | Kind::Folder | Kind::Node(..)) || known.is_some_and(|known| known.is_plain);
        let xattrs = if is_plain {
            Vec::new()
        } else {
            identity::xattrs(&at()).map_err(|error| self.failed("read attributes of", &path, error))?
        };
        if let Some(known) = known.filter(|known| !known.is_plain && xattrs.is_empty()) {
            self.digests.put(&stat, Known { is_plain: true, ..known });
        }
        let owner = if is_kept { identity::owner_of(at, &stat, ids) } else { (0, 0) };
        let (mode, digest) = (stat.permissions(), known.map(|known| known.digest));
        Ok(Some(Entry { path, kind, mode, owner, xattrs, stat, is_included, digest }))
    }
}

/// A name below a folder, in no more memory than it takes.
fn joined(folder: &Path, name: &CStr) -> PathBuf {
    let name = OsStr::from_bytes(name.to_bytes());
    let mut path = PathBuf::with_capacity(folder.as_os_str().len() + 1 + name.len());
    path.push(folder);
    path.push(name);
    path
}

/// The names in an open folder with what they are, sorted.
fn names(folder: &OwnedFd) -> io::Result<Vec<(CString, FileType)>> {
    let mut buffer = [MaybeUninit::uninit(); 16 << 10];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    names.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(names)
}
