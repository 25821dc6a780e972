//! Finds what version control keeps beside sources: histories that no program of the image reads.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node, packages};
use jettison_ir::{Assumption, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::analysis::image::rules::Rule;
use crate::analysis::image::waste::{self, Finder, decline};

const ASSUMES: &[Assumption] = &[Assumption {
    name: "histories-are-for-their-tools",
    holds: "folders of version control are read by their own tools, by libraries for them, and by programs whose files say so",
}];

pub(crate) const PASS: Pass = Pass {
    name: "vcs-folders",
    summary: "histories of version control that nothing in the image reads",
    level: Level::O2,
    safety: Safety::Assuming(ASSUMES),
    page: include_str!("vcs_folders.md"),
    aliases: &[],
    run: Run::Image(run),
};

/// What one system of version control leaves.
struct System {
    name: &'static str,
    /// A history has one of these in it, or starts with this.
    holds: &'static [&'static str],
    /// What may lie beside it for it alone.
    beside: &'static [&'static str],
    /// What files say that read it.
    words: &'static [&'static str],
    /// Libraries that read it, by the names of their files and folders; `*` stands for the rest.
    libraries: &'static [&'static str],
}

const FOSSIL: System =
    System { name: "_FOSSIL_", holds: &["SQLite format 3"], beside: &[], words: &[], libraries: &[] };

#[rustfmt::skip]
const SYSTEMS: [System; 9] = [
    System {
        name: ".git",
        holds: &["HEAD"],
        beside: &[".gitignore", ".gitattributes", ".gitmodules", ".github", ".mailmap", ".git-blame-ignore-revs"],
        words: &[
            "rev-parse", "git describe", "git log", "git show", "\"git\", \"describe\"", "'git', 'describe'",
            "\"git\", \"log\"", "'git', 'log'", ".git/", "git-rev-sync", "git-describe", "git-revision", "fetch_git_sha",
            "setuptools_scm", "setuptools-scm", "hatch-vcs", "hatch_vcs", "versioneer", "dynamic-versioning", "nodegit",
            "isomorphic-git", "simple-git", "GitPython", "import git",
        ],
        libraries: &["dulwich", "pygit2", "nodegit", "isomorphic-git", "rugged-*", "libgit2.so*", "org.eclipse.jgit*"],
    },
    System {
        name: ".hg",
        holds: &["requires", "store", "00changelog.i"],
        beside: &[".hgignore", ".hgtags", ".hgsub", ".hgsubstate"],
        words: &["hg id", "hg log", "hg parent", ".hg/", "setuptools_scm", "setuptools-scm"],
        libraries: &["hglib", "mercurial"],
    },
    System {
        name: ".svn", holds: &["wc.db", "entries"], beside: &[], words: &["svnversion", "svn info", ".svn/"],
        libraries: &["libsvn_wc*", "svnkit*"],
    },
    System {
        name: ".bzr", holds: &["branch-format", "checkout"], beside: &[".bzrignore"],
        words: &["bzr revno", "bzr version-info", ".bzr/"], libraries: &["bzrlib", "breezy"],
    },
    System { name: "CVS", holds: &["Entries"], beside: &[".cvsignore"], words: &["CVS/"], libraries: &[] },
    System {
        name: "_darcs", holds: &["format", "inventory", "hashed_inventory"], beside: &[], words: &["_darcs/"],
        libraries: &[],
    },
    System { name: ".fossil", ..FOSSIL },
    System { name: ".fslckout", ..FOSSIL },
    FOSSIL,
];

/// The largest file that is searched for what it reads; programs in scripts are smaller.
const MOST: u64 = 256 << 10;
/// Folders with what others wrote, which does not know this history.
const FOREIGN: [&[u8]; 6] = [b"node_modules", b"site-packages", b"dist-packages", b"gems", b"vendor", b".venv"];
/// Ends of the names of files that are programs, or say how one is built or run.
const CODE: [&[u8]; 24] = [
    b".py",
    b".pyw",
    b".js",
    b".mjs",
    b".cjs",
    b".ts",
    b".jsx",
    b".tsx",
    b".rb",
    b".gemspec",
    b".rake",
    b".php",
    b".sh",
    b".bash",
    b".pl",
    b".toml",
    b".cfg",
    b".json",
    b".yml",
    b".yaml",
    b".mk",
    b".gradle",
    b".lua",
    b"file",
];

fn run(unit: &ImageUnit<'_>, plan: &Plan) -> Vec<Remark> {
    waste::run_with(unit, plan, PASS.name, narrow)
}

/// Leaves the histories that go, whole, with what lies beside them for them alone.
fn narrow(finder: &Finder<'_, '_>, rule: &Rule, found: &mut BTreeSet<Node>) -> Vec<Remark> {
    let tree = &finder.unit.upper;
    let is_root = |node: &Node| tree.parent(*node).is_none_or(|folder| !found.contains(&folder));
    let roots: Vec<Node> = found.iter().copied().filter(is_root).collect();
    let mut going: BTreeSet<Node> = BTreeSet::new();
    let mut remarks = Vec::new();
    let (links, histories): (Vec<Node>, Vec<Node>) =
        roots.into_iter().partition(|root| tree.name(*root) == b".git" && tree.kind(*root) == Kind::File);
    for root in histories {
        let system = SYSTEMS.iter().find(|system| system.name.as_bytes() == tree.name(root));
        let Some(system) = system.filter(|system| is_history(finder.unit, root, system)) else { continue };
        match held(finder, found, root).or_else(|| reader(finder, root, system)) {
            Some(why) => {
                remarks.push(decline(None, format!("{}: {} stays: {why}", rule.what, finder.unit.shown(root))))
            }
            None => {
                going.insert(root);
                let folder = tree.parent(root).into_iter();
                let beside = folder.flat_map(|folder| {
                    system.beside.iter().filter_map(move |name| tree.child(folder, name.as_bytes()))
                });
                going.extend(beside.filter(|node| held_by_user(finder, *node).is_none()));
            }
        }
    }
    // A submodule's or a worktree's link goes where what it leads to goes, or is not there.
    for link in links {
        let target = gitdir(finder.unit, link);
        let is_dead = target.is_some_and(|target| {
            target.is_none_or(|target| tree.ancestors(target).any(|folder| going.contains(&folder)))
        });
        if is_dead && held(finder, found, link).is_none() {
            going.insert(link);
        }
    }
    *found = below(finder.unit, going);
    remarks
}

