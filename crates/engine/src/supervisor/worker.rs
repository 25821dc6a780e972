//! The thread that answers notifications.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};

use crate::ids::Owners;
use crate::kernel::fanotify::Executions;
use crate::kernel::seccomp::{Answer, Listener, Notification, Received};
use crate::sandbox::{User, Watch};
use crate::supervisor::calls::{Call, Does, Flags, Name, Turn, all};
use crate::supervisor::marks::{EXAMINED, EXECUTED, WRITTEN, of_open};
use crate::supervisor::pretend::Pretender;
use crate::supervisor::process::{Folders, read_number, read_string};
use crate::supervisor::record::Record;
use crate::supervisor::world;

/// What a worker gives in the end.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) record: Record,
    pub(super) owners: Owners,
    pub(super) gaps: Vec<String>,
}

/// The state of the thread.
#[derive(Debug)]
pub(super) struct Worker {
    listener: Listener,
    watch: Watch,
    process: Option<OwnedFd>,
    executions: Option<Executions>,
    /// Whether waiting for a notification ends when all processes have: then nothing else need be polled, which
    /// would be a fifth of what a notification costs.
    receives_the_end: bool,
    /// The calls by number.
    calls: Vec<Option<&'static Call>>,
    /// Who answers what the kernel cannot.
    pretender: Option<Pretender>,
    folders: Folders,
    /// Room for the paths of a notification, used again and again.
    names: [Vec<u8>; 2],
    raw: Vec<u8>,
    outcome: Outcome,
}

impl Worker {
    pub(super) fn new(
        listener: OwnedFd,
        watch: Watch,
        process: Option<OwnedFd>,
        executions: Option<Executions>,
        user: &User,
    ) -> io::Result<Self> {
        let listener = Listener::new(listener)?;
        listener.wake_synchronously();
        let mut calls = Vec::new();
        for call in all() {
            let place = usize::try_from(call.number).unwrap_or_default();
            if calls.len() <= place {
                calls.resize(place + 1, None);
            }
            calls[place] = Some(call);
        }
        Ok(Self {
            listener,
            pretender: watch.owners().then(|| Pretender::new(user)),
            watch,
            process,
            executions,
            receives_the_end: receives_the_end(),
            calls,
            folders: Folders::default(),
            names: [Vec::new(), Vec::new()],
            raw: Vec::new(),
            outcome: Outcome::default(),
        })
    }

