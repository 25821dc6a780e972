//! Finds what a COPY or ADD takes: wildcards, ignore files, `--parents`, `--exclude`; and hashes it.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use jettison_image::Digest;
use jettison_syntax::ignore::Ignore;

use super::archive;
use super::hash::{self, Digests, Sum};
use super::remote::{self, Fetched};
use super::resolve::{self, Last, below, shown};
use super::stat::Stat;
use super::walk::{Entry, Filter, View};
use super::{FilesError, wildcard};
use crate::ids::Ids;
use crate::plan::Copy;

/// Where files are copied from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The folder: a context, or the mounted tree of a stage or an image. `None` for an empty context.
    pub root: Option<&'a Path>,
    /// The ignore file of a context.
    pub ignore: Option<&'a Ignore>,
    /// Whose the files will be.
    pub owners: Ownership,
    /// How the tree's owners are kept.
    pub ids: Ids,
    /// What [`super::fetch`] brought.
    pub fetched: &'a [Fetched],
}

/// Whose files are that were copied, without `--chown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Who owned them: files of stages and images.
    Kept,
    /// 0:0: files of contexts.
    Root,
}

/// What a COPY or ADD takes.
#[derive(Debug)]
pub struct Selection {
    pub(super) items: Vec<Item>,
    digest: Digest,
    bytes: u64,
    files: u64,
}

/// A source, or one match of its wildcards.
#[derive(Debug)]
pub(super) enum Item {
    Tree(Tree),
    /// A file that is unpacked.
    Archive {
        /// On the host.
        at: PathBuf,
        /// As messages show it.
        name: String,
    },
    /// A heredoc.
    Inline {
        name: OsString,
        content: Vec<u8>,
    },
}

/// A file, or a folder with what is copied of it.
#[derive(Debug)]
pub(super) struct Tree {
    /// The name that it gets in a folder: as the source was written, not where links led.
    pub(super) name: OsString,
    /// On the host.
    pub(super) root: PathBuf,
    /// The first is the root; folders come before what they hold.
    pub(super) entries: Vec<Entry>,
    /// Whether a destination that is missing is made as a folder of 0755; else it becomes what the root is.
    pub(super) into: bool,
}

impl Selection {
    /// Of names, kinds, modes, owners, link targets, attributes and contents; not of times, nor of the destination.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The sizes of all files, in bytes; archives and links to files count as they are stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files, folders and other things there are.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.files
    }
}

/// Finds and hashes what `copy` takes of `source`.
///
/// # Errors
/// Where a source is missing, a pattern is malformed, or something cannot be read.
pub fn select(copy: &Copy, source: &Source<'_>, digests: &dyn Digests) -> Result<Selection, FilesError> {
    let mut selecting = Selecting { copy, source, digests, items: Vec::new(), sum: Sum::default() };
    let mut fetched = source.fetched.iter();
    for written in &copy.sources {
        if remote::location(written)?.is_some() {
            let Some(fetched) = fetched.next() else {
                return Err(FilesError::OnlyAdd { location: written.clone() });
            };
            selecting.fetched(fetched)?;
        } else {
            selecting.local(written)?;
        }
    }
    for (name, content) in &copy.heredocs {
        selecting.sum.field(b"inline");
        selecting.sum.field(name.as_bytes());
        selecting.sum.field(content);
        let name = base_name(Path::new(name));
        selecting.items.push(Item::Inline { name, content: content.clone() });
    }
    let (mut bytes, mut files) = (0, 0);
    for item in &selecting.items {
        match item {
            Item::Tree(tree) => {
                bytes += tree
                    .entries
                    .iter()
                    .filter(|entry| entry.digest.is_some())
                    .map(|entry| entry.stat.size)
                    .sum::<u64>();
                files += tree.entries.len() as u64;
            }
            Item::Archive { at, .. } => {
                bytes += at.metadata().map_or(0, |metadata| metadata.len());
                files += 1;
            }
            Item::Inline { content, .. } => {
                bytes += content.len() as u64;
                files += 1;
            }
        }
    }
    Ok(Selection { items: selecting.items, digest: selecting.sum.finish(), bytes, files })
}

struct Selecting<'a> {
    copy: &'a Copy,
    source: &'a Source<'a>,
    digests: &'a dyn Digests,
    items: Vec<Item>,
    sum: Sum,
}

