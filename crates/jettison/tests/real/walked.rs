//! What lies in an unpacked root file system, by a walk that shares nothing with jettison's reading or judging: type, mode,
//! owner, size, content, target, device, extended attributes, and which names are one file. Times are left out.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::tools::{run, text};

/// Every path below the root, with what is to be seen of it.
pub(crate) type Walked = BTreeMap<PathBuf, String>;

/// Walks a root file system.
pub(crate) fn walk(root: &Path) -> Walked {
    let attributes = attributes(root);
    let (mut seen, mut names, mut left) = (Walked::new(), BTreeMap::<u64, Vec<PathBuf>>::new(), vec![root.to_owned()]);
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).expect("metadata");
        let (kind, relative) = (metadata.file_type(), path.strip_prefix(root).expect("below the root").to_owned());
        let what = if kind.is_dir() {
            left.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            "folder".to_owned()
        } else if kind.is_symlink() {
            format!("link to {}", fs::read_link(&path).expect("a link").display())
        } else if kind.is_file() {
            let mut hasher = DefaultHasher::new();
            hasher.write(&fs::read(&path).expect("content"));
            format!("file of {} bytes, {:x}", metadata.len(), hasher.finish())
        } else if kind.is_fifo() {
            "pipe".to_owned()
        } else if kind.is_socket() {
            "socket".to_owned()
        } else {
            format!("{} device {:x}", if kind.is_block_device() { "block" } else { "character" }, metadata.rdev())
        };
        // A link has no mode of its own.
        let mode = if kind.is_symlink() { 0o777 } else { metadata.mode() & 0o7777 };
        let more = attributes.get(path.as_os_str().as_bytes()).map_or("", String::as_str);
        seen.insert(relative.clone(), format!("{what} {mode:04o} {}:{}{more}", metadata.uid(), metadata.gid()));
        if metadata.nlink() > 1 && !kind.is_dir() {
            names.entry(metadata.ino()).or_default().push(relative);
        }
    }
    for mut group in names.into_values() {
        group.sort();
        let first = group[0].clone();
        for name in &group {
            seen.get_mut(name).expect("it was walked").push_str(&format!(" is {}", first.display()));
        }
    }
    assert!(!seen.is_empty(), "{} is empty", root.display());
    seen
}

/// The extended attributes by path, as getfattr tells them; overlayfs' own are none of the image's.
fn attributes(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let said = run("getfattr", &["-R", "-h", "-d", "-m-", "-e", "hex", "--absolute-names", text(root)]);
    let (mut all, mut path) = (BTreeMap::new(), Vec::new());
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("# file: ") {
            path = unescaped(name);
        } else if line.contains('=') && !line.starts_with("security.selinux") && !line.contains("overlay.") {
            all.entry(path.clone()).or_insert_with(String::new).push_str(&format!(" {line}"));
        }
    }
    all
}

/// getfattr writes what is no plain letter as a backslash with three octal digits.
fn unescaped(name: &str) -> Vec<u8> {
    let (mut bytes, mut left) = (Vec::new(), name.as_bytes());
    while let Some((&first, rest)) = left.split_first() {
        let digits = rest.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                left = &rest[3..];
            }
            None => {
                bytes.push(first);
                left = rest;
            }
        }
    }
    bytes
}

/// The paths that differ, each with both sides.
pub(crate) fn differences(before: &Walked, after: &Walked) -> BTreeMap<PathBuf, (Option<String>, Option<String>)> {
    let paths = before.keys().chain(after.keys());
    let pair = |path: &PathBuf| (path.clone(), (before.get(path).cloned(), after.get(path).cloned()));
    paths.filter(|path| before.get(*path) != after.get(*path)).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;
    use crate::tools::folder;

    #[test]
    fn everything_that_differs_is_seen() {
        let (one, two) = (folder(), folder());
        let both = |make: &dyn Fn(&Path)| [&one, &two].iter().for_each(|folder| make(folder.path()));
        both(&|root| {
            for name in ["content", "mode", "owner", "attribute", "linked", "gone", "same", "odd name \\ \u{e9}"] {
                fs::write(root.join(name), "1").expect("writes");
            }
            symlink("content", root.join("target")).expect("a link");
            fs::hard_link(root.join("linked"), root.join("linked-too")).expect("a link");
        });
        let root = two.path();
        fs::write(root.join("content"), "2").expect("writes");
        fs::set_permissions(root.join("mode"), fs::Permissions::from_mode(0o4755)).expect("a mode");
        chown(root.join("owner"), Some(7), None).expect("root");
        for name in ["attribute", "odd name \\ \u{e9}"] {
            run("setfattr", &["-n", "user.note", "-v", "2", text(&root.join(name))]);
        }
        fs::remove_file(root.join("target")).expect("removes");
        symlink("mode", root.join("target")).expect("a link");
        fs::remove_file(root.join("linked-too")).expect("removes");
        fs::write(root.join("linked-too"), "1").expect("writes");
        fs::remove_file(root.join("gone")).expect("removes");
        fs::create_dir(root.join("new")).expect("a folder");
        let found = differences(&walk(one.path()), &walk(root));
        let found: Vec<String> = found.keys().map(|path| path.display().to_string()).collect();
        let odd = "odd name \\ \u{e9}";
        let expected = ["attribute", "content", "gone", "linked", "linked-too", "mode", "new", odd, "owner", "target"];
        assert_eq!(found, expected);
    }
}
