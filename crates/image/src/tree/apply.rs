//! Applying a layer to the tree of those below it (image-spec, layer.md, "Applying Changesets").

use bstr::{BStr, ByteSlice as _};
use hashbrown::HashMap;

use super::{Cause, Hidden, InodeData, NONE, Name, Node, NodeData, Origin, ROOT, ThroughLink, Tree, entry_attributes};
use crate::layer::{Entry, Kind, Layer, Slice};

/// Links followed in one path before it counts as a loop: Linux's own limit (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// Why a layer cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A hard link to a path that neither this layer nor a lower one has.
    #[error("layer {layer}: hard link {:?} points to {:?}, which does not exist", BStr::new(path), BStr::new(target))]
    MissingTarget {
        /// Counted from 1, the lowest.
        layer: usize,
        /// The link.
        path: Vec<u8>,
        /// What it points to.
        target: Vec<u8>,
    },
    /// A hard link to a directory.
    #[error("layer {layer}: hard link {:?} points to {:?}, which is a directory", BStr::new(path), BStr::new(target))]
    DirectoryTarget {
        /// Counted from 1, the lowest.
        layer: usize,
        /// The link.
        path: Vec<u8>,
        /// What it points to.
        target: Vec<u8>,
    },
    /// A parent folder is a symbolic link that leads in circles or to something that is no folder.
    #[error("layer {layer}: the folder of {:?} is a symbolic link that leads to no folder", BStr::new(path))]
    Parent {
        /// Counted from 1, the lowest.
        layer: usize,
        /// The entry.
        path: Vec<u8>,
    },
    /// The root itself as something other than a directory.
    #[error("layer {layer}: the root is not a directory")]
    Root {
        /// Counted from 1, the lowest.
        layer: usize,
    },
}

/// What a walk down a path may do where something is missing or in the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// Make folders, as an extraction does.
    Create,
    /// Find only.
    Find,
}

/// The folder of the entry before: layers list folders together.
#[derive(Default)]
struct LastParent<'a> {
    text: &'a [u8],
    node: Option<Node>,
}

impl<'a> Tree<'a> {
    /// Applies layers until `count` of them are.
    ///
    /// # Errors
    /// Where a layer cannot be applied to those below it.
    pub fn apply_until(&mut self, count: usize) -> Result<(), TreeError> {
        while self.applied < count {
            let index = self.applied;
            let layer = self.layers[index];
            self.nodes.reserve(layer.entries.len() / 2);
            self.hide(index, layer);
            self.put_all(index, layer)?;
            self.applied += 1;
        }
        Ok(())
    }

    /// Whiteouts come first, whatever their place in the tar: they speak of lower layers only.
    fn hide(&mut self, index: usize, layer: &'a Layer) {
        for (number, entry) in layer.entries.iter().enumerate() {
            let by = Origin { layer: index, entry: Some(number) };
            let path = layer.path(entry);
            match entry.kind {
                Kind::Whiteout => {
                    let (parent, name) = split(path);
                    let Some(parent) = self.lower_folder(index, layer, parent) else { continue };
                    if let Some(node) = self.child(parent, name) {
                        self.remove(node, by, Cause::Deleted);
                    }
                }
                Kind::Opaque => {
                    let Some(folder) = self.lower_folder(index, layer, path) else { continue };
                    while let Some(child) = self.first_child(folder) {
                        self.remove(child, by, Cause::Opaque);
                    }
                }
                _ => {}
            }
        }
    }

    /// The folder that a whiteout of `layer` speaks of. Where the layer itself puts a folder in place of
    /// a lower symbolic link, the whiteout means that new folder, below which nothing lower lies.
    fn lower_folder(&mut self, index: usize, layer: &Layer, path: &[u8]) -> Option<Node> {
        let mut links = 0;
        let mut node = ROOT;
        let mut walked = 0;
        for name in path.split(|&c| c == b'/').filter(|name| !name.is_empty()) {
            walked += name.len() + usize::from(walked > 0);
            let child = self.child(node, name)?;
            node = match self.kind(child) {
                Kind::Directory => child,
                Kind::Symlink => {
                    let own = |e: &Entry| e.kind == Kind::Directory && layer.path(e) == &path[..walked];
                    if layer.entries.iter().any(own) {
                        return None;
                    }
                    self.follow(index, child, Walk::Find, &mut links)?
                }
                _ => return None,
            };
        }
        Some(node)
    }

