//! Writing one blob into the store.

use std::fs::{self, File};
use std::io::{self, Seek as _, Write};
use std::path::PathBuf;

use jettison_image::Digest;
use jettison_image::digest::Hasher;

use super::{Incoming, LocalStore};
use crate::error::{Error, Result};
use crate::open::blob_name;

/// A blob that is being written; dropped, it leaves nothing.
pub struct BlobWriter<'s> {
    store: &'s LocalStore,
    file: File,
    path: PathBuf,
    hasher: Hasher,
    size: u64,
}

impl LocalStore {
    /// Starts a blob in `incoming`.
    ///
    /// # Errors
    /// Where no file can be made there.
    pub fn writer(&self, incoming: &Incoming) -> Result<BlobWriter<'_>> {
        let folder = incoming.stage.path("");
        let made = tempfile::Builder::new().prefix("blob-").tempfile_in(&folder);
        let (file, path) = made.and_then(|made| Ok(made.keep()?)).map_err(Error::io("write", &folder))?;
        Ok(BlobWriter { store: self, file, path, hasher: Hasher::default(), size: 0 })
    }
}

impl BlobWriter<'_> {
    /// The bytes so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Starts again at the first byte.
    ///
    /// # Errors
    /// Where the file cannot be cut.
    pub fn restart(&mut self) -> Result<()> {
        self.hasher = Hasher::default();
        self.size = 0;
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(Error::io("write", &self.path))
    }

    /// Gives the blob its name, synced to the disk, if it is what was expected.
    ///
    /// # Errors
    /// Where size or digest are others, or the file cannot be synced or renamed.
    pub fn commit(mut self, expected: Option<(Digest, u64)>) -> Result<Digest> {
        let got = self.hasher.finish();
        if let Some((digest, size)) = expected {
            let (path, name) = (self.store.folder.clone(), blob_name(digest));
            if self.size != size {
                return Err(Error::Size { path, name, expected: size, got: self.size });
            }
            if got != digest {
                return Err(Error::Digest { path, name, expected: digest, got });
            }
        }
        let to = self.store.blob_path(got);
        self.file.sync_all().and_then(|()| fs::rename(&self.path, &to)).map_err(Error::io("write", &to))?;
        self.store.sync(&self.store.folder.join("blobs/sha256"))?;
        Ok(got)
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for BlobWriter<'_> {
    fn drop(&mut self) {
        // After a commit the file has gone to its name.
        let _ = fs::remove_file(&self.path);
    }
}
