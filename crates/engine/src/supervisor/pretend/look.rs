//! Answers what a process asks about files: with their recorded owners, and devices as devices.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Stat, Statx, StatxFlags, StatxTimestamp, makedev};

use super::{Asking, Pretender, failed, marks};
use crate::ids::NodeKind;
use crate::kernel::seccomp::Answer;
use crate::supervisor::calls::{Follow, Name};
use crate::supervisor::pretend::guard::is_made_up;
use crate::supervisor::world::Memory;

/// Which flags of the calls are known here; of others the kernel says that it does not know them.
const KNOWN: i32 = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_SYNC_TYPE;

/// What is said of a file in the kernel's stead.
struct Seen {
    owner: (u32, u32),
    node: Option<(NodeKind, u32, u32)>,
}

impl Pretender {
    pub(super) fn examine(&mut self, asking: Asking<'_>, name: Name, follow: Follow, buffer: usize) -> Answer {
        let flags = follow.of(&asking.notification.arguments);
        let Some((_, stat, seen)) = self.see(asking, name, flags) else { return Answer::Continue };
        tell(asking, buffer, &seen.stat(&stat))
    }

    pub(super) fn examine_more(
        &mut self,
        asking: Asking<'_>,
        name: Name,
        flags: usize,
        mask: usize,
        buffer: usize,
    ) -> Answer {
        let flags = asking.argument(flags) as i32;
        let Some((file, _, seen)) = self.see(asking, name, flags) else { return Answer::Continue };
        let how = (flags & libc::AT_STATX_SYNC_TYPE).cast_unsigned();
        let how = AtFlags::EMPTY_PATH | AtFlags::from_bits_retain(how);
        let mask = StatxFlags::from_bits_retain(asking.argument(mask) as u32);
        match rustix::fs::statx(&file, "", how, mask) {
            Ok(found) => tell(asking, buffer, &seen.statx(&found)),
            Err(error) => failed(error),
        }
    }

    /// The file, where something is recorded of it.
    fn see(&mut self, asking: Asking<'_>, name: Name, flags: i32) -> Option<(OwnedFd, Stat, Seen)> {
        if flags & !KNOWN != 0 {
            return None;
        }
        let may_be_empty = flags & libc::AT_EMPTY_PATH != 0;
        let file = asking.file(name, flags & libc::AT_SYMLINK_NOFOLLOW == 0, may_be_empty)?;
        let stat = rustix::fs::fstat(&file).ok()?;
        let seen = Seen { owner: marks::owner(&file, &stat, &self.owners), node: marks::node(&file, &stat) };
        if seen.owner == (0, 0) && seen.node.is_none() { None } else { Some((file, stat, seen)) }
    }

    /// What may be done with a file. To root the kernel says it.
    pub(super) fn access(&mut self, asking: Asking<'_>, name: Name, mode: usize, flags: Option<usize>) -> Answer {
        let flags = flags.map_or(0, |index| asking.argument(index) as i32);
        let who = self.who(asking);
        let as_whom = if flags & libc::AT_EACCESS != 0 {
            (who.user.effective, who.group.effective)
        } else {
            (who.user.real, who.group.real)
        };
        let (wanted, known) = (asking.argument(mode) as u32, KNOWN | libc::AT_EACCESS);
        if as_whom.0 == 0 || wanted > 7 || flags & !known != 0 {
            return Answer::Continue;
        }
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        let Some(file) = asking.file(name, follow, flags & libc::AT_EMPTY_PATH != 0) else { return Answer::Continue };
        let Ok(found) = rustix::fs::fstat(&file) else { return Answer::Continue };
        let is_link = FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
        let owner = marks::owner(&file, &found, &self.owners);
        if is_link || is_made_up(&file) || who.may(as_whom, owner, found.st_mode, wanted) {
            return Answer::Continue;
        }
        Answer::Failed(libc::EACCES)
    }
}

/// Writes an answer to where the process wants it.
fn tell(asking: Asking<'_>, buffer: usize, bytes: &[u8]) -> Answer {
    let Ok(memory) = Memory::open(asking.pid()) else { return Answer::Continue };
    if !asking.still_waits() {
        return Answer::Done;
    }
    match memory.write(asking.argument(buffer), bytes) {
        Ok(()) => Answer::Done,
        Err(error) => failed(error),
    }
}

impl Seen {
    fn mode(&self, mode: u32) -> u32 {
        let format = match self.node {
            Some((NodeKind::Char, ..)) => libc::S_IFCHR,
            Some((NodeKind::Block, ..)) => libc::S_IFBLK,
            None => return mode,
        };
        mode & !libc::S_IFMT | format
    }

