//! Writes what was selected into a workspace: where each source goes, and which folders are made for it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jettison_image::Digest;

use super::FilesError;
use super::identity::{self, Giver, LinkOwners};
use super::mode::Mode;
use super::resolve::{self, Last, below, shown};
use super::select::{Item, Selection, Tree};
use super::unpack::{Devices, Unpacking};
use super::write;
use crate::build::Cancel;
use crate::events::{Event, Observer, Vertex};
use crate::ids::{Ids, Owners};
use crate::plan::Copy;

/// Where files are written.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// A workspace's root: empty where the step [is independent](super::is_independent).
    pub root: &'a Path,
    /// `--chown`, looked up.
    pub owner: Option<(u32, u32)>,
    /// Whether owners are given or recorded.
    pub ids: Ids,
    /// The time that all files get instead of their own, in seconds since 1970: BuildKit's use of `SOURCE_DATE_EPOCH`.
    pub time: Option<i64>,
    /// Hears of progress in bytes, for this vertex.
    pub observer: Option<(&'a dyn Observer, Vertex)>,
    /// Stops it.
    pub cancel: &'a Cancel,
}

/// What is known of the files that were written.
#[derive(Debug, Default)]
pub struct Applied {
    /// Digests of contents, by inode number in the root.
    pub digests: HashMap<u64, Digest>,
    /// Owners of symbolic links that cannot be recorded on them, by inode number in the root.
    pub owners: Owners,
}

/// Writes a selection.
///
/// # Errors
/// Where a folder is in the way of a file or the other way round, an archive is malformed or leads out of its
/// folder, `--chmod` cannot be read, or something cannot be written. What was written until then stays.
pub fn apply(selection: &Selection, copy: &Copy, target: &Target<'_>) -> Result<Applied, FilesError> {
    let chmod = copy.chmod.as_deref().map(Mode::parse).transpose()?;
    let progress = Progress::new(target.observer, selection.bytes());
    let mut placing = Placing { target, chmod, progress: &progress, applied: Applied::default(), made: Vec::new() };
    for item in &selection.items {
        if target.cancel.is_cancelled() {
            return Err(FilesError::Cancelled);
        }
        match item {
            Item::Tree(tree) => placing.tree(tree, &copy.destination)?,
            Item::Archive { at, name } => placing.archive(at, name, &copy.destination)?,
            Item::Inline { name, content } => placing.inline(name, content, &copy.destination)?,
        }
    }
    placing.date_folders()?;
    progress.tell(true);
    Ok(placing.applied)
}

/// Makes the folder that WORKDIR names, and those above it, where they are missing: 0755 and `target`'s owner.
///
/// # Errors
/// Where something else is in the way, or a folder cannot be made.
pub fn make_folder(path: &str, target: &Target<'_>) -> Result<(), FilesError> {
    let progress = Progress::new(None, 0);
    let mut placing =
        Placing { target, chmod: None, progress: &progress, applied: Applied::default(), made: Vec::new() };
    let folder = resolve::follow(target.root, Path::new(path), Last::Follow)?;
    placing.make_folders(&folder)?;
    placing.date_folders()
}

/// Counts bytes, and tells of them now and then.
pub(super) struct Progress<'a> {
    observer: Option<(&'a dyn Observer, Vertex)>,
    done: AtomicU64,
    total: u64,
    told: Mutex<Instant>,
}

impl<'a> Progress<'a> {
    fn new(observer: Option<(&'a dyn Observer, Vertex)>, total: u64) -> Self {
        Self { observer, done: AtomicU64::new(0), total, told: Mutex::new(Instant::now()) }
    }

    /// So many bytes more were written.
    pub(super) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.tell(false);
    }

    fn tell(&self, is_last: bool) {
        let Some((observer, vertex)) = self.observer else { return };
        // Whoever finds it locked need not tell: another thread does.
        let Ok(mut told) = self.told.try_lock() else { return };
        if is_last || told.elapsed().as_millis() >= 100 {
            *told = Instant::now();
            let done = self.done.load(Ordering::Relaxed);
            observer.hear(Event::Progress { vertex, done, total: self.total, unit: "bytes" });
        }
    }
}

/// What is at a destination.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Folder,
    Other,
}

/// Puts items in their places.
pub(super) struct Placing<'a> {
    pub(super) target: &'a Target<'a>,
    pub(super) chmod: Option<Mode>,
    pub(super) progress: &'a Progress<'a>,
    pub(super) applied: Applied,
    /// The folders that were made on the way.
    made: Vec<PathBuf>,
}

