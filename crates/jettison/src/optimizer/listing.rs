//! The index over what was written: what it said stays, but for what is no longer true.

use std::collections::HashSet;

use anyhow::Result;
use jettison_image::manifest::{BASE_DIGEST, BASE_NAME, CONTAINERD_NAME, DISTRIBUTION_SOURCE, REF_NAME, ZSTD_INSTANCE};
use jettison_image::{Compression, Descriptor, Digest, Index, Manifest, media};
use jettison_store::{Companion, Opened, StoredImage, StoredIndex};
use serde_json::{Map, Value};

use super::{Done, Request};

/// An image as it was written in one packing.
pub(super) struct Instance {
    /// Its image, among those that were optimized.
    pub(super) work: usize,
    /// The instance of the input that it was made of, among those of its image.
    pub(super) member: usize,
    /// The same among all manifests that were opened.
    pub(super) origin: usize,
    /// What it is packed by, where there are two.
    pub(super) format: Option<Compression>,
    pub(super) done: Done,
}

impl Instance {
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.done.manifest_bytes)
    }
}

/// What goes with the images, and what does not.
pub(super) struct Listing<'o> {
    /// The index, where there is one.
    pub(super) index: Option<Vec<u8>>,
    /// What stands beside the images.
    pub(super) companions: Vec<&'o Companion>,
    /// What is worth knowing, each with the image that it is about.
    pub(super) notes: Vec<(usize, String)>,
}

fn digest_of(image: &StoredImage) -> Option<Digest> {
    image.stored_manifest.as_ref().map(|(_, descriptor)| descriptor.digest)
}

/// Drops what manifests say to refer to where that was replaced. Each drop makes another manifest, to which others may
/// refer in turn.
pub(super) fn drop_stale_subjects(opened: &Opened, instances: &mut [Instance]) -> Result<Vec<(usize, String)>> {
    let old: HashSet<Digest> = opened.images.iter().filter_map(digest_of).collect();
    let mut notes = Vec::new();
    loop {
        let new: HashSet<Digest> = instances.iter().map(Instance::digest).collect();
        let is_stale = |subject: &Digest| old.contains(subject) && !new.contains(subject);
        let mut is_done = true;
        for instance in instances.iter_mut() {
            let done = &mut instance.done;
            if let Some(subject) = done.manifest.subject().filter(is_stale) {
                done.manifest.rest.shift_remove("subject");
                done.manifest_bytes = serde_json::to_vec(&done.manifest)?;
                let short = subject.short();
                notes.push((
                    instance.work,
                    format!("left out: the subject {short}, an image that was optimized as well"),
                ));
                is_done = false;
            }
        }
        if is_done {
            return Ok(notes);
        }
    }
}

/// Drops an image's second instance where it is the first one: where no layer is the image's own.
pub(super) fn drop_equal(instances: &mut Vec<Instance>) -> Vec<(usize, String)> {
    let mut notes = Vec::new();
    let mut seen = HashSet::new();
    instances.retain(|instance| {
        let is_new = seen.insert((instance.work, instance.digest()));
        if !is_new {
            let note = "there is one packing only: all layers are the base's and keep their bytes; --recompress-base packs them anew";
            notes.push((instance.work, note.to_owned()));
        }
        is_new
    });
    notes
}

impl<'o> Listing<'o> {
    /// The index over the instances, where the input was one or an image is written in two packings.
    pub(super) fn of(request: &Request<'_>, opened: &'o Opened, instances: &[Instance]) -> Self {
        let mut listing = Self { index: None, companions: Vec::new(), notes: Vec::new() };
        let stored = opened.index.as_ref();
        if stored.is_none() && instances.len() == 1 {
            return listing;
        }
        if let Some(stored) = stored {
            listing.choose_companions(opened, stored, instances);
        }
        let manifests = listing.manifests(request, opened, instances);
        listing.index = Some(listing.write(request, opened, instances, manifests));
        listing
    }

    /// Artifacts for themselves stay; what is stated of an image stays where the image's very bytes do.
    fn choose_companions(&mut self, opened: &Opened, stored: &'o StoredIndex, instances: &[Instance]) {
        let mut there: HashSet<Digest> = instances.iter().map(Instance::digest).collect();
        let is_unchanged = opened.images.iter().filter_map(digest_of).all(|digest| there.contains(&digest));
        let mut left: Vec<&Companion> = stored.companions.iter().collect();
        // Companions may speak of each other, as a signature of an SBOM does.
        loop {
            let before = left.len();
            left.retain(|companion| {
                let is_true = match companion.of {
                    Some(of) => there.contains(&of),
                    None => !companion.is_statement || is_unchanged,
                };
                let stays = is_true && companion.is_whole();
                if stays {
                    there.insert(companion.descriptor.digest);
                }
                !stays
            });
            if left.len() == before {
                break;
            }
        }
        let is_left = |one: &&Companion| left.iter().any(|left| left.descriptor == one.descriptor);
        self.companions = stored.companions.iter().filter(|one| !is_left(one)).collect();
        for companion in left {
            let about =
                opened.images.iter().position(|image| companion.of.is_some() && digest_of(image) == companion.of);
            let about = about.and_then(|image| instances.iter().find(|instance| instance.origin == image));
            let is_here = companion.of.map_or(!companion.is_statement, |of| there.contains(&of));
            let why = if is_here { "is not at hand" } else { "would not be true of the result" };
            let note = format!("left out: {}, which {why}", companion.name());
            self.notes.push((about.map_or(0, |instance| instance.work), note));
        }
    }

