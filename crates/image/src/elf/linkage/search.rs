//! Looks for libraries as the loaders of glibc and musl do (ld.so(8); musl, `ldso/dynlink.c`).

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::configuration::configured_folders;
use super::folders::{OLD_VARIANTS, defaults, expanded};
use super::links::{Found, follow};
use super::{Environment, cache};
use crate::digest::Digest;
use crate::elf::Program;
use crate::elf::loading::Loading;
use crate::layer::Kind;
use crate::tree::{Node, Tree};

/// The libraries that are within musl's loader, whatever they are called behind the first point.
const WITHIN_MUSL: [&str; 7] = ["libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."];
/// Where musl looks if no file says it.
const MUSL_DEFAULTS: &str = "/lib:/usr/local/lib:/usr/lib";

/// Folders that a file was loaded with, the first first.
pub(super) type Folders = Vec<Vec<u8>>;

/// A tree with what its loaders are told.
pub(super) struct Search<'s, 't> {
    pub(super) tree: &'s Tree<'t>,
    pub(super) environment: &'s Environment,
    programs: &'s HashMap<Digest, Program>,
    /// What `LD_PRELOAD` and `/etc/ld.so.preload` name.
    pub(super) preload: Vec<Vec<u8>>,
    /// The folders of `/etc/ld.so.conf`.
    configured: Folders,
    cache: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// musl's loaders, each with its folders.
    musl: Vec<(Found, Folders)>,
    /// The folders of the links that lead to a file: it may be loaded by way of one.
    linked_from: HashMap<Node, BTreeSet<Vec<u8>>>,
}

