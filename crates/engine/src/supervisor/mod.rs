//! Watches a step's processes through seccomp notifications: which paths they use, and which owners they ask for.
//!
//! The step's runner calls [`install`] before it executes the command, and hands the listener to the engine, where a
//! thread answers each notification. What it traces it lets the kernel do ("continue"): the trace is a record, not
//! a guard, since a program could change a path in memory after it was read. Where only one id is mapped it answers
//! itself what the kernel could not, see `pretend`.

mod calls;
mod filter;
pub(crate) mod marks;
mod owners;
mod pretend;
mod process;
mod record;
#[cfg(test)]
mod tests;
mod worker;
mod world;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::ids::Owners;
use crate::kernel::fanotify::Executions;
use crate::kernel::seccomp;
use crate::sandbox::{User, Watch};
use crate::supervisor::worker::{Outcome, Worker};
use crate::trace::judge::{Tree, judge};
use crate::trace::{Trace, closure};

/// Adds the filter to this thread, for it and all its children, and gives the listener; nothing where nothing is
/// watched. It needs CAP_SYS_ADMIN in the thread's user namespace, or no_new_privs: call it before both are given up.
/// Every system call of the table waits from then on until a [`Supervisor`] answers.
pub fn install(watch: Watch) -> io::Result<Option<OwnedFd>> {
    filter::assemble(watch).map(|program| seccomp::load(&program)).transpose()
}

/// A thread that answers.
#[derive(Debug)]
pub struct Supervisor {
    thread: JoinHandle<Outcome>,
    root: PathBuf,
    watch: Watch,
}

impl Supervisor {
    /// Starts to answer. `root` is the step's root file system as this process sees it; `process` a pidfd of the one
    /// whose end is the end of all. Without it the listener's own hanging up is waited for, which not every kernel
    /// reports reliably. `user` is whom the command starts as.
    pub fn start(
        listener: OwnedFd,
        root: &Path,
        watch: Watch,
        process: Option<OwnedFd>,
        user: &User,
    ) -> io::Result<Self> {
        // Only the host's root may listen to a file system; everybody else has the closure.
        let executions = if watch.traces() && is_overlay(root) { Executions::of(root).ok() } else { None };
        let worker = Worker::new(listener, watch, process, executions, user)?;
        let thread = std::thread::Builder::new().name("supervisor".to_owned()).spawn(move || worker.run())?;
        Ok(Self { thread, root: root.to_owned(), watch })
    }

    /// Waits until all processes have ended, and gives what they used and asked for. The root must still be mounted.
    /// Paths at and below `mounts` (what was mounted in the root for the step only) are never taken as missed.
    pub fn finish(self, mounts: &[Vec<u8>]) -> (Trace, Owners) {
        let Self { thread, root, watch } = self;
        let Ok(mut outcome) = thread.join() else {
            let gaps = vec!["the thread that listened to the step failed".to_owned()];
            return (Trace { gaps, ..Trace::default() }, Owners::default());
        };
        let trace = if watch.traces() { trace(&root, &mut outcome, mounts) } else { Trace::default() };
        (trace, outcome.owners)
    }
}

fn trace(root: &Path, outcome: &mut Outcome, mounts: &[Vec<u8>]) -> Trace {
    let paths = std::mem::take(&mut outcome.record.paths);
    let mut gaps = std::mem::take(&mut outcome.gaps);
    if outcome.record.unreadable > 0 {
        gaps.push(format!("{} paths could not be read from the processes' memory", outcome.record.unreadable));
    }
    let tree = match Tree::open(root) {
        Ok(tree) => tree,
        Err(error) => {
            gaps.push(format!("the step's root could not be opened afterwards: {error}"));
            return Trace { gaps, ..Trace::default() };
        }
    };
    let mut trace = judge(paths, tree, mounts);
    match closure(root, &trace.executed) {
        Ok(found) => {
            trace.executed.extend(found.executed);
            gaps.extend(found.gaps);
        }
        Err(error) => gaps.push(format!("loaders and interpreters could not be looked up: {error}")),
    }
    trace.executed.sort_unstable();
    trace.executed.dedup();
    trace.gaps = gaps;
    trace
}

/// Whether the root is a file system of its own, so that what is executed on it is executed by the step.
fn is_overlay(root: &Path) -> bool {
    /// OVERLAYFS_SUPER_MAGIC of linux/magic.h.
    const OVERLAY: i128 = 0x794c_7630;
    let device = |path: &Path| rustix::fs::stat(path).map(|found| found.st_dev).ok();
    let kind = rustix::fs::statfs(root).map(|found| i128::from(found.f_type));
    kind == Ok(OVERLAY) && device(root) != device(Path::new("/"))
}
