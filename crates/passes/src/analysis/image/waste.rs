//! Finds waste by the rules of its place, and says what of it stays: what the base ships, what the image names, what
//! packages have, what links lead to.

use std::collections::{BTreeMap, BTreeSet};

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node, Tree, packages};
use jettison_ir::{
    Changed, Claim, Decline, Edit, Finding, Fix, ImageUnit, Pattern, PatternError, Plan, Remark, matches_name,
};

use super::mentions::Mentions;
use super::places;
use super::rules::{self, Rule};

/// So many links may lead to each other, as on Linux.
const MOST_LINKS: usize = 40;

/// What of a rule's waste stays, and why.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stays {
    Base,
    Package,
    Named,
    Linked,
    /// For a reason that the pass gives.
    Held(&'static str),
}

/// Runs the rules of a pass.
pub(crate) fn run(unit: &ImageUnit<'_>, plan: &Plan, pass: &str) -> Vec<Remark> {
    run_with(unit, plan, pass, |_, _, _| Vec::new())
}

/// The same where a pass knows more than places: `narrow` takes out of what a rule found what is no waste, and says why.
pub(crate) fn run_with<'a>(
    unit: &ImageUnit<'a>,
    plan: &Plan,
    pass: &str,
    mut narrow: impl FnMut(&Finder<'_, 'a>, &Rule, &mut BTreeSet<Node>) -> Vec<Remark>,
) -> Vec<Remark> {
    let finder = Finder::new(unit, plan);
    rules::of(pass).flat_map(|rule| finder.remarks(rule, &mut narrow)).collect()
}

/// An image that is searched.
pub(crate) struct Finder<'f, 'a> {
    pub(crate) unit: &'f ImageUnit<'a>,
    pub(crate) plan: &'f Plan,
    homes: Vec<String>,
    pub(crate) mentions: Mentions,
    /// What symbolic links lead to, each with the links.
    led_to: BTreeMap<Node, Vec<Node>>,
    /// What stays for a reason that the pass knows of.
    pub(crate) held: BTreeMap<Node, &'static str>,
}

impl<'f, 'a> Finder<'f, 'a> {
    pub(crate) fn new(unit: &'f ImageUnit<'a>, plan: &'f Plan) -> Self {
        let tree = &unit.upper;
        let mut led_to: BTreeMap<Node, Vec<Node>> = BTreeMap::new();
        for link in tree.walk().filter(|node| tree.kind(*node) == Kind::Symlink) {
            // Links on the way are needed as well.
            let next = |node: &Node| (tree.kind(*node) == Kind::Symlink).then(|| leads_to(tree, *node)).flatten();
            for target in std::iter::successors(next(&link), next).take(MOST_LINKS) {
                led_to.entry(target).or_default().push(link);
            }
        }
        Self { unit, plan, homes: places::homes(unit), mentions: Mentions::of(unit), led_to, held: BTreeMap::new() }
    }

    fn remarks(
        &self,
        rule: &Rule,
        narrow: &mut impl FnMut(&Self, &Rule, &mut BTreeSet<Node>) -> Vec<Remark>,
    ) -> Vec<Remark> {
        let mut found = self.find(rule);
        if found.is_empty() {
            return Vec::new();
        }
        if let Some(in_use) = self.in_use(rule) {
            return vec![in_use];
        }
        let mut remarks = narrow(self, rule, &mut found);
        remarks.extend(self.sort(rule, found));
        remarks
    }

    /// What is to be said of what a rule found.
    pub(crate) fn remarks_of(&self, rule: &Rule, found: BTreeSet<Node>) -> Vec<Remark> {
        if found.is_empty() {
            return Vec::new();
        }
        self.in_use(rule).map_or_else(|| self.sort(rule, found), |in_use| vec![in_use])
    }

