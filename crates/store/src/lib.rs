//! Where images live: `docker-archive:`, `oci:`, `oci-archive:` and registries (`docker://`), each to read from and to
//! write to.
//!
//! Reading streams every layer once, checks its digests on the way, and hands out the pure values of
//! `jettison-image`. Writing happens beside the target and becomes visible by one rename; to a registry, by its tag. The
//! local store keeps images by name; [`registry`] and [`http`] speak with the network, which nothing else touches.

mod archive;
mod blob;
mod companion;
mod compress;
mod contents;
mod copy;
mod cover;
pub mod daemon;
mod decompress;
mod error;
mod fetch;
pub mod http;
mod kept;
mod local;
mod name;
mod open;
mod output;
mod plain;
mod platforms;
mod reference;
pub mod registry;
mod remote;
mod scan;
mod section;
mod stage;

pub use blob::Blob;
pub use companion::Companion;
pub use compress::{Encoding, EncodingError};
pub use contents::PlainContents;
pub use copy::{Copied, CopyOrder, copy};
pub use error::{Error, Result};
pub use local::{BlobWriter, Collected, Incoming, Listed, LocalStore, Named, Removed, Usage};
pub use name::{ImageName, NameError};
pub use open::{AttachedReceipt, Opened, StoredImage, StoredLayer, open, open_file, open_with};
pub use output::{Mark, Output, measure};
pub use plain::Plain;
pub use platforms::{StoredIndex, Wanted};
pub use reference::{Reference, ReferenceError, Selector, Transport};
pub use remote::RemoteError;
pub use scan::{ScannedLayer, Scans, Scope, Unpack, scan, scan_watched};
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
