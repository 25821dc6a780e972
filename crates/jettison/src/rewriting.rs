//! What a rewrite did, in the form that reports are made from.

use jettison_passes::Rewritten;
use jettison_report::{Change, Declined, Layers, Outcome, RewriteReport};
use jettison_syntax::dockerfile::Dockerfile;

/// The report of a rewrite that nothing was written of yet.
pub(crate) fn report<'r>(
    name: &'r str,
    before: &'r Dockerfile,
    after: &'r Rewritten,
    notes: Vec<String>,
) -> RewriteReport<'r> {
    let changes = after.found.iter().map(|found| Change {
        pass: found.pass,
        lines: found.lines,
        message: found.finding.message.clone(),
        help: found.finding.help.clone(),
        outcome: match (&found.finding.fix, found.applied) {
            (_, true) => Outcome::Applied,
            (Some(_), false) => Outcome::NotApplied,
            (None, false) => Outcome::Advice,
        },
    });
    let declined = after.declined.iter().map(|left| Declined {
        pass: left.pass.name,
        lines: left.lines,
        code: left.decline.code.to_owned(),
        reason: left.decline.reason.clone(),
    });
    let allowed = after.allowed.iter().map(|allowed| Declined {
        pass: allowed.found.pass.name,
        lines: allowed.found.lines,
        code: "allowed".to_owned(),
        reason: allowed.by.reason.clone().unwrap_or_else(|| "a comment allows it".to_owned()),
    });
    RewriteReport {
        name,
        before: before.text(),
        after: after.tree.text(),
        origin: after.lines.iter().collect(),
        ignore: None,
        changes: changes.collect(),
        declined: declined.chain(allowed).collect(),
        layers: (Layers::of(before), Layers::of(&after.tree)),
        notes,
        written: Vec::new(),
    }
}
