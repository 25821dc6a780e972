//! What an image weighs by package: the bytes that a container sees, each with the package whose they are, and those of no
//! package.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use jettison_image::Kind;
use jettison_image::packages::Packages;
use jettison_image::tree::{Inode, Node};

use crate::unit::ImageUnit;

/// Folders that hold very different things: what is in them is told by the folder below.
const WIDE: [&[u8]; 4] = [b"home", b"opt", b"usr", b"var"];

/// Files and their bytes, hard links once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// How many files.
    pub files: usize,
    /// Their content's bytes, unpacked.
    pub all: u64,
    /// Those of them that own layers ship; the rest is the base's.
    pub own: u64,
}

/// A package and the files that are its.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageWeight {
    /// The place of its database among those that were given.
    pub database: usize,
    /// Its place in there.
    pub package: usize,
    /// The files of it that are in the tree. What several packages have is the first one's.
    pub bytes: Bytes,
}

/// All bytes by package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackagesWeight {
    /// All packages, the largest first.
    pub packages: Vec<PackageWeight>,
    /// Folders, without a leading slash, with the files in them that no package has; the largest first.
    pub rest: Vec<(Vec<u8>, Bytes)>,
}

/// A file with several names.
struct Linked {
    owner: Option<(usize, usize)>,
    /// Its first name.
    node: Node,
}

impl PackagesWeight {
    /// The weight of an image with these databases.
    #[must_use]
    pub fn of(unit: &ImageUnit<'_>, databases: &[Packages]) -> Self {
        let tree = &unit.upper;
        let owner = |path: &[u8]| {
            let owners = databases.iter().enumerate().map(|(at, database)| (at, database.owners(path)));
            owners.filter_map(|(at, owners)| Some((at, *owners.first()?))).next()
        };
        let mut packages: Vec<Vec<Bytes>> =
            databases.iter().map(|database| vec![Bytes::default(); database.packages.len()]).collect();
        let mut rest: BTreeMap<Vec<u8>, Bytes> = BTreeMap::new();
        let mut linked: HashMap<Inode, Linked> = HashMap::new();
        let mut add = |owner: Option<(usize, usize)>, node: Node| {
            let size = tree.attributes(node).size;
            let own = if tree.origin(node).layer < unit.base.layers { 0 } else { size };
            let bytes = match owner {
                Some((database, package)) => &mut packages[database][package],
                None => rest.entry(folder(&tree.path(node))).or_default(),
            };
            *bytes = Bytes { files: bytes.files + 1, all: bytes.all + size, own: bytes.own + own };
        };
        for node in tree.walk().filter(|node| tree.kind(*node) == Kind::File) {
            let (inode, owner) = (tree.inode(node), owner(&tree.path(node)));
            if tree.links(inode) == 1 {
                add(owner, node);
                continue;
            }
            // Whichever of its names a package has, the file is that package's.
            let linked = linked.entry(inode).or_insert(Linked { owner, node });
            linked.owner = linked.owner.or(owner);
        }
        for Linked { owner, node } in linked.into_values() {
            add(owner, node);
        }
        let mut weight = Self { packages: Vec::new(), rest: rest.into_iter().collect() };
        for (database, all) in packages.into_iter().enumerate() {
            let all = all.into_iter().enumerate();
            weight.packages.extend(all.map(|(package, bytes)| PackageWeight { database, package, bytes }));
        }
        weight.packages.sort_by_key(|row| (Reverse(row.bytes.all), row.database, row.package));
        weight.rest.sort_by_key(|(_, bytes)| Reverse(bytes.all));
        weight
    }

    /// The sums of packages and of what is none's.
    #[must_use]
    pub fn sums(&self) -> (Bytes, Bytes) {
        let packages = self.packages.iter().map(|row| row.bytes).sum();
        (packages, self.rest.iter().map(|(_, bytes)| *bytes).sum())
    }
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let add = |sum: Self, one: Self| Self {
            files: sum.files + one.files,
            all: sum.all + one.all,
            own: sum.own + one.own,
        };
        all.fold(Self::default(), add)
    }
}

/// The folder that a file is counted in: the topmost, or the one below where that tells little; none for files in the root.
fn folder(path: &[u8]) -> Vec<u8> {
    let mut names = path.split(|&byte| byte == b'/');
    let top = names.next().unwrap_or_default();
    match (names.next(), names.next()) {
        (None, _) => Vec::new(),
        (Some(second), Some(_)) if WIDE.contains(&top) => [top, b"/", second].concat(),
        (Some(_), _) => top.to_vec(),
    }
}
