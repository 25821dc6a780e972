//! What a user who is not root may not do to files: the kernel lets everybody in the step do it.
//!
//! Only the image's files and what is mounted like them are guarded. What the kernel makes up belongs to the process that
//! it speaks of, which it knows as root's.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use super::calls::Need;
use super::identity::Identity;
use super::{Asking, Pretender, failed, marks};
use crate::ids::Owners;
use crate::kernel::seccomp::Answer;
use crate::supervisor::calls::{Follow, Name};
use crate::supervisor::world::{Named, World, named};

/// File systems without records (linux/magic.h): proc, sysfs, devpts, cgroups.
const MADE_UP: [u64; 5] = [0x9fa0, 0x6265_6572, 0x1cd1, 0x6367_7270, 0x0027_e0eb];

/// Whether a file is none of an image's.
pub(super) fn is_made_up(file: impl AsFd) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|found| MADE_UP.contains(&(found.f_type as u64)))
}

impl Pretender {
    pub(super) fn guarded(&mut self, asking: Asking<'_>, list: &[(Name, Follow, Need)]) -> Answer {
        let who = self.who(asking);
        if who.rules_files() {
            return Answer::Continue;
        }
        for (name, follow, need) in list {
            let flags = follow.of(&asking.notification.arguments);
            let refused = match need {
                Need::Name => forbids_name(asking, *name, &who, &self.owners, true),
                Need::NewName => forbids_name(asking, *name, &who, &self.owners, false),
                Need::Write | Need::Owner | Need::Times(_) => {
                    let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
                    asking.file(*name, follow, true).and_then(|file| self.forbids(asking, &file, *need, &who))
                }
            };
            if let Some(error) = refused {
                return failed(error);
            }
        }
        Answer::Continue
    }

    fn forbids(&self, asking: Asking<'_>, file: &OwnedFd, need: Need, who: &Identity) -> Option<Errno> {
        let found = rustix::fs::fstat(file).ok().filter(|_| !is_made_up(file))?;
        let owner = marks::owner(file, &found, &self.owners);
        let is_own = who.files_user() == owner.0;
        let may_write = || who.may_do(owner, found.st_mode, 2);
        match need {
            Need::Owner => (!is_own).then_some(Errno::PERM),
            Need::Times(index) if asking.argument(index) == 0 => (!is_own && !may_write()).then_some(Errno::ACCESS),
            Need::Times(_) => (!is_own).then_some(Errno::PERM),
            Need::Name | Need::NewName | Need::Write => (!may_write()).then_some(Errno::ACCESS),
        }
    }
}

/// Why a name may not be made, taken away or replaced. A name that the kernel will not find anyway is its matter.
fn forbids_name(asking: Asking<'_>, name: Name, who: &Identity, owners: &Owners, is_taken: bool) -> Option<Errno> {
    let (directory, path) = named(asking.notification, name, false).ok()?;
    let mut path = path?;
    while path.len() > 1 && path.last() == Some(&b'/') {
        path.pop();
    }
    let world = World::open(Named { pid: asking.pid(), directory, path: Some(&path), follow: false }).ok()?;
    if !asking.still_waits() {
        return None;
    }
    let (folder, name) = world.parent().ok()?;
    let above = rustix::fs::fstat(&folder).ok()?;
    let owner = marks::owner(&folder, &above, owners);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let there = rustix::fs::openat(&folder, name, flags, Mode::empty());
    // That something is missing, or in the way, comes first.
    let there = match (there, is_taken) {
        (Ok(_), false) => return None,
        (there, _) => there.ok(),
    };
    if is_made_up(&folder) {
        return None;
    }
    if let Some(error) = forbids_change(who, owner, &above) {
        return Some(error);
    }
    let is_sticky = above.st_mode & libc::S_ISVTX != 0 && who.files_user() != owner.0;
    let file = there.filter(|_| is_sticky)?;
    let found = rustix::fs::fstat(&file).ok()?;
    (marks::owner(&file, &found, owners).0 != who.files_user()).then_some(Errno::PERM)
}

/// Why nothing may be made in a folder.
pub(super) fn forbids_change(who: &Identity, owner: (u32, u32), above: &Stat) -> Option<Errno> {
    (!who.may_do(owner, above.st_mode, 3)).then_some(Errno::ACCESS)
}
