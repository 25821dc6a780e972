//! Reading an image as a command line names it.

use std::sync::Arc;

use anyhow::Result;
use jettison_image::layer::ContentWatch;
use jettison_image::{Layer, Limits, Platform};
use jettison_report::PushReport;
use jettison_store::registry::Pushed;
use jettison_store::{
    Opened, Progress, Reference, ScannedLayer, Scans, Scope, StoredImage, Transport, Unpack, Wanted, open_with,
    scan_watched,
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
    /// What a command that shows one image works on.
    pub(crate) fn wanted(&self) -> Result<Wanted> {
        self.wanted_or(Wanted::Platform(this_platform()))
    }

    /// What was asked for, or else `default`. Several platforms stand in one argument, as `docker buildx` has it.
    pub(crate) fn wanted_or(&self, default: Wanted) -> Result<Wanted> {
        let Some(text) = self.platform.as_deref() else { return Ok(default) };
        if text == "all" {
            return Ok(Wanted::All);
        }
        let platform =
            |text: &str| text.trim().parse::<Platform>().map_err(|error| Usage::new(format!("{error}")).into());
        let mut all = text.split(',').map(platform).collect::<Result<Vec<_>>>()?;
        Ok(if all.len() == 1 { Wanted::Platform(all.remove(0)) } else { Wanted::Platforms(all) })
    }

    /// The same for what is written to `target`: all that is there, but that engines run one platform of it.
    pub(crate) fn wanted_for(&self, target: &Reference) -> Result<Wanted> {
        let is_engine = target.transport.is_some_and(Transport::is_engine);
        self.wanted_or(if is_engine { Wanted::Platform(this_platform()) } else { Wanted::All })
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
    if !wanted.is_one() {
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
    let stage = Stage::start(printer, format!("reading {reference}"), stored_bytes(&image));
    let loaded = load_into(reference, image, read, unpack, scans, &stage, watch)?;
    stage.end();
    Ok(loaded)
}

/// The same as part of a stage that is under way.
pub(crate) fn load_into(
    reference: &Reference,
    image: StoredImage,
    read: &ReadArgs,
    unpack: Option<Unpack>,
    scans: &Scans,
    progress: &dyn Progress,
    watch: Option<&SecretWatch>,
) -> Result<Loaded> {
    let scope = Scope { limits: read.limits(), unpack };
    let watch = watch.map(|watch| watch as &dyn ContentWatch);
    let (scanned, layers) = scan_watched(&reference.path, &image, &scope, scans, progress, watch)?;
    Ok(Loaded { image, scanned, layers })
}

/// The bytes of an image's layers as stored.
pub(crate) fn stored_bytes(image: &StoredImage) -> u64 {
    image.layers.iter().map(|layer| layer.blob.length()).sum()
}

/// What opening an image left out, for notes.
pub(crate) fn left_out(opened: &Opened) -> impl Iterator<Item = String> {
    opened.left_out.iter().map(|what| format!("left out: {what}, which would not be true of the result"))
}

impl Loaded {
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().map(|layer| &**layer)
    }

    pub(crate) fn stored_sizes(&self) -> Vec<u64> {
        self.scanned.iter().map(|layer| layer.stored_size).collect()
    }

    /// What every command that reads an image says of it.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
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
