//! Image in, smaller image out: read, plan, write beside the target, have it judged, publish.

mod judged;
mod kept;
mod listing;
mod packings;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use jettison_image::changes::Part;
use jettison_image::history::Source;
use jettison_image::manifest::{BASE_DIGEST, BASE_NAME};
use jettison_image::{Base, Config, Descriptor, Layer, Manifest, Tree, history, media};
use jettison_ir::{ImageOptions, ImageUnit, Level, OptimizeReport, Own, Plan, Receipt, pulling_limit, with_edits};
use jettison_passes::{Outcome, Selection};
use jettison_report::push_human;
use jettison_store::{
    Encoding, ImageName, Opened, Output, PlainContents, Reference, ScannedLayer, Scans, StoredImage, Transport, Unpack,
    Wanted, registry,
};

use crate::base;
use crate::cli::{BaseArgs, LayersArg, LayersArgs, PassArgs, ReadArgs};
use crate::contents::LayerContents;
use crate::engines;
use crate::error::Usage;
use crate::load::{self, Loaded, left_out, load_into, stored_bytes};
use crate::parallel;
use crate::pipeline::{self, Subject};
use crate::printer::Printer;
use crate::progress::Stage;
use crate::pulling::{Reading, pulling};
use crate::receipt::{self, Attached};
use crate::secrets::{self, SecretWatch};
use judged::judge_all;
use kept::{Keeper, Kept};
use listing::{Instance, Listing};
use packings::Packing;

/// What the user asked for.
pub(crate) struct Request<'r> {
    pub(crate) input: &'r Reference,
    pub(crate) output: &'r Reference,
    pub(crate) level: Level,
    pub(crate) base: &'r BaseArgs,
    pub(crate) layers: &'r LayersArgs,
    pub(crate) compression: Option<Encoding>,
    /// Whether each image is written twice: packed by gzip, and by zstd.
    pub(crate) is_dual: bool,
    /// Whether layers that stay what they are get packed anew as well.
    pub(crate) recompress_base: bool,
    /// The platforms.
    pub(crate) wanted: Wanted,
    pub(crate) read: &'r ReadArgs,
    pub(crate) passes: &'r PassArgs,
    pub(crate) verify_each: bool,
    /// Names in place of the input's.
    pub(crate) names: Option<&'r [String]>,
    /// Whether the output is thrown away when it was measured and judged.
    pub(crate) is_plan: bool,
    /// What else is wished of the image.
    pub(crate) options: ImageOptions,
    /// Whether the receipt goes with the image.
    pub(crate) attaches_receipt: bool,
    /// How the output's registry is spoken to.
    pub(crate) target_options: registry::Options,
}

impl Request<'_> {
    /// The output as people would write it.
    fn shown_output(&self) -> String {
        let place = self.output.transport.and_then(Transport::before_name);
        match (self.names, place) {
            _ if self.is_plan => "planned".to_owned(),
            (Some(names), Some(place)) if self.output.selector.is_none() => {
                let short =
                    |name: &String| name.parse().map_or_else(|_| name.clone(), |name: ImageName| name.to_string());
                format!("{place}{}", names.iter().map(short).collect::<Vec<_>>().join(", "))
            }
            _ => self.output.to_string(),
        }
    }
}

/// An image as it was read.
struct Input {
    /// Its instances, as the input has them: the first is what passes see, the others hold the same packed by others.
    members: Vec<Loaded>,
    base: Base,
    notes: Vec<String>,
    watch: SecretWatch,
}

/// One image on its way through.
struct Work<'w> {
    members: &'w [Loaded],
    unit: ImageUnit<'w>,
    outcome: Outcome,
    notes: Vec<String>,
    /// What is changed of what a container sees, measured.
    receipt: Receipt,
    /// Whether the layers stay as they are because what was planned would be larger.
    has_grown: bool,
}

/// A layer that was written and read back.
pub(crate) type Rewritten = (ScannedLayer, Arc<Layer>);

