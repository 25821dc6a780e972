//! The changes of a report by lines: measured where the proof built both forms, else what the passes would propose.

use jettison_ir::{Level, Proof};
use jettison_passes::Rewritten;
use jettison_report::{ChangeOutcome, Gain, LineChange};

use super::super::proof::{Looked, ReleaseForm};
use super::join::Joined;
use crate::rewriting::Known;

/// The changes, in order of line.
pub(super) fn of(joined: &Joined<'_>) -> Vec<LineChange> {
    let mut changes = match joined.form {
        Some(ReleaseForm { rewritten, proof: Some(proof), .. }) => proven(rewritten, proof),
        Some(ReleaseForm { rewritten, proof: None, .. }) => found(rewritten, &mut |_| None, true),
        None => {
            let level = match joined.args.level {
                // That level changes nothing; what others would change is worth knowing.
                Level::O0 => Level::O2,
                level => level,
            };
            // The image is there: what stands against reading the context's names costs advice, and no more.
            let looked =
                Looked::read(joined.args, joined.original).unwrap_or_else(|_| Looked::text_of(joined.original));
            found(&looked.rewriting(joined.args, level).again(&Known::default()), &mut |_| None, false)
        }
    };
    changes.sort_by_key(|change| change.lines);
    changes
}

fn proven(rewritten: &Rewritten, proof: &Proof) -> Vec<LineChange> {
    let mut told = Vec::new();
    let measured = proof.measured.as_ref();
    let mut changes = found(rewritten, &mut |lines| Gain::of(measured?, lines, &mut told), true);
    changes.extend(proof.withdrawn.iter().map(|withdrawal| LineChange {
        pass: withdrawal.pass.clone(),
        lines: withdrawal.lines,
        message: format!("{}: {}", withdrawal.message, withdrawal.evidence.summary()),
        outcome: ChangeOutcome::Withdrawn,
        gain: withdrawal.measured.map(Gain::alone),
    }));
    changes
}

/// What passes found. Where nothing was built for it, an applied fix is one that could be.
fn found(
    rewritten: &Rewritten,
    gain: &mut dyn FnMut((usize, usize)) -> Option<Gain>,
    is_built: bool,
) -> Vec<LineChange> {
    let mut found: Vec<_> = rewritten.found.iter().collect();
    found.sort_by_key(|found| found.lines);
    let change = |found: &jettison_passes::Found| {
        let outcome = match (&found.finding.fix, found.applied && is_built) {
            (None, _) => ChangeOutcome::Advice,
            (Some(_), true) => ChangeOutcome::Applied,
            (Some(_), false) => ChangeOutcome::Proposed,
        };
        LineChange {
            pass: found.pass.name.to_owned(),
            lines: found.lines,
            message: found.finding.message.clone(),
            outcome,
            gain: if outcome == ChangeOutcome::Applied { gain(found.lines) } else { None },
        }
    };
    found.into_iter().map(change).collect()
}