    /// Answers until all processes have ended.
    pub(super) fn run(mut self) -> Outcome {
        loop {
            match self.wait() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.outcome.gaps.push(format!("waiting for notifications failed: {error}"));
                    break;
                }
            }
            let answered = match self.listener.receive() {
                Ok(Received::Notification(notification)) => self.handle(&notification),
                // The process was killed in between; or all are gone.
                Ok(Received::Gone) if self.receives_the_end && self.is_hung_up() => break,
                Ok(Received::Gone) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = answered {
                self.outcome.gaps.push(format!("answering a notification failed: {error}"));
                break;
            }
        }
        self.hear_executions();
        self.outcome.owners = self.pretender.map(|pretender| pretender.owners).unwrap_or_default();
        self.outcome
    }

    /// Waits for a notification; false once there will be none.
    fn wait(&self) -> io::Result<bool> {
        if self.receives_the_end {
            return Ok(true);
        }
        let listener = PollFd::new(&self.listener, PollFlags::IN);
        let ready = match &self.process {
            None => {
                let mut polled = [listener];
                while let Err(error) = poll(&mut polled, None) {
                    if error != rustix::io::Errno::INTR {
                        return Err(error.into());
                    }
                }
                polled[0].revents()
            }
            Some(process) => {
                let mut polled = [listener, PollFd::new(process, PollFlags::IN)];
                while let Err(error) = poll(&mut polled, None) {
                    if error != rustix::io::Errno::INTR {
                        return Err(error.into());
                    }
                }
                polled[0].revents()
            }
        };
        // Whatever else it says: as long as something waits, it is answered.
        Ok(ready.contains(PollFlags::IN))
    }

    fn is_hung_up(&self) -> bool {
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::HUP)
    }

    fn handle(&mut self, notification: &Notification) -> io::Result<()> {
        let answer = match &mut self.pretender {
            Some(pretender) => pretender.answer(&self.listener, notification),
            None => Answer::Continue,
        };
        let call = usize::try_from(notification.number).ok().and_then(|number| *self.calls.get(number)?);
        match call.filter(|call| self.watch.traces() && call.when.concerns(&notification.arguments)) {
            Some(call) => self.answer_and_record(notification, answer, call.does),
            None => self.listener.answer(notification.id, answer),
        }
    }

    /// Answers, which mostly lets the kernel do the call, and records it.
    fn answer_and_record(&mut self, notification: &Notification, answer: Answer, does: Does) -> io::Result<()> {
        let mut marks = [0, 0];
        match does {
            Does::Open(name, flags) => {
                self.read(notification, name, 0);
                marks[0] = self.open_marks(notification, flags);
            }
            Does::Uses(list) => {
                for (place, &(name, mark)) in list.iter().enumerate() {
                    self.read(notification, name, place);
                    marks[place] = mark;
                }
                if list.len() > 1 {
                    self.folders.forget(); // A folder may have got another name.
                }
            }
            Does::Turns(turn) => {
                if turn != Turn::Descriptor {
                    self.read(notification, Name::Path(0), 0);
                    marks[0] = EXAMINED;
                }
                match turn {
                    Turn::Root => self.folders.doubt_roots(),
                    Turn::Folder | Turn::Descriptor => self.folders.forget(),
                }
            }
        }
        self.listener.answer(notification.id, answer)?;
        for (name, marks) in self.names.iter().zip(marks) {
            if marks != 0 {
                self.outcome.record.mark(name, marks);
            }
        }
        if marks[0] & EXECUTED != 0 {
            self.hear_executions();
        }
        Ok(())
    }

    fn open_marks(&self, notification: &Notification, flags: Flags) -> u8 {
        match flags {
            Flags::Create => WRITTEN,
            Flags::Argument(index) => of_open(notification.arguments[index] & 0xffff_ffff),
            Flags::Pointed(index) => read_number(notification.pid, notification.arguments[index]).map_or(0, of_open),
        }
    }

    /// Reads a name as an absolute path into its place; empty where there is none.
    fn read(&mut self, notification: &Notification, name: Name, place: usize) {
        self.names[place].clear();
        let result = self.try_read(notification, name, place);
        let Err(error) = result else {
            return;
        };
        self.names[place].clear();
        match error.raw_os_error() {
            // The kernel will say the same to the program, or the program is gone.
            Some(libc::EFAULT | libc::ENAMETOOLONG | libc::ESRCH | libc::ENOENT) => {}
            _ => self.outcome.record.unreadable += 1,
        }
    }

    fn try_read(&mut self, notification: &Notification, name: Name, place: usize) -> io::Result<()> {
        let pid = notification.pid;
        let out = &mut self.names[place];
        let (directory, address) = world::place(notification, name);
        if address == 0 {
            if directory == libc::AT_FDCWD {
                return Err(io::Error::from_raw_os_error(libc::EFAULT));
            }
            return self.folders.append(pid, directory, out);
        }
        read_string(pid, address, &mut self.raw)?;
        if self.raw.first() == Some(&b'/') {
            out.extend_from_slice(&self.folders.root(pid));
        } else if !self.raw.is_empty() || directory != libc::AT_FDCWD {
            self.folders.append(pid, directory, out)?;
            out.push(b'/');
        }
        out.extend_from_slice(&self.raw);
        Ok(())
    }

    /// Records what the kernel opened to execute since the last time.
    fn hear_executions(&mut self) {
        let Some(executions) = &self.executions else {
            return;
        };
        loop {
            let Ok(heard) = executions.read() else {
                self.outcome.gaps.push("fanotify stopped telling what is executed".to_owned());
                self.executions = None;
                return;
            };
            if heard.overflow {
                self.outcome.gaps.push("fanotify told of more executions than the kernel could queue".to_owned());
            }
            if heard.files.is_empty() {
                return;
            }
            for file in heard.files {
                let link = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
                if let Ok(path) = rustix::fs::readlink(link, Vec::new()) {
                    self.outcome.record.mark(path.as_bytes(), EXECUTED);
                }
            }
        }
    }
}

/// Linux 6.11 was the first that wakes a listener when the last process has gone.
fn receives_the_end() -> bool {
    let name = rustix::system::uname();
    let mut numbers = name.release().to_bytes().split(|byte| !byte.is_ascii_digit()).map(|digits| {
        std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok()).unwrap_or_default()
    });
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    (major, minor) >= (6, 11)
}
