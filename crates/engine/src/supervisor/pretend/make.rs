//! Makes files in a process' stead, so that each has a record of whom it belongs to before anybody can see it.
//!
//! Root's files need none, unless their folder gives them its group.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::guard::{forbids_change, is_made_up};
use super::identity::Identity;
use super::{Asking, Pretender, failed, marks};
use crate::ids::{NodeKind, Owners};
use crate::kernel::seccomp::Answer;
use crate::supervisor::calls::{Flags, Name};
use crate::supervisor::process::{read_number, read_string};
use crate::supervisor::world::{Named, World, by_descriptor, named, split};

/// So many links lead from one to the next at most, as in the kernel.
const MOST_LINKS: usize = 40;
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Where something is to be made.
struct Place {
    folder: OwnedFd,
    above: Stat,
    owner_above: (u32, u32),
    name: Vec<u8>,
}

/// Makes something for somebody, whose mask is given, and records its owner.
type Make<'m> = dyn FnMut(&Place, &Identity, u32, &mut Owners) -> Result<(), Errno> + 'm;

/// Whether something was made here or is for the kernel to make, with the reason why not.
type Made = Result<Answer, Errno>;

impl Place {
    /// Whom a file that is made here belongs to.
    fn owner(&self, who: &Identity) -> (u32, u32) {
        let (user, group) = who.owner();
        (user, if self.gives_its_group() { self.owner_above.1 } else { group })
    }

    fn gives_its_group(&self) -> bool {
        self.above.st_mode & libc::S_ISGID != 0
    }

    /// Whether what the kernel makes here is what is to be made.
    fn is_the_kernels(&self, who: &Identity) -> bool {
        who.rules_files() && self.owner(who) == (0, 0) || is_made_up(&self.folder)
    }

    /// What has the name.
    fn there(&self) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(&self.folder, self.name.as_slice(), LOOK, Mode::empty())
    }

    /// That something may be made: nothing is there, and the user may change the folder.
    fn check(&self, who: &Identity) -> Result<(), Errno> {
        if self.there().is_ok() {
            return Err(Errno::EXIST);
        }
        forbids_change(who, self.owner_above, &self.above).map_or(Ok(()), Err)
    }

    /// Records what was made, and sets its mode.
    fn finish(&self, who: &Identity, mode: Option<u32>, owners: &mut Owners) -> Result<(), Errno> {
        let file = self.there()?;
        let found = rustix::fs::fstat(&file)?;
        if let Some(mode) = mode {
            // A folder has got the bit from the one above.
            let inherited = if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                found.st_mode & libc::S_ISGID
            } else {
                0
            };
            rustix::fs::chmod(by_descriptor(&file), Mode::from_raw_mode(mode | inherited))?;
        }
        record(&file, &found, self.owner(who), owners)
    }
}

/// Records an owner at a new file, or beside it.
fn record(file: &OwnedFd, found: &Stat, owner: (u32, u32), owners: &mut Owners) -> Result<(), Errno> {
    // The number may have been that of a file that is gone.
    owners.by_inode.remove(&found.st_ino);
    let is_simple = matches!(
        FileType::from_raw_mode(found.st_mode),
        FileType::RegularFile | FileType::Directory | FileType::Socket
    );
    if !marks::give(file, found, owner)? && !is_simple && owner != (0, 0) {
        owners.by_inode.insert(found.st_ino, owner);
    }
    Ok(())
}

impl Pretender {
    pub(super) fn folder(&mut self, asking: Asking<'_>, name: Name, mode: usize) -> Answer {
        let mode = asking.argument(mode) as u32;
        self.make(asking, name, &mut |place, who, mask, owners| {
            place.check(who)?;
            rustix::fs::mkdirat(&place.folder, place.name.as_slice(), Mode::from_raw_mode(0o700))?;
            place.finish(who, Some(mode & 0o1777 & !mask), owners)
        })
    }

    pub(super) fn link(&mut self, asking: Asking<'_>, target: usize, name: Name) -> Answer {
        let mut text = Vec::new();
        if read_string(asking.pid(), asking.argument(target), &mut text).is_err() || text.is_empty() {
            return Answer::Continue;
        }
        self.make(asking, name, &mut |place, who, _, owners| {
            place.check(who)?;
            rustix::fs::symlinkat(text.as_slice(), &place.folder, place.name.as_slice())?;
            place.finish(who, None, owners)
        })
    }

    pub(super) fn node(&mut self, asking: Asking<'_>, name: Name, mode: usize) -> Answer {
        let device = asking.argument(mode + 1) & 0xffff_ffff; // The kernel takes 32 bits of it.
        let mode = asking.argument(mode) as u32;
        let kind = match mode & libc::S_IFMT {
            libc::S_IFCHR => return self.device(asking, name, mode, (NodeKind::Char, device)),
            libc::S_IFBLK => return self.device(asking, name, mode, (NodeKind::Block, device)),
            libc::S_IFIFO => FileType::Fifo,
            libc::S_IFSOCK => FileType::Socket,
            0 | libc::S_IFREG => FileType::RegularFile,
            _ => return Answer::Continue,
        };
        self.make(asking, name, &mut |place, who, mask, owners| {
            place.check(who)?;
            rustix::fs::mknodat(&place.folder, place.name.as_slice(), kind, Mode::from_raw_mode(0o600), 0)?;
            place.finish(who, Some(mode & 0o7777 & !mask), owners)
        })
    }

