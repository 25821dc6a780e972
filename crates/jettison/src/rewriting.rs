//! What a rewrite did, in the form that reports are made from.

use jettison_ir::Level;
use jettison_ir::source::{Context, Goal, Observations, SourceOptions};
use jettison_passes::{Fixes, Rewritten, Selection, Source, Withdrawn};
use jettison_report::{Change, Declined, Layers, Outcome, RewriteReport};
use jettison_syntax::dockerfile::Dockerfile;

use crate::cli::PassArgs;
use crate::pipeline;
use crate::printer::Printer;

/// What builds of a Dockerfile showed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known<'k> {
    /// Changes that are not made again.
    pub(crate) withdrawn: &'k [Withdrawn],
    /// So many changes are made.
    pub(crate) limit: Option<usize>,
    /// What its RUN instructions did.
    pub(crate) observations: Option<&'k Observations>,
    /// A pass that changes nothing.
    pub(crate) left_out: Option<&'static str>,
}

/// A Dockerfile, and how it is rewritten.
pub(crate) struct Rewriting<'r> {
    pub(crate) tree: &'r Dockerfile,
    pub(crate) context: Option<&'r Context>,
    pub(crate) options: SourceOptions,
    pub(crate) selection: Selection,
}

impl Rewriting<'_> {
    fn source<'s>(&'s self, observations: Option<&'s Observations>) -> Source<'s> {
        Source { tree: self.tree.clone(), context: self.context, observations }
    }

    /// Rewrites, and shows what the arguments ask to see of that.
    pub(crate) fn shown(&self, args: &PassArgs, printer: &Printer) -> Rewritten {
        pipeline::rewrite(self.source(None), &self.options, &self.selection, Fixes::Applied, args, printer)
    }

    /// Rewrites with what is known of an earlier try.
    pub(crate) fn again(&self, known: &Known<'_>) -> Rewritten {
        let limit = known.limit.or(self.selection.limit);
        let skip = self.selection.skip.iter().cloned().chain(known.left_out.map(str::to_owned)).collect();
        let selection = Selection { withdrawn: known.withdrawn.to_vec(), limit, skip, ..self.selection.clone() };
        let source = self.source(known.observations);
        jettison_passes::rewrite(source, &self.options, &selection, Fixes::Applied, &mut |_| {})
    }

    /// Whether packages may be taken out that nothing uses.
    pub(crate) fn weighs_packages(&self) -> bool {
        self.options.level >= Level::Os && self.options.goal == Goal::Release
    }

    /// What is asked for, as text: equal texts ask for the same.
    pub(crate) fn wish(&self) -> String {
        let history = self.context.and_then(|context| context.history.as_ref());
        format!("{} {:?} {:?} {history:?}", env!("CARGO_PKG_VERSION"), self.options, self.selection)
    }
}

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
        proof: None,
        changes: changes.collect(),
        declined: declined.chain(allowed).collect(),
        layers: (Layers::of(before), Layers::of(&after.tree)),
        notes,
        written: Vec::new(),
    }
}
