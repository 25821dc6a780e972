//! The system calls that the supervisor is told of, and what each does with which path: one table for the filter and
//! for reading notifications.
//!
//! Listing a folder is not seen at `getdents`, which would cost a notification and a look at `/proc` each time, but at
//! the `open` with `O_DIRECTORY` that comes before it: that is notified anyway and names the path. (A folder opened
//! without that flag is told from a file afterwards.)

use libc::{c_int, c_long};

use crate::supervisor::marks::{EXAMINED, EXECUTED, OPENED, WRITTEN};

/// Where a call names a file: indices of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A path, from the working directory.
    Path(usize),
    /// A folder's descriptor and a path from it. An empty path or a null pointer names the descriptor's file itself.
    At(usize, usize),
    /// A descriptor.
    Descriptor(usize),
}

/// Where the flags of an open are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flags {
    /// An argument.
    Argument(usize),
    /// The first 8 bytes of the structure that this argument points to.
    Pointed(usize),
    /// `creat` has none.
    Create,
}

/// Where flags say that the last symbolic link is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// It is followed.
    Always,
    /// It is not.
    Never,
    /// This argument has AT_SYMLINK_NOFOLLOW or not.
    Flags(usize),
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Opens a file, for what its flags say.
    Open(Name, Flags),
    /// Does something to one or two files: what, in bits.
    Uses(&'static [(Name, u8)]),
    /// Changes which folder a relative path starts at, or the root.
    Turns(Turn),
}

/// See [`Does::Turns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The working directory, by a path.
    Folder,
    /// The working directory, by a descriptor.
    Descriptor,
    /// The root.
    Root,
}

/// When a call is worth a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Each time.
    Always,
    /// Unless the first argument is a real descriptor and this one (flags) has AT_EMPTY_PATH or AT_SYMLINK_NOFOLLOW.
    ///
    /// The one is an `fstat` in all but name, of a file whose opening was seen. The other is how programs that walk
    /// through folders (find, du, rm, tar) ask about the entries of a folder that they hold open; the folder is in the
    /// trace as listed, which stands for its entries. A notification for each of them would make a walk four times as
    /// slow: three quarters of that are what the kernel takes to switch there and back, whatever we do in between.
    NotHeld(usize),
}

/// A system call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Its number on this architecture.
    pub(super) number: c_int,
    /// What it does.
    pub(super) does: Does,
    /// When it matters.
    pub(super) when: When,
}

const fn call(number: c_long, does: Does) -> Call {
    Call { number: number as c_int, does, when: When::Always }
}

const fn sometimes(number: c_long, when: When, does: Does) -> Call {
    Call { number: number as c_int, does, when }
}

const EXAMINES: Does = Does::Uses(&[(Name::Path(0), EXAMINED)]);
const EXAMINES_AT: Does = Does::Uses(&[(Name::At(0, 1), EXAMINED)]);
const WRITES: Does = Does::Uses(&[(Name::Path(0), WRITTEN)]);
const WRITES_AT: Does = Does::Uses(&[(Name::At(0, 1), WRITTEN)]);
const WRITES_ITSELF: Does = Does::Uses(&[(Name::Descriptor(0), WRITTEN)]);
/// Renaming and linking: the content under the new name is that of the old one.
const MOVES_AT: Does = Does::Uses(&[(Name::At(0, 1), OPENED | WRITTEN), (Name::At(2, 3), WRITTEN)]);

