//! Writes a tree to its place: folders first, then all else in parallel, then what folders end up with.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jettison_image::Digest;
use rayon::prelude::{IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use rustix::fs::{CWD, FileType, Mode};

use super::FilesError;
use super::apply::Placing;
use super::hash;
use super::identity::{self, Giver};
use super::resolve::{below, shown};
use super::select::Tree;
use super::stat::Stat;
use super::walk::{Entry, Kind};

/// How a folder came to be where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folder {
    Made,
    WasThere,
}

/// What is known of a file that was written: its inode with its content's digest or, of a link, its owner.
enum Known {
    Nothing,
    Digest(u64, Digest),
    Owner(u64, (u32, u32)),
}

/// Writes a tree to `path` below the target's root.
pub(super) fn tree(placing: &mut Placing<'_>, tree: &Tree, path: &Path) -> Result<(), FilesError> {
    let writing = Writing { placing, tree, path, at: below(placing.target.root, path) };
    let mut folders = Vec::new();
    for entry in tree.entries.iter().filter(|entry| entry.kind == Kind::Folder) {
        folders.push((entry, writing.folder(entry)?));
    }
    let (files, links) = hard_links(&tree.entries);
    let known: Vec<Known> =
        files.par_iter().with_min_len(16).map(|entry| writing.entry(entry)).collect::<Result<_, _>>()?;
    for (entry, first) in links {
        writing.hard_link(entry, first)?;
    }
    // What a folder holds changes its time, so that the deepest are done first.
    for (entry, folder) in folders.into_iter().rev() {
        writing.finish_folder(entry, folder)?;
    }
    let mut owners = HashMap::new();
    for known in known {
        match known {
            Known::Nothing => {}
            Known::Digest(inode, digest) => drop(placing.applied.digests.insert(inode, digest)),
            Known::Owner(inode, owner) => drop(owners.insert(inode, owner)),
        }
    }
    placing.add_link_owners(owners);
    Ok(())
}

/// Writes a heredoc: 0644, 0:0, of now.
pub(super) fn inline(placing: &mut Placing<'_>, content: &[u8], path: &Path) -> Result<(), FilesError> {
    let at = below(placing.target.root, path);
    let mut file = create(&at, path)?;
    let mode = placing.chmod.as_ref().map_or(0o644, |chmod| chmod.apply(0o644, false));
    let (seconds, nanoseconds) = placing.now();
    let written = file
        .write_all(content)
        .and_then(|()| Giver { ids: placing.target.ids }.file(&at, placing.owner((0, 0))))
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
        .and_then(|()| identity::set_time(&at, seconds, nanoseconds))
        .and_then(|()| file.metadata());
    let metadata = written.map_err(FilesError::io("write", &at))?;
    placing.progress.add(content.len() as u64);
    placing.applied.digests.insert(metadata.ino(), Digest::of(content));
    Ok(())
}

/// All but folders, and apart from them the files that are another name of an earlier one, with that one.
fn hard_links(entries: &[Entry]) -> (Vec<&Entry>, Vec<(&Entry, &Entry)>) {
    let mut firsts: HashMap<(u64, u64), &Entry> = HashMap::new();
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| entry.kind != Kind::Folder) {
        if entry.kind == Kind::File && entry.stat.links > 1 {
            let inode = entry.stat.inode;
            if let Some(first) = firsts.get(&inode) {
                links.push((entry, *first));
                continue;
            }
            firsts.insert(inode, entry);
        }
        files.push(entry);
    }
    (files, links)
}

/// Makes a file where none is, in place of one where one is.
fn create(at: &Path, path: &Path) -> Result<File, FilesError> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    replacing(at, path, || options.open(at))
}

/// Makes something, once more after what stood in its place is gone; a folder stays.
fn replacing<T>(at: &Path, path: &Path, make: impl Fn() -> io::Result<T>) -> Result<T, FilesError> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made.map_err(FilesError::io("make", at)),
    }
    if fs::symlink_metadata(at).map_err(FilesError::io("look at", at))?.is_dir() {
        return Err(FilesError::FileOverFolder { path: shown(path) });
    }
    fs::remove_file(at).map_err(FilesError::io("replace", at))?;
    make().map_err(FilesError::io("make", at))
}

struct Writing<'a> {
    placing: &'a Placing<'a>,
    tree: &'a Tree,
    /// Below the target's root.
    path: &'a Path,
    /// On the host.
    at: PathBuf,
}

