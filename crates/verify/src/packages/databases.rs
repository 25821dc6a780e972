//! The files of package databases and what is made of them: those after are those before without the packages that are
//! gone. Marks of what was asked for may differ, since that is how some managers are told what to take away.

use std::collections::{BTreeMap, BTreeSet};

use bstr::ByteSlice as _;
use hashbrown::HashSet;
use jettison_image::Tree;
use jettison_image::packages::{self, Manager, Package, Packages};

use super::files::{Files, is_equal, within_either};
use super::{loader, names_any};

/// Logs in which managers tell what they did: they tell of the removal, too.
const LOGS: [&str; 14] = [
    "var/log/alternatives.log",
    "var/log/apk.log",
    "var/log/apt/eipp.log.xz",
    "var/log/apt/history.log",
    "var/log/apt/term.log",
    "var/log/dnf.librepo.log",
    "var/log/dnf.log",
    "var/log/dnf.rpm.log",
    "var/log/dpkg.log",
    "var/log/hawkey.log",
    "var/log/pacman.log",
    "var/log/yum.log",
    "var/log/zypp/history",
    "var/log/zypper.log",
];

/// What managers make of their databases to be faster, and make anew where it is older than these.
const CACHES: [&str; 5] = [
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/cache/zypp/solv/@System/cookie",
    "var/cache/zypp/solv/@System/solv",
    "var/cache/zypp/solv/@System/solv.idx",
];

/// rpm's files of all formats: one has the headers of the packages, and what others have is told by these.
const RPM: [&str; 31] = [
    "rpmdb.sqlite",
    "rpmdb.sqlite-shm",
    "Packages.db",
    "Index.db",
    "Packages",
    "Basenames",
    "Conflictname",
    "Dirnames",
    "Enhancename",
    "Filedigests",
    "Filemd5s",
    "Filetriggername",
    "Group",
    "Installtid",
    "Name",
    "Obsoletename",
    "Providename",
    "Provideversion",
    "Pubkeys",
    "Recommendname",
    "Requirename",
    "Requireversion",
    "Sha1header",
    "Sigmd5",
    "Suggestname",
    "Supplementname",
    "Transfiletriggername",
    "Triggername",
    "__db.001",
    "__db.002",
    "__db.003",
];

/// What apt makes for itself whenever it is called, where the lists were removed.
const WORKPLACE: &[u8] = b"var/lib/apt/lists/auxfiles";

/// Where debconf has the answers to questions, each with the packages that own it.
const ANSWERS: &[u8] = b"var/cache/debconf/config.dat";

/// The database of one manager before and after.
pub(super) struct Compared<'c> {
    /// The image before.
    pub(super) tree: &'c Tree<'c>,
    pub(super) old: &'c Packages,
    pub(super) new: &'c Packages,
    /// The places of the packages that are gone.
    pub(super) gone: &'c BTreeSet<usize>,
    /// The places of those that were meant to be.
    pub(super) claimed: &'c HashSet<usize>,
    /// Files of packages that stay, which are gone on purpose.
    pub(super) forgotten: &'c HashSet<Vec<u8>>,
    /// The questions that packages that are gone asked alone.
    pub(super) questions: HashSet<String>,
}

/// Whether the second content is the first one without packages that are gone.
type Form<'c> = fn(&Compared<'c>, &[u8], &[u8]) -> bool;

impl<'c> Compared<'c> {
    /// Learns which questions only packages that are gone asked.
    pub(super) fn learn_questions(&mut self, before: &mut Files<'_, '_>) {
        let names = self.gone_names();
        let answers = blocks(&before.content(ANSWERS).unwrap_or_default());
        let is_theirs =
            |owners: &BTreeSet<String>| !owners.is_empty() && owners.iter().all(|owner| names.contains(owner.as_str()));
        let theirs = answers.into_iter().filter(|(_, (owners, _))| is_theirs(owners));
        self.questions = theirs.map(|(name, _)| name.to_str_lossy().into_owned()).collect();
    }

