//! Images of files that are given by their paths, and what a proof says of two of them.

use std::collections::BTreeMap;

use jettison_image::packages;
use jettison_image::packages::edit::{self, Change, Rest};
use jettison_image::{Config, Digest, Kind, Layer, LayerBuilder, NewEntry, Node, Tree};
use jettison_ir::source::SourceClaim;
use jettison_ir::{Difference, Weighed};
use jettison_verify::packages::{Image, Removal};
use jettison_verify::{Contents, Side, compare, weigh};

/// What is at a path.
#[derive(Clone, Debug)]
pub(crate) enum File {
    Content(Vec<u8>),
    Link(String),
    Folder,
}

/// Files by their paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bed(BTreeMap<String, File>);

impl Bed {
    pub(crate) fn file(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.0.insert(path.to_owned(), File::Content(content.into()));
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.0.insert(path.to_owned(), File::Link(target.to_owned()));
    }

    pub(crate) fn folder(&mut self, path: &str) {
        self.0.insert(path.to_owned(), File::Folder);
    }

    /// Removes a file; its folder stays.
    pub(crate) fn remove(&mut self, path: &str) {
        assert!(self.0.remove(path).is_some(), "there is no {path}");
        let (folder, _) = path.rsplit_once('/').expect("a folder");
        self.folder(folder);
    }

    pub(crate) fn text(&self, path: &str) -> String {
        match self.0.get(path) {
            Some(File::Content(content)) => String::from_utf8_lossy(content).into_owned(),
            other => panic!("{path} is {other:?}"),
        }
    }

    /// Changes a text in a file.
    pub(crate) fn replace(&mut self, path: &str, old: &str, new: &str) {
        let text = self.text(path);
        assert!(text.contains(old), "{path} has no {old:?}");
        self.file(path, text.replacen(old, new, 1));
    }

    /// The image without some packages, as the databases' editor says.
    pub(crate) fn without(&self, names: &[&str], rest: Rest) -> Self {
        let layer = self.layer();
        let tree = Tree::of([&layer]).expect("a tree");
        let mut read = |node: Node| self.content(&tree.path(node));
        let packages = packages::read(&tree, &mut read).expect("databases").remove(0);
        let gone = names.iter().map(|name| packages.position(name).expect("a package")).collect();
        let edited = edit::without(&tree, &mut read, &packages, &gone, rest).expect("an image without them");
        let mut after = self.clone();
        let mut folders = Vec::new();
        for (path, change) in &edited.changes {
            let path = std::str::from_utf8(path).expect("a path");
            match change {
                Change::Gone => {
                    after.0.remove(path);
                    folders.extend(path.rsplit_once('/').map(|(folder, _)| folder));
                }
                Change::Content(content) => after.file(path, content.clone()),
                Change::Target(target) => after.link(path, std::str::from_utf8(target).expect("a path")),
                Change::Moved(from) => panic!("{path} comes from {from:?}"),
            }
        }
        for folder in folders.into_iter().filter(|folder| !edited.changes.contains_key(folder.as_bytes())) {
            after.folder(folder);
        }
        after
    }

    fn layer(&self) -> Layer {
        let mut builder = LayerBuilder::default();
        for (path, file) in &self.0 {
            let entry = match file {
                File::Content(content) => NewEntry {
                    size: content.len() as u64,
                    digest: Digest::of(content),
                    ..NewEntry::new(path.as_bytes(), Kind::File)
                },
                File::Link(target) => {
                    NewEntry { link: target.as_bytes(), ..NewEntry::new(path.as_bytes(), Kind::Symlink) }
                }
                File::Folder => NewEntry { mode: 0o755, ..NewEntry::new(path.as_bytes(), Kind::Directory) },
            };
            builder.push(&entry).expect("an entry");
        }
        builder.finish()
    }

    fn content(&self, path: &[u8]) -> Option<Vec<u8>> {
        match self.0.get(std::str::from_utf8(path).ok()?)? {
            File::Content(content) => Some(content.clone()),
            File::Link(_) | File::Folder => None,
        }
    }
}

