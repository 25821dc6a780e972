//! Seccomp filters with a listener: loading one, receiving and answering what it notifies of, and reading the memory
//! of the process that waits (seccomp(2), seccomp_unotify(2), process_vm_readv(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_ulong, c_void, seccomp_notif, seccomp_notif_resp, seccomp_notif_sizes, sock_filter, sock_fprog};

/// Makes the kernel switch to the listener on the caller's processor, and back (Linux 6.6; not in libc yet).
const SYNC_WAKE_UP: c_ulong = 1;

/// `SECCOMP_IOCTL_NOTIF_ADDFD` (Linux 5.9): writes a `seccomp_notif_addfd` of 24 bytes (linux/seccomp.h).
const ADD_DESCRIPTOR: c_ulong = 0x4018_2103;

/// A filter alone turns no processor mitigation on (Linux 4.17). Before Linux 5.16 it would: speculative store bypass,
/// which protects a program from code in its own memory, and makes interpreters up to twice as slow. runc and crun load
/// their filters with this flag too.
pub(crate) const SPECULATION: c_ulong = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;

/// Adds a filter to this thread and those it makes later, and gives its listener.
///
/// It needs CAP_SYS_ADMIN in the thread's user namespace, or no_new_privs. A second listener in one process tree is
/// refused by the kernel with EBUSY.
pub(crate) fn load(filter: &[sock_filter]) -> io::Result<OwnedFd> {
    let least = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | SPECULATION;
    // Once a notification was received, only a deadly signal interrupts the wait, so nothing is answered twice.
    match load_with(filter, least | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        // A kernel before 5.19 does not know the flag.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => load_with(filter, least),
        result => result,
    }
}

fn load_with(filter: &[sock_filter], flags: c_ulong) -> io::Result<OwnedFd> {
    let Ok(len) = u16::try_from(filter.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let program = sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` instructions that outlive the call; the kernel only reads them.
    let listener =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(&program)) };
    match c_int::try_from(listener) {
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        Ok(listener) if listener >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(listener) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A system call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification {
    /// What the answer names.
    pub(crate) id: u64,
    /// The thread, as this process' pid namespace numbers it; 0 where that cannot see it.
    pub(crate) pid: u32,
    /// The system call's number.
    pub(crate) number: c_int,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// What a process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The kernel does the call.
    Continue,
    /// It is not done, and seems to have succeeded.
    Done,
    /// It is not done, and seems to have succeeded with this result.
    Value(i64),
    /// It is not done, and failed with this errno.
    Failed(i32),
}

/// What came of waiting for a notification.
#[derive(Debug)]
pub(crate) enum Received {
    /// One.
    Notification(Notification),
    /// None: its process is gone already, or so are all.
    Gone,
}

/// The listening end of a filter.
#[derive(Debug)]
pub(crate) struct Listener {
    descriptor: OwnedFd,
    /// Room for a notification as large as this kernel makes it; 8-byte words, for alignment.
    room: Vec<u64>,
    /// The same for an answer.
    answer: Vec<u64>,
}

impl Listener {
    /// Takes the descriptor that [`load`] gave, in whichever process.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let mut sizes = seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        // SAFETY: the kernel writes the three numbers of `sizes`, which is writable and of the type it expects.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, std::ptr::from_mut(&mut sizes))
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        let words = |kernel: u16, ours: usize| vec![0; usize::from(kernel).max(ours).div_ceil(8)];
        Ok(Self {
            descriptor,
            room: words(sizes.seccomp_notif, size_of::<seccomp_notif>()),
            answer: words(sizes.seccomp_notif_resp, size_of::<seccomp_notif_resp>()),
        })
    }

    /// Asks for synchronous wake-ups, which halve the cost; a kernel before 6.6 does without.
    pub(crate) fn wake_synchronously(&self) {
        // SAFETY: this ioctl takes a number, no pointer.
        unsafe {
            libc::ioctl(self.descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
        }
    }

    /// Waits for the next notification. Where the kernel (6.11) sees that all processes are gone, it says so; an older
    /// one waits for ever.
    pub(crate) fn receive(&mut self) -> io::Result<Received> {
        self.room.fill(0);
        // SAFETY: `room` is zeroed, aligned and as large as this kernel's notification is.
        let result =
            unsafe { libc::ioctl(self.descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, self.room.as_mut_ptr()) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOENT) => Ok(Received::Gone),
                _ => Err(error),
            };
        }
        // SAFETY: `room` is at least as large as `seccomp_notif`, aligned to 8, and any bits are valid numbers.
        let raw = unsafe { &*self.room.as_ptr().cast::<seccomp_notif>() };
        Ok(Received::Notification(Notification {
            id: raw.id,
            pid: raw.pid,
            number: raw.data.nr,
            arguments: raw.data.args,
        }))
    }

    /// Whether the process still waits for this answer. After it is known, what was read from it before was its own.
    pub(crate) fn is_valid(&self, id: u64) -> bool {
        // SAFETY: the ioctl reads the 8 bytes of `id`.
        let result = unsafe {
            libc::ioctl(self.descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, std::ptr::from_ref(&id))
        };
        result == 0
    }

    /// Gives the waiting process a descriptor of a file that this one has opened, and says which number it got.
    pub(crate) fn add_descriptor(&self, id: u64, file: BorrowedFd<'_>, flags: u32) -> io::Result<c_int> {
        let request = libc::seccomp_notif_addfd {
            id,
            flags: 0,
            srcfd: file.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: flags,
        };
        // SAFETY: the kernel reads the 24 bytes of `request`, whose type is the one that the number states.
        let result =
            unsafe { libc::ioctl(self.descriptor.as_raw_fd(), ADD_DESCRIPTOR as _, std::ptr::from_ref(&request)) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }

    /// Answers. That the process is gone by now is no error.
    pub(crate) fn answer(&mut self, id: u64, answer: Answer) -> io::Result<()> {
        self.answer.fill(0);
        // SAFETY: `answer` is zeroed, aligned and at least as large as `seccomp_notif_resp`.
        let raw = unsafe { &mut *self.answer.as_mut_ptr().cast::<seccomp_notif_resp>() };
        raw.id = id;
        match answer {
            Answer::Continue => raw.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Answer::Done => {}
            Answer::Value(value) => raw.val = value,
            Answer::Failed(errno) => raw.error = -errno,
        }
        // SAFETY: the kernel reads (and may write) the answer, which is as large as it expects.
        let result = unsafe {
            libc::ioctl(self.descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, self.answer.as_mut_ptr())
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ENOENT) { Ok(()) } else { Err(error) };
        }
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Reads memory of another process; gives how many bytes could be read, which is fewer at an unmapped page.
pub(crate) fn read_memory(pid: u32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast::<c_void>(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut c_void, iov_len: into.len() };
    // SAFETY: `local` is our own writable buffer of that length; the remote address is only read, and checked by the
    // kernel against the other process.
    let count = unsafe { libc::process_vm_readv(pid as libc::pid_t, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}
