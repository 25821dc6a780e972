//! Owners and devices that cannot be given where only one id is mapped: they are recorded instead, and the program is
//! told that all went well.
//!
//! What can really be done is done: a `chown` to 0:0, so that the kernel checks what it checks, copies the file up,
//! and clears the set-id bits. Then the owner that was asked for goes to an extended attribute. The container is
//! hostile: every path is resolved by openat2 within the process' own root, never through a magic link, and nothing
//! is done before it is known that the process still waited when its root and folders were opened.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, StatxFlags, Timespec, Timestamps, Uid};
use rustix::fs::{Stat, XattrFlags};
use rustix::io::Errno;

use crate::ids::{NODE, OWNER, Owners};
use crate::kernel::seccomp::Answer;
use crate::supervisor::process::{link, starting_point};

/// What a changed half is where it is not to be changed.
const KEEP: u32 = u32::MAX;
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// A file as a waiting process names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    /// The process.
    pub(super) pid: u32,
    /// The descriptor that a relative path starts at, or AT_FDCWD.
    pub(super) directory: i32,
    /// The path; nothing for the descriptor's file itself.
    pub(super) path: Option<&'a [u8]>,
    /// Whether a symbolic link at its end is followed.
    pub(super) follow: bool,
}

/// What a process has, opened while it waits.
struct World<'a> {
    named: Named<'a>,
    root: OwnedFd,
    /// Where a relative path starts: the working directory, or the descriptor's file.
    start: OwnedFd,
}

impl<'a> World<'a> {
    fn open(named: Named<'a>) -> Result<Self, Errno> {
        let open = |what: &str| rustix::fs::openat(CWD, format!("/proc/{}/{what}", named.pid), FILE, Mode::empty());
        let root = open("root")?;
        let is_absolute = named.path.is_some_and(|path| path.starts_with(b"/"));
        let start = if is_absolute {
            root.try_clone().map_err(|_| Errno::MFILE)?
        } else {
            open(&starting_point(named.directory))
                .map_err(|error| if error == Errno::NOENT { Errno::BADF } else { error })?
        };
        Ok(Self { named, root, start })
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let within = |directory: &OwnedFd, path: &[u8], how: ResolveFlags| {
            rustix::fs::openat2(directory, path, flags, Mode::empty(), how | ResolveFlags::NO_MAGICLINKS)
        };
        if path.starts_with(b"/") {
            return within(&self.root, path, ResolveFlags::IN_ROOT);
        }
        match within(&self.start, path, ResolveFlags::BENEATH) {
            // It climbs by `..`, or an absolute link is on the way: the same from the root, by the folder's name.
            Err(Errno::XDEV) => within(&self.root, &self.as_absolute(path)?, ResolveFlags::IN_ROOT),
            result => result,
        }
    }

    /// A relative path as an absolute one in the process' root.
    fn as_absolute(&self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let read = |what: &str| link(self.named.pid, what).map_err(|_| Errno::NOENT);
        let (root, mut folder) = (read("root")?, read(&starting_point(self.named.directory))?);
        if root != b"/" {
            let inside = folder.strip_prefix(root.as_slice()).filter(|rest| rest.is_empty() || rest[0] == b'/');
            folder = inside.ok_or(Errno::XDEV)?.to_vec();
        }
        folder.push(b'/');
        folder.extend_from_slice(path);
        Ok(folder)
    }

    /// The file itself.
    fn file(&self) -> Result<OwnedFd, Errno> {
        match self.named.path {
            None => self.start.try_clone().map_err(|_| Errno::MFILE),
            Some(path) if self.named.follow => self.resolve(path, FILE),
            Some(path) => self.resolve(path, FILE | OFlags::NOFOLLOW),
        }
    }

    /// The folder that holds the name at the path's end, and that name.
    fn parent(&self) -> Result<(OwnedFd, &'a [u8]), Errno> {
        let path = self.named.path.ok_or(Errno::NOENT)?;
        let (folder, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&path[..=slash], &path[slash + 1..]),
            None => (&b"."[..], path),
        };
        let folder = self.resolve(folder, FOLDER)?;
        match name {
            b"" if path.is_empty() => Err(Errno::NOENT),
            b"" | b"." | b".." => Err(Errno::EXIST),
            name => Ok((folder, name)),
        }
    }

    /// Whether the path leads to a file that the kernel makes up: a process' own descriptors, say. Such a file has no
    /// owner in an image.
    fn is_of_the_system(&self) -> bool {
        let is_system =
            |path: &[u8]| [&b"/proc/"[..], b"/dev/std", b"/dev/fd/"].iter().any(|start| path.starts_with(start));
        let Some(path) = self.named.path else {
            return false;
        };
        let target = || {
            let file = self.resolve(path, FILE | OFlags::NOFOLLOW).ok()?;
            rustix::fs::readlinkat(file, "", Vec::new()).ok()
        };
        is_system(path) || target().is_some_and(|target| is_system(target.as_bytes()))
    }

    /// Whether the file is on the same mount as the root: in the layer.
    fn is_in_the_layer(&self, file: BorrowedFd<'_>) -> bool {
        let mount = |file: BorrowedFd<'_>| {
            rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|found| found.stx_mnt_id).ok()
        };
        mount(file).is_some_and(|id| mount(self.root.as_fd()) == Some(id))
    }
}

/// Records `chown`. `still_waits` tells whether the process still waits for the answer.
pub(super) fn change(
    named: Named<'_>,
    uid: u32,
    gid: u32,
    still_waits: impl FnOnce() -> bool,
    owners: &mut Owners,
) -> Answer {
    let world = World::open(named);
    if !still_waits() {
        return Answer::Done; // Nobody hears it.
    }
    let result = world.and_then(|world| match world.file() {
        Err(Errno::NOENT | Errno::LOOP) if named.follow && world.is_of_the_system() => Ok(()),
        Err(error) => Err(error),
        Ok(file) => change_file(&world, &file, uid, gid, owners),
    });
    answer(result)
}

