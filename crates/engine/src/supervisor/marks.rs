//! What can be done with a path, as bits: how the supervisor collects a trace.

/// Opened for reading.
pub(crate) const OPENED: u8 = 1;
/// Executed.
pub(crate) const EXECUTED: u8 = 2;
/// Opened as a folder.
pub(crate) const LISTED: u8 = 4;
/// Asked about.
pub(crate) const EXAMINED: u8 = 8;
/// Changed, or opened for it.
pub(crate) const WRITTEN: u8 = 16;

/// What an open with these flags does.
pub(super) fn of_open(flags: u64) -> u8 {
    let has = |bits: i32| flags & bits as u64 == bits as u64;
    let writes = flags & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u64 != 0;
    if has(libc::O_PATH) {
        // All other flags but O_DIRECTORY, O_NOFOLLOW and O_CLOEXEC are ignored by the kernel. A folder that is held
        // counts as listed (see `calls::When::NotHeld`), also where this does not say that it is one.
        return if has(libc::O_DIRECTORY) { LISTED } else { OPENED };
    }
    if has(libc::O_TMPFILE) {
        return 0; // The path is a folder's, in which a file without a name is made.
    }
    if has(libc::O_DIRECTORY) {
        return LISTED;
    }
    let reads = flags & libc::O_ACCMODE as u64 != libc::O_WRONLY as u64;
    // Making a file by reading and creating it (a lock, say) reads what is there, if it is.
    (u8::from(writes) * WRITTEN) | (u8::from(reads) * OPENED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_an_open_does() {
        let of = |flags: i32| of_open(flags as u64);
        assert_eq!(of(libc::O_RDONLY | libc::O_CLOEXEC), OPENED);
        assert_eq!(of(libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC), WRITTEN);
        assert_eq!(of(libc::O_RDWR), OPENED | WRITTEN);
        assert_eq!(of(libc::O_RDONLY | libc::O_CREAT), OPENED | WRITTEN);
        assert_eq!(of(libc::O_RDONLY | libc::O_DIRECTORY), LISTED);
        assert_eq!(of(libc::O_PATH | libc::O_DIRECTORY), LISTED);
        assert_eq!(of(libc::O_PATH | libc::O_RDWR), OPENED);
        assert_eq!(of(libc::O_TMPFILE | libc::O_RDWR), 0);
    }
}
