//! Cutting a difference into layers: one, at most so many, or as the layers were.

use std::ops::Range;

use hashbrown::HashMap;

use super::{Change, Changes};
use crate::digest::Digest;
use crate::history::Source;
use crate::layer::{Kind, Layer};
use crate::tree::{Node, ROOT};

/// How a difference is spread over layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Each change goes to the layer that made it.
    ByLayer,
    /// At most so many layers, each a range of paths, of about equal size.
    Ranges(usize),
}

/// The changes of one layer to be written, the folders that hold them included, parents first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The entries in the order in which they are written.
    pub changes: Vec<Change>,
    /// The input layers that made them, ascending, counted from 0.
    pub layers: Vec<usize>,
    /// What it holds, the largest first, where changes were spread by what they belong to.
    pub holds: Vec<String>,
}

impl Part {
    /// What its layer is made of, for the history.
    #[must_use]
    pub fn source(&self) -> Source {
        Source { layers: self.layers.clone(), holds: self.holds.clone() }
    }
}

impl Changes<'_, '_> {
    /// Spreads the changes over layers, the lowest first. Every part lists its folders; parts share no
    /// other path, so their order does not matter to the tree.
    #[must_use]
    pub fn cut(&self, cut: Cut) -> Vec<Part> {
        let removers = self.removers();
        let mut groups: Vec<Vec<usize>> = match cut {
            Cut::ByLayer => {
                let mut groups = vec![Vec::new(); self.upper.applied()];
                for (at, &change) in self.items.iter().enumerate() {
                    groups[self.made_by(change, &removers)].push(at);
                }
                groups
            }
            Cut::Ranges(at_most) => self.ranges(at_most).into_iter().map(Iterator::collect).collect(),
        };
        self.move_links_to_their_content(&mut groups);
        groups.iter().filter(|group| !group.is_empty()).map(|group| self.part(group, &removers)).collect()
    }

    /// Cuts at paths near the ideal places: within a quarter of a part around each, at the path with the
    /// least hash. When a release adds or grows files the ideal places move a little, and the same paths
    /// stay the least in their windows: the layers keep their borders, and most keep their digests.
    fn ranges(&self, at_most: usize) -> Vec<Range<usize>> {
        let mut ends = Vec::with_capacity(self.items.len());
        let mut total: u64 = 0;
        for &change in &self.items {
            total += self.weight(change);
            ends.push(total);
        }
        let parts = at_most.max(1) as u64;
        let window = total / parts / 4;
        let mut cuts = vec![0];
        for part in 1..parts {
            let ideal = total / parts * part;
            let first = ends.partition_point(|&end| end < ideal.saturating_sub(window)) + 1;
            let last = ends.partition_point(|&end| end <= ideal + window);
            let hash = |&at: &usize| Digest::of(&self.path(self.items[at]));
            let nearest = || ends.partition_point(|&end| end < ideal) + 1;
            let at = (first..last.min(self.items.len())).min_by_key(hash).unwrap_or_else(nearest);
            if at > cuts[cuts.len() - 1] && at < self.items.len() {
                cuts.push(at);
            }
        }
        cuts.push(self.items.len());
        cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }

    /// A hard link stands in the layer of its content: links never lead into another layer.
    pub(super) fn move_links_to_their_content(&self, groups: &mut [Vec<usize>]) {
        if !self.items.iter().any(|change| matches!(change, Change::Link { .. })) {
            return;
        }
        let mut home: HashMap<Node, usize> = HashMap::new();
        for (number, group) in groups.iter().enumerate() {
            for &at in group {
                if let Change::Entry(node) = self.items[at] {
                    home.insert(node, number);
                }
            }
        }
        let mut moved = Vec::new();
        for (number, group) in groups.iter_mut().enumerate() {
            group.retain(|&at| match self.items[at] {
                Change::Link { first, .. } if home[&first] != number => {
                    moved.push((home[&first], at));
                    false
                }
                _ => true,
            });
        }
        for (number, at) in moved {
            groups[number].push(at);
        }
        // The order of the items is the canonical one: that of the tree.
        groups.iter_mut().for_each(|group| group.sort_unstable());
    }

    pub(super) fn weight(&self, change: Change) -> u64 {
        512 + match change {
            Change::Entry(node) => self.upper.attributes(node).size.next_multiple_of(512),
            _ => 0,
        }
    }

    pub(super) fn part(&self, group: &[usize], removers: &HashMap<&[u8], usize>) -> Part {
        let mut part = Part::default();
        let mut open: Vec<Node> = Vec::new();
        let mut last_folder = None;
        let mut layers = vec![false; self.upper.applied()];
        for change in group.iter().map(|&at| self.items[at]) {
            layers[self.made_by(change, removers)] = true;
            let (folder, own) = match change {
                Change::Entry(node) | Change::Folder(node) => (self.upper.parent(node), Some(node)),
                Change::Link { node, .. } => (self.upper.parent(node), None),
                Change::Whiteout { folder, .. } => (Some(folder), None),
            };
            if folder != last_folder {
                let folders: Vec<Node> =
                    folder.map(|folder| self.upper.ancestors(folder).collect()).unwrap_or_default();
                let folders: Vec<Node> = folders.into_iter().rev().collect();
                let shared = open.iter().zip(&folders).take_while(|(a, b)| a == b).count();
                part.changes.extend(folders[shared..].iter().map(|&folder| Change::Entry(folder)));
                (open, last_folder) = (folders, folder);
            }
            part.changes.push(change);
            if let Some(node) = own.filter(|&node| node != ROOT && self.upper.kind(node) == Kind::Directory) {
                open.push(node);
                last_folder = None;
            }
        }
        part.layers = (0..layers.len()).filter(|&layer| layers[layer]).collect();
        part
    }

    /// The layer that a change came from: for a path that is gone the one that removed it.
    pub(super) fn made_by(&self, change: Change, removers: &HashMap<&[u8], usize>) -> usize {
        let top = self.shipped.unwrap_or(self.upper).applied().saturating_sub(1);
        match change {
            Change::Entry(node) | Change::Folder(node) | Change::Link { node, .. } => {
                let mut layer = self.upper.origin(node).layer;
                if let Some(shipped) = self.shipped.filter(|shipped| layer >= shipped.applied()) {
                    let before = shipped.find(&self.upper.path(node));
                    layer = before.map_or(top, |before| shipped.origin(before).layer);
                }
                // A file of the lower tree that is written again was linked or split off above.
                if layer < self.lower.applied() { self.lower.applied().min(top) } else { layer }
            }
            Change::Whiteout { gone, .. } => {
                let path = self.lower.path(gone);
                let ends = path.iter().enumerate().filter(|&(_, &c)| c == b'/').map(|(at, _)| at);
                let above = ends.chain([path.len()]).filter_map(|end| removers.get(&path[..end]));
                above.max().copied().unwrap_or(top).min(top)
            }
        }
    }

    /// The highest layer that hides each path by a whiteout, an opaque mark or another type.
    pub(super) fn removers(&self) -> HashMap<&[u8], usize> {
        let layers: &[&Layer] = &self.upper.layers()[..self.upper.applied()];
        let mut removers = HashMap::new();
        for (number, layer) in layers.iter().enumerate().skip(self.lower.applied()) {
            for entry in &layer.entries {
                if matches!(entry.kind, Kind::Whiteout | Kind::Opaque) {
                    removers.insert(layer.path(entry), number);
                }
            }
        }
        removers
    }
}
