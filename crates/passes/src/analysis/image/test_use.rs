//! Which folders of tests are used by what is not a test: modules that others import, files that their package reads.

use std::collections::{BTreeMap, BTreeSet};

use bstr::ByteSlice as _;
use jettison_image::{Node, packages};
use jettison_ir::{ImageUnit, Plan};
use serde_json::Value;

use super::named::readers;
use super::python;
use super::test_folders::{Language, Package, WORDS, is_called};

/// Modules that are no part of what their package does.
const OF_DEVELOPERS: [&[u8]; 5] = [b"setup.py", b"conftest.py", b"noxfile.py", b"_pytesttester.py", b"_tester.py"];

/// The fields of `package.json` that say what a package consists of when it runs.
const FIELDS: [&str; 6] = ["main", "module", "browser", "exports", "imports", "bin"];

/// Those of the folders that something else uses.
pub(crate) fn used(unit: &ImageUnit<'_>, plan: &Plan, folders: &BTreeMap<Node, Package>) -> BTreeSet<Node> {
    let tree = &unit.upper;
    let mut roots = python::package_folders(unit);
    roots.extend(python::libraries(unit));
    let packages = folders.values().map(|package| (package.folder, package.language)).collect();
    let mut search = Search { unit, folders, packages, roots, used: BTreeSet::new() };
    let settings = unit.config.settings();
    search.note_dotted(None, serde_json::to_string(&settings).unwrap_or_default().as_bytes(), false);
    let is_test = |node: Node| tree.ancestors(node).any(|folder| folders.contains_key(&folder));
    for node in readers(unit, plan).filter(|node| !is_test(*node)) {
        let may_be_meant = |content: &Vec<u8>| ["test", "spec"].iter().any(|word| content.contains_str(word));
        if let Some(content) = unit.content(node).filter(may_be_meant) {
            search.read(node, &content);
        }
    }
    search.used
}

struct Search<'s, 'a> {
    unit: &'s ImageUnit<'a>,
    folders: &'s BTreeMap<Node, Package>,
    /// The folders of packages that have tests.
    packages: BTreeMap<Node, Language>,
    /// Where Python looks for modules.
    roots: Vec<Node>,
    used: BTreeSet<Node>,
}

impl Search<'_, '_> {
    fn read(&mut self, node: Node, content: &[u8]) {
        let tree = &self.unit.upper;
        let name = tree.name(node);
        // What is installed below Python's own library is not of it.
        let is_root = |folder: &Node| [&b"site-packages"[..], b"dist-packages"].contains(&tree.name(*folder));
        let within = tree.ancestors(node).take_while(|folder| !is_root(folder));
        let package = within.into_iter().find(|folder| self.packages.contains_key(folder));
        let language = package.and_then(|package| self.packages.get(&package)).copied();
        let end = name.rsplit_once_str(".").map_or(&b""[..], |(_, end)| end);
        match (end, language) {
            (b"json", Some(Language::Node)) if name == b"package.json" => self.note_fields(package, content),
            // Python's own library speaks of its tests where these are run, and runs without them: images of it have none.
            (b"json", _) | (_, Some(Language::PythonLibrary)) => {}
            (b"js" | b"mjs" | b"cjs" | b"ts", _) => self.note_paths(package, content, name),
            (b"rb", Some(Language::Ruby)) => self.note_paths(package, content, name),
            _ => {
                self.note_dotted(package, content, end == b"py");
                if end == b"py" || !name.contains(&b'.') {
                    self.note_imports(node, content);
                }
                if language == Some(Language::Python) && end == b"py" && !OF_DEVELOPERS.contains(&name) {
                    self.note_paths(package, content, name);
                }
            }
        }
    }

    /// Notes the folders of a package that are called by a word, where one is given those in a folder of that name.
    fn note(&mut self, package: Option<Node>, word: &[u8], within: Option<&[u8]>) {
        let tree = &self.unit.upper;
        let is_within = |folder: Node| {
            let above = tree.parent(folder).map(|above| tree.name(above));
            within.is_none_or(|within| above == Some(within))
        };
        let of_package = self.folders.iter().filter(|(_, one)| Some(one.folder) == package);
        let called = of_package.map(|(folder, _)| *folder).filter(|folder| is_called(self.unit, *folder, word));
        self.used.extend(called.filter(|folder| is_within(*folder)).collect::<Vec<_>>());
    }

