//! Who a process claims to be, and what it may become: the kernel's rules (credentials(7), capabilities(7)) without the
//! kernel.

use rustix::io::Errno;

use super::calls::Kind;
use crate::sandbox::User;

/// What an argument is where a half is not to be changed.
pub(super) const KEEP: u32 = u32::MAX;

/// The four users of a process, or its four groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Four {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    /// Whom the files that it makes belong to.
    pub(super) files: u32,
}

impl Four {
    fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id, files: id }
    }

    fn has(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }
}

/// An identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor) struct Identity {
    pub(super) user: Four,
    pub(super) group: Four,
    /// The other groups, in ascending order as the kernel keeps them.
    pub(super) groups: Vec<u32>,
    /// Whether it asked to keep root's capabilities when it becomes another user.
    keeps_power: bool,
    /// Whether it has done that.
    has_power: bool,
}

impl Identity {
    pub(super) fn of(user: &User) -> Self {
        let mut groups = user.groups.clone();
        groups.sort_unstable();
        Self { user: Four::all(user.uid), group: Four::all(user.gid), groups, keeps_power: false, has_power: false }
    }

    /// Whether it may become anybody.
    fn is_powerful(&self) -> bool {
        self.user.effective == 0 || self.has_power
    }

    /// Whether the modes of files say nothing to it.
    pub(in crate::supervisor) fn rules_files(&self) -> bool {
        self.user.files == 0 || self.has_power
    }

    /// The owner of a file that it makes.
    pub(super) fn owner(&self) -> (u32, u32) {
        (self.user.files, self.group.files)
    }

    /// The user that files know it as.
    pub(in crate::supervisor) fn files_user(&self) -> u32 {
        self.user.files
    }

    /// Whether it is in this group.
    pub(in crate::supervisor) fn is_in(&self, group: u32) -> bool {
        self.group.files == group || self.groups.binary_search(&group).is_ok()
    }

    /// Whether somebody with this user and group (its own ones that count) may do all this (4 to read, 2 to write, 1 to
    /// execute) with a file of that owner and mode.
    pub(super) fn may(&self, as_whom: (u32, u32), owner: (u32, u32), mode: u32, wanted: u32) -> bool {
        let shift = if as_whom.0 == owner.0 {
            6
        } else if as_whom.1 == owner.1 || self.groups.binary_search(&owner.1).is_ok() {
            3
        } else {
            0
        };
        (mode >> shift) & wanted == wanted
    }

    /// The same for what it does itself.
    pub(super) fn may_do(&self, owner: (u32, u32), mode: u32, wanted: u32) -> bool {
        self.rules_files() || self.may(self.owner(), owner, mode, wanted)
    }

    fn four(&mut self, kind: Kind) -> &mut Four {
        match kind {
            Kind::User => &mut self.user,
            Kind::Group => &mut self.group,
        }
    }

    /// After `four` has changed.
    fn changed(mut self, kind: Kind, four: Four) -> Self {
        let was_root = self.user.has(0);
        *self.four(kind) = four;
        if kind == Kind::User {
            self.has_power = !self.user.has(0) && (self.has_power || was_root && self.keeps_power);
        }
        self
    }

    /// `setuid(2)`.
    pub(super) fn set(mut self, kind: Kind, id: u32) -> Result<Self, Errno> {
        let is_powerful = self.is_powerful();
        let old = *self.four(kind);
        match id {
            KEEP => Err(Errno::INVAL),
            _ if is_powerful => Ok(self.changed(kind, Four::all(id))),
            _ if id == old.real || id == old.saved => Ok(self.changed(kind, Four { effective: id, files: id, ..old })),
            _ => Err(Errno::PERM),
        }
    }

    /// `setreuid(2)`.
    pub(super) fn set_two(mut self, kind: Kind, real: u32, effective: u32) -> Result<Self, Errno> {
        let is_powerful = self.is_powerful();
        let old = *self.four(kind);
        let may_real = real == KEEP || is_powerful || real == old.real || real == old.effective;
        let may_effective = effective == KEEP || is_powerful || old.has(effective);
        if !may_real || !may_effective {
            return Err(Errno::PERM);
        }
        let mut new = Four { real: chosen(real, old.real), effective: chosen(effective, old.effective), ..old };
        if real != KEEP || effective != KEEP && effective != old.real {
            new.saved = new.effective;
        }
        new.files = new.effective;
        Ok(self.changed(kind, new))
    }

    /// `setresuid(2)`.
    pub(super) fn set_all(mut self, kind: Kind, ids: [u32; 3]) -> Result<Self, Errno> {
        let is_powerful = self.is_powerful();
        let old = *self.four(kind);
        if !ids.iter().all(|id| *id == KEEP || is_powerful || old.has(*id)) {
            return Err(Errno::PERM);
        }
        let effective = chosen(ids[1], old.effective);
        let new =
            Four { real: chosen(ids[0], old.real), effective, saved: chosen(ids[2], old.saved), files: effective };
        Ok(self.changed(kind, new))
    }

