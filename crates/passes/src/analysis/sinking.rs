//! Where in a stage what changes often makes the fewest RUN instructions run again.

use jettison_ir::source::SourceUnit;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::view::Stage;

use super::changes::{Changes, Commits};
use super::order::{Tie, Ties};

/// Instructions, with what depends on them, below a RUN.
pub(crate) struct Sinking {
    /// What changes often: the first one, and those without which nothing would be gained.
    pub(crate) causes: Vec<usize>,
    /// What moves, in its order.
    pub(crate) moved: Vec<usize>,
    /// What moves up for that, in its order. The RUN is the last of it.
    pub(crate) passed: Vec<usize>,
    /// How many RUN instructions of how many commits are not run again.
    pub(crate) gain: usize,
    /// How many RUN instructions run less often.
    pub(crate) spared: usize,
}

/// A stage, in whose order something may sink.
pub(crate) struct Order<'o, 'u, 'a> {
    pub(crate) unit: &'u SourceUnit<'a>,
    pub(crate) stage: &'o Stage,
    pub(crate) changes: &'o Changes,
    /// What changes often and may move.
    pub(crate) causes: &'o [usize],
    pub(crate) ties: Ties<'u, 'a>,
}

impl Order<'_, '_, '_> {
    /// The place below at which an instruction makes the fewest commands run again, alone or with others of its kind;
    /// else why it stays, where there is something to gain.
    pub(crate) fn sink(&self, at: usize) -> Result<Sinking, Option<Tie>> {
        let all = self.stage.instructions.clone();
        let before = self.reruns(all.clone());
        let was: usize = before.iter().sum();
        let mut best: Option<(usize, Sinking)> = None;
        let mut held: Option<Tie> = None;
        for run in (at + 1..all.end).filter(|run| self.unit.kind(*run) == Kind::Run) {
            if let Err(tie) = self.split(&[at], run) {
                let is_better = held.as_ref().is_none_or(|held| tie.is_open && !held.is_open);
                held = if is_better { Some(tie) } else { held };
                continue;
            }
            let is_like = |other: &usize| self.changes.class(*other) == self.changes.class(at);
            let others = self.causes.iter().copied().filter(|other| at < *other && *other < run).filter(is_like);
            let mut causes: Vec<usize> =
                std::iter::once(at).chain(others.filter(|other| self.split(&[*other], run).is_ok())).collect();
            let Some(mut is) =
                self.cost(&causes, run).filter(|is| *is < best.as_ref().map_or(was, |(least, _)| *least))
            else {
                continue;
            };
            // Nothing moves that brings nothing.
            let others = causes[1..].to_vec();
            for other in others.into_iter().rev() {
                let fewer: Vec<usize> = causes.iter().copied().filter(|cause| *cause != other).collect();
                if let Some(cost) = self.cost(&fewer, run).filter(|cost| *cost <= is) {
                    (causes, is) = (fewer, cost);
                }
            }
            let Ok((moved, passed)) = self.split(&causes, run) else { continue };
            let after = self.reruns(self.order(&moved, &passed));
            let spared = before.iter().zip(&after).filter(|(before, after)| after < before).count();
            best = Some((is, Sinking { causes, moved, passed, gain: was - is, spared }));
        }
        let mut above = self.changes.below(self.stage.index).clone();
        (all.start..at).for_each(|other| above.extend(self.changes.at(other)));
        let could_gain = !self.changes.at(at).is_within(&above);
        best.map(|(_, sinking)| sinking).ok_or(held.filter(|_| could_gain))
    }

    /// What goes below a RUN with some instructions before it, and what stays above it; or what ties the RUN to them.
    fn split(&self, causes: &[usize], run: usize) -> Result<(Vec<usize>, Vec<usize>), Tie> {
        let (mut moved, mut passed): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        for at in causes[0]..=run {
            let tie = moved.iter().find_map(|moved| self.ties.between(*moved, at).err());
            match tie {
                Some(tie) if at == run => return Err(tie),
                Some(_) if self.unit.kept(at).is_some() => {
                    let reason = "what depends on it is kept where it is by a comment".to_owned();
                    return Err(Tie { reason, is_open: false });
                }
                None if !causes.contains(&at) => passed.push(at),
                _ => moved.push(at),
            }
        }
        Ok((moved, passed))
    }

    /// How many commands run again after all commits, where some instructions go below a RUN.
    fn cost(&self, causes: &[usize], run: usize) -> Option<usize> {
        let (moved, passed) = self.split(causes, run).ok()?;
        Some(self.reruns(self.order(&moved, &passed)).iter().sum())
    }

    /// The stage's instructions where what is moved stands below what is passed.
    fn order<'s>(&'s self, moved: &'s [usize], passed: &'s [usize]) -> impl Iterator<Item = usize> + 's {
        let all = self.stage.instructions.clone();
        let (first, end) = (moved.first().map_or(all.end, |at| *at), passed.last().map_or(all.end, |at| at + 1));
        (all.start..first).chain(passed.iter().copied()).chain(moved.iter().copied()).chain(end..all.end)
    }

    /// For each instruction of the stage, in an order of them, the commits after which it runs again: none but of RUN.
    fn reruns(&self, order: impl Iterator<Item = usize>) -> Vec<usize> {
        let start = self.stage.instructions.start;
        let mut reruns = vec![0; self.stage.instructions.len()];
        let mut seen: Commits = self.changes.below(self.stage.index).clone();
        for at in order {
            seen.extend(self.changes.at(at));
            if self.unit.kind(at) == Kind::Run {
                reruns[at - start] = seen.len();
            }
        }
        reruns
    }
}
