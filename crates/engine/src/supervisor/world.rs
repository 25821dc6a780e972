//! Files as a waiting process names them, opened for it: within its own root, and never through a magic link.
//!
//! The container is hostile. Whatever of `/proc` belongs to the process is opened before it is asked whether it still
//! waits; everything else is looked up from there by openat2, so that another process that gets its number later is
//! never looked at.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use crate::kernel::seccomp::Notification;
use crate::supervisor::calls::Name;
use crate::supervisor::process::{link, read_string, starting_point};

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
#[derive(Debug)]
pub(super) struct World<'a> {
    named: Named<'a>,
    /// Its root; nothing where no path is named.
    root: Option<OwnedFd>,
    /// Where a relative path starts: the working directory, or the descriptor's file; nothing for an absolute path.
    start: Option<OwnedFd>,
    /// What the process itself demands of the way to the file.
    demands: ResolveFlags,
}

impl<'a> World<'a> {
    pub(super) fn open(named: Named<'a>) -> Result<Self, Errno> {
        let open = |what: &str| rustix::fs::openat(CWD, format!("/proc/{}/{what}", named.pid), FILE, Mode::empty());
        let root = named.path.map(|_| open("root")).transpose()?;
        let is_absolute = named.path.is_some_and(|path| path.starts_with(b"/"));
        let start = || {
            open(&starting_point(named.directory))
                .map_err(|error| if error == Errno::NOENT { Errno::BADF } else { error })
        };
        let start = if is_absolute { None } else { Some(start()?) };
        Ok(Self { named, root, start, demands: ResolveFlags::empty() })
    }

    /// Keeps to what the process said to openat2.
    pub(super) fn demand(&mut self, demands: ResolveFlags) {
        self.demands = demands;
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let within = |directory: &OwnedFd, path: &[u8], how: ResolveFlags| {
            let how = how | self.demands | ResolveFlags::NO_MAGICLINKS;
            rustix::fs::openat2(directory, path, flags, Mode::empty(), how)
        };
        let root = self.root.as_ref().ok_or(Errno::NOENT)?;
        let start = match &self.start {
            Some(start) if !path.starts_with(b"/") => start,
            _ if self.demands.is_empty() => return within(root, path, ResolveFlags::IN_ROOT),
            _ => return Err(Errno::XDEV),
        };
        if self.demands.contains(ResolveFlags::IN_ROOT) {
            return within(start, path, ResolveFlags::empty());
        }
        match within(start, path, ResolveFlags::BENEATH) {
            // It climbs by `..`, or an absolute link is on the way: the same from the root, by the folder's name.
            Err(Errno::XDEV) if self.demands.is_empty() => {
                within(root, &self.as_absolute(path)?, ResolveFlags::IN_ROOT)
            }
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
    pub(super) fn file(&self) -> Result<OwnedFd, Errno> {
        match self.named.path {
            None => self.start.as_ref().ok_or(Errno::BADF)?.try_clone().map_err(|_| Errno::MFILE),
            Some(path) if self.named.follow => self.resolve(path, FILE),
            Some(path) => self.resolve(path, FILE | OFlags::NOFOLLOW),
        }
    }

    /// The folder that holds the name at the path's end, and that name.
    pub(super) fn parent(&self) -> Result<(OwnedFd, &'a [u8]), Errno> {
        self.parent_of(self.named.path.ok_or(Errno::NOENT)?)
    }

    /// The same for another path of this process.
    pub(super) fn parent_of<'b>(&self, path: &'b [u8]) -> Result<(OwnedFd, &'b [u8]), Errno> {
        let (folder, name) = split(path);
        let folder = self.resolve(folder, FOLDER)?;
        match name {
            b"" if path.is_empty() => Err(Errno::NOENT),
            b"" | b"." | b".." => Err(Errno::EXIST),
            name => Ok((folder, name)),
        }
    }

    /// Whether the path leads to a file that the kernel makes up: a process' own descriptors, say. Such a file has no
    /// owner in an image.
    pub(super) fn is_of_the_system(&self) -> bool {
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
    pub(super) fn is_in_the_layer(&self, file: BorrowedFd<'_>) -> bool {
        let mount = |file: BorrowedFd<'_>| {
            rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|found| found.stx_mnt_id).ok()
        };
        let root = self.root.as_ref().and_then(|root| mount(root.as_fd()));
        root.is_some() && mount(file) == root
    }
}

/// The folder's part of a path with its slash, or the working directory; and the name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..=slash], &path[slash + 1..]),
        None => (&b"."[..], path),
    }
}

/// The name by which a descriptor's file can be given to calls that take paths only.
pub(super) fn by_descriptor(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// The descriptor and the address of a path; 0 where there is none.
pub(super) fn place(notification: &Notification, name: Name) -> (i32, u64) {
    let arguments = &notification.arguments;
    match name {
        Name::Path(path) => (libc::AT_FDCWD, arguments[path]),
        Name::At(directory, path) => (arguments[directory] as i32, arguments[path]),
        Name::Descriptor(descriptor) => (arguments[descriptor] as i32, 0),
    }
}

/// The descriptor and path that are named, or the errno that the kernel would give. An empty path is no path where it
/// may be empty.
pub(super) fn named(
    notification: &Notification,
    name: Name,
    may_be_empty: bool,
) -> Result<(i32, Option<Vec<u8>>), Errno> {
    let (directory, address) = place(notification, name);
    if matches!(name, Name::Descriptor(_)) {
        return if directory < 0 { Err(Errno::BADF) } else { Ok((directory, None)) };
    }
    // Linux 6.11 takes a null pointer for an empty path.
    if address == 0 && may_be_empty {
        return Ok((directory, None));
    }
    let mut path = Vec::new();
    read_string(notification.pid, address, &mut path)
        .map_err(|error| error.raw_os_error().map_or(Errno::FAULT, Errno::from_raw_os_error))?;
    match (path.is_empty(), may_be_empty) {
        (false, _) => Ok((directory, Some(path))),
        (true, true) => Ok((directory, None)),
        (true, false) => Err(Errno::NOENT),
    }
}

/// A process' memory, which stays its own when another process gets its number: open it, ask whether the process still
/// waits, then write.
#[derive(Debug)]
pub(super) struct Memory(File);

impl Memory {
    pub(super) fn open(pid: u32) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().write(true).open(format!("/proc/{pid}/mem"))?))
    }

    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.0.write_all_at(bytes, address).map_err(|_| Errno::FAULT)
    }
}
