//! Copying an image from one place to another: manifests and blobs stay as they are, byte for byte, so that digests,
//! and signatures of them, stay true.

use std::collections::HashSet;
use std::io::Read as _;

use jettison_image::manifest::{CONTAINERD_NAME, REF_NAME};
use jettison_image::validate::Inconsistency;
use jettison_image::{Compression, Descriptor, Digest, Index, Limits, Manifest, media};

use crate::Progress;
use crate::archive::Archive;
use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::open::{AttachedReceipt, StoredImage, StoredLayer, open_archive, parse_document};
use crate::output::Output;
use crate::platforms::{StoredIndex, Wanted};
use crate::reference::Reference;
use crate::registry::{self, Pushed};
use crate::scan::read_back;

/// How an image is copied.
#[derive(Clone, Debug)]
pub struct CopyOrder {
    /// Every platform of an index, with attestations and what else it lists, or one.
    pub wanted: Wanted,
    /// Bounds on what is read.
    pub limits: Limits,
    /// How the source's registry is spoken to.
    pub source: registry::Options,
    /// How the target's is.
    pub target: registry::Options,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The digest of what the name stands for now: a manifest or an index.
    pub digest: Digest,
    /// Manifests: one for each platform, and one for each attestation.
    pub manifests: usize,
    /// Configs and layers, each once.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What was not copied: platforms that are listed and not there, what stands beside images that were not wanted.
    pub left_out: Vec<String>,
    /// What of it was sent, where the target is on a registry.
    pub pushed: Option<Pushed>,
}

/// Indexes within indexes that are followed.
const MAX_NESTING: usize = 8;

/// Copies an image. Nothing shows at the target before all of it is there.
///
/// # Errors
/// Where the source cannot be read, a blob is not what its descriptor states, or the target cannot be written.
pub fn copy(source: &Reference, target: &Reference, order: &CopyOrder, progress: &dyn Progress) -> Result<Copied> {
    let (archive, opened) = open_archive(source, &order.wanted, order.limits, &order.source)?;
    let mut output = Output::create_with(target, opened.transport, &order.target)?;
    let mut copying =
        Copying { archive: &archive, output: &mut output, seen: HashSet::new(), blobs: 0, bytes: 0, manifests: 0 };
    let is_whole = order.wanted == Wanted::All && opened.absent.is_empty();
    let top = opened.top.as_ref().filter(|top| is_whole || !top.is_index());
    let mut left_out: Vec<String> = opened.absent.clone();
    let (mut top, mut index) = (top.cloned(), None);
    match (&top, &opened.index) {
        (Some(top), _) => copying.descriptor(top, 0, progress)?,
        (None, Some(stored)) => {
            for image in &opened.images {
                copying.image(image, progress)?;
            }
            index = Some(copying.part(&opened.images, stored, &mut left_out, progress)?);
        }
        (None, None) => {
            for image in &opened.images {
                top = Some(copying.image(image, progress)?);
            }
            left_out.extend(opened.left_out.iter().cloned());
        }
    }
    let (blobs, bytes, manifests) = (copying.blobs, copying.bytes, copying.manifests);
    match top {
        Some(top) => output.finish_as(&opened.names, top)?,
        None => output.finish(&opened.names, index.as_deref())?,
    }
    let digest =
        output.top().ok_or_else(|| Error::Missing { path: target.to_string().into(), name: "the image".to_owned() })?;
    progress.expect(output.to_push());
    let pushed = output.publish(progress)?;
    Ok(Copied { digest, manifests, blobs, bytes, left_out, pushed })
}

struct Copying<'c> {
    archive: &'c Archive,
    output: &'c mut Output,
    seen: HashSet<Digest>,
    manifests: usize,
    blobs: usize,
    bytes: u64,
}

