//! Descriptors, image manifests and indexes, kept field for field: what is not known is carried along.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::media;
use crate::platform::Platform;

/// The annotation that holds an image's tag in an OCI layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation in which containerd and Docker keep the full name.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The annotation that names the base image's manifest digest.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// The annotation that names the base image's reference.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// The annotation of an instance in an index that says, by `true`, that its layers are packed by zstd. What knows it takes
/// such an instance where it can, and where several are for one platform; what does not takes the first one
/// (containers/image, `internal/manifest/oci_index.go`).
pub const ZSTD_INSTANCE: &str = "io.github.containers.compression.zstd";
/// What annotations begin with in which containerd notes where else a blob can be had.
pub const DISTRIBUTION_SOURCE: &str = "containerd.io/distribution.source.";
/// The annotation of an attestation in an index that names the manifest it speaks of (BuildKit's attestation storage).
pub const ATTESTED: &str = "vnd.docker.reference.digest";
/// The annotation that says what kind of reference it is, beside [`ATTESTED`].
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// The annotation of an attestation's layer that says what it states (in-toto).
pub const PREDICATE: &str = "in-toto.io/predicate-type";
/// The annotation that names the blob of the receipt of jettison's work: an image's manifest has it, and the blob lies
/// beside the image's others.
pub const RECEIPT: &str = "dev.jettison.receipt";

/// A content descriptor (image-spec, descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// The digest of the blob's bytes as stored.
    pub digest: Digest,
    /// The blob's size in bytes as stored.
    pub size: u64,
    /// For manifests in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Arbitrary metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Map<String, Value>>,
    /// `urls`, `data`, `artifactType` and whatever else is there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Descriptor {
    /// The descriptor of a blob with these bytes.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor without annotations or other fields.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, platform: None, annotations: None, rest: Map::new() }
    }

    /// The text of one annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key)?.as_str()
    }

    /// Whether the blob is a manifest that attests to, signs or otherwise refers to another one.
    #[must_use]
    pub fn is_referrer(&self) -> bool {
        self.platform.as_ref().is_some_and(Platform::is_attestation)
            || self.annotation(REFERENCE_TYPE).is_some()
            // Lists of referrers name the config's media type where an image states no type of its own.
            || self.artifact_type().is_some_and(|artifact| !media::is_image_config(artifact))
    }

    /// What an artifact is.
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        self.rest.get("artifactType")?.as_str()
    }

    /// Takes away annotations by their names. An object left empty goes with them.
    pub fn remove_annotations(&mut self, mut is_meant: impl FnMut(&str) -> bool) {
        if let Some(annotations) = &mut self.annotations {
            annotations.retain(|key, _| !is_meant(key));
        }
        self.annotations = self.annotations.take().filter(|annotations| !annotations.is_empty());
    }

    /// Whether the blob is an index, in either dialect.
    #[must_use]
    pub fn is_index(&self) -> bool {
        [media::OCI_INDEX, media::DOCKER_INDEX].contains(&self.media_type.as_str())
    }

    /// Whether the blob is an image manifest, in either dialect.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        [media::OCI_MANIFEST, media::DOCKER_MANIFEST].contains(&self.media_type.as_str())
    }
}

/// An image manifest (image-spec, manifest.md; Docker's schema 2 has the same shape).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// May be missing in OCI manifests of old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// `annotations`, `subject`, `artifactType` and whatever else is there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Manifest {
    /// What it is a manifest of, where that is no container image: its own type, or that of its config
    /// (image-spec, manifest.md, guidelines for artifact usage).
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        let config = self.config.media_type.as_str();
        let own = self.rest.get("artifactType").and_then(Value::as_str);
        // cosign and BuildKit give what they state about images an image's config.
        let states = |layer: &&Descriptor| media::STATEMENTS.iter().any(|kind| layer.media_type.starts_with(kind));
        let is_statement = self.layers.iter().all(|layer| states(&layer));
        let statement = self.layers.first().filter(|_| is_statement).map(|layer| layer.media_type.as_str());
        statement.or_else(|| (!media::is_image_config(config)).then(|| own.unwrap_or(config)))
    }

    /// The digest of the manifest that this one refers to.
    #[must_use]
    pub fn subject(&self) -> Option<Digest> {
        subject(&self.rest)
    }

    /// The text of one annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.rest.get("annotations")?.get(key)?.as_str()
    }

    /// Sets one annotation.
    pub fn set_annotation(&mut self, key: &str, value: &str) {
        let annotations = self.rest.entry("annotations").or_insert(Value::Null);
        match annotations.as_object_mut() {
            Some(annotations) => drop(annotations.insert(key.to_owned(), Value::from(value))),
            None => *annotations = Value::Object(Map::from_iter([(key.to_owned(), Value::from(value))])),
        }
    }

    /// The digest of the receipt's blob, where one was attached.
    #[must_use]
    pub fn receipt(&self) -> Option<Digest> {
        self.annotation(RECEIPT)?.parse().ok()
    }

    /// Takes one annotation away and says what it was. An `annotations` object left empty goes with it.
    pub fn remove_annotation(&mut self, key: &str) -> Option<Value> {
        let annotations = self.rest.get_mut("annotations")?.as_object_mut()?;
        let value = annotations.shift_remove(key);
        if annotations.is_empty() {
            self.rest.shift_remove("annotations");
        }
        value
    }
}

