//! Layers that stay what they are: their bytes too, unless they are to be packed anew.

use std::io::Write;
use std::ops::Range;

use anyhow::{Result, ensure};
use jettison_image::Compression;
use jettison_image::changes::Contents as _;
use jettison_ir::Own;
use jettison_store::{Output, PlainContents, Progress, ScannedLayer, Scans};

use super::packings::Packing;
use super::{Request, Work};
use crate::load::Loaded;

/// What became of a kept layer: its new blob where it was packed anew.
pub(super) type Kept = Option<ScannedLayer>;

/// Writes layers that stay.
pub(super) struct Keeper<'k> {
    pub(super) request: &'k Request<'k>,
    pub(super) output: &'k mut Output,
    pub(super) scans: &'k Scans,
    pub(super) progress: &'k dyn Progress,
}

impl Keeper<'_> {
    /// Writes some of the layers of an image's instance. `base` is how many of its layers are the base's.
    pub(super) fn keep(
        &mut self,
        members: &[Loaded],
        packing: &Packing,
        base: usize,
        layers: Range<usize>,
    ) -> Result<Vec<Kept>> {
        let loaded = &members[packing.member];
        let mut kept = Vec::new();
        for layer in layers {
            if packing.repacks(self.request, loaded, layer, base) {
                kept.push(Some(self.repack(&members[0], packing, layer)?));
            } else {
                let digest = loaded.scanned[layer].digest;
                self.output.copy_blob(&loaded.image.layers[layer].blob, digest, self.progress)?;
                kept.push(None);
            }
        }
        Ok(kept)
    }

    /// Packs a layer's very bytes anew.
    fn repack(&mut self, loaded: &Loaded, packing: &Packing, layer: usize) -> Result<ScannedLayer> {
        let (scan, size) = (&loaded.scanned[layer], loaded.layers[layer].size);
        let mut plain = PlainContents::new(&loaded.scanned, self.progress);
        let fill = |out: &mut dyn Write| plain.copy(layer, 0, size, out);
        let written = self.output.write_layer(packing.encoding, self.progress, fill);
        // One that lies elsewhere is fetched for it.
        if let Some(error) = scan.plain.take_failure() {
            return Err(error.into());
        }
        let (new, entries) = written?;
        ensure!(new.diff_id == scan.diff_id, "layer {} was changed by packing it", layer + 1);
        self.scans.remember_read_back(&new, &entries);
        Ok(new)
    }
}

/// What there is to know of the layers that stayed.
pub(super) fn notes(request: &Request<'_>, work: &Work<'_>, packings: &[Packing], kept: &[Vec<Kept>]) -> Vec<String> {
    let base = work.unit.base.layers;
    let mut notes = Vec::new();
    let is_new = |layers: &Vec<Kept>| layers.iter().take(base).any(Option::is_some);
    if kept.iter().any(is_new) {
        let base = &work.unit.base;
        notes.push(format!(
            "the base's layers are packed anew ({}): their content is the base's, but nobody shares their bytes with it",
            base.evidence
        ));
    }
    // Where merging would have made them larger, that is said.
    let is_as_wished = work.outcome.plan.own == Own::AsShipped && !work.has_grown;
    if packings.len() == 1 && request.compression.is_some() && !request.recompress_base && is_as_wished {
        let asked = packings[0].encoding.compression;
        let others = kept[0].iter().zip(&work.members[packings[0].member].scanned).skip(base);
        let others: Vec<String> = others
            .filter(|(_, scan)| scan.compression != asked)
            .map(|(_, scan)| scan.compression.to_string())
            .collect();
        if let Some(other) = others.first() {
            notes.push(format!(
                "own layers that nothing changed keep their bytes, packed by {other}: --recompress-base packs them by {asked}"
            ));
        }
    }
    // Who cannot unpack zstd gets nothing from an image for old clients that has it.
    let zstd = Compression::Zstd;
    let is_for_old = |packing: &&Packing| packing.is_of_two && packing.encoding.compression != zstd;
    if let Some(packing) = packings.iter().find(is_for_old) {
        let scanned = &work.members[packing.member].scanned;
        let at = packings.iter().position(|other| other == packing).unwrap_or_default();
        let has_zstd = kept[at].iter().zip(scanned).any(|(kept, scan)| kept.is_none() && scan.compression == zstd);
        if has_zstd && request.is_dual {
            notes.push(
                "the gzip instance has layers that stay packed by zstd, which old clients cannot read: \
                 --recompress-base packs them anew"
                    .to_owned(),
            );
        }
    }
    notes
}
