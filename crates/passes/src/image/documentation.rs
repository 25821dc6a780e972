//! Finds documentation, which people read who are not in a container.

use std::collections::BTreeSet;

use jettison_image::{Kind, Node, packages};
use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::waste::Finder;
use crate::analysis::image::{named, rules};

const ASSUMES: &[Assumption] = &[Assumption {
    name: "documentation-is-for-people",
    holds: "programs read no documentation but that whose path is written in them, in a script or in a setting",
}];

pub(crate) const PASS: Pass = Pass {
    name: "documentation",
    summary: "documentation, manual pages and examples; licences stay",
    level: Level::Os,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("documentation.md"),
    aliases: &[],
    run: Run::Image(run),
};

/// How names of files and folders start that tell under which terms something may be used.
const TERMS: [&str; 11] = [
    "copyright",
    "copying",
    "license",
    "licence",
    "licensing",
    "notice",
    "unlicense",
    "patents",
    "authors",
    "legal",
    "third-party",
];

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    let mut finder = Finder::new(unit, plan);
    let found: Vec<_> = rules::of(PASS.name)
        .map(|rule| {
            let all = finder.find(rule);
            let found: BTreeSet<Node> = all.iter().filter(|node| !is_of_terms(unit, &all, **node)).copied().collect();
            (rule, found)
        })
        .collect();
    let all: BTreeSet<Node> = found.iter().flat_map(|(_, found)| found).copied().collect();
    if !all.iter().any(|node| unit.is_own(*node)) {
        return found.into_iter().flat_map(|(rule, found)| finder.remarks_of(rule, found)).collect();
    }
    let named = named::named(unit, plan, &all);
    finder.held.extend(named.into_iter().map(|node| (node, "programs, scripts or settings name them")));
    let links = all.iter().filter(|node| leads_to_terms(unit, plan, &all, **node));
    finder.held.extend(links.map(|node| (*node, "they lead to licences")));
    found.into_iter().flat_map(|(rule, found)| finder.remarks_of(rule, found)).collect()
}

/// Whether something, or a folder of what was found above it, is named like terms of use.
fn is_of_terms(unit: &ImageUnit<'_>, found: &BTreeSet<Node>, node: Node) -> bool {
    let tree = &unit.upper;
    let is_named = |node: Node| {
        let name = tree.name(node).to_ascii_lowercase();
        TERMS.iter().any(|start| name.starts_with(start.as_bytes()))
    };
    is_named(node)
        || tree.ancestors(node).skip(1).take_while(|folder| found.contains(folder)).any(|folder| {
            // The folder of the package `license-tools` is not all terms.
            let is_within = tree.parent(folder).is_some_and(|above| found.contains(&above));
            is_within && is_named(folder)
        })
}

/// Whether a link leads to a folder in which terms of use stay: Debian's packages share folders so.
fn leads_to_terms(unit: &ImageUnit<'_>, plan: &Plan, found: &BTreeSet<Node>, node: Node) -> bool {
    let tree = &unit.upper;
    if tree.kind(node) != Kind::Symlink {
        return false;
    }
    let Some(folder) = packages::follow(tree, &tree.path(node)) else { return false };
    let stays = |child: &Node| !found.contains(child) && !plan.edits.is_gone(tree, *child);
    found.contains(&folder) && tree.children(folder).iter().any(stays)
}