    /// A `struct stat` as the kernel writes it (asm/stat.h).
    #[cfg(target_arch = "x86_64")]
    fn stat(&self, of: &Stat) -> Vec<u8> {
        let device = self.node.map_or(of.st_rdev, |(_, major, minor)| makedev(major, minor));
        let mut out = Out::default();
        out.long(of.st_dev).long(of.st_ino).long(of.st_nlink);
        out.word(self.mode(of.st_mode)).word(self.owner.0).word(self.owner.1).word(0).long(device);
        out.long(of.st_size as u64).long(of.st_blksize as u64).long(of.st_blocks as u64);
        out.times(of).long(0).long(0).long(0);
        out.0
    }

    /// A `struct stat` as the kernel writes it (asm-generic/stat.h).
    #[cfg(target_arch = "aarch64")]
    fn stat(&self, of: &Stat) -> Vec<u8> {
        let device = self.node.map_or(of.st_rdev, |(_, major, minor)| makedev(major, minor));
        let mut out = Out::default();
        out.long(of.st_dev).long(of.st_ino).word(self.mode(of.st_mode)).word(of.st_nlink);
        out.word(self.owner.0).word(self.owner.1).long(device).long(0);
        out.long(of.st_size as u64).word(of.st_blksize as u32).word(0).long(of.st_blocks as u64);
        out.times(of).word(0).word(0);
        out.0
    }

    /// A `struct statx` (linux/stat.h).
    fn statx(&self, of: &Statx) -> Vec<u8> {
        let (major, minor) =
            self.node.map_or((of.stx_rdev_major, of.stx_rdev_minor), |(_, major, minor)| (major, minor));
        let mut out = Out::default();
        out.word(of.stx_mask).word(of.stx_blksize).long(of.stx_attributes.bits()).word(of.stx_nlink);
        out.word(self.owner.0).word(self.owner.1);
        out.word(self.mode(u32::from(of.stx_mode)) & 0xffff);
        out.long(of.stx_ino).long(of.stx_size).long(of.stx_blocks).long(of.stx_attributes_mask.bits());
        for time in [&of.stx_atime, &of.stx_btime, &of.stx_ctime, &of.stx_mtime] {
            out.time(time);
        }
        out.word(major).word(minor).word(of.stx_dev_major).word(of.stx_dev_minor).long(of.stx_mnt_id);
        out.0.resize(256, 0);
        out.0
    }
}

/// A structure in the making: both architectures are little-endian.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn long(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn word(&mut self, number: u32) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn times(&mut self, of: &Stat) -> &mut Self {
        self.long(of.st_atime as u64).long(of.st_atime_nsec);
        self.long(of.st_mtime as u64).long(of.st_mtime_nsec);
        self.long(of.st_ctime as u64).long(of.st_ctime_nsec)
    }

    fn time(&mut self, time: &StatxTimestamp) -> &mut Self {
        self.long(time.tv_sec as u64).word(time.tv_nsec).word(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's own bytes, but for what is said in its stead.
    #[test]
    fn structures_are_the_kernels() {
        let seen = Seen { owner: (7, 4_000_000_000), node: None };
        let stat = rustix::fs::stat("/proc/self/exe").unwrap();
        let bytes = seen.stat(&stat);
        assert_eq!(bytes.len(), size_of::<Stat>());
        let long = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let word = |bytes: &[u8], at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((long(0), long(8)), (stat.st_dev, stat.st_ino));
        assert_eq!(long(std::mem::offset_of!(Stat, st_size)), stat.st_size as u64);
        assert_eq!(long(std::mem::offset_of!(Stat, st_mtime)), stat.st_mtime as u64);
        assert_eq!(word(&bytes, std::mem::offset_of!(Stat, st_uid)), 7);
        assert_eq!(word(&bytes, std::mem::offset_of!(Stat, st_gid)), 4_000_000_000);
        assert_eq!(word(&bytes, std::mem::offset_of!(Stat, st_mode)), stat.st_mode);
        let of =
            rustix::fs::statx(rustix::fs::CWD, "/proc/self/exe", AtFlags::empty(), StatxFlags::BASIC_STATS).unwrap();
        let bytes = Seen { owner: (7, 8), node: Some((NodeKind::Block, 8, 3)) }.statx(&of);
        assert_eq!(bytes.len(), size_of::<Statx>());
        assert_eq!(word(&bytes, std::mem::offset_of!(Statx, stx_uid)), 7);
        assert_eq!(word(&bytes, std::mem::offset_of!(Statx, stx_rdev_minor)), 3);
        assert_eq!(word(&bytes, std::mem::offset_of!(Statx, stx_mtime)), of.stx_mtime.tv_sec as u32);
        assert_eq!(bytes[std::mem::offset_of!(Statx, stx_mode) + 1] >> 4, 6, "S_IFBLK");
    }
}
