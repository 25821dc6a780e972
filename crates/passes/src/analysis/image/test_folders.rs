//! Folders of tests within installed packages of languages.

use std::collections::BTreeMap;

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node};
use jettison_ir::ImageUnit;

use super::python;

/// Names of folders that hold tests.
pub(crate) const WORDS: [&str; 5] = ["test", "tests", "__tests__", "spec", "idle_test"];

/// Packages whose purpose is testing, by the start of their names.
const TOOLS: [&str; 36] = [
    "pytest",
    "_pytest",
    "nose",
    "unittest",
    "testtools",
    "testfixtures",
    "hypothesis",
    "mock",
    "tox",
    "nox",
    "behave",
    "robot",
    "rspec",
    "minitest",
    "test-",
    "cucumber",
    "shoulda",
    "capybara",
    "selenium",
    "mocha",
    "jest",
    "ava",
    "tape",
    "vitest",
    "tap",
    "jasmine",
    "karma",
    "nyc",
    "chai",
    "cypress",
    "playwright",
    "qunit",
    "testcafe",
    "uvu",
    "sinon",
    "@jest",
];

/// What kind of package has a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// A module beside others that Python finds.
    Python,
    /// Python's own library, which is no package of its own.
    PythonLibrary,
    Ruby,
    Node,
}

/// A package that has folders of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its folder.
    pub(crate) folder: Node,
    pub(crate) language: Language,
}

/// The folders of tests, each with the package that it belongs to.
pub(crate) fn find(unit: &ImageUnit<'_>) -> BTreeMap<Node, Package> {
    let tree = &unit.upper;
    let mut found = BTreeMap::new();
    for folder in python::package_folders(unit) {
        for package in tree.children(folder).into_iter().filter(|package| is_package(unit, *package)) {
            below(unit, Package { folder: package, language: Language::Python }, &mut found);
        }
    }
    for folder in python::libraries(unit) {
        below(unit, Package { folder, language: Language::PythonLibrary }, &mut found);
    }
    for node in tree.walk().filter(|node| tree.kind(*node) == Kind::Directory) {
        let package = match tree.name(node) {
            b"gems" => tree.parent(node).is_some_and(|above| tree.child(above, b"specifications").is_some()),
            b"node_modules" => false,
            _ => continue,
        };
        if package {
            of_folder(unit, node, Language::Ruby, &mut found);
        } else if tree.name(node) == b"node_modules" {
            of_folder(unit, node, Language::Node, &mut found);
            let scopes = tree.children(node).into_iter().filter(|child| tree.name(*child).starts_with(b"@"));
            for scope in scopes.filter(|scope| is_package(unit, *scope)) {
                of_folder(unit, scope, Language::Node, &mut found);
            }
        }
    }
    found
}

/// Whether a folder is a package's, and that package is neither for testing nor nothing but tests.
fn is_package(unit: &ImageUnit<'_>, node: Node) -> bool {
    let name = unit.upper.name(node).to_ascii_lowercase();
    unit.upper.kind(node) == Kind::Directory
        && !WORDS.iter().any(|word| name == word.as_bytes())
        && !TOOLS.iter().any(|tool| name.starts_with(tool.as_bytes()))
}

/// The folders of the packages of Ruby or Node that lie in one.
fn of_folder(unit: &ImageUnit<'_>, folder: Node, language: Language, out: &mut BTreeMap<Node, Package>) {
    let tree = &unit.upper;
    let words: &[&str] = match language {
        Language::Ruby => &["test", "spec", "tests"],
        _ => &["test", "tests", "__tests__"],
    };
    for package in tree.children(folder).into_iter().filter(|package| is_package(unit, *package)) {
        if language == Language::Node && tree.child(package, b"package.json").is_none() {
            continue;
        }
        let tests = words.iter().filter_map(|word| tree.child(package, word.as_bytes()));
        let tests = tests.filter(|node| tree.kind(*node) == Kind::Directory);
        out.extend(tests.map(|node| (node, Package { folder: package, language })));
    }
}

/// The folders of tests within a Python package, those of its parts included.
fn below(unit: &ImageUnit<'_>, package: Package, out: &mut BTreeMap<Node, Package>) {
    let tree = &unit.upper;
    let mut stack = vec![package.folder];
    while let Some(folder) = stack.pop() {
        for node in tree.children(folder).into_iter().filter(|node| tree.kind(*node) == Kind::Directory) {
            match tree.name(node) {
                b"site-packages" | b"dist-packages" | b"node_modules" => {}
                b"test" | b"tests" | b"idle_test" if has_tests(unit, node) => drop(out.insert(node, package)),
                _ => stack.push(node),
            }
        }
    }
}

/// Whether Python's modules in a folder are tests, by their names.
fn has_tests(unit: &ImageUnit<'_>, folder: Node) -> bool {
    let tree = &unit.upper;
    tree.children(folder).into_iter().any(|node| {
        let name = tree.name(node);
        name == b"__init__.py" || (name.starts_with(b"test_") && name.ends_with(b".py")) || name.ends_with(b"_test.py")
    })
}

/// The word that a folder is called by.
pub(crate) fn is_called(unit: &ImageUnit<'_>, folder: Node, word: &[u8]) -> bool {
    unit.upper.name(folder).as_bstr() == word.as_bstr()
}
