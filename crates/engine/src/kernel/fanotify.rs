//! Fanotify: hearing of each file of a file system that the kernel opens to execute it (fanotify(7)).
//!
//! It needs CAP_SYS_ADMIN in the first user namespace. A mark on every open was measured too: 1.25 times the time
//! of a step that opens many files, where notification takes 1.09, and it sees neither what was looked up in vain
//! nor symbolic links. So it is used for what only it sees: loaders and script interpreters, two events a program.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::fanotify_event_metadata;

/// A group that listens.
#[derive(Debug)]
pub(crate) struct Executions {
    descriptor: OwnedFd,
}

/// What one reading gave.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The files, opened for reading.
    pub(crate) files: Vec<OwnedFd>,
    /// Whether the kernel's queue was full, so that some are unknown.
    pub(crate) overflow: bool,
}

impl Executions {
    /// Listens to the file system that this folder is on, whatever mount of it is used.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let flags = libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
        let of_files = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE;
        // SAFETY: two numbers, no pointers.
        let descriptor = unsafe { libc::fanotify_init(flags, of_files as u32) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let path = CString::new(folder.as_os_str().as_bytes())?;
        // SAFETY: `path` is a string that ends in NUL and outlives the call.
        let result = unsafe {
            libc::fanotify_mark(
                descriptor.as_raw_fd(),
                libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM,
                libc::FAN_OPEN_EXEC,
                libc::AT_FDCWD,
                path.as_ptr(),
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(Self { descriptor }) }
    }

    /// What has been executed since the last time; nothing where there was nothing.
    pub(crate) fn read(&self) -> io::Result<Heard> {
        let mut heard = Heard::default();
        let mut room = [0_u64; 1024];
        // SAFETY: the kernel writes at most as many bytes as `room` has.
        let count = unsafe { libc::read(self.descriptor.as_raw_fd(), room.as_mut_ptr().cast(), size_of_val(&room)) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(heard) } else { Err(error) };
        };
        let mut at = 0;
        while at + size_of::<fanotify_event_metadata>() <= count {
            // SAFETY: so many bytes were written there; the kernel aligns events to 8 and any bits are valid numbers.
            let event =
                unsafe { room.as_ptr().cast::<u8>().add(at).cast::<fanotify_event_metadata>().read_unaligned() };
            if event.fd >= 0 {
                // SAFETY: the kernel made this descriptor for the event, and it is ours to close.
                heard.files.push(unsafe { OwnedFd::from_raw_fd(event.fd) });
            }
            heard.overflow |= event.mask & libc::FAN_Q_OVERFLOW != 0;
            at += (event.event_len as usize).max(size_of::<fanotify_event_metadata>());
        }
        Ok(heard)
    }
}

impl AsFd for Executions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
