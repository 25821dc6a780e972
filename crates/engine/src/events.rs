//! What a build tells while it runs. The binary draws it; nothing is printed here.

use std::sync::Arc;
use std::time::Duration;

/// The number of a step in a build: what BuildKit's users know as `#7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vertex(pub usize);

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step was begun. Steps of several stages run at the same time.
    Started {
        /// Which.
        vertex: Vertex,
        /// Its name as shown: `[builder 2/5] RUN make`.
        name: Arc<str>,
    },
    /// A step wrote to its standard output or error: raw bytes, not lines.
    Output {
        /// Which.
        vertex: Vertex,
        /// Standard error rather than output.
        is_error: bool,
        /// What it wrote.
        bytes: Arc<[u8]>,
    },
    /// A step got further in something that can be counted.
    Progress {
        /// Which.
        vertex: Vertex,
        /// Bytes or files so far.
        done: u64,
        /// Of how many; 0 where it is not known.
        total: u64,
        /// What is counted: `bytes`, `files`.
        unit: &'static str,
    },
    /// A step ended.
    Finished {
        /// Which.
        vertex: Vertex,
        /// How.
        end: End,
        /// How long it took.
        took: Duration,
    },
    /// A shell took the terminal, or gave it back: nothing is drawn between.
    DebugShell {
        /// Whether it begins.
        is_open: bool,
    },
    /// Something the user should know.
    Warning {
        /// A whole sentence without a final period.
        message: String,
    },
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It ran.
    Done,
    /// Its result was in the cache.
    Cached,
    /// It failed: what went wrong, in one line.
    Failed(String),
    /// It was stopped because the build was.
    Cancelled,
}

/// Hears what happens. Called from several threads.
pub trait Observer: Sync {
    /// Something happened.
    fn hear(&self, event: Event);
}

/// For callers that show nothing.
impl Observer for () {
    fn hear(&self, _event: Event) {}
}
