//! Runs the passes over a Dockerfile until they find nothing more, and applies what they propose.

use std::collections::BTreeMap;

use jettison_ir::source::{
    Context, Goal, Observations, Observed, Scripts, SourceClaim, SourceDecline, SourceFinding, SourceFix,
    SourceOptions, SourceRemark, SourceUnit, Target,
};
use jettison_ir::{Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::{Dockerfile, Kind};
use jettison_syntax::editor::Editor;

use crate::PASSES;
use crate::allow::{Allowance, Allowances};
use crate::driver::{Selection, Withdrawn};
use crate::lines::LineMap;
use crate::settings;

/// Rounds after which the driver stops. A round that changes nothing ends it before; what one pass moves together
/// another one joins, and some move one instruction after the other, so that some follow each other, but never so many.
const MAX_ROUNDS: usize = 64;

/// What is rewritten.
pub struct Source<'a> {
    /// The Dockerfile.
    pub tree: Dockerfile,
    /// The build context, where it is at hand.
    pub context: Option<&'a Context>,
    /// What its RUN instructions were seen to do, where it was built and traced.
    pub observations: Option<&'a Observations>,
}

/// A finding, with the pass that made it and where it stood in the original.
#[derive(Clone, Debug)]
pub struct Found {
    /// The pass.
    pub pass: &'static Pass,
    /// The finding; its span is in the text that the pass saw.
    pub finding: SourceFinding,
    /// The lines of the original that it is about, counted from 1.
    pub lines: (usize, usize),
    /// Where in the original it begins, where that is known to the byte.
    pub span: Option<Span>,
    /// Whether its fix was applied.
    pub applied: bool,
}

/// Something left alone, with the pass that says why.
#[derive(Clone, Debug)]
pub struct LeftAlone {
    /// The pass.
    pub pass: &'static Pass,
    /// The reason.
    pub decline: SourceDecline,
    /// The lines of the original that it is about, counted from 1.
    pub lines: (usize, usize),
}

/// A finding that a comment allows.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// The finding.
    pub found: Found,
    /// The comment, in the text that the pass saw.
    pub by: Allowance,
}

/// What came of it.
pub struct Rewritten {
    /// The Dockerfile.
    pub tree: Dockerfile,
    /// The new text of `.dockerignore`, where a fix changed it.
    pub ignore: Option<String>,
    /// The findings, in the order in which they were made.
    pub found: Vec<Found>,
    /// What a comment allows, so that nothing is done about it.
    pub allowed: Vec<Allowed>,
    /// What was left alone in the end, and why.
    pub declined: Vec<LeftAlone>,
    /// Where each line of the result comes from.
    pub lines: LineMap,
    /// What the fixes claim.
    pub claims: Vec<SourceClaim>,
}

/// What becomes of fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixes {
    /// None is applied: the passes look at the file as it is.
    Reported,
    /// All are applied, and the passes run until they find nothing more.
    Applied,
    /// Only those of passes that promise exactness.
    ExactApplied,
}

/// What happens while the driver works, for those who look for the pass that does something wrong.
pub enum RewriteEvent<'e> {
    /// A pass starts.
    Start(&'static str),
    /// A pass ended; the text is the one after its fixes.
    End(&'static str, &'e str),
}

/// Runs the selected passes on a Dockerfile.
#[must_use]
pub fn rewrite(
    source: Source<'_>,
    options: &SourceOptions,
    selection: &Selection,
    fixes: Fixes,
    tell: &mut dyn FnMut(RewriteEvent<'_>),
) -> Rewritten {
    let mut work = Work {
        lines: LineMap::identity(source.tree.text()),
        allowances: Allowances::of(&source.tree),
        runs: runs(&source.tree),
        tree: source.tree,
        context: source.context,
        observations: source.observations,
        ignore: None,
        options,
        scripts: Scripts::default(),
        found: Vec::new(),
        allowed: Vec::new(),
        declined: BTreeMap::new(),
        claims: Vec::new(),
        fixes,
        withdrawn: &selection.withdrawn,
        fixes_left: selection.limit.unwrap_or(usize::MAX),
    };
    let goal = |pass: &&Pass| match pass.run {
        Run::Image(_) => false,
        Run::Source(_) => options.goal == Goal::Release,
        Run::Development(_) => options.goal == Goal::Development,
    };
    let passes: Vec<&'static Pass> = PASSES
        .iter()
        .filter(|pass| selection.admits(pass))
        .chain(selection.extra.iter().copied())
        .filter(goal)
        .collect();
    // Instructions that a builder refuses are for people to mend; nothing is known of what they mean.
    if work.tree.is_valid() {
        for round in 0..MAX_ROUNDS {
            let before = (work.tree.text().to_owned(), work.ignore.clone());
            for pass in &passes {
                tell(RewriteEvent::Start(pass.name));
                work.run(pass, round == 0);
                tell(RewriteEvent::End(pass.name, work.tree.text()));
            }
            if fixes == Fixes::Reported || before == (work.tree.text().to_owned(), work.ignore.clone()) {
                break;
            }
        }
    }
    let declined = work.declined.into_values().flatten().collect();
    let Work { tree, ignore, found, allowed, lines, claims, .. } = work;
    Rewritten { tree, ignore, found, allowed, declined, lines, claims }
}

struct Work<'a> {
    tree: Dockerfile,
    context: Option<&'a Context>,
    observations: Option<&'a Observations>,
    /// The lines of the original's RUN instructions.
    runs: Vec<(usize, usize)>,
    ignore: Option<String>,
    options: &'a SourceOptions,
    scripts: Scripts,
    found: Vec<Found>,
    allowances: Allowances,
    allowed: Vec<Allowed>,
    /// The declines of each pass's last run, by its place in the table.
    declined: BTreeMap<usize, Vec<LeftAlone>>,
    claims: Vec<SourceClaim>,
    lines: LineMap,
    fixes: Fixes,
    withdrawn: &'a [Withdrawn],
    fixes_left: usize,
}

