//! What holds at one place of a stage.

use jettison_image::Platform;
use jettison_syntax::dockerfile::{Body, Dockerfile, Flag, Instruction};
use jettison_syntax::expand::Lexer;

use super::error::{PlanErrorKind, value};
use super::global::{self, Variables};
use super::model::Settings;
use super::values::boolean;

/// A stage as far as it was read.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// All variables: those of ENV and ARG.
    pub(super) env: Variables,
    /// The ARGs so far, with their values.
    pub(super) arguments: Vec<(String, Option<String>)>,
    /// The config.
    pub(super) settings: Settings,
    /// The platform.
    pub(super) platform: Platform,
    /// The working directory, absolute.
    pub(super) workdir: String,
    /// Whether a CMD stands in this stage.
    pub(super) has_cmd: bool,
}

impl State {
    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        global::get(&self.env, name).map(str::to_owned)
    }

    /// USER in force.
    pub(super) fn user(&self) -> String {
        self.settings.text("User").to_owned()
    }

    /// The shell form as a command.
    pub(super) fn with_shell(&self, text: &str) -> Vec<String> {
        let mut argv = self.settings.list("Shell");
        if argv.is_empty() {
            argv = vec!["/bin/sh".to_owned(), "-c".to_owned()];
        }
        argv.push(text.to_owned());
        argv
    }
}

/// An instruction in its tree: of the file, or of a trigger.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) tree: &'a Dockerfile,
    pub(super) instruction: &'a Instruction,
    /// The escape character of the file: that of triggers is the file's too.
    pub(super) escape: char,
}

impl<'a> Place<'a> {
    pub(super) fn body(&self) -> &'a Body {
        &self.instruction.body
    }

    pub(super) fn line(&self) -> &'a str {
        self.tree.line(self.instruction)
    }

    /// A word expanded.
    pub(super) fn expand(&self, word: &str, state: &State) -> Result<String, PlanErrorKind> {
        let known = |name: &str| state.variable(name);
        Ok(Lexer::new(self.escape).process_word(word, &known).map_err(|error| error.kind)?.value)
    }

    /// The instruction on one line, its keyword in upper case, variables replaced as the lexer does.
    pub(super) fn shown(&self, text: &str, lexer: &Lexer, state: &State) -> String {
        let known = |name: &str| state.variable(name);
        let text = lexer.process_word(text, &known).map_or_else(|_| text.to_owned(), |expanded| expanded.value);
        match text.find(' ') {
            Some(end) => format!("{}{}", text[..end].to_ascii_uppercase(), &text[end..]),
            None => text.to_ascii_uppercase(),
        }
    }

    /// The value of a flag that can be given once; it has to have one.
    pub(super) fn flag(&self, name: &str) -> Result<Option<&'a str>, PlanErrorKind> {
        let mut found = self.flags(name);
        let Some(flag) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(PlanErrorKind::Combination(format!("duplicate flag specified: {name}")));
        }
        let missing = || PlanErrorKind::Combination(format!("missing a value on flag: {name}"));
        flag.value().map(Some).ok_or_else(missing)
    }

    /// The values of a flag that can be given many times.
    pub(super) fn all(&self, name: &str) -> Result<Vec<&'a str>, PlanErrorKind> {
        let missing = || PlanErrorKind::Combination(format!("missing a value on flag: {name}"));
        self.flags(name).map(|flag| flag.value().ok_or_else(missing)).collect()
    }

    /// A flag that is true or false; `None` where it is not given.
    pub(super) fn switch(&self, name: &str) -> Result<Option<bool>, PlanErrorKind> {
        let mut found = self.flags(name);
        let Some(flag) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(PlanErrorKind::Combination(format!("duplicate flag specified: {name}")));
        }
        match flag.value() {
            None => Ok(Some(true)),
            Some(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "false" => Ok(boolean(&text.to_ascii_lowercase())),
                _ => Err(value(format!("value of --{name}"), text, "it can be true or false")),
            },
        }
    }

    fn flags(&self, name: &str) -> impl Iterator<Item = &'a Flag> {
        let name = name.to_owned();
        self.body().flags.iter().filter(move |flag| flag.name() == name)
    }
}
