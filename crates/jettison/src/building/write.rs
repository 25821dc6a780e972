//! Writing what was built at a level: planned by the passes, written once, read back, judged.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use jettison_engine::build::{BuiltBase, BuiltLayer};
use jettison_image::base::Evidence;
use jettison_image::changes::{Changes, Contents, Part};
use jettison_image::config::HistoryEntry;
use jettison_image::history::Source;
use jettison_image::manifest::{BASE_DIGEST, BASE_NAME};
use jettison_image::packages::{self, Packages};
use jettison_image::{
    Base, Compression, Config, Descriptor, Digest, Kind, Layer, Manifest, Node, Tree, history, media,
};
use jettison_ir::{Acted, ImageUnit, Level, Own, Pulling, Verdict, owners, pulling_limit};
use jettison_passes::Outcome;
use jettison_store::{Encoding, Output, Plain, PlainContents, Progress, ScannedLayer};
use jettison_verify::{Side, judge};
use serde_json::{Map, Value, json};

use crate::cli::{LayersArgs, PassArgs};
use crate::optimizer::{Done, OwnBytes, Rewritten, growth, link_notes, name_all_layers, with_config};
use crate::pipeline::{self, Subject};
use crate::printer::Printer;

/// The files of the own layers, which lie unpacked.
pub(crate) trait OwnLayers {
    /// Writes an own layer, counted from 0, as the tar that its value describes.
    fn write_tar(&self, layer: usize, out: &mut dyn Write) -> io::Result<()>;
    /// The contents of the own layers, counted from 0.
    fn contents(&self) -> Box<dyn Contents + '_>;
}

/// What is known of own layers that were written each as it is.
pub(crate) trait Blobs {
    /// The blob that an own layer, counted from 0, was written to in that encoding.
    fn find(&self, layer: usize, encoding: Encoding) -> Option<ScannedLayer>;
    /// Takes note of an own layer that was written and read back.
    fn keep(&self, layer: usize, encoding: Encoding, read_back: &Rewritten);
}

/// What was built.
#[derive(Clone, Copy)]
pub(crate) struct Image<'i> {
    pub(crate) base: Option<&'i BuiltBase>,
    pub(crate) own: &'i [BuiltLayer],
    pub(crate) config: &'i Config,
    pub(crate) files: &'i dyn OwnLayers,
}

impl<'i> Image<'i> {
    /// All layers, the base's first.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &'i Arc<Layer>> + use<'i> {
        let base = self.base.map(|base| base.layers.as_slice()).unwrap_or_default();
        base.iter().chain(self.own.iter().map(|own| &own.layer))
    }

    fn base_layers(&self) -> usize {
        self.base.map_or(0, |base| base.layers.len())
    }

    /// The packages that have paths, as far as own layers say it: the base is not unpacked for this.
    fn owners(&self, tree: &Tree<'_>) -> Vec<(Vec<u8>, String)> {
        let mut contents = OwnContents { base: self.base_layers(), own: self.files.contents() };
        let mut read = |node: Node| {
            let origin = tree.origin(node);
            let (layer, entry) = tree.entry(origin).filter(|(_, entry)| entry.kind == Kind::File)?;
            let mut content = Vec::new();
            let is_whole = layer.sparse(entry).is_none();
            let is_read = is_whole && contents.copy(origin.layer, entry.data_offset, entry.size, &mut content).is_ok();
            is_read.then_some(content)
        };
        let databases: Vec<Packages> = packages::read_each(tree, &mut read).into_iter().flatten().collect();
        let listed = packages::listed(tree, &mut read);
        owners(&databases, &BTreeSet::new()).chain(listed).collect()
    }

    /// What the own layers take unpacked where each is written as it is.
    pub(crate) fn plain_size(&self) -> u64 {
        self.own.iter().map(|own| own.layer.size).sum()
    }
}

