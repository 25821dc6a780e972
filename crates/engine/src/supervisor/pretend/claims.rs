//! Which process claims to be whom.
//!
//! A process has what its parent had when it was made. Nothing says when one is made; so a process is looked up in
//! `/proc` when it is seen first, and whoever changes or ends passes what it was on to the children that it has by then.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use super::calls::Ending;
use super::identity::Identity;

/// So far up is looked for a process that is known.
const FARTHEST: usize = 64;
/// When so many are known, those that were killed are forgotten.
const MANY: usize = 4096;

/// The identities of a step's processes.
#[derive(Debug)]
pub(super) struct Claims {
    /// Whom the step's command starts as.
    first: Arc<Identity>,
    /// Threads that are something else, or had been looked up when some were.
    known: HashMap<u32, Arc<Identity>>,
    /// Whether some process is not what the first one was.
    differ: bool,
}

/// A thread, the process that it is one of, and that one's parent.
struct Family {
    process: u32,
    parent: u32,
}

impl Claims {
    pub(super) fn new(first: Identity) -> Self {
        Self { first: Arc::new(first), known: HashMap::new(), differ: false }
    }

    /// Who a thread is.
    pub(super) fn of(&mut self, thread: u32) -> Arc<Identity> {
        if !self.differ {
            return self.first.clone();
        }
        let mut seen = Vec::new();
        let mut at = thread;
        let mut found = None;
        while found.is_none() && seen.len() < FARTHEST {
            found = self.known.get(&at).cloned();
            if found.is_none() {
                seen.push(at);
                let Some(family) = family(at) else { break };
                at = if family.process == at { family.parent } else { family.process };
            }
        }
        let found = found.unwrap_or_else(|| self.first.clone());
        if let Some(thread) = seen.first() {
            self.learn(*thread, found.clone());
        }
        found
    }

    /// A thread becomes somebody else.
    pub(super) fn set(&mut self, thread: u32, identity: Identity) {
        let old = self.of(thread);
        if *old == identity {
            return;
        }
        self.differ = true;
        let process = family(thread).map_or(thread, |family| family.process);
        for other in threads(process) {
            if other != thread {
                self.known.entry(other).or_insert_with(|| old.clone());
            }
            self.pass_on(process, other, &old);
        }
        self.learn(thread, Arc::new(identity));
    }

    /// A thread or its whole process ends.
    pub(super) fn end(&mut self, thread: u32, what: Ending) {
        if !self.differ {
            return;
        }
        let process = family(thread).map_or(thread, |family| family.process);
        if what == Ending::Thread && threads(process).len() > 1 {
            // The first thread stands for the others, and its children are theirs from now on.
            if thread != process {
                self.known.remove(&thread);
            }
            return;
        }
        let identity = self.of(process);
        for thread in threads(process) {
            self.pass_on(process, thread, &identity);
            self.known.remove(&thread);
        }
        self.known.remove(&process);
    }

    /// The children of a thread that nothing is known of are what it is.
    fn pass_on(&mut self, process: u32, thread: u32, identity: &Arc<Identity>) {
        let children = fs::read_to_string(format!("/proc/{process}/task/{thread}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            self.known.entry(child).or_insert_with(|| identity.clone());
        }
    }

    fn learn(&mut self, thread: u32, identity: Arc<Identity>) {
        if self.known.len() >= MANY {
            self.known.retain(|thread, _| family(*thread).is_some());
        }
        self.known.insert(thread, identity);
    }
}

fn threads(process: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn family(thread: u32) -> Option<Family> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let number = |name: &str| status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
    Some(Family { process: number("Tgid:")?, parent: number("PPid:")? })
}

/// Whether a process has forbidden itself to gain anything by the programs that it executes.
pub(super) fn gains_nothing(thread: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("NoNewPrivs:").is_some_and(|value| value.trim() == "1"))
}
