//! Judges changes of owners and modes among the other commands of their RUN.

use std::collections::BTreeMap;

use jettison_ir::source::SourceUnit;
use jettison_syntax::shell::Simple;

use super::owners::{Judged, Place};
use super::ownership::{self, Change, Refusal, Setting};
use super::places::overlap;
use super::steps::Step;

/// That a change of its own is not worth it.
pub(crate) const NO_GAIN: Refusal = Refusal {
    code: "no-gain",
    reason: "another command of the RUN changes the same files, so that its layer holds them anyway",
};

/// The places that a command changes, as far as they are known.
pub(crate) fn paths_of(change: &Change) -> impl Iterator<Item = &str> {
    change.operands.iter().filter_map(|(path, _)| path.as_deref())
}

/// The flags that a COPY gets.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// `--chown`.
    pub(crate) owner: Option<String>,
    /// `--chmod`, as text and as number.
    pub(crate) mode: Option<(String, u32)>,
    /// Where they are to be written.
    pub(crate) place: u32,
}

/// Whether the instructions can do what a command does, seen together with those before it in the same RUN.
pub(crate) fn judge(
    unit: &SourceUnit<'_>,
    at: usize,
    place: &Place<'_, '_>,
    change: &Change,
    is_blocked: bool,
    kept: &[Change],
    given: &BTreeMap<usize, Flags>,
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
        let Some(flags) = given.get(&copied.at) else { continue };
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
pub(crate) fn resolve(
    unit: &SourceUnit<'_>,
    change: &Change,
    judged: Judged,
    spoilt: &[String],
    given: &BTreeMap<usize, Flags>,
) -> Result<(Judged, Setting), Option<Refusal>> {
    if paths_of(change).any(|path| spoilt.iter().any(|other| overlap(path, other))) {
        return Err(Some(NO_GAIN));
    }
    let Setting::Adds { bits } = change.setting else { return Ok((judged, change.setting.clone())) };
    let mut resolved = None;
    for copied in &judged.copies {
        let flag = unit.instruction(copied.at).body.flag("chmod").and_then(|flag| flag.value());
        let before = match (given.get(&copied.at).and_then(|flags| flags.mode.as_ref()), flag) {
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
pub(crate) fn spoilt(unit: &SourceUnit<'_>, at: usize, steps: &[Step<'_>], place: &Place<'_, '_>) -> Vec<String> {
    let commands = steps.iter().filter_map(|step| step.simple);
    let unread = commands.filter(|simple| {
        matches!(ownership::read(unit, at, simple), Some(Err(_))) && names_copied(unit, at, simple, place)
    });
    unread.flat_map(|simple| simple.arguments()).filter_map(|word| ownership::path(unit, at, word)).collect()
}

/// Whether an argument of a command is a place that a COPY puts something at.
pub(crate) fn names_copied(unit: &SourceUnit<'_>, at: usize, simple: &Simple, place: &Place<'_, '_>) -> bool {
    let paths = simple.arguments().iter().skip(1).filter_map(|word| ownership::path(unit, at, word));
    paths
        .into_iter()
        .any(|path| place.copies.iter().any(|copied| copied.target != "/" && overlap(&copied.target, &path)))
}

/// The reason where a command changes copied files amid more than a list of commands.
pub(crate) fn control_flow(unit: &SourceUnit<'_>, at: usize, place: &Place<'_, '_>) -> Option<Refusal> {
    let commands = unit.script(at)?.simple_commands();
    let mut changes = commands
        .into_iter()
        .map(|(_, simple)| simple)
        .filter(|simple| matches!(simple.name(), Some("chown" | "chmod")) && names_copied(unit, at, simple, place));
    let reason = "whether the command runs, and what its failure means, depends on the commands around it";
    changes.next().map(|_| Refusal { code: "control-flow", reason })
}
