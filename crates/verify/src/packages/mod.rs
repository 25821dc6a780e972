//! Packages that a change claims to be gone: which ones are, whether they may be, and which differences between the
//! images are theirs.
//!
//! The database before says what a package has. A path may be missing where packages that are gone alone have it, or it
//! was made for them in a way that is known ([`paths`]). The databases after must be those before without these packages
//! ([`databases`]). Everything else is for the judge to refuse.

mod alternatives;
mod databases;
mod files;
mod loader;
mod paths;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use jettison_image::packages::{self, Manager, Package, Packages, PackagesError, Reason, Ties};
use jettison_image::{Kind, Node, Tree};
use jettison_ir::{Difference, GonePackage, Place};

use files::Files;

/// Reads the content of a file of an image; none where it cannot be had.
pub type Read<'r> = dyn FnMut(Node) -> Option<Vec<u8>> + 'r;

/// One of the images, as packages are judged by it.
pub struct Image<'i, 'a> {
    /// What a container sees.
    pub tree: &'i Tree<'a>,
    /// The contents of its files.
    pub read: &'i mut Read<'i>,
}

/// The packages that one image has and the other has no longer, and what is theirs.
pub struct Removal<'i, 'a> {
    tree: &'i Tree<'a>,
    /// Files of packages that stay, which are gone on purpose.
    forgotten: HashSet<Vec<u8>>,
    /// The databases before, each with the places of its packages that are gone.
    databases: Vec<(Packages, BTreeSet<usize>)>,
    /// What the databases differ in beside that: each is a reason to refuse.
    differences: Vec<Difference>,
    /// Files of the databases that are the same but for these packages, and what only they needed there.
    same: HashSet<Vec<u8>>,
    /// Links that led to something of a gone package and lead to something that stays.
    led: HashSet<Vec<u8>>,
    /// Paths that a program of a gone package had, and where busybox stands in for it now.
    stood_in: HashSet<Vec<u8>>,
    /// Paths that belong to packages that are gone, although no list has them.
    own: HashSet<Vec<u8>>,
    /// What the scripts of the packages that are gone say.
    scripts: Vec<Vec<u8>>,
    gone: Vec<GonePackage>,
}

impl<'i, 'a> Removal<'i, 'a> {
    /// Compares the databases of two images. `claimed` are the packages that are meant to be gone, by their names.
    #[must_use]
    pub fn of(claimed: &[&str], before: Image<'i, 'a>, after: Image<'i, 'a>) -> Self {
        Self::with_forgotten(claimed, HashSet::new(), before, after)
    }

    /// The same, where files of packages that stay are gone on purpose: databases need not list these any longer.
    #[must_use]
    pub fn with_forgotten(
        claimed: &[&str],
        forgotten: HashSet<Vec<u8>>,
        before: Image<'i, 'a>,
        after: Image<'i, 'a>,
    ) -> Self {
        let (mut before, mut after) = (Files::new(before), Files::new(after));
        let mut removal = Self {
            tree: before.tree,
            forgotten,
            databases: Vec::new(),
            differences: Vec::new(),
            same: HashSet::new(),
            led: HashSet::new(),
            stood_in: HashSet::new(),
            own: HashSet::new(),
            scripts: Vec::new(),
            gone: Vec::new(),
        };
        let (old, new) = match (before.packages(), after.packages()) {
            (Ok(old), Ok(new)) => (old, new),
            // Nobody can say what is installed, and nothing is said to be gone.
            (Err(old), Err(new)) if old == new && claimed.is_empty() => return removal,
            (Err(error), _) | (_, Err(error)) => {
                removal.differences.push(unread(&error));
                return removal;
            }
        };
        let key = |packages: &Packages| (packages.manager, packages.place.clone());
        let mut others: BTreeMap<_, Packages> = new.into_iter().map(|packages| (key(&packages), packages)).collect();
        for packages in old {
            match others.remove(&key(&packages)) {
                Some(other) => removal.compare(packages, &other, claimed, &mut before, &mut after),
                None => removal.differences.push(whole(&packages, true)),
            }
        }
        removal.differences.extend(others.values().map(|packages| whole(packages, false)));
        removal
    }

    /// The packages that are gone, those that were claimed first.
    #[must_use]
    pub fn gone(&self) -> &[GonePackage] {
        &self.gone
    }

    /// What speaks against the removal, as far as packages are concerned.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// Whether two different contents of a path are databases that differ in the packages that are gone.
    #[must_use]
    pub fn is_same_database(&self, path: &str) -> bool {
        self.same.contains(&bytes(path))
    }

    /// Whether busybox stands in for a program of a gone package.
    #[must_use]
    pub fn is_stood_in_for(&self, path: &str) -> bool {
        self.stood_in.contains(&bytes(path))
    }

    /// Whether a link that led to something of a gone package leads to the next best now.
    #[must_use]
    pub fn is_led_elsewhere(&self, path: &str) -> bool {
        self.led.contains(&bytes(path))
    }

