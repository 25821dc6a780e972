//! The tar of a final tree, read by other code than jettison's own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

/// Every path with what is to be seen of it, in the words of the cases.
pub(crate) type Tree = BTreeMap<String, String>;

/// Reads the tar.
pub(crate) fn read(path: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut archive = tar::Archive::new(BufReader::new(File::open(path).expect("the tar")));
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let header = entry.header().clone();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").trim_matches('/').to_owned();
        let mode = header.mode().expect("a mode") & 0o7777;
        let owner = format!("{}:{}", header.uid().expect("a uid"), header.gid().expect("a gid"));
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned()).unwrap_or_default();
        let device = || {
            let number = |number: std::io::Result<Option<u32>>| number.ok().flatten().unwrap_or_default();
            format!("{},{}", number(header.device_major()), number(header.device_minor()))
        };
        let seen = match header.entry_type() {
            tar::EntryType::Directory => format!("d {mode:04o} {owner}"),
            tar::EntryType::Symlink => format!("l {owner} -> {link}"),
            tar::EntryType::Fifo => format!("p {mode:04o} {owner}"),
            tar::EntryType::Char => format!("c {mode:04o} {owner} {}", device()),
            tar::EntryType::Block => format!("b {mode:04o} {owner} {}", device()),
            tar::EntryType::Link => {
                let first = link.trim_start_matches("./").trim_matches('/');
                tree.get(first).cloned().unwrap_or_else(|| panic!("{name} is a link to {first}, which is not there"))
            }
            _ => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("content");
                format!("f {mode:04o} {owner} {:?}", String::from_utf8_lossy(&content))
            }
        };
        if !name.is_empty() {
            tree.insert(name, seen);
        }
    }
    tree
}
