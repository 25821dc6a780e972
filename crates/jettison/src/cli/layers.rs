//! `--layers` and `--previous`.

use clap::Args;
use jettison_store::Reference;

use crate::error::Usage;

/// How own layers are cut.
#[derive(Args, Clone, Debug)]
pub(crate) struct LayersArgs {
    /// At most so many own layers; auto: made for pulling, so that the next release shares most of them
    #[arg(long, value_name = "N|auto", default_value = "1", value_parser = parse)]
    pub(crate) layers: LayersArg,
    /// The image before this one: with --layers auto what it has stays in the layer where it was
    #[arg(long, value_name = "IMAGE")]
    pub(crate) previous: Option<Reference>,
}

/// How many own layers are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayersArg {
    /// At most so many.
    AtMost(u16),
    /// As many as make pulls fast.
    Auto,
}

impl LayersArgs {
    /// Refuses what says nothing together.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        if self.previous.is_some() && self.layers != LayersArg::Auto {
            let message = "--previous is for layers that are made for pulling";
            return Err(Usage::new(message).with_hint("say --layers auto with it"));
        }
        Ok(())
    }
}

impl LayersArg {
    /// The most own layers, where a number is wanted.
    pub(crate) fn at_most(self) -> usize {
        match self {
            Self::AtMost(count) => usize::from(count),
            Self::Auto => 1,
        }
    }
}

fn parse(text: &str) -> Result<LayersArg, String> {
    match text.parse() {
        _ if text == "auto" => Ok(LayersArg::Auto),
        Ok(count @ 1..=120) => Ok(LayersArg::AtMost(count)),
        _ => Err("it is a number from 1 to 120, or auto".to_owned()),
    }
}
