//! Reading an image as a command line names it.

use std::sync::Arc;

use anyhow::Result;
use jettison_image::layer::ContentWatch;
use jettison_image::{Layer, Limits, Platform};
use jettison_report::PushReport;
use jettison_store::registry::Pushed;
use jettison_store::{
    Opened, Reference, ScannedLayer, Scans, Scope, StoredImage, Unpack, Wanted, open_with, scan_watched,
};

use crate::cli::ReadArgs;
use crate::error::Usage;
use crate::folders;
use crate::printer::Printer;
use crate::progress::Stage;
use crate::secrets::SecretWatch;

/// An image whose layers were read.
pub(crate) struct Loaded {
    pub(crate) image: StoredImage,
    pub(crate) scanned: Vec<ScannedLayer>,
    pub(crate) layers: Vec<Arc<Layer>>,
}

impl ReadArgs {
    pub(crate) fn wanted(&self) -> Result<Wanted> {
        Ok(match self.platform.as_deref() {
            Some("all") => Wanted::All,
            Some(platform) => Wanted::Platform(platform.parse().map_err(|error| Usage::new(format!("{error}")))?),
            None => Wanted::Platform(this_platform()),
        })
    }

    /// The same for what is copied: every platform, where none is named.
    pub(crate) fn wanted_or_all(&self) -> Result<Wanted> {
        if self.platform.is_none() { Ok(Wanted::All) } else { self.wanted() }
    }

    /// What was read before, of layers on registries in the cache.
    pub(crate) fn scans(&self) -> Scans {
        folders::cache(self.cache_dir.as_deref())
            .map_or_else(Scans::default, |cache| Scans::kept_in(cache.join("values")))
    }

    /// Opens an image as the arguments say.
    pub(crate) fn open(&self, reference: &Reference, wanted: &Wanted) -> Result<Opened> {
        Ok(open_with(reference, wanted, self.limits(), &self.registry.options()?)?)
    }

    pub(crate) fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits { layer_bytes: self.max_layer_size.unwrap_or(default.layer_bytes), ..default }
    }
}

/// What images for this machine are for: they run on Linux, whatever the machine's own system is.
pub(crate) fn this_platform() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    };
    Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None, rest: Default::default() }
}

/// What a push says of its blobs, for reports.
pub(crate) fn pushed(pushed: Pushed) -> PushReport {
    let Pushed { there, mounted, uploaded, bytes } = pushed;
    PushReport { there, mounted, uploaded, uploaded_bytes: bytes }
}

/// Opens the one image that a command works on.
pub(crate) fn open_one(reference: &Reference, read: &ReadArgs) -> Result<(Opened, StoredImage)> {
    let wanted = read.wanted()?;
    if wanted == Wanted::All {
        let hint = "name one platform, as in --platform linux/arm64";
        return Err(Usage::new("this command works on one platform").with_hint(hint).into());
    }
    let mut opened = read.open(reference, &wanted)?;
    let image = opened.images.remove(0);
    Ok((opened, image))
}

/// Reads an image's layers; compressed ones from the first of `unpack` on can be read again.
pub(crate) fn load(
    reference: &Reference,
    image: StoredImage,
    read: &ReadArgs,
    unpack: Option<Unpack>,
    scans: &Scans,
    printer: &Printer,
) -> Result<Loaded> {
    load_watched(reference, image, read, unpack, scans, printer, None)
}

/// The same, with every file looked through for secrets on the way.
pub(crate) fn load_watched(
    reference: &Reference,
    image: StoredImage,
    read: &ReadArgs,
    unpack: Option<Unpack>,
    scans: &Scans,
    printer: &Printer,
    watch: Option<&SecretWatch>,
) -> Result<Loaded> {
    let total = image.layers.iter().map(|layer| layer.blob.length()).sum();
    let stage = Stage::start(printer, format!("reading {reference}"), total);
    let scope = Scope { limits: read.limits(), unpack };
    let watch = watch.map(|watch| watch as &dyn ContentWatch);
    let (scanned, layers) = scan_watched(&reference.path, &image, &scope, scans, &stage, watch)?;
    stage.end();
    Ok(Loaded { image, scanned, layers })
}

impl Loaded {
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().map(|layer| &**layer)
    }

    pub(crate) fn stored_sizes(&self) -> Vec<u64> {
        self.scanned.iter().map(|layer| layer.stored_size).collect()
    }

    /// What every command that reads an image says of it.
    pub(crate) fn notes(&self, opened: &Opened) -> Vec<String> {
        let mut notes: Vec<String> = opened
            .left_out
            .iter()
            .map(|what| format!("left out: {what}, which would not be true of the result"))
            .collect();
        for (at, layer) in self.layers.iter().enumerate() {
            let dropped = layer.dropped.len();
            if dropped > 0 {
                notes.push(format!("layer {}: {dropped} entries of AUFS bookkeeping are no part of the tree", at + 1));
            }
        }
        if let Err(error) = jettison_image::validate::history(&self.image.config) {
            notes.push(error.to_string());
        }
        notes
    }
}
