//! Which files of a tree need which to run: libraries, loaders, the interpreters of scripts, and the links on the way.
//!
//! What a loader would find is followed for each file by itself, and once more for each program whose `RPATH` holds for
//! what it loads. Where it depends on the machine or on who asks which of several files is taken, all of them are needed.

mod beside;
mod cache;
mod configuration;
mod folders;
mod links;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::loading::{Loading, ObjectKind};
use super::opens::matches;
use super::script::Script;
use super::{Elf, Program};
use crate::config::Config;
use crate::digest::Digest;
use crate::layer::Kind;
use crate::tree::{Node, Tree};
pub use beside::has_checksum_beside;
pub use configuration::configured_folders;
pub use folders::with_origin;
use links::follow;
use search::{Folders, Search};

/// Where programs are looked for if nothing says it: that of Docker and BuildKit.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Files are followed so often with the folders that other files hand on to them: thousands of times more than any image
/// needs, and an end for those made to have none.
const MOST_INHERITED: usize = 200_000;

/// The settings that decide what a program finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The folders of `LD_LIBRARY_PATH`.
    pub library_path: Vec<Vec<u8>>,
    /// What `LD_PRELOAD` names.
    pub preload: Vec<Vec<u8>>,
    /// The folders of `PATH`.
    pub path: Vec<Vec<u8>>,
    /// The folder that programs start in; paths without a slash in front begin there.
    pub folder: Vec<u8>,
}

impl Environment {
    /// The environment of an image's container.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let setting = |name: &str| config.get("config").and_then(|settings| settings.get(name));
        let variables = setting("Env").and_then(serde_json::Value::as_array).into_iter().flatten();
        let variables = variables.filter_map(serde_json::Value::as_str).filter_map(|variable| variable.split_once('='));
        let folder = setting("WorkingDir").and_then(serde_json::Value::as_str).filter(|folder| !folder.is_empty());
        Self::from_variables(variables, folder.unwrap_or("/"))
    }

    /// The environment of these variables, in a folder.
    #[must_use]
    pub fn from_variables<'v>(variables: impl IntoIterator<Item = (&'v str, &'v str)>, folder: &str) -> Self {
        let variables: BTreeMap<&str, &str> = variables.into_iter().collect();
        let list = |name: &str, separators: &[char]| {
            let value = variables.get(name).copied().unwrap_or(if name == "PATH" { PATH } else { "" });
            let parts = value.split(separators).map(str::as_bytes);
            // Nothing between two separators is the folder that one is in (ld.so(8)).
            let part = |part: &[u8]| if part.is_empty() { folder.as_bytes().to_vec() } else { part.to_vec() };
            if value.is_empty() { Vec::new() } else { parts.map(part).collect() }
        };
        Self {
            library_path: list("LD_LIBRARY_PATH", &[':', ';']),
            preload: list("LD_PRELOAD", &[' ', ':']),
            path: list("PATH", &[':']),
            folder: folder.as_bytes().to_vec(),
        }
    }
}

/// What is followed from file to file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// What is loaded in any case.
    Needs,
    /// Also what may be opened by name while a program runs.
    MayOpen,
}

/// What one file uses.
#[derive(Clone, Debug, Default)]
struct Uses {
    needs: Vec<Node>,
    may_open: Vec<Node>,
    missing: Vec<Vec<u8>>,
    /// What is found with the folders of those that load the file, and may be missing without.
    found: Vec<Vec<u8>>,
}

/// Which files need which.
#[derive(Clone, Debug, Default)]
pub struct Linkage {
    uses: HashMap<Node, Uses>,
}

impl Linkage {
    /// Follows all files of a tree. `programs` says what files are, by the digest of their content; `content` gives that of
    /// a loader's configuration (files of `/etc`).
    #[must_use]
    pub fn of(
        tree: &Tree<'_>,
        programs: &HashMap<Digest, Program>,
        environment: &Environment,
        content: &mut dyn FnMut(Node) -> Option<Vec<u8>>,
    ) -> Self {
        let search = Search::new(tree, programs, environment, content);
        let mut follower = Follower { search: &search, uses: HashMap::new(), left: MOST_INHERITED };
        for node in tree.walk() {
            match (tree.kind(node), search.program(node)) {
                (Kind::Symlink, _) => follower.link(node),
                (Kind::File, Some(Program::Elf(elf))) => follower.elf(node, elf),
                (Kind::File, Some(Program::Script(script))) => follower.script(node, script),
                _ => {}
            }
        }
        follower.opened();
        let mut uses = follower.uses;
        for one in uses.values_mut() {
            one.finish();
        }
        Self { uses }
    }

    /// What is loaded along with a file, and the links on the way; sorted. Of a link what it leads to.
    #[must_use]
    pub fn needs(&self, node: Node) -> &[Node] {
        self.uses.get(&node).map_or(&[], |uses| &uses.needs)
    }

    /// What a file may open by name while it runs; sorted.
    #[must_use]
    pub fn may_open(&self, node: Node) -> &[Node] {
        self.uses.get(&node).map_or(&[], |uses| &uses.may_open)
    }

    /// The names of what a file needs and the tree does not have; sorted.
    #[must_use]
    pub fn missing(&self, node: Node) -> &[Vec<u8>] {
        self.uses.get(&node).map_or(&[], |uses| &uses.missing)
    }

    /// The files that some files need, directly and by way of others, themselves included.
    #[must_use]
    pub fn closure(&self, roots: impl IntoIterator<Item = Node>, reach: Reach) -> BTreeSet<Node> {
        let mut waiting: Vec<Node> = roots.into_iter().collect();
        let mut reached: BTreeSet<Node> = waiting.iter().copied().collect();
        while let Some(node) = waiting.pop() {
            let opened = if reach == Reach::MayOpen { self.may_open(node) } else { &[] };
            for &next in self.needs(node).iter().chain(opened) {
                if reached.insert(next) {
                    waiting.push(next);
                }
            }
        }
        reached
    }
}

