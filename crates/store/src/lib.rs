//! Where images live: `docker-archive:`, `oci:` and `oci-archive:`, each to read from and to write to.
//!
//! Reading streams every layer once, checks its digests on the way, and hands out the pure values of
//! `jettison-image`. Writing happens beside the target and becomes visible by one rename. The local store keeps
//! images by name; [`registry`] and [`http`] bring things from the network, which nothing else touches.

mod archive;
mod companion;
mod compress;
mod contents;
mod decompress;
mod error;
pub mod http;
mod local;
mod name;
mod open;
mod output;
mod platforms;
mod reference;
pub mod registry;
mod remote;
mod scan;
mod section;
mod stage;

pub use companion::Companion;
pub use compress::{Encoding, EncodingError};
pub use contents::PlainContents;
pub use error::{Error, Result};
pub use local::{BlobWriter, Collected, Incoming, Listed, LocalStore, Named, Removed, Usage};
pub use name::{ImageName, NameError};
pub use open::{AttachedReceipt, Opened, StoredImage, StoredLayer, open, open_file};
pub use output::{Mark, Output, measure};
pub use platforms::{StoredIndex, Wanted};
pub use reference::{Reference, ReferenceError, Selector, Transport};
pub use remote::RemoteError;
pub use scan::{ScannedLayer, Scans, Scope, scan, scan_watched};
pub use section::Section;
pub use stage::remove_all_stages;

/// Hears how far long work is. Called from several threads.
pub trait Progress: Sync {
    /// So many more bytes of the input, as stored, were read or written.
    fn advance(&self, bytes: u64);

    /// So many more bytes are to come.
    fn expect(&self, _bytes: u64) {}

    /// Whether the work is to be given up. What waits for a server then ends soon, with [`RemoteError::Stopped`].
    fn is_stopped(&self) -> bool {
        false
    }
}

/// For callers that show no progress.
impl Progress for () {
    fn advance(&self, _bytes: u64) {}
}
