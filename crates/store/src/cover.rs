//! Contents that no container sees do not stay on the disk.
//!
//! A merged layer is written in the order of the tree, so its contents lie unpacked until then. Of a stack whose layers
//! write the same files again and again that would be many times what is left in the end. So layers are read from the
//! topmost down, and of each, once all above it are known, what those hide is given back to the file system.

use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use jettison_image::{Kind, Layer};

use crate::section::Section;

/// File systems give back whole blocks; what is smaller than two may hold none.
const SMALL: u64 = 8 << 10;

/// What the layers of an image hide of those below them.
#[derive(Debug)]
pub(crate) struct Cover(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Layers that were read while one above them was not.
    waiting: Vec<Option<Unpacked>>,
    /// The layers from here on are known.
    known_from: usize,
    /// The known layers, the topmost first.
    layers: Vec<Arc<Layer>>,
    /// Their entries by path, as numbers of `layers` and of the layer's entries.
    entries: HashTable<(u32, u32)>,
    hasher: DefaultHashBuilder,
    /// Whether a link above leads where names alone do not tell.
    is_untold: bool,
}

#[derive(Debug)]
struct Unpacked {
    layer: Arc<Layer>,
    /// A file of jettison's own with the unpacked layer.
    section: Option<Section>,
}

impl Cover {
    /// For an image of `count` layers.
    pub(crate) fn new(count: usize) -> Self {
        Self(Mutex::new(State {
            waiting: (0..count).map(|_| None).collect(),
            known_from: count,
            layers: Vec::new(),
            entries: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            is_untold: false,
        }))
    }

    /// Takes a layer that was read. `section` is a file without a name that nobody reads whole again: it loses what upper
    /// layers hide, now or when the last of these is known.
    pub(crate) fn add(&self, at: usize, layer: &Arc<Layer>, section: Option<Section>) {
        let Ok(mut state) = self.0.lock() else { return };
        state.waiting[at] = Some(Unpacked { layer: Arc::clone(layer), section });
        while let Some(at) = state.known_from.checked_sub(1)
            && let Some(next) = state.waiting[at].take()
        {
            state.known_from = at;
            state.descend(next);
        }
    }
}

impl State {
    /// Gives back what is hidden of the highest layer that is not known yet; then it hides in its turn.
    fn descend(&mut self, next: Unpacked) {
        let Names { linked, literal, is_untold } = names(&next.layer);
        self.is_untold |= is_untold;
        if let Some(section) = next.section.filter(|_| !self.is_untold) {
            for &number in &literal {
                let entry = &next.layer.entries[number];
                let path = next.layer.path(entry);
                if !linked.contains(path) && self.hides(path) {
                    section.give_back(entry.data_offset, entry.size);
                }
            }
        }
        let Ok(number) = u32::try_from(self.layers.len()) else { return };
        self.layers.push(next.layer);
        let (layers, hasher) = (&self.layers, &self.hasher);
        let layer = &layers[number as usize];
        for (at, entry) in (0..).zip(&layer.entries) {
            let hash = |&(layer, entry): &(u32, u32)| hasher.hash_one(path(layers, layer, entry));
            self.entries.insert_unique(hasher.hash_one(layer.path(entry)), (number, at), hash);
        }
    }

    /// Whether a file at a path is hidden, if it lies there and not elsewhere through a link.
    fn hides(&self, file: &[u8]) -> bool {
        let is_there = |path: &[u8], counts: &dyn Fn(Kind) -> bool| {
            let is_it = |&(layer, entry): &(u32, u32)| {
                let of = &self.layers[layer as usize];
                let entry = &of.entries[entry as usize];
                counts(entry.kind) && of.path(entry) == path
            };
            self.entries.find(self.hasher.hash_one(path), is_it).is_some()
        };
        // Whatever comes to its place takes it; whatever is no folder takes the place of the folders above it.
        is_there(file, &|kind| kind != Kind::Opaque)
            || folders(file).any(|folder| is_there(folder, &|kind| kind != Kind::Directory))
    }
}

fn path(layers: &[Arc<Layer>], layer: u32, entry: u32) -> &[u8] {
    let layer = &layers[layer as usize];
    layer.path(&layer.entries[entry as usize])
}

/// The folders above a path.
fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|&(_, byte)| *byte == b'/').map(|(at, _)| &path[..at])
}

/// What names alone tell of a layer.
struct Names<'l> {
    /// Files that have further names.
    linked: HashSet<&'l [u8]>,
    /// The larger files that lie where their paths say: the layer itself lists all folders above them, so that none of
    /// these is a link.
    literal: Vec<usize>,
    /// Whether a hard link may lead to another file than the layer's own.
    is_untold: bool,
}

fn names(layer: &Layer) -> Names<'_> {
    let mut names = Names { linked: HashSet::new(), literal: Vec::new(), is_untold: false };
    // What each path is by now; what does not surely stand where it says is none of the kinds asked for.
    let mut before: HashMap<&[u8], Kind> = HashMap::with_capacity(layer.entries.len());
    for (number, entry) in layer.entries.iter().enumerate() {
        if matches!(entry.kind, Kind::Whiteout | Kind::Opaque) {
            continue;
        }
        let path = layer.path(entry);
        let is_literal = folders(path).all(|folder| before.get(folder) == Some(&Kind::Directory));
        if entry.kind == Kind::HardLink {
            let target = layer.link(entry);
            names.is_untold |= before.get(target) != Some(&Kind::File);
            names.linked.insert(target);
        } else if entry.kind == Kind::File && is_literal && entry.size >= SMALL && layer.sparse(entry).is_none() {
            names.literal.push(number);
        }
        before.insert(path, if is_literal { entry.kind } else { Kind::Fifo });
    }
    names
}

#[cfg(test)]
#[path = "cover_tests.rs"]
mod tests;