/// An image as it was written.
pub(crate) struct Done {
    pub(crate) manifest: Manifest,
    pub(crate) manifest_bytes: Vec<u8>,
    pub(crate) config: Config,
    pub(crate) config_bytes: Vec<u8>,
}

/// Optimizes each platform's image, several at once. The target changes only if every verdict is `equal`.
pub(crate) fn optimize(request: &Request<'_>, printer: &Printer) -> Result<Vec<OptimizeReport>> {
    let start = Instant::now();
    request.layers.check()?;
    let selection = pipeline::selection(request.level, request.passes, Subject::Images)?;
    let mut opened = request.read.open(request.input, &request.wanted)?;
    packings::check(request, opened.transport)?;
    let mut output = Output::create_with(request.output, opened.transport, &request.target_options)?;
    fetch(request, &mut opened, &output, printer)?;
    let images = packings::images(&opened);
    let inputs = read(request, &opened, &images, &output.scratch(), printer)?;
    let contents: Vec<LayerContents<'_>> =
        inputs.iter().map(|input| LayerContents(&input.members[0].scanned)).collect();
    // What passes print is printed in the order of the images.
    let prints = request.passes.time_passes || request.passes.print_after.is_some();
    let planned = inputs.iter().zip(&contents).collect();
    let mut works = parallel::each(planned, if prints { 1 } else { parallel::at_once() }, |(input, contents)| {
        plan(request, &selection, input, contents, &output.scratch(), printer)
    })?;
    let trees: Vec<&Tree<'_>> = works.iter().map(|work| &work.unit.upper).collect();
    for pattern in request.options.idle(&trees) {
        printer.say(&format!("warning: --keep {pattern} matches nothing"));
    }
    works[0].notes.splice(0..0, notes_of_all(&opened));
    works[0].notes.extend(packings::note(request, &opened));
    let scans = request.read.scans();
    let mut instances = Vec::new();
    for (number, (work, members)) in works.iter_mut().zip(&images).enumerate() {
        let stored: Vec<&StoredImage> = members.iter().map(|member| &opened.images[*member]).collect();
        let packings = packings::of(request, &stored, opened.transport);
        let written = write(request, work, &packings, &mut output, &scans, printer)?;
        work.receipt = receipt(request, work)?;
        for (packing, mut done) in packings.iter().zip(written) {
            let attached = work.attached(request);
            let note = receipt::attach(stored[packing.member], attached, &mut done, &mut output)?;
            work.notes.extend(note.filter(|note| !work.notes.contains(note)));
            let format = packing.is_of_two.then_some(packing.encoding.compression);
            let (member, origin) = (packing.member, members[packing.member]);
            instances.push(Instance { work: number, member, origin, format, done });
        }
    }
    let mut notes = listing::drop_stale_subjects(&opened, &mut instances)?;
    notes.extend(listing::drop_equal(&mut instances));
    for Instance { done, .. } in &instances {
        output.add_image(done.manifest.clone(), &done.manifest_bytes, &done.config_bytes)?;
    }
    let listing = Listing::of(request, &opened, &instances);
    for companion in &listing.companions {
        output.add_companion(companion, &())?;
    }
    for (number, note) in notes.into_iter().chain(listing.notes) {
        works[number].notes.push(note);
    }
    output.finish(request.names.unwrap_or(&opened.names), listing.index.as_deref())?;
    let mut reports =
        judge_all(request, works, &instances, &output, listing.index.is_some(), (start, printer), &scans)?;
    if !request.is_plan && reports.iter().all(|report| report.verdict.is_equal()) {
        let stage = Stage::start(printer, format!("pushing {}", request.output), output.to_push());
        let pushed = output.publish(&stage)?;
        stage.end();
        engines::deliver(request.output, printer)?;
        if let (Some(pushed), Some(report)) = (pushed, reports.last_mut()) {
            report.notes.push(format!("pushed: {}", push_human(&load::pushed(pushed))));
        }
    }
    Ok(reports)
}

