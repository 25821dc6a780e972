//! How lists of paths are written in JSON: a string for each, or its bytes in hexadecimal where it is not UTF-8.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Path<'a> {
    Text(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Bytes { hex: String },
}

pub(super) fn serialize<S: Serializer>(list: &[Vec<u8>], out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(list.iter().map(|path| match std::str::from_utf8(path) {
        Ok(text) => Path::Text(text.into()),
        Err(_) => Path::Bytes { hex: path.iter().map(|byte| format!("{byte:02x}")).collect() },
    }))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Vec<u8>>, D::Error> {
    let list = Vec::<Path<'de>>::deserialize(input)?;
    list.into_iter()
        .map(|path| match path {
            Path::Text(text) => Ok(text.into_owned().into_bytes()),
            Path::Bytes { hex } => from_hex(&hex).ok_or_else(|| D::Error::custom("not a hexadecimal path")),
        })
        .collect()
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}