impl Copying<'_> {
    /// Copies what a descriptor names, and what that names in turn.
    fn descriptor(&mut self, descriptor: &Descriptor, depth: usize, progress: &dyn Progress) -> Result<()> {
        if depth >= MAX_NESTING {
            return Err(Error::NestedTooDeep { path: self.archive.path().to_owned(), limit: MAX_NESTING });
        }
        if !self.seen.insert(descriptor.digest) {
            return Ok(());
        }
        let bytes = self.archive.checked_document(descriptor)?;
        if descriptor.is_index() {
            let index: Index = parse_document(self.archive, descriptor, &bytes)?;
            index.manifests.iter().try_for_each(|below| self.descriptor(below, depth + 1, progress))?;
            return self.output.add_index(descriptor, &bytes);
        }
        let manifest: Manifest = parse_document(self.archive, descriptor, &bytes)?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            self.blob(blob, &self.archive.blob(blob)?, progress)?;
        }
        if let Some(receipt) = AttachedReceipt::of(self.archive, &manifest).and_then(|receipt| receipt.bytes()) {
            self.output.attach(&receipt)?;
        }
        self.manifests += 1;
        self.output.add_manifest(descriptor, manifest, &bytes)
    }

    /// Copies what stands beside images that were copied, and gives the index of all: what it says of them stays.
    fn part(
        &mut self,
        images: &[StoredImage],
        stored: &StoredIndex,
        left_out: &mut Vec<String>,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>> {
        let digests = images.iter().filter_map(|image| Some(image.stored_manifest.as_ref()?.1.digest));
        let mut there: HashSet<Digest> = digests.collect();
        let mut manifests = Vec::new();
        for listed in &stored.listed {
            let companion = stored.companions.iter().find(|companion| companion.descriptor == *listed);
            if let Some(companion) = companion {
                let is_of_these = companion.of.map_or(!companion.is_statement, |of| there.contains(&of));
                if !is_of_these || !companion.is_whole() {
                    left_out.push(companion.name());
                    continue;
                }
                self.manifests += 1;
                self.output.add_companion(companion, progress)?;
                there.insert(companion.descriptor.digest);
            }
            let mut listed = listed.clone();
            // A layout's list of platforms gives each the image's name, which the index has now.
            listed.remove_annotations(|key| [REF_NAME, CONTAINERD_NAME].contains(&key));
            manifests.push(listed);
        }
        let index = Index { rest: stored.index.rest.clone(), ..Index::new(manifests) };
        Ok(serde_json::to_vec(&index).unwrap_or_default())
    }

    /// Copies an image that no manifest or no index names as a whole.
    fn image(&mut self, image: &StoredImage, progress: &dyn Progress) -> Result<Descriptor> {
        if let Some((_, descriptor)) = &image.stored_manifest {
            self.descriptor(descriptor, 0, progress)?;
            return Ok(descriptor.clone());
        }
        let mut manifest = image.manifest.clone();
        for (at, (descriptor, layer)) in manifest.layers.iter_mut().zip(&image.layers).enumerate() {
            *descriptor = self.as_stored(at, layer, descriptor)?;
            self.blob(descriptor, &layer.blob, progress)?;
        }
        self.manifests += 1;
        let bytes = serde_json::to_vec(&manifest).unwrap_or_default();
        let descriptor = Descriptor::of(media::OCI_MANIFEST, &bytes);
        self.output.small_blob(&image.config_bytes)?;
        self.output.add_manifest(&descriptor, manifest, &bytes)?;
        Ok(descriptor)
    }

    /// The descriptor of a layer as it lies in an archive of docker's, which says only what the layer is unpacked: some
    /// tools write such archives with layers that are packed.
    fn as_stored(&self, at: usize, layer: &StoredLayer, unpacked: &Descriptor) -> Result<Descriptor> {
        let path = self.archive.path();
        let Some(section) = layer.blob.section() else { return Ok(unpacked.clone()) };
        let mut first = Vec::new();
        section.reader().take(512).read_to_end(&mut first).map_err(Error::io("read", path))?;
        if Compression::of_magic(&first) == Compression::None {
            return Ok(unpacked.clone());
        }
        let (scan, _) = read_back(path, layer, &())?;
        if scan.diff_id != unpacked.digest {
            let source = Inconsistency::DiffId { layer: at + 1, expected: unpacked.digest, got: scan.diff_id };
            return Err(Error::Inconsistent { path: path.to_owned(), source });
        }
        Ok(Descriptor::new(scan.compression.media_type(media::Dialect::Oci), scan.digest, scan.stored_size))
    }

    fn blob(&mut self, descriptor: &Descriptor, blob: &Blob, progress: &dyn Progress) -> Result<()> {
        if !self.seen.insert(descriptor.digest) {
            return Ok(());
        }
        // What is pushed is counted when it is.
        if !self.output.is_pushed() {
            progress.expect(blob.length());
        }
        self.blobs += 1;
        self.bytes += descriptor.size;
        self.output.copy_checked(blob, descriptor, progress)
    }
}
