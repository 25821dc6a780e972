//! Layers made for pulling: which group of paths lies in which layer.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::cut::Part;
use super::groups::{Group, GroupKind};
use super::{Change, Changes};
use crate::digest::Digest;
use crate::layer::Kind;
use crate::tree::{Node, ROOT};

/// A difference of fewer bytes is one layer: the requests of more would cost more than they save.
const SMALL: u64 = 8 << 20;

/// A smaller group has no layer of its own.
const OUTLIER: u64 = 4 << 20;

/// The most own layers.
const MOST: usize = 40;

/// The most layers, the base's included: what every engine mounts.
const MOST_WITH_BASE: usize = 120;

/// What decides which paths go into which layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// What the package that has a path was built from.
    owners: HashMap<Vec<u8>, String>,
    /// Where groups were in the image before this one.
    before: Option<Before>,
}

/// Where the groups of an image's own layers are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// The own layer, counted from 0, that has most of a group's bytes.
    homes: BTreeMap<Group, usize>,
    /// How many own layers there are.
    layers: usize,
}

/// A layer that is to be, in the order in which they lie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    /// One that was there before.
    Before(usize),
    /// Of one group.
    Outlier(Group),
    /// Of those groups of a shelf whose hash says so.
    Bin(Shelf, usize),
    /// Of the application.
    Application,
    /// Of what every release changes; it also has all folders.
    Top,
}

/// Groups that change at one pace: what is upgraded with the system, and what with an application's own requirements.
/// No layer has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shelf {
    System,
    Requirements,
}

impl Shelf {
    const ALL: [Self; 2] = [Self::System, Self::Requirements];

    /// The shelf of a group; none for those that have layers of their own.
    fn of(group: &Group) -> Option<Self> {
        match group.kind {
            GroupKind::Package | GroupKind::Tree => Some(Self::System),
            GroupKind::Python | GroupKind::Node | GroupKind::Gem | GroupKind::Module => Some(Self::Requirements),
            GroupKind::Application | GroupKind::State => None,
        }
    }
}

impl Grouping {
    /// By owners of paths: each with what its package was built from, without a version. Of several the least name counts, so that
    /// their order does not.
    #[must_use]
    pub fn new(owners: impl IntoIterator<Item = (Vec<u8>, String)>) -> Self {
        let mut all: HashMap<Vec<u8>, String> = HashMap::new();
        for (path, name) in owners {
            let least = all.entry(path).or_insert_with(|| name.clone());
            if name < *least {
                *least = name;
            }
        }
        Self { owners: all, before: None }
    }

    /// The same, with groups where they were before.
    #[must_use]
    pub fn with_before(self, before: Option<Before>) -> Self {
        Self { before, ..self }
    }

    fn group(&self, path: &[u8]) -> Group {
        Group::of(path, |path| self.owners.get(path).map(String::as_str))
    }

    /// The layer of each group. `sizes` are all groups with their bytes, `most` how many layers there may be.
    fn slots(&self, sizes: &BTreeMap<Group, u64>, most: usize) -> BTreeMap<Group, Slot> {
        let whole: u64 = sizes.values().sum();
        let threshold = OUTLIER.max(scale(whole) / 64);
        let stays = |group: &Group| self.before.as_ref().is_some_and(|before| before.homes.contains_key(group));
        let mut outliers: Vec<(&Group, u64)> = sizes
            .iter()
            .filter(|&(group, &size)| size > threshold && group.kind != GroupKind::State && !stays(group))
            .map(|(group, &size)| (group, size))
            .collect();
        outliers.sort_by_key(|&(group, size)| (std::cmp::Reverse(size), group));
        let bins = Shelf::ALL.map(|shelf| {
            let is_here = |group: &Group| Shelf::of(group) == Some(shelf);
            let alone: u64 = outliers.iter().filter(|(group, _)| is_here(group)).map(|&(_, size)| size).sum();
            let all: u64 = sizes.iter().filter(|(group, _)| is_here(group)).map(|(_, size)| size).sum();
            bins(all - alone, most)
        });
        let used = self.before.as_ref().map_or(bins.iter().sum::<usize>() + 1, |before| before.layers) + 1;
        outliers.truncate(most.saturating_sub(used));
        let alone: BTreeSet<&Group> = outliers.iter().map(|&(group, _)| group).collect();
        sizes
            .keys()
            .map(|group| {
                let slot = match &self.before {
                    _ if alone.contains(group) => Slot::Outlier(group.clone()),
                    Some(before) => before.slot(group),
                    None if group.kind == GroupKind::State => Slot::Top,
                    None if group.kind == GroupKind::Application => Slot::Application,
                    None => {
                        let shelf = Shelf::of(group).unwrap_or(Shelf::System);
                        Slot::Bin(shelf, rendezvous(group, 0..bins[shelf as usize]).unwrap_or_default())
                    }
                };
                (group.clone(), slot)
            })
            .collect()
    }
}

