//! What stands beside the images of an index: signatures, SBOMs, attestations, and artifacts of other kinds.
//!
//! What is stated about an image is true of the very bytes that it names, so it can stay only where these stay.

use jettison_image::manifest::{ATTESTED, CONTAINERD_NAME, PREDICATE, REF_NAME, REFERENCE_TYPE};
use jettison_image::{Descriptor, Digest, Manifest, Platform, media};

use crate::archive::Archive;
use crate::blob::Blob;
use crate::error::Result;

/// A manifest in an index that is no container image.
#[derive(Clone, Debug)]
pub struct Companion {
    /// What the index says of it.
    pub descriptor: Descriptor,
    /// What it is, for people: `SBOM and provenance`, `signature`, `artifact application/x`.
    pub kind: String,
    /// Whether it states something about an image, and not for itself.
    pub is_statement: bool,
    /// The manifest that it speaks of.
    pub of: Option<Digest>,
    /// Its manifest and the bytes of that, where it is at hand with all of its blobs.
    pub(crate) document: Option<(Manifest, Vec<u8>)>,
    /// Its config and its layers.
    pub(crate) blobs: Vec<(Descriptor, Blob)>,
}

impl Companion {
    /// Reads what an index or a layout lists. One whose manifest is not at hand, or is none, is told by its descriptor.
    pub(crate) fn read(archive: &Archive, descriptor: &Descriptor) -> Result<Self> {
        if !descriptor.is_manifest() || !archive.holds(descriptor) {
            return Ok(Self::told(descriptor));
        }
        let bytes = archive.checked_document(descriptor)?;
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else { return Ok(Self::told(descriptor)) };
        let told = Self::of(descriptor, Some(&manifest));
        let all = manifest.layers.iter().chain([&manifest.config]);
        let blobs = all.map(|blob| archive.blob(blob).ok().map(|found| (blob.clone(), found)));
        // Half of one is none.
        let Some(blobs) = blobs.collect::<Option<Vec<_>>>() else { return Ok(told) };
        Ok(Self { document: Some((manifest, bytes)), blobs, ..told })
    }

    /// The same by its descriptor alone.
    pub(crate) fn told(descriptor: &Descriptor) -> Self {
        Self::of(descriptor, None)
    }

    fn of(descriptor: &Descriptor, manifest: Option<&Manifest>) -> Self {
        let named = named(descriptor);
        let attested = descriptor.annotation(ATTESTED).and_then(|digest| digest.parse().ok());
        let of = attested.or(manifest.and_then(Manifest::subject)).or(named.map(|(of, _)| of));
        let kinds = kinds(descriptor, manifest, named.map(|(_, kind)| kind));
        let is_statement = of.is_some() || kinds.iter().any(|kind| STATED.contains(&kind.as_str()));
        let (descriptor, kind) = (descriptor.clone(), kinds.join(" and "));
        Self { descriptor, kind, is_statement, of, document: None, blobs: Vec::new() }
    }

    /// Whether it is at hand with all of its blobs.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.document.is_some()
    }

    /// What it is and which one.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.kind, self.descriptor.digest.short())
    }
}

const SIGNATURE: &str = "signature";
const SBOM: &str = "SBOM";
const PROVENANCE: &str = "provenance";
const ATTESTATION: &str = "attestation";
/// The kinds that state something about an image.
const STATED: [&str; 4] = [SBOM, PROVENANCE, ATTESTATION, SIGNATURE];

/// What a media type, or what an attestation is said to state, is a sign of.
const SIGNS: [(&str, &str); 11] = [
    ("spdx", SBOM),
    ("cyclonedx", SBOM),
    ("syft", SBOM),
    ("sbom", SBOM),
    ("provenance", PROVENANCE),
    ("in-toto", ATTESTATION),
    ("attestation", ATTESTATION),
    ("dsse", ATTESTATION),
    ("cosign", SIGNATURE),
    ("sigstore", SIGNATURE),
    ("signature", SIGNATURE),
];

fn sign_of(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    SIGNS.iter().find(|(sign, _)| text.contains(sign)).map(|(_, kind)| *kind)
}

