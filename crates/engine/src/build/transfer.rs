//! What comes from elsewhere, as the user sees it: how far it is, and that it can be stopped.

use std::sync::atomic::{AtomicU64, Ordering};

use jettison_store::Progress;

use super::Cancel;
use crate::events::{Event, Observer, Vertex};

/// A transfer that belongs to a step.
pub(crate) struct Transfer<'t> {
    cancel: &'t Cancel,
    observer: &'t dyn Observer,
    vertex: Vertex,
    done: AtomicU64,
    total: AtomicU64,
}

impl<'t> Transfer<'t> {
    pub(crate) fn new(cancel: &'t Cancel, observer: &'t dyn Observer, vertex: Vertex) -> Self {
        Self { cancel, observer, vertex, done: AtomicU64::new(0), total: AtomicU64::new(0) }
    }
}

impl Progress for Transfer<'_> {
    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let total = self.total.load(Ordering::Relaxed);
        self.observer.hear(Event::Progress { vertex: self.vertex, done, total, unit: "bytes" });
    }

    fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.cancel.is_cancelled()
    }
}
