//! The system calls that are answered where only one id is mapped: one table for the filter and for the answers.

use libc::{c_int, c_long};

use crate::supervisor::calls::{Flags, Follow, Name};

/// What a call is about.
#[derive(Clone, Copy, Debug)]
pub(in crate::supervisor) enum Pretence {
    /// Changes an owner: the file, whether its link is followed, and the argument of the user; the group is next.
    Own(Name, Follow, usize),
    /// Makes a pipe, a socket, a file or a device: its name and the argument of its mode; the device is next.
    Node(Name, usize),
    /// Makes a folder: its name and the argument of its mode.
    Folder(Name, usize),
    /// Makes a symbolic link: the argument of its target, and its name.
    Link(usize, Name),
    /// Opens a file, and may make it: its name, its flags and the argument of its mode.
    Open(Name, Flags, usize),
    /// Asks about a file: its name, whether its link is followed, and the argument of the `struct stat`.
    Examine(Name, Follow, usize),
    /// `statx`: the file's name and the arguments of flags, mask and buffer.
    ExamineMore(Name, [usize; 3]),
    /// Asks what may be done with a file: its name, the argument of what, and that of flags.
    Access(Name, usize, Option<usize>),
    /// Does what not everybody may.
    Guarded(&'static [(Name, Follow, Need)]),
    /// Becomes another program: its file, and the argument of flags.
    Execute(Name, Option<usize>),
    /// Asks or changes who the process is.
    Identity(Who),
    /// Ends.
    Ends(Ending),
}

/// What a user must have for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Need {
    /// The name's folder, to be changed; in one with the sticky bit also the file, or the folder itself.
    Name,
    /// The same for a name that is new.
    NewName,
    /// The file, to be written to.
    Write,
    /// The file as its owner.
    Owner,
    /// The file as its owner; or only written to, where the argument of its times is a null pointer.
    Times(usize),
}

/// See [`Pretence::Identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Who {
    /// `getuid` and the like.
    Real(Kind),
    /// `geteuid` and the like.
    Effective(Kind),
    /// `getresuid` and the like.
    AskAll(Kind),
    /// `getgroups`.
    AskGroups,
    /// `setuid` and the like.
    Set(Kind),
    /// `setreuid` and the like.
    SetTwo(Kind),
    /// `setresuid` and the like.
    SetAll(Kind),
    /// `setfsuid` and the like.
    SetFiles(Kind),
    /// `setgroups`.
    SetGroups,
    /// `prctl(PR_SET_KEEPCAPS)`.
    KeepPower,
}

/// Users or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Kind {
    User,
    Group,
}

/// See [`Pretence::Ends`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Ending {
    Thread,
    Process,
}

/// When a call is worth a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum If {
    /// Each time.
    Always,
    /// Where this argument is not 0.
    NotZero(usize),
    /// Where this argument has one of the flags of an open that makes or changes a file.
    Changes(usize),
    /// Where the first argument is this.
    First(u32),
}

/// The flags of an open that makes or changes a file: those of files without a name include one for writing.
pub(in crate::supervisor) const CHANGING: u32 =
    (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC).cast_unsigned();

/// A system call.
#[derive(Clone, Copy, Debug)]
pub(in crate::supervisor) struct Slot {
    pub(in crate::supervisor) number: c_int,
    pub(in crate::supervisor) does: Pretence,
    pub(in crate::supervisor) when: If,
}

impl Slot {
    /// Whether a call with these arguments is meant: more may be notified, for the trace.
    pub(super) fn concerns(&self, arguments: &[u64; 6]) -> bool {
        match self.when {
            If::Always => true,
            If::NotZero(index) => arguments[index] as u32 != 0,
            If::Changes(index) => arguments[index] as u32 & CHANGING != 0,
            If::First(value) => arguments[0] as u32 == value,
        }
    }
}

impl Follow {
    /// The flags that say what this says.
    pub(super) fn of(self, arguments: &[u64; 6]) -> i32 {
        match self {
            Self::Always => 0,
            Self::Never => libc::AT_SYMLINK_NOFOLLOW,
            Self::Flags(index) => arguments[index] as i32,
        }
    }
}

const fn call(number: c_long, does: Pretence) -> Slot {
    Slot { number: number as c_int, does, when: If::Always }
}

const fn only(number: c_long, when: If, does: Pretence) -> Slot {
    Slot { number: number as c_int, does, when }
}

const fn who(number: c_long, who: Who) -> Slot {
    call(number, Pretence::Identity(who))
}

const fn guarded(number: c_long, list: &'static [(Name, Follow, Need)]) -> Slot {
    call(number, Pretence::Guarded(list))
}

const AT: Name = Name::At(0, 1);
const PATH: Name = Name::Path(0);
const RENAMED: &[(Name, Follow, Need)] =
    &[(AT, Follow::Never, Need::Name), (Name::At(2, 3), Follow::Never, Need::Name)];

