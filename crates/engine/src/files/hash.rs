//! Digests of what is copied: of each file's content, remembered from build to build, and of a whole selection.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jettison_image::{Digest, Hasher};
use rayon::prelude::{IntoParallelRefMutIterator as _, ParallelIterator as _};

use super::FilesError;
use super::identity::NodeKind;
use super::resolve::below;
use super::stat::Stat;
use super::walk::{Entry, Kind};

/// What is known of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The digest of the content.
    pub digest: Digest,
    /// That there are no extended attributes that would be copied; else nothing is known of them.
    pub is_plain: bool,
}

/// Remembers what files hold that have not changed.
pub trait Digests: Sync {
    /// What is known of a file, if it is as it was.
    fn get(&self, stat: &Stat) -> Option<Known>;
    /// Takes what a file holds into memory; `stat` is of before the file was read.
    fn put(&self, stat: &Stat, known: Known);
}

/// Remembers nothing.
impl Digests for () {
    fn get(&self, _stat: &Stat) -> Option<Known> {
        None
    }

    fn put(&self, _stat: &Stat, _known: Known) {}
}

/// Opens a file that is no link, to read.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    File::options().read(true).custom_flags(flags).open(path)
}

/// The digest of a file's content.
pub(super) fn content(path: &Path) -> io::Result<Digest> {
    let mut file = open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The digest of a file's content, from memory where that is possible.
pub(super) fn remembered(path: &Path, stat: &Stat, digests: &dyn Digests) -> Result<Digest, FilesError> {
    if let Some(known) = digests.get(stat) {
        return Ok(known.digest);
    }
    let digest = content(path).map_err(FilesError::io("read", path))?;
    digests.put(stat, Known { digest, is_plain: false });
    Ok(digest)
}

/// Hashes those files of a tree whose content is not known yet.
pub(super) fn fill(root: &Path, entries: &mut [Entry], digests: &dyn Digests) -> Result<(), FilesError> {
    let is_unknown = |entry: &&mut Entry| entry.kind == Kind::File && entry.digest.is_none();
    entries.par_iter_mut().filter(is_unknown).try_for_each(|entry| {
        let path = below(root, &entry.path);
        // Further names of a file find what its first one's content is.
        let known = if entry.stat.links > 1 { digests.get(&entry.stat) } else { None };
        let digest = match known {
            Some(known) => known.digest,
            None => content(&path).map_err(FilesError::io("read", &path))?,
        };
        digests.put(&entry.stat, Known { digest, is_plain: entry.xattrs.is_empty() });
        entry.digest = Some(digest);
        Ok(())
    })
}

/// Adds up what a selection's digest covers; every field goes in with its length.
#[derive(Default)]
pub(super) struct Sum {
    hasher: Hasher,
    /// What is not hashed yet: fields are short, and hashing goes by blocks.
    waiting: Vec<u8>,
}

impl Sum {
    /// Adds a field.
    pub(super) fn field(&mut self, bytes: &[u8]) {
        /// Fits a core's first-level cache.
        const FULL: usize = 16 << 10;
        self.waiting.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= FULL {
            self.hasher.update(&self.waiting);
            self.waiting.clear();
        }
    }

    fn number(&mut self, number: u32) {
        self.waiting.extend_from_slice(&number.to_le_bytes());
    }

    /// Adds a tree: all but the times.
    pub(super) fn tree(&mut self, entries: &[Entry]) {
        let mut inodes: HashMap<(u64, u64), u32> = HashMap::new();
        for (index, entry) in (0_u32..).zip(entries) {
            self.field(entry.path.as_os_str().as_bytes());
            self.number(entry.mode);
            self.number(entry.owner.0);
            self.number(entry.owner.1);
            self.number(u32::from(entry.is_included));
            match &entry.kind {
                Kind::Folder => self.field(b"folder"),
                Kind::File => {
                    self.field(b"file");
                    self.field(entry.digest.as_ref().map_or(&[], |digest| &digest.0[..]));
                    if entry.stat.links > 1 {
                        let first = *inodes.entry(entry.stat.inode).or_insert(index);
                        if first != index {
                            self.number(first);
                        }
                    }
                }
                Kind::Link(target) => {
                    self.field(b"link");
                    self.field(target);
                }
                Kind::Fifo => self.field(b"fifo"),
                Kind::Socket => self.field(b"socket"),
                Kind::Node(kind, major, minor) => {
                    self.field(if *kind == NodeKind::Char { b"c" } else { b"b" });
                    self.number(*major);
                    self.number(*minor);
                }
            }
            self.number(u32::try_from(entry.xattrs.len()).unwrap_or(u32::MAX));
            for (name, value) in &entry.xattrs {
                self.field(name.to_bytes());
                self.field(value);
            }
        }
    }

    /// The digest of all fields.
    pub(super) fn finish(mut self) -> Digest {
        self.hasher.update(&self.waiting);
        self.hasher.finish()
    }
}