    /// All that is listed, in the order of the input. What is new comes behind it; where both packings were asked for,
    /// zstd stands behind all else, so that clients that know nothing of packings find gzip first.
    fn manifests(&self, request: &Request<'_>, opened: &Opened, instances: &[Instance]) -> Vec<Descriptor> {
        let mut waiting: Vec<&Instance> = instances.iter().collect();
        let mut manifests = Vec::new();
        let mut next = 0;
        for listed in opened.index.iter().flat_map(|stored| &stored.listed) {
            let image = opened.images.get(next).and_then(|image| image.stored_manifest.as_ref());
            if image.is_some_and(|(_, descriptor)| descriptor == listed) {
                if let Some(at) = waiting.iter().position(|instance| instance.origin == next) {
                    manifests.push(descriptor(request, opened, waiting.remove(at)));
                }
                next += 1;
            } else if self.companions.iter().any(|companion| companion.descriptor == *listed) {
                manifests.push(listed.clone());
            }
        }
        manifests.extend(waiting.into_iter().map(|instance| descriptor(request, opened, instance)));
        if request.is_dual {
            manifests.sort_by_key(|descriptor| descriptor.annotation(ZSTD_INSTANCE) == Some("true"));
        }
        manifests
    }

    fn write(
        &mut self,
        request: &Request<'_>,
        opened: &Opened,
        instances: &[Instance],
        manifests: Vec<Descriptor>,
    ) -> Vec<u8> {
        let mut index = Index::new(manifests);
        if let Some(stored) = &opened.index {
            index.rest.clone_from(&stored.index.rest);
            let old = opened.images.iter().filter_map(digest_of);
            let gone: HashSet<Digest> = old.filter(|old| !instances.iter().any(|new| new.digest() == *old)).collect();
            if let Some(subject) = index.subject().filter(|subject| gone.contains(subject)) {
                index.rest.shift_remove("subject");
                self.notes.push((0, format!("left out: the index's subject {}, which was optimized", subject.short())));
            }
            if request.base.squash_all
                && let Some(annotations) = index.rest.get_mut("annotations").and_then(Value::as_object_mut)
            {
                annotations.retain(|key, _| ![BASE_DIGEST, BASE_NAME].contains(&key.as_str()));
            }
            if stored.is_nested {
                self.notes.push((0, "the indexes within the index are written as parts of it".to_owned()));
            }
            let is_same = index == stored.index && !stored.bytes.is_empty();
            if is_same {
                return stored.bytes.clone();
            }
        }
        // Its keys are strings, the one thing that JSON cannot do without.
        serde_json::to_vec(&index).unwrap_or_default()
    }
}

/// What an index says of an instance: what the input's said, and whether it takes zstd to unpack it.
fn descriptor(request: &Request<'_>, opened: &Opened, instance: &Instance) -> Descriptor {
    let done = &instance.done;
    let new = Descriptor::of(media::OCI_MANIFEST, &done.manifest_bytes);
    let image = opened.images.get(instance.origin);
    let old = image.and_then(|image| image.stored_manifest.as_ref()).map(|(_, descriptor)| descriptor.clone());
    let mut descriptor = old.unwrap_or_else(|| new.clone());
    // A layout's list of platforms gives each the image's name, which the index has now.
    descriptor.remove_annotations(|key| [REF_NAME, CONTAINERD_NAME].contains(&key));
    let is_same = (descriptor.digest, &descriptor.media_type) == (new.digest, &new.media_type);
    if !is_same {
        Descriptor { media_type: descriptor.media_type, digest: descriptor.digest, size: descriptor.size, .. } = new;
        descriptor.rest.shift_remove("data");
        descriptor.remove_annotations(|key| {
            let is_base = [BASE_DIGEST, BASE_NAME].contains(&key);
            key.starts_with(DISTRIBUTION_SOURCE) || (is_base && request.base.squash_all)
        });
    }
    if !is_same || opened.index.is_none() {
        descriptor.platform.get_or_insert_with(|| done.config.platform());
    }
    if !is_same || request.is_dual {
        descriptor.remove_annotations(|key| key == ZSTD_INSTANCE);
        if takes_zstd(&done.manifest) {
            let annotations = descriptor.annotations.get_or_insert_with(Map::new);
            annotations.insert(ZSTD_INSTANCE.to_owned(), Value::from("true"));
        }
    }
    descriptor
}

fn takes_zstd(manifest: &Manifest) -> bool {
    let packed = |layer: &Descriptor| Compression::of_media_type(&layer.media_type);
    manifest.layers.iter().any(|layer| packed(layer) == Some(Compression::Zstd))
}
