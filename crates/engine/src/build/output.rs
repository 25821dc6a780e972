//! What a command writes: handed on as it comes, the last of it kept for the report of a failure.

use std::sync::{Arc, Mutex, PoisonError};

use crate::events::{Event, Observer, Vertex};
use crate::sandbox::Console;

/// The bytes that are kept: some hundred lines.
const KEPT: usize = 32 << 10;

/// The console of one step.
pub(crate) struct StepConsole<'o> {
    vertex: Vertex,
    observer: &'o dyn Observer,
    last: Mutex<Vec<u8>>,
}

impl<'o> StepConsole<'o> {
    pub(crate) fn new(vertex: Vertex, observer: &'o dyn Observer) -> Self {
        Self { vertex, observer, last: Mutex::default() }
    }

    /// The last that was written.
    pub(crate) fn last(&self) -> Vec<u8> {
        let kept = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        kept[kept.len().saturating_sub(KEPT)..].to_vec()
    }
}

impl Console for StepConsole<'_> {
    fn write(&self, is_error: bool, bytes: &[u8]) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.extend_from_slice(bytes);
        if last.len() > 2 * KEPT {
            let surplus = last.len() - KEPT;
            last.drain(..surplus);
        }
        drop(last);
        self.observer.hear(Event::Output { vertex: self.vertex, is_error, bytes: Arc::from(bytes) });
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, StepConsole};
    use crate::events::Vertex;
    use crate::sandbox::Console as _;

    #[test]
    fn the_last_bytes_are_kept() {
        let console = StepConsole::new(Vertex(1), &());
        for round in 0..100_u32 {
            console.write(false, &[b'a'; 1000]);
            console.write(true, format!("{round:08}").as_bytes());
        }
        let last = console.last();
        assert!(last.len() <= KEPT && last.ends_with(b"00000099"));
    }
}
