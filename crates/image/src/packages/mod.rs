//! What is installed in an image, as the databases of its package managers say: packages with their files, what they
//! need, and why they are there.
//!
//! Read from a tree and the contents of its files, so that images are asked without anything being run. What a database
//! says is taken as it stands; whether its files are there is for whoever asks.

mod apk;
mod berkeley;
mod database;
mod dpkg;
pub mod edit;
mod graph;
mod header;
mod lists;
mod lookups;
pub mod mtree;
mod ndb;
mod pacman;
mod rpm;
mod sqlite;

use hashbrown::HashMap;

use crate::tree::{Node, Tree};
use database::Database;
pub use graph::{Because, Edge, Graph, Step, Tie};
pub use lists::listed;
pub use lookups::Ties;

/// A package manager's kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the programs")]
pub enum Manager {
    Apk,
    Dpkg,
    Pacman,
    Rpm,
}

impl std::fmt::Display for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Apk => "apk",
            Self::Dpkg => "dpkg",
            Self::Pacman => "pacman",
            Self::Rpm => "rpm",
        })
    }
}

/// Why a database could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackagesError {
    /// A line of it is not what the format has there.
    #[error("{file}:{line}: {problem}")]
    Line {
        /// The file, as a path in the image.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A binary file is not what its format says.
    #[error("{file}: {problem}")]
    Damaged {
        /// The file, as a path in the image.
        file: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// It is of a format that is not read.
    #[error("{file}: {format} is not read")]
    Unsupported {
        /// The file, as a path in the image.
        file: String,
        /// The format.
        format: &'static str,
    },
    /// The content of a file could not be had.
    #[error("{file}: its content is not at hand")]
    Unreadable {
        /// The file, as a path in the image.
        file: String,
    },
}

/// Something that packages are asked for by: a package's name, or what a package provides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability {
    /// The name: `gcc`, `so:libz.so.1`, `/bin/sh`.
    pub name: String,
    /// The version or what it must be, with the operator, as the database writes it; none where any will do.
    pub version: Option<String>,
}

/// What a package needs: one of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The alternatives in their order; never none.
    pub alternatives: Vec<Capability>,
}

/// Why a package is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Somebody asked for it.
    Asked,
    /// Another package needs or recommends it.
    Needed,
    /// The database does not say.
    Unknown,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name, without the architecture.
    pub name: String,
    /// Its version, with epoch and release where it has these.
    pub version: String,
    /// What it was built from, without a version: packages of one source are built and upgraded together. Empty where the
    /// database does not say, as it does not where the source has the package's own name.
    pub source: String,
    /// Its architecture; empty where the database does not say.
    pub architecture: String,
    /// Its files and folders as paths in the tree: clean, without a leading slash, links in their folders followed.
    pub files: Vec<Vec<u8>>,
    /// Which of its files are configuration that people change.
    pub configuration: Vec<Vec<u8>>,
    /// Which of its files were not installed, as the database says: rpm leaves out documentation on request.
    pub left_out: Vec<Vec<u8>>,
    /// What it needs.
    pub depends: Vec<Requirement>,
    /// What is installed along with it unless somebody says no.
    pub recommends: Vec<Requirement>,
    /// What it was installed along with (`install_if` of apk, `Supplements` of rpm).
    pub supplements: Vec<Requirement>,
    /// What else it can be asked for by.
    pub provides: Vec<Capability>,
    /// Why it is there.
    pub reason: Reason,
    /// Whether the system is no system without it, as the database says.
    pub is_essential: bool,
    /// How much the system is one without it (`required`, `optional`), where the database says so; else empty.
    pub priority: String,
    /// What it is for (`Section` of dpkg, `Group` of rpm), where the database says so; else empty.
    pub section: String,
    /// Bytes of its files, unpacked, as the database says.
    pub size: u64,
    /// All that the database says about the package itself, without the time and the reason of its installation and what of
    /// it was left out.
    pub record: Vec<u8>,
}

/// One database.
#[derive(Clone, Debug)]
pub struct Packages {
    /// Whose it is.
    pub manager: Manager,
    /// The folder that it lies in, as a path in the tree.
    pub place: Vec<u8>,
    /// The installed packages, in the order of the database.
    pub packages: Vec<Package>,
    /// Packages that were removed and whose configuration was left (`config-files` of dpkg).
    pub removed: Vec<Package>,
    /// Which packages have a path.
    owners: HashMap<Vec<u8>, Vec<usize>>,
    /// Which packages can be asked for by a name, each with the version that it provides under it.
    providers: HashMap<String, Vec<(usize, Option<String>)>>,
}

/// Reads all databases of an image. `content` gives a file's content; none where it cannot be had.
///
/// # Errors
/// Where there is a database that cannot be read whole.
pub fn read(tree: &Tree<'_>, content: &mut dyn FnMut(Node) -> Option<Vec<u8>>) -> Result<Vec<Packages>, PackagesError> {
    read_each(tree, content).into_iter().collect()
}

/// The same, each database on its own: what cannot be read does not stand against the others.
pub fn read_each(
    tree: &Tree<'_>,
    content: &mut dyn FnMut(Node) -> Option<Vec<u8>>,
) -> Vec<Result<Packages, PackagesError>> {
    let mut database = Database::new(tree, content);
    let found =
        [apk::read(&mut database), dpkg::read(&mut database), pacman::read(&mut database), rpm::read(&mut database)];
    found.into_iter().filter_map(Result::transpose).collect()
}

/// A path of the tree for one that a database names: clean, without a leading slash, the links in its folder followed,
/// itself not.
#[must_use]
pub fn canonical(tree: &Tree<'_>, path: &[u8]) -> Vec<u8> {
    database::canonical(tree, path, &mut HashMap::new())
}

/// The node at a path, links followed, the last one included.
#[must_use]
pub fn follow(tree: &Tree<'_>, path: &[u8]) -> Option<Node> {
    database::follow(tree, path)
}

impl Package {
    /// One without anything but its name.
    fn named(name: String) -> Self {
        Self {
            name,
            version: String::new(),
            source: String::new(),
            architecture: String::new(),
            files: Vec::new(),
            configuration: Vec::new(),
            left_out: Vec::new(),
            depends: Vec::new(),
            recommends: Vec::new(),
            supplements: Vec::new(),
            provides: Vec::new(),
            reason: Reason::Unknown,
            is_essential: false,
            priority: String::new(),
            section: String::new(),
            size: 0,
            record: Vec::new(),
        }
    }
}

impl Package {
    /// The name that it shares with all that is built from the same source.
    #[must_use]
    pub fn family(&self) -> &str {
        if self.source.is_empty() { &self.name } else { &self.source }
    }
}

impl Requirement {
    /// That needs this one.
    fn of(capability: Capability) -> Self {
        Self { alternatives: vec![capability] }
    }
}

impl Capability {
    /// Reads `name`, `name=1.2`, `name>=1`, `name~3`, `name@repository`.
    fn parse(word: &str) -> Self {
        // A repository's tag says where a package is from, not which one it is.
        let word = word.split('@').next().unwrap_or_default();
        match word.find(['=', '<', '>', '~']) {
            Some(at) if at > 0 => Self { name: word[..at].to_owned(), version: Some(word[at..].to_owned()) },
            _ => Self { name: word.to_owned(), version: None },
        }
    }
}
