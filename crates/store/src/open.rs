//! Finding the images of a place: `manifest.json` of docker archives, `index.json` of OCI layouts,
//! indexes within indexes, and the platform that is wanted.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use jettison_image::manifest::{CONTAINERD_NAME, REF_NAME};
use jettison_image::{Config, Descriptor, Digest, Index, Limits, Manifest, Platform, media, validate};
use serde::Deserialize;

use crate::archive::Archive;
use crate::blob::Blob;
use crate::companion::{self, Companion};
use crate::error::{Error, Result};
use crate::platforms::{Found, MAX_NESTING, StoredIndex, Wanted};
use crate::reference::{Reference, Selector, Transport};
use crate::registry::{self, Remote};
use crate::section::Section;

/// What was found at a place.
#[derive(Debug)]
pub struct Opened {
    /// The kind of place.
    pub transport: Transport,
    /// The images, one unless several platforms were wanted.
    pub images: Vec<StoredImage>,
    /// The names (tags or full references) of the image.
    pub names: Vec<String>,
    /// The index whose platforms the images are, where more than one was wanted.
    pub index: Option<StoredIndex>,
    /// The manifest or index that its name stands for, where there is one.
    pub top: Option<Descriptor>,
    /// What was left out: attestations, signatures and other referrers.
    pub left_out: Vec<String>,
    /// The platforms that the index lists and that are not at hand.
    pub absent: Vec<String>,
}

/// One image for one platform, with the place of each of its layers.
#[derive(Clone, Debug)]
pub struct StoredImage {
    /// The manifest. For docker archives of old, which have none, one is made; its layer digests are
    /// those of the uncompressed layers.
    pub manifest: Manifest,
    /// The manifest's bytes and digest where one is stored.
    pub stored_manifest: Option<(Vec<u8>, Descriptor)>,
    /// The config.
    pub config: Config,
    /// The config's bytes as stored.
    pub config_bytes: Vec<u8>,
    /// The layers, the lowest first.
    pub layers: Vec<StoredLayer>,
    /// The receipt that was attached to it.
    pub receipt: Option<AttachedReceipt>,
}

impl StoredImage {
    /// Its platform: what its index says, which may be more than the config does.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let listed = self.stored_manifest.as_ref().and_then(|(_, descriptor)| descriptor.platform.clone());
        listed.unwrap_or_else(|| self.config.platform())
    }
}

/// The receipt of an earlier optimization, which an annotation of the manifest names ([`jettison_image::manifest::RECEIPT`]).
#[derive(Clone, Debug)]
pub struct AttachedReceipt {
    /// The digest that the annotation states.
    pub digest: Digest,
    /// The blob; none where whoever copied the image left it behind.
    blob: Option<ReceiptBlob>,
}

#[derive(Clone, Debug)]
enum ReceiptBlob {
    Here(Section),
    There(Remote),
}

impl AttachedReceipt {
    pub(crate) fn of(archive: &Archive, manifest: &Manifest) -> Option<Self> {
        let digest = manifest.receipt()?;
        let here = || archive.section(&blob_name(digest)).ok().map(ReceiptBlob::Here);
        let blob = archive.remote().map(|remote| ReceiptBlob::There(remote.clone())).or_else(here);
        Some(Self { digest, blob })
    }

    /// The receipt's bytes; none where the blob is not there, is damaged, or is too large to be one.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        /// A receipt names each path that was changed, some hundred bytes each.
        const MOST: u64 = 256 << 20;
        let bytes = match self.blob.as_ref()? {
            ReceiptBlob::Here(blob) if blob.length() > MOST => return None,
            ReceiptBlob::Here(blob) => blob.bytes().ok()?,
            ReceiptBlob::There(remote) => remote.blob_of_unknown_size(self.digest, MOST).ok()?,
        };
        (Digest::of(&bytes) == self.digest).then_some(bytes)
    }
}

