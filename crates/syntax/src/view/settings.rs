//! User, working directory and shell before each instruction.

use std::sync::Arc;

use crate::dockerfile::{Arguments, Dockerfile, Kind};
use crate::path;
use crate::shell::Dialect;

use super::scope;
use super::stages::{Origin, Stage};

/// A setting at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Setting {
    /// As the base image has it.
    #[default]
    Base,
    /// This.
    Known(Arc<str>),
    /// Set to something that depends on what only a build knows.
    Unknown,
}

impl Setting {
    /// The value, where it is known.
    #[must_use]
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }
}

/// What is in force before an instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The user.
    pub user: Setting,
    /// The working directory, absolute.
    pub workdir: Setting,
    /// The shell of shell forms.
    pub shell: ShellForm,
}

/// A shell, as SHELL sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellForm {
    /// Its words; the command is appended.
    pub argv: Arc<[String]>,
    /// Whether a SHELL instruction of the file set it.
    pub is_set: bool,
    /// The language that it reads; none for `cmd`, PowerShell and unknown ones.
    pub dialect: Option<Dialect>,
}

impl Default for ShellForm {
    fn default() -> Self {
        Self { argv: ["/bin/sh".to_owned(), "-c".to_owned()].into(), is_set: false, dialect: Some(Dialect::Sh) }
    }
}

impl ShellForm {
    fn of(argv: Vec<String>) -> Self {
        let program = argv.first().map_or("", String::as_str);
        let dialect = match program.rsplit(['/', '\\']).next().unwrap_or_default() {
            "sh" | "dash" | "ash" => Some(Dialect::Sh),
            "bash" => Some(Dialect::Bash),
            _ => None,
        };
        let dialect = dialect.filter(|_| takes_script(&argv[1..]));
        Self { argv: argv.into(), is_set: true, dialect }
    }

    fn windows() -> Self {
        Self { argv: ["cmd".to_owned(), "/S".to_owned(), "/C".to_owned()].into(), is_set: false, dialect: None }
    }

    /// Whether the shell is started with an option, as in `-eo pipefail`.
    #[must_use]
    pub fn has_option(&self, letter: char) -> bool {
        let options = self.argv.iter().skip(1).filter(|word| word.starts_with('-') && !word.starts_with("--"));
        let long = letter == 'e' && self.argv.iter().any(|word| word == "errexit");
        long || options.into_iter().any(|word| word.contains(letter))
    }
}

/// Whether a shell's options make it run the word behind them as its script: there is `-c`, and nothing but options,
/// and the names that `-o` takes.
fn takes_script(options: &[String]) -> bool {
    let is_option = |word: &str| word.starts_with(['-', '+']) && word.len() > 1;
    let is_name = |at: usize| at > 0 && is_option(&options[at - 1]) && options[at - 1].ends_with(['o', 'O']);
    let has_script = options.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('c'));
    has_script && (0..options.len()).all(|at| is_option(&options[at]) || is_name(at))
}

/// The settings before each instruction, and at the end of each stage.
pub(super) fn read(tree: &Dockerfile, stages: &[Stage]) -> (Vec<Settings>, Vec<Settings>) {
    let mut all: Vec<Settings> = Vec::with_capacity(tree.instructions.len());
    let mut current = Settings::default();
    let mut ends: Vec<Settings> = Vec::with_capacity(stages.len());
    let mut next_stage = 0;
    for at in 0..tree.instructions.len() {
        all.push(current.clone());
        if stages.get(next_stage).is_some_and(|stage| stage.from == at) {
            if next_stage > 0 {
                ends.push(current);
            }
            current = first(&stages[next_stage], &ends);
            next_stage += 1;
        } else {
            apply(tree, stages, at, &mut current);
        }
    }
    ends.push(current);
    (all, ends)
}

/// Brings the settings from before an instruction to those after it.
fn apply(tree: &Dockerfile, stages: &[Stage], at: usize, current: &mut Settings) {
    let instruction = &tree.instructions[at];
    let line = tree.line(instruction);
    match (&instruction.body.arguments, instruction.body.kind) {
        (Arguments::Text(span), Kind::User) => {
            current.user = setting(expanded(tree, stages, at, span.of(line)));
        }
        (Arguments::Text(span), Kind::Workdir) => {
            let value = expanded(tree, stages, at, span.of(line));
            current.workdir = value.map_or(Setting::Unknown, |value| moved(&current.workdir, &value));
        }
        (Arguments::Json(strings), Kind::Shell) => {
            current.shell = ShellForm::of(strings.iter().map(|string| string.value.clone()).collect());
        }
        _ => {}
    }
}

fn first(stage: &Stage, ends: &[Settings]) -> Settings {
    match &stage.base {
        Origin::Stage(below) => {
            let mut settings = ends.get(*below).cloned().unwrap_or_default();
            // SHELL is part of the image that a stage inherits.
            settings.shell.is_set = true;
            settings
        }
        Origin::Scratch => {
            Settings { user: Setting::Known("0".into()), workdir: Setting::Known("/".into()), ..Settings::default() }
        }
        Origin::Image(image) if is_windows(image) => Settings { shell: ShellForm::windows(), ..Settings::default() },
        _ => Settings::default(),
    }
}

/// Whether an image's name says that it holds Windows.
fn is_windows(image: &str) -> bool {
    ["windows", "nanoserver", "servercore", "nano-server"].iter().any(|word| image.contains(word))
}

/// A word as it stands before an instruction; variables are looked up only where it has any.
fn expanded(tree: &Dockerfile, stages: &[Stage], at: usize, word: &str) -> Option<String> {
    let scope = if word.contains('$') { scope::before(tree, stages, at) } else { scope::Scope::default() };
    scope.expand(word, tree.escape)
}

fn setting(value: Option<String>) -> Setting {
    value.map_or(Setting::Unknown, |value| Setting::Known(value.into()))
}

/// The working directory after a WORKDIR.
fn moved(from: &Setting, to: &str) -> Setting {
    if to.starts_with('/') {
        return Setting::Known(path::clean(to).into());
    }
    // A drive letter: a Windows path, which is kept as written.
    if to.contains([':', '\\']) {
        return Setting::Known(to.into());
    }
    match from {
        Setting::Known(from) => Setting::Known(path::clean(&format!("{from}/{to}")).into()),
        _ => Setting::Unknown,
    }
}