    /// An empty file that stands for a device.
    fn device(&mut self, asking: Asking<'_>, name: Name, mode: u32, node: (NodeKind, u64)) -> Answer {
        let who = self.who(asking);
        let make = |place: &Place, mask: u32, owners: &mut Owners| {
            place.check(&who)?;
            let (major, minor) = (libc::major(node.1), libc::minor(node.1));
            let is_whiteout = node.0 == NodeKind::Char && (major, minor) == (0, 0);
            if !who.rules_files() || is_whiteout {
                return Err(Errno::PERM); // Overlayfs refuses whiteouts too.
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&place.folder, place.name.as_slice(), flags, Mode::from_raw_mode(0o600))?;
            let made = marks::make_node(&file, node.0, major, minor)
                .and_then(|()| place.finish(&who, Some(mode & 0o7777 & !mask), owners));
            made.map_err(|error| {
                rustix::fs::unlinkat(&place.folder, place.name.as_slice(), AtFlags::empty()).ok();
                // On a file system that cannot say what it is, devices are forbidden, as the kernel puts it.
                if error == Errno::NOTSUP { Errno::PERM } else { error }
            })
        };
        let mask = umask(asking.pid());
        let done =
            with_place(asking, name, &self.owners).map(|place| place.map(|place| make(&place, mask, &mut self.owners)));
        match done {
            Ok(Some(Ok(()))) => Answer::Done,
            Ok(Some(Err(error))) | Err(error) => failed(error),
            Ok(None) => Answer::Done,
        }
    }

    /// Makes something that is no device at a new name.
    fn make(&mut self, asking: Asking<'_>, name: Name, make: &mut Make<'_>) -> Answer {
        let who = self.who(asking);
        let Ok(Some(place)) = with_place(asking, name, &self.owners) else { return Answer::Continue };
        // A record by number that is left of another file would become the new one's.
        if place.is_the_kernels(&who) && self.owners.by_inode.is_empty() {
            return Answer::Continue;
        }
        let mask = umask(asking.pid());
        if !asking.still_waits() {
            return Answer::Done;
        }
        match make(&place, &who, mask, &mut self.owners) {
            Ok(()) => Answer::Done,
            Err(error) => failed(error),
        }
    }

    pub(super) fn open(&mut self, asking: Asking<'_>, name: Name, flags: Flags, mode: usize) -> Answer {
        let number = |place: u64| read_number(asking.pid(), asking.argument(mode - 1) + place);
        let (flags, mode, demands) = match flags {
            Flags::Argument(index) => (asking.argument(index) as u32, asking.argument(mode) as u32, 0),
            Flags::Create => {
                ((libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC).cast_unsigned(), asking.argument(mode) as u32, 0)
            }
            // `struct open_how`: flags, mode and demands on the way.
            Flags::Pointed(_) => match (number(0), number(8), number(16)) {
                (Ok(flags), Ok(mode), Ok(demands)) => (flags as u32, mode as u32, demands),
                _ => return Answer::Continue,
            },
        };
        let flags = OFlags::from_bits_retain(flags);
        let changes = OFlags::WRONLY | OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
        if flags.contains(OFlags::PATH) || !flags.intersects(changes) {
            return Answer::Continue;
        }
        let who = self.who(asking);
        let Ok((directory, Some(path))) = named(asking.notification, name, false) else { return Answer::Continue };
        let follow = !flags.intersects(OFlags::NOFOLLOW);
        let file = Named { pid: asking.pid(), directory, path: Some(&path), follow };
        let Ok(mut world) = World::open(file) else { return Answer::Continue };
        if !asking.still_waits() {
            return Answer::Done;
        }
        world.demand(ResolveFlags::from_bits_retain(demands));
        let done = if flags.contains(OFlags::TMPFILE) {
            self.nameless(asking, &world, &who, flags, mode)
        } else if flags.contains(OFlags::CREATE) {
            self.open_or_make(asking, &world, &path, &who, flags, mode)
        } else {
            world.file().map(|file| self.existing(&file, &who, flags))
        };
        // Whatever does not fit is for the kernel to say.
        done.unwrap_or(Answer::Continue)
    }