/// What the user asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'w> {
    pub(crate) level: Level,
    pub(crate) layers: &'w LayersArgs,
    /// How they are made for pulling, if they are.
    pub(crate) pulling: Option<&'w Pulling>,
    pub(crate) passes: &'w PassArgs,
    pub(crate) verify_each: bool,
}

/// An image whose layers are planned.
pub(crate) struct Release<'r> {
    pub(crate) image: Image<'r>,
    pub(crate) unit: ImageUnit<'r>,
    pub(crate) outcome: Outcome,
    pub(crate) notes: Vec<String>,
}

/// An image that was written.
pub(crate) struct Written {
    pub(crate) done: Done,
    /// The own layers as they were read back.
    pub(crate) own: Vec<Rewritten>,
    pub(crate) acted: Vec<Acted>,
    pub(crate) notes: Vec<String>,
}

impl<'r> Release<'r> {
    /// Lets the passes say what is to be written.
    pub(crate) fn plan(image: Image<'r>, wish: Wish<'_>, printer: &Printer) -> Result<Self> {
        // Builds pack what was built; what their Dockerfiles leave is for passes on Dockerfiles, and for `optimize`.
        let selection = pipeline::selection(wish.level.min(Level::O1), wish.passes, Subject::Images)?;
        let evidence = image.base.map_or(Evidence::Nothing, |base| Evidence::Named(base.name.clone()));
        let base = Base { layers: image.base_layers(), evidence };
        let layers = image.layers().map(|layer| &**layer);
        let unit = ImageUnit::new(image.config, layers, base, wish.layers.layers.at_most())
            .context("the built layers do not fit together")?;
        let owners = wish.pulling.map(|_| image.owners(&unit.upper));
        let unit = unit.with_pulling(wish.pulling.map(|pulling| Pulling { owners, ..pulling.clone() }));
        let outcome = pipeline::run(&unit, image.config, &selection, wish.passes, wish.verify_each, printer)?;
        let mut notes = link_notes(&unit.upper);
        if wish.level > Level::O1 {
            notes.push(format!(
                "{}: what was built is packed without loss; `jettison optimize` drops what a container does not need",
                wish.level
            ));
        }
        Ok(Self { image, unit, outcome, notes })
    }

    /// Why passes left something alone.
    pub(crate) fn declines(&self) -> Vec<String> {
        self.outcome.declines.iter().map(|(pass, decline)| format!("{pass}: {}", decline.reason)).collect()
    }

    /// Writes the base's blobs as they are, the own layers, the config and the manifest. Layers that `blobs` knows are
    /// not written again.
    pub(crate) fn write(
        &self,
        output: &mut Output,
        encoding: Encoding,
        blobs: &dyn Blobs,
        progress: &dyn Progress,
    ) -> Result<Written> {
        if let Some(base) = self.image.base {
            for (stored, scan) in base.image.layers.iter().zip(base_scans(base)) {
                output.copy_blob(&stored.blob, scan.digest, progress)?;
            }
        }
        let mut notes = Vec::new();
        let is_rewritten = self.outcome.plan.own != Own::AsShipped;
        let changes = is_rewritten.then(|| Changes::between(&self.unit.lower, &self.unit.upper));
        let parts = changes.as_ref().and_then(|changes| Some((changes, self.outcome.plan.parts(changes)?)));
        if let Some((changes, parts)) = parts {
            let mark = output.mark();
            let mut written = Vec::new();
            for part in &parts {
                let mut contents = OwnContents { base: self.unit.base.layers, own: self.image.files.contents() };
                let fill = |out: &mut dyn Write| changes.write(part, &mut contents, out);
                written.push(output.write_layer(encoding, progress, fill)?);
            }
            match self.growth(&written) {
                None => {
                    let mut sources: Vec<Source> = parts.iter().map(Part::source).collect();
                    let (base, count) = (self.unit.base.layers, self.unit.upper.layers().len());
                    name_all_layers(&mut sources, base, count);
                    let history = history::merged(self.image.config, count, base, &sources);
                    return self.finish(output, encoding, written, history, self.outcome.acted.clone(), notes);
                }
                Some(note) => {
                    output.go_back(mark)?;
                    notes.push(note);
                }
            }
        }
        let mut written = Vec::new();
        for layer in 0..self.image.own.len() {
            if let Some(known) = self.known(layer, output, encoding, blobs) {
                progress.advance(known.1.size);
                written.push(known);
                continue;
            }
            let fill = |out: &mut dyn Write| self.image.files.write_tar(layer, out);
            let new = output.write_layer(encoding, progress, fill)?;
            blobs.keep(layer, encoding, &new);
            written.push(new);
        }
        let history = self.image.config.history().to_vec();
        self.finish(output, encoding, written, history, Vec::new(), notes)
    }

