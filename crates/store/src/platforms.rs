//! The images of an index: those that are for a platform that is wanted, and at hand.

use jettison_image::{Descriptor, Digest, Index, Manifest, Platform};

use crate::archive::Archive;
use crate::companion::{self, Companion};
use crate::error::{Error, Result};
use crate::open::{StoredImage, blob_name, parse_blob, stored_image};

/// Indexes within indexes that are followed. Images in use have two levels.
pub(crate) const MAX_NESTING: usize = 8;

/// Which platforms of an image are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One platform. An image that has only one manifest is taken whatever its platform is. Of several instances for the
    /// platform the first is taken, as by clients that know nothing of packings.
    Platform(Platform),
    /// Every manifest for any of these platforms, below an index.
    Platforms(Vec<Platform>),
    /// Every platform that is at hand.
    All,
}

impl Wanted {
    /// Whether one image is wanted, and no index of several.
    #[must_use]
    pub fn is_one(&self) -> bool {
        matches!(self, Self::Platform(_))
    }

    /// Whether an image for a platform is among what is wanted.
    #[must_use]
    pub fn takes(&self, platform: &Platform) -> bool {
        match self {
            Self::Platform(wanted) => platform.satisfies(wanted),
            Self::Platforms(wanted) => wanted.iter().any(|wanted| platform.satisfies(wanted)),
            Self::All => true,
        }
    }
}

/// An index whose images were asked for.
#[derive(Clone, Debug)]
pub struct StoredIndex {
    /// The outermost index.
    pub index: Index,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// All that it lists and that was taken, in order, with what the indexes within it list in their place. The images are
    /// those of [`crate::Opened::images`], in the same order.
    pub listed: Vec<Descriptor>,
    /// Whether it lists indexes.
    pub is_nested: bool,
    /// What it lists beside images.
    pub companions: Vec<Companion>,
}

/// What was found below an index.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) images: Vec<StoredImage>,
    pub(crate) listed: Vec<Descriptor>,
    pub(crate) companions: Vec<Companion>,
    pub(crate) is_nested: bool,
    /// Platforms that are listed but not at hand.
    pub(crate) absent: Vec<String>,
    /// All platforms, for who asked for another one.
    platforms: Vec<String>,
    missing: Option<Digest>,
}

impl Found {
    /// The images below an index that are wanted.
    pub(crate) fn of(archive: &Archive, index: &Index, wanted: &Wanted) -> Result<Self> {
        let mut found = Self::default();
        found.choose(archive, &index.manifests, wanted, 0)?;
        let path = archive.path().to_owned();
        let is_for = |image: &StoredImage, wanted: &Platform| image.platform().satisfies(wanted);
        let unmet = match wanted {
            Wanted::Platform(wanted) => Some(wanted).filter(|_| found.images.is_empty()),
            Wanted::Platforms(all) => all.iter().find(|one| !found.images.iter().any(|image| is_for(image, one))),
            Wanted::All => None,
        };
        if let Some(unmet) = unmet {
            return Err(Error::NoSuchPlatform { path, wanted: unmet.to_string(), platforms: found.platforms });
        }
        match (found.images.is_empty(), found.missing) {
            (false, _) => Ok(found),
            (true, Some(digest)) => Err(Error::Missing { path, name: blob_name(digest) }),
            (true, None) => Err(Error::NotAnImage { path, reason: "its index lists no image".to_owned() }),
        }
    }

    fn choose(&mut self, archive: &Archive, manifests: &[Descriptor], wanted: &Wanted, depth: usize) -> Result<()> {
        for descriptor in manifests {
            if descriptor.is_referrer() || companion::named(descriptor).is_some() {
                self.accompany(archive, descriptor, wanted)?;
                continue;
            }
            // The same twice, as by way of two indexes within this one, is the same.
            if self.listed.contains(descriptor) {
                continue;
            }
            // What the index says of a manifest counts: configs of old lack the variant.
            let told = descriptor.platform.as_ref();
            self.platforms.extend(told.map(Platform::to_string));
            if told.is_some_and(|platform| !wanted.takes(platform)) || (wanted.is_one() && !self.images.is_empty()) {
                continue;
            }
            let is_listed = descriptor.is_index() || descriptor.is_manifest();
            if is_listed && !wanted.is_one() && !is_at_hand(archive, descriptor) {
                let name = told.map_or_else(|| descriptor.digest.short(), Platform::to_string);
                if told.is_some() {
                    self.platforms.pop();
                }
                self.platforms.push(format!("{name} (its blobs are not there)"));
                self.absent.push(name);
                self.missing.get_or_insert(descriptor.digest);
            } else if descriptor.is_index() {
                self.is_nested = true;
                self.below(archive, descriptor, wanted, depth + 1)?;
            } else if descriptor.is_manifest() {
                let image = match stored_image(archive, descriptor) {
                    Err(Error::Artifact { .. }) => {
                        self.accompany(archive, descriptor, wanted)?;
                        continue;
                    }
                    image => image?,
                };
                if told.is_some() || wanted.takes(&image.platform()) {
                    self.listed.push(descriptor.clone());
                    self.images.push(image);
                } else {
                    self.platforms.push(image.platform().to_string());
                }
            }
        }
        Ok(())
    }

    fn below(&mut self, archive: &Archive, descriptor: &Descriptor, wanted: &Wanted, depth: usize) -> Result<()> {
        if depth >= MAX_NESTING {
            return Err(Error::NestedTooDeep { path: archive.path().to_owned(), limit: MAX_NESTING });
        }
        let index: Index = parse_blob(archive, descriptor)?;
        self.choose(archive, &index.manifests, wanted, depth)
    }

    fn accompany(&mut self, archive: &Archive, descriptor: &Descriptor, wanted: &Wanted) -> Result<()> {
        if !self.companions.iter().any(|known| known.descriptor == *descriptor) {
            // What stays behind anyway is not fetched only to tell its kind.
            let is_told = wanted.is_one() && archive.remote().is_some();
            let companion = if is_told { Companion::told(descriptor) } else { Companion::read(archive, descriptor)? };
            self.companions.push(companion);
            self.listed.push(descriptor.clone());
        }
        Ok(())
    }
}

/// Whether an image that an index lists is there. Engines save and pull an index with the platforms that they have: of
/// the others the manifest is missing, or all of the layers. One that lacks some of its blobs is damaged.
fn is_at_hand(archive: &Archive, descriptor: &Descriptor) -> bool {
    if archive.remote().is_some() {
        // Registries take an index only with all that it lists.
        return true;
    }
    if !archive.holds(descriptor) {
        return false;
    }
    let document = archive.checked_document(descriptor).ok();
    let manifest: Option<Manifest> = document.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    // What cannot be read is there, and will be complained of.
    manifest
        .is_none_or(|manifest| manifest.layers.is_empty() || manifest.layers.iter().any(|layer| archive.holds(layer)))
}
