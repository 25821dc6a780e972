//! Options that keep a package manager from filling its cache, put where they are missing.

use jettison_ir::source::{SourceClaim, SourceDecline, SourceFinding, SourceRemark, SourceUnit, TextEdit};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::packages::PackageCommand;
use jettison_syntax::shell::Script;

use super::calls::{Call, calls};
use super::folders::{self, Folder, Mounted};
use super::later::{self, First};
use super::leftovers;

/// An option that turns a cache off.
pub(crate) struct Switch {
    /// Texts one of which every use of the manager holds.
    pub(crate) hints: &'static [&'static str],
    /// The option, which goes right behind the verb.
    pub(crate) option: &'static str,
    /// Where the cache is.
    pub(crate) folder: Folder,
    /// Whether a command fills the cache and has no option about it.
    pub(crate) fills: fn(&PackageCommand) -> bool,
    /// Whether a command empties the cache.
    pub(crate) empties: fn(&PackageCommand) -> bool,
    /// Variables that say whether there is a cache: the file decides then.
    pub(crate) decided_by: &'static [&'static str],
    /// Variables that move the cache: in a RUN's own text they are not followed.
    pub(crate) moved_by: &'static [&'static str],
    /// Texts in the file that turn the cache off in another way.
    pub(crate) turned_off: &'static [&'static str],
}

/// Every command of a Dockerfile that lacks the option.
pub(crate) fn run(unit: &SourceUnit<'_>, switch: &Switch) -> Vec<SourceRemark> {
    let hinted: Vec<bool> = (0..unit.instructions().len()).map(|at| mentions(unit, at, switch.hints)).collect();
    if !hinted.contains(&true) || switch.turned_off.iter().any(|text| unit.tree.text().contains(text)) {
        return Vec::new();
    }
    let needed = later::needed_by(unit, &|at| {
        let offline = unit.instruction(at).body.flag("network").is_some_and(|flag| flag.value() == Some("none"));
        let reads = unit.text(at).is_some_and(|text| {
            let names = text.text.contains(switch.folder.token());
            names && !text.text.contains("rm ")
        });
        ((hinted[at] && offline) || reads).then_some(First::Needs)
    });
    let shipped = later::shipped(unit);
    let mut remarks = Vec::new();
    for stage in unit.stages().iter().filter(|stage| shipped[stage.index]) {
        for at in stage.instructions.clone().filter(|at| hinted[*at] && unit.kind(*at) == Kind::Run) {
            match examine(unit, at, switch, needed[at]) {
                Ok(findings) => remarks.extend(findings.into_iter().map(SourceRemark::Found)),
                Err((code, reason)) => {
                    let span = unit.instruction(at).span;
                    remarks.push(SourceRemark::Declined(SourceDecline { span, code, reason }));
                }
            }
        }
    }
    remarks
}

fn mentions(unit: &SourceUnit<'_>, at: usize, hints: &[&str]) -> bool {
    let line = unit.text(at).map_or_else(|| unit.tree.line(unit.instruction(at)), |text| &text.text);
    hints.iter().any(|hint| line.contains(hint))
}

fn examine(
    unit: &SourceUnit<'_>,
    at: usize,
    switch: &Switch,
    needed: Option<usize>,
) -> Result<Vec<SourceFinding>, (&'static str, String)> {
    if let Some(command) = leftovers::executed(unit, at) {
        if (switch.fills)(&command) {
            return Err(("exec-form", "the exec form is left as it is".to_owned()));
        }
        return Ok(Vec::new());
    }
    let script = leftovers::whole_script(unit, at)?;
    let calls = calls(script);
    let Some(last) = calls.iter().rposition(|call| filling(switch, call).is_some()) else { return Ok(Vec::new()) };
    let scope = unit.scope(at);
    let is_decided = |name: &str| scope.get(name).is_some() || script.text.contains(name);
    if switch.decided_by.iter().any(|name| is_decided(name)) {
        return Ok(Vec::new());
    }
    let home = folders::home(unit, at, &scope);
    let folder = switch.folder.path(&scope, home.as_deref());
    let empties = |call: &Call<'_>| {
        let removes = |folder: &str| folders::removes(call, script, &scope, home.as_deref(), folder);
        call.package.as_ref().is_some_and(switch.empties) || folder.as_deref().is_some_and(removes)
    };
    if calls[last..].iter().any(empties) {
        return Ok(Vec::new());
    }
    match folders::mounted(unit, at, unit.instruction(at), folder.as_deref()) {
        Mounted::Hidden => return Ok(Vec::new()),
        Mounted::Unclear => {
            return Err(("mounts", "something is mounted there, or it is not known where".to_owned()));
        }
        Mounted::Free => {}
    }
    if switch.moved_by.iter().any(|name| script.text.contains(name)) {
        return Err(("elsewhere", "the command keeps its cache in a place of its own".to_owned()));
    }
    if let Some(later) = needed {
        let (line, _) = unit.tree.position(unit.instruction(later).span.start);
        return Err(("needed-later", format!("line {line} installs without a network, or reads the cache")));
    }
    let behind = calls.iter().find(|call| filling(switch, call).is_some()).map_or(0, |call| call.span().end);
    if script.text[behind as usize..].contains(switch.folder.token()) {
        return Err(("needed-later", "a later command of the RUN names the cache, and may read it".to_owned()));
    }
    let found = calls.iter().filter_map(|call| filling(switch, call).map(|(command, verb)| (call, command, verb)));
    let finding = |(call, command, verb): (&Call<'_>, &PackageCommand, _)| {
        let program = command.name_span.of(&script.text);
        let message = format!("{program} keeps its downloads in the image");
        let end = unit.source_span(at, verb).end;
        // With sudo, the home may be either user's.
        let home = home.as_deref().filter(|_| !is_with_sudo(call, script));
        let claim = SourceClaim::Gone(switch.folder.claims(&scope, home));
        let edit = TextEdit::insert(end, format!(" {}", switch.option));
        SourceFinding::fixed(unit.source_span(at, call.span()), message, vec![edit], claim)
    };
    Ok(found.map(finding).collect())
}

/// The command and its verb, where it fills the cache.
fn filling<'c>(switch: &Switch, call: &'c Call<'_>) -> Option<(&'c PackageCommand, Span)> {
    let command = call.package.as_ref().filter(|command| (switch.fills)(command))?;
    Some((command, command.verb_span.filter(|span| !span.is_empty())?))
}

fn is_with_sudo(call: &Call<'_>, script: &Script) -> bool {
    call.simple.words.first().is_some_and(|word| word.text(&script.text) == "sudo")
}
