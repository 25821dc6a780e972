//! A receipt on a registry: a manifest whose subject is the image, since a blob that no manifest names is collected.

use jettison_image::{Descriptor, Manifest, media};
use serde_json::{Map, Value};

/// What a receipt's manifest says that it is.
pub(crate) const RECEIPT_TYPE: &str = "application/vnd.jettison.receipt.v1+json";
/// The config of what has none (image-spec, "Guidance for an Empty Descriptor").
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
pub(super) const EMPTY: &[u8] = b"{}";

/// The manifest that tells of `image` by a receipt.
pub(super) fn manifest(image: &Descriptor, receipt: Descriptor) -> Manifest {
    let subject = Descriptor::new(&image.media_type, image.digest, image.size);
    let mut rest = Map::new();
    rest.insert("artifactType".to_owned(), Value::from(RECEIPT_TYPE));
    rest.insert("subject".to_owned(), serde_json::to_value(subject).unwrap_or_default());
    Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.to_owned()),
        config: Descriptor::of(EMPTY_TYPE, EMPTY),
        layers: vec![receipt],
        rest,
    }
}
