//! The files of a database: found through links, read whole, their paths made those of the tree.

use bstr::{BString, ByteSlice as _};
use hashbrown::HashMap;

use super::PackagesError;
use crate::layer::Kind;
use crate::tree::{Node, ROOT, Tree};

/// Links followed in one path before it counts as a loop (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// An image whose databases are read.
pub(super) struct Database<'d, 't> {
    tree: &'d Tree<'t>,
    content: &'d mut dyn FnMut(Node) -> Option<Vec<u8>>,
    /// Where folders lead: most files lie in few of them.
    folders: HashMap<Vec<u8>, Vec<u8>>,
}

/// A file of a database.
pub(super) struct Text {
    /// Its path in the image, for messages.
    pub(super) file: String,
    /// Its path in the tree.
    pub(super) path: Vec<u8>,
    /// Its content.
    pub(super) content: Vec<u8>,
}

impl<'d, 't> Database<'d, 't> {
    pub(super) fn new(tree: &'d Tree<'t>, content: &'d mut dyn FnMut(Node) -> Option<Vec<u8>>) -> Self {
        Self { tree, content, folders: HashMap::new() }
    }

    /// The first of some paths that is a file, read.
    pub(super) fn first(&mut self, paths: &[&str]) -> Result<Option<Text>, PackagesError> {
        for path in paths {
            if let Some(text) = self.text(path.as_bytes())? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// A file at a path, links followed; none where there is none.
    pub(super) fn text(&mut self, path: &[u8]) -> Result<Option<Text>, PackagesError> {
        let Some(node) = follow(self.tree, path).filter(|node| self.tree.kind(*node) == Kind::File) else {
            return Ok(None);
        };
        let path = self.tree.path(node);
        let file = shown(&path);
        match (self.content)(node) {
            Some(content) => Ok(Some(Text { file, path, content })),
            None => Err(PackagesError::Unreadable { file }),
        }
    }

    /// The names in a folder, sorted; none where it is no folder.
    pub(super) fn names(&self, folder: &[u8]) -> Vec<Vec<u8>> {
        let Some(folder) = follow(self.tree, folder) else { return Vec::new() };
        self.tree.children(folder).into_iter().map(|node| self.tree.name(node).to_vec()).collect()
    }

    /// A path of the tree for one that a package names: the links in its folder are followed, it is not.
    pub(super) fn canonical(&mut self, path: &[u8]) -> Vec<u8> {
        canonical(self.tree, path, &mut self.folders)
    }
}

/// The same, with what is known of folders already.
pub(super) fn canonical(tree: &Tree<'_>, path: &[u8], folders: &mut HashMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let clean: Vec<&[u8]> = parts(path).collect();
    let Some((name, folder)) = clean.split_last() else { return Vec::new() };
    let found = folders.entry(folder.join(&b'/')).or_insert_with_key(|folder| lead(tree, folder));
    if found.is_empty() { name.to_vec() } else { [found.as_slice(), b"/", name].concat() }
}

/// A path as messages and the judge write it.
pub(super) fn shown(path: &[u8]) -> String {
    format!("/{}", BString::from(path).escape_bytes())
}

/// The node at a path, links followed, the last one included.
pub(super) fn follow(tree: &Tree<'_>, path: &[u8]) -> Option<Node> {
    tree.find(&lead(tree, path))
}

/// Where a path leads; from what is missing on it stands as it is.
fn lead(tree: &Tree<'_>, path: &[u8]) -> Vec<u8> {
    let mut left: Vec<Vec<u8>> = parts(path).rev().map(<[u8]>::to_vec).collect();
    let mut at = ROOT;
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == b".." {
            at = tree.parent(at).unwrap_or(ROOT);
            continue;
        }
        let Some(node) = tree.child(at, &name) else {
            let missing = std::iter::once(name).chain(left.into_iter().rev());
            return parts(&tree.path(at)).map(<[u8]>::to_vec).chain(missing).collect::<Vec<_>>().join(&b'/');
        };
        if tree.kind(node) != Kind::Symlink {
            at = node;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return path.to_vec();
        }
        let target = tree.attributes(node).link;
        if target.starts_with(b"/") {
            at = ROOT;
        }
        left.extend(parts(target).rev().map(<[u8]>::to_vec));
    }
    tree.path(at)
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."))
}

impl Text {
    /// Its lines with their numbers, counted from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.content.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// What is wrong with a line.
    pub(super) fn error(&self, line: usize, problem: &'static str) -> PackagesError {
        PackagesError::Line { file: self.file.clone(), line, problem }
    }

    /// What is wrong with the whole.
    pub(super) fn damaged(&self, problem: &'static str) -> PackagesError {
        PackagesError::Damaged { file: self.file.clone(), problem }
    }
}

/// Text of a database, which is ASCII but for people's names.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes.to_str_lossy().into_owned()
}
