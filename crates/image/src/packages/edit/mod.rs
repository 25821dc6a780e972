//! What an image looks like after packages were taken away, as their package manager itself leaves it: the databases without
//! them, their files and emptied folders gone, and what was made of both (alternatives, diversions, the loader's cache) in
//! step.
//!
//! Nothing is run, so what only a package's own scripts know how to undo stays. What cannot be told for certain is an error,
//! and nothing is to be changed then.

mod alternatives;
mod apk;
mod blocks;
mod busybox;
mod debconf;
mod diversions;
mod dpkg;
mod files;
mod forget;
mod info;
mod loader;
mod pacman;
mod rpm;
mod sums;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashSet;

use super::database::{Database, follow, shown};
use super::{Manager, Package, Packages, PackagesError};
use crate::layer::Kind;
use crate::tree::{Node, Tree};

/// What becomes of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is not there any more. What lies in a folder that goes is named on its own.
    Gone,
    /// A file that has this content now and is as it was otherwise.
    Content(Vec<u8>),
    /// A symbolic link to this target. There may have been none, or something else that is no folder.
    Target(Vec<u8>),
    /// What lay at this path of the tree, with its attributes. That path is [`Change::Gone`].
    Moved(Vec<u8>),
}

/// All that changes, by canonical paths of the tree, without a leading slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edited {
    /// Each path with what becomes of it.
    pub changes: BTreeMap<Vec<u8>, Change>,
}

/// What becomes of the configuration of packages that go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It stays where the manager leaves it: `dpkg --remove`, `apk del`, `pacman -R`, `rpm -e`.
    Keep,
    /// It goes along: `dpkg --purge`, `apk del --purge`, `pacman -Rn`.
    Purge,
}

/// Why an image cannot be said to have a form without some packages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no package at a place that is to go.
    #[error("there is no package {place} among {count}")]
    NoSuchPackage {
        /// The place that was asked for.
        place: usize,
        /// How many there are.
        count: usize,
    },
    /// No system works without it.
    #[error("{package} is essential")]
    Essential {
        /// Its name.
        package: String,
    },
    /// A package that stays needs something that only packages that go provide.
    #[error("{package} needs {requirement}")]
    Needed {
        /// The package that stays.
        package: String,
        /// What it needs; several where one of these is enough.
        requirement: String,
    },
    /// It is half installed, on hold, or waits for something.
    #[error("{package} is in the state {state:?}")]
    State {
        /// Its name.
        package: String,
        /// What the database says.
        state: String,
    },
    /// The database has a package not at all or several times.
    #[error("{file}: {package} is not there exactly once")]
    Entry {
        /// The file, as a path in the image.
        file: String,
        /// The package's name.
        package: String,
    },
    /// A file is not understood, so that what would become of it is not known.
    #[error("{file}: {problem}")]
    Doubt {
        /// The file, as a path in the image.
        file: String,
        /// What is not understood.
        problem: &'static str,
    },
    /// The tree has a folder where the database has a file.
    #[error("{path}: {package} has a file there and the image a folder")]
    Folder {
        /// The path.
        path: String,
        /// The package's name.
        package: String,
    },
    /// A part of the database cannot be read.
    #[error(transparent)]
    Database(#[from] PackagesError),
}

/// The image without some packages. `packages` must be what [`super::read`] says of this very tree, `gone` are places in
/// [`Packages::packages`], and `read` gives the content of a file; none where it cannot be had.
///
/// # Errors
/// Where the packages cannot go, or where it is not certain what the image looks like then.
pub fn without(
    tree: &Tree<'_>,
    read: &mut dyn FnMut(Node) -> Option<Vec<u8>>,
    packages: &Packages,
    gone: &BTreeSet<usize>,
    rest: Rest,
) -> Result<Edited, EditError> {
    may_go(packages, gone)?;
    if gone.is_empty() {
        return Ok(Edited::default());
    }
    let left = packages.removed.iter().flat_map(|package| &package.files).map(Vec::as_slice).collect();
    let database = Database::new(tree, read);
    let mut editor = Editor { tree, database, packages, gone, rest, left, changes: BTreeMap::new() };
    match packages.manager {
        Manager::Apk => apk::without(&mut editor)?,
        Manager::Dpkg => dpkg::without(&mut editor)?,
        Manager::Pacman => pacman::without(&mut editor)?,
        Manager::Rpm => rpm::without(&mut editor)?,
    }
    loader::without(&mut editor)?;
    Ok(Edited { changes: editor.changes })
}

/// The databases without files of packages that stay, at `paths`, which are gone. `gone` are packages that are gone as
/// well, and `read` gives what databases say without these.
///
/// # Errors
/// Where a database cannot be read, or does not allow that files are left out.
pub fn forget(
    tree: &Tree<'_>,
    read: &mut dyn FnMut(Node) -> Option<Vec<u8>>,
    packages: &Packages,
    gone: &BTreeSet<usize>,
    paths: &BTreeSet<Vec<u8>>,
) -> Result<Edited, EditError> {
    let (database, left) = (Database::new(tree, read), HashSet::new());
    let editor = Editor { tree, database, packages, gone, rest: Rest::Keep, left, changes: BTreeMap::new() };
    forget::forget(editor, paths)
}

