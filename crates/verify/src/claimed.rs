//! Holding an image to the claims of what changed it: each difference is covered by one of them, and what a claim says is
//! looked at anew, from the files and the databases of both images.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use jettison_image::tree::Inode;
use jettison_image::{Node, Tree};
use jettison_ir::{Claim, Claimed, Difference, Place};

use crate::packages::{Image, Read, Removal, bytes};
use crate::records;

/// The contents of two images' files.
pub struct Reads<'r> {
    /// Of the image before.
    pub before: &'r mut Read<'r>,
    /// Of the image after.
    pub after: &'r mut Read<'r>,
}

/// Differences that claims do not cover.
pub(crate) fn uncovered<'r, 'a: 'r>(
    differences: Vec<Difference>,
    claims: &[Claimed],
    before: &'r Tree<'a>,
    after: &'r Tree<'a>,
    mut reads: Reads<'r>,
) -> Vec<Difference> {
    let of = |wanted: fn(&Claim) -> bool| -> HashSet<Vec<u8>> {
        claims.iter().filter(|one| wanted(&one.claim)).flat_map(|one| one.paths.iter().cloned()).collect()
    };
    let mut judge = Judge {
        before,
        after,
        gone: of(|claim| *claim == Claim::Gone),
        stripped: of(|claim| *claim == Claim::Stripped),
        linked: of(|claim| *claim == Claim::Linked),
        names: (before.hard_links(), after.hard_links()),
        removal: None,
    };
    // Whether a file is what it should be without its symbols is asked before the databases take the contents over.
    let rewritten: BTreeSet<Vec<u8>> = differences
        .iter()
        .filter(|difference| ["content", "size"].contains(&difference.what.as_str()))
        .filter_map(path)
        .collect();
    let mut stripped: HashSet<Vec<u8>> =
        rewritten.iter().filter(|path| judge.is_stripped(path, reads.before, reads.after)).cloned().collect();
    let lists: Vec<Vec<u8>> =
        records::lists(&rewritten).filter(|path| judge.is_same_list(path, &stripped, &mut reads)).cloned().collect();
    stripped.extend(lists);
    let packages: Vec<&str> = claims
        .iter()
        .filter_map(|one| if let Claim::PackagesGone(names) = &one.claim { Some(names) } else { None })
        .flatten()
        .map(String::as_str)
        .collect();
    if !packages.is_empty() || !judge.gone.is_empty() {
        let (before, after) = (Image { tree: before, read: reads.before }, Image { tree: after, read: reads.after });
        judge.removal = Some(Removal::with_forgotten(&packages, judge.gone.clone(), before, after));
    }
    let refuting = judge.removal.iter().flat_map(|removal| removal.differences().to_vec());
    let rest = differences.iter().filter(|difference| !judge.covers(difference, &stripped)).cloned();
    refuting.chain(rest).collect()
}

struct Judge<'j, 'a> {
    before: &'j Tree<'a>,
    after: &'j Tree<'a>,
    gone: HashSet<Vec<u8>>,
    stripped: HashSet<Vec<u8>>,
    linked: HashSet<Vec<u8>>,
    names: (HashMap<Inode, Vec<Node>>, HashMap<Inode, Vec<Node>>),
    removal: Option<Removal<'j, 'a>>,
}

fn path(difference: &Difference) -> Option<Vec<u8>> {
    match &difference.place {
        Place::Path(path) => Some(bytes(path)),
        Place::Setting(_) | Place::Package(_) => None,
    }
}

impl Judge<'_, '_> {
    fn covers(&self, difference: &Difference, stripped: &HashSet<Vec<u8>>) -> bool {
        let (Some(path), Place::Path(shown)) = (path(difference), &difference.place) else { return false };
        let is_missing = difference.after.is_none();
        let removal = self.removal.as_ref();
        let is_database = || removal.is_some_and(|removal| removal.is_same_database(shown));
        let is_stand_in = || removal.is_some_and(|removal| removal.is_stood_in_for(shown));
        match difference.what.as_str() {
            "hard links" => self.are_links_explained(&path),
            "content" | "size" => stripped.contains(&path) || is_database() || is_stand_in(),
            "target" => removal.is_some_and(|removal| removal.is_led_elsewhere(shown)) || is_stand_in(),
            "path" if is_missing => self.is_gone(&path) || is_database() || self.is_of_packages(shown),
            "path" => is_database(),
            _ => is_stand_in(),
        }
    }

    /// Whether a path and all that was below it is said to be gone.
    fn is_gone(&self, path: &[u8]) -> bool {
        let Some(node) = self.before.find(path) else { return false };
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            if !self.gone.contains(&self.before.path(node)) {
                return false;
            }
            stack.extend(self.before.children(node));
        }
        true
    }

    fn is_of_packages(&self, shown: &str) -> bool {
        let is_gone = |path: &[u8], _| self.gone.contains(path);
        self.removal.as_ref().is_some_and(|removal| removal.covers(shown, &is_gone))
    }

    /// Whether names that a file had and has no longer are gone altogether, and files that it shares its content with now
    /// were said to be names of it.
    fn are_links_explained(&self, path: &[u8]) -> bool {
        let names = |tree: &Tree<'_>, links: &HashMap<Inode, Vec<Node>>| -> BTreeSet<Vec<u8>> {
            let Some(node) = tree.find(path) else { return BTreeSet::new() };
            let names = links.get(&tree.inode(node)).cloned().unwrap_or_else(|| vec![node]);
            names.into_iter().map(|node| tree.path(node)).collect()
        };
        let (old, new) = (names(self.before, &self.names.0), names(self.after, &self.names.1));
        let mut lost = old.difference(&new);
        lost.all(|path| self.after.find(path).is_none()) && self.is_union_said(&new)
    }

    /// Whether names that are one file's now were those of one file before and otherwise said to be linked with it, all
    /// of a file's names or none.
    fn is_union_said(&self, names: &BTreeSet<Vec<u8>>) -> bool {
        let unsaid = names.iter().filter(|name| !self.linked.contains(*name));
        let inodes: Option<BTreeSet<Inode>> =
            unsaid.map(|name| self.before.find(name).map(|node| self.before.inode(node))).collect();
        inodes.is_some_and(|inodes| inodes.len() <= 1)
    }

    /// Whether a list of what was installed is said to be changed, and follows what was stripped.
    fn is_same_list(&self, path: &[u8], stripped: &HashSet<Vec<u8>>, reads: &mut Reads<'_>) -> bool {
        let (Some(old), Some(new)) = (self.before.find(path), self.after.find(path)) else { return false };
        let mut contents = || Some(((reads.before)(old)?, (reads.after)(new)?));
        let is_stripped = |path: &[u8]| stripped.contains(path);
        self.stripped.contains(path)
            && contents().is_some_and(|(old, new)| {
                records::is_same_list(path, (&old, &new), (self.before, self.after), &is_stripped)
            })
    }

    /// Whether a file is said to be stripped, under any of its names, and is what it was without debug information.
    fn is_stripped(&self, path: &[u8], before: &mut Read<'_>, after: &mut Read<'_>) -> bool {
        let (Some(old), Some(new)) = (self.before.find(path), self.after.find(path)) else { return false };
        let names = self.names.0.get(&self.before.inode(old)).map_or(&[][..], Vec::as_slice);
        let is_said =
            self.stripped.contains(path) || names.iter().any(|name| self.stripped.contains(&self.before.path(*name)));
        let mut contents = || Some((before(old)?, after(new)?));
        is_said && contents().is_some_and(|(old, new)| crate::stripped::is_stripped_form(&old, &new).is_ok())
    }
}
