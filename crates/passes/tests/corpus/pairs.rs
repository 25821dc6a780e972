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
        let after = instructions_of_lines(result);
        let holder = |lines: (u32, u32)| {
            let mut all = (lines.0..=lines.1).filter_map(|line| after.get(line as usize).copied().flatten());
            all.next()
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
                        let (one, other) = (holder(before.instructions[previous].lines), holder(instruction.lines));
                        let merged = usize::from(one.is_some() && one == other);
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

/// For each line of the original, counted from 1, the instruction of the result that holds it.
fn instructions_of_lines(result: &Rewritten) -> Vec<Option<usize>> {
    let lines: Vec<(usize, usize)> = result.lines.iter().collect();
    let last = lines.iter().map(|(_, to)| *to).max().unwrap_or(0);
    let mut holders = vec![None; last + 1];
    for (at, instruction) in result.tree.instructions.iter().enumerate() {
        if instruction.body.kind != Kind::Run {
            continue;
        }
        for line in instruction.lines.0..=instruction.lines.1 {
            if let Some((from, to)) = lines.get(line as usize - 1)
                && from == to
            {
                holders[*from].get_or_insert(at);
            }
        }
    }
    holders
}