/// The calls of every architecture, the frequent ones first: the filter asks in this order.
const EVERYWHERE: &[Call] = &[
    sometimes(libc::SYS_newfstatat, When::NotHeld(3), EXAMINES_AT),
    call(libc::SYS_openat, Does::Open(Name::At(0, 1), Flags::Argument(2))),
    sometimes(libc::SYS_statx, When::NotHeld(2), EXAMINES_AT),
    call(libc::SYS_readlinkat, EXAMINES_AT),
    call(libc::SYS_faccessat, EXAMINES_AT),
    sometimes(libc::SYS_faccessat2, When::NotHeld(3), EXAMINES_AT),
    call(libc::SYS_openat2, Does::Open(Name::At(0, 1), Flags::Pointed(2))),
    call(libc::SYS_execve, Does::Uses(&[(Name::Path(0), EXECUTED)])),
    call(libc::SYS_execveat, Does::Uses(&[(Name::At(0, 1), EXECUTED)])),
    call(libc::SYS_fchdir, Does::Turns(Turn::Descriptor)),
    call(libc::SYS_chdir, Does::Turns(Turn::Folder)),
    call(libc::SYS_chroot, Does::Turns(Turn::Root)),
    call(libc::SYS_pivot_root, Does::Turns(Turn::Root)),
    call(libc::SYS_setns, Does::Turns(Turn::Root)),
    call(libc::SYS_mkdirat, WRITES_AT),
    call(libc::SYS_unlinkat, WRITES_AT),
    call(libc::SYS_renameat2, MOVES_AT),
    call(libc::SYS_linkat, MOVES_AT),
    call(libc::SYS_symlinkat, Does::Uses(&[(Name::At(1, 2), WRITTEN)])),
    call(libc::SYS_fchmodat, WRITES_AT),
    call(libc::SYS_fchmodat2, WRITES_AT),
    call(libc::SYS_fchmod, WRITES_ITSELF),
    call(libc::SYS_utimensat, WRITES_AT),
    call(libc::SYS_truncate, WRITES),
    call(libc::SYS_setxattr, WRITES),
    call(libc::SYS_lsetxattr, WRITES),
    call(libc::SYS_fsetxattr, WRITES_ITSELF),
    call(libc::SYS_removexattr, WRITES),
    call(libc::SYS_lremovexattr, WRITES),
    call(libc::SYS_fremovexattr, WRITES_ITSELF),
    call(libc::SYS_fchownat, WRITES_AT),
    call(libc::SYS_fchown, WRITES_ITSELF),
    call(libc::SYS_mknodat, WRITES_AT),
];

/// The calls that only the older architecture has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[Call] = &[
    call(libc::SYS_stat, EXAMINES),
    call(libc::SYS_lstat, EXAMINES),
    call(libc::SYS_open, Does::Open(Name::Path(0), Flags::Argument(1))),
    call(libc::SYS_access, EXAMINES),
    call(libc::SYS_readlink, EXAMINES),
    call(libc::SYS_creat, Does::Open(Name::Path(0), Flags::Create)),
    call(libc::SYS_mkdir, WRITES),
    call(libc::SYS_rmdir, WRITES),
    call(libc::SYS_unlink, WRITES),
    call(libc::SYS_rename, Does::Uses(&[(Name::Path(0), OPENED | WRITTEN), (Name::Path(1), WRITTEN)])),
    call(libc::SYS_renameat, MOVES_AT),
    call(libc::SYS_link, Does::Uses(&[(Name::Path(0), OPENED | WRITTEN), (Name::Path(1), WRITTEN)])),
    call(libc::SYS_symlink, Does::Uses(&[(Name::Path(1), WRITTEN)])),
    call(libc::SYS_chmod, WRITES),
    call(libc::SYS_utime, WRITES),
    call(libc::SYS_utimes, WRITES),
    call(libc::SYS_futimesat, WRITES_AT),
    call(libc::SYS_chown, WRITES),
    call(libc::SYS_lchown, WRITES),
    call(libc::SYS_mknod, WRITES),
];

/// The calls that only the older architecture has.
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[Call] = &[call(libc::SYS_renameat, MOVES_AT)];

/// All calls that may matter.
pub(super) fn all() -> impl Iterator<Item = &'static Call> {
    EVERYWHERE.iter().chain(OLDER)
}

impl When {
    /// Whether a call with these arguments matters.
    pub(super) fn concerns(self, arguments: &[u64; 6]) -> bool {
        let Self::NotHeld(flags) = self else { return true };
        let held = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
        arguments[flags] as i32 & held == 0 || (arguments[0] as i32) < 0
    }
}
