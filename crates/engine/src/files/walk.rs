//! Walks sources: what of a context or an image is there to be copied.

use std::ffi::OsString;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use jettison_image::Digest;
use jettison_syntax::ignore::{Ignore, Matched};
use rayon::prelude::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use super::identity::{self, NodeKind, Xattrs};
use super::resolve::below;
use super::select::Ownership;
use super::{FilesError, Source};

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
    pub(super) metadata: Metadata,
    /// A folder that no pattern includes is made only where something below it is copied.
    pub(super) is_included: bool,
    /// Of a file's content, once hashed.
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
    pub(super) fn look(&self, path: &Path) -> Result<Option<Metadata>, FilesError> {
        let at = below(self.root, path);
        let metadata = match fs::symlink_metadata(&at) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(FilesError::io("look at", &at)(error)),
        };
        Ok(self.is_visible(path, &metadata)?.then_some(metadata))
    }

    fn is_visible(&self, path: &Path, metadata: &Metadata) -> Result<bool, FilesError> {
        let Some(ignore) = self.source.ignore.filter(|ignore| !ignore.rules.is_empty()) else { return Ok(true) };
        let text = path.to_string_lossy();
        if text.is_empty() || !ignore.walk_excludes(&text) {
            return Ok(true);
        }
        if !metadata.is_dir() || !ignore.could_reinclude_below(&text) {
            return Ok(false);
        }
        for entry in self.list(path)? {
            let metadata = entry.metadata().map_err(FilesError::io("look at", &entry.path()))?;
            if self.is_visible(&path.join(entry.file_name()), &metadata)? {
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

    /// What is at `start` and below it.
    pub(super) fn walk(&self, start: &Path, metadata: Metadata, filter: &Filter) -> Result<Vec<Entry>, FilesError> {
        let walk = Walk { view: *self, start, filter };
        let is_folder = metadata.is_dir();
        let mut entries = Vec::new();
        entries.extend(walk.entry(PathBuf::new(), metadata, true)?);
        if is_folder {
            let mut reached = PathBuf::new();
            let above = start.iter().fold(Matched::default(), |above, part| {
                reached.push(part);
                walk.enter(&above, &reached)
            });
            entries.append(&mut walk.folder(Path::new(""), &above)?);
        }
        Ok(entries)
    }
}

struct Walk<'a> {
    view: View<'a>,
    start: &'a Path,
    filter: &'a Filter,
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

    /// What is in a folder, each folder before what it holds. `above` is what rules matched at the folder.
    fn folder(&self, path: &Path, above: &Matched) -> Result<Vec<Entry>, FilesError> {
        let listed = self.view.list(&self.start.join(path))?;
        let parts: Vec<Vec<Entry>> = listed
            .into_par_iter()
            .with_min_len(8)
            .map(|entry| self.listed(path.join(entry.file_name()), &entry, above))
            .collect::<Result<_, _>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn listed(&self, path: PathBuf, entry: &DirEntry, above: &Matched) -> Result<Vec<Entry>, FilesError> {
        let in_context = self.start.join(&path);
        let ignored = self.ignore().map(|ignore| (ignore, in_context.to_string_lossy()));
        let is_hidden = ignored.as_ref().is_some_and(|(ignore, text)| ignore.walk_excludes_in(above, text));
        let text = path.to_string_lossy();
        let is_taken = self.filter.takes(&text);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder {
            if is_hidden || !is_taken {
                return Ok(Vec::new());
            }
            let metadata = entry.metadata().map_err(FilesError::io("look at", &entry.path()))?;
            return Ok(self.entry(path, metadata, true)?.into_iter().collect());
        }
        let may_be_visible =
            !is_hidden || ignored.as_ref().is_some_and(|(ignore, text)| ignore.could_reinclude_below(text));
        if !may_be_visible || (!is_taken && !self.filter.may_take_below(&text)) {
            return Ok(Vec::new());
        }
        let below = self.folder(&path, &self.enter(above, &in_context))?;
        if below.is_empty() && (!is_taken || is_hidden) {
            return Ok(Vec::new());
        }
        let metadata = entry.metadata().map_err(FilesError::io("look at", &entry.path()))?;
        let mut entries: Vec<Entry> = self.entry(path, metadata, is_taken)?.into_iter().collect();
        entries.extend(below);
        Ok(entries)
    }

    /// The entry of a path, but for sockets of a context, which BuildKit's clients do not send.
    fn entry(&self, path: PathBuf, metadata: Metadata, is_included: bool) -> Result<Option<Entry>, FilesError> {
        let at = below(&below(self.view.root, self.start), &path);
        let ids = self.view.source.ids;
        let is_kept = self.view.source.owners == Ownership::Kept;
        let file_type = metadata.file_type();
        let node = if is_kept || !file_type.is_file() { identity::node_of(&at, &metadata) } else { None };
        let kind = if let Some((kind, major, minor)) = node {
            Kind::Node(kind, major, minor)
        } else if file_type.is_dir() {
            Kind::Folder
        } else if file_type.is_symlink() {
            let target = fs::read_link(&at).map_err(FilesError::io("read the link", &at))?;
            Kind::Link(OsString::from(target).into_vec())
        } else if file_type.is_fifo() {
            Kind::Fifo
        } else if file_type.is_socket() {
            if !is_kept {
                return Ok(None);
            }
            Kind::Socket
        } else {
            Kind::File
        };
        let xattrs = match kind {
            Kind::Link(_) => Vec::new(),
            _ => identity::xattrs(&at).map_err(FilesError::io("read attributes of", &at))?,
        };
        let owner = if is_kept { identity::owner_of(&at, &metadata, ids) } else { (0, 0) };
        let mode = metadata.mode() & 0o7777;
        Ok(Some(Entry { path, kind, mode, owner, xattrs, metadata, is_included, digest: None }))
    }
}
