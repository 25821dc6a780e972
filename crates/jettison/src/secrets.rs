//! Secrets that shipped: looked for in every file while an image's layers are read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use bstr::ByteSlice as _;
use jettison_image::layer::ContentWatch;
use jettison_image::{Config, Digest, Layer, Tree};
use jettison_ir::{Secret, ShippedSecret};
use jettison_passes::secrets::Scanner;
use serde::{Deserialize, Serialize};

/// Files by path and content.
type Seen = HashMap<(Vec<u8>, Digest), Vec<Secret>>;

/// Sees the contents of an image's files as its layers are read, and keeps what was found in them.
pub(crate) struct SecretWatch {
    scanner: Arc<Scanner>,
    seen: Mutex<Seen>,
    given_up: Mutex<Vec<String>>,
}

impl SecretWatch {
    pub(crate) fn new() -> Result<Self> {
        let scanner = Scanner::new().context("secrets cannot be looked for")?;
        Ok(Self { scanner: Arc::new(scanner), seen: Mutex::default(), given_up: Mutex::default() })
    }

    /// One for another image, which has seen nothing yet.
    pub(crate) fn for_another(&self) -> Self {
        Self { scanner: Arc::clone(&self.scanner), seen: Mutex::default(), given_up: Mutex::default() }
    }

    /// The secrets in the image's config, and the files that could not be looked through, each with the reason.
    pub(crate) fn notes(&self, config: &Config) -> Vec<String> {
        let mut notes = self.given_up.lock().map_or_else(|_| Vec::new(), |notes| notes.clone());
        // Layers are read by several threads.
        notes.sort();
        match self.scanner.scan_config(config) {
            Ok(secrets) => notes.extend(secrets.iter().map(ToString::to_string)),
            Err(error) => notes.push(format!("the config was not looked through for secrets: {error}")),
        }
        notes
    }
}

impl ContentWatch for SecretWatch {
    fn wants(&self, path: &[u8], size: u64) -> bool {
        Scanner::wants(path, size)
    }

    fn content(&self, path: &[u8], digest: Digest, content: &[u8]) {
        match self.scanner.scan(path, content) {
            Ok(secrets) if secrets.is_empty() => {}
            Ok(secrets) => {
                if let Ok(mut seen) = self.seen.lock() {
                    seen.insert((path.to_vec(), digest), secrets);
                }
            }
            Err(error) => {
                if let Ok(mut notes) = self.given_up.lock() {
                    notes.push(format!("/{} was not looked through for secrets: {error}", path.escape_bytes()));
                }
            }
        }
    }

    fn save(&self, layer: &Layer) -> Option<Vec<u8>> {
        // What was given up is said anew each time.
        if !self.given_up.lock().ok()?.is_empty() {
            return None;
        }
        let seen = self.seen.lock().ok()?;
        let found = layer.entries.iter().filter_map(|entry| {
            let key = (layer.path(entry).to_vec(), entry.digest);
            seen.get(&key).map(|secrets| (key.0, key.1, secrets.clone()))
        });
        let files = if seen.is_empty() { Vec::new() } else { found.collect() };
        serde_json::to_vec(&Kept { rules: RULES.to_owned(), files }).ok()
    }

    fn restore(&self, saved: &[u8]) -> bool {
        let kept = serde_json::from_slice::<Kept>(saved).ok().filter(|kept| kept.rules == RULES);
        let (Some(kept), Ok(mut seen)) = (kept, self.seen.lock()) else { return false };
        seen.extend(kept.files.into_iter().map(|(path, digest, secrets)| ((path, digest), secrets)));
        true
    }
}

/// What is kept of a layer's files, by the rules that they were looked through with.
#[derive(Serialize, Deserialize)]
struct Kept {
    rules: String,
    files: Vec<(Vec<u8>, Digest, Vec<Secret>)>,
}

/// Other versions may find other things.
const RULES: &str = concat!(env!("CARGO_PKG_VERSION"), " 2");

/// The secrets that the layers of `tree` ship, visible or not. All of the layers must have been read with `watch`.
pub(crate) fn find(watch: &SecretWatch, tree: &Tree<'_>) -> Vec<ShippedSecret> {
    let Ok(seen) = watch.seen.lock() else { return Vec::new() };
    if seen.is_empty() {
        return Vec::new();
    }
    ShippedSecret::all(tree, |path, digest| seen.get(&(path.to_vec(), digest)).map_or(&[], Vec::as_slice))
}
