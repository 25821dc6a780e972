//! Answers who a process is, and what it becomes.

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::calls::{Kind, Who};
use super::claims::gains_nothing;
use super::identity::{Four, Identity};
use super::{Asking, Pretender, failed, marks};
use crate::kernel::seccomp::{Answer, read_memory};
use crate::supervisor::calls::Name;
use crate::supervisor::world::{Memory, by_descriptor};

/// As many groups as a process can have (NGROUPS_MAX of linux/limits.h).
const MOST_GROUPS: u64 = 65_536;

impl Pretender {
    pub(super) fn identity(&mut self, asking: Asking<'_>, which: Who) -> Answer {
        let who = self.who(asking);
        let four = |kind| match kind {
            Kind::User => who.user,
            Kind::Group => who.group,
        };
        let id = |index: usize| asking.argument(index) as u32;
        let old = || Identity::clone(&who);
        let new = match which {
            Who::Real(kind) => return Answer::Value(four(kind).real.into()),
            Who::Effective(kind) => return Answer::Value(four(kind).effective.into()),
            Who::AskAll(kind) => return tell_all(asking, four(kind)),
            Who::AskGroups => return tell_groups(asking, &who.groups),
            Who::SetFiles(kind) => {
                let (new, before) = old().set_files(kind, id(0));
                self.claims.set(asking.pid(), new);
                return Answer::Value(before.into());
            }
            Who::Set(kind) => old().set(kind, id(0)),
            Who::SetTwo(kind) => old().set_two(kind, id(0), id(1)),
            Who::SetAll(kind) => old().set_all(kind, [id(0), id(1), id(2)]),
            Who::SetGroups => groups(asking).and_then(|groups| old().set_groups(groups)),
            Who::KeepPower => {
                // The kernel says whether the value is one.
                self.claims.set(asking.pid(), old().keep_power(asking.argument(1) == 1));
                return Answer::Continue;
            }
        };
        match new {
            Ok(new) => {
                self.claims.set(asking.pid(), new);
                Answer::Done
            }
            Err(error) => failed(error),
        }
    }

    /// Another program: one with set-id bits makes the process another user.
    pub(super) fn execute(&mut self, asking: Asking<'_>, name: Name, flags: Option<usize>) -> Answer {
        let flags = flags.map_or(0, |index| asking.argument(index) as i32);
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        let Some(file) = asking.file(name, follow, flags & libc::AT_EMPTY_PATH != 0) else { return Answer::Continue };
        let Ok(found) = rustix::fs::fstat(&file) else { return Answer::Continue };
        let is_program = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile && found.st_mode & 0o111 != 0;
        if !is_program {
            return Answer::Continue;
        }
        let who = self.who(asking);
        let owner = marks::owner(&file, &found, &self.owners);
        if !who.may_do(owner, found.st_mode, 1) {
            return Answer::Failed(libc::EACCES);
        }
        // Without the group's right to execute it, the bit is a mark of mandatory locks.
        let group_bits = libc::S_ISGID | libc::S_IXGRP;
        let of_user = (found.st_mode & libc::S_ISUID != 0).then_some(owner.0);
        let of_group = (found.st_mode & group_bits == group_bits).then_some(owner.1);
        let counts = || is_elf(&by_descriptor(&file)) && !gains_nothing(asking.pid());
        let (of_user, of_group) =
            if (of_user, of_group) != (None, None) && counts() { (of_user, of_group) } else { (None, None) };
        self.claims.set(asking.pid(), Identity::clone(&who).executed(of_user, of_group));
        Answer::Continue
    }
}

/// Whether a file is a program and no script, whose set-id bits mean nothing.
fn is_elf(path: &str) -> bool {
    let mut magic = [0; 4];
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty());
    file.and_then(|file| rustix::io::read(file, &mut magic)) == Ok(4) && magic == *b"\x7fELF"
}

fn bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_ne_bytes()).collect()
}

fn tell_all(asking: Asking<'_>, four: Four) -> Answer {
    let Ok(memory) = Memory::open(asking.pid()) else { return Answer::Continue };
    if !asking.still_waits() {
        return Answer::Done;
    }
    for (index, id) in [four.real, four.effective, four.saved].into_iter().enumerate() {
        if let Err(error) = memory.write(asking.argument(index), &bytes(&[id])) {
            return failed(error);
        }
    }
    Answer::Done
}

fn tell_groups(asking: Asking<'_>, groups: &[u32]) -> Answer {
    let room = asking.argument(0) as i32;
    let count = groups.len();
    if room == 0 {
        return Answer::Value(count as i64);
    }
    if usize::try_from(room).map_or(true, |room| room < count) {
        return Answer::Failed(libc::EINVAL);
    }
    let Ok(memory) = Memory::open(asking.pid()) else { return Answer::Continue };
    if !asking.still_waits() {
        return Answer::Done;
    }
    match memory.write(asking.argument(1), &bytes(groups)) {
        Ok(()) => Answer::Value(count as i64),
        Err(error) => failed(error),
    }
}

/// The groups that `setgroups` names.
fn groups(asking: Asking<'_>) -> Result<Vec<u32>, Errno> {
    let count = asking.argument(0) & 0xffff_ffff;
    if count > MOST_GROUPS {
        return Err(Errno::INVAL);
    }
    let mut room = vec![0; count as usize * 4];
    if !room.is_empty() && read_memory(asking.pid(), asking.argument(1), &mut room).ok() != Some(room.len()) {
        return Err(Errno::FAULT);
    }
    Ok(room.as_chunks::<4>().0.iter().map(|id| u32::from_ne_bytes(*id)).collect())
}
