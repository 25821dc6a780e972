//! Which paths of an image are needed: from what was seen to be used to nodes of its tree, with the links on the way and
//! with what belongs to what was used.

use std::collections::HashSet;

use jettison_image::tree::ROOT;
use jettison_image::{Kind, Node, Tree};

use super::Used;
use super::ground::{Ground, Standing};

/// The most links that a path is followed through (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// What engines put into a container, whatever its image has there.
const BY_ENGINES: [&str; 6] = ["/proc", "/sys", "/dev", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"];

/// What names of users are looked up in, by engines as well. It alone is no use of the base.
const ACCOUNTS: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// Folders whose entries are the modules of an interpreter. A program asks for some files of a module only when it comes
/// to them, so that a module is used as a whole.
const OF_MODULES: [&str; 5] = ["node_modules", "site-packages", "dist-packages", "gems", "vendor"];

/// Files that say that their folder is an application of an interpreter: what it will read at run time no loader lists.
const OF_APPLICATIONS: [&str; 5] = ["package.json", "Gemfile", "config.ru", "composer.json", "manage.py"];

/// Folders that many things share (hier(7)). None of them belongs to an application.
const SHARED: [&str; 34] = [
    "/",
    "/bin",
    "/boot",
    "/etc",
    "/home",
    "/lib",
    "/lib32",
    "/lib64",
    "/libexec",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/local/share",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/tmp",
];

/// The nodes that are needed.
pub(super) struct Needs {
    nodes: HashSet<Node>,
    /// Whether anything of the base is used but its folders and accounts.
    pub(super) uses_base: bool,
}

impl Needs {
    /// What the used paths lead to.
    pub(super) fn of(ground: &Ground<'_, '_>, used: &Used) -> Self {
        let mut needs = Self { nodes: HashSet::new(), uses_base: false };
        for path in &used.touched {
            if let Some(node) = needs.take(ground, path) {
                needs.take_module(ground, node);
                let name = String::from_utf8_lossy(ground.tree.name(node));
                if OF_APPLICATIONS.contains(&name.as_ref()) {
                    needs.take_application(ground, node);
                }
            }
        }
        for path in &used.scripts {
            if let Some(node) = needs.take(ground, path) {
                needs.take_application(ground, node);
            }
        }
        for path in &used.listed {
            match needs.take(ground, path) {
                // A listing of the root shows the names of all that there is. They are given only where that was seen
                // to make a difference: interpreters list the folder that they are started in.
                Some(ROOT) if used.shows_root => needs.nodes.extend(ground.tree.children(ROOT)),
                Some(ROOT) | None => {}
                Some(folder) => needs.take_all(ground, folder),
            }
        }
        for path in &used.kept {
            if let Some(node) = needs.take(ground, path).filter(|node| !is_shared(ground, *node)) {
                needs.take_all(ground, node);
            }
        }
        for path in &used.written {
            needs.take(ground, path);
            let folder = path.iter().rposition(|byte| *byte == b'/').map(|at| &path[..at]);
            if let Some(folder) = folder.filter(|folder| !folder.is_empty()) {
                needs.take(ground, folder);
            }
        }
        let uses_base = needs.uses_base;
        for path in ACCOUNTS {
            needs.take(ground, path.as_bytes());
        }
        needs.uses_base = uses_base;
        needs
    }

    pub(super) fn has(&self, node: Node) -> bool {
        self.nodes.contains(&node)
    }

    /// Takes new folders of which something is needed as a whole, as long as they belong to nothing that others share.
    pub(super) fn coarsen(&mut self, ground: &Ground<'_, '_>) {
        let needed: Vec<Node> = self.nodes.iter().copied().collect();
        let mut taken: HashSet<Node> = HashSet::new();
        for node in needed.into_iter().filter(|node| ground.standing(*node) == Standing::New) {
            let is_own = |folder: &Node| {
                ground.standing(*folder) == Standing::New && ground.is_folder(*folder) && !is_shared(ground, *folder)
            };
            // The topmost of the new folders above it.
            let top = ground.tree.ancestors(node).filter(is_own).last();
            if let Some(top) = top.filter(|top| taken.insert(*top)) {
                self.nodes.extend(ground.below(top));
            }
        }
    }

    /// Takes what a path leads to, and the links on the way. What is not there is needed by nobody.
    fn take(&mut self, ground: &Ground<'_, '_>, path: &[u8]) -> Option<Node> {
        if is_by_engines(path) {
            return None;
        }
        let (links, end) = follow(ground.tree, path);
        for link in links {
            self.add(ground, link);
        }
        self.add(ground, end?);
        end
    }

    fn add(&mut self, ground: &Ground<'_, '_>, node: Node) {
        self.uses_base |= !ground.is_folder(node)
            && ground.standing(node) == Standing::Same
            && !ACCOUNTS.iter().any(|path| ground.tree.path(node) == path.as_bytes()[1..]);
        self.nodes.insert(node);
    }

    fn take_all(&mut self, ground: &Ground<'_, '_>, folder: Node) {
        for node in ground.below(folder) {
            self.add(ground, node);
        }
    }

    /// Takes the module that a file is of.
    fn take_module(&mut self, ground: &Ground<'_, '_>, node: Node) {
        let tree = ground.tree;
        let is_of_modules = |folder: Node| OF_MODULES.iter().any(|name| tree.name(folder) == name.as_bytes());
        // A folder of gems by versions of Ruby holds another one, of gems by their own versions.
        let is_version = |folder: Node| {
            !tree.name(folder).contains(&b'-') && tree.parent(folder).is_some_and(|above| tree.name(above) == b"gems")
        };
        // Scopes of npm and vendors of Composer hold modules as well.
        let holds_modules = |folder: Node| {
            is_of_modules(folder)
                || tree.parent(folder).is_some_and(|above| {
                    is_of_modules(above) && (tree.name(folder).starts_with(b"@") || tree.name(above) == b"vendor")
                })
        };
        let module = tree
            .ancestors(node)
            .filter(|folder| {
                tree.parent(*folder).is_some_and(holds_modules) && !holds_modules(*folder) && !is_version(*folder)
            })
            .last();
        if let Some(module) = module.filter(|module| ground.standing(*module) == Standing::New) {
            self.take_all(ground, module);
        }
    }

    /// Takes the folder of a file, but for the modules in it that nothing used, and for what versions are kept in.
    fn take_application(&mut self, ground: &Ground<'_, '_>, node: Node) {
        let tree = ground.tree;
        let Some(top) = tree.parent(node) else { return };
        if ground.standing(top) != Standing::New || is_shared(ground, top) {
            return;
        }
        let mut waiting = vec![top];
        while let Some(node) = waiting.pop() {
            let name = tree.name(node);
            if node != top && ground.is_folder(node) && (name == b"node_modules" || name == b".git") {
                continue;
            }
            self.add(ground, node);
            waiting.extend(tree.children(node));
        }
    }
}

fn is_shared(ground: &Ground<'_, '_>, folder: Node) -> bool {
    let path = [b"/", ground.tree.path(folder).as_slice()].concat();
    SHARED.iter().any(|shared| path == shared.as_bytes())
}

fn is_by_engines(path: &[u8]) -> bool {
    BY_ENGINES
        .iter()
        .any(|own| path.strip_prefix(own.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
}

/// Where a path leads, and the links on the way, the last one included.
pub(super) fn follow(tree: &Tree<'_>, path: &[u8]) -> (Vec<Node>, Option<Node>) {
    let names = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let mut left: Vec<Vec<u8>> = names(path).into_iter().rev().collect();
    let (mut links, mut at) = (Vec::new(), ROOT);
    while let Some(name) = left.pop() {
        match name.as_slice() {
            b"." => continue,
            b".." => {
                at = tree.parent(at).unwrap_or(ROOT);
                continue;
            }
            _ => {}
        }
        let Some(child) = tree.child(at, &name) else { return (links, None) };
        if tree.kind(child) != Kind::Symlink {
            at = child;
            continue;
        }
        links.push(child);
        if links.len() > MOST_LINKS {
            return (links, None);
        }
        let target = tree.attributes(child).link;
        if target.starts_with(b"/") {
            at = ROOT;
        }
        left.extend(names(target).into_iter().rev());
    }
    (links, Some(at))
}