/// What is worth knowing of the place as a whole.
fn notes_of_all(opened: &Opened) -> Vec<String> {
    let absent =
        opened.absent.iter().map(|platform| format!("left out: {platform}, which the index lists but is not there"));
    absent.chain(left_out(opened)).collect()
}

/// Fetches what lies on a registry once, where all of it is to lie here in the end.
fn fetch(request: &Request<'_>, opened: &mut Opened, output: &Output, printer: &Printer) -> Result<()> {
    let total = opened.elsewhere();
    if total > 0 && request.output.on_registry().is_none() && !request.is_plan {
        let stage = Stage::start(printer, format!("fetching {}", request.input), total);
        opened.fetch(&output.scratch(), &stage)?;
        stage.end();
    }
    Ok(())
}

/// What was asked for by name and cannot be done is an error, not a remark.
fn refused(outcome: &Outcome) -> Result<()> {
    let mut declines = outcome.declines.iter().filter(|(pass, _)| *pass == "asked-packages");
    match declines.next() {
        Some((_, decline)) => Err(Usage::new(decline.reason.clone()).into()),
        None => Ok(()),
    }
}

/// The receipt of one image, whose output is written.
fn receipt(request: &Request<'_>, work: &Work<'_>) -> Result<Receipt> {
    let loaded = work.loaded();
    let encoding = own_encoding(loaded, work.unit.base.layers).filter(|encoding| *encoding != Encoding::NONE);
    let input = loaded.image.stored_manifest.as_ref().map(|(_, descriptor)| descriptor.digest.to_string());
    Ok(Receipt {
        level: request.level.to_string(),
        platform: loaded.image.config.platform().to_string(),
        input: input.unwrap_or_default(),
        ..receipt::of(&work.unit, &work.outcome, Some(encoding.unwrap_or(Encoding::GZIP)), request.is_plan)?
    })
}

/// Reads every image, and finds its base.
fn read(
    request: &Request<'_>,
    opened: &Opened,
    images: &[Vec<usize>],
    scratch: &Path,
    printer: &Printer,
) -> Result<Vec<Input>> {
    let total = opened.images.iter().map(stored_bytes).sum();
    let stage = Stage::start(printer, format!("reading {}", request.input), total);
    let watch = SecretWatch::new()?;
    // From -O2 on passes look into files, also into those of the base; one that lies elsewhere may do without.
    let is_asked = !request.options.purge.is_empty() || !request.options.virtuals.is_empty();
    let looks =
        request.level > Level::O1 || is_asked || request.recompress_base || request.layers.layers == LayersArg::Auto;
    let inputs = parallel::each(images.iter().collect(), parallel::at_once(), |members| {
        let mut notes = Vec::new();
        let first = &opened.images[members[0]];
        let base = base::find(request.base, request.input, first, request.read, &mut notes)?;
        let later = looks && first.layers.iter().any(|layer| layer.blob.section().is_none());
        let from = if looks && !later { 0 } else { base.layers };
        // Each image has its own: what was taken apart for another one's secrets was not looked at for this one.
        let (scans, watch) = (request.read.scans(), watch.for_another());
        let mut loaded: Vec<Loaded> = Vec::new();
        for member in members {
            // Another packing of the same holds nothing new; that it holds the same is seen by its digests.
            let is_first = loaded.is_empty();
            let unpack = is_first.then(|| Unpack { first: from, later, seen_only: true, folder: scratch.to_owned() });
            let image = opened.images[*member].clone();
            let watch = is_first.then_some(&watch);
            let read = load_into(request.input, image, request.read, unpack, &scans, &stage, watch)?;
            scans.remember(&read.scanned, &read.layers);
            loaded.push(read);
        }
        Ok(Input { members: loaded, base, notes, watch })
    })?;
    stage.end();
    Ok(inputs)
}

