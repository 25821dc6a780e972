//! Checksums of a file that lie beside it, as cryptographic modules and signers put them.

use super::links::follow;
use crate::layer::Kind;
use crate::tree::{Node, Tree};

/// How files are called that hold a checksum or a signature of another one.
const ENDS: [&str; 10] = [".hmac", ".chk", ".sig", ".sign", ".asc", ".minisig", ".sha256", ".sha512", ".sha1", ".md5"];
/// Folders with checksums of files that lie elsewhere.
const FOLDERS: [&str; 5] =
    ["/lib/fipscheck", "/lib64/fipscheck", "/usr/lib/fipscheck", "/usr/lib64/fipscheck", "/usr/lib64/hmaccalc"];
/// A provider whose checksum stands in OpenSSL's configuration, or in itself.
const PROVIDER: &[u8] = b"fips.so";

/// The file that holds a checksum of this one, or of one of its names: `.libgcrypt.so.20.hmac`, `libsoftokn3.chk`,
/// `sshd.hmac`; changing the file would make it fail its own test. Of OpenSSL's `fips.so` the file itself.
#[must_use]
pub fn has_checksum_beside(tree: &Tree<'_>, node: Node) -> Option<Node> {
    if tree.name(node) == PROVIDER {
        return Some(node);
    }
    let parent = tree.parent(node)?;
    let elsewhere = FOLDERS.iter().filter_map(|folder| follow(tree, folder.as_bytes())).map(|found| found.node);
    std::iter::once(parent).chain(elsewhere).find_map(|folder| {
        let mut files = tree.children(folder).into_iter().filter(|&file| tree.kind(file) != Kind::Directory);
        files.find(|&file| file != node && is_of(tree, tree.name(file), parent, node))
    })
}

/// Whether a checksum's name is made of one of a file's names.
fn is_of(tree: &Tree<'_>, checksum: &[u8], folder: Node, file: Node) -> bool {
    let Some(stem) = ENDS.iter().find_map(|end| checksum.strip_suffix(end.as_bytes())) else { return false };
    let stem = stem.strip_prefix(b".").unwrap_or(stem);
    // NSS leaves the `.so` out.
    [stem.to_vec(), [stem, b".so"].concat()].into_iter().any(|name| {
        let path = [tree.path(folder).as_slice(), b"/", &name].concat();
        follow(tree, &path).is_some_and(|found| tree.inode(found.node) == tree.inode(file))
    })
}
