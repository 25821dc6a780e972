//! The merged tree: what a container sees after its layers were applied one above the other, with the
//! layer that shipped each version, and what no container can see any more.
//!
//! Nodes are names, inodes are what they name: hard links share an inode until one name is replaced.
//! A node takes about 50 bytes; names, attributes and digests stay in the [`Layer`]s.

mod apply;

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::digest::Digest;
use crate::layer::{Entry, Kind, Layer, Slice};
use crate::tar::Mtime;

pub use apply::TreeError;

const NONE: u32 = u32::MAX;

/// A name in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node(u32);

/// The tree's root.
pub const ROOT: Node = Node(0);

/// What names refer to; equal for hard links of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inode(u32);

/// The entry that shipped a version: a layer's place from below, and the entry's place in that layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Counted from 0, the lowest.
    pub layer: usize,
    /// `None` for directories that a layer uses without an entry for them.
    pub entry: Option<usize>,
}

/// Why nobody can see a version of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Replaced by a file with other content.
    Overwritten,
    /// Replaced by a file with the same content: chmod, chown, touch, or written again as it was.
    MetadataOnly,
    /// Removed by a whiteout of the path or of a folder above it.
    Deleted,
    /// Hidden by an opaque folder.
    Opaque,
    /// Its path, or a folder above it, became something of another type.
    TypeChanged,
}

/// A file that a layer ships and no container can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// What shipped it.
    pub shipped: Origin,
    /// What hid it.
    pub by: Origin,
    /// In which way.
    pub cause: Cause,
}

/// An entry that was written through a symbolic link. Engines differ here: containerd and umoci follow
/// the link, others lay a new folder over it. jettison follows, within the image's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThroughLink {
    /// The layer with the entry.
    pub layer: usize,
    /// The entry's path as shipped.
    pub path: Vec<u8>,
    /// Where it landed.
    pub resolved: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Name {
    layer: u32,
    slice: Slice,
}

#[derive(Clone, Copy)]
struct NodeData {
    parent: u32,
    first_child: u32,
    next: u32,
    previous: u32,
    inode: u32,
    name: Name,
}

#[derive(Clone, Copy)]
struct InodeData {
    layer: u32,
    entry: u32,
    links: u32,
}

/// The state of a container's file tree above a stack of layers.
#[derive(Clone)]
pub struct Tree<'a> {
    layers: Vec<&'a Layer>,
    nodes: Vec<NodeData>,
    inodes: Vec<InodeData>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    hidden: Vec<Hidden>,
    through_links: Vec<ThroughLink>,
    applied: usize,
}

/// All that a container sees of one name, but for a directory's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// What it is; never a hard link, whiteout or opaque mark.
    pub kind: Kind,
    /// The low 12 mode bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The time of last modification. Directories without an entry of their own have the time 0: no
    /// layer states one, and engines disagree.
    pub mtime: Mtime,
    /// A file's size in bytes.
    pub size: u64,
    /// A file's content.
    pub digest: Digest,
    /// A symlink's target.
    pub link: &'a [u8],
    /// Major and minor device numbers.
    pub device: (u32, u32),
    /// Extended attributes, sorted by name.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

impl<'a> Tree<'a> {
    /// The tree of all `layers`, the lowest first.
    ///
    /// # Errors
    /// Where a layer cannot be applied to those below it.
    pub fn of(layers: impl IntoIterator<Item = &'a Layer>) -> Result<Self, TreeError> {
        let mut tree = Self::empty(layers);
        tree.apply_until(tree.layers.len())?;
        Ok(tree)
    }