impl<'s, 't> Search<'s, 't> {
    pub(super) fn new(
        tree: &'s Tree<'t>,
        programs: &'s HashMap<Digest, Program>,
        environment: &'s Environment,
        content: &mut dyn FnMut(Node) -> Option<Vec<u8>>,
    ) -> Self {
        let mut read = |path: &[u8]| {
            let found = follow(tree, path).filter(|found| tree.kind(found.node) == Kind::File)?;
            content(found.node)
        };
        let mut names = |folder: &[u8]| {
            let children = follow(tree, folder).map(|found| tree.children(found.node)).unwrap_or_default();
            children.into_iter().map(|node| tree.name(node).to_vec()).collect()
        };
        let mut preload = environment.preload.clone();
        let preloaded = read(b"/etc/ld.so.preload").unwrap_or_default();
        let lines = preloaded.split(|&byte| byte == b'\n').map(|line| line.split(|&byte| byte == b'#').next());
        let words = lines.flatten().flat_map(|line| line.split(|byte| byte.is_ascii_whitespace() || *byte == b':'));
        preload.extend(words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec));
        let cache = read(b"/etc/ld.so.cache").map(|bytes| cache::read(&bytes)).unwrap_or_default();
        let musl = musl(tree, &mut read);
        let configured = configured_folders(b"/etc/ld.so.conf", &mut read, &mut names);
        let linked_from = linked_from(tree);
        Self { tree, environment, programs, preload, configured, cache, musl, linked_from }
    }

    /// What a node's content is.
    pub(super) fn program(&self, node: Node) -> Option<&'s Program> {
        self.programs.get(&self.tree.attributes(node).digest)
    }

    /// A path from the root.
    pub(super) fn absolute(&self, path: &[u8]) -> Vec<u8> {
        if path.starts_with(b"/") { path.to_vec() } else { [&self.environment.folder, &b"/"[..], path].concat() }
    }

    /// Whether a file, or what a link leads to, can be loaded by a program.
    pub(super) fn is_for(&self, file: &Loading, node: Node) -> bool {
        let node = match self.tree.kind(node) {
            Kind::Symlink => follow(self.tree, &self.tree.path(node)).map(|found| found.node),
            _ => Some(node),
        };
        let Some(Program::Elf(library)) = node.and_then(|node| self.program(node)) else { return false };
        library.machine == file.machine && library.class == file.class && library.is_big_endian == file.is_big_endian
    }

    /// The files that a loader takes for a library's name, and the links on the way; none where there is none. `inherited`
    /// are the folders of those that loaded the file.
    pub(super) fn library(&self, name: &[u8], user: Node, file: &Loading, inherited: &Folders) -> Vec<Node> {
        if name.contains(&b'/') {
            let paths = expanded(name, file, &self.origins(user));
            return paths
                .iter()
                .find_map(|path| self.at(path, file))
                .map(|found| found.nodes().collect())
                .unwrap_or_default();
        }
        let (is_glibc, musl) = self.loaders(file);
        let mut out = Vec::new();
        if is_glibc {
            out = self.by_glibc(name, user, file, inherited);
        }
        for (loader, folders) in musl {
            let found = self.by_musl(name, user, file, inherited, folders);
            let is_within = WITHIN_MUSL.iter().any(|start| name.starts_with(start.as_bytes()));
            if found.is_empty() && is_within && out.is_empty() {
                out.extend(loader.nodes());
            }
            out.extend(found);
        }
        out
    }

    /// Which loaders may load a file: glibc's, and which of musl's.
    fn loaders(&self, file: &Loading) -> (bool, Vec<&(Found, Folders)>) {
        let is_musls = |name: &[u8]| name == b"libc.so" || name.starts_with(b"libc.musl-");
        let is_musl = match &file.interpreter {
            Some(interpreter) => Some(interpreter.windows(8).any(|part| part == b"/ld-musl")),
            None if file.needed.iter().any(|name| is_musls(name)) => Some(true),
            None if file.needed.iter().any(|name| name == b"libc.so.6") => Some(false),
            None => None,
        };
        let musl: Vec<_> = self.musl.iter().filter(|(loader, _)| self.is_for(file, loader.node)).collect();
        match is_musl {
            Some(true) if !musl.is_empty() => (false, musl),
            // A C library of musl for programs of glibc (gcompat) is still loaded by musl's loader.
            Some(false) if follow(self.tree, b"/etc/ld.so.cache").is_some() || musl.is_empty() => (true, Vec::new()),
            _ => (true, musl),
        }
    }

    fn by_glibc(&self, name: &[u8], user: Node, file: &Loading, inherited: &Folders) -> Vec<Node> {
        let mut before = Folders::new();
        if file.runpath.is_empty() {
            before.extend(self.own(user, file, &file.rpath));
            before.extend(inherited.iter().cloned());
        }
        before.extend(self.environment.library_path.iter().cloned());
        before.extend(self.own(user, file, &file.runpath));
        let mut out = Vec::new();
        if self.take(name, file, &before, &mut out) || self.cached(name, file, &mut out) {
            return out;
        }
        if !self.take(name, file, &self.configured, &mut out) {
            self.take(name, file, &defaults(file), &mut out);
        }
        out
    }

    fn by_musl(&self, name: &[u8], user: Node, file: &Loading, inherited: &Folders, last: &Folders) -> Vec<Node> {
        let mut folders = self.environment.library_path.clone();
        let own = if file.runpath.is_empty() { &file.rpath } else { &file.runpath };
        folders.extend(self.own(user, file, own));
        folders.extend(inherited.iter().cloned());
        folders.extend(last.iter().cloned());
        folders
            .iter()
            .find_map(|folder| self.at(&[folder, &b"/"[..], name].concat(), file))
            .map(|found| found.nodes().collect())
            .unwrap_or_default()
    }

    /// What a file hands on to what it loads: its own `RPATH`, then those that it was loaded with.
    pub(super) fn handed_on(&self, user: Node, file: &Loading, inherited: &Folders) -> Folders {
        let (is_glibc, _) = self.loaders(file);
        let mut folders = if is_glibc && !file.runpath.is_empty() {
            Folders::new()
        } else {
            let own = if file.runpath.is_empty() { &file.rpath } else { &file.runpath };
            self.own(user, file, own)
        };
        for folder in inherited {
            if !folders.contains(folder) {
                folders.push(folder.clone());
            }
        }
        folders
    }

    /// The folders that a file names, as paths of the tree.
    fn own(&self, user: Node, file: &Loading, folders: &[Vec<u8>]) -> Folders {
        if folders.is_empty() {
            return Folders::new();
        }
        let origins = self.origins(user);
        let mut out = Folders::new();
        for folder in folders.iter().flat_map(|folder| expanded(folder, file, &origins)) {
            let folder = self.absolute(&folder);
            if !out.contains(&folder) {
                out.push(folder);
            }
        }
        out
    }

    /// What `$ORIGIN` may be: the folder of the file, and those of the links to it.
    fn origins(&self, user: Node) -> Folders {
        let folder = |node: Node| {
            [&b"/"[..], &self.tree.parent(node).map(|parent| self.tree.path(parent)).unwrap_or_default()].concat()
        };
        let links = self.linked_from.get(&user).into_iter().flatten().cloned();
        std::iter::once(folder(user)).chain(links).collect()
    }

    /// Looks in folders until one has the library. Its forms for kinds of processors are taken along, since which of them
    /// is loaded the machine decides.
    fn take(&self, name: &[u8], file: &Loading, folders: &[Vec<u8>], out: &mut Vec<Node>) -> bool {
        for folder in folders {
            let Some(place) = follow(self.tree, folder) else { continue };
            let path = |parts: &[&[u8]]| {
                [folder.as_slice(), &parts.iter().flat_map(|part| [b"/", *part].concat()).collect::<Vec<u8>>()].concat()
            };
            if let Some(variants) = self.tree.child(place.node, b"glibc-hwcaps") {
                for variant in self.tree.children(variants) {
                    let found = self.at(&path(&[b"glibc-hwcaps", self.tree.name(variant), name]), file);
                    out.extend(found.iter().flat_map(Found::nodes));
                }
            }
            for variant in OLD_VARIANTS.iter().filter(|name| self.tree.child(place.node, name.as_bytes()).is_some()) {
                let found = self.at(&path(&[variant.as_bytes(), name]), file);
                out.extend(found.iter().flat_map(Found::nodes));
            }
            if let Some(found) = self.at(&path(&[name]), file) {
                out.extend(found.nodes());
                return true;
            }
        }
        false
    }

    /// Looks in the cache, where the forms for kinds of processors stand beside the library.
    fn cached(&self, name: &[u8], file: &Loading, out: &mut Vec<Node>) -> bool {
        let mut is_found = false;
        for path in self.cache.get(name).into_iter().flatten() {
            let is_variant = path.windows(14).any(|part| part == b"/glibc-hwcaps/");
            if !is_variant && is_found {
                continue;
            }
            if let Some(found) = self.at(path, file) {
                out.extend(found.nodes());
                is_found |= !is_variant;
            }
        }
        is_found
    }

    /// The library at a path, if the program can load it.
    fn at(&self, path: &[u8], file: &Loading) -> Option<Found> {
        let found = follow(self.tree, &self.absolute(path))?;
        (self.tree.kind(found.node) == Kind::File && self.is_for(file, found.node)).then_some(found)
    }
}

