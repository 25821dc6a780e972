//! The images of two builds, compared where they lie: nothing is packed for that.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bstr::ByteSlice as _;
use jettison_engine::build::{Built, BuiltLayers};
use jettison_engine::snapshot::SnapshotContents;
use jettison_image::changes::{Changes, Contents as _, Cut};
use jettison_image::{Config, Kind, Layer, Tree};
use jettison_ir::source::{Observations, SourceClaim};
use jettison_ir::{Difference, Weighed};
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
    config: Config,
}

impl Form {
    pub(super) fn of(built: &Built) -> Result<Self> {
        let BuiltLayers { base, own } = built.read()?;
        let mut layers = base.map(|base| base.layers).unwrap_or_default();
        let base = layers.len();
        let folders = own.iter().map(|own| own.folder.clone()).collect();
        layers.extend(own.into_iter().map(|own| own.layer));
        Ok(Self { layers, base, folders, config: built.config.clone() })
    }

    fn tree(&self) -> Result<Tree<'_>> {
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

    /// Compares with the image of another form, which has the changes that are claimed.
    pub(super) fn weigh(&self, after: &Self, claims: &[SourceClaim], noise: &[Difference]) -> Result<Weighed> {
        let (before_tree, after_tree) = (self.tree()?, after.tree()?);
        let before = Side { tree: &before_tree, config: &self.config };
        let verdict = compare(before, Side { tree: &after_tree, config: &after.config });
        let mut contents = Files { before: (self, &before_tree), after: (after, &after_tree) };
        Ok(weigh(verdict, claims, noise, &mut contents))
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

    /// A file's content, where it is in a layer of the build's own.
    pub(super) fn content(&self, tree: &Tree<'_>, path: &str) -> Option<Vec<u8>> {
        let origin = tree.origin(tree.find(path.as_bytes())?);
        let (_, entry) = tree.entry(origin)?;
        if !matches!(entry.kind, Kind::File | Kind::HardLink) || entry.size > MOST_BYTES {
            return None;
        }
        let own = origin.layer.checked_sub(self.base)?;
        let layers = self.layers[self.base..].iter().cloned().zip(self.folders.iter().cloned());
        let mut content = Vec::new();
        SnapshotContents::new(layers.collect()).copy(own, entry.data_offset, entry.size, &mut content).ok()?;
        Some(content)
    }
}

struct Files<'f> {
    before: (&'f Form, &'f Tree<'f>),
    after: (&'f Form, &'f Tree<'f>),
}

impl Contents for Files<'_> {
    fn both(&mut self, path: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let ((before, before_tree), (after, after_tree)) = (self.before, self.after);
        Some((before.content(before_tree, path)?, after.content(after_tree, path)?))
    }

    fn below(&mut self, path: &str) -> Option<Vec<(String, bool)>> {
        let (form, tree) = self.before;
        let top = tree.find(path.as_bytes())?;
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
