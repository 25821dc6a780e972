//! The values of a container image, free of effects: digests, descriptors, manifests, configs, layer
//! tars, the merged [`Tree`], what a layer must hold to turn one tree into another, what packages are installed, and
//! the text form.
//!
//! Everything here works on bytes, `impl BufRead` and `impl Write`. Layer data is streamed: the memory
//! in use grows with the number of entries, never with their bytes.

pub mod base;
pub mod changes;
pub mod config;
pub mod digest;
pub mod elf;
pub mod history;
pub mod layer;
pub mod manifest;
pub mod media;
pub mod packages;
pub mod platform;
pub mod tar;
pub mod text;
pub mod tree;
pub mod validate;

pub use base::Base;
pub use changes::{Change, Changes};
pub use config::Config;
pub use digest::{Digest, Hasher};
pub use layer::{Entry, Kind, Layer, LayerBuilder, Limits, NewEntry};
pub use manifest::{Descriptor, Index, Manifest};
pub use media::{Compression, Dialect};
pub use platform::Platform;
pub use tree::{Node, Tree};