    /// Which program of the image, or of its command, uses what a rule speaks of.
    fn in_use(&self, rule: &Rule) -> Option<Remark> {
        if let Some(program) = self.mentions.runs(&rule.run) {
            return Some(decline(None, format!("{}: the image's command runs {program}, which uses it", rule.what)));
        }
        let is_gone = |node: Node| self.plan.edits.is_gone(&self.unit.upper, node);
        let user = rule.without.iter().find(|name| places::has_program(self.unit, name, &is_gone))?;
        Some(decline(None, format!("{}: {user} is there, which uses it", rule.what)))
    }

    /// The paths that a rule speaks of, files and folders, without those that are gone already or kept by the user.
    pub(crate) fn find(&self, rule: &Rule) -> BTreeSet<Node> {
        let expand = |paths: &[&'static str]| -> Vec<String> {
            paths.iter().flat_map(|path| places::expanded(self.unit, &self.homes, path)).collect()
        };
        let set = rule.settings.iter().flat_map(|setting| places::set(self.unit, &self.homes, setting));
        let paths: BTreeSet<String> = expand(&rule.paths).into_iter().chain(set).collect();
        let keep = expand(&rule.keep).into_iter().map(|path| path.parse::<Pattern>());
        let keep: Result<Vec<Pattern>, PatternError> =
            keep.filter(|keep| !matches!(keep, Err(PatternError::Relative { .. }))).collect();
        let mut found = BTreeSet::new();
        // A home whose name is no pattern: what is to be kept in it cannot be told.
        let Ok(keep) = keep else { return found };
        for path in paths {
            self.select(&path, rule, &mut found);
        }
        found.retain(|node| {
            let path = self.unit.upper.path(*node);
            let is_empty = rule.is_filled && self.unit.upper.attributes(*node).size == 0;
            let is_kept = keep.iter().any(|pattern| pattern.matches(&path));
            !is_empty && !is_kept && self.may_go(*node)
        });
        found
    }

    /// Whether a path is neither gone already nor kept by the user.
    pub(crate) fn may_go(&self, node: Node) -> bool {
        let tree = &self.unit.upper;
        self.unit.options.keeps(&tree.path(node)).is_none() && !self.plan.edits.is_gone(tree, node)
    }

    /// Everything at the paths that a pattern matches, and below them.
    fn select(&self, path: &str, rule: &Rule, out: &mut BTreeSet<Node>) {
        let tree = &self.unit.upper;
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let literal = names.iter().take_while(|name| !name.contains(['*', '?', '['])).count();
        // The last name is matched, not followed: a link is not what it leads to.
        let literal = literal.min(names.len().saturating_sub(1));
        let Some(anchor) = packages::follow(tree, names[..literal].join("/").as_bytes()) else { return };
        let names: Vec<&[u8]> = names[literal..].iter().map(|name| name.as_bytes()).collect();
        match names.split_first() {
            Some((&b"**", names)) => self.select_anywhere(anchor, names, rule, out),
            _ => self.select_below(anchor, &names, rule, out),
        }
    }

    /// What lies below a folder at the names of a pattern, one a level.
    fn select_below(&self, folder: Node, names: &[&[u8]], rule: &Rule, out: &mut BTreeSet<Node>) {
        let tree = &self.unit.upper;
        let Some((first, rest)) = names.split_first() else { return };
        for child in tree.children(folder).into_iter().filter(|child| matches_name(first, tree.name(*child))) {
            if !rest.is_empty() {
                self.select_below(child, rest, rule, out);
            } else if self.is_meant(rule, child) {
                self.take(child, out);
            }
        }
    }

    /// What lies anywhere below a folder and ends with the names of a pattern.
    fn select_anywhere(&self, anchor: Node, names: &[&[u8]], rule: &Rule, out: &mut BTreeSet<Node>) {
        let tree = &self.unit.upper;
        let ends_so = |node: Node| {
            let own = tree.ancestors(node).take_while(|node| *node != anchor);
            let mut own = own.map(|node| tree.name(node));
            names.iter().rev().all(|name| own.next().is_some_and(|own| matches_name(name, own)))
        };
        let mut stack = vec![anchor];
        while let Some(folder) = stack.pop() {
            for child in tree.children(folder) {
                if ends_so(child) && self.is_meant(rule, child) {
                    self.take(child, out);
                } else if tree.kind(child) == Kind::Directory {
                    stack.push(child);
                }
            }
        }
    }