/// A layer's blob.
#[derive(Clone, Debug)]
pub struct StoredLayer {
    /// The blob's name in its place, for messages.
    pub name: String,
    /// The blob.
    pub blob: Blob,
    /// What the manifest says of it; `None` in docker archives of old.
    pub descriptor: Option<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Finds the image that `reference` names.
///
/// # Errors
/// Where nothing readable lies there, or no image, or several and the reference does not say which.
pub fn open(reference: &Reference, wanted: &Wanted, limits: Limits) -> Result<Opened> {
    open_with(reference, wanted, limits, &registry::Options::default())
}

/// The same, and how registries are spoken to.
///
/// # Errors
/// As [`open`]; where the image is on a registry, also where that cannot be asked.
pub fn open_with(
    reference: &Reference,
    wanted: &Wanted,
    limits: Limits,
    options: &registry::Options,
) -> Result<Opened> {
    open_archive(reference, wanted, limits, options).map(|(_, opened)| opened)
}

/// The same, with the place in which it was found.
pub(crate) fn open_archive(
    reference: &Reference,
    wanted: &Wanted,
    limits: Limits,
    options: &registry::Options,
) -> Result<(Archive, Opened)> {
    if let Some(name) = reference.on_registry() {
        let (remote, top) = registry::connect(&name, options).map_err(Box::new)?;
        let archive = Archive::of_registry(reference.to_string().into(), remote, &top);
        let opened = resolve(&archive, &top.descriptor(), wanted)?;
        let names = name.tag().map(|_| name.to_string()).into_iter().collect();
        return Ok((archive, Opened { transport: Transport::Registry, names, ..opened }));
    }
    if let (Some(Transport::Local), Some(Selector::Name(name))) = (reference.transport, &reference.selector)
        && !reference.path.exists()
    {
        let (path, wanted) = (reference.path.clone(), name.clone());
        return Err(Error::NoSuchImage { path, wanted, names: Vec::new() });
    }
    let archive = Archive::open(&reference.path, limits)?;
    let of_engine = reference.transport.filter(|transport| transport.is_engine());
    if let Some(transport) = of_engine {
        // It holds the one image that the engine was asked for.
        let archived = Reference { transport: None, path: reference.path.clone(), selector: None };
        let opened = find(&archive, &archived, wanted)?;
        return Ok((archive, Opened { transport, ..opened }));
    }
    let opened = find(&archive, reference, wanted)?;
    Ok((archive, opened))
}

/// Finds an image in a place that does not hold all of its blobs itself.
pub(crate) fn open_staged(
    reference: &Reference,
    elsewhere: HashMap<Digest, Blob>,
    wanted: &Wanted,
    limits: Limits,
) -> Result<Opened> {
    find(&Archive::open(&reference.path, limits)?.with(elsewhere), reference, wanted)
}

/// Finds the image in an archive that is open already; `path` is for messages.
///
/// # Errors
/// As [`open`].
pub fn open_file(path: &Path, file: File, reference: &Reference, wanted: &Wanted, limits: Limits) -> Result<Opened> {
    find(&Archive::of_file(path, file, limits)?, reference, wanted)
}

fn find(archive: &Archive, reference: &Reference, wanted: &Wanted) -> Result<Opened> {
    let not_an_image = |reason: &str| Error::NotAnImage { path: archive.path().to_owned(), reason: reason.to_owned() };
    let has = |name: &str| archive.has(name);
    let transport = match reference.transport {
        Some(Transport::Oci | Transport::Local) if !archive.is_folder() => {
            return Err(not_an_image("it is a file, not a folder"));
        }
        Some(Transport::Local | Transport::Registry) => Transport::Oci,
        Some(transport) => transport,
        None if archive.is_folder() => Transport::Oci,
        None if has("manifest.json") => Transport::DockerArchive,
        None => Transport::OciArchive,
    };
    match transport {
        Transport::DockerArchive if has("manifest.json") => {
            docker_archive(archive, reference.selector.as_ref(), wanted)
        }
        Transport::DockerArchive => Err(not_an_image("it has no manifest.json")),
        _ if has("index.json") => oci_layout(archive, transport, reference.selector.as_ref(), wanted),
        _ => Err(not_an_image("it has no index.json")),
    }
}

fn docker_archive(archive: &Archive, selector: Option<&Selector>, wanted: &Wanted) -> Result<Opened> {
    let path = archive.path().to_owned();
    let images: Vec<DockerImage> = archive.json("manifest.json")?;
    let tags = |image: &DockerImage| image.repo_tags.clone().unwrap_or_default();
    let all_names: Vec<String> = images.iter().flat_map(tags).collect();
    let same_names = |first: &DockerImage, rest: &[DockerImage]| {
        !tags(first).is_empty() && rest.iter().all(|other| tags(other) == tags(first))
    };
    let no_such = |wanted: String| Error::NoSuchImage { path: path.clone(), wanted, names: all_names.clone() };
    let chosen = match selector {
        None => match &images[..] {
            [one] => one,
            [] => return Err(Error::NotAnImage { path, reason: "its manifest.json lists no image".to_owned() }),
            // The platforms of one index stand under the same names.
            [first, rest @ ..] if same_names(first, rest) && archive.has("index.json") => first,
            _ => return Err(Error::Ambiguous { path, names: all_names }),
        },
        Some(Selector::Position(at)) => images.get(*at).ok_or_else(|| no_such(format!("at position {at}")))?,
        Some(Selector::Digest(digest)) => {
            // The config's digest is what Docker calls the image's ID.
            let config = config_of_manifest(archive, *digest)?.unwrap_or(*digest);
            images
                .iter()
                .find(|image| image.config.contains(&config.hex()))
                .ok_or_else(|| no_such(digest.to_string()))?
        }
        Some(Selector::Name(name)) => images
            .iter()
            .find(|image| tags(image).iter().any(|tag| is_named(tag, name)))
            .ok_or_else(|| no_such(name.clone()))?,
    };
    // Engines from version 25 on write an OCI layout as well, whose manifest says more.
    if archive.has("index.json")
        && let Some(mut opened) = layout_of_docker_image(archive, chosen, wanted)?
    {
        opened.transport = Transport::DockerArchive;
        opened.names = tags(chosen);
        return Ok(opened);
    }
    let image = docker_image(archive, chosen)?;
    Ok(Opened {
        transport: Transport::DockerArchive,
        images: vec![image],
        names: tags(chosen),
        index: None,
        top: None,
        left_out: Vec::new(),
        absent: Vec::new(),
    })
}

/// The layout's own image for one that `manifest.json` lists, found by its config.
fn layout_of_docker_image(archive: &Archive, chosen: &DockerImage, wanted: &Wanted) -> Result<Option<Opened>> {
    let index: Index = archive.json("index.json")?;
    for descriptor in &index.manifests {
        let mut configs = Vec::new();
        configs_below(archive, descriptor, 0, &mut configs)?;
        if configs.iter().any(|config| chosen.config.contains(&config.hex())) {
            return match resolve(archive, descriptor, wanted) {
                // Engines save the whole index with the one platform that they have.
                Err(Error::NoSuchPlatform { .. } | Error::Missing { .. }) => Ok(None),
                found => found.map(Some),
            };
        }
    }
    Ok(None)
}

/// The configs of all manifests below a descriptor; those that are not at hand are passed over.
fn configs_below(archive: &Archive, descriptor: &Descriptor, depth: usize, out: &mut Vec<Digest>) -> Result<()> {
    if depth > MAX_NESTING {
        return Err(Error::NestedTooDeep { path: archive.path().to_owned(), limit: MAX_NESTING });
    }
    if descriptor.is_referrer() || !archive.has(&blob_name(descriptor.digest)) {
        return Ok(());
    }
    if descriptor.is_index() {
        let index: Index = parse_blob(archive, descriptor)?;
        return index.manifests.iter().try_for_each(|below| configs_below(archive, below, depth + 1, out));
    }
    if descriptor.is_manifest() {
        out.push(parse_blob::<Manifest>(archive, descriptor)?.config.digest);
    }
    Ok(())
}

/// The config's digest of the manifest with this digest, where the archive holds one.
fn config_of_manifest(archive: &Archive, digest: Digest) -> Result<Option<Digest>> {
    let name = blob_name(digest);
    if !archive.has(&name) {
        return Ok(None);
    }
    let manifest = serde_json::from_slice(&archive.bytes(&name)?).ok();
    Ok(manifest.map(|manifest: Manifest| manifest.config.digest))
}

fn docker_image(archive: &Archive, image: &DockerImage) -> Result<StoredImage> {
    let path = archive.path();
    let config_bytes = archive.bytes(&image.config)?;
    let config = parse_config(archive, &image.config, &config_bytes)?;
    let stem = image.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    if let Ok(expected) = Digest::from_hex(stem) {
        check_digest(archive, &image.config, expected, &config_bytes)?;
    }
    let mut layers = Vec::new();
    for name in &image.layers {
        layers.push(StoredLayer { name: name.clone(), blob: archive.section(name)?.into(), descriptor: None });
    }
    let descriptors = config.diff_ids().iter().zip(&layers).map(|(&diff_id, layer)| {
        Descriptor::new(jettison_image::Compression::None.media_type(media_dialect()), diff_id, layer.blob.length())
    });
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.to_owned()),
        config: Descriptor::of(media::OCI_CONFIG, &config_bytes),
        layers: descriptors.collect(),
        rest: serde_json::Map::new(),
    };
    let counts = validate::Inconsistency::LayerCount { manifest: layers.len(), config: config.diff_ids().len() };
    if layers.len() != config.diff_ids().len() {
        return Err(Error::Inconsistent { path: path.to_owned(), source: counts });
    }
    Ok(StoredImage { manifest, stored_manifest: None, config, config_bytes, layers, receipt: None })
}

