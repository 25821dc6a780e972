//! Whose bytes a tree holds: what each layer brought, how much of that a container sees, and what hides the rest.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use jettison_image::tree::Cause;
use jettison_image::{Kind, Tree};

/// What one layer brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Regular files; further names of one are none.
    pub files: usize,
    /// Their contents' bytes, unpacked.
    pub bytes: u64,
    /// Those of them that a container sees.
    pub seen: u64,
}

/// What one layer brought and another one hides in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The layer that brought it, counted from 0.
    pub shipped_by: usize,
    /// The layer that hides it, counted from 0.
    pub hidden_by: usize,
    /// In which way.
    pub cause: Cause,
    /// How many files.
    pub files: usize,
    /// Their contents' bytes, unpacked.
    pub bytes: u64,
    /// The largest of them: its path as shipped, without a leading slash, and its bytes.
    pub largest: (Vec<u8>, u64),
}

/// The shares of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// One a layer, the lowest first.
    pub layers: Vec<Share>,
    /// What is hidden, the largest first.
    pub shadows: Vec<Shadow>,
}

impl Shares {
    /// The shares of the layers of a tree. What the tree has seen hidden is counted with the layer that brought it.
    #[must_use]
    pub fn of(tree: &Tree<'_>) -> Self {
        let files = |entry: &&jettison_image::Entry| entry.kind == Kind::File;
        let brought = tree.layers().iter().map(|layer| {
            let (files, bytes) = layer
                .entries
                .iter()
                .filter(files)
                .fold((0, 0), |(files, bytes), entry| (files + 1, bytes + entry.size));
            Share { files, bytes, seen: 0 }
        });
        let mut layers: Vec<Share> = brought.collect();
        let mut counted = HashSet::new();
        for node in tree.walk() {
            let (origin, inode) = (tree.origin(node), tree.inode(node));
            let Some((_, entry)) = tree.entry(origin) else { continue };
            if entry.kind == Kind::File && (tree.links(inode) == 1 || counted.insert(inode)) {
                layers[origin.layer].seen += entry.size;
            }
        }
        Self { layers, shadows: shadows(tree) }
    }
}

fn shadows(tree: &Tree<'_>) -> Vec<Shadow> {
    let mut groups: BTreeMap<(usize, usize, Cause), Shadow> = BTreeMap::new();
    for hidden in tree.hidden() {
        let Some((layer, entry)) = tree.entry(hidden.shipped) else { continue };
        let (shipped_by, hidden_by, cause) = (hidden.shipped.layer, hidden.by.layer, hidden.cause);
        let none = || Shadow { shipped_by, hidden_by, cause, files: 0, bytes: 0, largest: Default::default() };
        let group = groups.entry((shipped_by, hidden_by, cause)).or_insert_with(none);
        group.files += 1;
        group.bytes += entry.size;
        if group.files == 1 || entry.size > group.largest.1 {
            group.largest = (layer.path(entry).to_vec(), entry.size);
        }
    }
    let mut shadows: Vec<Shadow> = groups.into_values().collect();
    shadows.sort_by_key(|shadow| std::cmp::Reverse(shadow.bytes));
    shadows
}

#[cfg(test)]
mod tests {
    use jettison_image::Layer;
    use jettison_image::text::ImageText;

    use super::*;

    fn shares(text: &str) -> Shares {
        let image: ImageText = text.parse().expect("the text form");
        let layers: Vec<Layer> = image.layers().expect("layers");
        Shares::of(&Tree::of(&layers).expect("a tree"))
    }

    #[test]
    fn every_byte_is_seen_or_hidden() {
        let shares = shares(
            r#"
            config {"architecture":"amd64","os":"linux"}
            layer 1 "one"
              f 0644 0:0  1000*"a"  /kept
              h /also => /kept
              f 0644 0:0  200*"b"  /gone/large
              f 0644 0:0  30*"c"  /gone/small
              f 0644 0:0  4*"d"  /changed
            layer 2 "two"
              w /gone
              f 0644 0:0  5*"e"  /changed
            layer 3 "three"
              f 0600 0:0  5*"e"  /changed
            "#,
        );
        let share = |files, bytes, seen| Share { files, bytes, seen };
        assert_eq!(shares.layers, [share(4, 1234, 1000), share(1, 5, 0), share(1, 5, 5)]);
        let hidden: u64 = shares.shadows.iter().map(|shadow| shadow.bytes).sum();
        assert_eq!(hidden, 1234 - 1000 + 5);
        let first = &shares.shadows[0];
        assert_eq!((first.shipped_by, first.hidden_by, first.cause, first.files), (0, 1, Cause::Deleted, 2));
        assert_eq!((first.bytes, &first.largest), (230, &(b"gone/large".to_vec(), 200)));
        let causes: Vec<Cause> = shares.shadows.iter().map(|shadow| shadow.cause).collect();
        assert_eq!(causes, [Cause::Deleted, Cause::MetadataOnly, Cause::Overwritten]);
    }
}
