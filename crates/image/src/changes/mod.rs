//! What a layer must hold to turn one tree into another: the least set of entries and whiteouts, in a
//! canonical order, so that equal trees give equal bytes whatever their history was (files that are stored
//! sparse stay so).

mod cut;
mod grouping;
mod groups;
mod model;
mod write;

use hashbrown::HashMap;

use crate::layer::Kind;
use crate::tree::{Inode, Node, ROOT, Tree};

pub use cut::{Cut, Part};
pub use grouping::{Before, Grouping};
pub use groups::{Group, GroupKind};
pub use write::Contents;

/// One entry of a layer that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node of the upper tree, with its content.
    Entry(Node),
    /// A folder of the upper tree, without its time: a layer above lists it as it is.
    Folder(Node),
    /// A node of the upper tree, as a hard link to one that stands before it.
    Link {
        /// The further name.
        node: Node,
        /// The name that holds the content: the first in the order of the tree.
        first: Node,
    },
    /// A node of the lower tree that is gone.
    Whiteout {
        /// Its folder, in the upper tree.
        folder: Node,
        /// The node that is gone, in the lower tree.
        gone: Node,
    },
}

/// The difference between two trees over the same layers, as entries of a layer above the lower one.
///
/// Deleted paths become explicit whiteouts, never opaque marks: those depend on what else lies in the
/// same layer, and engines differ in how they read them. No whiteout stands below a path that is gone
/// itself, none where the lower tree has nothing, and no link leads out of the layer.
pub struct Changes<'t, 'a> {
    lower: &'t Tree<'a>,
    upper: &'t Tree<'a>,
    /// The tree of the layers as they were shipped, where the upper one has edits above them.
    shipped: Option<&'t Tree<'a>>,
    items: Vec<Change>,
}

/// A folder in the walk over both trees: its children paired by name, and how far the walk is.
struct Frame {
    folder: Node,
    pairs: std::vec::IntoIter<(Option<Node>, Option<Node>)>,
}

impl<'t, 'a> Changes<'t, 'a> {
    /// All that must be written above `lower` for a container to see `upper`.
    #[must_use]
    pub fn between(lower: &'t Tree<'a>, upper: &'t Tree<'a>) -> Self {
        let mut groups =
            Groups { lower, upper, names: upper.hard_links(), kept: HashMap::new(), claims: HashMap::new() };
        let mut items = Vec::new();
        if lower.attributes(ROOT) != upper.attributes(ROOT) {
            items.push(Change::Entry(ROOT));
        }
        let mut stack = vec![Frame { folder: ROOT, pairs: pairs(lower, Some(ROOT), upper, ROOT) }];
        while let Some(frame) = stack.last_mut() {
            let folder = frame.folder;
            let Some(pair) = frame.pairs.next() else {
                stack.pop();
                continue;
            };
            let (below, node) = match pair {
                (Some(gone), None) => {
                    items.push(Change::Whiteout { folder, gone });
                    continue;
                }
                (below, Some(node)) => (below, node),
                (None, None) => continue,
            };
            if upper.kind(node) == Kind::Directory {
                let below = below.filter(|&below| lower.kind(below) == Kind::Directory);
                if below.is_none_or(|below| !same(lower, below, upper, node)) {
                    items.push(Change::Entry(node));
                }
                stack.push(Frame { folder: node, pairs: pairs(lower, below, upper, node) });
            } else if !groups.keeps(below, node) {
                let first = groups.names.get(&upper.inode(node)).map_or(node, |names| names[0]);
                items.push(if first == node { Change::Entry(node) } else { Change::Link { node, first } });
            }
        }
        Self { lower, upper, shipped: None, items }
    }

    /// All that must be written above `lower` for a container to see `edited`, which is `shipped` with a layer of edits
    /// above it. What an edit changed counts as made by the layer that shipped what was there.
    #[must_use]
    pub fn of_edited(lower: &'t Tree<'a>, edited: &'t Tree<'a>, shipped: &'t Tree<'a>) -> Self {
        Self { shipped: Some(shipped), ..Self::between(lower, edited) }
    }

    /// The changes in the order of the tree. Folders that did not change are not among them.
    #[must_use]
    pub fn items(&self) -> &[Change] {
        &self.items
    }

    /// The tree that the changes lead to.
    #[must_use]
    pub fn upper(&self) -> &'t Tree<'a> {
        self.upper
    }

    /// The path of a change, without a leading slash.
    #[must_use]
    pub fn path(&self, change: Change) -> Vec<u8> {
        match change {
            Change::Entry(node) | Change::Folder(node) | Change::Link { node, .. } => self.upper.path(node),
            Change::Whiteout { gone, .. } => self.lower.path(gone),
        }
    }
}

/// The children of two folders, matched by name.
fn pairs(
    lower: &Tree<'_>,
    below: Option<Node>,
    upper: &Tree<'_>,
    node: Node,
) -> std::vec::IntoIter<(Option<Node>, Option<Node>)> {
    let mut olds = below.map(|below| lower.children(below)).unwrap_or_default().into_iter().peekable();
    let mut news = upper.children(node).into_iter().peekable();
    let mut out = Vec::with_capacity(news.len());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (Some(&old), Some(&new)) => lower.name(old).cmp(upper.name(new)),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return out.into_iter(),
        };
        out.push(match order {
            std::cmp::Ordering::Less => (olds.next(), None),
            std::cmp::Ordering::Equal => (olds.next(), news.next()),
            std::cmp::Ordering::Greater => (None, news.next()),
        });
    }
}

fn same(lower: &Tree<'_>, below: Node, upper: &Tree<'_>, node: Node) -> bool {
    let origin = upper.origin(node);
    (origin.entry.is_some() && lower.origin(below) == origin) || lower.attributes(below) == upper.attributes(node)
}

/// Which files the lower tree already holds, hard links considered: names that share an inode above
/// must share one below, and one inode below cannot stand for two above.
struct Groups<'t, 'a> {
    lower: &'t Tree<'a>,
    upper: &'t Tree<'a>,
    names: HashMap<Inode, Vec<Node>>,
    kept: HashMap<Inode, bool>,
    claims: HashMap<Inode, Inode>,
}

impl Groups<'_, '_> {
    fn keeps(&mut self, below: Option<Node>, node: Node) -> bool {
        let inode = self.upper.inode(node);
        if let Some(&kept) = self.kept.get(&inode) {
            return kept;
        }
        let names = self.names.get(&inode);
        let kept = below.is_some_and(|below| {
            let shared = self.lower.inode(below);
            let all_names = names.is_none_or(|names| {
                names.iter().all(|&name| {
                    let found = self.lower.find(&self.upper.path(name));
                    found.is_some_and(|found| self.lower.inode(found) == shared)
                })
            });
            all_names
                && same(self.lower, below, self.upper, node)
                && (self.lower.links(shared) == 1 || *self.claims.entry(shared).or_insert(inode) == inode)
        });
        if names.is_some() {
            self.kept.insert(inode, kept);
        }
        kept
    }
}
