//! What an image weighs: its layers, and the bytes that no running container can see, by cause.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use jettison_image::tree::{Cause, Hidden};
use jettison_image::{Digest, Entry, Kind, Layer};

use crate::unit::ImageUnit;

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerWeight {
    /// The instruction that made it.
    pub instruction: String,
    /// Whether it belongs to the base.
    pub is_base: bool,
    /// Bytes unpacked.
    pub unpacked: u64,
    /// Bytes as stored.
    pub stored: u64,
    /// Regular files that it ships.
    pub files: usize,
    /// Their bytes that no container sees.
    pub wasted: u64,
}

/// Bytes of one cause, shipped by one layer and hidden by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waste {
    /// In which way they are hidden.
    pub cause: Cause,
    /// The layer that shipped them, counted from 0.
    pub shipped_by: usize,
    /// The layer that hid them, counted from 0.
    pub hidden_by: usize,
    /// How many files.
    pub files: usize,
    /// Their content's bytes, unpacked.
    pub unpacked: u64,
    /// Their share of the shipping layer's stored bytes: an estimate where that layer is compressed.
    pub stored: u64,
}

/// One wasted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WastedFile {
    /// Its path as shipped, without a leading slash.
    pub path: Vec<u8>,
    /// Its content's bytes, over all versions that are wasted.
    pub bytes: u64,
    /// How many versions of it are wasted.
    pub versions: usize,
    /// The cause of the last one.
    pub cause: Cause,
    /// The layer that shipped the first one, counted from 0.
    pub shipped_by: usize,
    /// The layer that hid the last one, counted from 0.
    pub hidden_by: usize,
}

/// The same content under several paths that a container sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Equal {
    /// Contents that occur more than once.
    pub contents: usize,
    /// Files beyond the first of each content.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// dive's efficiency score, computed as dive does, so that figures can be compared with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score(pub f64);

/// The whole weight of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// The layers, the lowest first.
    pub layers: Vec<LayerWeight>,
    /// The waste, the largest first.
    pub waste: Vec<Waste>,
    /// Each wasted file, the largest first.
    pub files: Vec<WastedFile>,
    /// Equal content: within the image's own layers, and in all.
    pub equal_own: Equal,
    /// Equal content anywhere, the base included.
    pub equal_all: Equal,
    /// Paths that a container sees.
    pub paths: usize,
    /// dive's score.
    pub dive: Score,
}

impl Weight {
    /// Weighs an image whose layers are stored with these sizes.
    #[must_use]
    pub fn of(unit: &ImageUnit<'_>, stored: &[u64]) -> Self {
        let layers = unit.upper.layers();
        let mut weights: Vec<LayerWeight> = layers
            .iter()
            .zip(stored)
            .enumerate()
            .map(|(at, (layer, &stored))| LayerWeight {
                instruction: unit.instructions[at].clone(),
                is_base: at < unit.base.layers,
                unpacked: layer.size,
                stored,
                files: layer.entries.iter().filter(|entry| entry.kind == Kind::File).count(),
                wasted: 0,
            })
            .collect();
        let hidden: Vec<(&Hidden, &Layer, &Entry)> = unit
            .upper
            .hidden()
            .iter()
            .filter_map(|hidden| unit.upper.entry(hidden.shipped).map(|(layer, entry)| (hidden, layer, entry)))
            .collect();
        for (hidden, _, entry) in &hidden {
            weights[hidden.shipped.layer].wasted += entry.size;
        }
        let (equal_own, equal_all, paths) = equal_content(unit);
        Self {
            waste: waste(&hidden, &weights),
            files: wasted_files(&hidden),
            layers: weights,
            equal_own,
            equal_all,
            paths,
            dive: dive_score(layers),
        }
    }

    /// All wasted bytes, unpacked.
    #[must_use]
    pub fn wasted(&self) -> u64 {
        self.waste.iter().map(|waste| waste.unpacked).sum()
    }
}

fn waste(hidden: &[(&Hidden, &Layer, &Entry)], layers: &[LayerWeight]) -> Vec<Waste> {
    let mut groups: BTreeMap<(usize, usize, Cause), (usize, u64)> = BTreeMap::new();
    for (hidden, _, entry) in hidden {
        let group = groups.entry((hidden.shipped.layer, hidden.by.layer, hidden.cause)).or_default();
        group.0 += 1;
        group.1 += entry.size;
    }
    let mut waste: Vec<Waste> = groups
        .into_iter()
        .map(|((shipped_by, hidden_by, cause), (files, unpacked))| {
            let layer = &layers[shipped_by];
            let share = u128::from(unpacked) * u128::from(layer.stored) / u128::from(layer.unpacked.max(1));
            let stored = u64::try_from(share).unwrap_or(u64::MAX);
            Waste { cause, shipped_by, hidden_by, files, unpacked, stored }
        })
        .collect();
    waste.sort_by_key(|waste| std::cmp::Reverse(waste.unpacked));
    waste
}

