//! The simple commands of a shell text, with what package managers among them are told.

use jettison_syntax::Span;
use jettison_syntax::packages::{self, Argument, PackageCommand};
use jettison_syntax::shell::{Command, Script, Simple, WordPartKind};

/// A simple command.
pub(crate) struct Call<'s> {
    /// With its redirects.
    pub(crate) command: &'s Command,
    /// Its words.
    pub(crate) simple: &'s Simple,
    /// What it tells a package manager, where it calls one.
    pub(crate) package: Option<PackageCommand>,
}

/// Programs that run the words behind them.
const PREFIXES: [&str; 5] = ["sudo", "command", "exec", "nice", "time"];

/// Programs that run what a file, a project or a text holds.
const RUNNERS: [&str; 24] = [
    ".",
    "source",
    "eval",
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "su",
    "gosu",
    "make",
    "cmake",
    "ninja",
    "rake",
    "ansible-playbook",
    "puppet",
    "chef-client",
    "python",
    "python2",
    "python3",
    "perl",
    "ruby",
    "node",
    "npx",
];

/// All simple commands, in order.
pub(crate) fn calls(script: &Script) -> Vec<Call<'_>> {
    let call = |(command, simple)| Call { command, simple, package: package_command(simple) };
    let mut calls: Vec<Call<'_>> = script.simple_commands().into_iter().map(call).collect();
    calls.sort_by_key(|call| call.command.span);
    calls
}

fn package_command(simple: &Simple) -> Option<PackageCommand> {
    let values: Vec<_> = simple.words.iter().map(|word| (word.literal(), word.span)).collect();
    let words: Vec<Argument<'_>> =
        values.iter().map(|(value, span)| Argument { value: value.as_deref(), span: *span }).collect();
    packages::read(&words)
}

impl Call<'_> {
    /// Its place in the shell text.
    pub(crate) fn span(&self) -> Span {
        self.command.span
    }

    /// The program, as written, and its words, without what only runs them, such as `sudo`.
    pub(crate) fn program(&self) -> Option<(&str, &[jettison_syntax::shell::Word])> {
        let mut words = &self.simple.words[..];
        loop {
            let (first, rest) = words.split_first()?;
            let [part] = &first.parts[..] else { return None };
            let WordPartKind::Literal(name) = &part.kind else { return None };
            let is_prefix = PREFIXES.contains(&name.as_str());
            let is_option = name.starts_with('-') && words.len() < self.simple.words.len();
            if !is_prefix && !is_option {
                return Some((name, rest));
            }
            words = rest;
        }
    }

    /// Whether it runs something whose text is not at hand: a script, a project's build, a text in a word.
    pub(crate) fn is_opaque(&self) -> bool {
        if self.package.is_some() || self.simple.words.is_empty() {
            return false;
        }
        let Some((program, _)) = self.program() else { return true };
        let name = program.rsplit('/').next().unwrap_or_default();
        let is_of_system =
            ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"].iter().any(|folder| program.starts_with(folder));
        RUNNERS.contains(&name) || name.ends_with(".sh") || (program.contains('/') && !is_of_system)
    }

    /// Whether any of the words holds the text.
    pub(crate) fn mentions(&self, script: &Script, text: &str) -> bool {
        self.simple.words.iter().any(|word| word.text(&script.text).contains(text))
    }
}