/// musl's loaders with the folders of `/etc/ld-musl-ARCHITECTURE.path`.
fn musl(tree: &Tree<'_>, read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> Vec<(Found, Folders)> {
    let Some(folder) = follow(tree, b"/lib") else { return Vec::new() };
    let mut out = Vec::new();
    for node in tree.children(folder.node) {
        let name = tree.name(node);
        let Some(architecture) = name.strip_prefix(b"ld-musl-").and_then(|rest| rest.strip_suffix(b".so.1")) else {
            continue;
        };
        let Some(found) = follow(tree, &[b"/lib/", name].concat()) else { continue };
        let path = [b"/etc/ld-musl-", architecture, b".path"].concat();
        let folders = read(&path).unwrap_or_else(|| MUSL_DEFAULTS.as_bytes().to_vec());
        let folders = folders.split(|byte| matches!(byte, b':' | b'\n')).filter(|folder| !folder.is_empty());
        out.push((found, folders.map(<[u8]>::to_vec).collect()));
    }
    out
}

fn linked_from(tree: &Tree<'_>) -> HashMap<Node, BTreeSet<Vec<u8>>> {
    let mut out: HashMap<Node, BTreeSet<Vec<u8>>> = HashMap::new();
    for link in tree.walk().filter(|&node| tree.kind(node) == Kind::Symlink) {
        let Some(found) = follow(tree, &tree.path(link)) else { continue };
        if tree.kind(found.node) == Kind::File && tree.parent(found.node) != tree.parent(link) {
            let folder = tree.parent(link).map(|parent| tree.path(parent)).unwrap_or_default();
            out.entry(found.node).or_default().insert([&b"/"[..], &folder].concat());
        }
    }
    out
}