fn answer(result: Result<(), Errno>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed(error.raw_os_error()),
    }
}

fn change_file(world: &World<'_>, file: &OwnedFd, uid: u32, gid: u32, owners: &mut Owners) -> Result<(), Errno> {
    let real = |id: u32| (id != KEEP).then_some(0);
    let (real_uid, real_gid) = (real(uid).map(Uid::from_raw), real(gid).map(Gid::from_raw));
    rustix::fs::chownat(file, "", real_uid, real_gid, AtFlags::EMPTY_PATH)?;
    let found = rustix::fs::fstat(file)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile | FileType::Directory => record_attribute(file, uid, gid),
        kind if world.is_in_the_layer(file.as_fd()) => {
            let known = owners.by_inode.get(&found.st_ino).copied();
            let owner = combined(known.unwrap_or_default(), uid, gid);
            if owner == known.unwrap_or_default() {
                return Ok(());
            }
            let inode = if known.is_none() && kind == FileType::Symlink {
                renew_link(world, file, &found)?
            } else {
                found.st_ino
            };
            owners.by_inode.insert(inode, owner);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn combined(old: (u32, u32), uid: u32, gid: u32) -> (u32, u32) {
    (if uid == KEEP { old.0 } else { uid }, if gid == KEEP { old.1 } else { gid })
}

/// The name by which a descriptor's file can be given to calls that take paths only.
fn by_descriptor(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn record_attribute(file: &OwnedFd, uid: u32, gid: u32) -> Result<(), Errno> {
    let path = by_descriptor(file);
    let mut room = [0_u8; 32];
    let old = match rustix::fs::getxattr(&path, OWNER, &mut room) {
        Ok(size) => parse(&room[..size]).unwrap_or_default(),
        Err(_) => (0, 0),
    };
    let owner = combined(old, uid, gid);
    let result = if owner == (0, 0) {
        rustix::fs::removexattr(&path, OWNER)
    } else {
        let value = format!("{}:{}", owner.0, owner.1);
        rustix::fs::setxattr(&path, OWNER, value.as_bytes(), XattrFlags::empty())
    };
    match result {
        // Nothing to remove; or a file system without such attributes, which is not the layer's.
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
        result => result,
    }
}

fn parse(value: &[u8]) -> Option<(u32, u32)> {
    let (uid, gid) = std::str::from_utf8(value).ok()?.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// Replaces a symbolic link by its like, and gives the new one's inode number. A link that overlayfs copied up goes on
/// showing its number in the lower layer; a new one shows the upper folder's.
fn renew_link(world: &World<'_>, file: &OwnedFd, found: &Stat) -> Result<u64, Errno> {
    let Ok((folder, name)) = world.parent() else {
        return Ok(found.st_ino); // By descriptor (O_PATH): its name is unknown.
    };
    let is_it = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|there| there.st_ino == found.st_ino && there.st_dev == found.st_dev);
    if !is_it || found.st_nlink > 1 {
        return Ok(found.st_ino);
    }
    let target = rustix::fs::readlinkat(file, "", Vec::new())?;
    let times = |folder: &OwnedFd, name: &[u8], of: &Stat| {
        let stamp = |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as i64 };
        let times = Timestamps {
            last_access: stamp(of.st_atime, of.st_atime_nsec),
            last_modification: stamp(of.st_mtime, of.st_mtime_nsec),
        };
        rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW | AtFlags::empty())
    };
    let above = rustix::fs::fstat(&folder)?;
    let other = format!(".jettison-link-{}", found.st_ino).into_bytes();
    rustix::fs::symlinkat(target.as_c_str(), &folder, other.as_slice())?;
    let result = times(&folder, &other, found)
        .and_then(|()| rustix::fs::renameat(&folder, other.as_slice(), &folder, name))
        .and_then(|()| rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW));
    if result.is_err() {
        rustix::fs::unlinkat(&folder, other.as_slice(), AtFlags::empty()).ok();
    }
    times(&folder, b".", &above).ok();
    Ok(result?.st_ino)
}

/// Records `mknod` of a device: an empty file stands for it.
pub(super) fn make_node(named: Named<'_>, mode: u32, device: u64, still_waits: impl FnOnce() -> bool) -> Answer {
    let world = World::open(named);
    let mask = umask(named.pid);
    if !still_waits() {
        return Answer::Done;
    }
    answer(world.and_then(|world| make_file(&world, mode, mask, device)))
}

fn make_file(world: &World<'_>, mode: u32, mask: u32, device: u64) -> Result<(), Errno> {
    let (major, minor) = (libc::major(device), libc::minor(device));
    let is_character = mode & libc::S_IFMT == libc::S_IFCHR;
    if is_character && (major, minor) == (0, 0) {
        return Err(Errno::PERM); // It would be a whiteout, which overlayfs refuses too.
    }
    let (folder, name) = world.parent()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o600))?;
    let letter = if is_character { 'c' } else { 'b' };
    let value = format!("{letter}:{major}:{minor}");
    let result = rustix::fs::fsetxattr(&file, NODE, value.as_bytes(), XattrFlags::empty())
        .and_then(|()| rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777 & !mask)));
    if let Err(error) = result {
        rustix::fs::unlinkat(&folder, name, AtFlags::empty()).ok();
        // On a file system that cannot say what it is, devices are forbidden, as the kernel puts it.
        return Err(if error == Errno::NOTSUP { Errno::PERM } else { error });
    }
    Ok(())
}

/// The bits that a process wants no new file to have.
fn umask(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}
