//! How a Dockerfile uses the caches of package managers besides filling them.

use jettison_ir::source::SourceUnit;
use jettison_syntax::dockerfile::{Arguments, Instruction, Kind};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};
use jettison_syntax::shell::Script;
use jettison_syntax::view::Setting;

use super::caches::CACHES;
use super::separable::package_command;

/// What a file says about one of the caches.
#[derive(Clone, Default)]
pub(crate) struct About {
    /// A variable moves it or switches it off.
    pub(crate) has_variable: bool,
    /// A text names its folders.
    pub(crate) is_named: bool,
    /// A command needs what is in it.
    pub(crate) is_needed: bool,
    /// The container's program is the manager.
    pub(crate) runs_manager: bool,
}

/// What the whole file says about each of the caches.
pub(crate) fn about(unit: &SourceUnit<'_>) -> Vec<About> {
    let mut about = vec![About::default(); CACHES.len()];
    for (at, instruction) in unit.instructions().iter().enumerate() {
        let body = instruction.body.effective();
        let text = format!("{} ", unit.tree.part(instruction, body.rest));
        let heredocs = || instruction.heredocs.iter().map(|heredoc| heredoc.body.of(unit.tree.text()));
        let is_start = matches!(body.kind, Kind::Cmd | Kind::Entrypoint);
        for (about, caches) in about.iter_mut().zip(CACHES) {
            let holds = |word: &&str| text.contains(*word) || heredocs().any(|body| body.contains(*word));
            about.is_named |= copies(unit, instruction, caches.folders);
            about.is_named |= caches.fragments.iter().any(holds);
            if matches!(body.kind, Kind::Env | Kind::Arg) {
                about.has_variable |= sets(unit, at, caches.variables);
            }
            let words = || text.split(|ch: char| ch.is_whitespace() || "\"',[]".contains(ch));
            about.is_needed |= body.kind == Kind::Run
                && caches.managers.iter().any(|manager| words().any(|word| is_program(*manager, word)))
                && words().any(|word| caches.offline.contains(&word));
            about.runs_manager |=
                is_start && caches.managers.iter().any(|manager| words().any(|word| is_program(*manager, word)));
        }
    }
    about
}

fn sets(unit: &SourceUnit<'_>, at: usize, names: &[&str]) -> bool {
    let instruction = unit.instruction(at);
    match &instruction.body.effective().arguments {
        Arguments::Pairs { pairs, .. } => {
            pairs.iter().any(|pair| names.contains(&unit.tree.part(instruction, pair.name)))
        }
        Arguments::Words(words) => words.iter().any(|word| {
            let word = unit.tree.part(instruction, *word);
            names.contains(&word.split('=').next().unwrap_or_default())
        }),
        _ => false,
    }
}

/// The last instruction that may install from apt's index without fetching it first: a command of apt's alone, one
/// that is not read, or a script of the project's own. What comes before it must leave the index in the image.
pub(crate) fn last_that_needs_the_index(unit: &SourceUnit<'_>) -> Option<usize> {
    let needs = |at: &usize| {
        let instruction = unit.instruction(*at);
        let body = instruction.body.effective();
        let text = unit.tree.part(instruction, body.rest);
        let installs = text.contains("apt-get") || text.contains("apt ") || text.contains("aptitude");
        let Some(script) = unit.script(*at).filter(|_| body.kind == Kind::Run) else {
            return installs && matches!(body.kind, Kind::Run | Kind::Cmd | Kind::Entrypoint);
        };
        body.kind == Kind::Run && !updates_first(script) && (installs || runs_scripts(script))
    };
    (0..unit.instructions().len()).rev().find(needs)
}

/// Whether the first thing that apt is told is to fetch its index.
pub(crate) fn updates_first(script: &Script) -> bool {
    let mut packages = script.simple_commands().into_iter().filter_map(|(_, simple)| package_command(simple));
    let is_apt =
        |package: &PackageCommand| matches!(package.manager, Manager::AptGet | Manager::Apt | Manager::Aptitude);
    packages
        .find(|package| is_apt(package) && !matches!(package.verb, Verb::Query | Verb::Clean | Verb::Other))
        .is_some_and(|package| package.verb == Verb::Update)
}

/// Whether a script runs another one whose text is not at hand.
fn runs_scripts(script: &Script) -> bool {
    let of_system = ["/bin/", "/sbin/", "/usr/"];
    script.simple_commands().into_iter().any(|(_, simple)| match simple.name() {
        None => !simple.words.is_empty(),
        Some("make" | "ansible-playbook" | "." | "source" | "eval") => true,
        Some("sh" | "bash" | "dash") => {
            simple.arguments().first().is_none_or(|word| word.literal().is_none_or(|word| word != "-c"))
        }
        Some(name) => {
            name.ends_with(".sh") || (name.contains('/') && !of_system.iter().any(|folder| name.starts_with(folder)))
        }
    })
}

/// Whether a word calls the manager.
fn is_program(manager: Manager, word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    match manager {
        Manager::Maven => matches!(name, "mvn" | "mvnw"),
        Manager::Gradle => matches!(name, "gradle" | "gradlew"),
        Manager::Go => name == "go",
        Manager::Cargo => name == "cargo",
        Manager::Npm => name == "npm",
        Manager::Yarn => name == "yarn",
        _ => false,
    }
}

/// Whether a path is a folder or something below it.
pub(crate) fn is_within(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether an instruction copies one of the folders out of another stage.
fn copies(unit: &SourceUnit<'_>, instruction: &Instruction, folders: &[&str]) -> bool {
    let body = instruction.body.effective();
    let has = |word: &str| word.starts_with(['$', '"', '*']) || folders.iter().any(|folder| is_within(folder, word));
    body.kind == Kind::Copy
        && body.flag("from").is_some()
        && match &body.arguments {
            Arguments::Words(words) => words.iter().rev().skip(1).any(|word| has(unit.tree.part(instruction, *word))),
            Arguments::Json(strings) => strings.iter().rev().skip(1).any(|string| has(&string.value)),
            _ => false,
        }
}

/// Whether a command that works on whole folders may reach one of the caches.
pub(crate) fn reaches(unit: &SourceUnit<'_>, at: usize, script: &Script, folders: &[&str]) -> bool {
    let sweeps = ["rm", "find", "chown", "chmod", "chgrp", "cp", "mv", "tar", "rsync", "rmdir", "ln", "du", "mount"];
    let within_directory = match &unit.settings(at).workdir {
        Setting::Known(path) => &**path != "/" && folders.iter().any(|folder| is_within(folder, path)),
        _ => false,
    };
    script.simple_commands().into_iter().any(|(_, simple)| {
        let is_sweep = simple.name().is_none_or(|name| sweeps.contains(&name) || matches!(name, "sudo" | "xargs"));
        is_sweep
            && simple.arguments().iter().any(|word| {
                let text = word.text(&script.text).trim_matches(['"', '\'']);
                let start = text.find(['*', '?', '[', '$', '`', '{', '~']).unwrap_or(text.len());
                let known = &text[..start];
                let is_home = text.starts_with(['~', '$', '`']);
                let is_here = !text.starts_with(['/', '-']) && within_directory;
                let covers = |folder: &&str| folder.starts_with(known) || is_within(known, folder);
                is_home || is_here || (known.starts_with('/') && folders.iter().any(covers))
            })
    })
}
