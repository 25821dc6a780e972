//! What later instructions need of what earlier ones leave: in the same stage, and in the stages built on it.

use jettison_ir::source::SourceUnit;
use jettison_syntax::view::Origin;

/// What an instruction does first with a leftover.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// It uses what is there.
    Needs,
    /// It makes its own.
    Makes,
}

/// For each instruction, the later one that first needs what it leaves.
pub(crate) fn needed_by(unit: &SourceUnit<'_>, first: &dyn Fn(usize) -> Option<First>) -> Vec<Option<usize>> {
    let stages = unit.stages();
    let mut needed = vec![None; unit.instructions().len()];
    // What the stages built on a stage need of it; they stand behind it.
    let mut needed_above: Vec<Option<usize>> = vec![None; stages.len()];
    for stage in stages.iter().rev() {
        let mut state = needed_above[stage.index];
        for at in stage.instructions.clone().rev() {
            needed[at] = state;
            match first(at) {
                Some(First::Needs) => state = Some(at),
                Some(First::Makes) => state = None,
                None => {}
            }
        }
        if let Origin::Stage(below) = stage.base {
            needed_above[below] = needed_above[below].or(state);
        }
    }
    needed
}

/// Whether an instruction finds what another one left: it stands behind it in its stage, or in one that is built on that.
pub(crate) fn stands_on(unit: &SourceUnit<'_>, at: usize, other: usize) -> bool {
    let Some(wanted) = unit.outline.stage_of(other).map(|stage| stage.index) else { return false };
    let mut stage = unit.outline.stage_of(at);
    while let Some(current) = stage {
        if current.index == wanted {
            return at > other;
        }
        stage = match current.base {
            Origin::Stage(below) => unit.stages().get(below),
            _ => None,
        };
    }
    false
}

/// Whether each stage's own layers are part of the last one's image.
pub(crate) fn shipped(unit: &SourceUnit<'_>) -> Vec<bool> {
    let stages = unit.stages();
    let mut shipped = vec![false; stages.len()];
    let mut at = stages.len().checked_sub(1);
    while let Some(current) = at {
        shipped[current] = true;
        at = match stages[current].base {
            Origin::Stage(below) => Some(below),
            _ => None,
        };
    }
    shipped
}
