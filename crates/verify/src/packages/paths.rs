//! Which paths are those of packages that are gone.
//!
//! A file is theirs where the lists of such packages have it and no other list does. Of what no list has: compiled Python
//! beside a source of theirs, the archives in apt's cache that they were installed from, the files of the database about them, links of `update-alternatives` that only they were
//! alternatives for, what lies in a folder that is theirs alone and that a script of theirs names, and an empty folder that
//! such a script names. A folder is
//! theirs where only they have it, or where nobody has it and all that was in it is theirs.

use std::collections::HashMap;

use bstr::ByteSlice as _;
use hashbrown::HashSet;
use jettison_image::packages::{Manager, Package};
use jettison_image::tree::Inode;
use jettison_image::{Kind, Node};

use super::{Removal, bytes};

/// Where apt keeps what it fetched.
const ARCHIVES: &[u8] = b"var/cache/apt/archives/";

/// Whose a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Packages that are gone.
    Gone,
    /// Packages that stay.
    Staying,
    /// No package.
    Nobody,
}

impl Removal<'_, '_> {
    /// Whether all that was at a path and below it belongs to packages that are gone, or is claimed otherwise: that is
    /// asked of paths of the tree, each with whether it is a folder.
    #[must_use]
    pub fn covers(&self, path: &str, is_claimed: &dyn Fn(&[u8], bool) -> bool) -> bool {
        let Some(top) = self.tree.find(&bytes(path)).filter(|_| !self.gone.is_empty()) else { return false };
        // The last ones first: each folder after what is in it.
        let mut of_gone: HashMap<Node, bool> = HashMap::new();
        for node in self.below(top).into_iter().rev() {
            let path = self.tree.path(node);
            if self.tree.kind(node) != Kind::Directory {
                if !self.is_theirs(node, &path) && !is_claimed(&path, false) {
                    return false;
                }
                of_gone.insert(node, true);
                continue;
            }
            let is_filled = self.tree.children(node).into_iter().any(|child| of_gone.get(&child) == Some(&true));
            let is_theirs = match self.owner(&path) {
                Owner::Gone => true,
                Owner::Staying => return false,
                Owner::Nobody => is_filled || self.is_theirs(node, &path) || is_claimed(&path, true),
            };
            if !is_theirs {
                return false;
            }
            of_gone.insert(node, true);
        }
        true
    }

    /// The bytes of the files at a path and below it, each counted once however many names it has; `known` are those that
    /// were counted.
    pub(crate) fn bytes_below(&self, path: &str, known: &mut HashSet<Inode>) -> u64 {
        let Some(top) = self.tree.find(&bytes(path)) else { return 0 };
        let files = self.below(top).into_iter().filter(|node| self.tree.kind(*node) == Kind::File);
        let new = files.filter(|node| known.insert(self.tree.inode(*node)));
        new.map(|node| self.tree.attributes(node).size).sum()
    }

    fn below(&self, top: Node) -> Vec<Node> {
        let (mut all, mut left) = (Vec::new(), vec![top]);
        while let Some(node) = left.pop() {
            all.push(node);
            left.extend(self.tree.children(node));
        }
        all
    }

    fn owner(&self, path: &[u8]) -> Owner {
        let mut owner = Owner::Nobody;
        for (packages, gone) in &self.databases {
            for at in packages.owners(path) {
                if !gone.contains(at) {
                    return Owner::Staying;
                }
                owner = Owner::Gone;
            }
        }
        owner
    }

    fn is_theirs(&self, node: Node, path: &[u8]) -> bool {
        match self.owner(path) {
            Owner::Gone => true,
            Owner::Staying => false,
            Owner::Nobody => {
                self.own.contains(path)
                    || self.is_compiled(path)
                    || self.is_archive(path)
                    || self.is_made_by_script(node, path)
            }
        }
    }

    /// `NAME_VERSION_ARCHITECTURE.deb` in apt's cache, a colon of the version written as `%3a`.
    fn is_archive(&self, path: &[u8]) -> bool {
        let Some(name) = path.strip_prefix(ARCHIVES).filter(|name| !name.contains(&b'/')) else { return false };
        let is_of = |package: &Package| {
            let version = package.version.replace(':', "%3a");
            name == format!("{}_{version}_{}.deb", package.name, package.architecture).as_bytes()
        };
        let of_dpkg = self.databases.iter().filter(|(packages, _)| packages.manager == Manager::Dpkg);
        of_dpkg.flat_map(|(packages, gone)| gone.iter().map(|at| &packages.packages[*at])).any(is_of)
    }

    /// `FOLDER/__pycache__/NAME.cpython-311.pyc` of `FOLDER/NAME.py` (PEP 3147).
    fn is_compiled(&self, path: &[u8]) -> bool {
        let Some((folder, name)) = path.rsplit_once_str("/__pycache__/") else { return false };
        let Some(stem) = name.strip_suffix(b".pyc").and_then(|name| name.split(|&byte| byte == b'.').next()) else {
            return false;
        };
        self.owner(&[folder, b"/", stem, b".py"].concat()) == Owner::Gone
    }

    /// Whether it lies in a folder that is theirs alone, and a script of theirs names it or such a folder; or it is a folder
    /// with nothing in it that a script of theirs names.
    fn is_made_by_script(&self, node: Node, path: &[u8]) -> bool {
        let names = |path: &[u8]| self.scripts.iter().any(|script| names_path(script, path));
        let mut is_named = names(path);
        let mut is_within = false;
        for folder in self.tree.ancestors(node).skip(1) {
            let folder = self.tree.path(folder);
            match self.owner(&folder) {
                Owner::Gone => {
                    is_within = true;
                    is_named |= names(&folder);
                }
                Owner::Nobody => {}
                Owner::Staying => break,
            }
        }
        let is_empty = || self.tree.kind(node) == Kind::Directory && self.tree.children(node).is_empty();
        (is_within && is_named) || (names(path) && is_empty())
    }
}

/// Whether a script has an absolute path, not as the start of a longer one.
fn names_path(script: &[u8], path: &[u8]) -> bool {
    let wanted = [b"/", path].concat();
    script.find_iter(&wanted).any(|at| {
        let rest = &script[at + wanted.len()..];
        let next = rest.strip_prefix(b"/").unwrap_or(rest).first();
        next.is_none_or(|next| !next.is_ascii_alphanumeric() && !b"-_.+/$".contains(next))
    })
}