impl Uses {
    fn finish(&mut self) {
        self.needs.sort_unstable();
        self.needs.dedup();
        self.may_open.sort_unstable();
        self.may_open.dedup();
        self.missing.retain(|name| !self.found.contains(name));
        self.missing.sort_unstable();
        self.missing.dedup();
    }
}

struct Follower<'s, 't> {
    search: &'s Search<'s, 't>,
    uses: HashMap<Node, Uses>,
    /// How many more files are followed with the folders of others.
    left: usize,
}

impl Follower<'_, '_> {
    /// Notes that a file needs what a path leads to.
    fn path(&mut self, node: Node, path: &[u8]) {
        let uses = self.uses.entry(node).or_default();
        match follow(self.search.tree, path) {
            Some(found) => uses.needs.extend(found.nodes()),
            None => uses.missing.push(path.to_vec()),
        }
    }

    fn link(&mut self, node: Node) {
        let tree = self.search.tree;
        // A link that leads nowhere misses nothing: links are made for what may come.
        if let Some(found) = follow(tree, &tree.path(node)) {
            self.uses.entry(node).or_default().needs.extend(found.nodes().filter(|&other| other != node));
        }
    }

    fn script(&mut self, node: Node, script: &Script) {
        let interpreter = self.search.absolute(&script.interpreter);
        self.path(node, &interpreter);
        let Some(name) = script.by_env() else { return };
        if name.contains(&b'/') {
            return self.path(node, &self.search.absolute(name));
        }
        let tree = self.search.tree;
        let mut found = self.search.environment.path.iter().filter_map(|folder| {
            let path = [self.search.absolute(folder).as_slice(), b"/", name].concat();
            follow(tree, &path).filter(|found| tree.kind(found.node) == Kind::File)
        });
        let found = found.next();
        let uses = self.uses.entry(node).or_default();
        match found {
            Some(found) => uses.needs.extend(found.nodes()),
            None => uses.missing.push(name.to_vec()),
        }
    }

    fn elf(&mut self, node: Node, elf: &Elf) {
        if !matches!(elf.kind, ObjectKind::Executable | ObjectKind::Shared) {
            return;
        }
        if let Some(interpreter) = &elf.interpreter {
            self.path(node, &self.search.absolute(interpreter));
            for name in &self.search.preload {
                let found = self.search.library(name, node, elf, &Folders::default());
                self.uses.entry(node).or_default().needs.extend(found);
            }
        }
        // What a file loads is loaded with the RPATHs of those before it (ld.so(8)).
        let mut waiting = vec![(node, Folders::default())];
        let mut seen: BTreeSet<(Node, Folders)> = waiting.iter().cloned().collect();
        while let Some((user, inherited)) = waiting.pop() {
            let Some(Program::Elf(loaded)) = self.search.program(user) else { continue };
            let libraries = self.libraries(user, loaded, &inherited);
            let handed_on = self.search.handed_on(user, loaded, &inherited);
            if handed_on.is_empty() {
                continue;
            }
            for library in libraries {
                let next = (library, handed_on.clone());
                if self.left > 0 && seen.insert(next.clone()) {
                    self.left -= 1;
                    waiting.push(next);
                }
            }
        }
    }

    /// Notes what a file needs when those before it have some folders, and gives that.
    fn libraries(&mut self, user: Node, loaded: &Loading, inherited: &Folders) -> Vec<Node> {
        let mut libraries = Vec::new();
        for (name, is_needed) in
            loaded.needed.iter().map(|name| (name, true)).chain(loaded.filters.iter().map(|name| (name, false)))
        {
            let found = self.search.library(name, user, loaded, inherited);
            let uses = self.uses.entry(user).or_default();
            if found.is_empty() && is_needed && inherited.is_empty() {
                uses.missing.push(name.clone());
            } else if !found.is_empty() && !inherited.is_empty() {
                uses.found.push(name.clone());
            }
            uses.needs.extend(&found);
            libraries.extend(found);
        }
        libraries
    }

    /// What files may open, by name, wherever it lies: the folder may be one that a program makes up.
    fn opened(&mut self) {
        let tree = self.search.tree;
        let mut named: BTreeMap<&[u8], Vec<Node>> = BTreeMap::new();
        for node in tree.walk().filter(|&node| matches!(tree.kind(node), Kind::File | Kind::Symlink)) {
            let name = tree.name(node);
            if name.windows(3).any(|part| part == b".so") {
                named.entry(name).or_default().push(node);
            }
        }
        for node in tree.walk().filter(|&node| tree.kind(node) == Kind::File) {
            let Some(Program::Elf(elf)) = self.search.program(node) else { continue };
            let mut found = Vec::new();
            for name in &elf.may_open {
                if name.starts_with(b"/") && !name.contains(&b'*') {
                    found.extend(follow(tree, name).into_iter().flat_map(|found| found.nodes().collect::<Vec<_>>()));
                } else if name.contains(&b'*') && !name.starts_with(b"/") {
                    let start = name.split(|&byte| byte == b'*').next().unwrap_or_default();
                    let from = named.range(start..).take_while(|(other, _)| other.starts_with(start));
                    found.extend(from.filter(|(other, _)| matches(name, other)).flat_map(|(_, nodes)| nodes));
                } else {
                    found.extend(named.get(name.as_slice()).into_iter().flatten());
                }
            }
            found.retain(|&other| other != node && self.search.is_for(elf, other));
            if !found.is_empty() {
                self.uses.entry(node).or_default().may_open.extend(found);
            }
        }
    }
}
