//! Fetching what lies on a registry, so that it can be read as often as is needed.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use crate::Progress;
use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::open::Opened;
use crate::registry::RemoteBlob;
use crate::remote::RemoteError;
use crate::section::Section;

/// Blobs that are fetched at the same time.
const AT_ONCE: usize = 4;
const PIECE: usize = 256 << 10;

impl Opened {
    /// The bytes of the layers that lie on a registry, each once.
    #[must_use]
    pub fn elsewhere(&self) -> u64 {
        let mut seen = std::collections::HashSet::new();
        let layers = self.images.iter().flat_map(|image| &image.layers);
        let remote = layers.filter(|layer| layer.blob.section().is_none() && seen.insert(&layer.name));
        remote.map(|layer| layer.blob.length()).sum()
    }

    /// Fetches the layers that lie on a registry into files without names in `folder`, several at a time.
    ///
    /// # Errors
    /// Where one cannot be fetched or written.
    pub fn fetch(&mut self, folder: &Path, progress: &dyn Progress) -> Result<()> {
        let mut names: Vec<(String, RemoteBlob)> = Vec::new();
        for layer in self.images.iter().flat_map(|image| &image.layers) {
            if let Blob::There(blob) = &layer.blob
                && names.iter().all(|(name, _)| *name != layer.name)
            {
                names.push((layer.name.clone(), blob.clone()));
            }
        }
        let (queue, done) = (Mutex::new(names.into_iter()), Mutex::new(Vec::new()));
        let next = || queue.lock().ok().and_then(|mut queue| queue.next());
        thread::scope(|threads| {
            let fetching: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    threads.spawn(|| -> Result<()> {
                        while let Some((name, blob)) = next() {
                            let section = fetched(&blob, folder, progress)?;
                            if let Ok(mut done) = done.lock() {
                                done.push((name, section));
                            }
                        }
                        Ok(())
                    })
                })
                .collect();
            fetching.into_iter().try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        let done = done.into_inner().unwrap_or_default();
        for layer in self.images.iter_mut().flat_map(|image| &mut image.layers) {
            if let Some((_, section)) = done.iter().find(|(name, _)| *name == layer.name) {
                layer.blob = Blob::Here(section.clone());
            }
        }
        Ok(())
    }
}

fn fetched(blob: &RemoteBlob, folder: &Path, progress: &dyn Progress) -> Result<Section> {
    let mut file = tempfile::tempfile_in(folder).map_err(Error::io("make a temporary file in", folder))?;
    let (mut reader, mut piece) = (blob.reader(), vec![0; PIECE]);
    loop {
        let read = reader.read(&mut piece).map_err(|source| match source.downcast::<RemoteError>() {
            Ok(remote) => Box::new(remote).into(),
            Err(source) => Error::io("read", folder)(source),
        })?;
        if read == 0 {
            return Section::whole(file).map_err(Error::io("read", folder));
        }
        file.write_all(&piece[..read]).map_err(Error::io("write a temporary file in", folder))?;
        progress.advance(read as u64);
    }
}
