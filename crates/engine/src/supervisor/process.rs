//! Looking at a process that waits: the strings its pointers mean, and what its relative paths start from.

use std::ffi::CString;
use std::io;

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
    let mut room = [0_u8; PAGE];
    let mut at = address;
    while into.len() < LONGEST {
        let to_the_page_end = PAGE - (at as usize % PAGE);
        let wanted = if into.is_empty() { to_the_page_end.min(USUAL) } else { to_the_page_end };
        let count = read_memory(pid, at, &mut room[..wanted])?;
        let Some(bytes) = room.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        };
        if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
            into.extend_from_slice(&bytes[..end]);
            return Ok(());
        }
        into.extend_from_slice(bytes);
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
    let target = rustix::fs::readlink(format!("/proc/{pid}/{what}"), Vec::new()).map(CString::into_bytes)?;
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

/// The folders that descriptors and processes were last seen to have. Asking `/proc` costs as much as all the rest of
/// a notification, and programs ask about a folder's entries one after the other.
///
/// A descriptor can come to mean another folder only by calls that are notified (the opens, the duplications), each
/// of which makes all of them be forgotten: whose they are (threads share them) would cost more to find out. Likewise
/// for working directories. What is left is a descriptor that came through a socket.
#[derive(Debug, Default)]
pub(super) struct Folders {
    descriptors: Vec<(u32, i32, Vec<u8>)>,
    working: Vec<(u32, i32, Vec<u8>)>,
    /// Whether some process may have another root than the first.
    roots_differ: bool,
}

/// So many are remembered. It is far less than the numbers that pids go through before one comes again.
const REMEMBERED: usize = 32;

impl Folders {
    /// The folder that a relative path starts from.
    pub(super) fn get(&mut self, pid: u32, directory: i32) -> io::Result<&[u8]> {
        let list = if directory == libc::AT_FDCWD { &mut self.working } else { &mut self.descriptors };
        let place = match list.iter().rposition(|known| known.0 == pid && known.1 == directory) {
            Some(place) => place,
            None => {
                let path = link(pid, &starting_point(directory))?;
                if list.len() >= REMEMBERED {
                    list.clear();
                }
                list.push((pid, directory, path));
                list.len() - 1
            }
        };
        Ok(&list[place].2)
    }

    /// What absolute paths of a process start from: empty for the usual root.
    pub(super) fn root(&self, pid: u32) -> Vec<u8> {
        if !self.roots_differ {
            return Vec::new();
        }
        link(pid, "root").ok().filter(|root| root != b"/").unwrap_or_default()
    }

    /// Some descriptor may mean another file from now on.
    pub(super) fn forget_descriptors(&mut self) {
        self.descriptors.clear();
    }

    /// Some folder may have another name, or a process another working directory.
    pub(super) fn forget(&mut self) {
        self.descriptors.clear();
        self.working.clear();
    }

    /// Some process may have another root.
    pub(super) fn doubt_roots(&mut self) {
        self.forget();
        self.roots_differ = true;
    }
}
