//! Snapshots in the cache: files, layer and trace of a step.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jettison_image::{Digest, Layer};
use rustix::fs::FlockOperation;

use super::{Cache, CacheError, Work, lock};
use crate::trace::Trace;

/// The file beside a layer that holds its digest.
const DIGEST: &str = "layer.digest";

/// A snapshot that is in use: as long as a value of it lives, it is not pruned.
#[derive(Clone, Debug)]
pub struct Snapshot {
    id: String,
    path: PathBuf,
    layer: Arc<OnceLock<Arc<Layer>>>,
    _lock: Arc<File>,
}

impl Snapshot {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder of its files: an overlayfs upper folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.path.join("fs")
    }

    /// Its layer.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged.
    pub fn layer(&self) -> Result<Arc<Layer>, CacheError> {
        if let Some(layer) = self.layer.get() {
            return Ok(Arc::clone(layer));
        }
        let path = self.path.join("layer");
        let bytes = fs::read(&path).map_err(CacheError::io("read", &path))?;
        let layer = Layer::from_bytes(&bytes).map_err(|source| {
            // Without it the snapshot is not whole, and the next build makes it again.
            let _ = fs::remove_file(&path);
            CacheError::Layer { path, source }
        })?;
        Ok(Arc::clone(self.layer.get_or_init(|| Arc::new(layer))))
    }

    /// The digest of its layer's bytes. Layers that say the same have the same, so that what was made of a layer is
    /// found again without reading it.
    ///
    /// # Errors
    /// Where neither the digest nor the layer can be read.
    pub fn layer_digest(&self) -> Result<Digest, CacheError> {
        let known = fs::read_to_string(self.path.join(DIGEST)).ok();
        if let Some(digest) = known.and_then(|hex| Digest::from_hex(&hex).ok()) {
            return Ok(digest);
        }
        let path = self.path.join("layer");
        let bytes = fs::read(&path).map_err(CacheError::io("read", path))?;
        Ok(Digest::of(&bytes))
    }

    /// What its step read and wrote, where that was traced.
    ///
    /// # Errors
    /// Where it cannot be read, or is damaged.
    pub fn trace(&self) -> Result<Option<Trace>, CacheError> {
        let path = self.path.join("trace.json");
        match fs::read(&path) {
            Ok(bytes) => Trace::from_json(&bytes).map(Some).map_err(|source| CacheError::Json { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CacheError::io("read", path)(error)),
        }
    }
}

impl Cache {
    /// Takes in what was made in `work/fs`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn adopt(&self, work: Work, layer: &Layer, trace: Option<&Trace>) -> Result<Snapshot, CacheError> {
        let write = |name: &str, bytes: &[u8]| {
            let path = work.path().join(name);
            fs::write(&path, bytes).map_err(CacheError::io("write", path))
        };
        let bytes = layer.to_bytes();
        write("layer", &bytes)?;
        write(DIGEST, Digest::of(&bytes).hex().as_bytes())?;
        if let Some(trace) = trace {
            // Lists of bytes always print.
            write("trace.json", &trace.to_json().unwrap_or_default())?;
        }
        let id = work.name.clone();
        let path = self.path("snapshots", &id);
        if let Some(file) = &work.lock {
            lock(file, FlockOperation::LockShared).map_err(CacheError::io("lock", work.path()))?;
        }
        fs::rename(work.path(), &path).map_err(CacheError::io("write", &path))?;
        let opened = || File::options().append(true).open(path.join("lock"));
        let file = match work.adopted() {
            Some(file) => file,
            None => opened().map_err(CacheError::io("open", &path))?,
        };
        let known = OnceLock::from(Arc::new(layer.clone()));
        Ok(Snapshot { id, path, layer: Arc::new(known), _lock: Arc::new(file) })
    }

    /// The snapshot of that name, if it is there and whole.
    #[must_use]
    pub fn snapshot(&self, id: &str) -> Option<Snapshot> {
        // Names come from records, which anybody who can write the cache may have changed.
        if id.is_empty() || !id.bytes().all(|c| c.is_ascii_alphanumeric()) {
            return None;
        }
        let path = self.path("snapshots", id);
        let file = File::options().append(true).open(path.join("lock")).ok()?;
        lock(&file, FlockOperation::NonBlockingLockShared).ok()?;
        // Whoever pruned it in between held the lock alone, and then removed the folder.
        let is_whole = path.join("layer").is_file() && path.join("fs").is_dir();
        is_whole.then(|| Snapshot { id: id.to_owned(), path, layer: Arc::default(), _lock: Arc::new(file) })
    }
}
