//! The runner: the process between the engine and the container, and the container's first process until it becomes
//! the command.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, set_parent_process_death_signal, setsid,
    umask, waitpid,
};
use rustix::thread::UnshareFlags;

use super::error::Failure;
use super::execute::Command;
use super::mounts::World;
use super::protocol::{Channel, Order, Report, Task, read_task};
use super::spec::Network;
use super::{filter, identity, network, points, terminal};
use crate::ids::Ids;
use crate::kernel::namespace::{self, Forked};
use crate::kernel::process;
use crate::supervisor;

/// The first argument of a process that is a runner.
pub(super) const RUNNER: &str = "__run-step";

/// Where this process was started as a step's runner, does that and never comes back. `main` calls it before anything
/// else, while there is one thread.
pub fn run_if_asked() {
    if std::env::args_os().nth(1).as_deref() != Some(OsStr::new(RUNNER)) {
        return;
    }
    let code = i32::from(runner().is_err());
    #[expect(clippy::exit, reason = "a runner is another program that shares this one's file")]
    std::process::exit(code);
}

/// The engine is told what failed; an error here is that it cannot be told.
fn runner() -> io::Result<()> {
    let channel = Channel::new(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let Some((Order::Start, descriptors)) = channel.receive::<Order>()? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    process::close_on_execute()?;
    let mut descriptors = descriptors.into_iter();
    let task = read_task(descriptors.next().ok_or(io::ErrorKind::UnexpectedEof)?)?;
    let input = match descriptors.next() {
        Some(terminal) => terminal,
        None => rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?,
    };
    rustix::stdio::dup2_stdin(&input)?;
    drop(input);
    match contain(&channel, &task) {
        Ok(()) => Ok(()),
        Err(failure) => channel.send(&Report::Failed(failure), &[]),
    }
}

/// Makes the namespaces whose maker cannot be in them himself, and waits for the container's end.
fn contain(channel: &Channel, task: &Task) -> Result<(), Failure> {
    if task.user_namespace {
        process::unshare(UnshareFlags::NEWUSER).map_err(Failure::of("make a user namespace below", "/"))?;
        tell(channel, &Report::Unmapped)?;
        wait_to_go_on(channel)?;
    }
    process::unshare(UnshareFlags::NEWPID).map_err(Failure::of("make a process namespace below", "/"))?;
    let child = match namespace::fork().map_err(Failure::of("fork", "/proc/self"))? {
        Forked::Parent(child) => child,
        Forked::Child => {
            let failure = match become_command(channel, task) {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            return tell(channel, &Report::Failed(failure));
        }
    };
    let child = Pid::from_raw(child).ok_or_else(|| Failure::of("watch", "/proc/1")(rustix::io::Errno::SRCH))?;
    let pidfd = pidfd_open(child, PidfdFlags::empty()).map_err(Failure::of("watch", "/proc/1"))?;
    channel.send(&Report::Init, &[pidfd.as_fd()]).map_err(Failure::of("report to", "the engine"))?;
    loop {
        // Nothing is read from the engine here; that it hangs up is reported unasked.
        let mut polled =
            [PollFd::new(&pidfd, PollFlags::IN), PollFd::from_borrowed_fd(channel.as_fd(), PollFlags::empty())];
        match poll(&mut polled, None) {
            Ok(_) if !polled[0].revents().is_empty() => break,
            Ok(_) => {
                // The container does not outlive the engine. That it has ended by itself is no matter.
                let _ = pidfd_send_signal(&pidfd, Signal::KILL);
                break;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::of("wait for", "/proc/1")(error)),
        }
    }
    let ended = rustix::io::retry_on_intr(|| waitpid(Some(child), WaitOptions::empty()));
    let ended = ended.map_err(Failure::of("wait for", "/proc/1"))?;
    tell(channel, &Report::Ended(ended.map_or(0, |(_, status)| status.as_raw())))
}

/// Nothing that exists.
enum Never {}

/// The container's first process: prepares its world and becomes the command.
fn become_command(channel: &Channel, task: &Task) -> Result<Never, Failure> {
    let spec = &task.spec;
    die_with_parent()?;
    wait_to_go_on(channel)?;
    umask(Mode::from_raw_mode(0o022));
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWCGROUP;
    if spec.network == Network::None {
        flags |= UnshareFlags::NEWNET;
    }
    process::unshare(flags).map_err(Failure::of("make namespaces below", "/"))?;
    if spec.network == Network::None {
        network::start_loopback().map_err(Failure::of("start the loopback device of", "/sys/class/net/lo"))?;
    }
    rustix::system::sethostname(spec.hostname.as_bytes())
        .map_err(Failure::of("set the host name to", &spec.hostname))?;
    let world = World::new(spec, channel)?;
    world.furnish()?;
    world.enter()?;
    enter_workdir(&spec.workdir)?;
    connect(channel, task)?;
    let command = Command::new(spec)?;
    filter::install_profile(spec.ids, task.watch)
        .map_err(Failure::of("restrict the system calls of", "the command"))?;
    let listener = supervisor::install(task.watch).map_err(Failure::of("watch", "the command"))?;
    if let Some(listener) = listener {
        channel.send(&Report::Listener, &[listener.as_fd()]).map_err(Failure::of("report to", "the engine"))?;
        drop(listener);
        wait_to_go_on(channel)?;
    }
    identity::assume(spec)?;
    // A change of user took this back (PR_SET_PDEATHSIG(2const)).
    die_with_parent()?;
    process::default_signals();
    Err(command.execute())
}

/// Standard input, output and error, and who may signal whom through a terminal.
fn connect(channel: &Channel, task: &Task) -> Result<(), Failure> {
    if task.spec.terminal {
        let outer = terminal::make_controlling().map_err(Failure::of("make a terminal at", "/dev/ptmx"))?;
        give_to_user(task, rustix::stdio::stdin())?;
        channel.send(&Report::Terminal, &[outer.as_fd()]).map_err(Failure::of("report to", "the engine"))?;
        drop(outer);
        return wait_to_go_on(channel);
    }
    setsid().map_err(Failure::of("make a session in", "/"))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Failure::of("open", "/dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(Failure::of("connect", "/dev/null"))?;
    give_to_user(task, rustix::stdio::stdout())?;
    give_to_user(task, rustix::stdio::stderr())
}

/// Otherwise only root could open /dev/stdout and /dev/stderr.
fn give_to_user(task: &Task, pipe: BorrowedFd<'_>) -> Result<(), Failure> {
    if task.spec.ids == Ids::One {
        return Ok(());
    }
    let (uid, gid) = (task.spec.user.uid, task.spec.user.gid);
    let owner = (Some(rustix::fs::Uid::from_raw(uid)), Some(rustix::fs::Gid::from_raw(gid)));
    rustix::fs::fchown(pipe, owner.0, owner.1).map_err(Failure::of("give away", "/dev/stdout"))
}

fn enter_workdir(workdir: &[u8]) -> Result<(), Failure> {
    let path = points::path_of(workdir);
    rustix::process::chdir(&path).map_err(Failure::of("enter the working directory", &path))?;
    // A link through /proc to something that this process still has open leads out of the root.
    let found = rustix::process::getcwd(Vec::new()).map_err(Failure::of("find out the path of", &path))?;
    if !found.as_bytes().starts_with(b"/") {
        return Err(Failure::of("enter the working directory", &path)(rustix::io::Errno::NOENT));
    }
    Ok(())
}

fn die_with_parent() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Failure::of("bind itself to", "the runner"))
}

fn tell(channel: &Channel, report: &Report) -> Result<(), Failure> {
    channel.send(report, &[]).map_err(Failure::of("report to", "the engine"))
}

fn wait_to_go_on(channel: &Channel) -> Result<(), Failure> {
    match channel.receive::<Order>().map_err(Failure::of("hear", "the engine"))? {
        Some((Order::GoOn, _)) => Ok(()),
        Some(_) | None => Err(Failure::of("hear", "the engine")(rustix::io::Errno::PIPE)),
    }
}
