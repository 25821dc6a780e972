//! The local images, as builds write to them.

use std::path::Path;

use anyhow::Result;
use jettison_image::{Descriptor, Digest};
use jettison_store::{ImageName, LocalStore, Reference, Transport};

use super::export::Images;
use crate::error::Usage;

/// The local store in its folder.
pub(crate) struct LocalImages {
    store: LocalStore,
}

impl LocalImages {
    /// Opens the store of a cache.
    pub(crate) fn open(cache: &Path) -> Result<Self> {
        Ok(Self { store: LocalStore::open(&cache.join("images"))? })
    }
}

fn parsed(name: &str) -> Result<ImageName> {
    name.parse().map_err(|error| Usage::new(format!("{error}")).into())
}

impl Images for LocalImages {
    fn reference(&self) -> Reference {
        Reference { transport: Some(Transport::Local), path: self.store.folder().to_owned(), selector: None }
    }

    fn full(&self, names: &[String]) -> Result<Vec<String>> {
        names.iter().map(|name| Ok(parsed(name)?.full())).collect()
    }

    fn tag(&self, names: &[String], manifest: &Descriptor, needed: &[Digest]) -> Result<()> {
        if names.is_empty() {
            self.store.keep(manifest, needed)?;
        }
        for name in names {
            let name = parsed(name)?;
            // Naming an image again what it is named already would rewrite the index for nothing.
            let has_it = self.store.descriptor(&name)?.is_some_and(|named| named.digest == manifest.digest);
            if !has_it {
                self.store.tag(&name, manifest, needed)?;
            }
        }
        Ok(())
    }
}
