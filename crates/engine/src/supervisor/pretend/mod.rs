//! Answers a step's processes where only one id is mapped, as if all ids were: who they are, whose the files are that
//! they make and ask about, and what another user than root may not do.
//!
//! To the kernel everybody in the step is root, and every file root's. What a process claims to be is known here
//! (`claims`), and what it makes gets a record of the owner (`marks`): the call is done in the process' stead, within its
//! root. What needs no answer the kernel does. A record is what the image shows later; only what changes files is
//! refused to users who may not do it. That they could read each other's files has no effect on the image.
//!
//! What a program of 32 bits asks is not answered here: its calls have other numbers.

pub(super) mod calls;
mod claims;
mod guard;
mod identify;
mod identity;
mod look;
mod make;
pub(super) mod marks;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::ids::Owners;
use crate::kernel::seccomp::{Answer, Listener, Notification};
use crate::sandbox::User;
use crate::supervisor::calls::Name;
use crate::supervisor::owners;
use crate::supervisor::world::{Named, World, named};
use calls::{Pretence, Slot, all};
use claims::Claims;
pub(super) use identity::Identity;

/// The state of it.
#[derive(Debug)]
pub(super) struct Pretender {
    calls: Vec<Option<Slot>>,
    claims: Claims,
    /// Owners that could not be recorded at their files.
    pub(super) owners: Owners,
}

/// A process that waits, and the one way to know whether it still does.
#[derive(Clone, Copy)]
struct Asking<'a> {
    listener: &'a Listener,
    notification: &'a Notification,
}

impl Asking<'_> {
    fn argument(&self, index: usize) -> u64 {
        self.notification.arguments[index]
    }

    fn pid(&self) -> u32 {
        self.notification.pid
    }

    fn still_waits(&self) -> bool {
        self.listener.is_valid(self.notification.id)
    }

    /// The file that is named; nothing where the kernel had better say what is wrong.
    fn file(&self, name: Name, follow: bool, may_be_empty: bool) -> Option<OwnedFd> {
        let (directory, path) = named(self.notification, name, may_be_empty).ok()?;
        let world = World::open(Named { pid: self.pid(), directory, path: path.as_deref(), follow }).ok()?;
        if self.still_waits() { world.file().ok() } else { None }
    }
}

/// What the kernel's error is as an answer.
fn failed(error: Errno) -> Answer {
    Answer::Failed(error.raw_os_error())
}

impl Pretender {
    /// For a step whose command starts as this user.
    pub(super) fn new(user: &User) -> Self {
        let mut calls: Vec<Option<Slot>> = Vec::new();
        for slot in all() {
            let place = usize::try_from(slot.number).unwrap_or_default();
            if calls.len() <= place {
                calls.resize(place + 1, None);
            }
            calls[place] = Some(*slot);
        }
        Self { calls, claims: Claims::new(Identity::of(user)), owners: Owners::default() }
    }

    /// What the process is to be told.
    pub(super) fn answer(&mut self, listener: &Listener, notification: &Notification) -> Answer {
        let slot = usize::try_from(notification.number).ok().and_then(|number| *self.calls.get(number)?);
        let Some(slot) = slot.filter(|slot| slot.concerns(&notification.arguments) && notification.pid != 0) else {
            return Answer::Continue;
        };
        let asking = Asking { listener, notification };
        match slot.does {
            Pretence::Own(name, follow, user) => self.own(asking, name, follow.of(&notification.arguments), user),
            Pretence::Node(name, mode) => self.node(asking, name, mode),
            Pretence::Folder(name, mode) => self.folder(asking, name, mode),
            Pretence::Link(target, name) => self.link(asking, target, name),
            Pretence::Open(name, flags, mode) => self.open(asking, name, flags, mode),
            Pretence::Examine(name, follow, buffer) => self.examine(asking, name, follow, buffer),
            Pretence::ExamineMore(name, [flags, mask, buffer]) => self.examine_more(asking, name, flags, mask, buffer),
            Pretence::Access(name, mode, flags) => self.access(asking, name, mode, flags),
            Pretence::Guarded(list) => self.guarded(asking, list),
            Pretence::Execute(name, flags) => self.execute(asking, name, flags),
            Pretence::Identity(which) => self.identity(asking, which),
            Pretence::Ends(what) => {
                self.claims.end(asking.pid(), what);
                Answer::Continue
            }
        }
    }

    /// Who the process claims to be.
    fn who(&mut self, asking: Asking<'_>) -> Arc<Identity> {
        self.claims.of(asking.pid())
    }

    fn own(&mut self, asking: Asking<'_>, name: Name, flags: i32, user: usize) -> Answer {
        let known = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
        if flags & !known != 0 {
            return Answer::Failed(libc::EINVAL);
        }
        let who = self.who(asking);
        match named(asking.notification, name, flags & libc::AT_EMPTY_PATH != 0) {
            Err(error) => failed(error),
            Ok((directory, path)) => {
                let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
                let file = Named { pid: asking.pid(), directory, path: path.as_deref(), follow };
                let wanted = (asking.argument(user) as u32, asking.argument(user + 1) as u32);
                owners::change(file, wanted, &who, || asking.still_waits(), &mut self.owners)
            }
        }
    }
}
