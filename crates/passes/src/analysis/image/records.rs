//! Lists of what was installed from wheels, which have the size and the digest of each file: `RECORD` in a folder that ends
//! with `.dist-info` (Python packaging specifications, "Recording installed projects"). Where a file's content changes its
//! line changes with it, or the file stays as it is.

use std::collections::{BTreeMap, HashMap};

use bstr::ByteSlice as _;
use jettison_image::tree::Inode;
use jettison_image::{Digest, Kind, Node, packages};
use jettison_ir::{ImageUnit, Plan};

/// Signatures of a list, which hold for it as it is.
const SIGNATURES: [&[u8]; 2] = [b"RECORD.jws", b"RECORD.p7s"];

/// All lists of an image.
pub(crate) struct Records {
    lists: Vec<(Node, Vec<Vec<u8>>)>,
    /// The lines that speak of a file.
    listings: HashMap<Inode, Vec<Listing>>,
    /// Folders that have a list which could not be read.
    unread: Vec<Node>,
}

/// A line about a file: the list, and the line in it.
#[derive(Clone, Copy)]
pub(crate) struct Listing {
    list: usize,
    line: usize,
    /// Whether the line is of the form that is known, with the digest that the file has.
    is_true: bool,
}

impl Records {
    /// Reads the lists that stay.
    pub(crate) fn of(unit: &ImageUnit<'_>, plan: &Plan) -> Self {
        let tree = &unit.upper;
        let mut records = Self { lists: Vec::new(), listings: HashMap::new(), unread: Vec::new() };
        for node in tree.walk().filter(|node| tree.name(*node) == b"RECORD" && tree.kind(*node) == Kind::File) {
            let folder = tree.parent(node).filter(|folder| tree.name(*folder).ends_with(b".dist-info"));
            let Some(root) = folder.and_then(|folder| tree.parent(folder)) else { continue };
            if plan.edits.is_gone(tree, node) {
                continue;
            }
            match unit.content(node) {
                Some(content) => records.read(unit, node, &tree.path(root), &content),
                None => records.unread.push(root),
            }
        }
        records
    }

    fn read(&mut self, unit: &ImageUnit<'_>, node: Node, root: &[u8], content: &[u8]) {
        let list = self.lists.len();
        let lines: Vec<Vec<u8>> = content.lines_with_terminator().map(<[u8]>::to_vec).collect();
        for (at, line) in lines.iter().enumerate() {
            // A path in quotes is one with a comma or a quote.
            let path = match line.strip_prefix(b"\"") {
                Some(rest) => rest.rsplit_once_str("\"").map_or(rest, |(path, _)| path).replace("\"\"", "\""),
                None => line.split(|&byte| byte == b',').next().unwrap_or_default().to_vec(),
            };
            let absolute = if path.starts_with(b"/") { path } else { [root, b"/", &path].concat() };
            let Some(file) = packages::follow(&unit.upper, &absolute) else { continue };
            let attributes = unit.upper.attributes(file);
            let is_true = match fields(line) {
                Some((_, b"", _)) => continue,
                Some((_, hash, size)) => (hash, size) == (&sum(attributes.digest)[..], &*number(attributes.size)),
                None => false,
            };
            self.listings.entry(unit.upper.inode(file)).or_default().push(Listing { list, line: at, is_true });
        }
        self.lists.push((node, lines));
    }

    /// The lines that have to change with a file; an error where one of them can't.
    pub(crate) fn listings(&self, unit: &ImageUnit<'_>, plan: &Plan, file: Node) -> Result<&[Listing], &'static str> {
        let tree = &unit.upper;
        if tree.ancestors(file).any(|folder| self.unread.contains(&folder)) {
            return Err("a RECORD of what is beside it cannot be read");
        }
        let listings = self.listings.get(&tree.inode(file)).map_or(&[][..], Vec::as_slice);
        for listing in listings {
            let (list, _) = self.lists[listing.list];
            let is_signed = tree
                .parent(list)
                .is_some_and(|folder| SIGNATURES.iter().any(|name| tree.child(folder, name).is_some()));
            // One finding changes both, so that they stay true to each other.
            let is_together = tree.origin(list).layer == tree.origin(file).layer;
            let is_free = plan.edits.of(list).is_none() && tree.links(tree.inode(list)) == 1;
            let is_kept = unit.options.keeps(&tree.path(list)).is_some() || unit.owner(list).is_some();
            if is_signed {
                return Err("the RECORD with its digest is signed");
            }
            if !listing.is_true || !is_together || !is_free || is_kept {
                return Err("the RECORD with its digest cannot be changed with it");
            }
        }
        Ok(listings)
    }

    /// The lists as they are with these lines changed to other digests and sizes.
    pub(crate) fn rewritten(&self, changes: &[(Listing, Digest, u64)]) -> Vec<(Node, Vec<u8>)> {
        let mut new: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
        for (listing, digest, size) in changes {
            let lines = new.entry(listing.list).or_insert_with(|| self.lists[listing.list].1.clone());
            let old = &lines[listing.line];
            let Some((path, ..)) = fields(old) else { continue };
            let end = &old[old.trim_end_with(|c| c == '\n' || c == '\r').len()..];
            lines[listing.line] = [path, b",", &sum(*digest), b",", &*number(*size), end].concat();
        }
        new.into_iter().map(|(list, lines)| (self.lists[list].0, lines.concat())).collect()
    }
}

/// A line's path, digest and size.
fn fields(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let line = line.trim_end_with(|c| c == '\n' || c == '\r');
    let mut fields = line.split(|&byte| byte == b',');
    let all = (fields.next()?, fields.next()?, fields.next()?);
    (fields.next().is_none() && !line.contains(&b'"')).then_some(all)
}

fn number(size: u64) -> Vec<u8> {
    size.to_string().into_bytes()
}

/// `sha256=` and the digest in base 64 with `-` and `_`, without padding.
fn sum(digest: Digest) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = b"sha256=".to_vec();
    for three in digest.0.chunks(3) {
        let sum = three.iter().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte)) << (8 * (3 - three.len()));
        text.extend((0..=three.len()).map(|place| LETTERS[sum >> (18 - 6 * place) & 63]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_written_as_pip_writes_them() {
        // The digest of nothing, as pip lists empty `__init__.py` files.
        assert_eq!(sum(Digest::of(b"")), b"sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU");
    }

    #[test]
    fn lines_of_another_form_are_not_read() {
        assert_eq!(fields(b"a.so,sha256=x,5\r\n"), Some((&b"a.so"[..], &b"sha256=x"[..], &b"5"[..])));
        assert_eq!(fields(b"\"a,b.so\",sha256=x,5\n"), None);
        assert_eq!(fields(b"a.so\n"), None);
    }
}
