//! What a Dockerfile means: its stages and how they use each other, and for every instruction the user, the working
//! directory, the shell and the variables that are in force there.

mod scope;
mod settings;
mod stages;

use crate::dockerfile::Dockerfile;

pub use scope::{Scope, Variable};
pub use settings::{Setting, Settings, ShellForm};
pub use stages::{Origin, Stage, Use, UseKind};

/// The meaning of a Dockerfile, as far as its text tells.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// What is in force before each instruction.
    pub settings: Vec<Settings>,
    /// What is in force at the end of each stage.
    pub ends: Vec<Settings>,
}

impl Outline {
    /// Reads it from a tree.
    #[must_use]
    pub fn of(tree: &Dockerfile) -> Self {
        let stages = stages::read(tree);
        let (settings, ends) = settings::read(tree, &stages);
        Self { stages, settings, ends }
    }

    /// The stage that an instruction belongs to, its FROM included; none before the first FROM.
    #[must_use]
    pub fn stage_of(&self, instruction: usize) -> Option<&Stage> {
        self.stages[..self.stages.partition_point(|stage| stage.from <= instruction)].last()
    }

    /// The variables in force before an instruction.
    #[must_use]
    pub fn scope(&self, tree: &Dockerfile, instruction: usize) -> Scope {
        scope::before(tree, &self.stages, instruction)
    }

    /// Whether a stage goes into the image of the last one: as itself, as its base, or by files copied from it.
    #[must_use]
    pub fn is_reachable(&self, stage: usize) -> bool {
        let Some(last) = self.stages.len().checked_sub(1) else { return false };
        let mut reached = vec![false; self.stages.len()];
        let mut waiting = vec![last];
        while let Some(at) = waiting.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                waiting.extend(self.stages[at].uses.iter().map(|used| used.stage));
            }
        }
        reached.get(stage).copied().unwrap_or(false)
    }

    /// Whether a stage's own layers are part of the last stage's image: it is the last, or bases lead to it.
    #[must_use]
    pub fn ships(&self, stage: usize) -> bool {
        let mut at = self.stages.len().checked_sub(1);
        while let Some(current) = at {
            if current == stage {
                return true;
            }
            at = match self.stages[current].base {
                Origin::Stage(below) => Some(below),
                _ => None,
            };
        }
        false
    }
}