    fn compare(&mut self, old: Packages, new: &Packages, claimed: &[&str], before: &mut Files, after: &mut Files) {
        let gone = self.judge_packages(&old, new, claimed);
        if old.manager == Manager::Apk {
            self.stand_in(&old, new, &gone, after);
        }
        self.judge_files(&old, &gone, after.tree);
        let claimed: HashSet<usize> = claimed.iter().flat_map(|name| old.named(name)).collect();
        let mut order: Vec<usize> = gone.iter().copied().collect();
        order.sort_by_key(|at| !claimed.contains(at));
        self.gone.extend(order.into_iter().map(|at| {
            let Package { name, version, .. } = &old.packages[at];
            let bytes = old.packages[at].files.iter().map(|path| size(before.tree, path)).sum();
            GonePackage { name: name.clone(), version: version.clone(), bytes, is_claimed: claimed.contains(&at) }
        }));
        let questions = HashSet::new();
        let mut compared = databases::Compared {
            tree: before.tree,
            old: &old,
            new,
            gone: &gone,
            claimed: &claimed,
            forgotten: &self.forgotten,
            questions,
        };
        compared.learn_questions(before);
        self.same.extend(compared.same(before, after));
        self.scripts.extend(compared.scripts(before));
        let found = alternatives::compare(&compared, before, after);
        self.own.extend(found.own);
        self.same.extend(found.same);
        self.led.extend(found.led);
        self.own.extend(compared.own(before));
        self.own.extend(units::own(&compared, before));
        self.databases.push((old, gone));
    }

    /// Which packages are gone. They may be where they were claimed or are there for those alone; the others must be as
    /// they were.
    fn judge_packages(&mut self, old: &Packages, new: &Packages, claimed: &[&str]) -> BTreeSet<usize> {
        let others = by_name(&new.packages);
        let mut gone = BTreeSet::new();
        for (at, package) in old.packages.iter().enumerate() {
            let Some(others) = others.get(&key(package)) else {
                gone.insert(at);
                continue;
            };
            // rpm may have several versions of one.
            match others.iter().find(|other| other.version == package.version) {
                None => {
                    self.differ(package, "version", Some(&package.version), others.first().map(|one| &*one.version))
                }
                Some(other) if other.record != package.record && !self.is_record_kept(old, package, other) => {
                    self.differ(package, "entry in the database", Some("one"), Some("another one"));
                }
                Some(other) if !self.are_files_kept(package, other) => {
                    let count = |package: &Package| format!("{} files", package.files.len());
                    self.differ(package, "list of files", Some(&count(package)), Some(&count(other)));
                }
                Some(other) if !self.are_left_out(package, other) => {
                    let count = |package: &Package| format!("{} files", package.left_out.len());
                    self.differ(package, "files left out", Some(&count(package)), Some(&count(other)));
                }
                Some(_) => {}
            }
        }
        let known = by_name(&old.packages);
        for package in new.packages.iter().filter(|package| !known.contains_key(&key(package))) {
            self.differ(package, "package", None, Some(&package.version));
        }
        let named: BTreeSet<usize> = claimed.iter().flat_map(|name| old.named(name)).collect();
        let along = old.closure(named.iter().copied(), Ties::All);
        for &at in &gone {
            let package = &old.packages[at];
            let may = named.contains(&at) || (along.contains(&at) && package.reason != Reason::Asked);
            if !may || package.is_essential {
                self.differ(package, "package", Some(&package.version), None);
            }
        }
        for (at, requirement) in old.missed_without(&gone) {
            let names: Vec<&str> = requirement.alternatives.iter().map(|one| one.name.as_str()).collect();
            let (had, has) = (format!("{} is there", names.join(" or ")), "it is missing");
            self.differ(&old.packages[at], "need", Some(&had), Some(has));
        }
        self.judge_rests(old, new, &gone);
        gone
    }

    /// Whether a package has the files that it had, but for those that are gone on purpose.
    fn are_files_kept(&self, old: &Package, new: &Package) -> bool {
        let has: HashSet<&Vec<u8>> = new.files.iter().collect();
        old.files == new.files
            || (new.files.len() <= old.files.len()
                && new.files.iter().all(|path| old.files.contains(path))
                && old.files.iter().all(|path| has.contains(path) || self.forgotten.contains(path)))
    }

    /// Whether files count as left out that did, and beside them those that are gone on purpose alone.
    fn are_left_out(&self, old: &Package, new: &Package) -> bool {
        let (before, after): (HashSet<&Vec<u8>>, HashSet<&Vec<u8>>) =
            (old.left_out.iter().collect(), new.left_out.iter().collect());
        before.is_subset(&after) && after.difference(&before).all(|path| self.forgotten.contains(*path))
    }

    /// Whether what apk says of a package, its files included, is the same but for files that are gone on purpose.
    fn is_record_kept(&self, packages: &Packages, old: &Package, new: &Package) -> bool {
        let is_gone = |path: &[u8]| self.forgotten.contains(&packages::canonical(self.tree, path));
        packages.manager == Manager::Apk && databases::apk_record_without(&old.record, is_gone) == new.record
    }