    /// Notes folders that are named as part of a path or as a whole text: `'tests'`, `"./test/data"`, `require('a/test')`.
    fn note_paths(&mut self, package: Option<Node>, content: &[u8], name: &[u8]) {
        let is_python = name.ends_with(b".py");
        // Between two of these stand names in the documentation of Python's modules.
        let is_quote = |byte: u8| b"'\"".contains(&byte) || (byte == b'`' && !is_python);
        for (at, word) in words(content) {
            let before = at.checked_sub(1).map(|at| content[at]);
            let after = content.get(at + word.len());
            let is_edge = |byte: &u8| *byte == b'/' || is_quote(*byte);
            if !before.as_ref().is_some_and(is_edge) || !after.is_some_and(is_edge) || is_comment(content, at) {
                continue;
            }
            if before != Some(b'/') {
                self.note(package, word, None);
                continue;
            }
            let left = content[..at - 1].iter().rposition(|byte| !is_of_name(*byte)).map_or(0, |at| at + 1);
            let above = &content[left..at - 1];
            match above.rsplit_str("/").next().filter(|name| !name.iter().all(|byte| *byte == b'.')) {
                None => self.note(package, word, None),
                Some(within) => {
                    self.note(package, word, Some(within));
                    self.note_of_named(above, word);
                }
            }
        }
    }

    /// Notes the folder of a package of Node that is named with its package.
    fn note_of_named(&mut self, path: &[u8], word: &[u8]) {
        let tree = &self.unit.upper;
        let is_named = |node: Node| path.ends_with(tree.name(node));
        let packages = self.packages.iter().filter(|(node, language)| **language == Language::Node && is_named(**node));
        for package in packages.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.note(Some(package), word, None);
        }
    }

    /// Notes folders that are named as modules with all that they are in: `numpy.core.tests`. In Python's own code these are
    /// texts; what stands there without quotes is an attribute or imported by a statement.
    fn note_dotted(&mut self, package: Option<Node>, content: &[u8], is_python: bool) {
        for (at, word) in words(content) {
            if at == 0 || content[at - 1] != b'.' {
                continue;
            }
            let is_of_module = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
            let start = content[..at].iter().rposition(|byte| !is_of_module(*byte)).map_or(0, |at| at + 1);
            let module = &content[start..at + word.len()];
            let is_quoted = start.checked_sub(1).is_some_and(|at| b"'\"".contains(&content[at]));
            match module.strip_prefix(b".") {
                Some(_) if is_quoted => self.note(package, word, None),
                None if is_quoted || !is_python => self.note_module(None, module),
                _ => {}
            }
        }
    }

    fn note_imports(&mut self, node: Node, content: &[u8]) {
        for module in python::imports(content) {
            if words(&module).next().is_some() {
                self.note_module(Some(node), &module);
            }
        }
    }

    /// Notes the folders that a module's name leads through.
    fn note_module(&mut self, from: Option<Node>, module: &[u8]) {
        let tree = &self.unit.upper;
        let dots = module.iter().take_while(|byte| **byte == b'.').count();
        let starts: Vec<Node> = match (dots, from) {
            (0, _) => self.roots.clone(),
            (_, Some(from)) => tree.ancestors(from).nth(dots).into_iter().collect(),
            (_, None) => Vec::new(),
        };
        for start in starts {
            let mut folder = start;
            for name in module[dots..].split(|byte| *byte == b'.') {
                let Some(next) = tree.child(folder, name).and_then(|node| packages::follow(tree, &tree.path(node)))
                else {
                    break;
                };
                if self.folders.contains_key(&next) {
                    self.used.insert(next);
                }
                folder = next;
            }
        }
    }

    /// Notes the folders that a package of Node consists of.
    fn note_fields(&mut self, package: Option<Node>, content: &[u8]) {
        let Ok(fields) = serde_json::from_slice::<Value>(content) else {
            WORDS.iter().for_each(|word| self.note(package, word.as_bytes(), None));
            return;
        };
        let mut texts = Vec::new();
        let mut stack: Vec<&Value> = FIELDS.iter().filter_map(|name| fields.get(*name)).collect();
        while let Some(value) = stack.pop() {
            match value {
                Value::String(text) => texts.push(text.as_str()),
                Value::Array(all) => stack.extend(all),
                Value::Object(all) => stack.extend(all.values()),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        let names: BTreeSet<&str> = texts.iter().flat_map(|text| text.split('/')).collect();
        for word in WORDS.iter().filter(|word| names.contains(**word)) {
            self.note(package, word.as_bytes(), None);
        }
    }
}

/// The places of a content where a word for tests stands alone.
fn words(content: &[u8]) -> impl Iterator<Item = (usize, &'static [u8])> {
    let is_of_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte));
    WORDS.iter().map(|word| word.as_bytes()).flat_map(move |word| {
        let places = content.find_iter(word).filter(move |at| {
            let before = at.checked_sub(1).and_then(|at| content.get(at));
            !is_of_word(before) && !is_of_word(content.get(at + word.len()))
        });
        places.map(move |at| (at, word)).collect::<Vec<_>>()
    })
}

/// Whether a place is in a line that is a comment in Python, Ruby or JavaScript.
fn is_comment(content: &[u8], at: usize) -> bool {
    let start = content[..at].rfind_byte(b'\n').map_or(0, |end| end + 1);
    let line = content[start..at].trim_start();
    [&b"#"[..], b"//", b"*", b"/*"].iter().any(|sign| line.starts_with(sign))
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"@._-/".contains(&byte)
}
