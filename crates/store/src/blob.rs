//! A blob wherever it lies.

use std::io::Read;

use crate::registry::RemoteBlob;
use crate::section::Section;

/// The bytes of a config, a layer or a manifest.
#[derive(Clone, Debug)]
pub enum Blob {
    /// In a file of this machine.
    Here(Section),
    /// On a registry, from which it comes each time it is read.
    There(RemoteBlob),
}

impl Blob {
    /// The length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Here(section) => section.length(),
            Self::There(blob) => blob.length(),
        }
    }

    /// Reads it from its first byte.
    #[must_use]
    pub fn reader(&self) -> Box<dyn Read + Send> {
        match self {
            Self::Here(section) => Box::new(section.reader()),
            Self::There(blob) => Box::new(blob.reader()),
        }
    }

    /// The file that it is in, where any part of it can be read at any time.
    #[must_use]
    pub fn section(&self) -> Option<&Section> {
        match self {
            Self::Here(section) => Some(section),
            Self::There(_) => None,
        }
    }

    /// The repository in which it lies, if that is on a registry's `host`.
    pub(crate) fn repository_on(&self, host: &str) -> Option<&str> {
        match self {
            Self::Here(_) => None,
            Self::There(blob) => blob.repository_on(host),
        }
    }
}

impl From<Section> for Blob {
    fn from(section: Section) -> Self {
        Self::Here(section)
    }
}