impl Work<'_> {
    fn run(&mut self, pass: &'static Pass, is_first_round: bool) {
        let (Run::Source(run) | Run::Development(run)) = pass.run else { return };
        let ignore = self.ignore.as_deref().or_else(|| self.context.and_then(|context| context.ignore.as_deref()));
        let mut unit = SourceUnit::new(&self.tree, self.options, self.context, ignore, &self.scripts);
        if self.fixes != Fixes::Reported {
            unit.keep(self.allowances.instructions(pass));
        }
        unit.observe(self.observed());
        if let Some(packages) = self.observations.and_then(|observations| observations.packages.clone()) {
            let lines = self.tree.instructions.iter().map(|instruction| self.original_lines(instruction.span));
            unit.see(packages, lines.collect());
        }
        let remarks = run(&unit);
        drop(unit);
        let mut declined = Vec::new();
        let mut proposals = Vec::new();
        for remark in remarks {
            match remark {
                SourceRemark::Declined(decline) => {
                    let lines = self.original_lines(decline.span);
                    declined.push(LeftAlone { pass, decline, lines });
                }
                SourceRemark::Found(finding) if let Some(by) = self.allowances.covering(&self.tree, pass, &finding) => {
                    if is_first_round {
                        let (by, found) = (by.clone(), self.found(pass, finding));
                        self.allowed.push(Allowed { found, by });
                    }
                }
                SourceRemark::Found(finding) if let Some(reason) = self.withdrawn(pass, &finding) => {
                    let decline = SourceDecline { span: finding.span, code: "refuted", reason };
                    let lines = self.original_lines(finding.span);
                    declined.push(LeftAlone { pass, decline, lines });
                }
                // What only people can decide is said once, about the file as it was.
                SourceRemark::Found(finding) if finding.fix.is_some() || is_first_round => proposals.push(finding),
                SourceRemark::Found(_) => {}
            }
        }
        self.declined.insert(place(pass), declined);
        let applies = match self.fixes {
            Fixes::Reported => false,
            Fixes::Applied => true,
            Fixes::ExactApplied => pass.safety == Safety::Exact,
        };
        self.take(pass, proposals, applies, is_first_round);
    }

    fn take(&mut self, pass: &'static Pass, proposals: Vec<SourceFinding>, applies: bool, is_first_round: bool) {
        let mut accepted: Vec<Found> = Vec::new();
        let mut edits: Vec<SourceFix> = Vec::new();
        let all: Vec<SourceFix> = proposals.iter().filter_map(|finding| finding.fix.clone()).collect();
        // Mostly all fixes of a pass go together; only where they don't, they are tried one by one.
        let together = applies && all.len() <= self.fixes_left && self.try_apply(&all).is_some();
        for finding in proposals {
            let mut found = self.found(pass, finding);
            match found.finding.fix.clone() {
                Some(fix) if applies && self.fixes_left > 0 => {
                    edits.push(fix);
                    if together || self.try_apply(&edits).is_some() {
                        self.fixes_left -= 1;
                        found.applied = true;
                        accepted.push(found);
                    } else {
                        edits.pop();
                        let reason = "the change would not keep a comment, or a setting of the image".to_owned();
                        let decline = SourceDecline { span: found.finding.span, code: "unsafe-result", reason };
                        let left = LeftAlone { pass, decline, lines: found.lines };
                        self.declined.entry(place(pass)).or_default().push(left);
                    }
                }
                // A fix that is not applied is reported once, about the file as it was.
                _ if is_first_round => accepted.push(found),
                _ => {}
            }
        }
        if let Some(applied) = self.try_apply(&edits) {
            self.claims.extend(edits.iter().map(|fix| fix.claim.clone()));
            self.lines = applied.lines;
            self.tree = applied.tree;
            self.allowances = Allowances::of(&self.tree);
            self.ignore = applied.ignore;
        }
        self.found.append(&mut accepted);
    }

    fn found(&self, pass: &'static Pass, finding: SourceFinding) -> Found {
        let lines = self.original_lines(finding.span);
        let span = self.lines.original_span(finding.span);
        Found { pass, finding, lines, span, applied: false }
    }

    /// What the RUN instructions were seen to do; joined ones did what each of them did.
    fn observed(&self) -> Vec<(usize, Observed)> {
        let Some(observations) = self.observations else { return Vec::new() };
        let instructions = self.tree.instructions.iter().enumerate();
        let runs = instructions.filter(|(_, instruction)| instruction.body.kind == Kind::Run);
        runs.filter_map(|(at, run)| Some((at, observations.within(self.original_lines(run.span), &self.runs)?)))
            .collect()
    }

    /// Why a change is not to be made that was refuted.
    fn withdrawn(&self, pass: &Pass, finding: &SourceFinding) -> Option<String> {
        let lines = self.original_lines(finding.span);
        let is_it = |one: &&Withdrawn| one.pass == pass.name && one.lines == lines && one.message == finding.message;
        finding.fix.as_ref().and_then(|_| self.withdrawn.iter().find(is_it)).map(|one| one.reason.clone())
    }

    fn original_lines(&self, span: Span) -> (usize, usize) {
        let last = span.end.max(span.start + 1) - 1;
        self.lines.original(self.lines.line_of(span.start), self.lines.line_of(last))
    }

    /// The result of some fixes; none where they overlap, or where the result would not be the same kind of file: it
    /// must be one that builders take, hold every comment that the file holds now, and make images with the same
    /// settings.
    fn try_apply(&self, fixes: &[SourceFix]) -> Option<Applied> {
        if fixes.is_empty() {
            return None;
        }
        let mut editor = Editor::new(&self.tree);
        let mut ignore = self.ignore.clone();
        for fix in fixes {
            match fix.target {
                Target::Dockerfile => {
                    fix.edits.iter().try_for_each(|edit| editor.replace(edit.span, &edit.text)).ok()?;
                }
                Target::Ignore => {
                    let existing = self.context.and_then(|context| context.ignore.as_deref());
                    let mut text = ignore.or_else(|| existing.map(str::to_owned)).unwrap_or_default();
                    for edit in fix.edits.iter().rev() {
                        text.replace_range(edit.span.range(), &edit.text);
                    }
                    ignore = Some(text);
                }
            }
        }
        let edited = editor.finish();
        let lines = self.lines.after(self.tree.text(), &edited);
        let tree = Dockerfile::parse(edited.text);
        let holds = tree.is_valid() && keeps_comments(&self.tree, &tree) && settings::agree(&self.tree, &tree);
        holds.then_some(Applied { tree, ignore, lines })
    }
}