    /// `setfsuid(2)`: gives the old one; nothing changes where it may not.
    pub(super) fn set_files(mut self, kind: Kind, id: u32) -> (Self, u32) {
        let is_powerful = self.is_powerful();
        let four = self.four(kind);
        let old = four.files;
        if id != KEEP && (is_powerful || four.has(id) || old == id) {
            four.files = id;
        }
        (self, old)
    }

    /// `setgroups(2)`.
    pub(super) fn set_groups(mut self, mut groups: Vec<u32>) -> Result<Self, Errno> {
        if !self.is_powerful() {
            return Err(Errno::PERM);
        }
        groups.sort_unstable();
        self.groups = groups;
        Ok(self)
    }

    /// `prctl(PR_SET_KEEPCAPS)`.
    pub(super) fn keep_power(mut self, keeps: bool) -> Self {
        self.keeps_power = keeps;
        self
    }

    /// As another program, whose file has these set-id bits for these owners.
    pub(super) fn executed(mut self, user: Option<u32>, group: Option<u32>) -> Self {
        self.keeps_power = false;
        self.has_power = false;
        for (four, id) in [(&mut self.user, user), (&mut self.group, group)] {
            four.effective = id.unwrap_or(four.effective);
            four.saved = four.effective;
            four.files = four.effective;
        }
        self
    }
}

fn chosen(new: u32, old: u32) -> u32 {
    if new == KEEP { old } else { new }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u32) -> Identity {
        Identity::of(&User { uid: id, gid: id, groups: vec![9, 3], home: Vec::new() })
    }

    #[test]
    fn root_becomes_anybody_and_nobody_becomes_root() {
        let app = user(0).set_groups(vec![8, 5]).unwrap().set(Kind::Group, 7).unwrap().set(Kind::User, 1000).unwrap();
        assert_eq!((app.owner(), app.groups.as_slice()), ((1000, 7), &[5, 8][..]));
        assert_eq!(app.clone().set(Kind::User, 0), Err(Errno::PERM));
        assert_eq!(app.clone().set(Kind::Group, 0), Err(Errno::PERM));
        assert_eq!(app.clone().set_two(Kind::User, KEEP, 0), Err(Errno::PERM));
        assert_eq!(app.clone().set_all(Kind::User, [KEEP, 0, KEEP]), Err(Errno::PERM));
        assert_eq!(app.clone().set_groups(Vec::new()), Err(Errno::PERM));
        assert_eq!(app.clone().set(Kind::User, KEEP), Err(Errno::INVAL));
        assert_eq!(app.clone().set_files(Kind::User, 0), (app.clone(), 1000));
        assert!(!app.rules_files());
    }

    #[test]
    fn what_was_saved_can_be_taken_again() {
        let away = user(0).set_two(Kind::User, KEEP, 1000).unwrap();
        assert_eq!((away.user.real, away.user.effective, away.user.saved, away.user.files), (0, 1000, 1000, 1000));
        let away = user(0).set_all(Kind::User, [KEEP, 1000, KEEP]).unwrap();
        assert_eq!(away.clone().set(Kind::User, 5), Err(Errno::PERM));
        assert_eq!(away.set(Kind::User, 0).unwrap().user, Four::all(0));
        let (files, old) = user(0).set_files(Kind::User, 4);
        assert_eq!((files.user.files, files.user.effective, old), (4, 0, 0));
    }

    #[test]
    fn power_is_kept_until_another_program() {
        let kept = user(0).keep_power(true).set_all(Kind::User, [1000; 3]).unwrap();
        let groups = kept.set_all(Kind::Group, [7; 3]).unwrap().set_groups(vec![7]).unwrap();
        assert_eq!(groups.executed(None, None).set(Kind::User, 0), Err(Errno::PERM));
        let lost = user(0).set_all(Kind::User, [1000; 3]).unwrap();
        assert_eq!(lost.set_all(Kind::Group, [7; 3]), Err(Errno::PERM));
    }

    #[test]
    fn a_set_id_program_is_its_owners() {
        let raised = user(1000).executed(Some(0), None);
        assert_eq!((raised.user.real, raised.user.effective, raised.user.saved), (1000, 0, 0));
        assert_eq!(raised.set(Kind::User, 0).unwrap().user, Four::all(0));
    }

    #[test]
    fn modes_are_for_owner_group_and_others() {
        let who = user(1000);
        let may = |owner, mode, wanted| who.may_do(owner, mode, wanted);
        assert!(may((1000, 0), 0o600, 2) && !may((1000, 0), 0o066, 2));
        assert!(may((0, 9), 0o060, 6) && !may((0, 3), 0o606, 2));
        assert!(may((0, 0), 0o002, 2) && !may((0, 0), 0o770, 1));
        assert!(user(0).may_do((5, 5), 0, 7));
    }
}