fn media_dialect() -> media::Dialect {
    media::Dialect::Oci
}

fn oci_layout(archive: &Archive, transport: Transport, selector: Option<&Selector>, wanted: &Wanted) -> Result<Opened> {
    let path = archive.path().to_owned();
    let index: Index = archive.json("index.json")?;
    let candidates = candidates(archive, &index)?;
    let names: Vec<String> = candidates.iter().flat_map(|descriptor| names_of(descriptor)).collect();
    let no_such = |wanted: String| Error::NoSuchImage { path: path.clone(), wanted, names: names.clone() };
    let chosen = match selector {
        // One image under several tags is still one image.
        None => match &candidates[..] {
            [first, rest @ ..] if rest.iter().all(|other| other.digest == first.digest) => *first,
            [] => return Err(Error::NotAnImage { path, reason: "its index.json lists no image".to_owned() }),
            _ => {
                return platforms_of_layout(archive, transport, &index, &candidates, wanted)?
                    .ok_or(Error::Ambiguous { path, names });
            }
        },
        Some(Selector::Position(at)) => candidates.get(*at).ok_or_else(|| no_such(format!("at position {at}")))?,
        Some(Selector::Digest(digest)) => {
            candidates.iter().find(|d| d.digest == *digest).ok_or_else(|| no_such(digest.to_string()))?
        }
        Some(Selector::Name(name)) => candidates
            .iter()
            .find(|descriptor| names_of(descriptor).iter().any(|own| is_named(own, name)))
            .ok_or_else(|| no_such(name.clone()))?,
    };
    let mut opened = resolve(archive, chosen, wanted)?;
    opened.transport = transport;
    let same = index.manifests.iter().filter(|descriptor| descriptor.digest == chosen.digest);
    opened.names = same.flat_map(names_of).collect();
    opened.names.dedup();
    left_out(archive, &index, chosen, &mut opened)?;
    Ok(opened)
}