/// Has the passes say what is to be written.
fn plan<'w>(
    request: &Request<'_>,
    selection: &Selection,
    input: &'w Input,
    contents: &'w LayerContents<'_>,
    folder: &Path,
    printer: &Printer,
) -> Result<Work<'w>> {
    let loaded = &input.members[0];
    let config = &loaded.image.config;
    let mut notes = input.notes.clone();
    let reading = Reading { read: request.read, scans: &request.read.scans(), folder, printer };
    let base = &config.diff_ids()[..input.base.layers];
    let pulling = pulling(request.layers, base, &config.platform(), &reading, &mut notes)?;
    let unit = ImageUnit::new(config, loaded.layers(), input.base.clone(), request.layers.layers.at_most())
        .with_context(|| format!("{} cannot be merged", request.input))?
        .with(Some(contents), request.options.clone())
        .with_pulling(pulling);
    let found = secrets::find(&input.watch, &unit.upper);
    let unit = unit.with_secrets(found);
    let outcome = pipeline::run(&unit, config, selection, request.passes, request.verify_each, printer)?;
    // A pass that could not look has left things alone; why is no remark but an error.
    if let Some(error) = loaded.scanned.iter().find_map(|layer| layer.plain.take_failure()) {
        return Err(error.into());
    }
    refused(&outcome)?;
    notes.extend(loaded.notes());
    notes.extend(link_notes(&unit.upper));
    notes.extend(input.watch.notes(config));
    Ok(Work { members: &input.members, unit, outcome, notes, receipt: Receipt::default(), has_grown: false })
}

/// Engines differ where an entry goes through a link; the first few are named.
pub(crate) fn link_notes(tree: &Tree<'_>) -> Vec<String> {
    const NAMED: usize = 3;
    let through = tree.through_links();
    let named = through.iter().take(NAMED).map(|link| {
        let (path, resolved) = (String::from_utf8_lossy(&link.path), String::from_utf8_lossy(&link.resolved));
        format!(
            "layer {}: /{path} goes through a symbolic link and lands at /{resolved}, as containerd has it",
            link.layer + 1
        )
    });
    let left = through.len().saturating_sub(NAMED);
    let more = (left > 0).then(|| format!("{left} more entries go through symbolic links"));
    named.chain(more).collect()
}

/// Writes an image in each packing. All have the same content, so that they have the same config.
fn write(
    request: &Request<'_>,
    work: &mut Work<'_>,
    packings: &[Packing],
    output: &mut Output,
    scans: &Scans,
    printer: &Printer,
) -> Result<Vec<Done>> {
    let total = packings.iter().map(|packing| stored_bytes(&work.members[packing.member].image)).sum();
    let stage = Stage::start(printer, format!("writing {}", request.output), total);
    let (base, all) = (work.unit.base.layers, work.unit.upper.layers().len());
    let mut keeper = Keeper { request, output: &mut *output, scans, progress: &stage };
    let mut kept = Vec::new();
    for packing in packings {
        kept.push(keeper.keep(work.members, packing, base, 0..base)?);
    }
    let count = work.unit.upper.applied();
    let mark = output.mark();
    let written = with_edits(&work.unit, &work.outcome.plan.edits, |changes, edits| {
        let Some(parts) = work.outcome.plan.parts(changes) else { return Ok(None) };
        let mut written = Vec::new();
        for packing in packings {
            let mut layers = Vec::new();
            for part in &parts {
                let mut plain = PlainContents::new(&work.loaded().scanned, &stage);
                let mut contents = edits.contents(count, &mut plain);
                let fill = |out: &mut dyn Write| changes.write(part, &mut contents, out);
                layers.push(output.write_layer(packing.encoding, &stage, fill)?);
            }
            written.push(layers);
        }
        anyhow::Ok(Some((parts, written)))
    })??;
    if let Some((parts, written)) = written {
        let growth = packings.iter().zip(&written).find_map(|(packing, layers)| work.growth(packing, layers));
        // What was asked for by name is done at any price.
        if let Some(growth) = growth.filter(|_| !work.is_asked()) {
            output.go_back(mark)?;
            work.notes.push(growth);
            work.has_grown = true;
            work.outcome = Outcome { declines: std::mem::take(&mut work.outcome.declines), ..Outcome::as_shipped() };
        } else {
            stage.end();
            written.iter().flatten().for_each(|(scan, layer)| scans.remember_read_back(scan, layer));
            let mut done = Vec::new();
            for ((packing, kept), layers) in packings.iter().zip(&kept).zip(&written) {
                done.push(rewritten(request, work, (packing, kept), &parts, layers));
            }
            let notes = kept::notes(request, work, packings, &kept);
            work.notes.extend(notes);
            return Ok(done);
        }
    }
    let mut keeper = Keeper { request, output, scans, progress: &stage };
    for (packing, kept) in packings.iter().zip(&mut kept) {
        kept.extend(keeper.keep(work.members, packing, base, base..all)?);
    }
    stage.end();
    let notes = kept::notes(request, work, packings, &kept);
    work.notes.extend(notes);
    Ok(packings.iter().zip(&kept).map(|(packing, kept)| as_shipped(&work.members[packing.member], kept)).collect())
}