impl Before {
    /// Of an image whose own layers make these changes.
    #[must_use]
    pub fn of(changes: &Changes<'_, '_>, grouping: &Grouping) -> Self {
        let removers = changes.removers();
        let below = changes.lower.applied();
        let mut bytes: BTreeMap<Group, BTreeMap<usize, u64>> = BTreeMap::new();
        for &change in &changes.items {
            if !changes.is_folder(change) {
                let layer = changes.made_by(change, &removers).saturating_sub(below);
                let group = bytes.entry(grouping.group(&changes.path(change))).or_default();
                *group.entry(layer).or_default() += changes.weight(change);
            }
        }
        let most = |layers: BTreeMap<usize, u64>| layers.into_iter().max_by_key(|&(layer, size)| (size, layer));
        let homes = bytes.into_iter().filter_map(|(group, layers)| Some((group, most(layers)?.0))).collect();
        Self { homes, layers: changes.upper.applied() - below }
    }

    /// How many own layers there are.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers
    }

    fn slot(&self, group: &Group) -> Slot {
        let top = self.homes.get(&Group::state()).copied().unwrap_or(self.layers);
        let application = || {
            let of_application = |(group, _): &(&Group, &usize)| group.kind == GroupKind::Application;
            self.homes.iter().find(of_application).map(|(_, &layer)| layer)
        };
        let home = self.homes.get(group).copied();
        match home.or_else(|| application().filter(|_| group.kind == GroupKind::Application)) {
            Some(layer) if layer == top => Slot::Top,
            Some(layer) => Slot::Before(layer),
            None if group.kind == GroupKind::State => Slot::Top,
            None if group.kind == GroupKind::Application => Slot::Application,
            // A new one goes to its like, and not where every release changes something.
            None => {
                let shelf = Shelf::of(group).unwrap_or(Shelf::System);
                let taken = [Some(top), application()];
                let is_free = |layer: &usize| !taken.contains(&Some(*layer));
                let like = self.homes.iter().filter(|(group, _)| Shelf::of(group) == Some(shelf));
                let alike: BTreeSet<usize> = like.map(|(_, &layer)| layer).filter(is_free).collect();
                let home = rendezvous(group, alike.into_iter());
                let home = home.or_else(|| rendezvous(group, (0..self.layers).filter(is_free)));
                home.map_or(Slot::Bin(shelf, 0), Slot::Before)
            }
        }
    }
}

/// How many bins so many bytes have: from 1 MiB on twice as many for four times the bytes, and on no shelf more than a
/// quarter of all layers.
fn bins(bytes: u64, most: usize) -> usize {
    let steps = scale(bytes).trailing_zeros().saturating_sub(20) / 2;
    1 << steps.min((most / 4).max(1).ilog2())
}

/// The least power of four that is no less.
fn scale(bytes: u64) -> u64 {
    let power = bytes.max(1).next_power_of_two();
    if power.trailing_zeros().is_multiple_of(2) { power } else { power << 1 }
}

/// The bin whose hash with the group is the greatest: a further bin takes some groups, and moves none between the others.
fn rendezvous(group: &Group, bins: impl Iterator<Item = usize>) -> Option<usize> {
    let hash = |bin: &usize| Digest::of(format!("{:?}:{}:{bin}", group.kind, group.name).as_bytes());
    bins.max_by_key(hash)
}

