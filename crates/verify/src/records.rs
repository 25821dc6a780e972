//! Lists of what was installed from wheels (`RECORD` below `*.dist-info`), before and after files that they list were
//! stripped: only the digests and sizes of these may be others.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Digest, Tree, packages};

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
    let is_followed = |(old, new): (&&[u8], &&[u8])| {
        old == new || is_followed(old, new, root, before, after, stripped).unwrap_or_default()
    };
    old.len() == new.len() && old.iter().zip(&new).all(is_followed)
}

fn is_followed(
    old: &[u8],
    new: &[u8],
    root: &[u8],
    before: &Tree<'_>,
    after: &Tree<'_>,
    stripped: &dyn Fn(&[u8]) -> bool,
) -> Option<bool> {
    let ends = |line: &[u8]| line.ends_with(b"\r");
    let ((name, old_facts), (new_name, new_facts)) = (old.split_once_str(",")?, new.split_once_str(",")?);
    let path = if name.starts_with(b"/") { name.to_vec() } else { [root, b"/", name].concat() };
    let (node, new_node) = (packages::follow(before, &path)?, packages::follow(after, &path)?);
    let facts = |tree: &Tree<'_>, node| {
        let attributes = tree.attributes(node);
        format!("{},{}", sum(attributes.digest), attributes.size).into_bytes()
    };
    Some(
        name == new_name
            && ends(old) == ends(new)
            && old_facts.trim_end() == facts(before, node)
            && new_facts.trim_end() == facts(after, new_node)
            && before.path(node) == after.path(new_node)
            && stripped(&before.path(node)),
    )
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
