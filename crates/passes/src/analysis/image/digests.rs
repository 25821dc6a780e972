//! What holds a file to the content that it has, besides lists of packages: digests and signatures that somebody made of it.

use jettison_image::Node;
use jettison_image::elf::has_checksum_beside;
use jettison_ir::ImageUnit;

/// Attributes that are the kernel's digest or signature of a content.
const SEALS: [&[u8]; 2] = [b"security.ima", b"security.evm"];

/// Lists of digests that people make, by their names in lower case.
const SUMS: [&[u8]; 8] = [
    b"sha256sums",
    b"sha256sums.txt",
    b"sha256sum.txt",
    b"sha512sums",
    b"sha1sums",
    b"md5sums",
    b"checksums.txt",
    b"checksums.sha256",
];

/// What holds a file to its content under one of its names, as a half sentence about such files; none where nothing is known
/// that does.
pub(crate) fn holder(unit: &ImageUnit<'_>, name: Node) -> Option<&'static str> {
    let tree = &unit.upper;
    let is_sealed = || tree.attributes(name).xattrs.iter().any(|(name, _)| SEALS.contains(&&name[..]));
    let folders = || tree.ancestors(name).skip(1).filter(|folder| tree.parent(*folder).is_some());
    let is_list = |file: &Node| SUMS.contains(&&tree.name(*file).to_ascii_lowercase()[..]);
    if is_sealed() {
        Some("the kernel holds their content to an extended attribute")
    } else if has_checksum_beside(tree, name).is_some() {
        Some("a checksum or a signature of them is there")
    } else if folders().any(|folder| tree.children(folder).iter().any(is_list)) {
        Some("a list of checksums is in a folder above them")
    } else if folders().any(|folder| tree.child(folder, b"conda-meta").is_some()) {
        Some("conda has checksums of them")
    } else {
        None
    }
}
