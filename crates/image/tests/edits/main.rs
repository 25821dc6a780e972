//! What images look like after packages were taken away: each rule of each manager, and all that must be declined.

mod alternatives;
mod apk;
mod dpkg;
mod leftovers;
mod loader;
mod pacman;

use std::collections::BTreeSet;

use jettison_image::packages::edit::{Change, EditError, Edited, Rest, without};
use jettison_image::packages::{Packages, read};
use jettison_image::text::ImageText;
use jettison_image::{Layer, Limits, Node, Tree};

/// An image of one layer, with its bytes.
pub(crate) struct Image {
    layer: Layer,
    tar: Vec<u8>,
}

/// What is at a path: `-> target` is a link, a path that ends in a slash a folder.
pub(crate) type File<'f> = (&'f str, &'f str);

impl Image {
    pub(crate) fn of(files: &[File<'_>]) -> Self {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(path, content)| (*path, content.as_bytes())).collect();
        Self::of_bytes(&files)
    }

    /// The same, with contents of any bytes.
    pub(crate) fn of_bytes(files: &[(&str, &[u8])]) -> Self {
        let lines = files.iter().map(|(path, content)| match (path.strip_suffix('/'), content.strip_prefix(b"-> ")) {
            (Some(folder), _) => format!("d 0755 0:0  /{folder}\n"),
            (None, Some(target)) => format!("l 0777 0:0  /{path} -> {}\n", String::from_utf8_lossy(target)),
            (None, None) => format!("f 0644 0:0  \"{}\"  \"/{path}\"\n", escaped(content)),
        });
        let text: ImageText = format!("layer 1\n{}", lines.collect::<String>()).parse().expect("the text form");
        let tar = text.tars().expect("contents").remove(0);
        Self { layer: Layer::read(&tar[..], Limits::default()).expect("a layer"), tar }
    }

    fn content(&self, tree: &Tree<'_>, node: Node) -> Option<Vec<u8>> {
        let (_, entry) = tree.entry(tree.origin(node))?;
        let start = usize::try_from(entry.data_offset).ok()?;
        Some(self.tar[start..start + usize::try_from(entry.size).ok()?].to_vec())
    }

    pub(crate) fn packages(&self) -> Packages {
        let tree = Tree::of([&self.layer]).expect("a tree");
        read(&tree, &mut |node| self.content(&tree, node)).expect("a database").remove(0)
    }

    /// The image without the packages of some names.
    pub(crate) fn without(&self, gone: &[&str], rest: Rest) -> Result<Edited, EditError> {
        let packages = self.packages();
        let place = |name: &&str| packages.position(name).unwrap_or_else(|| panic!("no package {name}"));
        self.without_places(&gone.iter().map(place).collect(), rest)
    }

    pub(crate) fn without_places(&self, gone: &BTreeSet<usize>, rest: Rest) -> Result<Edited, EditError> {
        let tree = Tree::of([&self.layer]).expect("a tree");
        let packages = self.packages();
        without(&tree, &mut |node| self.content(&tree, node), &packages, gone, rest)
    }

    /// The changes as lines: `- path`, `path -> target`, `path <- where it was`, `path: content`.
    pub(crate) fn changes(&self, gone: &[&str], rest: Rest) -> Vec<String> {
        let edited = self.without(gone, rest).expect("an image without them");
        let line = |(path, change): (Vec<u8>, Change)| {
            let path = String::from_utf8(path).expect("a path");
            match change {
                Change::Gone => format!("- {path}"),
                Change::Target(target) => format!("{path} -> {}", escaped(&target)),
                Change::Moved(from) => format!("{path} <- {}", escaped(&from)),
                Change::Content(content) => format!("{path}: {}", escaped(&content)),
            }
        };
        edited.changes.into_iter().map(line).collect()
    }

    /// The content that a file has then.
    pub(crate) fn content_after(&self, path: &str, gone: &[&str], rest: Rest) -> Vec<u8> {
        match self.without(gone, rest).expect("an image without them").changes.remove(path.as_bytes()) {
            Some(Change::Content(content)) => content,
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Why it cannot be said.
    pub(crate) fn declined(&self, gone: &[&str], rest: Rest) -> String {
        self.without(gone, rest).expect_err("a reason").to_string()
    }
}

fn escaped(bytes: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'\n' => "\\n".to_owned(),
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    bytes.iter().map(escape).collect()
}

/// A stanza of dpkg's `status`, with further fields.
pub(crate) fn stanza(name: &str, more: &str) -> String {
    format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1-1\n{more}\n")
}
