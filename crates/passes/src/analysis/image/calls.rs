//! Programs that an image's own code starts by their names: code beside what the command names, scripts of npm's
//! `package.json`, and libraries that are known to call a program.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node, Tree, packages};
use jettison_ir::ImageUnit;
use serde_json::Value;

use super::histories::FOREIGN;
use super::mentions::Mentions;

/// The largest file that is read.
const MOST: u64 = 1 << 20;

/// The ends of the names of files with code that can start programs.
const CODE: [&str; 11] = ["py", "rb", "js", "mjs", "cjs", "ts", "pl", "php", "cgi", "lua", "tcl"];

/// What code says that starts programs, in Python, JavaScript, Ruby, Perl, PHP.
const STARTS: [&str; 14] = [
    "subprocess",
    "child_process",
    "popen",
    "Popen",
    "execa",
    "os.system",
    "os.exec",
    "os.spawn",
    "system(",
    "exec(",
    "Open3",
    "%x",
    "`",
    "which(",
];

/// Libraries that call a program, by the names that PyPI, npm and RubyGems have for them.
const LIBRARIES: [(&str, &str); 7] = [
    ("gitpython", "git"),
    ("pre-commit", "git"),
    ("simple-git", "git"),
    ("git", "git"),
    ("overcommit", "git"),
    ("danger", "git"),
    ("python-hglib", "hg"),
];

/// The programs that an image's own code starts.
pub(crate) fn programs(unit: &ImageUnit<'_>, mentions: &Mentions) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let tree = &unit.upper;
    let named: Vec<Node> = mentions.nodes.iter().copied().filter(|node| is_own_code(unit, *node)).collect();
    for node in &named {
        note_calls(&text(unit, *node), &mut found);
    }
    // Not the whole image, where the code lies at its top.
    let is_folder = |folder: &Node| !tree.path(*folder).is_empty();
    let mut stack: Vec<Node> = named.iter().filter_map(|node| tree.parent(*node)).filter(is_folder).collect();
    let mut seen = BTreeSet::new();
    while let Some(node) = stack.pop().filter(|node| seen.insert(*node)) {
        for child in tree.children(node) {
            match tree.kind(child) {
                Kind::Directory if !FOREIGN.contains(&tree.name(child)) => stack.push(child),
                Kind::File if is_code(tree.name(child)) => note_calls(&text(unit, child), &mut found),
                _ => {}
            }
        }
    }
    if let Some(npm) = mentions.runs(&["npm", "yarn", "pnpm", "bun"]) {
        let folder = packages::follow(tree, mentions.folder.as_bytes());
        let manifest = folder.and_then(|folder| tree.child(folder, b"package.json"));
        note_scripts(&manifest.map(|node| text(unit, node)).unwrap_or_default(), mentions, &npm, &mut found);
    }
    for node in tree.walk() {
        let program = library(tree, node).and_then(|name| LIBRARIES.iter().find(|(library, _)| *library == name));
        found.extend(program.map(|(_, program)| program.as_bytes().to_vec()));
    }
    found
}

/// The name of a library of Python, Node or Ruby that lies there, as its registry has it. What npm brings for itself is none.
pub(crate) fn library(tree: &Tree<'_>, node: Node) -> Option<String> {
    let name = tree.name(node);
    let folder = || tree.parent(node).map(|folder| tree.name(folder));
    let stem = match name.strip_suffix(b".dist-info") {
        Some(stem) => stem.split(|byte| *byte == b'-').next()?,
        // npm brings node-gyp along for what it installs, wherever it is.
        None if folder() == Some(b"node_modules") && !is_npms(tree, node) => name,
        None if folder() == Some(b"gems") => name.rsplit_once_str("-").map_or(name, |(stem, _)| stem),
        None => return None,
    };
    Some(stem.to_str().ok()?.to_lowercase().replace('_', "-"))
}