/// What a companion is: by what its layers state, else by its type, else by the name that it has.
fn kinds(descriptor: &Descriptor, manifest: Option<&Manifest>, named: Option<&'static str>) -> Vec<String> {
    let layers = manifest.map(|manifest| manifest.layers.as_slice()).unwrap_or_default();
    let mut stated: Vec<&str> =
        layers.iter().filter_map(|layer| layer.annotation(PREDICATE).and_then(sign_of)).collect();
    stated.sort_unstable_by_key(|kind| STATED.iter().position(|known| known == kind));
    stated.dedup();
    if !stated.is_empty() {
        return stated.into_iter().map(str::to_owned).collect();
    }
    if let Some(kind) = named {
        return vec![kind.to_owned()];
    }
    let is_attestation = descriptor.platform.as_ref().is_some_and(Platform::is_attestation)
        || descriptor.annotation(REFERENCE_TYPE).is_some();
    let artifact = descriptor.artifact_type().filter(|artifact| !media::is_image_config(artifact));
    let artifact = artifact.or_else(|| manifest.and_then(Manifest::artifact_type));
    let kind = match artifact {
        Some(artifact) => sign_of(artifact).map_or_else(|| format!("artifact {artifact}"), str::to_owned),
        None => "artifact".to_owned(),
    };
    vec![if is_attestation && !STATED.contains(&kind.as_str()) { ATTESTATION.to_owned() } else { kind }]
}

/// What cosign lists under a tag that is made of a digest: which manifest it speaks of, and what it is.
pub(crate) fn named(descriptor: &Descriptor) -> Option<(Digest, &'static str)> {
    let tag = [REF_NAME, CONTAINERD_NAME].iter().find_map(|key| {
        let name = descriptor.annotation(key)?;
        name.rsplit_once(':').map_or(name, |(_, tag)| tag).strip_prefix("sha256-")
    })?;
    let (hex, ending) = tag.split_at_checked(64)?;
    let kind = match ending {
        ".sig" => SIGNATURE,
        ".att" => ATTESTATION,
        ".sbom" => SBOM,
        // The referrers tag schema lists referrers in an index under the bare digest (distribution-spec).
        "" => "list of referrers",
        _ => return None,
    };
    Some((Digest::from_hex(hex).ok()?, kind))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn descriptor(annotations: Value, artifact: Option<&str>) -> Descriptor {
        let mut descriptor = Descriptor::of(media::OCI_MANIFEST, b"");
        descriptor.annotations = serde_json::from_value(annotations).expect("annotations");
        descriptor.rest = artifact.map(|artifact| ("artifactType".to_owned(), json!(artifact))).into_iter().collect();
        descriptor
    }

    fn manifest(config: &str, layers: &[(&str, Option<&str>)]) -> Manifest {
        let layer = |(kind, predicate): &(&str, Option<&str>)| {
            let mut layer = Descriptor::of(kind, b"layer");
            layer.annotations = predicate.map(|text| Map::from_iter([(PREDICATE.to_owned(), json!(text))]));
            layer
        };
        Manifest {
            schema_version: 2,
            media_type: None,
            config: Descriptor::of(config, b"{}"),
            layers: layers.iter().map(layer).collect(),
            rest: Map::new(),
        }
    }

    #[test]
    fn companions_are_called_by_what_they_state() {
        let attestation = json!({ "vnd.docker.reference.type": "attestation-manifest" });
        let in_toto = "application/vnd.in-toto+json";
        let (spdx, slsa) = ("https://spdx.dev/Document", "https://slsa.dev/provenance/v0.2");
        let both = manifest(media::OCI_CONFIG, &[(in_toto, Some(slsa)), (in_toto, Some(spdx))]);
        let signed = manifest(media::OCI_CONFIG, &[("application/vnd.dev.cosign.simplesigning.v1+json", None)]);
        let chart = manifest("application/vnd.cncf.helm.config.v1+json", &[("application/x.tar+gzip", None)]);
        for (annotations, artifact, manifest, expected) in [
            (attestation.clone(), None, Some(&both), "SBOM and provenance"),
            (attestation, None, None, "attestation"),
            (json!({}), None, Some(&signed), "signature"),
            (json!({}), Some("application/vnd.cyclonedx+json"), None, "SBOM"),
            (json!({}), Some("application/vnd.cncf.notary.signature"), None, "signature"),
            (json!({}), Some("application/x"), None, "artifact application/x"),
            (json!({}), None, Some(&chart), "artifact application/vnd.cncf.helm.config.v1+json"),
        ] {
            assert_eq!(kinds(&descriptor(annotations, artifact), manifest, None).join(" and "), expected);
        }
    }

    #[test]
    fn tags_made_of_digests_say_what_they_speak_of() {
        let of = Digest::of(b"image");
        let listed = |ending: &str| descriptor(json!({ REF_NAME: format!("sha256-{}{ending}", of.hex()) }), None);
        for (ending, kind) in [(".sig", "signature"), (".att", "attestation"), (".sbom", "SBOM")] {
            assert_eq!(named(&listed(ending)), Some((of, kind)));
        }
        assert_eq!(named(&listed(".txt")), None);
        assert_eq!(named(&descriptor(json!({ CONTAINERD_NAME: "a/b:sha256-1" }), None)), None);
    }
}