/// Bytes of own layers, as stored and unpacked.
#[derive(Clone, Copy)]
pub(crate) struct OwnBytes {
    pub(crate) stored: u64,
    pub(crate) unpacked: u64,
}

/// By how much a rewrite would make an image larger, and in what: no level does. Layers packed in the same
/// way are compared as stored, others unpacked.
pub(crate) fn growth(before: OwnBytes, after: OwnBytes, packed_alike: bool) -> Option<(u64, &'static str)> {
    let (before, after, what) = if packed_alike {
        (before.stored, after.stored, "as stored")
    } else {
        (before.unpacked, after.unpacked, "unpacked")
    };
    (after > before).then(|| (after - before, what))
}

impl Work<'_> {
    /// What passes saw.
    fn loaded(&self) -> &Loaded {
        &self.members[0]
    }

    /// The receipt that the image is to carry.
    fn attached(&self, request: &Request<'_>) -> Attached<'_> {
        let new = request.attaches_receipt.then_some(&self.receipt);
        Attached { new, is_old_true: self.outcome.plan == Plan::as_shipped() }
    }

    /// Whether the image lacks something that its user named.
    fn is_asked(&self) -> bool {
        self.outcome.findings.iter().any(|made| ["asked-packages", "shipped-secrets"].contains(&made.pass))
    }

    fn growth(&self, packing: &Packing, written: &[Rewritten]) -> Option<String> {
        let own = &self.members[packing.member].scanned[self.unit.base.layers..];
        let before = OwnBytes {
            stored: own.iter().map(|layer| layer.stored_size).sum(),
            unpacked: self.unit.own().iter().map(|layer| layer.size).sum(),
        };
        let after = OwnBytes {
            stored: written.iter().map(|(scan, _)| scan.stored_size).sum(),
            unpacked: written.iter().map(|(_, layer)| layer.size).sum(),
        };
        let packed_alike = own.iter().all(|layer| layer.compression == packing.encoding.compression);
        // Who asks for layers made for pulling asks for the folders that they repeat.
        let before = match self.outcome.plan.own {
            Own::Grouped(_) => {
                OwnBytes { stored: pulling_limit(before.stored), unpacked: pulling_limit(before.unpacked) }
            }
            _ => before,
        };
        let (bytes, what) = growth(before, after, packed_alike)?;
        Some(format!(
            "the own layers stay as they are: merged they would be {} larger {what}",
            jettison_report::bytes(bytes)
        ))
    }
}