/// Whether a module is one of npm's own: `npm/node_modules/NAME`.
fn is_npms(tree: &Tree<'_>, module: Node) -> bool {
    tree.parent(module).and_then(|modules| tree.parent(modules)).is_some_and(|owner| tree.name(owner) == b"npm")
}

/// Whether there is code that is the image's own and not the system's.
fn is_own_code(unit: &ImageUnit<'_>, node: Node) -> bool {
    let tree = &unit.upper;
    let path = tree.path(node);
    let is_systems = path.starts_with(b"usr/") && !path.starts_with(b"usr/src/");
    tree.kind(node) == Kind::File && is_code(tree.name(node)) && !is_systems && unit.owner(node).is_none()
}

fn is_code(name: &[u8]) -> bool {
    let end = name.rsplit_once_str(".").map(|(_, end)| end);
    end.is_some_and(|end| CODE.iter().any(|code| code.as_bytes() == end))
}

fn text(unit: &ImageUnit<'_>, node: Node) -> Vec<u8> {
    let is_small = unit.upper.attributes(node).size <= MOST;
    unit.content(node).filter(|_| is_small).unwrap_or_default()
}

/// Of code that starts programs, the first words of its texts.
fn note_calls(code: &[u8], out: &mut BTreeSet<Vec<u8>>) {
    if !STARTS.iter().any(|start| code.contains_str(start)) {
        return;
    }
    for (at, _) in code.iter().enumerate().filter(|(_, byte)| b"\"'`({[".contains(byte)) {
        let rest = &code[at + 1..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_.+-/".contains(byte)).count();
        let ends = rest.get(length).is_some_and(|byte| b"\"'` )]}".contains(byte));
        if ends && length > 0 {
            out.insert(base_name(&rest[..length]).to_vec());
        }
    }
}

fn base_name(word: &[u8]) -> &[u8] {
    word.rsplit_str("/").next().unwrap_or(word)
}

/// The words of those of npm's scripts that the command runs, with what runs before and behind them.
fn note_scripts(manifest: &[u8], mentions: &Mentions, npm: &str, out: &mut BTreeSet<Vec<u8>>) {
    let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
    let Some(scripts) = manifest.get("scripts").and_then(Value::as_object) else { return };
    let is_run = |name: &str| mentions.runs(&[name]).is_some() && name != npm;
    let mut names: Vec<String> = scripts.keys().filter(|name| is_run(name)).cloned().collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = names.pop().filter(|name| seen.insert(name.clone())) {
        for name in [format!("pre{name}"), name.clone(), format!("post{name}")] {
            let Some(script) = scripts.get(&name).and_then(Value::as_str) else { continue };
            let words = script.split(|letter: char| letter.is_whitespace() || ";&|()'\"".contains(letter));
            for word in words.filter(|word| !word.is_empty()) {
                out.insert(base_name(word.as_bytes()).to_vec());
                names.extend(scripts.keys().filter(|other| *other == word).cloned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(code: &str) -> Vec<String> {
        let mut found = BTreeSet::new();
        note_calls(code.as_bytes(), &mut found);
        found.into_iter().map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
    }

    #[test]
    fn code_calls_by_the_first_words_of_texts() {
        for (code, expected) in [
            ("import subprocess\nsubprocess.check_output([\"git\", '--version'])\n", &["--version", "git"][..]),
            (
                "const { execSync } = require('child_process');\nexecSync('/usr/bin/git log -1');\n",
                &["child_process", "git"],
            ),
            ("puts `git rev-parse HEAD`\n", &["git"]),
            ("system(\"/usr/bin/hg\", \"id\");\n", &["hg", "id"]),
            // Nothing is started.
            ("print({\"type\": \"git\"})\n", &[]),
            ("import subprocess\nname = \"gitter.im, make\"\n", &[]),
        ] {
            assert_eq!(called(code), expected, "{code}");
        }
    }
}