    /// This tree with one more layer above it. Nodes that stay keep their names' numbers.
    ///
    /// # Errors
    /// Where the layer cannot be applied.
    pub fn with<'b>(&self, layer: &'b Layer) -> Result<Tree<'b>, TreeError>
    where
        'a: 'b,
    {
        let mut tree: Tree<'b> = self.clone();
        tree.layers.truncate(tree.applied);
        tree.layers.push(layer);
        tree.apply_until(tree.layers.len())?;
        Ok(tree)
    }

    /// A tree of none of `layers` yet: a root directory and nothing else.
    #[must_use]
    pub fn empty(layers: impl IntoIterator<Item = &'a Layer>) -> Self {
        let name = Name { layer: 0, slice: Slice::default() };
        let root = NodeData { parent: NONE, first_child: NONE, next: NONE, previous: NONE, inode: 0, name };
        Self {
            layers: layers.into_iter().collect(),
            nodes: vec![root],
            inodes: vec![InodeData { layer: 0, entry: NONE, links: 1 }],
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            hidden: Vec::new(),
            through_links: Vec::new(),
            applied: 0,
        }
    }

    /// The layers that the tree was made of, those not applied yet included.
    #[must_use]
    pub fn layers(&self) -> &[&'a Layer] {
        &self.layers
    }

    /// How many layers were applied.
    #[must_use]
    pub fn applied(&self) -> usize {
        self.applied
    }

    /// The files that a layer ships and nobody can see, in the order in which they were hidden.
    #[must_use]
    pub fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }

    /// The entries that went through a symbolic link.
    #[must_use]
    pub fn through_links(&self) -> &[ThroughLink] {
        &self.through_links
    }

    /// The last component of a node's path; empty for the root.
    #[must_use]
    pub fn name(&self, node: Node) -> &'a [u8] {
        self.name_text(self.nodes[node.0 as usize].name)
    }

    fn name_text(&self, name: Name) -> &'a [u8] {
        match self.layers.get(name.layer as usize) {
            Some(layer) => layer.text(name.slice),
            None => &[],
        }
    }

    /// A node's whole path, without a leading slash; empty for the root.
    #[must_use]
    pub fn path(&self, node: Node) -> Vec<u8> {
        let names: Vec<&[u8]> = self.ancestors(node).map(|node| self.name(node)).collect();
        let mut path = Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.iter().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        path
    }

    /// A node and the folders above it, upwards, without the root.
    pub fn ancestors(&self, node: Node) -> impl Iterator<Item = Node> {
        std::iter::successors(Some(node), |&node| self.parent(node)).take_while(|&node| node != ROOT)
    }

    /// The folder that holds a node.
    #[must_use]
    pub fn parent(&self, node: Node) -> Option<Node> {
        let parent = self.nodes[node.0 as usize].parent;
        (parent != NONE).then_some(Node(parent))
    }

    /// A directory's children, sorted by name.
    #[must_use]
    pub fn children(&self, node: Node) -> Vec<Node> {
        let mut children = Vec::new();
        let mut next = self.nodes[node.0 as usize].first_child;
        while next != NONE {
            children.push(Node(next));
            next = self.nodes[next as usize].next;
        }
        children.sort_unstable_by(|&a, &b| self.name(a).cmp(self.name(b)));
        children
    }

    /// The child of `parent` with this name.
    #[must_use]
    pub fn child(&self, parent: Node, name: &[u8]) -> Option<Node> {
        let same = |&node: &u32| {
            let data = &self.nodes[node as usize];
            data.parent == parent.0 && self.name_text(data.name) == name
        };
        self.index.find(self.hash(parent.0, name), same).map(|&node| Node(node))
    }

    fn hash(&self, parent: u32, name: &[u8]) -> u64 {
        self.hasher.hash_one((parent, name))
    }

    /// The node at a cleaned path; links are not followed.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<Node> {
        path.split(|&c| c == b'/').filter(|name| !name.is_empty()).try_fold(ROOT, |node, name| self.child(node, name))
    }

    /// All nodes, each directory before its children, sorted by name within each directory.
    pub fn walk(&self) -> impl Iterator<Item = Node> {
        let mut stack = vec![ROOT];
        std::iter::from_fn(move || {
            let node = stack.pop()?;
            if self.nodes[node.0 as usize].first_child != NONE {
                stack.extend(self.children(node).into_iter().rev());
            }
            Some(node)
        })
    }

    /// What a name refers to.
    #[must_use]
    pub fn inode(&self, node: Node) -> Inode {
        Inode(self.nodes[node.0 as usize].inode)
    }

    /// How many names an inode has.
    #[must_use]
    pub fn links(&self, inode: Inode) -> usize {
        self.inodes[inode.0 as usize].links as usize
    }

    /// The entry that shipped what a node shows.
    #[must_use]
    pub fn origin(&self, node: Node) -> Origin {
        self.inode_origin(self.nodes[node.0 as usize].inode)
    }

    /// All names of the inodes that have more than one, each list in the order of [`Tree::walk`].
    #[must_use]
    pub fn hard_links(&self) -> HashMap<Inode, Vec<Node>> {
        let mut groups: HashMap<Inode, Vec<Node>> = HashMap::new();
        if self.inodes.iter().all(|inode| inode.links < 2) {
            return groups;
        }
        for node in self.walk() {
            let inode = self.inode(node);
            if self.links(inode) > 1 {
                groups.entry(inode).or_default().push(node);
            }
        }
        groups
    }

    fn inode_origin(&self, inode: u32) -> Origin {
        let data = self.inodes[inode as usize];
        Origin { layer: data.layer as usize, entry: (data.entry != NONE).then_some(data.entry as usize) }
    }

    /// The layer and entry behind an origin.
    #[must_use]
    pub fn entry(&self, origin: Origin) -> Option<(&'a Layer, &'a Entry)> {
        let layer = *self.layers.get(origin.layer)?;
        Some((layer, layer.entries.get(origin.entry?)?))
    }

    /// What a node is.
    #[must_use]
    pub fn kind(&self, node: Node) -> Kind {
        self.inode_kind(self.nodes[node.0 as usize].inode)
    }

    fn inode_kind(&self, inode: u32) -> Kind {
        self.entry(self.inode_origin(inode)).map_or(Kind::Directory, |(_, entry)| entry.kind)
    }

    /// What a container sees of a node.
    #[must_use]
    pub fn attributes(&self, node: Node) -> Attributes<'a> {
        match self.entry(self.origin(node)) {
            Some((layer, entry)) => entry_attributes(layer, entry),
            None => Attributes {
                kind: Kind::Directory,
                mode: 0o755,
                uid: 0,
                gid: 0,
                mtime: Mtime::default(),
                size: 0,
                digest: Digest::default(),
                link: &[],
                device: (0, 0),
                xattrs: &[],
            },
        }
    }
}

fn entry_attributes<'a>(layer: &'a Layer, entry: &Entry) -> Attributes<'a> {
    Attributes {
        kind: entry.kind,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime(),
        size: entry.size,
        digest: entry.digest,
        link: if entry.kind == Kind::Symlink { layer.link(entry) } else { &[] },
        device: entry.device,
        xattrs: layer.xattrs(entry),
    }
}
