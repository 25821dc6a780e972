//! Lets COPY set owners and modes where a RUN behind it does: the RUN's layer holds all of the files once more.

use std::collections::BTreeMap;

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;

use crate::analysis::owned_steps::{Flags, NO_GAIN, control_flow, judge, names_copied, paths_of, resolve, spoilt};
use crate::analysis::owners::{Judged, NAMES, NEW, NO_SET_ID, Place};
use crate::analysis::ownership::{self, Change, Refusal, Setting};
use crate::analysis::places::overlap;
use crate::analysis::steps::{self, Step};

pub(crate) const PASS: Pass = Pass {
    name: "copied-then-owned",
    summary: "files that are copied and then get an owner or mode in a layer of its own, which holds them again",
    level: Level::O1,
    safety: Safety::Assuming(&[NO_SET_ID, NAMES, NEW]),
    page: include_str!("copied_then_owned.md"),
    aliases: &["tally/prefer-copy-chmod"],
    run: Run::Source(run),
};

/// How many such commands of a file are looked at. Each look goes over the whole file; no file that people write has
/// as many.
const MAX_COMMANDS: usize = 200;

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let mut remarks = Vec::new();
    let candidates = (0..unit.instructions().len()).filter(|at| unit.kind(*at) == Kind::Run);
    let changes =
        |at: &usize| unit.text(*at).is_some_and(|text| text.text.contains("chown") || text.text.contains("chmod"));
    for at in candidates.filter(changes).take(MAX_COMMANDS) {
        look_at(unit, at, &mut remarks);
    }
    remarks
}

/// What becomes of the commands of one RUN.
#[derive(Default)]
struct Rewrite {
    /// The flags of each COPY.
    flags: BTreeMap<usize, Flags>,
    /// The steps that go.
    gone: Vec<usize>,
    /// Changes to steps that stay.
    edits: Vec<TextEdit>,
    /// The first of the commands, in the Dockerfile.
    span: Option<Span>,
    /// The places that they change.
    paths: Vec<String>,
    /// What is said of it.
    message: String,
}

fn look_at(unit: &SourceUnit<'_>, at: usize, remarks: &mut Vec<SourceRemark>) {
    let decline = |span: Span, refusal: Refusal| {
        let reason = refusal.reason.to_owned();
        SourceRemark::Declined(SourceDecline { span, code: refusal.code, reason })
    };
    let place = Place::of(unit, at);
    if place.copies.is_empty() {
        return;
    }
    let Some(steps) = steps::of(unit, at) else {
        remarks.extend(control_flow(unit, at, &place).map(|refusal| decline(unit.instruction(at).span, refusal)));
        return;
    };
    let spoilt = spoilt(unit, at, &steps, &place);
    let mut rewrite = Rewrite::default();
    let mut kept: Vec<Change> = Vec::new();
    let mut is_blocked = false;
    for (index, step) in steps.iter().enumerate() {
        let span = unit.source_span(at, step.span);
        match step.simple.and_then(|simple| ownership::read(unit, at, simple)) {
            None => is_blocked |= !step.simple.is_some_and(steps::is_set),
            Some(Err(refusal)) => {
                if step.simple.is_some_and(|simple| names_copied(unit, at, simple, &place)) {
                    remarks.push(decline(span, refusal));
                }
                is_blocked = true;
            }
            Some(Ok(change)) => match judge(unit, at, &place, &change, is_blocked, &kept, &rewrite.flags)
                .and_then(|judged| resolve(unit, &change, judged, &spoilt, &rewrite.flags))
            {
                Ok(judged) => rewrite.take(unit, at, index, step, &change, judged),
                Err(refusal) => {
                    remarks.extend(refusal.map(|refusal| decline(span, refusal)));
                    kept.push(change);
                }
            },
        }
    }
    let Some(span) = rewrite.span else { return };
    let stays = kept.iter().flat_map(paths_of).any(|path| rewrite.paths.iter().any(|other| overlap(path, other)));
    if stays {
        remarks.push(decline(span, NO_GAIN));
        return;
    }
    let message = std::mem::take(&mut rewrite.message);
    match rewrite.edits(unit, at, &steps) {
        Some(edits) => {
            remarks.push(SourceRemark::Found(SourceFinding::fixed(span, message, edits, SourceClaim::Same)));
        }
        None => {
            let reason = "a comment stands among the commands that would go";
            remarks.push(decline(span, Refusal { code: "comment", reason }));
        }
    }
}

impl Rewrite {
    fn take(
        &mut self,
        unit: &SourceUnit<'_>,
        at: usize,
        index: usize,
        step: &Step<'_>,
        change: &Change,
        judged: (Judged, Setting),
    ) {
        let (judged, setting) = judged;
        let span = unit.source_span(at, step.span);
        let command = if matches!(setting, Setting::Owner { .. }) { "chown" } else { "chmod" };
        for copied in &judged.copies {
            let flags = self.flags.entry(copied.at).or_default();
            flags.place = copied.place_for_flag(unit);
            match &setting {
                Setting::Owner { user, group, .. } => {
                    flags.owner = Some(format!("{user}:{}", group.as_deref().unwrap_or("0")));
                }
                // Where the COPY has a mode, the command adds nothing to it.
                Setting::Mode { .. } if unit.instruction(copied.at).body.flag("chmod").is_some() => {}
                Setting::Mode { text, bits } => {
                    let same = flags.mode.as_ref().is_some_and(|(_, other)| other == bits);
                    flags.mode = if same { flags.mode.take() } else { Some((text.clone(), *bits)) };
                }
                Setting::Adds { .. } => {}
            }
        }
        if judged.keeps_folder
            && let Some((option, rest)) = &change.recursion
        {
            self.edits.push(without_recursion(unit, at, *option, rest));
        } else {
            self.gone.push(index);
        }
        self.paths.extend(paths_of(change).map(str::to_owned));
        if self.span.is_none() {
            self.span = Some(span);
            let paths: Vec<&str> = paths_of(change).collect();
            self.message =
                format!("{command} puts all of {} into a layer again, which COPY can avoid", paths.join(", "));
        }
    }

    /// All that is to be changed; none where a comment would go.
    fn edits(mut self, unit: &SourceUnit<'_>, at: usize, steps: &[Step<'_>]) -> Option<Vec<TextEdit>> {
        let mut edits = std::mem::take(&mut self.edits);
        if !self.gone.is_empty() {
            edits.extend(steps::removal(unit, at, steps, &self.gone)?);
        }
        for flags in self.flags.values() {
            let owner = flags.owner.as_ref().map(|owner| format!(" --chown={owner}")).unwrap_or_default();
            let mode = flags.mode.as_ref().map(|(mode, _)| format!(" --chmod={mode}")).unwrap_or_default();
            edits.push(TextEdit::insert(flags.place, owner + &mode));
        }
        Some(edits)
    }
}

/// Takes the option out that makes a command descend.
fn without_recursion(unit: &SourceUnit<'_>, at: usize, option: Span, rest: &str) -> TextEdit {
    let span = unit.source_span(at, option);
    let source = unit.tree.text().as_bytes();
    let has_blank = source.get(span.end as usize) == Some(&b' ');
    match rest {
        "" if has_blank => TextEdit::delete(Span { start: span.start, end: span.end + 1 }),
        rest => TextEdit::replace(span, rest),
    }
}
