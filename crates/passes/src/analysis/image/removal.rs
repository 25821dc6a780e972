//! Which packages can go: those that are named, with what is there for them alone, without what anything that stays uses:
//! a package that needs them, a file that loads or runs something of theirs, the image's command, a link.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bstr::ByteSlice as _;
use jettison_image::elf::Program;
use jettison_image::packages::{self, Package, Packages, Reason, Ties};
use jettison_image::{Kind, Node};
use jettison_ir::{ImageUnit, Plan};

use super::calls;
use super::mentions::{Mentions, programs_at};
use crate::analysis::build_tools::{BuildPackage, build_package};

/// Where `update-alternatives` keeps its links: what they lead to is managed, and no use.
const ALTERNATIVES: &[u8] = b"etc/alternatives/";

/// Examples of how a package is used may ask for others that it does not depend on: mawk's for gawk.
const EXAMPLES: &[u8] = b"usr/share/doc/";

/// Why a package stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// A package that stays needs it.
    ByPackage(usize),
    /// A package that stays was installed along with it, or recommends it.
    ByRecommendation(usize),
    /// A file that stays loads, runs or leads to a file of it.
    ByFile(Node, Node),
    /// A file that stays may open a file of it by name.
    ByName(Node, Node),
    /// The image's settings, or a script that they name, use a file of it.
    ByCommand(Node),
    /// The application's code starts a program of it by its name.
    ByCode(Node),
    /// The base ships it.
    ByBase,
    /// The system is none without it.
    System,
    /// A library may be opened by name, which nobody can see; what brought it was headers.
    Unseen,
}

/// Packages that can go.
pub(crate) struct Removal {
    /// Their places.
    pub(crate) gone: BTreeSet<usize>,
    /// Those that were named, or were there for them, and stay.
    pub(crate) held: BTreeMap<usize, Held>,
}

/// How far a removal goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Somebody asked for it: what comes along goes as the manager's own `autoremove` has it.
    Asked,
    /// It was worked out: what may be opened by name stays.
    Found,
}

/// One database of an image, and who uses whose files.
pub(crate) struct Users<'u, 'a> {
    unit: &'u ImageUnit<'a>,
    packages: &'u Packages,
    /// Of each file that uses something of a package: whose it is (none where no package has it), the packages, the files.
    uses: Vec<Use>,
    command: Vec<(usize, Node)>,
    code: Vec<(usize, Node)>,
    /// Packages that are to be gone already.
    going: BTreeSet<usize>,
}

/// A file that uses a file of a package.
struct Use {
    from: Node,
    owners: Vec<usize>,
    to: Node,
    package: usize,
    is_certain: bool,
}

