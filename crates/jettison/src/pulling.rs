//! Layers made for pulling: what the image before this one had where.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use jettison_image::changes::{Before, Changes, Grouping};
use jettison_image::{Digest, Platform, Tree};
use jettison_ir::{Pulling, owners};
use jettison_store::{Reference, Scans, StoredImage, Unpack, Wanted};

use crate::base;
use crate::cli::{BaseArgs, LayersArg, LayersArgs, ReadArgs};
use crate::installed::installed;
use crate::load::load;
use crate::printer::Printer;

/// What reading the previous image takes.
pub(crate) struct Reading<'r> {
    pub(crate) read: &'r ReadArgs,
    pub(crate) scans: &'r Scans,
    /// Where layers are unpacked.
    pub(crate) folder: &'r Path,
    pub(crate) printer: &'r Printer,
}

/// How own layers above a base of these layers are made for pulling; none where they are not.
pub(crate) fn pulling(
    args: &LayersArgs,
    base: &[Digest],
    platform: &Platform,
    reading: &Reading<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Pulling>> {
    match (args.layers, &args.previous) {
        (LayersArg::AtMost(_), _) => Ok(None),
        (LayersArg::Auto, None) => Ok(Some(Pulling::default())),
        (LayersArg::Auto, Some(previous)) => {
            let before = before(previous, base, platform, reading, notes)?;
            Ok(Some(Pulling { before, owners: None }))
        }
    }
}

fn before(
    previous: &Reference,
    base: &[Digest],
    platform: &Platform,
    reading: &Reading<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Before>> {
    let opened = reading.read.open(previous, &Wanted::Platform(platform.clone()))?;
    let Some(image) = opened.images.into_iter().next() else { return Ok(None) };
    let Some(below) = base_of(previous, &image, base, reading, notes)? else { return Ok(None) };
    if image.layers.len() < below + 2 {
        notes.push(format!("{previous} has no several own layers that could say what goes where"));
        return Ok(None);
    }
    // Of the base only what databases need is read.
    let unpack = Unpack { first: below, later: true, seen_only: false, folder: reading.folder.to_owned() };
    let loaded = load(previous, image, reading.read, Some(unpack), reading.scans, reading.printer)?;
    let mut lower = Tree::empty(loaded.layers());
    lower.apply_until(below).with_context(|| format!("{previous} cannot be merged"))?;
    let upper = Tree::of(loaded.layers()).with_context(|| format!("{previous} cannot be merged"))?;
    let installed = installed(&loaded, &upper);
    notes.extend(installed.notes());
    let grouping = Grouping::new(owners(&installed.databases, &BTreeSet::new()));
    Ok(Some(Before::of(&Changes::between(&lower, &upper), &grouping)))
}

/// How many layers of the previous image are its base: this image's own, or where that was replaced (an upgrade of the
/// base), what the previous image shows.
fn base_of(
    previous: &Reference,
    image: &StoredImage,
    base: &[Digest],
    reading: &Reading<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<usize>> {
    if image.config.diff_ids().starts_with(base) {
        return Ok(Some(base.len()));
    }
    let args = BaseArgs { base: None, squash_all: false };
    let found = base::find(&args, previous, image, reading.read, &mut Vec::new())?;
    if found.layers == 0 {
        notes.push(format!("{previous} has another base, which cannot be told: its layers do not say what goes where"));
        return Ok(None);
    }
    notes.push(format!(
        "{previous} has another base than this image, whose layers end at {} ({})",
        found.layers, found.evidence
    ));
    Ok(Some(found.layers))
}