/// What may be meant by who names no image: not what speaks of another one.
fn candidates<'i>(archive: &Archive, index: &'i Index) -> Result<Vec<&'i Descriptor>> {
    let mut candidates = Vec::new();
    for descriptor in &index.manifests {
        let is_named = !names_of(descriptor).is_empty();
        // Some tools list referrers without saying so; nobody gives these a name.
        let refers = !is_named
            && descriptor.is_manifest()
            && archive.has(&blob_name(descriptor.digest))
            && Companion::read(archive, descriptor)?.of.is_some();
        if !descriptor.is_referrer() && companion::named(descriptor).is_none() && !refers {
            candidates.push(descriptor);
        }
    }
    Ok(candidates)
}

/// A layout whose `index.json` is itself the list of platforms: manifests without names, or all of one.
fn platforms_of_layout(
    archive: &Archive,
    transport: Transport,
    index: &Index,
    candidates: &[&Descriptor],
    wanted: &Wanted,
) -> Result<Option<Opened>> {
    let name = names_of(candidates[0]);
    if !candidates.iter().all(|d| d.platform.is_some() && d.is_manifest() && names_of(d) == name) {
        return Ok(None);
    }
    let found = Found::of(archive, index, wanted)?;
    // Its bytes name the image as a list within a layout, not as an index of its own.
    Ok(Some(Opened { transport, names: name, ..opened(found, index.clone(), Vec::new(), wanted) }))
}

/// The names that a descriptor of an `index.json` carries; the fuller one where there are two.
fn names_of(descriptor: &Descriptor) -> Vec<String> {
    let name = descriptor.annotation(CONTAINERD_NAME).or_else(|| descriptor.annotation(REF_NAME));
    name.map(str::to_owned).into_iter().collect()
}

/// Whether a stored name is the one that was asked for: in full, or its tag, or without what Docker adds.
fn is_named(stored: &str, asked: &str) -> bool {
    let short = |name: &str| {
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        name.strip_prefix("library/").unwrap_or(name).to_owned()
    };
    let tag = stored.rsplit_once(':').map_or(stored, |(_, tag)| tag);
    stored == asked
        || short(stored) == short(asked)
        || tag == asked
        || short(stored) == format!("{}:latest", short(asked))
}