impl<'u, 'a> Users<'u, 'a> {
    /// Of the database at a place among those of the image.
    pub(crate) fn new(
        unit: &'u ImageUnit<'a>,
        plan: &Plan,
        database: (usize, &'u Packages),
        mentions: &Mentions,
    ) -> Self {
        let (database, packages) = database;
        let tree = &unit.upper;
        let linkage = unit.linkage();
        let owners: HashMap<Node, Vec<usize>> = (packages.packages.iter().enumerate())
            .flat_map(|(at, package)| package.files.iter().filter_map(move |path| Some((tree.find(path)?, at))))
            .filter(|(node, _)| !is_folder(unit, *node))
            .fold(HashMap::new(), |mut all: HashMap<Node, Vec<usize>>, (node, at)| {
                all.entry(node).or_default().push(at);
                all
            });
        let of = |node: Node| owners.get(&node).map_or(&[][..], Vec::as_slice);
        let mut uses = Vec::new();
        for from in tree.walk().filter(|node| tree.kind(*node) != Kind::Directory) {
            let is_example = tree.path(from).starts_with(EXAMPLES);
            if is_example || is_managed_link(unit, from) || plan.edits.is_gone(tree, from) {
                continue;
            }
            let needs = linkage.needs(from).iter().map(|to| (*to, true));
            let opens = linkage.may_open(from).iter().map(|to| (*to, false));
            for (to, is_certain) in needs.chain(opens) {
                uses.extend(of(to).iter().map(|package| Use {
                    from,
                    owners: of(from).to_vec(),
                    to,
                    package: *package,
                    is_certain,
                }));
            }
        }
        let named = mentions.used_nodes(unit).into_iter();
        let command = named.flat_map(|node| of(node).iter().map(move |package| (*package, node))).collect();
        let called = programs_at(unit, &calls::programs(unit, mentions)).into_iter();
        let code = called.flat_map(|node| of(node).iter().map(move |package| (*package, node))).collect();
        let going =
            plan.edits.packages().iter().filter(|(at, _)| *at == database).map(|(_, package)| *package).collect();
        Self { unit, packages, uses, command, code, going }
    }

    /// What can go of the packages at these places.
    pub(crate) fn removal(&self, named: &BTreeSet<usize>, wish: Wish) -> Removal {
        let packages = self.packages;
        let mut held: BTreeMap<usize, Held> = BTreeMap::new();
        let along = packages.closure(named.iter().copied(), Ties::All);
        let is_along = |at: &usize| named.contains(at) || packages.packages[*at].reason != Reason::Asked;
        let mut gone: BTreeSet<usize> = along.into_iter().filter(is_along).collect();
        for at in &gone {
            let package = &packages.packages[*at];
            if packages.is_system(package) {
                held.insert(*at, Held::System);
            } else if self.is_of_base(*at) {
                held.insert(*at, Held::ByBase);
            }
        }
        for (package, node) in self.command.iter().filter(|(package, _)| gone.contains(package)) {
            held.entry(*package).or_insert(Held::ByCommand(*node));
        }
        // Who asks for a removal knows what the code calls.
        for (package, node) in self.code.iter().filter(|(package, _)| wish == Wish::Found && gone.contains(package)) {
            held.entry(*package).or_insert(Held::ByCode(*node));
        }
        loop {
            gone.retain(|at| !held.contains_key(at) && !self.going.contains(at));
            let new = self.held_by_staying(&gone, named, wish);
            if new.is_empty() {
                return Removal { gone, held };
            }
            held.extend(new);
        }
    }

    /// Those of some packages that others or their files use.
    fn held_by_staying(&self, gone: &BTreeSet<usize>, named: &BTreeSet<usize>, wish: Wish) -> BTreeMap<usize, Held> {
        let packages = self.packages;
        let mut held = BTreeMap::new();
        let all_gone: BTreeSet<usize> = gone.union(&self.going).copied().collect();
        for (at, package) in packages.packages.iter().enumerate().filter(|(at, _)| !all_gone.contains(at)) {
            for requirement in &package.depends {
                let met = packages.meeting(package, requirement);
                // Another one that stays does as well.
                if met.iter().all(|one| all_gone.contains(one)) {
                    let met = met.into_iter().filter(|one| gone.contains(one));
                    held.extend(met.map(|one| (one, Held::ByPackage(at))));
                }
            }
            let recommended = package.recommends.iter().flat_map(|one| packages.meeting(package, one));
            // What serves to build by its name is kept by a compiler that stays, which works with it: headers of libc.
            let builds = build_package(&package.name).is_some();
            for one in recommended.filter(|one| gone.contains(one) && (builds || !named.contains(one))) {
                held.entry(one).or_insert(Held::ByRecommendation(at));
            }
        }
        for one in &self.uses {
            let is_staying = one.owners.is_empty() || one.owners.iter().any(|owner| !all_gone.contains(owner));
            // What serves to build by its name is not kept for a name in a program's text.
            let counts = one.is_certain || !named.contains(&one.package);
            if is_staying && counts && gone.contains(&one.package) {
                let why = if one.is_certain { Held::ByFile(one.from, one.to) } else { Held::ByName(one.from, one.to) };
                held.entry(one.package).or_insert(why);
            }
        }
        if wish == Wish::Found && held.is_empty() {
            held.extend(
                gone.iter()
                    .filter(|at| !named.contains(at) && self.is_unseen(**at, &all_gone))
                    .map(|at| (*at, Held::Unseen)),
            );
        }
        held
    }

    /// Whether a package brings libraries and is there for headers: programs of the image may open these by name.
    fn is_unseen(&self, at: usize, gone: &BTreeSet<usize>) -> bool {
        let tree = &self.unit.upper;
        let is_library = |path: &Vec<u8>| {
            let name = path.rsplit_str("/").next().unwrap_or_default();
            (name.contains_str(".so.") || name.ends_with(b".so"))
                && tree.find(path).is_some_and(|node| {
                    matches!(self.unit.programs().get(&tree.attributes(node).digest), Some(Program::Elf(_)))
                })
        };
        // A compiler's own libraries are loaded by what it linked with them, which is seen.
        let is_of_compiler =
            |package: &Package| ["libgcc-", "libstdc++-"].iter().any(|own| package.name.starts_with(own));
        let is_for_headers = self.packages.needing(at).into_iter().filter(|one| gone.contains(one)).any(|one| {
            let package = &self.packages.packages[one];
            let is_headers = build_package(&package.name) == Some(BuildPackage::Headers);
            (package.section == "libdevel" || is_headers) && !is_of_compiler(package)
        });
        is_for_headers && self.packages.packages[at].files.iter().any(is_library)
    }

    /// Whether the base ships any file of a package.
    pub(crate) fn is_of_base(&self, at: usize) -> bool {
        let tree = &self.unit.upper;
        let files = self.packages.packages[at].files.iter().filter_map(|path| tree.find(path));
        // Packages list `/lib` as well, which is a link of the base's to a folder.
        let mut files = files.filter(|node| !is_folder(self.unit, *node));
        files.any(|node| !self.unit.is_own(node))
    }

    /// Why a package stays, as a chain: `app needs libfoo, which needs libbar`.
    pub(crate) fn chain(&self, removal: &Removal, at: usize) -> String {
        let name = |at: usize| self.packages.packages[at].name.as_str();
        let shown = |node: Node| self.unit.shown(node);
        let mut links = Vec::new();
        let mut left = at;
        for _ in 0..=removal.held.len() {
            let Some(held) = removal.held.get(&left) else { break };
            match held {
                Held::ByPackage(by) => {
                    links.push(format!("{} needs {}", name(*by), name(left)));
                    left = *by;
                    continue;
                }
                Held::ByRecommendation(by) => links.push(format!("{} recommends {}", name(*by), name(left))),
                Held::ByFile(from, to) => links.push(format!("{} uses {} of {}", shown(*from), shown(*to), name(left))),
                Held::ByName(from, to) => {
                    links.push(format!("{} may open {} of {}", shown(*from), shown(*to), name(left)))
                }
                Held::ByCommand(node) => {
                    links.push(format!("the image's command uses {} of {}", shown(*node), name(left)))
                }
                Held::ByCode(node) => {
                    links.push(format!("the application's code calls {} of {}", shown(*node), name(left)))
                }
                Held::ByBase => links.push(format!("the base ships {}", name(left))),
                Held::System => links.push(format!("the system is none without {}", name(left))),
                Held::Unseen => links.push(format!("programs may open the libraries of {} by name", name(left))),
            }
            break;
        }
        links.reverse();
        links.join(", ")
    }

    /// The layer that ships the most bytes of some packages, and their files with their bytes.
    pub(crate) fn weight(&self, of: &BTreeSet<usize>) -> (usize, usize, u64) {
        let tree = &self.unit.upper;
        let staying = self.packages.packages.iter().enumerate().filter(|(at, _)| !of.contains(at));
        // What another package has as well stays.
        let shared: HashSet<&Vec<u8>> = staying.flat_map(|(_, package)| &package.files).collect();
        let files = of.iter().flat_map(|at| &self.packages.packages[*at].files).filter(|path| !shared.contains(path));
        let files = files.filter_map(|path| tree.find(path));
        let files: BTreeSet<Node> = files.filter(|node| tree.kind(*node) != Kind::Directory).collect();
        let mut layers: BTreeMap<usize, u64> = BTreeMap::new();
        for node in &files {
            *layers.entry(tree.origin(*node).layer).or_default() += tree.attributes(*node).size;
        }
        let layer = layers.iter().max_by_key(|(layer, bytes)| (**bytes, **layer)).map_or(0, |(layer, _)| *layer);
        (layer, files.len(), layers.values().sum())
    }
}

/// Whether there is a folder, by way of a link as well: many packages have these, and whoever goes through one uses none.
fn is_folder(unit: &ImageUnit<'_>, node: Node) -> bool {
    let tree = &unit.upper;
    match tree.kind(node) {
        Kind::Directory => true,
        Kind::Symlink => {
            packages::follow(tree, &tree.path(node)).is_some_and(|node| tree.kind(node) == Kind::Directory)
        }
        _ => false,
    }
}

/// Whether a link is one of `update-alternatives`, of `update-rc.d`, of `systemctl enable`, or of those that `ldconfig` makes beside libraries.
fn is_managed_link(unit: &ImageUnit<'_>, node: Node) -> bool {
    let tree = &unit.upper;
    if tree.kind(node) != Kind::Symlink {
        return false;
    }
    let (path, target) = (tree.path(node), tree.attributes(node).link);
    let is_alternative = path.starts_with(ALTERNATIVES) || target.starts_with(b"/etc/alternatives/");
    let is_of_runlevel = path.starts_with(b"etc/rc") && target.starts_with(b"../init.d/");
    let is_of_unit = path.starts_with(b"etc/systemd/") && target.contains_str("lib/systemd/");
    is_alternative || is_of_runlevel || is_of_unit || (tree.name(node).contains_str(".so") && !target.contains(&b'/'))
}
