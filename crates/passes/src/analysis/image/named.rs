//! Which files the contents of others name: programs have the places of their data in them, scripts write paths out.
//!
//! Only paths that are written out whole are seen. One that a program puts together of parts is not, nor is a folder that
//! it looks through as a whole, such as `/usr/share/man`.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node};
use jettison_ir::{ImageUnit, Plan};

/// The ends of the names of files that programs read as code or settings.
const CODE: [&str; 34] = [
    "py",
    "pyi",
    "rb",
    "js",
    "mjs",
    "cjs",
    "ts",
    "json",
    "pl",
    "pm",
    "php",
    "lua",
    "tcl",
    "sh",
    "bash",
    "conf",
    "cfg",
    "cnf",
    "ini",
    "toml",
    "yaml",
    "yml",
    "xml",
    "properties",
    "service",
    "desktop",
    "rules",
    "tmpl",
    "tpl",
    "j2",
    "jinja",
    "el",
    "R",
    "env",
];

/// The folders of package managers' databases, which name every file.
const DATABASES: [&[u8]; 7] = [
    b"var/lib/dpkg",
    b"lib/apk",
    b"usr/lib/apk",
    b"var/lib/rpm",
    b"usr/lib/sysimage",
    b"var/lib/pacman",
    b"var/lib/apt",
];

/// The files whose contents may name others: programs, libraries, scripts, code, settings. None of what is gone.
pub(crate) fn readers<'r>(unit: &'r ImageUnit<'_>, plan: &'r Plan) -> impl Iterator<Item = Node> + 'r {
    let tree = &unit.upper;
    let is_code = |name: &[u8]| {
        let end = name.rsplit_once_str(".").map(|(_, end)| end);
        name == b"entry_points.txt" || end.is_some_and(|end| CODE.iter().any(|code| code.as_bytes() == end))
    };
    let is_of_database = |path: &[u8]| DATABASES.iter().any(|folder| path.starts_with(folder));
    tree.walk().filter(move |node| {
        if tree.kind(*node) != Kind::File {
            return false;
        }
        let path = tree.path(*node);
        let is_reader = is_code(tree.name(*node))
            || path.starts_with(b"etc/")
            || unit.programs().contains_key(&tree.attributes(*node).digest);
        is_reader && !is_of_database(&path) && !plan.edits.is_gone(tree, *node)
    })
}

/// Those of `found`, with all below them, that the contents of other files name.
pub(crate) fn named(unit: &ImageUnit<'_>, plan: &Plan, found: &BTreeSet<Node>) -> BTreeSet<Node> {
    let folders = folders(unit, found);
    let mut named = BTreeSet::new();
    if folders.is_empty() {
        return named;
    }
    for reader in readers(unit, plan).filter(|node| !found.contains(node)) {
        let Some(content) = unit.content(reader) else { continue };
        let is_text = !content[..content.len().min(4096)].contains(&0);
        for folder in &folders {
            for at in content.find_iter(folder) {
                if !(is_text && is_comment(&content, at)) {
                    let rest = &content[at + folder.len()..];
                    note(unit, found, (folder, rest), &mut named);
                }
            }
        }
    }
    named
}

/// The folders that hold what was found, as `/usr/share/doc/`.
fn folders(unit: &ImageUnit<'_>, found: &BTreeSet<Node>) -> Vec<Vec<u8>> {
    let tree = &unit.upper;
    let above = found.iter().filter_map(|node| tree.parent(*node)).filter(|folder| !found.contains(folder));
    let paths =
        above.collect::<BTreeSet<_>>().into_iter().map(|folder| tree.path(folder)).filter(|path| !path.is_empty());
    paths.map(|path| [b"/", &path[..], b"/"].concat()).collect()
}

/// Whether a place of a text is in a line that starts with a comment's sign; a script's first line is none.
fn is_comment(text: &[u8], at: usize) -> bool {
    let start = text[..at].rfind_byte(b'\n').map_or(0, |end| end + 1);
    let line = text[start..at].trim_start();
    line.starts_with(b"#") && !(start == 0 && line.starts_with(b"#!"))
}

/// Notes what is meant by a folder and what follows it in a content.
fn note(unit: &ImageUnit<'_>, found: &BTreeSet<Node>, (folder, rest): (&[u8], &[u8]), out: &mut BTreeSet<Node>) {
    let tree = &unit.upper;
    let length = rest.iter().take_while(|byte| is_of_path(**byte)).count();
    let is_cut = rest.get(length).is_some_and(|byte| b"*?[{$%".contains(byte));
    let name = rest[..length].trim_end_with(|c| c == '.' || c == '/');
    // What is put together of parts may be anything in the folder that the known part names.
    let names = if is_cut {
        [&rest[..length], name.rsplit_once_str("/").map_or(&b""[..], |(above, _)| above)]
    } else {
        [&rest[..length], name]
    };
    let node = names
        .iter()
        .filter(|name| !name.is_empty())
        .find_map(|name| tree.find(&[&folder[1..], name].concat()).filter(|node| found.contains(node)));
    let mut stack: Vec<Node> = node.into_iter().filter(|node| !out.contains(node)).collect();
    while let Some(node) = stack.pop() {
        out.insert(node);
        stack.extend(tree.children(node));
    }
}

/// Whether a byte may be part of a path that is written out.
fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+@~".contains(&byte) || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_lines_that_start_so() {
        let text = b"#!/a/b\n# /a/b\nx /a/b # /a/b\n  #/a/b\n";
        let places: Vec<usize> = text.find_iter("/a/b").collect();
        let comments: Vec<bool> = places.into_iter().map(|at| is_comment(text, at)).collect();
        assert_eq!(comments, [false, true, false, false, true]);
    }
}