/// Everything at and below some paths.
fn below(unit: &ImageUnit<'_>, roots: BTreeSet<Node>) -> BTreeSet<Node> {
    let mut all = BTreeSet::new();
    let mut stack: Vec<Node> = roots.into_iter().collect();
    while let Some(node) = stack.pop() {
        all.insert(node);
        stack.extend(unit.upper.children(node));
    }
    all
}

/// Whether something of this name is a history, and no folder of fixtures or the like.
fn is_history(unit: &ImageUnit<'_>, root: Node, system: &System) -> bool {
    match unit.upper.kind(root) {
        Kind::Directory => system.holds.iter().any(|name| unit.upper.child(root, name.as_bytes()).is_some()),
        Kind::File => {
            let content = unit.content(root).unwrap_or_default();
            system.holds.iter().any(|start| content.starts_with(start.as_bytes()))
        }
        _ => false,
    }
}

/// Why a history stays, whoever reads it: one that is not there whole is of no use to anybody.
fn held(finder: &Finder<'_, '_>, found: &BTreeSet<Node>, root: Node) -> Option<String> {
    let unit = finder.unit;
    let all = below(unit, BTreeSet::from([root]));
    let is_file = |node: &&Node| unit.upper.kind(**node) != Kind::Directory;
    let why = if all.iter().any(|node| unit.owner(*node).is_some()) {
        "packages own it"
    } else if all.iter().filter(is_file).any(|node| !unit.is_own(*node)) {
        "base layers stay as they are so that they stay shared; --squash-all merges them"
    } else if all.iter().any(|node| finder.mentions.nodes.contains(node)) {
        "the image's settings or the scripts that they name name it"
    } else if !all.is_subset(found) {
        "a part of it is to be kept"
    } else {
        return None;
    };
    Some(why.to_owned())
}

fn held_by_user(finder: &Finder<'_, '_>, node: Node) -> Option<Node> {
    let kept = |node: &Node| finder.unit.options.keeps(&finder.unit.upper.path(*node)).is_some();
    below(finder.unit, BTreeSet::from([node])).into_iter().find(kept)
}

/// The folder that a file `.git` leads to: none inside where it is not there, none at all where the file is another one.
fn gitdir(unit: &ImageUnit<'_>, link: Node) -> Option<Option<Node>> {
    let content = unit.content(link)?;
    let target = content.strip_prefix(b"gitdir:")?.trim();
    let folder = unit.upper.path(unit.upper.parent(link)?);
    let path = if target.starts_with(b"/") { target.to_vec() } else { [&folder, &b"/"[..], target].concat() };
    Some(packages::follow(&unit.upper, &path))
}

/// Who reads a history: a library, or a file of the tree that it is the history of.
fn reader(finder: &Finder<'_, '_>, root: Node, system: &System) -> Option<String> {
    let (unit, tree) = (finder.unit, &finder.unit.upper);
    let is_library = |node: &Node| {
        system.libraries.iter().any(|library| match library.strip_suffix('*') {
            Some(start) => tree.name(*node).starts_with(start.as_bytes()),
            None => tree.name(*node) == library.as_bytes() && is_in_packages(finder, *node),
        })
    };
    let stays = |node: &Node| !finder.plan.edits.is_gone(tree, *node);
    if let Some(library) = tree.walk().filter(is_library).find(stays) {
        return Some(format!("{} is there, which reads it", unit.shown(library)));
    }
    let mut stack = vec![tree.parent(root)?];
    while let Some(folder) = stack.pop() {
        for node in tree.children(folder).into_iter().filter(stays) {
            let name = tree.name(node);
            match tree.kind(node) {
                Kind::Directory if name != tree.name(root) && !FOREIGN.contains(&name) => stack.push(node),
                Kind::File if says_so(unit, node, system) => {
                    return Some(format!("{} reads it", unit.shown(node)));
                }
                _ => {}
            }
        }
    }
    None
}

fn is_in_packages(finder: &Finder<'_, '_>, node: Node) -> bool {
    finder.unit.upper.parent(node).is_some_and(|folder| FOREIGN.contains(&finder.unit.upper.name(folder)))
}

/// Whether a file of code names what reads a history.
fn says_so(unit: &ImageUnit<'_>, node: Node, system: &System) -> bool {
    let attributes = unit.upper.attributes(node);
    let name = unit.upper.name(node);
    let is_code = attributes.mode & 0o111 != 0 || CODE.iter().any(|end| name.ends_with(end));
    if !is_code || attributes.size > MOST || !unit.is_own(node) {
        return false;
    }
    let content = unit.content(node).unwrap_or_default();
    // A program that is compiled holds texts of its libraries.
    content.to_str().is_ok() && system.words.iter().any(|word| content.contains_str(word))
}
