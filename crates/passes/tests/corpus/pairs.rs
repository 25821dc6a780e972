//! Pairs of `RUN` that follow each other in a stage, and what became of them.

use jettison_passes::Rewritten;
use jettison_syntax::dockerfile::{Dockerfile, Kind};

/// How many pairs there are, and how many of them one instruction holds afterwards.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) adjacent: usize,
    pub(crate) adjacent_merged: usize,
    pub(crate) separated: usize,
    pub(crate) separated_merged: usize,
    /// `RUN` directly behind `RUN` in the result.
    pub(crate) left: usize,
}

impl Pairs {
    pub(crate) fn join(&mut self, other: Self) {
        self.adjacent += other.adjacent;
        self.adjacent_merged += other.adjacent_merged;
        self.separated += other.separated;
        self.separated_merged += other.separated_merged;
        self.left += other.left;
    }

    /// Those of a file.
    pub(crate) fn of(before: &Dockerfile, result: &Rewritten) -> Self {
        // RUNs keep their order, so those between the first and the last one of a merged group are all in it.
        let merges = result.found.iter().filter(|found| found.applied && found.pass.name == "adjacent-runs");
        let groups: Vec<(usize, usize)> = merges.map(|found| found.lines).collect();
        let is_merged = |one: (u32, u32), other: (u32, u32)| {
            groups.iter().any(|(from, to)| *from <= one.1 as usize && other.0 as usize <= *to)
        };
        let is_run = |at: usize| result.tree.instructions[at].body.kind == Kind::Run;
        let left = (1..result.tree.instructions.len()).filter(|at| is_run(at - 1) && is_run(*at)).count();
        let mut pairs = Self { left, ..Self::default() };
        let mut last: Option<usize> = None;
        for (at, instruction) in before.instructions.iter().enumerate() {
            match instruction.body.kind {
                Kind::From => last = None,
                Kind::Run => {
                    if let Some(previous) = last {
                        let merged = usize::from(is_merged(before.instructions[previous].lines, instruction.lines));
                        if previous + 1 == at {
                            pairs.adjacent += 1;
                            pairs.adjacent_merged += merged;
                        } else {
                            pairs.separated += 1;
                            pairs.separated_merged += merged;
                        }
                    }
                    last = Some(at);
                }
                _ => {}
            }
        }
        pairs
    }
}