/// The calls of every architecture, the frequent ones first: the filter asks in this order.
const EVERYWHERE: &[Slot] = &[
    only(libc::SYS_openat, If::Changes(2), Pretence::Open(AT, Flags::Argument(2), 3)),
    call(libc::SYS_newfstatat, Pretence::Examine(AT, Follow::Flags(3), 2)),
    call(libc::SYS_fstat, Pretence::Examine(Name::Descriptor(0), Follow::Always, 1)),
    call(libc::SYS_statx, Pretence::ExamineMore(AT, [2, 3, 4])),
    only(libc::SYS_faccessat, If::NotZero(2), Pretence::Access(AT, 2, None)),
    only(libc::SYS_faccessat2, If::NotZero(2), Pretence::Access(AT, 2, Some(3))),
    who(libc::SYS_getuid, Who::Real(Kind::User)),
    who(libc::SYS_geteuid, Who::Effective(Kind::User)),
    who(libc::SYS_getgid, Who::Real(Kind::Group)),
    who(libc::SYS_getegid, Who::Effective(Kind::Group)),
    who(libc::SYS_getresuid, Who::AskAll(Kind::User)),
    who(libc::SYS_getresgid, Who::AskAll(Kind::Group)),
    who(libc::SYS_getgroups, Who::AskGroups),
    who(libc::SYS_setuid, Who::Set(Kind::User)),
    who(libc::SYS_setgid, Who::Set(Kind::Group)),
    who(libc::SYS_setreuid, Who::SetTwo(Kind::User)),
    who(libc::SYS_setregid, Who::SetTwo(Kind::Group)),
    who(libc::SYS_setresuid, Who::SetAll(Kind::User)),
    who(libc::SYS_setresgid, Who::SetAll(Kind::Group)),
    who(libc::SYS_setfsuid, Who::SetFiles(Kind::User)),
    who(libc::SYS_setfsgid, Who::SetFiles(Kind::Group)),
    who(libc::SYS_setgroups, Who::SetGroups),
    only(libc::SYS_prctl, If::First(libc::PR_SET_KEEPCAPS.cast_unsigned()), Pretence::Identity(Who::KeepPower)),
    call(libc::SYS_execve, Pretence::Execute(PATH, None)),
    call(libc::SYS_execveat, Pretence::Execute(AT, Some(4))),
    call(libc::SYS_exit, Pretence::Ends(Ending::Thread)),
    call(libc::SYS_exit_group, Pretence::Ends(Ending::Process)),
    call(libc::SYS_openat2, Pretence::Open(AT, Flags::Pointed(2), 3)),
    call(libc::SYS_mkdirat, Pretence::Folder(AT, 2)),
    call(libc::SYS_symlinkat, Pretence::Link(0, Name::At(1, 2))),
    call(libc::SYS_mknodat, Pretence::Node(AT, 2)),
    call(libc::SYS_fchownat, Pretence::Own(AT, Follow::Flags(4), 2)),
    call(libc::SYS_fchown, Pretence::Own(Name::Descriptor(0), Follow::Always, 1)),
    guarded(libc::SYS_unlinkat, &[(AT, Follow::Never, Need::Name)]),
    guarded(libc::SYS_renameat2, RENAMED),
    guarded(libc::SYS_linkat, &[(Name::At(2, 3), Follow::Never, Need::NewName)]),
    guarded(libc::SYS_fchmodat, &[(AT, Follow::Always, Need::Owner)]),
    guarded(libc::SYS_fchmodat2, &[(AT, Follow::Flags(3), Need::Owner)]),
    guarded(libc::SYS_fchmod, &[(Name::Descriptor(0), Follow::Always, Need::Owner)]),
    guarded(libc::SYS_utimensat, &[(AT, Follow::Flags(3), Need::Times(2))]),
    guarded(libc::SYS_truncate, &[(PATH, Follow::Always, Need::Write)]),
];

/// The calls that only the older architecture has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[Slot] = &[
    call(libc::SYS_stat, Pretence::Examine(PATH, Follow::Always, 1)),
    call(libc::SYS_lstat, Pretence::Examine(PATH, Follow::Never, 1)),
    only(libc::SYS_open, If::Changes(1), Pretence::Open(PATH, Flags::Argument(1), 2)),
    call(libc::SYS_creat, Pretence::Open(PATH, Flags::Create, 1)),
    only(libc::SYS_access, If::NotZero(1), Pretence::Access(PATH, 1, None)),
    call(libc::SYS_mkdir, Pretence::Folder(PATH, 1)),
    call(libc::SYS_symlink, Pretence::Link(0, Name::Path(1))),
    call(libc::SYS_mknod, Pretence::Node(PATH, 1)),
    call(libc::SYS_chown, Pretence::Own(PATH, Follow::Always, 1)),
    call(libc::SYS_lchown, Pretence::Own(PATH, Follow::Never, 1)),
    guarded(libc::SYS_rmdir, &[(PATH, Follow::Never, Need::Name)]),
    guarded(libc::SYS_unlink, &[(PATH, Follow::Never, Need::Name)]),
    guarded(libc::SYS_rename, &[(PATH, Follow::Never, Need::Name), (Name::Path(1), Follow::Never, Need::Name)]),
    guarded(libc::SYS_renameat, RENAMED),
    guarded(libc::SYS_link, &[(Name::Path(1), Follow::Never, Need::NewName)]),
    guarded(libc::SYS_chmod, &[(PATH, Follow::Always, Need::Owner)]),
    guarded(libc::SYS_utime, &[(PATH, Follow::Always, Need::Times(1))]),
    guarded(libc::SYS_utimes, &[(PATH, Follow::Always, Need::Times(1))]),
    guarded(libc::SYS_futimesat, &[(AT, Follow::Always, Need::Times(2))]),
];

/// The calls that only the older architecture has.
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[Slot] = &[guarded(libc::SYS_renameat, RENAMED)];

/// All calls that are answered.
pub(in crate::supervisor) fn all() -> impl Iterator<Item = &'static Slot> {
    EVERYWHERE.iter().chain(OLDER)
}