fn resolve(archive: &Archive, descriptor: &Descriptor, wanted: &Wanted) -> Result<Opened> {
    if descriptor.is_index() {
        let bytes = archive.checked_document(descriptor)?;
        let index: Index = parse_document(archive, descriptor, &bytes)?;
        let found = Found::of(archive, &index, wanted)?;
        return Ok(Opened { top: Some(descriptor.clone()), ..opened(found, index, bytes, wanted) });
    }
    Ok(Opened {
        transport: Transport::Oci,
        images: vec![stored_image(archive, descriptor)?],
        names: Vec::new(),
        index: None,
        top: Some(descriptor.clone()),
        left_out: Vec::new(),
        absent: Vec::new(),
    })
}

fn opened(found: Found, index: Index, bytes: Vec<u8>, wanted: &Wanted) -> Opened {
    let Found { images, listed, companions, is_nested, absent, .. } = found;
    // One image is taken out of its index: what stands beside it there stays behind.
    let left_out = if wanted.is_one() { companions.iter().map(Companion::name).collect() } else { Vec::new() };
    let index = (!wanted.is_one()).then_some(StoredIndex { index, bytes, listed, is_nested, companions });
    Opened { transport: Transport::Oci, images, names: Vec::new(), index, top: None, left_out, absent }
}

/// What a layout lists beside an image, and speaks of it or of nobody knows what.
fn left_out(archive: &Archive, index: &Index, chosen: &Descriptor, opened: &mut Opened) -> Result<()> {
    for descriptor in &index.manifests {
        if descriptor.digest == chosen.digest || !(descriptor.is_manifest() || descriptor.is_index()) {
            continue;
        }
        let is_referrer = descriptor.is_referrer() || companion::named(descriptor).is_some();
        if !is_referrer && (!names_of(descriptor).is_empty() || !archive.has(&blob_name(descriptor.digest))) {
            continue;
        }
        let companion = Companion::read(archive, descriptor)?;
        let is_of = |image: &StoredImage| image.stored_manifest.as_ref().map(|(_, d)| d.digest) == companion.of;
        let speaks_of_it = match companion.of {
            Some(of) => of == chosen.digest || opened.images.iter().any(is_of),
            None => is_referrer,
        };
        if speaks_of_it && !opened.left_out.contains(&companion.name()) {
            opened.left_out.push(companion.name());
        }
    }
    Ok(())
}

pub(crate) fn stored_image(archive: &Archive, descriptor: &Descriptor) -> Result<StoredImage> {
    let bytes = archive.checked_document(descriptor)?;
    let manifest: Manifest = parse_document(archive, descriptor, &bytes)?;
    if let Some(artifact) = manifest.artifact_type() {
        let name = blob_name(descriptor.digest);
        return Err(Error::Artifact { path: archive.path().to_owned(), name, artifact: artifact.to_owned() });
    }
    let config_bytes = archive.checked_document(&manifest.config)?;
    let config = parse_config(archive, &blob_name(manifest.config.digest), &config_bytes)?;
    validate::layer_count(&manifest, &config)
        .map_err(|source| Error::Inconsistent { path: archive.path().to_owned(), source })?;
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        let name = blob_name(layer.digest);
        layers.push(StoredLayer { blob: archive.blob(layer)?, name, descriptor: Some(layer.clone()) });
    }
    let receipt = AttachedReceipt::of(archive, &manifest);
    let stored_manifest = Some((bytes, descriptor.clone()));
    Ok(StoredImage { manifest, stored_manifest, config, config_bytes, layers, receipt })
}

fn parse_config(archive: &Archive, name: &str, bytes: &[u8]) -> Result<Config> {
    Config::parse(bytes).map_err(|source| Error::Config {
        path: archive.path().to_owned(),
        name: name.to_owned(),
        source,
    })
}

pub(crate) fn parse_blob<T: serde::de::DeserializeOwned>(archive: &Archive, descriptor: &Descriptor) -> Result<T> {
    parse_document(archive, descriptor, &archive.checked_document(descriptor)?)
}

/// Parses the bytes of a manifest or index.
pub(crate) fn parse_document<T: serde::de::DeserializeOwned>(
    archive: &Archive,
    descriptor: &Descriptor,
    bytes: &[u8],
) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json {
        path: archive.path().to_owned(),
        name: blob_name(descriptor.digest),
        source,
    })
}

/// The place of a blob in an OCI layout (image-spec, image-layout.md).
pub(crate) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn check_digest(archive: &Archive, name: &str, expected: Digest, bytes: &[u8]) -> Result<()> {
    let got = Digest::of(bytes);
    if got == expected {
        return Ok(());
    }
    Err(Error::Digest { path: archive.path().to_owned(), name: name.to_owned(), expected, got })
}
