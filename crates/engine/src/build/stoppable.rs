//! Streams that may stand still for long, and end where the build is stopped.

use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Cancel;

/// How long a stop may go unnoticed.
const NOTICED: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A stream that fails once its build is stopped.
#[derive(Debug)]
pub struct Stoppable<'c, S> {
    stream: S,
    cancel: &'c Cancel,
}

impl<'c, S> Stoppable<'c, S> {
    /// The same stream, until `cancel` stops it.
    pub fn new(stream: S, cancel: &'c Cancel) -> Self {
        Self { stream, cancel }
    }
}

/// Waits for what comes, but no longer than until the stop.
impl<S: Read + AsFd> Read for Stoppable<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(io::Error::other("the build was stopped"));
            }
            let mut polled = [PollFd::new(&self.stream, PollFlags::IN)];
            match poll(&mut polled, Some(&NOTICED)) {
                Ok(0) | Err(Errno::INTR) => {}
                // An error is what reading tells.
                Ok(_) | Err(_) => return self.stream.read(buffer),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_waits_for_a_silent_pipe_hears_of_the_stop() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let cancel = Cancel::default();
        writer.write_all(b"some").expect("writes");
        let mut stream = Stoppable::new(reader, &cancel);
        let mut buffer = [0; 16];
        assert_eq!(stream.read(&mut buffer).expect("reads"), 4);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                cancel.cancel();
            });
            assert!(stream.read(&mut buffer).is_err());
        });
        drop(writer);
        assert_eq!(Stoppable::new(stream.stream, &Cancel::default()).read(&mut buffer).expect("reads"), 0);
    }
}
