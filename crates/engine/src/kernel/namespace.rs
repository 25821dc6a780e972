//! Making and entering namespaces, and becoming another user in them (unshare(2), fork(2), setresuid(2)).

use std::io;

use libc::{c_int, pid_t};

use crate::kernel::seccomp::SPECULATION;

fn checked(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forked {
    /// The process that forked; its child's number.
    Parent(pid_t),
    /// The new process.
    Child,
}

/// Forks this process, which must have one thread only: the child of another could hang on a lock for ever. That is
/// looked up, and refused with `EBUSY`.
pub(crate) fn fork() -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: the process has one thread, so the child's memory is consistent: no other thread held a lock.
    let pid = unsafe { libc::fork() };
    match pid {
        0 => Ok(Forked::Child),
        pid if pid > 0 => Ok(Forked::Parent(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives this thread a user namespace of its own; nobody is mapped in it yet.
pub(crate) fn unshare_users() -> io::Result<()> {
    // SAFETY: a number, no pointers; memory is not unshared.
    checked(unsafe { libc::unshare(libc::CLONE_NEWUSER) })
}

/// Gives this thread a mount namespace of its own.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    // SAFETY: a number, no pointers; memory and descriptors are not unshared.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS) })
}

/// Becomes user and group 0 of the namespace. Supplementary groups stay: they open what is the user's to open, such as
/// Docker's socket. What steps run has groups of its own.
pub(crate) fn become_root() -> io::Result<()> {
    // SAFETY: three numbers, no pointers.
    checked(unsafe { libc::setresgid(0, 0, 0) })?;
    // SAFETY: three numbers, no pointers.
    checked(unsafe { libc::setresuid(0, 0, 0) })
}

/// Has this process sent a signal when the one that forked it ends.
pub(crate) fn signal_when_parent_ends(signal: c_int) -> io::Result<()> {
    // SAFETY: two numbers, no pointers.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong, 0, 0, 0) })
}

/// Blocks signals in this thread, so that [`next_signal`] takes them; gives those that were blocked before.
pub(crate) fn block_signals(signals: &[c_int]) -> io::Result<Blocked> {
    let set = set_of(signals);
    let mut before = set_of(&[]);
    // SAFETY: both sets are initialized and outlive the call, which writes the second.
    let result = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, &raw mut before) };
    checked(result).map(|()| Blocked { before })
}

/// What was blocked before [`block_signals`].
#[derive(Clone, Copy)]
pub(crate) struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    /// Blocks what was blocked before, and nothing else.
    pub(crate) fn restore(self) -> io::Result<()> {
        // SAFETY: the set is initialized and outlives the call; the old one is not asked for.
        checked(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) })
    }
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// Which.
    pub(crate) number: c_int,
    /// Whether the kernel sent it, as a terminal does for Ctrl-C: then to the whole process group.
    pub(crate) from_kernel: bool,
}

/// Waits for one of these signals, which must be blocked.
pub(crate) fn next_signal(signals: &[c_int]) -> io::Result<Signal> {
    let set = set_of(signals);
    // SAFETY: zeroes are a valid value of this structure of numbers.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the set and the structure are initialized and outlive the call, which writes the second.
        let number = unsafe { libc::sigwaitinfo(&raw const set, &raw mut info) };
        if number > 0 {
            return Ok(Signal { number, from_kernel: info.si_code == libc::SI_KERNEL });
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn set_of(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: zeroes are a valid value; `sigemptyset` and `sigaddset` only write into the set they are given.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Adds a seccomp filter without a listener to this thread. It needs CAP_SYS_ADMIN in the thread's user namespace, or
/// no_new_privs.
pub(crate) fn load_plain(filter: &[libc::sock_filter]) -> io::Result<()> {
    let Ok(len) = u16::try_from(filter.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` instructions that outlive the call; the kernel only reads them.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, SPECULATION, std::ptr::from_ref(&program))
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