/// The lines of RUN instructions, counted from 1.
fn runs(tree: &Dockerfile) -> Vec<(usize, usize)> {
    let lines = LineMap::identity(tree.text());
    let runs = tree.instructions.iter().filter(|instruction| instruction.body.kind == Kind::Run);
    runs.map(|run| lines.original(lines.line_of(run.span.start), lines.line_of(run.span.end.max(1) - 1))).collect()
}

/// A pass's place in the table.
fn place(pass: &Pass) -> usize {
    PASSES.iter().position(|other| other.name == pass.name).unwrap_or_default()
}

struct Applied {
    tree: Dockerfile,
    ignore: Option<String>,
    lines: LineMap,
}

/// Whether every comment of `before` is one of `after`, as often.
pub(crate) fn keeps_comments(before: &Dockerfile, after: &Dockerfile) -> bool {
    let count = |tree: &Dockerfile| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let heredocs = tree.instructions.iter().flat_map(|instruction| &instruction.heredocs);
        let in_heredocs = heredocs.flat_map(|heredoc| heredoc.body.of(tree.text()).lines());
        let outside = tree.comments.iter().map(|comment| comment.span.of(tree.text()));
        for comment in outside.chain(in_heredocs.filter(|line| line.trim_start().starts_with('#'))) {
            *counts.entry(comment.trim().to_owned()).or_default() += 1;
        }
        counts
    };
    let after = count(after);
    count(before).iter().all(|(text, times)| after.get(text).is_some_and(|found| found >= times))
}