impl Writing<'_> {
    fn to(&self, entry: &Entry) -> PathBuf {
        below(&self.at, &entry.path)
    }

    fn shown(&self, entry: &Entry) -> PathBuf {
        below(self.path, &entry.path)
    }

    /// Makes a folder that can be written to for the time being.
    fn folder(&self, entry: &Entry) -> Result<Folder, FilesError> {
        let to = self.to(entry);
        match fs::DirBuilder::new().mode(0o700).create(&to) {
            Ok(()) => return Ok(Folder::Made),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(FilesError::io("make the folder", &to)(error)),
        }
        match fs::symlink_metadata(&to) {
            Ok(metadata) if metadata.is_dir() => Ok(Folder::WasThere),
            Ok(_) => Err(FilesError::FolderOverFile { path: shown(&self.shown(entry)) }),
            Err(error) => Err(FilesError::io("look at", &to)(error)),
        }
    }

    /// A folder that was made gets all that its source has, one within a tree also where it was there; the
    /// destination itself keeps what it has but for the time. One that no pattern includes is only changed in mode.
    fn finish_folder(&self, entry: &Entry, folder: Folder) -> Result<(), FilesError> {
        let to = self.to(entry);
        let is_root = entry.path.as_os_str().is_empty();
        let done = if folder == Folder::Made || entry.is_included && !is_root {
            self.finish(entry, &to)
        } else if is_root {
            self.set_time(entry, &to)
        } else {
            fs::set_permissions(&to, fs::Permissions::from_mode(entry.mode))
        };
        done.map_err(FilesError::io("finish the folder", &to))
    }

    /// Writes what is no folder.
    fn entry(&self, entry: &Entry) -> Result<Known, FilesError> {
        if self.placing.target.cancel.is_cancelled() {
            return Err(FilesError::Cancelled);
        }
        let (to, path) = (self.to(entry), self.shown(entry));
        let special = |file_type: FileType| {
            replacing(&to, &path, || Ok(rustix::fs::mknodat(CWD, &to, file_type, Mode::from_raw_mode(0o600), 0)?))
        };
        let digest = match &entry.kind {
            Kind::Folder => None,
            Kind::File => self.file(entry, &to, &path)?,
            Kind::Link(target) => {
                replacing(&to, &path, || std::os::unix::fs::symlink(OsStr::from_bytes(target), &to))?;
                return self.finish_link(entry, &to).map_err(FilesError::io("finish the link", &to));
            }
            Kind::Fifo => {
                special(FileType::Fifo)?;
                None
            }
            Kind::Socket => {
                special(FileType::Socket)?;
                None
            }
            Kind::Node(kind, major, minor) => {
                let ids = self.placing.target.ids;
                replacing(&to, &path, || identity::make_node(&to, (*kind, *major, *minor), entry.mode, ids))?;
                None
            }
        };
        self.finish(entry, &to).map_err(FilesError::io("finish", &to))?;
        let Some(digest) = digest else { return Ok(Known::Nothing) };
        let metadata = fs::symlink_metadata(&to).map_err(FilesError::io("look at", &to))?;
        Ok(Known::Digest(metadata.ino(), digest))
    }

    /// Copies a file's content; gives its digest unless the file has changed since it was hashed.
    fn file(&self, entry: &Entry, to: &Path, path: &Path) -> Result<Option<Digest>, FilesError> {
        let from = below(&self.tree.root, &entry.path);
        let mut source = hash::open(&from).map_err(FilesError::io("read", &from))?;
        let mut file = create(to, path)?;
        // The standard library has the kernel copy, or share the blocks where file systems can.
        let copied = io::copy(&mut source, &mut file).map_err(FilesError::io("copy to", to))?;
        self.placing.progress.add(copied);
        let now = source.metadata().map_err(FilesError::io("look at", &from))?;
        Ok(entry.digest.filter(|_| copied == now.len() && is_same(&entry.stat, &Stat::from(&now))))
    }

    fn hard_link(&self, entry: &Entry, first: &Entry) -> Result<(), FilesError> {
        let (from, to) = (self.to(first), self.to(entry));
        replacing(&to, &self.shown(entry), || fs::hard_link(&from, &to))
    }

    fn finish_link(&self, entry: &Entry, to: &Path) -> io::Result<Known> {
        let owner = self.placing.owner(entry.owner);
        let recorded = Giver { ids: self.placing.target.ids }.link(to, owner)?;
        self.set_time(entry, to)?;
        Ok(recorded.map_or(Known::Nothing, |(inode, owner)| Known::Owner(inode, owner)))
    }

    /// The owner, then the mode, which loses set-id bits with a change of owner, then all else.
    fn finish(&self, entry: &Entry, to: &Path) -> io::Result<()> {
        Giver { ids: self.placing.target.ids }.file(to, self.placing.owner(entry.owner))?;
        let is_folder = entry.kind == Kind::Folder;
        let mode = self.placing.chmod.as_ref().map_or(entry.mode, |chmod| chmod.apply(entry.mode, is_folder));
        fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
        identity::set_xattrs(to, &entry.xattrs);
        self.set_time(entry, to)
    }

    fn set_time(&self, entry: &Entry, to: &Path) -> io::Result<()> {
        let (seconds, nanoseconds) = self.placing.time((entry.stat.mtime.0, i64::from(entry.stat.mtime.1)));
        identity::set_time(to, seconds, nanoseconds)
    }
}

/// Whether a file is as it was when it was hashed.
fn is_same(before: &Stat, now: &Stat) -> bool {
    let of = |stat: &Stat| (stat.inode.1, stat.size, stat.mtime, stat.ctime);
    of(before) == of(now)
}
