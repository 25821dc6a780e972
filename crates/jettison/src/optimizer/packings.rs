//! In which packings an image is written: one, or gzip for old clients and zstd for new ones.

use anyhow::Result;
use jettison_image::{Compression, Descriptor, media};
use jettison_store::{Encoding, Opened, StoredImage, Transport};

use super::Request;
use crate::error::Usage;
use crate::load::Loaded;

/// How one instance of an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packing {
    /// The instance of the input whose kept layers it has, among those of its image.
    pub(super) member: usize,
    /// How layers that are written are packed.
    pub(super) encoding: Encoding,
    /// Whether it is one of two: its own layers are then in its format also where nothing else changes.
    pub(super) is_of_two: bool,
}

impl Packing {
    /// Whether a layer that stays what it is gets packed anew. Layers that nobody may hand on stay where they are had.
    pub(super) fn repacks(&self, request: &Request<'_>, loaded: &Loaded, layer: usize, base: usize) -> bool {
        let (stored, scan) = (&loaded.image.layers[layer], &loaded.scanned[layer]);
        let is_own_in_another = layer >= base && self.is_of_two && scan.compression != self.encoding.compression;
        let is_foreign = stored.descriptor.as_ref().is_some_and(is_foreign);
        (request.recompress_base || is_own_in_another) && !is_foreign
    }
}

/// Whether a layer may not be handed on by registries.
pub(super) fn is_foreign(layer: &Descriptor) -> bool {
    layer.media_type.contains("nondistributable") || layer.media_type.contains("foreign")
}

/// Refuses what the target cannot hold.
pub(super) fn check(request: &Request<'_>, default: Transport) -> Result<()> {
    if !request.is_dual {
        return Ok(());
    }
    if holds_plain(request, default) {
        let hint = "oci:DIR, oci-archive:FILE and registries hold an index of both";
        let message = "--dual: a docker-archive, which engines take, holds an image in one packing";
        return Err(Usage::new(message).with_hint(hint).into());
    }
    if request.compression.is_some_and(|encoding| encoding.compression == Compression::None) {
        let hint = "--compression may say how one of the two is packed, as in zstd:19";
        return Err(Usage::new("--dual writes gzip and zstd, and nothing unpacked").with_hint(hint).into());
    }
    Ok(())
}

/// What becomes of an index in a place whose engine may know nothing of indexes.
pub(super) fn note(request: &Request<'_>, opened: &Opened) -> Option<String> {
    let first = opened.images.first().filter(|_| opened.images.len() > 1 && holds_plain(request, opened.transport))?;
    Some(format!("engines that read no index in an archive load {} alone from it", first.platform()))
}

/// Whether the target is an archive as Docker loads it, of one image that is not packed.
fn holds_plain(request: &Request<'_>, default: Transport) -> bool {
    let transport = request.output.transport.unwrap_or(default);
    transport == Transport::DockerArchive || transport.is_engine()
}

/// The images of a place, each with all of its instances, by their numbers: manifests of an index that are for the same
/// platform, have the same config and are packed by different formats are one image.
pub(super) fn images(opened: &Opened) -> Vec<Vec<usize>> {
    let mut images: Vec<Vec<usize>> = Vec::new();
    for (number, image) in opened.images.iter().enumerate() {
        let is_same = |other: &usize| {
            let other = &opened.images[*other];
            let platform = |image: &StoredImage| image.stored_manifest.as_ref().map(|(_, d)| d.platform.clone());
            opened.index.is_some()
                && other.manifest.config.digest == image.manifest.config.digest
                && platform(other) == platform(image)
        };
        let format = format_of(image);
        let found = images.iter_mut().find(|members| {
            members.iter().all(|member| is_same(member) && format_of(&opened.images[*member]) != format)
        });
        match found {
            Some(members) => members.push(number),
            None => images.push(vec![number]),
        }
    }
    images
}

/// By what an image's own layers are packed, which lie on top; gzip stands for all but zstd. The base's may be kept from
/// another packing.
fn format_of(image: &StoredImage) -> Compression {
    match image.manifest.layers.last().map(|layer| Compression::of_media_type(&layer.media_type)) {
        Some(Some(Compression::Zstd)) => Compression::Zstd,
        _ => Compression::Gzip,
    }
}

/// How an image is written: in the packing that was asked for, in both, or else in those that it has.
pub(super) fn of(request: &Request<'_>, members: &[&StoredImage], default: Transport) -> Vec<Packing> {
    let member = |format| members.iter().position(|image| format_of(image) == format).unwrap_or(0);
    let is_plain = holds_plain(request, default);
    if request.is_dual {
        let two = [Compression::Gzip, Compression::Zstd].map(|format| {
            let asked = request.compression.filter(|encoding| encoding.compression == format);
            let encoding = asked.unwrap_or_else(|| Encoding::of(format));
            Packing { member: member(format), encoding, is_of_two: true }
        });
        return two.to_vec();
    }
    if let Some(encoding) = request.compression {
        return vec![Packing { member: member(encoding.compression), encoding, is_of_two: false }];
    }
    if members.len() == 1 || is_plain {
        let encoding = if is_plain { Encoding::NONE } else { Encoding::GZIP };
        return vec![Packing { member: 0, encoding, is_of_two: false }];
    }
    let each = members.iter().enumerate().map(|(member, image)| {
        let encoding = Encoding::of(format_of(image));
        Packing { member, encoding, is_of_two: true }
    });
    each.collect()
}

/// The descriptor of a layer that was packed anew: what was said of the old bytes alone is left out.
pub(super) fn repacked(layer: &mut Descriptor, new: &jettison_store::ScannedLayer) {
    /// Where in the old bytes tools find files.
    const OF_THE_BYTES: [&str; 3] =
        ["io.github.containers.zstd-chunked.", "containerd.io/snapshot/", "containerd.io/distribution.source."];
    layer.media_type = new.compression.media_type(media::Dialect::Oci).to_owned();
    (layer.digest, layer.size) = (new.digest, new.stored_size);
    layer.rest.shift_remove("urls");
    layer.rest.shift_remove("data");
    layer.remove_annotations(|key| OF_THE_BYTES.iter().any(|start| key.starts_with(start)));
}
