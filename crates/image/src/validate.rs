//! Whether an image's parts agree with each other.

use crate::config::Config;
use crate::digest::Digest;
use crate::manifest::Manifest;

/// How an image contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum Inconsistency {
    #[error("the manifest lists {manifest} layers, but the config has {config} diff IDs")]
    LayerCount { manifest: usize, config: usize },
    #[error("layer {layer} unpacks to {got}, but the config's diff ID is {expected}")]
    DiffId { layer: usize, expected: Digest, got: Digest },
    #[error("the history names {history} layers, but the image has {layers}")]
    History { history: usize, layers: usize },
}

/// Checks a manifest against its config.
///
/// # Errors
/// [`Inconsistency::LayerCount`].
pub fn layer_count(manifest: &Manifest, config: &Config) -> Result<(), Inconsistency> {
    let (manifest, config) = (manifest.layers.len(), config.diff_ids().len());
    if manifest == config { Ok(()) } else { Err(Inconsistency::LayerCount { manifest, config }) }
}

/// Checks the digests of the unpacked layers against the config.
///
/// # Errors
/// [`Inconsistency::DiffId`] for the lowest layer that differs.
pub fn diff_ids(config: &Config, unpacked: &[Digest]) -> Result<(), Inconsistency> {
    for (at, (&expected, &got)) in config.diff_ids().iter().zip(unpacked).enumerate() {
        if expected != got {
            return Err(Inconsistency::DiffId { layer: at + 1, expected, got });
        }
    }
    Ok(())
}

/// Checks that the history has one entry for each layer. Images in use break this, so it is asked of
/// what jettison writes and remarked on what it reads. A config without a history is consistent.
///
/// # Errors
/// [`Inconsistency::History`].
pub fn history(config: &Config) -> Result<(), Inconsistency> {
    let history = config.history().iter().filter(|entry| !entry.empty_layer).count();
    let layers = config.diff_ids().len();
    if !config.has_history() || history == layers { Ok(()) } else { Err(Inconsistency::History { history, layers }) }
}
