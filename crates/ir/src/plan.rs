//! What is to be written in place of an image's layers.

use std::sync::Arc;

use jettison_image::Changes;
use jettison_image::changes::{Cut, Grouping, Part};

use crate::edits::Edits;
use crate::unit::ImageUnit;

/// The layers of the output: the base's as they are, then the own ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What becomes of the layers above the base.
    pub own: Own,
    /// What becomes of the tree that they make.
    pub edits: Edits,
}

/// What becomes of an image's own layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// Copied as they are.
    AsShipped,
    /// Written anew, with what a container sees of them only.
    Written(Cut),
    /// The same, in layers by what owns the paths.
    Grouped(Arc<Grouping>),
}

/// The most bytes that layers made for pulling may take in place of own layers of so many: a little more, for each repeats
/// the folders that it touches, and compresses by itself.
#[must_use]
pub fn pulling_limit(before: u64) -> u64 {
    before + before / 32 + (256 << 10)
}

impl Own {
    /// Written anew, if not already.
    #[must_use]
    pub fn written(self) -> Self {
        match self {
            Self::AsShipped => Self::Written(Cut::ByLayer),
            Self::Written(_) | Self::Grouped(_) => self,
        }
    }
}

impl Plan {
    /// The plan that changes nothing.
    #[must_use]
    pub fn as_shipped() -> Self {
        Self { own: Own::AsShipped, edits: Edits::default() }
    }

    /// The own layers that are written; `None` where they are copied.
    #[must_use]
    pub fn parts(&self, changes: &Changes<'_, '_>) -> Option<Vec<Part>> {
        match &self.own {
            Own::AsShipped => None,
            Own::Written(cut) => Some(changes.cut(*cut)),
            Own::Grouped(grouping) => Some(changes.grouped(grouping)),
        }
    }

    /// How many own layers there will be, and the bytes of their unpacked tars. `changes` are those of the edited tree.
    #[must_use]
    pub fn own_size(&self, unit: &ImageUnit<'_>, changes: &Changes<'_, '_>) -> (usize, u64) {
        match self.parts(changes) {
            None => (unit.own().len(), unit.own().iter().map(|layer| layer.size).sum()),
            Some(parts) => (parts.len(), parts.iter().map(|part| changes.size(part)).sum()),
        }
    }
}