impl Placing<'_> {
    fn tree(&mut self, tree: &Tree, destination: &str) -> Result<(), FilesError> {
        let is_folder = tree.entries.first().is_some_and(|entry| entry.stat.is_folder());
        let path = self.place(&tree.name, is_folder, tree.into, destination)?;
        write::tree(self, tree, &path)
    }

    fn inline(&mut self, name: &OsStr, content: &[u8], destination: &str) -> Result<(), FilesError> {
        let path = self.place(name, false, true, destination)?;
        write::inline(self, content, &path)
    }

    fn archive(&mut self, at: &Path, name: &str, destination: &str) -> Result<(), FilesError> {
        let folder = resolve::follow(self.target.root, Path::new(destination), Last::Follow)?;
        self.make_folders(&folder)?;
        let giver = Some(Giver { ids: self.target.ids });
        let root = below(self.target.root, &folder);
        let owner = self.target.owner;
        let unpacking =
            Unpacking { root: &root, owner, giver, devices: Devices::Made, name, cancel: self.target.cancel };
        let input = super::archive::open(at).map_err(FilesError::io("read", at))?;
        let unpacked = unpacking.run(input)?;
        self.progress.add(at.metadata().map_or(0, |metadata| metadata.len()));
        self.applied.digests.extend(unpacked.digests);
        self.applied.owners.by_inode.extend(unpacked.link_owners);
        Ok(())
    }

    /// Where a source goes, below the root; the folders that it needs are made.
    fn place(&mut self, name: &OsStr, is_folder: bool, into: bool, destination: &str) -> Result<PathBuf, FilesError> {
        let root = self.target.root;
        let (parent, last) = destination.rsplit_once('/').unwrap_or(("", destination));
        // `/a/.` says as well as `/a/` that the destination is a folder.
        let ensured = if last.is_empty() || last == "." { destination } else { parent };
        let ensured = resolve::follow(root, Path::new(ensured), Last::Follow)?;
        self.make_folders(&ensured)?;
        let mut path = resolve::follow(root, Path::new(&jettison_syntax::path::clean(destination)), Last::Follow)?;
        let found = look(root, &path)?;
        if !is_folder && found == Found::Folder {
            path.push(name);
        }
        if is_folder && into && found == Found::Nothing {
            self.make_folders(&path)?;
        } else if let Some(parent) = path.parent() {
            self.make_folders(parent)?;
        }
        Ok(path)
    }

    /// Makes a folder, and those above it: 0755, and whose the files are.
    fn make_folders(&mut self, path: &Path) -> Result<(), FilesError> {
        let mut reached = PathBuf::new();
        for part in path {
            reached.push(part);
            match look(self.target.root, &reached)? {
                Found::Folder => {}
                Found::Other => return Err(FilesError::NotAFolder { path: shown(&reached) }),
                Found::Nothing => self.make_folder(&below(self.target.root, &reached))?,
            }
        }
        Ok(())
    }

    fn make_folder(&mut self, at: &Path) -> Result<(), FilesError> {
        self.made.push(at.to_owned());
        let made = fs::create_dir(at)
            .and_then(|()| Giver { ids: self.target.ids }.file(at, self.target.owner.unwrap_or((0, 0))))
            // The file mode mask takes nothing from a builder's folders.
            .and_then(|()| fs::set_permissions(at, fs::Permissions::from_mode(0o755)));
        made.map_err(FilesError::io("make the folder", at))
    }

    /// Gives the folders that were made the time that all files get; what was put into them had changed it.
    fn date_folders(&self) -> Result<(), FilesError> {
        let Some(time) = self.target.time else { return Ok(()) };
        let date = |at: &PathBuf| identity::set_time(at, time, 0).map_err(FilesError::io("set the time of", at));
        self.made.iter().try_for_each(date)
    }

    /// The owner of a file that belonged to `kept`.
    pub(super) fn owner(&self, kept: (u32, u32)) -> (u32, u32) {
        self.target.owner.unwrap_or(kept)
    }

    /// The time of a file whose own is `kept`.
    pub(super) fn time(&self, kept: (i64, i64)) -> (i64, i64) {
        self.target.time.map_or(kept, |time| (time, 0))
    }

    /// Now, or the time that all files get.
    pub(super) fn now(&self) -> (i64, i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.time((i64::try_from(now.as_secs()).unwrap_or(0), i64::from(now.subsec_nanos())))
    }

    /// Adds owners of links that were written.
    pub(super) fn add_link_owners(&mut self, owners: LinkOwners) {
        self.applied.owners.by_inode.extend(owners);
    }
}

/// What is at a path that leads through no links.
fn look(root: &Path, path: &Path) -> Result<Found, FilesError> {
    let at = below(root, path);
    match fs::symlink_metadata(&at) {
        Ok(metadata) if metadata.is_dir() => Ok(Found::Folder),
        Ok(_) => Ok(Found::Other),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Found::Nothing)
        }
        Err(error) => Err(FilesError::io("look at", &at)(error)),
    }
}