impl Changes<'_, '_> {
    /// Spreads the changes over layers by what owns the paths, the lowest first. Layers below the last list their folders
    /// with no time ([`Change::Folder`]), so that a folder's new time changes none of them; the last one lists all folders
    /// as they are.
    #[must_use]
    pub fn grouped(&self, grouping: &Grouping) -> Vec<Part> {
        let whole: Vec<usize> = (0..self.items.len()).collect();
        if whole.is_empty() {
            return Vec::new();
        }
        let removers = self.removers();
        let total: u64 = self.items.iter().map(|&change| self.weight(change)).sum();
        let most = MOST.min(MOST_WITH_BASE.saturating_sub(self.lower.applied()));
        if most < 4 || (total < SMALL && grouping.before.is_none()) {
            return vec![self.part(&whole, &removers)];
        }
        let mut sizes: BTreeMap<Group, u64> = BTreeMap::new();
        let mut of_items = Vec::with_capacity(self.items.len());
        for &change in &self.items {
            let group = if self.is_folder(change) { Group::state() } else { grouping.group(&self.path(change)) };
            *sizes.entry(group.clone()).or_default() += self.weight(change);
            of_items.push(group);
        }
        let slots = grouping.slots(&sizes, most);
        let mut layers: BTreeMap<&Slot, Vec<usize>> = BTreeMap::from([(&Slot::Top, Vec::new())]);
        for (at, group) in of_items.iter().enumerate() {
            layers.entry(&slots[group]).or_default().push(at);
        }
        // The top is the last in the order of the slots.
        let mut layers: Vec<Vec<usize>> = layers.into_values().collect();
        self.move_links_to_their_content(&mut layers);
        let top = layers.pop().unwrap_or_default();
        layers.retain(|layer| !layer.is_empty());
        if layers.is_empty() {
            return vec![self.part(&whole, &removers)];
        }
        let mut folders: BTreeSet<Node> = BTreeSet::new();
        let holds = |layer: &[usize]| self.holds(layer, &of_items);
        let mut parts: Vec<Part> =
            layers.iter().map(|layer| Part { holds: holds(layer), ..self.part(layer, &removers) }).collect();
        for change in parts.iter_mut().flat_map(|part| &mut part.changes) {
            if let Change::Entry(node) = *change
                && self.is_folder(*change)
            {
                folders.insert(node);
                *change = Change::Folder(node);
            }
        }
        parts.push(Part { holds: holds(&top), ..self.top(&top, folders, &removers) });
        parts
    }

    /// The names of the groups in a layer, the largest first.
    fn holds(&self, layer: &[usize], of_items: &[Group]) -> Vec<String> {
        let mut sizes: BTreeMap<&Group, u64> = BTreeMap::new();
        for &at in layer {
            *sizes.entry(&of_items[at]).or_default() += self.weight(self.items[at]);
        }
        let mut groups: Vec<(&Group, u64)> = sizes.into_iter().collect();
        groups.sort_by_key(|&(group, size)| (std::cmp::Reverse(size), group));
        groups.into_iter().map(|(group, _)| group.title()).collect()
    }

