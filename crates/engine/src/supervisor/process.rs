//! Looking at a process that waits: the strings its pointers mean, and what its relative paths start from.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags};

use crate::kernel::seccomp::read_memory;

/// The longest path that the kernel takes, with its NUL (PATH_MAX of linux/limits.h).
const LONGEST: usize = 4096;
/// What is read at first: few paths are longer, and less to copy is less time.
const USUAL: usize = 256;
/// Pages are as large or a multiple of it, so a string that ends in one can be read without touching the next.
const PAGE: usize = 4096;

/// Reads the string at this address, without its NUL. An error where it is not readable or too long.
pub(super) fn read_string(pid: u32, address: u64, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    let mut at = address;
    while into.len() < LONGEST {
        let known = into.len();
        let to_the_page_end = PAGE - (at as usize % PAGE);
        let wanted = if known == 0 { to_the_page_end.min(USUAL) } else { to_the_page_end };
        into.resize(known + wanted, 0);
        let count = read_memory(pid, at, &mut into[known..])?;
        if count == 0 {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
        into.truncate(known + count);
        if let Some(end) = into[known..].iter().position(|&byte| byte == 0) {
            into.truncate(known + end);
            return Ok(());
        }
        at = at.wrapping_add(count as u64);
    }
    Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
}

/// Reads a number of 8 bytes.
pub(super) fn read_number(pid: u32, address: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    if read_memory(pid, address, &mut bytes)? < bytes.len() {
        return Err(io::Error::from_raw_os_error(libc::EFAULT));
    }
    Ok(u64::from_ne_bytes(bytes))
}

/// What a process' link in `/proc` says, if that is a path of the file system.
pub(super) fn link(pid: u32, what: &str) -> io::Result<Vec<u8>> {
    path_of(rustix::fs::readlink(format!("/proc/{pid}/{what}"), Vec::new())?)
}

/// The target of a link in `/proc` as a path.
fn path_of(target: CString) -> io::Result<Vec<u8>> {
    let target = target.into_bytes();
    if target.first() != Some(&b'/') {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    Ok(match target.strip_suffix(b" (deleted)") {
        Some(path) => path.to_vec(),
        None => target,
    })
}

/// The link in `/proc` of what a path is relative to.
pub(super) fn starting_point(directory: i32) -> String {
    if directory == libc::AT_FDCWD { "cwd".to_owned() } else { format!("fd/{directory}") }
}

/// Where the relative paths of processes start.
///
/// Asking `/proc` costs half as much as a notification. A working directory is asked for once: only calls that are
/// notified change it. A descriptor is asked for each time it is used, since to know when one comes to mean another
/// folder each duplication would have to be notified, which is what programs that walk through folders do all the time
/// (three notifications a folder instead of two). What is remembered of descriptors is only the way to them.
#[derive(Debug, Default)]
pub(super) struct Folders {
    working: Vec<(u32, Vec<u8>)>,
    /// The folders `/proc/PID/fd`, opened: a look-up from there costs two thirds. One of a process that has ended
    /// finds nothing, even if another process has its number now.
    descriptors: Vec<(u32, OwnedFd)>,
    /// Whether some process may have another root than the first.
    roots_differ: bool,
}

/// So many are remembered. It is far less than the numbers that pids go through before one comes again.
const REMEMBERED: usize = 32;

impl Folders {
    /// Appends the folder that a relative path starts from.
    pub(super) fn append(&mut self, pid: u32, directory: i32, out: &mut Vec<u8>) -> io::Result<()> {
        if directory == libc::AT_FDCWD {
            out.extend_from_slice(self.working(pid)?);
        } else {
            out.extend_from_slice(&self.descriptor(pid, directory)?);
        }
        Ok(())
    }

    fn working(&mut self, pid: u32) -> io::Result<&[u8]> {
        let place = match self.working.iter().rposition(|known| known.0 == pid) {
            Some(place) => place,
            None => {
                let path = link(pid, &starting_point(libc::AT_FDCWD))?;
                if self.working.len() >= REMEMBERED {
                    self.working.clear();
                }
                self.working.push((pid, path));
                self.working.len() - 1
            }
        };
        Ok(&self.working[place].1)
    }

    fn descriptor(&mut self, pid: u32, descriptor: i32) -> io::Result<Vec<u8>> {
        let name = descriptor.to_string();
        if let Some(place) = self.descriptors.iter().rposition(|known| known.0 == pid) {
            match rustix::fs::readlinkat(&self.descriptors[place].1, &name, Vec::new()) {
                Ok(target) => return path_of(target),
                // It has no such descriptor, or has ended.
                Err(_) => drop(self.descriptors.swap_remove(place)),
            }
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let all = rustix::fs::openat(CWD, format!("/proc/{pid}/fd"), flags, Mode::empty())?;
        let target = rustix::fs::readlinkat(&all, &name, Vec::new())?;
        if self.descriptors.len() >= REMEMBERED {
            self.descriptors.clear();
        }
        self.descriptors.push((pid, all));
        path_of(target)
    }

    /// What absolute paths of a process start from: empty for the usual root.
    pub(super) fn root(&self, pid: u32) -> Vec<u8> {
        if !self.roots_differ {
            return Vec::new();
        }
        link(pid, "root").ok().filter(|root| root != b"/").unwrap_or_default()
    }

    /// Some folder may have another name, or a process another working directory.
    pub(super) fn forget(&mut self) {
        self.working.clear();
    }

    /// Some process may have another root.
    pub(super) fn doubt_roots(&mut self) {
        self.forget();
        self.roots_differ = true;
    }
}
