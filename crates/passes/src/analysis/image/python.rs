//! Where an image's Python looks for modules, and which it finds there.

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node};
use jettison_ir::{ImageUnit, Plan};

/// The folders that installed packages lie in.
pub(crate) fn package_folders(unit: &ImageUnit<'_>) -> Vec<Node> {
    let tree = &unit.upper;
    let is_root = |node: &Node| {
        tree.kind(*node) == Kind::Directory && [&b"site-packages"[..], b"dist-packages"].contains(&tree.name(*node))
    };
    tree.walk().filter(is_root).collect()
}

/// The folders of the standard library: `python3.11` and the like, with the module that none is without.
pub(crate) fn libraries(unit: &ImageUnit<'_>) -> Vec<Node> {
    let tree = &unit.upper;
    let is_root = |node: &Node| {
        tree.kind(*node) == Kind::Directory
            && tree.name(*node).starts_with(b"python")
            && (tree.child(*node, b"os.py").is_some() || tree.child(*node, b"test").is_some())
            && tree.parent(*node).is_some_and(|folder| tree.name(folder).starts_with(b"lib"))
    };
    tree.walk().filter(is_root).collect()
}

/// Whether a package is installed and stays.
pub(crate) fn has_package(unit: &ImageUnit<'_>, plan: &Plan, name: &str) -> bool {
    let tree = &unit.upper;
    let mut packages = package_folders(unit).into_iter().filter_map(|folder| tree.child(folder, name.as_bytes()));
    packages.any(|package| !plan.edits.is_gone(tree, package))
}

/// The modules that statements of a text import, as they are written: `a.b`, `..c`. What is imported from a module may be a
/// module of it.
pub(crate) fn imports(text: &[u8]) -> Vec<Vec<u8>> {
    let mut modules = Vec::new();
    let mut start = 0;
    for line in text.lines_with_terminator() {
        let after = start + line.len();
        let statement = line.trim();
        if let Some(names) = statement.strip_prefix(b"import ") {
            modules.extend(listed(names).map(<[u8]>::to_vec));
        } else if let Some((module, names)) =
            statement.strip_prefix(b"from ").and_then(|rest| rest.split_once_str(" import"))
        {
            let module = module.trim();
            let names = match names.trim_start().strip_prefix(b"(") {
                Some(_) => {
                    let opened = start + line.find_byte(b'(').map_or(0, |at| at + 1);
                    text[opened..].split(|byte| *byte == b')').next().unwrap_or_default()
                }
                None => names,
            };
            let dot: &[u8] = if module.ends_with(b".") { b"" } else { b"." };
            modules.extend(listed(names).map(|name| [module, dot, name].concat()));
            modules.push(module.to_vec());
        }
        start = after;
    }
    modules
}

/// The names of a list with commas, without what they are called afterwards.
fn listed(names: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = names.split(|byte| *byte == b',').filter_map(|name| {
        let name = name.trim();
        name.split(|byte| byte.is_ascii_whitespace() || b"#;(\\".contains(byte)).next()
    });
    words.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_read_in_all_their_forms() {
        let text = b"import os, a.b as c\nfrom . import tests\n  from ..x import (\n    y,\n    tests as z,\n)\nfrom p.q import r # s\nimportant = 1\n";
        let found: Vec<String> = imports(text).into_iter().map(|one| String::from_utf8(one).unwrap()).collect();
        assert_eq!(found, ["os", "a.b", ".tests", ".", "..x.y", "..x.tests", "..x", "p.q.r", "p.q"]);
    }
}
