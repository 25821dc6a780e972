//! Finds what version control keeps beside sources: histories that no program of the image reads.

use std::collections::BTreeSet;

use jettison_image::{Kind, Node};
use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::histories::{FOREIGN, SYSTEMS, System, gitdir, is_history, says_so};
use crate::analysis::image::rules::Rule;
use crate::analysis::image::waste::{self, Finder, decline};

const ASSUMES: &[Assumption] = &[Assumption {
    name: "histories-are-for-their-tools",
    holds: "folders of version control are read by their own tools, by libraries for them, and by programs whose files say so",
}];

pub(crate) const PASS: Pass = Pass {
    name: "vcs-folders",
    summary: "histories of version control that nothing in the image reads",
    level: Level::O2,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("vcs_folders.md"),
    aliases: &[],
    run: Run::Image(run),
};

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    waste::run_with(unit, plan, PASS.name, narrow)
}

/// Leaves the histories that go, whole, with what lies beside them for them alone.
fn narrow(finder: &Finder<'_, '_>, rule: &Rule, found: &mut BTreeSet<Node>) -> Vec<Remark> {
    let tree = &finder.unit.upper;
    let is_root = |node: &Node| tree.parent(*node).is_none_or(|folder| !found.contains(&folder));
    let roots: Vec<Node> = found.iter().copied().filter(is_root).collect();
    let mut going: BTreeSet<Node> = BTreeSet::new();
    let mut remarks = Vec::new();
    let (links, histories): (Vec<Node>, Vec<Node>) =
        roots.into_iter().partition(|root| tree.name(*root) == b".git" && tree.kind(*root) == Kind::File);
    for root in histories {
        let system = SYSTEMS.iter().find(|system| system.name.as_bytes() == tree.name(root));
        let Some(system) = system.filter(|system| is_history(finder.unit, root, system)) else { continue };
        match held(finder, found, root).or_else(|| reader(finder, root, system)) {
            Some(why) => {
                remarks.push(decline(None, format!("{}: {} stays: {why}", rule.what, finder.unit.shown(root))))
            }
            None => {
                going.insert(root);
                let folder = tree.parent(root).into_iter();
                let beside = folder.flat_map(|folder| {
                    system.beside.iter().filter_map(move |name| tree.child(folder, name.as_bytes()))
                });
                going.extend(beside.filter(|node| held_by_user(finder, *node).is_none()));
            }
        }
    }
    // A submodule's or a worktree's link goes where what it leads to goes, or is not there.
    for link in links {
        let target = gitdir(finder.unit, link);
        let is_dead = target.is_some_and(|target| {
            target.is_none_or(|target| tree.ancestors(target).any(|folder| going.contains(&folder)))
        });
        if is_dead && held(finder, found, link).is_none() {
            going.insert(link);
        }
    }
    *found = below(finder.unit, going);
    remarks
}

/// Everything at and below some paths.
fn below(unit: &ImageUnit<'_>, roots: BTreeSet<Node>) -> BTreeSet<Node> {
    let mut all = BTreeSet::new();
    let mut stack: Vec<Node> = roots.into_iter().collect();
    while let Some(node) = stack.pop() {
        all.insert(node);
        stack.extend(unit.upper.children(node));
    }
    all
}

/// Why a history stays, whoever reads it: one that is not there whole is of no use to anybody.
fn held(finder: &Finder<'_, '_>, found: &BTreeSet<Node>, root: Node) -> Option<String> {
    let unit = finder.unit;
    let all = below(unit, BTreeSet::from([root]));
    let is_file = |node: &&Node| unit.upper.kind(**node) != Kind::Directory;
    let why = if all.iter().any(|node| unit.owner(*node).is_some()) {
        "packages own it"
    } else if all.iter().filter(is_file).any(|node| !unit.is_own(*node)) {
        "base layers stay as they are so that they stay shared; --squash-all merges them"
    } else if all.iter().any(|node| finder.mentions.nodes.contains(node)) {
        "the image's settings or the scripts that they name name it"
    } else if !all.is_subset(found) {
        "a part of it is to be kept"
    } else {
        return None;
    };
    Some(why.to_owned())
}

fn held_by_user(finder: &Finder<'_, '_>, node: Node) -> Option<Node> {
    let kept = |node: &Node| finder.unit.options.keeps(&finder.unit.upper.path(*node)).is_some();
    below(finder.unit, BTreeSet::from([node])).into_iter().find(kept)
}

/// Who reads a history: a library, or a file of the tree that it is the history of.
fn reader(finder: &Finder<'_, '_>, root: Node, system: &System) -> Option<String> {
    let (unit, tree) = (finder.unit, &finder.unit.upper);
    let is_library = |node: &Node| {
        system.libraries.iter().any(|library| match library.strip_suffix('*') {
            Some(start) => tree.name(*node).starts_with(start.as_bytes()),
            None => tree.name(*node) == library.as_bytes() && is_in_packages(finder, *node),
        })
    };
    let stays = |node: &Node| !finder.plan.edits.is_gone(tree, *node);
    if let Some(library) = tree.walk().filter(is_library).find(stays) {
        return Some(format!("{} is there, which reads it", unit.shown(library)));
    }
    let mut stack = vec![tree.parent(root)?];
    while let Some(folder) = stack.pop() {
        for node in tree.children(folder).into_iter().filter(stays) {
            let name = tree.name(node);
            match tree.kind(node) {
                Kind::Directory if name != tree.name(root) && !FOREIGN.contains(&name) => stack.push(node),
                Kind::File if says_so(unit, node, system) => {
                    return Some(format!("{} reads it", unit.shown(node)));
                }
                _ => {}
            }
        }
    }
    None
}

fn is_in_packages(finder: &Finder<'_, '_>, node: Node) -> bool {
    finder.unit.upper.parent(node).is_some_and(|folder| FOREIGN.contains(&finder.unit.upper.name(folder)))
}
