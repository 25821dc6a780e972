//! Where the reference data is, and how it is read. That it is missing is a failure.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// A file of the test data.
pub(crate) fn path(name: &str) -> PathBuf {
    let root = std::env::var_os("JETTISON_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join(name);
    assert!(path.exists(), "there is no test data at {}; set JETTISON_SHARED", path.display());
    path
}

/// The lines of a file, unpacked where its name ends in `.zst`.
pub(crate) fn json_lines(name: &str) -> impl Iterator<Item = serde_json::Value> {
    let file = File::open(path(name)).expect("readable test data");
    let reader: Box<dyn Read> =
        if name.ends_with(".zst") { Box::new(zstd::Decoder::new(file).expect("zstd")) } else { Box::new(file) };
    BufReader::new(reader).lines().map(|line| serde_json::from_str(&line.expect("text")).expect("JSON"))
}

/// The Dockerfiles of the corpus by path.
pub(crate) fn dockerfiles() -> BTreeMap<String, Vec<u8>> {
    let file = File::open(path("corpus/dockerfiles.tar.zst")).expect("readable test data");
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).expect("zstd"));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let path = entry.path().expect("a path").to_string_lossy().trim_start_matches("./").to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("content");
            files.insert(path, bytes);
        }
    }
    files
}