/// What a proof knows beside packages: nothing of forms, nothing of bases.
struct Own<'o>(&'o Tree<'o>);

impl Contents for Own<'_> {
    fn both(&mut self, _: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        None
    }

    fn below(&mut self, path: &str) -> Option<Vec<(String, bool)>> {
        let path = path.trim_start_matches('/');
        let top = self.0.find(path.as_bytes())?;
        let all = self.0.walk().filter(|node| *node == top || self.0.ancestors(*node).any(|one| one == top));
        let named = |node: Node| {
            let path = String::from_utf8_lossy(&self.0.path(node)).into_owned();
            (format!("/{path}"), self.0.kind(node) == Kind::Directory)
        };
        Some(all.map(named).collect())
    }
}

/// What the judge of packages says where these files are gone on purpose, and which of the database's files it takes for the
/// same.
pub(crate) fn forgetting(before: &Bed, after: &Bed, forgotten: &[&str], files: &[&str]) -> (Vec<String>, Vec<bool>) {
    let (old, new) = (before.layer(), after.layer());
    let (old, new) = (Tree::of([&old]).expect("a tree"), Tree::of([&new]).expect("a tree"));
    let mut read_old = |node: Node| before.content(&old.path(node));
    let mut read_new = |node: Node| after.content(&new.path(node));
    let sides = (Image { tree: &old, read: &mut read_old }, Image { tree: &new, read: &mut read_new });
    let forgotten = forgotten.iter().map(|path| path.as_bytes().to_vec()).collect();
    let removal = Removal::with_forgotten(&[], forgotten, sides.0, sides.1);
    let same = files.iter().map(|path| removal.is_same_database(&format!("/{path}"))).collect();
    (removal.differences().iter().map(ToString::to_string).collect(), same)
}

/// Weighs two images by these claims.
pub(crate) fn weighed(before: &Bed, after: &Bed, claims: &[SourceClaim], noise: &[Difference]) -> Weighed {
    let config = Config::parse(b"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}").expect("a config");
    let (old, new) = (before.layer(), after.layer());
    let (old, new) = (Tree::of([&old]).expect("a tree"), Tree::of([&new]).expect("a tree"));
    let verdict = compare(Side { tree: &old, config: &config }, Side { tree: &new, config: &config });
    let names = claims.iter().flat_map(|claim| match claim {
        SourceClaim::PackagesGone(names) => names.as_slice(),
        SourceClaim::Same | SourceClaim::Gone(_) | SourceClaim::BuildOnly => &[],
    });
    let names: Vec<&str> = names.map(String::as_str).collect();
    let mut read_old = |node: Node| before.content(&old.path(node));
    let mut read_new = |node: Node| after.content(&new.path(node));
    let sides = (Image { tree: &old, read: &mut read_old }, Image { tree: &new, read: &mut read_new });
    let removal = Removal::of(&names, sides.0, sides.1);
    weigh(verdict, claims, noise, &mut Own(&old), Some(&removal))
}

/// What refutes that these packages alone are gone.
pub(crate) fn refuting(before: &Bed, after: &Bed, claimed: &[&str]) -> Vec<String> {
    let claims = [claim(claimed)];
    weighed(before, after, &claims, &[]).refuting.iter().map(ToString::to_string).collect()
}

pub(crate) fn claim(names: &[&str]) -> SourceClaim {
    SourceClaim::PackagesGone(names.iter().map(|name| (*name).to_owned()).collect())
}

/// A change to the images before and after, and what it is refused for.
pub(crate) type Mutation = (&'static str, fn(&mut Bed, &mut Bed), &'static str);

/// Makes each change alone, and checks that it is refused, and for what.
pub(crate) fn all_refused(before: &Bed, after: &Bed, claimed: &[&str], mutations: &[Mutation]) {
    let mut wrong = Vec::new();
    for (name, change, expected) in mutations {
        let (mut before, mut after) = (before.clone(), after.clone());
        change(&mut before, &mut after);
        let found = refuting(&before, &after, claimed);
        if !found.iter().any(|one| one.contains(expected)) {
            wrong.push(format!("{name}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
