//! Stopping a build from the keyboard.

use std::sync::{Mutex, PoisonError};

use jettison_engine::build::Cancel;

/// The build that runs, until it is asked to stop.
static RUNNING: Mutex<Option<Cancel>> = Mutex::new(None);

/// Makes interruptions stop this build instead of the process, once.
pub(crate) fn on_interrupt(cancel: &Cancel) -> Guard {
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(cancel.clone());
    Guard
}

/// Interruptions end the process again when this is dropped.
pub(crate) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Stops the build that runs; false where none does, or it was asked before.
pub(crate) fn interrupt() -> bool {
    match RUNNING.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(cancel) => {
            cancel.cancel();
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_interruption_ends_the_process() {
        let cancel = Cancel::default();
        let guard = on_interrupt(&cancel);
        assert!(interrupt() && cancel.is_cancelled());
        assert!(!interrupt());
        drop(guard);
        let guard = on_interrupt(&Cancel::default());
        drop(guard);
        assert!(!interrupt());
    }
}
