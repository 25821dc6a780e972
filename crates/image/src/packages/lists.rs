//! Who has which path, where a database of dpkg cannot be read whole: each package's list stands for itself.

use bstr::ByteSlice as _;
use hashbrown::HashMap;

use super::database::{self, Database};
use super::dpkg;
use crate::tree::{Node, Tree};

/// The paths of the packages of dpkg whose lists can be read, each with what the package was built from
/// ([`super::Package::family`]), as far as that can be read.
pub fn listed(tree: &Tree<'_>, content: &mut dyn FnMut(Node) -> Option<Vec<u8>>) -> Vec<(Vec<u8>, String)> {
    let sources = dpkg::sources(&mut Database::new(tree, content));
    let mut folders = HashMap::new();
    let mut all = Vec::new();
    for node in tree.find(b"var/lib/dpkg/info").map(|folder| tree.children(folder)).unwrap_or_default() {
        let Some(name) = tree.name(node).strip_suffix(b".list") else { continue };
        let name = String::from_utf8_lossy(name.split(|byte| *byte == b':').next().unwrap_or(name)).into_owned();
        let name = sources.get(&name).unwrap_or(&name);
        for path in content(node).unwrap_or_default().lines().filter(|path| path.len() > 1) {
            all.push((database::canonical(tree, path, &mut folders), name.clone()));
        }
    }
    all
}
