//! What the kernel says of a file, as far as copying needs it: a third of what the standard library keeps of it, which
//! counts where a tree has hundreds of thousands of files.

use std::ffi::CStr;
use std::fs::Metadata;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, makedev, statx};

/// A time in seconds since 1970, and nanoseconds.
pub type Time = (i64, u32);

/// A file as `statx` shows it. Any change of it shows in at least one of size, mtime, ctime and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The device that it lies on, and its number there.
    pub inode: (u64, u64),
    /// Its size in bytes.
    pub size: u64,
    /// When its content was last modified, as far as nobody set that.
    pub mtime: Time,
    /// When it was last changed, attributes included. Nobody can set that.
    pub ctime: Time,
    /// How many names it has.
    pub links: u32,
    /// Its owner and group.
    pub owner: (u32, u32),
    /// The device that it is.
    pub(super) device: (u32, u32),
    mode: u32,
}

impl Stat {
    /// Of a name in an open folder; of the folder itself where the name is empty. Links are not followed.
    pub(super) fn at(folder: impl AsFd, name: &CStr) -> io::Result<Self> {
        // The flag for empty names makes others slower.
        let empty = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::empty() };
        let flags = AtFlags::SYMLINK_NOFOLLOW | empty;
        Ok((&statx(folder, name, flags, StatxFlags::BASIC_STATS)?).into())
    }

    /// What it is.
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Whether it is a folder.
    pub(super) fn is_folder(&self) -> bool {
        self.kind() == FileType::Directory
    }

    /// Whether it is a file with contents.
    pub(super) fn is_file(&self) -> bool {
        self.kind() == FileType::RegularFile
    }

    /// The low twelve bits of its mode.
    pub(super) fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

impl From<&Statx> for Stat {
    fn from(stat: &Statx) -> Self {
        let time = |time: StatxTimestamp| (time.tv_sec, time.tv_nsec);
        Self {
            inode: (makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino),
            size: stat.stx_size,
            mtime: time(stat.stx_mtime),
            ctime: time(stat.stx_ctime),
            links: stat.stx_nlink,
            owner: (stat.stx_uid, stat.stx_gid),
            device: (stat.stx_rdev_major, stat.stx_rdev_minor),
            mode: u32::from(stat.stx_mode),
        }
    }
}

impl From<&Metadata> for Stat {
    fn from(metadata: &Metadata) -> Self {
        let time = |seconds, nanoseconds| (seconds, u32::try_from(nanoseconds).unwrap_or_default());
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            mtime: time(metadata.mtime(), metadata.mtime_nsec()),
            ctime: time(metadata.ctime(), metadata.ctime_nsec()),
            links: u32::try_from(metadata.nlink()).unwrap_or(u32::MAX),
            owner: (metadata.uid(), metadata.gid()),
            device: (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev())),
            mode: metadata.mode(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn both_calls_say_the_same() {
        let folder = std::fs::File::open("/dev").expect("opens");
        for name in [c"null", c"fd", c"pts"] {
            let path = std::path::Path::new("/dev").join(name.to_str().expect("UTF-8"));
            let metadata = std::fs::symlink_metadata(path).expect("is there");
            assert_eq!(Stat::at(&folder, name).expect("is there"), Stat::from(&metadata));
        }
        assert_eq!(Stat::at(&folder, c"").expect("is there"), Stat::from(&folder.metadata().expect("is open")));
    }
}
