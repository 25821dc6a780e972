//! What a traced build saw RUN instructions do, as passes ask for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jettison_engine::build::{Built, BuiltStep};
use jettison_engine::trace::Trace;
use jettison_image::{Kind, Tree};
use jettison_ir::source::{Observations, Observed};

/// The most links that a path is followed through (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The observations of a traced build, whose image has this tree. A RUN whose trace has gaps was not observed.
pub(super) fn observations(built: &Built, tree: &Tree<'_>) -> Observations {
    let links: BTreeSet<String> =
        tree.walk().filter(|node| tree.kind(*node) == Kind::Symlink).map(|node| text(&tree.path(node))).collect();
    let links = Arc::new(links);
    let observed = |step: &BuiltStep| {
        let trace = step.trace.as_deref().filter(|trace| trace.gaps.is_empty())?;
        let lines = (usize::try_from(step.lines.0).ok()?, usize::try_from(step.lines.1).ok()?);
        Some((lines, Arc::new(Observed { links: Arc::clone(&links), ..of(trace, tree) })))
    };
    let runs = built.steps.iter().filter(|step| step.text.starts_with("RUN")).filter_map(observed).collect();
    Observations { runs, links, packages: None }
}

fn of(trace: &Trace, tree: &Tree<'_>) -> Observed {
    let set = |lists: &[&[Vec<u8>]]| {
        let named = lists.iter().flat_map(|list| list.iter());
        named.flat_map(|path| [text(path), resolved(tree, path)]).collect::<BTreeSet<String>>()
    };
    let Trace { opened, executed, listed, examined, missed, written, .. } = trace;
    Observed {
        touched: set(&[opened, executed, listed, examined, missed, written]),
        listed: set(&[listed]),
        examined: set(&[examined]),
        missed: set(&[missed]),
        written: set(&[written]),
        links: Arc::default(),
    }
}

/// Bytes that are not UTF-8 are of names below those that a Dockerfile can name.
fn text(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    if path.starts_with('/') { path.into_owned() } else { format!("/{path}") }
}

/// Where a path leads in the tree that the build left, links followed; without its first slash.
pub(super) fn followed(tree: &Tree<'_>, path: &[u8]) -> Vec<u8> {
    let mut left: Vec<Vec<u8>> = names(path).rev().map(<[u8]>::to_vec).collect();
    let mut at: Vec<Vec<u8>> = Vec::new();
    let mut followed = 0;
    while let Some(name) = left.pop() {
        match name.as_slice() {
            b"." => continue,
            b".." => {
                at.pop();
                continue;
            }
            _ => at.push(name),
        }
        let Some(node) = tree.find(&at.join(&b'/')).filter(|node| tree.kind(*node) == Kind::Symlink) else { continue };
        followed += 1;
        if followed > MOST_LINKS {
            break;
        }
        let target = tree.attributes(node).link;
        at.pop();
        if target.starts_with(b"/") {
            at.clear();
        }
        left.extend(names(target).rev().map(<[u8]>::to_vec));
    }
    at.join(&b'/')
}

/// The same as text.
fn resolved(tree: &Tree<'_>, path: &[u8]) -> String {
    text(&[&b"/"[..], &followed(tree, path)].concat())
}

fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use jettison_image::{Layer, Limits};

    use super::*;

    #[test]
    fn paths_are_followed_through_links() {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, target) in
            [("run/", None), ("var/", None), ("var/run", Some("/run")), ("a", Some("b")), ("b", Some("a"))]
        {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            match target {
                Some(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    builder.append_link(&mut header, name, target).expect("packs");
                }
                None => {
                    header.set_entry_type(tar::EntryType::Directory);
                    builder.append_data(&mut header, name, std::io::empty()).expect("packs");
                }
            }
        }
        let bytes = builder.into_inner().expect("packs");
        let layer = Layer::read(bytes.as_slice(), Limits::default()).expect("a layer");
        let tree = Tree::of([&layer]).expect("a tree");
        for (path, expected) in
            [("/var/run/x/y", "/run/x/y"), ("/var/../run/./x", "/run/x"), ("/none/x", "/none/x"), ("/", "/")]
        {
            assert_eq!(resolved(&tree, path.as_bytes()), expected);
        }
        // A circle ends.
        resolved(&tree, b"/a/x");
    }
}
