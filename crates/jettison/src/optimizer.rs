//! Image in, smaller image out: read, plan, write beside the target, have it judged, publish.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use jettison_image::changes::Part;
use jettison_image::manifest::{BASE_DIGEST, BASE_NAME};
use jettison_image::{Base, Compression, Config, Descriptor, Digest, Layer, Manifest, Tree, history, media};
use jettison_ir::{
    ImageOptions, ImageUnit, Level, Measure, OptimizeReport, Own, Plan, Receipt, SecretFates, Verdict, pulling_limit,
    with_edits,
};
use jettison_passes::Outcome;
use jettison_report::push_human;
use jettison_store::{
    Encoding, Opened, Output, PlainContents, Reference, ScannedLayer, Scans, Selector, StoredImage, Transport, Unpack,
    Wanted, registry,
};
use jettison_verify::{Reads, Side, judge};
use serde_json::Value;

use crate::base;
use crate::cli::{BaseArgs, LayersArg, LayersArgs, PassArgs, ReadArgs};
use crate::contents::LayerContents;
use crate::error::Usage;
use crate::load::{self, Loaded, load, load_watched};
use crate::pipeline::{self, Subject};
use crate::printer::Printer;
use crate::progress::Stage;
use crate::pulling::{Reading, pulling};
use crate::receipt::{self, Attached};
use crate::secrets::{self, SecretWatch};

/// What the user asked for.
pub(crate) struct Request<'r> {
    pub(crate) input: &'r Reference,
    pub(crate) output: &'r Reference,
    pub(crate) level: Level,
    pub(crate) base: &'r BaseArgs,
    pub(crate) layers: &'r LayersArgs,
    pub(crate) compression: Option<Encoding>,
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

/// One image on its way through.
struct Work<'w> {
    loaded: &'w Loaded,
    unit: ImageUnit<'w>,
    outcome: Outcome,
    notes: Vec<String>,
    /// What is changed of what a container sees, measured.
    receipt: Receipt,
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

/// Optimizes each platform's image. The target changes only if every verdict is `equal`.
pub(crate) fn optimize(request: &Request<'_>, printer: &Printer) -> Result<Vec<OptimizeReport>> {
    let start = Instant::now();
    request.layers.check()?;
    let selection = pipeline::selection(request.level, request.passes, Subject::Images)?;
    let mut opened = request.read.open(request.input, &request.read.wanted()?)?;
    let mut output = Output::create_with(request.output, opened.transport, &request.target_options)?;
    fetch(request, &mut opened, &output, printer)?;
    let scans = request.read.scans();
    let watch = SecretWatch::new()?;
    let mut inputs = Vec::new();
    for image in &opened.images {
        inputs.push(read(request, image, &output, &scans, &watch, printer)?);
    }
    let mut works = Vec::new();
    let mut platforms = Vec::new();
    let contents: Vec<LayerContents<'_>> = inputs.iter().map(|(loaded, ..)| LayerContents(&loaded.scanned)).collect();
    for ((loaded, base, notes), contents) in inputs.iter().zip(&contents) {
        let mut notes = notes.clone();
        let config = &loaded.image.config;
        let folder = output.scratch();
        let reading = Reading { read: request.read, scans: &scans, folder: &folder, printer };
        let base_ids = &config.diff_ids()[..base.layers];
        let pulling = pulling(request.layers, base_ids, &config.platform(), &reading, &mut notes)?;
        let unit = ImageUnit::new(&loaded.image.config, loaded.layers(), base.clone(), request.layers.layers.at_most())
            .with_context(|| format!("{} cannot be merged", request.input))?
            .with(Some(contents), request.options.clone())
            .with_pulling(pulling);
        let found = secrets::find(&watch, &unit.upper);
        let unit = unit.with_secrets(found);
        let outcome =
            pipeline::run(&unit, &loaded.image.config, &selection, request.passes, request.verify_each, printer)?;
        // A pass that could not look has left things alone; why is no remark but an error.
        if let Some(error) = loaded.scanned.iter().find_map(|layer| layer.plain.take_failure()) {
            return Err(error.into());
        }
        refused(&outcome)?;
        notes.extend(loaded.notes(&opened));
        notes.extend(link_notes(&unit.upper));
        notes.extend(watch.notes());
        let mut work = Work { loaded, unit, outcome, notes, receipt: Receipt::default() };
        let mut done = write(request, &mut work, &mut output, opened.transport, &scans, printer)?;
        work.receipt = receipt(request, &work)?;
        let attached = work.attached(request);
        work.notes.extend(receipt::attach(&loaded.image, attached, &mut done, &mut output)?);
        output.add_image(done.manifest.clone(), &done.manifest_bytes, &done.config_bytes)?;
        // An index may say more of a platform than the config does.
        let listed = loaded.image.stored_manifest.as_ref().and_then(|(_, descriptor)| descriptor.platform.clone());
        let platform = listed.unwrap_or_else(|| done.config.platform());
        platforms.push(serde_json::to_value(platform).unwrap_or(Value::Null));
        works.push(work);
    }
    output.finish(request.names.unwrap_or(&opened.names), &platforms, opened.is_index)?;
    let mut reports = Vec::new();
    for (work, digest) in works.into_iter().zip(output.digests().collect::<Vec<_>>()) {
        scans.remember(&work.loaded.scanned, &work.loaded.layers);
        reports.push(judge_written(request, work, &output, digest, &opened, &scans, start, printer)?);
    }
    if !request.is_plan && reports.iter().all(|report| report.verdict.is_equal()) {
        let stage = Stage::start(printer, format!("pushing {}", request.output), output.to_push());
        let pushed = output.publish(&stage)?;
        stage.end();
        if let (Some(pushed), Some(report)) = (pushed, reports.last_mut()) {
            report.notes.push(format!("pushed: {}", push_human(&load::pushed(pushed))));
        }
    }
    Ok(reports)
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
    let encoding = own_encoding(work.loaded, work.unit.base.layers).filter(|encoding| *encoding != Encoding::NONE);
    let input = work.loaded.image.stored_manifest.as_ref().map(|(_, descriptor)| descriptor.digest.to_string());
    Ok(Receipt {
        level: request.level.to_string(),
        platform: work.loaded.image.config.platform().to_string(),
        input: input.unwrap_or_default(),
        ..receipt::of(&work.unit, &work.outcome, Some(encoding.unwrap_or(Encoding::GZIP)), request.is_plan)?
    })
}

