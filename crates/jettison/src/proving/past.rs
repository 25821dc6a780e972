//! The history of the build context, for changes that follow from it.

use anyhow::Result;
use jettison_engine::build::Cancel;
use jettison_engine::files::git::{Commit, HistoryError, history};
use jettison_ir::source::{Goal, History};
use jettison_passes::{PASSES, Selection};

use super::REORDERER;
use crate::cli::Rewrite;
use crate::context::Walked;
use crate::dockerfile::Located;
use crate::error::Usage;

/// So many commits are looked at where nobody says how many.
const COMMITS: u16 = 50;

/// Reads the last commits that changed the context, and has the passes know what they changed. None where nothing is
/// to be ordered by them; why there are none is noted.
pub(crate) fn learn(
    args: &Rewrite,
    selection: &Selection,
    located: &Located,
    walked: &mut Walked,
) -> Result<Vec<Commit>> {
    let is_development = Goal::from(args.goal) == Goal::Development;
    if args.proof.history.is_some() && !is_development {
        let hint = "the release form keeps no order for rebuilds";
        return Err(Usage::new("--history needs --for development").with_hint(hint).into());
    }
    let is_wanted = PASSES.iter().any(|pass| pass.name == REORDERER && selection.admits(pass));
    let (Some(context), Some(folder)) = (&mut walked.context, &located.context) else { return Ok(Vec::new()) };
    if !args.proof.prove || !is_development || !is_wanted {
        return Ok(Vec::new());
    }
    let most = usize::from(args.proof.history.unwrap_or(COMMITS));
    let commits = match history(folder, most, &Cancel::default()) {
        Ok(commits) if commits.is_empty() => {
            walked.notes.push("nothing is ordered by the history: no commit changed the context".to_owned());
            return Ok(commits);
        }
        Ok(commits) => commits,
        Err(error @ HistoryError::Cancelled) => return Err(error.into()),
        Err(error) => {
            walked.notes.push(format!("nothing is ordered by the history: {error}"));
            return Ok(Vec::new());
        }
    };
    let changed = commits.iter().map(|commit| commit.paths.clone()).collect();
    context.history = Some(History { commits: changed });
    Ok(commits)
}