/// Packages that the managers themselves are, and those that they cannot work without.
fn own_packages(manager: Manager) -> &'static [&'static str] {
    match manager {
        Manager::Apk => &["alpine-baselayout", "alpine-baselayout-data", "apk-tools", "busybox", "musl"],
        Manager::Dpkg => &["dpkg"],
        Manager::Pacman => &["filesystem", "glibc", "pacman"],
        Manager::Rpm => &["filesystem", "glibc", "rpm"],
    }
}

fn may_go(packages: &Packages, gone: &BTreeSet<usize>) -> Result<(), EditError> {
    for &place in gone {
        let count = packages.packages.len();
        let package = packages.packages.get(place).ok_or(EditError::NoSuchPackage { place, count })?;
        if package.is_essential || own_packages(packages.manager).contains(&package.name.as_str()) {
            return Err(EditError::Essential { package: package.name.clone() });
        }
    }
    match packages.missed_without(gone).first() {
        None => Ok(()),
        Some((at, requirement)) => {
            let names: Vec<&str> = requirement.alternatives.iter().map(|one| one.name.as_str()).collect();
            let package = packages.packages[*at].name.clone();
            Err(EditError::Needed { package, requirement: names.join(" or ") })
        }
    }
}

/// An image whose packages are being taken away.
struct Editor<'e, 't> {
    tree: &'e Tree<'t>,
    database: Database<'e, 't>,
    packages: &'e Packages,
    gone: &'e BTreeSet<usize>,
    rest: Rest,
    /// Paths of packages that were removed earlier and whose configuration was left.
    left: HashSet<&'e [u8]>,
    changes: BTreeMap<Vec<u8>, Change>,
}

impl<'e> Editor<'e, '_> {
    /// The packages that go.
    fn gone_packages(&self) -> impl Iterator<Item = &'e Package> + use<'e> {
        let packages = self.packages;
        self.gone.iter().map(move |at| &packages.packages[*at])
    }

    /// The packages that stay.
    fn staying(&self) -> impl Iterator<Item = &'e Package> + use<'e> {
        let (packages, gone) = (self.packages, self.gone);
        packages.packages.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, package)| package)
    }

    /// Whether packages that go have a path, and no others do.
    fn is_theirs(&self, path: &[u8]) -> bool {
        !self.packages.owners(path).is_empty() && !self.is_held(path)
    }

    /// Whether a package that stays, or what is left of one, has a path.
    fn is_held(&self, path: &[u8]) -> bool {
        self.packages.owners(path).iter().any(|at| !self.gone.contains(at)) || self.left.contains(path)
    }

    /// Whether there is something at a path when all is done; the path is canonical.
    fn stays(&self, path: &[u8]) -> bool {
        match self.changes.get(path) {
            Some(change) => *change != Change::Gone,
            None => self.tree.find(path).is_some(),
        }
    }

    fn kind(&self, path: &[u8]) -> Option<Kind> {
        self.tree.find(path).map(|node| self.tree.kind(node))
    }

    /// Where the symbolic link at a path leads, as it is written; none where there is no link.
    fn target(&self, path: &[u8]) -> Option<&'e [u8]>
    where
        Self: 'e,
    {
        let node = self.tree.find(path).filter(|node| self.tree.kind(*node) == Kind::Symlink)?;
        Some(self.tree.attributes(node).link)
    }

    /// The canonical paths of what lies in a folder, links followed.
    fn within(&self, folder: &[u8]) -> Vec<Vec<u8>> {
        let Some(folder) = follow(self.tree, folder) else { return Vec::new() };
        self.tree.children(folder).into_iter().map(|node| self.tree.path(node)).collect()
    }

    /// Takes a path away where the tree has it.
    fn remove(&mut self, path: Vec<u8>) {
        if self.tree.find(&path).is_some() {
            self.changes.insert(path, Change::Gone);
        }
    }

    /// A file of the database has another content now.
    fn rewrite(&mut self, path: Vec<u8>, old: &[u8], new: Vec<u8>) {
        if old != new {
            self.changes.insert(path, Change::Content(new));
        }
    }

    /// Whether a name that a database writes, with or without an architecture, is that of a package that goes. Without one it
    /// stands for all packages of the name.
    fn names_gone(&self, name: &str) -> bool {
        let (name, architecture) = name.split_once(':').map_or((name, None), |(name, other)| (name, Some(other)));
        let is_it = |one: &Package| one.name == name && architecture.is_none_or(|wanted| wanted == one.architecture);
        self.gone_packages().any(is_it) && !self.staying().any(is_it)
    }
}

/// What is not understood about a file of the tree.
fn doubt(path: &[u8], problem: &'static str) -> EditError {
    EditError::Doubt { file: shown(path), problem }
}

/// A path with what lies at it in a folder.
fn within(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [folder, b"/", name].concat()
}