type Input = (Loaded, Base, Vec<String>);

fn read(
    request: &Request<'_>,
    image: &StoredImage,
    output: &Output,
    scans: &Scans,
    watch: &SecretWatch,
    printer: &Printer,
) -> Result<Input> {
    let mut notes = Vec::new();
    let base = base::find(request.base, request.input, image, request.read, &mut notes)?;
    // From -O2 on passes look into files, also into those of the base; one that lies elsewhere may do without.
    let is_asked = !request.options.purge.is_empty() || !request.options.virtuals.is_empty();
    let looks = request.level > Level::O1 || is_asked || request.layers.layers == LayersArg::Auto;
    let later = looks && image.layers.iter().any(|layer| layer.blob.section().is_none());
    let first = if looks && !later { 0 } else { base.layers };
    let unpack = Some(Unpack { first, later, folder: output.scratch() });
    let loaded = load_watched(request.input, image.clone(), request.read, unpack, scans, printer, Some(watch))?;
    Ok((loaded, base, notes))
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

fn write(
    request: &Request<'_>,
    work: &mut Work<'_>,
    output: &mut Output,
    default: Transport,
    scans: &Scans,
    printer: &Printer,
) -> Result<Done> {
    let total = work.loaded.scanned.iter().map(|layer| layer.stored_size).sum();
    let stage = Stage::start(printer, format!("writing {}", request.output), total);
    let base = work.unit.base.layers;
    for (stored, scan) in work.loaded.image.layers.iter().zip(&work.loaded.scanned).take(base) {
        output.copy_blob(&stored.blob, scan.digest, &stage)?;
    }
    let encoding = encoding(request, default);
    let count = work.unit.upper.applied();
    let mark = output.mark();
    let written = with_edits(&work.unit, &work.outcome.plan.edits, |changes, edits| {
        let Some(parts) = work.outcome.plan.parts(changes) else { return Ok(None) };
        let mut written = Vec::new();
        for part in &parts {
            let mut plain = PlainContents::new(&work.loaded.scanned, &stage);
            let mut contents = edits.contents(count, &mut plain);
            let fill = |out: &mut dyn Write| changes.write(part, &mut contents, out);
            written.push(output.write_layer(encoding, &stage, fill)?);
        }
        anyhow::Ok(Some((parts, written)))
    })??;
    if let Some((parts, written)) = written {
        // What was asked for by name is done at any price.
        if let Some(growth) = work.growth(&written, encoding).filter(|_| !work.is_asked()) {
            output.go_back(mark)?;
            work.notes.push(growth);
            work.outcome = Outcome { declines: std::mem::take(&mut work.outcome.declines), ..Outcome::as_shipped() };
        } else {
            stage.end();
            written.iter().for_each(|(scan, layer)| scans.remember_read_back(scan, layer));
            return Ok(rewritten(request, work, &parts, &written, encoding));
        }
    }
    for (stored, scan) in work.loaded.image.layers.iter().zip(&work.loaded.scanned).skip(base) {
        output.copy_blob(&stored.blob, scan.digest, &stage)?;
    }
    stage.end();
    Ok(as_shipped(work.loaded))
}

fn encoding(request: &Request<'_>, default: Transport) -> Encoding {
    let plain = request.output.transport.unwrap_or(default) == Transport::DockerArchive;
    request.compression.unwrap_or(if plain { Encoding::NONE } else { Encoding::GZIP })
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
    /// The receipt that the image is to carry.
    fn attached(&self, request: &Request<'_>) -> Attached<'_> {
        let new = request.attaches_receipt.then_some(&self.receipt);
        Attached { new, is_old_true: self.outcome.plan == Plan::as_shipped() }
    }

    /// Whether the image lacks something that its user named.
    fn is_asked(&self) -> bool {
        self.outcome.findings.iter().any(|made| ["asked-packages", "shipped-secrets"].contains(&made.pass))
    }

    fn growth(&self, written: &[Rewritten], encoding: Encoding) -> Option<String> {
        let own = &self.loaded.scanned[self.unit.base.layers..];
        let before = OwnBytes {
            stored: own.iter().map(|layer| layer.stored_size).sum(),
            unpacked: self.unit.own().iter().map(|layer| layer.size).sum(),
        };
        let after = OwnBytes {
            stored: written.iter().map(|(scan, _)| scan.stored_size).sum(),
            unpacked: written.iter().map(|(_, layer)| layer.size).sum(),
        };
        let packed_alike = own.iter().all(|layer| layer.compression == encoding.compression);
        // Who asks for layers made for pulling asks for the folders that they repeat.
        let before = match self.outcome.plan.own {
            Own::Grouped(_) => {
                OwnBytes { stored: pulling_limit(before.stored), unpacked: pulling_limit(before.unpacked) }
            }
            _ => before,
        };
        let (bytes, what) = growth(before, after, packed_alike)?;
        Some(format!("the own layers stay as they are: merged they would be {bytes} bytes larger {what}"))
    }
}

/// The manifest and config over the layers that were written.
fn rewritten(
    request: &Request<'_>,
    work: &mut Work<'_>,
    parts: &[Part],
    written: &[Rewritten],
    encoding: Encoding,
) -> Done {
    let (image, base) = (&work.loaded.image, work.unit.base.layers);
    let count = image.layers.len();
    let mut sources: Vec<Vec<usize>> = parts.iter().map(|part| part.layers.clone()).collect();
    name_all_layers(&mut sources, base, count);
    let mut diff_ids = image.config.diff_ids()[..base].to_vec();
    diff_ids.extend(written.iter().map(|(scan, _)| scan.diff_id));
    let config = image.config.with_layers(diff_ids, history::merged(&image.config, count, base, &sources));
    let mut manifest = in_oci_terms(&work.loaded.image.manifest, work.loaded);
    manifest.layers.truncate(base);
    let media_type = encoding.compression.media_type(media::Dialect::Oci);
    manifest.layers.extend(written.iter().map(|(scan, _)| Descriptor::new(media_type, scan.digest, scan.stored_size)));
    if request.base.squash_all {
        for key in [BASE_DIGEST, BASE_NAME] {
            if manifest.remove_annotation(key).is_some() {
                work.notes.push(format!("left out: the annotation {key}, for the base's layers are merged"));
            }
        }
    }
    let config_bytes = config.to_json();
    with_config(manifest, config, config_bytes)
}

/// Layers of which nothing is left in any part were merged all the same: the last part names them.
pub(crate) fn name_all_layers(sources: &mut [Vec<usize>], base: usize, count: usize) {
    let unnamed: Vec<usize> = (base..count).filter(|layer| !sources.iter().any(|part| part.contains(layer))).collect();
    if let Some(last) = sources.last_mut() {
        last.extend(unnamed);
        last.sort_unstable();
    }
}

/// The manifest and config of an image whose layers are all copied.
fn as_shipped(loaded: &Loaded) -> Done {
    let image = &loaded.image;
    if let Some((bytes, descriptor)) = &image.stored_manifest
        && descriptor.media_type == media::OCI_MANIFEST
    {
        return Done {
            manifest: image.manifest.clone(),
            manifest_bytes: bytes.clone(),
            config: image.config.clone(),
            config_bytes: image.config_bytes.clone(),
        };
    }
    with_config(in_oci_terms(&image.manifest, loaded), image.config.clone(), image.config_bytes.clone())
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
        let foreign = layer.media_type.contains("nondistributable") || layer.media_type.contains("foreign");
        if !foreign {
            layer.media_type = scan.compression.media_type(media::Dialect::Oci).to_owned();
        }
        (layer.digest, layer.size) = (scan.digest, scan.stored_size);
    }
    manifest
}

#[allow(clippy::too_many_arguments)] // Everything that a report is made of meets here.
fn judge_written(
    request: &Request<'_>,
    work: Work<'_>,
    output: &Output,
    digest: Digest,
    opened: &Opened,
    scans: &Scans,
    start: Instant,
    printer: &Printer,
) -> Result<OptimizeReport> {
    let transport =
        Some(if output.staged().transport == Some(Transport::Oci) { Transport::Oci } else { Transport::OciArchive });
    let staged =
        Reference { selector: (!opened.is_index).then_some(Selector::Digest(digest)), transport, ..output.staged() };
    let wanted = if opened.is_index { Wanted::All } else { Wanted::Platform(work.loaded.image.config.platform()) };
    let images =
        output.reopen(&staged, &wanted, request.read.limits()).context("the written image cannot be read back")?.images;
    let is_this = |image: &StoredImage| image.stored_manifest.as_ref().is_some_and(|(_, d)| d.digest == digest);
    let image = images.into_iter().find(is_this).context("the written image is not where it was written to")?;
    let shown = Reference { path: staged.path.clone(), transport: None, selector: None };
    let base = work.unit.base.layers;
    let after =
        load(&shown, image, request.read, None, scans, printer).context("the written image cannot be read back")?;
    let after_tree = Tree::of(after.layers())?;
    let before = Side { tree: &work.unit.upper, config: &work.loaded.image.config };
    let written = Side { tree: &after_tree, config: &after.image.config };
    let verdict = with_edits(&work.unit, &work.outcome.plan.edits, |changes, edits| -> Verdict {
        let mut old = |node| work.unit.content(node);
        // What was written is known by its digest: a content of that digest is the content.
        let mut new = |node| {
            let planned = changes.upper().find(&after_tree.path(node))?;
            let content = edits.content(&work.unit, changes.upper(), planned)?;
            (Digest::of(&content) == after_tree.attributes(node).digest).then_some(content)
        };
        judge(before, written, &work.outcome.claims, Some(Reads { before: &mut old, after: &mut new }))
    })?;
    let declines = work.outcome.declines.iter().map(|(pass, decline)| format!("{pass}: {}", decline.reason)).collect();
    Ok(OptimizeReport {
        input: request.input.to_string(),
        output: if request.is_plan { "planned".to_owned() } else { request.output.to_string() },
        level: request.level.to_string(),
        platform: work.loaded.image.config.platform().to_string(),
        base: work.unit.base.evidence.to_string(),
        digest: digest.to_string(),
        before: measure(work.loaded, base, &work.unit.upper),
        after: measure(&after, base, &after_tree),
        acted: work.outcome.acted,
        receipt: work.receipt,
        secrets: SecretFates::of(work.unit.secrets.clone(), work.unit.instructions.clone(), after.layers()),
        notes: work.notes,
        declines,
        verdict,
        took: start.elapsed(),
    })
}

fn measure(loaded: &Loaded, base_layers: usize, tree: &Tree<'_>) -> Measure {
    let layers: Vec<&Layer> = loaded.layers().collect();
    Measure {
        layers: layers.len(),
        base_layers,
        stored: loaded.scanned.iter().map(|layer| layer.stored_size).sum(),
        unpacked: layers.iter().map(|layer| layer.size).sum(),
        entries: layers.iter().map(|layer| layer.entries.len()).sum(),
        paths: tree.walk().count(),
    }
}

/// The encoding in which an image's own layers are stored, where all share one: what a saving is measured in.
pub(crate) fn own_encoding(loaded: &Loaded, base: usize) -> Option<Encoding> {
    let own = loaded.scanned.get(base..)?;
    let first = own.first()?.compression;
    let same = own.iter().all(|layer| layer.compression == first);
    same.then_some(match first {
        Compression::None => Encoding::NONE,
        Compression::Gzip => Encoding::GZIP,
        Compression::Zstd => Encoding::ZSTD,
    })
}
