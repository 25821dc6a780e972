//! The images of two builds, compared where they lie: nothing is packed for that.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bstr::{ByteSlice as _, ByteVec as _};
use jettison_engine::build::{BaseTree, Built, BuiltLayers};
use jettison_engine::snapshot::SnapshotContents;
use jettison_image::changes::{Changes, Contents as _, Cut};
use jettison_image::{Config, Digest, Kind, Layer, Node, Tree};
use jettison_ir::source::{Observations, SourceClaim};
use jettison_ir::{Difference, Held, HeldLayer, Lines, Shares, Weighed};
use jettison_verify::packages::{Image, Removal};
use jettison_verify::{Contents, Part, Side, compare, part, weigh};

use super::evidence::observations;

/// Larger files are not read for the comparison of their forms.
const MOST_BYTES: u64 = 256 << 20;

/// What a build made.
pub(super) struct Form {
    layers: Vec<Arc<Layer>>,
    /// How many of the layers are the base's.
    base: usize,
    /// The folders of the own layers.
    folders: Vec<PathBuf>,
    /// The lines of the instructions that made the own layers, in the form's own text.
    lines: Vec<Lines>,
    config: Config,
    base_tree: Option<BaseTree>,
    /// The base's files, once one of them was asked for; none where they cannot be had.
    base_files: OnceCell<Option<BaseFiles>>,
}

/// The merged tree of a base.
struct BaseFiles {
    layer: Arc<Layer>,
    folder: PathBuf,
    /// Where each path is among the layer's entries.
    places: HashMap<Vec<u8>, usize>,
}

impl Form {
    pub(super) fn of(built: &Built) -> Result<Self> {
        let BuiltLayers { base, own } = built.read()?;
        let mut layers = base.map(|base| base.layers).unwrap_or_default();
        let base = layers.len();
        let folders = own.iter().map(|own| own.folder.clone()).collect();
        let lines = own.iter().map(|own| built.lines_of(own.step)).collect();
        layers.extend(own.into_iter().map(|own| own.layer));
        let (config, base_tree) = (built.config.clone(), built.base_tree());
        Ok(Self { layers, base, folders, lines, config, base_tree, base_files: OnceCell::new() })
    }

    /// The tree of what it was built upon.
    pub(super) fn base_tree(&self) -> Result<Tree<'_>> {
        Tree::of(self.layers[..self.base].iter().map(|layer| &**layer)).context("the base's layers do not fit together")
    }

    /// Whether the build made what is there.
    pub(super) fn is_own(&self, tree: &Tree<'_>, node: Node) -> bool {
        tree.origin(node).layer >= self.base
    }

    pub(super) fn tree(&self) -> Result<Tree<'_>> {
        Tree::of(self.layers.iter().map(|layer| &**layer)).context("the built layers do not fit together")
    }

    /// What the build that made it saw RUN instructions do.
    pub(super) fn observations(&self, built: &Built) -> Result<Observations> {
        Ok(observations(built, &self.tree()?))
    }

    /// How many paths the image has.
    pub(super) fn paths(&self) -> Result<usize> {
        Ok(self.tree()?.walk().count())
    }

    /// What its own layers hold together.
    pub(super) fn all_held(&self) -> Result<Held> {
        Ok(self.held(|lines| vec![lines])?.into_iter().map(|layer| layer.held).sum())
    }

    /// What its own layers hold, each with the lines of the original that `original` says.
    pub(super) fn held(&self, original: impl Fn(Lines) -> Vec<Lines>) -> Result<Vec<HeldLayer>> {
        let shares = Shares::of(&self.tree()?);
        let own = shares.layers[self.base..].iter().zip(&self.lines);
        let layer = |(share, lines): (&jettison_ir::Share, &Lines)| HeldLayer {
            lines: original(*lines),
            held: Held { layers: 1, bytes: share.bytes, seen: share.seen },
        };
        Ok(own.map(layer).collect())
    }

    /// Compares with the image of another form, which has the changes that are claimed.
    pub(super) fn weigh(&self, after: &Self, claims: &[SourceClaim], noise: &[Difference]) -> Result<Weighed> {
        let (before_tree, after_tree) = (self.tree()?, after.tree()?);
        let before = Side { tree: &before_tree, config: &self.config };
        let verdict = compare(before, Side { tree: &after_tree, config: &after.config });
        let mut contents = Files { before: (self, &before_tree), after: (after, &after_tree) };
        let (mut old, mut new) = (self.reader(&before_tree), after.reader(&after_tree));
        let names = packages(claims);
        let removal = names.as_ref().map(|names| {
            let old = Image { tree: &before_tree, read: &mut old };
            Removal::of(names, old, Image { tree: &after_tree, read: &mut new })
        });
        Ok(weigh(verdict, claims, noise, &mut contents, removal.as_ref()))
    }

    /// Calls with its tree and that of its base, which is empty where it has none.
    pub(super) fn with_trees<T>(&self, with: impl FnOnce(&Tree<'_>, &Tree<'_>) -> T) -> Result<T> {
        let base = Tree::of(self.layers[..self.base].iter().map(|layer| &**layer));
        Ok(with(&self.tree()?, &base.context("the base's layers do not fit together")?))
    }

    /// Compares with an image that may have fewer paths.
    pub(super) fn part(&self, after: &Self) -> Result<Part> {
        let (before_tree, after_tree) = (self.tree()?, after.tree()?);
        let before = Side { tree: &before_tree, config: &self.config };
        Ok(part(before, Side { tree: &after_tree, config: &after.config }))
    }

    /// The unpacked bytes that it ships above its base, in one layer.
    pub(super) fn own_bytes(&self) -> Result<u64> {
        self.bytes_above(self.base)
    }

    /// The unpacked bytes that it ships, in one layer.
    pub(super) fn bytes(&self) -> Result<u64> {
        self.bytes_above(0)
    }

    fn bytes_above(&self, layers: usize) -> Result<u64> {
        let mut lower = Tree::empty(self.layers.iter().map(|layer| &**layer));
        lower.apply_until(layers).context("the base's layers do not fit together")?;
        let upper = self.tree()?;
        let changes = Changes::between(&lower, &upper);
        Ok(changes.cut(Cut::Ranges(1)).iter().map(|part| changes.size(part)).sum())
    }

    /// A file's content.
    pub(super) fn content(&self, tree: &Tree<'_>, path: &[u8]) -> Option<Vec<u8>> {
        self.reader(tree)(tree.find(path)?)
    }

    /// A file's content, where it is in a layer of the build's own.
    pub(super) fn own_content(&self, tree: &Tree<'_>, path: &[u8]) -> Option<Vec<u8>> {
        let is_own = tree.origin(tree.find(path)?).layer >= self.base;
        if is_own { self.content(tree, path) } else { None }
    }

    /// What reads the files of its tree.
    pub(super) fn reader<'f>(&'f self, tree: &'f Tree<'f>) -> impl FnMut(Node) -> Option<Vec<u8>> + 'f {
        let own: Vec<_> = self.layers[self.base..].iter().cloned().zip(self.folders.iter().cloned()).collect();
        let mut own = SnapshotContents::new(own);
        move |node| {
            let origin = tree.origin(node);
            let (layer, entry) = tree.entry(origin)?;
            if !matches!(entry.kind, Kind::File | Kind::HardLink) || entry.size > MOST_BYTES {
                return None;
            }
            let Some(at) = origin.layer.checked_sub(self.base) else {
                let files = self.base_files()?;
                // It may have a name that a layer of the build's own gave it, or have lost the one of the base.
                let names = [tree.path(node), layer.path(entry).to_vec()];
                return names.iter().find_map(|name| files.content(name, entry.digest));
            };
            let mut content = Vec::new();
            own.copy(at, entry.data_offset, entry.size, &mut content).ok()?;
            Some(content)
        }
    }

    fn base_files(&self) -> Option<&BaseFiles> {
        let read = || {
            let (layer, folder) = self.base_tree.as_ref()?.open().ok()?;
            let places = layer.entries.iter().enumerate().map(|(at, entry)| (layer.path(entry).to_vec(), at));
            let places = places.collect();
            Some(BaseFiles { layer, folder, places })
        };
        self.base_files.get_or_init(read).as_ref()
    }
}

