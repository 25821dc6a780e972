//! The files of an image, as the comparison of databases reads them.

use std::collections::BTreeSet;

use jettison_image::packages::{self, Packages, PackagesError};
use jettison_image::{Kind, Node, Tree};

use super::{Image, Read};

/// An image's files by their paths in the tree.
pub(super) struct Files<'i, 'a> {
    pub(super) tree: &'i Tree<'a>,
    read: &'i mut Read<'i>,
}

impl<'i, 'a> Files<'i, 'a> {
    pub(super) fn new(image: Image<'i, 'a>) -> Self {
        Self { tree: image.tree, read: image.read }
    }

    /// The databases.
    pub(super) fn packages(&mut self) -> Result<Vec<Packages>, PackagesError> {
        packages::read(self.tree, &mut *self.read)
    }

    /// A file's content; empty where there is nothing, none where there is something that cannot be read.
    pub(super) fn content(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        match self.tree.find(path) {
            None => Some(Vec::new()),
            Some(node) if self.tree.kind(node) == Kind::File => (self.read)(node),
            Some(_) => None,
        }
    }

    /// The paths in a folder.
    pub(super) fn within(&self, folder: &[u8]) -> Vec<Vec<u8>> {
        let Some(folder) = self.tree.find(folder) else { return Vec::new() };
        self.tree.children(folder).into_iter().map(|node| self.tree.path(node)).collect()
    }

    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.tree.find(path).is_some()
    }

    pub(super) fn is_file(&self, path: &[u8]) -> bool {
        self.tree.find(path).is_some_and(|node| self.tree.kind(node) == Kind::File)
    }

    pub(super) fn is_empty_folder(&self, path: &[u8]) -> bool {
        let is_empty = |node| self.tree.kind(node) == Kind::Directory && self.tree.children(node).is_empty();
        self.tree.find(path).is_some_and(is_empty)
    }

    /// Where a link points; none where there is no link.
    pub(super) fn target(&self, path: &[u8]) -> Option<&'a [u8]> {
        let node = self.tree.find(path).filter(|node| self.tree.kind(*node) == Kind::Symlink)?;
        Some(self.tree.attributes(node).link)
    }
}

/// The paths in a folder of either image.
pub(super) fn within_either(before: &Files<'_, '_>, after: &Files<'_, '_>, folder: &[u8]) -> BTreeSet<Vec<u8>> {
    before.within(folder).into_iter().chain(after.within(folder)).collect()
}

/// Whether both images have the same at a path.
pub(super) fn is_equal(before: &Files<'_, '_>, after: &Files<'_, '_>, path: &[u8]) -> bool {
    let content = |tree: &Tree<'_>, node: Node| (tree.kind(node), tree.attributes(node).digest);
    let (old, new) = (before.tree.find(path), after.tree.find(path));
    old.map(|node| content(before.tree, node)) == new.map(|node| content(after.tree, node))
}
