//! A layer of the demo's image: entries that name files of this machine, written as a tar.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use jettison_image::tar::{END, HeaderSpec, Mtime, header, padding};

/// The content of an entry.
#[derive(Clone)]
pub(super) enum Content {
    Host(PathBuf),
    /// A host file with a line added.
    Edited(PathBuf),
    Text(&'static str),
}

/// An entry of a layer. Folders are added as needed.
pub(super) enum Entry {
    File { path: String, mode: u16, content: Content },
    Whiteout(String),
}

/// Writes the layer of these entries.
pub(super) fn write_layer(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let mut folders = BTreeSet::new();
    for entry in entries {
        let (path, mode, content) = match entry {
            Entry::File { path, mode, content } => (path, *mode, content),
            Entry::Whiteout(path) => (path, 0, &Content::Text("")),
        };
        for (at, _) in path.match_indices('/') {
            if folders.insert(&path[..at]) {
                out.write_all(&blocks(&path[..=at], b'5', 0o755, 0, 0))?;
            }
        }
        let (bytes, mtime) = read(content)?;
        out.write_all(&blocks(path, b'0', mode, mtime, bytes.len() as u64))?;
        out.write_all(&bytes)?;
        out.write_all(&END[..padding(bytes.len() as u64)])?;
    }
    out.write_all(&END)
}

fn read(content: &Content) -> io::Result<(Vec<u8>, i64)> {
    match content {
        Content::Host(path) => Ok((fs::read(path)?, fs::metadata(path)?.mtime())),
        Content::Edited(path) => Ok(([&fs::read(path)?[..], b"# ready\n"].concat(), fs::metadata(path)?.mtime() + 1)),
        Content::Text(text) => Ok((text.as_bytes().to_vec(), 0)),
    }
}

fn blocks(path: &str, type_flag: u8, mode: u16, seconds: i64, size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mtime = Mtime { seconds, nanos: 0 };
    let spec = HeaderSpec {
        type_flag,
        path: path.as_bytes(),
        link: &[],
        mode,
        uid: 0,
        gid: 0,
        mtime,
        size,
        device: (0, 0),
        xattrs: &[],
    };
    header(&spec, &mut out);
    out
}