/// An index of manifests (image-spec, image-index.md), also the `index.json` of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// May be missing in layouts of old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Manifests, or indexes of their own.
    pub manifests: Vec<Descriptor>,
    /// `annotations`, `subject` and whatever else is there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Index {
    /// The digest of the manifest that this one refers to.
    #[must_use]
    pub fn subject(&self) -> Option<Digest> {
        subject(&self.rest)
    }

    /// An OCI index of `manifests`.
    #[must_use]
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: Some(media::OCI_INDEX.to_owned()), manifests, rest: Map::new() }
    }
}

fn subject(rest: &Map<String, Value>) -> Option<Digest> {
    rest.get("subject")?.get("digest")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive() {
        let text = r#"{"schemaVersion":2,"config":{"mediaType":"c","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"data":"AA=="},"layers":[],"annotations":{"a":"b"},"x-new":[1]}"#;
        let manifest: Manifest = serde_json::from_str(text).expect("parses");
        assert_eq!(serde_json::to_string(&manifest).expect("prints"), text);
        assert_eq!(manifest.annotation("a"), Some("b"));
    }

    #[test]
    fn an_annotation_is_set_where_there_are_others_and_where_there_are_none() {
        let bare = r#""schemaVersion":2,"config":{"mediaType":"c","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]"#;
        for (before, after) in [
            ("", r#","annotations":{"a":"new"}"#),
            (r#","annotations":null"#, r#","annotations":{"a":"new"}"#),
            (r#","annotations":{"b":"c","a":"old"}"#, r#","annotations":{"b":"c","a":"new"}"#),
        ] {
            let mut manifest: Manifest = serde_json::from_str(&format!("{{{bare}{before}}}")).expect("parses");
            manifest.set_annotation("a", "new");
            assert_eq!(serde_json::to_string(&manifest).expect("prints"), format!("{{{bare}{after}}}"));
        }
    }

    #[test]
    fn an_empty_annotations_object_goes_with_its_last_key() {
        let text = r#"{"schemaVersion":2,"config":{"mediaType":"c","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[],"annotations":{"a":"b"}}"#;
        let mut manifest: Manifest = serde_json::from_str(text).expect("parses");
        assert_eq!(manifest.remove_annotation("a"), Some(Value::from("b")));
        assert!(manifest.rest.is_empty());
    }

    #[test]
    fn artifacts_are_told_from_images() {
        let of = |config: &str, rest: &str| {
            let text = format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}},"layers":[]{rest}}}"#
            );
            let manifest: Manifest = serde_json::from_str(&text).expect("parses");
            (manifest.artifact_type().map(str::to_owned), manifest.subject())
        };
        let subject = format!(r#","subject":{{"digest":"{}"}}"#, Digest::of(b"x"));
        assert_eq!(of(media::OCI_CONFIG, r#","artifactType":"a/b""#), (None, None));
        assert_eq!(of(media::DOCKER_CONFIG, &subject), (None, Some(Digest::of(b"x"))));
        assert_eq!(of("application/vnd.oci.empty.v1+json", r#","artifactType":"a/b""#).0.as_deref(), Some("a/b"));
        let chart = "application/vnd.cncf.helm.config.v1+json";
        assert_eq!(of(chart, "").0.as_deref(), Some(chart));
        let listed = |artifact: &str| {
            let mut descriptor = Descriptor::of(media::OCI_MANIFEST, b"");
            descriptor.rest.insert("artifactType".to_owned(), Value::from(artifact));
            descriptor.is_referrer()
        };
        assert!(listed("application/spdx+json") && !listed(media::OCI_CONFIG));
    }

    #[test]
    fn annotations_go_by_their_names() {
        let mut descriptor = Descriptor::of(media::OCI_MANIFEST, b"");
        descriptor.annotations =
            Some(Map::from_iter([("a.b".to_owned(), Value::from("c")), ("d".to_owned(), Value::Null)]));
        descriptor.remove_annotations(|key| key.starts_with("a."));
        assert_eq!(descriptor.annotations.as_ref().map(Map::len), Some(1));
        descriptor.remove_annotations(|key| key == "d");
        assert_eq!(descriptor, Descriptor::of(media::OCI_MANIFEST, b""));
    }
}
