//! A layer's unpacked bytes, where they can be read again: at hand, or unpacked when they are first asked for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use jettison_image::Limits;

use crate::error::{Error, Result};
use crate::open::StoredLayer;
use crate::scan::unpack;
use crate::section::Section;

/// The unpacked bytes of a layer, or none.
#[derive(Clone, Debug, Default)]
pub struct Plain(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    section: OnceLock<Option<Section>>,
    later: Option<Later>,
    failure: Mutex<Option<Error>>,
}

/// What it takes to unpack a layer.
#[derive(Debug)]
pub(crate) struct Later {
    /// For messages.
    pub(crate) path: PathBuf,
    pub(crate) stored: StoredLayer,
    pub(crate) limits: Limits,
    /// Where to unpack it.
    pub(crate) folder: PathBuf,
}

impl Later {
    fn unpack(&self) -> Result<Option<Section>> {
        unpack(&self.path, &self.stored, self.limits, &self.folder)
    }
}

impl Plain {
    pub(crate) fn later(later: Later) -> Self {
        Self(Some(Arc::new(Inner { section: OnceLock::new(), later: Some(later), failure: Mutex::new(None) })))
    }

    /// The bytes; a layer that is not unpacked yet is now.
    #[must_use]
    pub fn section(&self) -> Option<&Section> {
        let inner = self.0.as_ref()?;
        let unpacked = || match inner.later.as_ref()?.unpack() {
            Ok(section) => section,
            Err(error) => {
                if let Ok(mut failure) = inner.failure.lock() {
                    *failure = Some(error);
                }
                None
            }
        };
        inner.section.get_or_init(unpacked).as_ref()
    }

    /// Why the layer could not be unpacked; who asked for its bytes was told that there are none.
    #[must_use]
    pub fn take_failure(&self) -> Option<Error> {
        self.0.as_ref()?.failure.lock().ok()?.take()
    }
}

impl From<Option<Section>> for Plain {
    fn from(section: Option<Section>) -> Self {
        let inner = |section| {
            Arc::new(Inner { section: OnceLock::from(Some(section)), later: None, failure: Mutex::new(None) })
        };
        Self(section.map(inner))
    }
}
