//! The engine's side: starts a runner, answers what it asks, passes output on, and ends it in time.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Signal, pidfd_send_signal};

use super::error::{Failure, SandboxError};
use super::points::Point;
use super::protocol::{Channel, Order, Report, Task, write_task};
use super::runner::RUNNER;
use super::spec::{Spec, Status, Watch};
use super::terminal::Terminal;
use super::{Console, Ended, Limits, mounts, points};
use crate::ids::Owners;
use crate::supervisor::Supervisor;

/// How often it is looked whether the build was stopped.
const TICK: Duration = Duration::from_millis(50);
/// The map of a user namespace that is the machine's own, or as good as that.
const ALL_IDS: &[&str] = &["0", "0", "4294967295"];

/// Runs a command and waits until it and all that it started have ended.
///
/// # Errors
/// Where it could not be started; a command that fails is a [`Status`].
pub fn run(spec: &Spec, watch: Watch, console: &dyn Console, limits: &Limits) -> Result<Ended, SandboxError> {
    let memory = OutOfMemory::now();
    let mut step = Step::start(spec, watch)?;
    let heard = step.listen(console, limits);
    let how = step.finish(console);
    // Whatever happened, nothing that was made for the command may stay.
    let removed = points::remove(&spec.root, &step.points);
    let watched = step.supervisor.take().map(|supervisor| supervisor.finish(&mounts::targets(spec)));
    heard?;
    if let Some(failure) = step.failure.take() {
        return Err(failure.into_error());
    }
    removed?;
    let (trace, owners) = match watched {
        Some((trace, owners)) => (watch.traces().then_some(trace), owners),
        None => (None, Owners::default()),
    };
    let status = match (step.stopped, step.ended) {
        (Some(status), _) => status,
        (None, Some(raw)) => memory.explain(ExitStatus::from_raw(raw)),
        (None, None) => {
            let how = how.map_or_else(|error| error.to_string(), |status| status.to_string());
            return Err(SandboxError::RunnerEnded { how });
        }
    };
    Ok(Ended { status, trace, owners })
}

/// A runner and what it reported.
struct Step<'a> {
    spec: &'a Spec,
    watch: Watch,
    child: Child,
    channel: Channel,
    init: Option<OwnedFd>,
    supervisor: Option<Supervisor>,
    /// The user's terminal, while the command has one.
    terminal: Option<Terminal>,
    points: Vec<Point>,
    failure: Option<Failure>,
    /// Why it was killed.
    stopped: Option<Status>,
    ended: Option<i32>,
}

fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::Runner { operation, source }
}

impl<'a> Step<'a> {
    fn start(spec: &'a Spec, watch: Watch) -> Result<Self, SandboxError> {
        let (channel, other) = Channel::pair().map_err(failed("connect"))?;
        let (_own, program) = mounts::own_program().map_err(failed("protect the program of"))?;
        // A terminal shows by itself what is written to it.
        let output = || if spec.terminal { Stdio::null() } else { Stdio::piped() };
        let child = Command::new(program)
            .arg(RUNNER)
            .env_clear()
            .process_group(0)
            .stdin(other)
            .stdout(output())
            .stderr(output())
            .spawn()
            .map_err(failed("start"))?;
        let mut step = Self {
            spec,
            watch,
            child,
            channel,
            init: None,
            supervisor: None,
            terminal: None,
            points: Vec::new(),
            failure: None,
            stopped: None,
            ended: None,
        };
        if let Err(error) = step.give_task() {
            step.kill();
            let _ = step.child.wait();
            return Err(error);
        }
        Ok(step)
    }

