//! What each RUN installs and removes of packages, and whether it builds.

use jettison_ir::source::SourceUnit;
use jettison_syntax::Span;
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use super::build_needs::group_of;
use super::build_tools::builds;
use super::calls::calls;

/// The installations and removals of one RUN.
pub(crate) struct Step {
    /// The instruction.
    pub(crate) at: usize,
    /// Names of packages and groups, with the manager and the place of the command.
    pub(crate) installed: Vec<(String, Manager, Span)>,
    /// What it removes, by name.
    pub(crate) removed: Vec<String>,
    /// The first command that removes packages.
    pub(crate) removal: Option<Span>,
    /// Whether it removes something whose name is not known.
    pub(crate) removes_unknown: bool,
    /// Whether something is built, as far as the text tells.
    pub(crate) builds: bool,
    /// Whether something may be built that the text does not tell.
    pub(crate) is_opaque: bool,
}

/// Reads what a RUN installs, removes and builds.
pub(crate) fn step(unit: &SourceUnit<'_>, at: usize) -> Step {
    let mut step = Step {
        at,
        installed: Vec::new(),
        removed: Vec::new(),
        removal: None,
        removes_unknown: false,
        builds: false,
        is_opaque: false,
    };
    let Some(script) = unit.script(at) else { return Step { is_opaque: true, ..step } };
    step.is_opaque = script.error.is_some();
    for call in calls(script) {
        let span = unit.source_span(at, call.span());
        match &call.package {
            Some(command) if command.is_system() => step.read(command, span),
            _ => step.builds |= builds(&call),
        }
        step.is_opaque |= call.is_opaque() && !builds(&call);
    }
    step
}

impl Step {
    fn read(&mut self, command: &PackageCommand, span: Span) {
        match command.verb {
            Verb::Install => {
                let group = group_of(command).map(str::to_owned);
                let names = command.packages.iter().map(|package| package.name.clone());
                // What is in a group goes with the group, and is not named when it goes.
                match group {
                    Some(group) => self.installed.push((group, command.manager, span)),
                    None => self.installed.extend(names.map(|name| (name, command.manager, span))),
                }
            }
            Verb::Remove | Verb::Purge | Verb::AutoRemove => {
                self.removed.extend(command.packages.iter().map(|package| package.name.clone()));
                self.removal.get_or_insert(span);
                // Without names it is what nothing needs any more: `apt-mark` decided about that before.
                self.removes_unknown |= command.unknown || command.packages.is_empty();
            }
            _ => {}
        }
    }
}
