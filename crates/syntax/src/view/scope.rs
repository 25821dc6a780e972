//! Variables: which ENV and ARG are in force before an instruction, with their values where those are known.

use std::collections::BTreeMap;

use crate::Span;
use crate::dockerfile::{Arguments, Dockerfile, Kind};
use crate::expand::{self, Lexer};

use super::stages::{Origin, Stage};

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its value, where it does not depend on what only a build knows.
    pub value: Option<String>,
    /// Whether an ENV set it: it stays in the image then.
    pub is_env: bool,
}

/// The variables in force at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    variables: BTreeMap<String, Variable>,
    /// Whether the base image may set more.
    pub has_unknown_base: bool,
}

/// Arguments that builders predefine: their values come from outside.
const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

impl Scope {
    /// The variable of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// Its value, where it is set and known.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|variable| variable.value.as_deref())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.variables.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// Whether it is known what each variable in `word` stands for, also that it is unset.
    #[must_use]
    pub fn knows_all(&self, word: &str, escape: char) -> bool {
        expand::references(word, escape).iter().all(|reference| self.knows(&reference.name))
    }

    fn knows(&self, name: &str) -> bool {
        match self.variables.get(name) {
            Some(variable) => variable.value.is_some(),
            None => !self.has_unknown_base && !PREDEFINED.contains(&name),
        }
    }

    /// A word expanded as the builder does, where all of it is known.
    #[must_use]
    pub fn expand(&self, word: &str, escape: char) -> Option<String> {
        if !word.contains(['$', '"', '\'', escape]) {
            return Some(word.to_owned());
        }
        if !self.knows_all(word, escape) {
            return None;
        }
        let lookup = |name: &str| self.value(name).map(str::to_owned);
        Lexer::new(escape).process_word(word, &lookup).ok().map(|expanded| expanded.value)
    }

    fn set(&mut self, name: String, value: Option<String>, is_env: bool) {
        // An ENV wins over an ARG of the same name, whichever comes first.
        if !is_env && self.variables.get(&name).is_some_and(|variable| variable.is_env) {
            return;
        }
        self.variables.insert(name, Variable { value, is_env });
    }

    fn read(&mut self, tree: &Dockerfile, at: usize, globals: &Self) {
        let instruction = &tree.instructions[at];
        let line = tree.line(instruction);
        match (&instruction.body.arguments, instruction.body.kind) {
            (Arguments::Pairs { pairs, .. }, Kind::Env) => {
                // All values of one instruction see the variables from before it.
                let expand = |span: Span| self.expand(span.of(line), tree.escape);
                let set: Vec<_> = pairs.iter().map(|pair| (expand(pair.name), expand(pair.value))).collect();
                for (name, value) in set {
                    if let Some(name) = name {
                        self.set(name, value, true);
                    }
                }
            }
            (Arguments::Words(words), Kind::Arg) => {
                for word in words {
                    let word = word.of(line);
                    match word.split_once('=') {
                        // The command line can set another value, so the default alone is not known to hold. It is
                        // what the file says, and what anybody who reads it goes by: the caller decides.
                        Some((name, value)) => {
                            let value = self.expand(value, tree.escape);
                            self.set(name.to_owned(), value, false);
                        }
                        None => {
                            let value = globals.value(word).map(str::to_owned);
                            self.set(word.to_owned(), value, false);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// The ARGs before the first FROM, with their defaults.
pub(super) fn globals(tree: &Dockerfile) -> Scope {
    let mut scope = Scope::default();
    for (at, instruction) in tree.instructions.iter().enumerate() {
        match instruction.body.kind {
            Kind::From => break,
            Kind::Arg => scope.read(tree, at, &Scope::default()),
            _ => {}
        }
    }
    scope
}

/// The variables before an instruction.
pub(super) fn before(tree: &Dockerfile, stages: &[Stage], instruction: usize) -> Scope {
    let globals = globals(tree);
    let Some(stage) = stages[..stages.partition_point(|stage| stage.from < instruction)].last() else {
        return globals;
    };
    let mut chain = vec![stage];
    while let Origin::Stage(below) = chain[chain.len() - 1].base {
        chain.push(&stages[below]);
    }
    let mut scope = Scope { has_unknown_base: chain[chain.len() - 1].base != Origin::Scratch, ..Scope::default() };
    for stage in chain.iter().rev() {
        // ARGs end with their stage.
        scope.variables.retain(|_, variable| variable.is_env);
        for at in stage.variables.iter().take_while(|at| **at < instruction) {
            scope.read(tree, *at, &globals);
        }
    }
    scope
}
