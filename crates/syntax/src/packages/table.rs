//! What each package manager understands: programs, verbs, options with values, options with paths. One row a verb; a
//! manager is added here and nowhere else.

mod languages;
mod node;
mod python;
mod system;

use super::specifier::Style;
use super::{Manager, Verb};

/// What the words behind a verb are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Packages.
    Packages,
    /// Files.
    Files,
    /// Anything else.
    Words,
    /// One package, then its version.
    NameAndVersion,
}

/// How words with one dash are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dashes {
    /// Each letter is an option.
    Letters,
    /// The word is an option.
    Words,
}

/// A verb.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The words that say it.
    pub(super) words: &'static [&'static str],
    pub(super) verb: Verb,
    pub(super) takes: Takes,
    /// Options of this verb whose value is the next word.
    pub(super) values: &'static [&'static str],
    /// Whether it leaves the project in the working directory alone.
    pub(super) outside: bool,
    /// Whether nothing may follow.
    pub(super) alone: bool,
}

impl Row {
    /// A verb that is not known.
    pub(super) const OTHER: Self = words(&[], Verb::Other);

    const fn values(self, values: &'static [&'static str]) -> Self {
        Self { values, ..self }
    }

    const fn outside(self) -> Self {
        Self { outside: true, ..self }
    }

    const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }
}

/// A verb that is said by options.
pub(super) struct Flags {
    /// One of each of these is used; the first group gives the verb's place.
    pub(super) all: &'static [&'static [&'static str]],
    /// The verb without packages.
    pub(super) verb: Verb,
    /// The verb with packages.
    pub(super) with_packages: Verb,
}

/// A manager.
pub(super) struct Description {
    pub(super) manager: Manager,
    /// The programs, without versions in the name.
    pub(super) names: &'static [&'static str],
    pub(super) style: Style,
    pub(super) dashes: Dashes,
    /// Whether it works on the project in the working directory.
    pub(super) project: bool,
    pub(super) rows: &'static [Row],
    pub(super) flags: &'static [Flags],
    /// The verb where no word gives one; with packages, also where the first word is no verb.
    pub(super) implied: Option<Row>,
    /// The verb of words that are in no row.
    pub(super) otherwise: Verb,
    /// Options of all verbs whose value is the next word.
    pub(super) values: &'static [&'static str],
    /// Options whose value is a path.
    pub(super) paths: &'static [&'static str],
}

/// A verb followed by packages.
const fn on(words: &'static [&'static str], verb: Verb) -> Row {
    Row { words, verb, takes: Takes::Packages, values: &[], outside: false, alone: false }
}

/// A verb followed by words that are no packages.
const fn words(words: &'static [&'static str], verb: Verb) -> Row {
    Row { takes: Takes::Words, ..on(words, verb) }
}

/// A manager that takes nothing from the working directory.
const fn installer(
    manager: Manager,
    names: &'static [&'static str],
    style: Style,
    rows: &'static [Row],
) -> Description {
    Description {
        manager,
        names,
        style,
        dashes: Dashes::Letters,
        project: false,
        rows,
        flags: &[],
        implied: None,
        otherwise: Verb::Other,
        values: &[],
        paths: &[],
    }
}

/// A manager of the project in the working directory.
const fn project(manager: Manager, names: &'static [&'static str], style: Style, rows: &'static [Row]) -> Description {
    Description { project: true, ..installer(manager, names, style, rows) }
}

const fn flags(all: &'static [&'static [&'static str]], verb: Verb, with_packages: Verb) -> Flags {
    Flags { all, verb, with_packages }
}

/// All managers, by family.
pub(super) const MANAGERS: &[&[Description]] =
    &[system::MANAGERS, python::MANAGERS, node::MANAGERS, languages::MANAGERS];
