//! An image as passes see it: its layers, the trees they make, and where its base ends.

use jettison_image::tree::TreeError;
use jettison_image::{Base, Config, Layer, Tree, history};

/// One image for one platform.
pub struct ImageUnit<'a> {
    /// Where the base ends. Its layers are kept as they are.
    pub base: Base,
    /// The instruction behind each layer; empty where the history does not say.
    pub instructions: Vec<String>,
    /// The tree of the base's layers.
    pub lower: Tree<'a>,
    /// The tree of all layers.
    pub upper: Tree<'a>,
    /// At most so many own layers are wanted.
    pub own_layers: usize,
}

/// Why layers do not make a tree.
pub type UnitError = TreeError;

impl<'a> ImageUnit<'a> {
    /// The unit of an image with these layers.
    ///
    /// # Errors
    /// Where a layer cannot be applied to those below it.
    pub fn new<I>(config: &Config, layers: I, base: Base, own_layers: usize) -> Result<Self, UnitError>
    where
        I: IntoIterator<Item = &'a Layer>,
    {
        let mut lower = Tree::empty(layers);
        let count = lower.layers().len();
        lower.apply_until(base.layers)?;
        let mut upper = lower.clone();
        upper.apply_until(count)?;
        let instructions = history::instructions(config, count);
        Ok(Self { base, instructions, lower, upper, own_layers })
    }

    /// The layers above the base.
    #[must_use]
    pub fn own(&self) -> &[&'a Layer] {
        &self.upper.layers()[self.base.layers..]
    }
}
