//! The paths seen so far, and what was done with each.

use hashbrown::HashMap;

use crate::trace::clean;

/// A trace in the making.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// What was done (see [`super::marks`]) with each clean, absolute path.
    pub(super) paths: HashMap<Vec<u8>, u8>,
    /// How many names could not be read, though the kernel might have.
    pub(super) unreadable: u64,
}

impl Record {
    /// Notes what an absolute path was used for.
    pub(super) fn mark(&mut self, path: &[u8], marks: u8) {
        if marks == 0 || path.first() != Some(&b'/') {
            return;
        }
        if clean::is_clean(path) {
            self.mark_clean(path, marks);
        } else {
            self.mark_clean(&clean::clean(path), marks);
        }
    }

    fn mark_clean(&mut self, path: &[u8], marks: u8) {
        if clean::is_of_the_system(path) {
            return;
        }
        match self.paths.get_mut(path) {
            Some(known) => *known |= marks,
            None => {
                self.paths.insert(path.to_vec(), marks);
            }
        }
    }
}
