//! Changes to what a container sees of an image, and the layer that carries them out.
//!
//! Edits are kept by node, so that they are found and compared fast. As a layer above the image's own they make the edited
//! tree, from which everything else follows as for any other image. Large new contents are not kept: what is made from
//! a file is made again when it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use jettison_image::changes::{Changes, Contents};
use jettison_image::layer::LayerError;
use jettison_image::tar::Mtime;
use jettison_image::tree::Attributes;
use jettison_image::{Digest, Kind, Layer, LayerBuilder, NewEntry, Node, Tree};

use crate::unit::{ImageUnit, Owner, UnitError};

/// What becomes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is no longer there; a folder only with all that is in it.
    Gone,
    /// The file has another content, and all else is as it was.
    Content(Arc<[u8]>),
    /// The file has a content that is made from the one that it has.
    Made {
        /// How.
        by: Maker,
        /// The digest of what is made.
        digest: Digest,
        /// Its bytes.
        size: u64,
    },
    /// A symbolic link leads there; something else may have stood in its place.
    Target(Vec<u8>),
    /// It is what was at another path, which is gone.
    Moved(Node),
    /// It is a further name of another file that is the same.
    LinkTo(Node),
}

/// Makes a file's new content from the one it has: always the same from the same.
#[derive(Clone, Copy)]
pub struct Maker {
    /// What tells it from others.
    pub name: &'static str,
    /// Makes it; none where it cannot be made.
    pub make: fn(&[u8]) -> Option<Vec<u8>>,
}

impl std::fmt::Debug for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Maker {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Maker {}

/// Changes by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// What was asked for.
    asked: BTreeMap<Node, Changed>,
    /// Packages that are to be gone.
    packages: BTreeSet<Owner>,
    /// What follows for the files and databases of packages.
    follows: BTreeMap<Node, Changed>,
    /// What follows at paths where nothing was.
    comes: BTreeMap<Vec<u8>, Changed>,
}

/// Edits as a layer above those of the image.
pub struct EditLayer {
    layer: Layer,
    /// What the layer's files hold, by their offsets in it.
    contents: BTreeMap<u64, NewContent>,
}

enum NewContent {
    Given(Arc<[u8]>),
    Made { by: Maker, from: Source },
    Moved(Source),
}

/// Where a content stands.
#[derive(Clone, Copy)]
struct Source {
    layer: usize,
    offset: u64,
    length: u64,
}