    /// Whether what a rule wants in a folder or beside it is there.
    fn is_meant(&self, rule: &Rule, node: Node) -> bool {
        let tree = &self.unit.upper;
        let has = |folder: Node, wanted: &[&str]| {
            wanted.iter().any(|name| match name.strip_prefix('*') {
                None => tree.child(folder, name.as_bytes()).is_some(),
                Some(end) => tree.children(folder).into_iter().any(|node| tree.name(node).ends_with(end.as_bytes())),
            })
        };
        (rule.holding.is_empty() || has(node, &rule.holding))
            && (rule.beside.is_empty() || tree.parent(node).is_some_and(|folder| has(folder, &rule.beside)))
            && (!rule.is_dump || self.unit.start(node, 18).is_some_and(|start| is_dump(&start)))
    }

    /// A path, and all below it.
    pub(crate) fn take(&self, node: Node, out: &mut BTreeSet<Node>) {
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            out.insert(node);
            stack.extend(self.unit.upper.children(node));
        }
    }

    /// What goes, a finding a layer, and what stays, a decline a reason.
    fn sort(&self, rule: &Rule, found: BTreeSet<Node>) -> Vec<Remark> {
        let tree = &self.unit.upper;
        if let Err(error) = self.unit.packages()
            && rule.is_of_packages
        {
            return vec![decline(None, format!("{}: they stay, as nothing tells whose they are: {error}", rule.what))];
        }
        let mut stays: BTreeMap<Node, Stays> = BTreeMap::new();
        let mut named: Vec<Node> = self.mentions.nodes.iter().filter(|node| found.contains(*node)).copied().collect();
        while let Some(node) = named.pop() {
            stays.insert(node, Stays::Named);
            named.extend(tree.children(node));
        }
        let mut linked: Vec<Node> = self.led_to_from_outside(&found);
        while let Some(node) = linked.pop() {
            stays.entry(node).or_insert(Stays::Linked);
            linked.extend(tree.children(node));
        }
        for (node, reason) in self.held.iter().filter(|(node, _)| found.contains(*node)) {
            stays.entry(*node).or_insert(Stays::Held(reason));
        }
        let is_folder = |node: &Node| tree.kind(*node) == Kind::Directory;
        for node in found.iter().filter(|node| !is_folder(node)) {
            if !rule.is_of_packages && self.unit.owner(*node).is_some() {
                stays.entry(*node).or_insert(Stays::Package);
            } else if !self.unit.is_own(*node) {
                stays.entry(*node).or_insert(Stays::Base);
            }
        }
        let mut layers: BTreeMap<usize, Vec<Node>> = BTreeMap::new();
        for node in found.iter().filter(|node| !is_folder(node) && !stays.contains_key(node)) {
            layers.entry(tree.origin(*node).layer).or_default().push(*node);
        }
        let mut remarks = self.declines(rule, &stays);
        // Folders go with the last layer that had something in them, if nothing is left in them.
        if let Some(mut last) = layers.last_entry() {
            let is_new = |node: Node| self.unit.lower.find(&tree.path(node)).is_none();
            let is_going = |node: &&Node| is_folder(node) && is_new(**node) && !stays.contains_key(node);
            let owned = |node: &&Node| rule.is_of_packages || self.unit.owner(**node).is_none();
            last.get_mut().extend(found.iter().filter(is_going).filter(owned));
        }
        remarks.extend(layers.into_iter().map(|(layer, nodes)| Remark::Found(self.finding(rule, layer, nodes))));
        remarks
    }

    /// What a link leads to that is not waste itself.
    fn led_to_from_outside(&self, found: &BTreeSet<Node>) -> Vec<Node> {
        let is_outside = |link: &Node| !found.contains(link) && !self.plan.edits.is_gone(&self.unit.upper, *link);
        let led_to =
            found.iter().filter(|node| self.led_to.get(node).is_some_and(|links| links.iter().any(is_outside)));
        led_to.copied().collect()
    }

    fn finding(&self, rule: &Rule, layer: usize, nodes: Vec<Node>) -> Finding {
        let tree = &self.unit.upper;
        let is_folder = |node: &&Node| tree.kind(**node) == Kind::Directory;
        let bytes = nodes.iter().map(|node| tree.attributes(*node).size).sum();
        let files = nodes.iter().filter(|node| !is_folder(node)).count();
        let changes = nodes.into_iter().map(|node| (node, Changed::Gone)).collect();
        let fix = Fix { edit: Edit::Change(changes), claim: Claim::Gone };
        Finding { what: rule.what.to_owned(), help: rule.help.clone(), files, bytes, ..Finding::of(layer, fix) }
    }

    fn declines(&self, rule: &Rule, stays: &BTreeMap<Node, Stays>) -> Vec<Remark> {
        let tree = &self.unit.upper;
        let mut groups: BTreeMap<Stays, Vec<Node>> = BTreeMap::new();
        for (node, why) in stays.iter().filter(|(node, _)| tree.kind(**node) != Kind::Directory) {
            groups.entry(*why).or_default().push(*node);
        }
        let declines = groups.into_iter().map(|(why, stays)| {
            let (files, plural) = (stays.len(), if stays.len() == 1 { "" } else { "s" });
            let bytes: u64 = stays.iter().map(|node| tree.attributes(*node).size).sum();
            let first = stays.first().map(|node| tree.path(*node)).unwrap_or_default();
            let first = format!("/{}", first.escape_bytes());
            let why = match why {
                Stays::Base => "base layers stay as they are so that they stay shared; --squash-all merges them",
                Stays::Package => "packages own them",
                Stays::Named => "the image's settings or the scripts that they name name them",
                Stays::Linked => "symbolic links lead there",
                Stays::Held(reason) => reason,
            };
            let reason = format!("{}: {files} file{plural} with {bytes} bytes stay ({first}): {why}", rule.what);
            Remark::Declined(Decline { layer: None, reason, stays })
        });
        declines.collect()
    }
}

