//! Lets COPY set owners and modes where a RUN behind it does: the RUN's layer holds all of the files once more.

use std::collections::BTreeMap;

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;

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

const NO_GAIN: Refusal = Refusal {
    code: "no-gain",
    reason: "another command of the RUN changes the same files, so that its layer holds them anyway",
};

/// The places that a command changes, as far as they are known.
fn paths_of(change: &Change) -> impl Iterator<Item = &str> {
    change.operands.iter().filter_map(|(path, _)| path.as_deref())
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

#[derive(Default)]
struct Flags {
    owner: Option<String>,
    mode: Option<(String, u32)>,
    place: u32,
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
            Some(Ok(change)) => match judge(unit, at, &place, &change, is_blocked, &kept, &rewrite)
                .and_then(|judged| resolve(unit, &change, judged, &spoilt, &rewrite))
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

/// Whether the instructions can do what a command does, seen together with those before it in the same RUN.
fn judge(
    unit: &SourceUnit<'_>,
    at: usize,
    place: &Place<'_, '_>,
    change: &Change,
    is_blocked: bool,
    kept: &[Change],
    rewrite: &Rewrite,
) -> Result<Judged, Option<Refusal>> {
    let refusal = |code, reason| Err(Some(Refusal { code, reason }));
    let judged = place.judge(change)?;
    let user = unit.settings(at).user.known().map(|user| user.split(':').next().unwrap_or_default().to_owned());
    if user.is_some_and(|user| !matches!(&*user, "root" | "0")) {
        return refusal("user", "the command runs as a user, and COPY as root");
    }
    if !unit.instruction(at).body.flags.is_empty() {
        return refusal("run-flags", "the RUN has flags, so that the command may see other files");
    }
    if is_blocked {
        return refusal("command-between", "a command before it may make the user, or files, or look at owners");
    }
    let is_owner = matches!(change.setting, Setting::Owner { .. });
    let touches = |other: &Change| {
        let mut others = other.operands.iter();
        others.any(|(path, _)| {
            path.as_ref()
                .is_none_or(|path| change.operands.iter().flat_map(|(own, _)| own).any(|own| overlap(own, path)))
        })
    };
    let sets_id = |other: &Change| matches!(other.setting, Setting::Mode { bits, .. } if bits & 0o6000 != 0);
    let is_same_kind = |other: &Change| matches!(other.setting, Setting::Owner { .. }) == is_owner;
    if kept.iter().any(|other| touches(other) && (is_same_kind(other) || sets_id(other))) {
        return refusal("command-between", "a command before it that stays would then have the last word");
    }
    for copied in &judged.copies {
        let Some(flags) = rewrite.flags.get(&copied.at) else { continue };
        let sets_mode = matches!(change.setting, Setting::Mode { .. });
        if (is_owner && flags.owner.is_some()) || (sets_mode && flags.mode.is_some()) {
            return refusal("already-set", "the COPY sets another owner or mode already");
        }
        if is_owner && flags.mode.as_ref().is_some_and(|(_, bits)| bits & 0o6000 != 0) {
            let reason = "chown clears the set-user-ID and set-group-ID bits, and --chown leaves them";
            return refusal("set-id", reason);
        }
    }
    Ok(judged)
}

/// The judgement with the mode that a command comes to, which depends on the one before where it only adds to that.
fn resolve(
    unit: &SourceUnit<'_>,
    change: &Change,
    judged: Judged,
    spoilt: &[String],
    rewrite: &Rewrite,
) -> Result<(Judged, Setting), Option<Refusal>> {
    if paths_of(change).any(|path| spoilt.iter().any(|other| overlap(path, other))) {
        return Err(Some(NO_GAIN));
    }
    let Setting::Adds { bits } = change.setting else { return Ok((judged, change.setting.clone())) };
    let mut resolved = None;
    for copied in &judged.copies {
        let flag = unit.instruction(copied.at).body.flag("chmod").and_then(|flag| flag.value());
        let before = match (rewrite.flags.get(&copied.at).and_then(|flags| flags.mode.as_ref()), flag) {
            (Some((_, bits)), _) => Some(*bits),
            (None, Some(mode)) => u32::from_str_radix(mode, 8).ok().filter(|mode| mode & bits == bits),
            (None, None) => copied.mode(unit),
        };
        let after = before.ok_or(Some(ownership::SYMBOLIC))? | bits;
        if resolved.is_some_and(|other| other != after) {
            return Err(Some(ownership::SYMBOLIC));
        }
        resolved = Some(after);
    }
    let bits = resolved.ok_or(Some(ownership::SYMBOLIC))?;
    Ok((judged, Setting::Mode { text: format!("{bits:o}"), bits }))
}

/// The copied paths that commands change which stay for sure: those with options or modes that COPY has not.
fn spoilt(unit: &SourceUnit<'_>, at: usize, steps: &[Step<'_>], place: &Place<'_, '_>) -> Vec<String> {
    let commands = steps.iter().filter_map(|step| step.simple);
    let unread = commands.filter(|simple| {
        matches!(ownership::read(unit, at, simple), Some(Err(_))) && names_copied(unit, at, simple, place)
    });
    unread.flat_map(|simple| simple.arguments()).filter_map(|word| ownership::path(unit, at, word)).collect()
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

/// Whether an argument of a command is a place that a COPY puts something at.
fn names_copied(
    unit: &SourceUnit<'_>,
    at: usize,
    simple: &jettison_syntax::shell::Simple,
    place: &Place<'_, '_>,
) -> bool {
    let paths = simple.arguments().iter().skip(1).filter_map(|word| ownership::path(unit, at, word));
    paths
        .into_iter()
        .any(|path| place.copies.iter().any(|copied| copied.target != "/" && overlap(&copied.target, &path)))
}

/// The reason where a command changes copied files amid more than a list of commands.
fn control_flow(unit: &SourceUnit<'_>, at: usize, place: &Place<'_, '_>) -> Option<Refusal> {
    let commands = unit.script(at)?.simple_commands();
    let mut changes = commands
        .into_iter()
        .map(|(_, simple)| simple)
        .filter(|simple| matches!(simple.name(), Some("chown" | "chmod")) && names_copied(unit, at, simple, place));
    let reason = "whether the command runs, and what its failure means, depends on the commands around it";
    changes.next().map(|_| Refusal { code: "control-flow", reason })
}
