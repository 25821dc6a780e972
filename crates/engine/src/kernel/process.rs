//! What a process starts with: exec, signal dispositions, descriptors, namespaces, and the
//! attributes of mounts, none of which a safe library offers.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use rustix::thread::UnshareFlags;

/// Becomes another program; comes back only with the reason why not.
pub(crate) fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |words: &[CString]| -> Vec<*const libc::c_char> {
        words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: all three point to strings that end in NUL, the lists end in a null pointer, and all outlive the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Leaves namespaces. Descriptor tables are not among what may be left.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    if flags.contains(UnshareFlags::FILES) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: only a table of descriptors of its own could make a thread miss another's descriptors.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Closes every descriptor from 3 on when this process becomes another program, whoever opened it.
pub(crate) fn close_on_execute() -> io::Result<()> {
    // SAFETY: three numbers; descriptors stay open until the process is another program.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes back what this process ignores or blocks, for the program that it becomes: Rust's runtime ignores SIGPIPE, and
/// whoever started us may have ignored others.
pub(crate) fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is no handler; where a signal cannot be set, nothing changes.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    unblock_all();
}

fn unblock_all() {
    // SAFETY: `set` is initialised by sigemptyset before it is used, and only read by sigprocmask.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Adds attributes (`MOUNT_ATTR_…`) to the mount that this descriptor is in, and with `AT_RECURSIVE` to those below.
pub(crate) fn set_mount_attributes(mount: BorrowedFd<'_>, attributes: u64, flags: libc::c_int) -> io::Result<()> {
    let set = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is an empty string that ends in NUL; the kernel reads as many bytes of `set` as it has.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            std::ptr::from_ref(&set),
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Switches the loopback device of this network namespace on; any socket will do.
pub(crate) fn loopback_up(socket: impl AsFd) -> io::Result<()> {
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: all bits zero is a valid `ifreq`: a name and a union of numbers.
    let mut request = unsafe { std::mem::zeroed::<libc::ifreq>() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    // SAFETY: the kernel reads the name, which ends in NUL, and writes the flags of this `ifreq`.
    if unsafe { libc::ioctl(socket, libc::SIOCGIFFLAGS as _, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just filled in the flags, the union's only part in use.
    unsafe { request.ifr_ifru.ifru_flags |= (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short };
    // SAFETY: the kernel only reads this `ifreq`.
    if unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw const request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
