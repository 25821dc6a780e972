//! Where a path leads in a tree, with the links on the way.

use crate::layer::Kind;
use crate::tree::{Node, ROOT, Tree};

/// Links followed in one path before it counts as a loop (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// What a path leads to.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The file or folder.
    pub(super) node: Node,
    /// The symbolic links that were followed.
    pub(super) links: Vec<Node>,
}

impl Found {
    /// All that the path depends on.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> {
        self.links.iter().copied().chain([self.node])
    }
}

/// Follows a path from the root, its last link included, without leaving the root.
pub(super) fn follow(tree: &Tree<'_>, path: &[u8]) -> Option<Found> {
    let mut left: Vec<&[u8]> = parts(path).rev().collect();
    let mut node = ROOT;
    let mut links = Vec::new();
    while let Some(name) = left.pop() {
        if name == b".." {
            node = tree.parent(node).unwrap_or(ROOT);
            continue;
        }
        let next = tree.child(node, name)?;
        if tree.kind(next) != Kind::Symlink {
            node = next;
            continue;
        }
        links.push(next);
        if links.len() > MOST_LINKS {
            return None;
        }
        let target = tree.attributes(next).link;
        if target.starts_with(b"/") {
            node = ROOT;
        }
        left.extend(parts(target).rev());
    }
    Some(Found { node, links })
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."))
}