    /// Of packages that are gone the configuration may stay; of none that was left before it may go.
    fn judge_rests(&mut self, old: &Packages, new: &Packages, gone: &BTreeSet<usize>) {
        let (olds, news) = (by_name(&old.removed), by_name(&new.removed));
        let gone: HashSet<_> = gone.iter().map(|at| key(&old.packages[*at])).collect();
        for package in &new.removed {
            let others = olds.get(&key(package)).map_or(&[][..], Vec::as_slice);
            let is_same = others.iter().any(|other| other.record == package.record);
            if !is_same && !gone.contains(&key(package)) {
                self.differ(package, "rest of a package", None, Some(&package.version));
            }
        }
        for package in old.removed.iter().filter(|package| !news.contains_key(&key(package))) {
            self.differ(package, "rest of a package", Some(&package.version), None);
        }
    }

    /// On Alpine busybox makes links for all that it can do and that nothing else does: a tool in its own right that is gone
    /// is followed by one of these.
    fn stand_in(&mut self, old: &Packages, new: &Packages, gone: &BTreeSet<usize>, after: &Files<'_, '_>) {
        let is_busybox = |at: &usize| new.packages[*at].name == "busybox";
        for path in gone.iter().flat_map(|at| &old.packages[*at].files) {
            let Some(target) = after.target(path) else { continue };
            let leads_there = new.owners(&packages::canonical(after.tree, target)).iter().any(is_busybox);
            if target.starts_with(b"/") && leads_there && self.tree.find(path).is_some() {
                self.stood_in.insert(path.clone());
            }
        }
    }

    /// What packages that are gone had alone must be gone, or the database does not tell the truth.
    fn judge_files(&mut self, old: &Packages, gone: &BTreeSet<usize>, after: &Tree<'_>) {
        for package in gone.iter().map(|at| &old.packages[*at]) {
            for path in &package.files {
                let is_left = |node: Node| after.kind(node) != Kind::Directory;
                let is_theirs = old.owners(path).iter().all(|owner| gone.contains(owner));
                // What people changed is left to them by some managers; apk takes all of /etc for that.
                let is_kept =
                    package.configuration.contains(path) || (old.manager == Manager::Apk && path.starts_with(b"etc/"));
                let is_left_over = is_theirs && !is_kept && !self.stood_in.contains(path);
                if is_left_over && self.tree.find(path).is_some() && after.find(path).is_some_and(is_left) {
                    let place = Place::Path(shown(path));
                    let (before, after) = (Some(package.name.clone()), Some("no package".to_owned()));
                    self.differences.push(Difference { place, what: "owner among packages".to_owned(), before, after });
                }
            }
        }
    }

    fn differ(&mut self, package: &Package, what: &str, before: Option<&str>, after: Option<&str>) {
        let place = Place::Package(package.name.clone());
        let (before, after) = (before.map(str::to_owned), after.map(str::to_owned));
        self.differences.push(Difference { place, what: what.to_owned(), before, after });
    }
}

/// A package's name with its architecture: a library may be there for several.
fn key(package: &Package) -> (String, String) {
    (package.name.clone(), package.architecture.clone())
}

fn by_name(packages: &[Package]) -> HashMap<(String, String), Vec<&Package>> {
    let mut all: HashMap<(String, String), Vec<&Package>> = HashMap::new();
    for package in packages {
        all.entry(key(package)).or_default().push(package);
    }
    all
}

/// A database that only one of the images has.
fn whole(packages: &Packages, is_old: bool) -> Difference {
    let text = Some(format!("{} packages of {}", packages.packages.len(), packages.manager));
    let (before, after) = if is_old { (text, None) } else { (None, text) };
    Difference { place: Place::Path(shown(&packages.place)), what: "packages".to_owned(), before, after }
}

fn unread(error: &PackagesError) -> Difference {
    let (PackagesError::Line { file, .. }
    | PackagesError::Damaged { file, .. }
    | PackagesError::Unsupported { file, .. }
    | PackagesError::Unreadable { file }) = error;
    let (before, after) = (Some("a database that can be read".to_owned()), Some(error.to_string()));
    Difference { place: Place::Path(file.clone()), what: "form".to_owned(), before, after }
}

/// The bytes of a file in the tree.
fn size(tree: &Tree<'_>, path: &[u8]) -> u64 {
    let file = tree.find(path).filter(|node| tree.kind(*node) == Kind::File);
    file.map_or(0, |node| tree.attributes(node).size)
}

/// A path as the judge writes it.
pub(crate) fn shown(path: &[u8]) -> String {
    use bstr::ByteSlice as _;
    format!("/{}", path.escape_bytes())
}

/// The path of the tree that the judge writes so.
pub(crate) fn bytes(path: &str) -> Vec<u8> {
    use bstr::ByteVec as _;
    Vec::unescape_bytes(path.trim_start_matches('/'))
}

/// Whether any name in a line is one of these; names stand between blanks, slashes and colons.
fn names_any(line: &[u8], names: &HashSet<&str>) -> bool {
    line.split(|byte| b" \t/:,".contains(byte))
        .any(|word| std::str::from_utf8(word).is_ok_and(|word| names.contains(word)))
}
