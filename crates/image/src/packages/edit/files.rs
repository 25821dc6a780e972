//! The files and folders of packages that go.

use bstr::ByteSlice as _;
use hashbrown::HashSet;

use super::super::database::shown;
use super::{Change, EditError, Editor, within};
use crate::layer::Kind;

/// Folders that every system has and that others are mounted upon: they stay even where they are empty.
const STANDING: [&str; 24] = [
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "media",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "usr/bin",
    "usr/lib",
    "usr/sbin",
    "usr/share",
    "var/lib",
];

/// What the database says lies at the paths of the packages that go, beside their list.
#[derive(Default)]
pub(super) struct Listed {
    /// Paths that it has a file at.
    pub(super) files: HashSet<Vec<u8>>,
    /// Paths that it has a folder at.
    pub(super) folders: HashSet<Vec<u8>>,
    /// Paths that stay for all that.
    pub(super) kept: HashSet<Vec<u8>>,
}

impl Editor<'_, '_> {
    /// Takes away what only packages that go have, but for folders. The folders among it are returned.
    pub(super) fn remove_files(&mut self, listed: &Listed) -> Result<Vec<Vec<u8>>, EditError> {
        let mut folders = Vec::new();
        for package in self.gone_packages() {
            for path in &package.files {
                let Some(kind) = self.kind(path) else { continue };
                if kind == Kind::Directory && listed.files.contains(path) && !self.is_held(path) {
                    return Err(EditError::Folder { path: shown(path), package: package.name.clone() });
                }
                if self.is_held(path) || listed.kept.contains(path) || self.changes.contains_key(path) {
                    continue;
                }
                if kind == Kind::Directory {
                    folders.push(path.clone());
                } else if !listed.folders.contains(path) {
                    self.remove(path.clone());
                }
            }
        }
        Ok(folders)
    }

    /// Takes away what Python compiled of sources that go, and the folders that are empty then.
    pub(super) fn remove_compiled(&mut self) -> Vec<Vec<u8>> {
        let mut folders = Vec::new();
        let sources = self.changes.iter().filter(|(_, change)| **change == Change::Gone).map(|(path, _)| path);
        let sources: Vec<Vec<u8>> = sources.filter(|path| path.ends_with(b".py")).cloned().collect();
        for source in sources {
            let (folder, name) = source.rsplit_once_str("/").unwrap_or((b"", &source));
            let folder = within(folder, b"__pycache__");
            let start = name.strip_suffix(b"py").unwrap_or(name).to_vec();
            for path in self.within(&folder) {
                let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                let rest = name.strip_prefix(start.as_slice());
                let is_compiled = rest.is_some_and(|rest| rest.ends_with(b".pyc"));
                if is_compiled && self.packages.owners(&path).is_empty() && self.kind(&path) == Some(Kind::File) {
                    self.remove(path);
                }
            }
            folders.push(folder);
        }
        folders.sort();
        folders.dedup();
        folders
    }

    /// Takes away those of some folders in which nothing is left, the deepest first.
    pub(super) fn remove_empty(&mut self, mut folders: Vec<Vec<u8>>) {
        folders.sort_by_key(|path| std::cmp::Reverse(path.find_iter("/").count()));
        for folder in folders {
            let is_standing = STANDING.iter().any(|standing| standing.as_bytes() == folder);
            let is_folder = self.kind(&folder) == Some(Kind::Directory);
            if is_folder && !is_standing && !self.is_held(&folder) && self.is_empty(&folder) {
                self.remove(folder);
            }
        }
    }

    /// Whether nothing is in a folder when all is done.
    fn is_empty(&self, folder: &[u8]) -> bool {
        let below = within(folder, b"");
        let after = self.changes.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
        let all_go = after.into_iter().all(|(_, change)| *change == Change::Gone);
        all_go && self.within(folder).iter().all(|path| self.changes.contains_key(path))
    }
}
