//! What a Dockerfile tells of the packages that serve to build, outside of the RUN that installs them: what is there
//! before, and what is needed later.

use std::collections::{BTreeMap, HashMap};

use jettison_ir::source::SourceUnit;
use jettison_syntax::dockerfile::Kind;
use jettison_syntax::packages::{PackageCommand, Verb};
use jettison_syntax::view::{Origin, UseKind};

use super::build_tools::{is_language_manager, is_plain, is_tool, serves};
use super::calls::calls;
use super::later::{First, needed_by};

/// What is known, for the stages that ship.
pub(crate) struct BuildNeeds {
    /// For each instruction, the later one that may need what it installs to build.
    pub(crate) needed_by: Vec<Option<usize>>,
    /// The packages installed by name in the stages that ship, with the first instruction that does so.
    pub(crate) installed: BTreeMap<String, usize>,
    /// The image that the stages start from.
    pub(crate) base: Option<String>,
    /// For each stage, the instruction of another one that takes files from it.
    pub(crate) copied_by: Vec<Option<usize>>,
    /// Whether the image runs something, as far as the file tells: not a shell for whoever starts it.
    pub(crate) has_command: bool,
}

impl BuildNeeds {
    /// What a Dockerfile tells.
    pub(crate) fn of(unit: &SourceUnit<'_>) -> Self {
        let mut needs = Self {
            needed_by: needed_by(unit, &|at| may_need(unit, at).then_some(First::Needs)),
            installed: BTreeMap::new(),
            base: None,
            copied_by: vec![None; unit.stages().len()],
            has_command: false,
        };
        for used in unit.stages().iter().flat_map(|stage| &stage.uses).filter(|used| used.kind != UseKind::Base) {
            if let Some(by) = needs.copied_by.get_mut(used.stage) {
                by.get_or_insert(used.by);
            }
        }
        let mut shipping = vec![false; unit.stages().len()];
        let mut current = unit.stages().last();
        while let Some(stage) = current {
            shipping[stage.index] = true;
            current = match &stage.base {
                Origin::Stage(below) => unit.stages().get(*below),
                Origin::Image(image) => {
                    needs.base = Some(image.clone());
                    None
                }
                Origin::Scratch | Origin::Unknown => None,
            };
        }
        let mut commands: HashMap<Kind, bool> = HashMap::new();
        let shipped = unit.stages().iter().filter(|stage| shipping[stage.index]);
        for at in shipped.flat_map(|stage| stage.instructions.clone()) {
            match unit.kind(at) {
                Kind::Run => needs.read(unit, at),
                kind @ (Kind::Cmd | Kind::Entrypoint) => {
                    commands.insert(kind, !waits_for_people(&words(unit, at)));
                }
                _ => {}
            }
        }
        let serves = || needs.base.as_deref().is_some_and(serves);
        needs.has_command = if commands.is_empty() { serves() } else { commands.values().any(|runs| *runs) };
        needs
    }

    fn read(&mut self, unit: &SourceUnit<'_>, at: usize) {
        let Some(script) = unit.script(at) else { return };
        for call in calls(script) {
            let Some(command) = call.package.as_ref().filter(|command| command.is_system()) else { continue };
            if command.verb != Verb::Install || group_of(command).is_some() {
                continue;
            }
            for package in &command.packages {
                self.installed.entry(package.name.clone()).or_insert(at);
            }
        }
    }
}

/// The group of apk that a command puts its packages into.
pub(crate) fn group_of(command: &PackageCommand) -> Option<&str> {
    let is_apk = command.manager == jettison_syntax::packages::Manager::Apk;
    command.option_value(&["--virtual", "-t"]).filter(|_| is_apk)
}

/// The words of an instruction, as far as they can be taken apart without knowing its form.
fn words<'u>(unit: &'u SourceUnit<'_>, at: usize) -> Vec<&'u str> {
    let instruction = unit.instruction(at);
    let rest = instruction.body.rest.of(unit.tree.line(instruction));
    let is_part = |ch: char| ch.is_alphanumeric() || "_+./-".contains(ch);
    rest.split(|ch: char| !is_part(ch)).filter(|word| !word.is_empty()).collect()
}

/// Whether a command only keeps the container there for people, or shows that it is one to call programs in.
fn waits_for_people(words: &[&str]) -> bool {
    let mut words: Vec<&str> = words.iter().map(|word| word.rsplit('/').next().unwrap_or(word)).collect();
    if let ["sh" | "bash", "-c" | "-lc", ..] = words[..] {
        words.drain(..2);
    }
    words.retain(|word| *word != "exec");
    match words[..] {
        [] => true,
        [.., "--version" | "--help"] | ["sleep", "infinity" | "inf"] | ["tail", "-f", "null"] => true,
        [shell, ref options @ ..] => {
            let is_shell = matches!(shell, "sh" | "bash" | "zsh" | "ash" | "dash" | "fish");
            is_shell && options.iter().all(|option| option.starts_with('-'))
        }
    }
}

/// Whether an instruction may build, or names what serves to build.
fn may_need(unit: &SourceUnit<'_>, at: usize) -> bool {
    match unit.kind(at) {
        Kind::Onbuild => true,
        Kind::Cmd | Kind::Entrypoint | Kind::Healthcheck => {
            let words = words(unit, at);
            let installs =
                |word: &&str| matches!(*word, "install" | "ci" | "build" | "compile" | "update" | "add" | "rebuild");
            words.iter().any(|word| is_tool(word))
                || (words.iter().any(|word| is_language_manager(word)) && words.iter().any(installs))
        }
        // What it uses was seen.
        Kind::Run if unit.packages(at).is_some() => false,
        Kind::Run => {
            let Some(script) = unit.script(at).filter(|script| script.error.is_none()) else { return true };
            calls(script).iter().any(|call| {
                let names = |word: &jettison_syntax::shell::Word| word.literal().is_some_and(|word| is_tool(&word));
                !is_plain(call) || call.simple.words.iter().any(names)
            })
        }
        _ => false,
    }
}