impl Selecting<'_> {
    /// A path of the context, a stage or an image.
    fn local(&mut self, written: &str) -> Result<(), FilesError> {
        let Some(root) = self.source.root else {
            return Err(FilesError::NotFound { path: clean(written), hint: " (there is no build context)".to_owned() });
        };
        let view = View { root, source: self.source };
        if self.copy.parents {
            return self.with_parents(&view, written);
        }
        let filter = Filter::new(None, &self.copy.exclude)?;
        let source = clean(written);
        if !wildcard::has_wildcards(&source) {
            return self.take(&view, Path::new(&source), &filter);
        }
        for path in wildcard::matches(&view, &source)? {
            // What `--exclude` names is left out of the matches too, as the reference says; folders that
            // match lend only their contents, whose paths begin below them.
            let is_folder = view.look(&path)?.is_some_and(|stat| stat.is_folder());
            if is_folder || !filter.excludes(&base_name(&path).to_string_lossy()) {
                self.take(&view, &path, &filter)?;
            }
        }
        Ok(())
    }

    /// A path of `--parents`: what is before `/./` is not part of the names that are kept.
    fn with_parents(&mut self, view: &View<'_>, written: &str) -> Result<(), FilesError> {
        let (base, pattern) = written.split_once("/./").unwrap_or(("/", written));
        let (base, pattern) = (clean(base), clean(pattern));
        let below_base = pattern.trim_start_matches('/');
        let filter = Filter::new((!below_base.is_empty()).then_some(below_base), &self.copy.exclude)?;
        let has_wildcards = wildcard::has_wildcards(&base) || wildcard::has_wildcards(&pattern);
        if !has_wildcards {
            let required = clean(&format!("{base}/{pattern}"));
            self.find(view, Path::new(&required))?;
        }
        if !wildcard::has_wildcards(&base) {
            return self.take(view, Path::new(&base), &filter);
        }
        for path in wildcard::matches(view, &base)? {
            self.take(view, &path, &filter)?;
        }
        Ok(())
    }

    /// Where a source really is.
    fn find(&self, view: &View<'_>, path: &Path) -> Result<(PathBuf, Stat), FilesError> {
        let found = resolve::follow(view.root, path, Last::Follow)?;
        match view.look(&found)? {
            Some(stat) => Ok((found, stat)),
            None => Err(not_found(view, path, &found)),
        }
    }

    fn take(&mut self, view: &View<'_>, path: &Path, filter: &Filter) -> Result<(), FilesError> {
        let (found, stat) = self.find(view, path)?;
        let at = below(view.root, &found);
        let unpacks = self.copy.unpack.unwrap_or(self.copy.is_add);
        if unpacks && stat.is_file() && archive::is_archive(&at) {
            return self.archive(at, &stat, shown(path));
        }
        let entries = view.walk(&found, &stat, filter, self.digests)?;
        self.tree(Tree { name: base_name(path), root: at, entries, into: true })
    }

    fn archive(&mut self, at: PathBuf, stat: &Stat, name: String) -> Result<(), FilesError> {
        let digest = hash::remembered(&at, stat, self.digests)?;
        self.sum.field(b"archive");
        self.sum.field(&digest.0);
        self.items.push(Item::Archive { at, name });
        Ok(())
    }

    fn tree(&mut self, mut tree: Tree) -> Result<(), FilesError> {
        hash::fill(&tree.root, &mut tree.entries, self.digests)?;
        self.sum.field(b"tree");
        self.sum.field(tree.name.as_encoded_bytes());
        self.sum.tree(&tree.entries);
        self.items.push(Item::Tree(tree));
        Ok(())
    }

    /// What was fetched: a file, or the files of a git repository.
    fn fetched(&mut self, fetched: &Fetched) -> Result<(), FilesError> {
        let source = Source {
            root: Some(&fetched.at),
            ignore: None,
            owners: Ownership::Root,
            ids: self.source.ids,
            fetched: &[],
        };
        let view = View { root: &fetched.at, source: &source };
        let metadata = std::fs::symlink_metadata(&fetched.at).map_err(FilesError::io("look at", &fetched.at))?;
        let stat = Stat::from(&metadata);
        if stat.is_file() && self.copy.unpack == Some(true) && archive::is_archive(&fetched.at) {
            return self.archive(fetched.at.clone(), &stat, fetched.location.clone());
        }
        let filter = Filter::new(None, &self.copy.exclude)?;
        let entries = view.walk(Path::new(""), &stat, &filter, self.digests)?;
        self.tree(Tree { name: fetched.name.clone(), root: fetched.at.clone(), entries, into: false })
    }
}

fn clean(path: &str) -> String {
    jettison_syntax::path::clean(path)
}

fn base_name(path: &Path) -> OsString {
    path.file_name().unwrap_or(OsStr::new("")).to_owned()
}

/// The error of a source that is not there, with what the user may have meant.
fn not_found(view: &View<'_>, path: &Path, found: &Path) -> FilesError {
    let hint = if below(view.root, found).symlink_metadata().is_ok() {
        " (it is there, but the ignore file excludes it)".to_owned()
    } else {
        match similar(view, found) {
            Some(other) => format!(" (did you mean {:?}?)", shown(&other)),
            None => String::new(),
        }
    };
    FilesError::NotFound { path: shown(path), hint }
}

/// A path like one that is missing: another case, or one or two characters off in its last part.
fn similar(view: &View<'_>, path: &Path) -> Option<PathBuf> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let names: HashSet<OsString> = view.list(folder).ok()?.into_iter().map(|entry| entry.file_name()).collect();
    let most = if name.chars().count() < 5 { 1 } else { 2 };
    let best = names.iter().filter_map(|other| {
        let distance = distance(&name.to_lowercase(), &other.to_str()?.to_lowercase());
        (distance <= most && view.look(&folder.join(other)).ok()?.is_some()).then_some((distance, other))
    });
    best.min().map(|(_, other)| folder.join(other))
}

/// How many characters must be added, removed or replaced to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, character) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, candidate) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(*candidate != character);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