    /// The last layer: its changes and folders as they are.
    fn top(&self, group: &[usize], mut folders: BTreeSet<Node>, removers: &HashMap<&[u8], usize>) -> Part {
        let own = self.part(group, removers);
        for &change in &own.changes {
            if let Change::Entry(node) = change {
                folders.remove(&node);
            }
        }
        let mut changes = own.changes;
        changes.extend(folders.into_iter().filter(|&node| node != ROOT).map(Change::Entry));
        // The order of the tree: parents first, names in order.
        changes.sort_by_cached_key(|&change| {
            let mut path = self.path(change);
            path.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = 0);
            path
        });
        Part { changes, ..own }
    }

    fn is_folder(&self, change: Change) -> bool {
        matches!(change, Change::Entry(node) if self.upper.kind(node) == Kind::Directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(groups: &[(GroupKind, &str, u64)]) -> BTreeMap<Group, u64> {
        groups.iter().map(|&(kind, name, size)| (Group { kind, name: name.to_owned() }, size << 20)).collect()
    }

    fn packages(count: u64) -> BTreeMap<Group, u64> {
        let names: Vec<String> = (0..count).map(|at| format!("p{at}")).collect();
        sizes(&names.iter().map(|name| (GroupKind::Package, name.as_str(), 2)).collect::<Vec<_>>())
    }

    fn slots(sizes: &BTreeMap<Group, u64>, most: usize) -> BTreeMap<Group, Slot> {
        Grouping::default().slots(sizes, most)
    }

    #[test]
    fn a_large_group_is_alone_and_others_do_not_move_for_it() {
        let mut all = packages(100);
        let without = slots(&all, MOST);
        all.extend(sizes(&[(GroupKind::Package, "large", 40)]));
        let with = slots(&all, MOST);
        let large = Group { kind: GroupKind::Package, name: "large".to_owned() };
        assert_eq!(with[&large], Slot::Outlier(large.clone()));
        assert!(without.iter().all(|(group, slot)| with[group] == *slot));
    }

    #[test]
    fn further_groups_move_no_others_and_further_bins_some() {
        let few = slots(&packages(100), MOST);
        let more = slots(&packages(120), MOST);
        assert!(few.iter().all(|(group, slot)| more[group] == *slot));
        let small = slots(&packages(7), MOST);
        let bins = |slots: &BTreeMap<Group, Slot>| slots.values().collect::<BTreeSet<_>>().len();
        assert!(bins(&small) < bins(&few), "{small:?}");
        let is_moved =
            |(group, slot): &(&Group, &Slot)| few[*group] != **slot && few[*group] < Slot::Bin(Shelf::System, 4);
        assert_eq!(small.iter().filter(is_moved).count(), 0, "what moves, moves to a bin that is new");
    }

    #[test]
    fn what_changes_at_its_own_pace_has_its_own_layers() {
        let mut all = packages(50);
        let distributions: Vec<String> = (0..50).map(|at| format!("d{at}")).collect();
        let kinds = [GroupKind::Python, GroupKind::Node, GroupKind::Gem, GroupKind::Module];
        let kinds = kinds.into_iter().cycle();
        let of_languages: Vec<_> =
            distributions.iter().zip(kinds).map(|(name, kind)| (kind, name.as_str(), 1)).collect();
        all.extend(sizes(&of_languages));
        let before = slots(&all, MOST);
        let of = |kinds: &[GroupKind]| -> BTreeSet<&Slot> {
            before.iter().filter(|(group, _)| kinds.contains(&group.kind)).map(|(_, slot)| slot).collect()
        };
        let (system, requirements) =
            (of(&[GroupKind::Package]), of(&[GroupKind::Python, GroupKind::Node, GroupKind::Gem, GroupKind::Module]));
        assert_eq!((system.len(), requirements.len()), (8, 8));
        assert!(system.is_disjoint(&requirements));
        // A further distribution moves nothing of the system, however many bins there are then.
        all.extend(sizes(&[(GroupKind::Python, "more", 3), (GroupKind::Python, "d200", 3)]));
        let after = slots(&all, MOST);
        let mut packages = before.iter().filter(|(group, _)| group.kind == GroupKind::Package);
        assert!(packages.all(|(group, slot)| after[group] == *slot));
    }

    #[test]
    fn there_are_never_too_many() {
        for most in 4..=MOST {
            let mut all = packages(300);
            for at in 0..40 {
                all.extend(sizes(&[(GroupKind::Python, &format!("large{at}"), 900)]));
            }
            all.extend(sizes(&[(GroupKind::Application, "app", 900), (GroupKind::State, "", 1)]));
            all.extend(sizes(&[(GroupKind::Application, "app/x", 1)]));
            let count = slots(&all, most).values().collect::<BTreeSet<_>>().len();
            assert!((3..=most).contains(&count), "{count} of {most}");
        }
    }

    #[test]
    fn the_application_is_above_and_what_always_changes_on_top() {
        let mut all = packages(10);
        all.extend(sizes(&[(GroupKind::Application, "app", 1), (GroupKind::State, "", 1)]));
        let mut layers: Vec<Slot> = slots(&all, MOST).into_values().collect();
        layers.sort();
        assert_eq!(layers[layers.len() - 2..], [Slot::Application, Slot::Top]);
    }
}