impl Edits {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.follows.is_empty() && self.comes.is_empty()
    }

    /// What becomes of a node; none where it stays as it is.
    #[must_use]
    pub fn of(&self, node: Node) -> Option<&Changed> {
        match (self.asked.get(&node), self.follows.get(&node)) {
            (Some(Changed::Gone), _) => Some(&Changed::Gone),
            (asked, follows) => follows.or(asked),
        }
    }

    /// Whether a path will be gone, by itself or with a folder above it.
    #[must_use]
    pub fn is_gone(&self, tree: &Tree<'_>, node: Node) -> bool {
        !self.is_empty() && tree.ancestors(node).any(|node| self.of(node) == Some(&Changed::Gone))
    }

    /// Whether a path was asked to be gone, whatever follows from packages.
    #[must_use]
    pub fn is_asked_to_go(&self, node: Node) -> bool {
        self.asked.get(&node) == Some(&Changed::Gone)
    }

    /// All changes, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (Node, &Changed)> {
        let nodes: BTreeSet<Node> = self.asked.keys().chain(self.follows.keys()).copied().collect();
        nodes.into_iter().filter_map(|node| Some((node, self.of(node)?)))
    }

    /// The packages that are to be gone.
    #[must_use]
    pub fn packages(&self) -> &BTreeSet<Owner> {
        &self.packages
    }

    /// Adds packages that are to be gone. What follows from that is for whoever knows databases.
    pub fn add_packages(&mut self, packages: &[Owner]) {
        self.packages.extend(packages);
    }

    /// Sets what follows for the files and databases of packages, also at paths where nothing was; what followed before is
    /// forgotten.
    pub fn follow(&mut self, changes: BTreeMap<Node, Changed>, comes: BTreeMap<Vec<u8>, Changed>) {
        (self.follows, self.comes) = (changes, comes);
    }

    /// What follows for the files and databases of packages.
    #[must_use]
    pub fn follows(&self) -> &BTreeMap<Node, Changed> {
        &self.follows
    }

    /// Adds changes, and gives those that were made: of a path that was changed before the first change stays, unless it is
    /// to be gone now, or what was made of it is that of another path, too; a folder goes only with all that is in it.
    pub fn add(&mut self, tree: &Tree<'_>, new: &[(Node, Changed)]) -> Vec<(Node, Changed)> {
        let is_first = |node: Node, changed: &Changed| {
            let is_later = self.of(node).is_some_and(|old| match (changed, old) {
                (Changed::Gone, old) => *old == Changed::Gone,
                (Changed::LinkTo(_), Changed::Made { .. }) => false,
                _ => true,
            });
            !is_later && !self.is_gone(tree, node)
        };
        let mut made: Vec<_> = new.iter().filter(|(node, changed)| is_first(*node, changed)).cloned().collect();
        self.asked.extend(made.iter().cloned());
        loop {
            let stays = |child: Node| self.of(child) != Some(&Changed::Gone);
            let is_held = |node: Node| tree.children(node).into_iter().any(stays);
            let held = made.iter().filter(|(node, changed)| *changed == Changed::Gone && is_held(*node));
            let held: BTreeSet<Node> = held.map(|(node, _)| *node).collect();
            if held.is_empty() {
                return made;
            }
            made.retain(|(node, _)| !held.contains(node));
            self.asked.retain(|node, _| !held.contains(node));
        }
    }

    /// The layer that makes these changes above `tree`.
    ///
    /// # Errors
    /// Where a layer cannot hold them.
    pub fn layer(&self, tree: &Tree<'_>) -> Result<EditLayer, LayerError> {
        let mut builder = LayerBuilder::default();
        let mut contents = Vec::new();
        let at_nodes = self.iter().map(|(node, changed)| (tree.path(node), Some(node), changed));
        let new = self.comes.iter().map(|(path, changed)| (path.clone(), None, changed));
        let mut paths: Vec<(Vec<u8>, Option<Node>, &Changed)> = at_nodes.chain(new).collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        let names = tree.hard_links();
        // What further names lead to stands before them.
        let (links, others): (Vec<_>, Vec<_>) =
            paths.iter().partition(|(_, _, changed)| matches!(changed, Changed::LinkTo(_)));
        for (path, node, changed) in others {
            self.push(&mut builder, &mut contents, tree, (path, *node, changed))?;
            if let Changed::Content(_) | Changed::Made { .. } = changed {
                let Some(node) = node else { continue };
                let others = names.get(&tree.inode(*node)).into_iter().flatten().filter(|name| *name != node);
                for name in others.filter(|name| self.of(**name).is_none()) {
                    builder.push(&NewEntry { link: path, ..NewEntry::new(&tree.path(*name), Kind::HardLink) })?;
                }
            }
        }
        for (path, _, changed) in links {
            let Changed::LinkTo(first) = changed else { continue };
            // Where the other one is to be gone after all, this one stays what it is.
            if self.is_gone(tree, *first) {
                continue;
            }
            builder.push(&NewEntry { link: &tree.path(*first), ..NewEntry::new(path, Kind::HardLink) })?;
        }
        let layer = builder.finish();
        let files = layer.entries.iter().filter(|entry| entry.kind == Kind::File);
        let contents = files.zip(contents).map(|(entry, content)| (entry.data_offset, content)).collect();
        Ok(EditLayer { layer, contents })
    }

    fn push(
        &self,
        builder: &mut LayerBuilder,
        contents: &mut Vec<NewContent>,
        tree: &Tree<'_>,
        (path, node, changed): (&[u8], Option<Node>, &Changed),
    ) -> Result<(), LayerError> {
        let plain = NewEntry::new(path, Kind::Symlink);
        match (changed, node) {
            (Changed::Gone, Some(node)) => {
                let is_below = tree.parent(node).is_some_and(|folder| self.is_gone(tree, folder));
                if is_below { Ok(()) } else { builder.push(&NewEntry::new(path, Kind::Whiteout)) }
            }
            (Changed::Target(target), node) => {
                let old = node.map(|node| tree.attributes(node));
                let link = old.filter(|old| old.kind == Kind::Symlink);
                let entry = link.map_or(NewEntry { mode: 0o777, ..plain }, |old| like(path, &old));
                let mtime = old.map_or(Mtime::default(), |old| old.mtime);
                builder.push(&NewEntry { link: target, mtime, ..entry })
            }
            (Changed::Content(bytes), Some(node)) => {
                contents.push(NewContent::Given(Arc::clone(bytes)));
                let (size, digest) = (bytes.len() as u64, Digest::of(bytes));
                builder.push(&NewEntry { size, digest, ..like(path, &tree.attributes(node)) })
            }
            (Changed::Made { by, digest, size }, Some(node)) => {
                contents.push(NewContent::Made { by: *by, from: source(tree, node) });
                builder.push(&NewEntry { size: *size, digest: *digest, ..like(path, &tree.attributes(node)) })
            }
            (Changed::Moved(from), _) => {
                let old = tree.attributes(*from);
                if old.kind == Kind::File {
                    contents.push(NewContent::Moved(source(tree, *from)));
                }
                builder.push(&like(path, &old))
            }
            (Changed::Gone | Changed::Content(_) | Changed::Made { .. }, None) | (Changed::LinkTo(_), _) => Ok(()),
        }
    }
}

