//! What a tool made of an image, as a list of lines: read from an unpacked folder, or from the tar of a
//! container's file system. Shares nothing with jettison's own reading.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every path with what is to be seen of it.
pub(crate) type Seen = BTreeMap<PathBuf, String>;

/// Walks an unpacked root file system: type, mode, owner, time, content, target, device, attributes, and
/// hard links by the first of their names.
pub(crate) fn folder(root: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut first_names = BTreeMap::new();
    walk(root, root, &mut first_names, &mut seen);
    assert!(seen.len() > 3, "{} is nearly empty", root.display());
    seen
}

fn walk(root: &Path, path: &Path, first_names: &mut BTreeMap<u64, PathBuf>, seen: &mut Seen) {
    let mut names: Vec<OsString> =
        fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    for name in names {
        let path = path.join(name);
        let relative = path.strip_prefix(root).expect("below the root").to_owned();
        let metadata = fs::symlink_metadata(&path).expect("metadata");
        let kind = metadata.file_type();
        let what = if kind.is_dir() {
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("symlink to {}", fs::read_link(&path).expect("a link").display())
        } else if kind.is_file() {
            format!("file {} {}", metadata.len(), digest(&path))
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else {
            format!("device {}", metadata.rdev())
        };
        let mode = if kind.is_symlink() { 0o777 } else { metadata.mode() & 0o7777 };
        let time = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
        let mut line = format!("{what} {mode:04o} {}:{} {time}{}", metadata.uid(), metadata.gid(), xattrs(&path));
        if metadata.nlink() > 1 && !kind.is_dir() {
            let first = first_names.entry(metadata.ino()).or_insert_with(|| relative.clone());
            line.push_str(&format!(" first name {}", first.display()));
        }
        seen.insert(relative, line);
        if kind.is_dir() {
            walk(root, &path, first_names, seen);
        }
    }
}

fn digest(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("sha256sum");
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .trim_start_matches('\\')
        .to_owned()
}

fn xattrs(path: &Path) -> String {
    let output = Command::new("getfattr").args(["-hdm-", "-e", "hex", "--absolute-names"]).arg(path).output();
    let output = output.expect("getfattr: install Debian's attr");
    let text = String::from_utf8_lossy(&output.stdout);
    let named = |line: &&str| line.contains('=') && !line.starts_with("security.selinux") && !line.contains("overlay.");
    text.lines().filter(named).map(|line| format!(" {line}")).collect()
}

/// The tar that `docker export` gives.
pub(crate) fn tar(bytes: &[u8]) -> Seen {
    let mut seen = Seen::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let header = entry.header().clone();
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(entry.path_bytes().trim_ascii_end()));
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned()).unwrap_or_default();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        let sum = content.iter().fold(0_u64, |sum, &byte| sum.wrapping_mul(1_099_511_628_211) ^ u64::from(byte));
        let line = format!(
            "{:?} {link} {:04o} {}:{} {} {} {sum:x}",
            header.entry_type(),
            header.mode().expect("mode") & 0o7777,
            header.uid().expect("uid"),
            header.gid().expect("gid"),
            header.mtime().expect("mtime"),
            content.len()
        );
        seen.insert(path, line);
    }
    // The engine puts its own files there when it makes the container.
    for made in [
        ".dockerenv",
        "dev/console",
        "dev/pts/",
        "dev/shm/",
        "dev/",
        "etc/",
        "etc/hostname",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
        "proc/",
        "sys/",
        "data/",
    ] {
        seen.remove(Path::new(made));
    }
    assert!(seen.len() > 3, "the exported tar is nearly empty");
    seen
}

/// Fails with the first differences.
pub(crate) fn assert_same(before: &Seen, after: &Seen, what: &str) {
    let gone = before.iter().filter(|(path, line)| after.get(*path) != Some(line));
    let new = after.iter().filter(|(path, _)| !before.contains_key(*path));
    let mut differences: Vec<String> = gone
        .map(|(path, line)| {
            format!("{}: {line} → {}", path.display(), after.get(path).map_or("nothing", String::as_str))
        })
        .collect();
    differences.extend(new.map(|(path, line)| format!("{}: nothing → {line}", path.display())));
    differences.truncate(12);
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}
