//! The kind of snapshot that needs no mounts: the merged parents are copied, and what changed is found by
//! comparing with what was copied.

use std::collections::HashMap;
use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::attributes::copy_raw;
use super::content;
use super::lower::{Found, Lower};
use crate::ids::Ids;

/// What a copy was when it was made. A file is still that exactly while all of this holds: every change of
/// a file's content, attributes or names moves its change time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    changed: (i64, i64),
    size: u64,
    /// Device and inode of what it was copied from.
    source: (u64, u64),
}

/// The copies by their inode numbers.
#[derive(Debug, Default)]
pub(super) struct Copied {
    by_inode: HashMap<u64, Record>,
}

impl Copied {
    /// Whether a file is still the copy of `source`, untouched.
    pub(super) fn is_untouched(&self, metadata: &Metadata, source: &Metadata) -> bool {
        self.by_inode
            .get(&metadata.ino())
            .is_some_and(|record| *record == record_of(metadata, source.dev(), source.ino()))
    }
}

fn record_of(metadata: &Metadata, device: u64, inode: u64) -> Record {
    Record { changed: (metadata.ctime(), metadata.ctime_nsec()), size: metadata.size(), source: (device, inode) }
}

/// Copies the merged tree below `from` into the folder `to`, whose own attributes are the caller's to set.
pub(super) fn copy_tree(from: &Lower, to: &Path, ids: Ids) -> io::Result<Copied> {
    let mut copying = Copying { ids, names: HashMap::new(), copied: Vec::new() };
    copying.children(from, to)?;
    let mut by_inode = HashMap::new();
    // Further names change a file's change time, so the times are taken at the end.
    for (path, source) in copying.copied {
        let metadata = fs::symlink_metadata(&path)?;
        by_inode.insert(metadata.ino(), record_of(&metadata, source.0, source.1));
    }
    Ok(Copied { by_inode })
}

struct Copying {
    ids: Ids,
    /// The first copy of files with more than one name.
    names: HashMap<(u64, u64), PathBuf>,
    copied: Vec<(PathBuf, (u64, u64))>,
}

impl Copying {
    fn children(&mut self, from: &Lower, to: &Path) -> io::Result<()> {
        for name in from.names()? {
            let to = to.join(&name);
            match from.find(&name)? {
                Found::Nothing => {}
                Found::Other(path, metadata) => self.file(&path, &metadata, &to)?,
                Found::Folder(folder) => {
                    fs::create_dir(&to)?;
                    self.children(&folder, &to)?;
                    if let Some(top) = folder.top() {
                        copy_raw(top, &fs::symlink_metadata(top)?, &to, self.ids)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, metadata: &Metadata, to: &Path) -> io::Result<()> {
        let source = (metadata.dev(), metadata.ino());
        if metadata.nlink() > 1 {
            if let Some(first) = self.names.get(&source) {
                return fs::hard_link(first, to);
            }
            self.names.insert(source, to.to_owned());
        }
        let kind = metadata.file_type();
        if kind.is_file() {
            let output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
            content::copy(&fs::File::open(from)?, &output, metadata.size())?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(from)?, to)?;
        } else {
            let kind = match () {
                () if kind.is_fifo() => FileType::Fifo,
                () if kind.is_block_device() => FileType::BlockDevice,
                () => FileType::CharacterDevice,
            };
            mknodat(CWD, to, kind, Mode::RUSR, metadata.rdev())?;
        }
        copy_raw(from, metadata, to, self.ids)?;
        self.copied.push((to.to_owned(), source));
        Ok(())
    }
}
