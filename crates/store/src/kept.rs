//! Layers of registries that were read before: their entries are kept on the disk, so that a base which many images
//! share is fetched once and then known by its digest.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use jettison_image::layer::ContentWatch;
use jettison_image::{Digest, Layer};

/// Other forms have other keys, and are thus not found.
const FORM: &str = "layer of a registry, form 1";

/// A folder of small values under digests, of which a cache throws away what nobody has asked for in a long time.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, blob: Digest) -> PathBuf {
        self.folder.join(Digest::of(format!("{FORM} {blob}").as_bytes()).hex())
    }

    /// The diff ID and the entries of a blob; none where it is not known, or what `watch` saw of it then is not.
    pub(crate) fn find(&self, blob: Digest, watch: Option<&dyn ContentWatch>) -> Option<(Digest, Layer)> {
        let path = self.path(blob);
        let bytes = fs::read(&path).ok()?;
        let (bytes, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        let (diff_id, bytes_of_rest) = bytes.split_first_chunk::<32>()?;
        let (length, rest) = bytes_of_rest.split_first_chunk::<8>()?;
        let (seen, layer) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        if Digest::of(bytes).0 != sum {
            return None;
        }
        let layer = Layer::from_bytes(layer).ok()?;
        if !watch.is_none_or(|watch| watch.restore(seen)) {
            return None;
        }
        if let Ok(file) = File::options().write(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some((Digest(*diff_id), layer))
    }

    /// Keeps what was read of a blob. Where that cannot be written, it is read again the next time.
    pub(crate) fn keep(&self, blob: Digest, diff_id: Digest, layer: &Layer, watch: &dyn ContentWatch) {
        let Some(seen) = watch.save(layer) else { return };
        let mut bytes = diff_id.0.to_vec();
        bytes.extend_from_slice(&(seen.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&seen);
        bytes.extend_from_slice(&layer.to_bytes());
        let sum = Digest::of(&bytes);
        bytes.extend_from_slice(&sum.0);
        let made = fs::create_dir_all(&self.folder);
        let file = made.and_then(|()| tempfile::Builder::new().prefix(".tmp").tempfile_in(&self.folder));
        let Ok(mut file) = file else { return };
        if file.write_all(&bytes).is_ok() {
            let _ = file.persist(self.path(blob));
        }
    }
}