/// An entry that is like what a tree has.
fn like<'e>(path: &'e [u8], old: &Attributes<'e>) -> NewEntry<'e> {
    NewEntry {
        mode: old.mode,
        uid: old.uid,
        gid: old.gid,
        mtime: old.mtime,
        size: old.size,
        digest: old.digest,
        link: old.link,
        device: old.device,
        xattrs: old.xattrs,
        ..NewEntry::new(path, old.kind)
    }
}

fn source(tree: &Tree<'_>, node: Node) -> Source {
    let origin = tree.origin(node);
    let offset = tree.entry(origin).map_or(0, |(_, entry)| entry.data_offset);
    Source { layer: origin.layer, offset, length: tree.attributes(node).size }
}

impl EditLayer {
    /// The layer.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// The content of a file of the edited tree; none where it cannot be had.
    #[must_use]
    pub fn content(&self, unit: &ImageUnit<'_>, edited: &Tree<'_>, node: Node) -> Option<Vec<u8>> {
        let origin = edited.origin(node);
        let (layer, entry) = edited.entry(origin).filter(|(_, entry)| entry.kind == Kind::File)?;
        if layer.sparse(entry).is_some() {
            return None;
        }
        if origin.layer < unit.upper.applied() {
            return unit.read(origin.layer, entry);
        }
        match self.contents.get(&entry.data_offset)? {
            NewContent::Given(bytes) => Some(bytes.to_vec()),
            NewContent::Made { by, from } => (by.make)(&unit.read_at(from.layer, from.offset, from.length)?),
            NewContent::Moved(from) => unit.read_at(from.layer, from.offset, from.length),
        }
    }

    /// The contents of the image's layers and, above them, of this one. `below` is how many layers the image has.
    pub fn contents<'c>(&'c self, below: usize, inner: &'c mut dyn Contents) -> impl Contents + 'c {
        EditedContents { edits: self, below, inner }
    }
}

struct EditedContents<'c> {
    edits: &'c EditLayer,
    below: usize,
    inner: &'c mut dyn Contents,
}

impl Contents for EditedContents<'_> {
    fn copy(&mut self, layer: usize, offset: u64, length: u64, out: &mut dyn Write) -> io::Result<()> {
        if layer < self.below {
            return self.inner.copy(layer, offset, length, out);
        }
        match self.edits.contents.get(&offset) {
            Some(NewContent::Given(bytes)) => out.write_all(bytes),
            Some(NewContent::Made { by, from }) => {
                let mut old = Vec::with_capacity(usize::try_from(from.length).unwrap_or_default());
                self.inner.copy(from.layer, from.offset, from.length, &mut old)?;
                let new = (by.make)(&old).filter(|new| new.len() as u64 == length);
                out.write_all(&new.ok_or_else(|| io::Error::other("a content could not be made a second time"))?)
            }
            Some(NewContent::Moved(from)) => self.inner.copy(from.layer, from.offset, from.length, out),
            None => Err(io::Error::other("an edit has no content")),
        }
    }
}

/// Calls `then` with what must be written for `edits` above an image's base, and with the layer of the edits.
///
/// # Errors
/// Where the edits do not go together with the image's tree.
pub fn with_edits<R>(
    unit: &ImageUnit<'_>,
    edits: &Edits,
    then: impl FnOnce(&Changes<'_, '_>, &EditLayer) -> R,
) -> Result<R, UnitError> {
    let layer = edits.layer(&unit.upper).map_err(UnitError::Edits)?;
    if edits.is_empty() {
        return Ok(then(&Changes::between(&unit.lower, &unit.upper), &layer));
    }
    let edited = unit.upper.with(layer.layer()).map_err(UnitError::Tree)?;
    Ok(then(&Changes::of_edited(&unit.lower, &edited, &unit.upper), &layer))
}