fn wasted_files(hidden: &[(&Hidden, &Layer, &Entry)]) -> Vec<WastedFile> {
    let mut by_path: HashMap<&[u8], WastedFile> = HashMap::new();
    for (hidden, layer, entry) in hidden {
        let path = layer.path(entry);
        let file = by_path.entry(path).or_insert_with(|| WastedFile {
            path: path.to_vec(),
            bytes: 0,
            versions: 0,
            cause: hidden.cause,
            shipped_by: hidden.shipped.layer,
            hidden_by: hidden.by.layer,
        });
        file.bytes += entry.size;
        file.versions += 1;
        file.shipped_by = file.shipped_by.min(hidden.shipped.layer);
        (file.cause, file.hidden_by) = (hidden.cause, hidden.by.layer);
    }
    let mut files: Vec<WastedFile> = by_path.into_values().collect();
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    files
}

fn equal_content(unit: &ImageUnit<'_>) -> (Equal, Equal, usize) {
    let tree = &unit.upper;
    let mut seen: HashMap<(Digest, u64), (usize, usize)> = HashMap::new();
    let mut inodes = hashbrown::HashSet::new();
    let mut paths = 0;
    for node in tree.walk() {
        paths += 1;
        let origin = tree.origin(node);
        let Some((_, entry)) = tree.entry(origin) else { continue };
        let is_copy = tree.links(tree.inode(node)) == 1 || inodes.insert(tree.inode(node));
        if entry.kind == Kind::File && entry.size > 0 && is_copy {
            let counts = seen.entry((entry.digest, entry.size)).or_default();
            counts.0 += 1;
            counts.1 += usize::from(origin.layer >= unit.base.layers);
        }
    }
    let sum = |count: fn(&(usize, usize)) -> usize| {
        let mut equal = Equal::default();
        for (&(_, size), counts) in &seen {
            let extra = count(counts).saturating_sub(1);
            equal.contents += usize::from(extra > 0);
            equal.files += extra;
            equal.bytes += extra as u64 * size;
        }
        equal
    };
    (sum(|counts| counts.1), sum(|counts| counts.0), paths)
}

/// The score of dive 0.13 (`filetree/efficiency.go`): for each path that is a leaf of some layer's tree,
/// the least size it was shipped with, over the sum of all sizes it was shipped with. A whiteout of a
/// folder counts the bytes below it.
fn dive_score(layers: &[&Layer]) -> Score {
    let entries = || layers.iter().flat_map(|layer| layer.entries.iter().map(move |entry| (*layer, entry)));
    // What lies below each path that is removed somewhere; other paths need no such sums.
    let mut below: HashMap<&[u8], HashMap<&[u8], u64>> = entries()
        .filter(|(_, entry)| entry.kind == Kind::Whiteout)
        .map(|(layer, entry)| (layer.path(entry), HashMap::new()))
        .collect();
    let mut paths: HashMap<&[u8], (u64, u64)> = HashMap::new();
    for &layer in layers {
        for entry in layer.entries.iter().filter(|entry| entry.kind == Kind::Whiteout) {
            let path = layer.path(entry);
            let gone = below.get_mut(path).map(std::mem::take).unwrap_or_default();
            ship(&mut paths, path, gone.values().sum());
            for folder in folders(path) {
                if let Some(files) = below.get_mut(folder) {
                    files.retain(|file, _| !gone.contains_key(file));
                }
            }
        }
        for entry in &layer.entries {
            match entry.kind {
                Kind::Whiteout | Kind::Opaque | Kind::Directory => {}
                Kind::File => ship(&mut paths, layer.path(entry), entry.size),
                _ => ship(&mut paths, layer.path(entry), 0),
            }
            if entry.kind == Kind::File && !below.is_empty() {
                for folder in folders(layer.path(entry)) {
                    if let Some(files) = below.get_mut(folder) {
                        files.insert(layer.path(entry), entry.size);
                    }
                }
            }
        }
    }
    let (least, sum) = paths.values().fold((0, 0), |(least, sum), path| (least + path.0, sum + path.1));
    #[allow(clippy::cast_precision_loss)] // A score with two digits.
    Score(if sum == 0 { 1.0 } else { least as f64 / sum as f64 })
}

fn ship<'a>(paths: &mut HashMap<&'a [u8], (u64, u64)>, path: &'a [u8], size: u64) {
    let shipped = paths.entry(path).or_insert((u64::MAX, 0));
    *shipped = (shipped.0.min(size), shipped.1 + size);
}

/// The folders above a path.
fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|&(_, &c)| c == b'/').map(|(at, _)| &path[..at])
}