impl BaseFiles {
    /// The content of the file at a path, where it is the one with this digest.
    fn content(&self, path: &[u8], digest: Digest) -> Option<Vec<u8>> {
        let entry = |path: &[u8]| self.layer.entries.get(*self.places.get(path)?);
        let mut file = entry(path)?;
        if file.kind == Kind::HardLink {
            file = entry(self.layer.link(file))?;
        }
        if file.digest != digest {
            return None;
        }
        let mut content = Vec::new();
        let mut files = SnapshotContents::new(vec![(Arc::clone(&self.layer), self.folder.clone())]);
        files.copy(0, file.data_offset, file.size, &mut content).ok()?;
        Some(content)
    }
}

/// The packages that changes claim to be gone; none where no change is about packages.
fn packages(claims: &[SourceClaim]) -> Option<Vec<&str>> {
    let of_packages = claims.iter().filter_map(|claim| match claim {
        SourceClaim::PackagesGone(names) => Some(names),
        SourceClaim::Same | SourceClaim::Gone(_) | SourceClaim::BuildOnly => None,
    });
    let mut of_packages = of_packages.peekable();
    of_packages.peek()?;
    Some(of_packages.flatten().map(String::as_str).collect())
}

struct Files<'f> {
    before: (&'f Form, &'f Tree<'f>),
    after: (&'f Form, &'f Tree<'f>),
}

impl Contents for Files<'_> {
    fn both(&mut self, path: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let content = |(form, tree): (&Form, &Tree<'_>)| {
            let node = tree.find(&Vec::unescape_bytes(path))?;
            form.reader(tree)(node)
        };
        Some((content(self.before)?, content(self.after)?))
    }

    fn below(&mut self, path: &str) -> Option<Vec<(String, bool)>> {
        let (form, tree) = self.before;
        let top = tree.find(&Vec::unescape_bytes(path))?;
        if tree.origin(top).layer < form.base {
            return None;
        }
        let (mut all, mut left) = (Vec::new(), vec![top]);
        while let Some(node) = left.pop() {
            all.push((format!("/{}", tree.path(node).escape_bytes()), tree.kind(node) == Kind::Directory));
            left.extend(tree.children(node));
        }
        Some(all)
    }
}
