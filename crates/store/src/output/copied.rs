//! Putting into an output what stays as it is: manifests, indexes and blobs of another image.

use std::io::Write as _;

use jettison_image::{Descriptor, Digest, Hasher, Manifest};

use super::{Output, PIECE};
use crate::Progress;
use crate::blob::Blob;
use crate::companion::Companion;
use crate::error::{Error, Result};
use crate::open::blob_name;
use crate::remote::RemoteError;

impl Output {
    /// Copies a blob that nobody has checked yet.
    ///
    /// # Errors
    /// Where it cannot be read or written, or is not what its descriptor states.
    pub fn copy_checked(&mut self, blob: &Blob, descriptor: &Descriptor, progress: &dyn Progress) -> Result<()> {
        if self.remote.is_some() || self.blobs.contains_key(&descriptor.digest) {
            // What is pushed is checked on the way.
            return self.copy_blob(blob, descriptor.digest, &());
        }
        let (target, name) = (self.target.clone(), blob_name(descriptor.digest));
        let (mut reader, mut size) = (blob.reader(), 0);
        let got = self.blob(|out| {
            let (mut hasher, mut piece) = (Hasher::default(), vec![0; PIECE]);
            loop {
                let read = reader.read(&mut piece)?;
                if read == 0 {
                    let got = hasher.finish();
                    return Ok((got, got));
                }
                out.write_all(&piece[..read])?;
                hasher.update(&piece[..read]);
                size += read as u64;
                progress.advance(read as u64);
            }
        });
        let got = got.map_err(|source| match source.downcast::<RemoteError>() {
            Ok(remote) => Box::new(remote).into(),
            Err(source) => Error::io("write", &target)(source),
        })?;
        if got != descriptor.digest {
            return Err(Error::Digest { path: target, name, expected: descriptor.digest, got });
        }
        if size != descriptor.size {
            return Err(Error::Size { path: target, name, expected: descriptor.size, got: size });
        }
        Ok(())
    }

    /// Adds a manifest that stays as it is, whose blobs were all copied.
    pub(crate) fn add_manifest(&mut self, descriptor: &Descriptor, manifest: Manifest, bytes: &[u8]) -> Result<()> {
        self.small_blob(bytes)?;
        self.images.push((descriptor.clone(), manifest));
        Ok(())
    }

    /// Adds an index that stays as it is, whose manifests were all added.
    pub(crate) fn add_index(&mut self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.small_blob(bytes)?;
        self.indexes.push(descriptor.clone());
        Ok(())
    }

    /// Adds what stands beside images as it is, with its blobs; one that is not whole is passed over.
    ///
    /// # Errors
    /// Where a blob cannot be read or written, or is not what its descriptor states.
    pub fn add_companion(&mut self, companion: &Companion, progress: &dyn Progress) -> Result<()> {
        let Some((manifest, bytes)) = &companion.document else { return Ok(()) };
        for (descriptor, blob) in &companion.blobs {
            self.copy_checked(blob, descriptor, progress)?;
        }
        self.add_manifest(&companion.descriptor, manifest.clone(), bytes)
    }

    /// Writes what the transport asks for. `top` is what the names stand for.
    pub(crate) fn finish_as(&mut self, names: &[String], top: Descriptor) -> Result<()> {
        self.list(names, &[top])
    }

    /// The digest of what the names stand for, once it is finished.
    pub(crate) fn top(&self) -> Option<Digest> {
        self.top.as_ref().map(|top| top.digest)
    }
}
