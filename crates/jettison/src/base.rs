//! Finding an image's base: what the user names, what the annotations name, what the history shows.

use anyhow::Result;
use jettison_image::base::{Base, Evidence};
use jettison_image::manifest::{BASE_DIGEST, BASE_NAME};
use jettison_image::{Digest, Platform};
use jettison_store::{ImageName, Reference, Selector, StoredImage, Wanted};

use crate::cli::{BaseArgs, ReadArgs};
use crate::error::Usage;

/// The base of `image`, read from `place`; what could not be used is added to `notes`.
pub(crate) fn find(
    args: &BaseArgs,
    place: &Reference,
    image: &StoredImage,
    read: &ReadArgs,
    notes: &mut Vec<String>,
) -> Result<Base> {
    let none = Base { layers: 0, evidence: Evidence::Nothing };
    if args.squash_all {
        return Ok(none);
    }
    let platform = image.config.platform();
    if let Some(reference) = &args.base {
        let base = diff_ids(reference, &platform, read)?;
        let own = image.config.diff_ids();
        if let Some(at) = (0..base.len()).find(|&at| own.get(at) != base.get(at)) {
            let message = format!("{reference} is not the base of {place}: its layer {} is not the image's", at + 1);
            return Err(Usage::new(message).with_hint("the image may have been built on another version of it").into());
        }
        return Ok(Base { layers: base.len(), evidence: Evidence::Named(reference.to_string()) });
    }
    if let Some(digest) = annotated(image) {
        // The manifest is rarely at hand: the history may tell all the same.
        if let Some(reference) = place_of_base(place, image, digest)
            && let Ok(base) = diff_ids(&reference, &platform, read)
            && image.config.diff_ids().starts_with(&base)
        {
            return Ok(Base { layers: base.len(), evidence: Evidence::Annotation(digest) });
        }
    }
    let base = Base::from_history(&image.config, image.layers.len());
    if let (Evidence::Nothing, Some(name)) =
        (&base.evidence, image.manifest.annotation(BASE_NAME).filter(|name| !name.is_empty()))
    {
        notes.push(format!("the annotations name the base {name}, which is not at hand: --base IMAGE can point to it"));
    }
    Ok(base)
}

fn annotated(image: &StoredImage) -> Option<Digest> {
    image.manifest.annotation(BASE_DIGEST)?.parse().ok()
}

/// Where the base of an image in `place` may be: beside it, and for images of registries where its name says.
fn place_of_base(place: &Reference, image: &StoredImage, digest: Digest) -> Option<Reference> {
    let Some(own) = place.on_registry() else {
        return Some(Reference { selector: Some(Selector::Digest(digest)), ..place.clone() });
    };
    let named = image.manifest.annotation(BASE_NAME).and_then(|name| name.parse::<ImageName>().ok());
    let base = named.unwrap_or(own);
    format!("docker://{}/{}@{digest}", base.domain(), base.path()).parse().ok()
}

fn diff_ids(reference: &Reference, platform: &Platform, read: &ReadArgs) -> Result<Vec<Digest>> {
    let opened = read.open(reference, &Wanted::Platform(platform.clone()))?;
    Ok(opened.images.first().map(|image| image.config.diff_ids().to_vec()).unwrap_or_default())
}