/// The manifest and config over the layers that were written.
fn rewritten(
    request: &Request<'_>,
    work: &mut Work<'_>,
    (packing, kept): (&Packing, &[Kept]),
    parts: &[Part],
    written: &[Rewritten],
) -> Done {
    let (loaded, base) = (&work.members[packing.member], work.unit.base.layers);
    let image = &loaded.image;
    let count = image.layers.len();
    let mut sources: Vec<Source> = parts.iter().map(Part::source).collect();
    name_all_layers(&mut sources, base, count);
    let mut diff_ids = image.config.diff_ids()[..base].to_vec();
    diff_ids.extend(written.iter().map(|(scan, _)| scan.diff_id));
    let config = image.config.with_layers(diff_ids, history::merged(&image.config, count, base, &sources));
    let mut manifest = over(loaded, kept);
    let media_type = packing.encoding.compression.media_type(media::Dialect::Oci);
    manifest.layers.extend(written.iter().map(|(scan, _)| Descriptor::new(media_type, scan.digest, scan.stored_size)));
    if request.base.squash_all {
        for key in [BASE_DIGEST, BASE_NAME] {
            if manifest.remove_annotation(key).is_some() {
                let note = format!("left out: the annotation {key}, for the base's layers are merged");
                if !work.notes.contains(&note) {
                    work.notes.push(note);
                }
            }
        }
    }
    let config_bytes = config.to_json();
    with_config(manifest, config, config_bytes)
}

/// The manifest over the kept layers alone.
fn over(loaded: &Loaded, kept: &[Kept]) -> Manifest {
    let mut manifest = in_oci_terms(&loaded.image.manifest, loaded);
    manifest.layers.truncate(kept.len());
    for (layer, kept) in manifest.layers.iter_mut().zip(kept) {
        if let Some(new) = kept {
            packings::repacked(layer, new);
        }
    }
    manifest
}

/// Layers of which nothing is left in any part were merged all the same: the last part names them.
pub(crate) fn name_all_layers(sources: &mut [Source], base: usize, count: usize) {
    let is_named = |layer: &usize| sources.iter().any(|part| part.layers.contains(layer));
    let unnamed: Vec<usize> = (base..count).filter(|layer| !is_named(layer)).collect();
    if let Some(last) = sources.last_mut() {
        last.layers.extend(unnamed);
        last.layers.sort_unstable();
    }
}

/// The manifest and config of an image whose layers all stay what they are.
fn as_shipped(loaded: &Loaded, kept: &[Kept]) -> Done {
    let image = &loaded.image;
    if let Some((bytes, descriptor)) = &image.stored_manifest
        && kept.iter().all(Option::is_none)
        && descriptor.media_type == media::OCI_MANIFEST
    {
        return Done {
            manifest: image.manifest.clone(),
            manifest_bytes: bytes.clone(),
            config: image.config.clone(),
            config_bytes: image.config_bytes.clone(),
        };
    }
    with_config(over(loaded, kept), image.config.clone(), image.config_bytes.clone())
}

pub(crate) fn with_config(mut manifest: Manifest, config: Config, config_bytes: Vec<u8>) -> Done {
    let rest = manifest.config.rest;
    manifest.config = Descriptor::of(media::OCI_CONFIG, &config_bytes);
    manifest.config.rest = rest;
    // Inline data would be the old config's.
    manifest.config.rest.shift_remove("data");
    let manifest_bytes = serde_json::to_vec(&manifest).unwrap_or_default();
    Done { manifest, manifest_bytes, config, config_bytes }
}

/// All three places that are written to hold OCI layouts, so Docker's media types become OCI's; what
/// they describe stays byte for byte. Docker archives of old get descriptors for the blobs that were read.
fn in_oci_terms(manifest: &Manifest, loaded: &Loaded) -> Manifest {
    let mut manifest = manifest.clone();
    manifest.media_type = Some(media::OCI_MANIFEST.to_owned());
    for (layer, scan) in manifest.layers.iter_mut().zip(&loaded.scanned) {
        if !packings::is_foreign(layer) {
            layer.media_type = scan.compression.media_type(media::Dialect::Oci).to_owned();
        }
        (layer.digest, layer.size) = (scan.digest, scan.stored_size);
    }
    manifest
}

/// The encoding in which an image's own layers are stored, where all share one: what a saving is measured in.
pub(crate) fn own_encoding(loaded: &Loaded, base: usize) -> Option<Encoding> {
    let own = loaded.scanned.get(base..)?;
    let first = own.first()?.compression;
    let same = own.iter().all(|layer| layer.compression == first);
    same.then_some(Encoding::of(first))
}
