//! Digests of what is copied: of each file's content, remembered from build to build, and of a whole selection.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use jettison_image::{Digest, Hasher};
use rayon::prelude::{IntoParallelRefMutIterator as _, ParallelIterator as _};

use super::FilesError;
use super::identity::NodeKind;
use super::resolve::below;
use super::walk::{Entry, Kind};

/// Remembers the digests of files that have not changed.
pub trait Digests: Sync {
    /// The digest of the file's content, where it is known and the file is as it was.
    fn get(&self, path: &Path, metadata: &Metadata) -> Option<Digest>;
    /// Takes a digest into memory; `metadata` is of before the file was read.
    fn put(&self, path: &Path, metadata: &Metadata, digest: Digest);
}

/// Remembers nothing.
impl Digests for () {
    fn get(&self, _path: &Path, _metadata: &Metadata) -> Option<Digest> {
        None
    }

    fn put(&self, _path: &Path, _metadata: &Metadata, _digest: Digest) {}
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
pub(super) fn remembered(path: &Path, metadata: &Metadata, digests: &dyn Digests) -> Result<Digest, FilesError> {
    if let Some(digest) = digests.get(path, metadata) {
        return Ok(digest);
    }
    let digest = content(path).map_err(FilesError::io("read", path))?;
    digests.put(path, metadata, digest);
    Ok(digest)
}

/// Hashes the files of a tree.
pub(super) fn fill(root: &Path, entries: &mut [Entry], digests: &dyn Digests) -> Result<(), FilesError> {
    entries.par_iter_mut().filter(|entry| entry.kind == Kind::File).try_for_each(|entry| {
        entry.digest = Some(remembered(&below(root, &entry.path), &entry.metadata, digests)?);
        Ok(())
    })
}

/// Adds up what a selection's digest covers; every field goes in with its length.
#[derive(Default)]
pub(super) struct Sum(Hasher);

impl Sum {
    /// Adds a field.
    pub(super) fn field(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn number(&mut self, number: u32) {
        self.0.update(&number.to_le_bytes());
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
                    if entry.metadata.nlink() > 1 {
                        let first = *inodes.entry((entry.metadata.dev(), entry.metadata.ino())).or_insert(index);
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
        self.0.finish()
    }
}
