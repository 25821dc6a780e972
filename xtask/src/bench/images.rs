//! The images that are measured: one table, and the cache that makes each of them once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::archive::{self, Layer};
use super::{generate, host};

/// Counts up when the content of any image changes, so that cached ones are made anew.
const VERSION: u32 = 2;

/// What an image is made of.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Many files. Two fifths are the base; with churn, upper layers also overwrite, re-ship and delete lower files.
    Files {
        /// Regular files shipped, over all layers.
        files: u64,
        /// Sum of their sizes.
        bytes: u64,
        /// Layers, the base included.
        layers: u64,
        /// Of each upper layer's files, how many in a hundred replace lower ones; a twentieth of that is deleted.
        churn: u64,
    },
    /// Many files in three layers and whiteouts of some of them in a fourth.
    Whiteouts {
        /// Regular files shipped.
        files: u64,
        /// Sum of their sizes.
        bytes: u64,
        /// Whiteouts in the last layer.
        whiteouts: u64,
    },
    /// Few huge files in four layers, the last of which overwrites one.
    Huge {
        /// Huge files shipped.
        files: u64,
        /// Size of each.
        size: u64,
    },
    /// Files of this very machine: libraries, programs, and a layer that changes and deletes some of them.
    Host {
        /// About how many bytes all layers have.
        bytes: u64,
    },
}

/// What an image is measured for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// With the floor and all peers.
    Compare,
    /// With the floor and dive: one point of the series over the number of layers.
    LayerSeries,
    /// With the floor and dive: one point of the series over the number of whiteouts.
    WhiteoutSeries,
}

/// A row of the table of images.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// File name and heading.
    pub(crate) name: String,
    /// What it is made of.
    pub(crate) shape: Shape,
    /// What is measured on it.
    pub(crate) purpose: Purpose,
}

/// An image in the work folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Image {
    /// The name of its [`Spec`].
    pub(crate) name: String,
    /// The docker-archive.
    #[serde(skip)]
    pub(crate) archive: PathBuf,
    /// What is measured on it.
    pub(crate) purpose: Purpose,
    /// Size of the docker-archive; its layers are not compressed.
    pub(crate) bytes: u64,
    /// Layers, the base included.
    pub(crate) layers: u64,
    /// Regular files and hard links, over all layers.
    pub(crate) files: u64,
    /// Whiteouts, over all layers.
    pub(crate) whiteouts: u64,
    version: u32,
    shape: Shape,
}

impl Spec {
    fn new(name: &str, purpose: Purpose, shape: Shape) -> Self {
        Self { name: name.to_owned(), shape, purpose }
    }
}

/// All images, in the order of the results. `quick` ones are of the same shapes, a twentieth in size or less.
pub(crate) fn specs(quick: bool) -> Vec<Spec> {
    use Purpose::{Compare, LayerSeries, WhiteoutSeries};
    const MB: u64 = 1_000_000;
    let files = |files, bytes, layers, churn| Shape::Files { files, bytes, layers, churn };
    let whiteouts = |files, bytes, whiteouts| Shape::Whiteouts { files, bytes, whiteouts };
    if quick {
        return vec![
            Spec::new("quick-files", Compare, files(1_000, 5 * MB, 5, 10)),
            Spec::new("quick-whiteouts", Compare, whiteouts(500, 5 * MB, 20)),
            Spec::new("quick-huge", Compare, Shape::Huge { files: 6, size: 4 * MB }),
            Spec::new("quick-host", Compare, Shape::Host { bytes: 10 * MB }),
            Spec::new("quick-layers-5", LayerSeries, files(1_000, 5 * MB, 5, 0)),
            Spec::new("quick-layers-20", LayerSeries, files(1_000, 5 * MB, 20, 0)),
            Spec::new("quick-whiteouts-0", WhiteoutSeries, whiteouts(500, 5 * MB, 0)),
            Spec::new("quick-whiteouts-20", WhiteoutSeries, whiteouts(500, 5 * MB, 20)),
        ];
    }
    let mut specs = vec![
        Spec::new("files-20k", Compare, files(20_000, 100 * MB, 5, 10)),
        Spec::new("files-200k", Compare, files(200_000, 2_000 * MB, 12, 10)),
        Spec::new("whiteouts", Compare, whiteouts(10_000, 100 * MB, 400)),
        Spec::new("huge", Compare, Shape::Huge { files: 6, size: 200 * MB }),
        Spec::new("host", Compare, Shape::Host { bytes: 400 * MB }),
    ];
    for layers in [5, 20, 60, 120] {
        specs.push(Spec::new(&format!("layers-{layers}"), LayerSeries, files(20_000, 100 * MB, layers, 0)));
    }
    for count in [0, 400, 4_000] {
        specs.push(Spec::new(&format!("whiteouts-{count}"), WhiteoutSeries, whiteouts(10_000, 100 * MB, count)));
    }
    specs
}

/// The image of `spec`, made unless `work` has it.
pub(crate) fn ensure(spec: &Spec, work: &Path) -> Result<Image> {
    let folder = work.join("images");
    std::fs::create_dir_all(&folder)?;
    let archive = folder.join(format!("{}.tar", spec.name));
    let facts = folder.join(format!("{}.json", spec.name));
    if let Some(image) = cached(spec, &archive, &facts) {
        return Ok(image);
    }
    eprintln!("{}: making the image", spec.name);
    let part = folder.join(format!("{}.part", spec.name));
    if part.exists() {
        std::fs::remove_dir_all(&part)?;
    }
    std::fs::create_dir(&part)?;
    let layers = match spec.shape {
        Shape::Host { bytes } => host::layers(bytes, &part)?,
        _ => generate::layers(&spec.shape, &part)?,
    };
    let image = describe(spec, &layers);
    let finished = part.join("image.tar");
    archive::write_archive(&finished, &spec.name, &layers).with_context(|| format!("cannot write {}", spec.name))?;
    let image = Image { bytes: finished.metadata()?.len(), archive: archive.clone(), ..image };
    std::fs::rename(&finished, &archive)?;
    std::fs::remove_dir(&part)?;
    std::fs::write(&facts, serde_json::to_string_pretty(&image)?)?;
    Ok(image)
}

fn cached(spec: &Spec, archive: &Path, facts: &Path) -> Option<Image> {
    let image: Image = serde_json::from_slice(&std::fs::read(facts).ok()?).ok()?;
    let bytes = archive.metadata().ok()?.len();
    let same = image.version == VERSION && image.shape == spec.shape && image.bytes == bytes;
    same.then(|| Image { archive: archive.to_owned(), purpose: spec.purpose, ..image })
}

fn describe(spec: &Spec, layers: &[Layer]) -> Image {
    Image {
        name: spec.name.clone(),
        archive: PathBuf::new(),
        purpose: spec.purpose,
        bytes: 0,
        layers: layers.len() as u64,
        files: layers.iter().map(|layer| layer.files).sum(),
        whiteouts: layers.iter().map(|layer| layer.whiteouts).sum(),
        version: VERSION,
        shape: spec.shape.clone(),
    }
}
