//! Stages that are built at the same time, and wait for each other.

use std::sync::{Condvar, Mutex, PoisonError};

use super::state::State;

/// The results of stages.
pub(crate) struct Stages {
    results: Mutex<Vec<Option<Option<State>>>>,
    changed: Condvar,
}

impl Stages {
    pub(crate) fn new(count: usize) -> Self {
        Self { results: Mutex::new(vec![None; count]), changed: Condvar::new() }
    }

    /// A stage is done; `None` where it failed.
    pub(crate) fn finish(&self, stage: usize, state: Option<State>) {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results[stage] = Some(state);
        self.changed.notify_all();
    }

    /// Waits for a stage; `None` where it failed.
    pub(crate) fn wait(&self, stage: usize) -> Option<State> {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = &results[stage] {
                return result.clone();
            }
            results = self.changed.wait(results).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// How many commands run at once.
pub(crate) struct Slots {
    free: Mutex<usize>,
    changed: Condvar,
}

/// A command's place.
pub(crate) struct Slot<'s>(&'s Slots);

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count.max(1)), changed: Condvar::new() }
    }

    /// Waits for a place.
    pub(crate) fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::{Slots, Stages};
    use crate::build::state::State;

    #[test]
    fn stages_wait_for_each_other() {
        let stages = Stages::new(2);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| stages.wait(1).is_some());
            stages.finish(1, Some(State::scratch()));
            assert!(waiting.join().expect("joins"));
            stages.finish(0, None);
            assert!(stages.wait(0).is_none());
        });
    }

    #[test]
    fn no_more_commands_than_places() {
        let (slots, running, most) = (Slots::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _slot = slots.take();
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
    }
}