    fn put_all(&mut self, index: usize, layer: &'a Layer) -> Result<(), TreeError> {
        let mut last = LastParent::default();
        let mut waiting = Vec::new();
        for (number, entry) in layer.entries.iter().enumerate() {
            match entry.kind {
                Kind::Whiteout | Kind::Opaque => {}
                _ if entry.path.length == 0 && entry.kind != Kind::Directory => {
                    return Err(TreeError::Root { layer: index + 1 });
                }
                Kind::HardLink => {
                    if !self.put_link(index, layer, number, &mut last)? {
                        waiting.push(number);
                    }
                }
                _ => self.put(index, layer, number, &mut last)?,
            }
        }
        forget_replaced(layer, &mut waiting);
        // Links listed before their targets; a chain of them takes a round for each link at most.
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut still = Vec::new();
            for number in waiting {
                if !self.put_link(index, layer, number, &mut last)? {
                    still.push(number);
                }
            }
            if still.len() == before {
                let entry = &layer.entries[still[0]];
                let (path, target) = (layer.path(entry).to_vec(), layer.link(entry).to_vec());
                return Err(TreeError::MissingTarget { layer: index + 1, path, target });
            }
            waiting = still;
        }
        Ok(())
    }

    fn put(
        &mut self,
        index: usize,
        layer: &'a Layer,
        number: usize,
        last: &mut LastParent<'a>,
    ) -> Result<(), TreeError> {
        let entry = &layer.entries[number];
        let by = Origin { layer: index, entry: Some(number) };
        if entry.path.length == 0 {
            self.nodes[0].inode = self.new_inode(by);
            return Ok(());
        }
        let (parent, name) = self.parent_of(index, layer, entry, last)?;
        let existing = self.child(parent, layer.text(name));
        if let Some(node) = existing {
            let (old, new) = (self.kind(node), entry.kind);
            let cause = match (old, new) {
                (Kind::File, Kind::File) => {
                    let same = self.attributes(node);
                    if (same.digest, same.size) == (entry.digest, entry.size) {
                        Cause::MetadataOnly
                    } else {
                        Cause::Overwritten
                    }
                }
                _ => Cause::TypeChanged,
            };
            if new != Kind::Directory || old != Kind::Directory {
                self.clear(node, by);
                *last = LastParent::default();
            } else if self.attributes(node) == entry_attributes(layer, entry) {
                // Layers list the folders that hold their entries; this one is still the lower layer's.
                return Ok(());
            }
            self.release(node, by, cause);
            self.nodes[node.0 as usize].inode = self.new_inode(by);
        } else {
            let inode = self.new_inode(by);
            self.new_node(parent, Name { layer: narrow(index), slice: name }, inode);
        }
        Ok(())
    }

    /// Makes a further name; `false` where the target does not exist yet.
    fn put_link(
        &mut self,
        index: usize,
        layer: &'a Layer,
        number: usize,
        last: &mut LastParent<'a>,
    ) -> Result<bool, TreeError> {
        let entry = &layer.entries[number];
        let by = Origin { layer: index, entry: Some(number) };
        let target = layer.link(entry);
        let (folder, name) = split(target);
        let folder = self.folder(index, folder, Walk::Find);
        let Some(target_node) = folder.and_then(|folder| self.child(folder, name)) else { return Ok(false) };
        if self.kind(target_node) == Kind::Directory {
            let (path, target) = (layer.path(entry).to_vec(), target.to_vec());
            return Err(TreeError::DirectoryTarget { layer: index + 1, path, target });
        }
        let inode = self.nodes[target_node.0 as usize].inode;
        // The target lives on below its new name even where making that name removes its old one.
        self.inodes[inode as usize].links += 1;
        let (parent, name) = self.parent_of(index, layer, entry, last)?;
        match self.child(parent, layer.text(name)) {
            Some(node) => {
                self.clear(node, by);
                *last = LastParent::default();
                let cause =
                    if self.kind(node) == self.inode_kind(inode) { Cause::Overwritten } else { Cause::TypeChanged };
                self.release(node, by, cause);
                self.nodes[node.0 as usize].inode = inode;
            }
            None => {
                self.new_node(parent, Name { layer: narrow(index), slice: name }, inode);
            }
        }
        Ok(true)
    }

    /// The folder that an entry goes into, made where it is missing, and the entry's own name.
    fn parent_of(
        &mut self,
        index: usize,
        layer: &'a Layer,
        entry: &Entry,
        last: &mut LastParent<'a>,
    ) -> Result<(Node, Slice), TreeError> {
        let path = layer.path(entry);
        let (text, name) = split(path);
        let length = narrow(name.len());
        let slice = Slice { start: entry.path.start + entry.path.length - length, length };
        if let Some(node) = last.node
            && last.text == text
        {
            return Ok((node, slice));
        }
        let node = self
            .make_folder(index, layer, entry)
            .ok_or_else(|| TreeError::Parent { layer: index + 1, path: path.to_vec() })?;
        let resolved = self.path(node);
        if resolved == text {
            *last = LastParent { text, node: Some(node) };
        } else {
            let resolved = [&resolved[..], name].join(&b"/"[..usize::from(!resolved.is_empty())]);
            self.through_links.push(ThroughLink { layer: index, path: path.to_vec(), resolved });
        }
        Ok((node, slice))
    }

    /// Walks down an entry's folders, making those that are missing. Something that is neither a folder
    /// nor a link to one is replaced: the upper layer uses the path as a folder.
    fn make_folder(&mut self, index: usize, layer: &'a Layer, entry: &Entry) -> Option<Node> {
        let mut links = 0;
        let mut node = ROOT;
        let (parent, _) = split(layer.path(entry));
        let mut start = entry.path.start;
        for name in parent.split(|&c| c == b'/').filter(|name| !name.is_empty()) {
            let slice = Slice { start, length: narrow(name.len()) };
            start += slice.length + 1;
            node = match self.child(node, name) {
                None => {
                    let inode = self.new_inode(Origin { layer: index, entry: None });
                    self.new_node(node, Name { layer: narrow(index), slice }, inode)
                }
                Some(child) => match self.kind(child) {
                    Kind::Directory => child,
                    Kind::Symlink => self.follow(index, child, Walk::Create, &mut links)?,
                    _ => {
                        let by = Origin { layer: index, entry: None };
                        self.release(child, by, Cause::TypeChanged);
                        self.nodes[child.0 as usize].inode = self.new_inode(by);
                        child
                    }
                },
            };
        }
        Some(node)
    }

    /// The folder at a cleaned path, links followed.
    fn folder(&mut self, index: usize, path: &[u8], walk: Walk) -> Option<Node> {
        let mut links = 0;
        let mut node = ROOT;
        for name in path.split(|&c| c == b'/').filter(|name| !name.is_empty()) {
            let child = self.child(node, name)?;
            node = match self.kind(child) {
                Kind::Directory => child,
                Kind::Symlink => self.follow(index, child, walk, &mut links)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The folder that a symbolic link leads to, bounded to the image's root: `..` above it stays there,
    /// as in a container.
    fn follow(&mut self, index: usize, link: Node, walk: Walk, links: &mut u32) -> Option<Node> {
        *links += 1;
        if *links > MAX_LINKS {
            return None;
        }
        let origin = self.origin(link);
        let (layer, entry) = self.entry(origin)?;
        let target = layer.link(entry);
        let mut node = if target.starts_with(b"/") { ROOT } else { self.parent(link)? };
        let mut start = entry.link.start;
        for name in target.split(|&c| c == b'/') {
            let slice = Slice { start, length: narrow(name.len()) };
            start += slice.length + 1;
            node = match name {
                b"" | b"." => node,
                b".." => self.parent(node).unwrap_or(ROOT),
                _ => match (self.child(node, name), walk) {
                    (None, Walk::Find) => return None,
                    // No layer can hold such a folder: its name would be read as a whiteout.
                    (None, Walk::Create) if name.starts_with(b".wh.") => return None,
                    (None, Walk::Create) => {
                        let inode = self.new_inode(Origin { layer: index, entry: None });
                        self.new_node(node, Name { layer: narrow(origin.layer), slice }, inode)
                    }
                    (Some(child), _) => match self.kind(child) {
                        Kind::Directory => child,
                        Kind::Symlink => self.follow(index, child, walk, links)?,
                        _ => return None,
                    },
                },
            };
        }
        Some(node)
    }

    fn first_child(&self, node: Node) -> Option<Node> {
        let first = self.nodes[node.0 as usize].first_child;
        (first != NONE).then_some(Node(first))
    }

    fn new_inode(&mut self, origin: Origin) -> u32 {
        let entry = origin.entry.map_or(NONE, narrow);
        self.inodes.push(InodeData { layer: narrow(origin.layer), entry, links: 1 });
        narrow(self.inodes.len() - 1)
    }

    fn new_node(&mut self, parent: Node, name: Name, inode: u32) -> Node {
        let node = narrow(self.nodes.len());
        let next = std::mem::replace(&mut self.nodes[parent.0 as usize].first_child, node);
        if next != NONE {
            self.nodes[next as usize].previous = node;
        }
        self.nodes.push(NodeData { parent: parent.0, first_child: NONE, next, previous: NONE, inode, name });
        let hash = self.hash(parent.0, self.name_text(name));
        let (nodes, layers, hasher) = (&self.nodes, &self.layers, &self.hasher);
        self.index.insert_unique(hash, node, |&node| {
            use std::hash::BuildHasher as _;
            let data = &nodes[node as usize];
            hasher.hash_one((data.parent, layers[data.name.layer as usize].text(data.name.slice)))
        });
        Node(node)
    }

    /// Takes one name off an inode. The last name's end hides the inode's content.
    fn release(&mut self, node: Node, by: Origin, cause: Cause) {
        let inode = self.nodes[node.0 as usize].inode;
        let data = &mut self.inodes[inode as usize];
        data.links -= 1;
        if data.links == 0 && self.inode_kind(inode) == Kind::File {
            let shipped = self.inode_origin(inode);
            self.hidden.push(Hidden { shipped, by, cause });
        }
    }

    /// Removes all that lies below a node that becomes something else.
    fn clear(&mut self, node: Node, by: Origin) {
        while let Some(child) = self.first_child(node) {
            self.remove(child, by, Cause::TypeChanged);
        }
    }

    fn remove(&mut self, top: Node, by: Origin, cause: Cause) {
        // Depth first, without recursion: layers nest as deep as their author likes.
        let mut node = top;
        loop {
            while let Some(child) = self.first_child(node) {
                node = child;
            }
            self.release(node, by, cause);
            let NodeData { parent, next, previous, .. } = self.nodes[node.0 as usize];
            if previous == NONE {
                self.nodes[parent as usize].first_child = next;
            } else {
                self.nodes[previous as usize].next = next;
            }
            if next != NONE {
                self.nodes[next as usize].previous = previous;
            }
            let hash = self.hash(parent, self.name(node));
            if let Ok(found) = self.index.find_entry(hash, |&other| other == node.0) {
                found.remove();
            }
            if node == top {
                return;
            }
            node = Node(parent);
        }
    }
}

/// Drops the links whose path a later entry of their layer has, too: the last entry of a path wins.
fn forget_replaced(layer: &Layer, waiting: &mut Vec<usize>) {
    if waiting.is_empty() {
        return;
    }
    let marks = |entry: &Entry| matches!(entry.kind, Kind::Whiteout | Kind::Opaque);
    let entries = layer.entries.iter().enumerate().filter(|(_, entry)| !marks(entry));
    let last: HashMap<&[u8], usize> = entries.map(|(number, entry)| (layer.path(entry), number)).collect();
    waiting.retain(|number| last.get(layer.path(&layer.entries[*number])) == Some(number));
}

/// A cleaned path's folder and last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.rsplit_once_str(b"/").unwrap_or((b"", path))
}

/// Entry and layer numbers fit: [`crate::Limits`] keeps them below 4 billion.
fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(NONE)
}
