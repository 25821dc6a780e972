//! A terminal for a command: one of the container's own, whose other end is passed on to the user's.
//!
//! The user's own terminal has no name in the container, where `tty` and whatever opens `/dev/tty` by its name would not
//! find it; and a shell needs a session of its own to have a controlling one. So the command gets a new one, and this
//! process carries what is typed and printed, with the user's terminal in raw mode meanwhile.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// Makes a new terminal of the container that this process is in its own, as standard input, output and error too; the
/// size is that of the terminal that was the standard input. Gives the other end.
pub(super) fn make_controlling() -> io::Result<OwnedFd> {
    rustix::process::setsid()?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let outer = rustix::fs::open("/dev/ptmx", flags, Mode::empty())?;
    unlockpt(&outer)?;
    let inner = ioctl_tiocgptpeer(&outer, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    rustix::process::ioctl_tiocsctty(&inner)?;
    if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
        tcsetwinsize(&outer, size)?;
    }
    rustix::stdio::dup2_stdin(&inner)?;
    rustix::stdio::dup2_stdout(&inner)?;
    rustix::stdio::dup2_stderr(&inner)?;
    Ok(outer)
}

/// The user's terminal as long as it is passed on.
#[derive(Debug)]
pub(super) struct Terminal {
    outer: OwnedFd,
    /// How the user's was set before.
    before: Option<Termios>,
    size: Option<Winsize>,
    /// Whether nothing more comes from the user.
    is_deaf: bool,
}

impl Terminal {
    pub(super) fn pass_on_to(outer: OwnedFd) -> io::Result<Self> {
        rustix::fs::fcntl_setfl(&outer, OFlags::RDWR | OFlags::NONBLOCK)?;
        let own = rustix::stdio::stdin();
        let before = tcgetattr(own).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(own, OptionalActions::Drain, &raw)?;
        }
        Ok(Self { outer, before, size: tcgetwinsize(own).ok(), is_deaf: false })
    }

    /// What is to be waited for.
    pub(super) fn ends(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = (!self.is_deaf).then(rustix::stdio::stdin);
        own.into_iter().chain([self.outer.as_fd()])
    }

    /// Passes on what has been typed and printed, without waiting; false when nothing was printed.
    pub(super) fn pass_on(&mut self) -> bool {
        self.follow_size();
        let mut room = [0; 16 * 1024];
        let own = rustix::stdio::stdin();
        if !self.is_deaf && is_ready(own) {
            match rustix::io::read(own, &mut room) {
                Ok(0) => self.is_deaf = true,
                // What a command that reads nothing cannot hold is lost, as at any terminal.
                Ok(count) => drop(write(self.outer.as_fd(), &room[..count])),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => self.is_deaf = true,
            }
        }
        match rustix::io::read(&self.outer, &mut room) {
            Ok(count) if count > 0 => {
                let _ = write(shown_at(), &room[..count]);
                true
            }
            // An error is that nobody has the inner end any more, or that nothing is there yet.
            _ => false,
        }
    }

    fn follow_size(&mut self) {
        let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) else { return };
        let numbers = |size: &Winsize| (size.ws_row, size.ws_col);
        if self.size.as_ref().map(numbers) != Some(numbers(&size)) && tcsetwinsize(&self.outer, size).is_ok() {
            self.size = Some(size);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// Where the user sees something, whatever else is written to a file.
fn shown_at() -> BorrowedFd<'static> {
    let outputs = [rustix::stdio::stdout(), rustix::stdio::stderr()];
    outputs.into_iter().find(|output| isatty(output)).unwrap_or(rustix::stdio::stdin())
}

fn is_ready(end: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(end, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok_and(|count| count > 0)
}

fn write(to: BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