    pub(super) fn gone_packages(&self) -> impl Iterator<Item = &'c Package> {
        let old = self.old;
        self.gone.iter().map(move |at| &old.packages[*at])
    }

    fn gone_names(&self) -> HashSet<&'c str> {
        self.gone_packages().map(|package| package.name.as_str()).collect()
    }

    /// Whether packages that are gone have a path, and no others do.
    pub(super) fn is_gone(&self, path: &[u8]) -> bool {
        let owners = self.old.owners(path);
        !owners.is_empty() && owners.iter().all(|at| self.gone.contains(at))
    }

    /// The path of the tree for one that a database names.
    pub(super) fn canonical(&self, path: &[u8]) -> Vec<u8> {
        packages::canonical(self.tree, path)
    }

    /// The files that differ and are the same but for packages that are gone.
    pub(super) fn same(&self, before: &mut Files<'_, '_>, after: &mut Files<'_, '_>) -> Vec<Vec<u8>> {
        let mut same = self.compared_already(before, after);
        for (path, form) in self.forms(before, after) {
            if is_equal(before, after, &path) {
                continue;
            }
            // A list that is there on one side only is compared with an empty one.
            if let (Some(old), Some(new)) = (before.content(&path), after.content(&path))
                && form(self, &old, &new)
            {
                same.push(path);
            }
        }
        same
    }

    /// What differs and says nothing that was not compared package by package, and what tells of the removal itself.
    fn compared_already(&self, before: &Files<'_, '_>, after: &Files<'_, '_>) -> Vec<Vec<u8>> {
        let place = &self.old.place;
        let at = |name: &str| [place.as_slice(), b"/", name.as_bytes()].concat();
        let mut files = match self.old.manager {
            Manager::Apk => vec![at("installed")],
            Manager::Dpkg => vec![at("status")],
            // A folder a package; this file says when it was installed, too.
            Manager::Pacman => {
                before.within(place).into_iter().map(|folder| [&folder, &b"/desc"[..]].concat()).collect()
            }
            Manager::Rpm => RPM.iter().map(|name| at(name)).collect(),
        };
        if !self.gone.is_empty() {
            files.extend(LOGS.iter().chain(&CACHES).map(|path| path.as_bytes().to_vec()));
        }
        let is_file = |path: &Vec<u8>| before.is_file(path) && after.is_file(path);
        let mut same: Vec<Vec<u8>> =
            files.into_iter().filter(|path| is_file(path) && !is_equal(before, after, path)).collect();
        if self.old.manager == Manager::Rpm {
            same.extend(self.remade(before, after));
        }
        let is_apts = self.old.manager == Manager::Dpkg && !self.gone.is_empty();
        if is_apts && !before.has(WORKPLACE) && after.is_empty_folder(WORKPLACE) {
            same.push(WORKPLACE.to_vec());
        }
        same
    }

    /// What was made of rpm's headers and is gone where these are others now: rpm makes it anew.
    fn remade(&self, before: &Files<'_, '_>, after: &Files<'_, '_>) -> Vec<Vec<u8>> {
        let at = |name: &[u8]| [self.old.place.as_slice(), b"/", name].concat();
        let is_remade = |path: &Vec<u8>| {
            let name = path.rsplit_once_str("/").map_or(path.as_slice(), |(_, name)| name);
            // Berkeley DB's pages in memory are in numbered files.
            let number = name.strip_prefix(b"__db.").unwrap_or_default();
            let is_region = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
            let headers: &[u8] = if is_region { b"Packages" } else { b"Packages.db" };
            (is_region || name == b"Index.db") && !is_equal(before, after, &at(headers))
        };
        let all = before.within(&self.old.place).into_iter();
        all.filter(|path| before.is_file(path) && !after.has(path) && is_remade(path)).collect()
    }

    /// The files that are compared by what is in them.
    fn forms(&self, before: &Files<'_, '_>, after: &Files<'_, '_>) -> Vec<(Vec<u8>, Form<'c>)> {
        let place = &self.old.place;
        let at = |name: &str| [place.as_slice(), b"/", name.as_bytes()].concat();
        let mut files: Vec<(Vec<u8>, Form<'c>)> = match self.old.manager {
            Manager::Apk => vec![
                (at("triggers"), Self::apk_triggers),
                (at("scripts.tar"), Self::apk_scripts),
                (b"etc/apk/world".to_vec(), Self::world),
            ],
            Manager::Dpkg => {
                let mut files: Vec<(Vec<u8>, Form<'c>)> = vec![
                    (at("status-old"), Self::knows_packages),
                    (b"var/lib/apt/extended_states".to_vec(), Self::knows_packages),
                    (at("diversions"), Self::diversions),
                    (at("diversions-old"), Self::diversions),
                ];
                // Of a package whose configuration was left its list has nothing else.
                let is_left = |one: &&Package| self.new.removed.iter().any(|left| left.name == one.name);
                for package in self.gone_packages().filter(is_left) {
                    for name in [package.name.clone(), format!("{}:{}", package.name, package.architecture)] {
                        files.push((at(&format!("info/{name}.list")), |_, old, new| {
                            is_without(&lines(old), &lines(new), |_| true)
                        }));
                    }
                }
                if !self.forgotten.is_empty() {
                    for package in &self.new.packages {
                        let names = [package.name.clone(), format!("{}:{}", package.name, package.architecture)];
                        for name in names {
                            files.push((at(&format!("info/{name}.list")), Self::forgets));
                            files.push((at(&format!("info/{name}.md5sums")), Self::forgets));
                        }
                    }
                }
                let triggers = within_either(before, after, &at("triggers")).into_iter();
                files.extend(triggers.map(|path| (path, Self::lines as Form<'c>)));
                files.push((ANSWERS.to_vec(), Self::answers));
                files.push((b"var/cache/debconf/templates.dat".to_vec(), Self::templates));
                for name in ["config.dat", "templates.dat"] {
                    files.push((format!("var/cache/debconf/{name}-old").into_bytes(), Self::older_debconf));
                }
                files
            }
            Manager::Rpm => vec![(b"var/lib/zypp/AutoInstalled".to_vec(), Self::brought_along)],
            Manager::Pacman if self.forgotten.is_empty() => Vec::new(),
            Manager::Pacman => self.new.packages.iter().flat_map(|package| self.lists_of_pacman(package)).collect(),
        };
        if !self.gone.is_empty() {
            files.push((b"etc/ld.so.cache".to_vec(), loader::is_smaller));
            files.push((b"var/cache/ldconfig/aux-cache".to_vec(), loader::are_fewer_notes));
        }
        files
    }

    /// The files of the database that are about packages that are gone.
    pub(super) fn own(&self, before: &Files<'_, '_>) -> Vec<Vec<u8>> {
        match self.old.manager {
            Manager::Apk | Manager::Rpm => Vec::new(),
            Manager::Dpkg => {
                let names: HashSet<Vec<u8>> = self
                    .gone_packages()
                    .flat_map(|one| [one.name.clone(), format!("{}:{}", one.name, one.architecture)])
                    .map(String::into_bytes)
                    .collect();
                let is_about = |path: &Vec<u8>| {
                    let name = path.rsplit_once_str("/").map_or(path.as_slice(), |(_, name)| name);
                    name.rsplit_once_str(".").is_some_and(|(name, _)| names.contains(name))
                };
                let folder = [self.old.place.as_slice(), b"/info"].concat();
                before.within(&folder).into_iter().filter(is_about).collect()
            }
            Manager::Pacman => {
                let folders = self.gone_packages().map(|one| self.folder(one));
                folders.flat_map(|folder| before.within(&folder).into_iter().chain([folder])).collect()
            }
        }
    }

    /// What pacman has about the files of a package.
    fn lists_of_pacman(&self, package: &Package) -> [(Vec<u8>, Form<'c>); 2] {
        let at = |name: &[u8]| [self.folder(package).as_slice(), name].concat();
        [(at(b"/files"), Self::forgets), (at(b"/mtree"), Self::forgets_attributes)]
    }

    /// pacman's folder of a package.
    fn folder(&self, package: &Package) -> Vec<u8> {
        let name = format!("/{}-{}", package.name, package.version);
        [self.old.place.as_slice(), name.as_bytes()].concat()
    }

    /// What packages that are gone run when they come and go.
    pub(super) fn scripts(&self, before: &mut Files<'_, '_>) -> Vec<Vec<u8>> {
        let mut paths = Vec::new();
        for package in self.gone_packages() {
            match self.old.manager {
                Manager::Dpkg => {
                    let name = |kind| format!("/info/{}.{kind}", package.name).into_bytes();
                    let files = ["postinst", "prerm", "postrm"].map(name);
                    paths.extend(files.map(|name| [self.old.place.as_slice(), &name].concat()));
                }
                Manager::Pacman => paths.push([&self.folder(package), &b"/install"[..]].concat()),
                Manager::Apk | Manager::Rpm => {}
            }
        }
        if self.old.manager == Manager::Apk {
            let scripts = before.content(&[self.old.place.as_slice(), b"/scripts.tar"].concat());
            let checksums = self.checksums();
            let theirs = members(&scripts.unwrap_or_default()).unwrap_or_default().into_iter();
            return theirs.filter(|(name, _)| is_of_any(name, &checksums)).map(|(_, content)| content).collect();
        }
        paths.iter().filter_map(|path| before.content(path)).filter(|script| !script.is_empty()).collect()
    }

    /// What apk knows packages by in its further files.
    fn checksums(&self) -> Vec<&'c [u8]> {
        let checksum = |one: &'c Package| one.record.lines().find_map(|line| line.strip_prefix(b"C:"));
        self.gone_packages().filter_map(checksum).filter(|sum| !sum.is_empty()).collect()
    }

    /// A line has the checksum of a package and the folders that it looks at.
    fn apk_triggers(&self, old: &[u8], new: &[u8]) -> bool {
        let checksums = self.checksums();
        let is_theirs = |line: &[u8]| line.fields().next().is_some_and(|sum| checksums.contains(&sum));
        is_without(&lines(old), &lines(new), is_theirs)
    }

    /// Members are named by package, version, checksum and script.
    fn apk_scripts(&self, old: &[u8], new: &[u8]) -> bool {
        let checksums = self.checksums();
        let (Some(old), Some(new)) = (members(old), members(new)) else { return false };
        let is_kept = |(name, content): (&Vec<u8>, &Vec<u8>)| new.get(name) == Some(content);
        let is_gone = |name: &[u8]| is_of_any(name, &checksums);
        old.iter().all(|(name, content)| is_kept((name, content)) || (!new.contains_key(name) && is_gone(name)))
            && new.keys().all(|name| old.contains_key(name))
    }

    /// Lines that each end with a path, without those of files that are gone on purpose.
    fn forgets(&self, old: &[u8], new: &[u8]) -> bool {
        is_without(&lines(old), &lines(new), |line| {
            // A checksum stands before its path.
            let path = line.split_once_str("  ").map_or(line, |(_, path)| path);
            self.forgotten.contains(&self.canonical(path))
        })
    }

    /// Packed lines that each start with a path.
    fn forgets_attributes(&self, old: &[u8], new: &[u8]) -> bool {
        let (Some(old), Some(new)) = (packages::mtree::unpacked(old), packages::mtree::unpacked(new)) else {
            return false;
        };
        is_without(&lines(&old), &lines(&new), |line| {
            packages::mtree::path(line).is_some_and(|path| self.forgotten.contains(&self.canonical(&path)))
        })
    }

    /// What was asked for: without what is gone or was claimed to be, and with what stays and is asked for now.
    fn world(&self, old: &[u8], new: &[u8]) -> bool {
        let words = |content: &[u8]| content.fields().map(|word| word.to_str_lossy().into_owned()).collect();
        let (old, new): (BTreeSet<String>, BTreeSet<String>) = (words(old), words(new));
        let name = |word: &str| word.split(['=', '<', '>', '~', '@']).next().unwrap_or_default().to_owned();
        let may_go = |word: &String| {
            let named = self.old.named(&name(word));
            !named.is_empty() && named.iter().any(|at| self.gone.contains(at) || self.claimed.contains(at))
        };
        let may_come = |word: &String| !self.new.named(&name(word)).is_empty();
        old.difference(&new).all(may_go) && new.difference(&old).all(may_come)
    }

    /// Blocks about packages that there are or were; what they say of these are marks, or an earlier state.
    fn knows_packages(&self, _: &[u8], new: &[u8]) -> bool {
        let known: HashSet<&str> =
            self.old.packages.iter().chain(&self.old.removed).map(|package| package.name.as_str()).collect();
        let names = new.lines().filter_map(|line| line.strip_prefix(b"Package:"));
        names.map(|name| name.trim().to_str().unwrap_or_default()).all(|name| known.contains(name))
    }

    /// Lines that each name the package that they are for.
    fn lines(&self, old: &[u8], new: &[u8]) -> bool {
        let names = self.gone_names();
        is_without(&lines(old), &lines(new), |line| names_any(line, &names))
    }

    /// Three lines each, the last one names the package.
    fn diversions(&self, old: &[u8], new: &[u8]) -> bool {
        let names = self.gone_names();
        let threes = |content: &[u8]| {
            let all: Vec<Vec<u8>> = content.lines().map(<[u8]>::to_vec).collect();
            all.chunks(3).map(|three| three.join(&b'\n')).collect::<Vec<_>>()
        };
        let is_theirs = |three: &[u8]| three.lines().nth(2).is_some_and(|name| names_any(name, &names));
        is_without(&threes(old), &threes(new), is_theirs)
    }

    /// The packages that zypper brought along, a name a line, with products and below a comment with the time.
    fn brought_along(&self, old: &[u8], new: &[u8]) -> bool {
        let names = self.gone_names();
        let listed = |content: &[u8]| -> Vec<Vec<u8>> {
            let is_none = |line: &[u8]| line.is_empty() || line.starts_with(b"#") || line.starts_with(b"product:");
            lines(content).into_iter().filter(|line| !is_none(line)).collect()
        };
        is_without(&listed(old), &listed(new), |line| line.to_str().is_ok_and(|name| names.contains(name)))
    }

    /// Answers, each with the packages that own it.
    fn answers(&self, old: &[u8], new: &[u8]) -> bool {
        let names = self.gone_names();
        are_without(old, new, |owner| names.contains(owner))
    }

    /// Texts of questions, each with the questions that it is the text of.
    fn templates(&self, old: &[u8], new: &[u8]) -> bool {
        are_without(old, new, |owner| self.questions.contains(owner))
    }

    /// An earlier state: it is about nothing that there was not.
    fn older_debconf(&self, old: &[u8], new: &[u8]) -> bool {
        let (old, new) = (blocks(old), blocks(new));
        let names = self.gone_names();
        let is_gone = |owner: &String| names.contains(owner.as_str()) || self.questions.contains(owner);
        new.iter().all(|(name, (owners, _))| old.contains_key(name) || owners.iter().any(is_gone))
    }
}

/// What apk says of a package (apk-package(5)) without files that are gone: `R:` names a file in the folder of the last
/// `F:`, and the letters `a`, `Z` and `M` say more of the last one.
pub(super) fn apk_record_without(record: &[u8], is_gone: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut folder: &[u8] = b"";
    let mut kept: Vec<&[u8]> = Vec::new();
    let (mut is_folder_gone, mut is_dropped) = (false, false);
    for line in record.lines() {
        match line {
            [b'F', b':', name @ ..] => {
                (folder, is_folder_gone) = (name, !name.is_empty() && is_gone(name));
                is_dropped = is_folder_gone;
            }
            [b'R', b':', name @ ..] => is_dropped = is_folder_gone || is_gone(&[folder, b"/", name].concat()),
            [b'a' | b'Z' | b'M', b':', ..] => {}
            _ => is_dropped = false,
        }
        if !is_dropped {
            kept.push(line);
        }
    }
    kept.join(&b'\n')
}

/// Whether blocks are missing that had no other owners than those that are gone, and the others are as they were but for
/// these owners.
fn are_without(old: &[u8], new: &[u8], is_gone: impl Fn(&str) -> bool) -> bool {
    let (old, new) = (blocks(old), blocks(new));
    let stays = |owners: &BTreeSet<String>| owners.iter().any(|owner| !is_gone(owner));
    old.iter().all(|(name, (owners, text))| match new.get(name) {
        None => !owners.is_empty() && !stays(owners),
        Some((left, other)) => {
            let lost: BTreeSet<String> = owners.difference(left).cloned().collect();
            text == other && left.is_subset(owners) && !stays(&lost)
        }
    }) && new.keys().all(|name| old.contains_key(name))
}

fn lines(content: &[u8]) -> Vec<Vec<u8>> {
    content.lines().map(<[u8]>::to_vec).collect()
}

/// Whether what the first has more than the second may go, and the second has nothing more.
fn is_without(old: &[Vec<u8>], new: &[Vec<u8>], may_go: impl Fn(&[u8]) -> bool) -> bool {
    let (old, new): (BTreeSet<&Vec<u8>>, BTreeSet<&Vec<u8>>) = (old.iter().collect(), new.iter().collect());
    new.is_subset(&old) && old.difference(&new).all(|line| may_go(line))
}

fn is_of_any(name: &[u8], checksums: &[&[u8]]) -> bool {
    checksums.iter().any(|checksum| name.contains_str(checksum))
}

/// The files of a tar, which is one of few and small scripts.
fn members(content: &[u8]) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
    let layer = jettison_image::Layer::read(content, jettison_image::Limits::default()).ok()?;
    let file = |entry: &jettison_image::Entry| {
        let start = usize::try_from(entry.data_offset).ok()?;
        let end = start.checked_add(usize::try_from(entry.size).ok()?)?;
        Some((layer.path(entry).to_vec(), content.get(start..end)?.to_vec()))
    };
    layer.entries.iter().map(file).collect()
}

/// debconf's blocks by their names: the owners, and the rest.
fn blocks(content: &[u8]) -> BTreeMap<Vec<u8>, (BTreeSet<String>, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for block in content.split_str("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name.as_bytes()));
        let Some(name) = field("Name:") else { continue };
        let owners = field("Owners:").unwrap_or_default().to_str_lossy();
        let owners = owners.split(',').map(|owner| owner.trim().to_owned()).filter(|owner| !owner.is_empty()).collect();
        let is_rest = |line: &&[u8]| !line.starts_with(b"Owners:");
        let rest: Vec<&[u8]> = block.trim().lines().filter(is_rest).collect();
        all.insert(name.trim().to_vec(), (owners, rest.join(&b'\n')));
    }
    all
}
