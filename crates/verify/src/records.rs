//! Lists of what was installed from wheels (`RECORD` below `*.dist-info`), before and after files that they list were
//! stripped: only the digests and sizes of these may be others.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Digest, Node, Tree, packages};

/// Whether one list is the other with the digests and sizes of stripped files. `stripped` are the paths of files that were
/// found to be what they were without their symbols.
pub(crate) fn is_same_list(
    path: &[u8],
    (old, new): (&[u8], &[u8]),
    (before, after): (&Tree<'_>, &Tree<'_>),
    stripped: &dyn Fn(&[u8]) -> bool,
) -> bool {
    let Some((folder, b"RECORD")) = path.rsplit_once_str("/") else { return false };
    let root = folder.rsplit_once_str("/").map_or(&b""[..], |(root, _)| root);
    if !folder.ends_with(b".dist-info") {
        return false;
    }
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) = (old.split_str("\n").collect(), new.split_str("\n").collect());
    let lists = Lists { root, before, after, stripped };
    old.len() == new.len()
        && old.iter().zip(&new).all(|(old, new)| if old == new { lists.may_stay(old) } else { lists.follows(old, new) })
}

struct Lists<'l, 'b, 'a> {
    root: &'l [u8],
    before: &'l Tree<'b>,
    after: &'l Tree<'a>,
    stripped: &'l dyn Fn(&[u8]) -> bool,
}

impl Lists<'_, '_, '_> {
    fn file(&self, tree: &Tree<'_>, name: &[u8]) -> Option<Node> {
        let path = if name.starts_with(b"/") { name.to_vec() } else { [self.root, b"/", name].concat() };
        packages::follow(tree, &path)
    }

    /// Whether a line is about a file that was not stripped, or has no digest.
    fn may_stay(&self, line: &[u8]) -> bool {
        let Some((name, facts)) = line.split_once_str(",") else { return true };
        let file = self.file(self.before, name).map(|node| self.before.path(node));
        facts.trim_end() == b"," || !file.is_some_and(|path| (self.stripped)(&path))
    }

    /// Whether a line has the digest and the size of a file that was stripped, and had those of the file before.
    fn follows(&self, old: &[u8], new: &[u8]) -> bool {
        let (Some((name, had)), Some((new_name, has))) = (old.split_once_str(","), new.split_once_str(",")) else {
            return false;
        };
        let (Some(file), Some(new_file)) = (self.file(self.before, name), self.file(self.after, name)) else {
            return false;
        };
        let facts = |tree: &Tree<'_>, node, end: &[u8]| {
            let attributes = tree.attributes(node);
            [format!("{},{}", sum(attributes.digest), attributes.size).as_bytes(), end].concat()
        };
        let end: &[u8] = if old.ends_with(b"\r") { b"\r" } else { b"" };
        name == new_name
            && had == facts(self.before, file, end)
            && has == facts(self.after, new_file, end)
            && self.before.path(file) == self.after.path(new_file)
            && (self.stripped)(&self.before.path(file))
    }
}

/// A digest as lists have it: base 64 of RFC 4648, section 5, without padding.
fn sum(digest: Digest) -> String {
    let mut text = "sha256=".to_owned();
    let (mut bits, mut count) = (0u32, 0);
    for byte in digest.0 {
        (bits, count) = (bits << 8 | u32::from(byte), count + 8);
        while count >= 6 {
            count -= 6;
            text.push(letter(bits >> count & 63));
        }
    }
    if count > 0 {
        text.push(letter(bits << (6 - count) & 63));
    }
    text
}

fn letter(value: u32) -> char {
    let value = u8::try_from(value).unwrap_or_default();
    char::from(match value {
        0..26 => b'A' + value,
        26..52 => b'a' + (value - 26),
        52..62 => b'0' + (value - 52),
        62 => b'-',
        _ => b'_',
    })
}

/// The paths of lists whose contents differ.
pub(crate) fn lists(paths: &BTreeSet<Vec<u8>>) -> impl Iterator<Item = &Vec<u8>> {
    paths.iter().filter(|path| path.ends_with(b".dist-info/RECORD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_wheels() {
        assert_eq!(sum(Digest::of(b"")), "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    }
}