/// What is at the path that a link has, which may be a link.
fn leads_to(tree: &Tree<'_>, link: Node) -> Option<Node> {
    let target = tree.attributes(link).link;
    let folder = tree.parent(link).filter(|_| !target.starts_with(b"/")).map(|folder| tree.path(folder));
    let path = [folder.unwrap_or_default().as_slice(), b"/", target].concat();
    tree.find(&packages::canonical(tree, &path))
}

/// Whether a file that starts so is a program's memory: ELF of the type `ET_CORE`, in the byte order that it states.
fn is_dump(start: &[u8]) -> bool {
    let is_elf = start.starts_with(b"\x7fELF");
    let core = if start.get(5) == Some(&2) { [0, 4] } else { [4, 0] };
    is_elf && start.get(16..18) == Some(&core)
}

pub(crate) fn decline(layer: Option<usize>, reason: String) -> Remark {
    Remark::Declined(Decline { layer, reason, stays: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::is_dump;

    #[test]
    fn dumps_are_told_by_their_type_in_their_byte_order() {
        let elf = |order: u8, kind: [u8; 2]| [&b"\x7fELF\x02"[..], &[order, 1], &[0; 9], &kind].concat();
        assert!(is_dump(&elf(1, [4, 0])) && is_dump(&elf(2, [0, 4])));
        assert!(!is_dump(&elf(1, [0, 4])) && !is_dump(&elf(2, [4, 0])), "the other order");
        assert!(!is_dump(&elf(1, [3, 0])) && !is_dump(&elf(1, [2, 0])), "libraries and programs");
        assert!(!is_dump(b"the core of it all") && !is_dump(b"\x7fELF") && !is_dump(b""));
    }
}