    /// An own layer whose blob was written and read back before, and is at hand.
    fn known(&self, layer: usize, output: &mut Output, encoding: Encoding, blobs: &dyn Blobs) -> Option<Rewritten> {
        let scan = blobs.find(layer, encoding)?;
        let value = &self.image.own.get(layer)?.layer;
        output.reuse_blob(scan.digest, scan.stored_size).then(|| (scan, Arc::clone(value)))
    }

    /// No level makes an image larger than -O0 does.
    fn growth(&self, written: &[Rewritten]) -> Option<String> {
        let unpacked = |bytes| OwnBytes { stored: bytes, unpacked: bytes };
        let plain = self.image.plain_size();
        let is_grouped = matches!(self.outcome.plan.own, Own::Grouped(_));
        let before = if is_grouped { pulling_limit(plain) } else { plain };
        let after = written.iter().map(|(_, layer)| layer.size).sum();
        let (bytes, what) = growth(unpacked(before), unpacked(after), false)?;
        Some(format!(
            "the layers are written as at -O0: merged they would be {} larger {what}",
            jettison_report::bytes(bytes)
        ))
    }

    fn finish(
        &self,
        output: &mut Output,
        encoding: Encoding,
        own: Vec<Rewritten>,
        history: Vec<HistoryEntry>,
        acted: Vec<Acted>,
        notes: Vec<String>,
    ) -> Result<Written> {
        let base: Vec<Descriptor> = self.image.base.map(base_descriptors).unwrap_or_default();
        let mut diff_ids: Vec<Digest> =
            self.image.base.map(|base| base.image.config.diff_ids().to_vec()).unwrap_or_default();
        diff_ids.extend(own.iter().map(|(scan, _)| scan.diff_id));
        let config = self.image.config.with_layers(diff_ids, history);
        let media_type = encoding.compression.media_type(media::Dialect::Oci);
        let own_descriptors = own.iter().map(|(scan, _)| Descriptor::new(media_type, scan.digest, scan.stored_size));
        let config_bytes = config.to_json();
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::OCI_MANIFEST.to_owned()),
            config: Descriptor::of(media::OCI_CONFIG, &config_bytes),
            layers: base.into_iter().chain(own_descriptors).collect(),
            rest: self.image.base.map(base_annotations).unwrap_or_default(),
        };
        let done = with_config(manifest, config, config_bytes);
        output.add_image(done.manifest.clone(), &done.manifest_bytes, &done.config_bytes)?;
        Ok(Written { done, own, acted, notes })
    }

    /// Compares what was written, as it was read back, with what was built.
    pub(crate) fn judge(&self, written: &Written) -> Result<Verdict> {
        let base = self.image.layers().take(self.unit.base.layers).map(|layer| &**layer);
        let layers: Vec<&Layer> = base.chain(written.own.iter().map(|(_, layer)| &**layer)).collect();
        // Layers that say the very same make the very same tree.
        let is_as_built = written.own.len() == self.image.own.len()
            && written.own.iter().zip(self.image.own).all(|((_, read), own)| *read == own.layer);
        let other = if is_as_built { None } else { Some(Tree::of(layers.iter().copied())) };
        let other = other.transpose().context("the written layers do not fit together")?;
        let tree = other.as_ref().unwrap_or(&self.unit.upper);
        let config = Config::parse(&written.done.config_bytes).context("the written config cannot be read back")?;
        let before = Side { tree: &self.unit.upper, config: self.image.config };
        Ok(judge(before, Side { tree, config: &config }, &self.outcome.claims, None))
    }
}