    fn open_or_make(
        &mut self,
        asking: Asking<'_>,
        world: &World<'_>,
        path: &[u8],
        who: &Identity,
        flags: OFlags,
        mode: u32,
    ) -> Made {
        let follow = !flags.intersects(OFlags::NOFOLLOW | OFlags::EXCL);
        let mut path = path.to_vec();
        for _ in 0..MOST_LINKS {
            let (folder, name) = world.parent_of(&path)?;
            let place = Place::new(folder, name, &self.owners)?;
            match place.there() {
                Ok(file) => {
                    let found = rustix::fs::fstat(&file)?;
                    if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
                        let is_new = flags.contains(OFlags::EXCL);
                        return Ok(if is_new { Answer::Continue } else { self.existing(&file, who, flags) });
                    }
                    if !follow || is_made_up(&file) {
                        return Ok(Answer::Continue);
                    }
                    // Where the link leads to nothing, that is what is made.
                    let target = rustix::fs::readlinkat(&file, "", Vec::new())?.into_bytes();
                    path = if target.starts_with(b"/") { target } else { [split(&path).0, b"/", &target].concat() };
                }
                Err(Errno::NOENT) if !place.is_the_kernels(who) => {
                    return self.made(asking, &place, who, flags, mode);
                }
                Err(_) => return Ok(Answer::Continue),
            }
        }
        Ok(Answer::Continue)
    }

    /// A file that is there, to be opened for writing.
    fn existing(&self, file: &OwnedFd, who: &Identity, flags: OFlags) -> Answer {
        let writes = flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC);
        let Ok(found) = rustix::fs::fstat(file) else { return Answer::Continue };
        // Every mount of a step is without devices.
        if marks::node(file, &found).is_some() {
            return Answer::Failed(libc::EACCES);
        }
        let may = || who.may_do(marks::owner(file, &found, &self.owners), found.st_mode, 2);
        if !writes || may() || is_made_up(file) { Answer::Continue } else { Answer::Failed(libc::EACCES) }
    }

    /// A new file, opened.
    fn made(&mut self, asking: Asking<'_>, place: &Place, who: &Identity, flags: OFlags, mode: u32) -> Made {
        if flags.contains(OFlags::DIRECTORY) {
            return Ok(Answer::Continue);
        }
        if let Some(error) = forbids_change(who, place.owner_above, &place.above) {
            return Ok(failed(error));
        }
        let mask = umask(asking.pid());
        if !asking.still_waits() {
            return Ok(Answer::Done);
        }
        let how = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&place.folder, place.name.as_slice(), how, Mode::from_raw_mode(0o600)) {
            Ok(file) => file,
            // Somebody else was faster.
            Err(Errno::EXIST) => return Ok(Answer::Continue),
            Err(error) => return Ok(failed(error)),
        };
        let given = self.hand_over(asking, &file, place.owner(who), mode & 0o7777 & !mask, flags);
        Ok(given.unwrap_or_else(|error| {
            rustix::fs::unlinkat(&place.folder, place.name.as_slice(), AtFlags::empty()).ok();
            failed(error)
        }))
    }

    /// A file without a name, which it may get later.
    fn nameless(&mut self, asking: Asking<'_>, world: &World<'_>, who: &Identity, flags: OFlags, mode: u32) -> Made {
        let folder = world.file()?;
        let place = Place::new(folder, b".", &self.owners)?;
        if place.is_the_kernels(who) {
            return Ok(Answer::Continue);
        }
        if let Some(error) = forbids_change(who, place.owner_above, &place.above) {
            return Ok(failed(error));
        }
        let mask = umask(asking.pid());
        if !asking.still_waits() {
            return Ok(Answer::Done);
        }
        let file = rustix::fs::openat(&place.folder, ".", flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))?;
        let given = self.hand_over(asking, &file, place.owner(who), mode & 0o7777 & !mask, flags);
        Ok(given.unwrap_or_else(failed))
    }

    /// Records an open file, and gives it to the process.
    fn hand_over(&mut self, asking: Asking<'_>, file: &OwnedFd, owner: (u32, u32), mode: u32, flags: OFlags) -> Made {
        let found = rustix::fs::fstat(file)?;
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
        record(file, &found, owner, &mut self.owners)?;
        let flags = (flags & OFlags::CLOEXEC).bits();
        let number = asking.listener.add_descriptor(asking.notification.id, file.as_fd(), flags);
        let number = number.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE))?;
        Ok(Answer::Value(number.into()))
    }
}

impl Place {
    fn new(folder: OwnedFd, name: &[u8], owners: &Owners) -> Result<Self, Errno> {
        let above = rustix::fs::fstat(&folder)?;
        let owner_above = marks::owner(&folder, &above, owners);
        Ok(Self { folder, above, owner_above, name: name.to_vec() })
    }
}

/// Where a new name is to be made; nothing where nobody waits any more.
fn with_place(asking: Asking<'_>, name: Name, owners: &Owners) -> Result<Option<Place>, Errno> {
    let (directory, path) = named(asking.notification, name, false)?;
    let mut path = path.ok_or(Errno::NOENT)?;
    while path.len() > 1 && path.last() == Some(&b'/') {
        path.pop();
    }
    let world = World::open(Named { pid: asking.pid(), directory, path: Some(&path), follow: false })?;
    if !asking.still_waits() {
        return Ok(None);
    }
    let (folder, name) = world.parent()?;
    Place::new(folder, name, owners).map(Some)
}

/// The bits that a process wants no new file to have.
fn umask(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}