    fn give_task(&mut self) -> Result<(), SandboxError> {
        for pipe in self.child.stdout.iter().map(AsFd::as_fd).chain(self.child.stderr.iter().map(AsFd::as_fd)) {
            rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK).map_err(io::Error::from).map_err(failed("connect"))?;
        }
        let task = Task { spec: self.spec.clone(), watch: self.watch, user_namespace: !has_all_ids() };
        let task = write_task(&task).map_err(failed("instruct"))?;
        let terminal = rustix::stdio::stdin();
        let all = [task.as_fd(), terminal];
        let descriptors = if self.spec.terminal { &all[..] } else { &all[..1] };
        self.channel.send(&Order::Start, descriptors).map_err(failed("instruct"))
    }

    /// Until the container has ended.
    fn listen(&mut self, console: &dyn Console, limits: &Limits) -> Result<(), SandboxError> {
        let deadline = limits.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            self.stop_in_time(limits, deadline);
            let mut polled = vec![PollFd::from_borrowed_fd(self.channel.as_fd(), PollFlags::IN)];
            polled.extend(self.child.stdout.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            polled.extend(self.child.stderr.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            let ends = self.terminal.iter().flat_map(Terminal::ends);
            polled.extend(ends.map(|end| PollFd::from_borrowed_fd(end, PollFlags::IN)));
            let left = deadline.map_or(TICK, |deadline| deadline.saturating_duration_since(Instant::now()).min(TICK));
            let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut polled, Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed("wait for")(error.into())),
            }
            let is_reporting = !polled[0].revents().is_empty();
            self.pass_on(console);
            if is_reporting && !self.hear()? {
                return Ok(());
            }
        }
    }

    fn stop_in_time(&mut self, limits: &Limits, deadline: Option<Instant>) {
        if self.stopped.is_none() {
            if limits.cancel.is_cancelled() {
                self.stopped = Some(Status::Cancelled);
            } else if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.stopped = Some(Status::TimedOut);
            }
        }
        // Again at each turn: the container's first process may not have been there the last time.
        if self.stopped.is_some() {
            self.kill();
        }
    }

    /// Kills the container, or the runner where there is none yet.
    fn kill(&mut self) {
        // That it has ended already is what is wanted.
        let _ = match &self.init {
            Some(init) => pidfd_send_signal(init, Signal::KILL).map_err(io::Error::from),
            None => self.child.kill(),
        };
    }

    /// Deals with one report; false when the container has ended.
    fn hear(&mut self) -> Result<bool, SandboxError> {
        let Some((report, descriptors)) = self.channel.receive::<Report>().map_err(failed("hear"))? else {
            return Ok(false);
        };
        let mut descriptors = descriptors.into_iter();
        match report {
            Report::Unmapped => match self.write_maps() {
                // It was killed meanwhile, which is why it has none to map.
                Err(_) if self.stopped.is_some() => {}
                mapped => mapped.map_err(failed("map the ids of"))?,
            },
            Report::Init => self.init = descriptors.next(),
            Report::Listener => {
                if let Some(listener) = descriptors.next() {
                    self.answer(listener).map_err(|source| SandboxError::Watch { source })?;
                }
            }
            Report::Terminal => {
                if let Some(outer) = descriptors.next() {
                    self.terminal = Some(Terminal::pass_on_to(outer).map_err(failed("give a terminal to"))?);
                }
            }
            Report::Made(point) => {
                self.points.push(point);
                return Ok(true);
            }
            Report::Failed(failure) => {
                self.failure.get_or_insert(failure);
                return Ok(true);
            }
            Report::Ended(status) => {
                self.ended = Some(status);
                return Ok(false);
            }
        }
        // Where it is dead by now, that shows at the next report.
        let _ = self.channel.send(&Order::GoOn, &[]);
        Ok(true)
    }

    /// The same ids as in this user namespace.
    fn write_maps(&self) -> io::Result<()> {
        for map in ["uid_map", "gid_map"] {
            let own = fs::read_to_string(format!("/proc/self/{map}"))?;
            let same: Vec<String> = own
                .lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>())
                .filter_map(|words| Some(format!("{0} {0} {1}\n", words.first()?, words.get(2)?)))
                .collect();
            fs::write(format!("/proc/{}/{map}", self.child.id()), same.concat())?;
        }
        Ok(())
    }

    fn answer(&mut self, listener: OwnedFd) -> io::Result<()> {
        let init = self.init.as_ref().map(OwnedFd::try_clone).transpose()?;
        self.supervisor = Some(Supervisor::start(listener, &self.spec.root, self.watch, init, &self.spec.user)?);
        Ok(())
    }

    /// Passes on what has been printed, without waiting; false when there was nothing.
    fn pass_on(&mut self, console: &dyn Console) -> bool {
        let mut room = [0; 16 * 1024];
        let mut is_something = false;
        let mut read = |is_error: bool, pipe: &mut dyn io::Read| match pipe.read(&mut room) {
            Ok(0) => false,
            Ok(count) => {
                console.write(is_error, room.get(..count).unwrap_or_default());
                is_something = true;
                true
            }
            // An interrupted read is tried again at the next turn.
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        };
        // A pipe that everybody has closed would wake the poll for ever.
        self.child.stdout.take_if(|pipe| !read(false, pipe));
        self.child.stderr.take_if(|pipe| !read(true, pipe));
        is_something | self.terminal.as_mut().is_some_and(Terminal::pass_on)
    }

    /// Ends what may still be there, and passes on the rest.
    fn finish(&mut self, console: &dyn Console) -> io::Result<ExitStatus> {
        if self.ended.is_none() {
            self.kill();
            // A first process that nobody knows of yet waits for an order.
            let _ = self.channel.finish_sending();
            if let Some(init) = &self.init {
                let mut polled = [PollFd::new(init, PollFlags::IN)];
                rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
            }
            // What it reported before it ended.
            while self.ended.is_none() && self.hear().is_ok_and(|goes_on| goes_on) {}
        }
        while self.pass_on(console) {}
        self.terminal = None;
        self.child.wait()
    }
}

/// Whether this process is in the user namespace of the machine, whose root may make device nodes.
fn has_all_ids() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().eq(ALL_IDS.iter().copied()))
}

/// How many processes the kernel has killed for want of memory.
#[derive(Debug, PartialEq, Eq)]
struct OutOfMemory(Option<u64>);

impl OutOfMemory {
    /// Of the whole machine, which counts those of any control group too (proc_vmstat(5)).
    fn now() -> Self {
        let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Self(count.and_then(|count| count.trim().parse().ok()))
    }

    /// The status of a command that was started at this count.
    fn explain(&self, status: ExitStatus) -> Status {
        // A shell whose child was killed says 128 and the signal's number.
        let is_killed = status.signal() == Some(libc::SIGKILL) || status.code() == Some(128 + libc::SIGKILL);
        if is_killed && *self != Self::now() {
            return Status::OutOfMemory;
        }
        match (status.code(), status.signal()) {
            (Some(code), _) => Status::Exited(code),
            (None, signal) => Status::Signalled(signal.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kill_while_memory_was_short_is_for_want_of_memory() {
        let now = OutOfMemory::now();
        let before = OutOfMemory(Some(u64::MAX));
        let (killed, shell, failed) =
            (ExitStatus::from_raw(9), ExitStatus::from_raw(137 << 8), ExitStatus::from_raw(1 << 8));
        assert_eq!(before.explain(killed), Status::OutOfMemory);
        assert_eq!(before.explain(shell), Status::OutOfMemory);
        assert_eq!(before.explain(failed), Status::Exited(1));
        assert_eq!(now.explain(killed), Status::Signalled(9));
        assert_eq!(now.explain(shell), Status::Exited(137));
    }
}
