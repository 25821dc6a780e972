//! Showing files' contents while a layer is read for its digests, so that nothing is read twice.

use super::Layer;
use crate::digest::Digest;

/// Is shown the contents of the files that it wants. Several layers are read at the same time.
pub trait ContentWatch: Sync {
    /// Whether the whole content of the file at `path`, cleaned, is to be shown. It is held in memory until it was
    /// shown, so that only small files are to be wanted.
    fn wants(&self, path: &[u8], size: u64) -> bool;

    /// The content of a file that was wanted.
    fn content(&self, path: &[u8], digest: Digest, content: &[u8]);

    /// What is to be kept of what was seen of a layer, so that its contents need not be shown again; none where they
    /// are to be.
    fn save(&self, _layer: &Layer) -> Option<Vec<u8>> {
        None
    }

    /// Takes what was saved in place of contents; says whether it could.
    fn restore(&self, _saved: &[u8]) -> bool {
        false
    }
}
