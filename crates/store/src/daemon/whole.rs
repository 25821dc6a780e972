//! Whether an engine gave an archive to its end. Docker's engine answers 200 before it knows that all goes well: where
//! it fails midway, it ends the answer as if nothing were wrong, at most with a line of JSON that says why.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use jettison_image::{Limits, tar};
use serde_json::Value;

use crate::archive::Archive;
use crate::error::Error;

/// The longest message at the end of an answer that is looked for.
const MESSAGE: u64 = 64 << 10;
/// What every docker archive lists its images in.
const LIST: &str = "manifest.json";

/// What is missing in an archive that was written to `file`; `None` where it is whole: its members are all there, the
/// list of images too, and it ends with a tar's end marker.
pub(super) fn missing(file: &mut File) -> io::Result<Option<String>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MESSAGE)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if let Some(message) = message(&tail) {
        return Ok(Some(message));
    }
    if !tail.ends_with(&tar::END) || length % tar::BLOCK as u64 != 0 {
        return Ok(Some(format!("the archive ends after {length} bytes, before its end marker")));
    }
    file.seek(SeekFrom::Start(0))?;
    match Archive::of_file(Path::new("the archive"), file.try_clone()?, Limits::default()) {
        Ok(archive) if archive.has(LIST) => Ok(None),
        Ok(_) => Ok(Some(format!("the archive has no {LIST}"))),
        Err(Error::Io { source, .. }) => Err(source),
        Err(error) => Ok(Some(crate::remote::chain(&error))),
    }
}

/// The engine's own words, where they stand at the end: `{"errorDetail":{"message":"..."},"error":"..."}`.
fn message(tail: &[u8]) -> Option<String> {
    let tail = tail.trim_ascii_end();
    if !tail.ends_with(b"}") {
        return None;
    }
    const START: &[u8] = b"{\"errorDetail\"";
    let at = tail.windows(START.len()).rposition(|window| window == START)?;
    let value: Value = serde_json::from_slice(&tail[at..]).ok()?;
    value.pointer("/errorDetail/message").and_then(Value::as_str).map(str::to_owned)
}
