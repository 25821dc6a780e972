//! Hand-written images with every trouble of layers, kept beside the project: the merged tree is the one
//! that was written down for each, in every field.

#[path = "rebuild/mod.rs"]
mod rebuild;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jettison_image::changes::Cut;
use jettison_image::tree::{Node, ROOT};
use jettison_image::{Compression, Config, Digest, Index, Kind, Manifest, Tree, validate};
use serde_json::{Value, json};

use rebuild::Stack;

/// The folder with the images: below `JETTISON_SHARED`, or beside the repository.
fn folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("JETTISON_SHARED").map_or_else(beside, PathBuf::from);
    let folder = shared.join("images/nasty");
    assert!(
        folder.is_dir(),
        "no images in {}: set JETTISON_SHARED to the folder that holds images/nasty",
        folder.display()
    );
    folder
}

/// The blobs of an OCI archive by digest, and its index.
fn read_archive(path: &Path) -> (BTreeMap<Digest, Vec<u8>>, Index) {
    let mut archive = tar::Archive::new(fs::File::open(path).expect("opens"));
    let (mut blobs, mut index) = (BTreeMap::new(), None);
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("a member");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("content");
        let name = entry.path().expect("a path").into_owned();
        if name == Path::new("index.json") {
            index = Some(serde_json::from_slice(&bytes).expect("an index"));
        } else if name.starts_with("blobs/sha256") {
            blobs.insert(Digest::of(&bytes), bytes);
        }
    }
    (blobs, index.expect("index.json"))
}

fn unpacked(mut blob: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let read = match Compression::of_magic(blob) {
        Compression::None => blob.read_to_end(&mut out),
        Compression::Gzip => flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut out),
        Compression::Zstd => zstd::Decoder::new(blob).expect("zstd").read_to_end(&mut out),
    };
    read.expect("unpacks");
    out
}

fn stack(archive: &Path) -> Stack {
    let (blobs, index) = read_archive(archive);
    let descriptor = index.manifests.iter().find(|descriptor| !descriptor.is_referrer()).expect("an image");
    let manifest: Manifest = serde_json::from_slice(&blobs[&descriptor.digest]).expect("a manifest");
    let config = Config::parse(&blobs[&manifest.config.digest]).expect("a config");
    let tars: Vec<Vec<u8>> = manifest.layers.iter().map(|layer| unpacked(&blobs[&layer.digest])).collect();
    let digests: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
    validate::layer_count(&manifest, &config).expect("as many layers as diff IDs");
    validate::diff_ids(&config, &digests).expect("the layers of the config");
    Stack::read(tars)
}

/// A node in the form of the expected lines.
fn described(tree: &Tree<'_>, node: Node) -> Value {
    let seen = tree.attributes(node);
    let kind = match seen.kind {
        Kind::Directory => "dir",
        Kind::Symlink => "symlink",
        Kind::CharDevice => "char",
        Kind::BlockDevice => "block",
        Kind::Fifo => "fifo",
        Kind::File | Kind::HardLink | Kind::Whiteout | Kind::Opaque => "file",
    };
    let mut out = json!({ "type": kind, "mode": format!("{:04o}", seen.mode), "uid": seen.uid, "gid": seen.gid });
    out["mtime"] = json!([seen.mtime.seconds, seen.mtime.nanos]);
    if tree.origin(node).entry.is_none() {
        (out["mtime"], out["implicit"]) = (Value::Null, json!(true));
    }
    match seen.kind {
        Kind::File => (out["size"], out["sha256"]) = (json!(seen.size), json!(seen.digest.hex())),
        Kind::Symlink => out["link"] = json!(String::from_utf8_lossy(seen.link)),
        Kind::CharDevice | Kind::BlockDevice => out["dev"] = json!([seen.device.0, seen.device.1]),
        _ => {}
    }
    if !seen.xattrs.is_empty() {
        let xattrs =
            seen.xattrs.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), base64(value)));
        out["xattrs"] = xattrs.collect();
    }
    out
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> Value {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let shown = digit <= chunk.len();
            out.push(if shown { char::from(DIGITS[bits >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    Value::from(out)
}

/// The tree by path: the text of the path, or its base64 where it is not UTF-8.
fn seen(tree: &Tree<'_>) -> BTreeMap<String, Value> {
    let groups = tree.hard_links();
    let shown = |node| match String::from_utf8(tree.path(node)) {
        Ok(path) => path,
        Err(error) => format!("base64 {}", base64(error.as_bytes()).as_str().expect("a text")),
    };
    let nodes = tree.walk().filter(|&node| node != ROOT).map(|node| {
        let mut described = described(tree, node);
        if let Some(names) = groups.get(&tree.inode(node)) {
            described["hardlinks"] = names.iter().map(|&name| shown(name)).collect();
        }
        (shown(node), described)
    });
    nodes.collect()
}

fn expected(lines: &str) -> BTreeMap<String, Value> {
    let parsed = lines.lines().map(|line| {
        let mut value: Value = serde_json::from_str(line).expect("JSON");
        let fields = value.as_object_mut().expect("an object");
        let (path, base64) = (fields.remove("path"), fields.remove("path_b64"));
        let path = match (path, base64) {
            (Some(Value::String(path)), None) => path,
            (_, Some(Value::String(base64))) => format!("base64 {base64}"),
            other => panic!("no path: {other:?}"),
        };
        (path, value)
    });
    parsed.collect()
}

/// The images, each with its path but for `.oci.tar`.
fn images() -> Vec<(String, Stack)> {
    let files = fs::read_dir(folder()).expect("lists").map(|file| file.expect("lists").path());
    let images = files.filter_map(|path| Some((path.to_str()?.strip_suffix(".oci.tar")?.to_owned(), stack(&path))));
    let images: Vec<_> = images.collect();
    assert!(!images.is_empty(), "no *.oci.tar in {}", folder().display());
    images
}

#[test]
fn the_merged_tree_is_the_expected_one() {
    for (name, stack) in images() {
        let lines = fs::read_to_string(format!("{name}.expected.jsonl")).expect("the expected tree");
        let (seen, expected) = (seen(&stack.tree()), expected(&lines));
        let paths: BTreeSet<&String> = seen.keys().chain(expected.keys()).collect();
        for path in paths {
            assert_eq!(seen.get(path), expected.get(path), "{path:?} of {name}");
        }
    }
}

#[test]
fn each_is_rebuilt_to_the_same_tree() {
    for (_, stack) in images() {
        for kept in 0..=stack.layers.len() {
            for cut in [Cut::ByLayer, Cut::Ranges(5)] {
                stack.check_rebuilt(kept, cut);
            }
        }
    }
}