/// What is known of the base's layers without reading them: their digests were checked when they were stored.
pub(crate) fn base_scans(base: &BuiltBase) -> Vec<ScannedLayer> {
    let layers = base.image.layers.iter().zip(base.image.config.diff_ids());
    layers
        .map(|(stored, &diff_id)| {
            let descriptor = stored.descriptor.as_ref();
            let told = descriptor.and_then(|descriptor| Compression::of_media_type(&descriptor.media_type));
            let plain = descriptor.is_none().then_some(Compression::None);
            ScannedLayer {
                digest: descriptor.map_or(diff_id, |descriptor| descriptor.digest),
                diff_id,
                stored_size: stored.blob.length(),
                compression: plain.or(told).unwrap_or_else(|| compression_of(stored)),
                plain: Plain::default(),
            }
        })
        .collect()
}

/// What a blob's first bytes show.
fn compression_of(stored: &jettison_store::StoredLayer) -> Compression {
    let mut first = Vec::new();
    match stored.blob.reader().take(512).read_to_end(&mut first) {
        Ok(_) => Compression::of_magic(&first),
        Err(_) => Compression::None,
    }
}

/// The base's layers in the manifest: what the base's own says of them, in OCI's terms.
fn base_descriptors(base: &BuiltBase) -> Vec<Descriptor> {
    let scans = base_scans(base);
    let of = |(stored, scan): (&jettison_store::StoredLayer, ScannedLayer)| {
        let media_type = scan.compression.media_type(media::Dialect::Oci);
        let mut descriptor = Descriptor::new(media_type, scan.digest, scan.stored_size);
        if let Some(told) = &stored.descriptor {
            let is_foreign = told.media_type.contains("nondistributable") || told.media_type.contains("foreign");
            if is_foreign {
                descriptor.media_type.clone_from(&told.media_type);
            }
            descriptor.annotations.clone_from(&told.annotations);
            descriptor.rest.clone_from(&told.rest);
        }
        descriptor
    };
    base.image.layers.iter().zip(scans).map(of).collect()
}

/// The annotations that name the base (image-spec, annotations.md): by them its layers are told from the own ones.
fn base_annotations(base: &BuiltBase) -> Map<String, Value> {
    let mut annotations = Map::new();
    if let Some((_, descriptor)) = &base.image.stored_manifest {
        annotations.insert(BASE_DIGEST.to_owned(), Value::from(descriptor.digest.to_string()));
    }
    annotations.insert(BASE_NAME.to_owned(), Value::from(base.name.as_str()));
    let Value::Object(rest) = json!({ "annotations": annotations }) else { return Map::new() };
    rest
}

/// The contents of own layers by their place among all: above the base nothing of the base is written.
struct OwnContents<'c> {
    base: usize,
    own: Box<dyn Contents + 'c>,
}

impl Contents for OwnContents<'_> {
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
        let own = layer.checked_sub(self.base);
        let own = own.ok_or_else(|| io::Error::other(format!("layer {} is the base's", layer + 1)))?;
        self.own.copy(own, offset, length, out)
    }
}

/// The contents of all layers: the base's unpacked before, the own ones where they lie.
pub(crate) struct AllContents<'c> {
    pub(crate) base: usize,
    pub(crate) below: PlainContents<'c>,
    pub(crate) own: Box<dyn Contents + 'c>,
}

impl Contents for AllContents<'_> {
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
        match layer.checked_sub(self.base) {
            Some(own) => self.own.copy(own, offset, length, out),
            None => self.below.copy(layer, offset, length, out),
        }
    }
}
