//! From a command's words to a [`PackageCommand`]: the program, the verb, then options and packages.

use super::specifier;
use super::table::{Dashes, Description, MANAGERS, Row, Takes};
use super::{Argument, Manager, OptionUse, PackageCommand, Verb, wrapper};
use crate::Span;

/// Reads the words of a simple command, redirections left out. `None` where it calls no known package manager.
#[must_use]
pub fn read(words: &[Argument<'_>]) -> Option<PackageCommand> {
    let (words, adds_words) = wrapper::strip(words)?;
    let (description, used) = find_manager(words)?;
    let name_span = words[0].span.to(words[used - 1].span);
    let words = &words[used..];
    let (row, verb_words) = find_row(description, words);
    let mut reader = Reader {
        description,
        row,
        command: PackageCommand {
            manager: description.manager,
            verb: row.verb,
            options: Vec::new(),
            packages: Vec::new(),
            arguments: Vec::new(),
            unknown: adds_words,
            name_span,
            verb_span: span_of(words, &verb_words),
            project: description.project && !row.outside,
            path_options: description.paths,
        },
    };
    reader.words(words, &verb_words);
    reader.decide_by_flags();
    Some(reader.command)
}

/// The manager, and how many words name it.
fn find_manager(words: &[Argument<'_>]) -> Option<(&'static Description, usize)> {
    let name = wrapper::program(words.first()?.value?)?;
    let described = |name: &str| MANAGERS.iter().copied().flatten().find(|manager| manager.names.contains(&name));
    let unversioned = name.trim_end_matches(|ch: char| ch.is_ascii_digit() || ch == '.');
    if matches!(unversioned, "python" | "pypy") {
        let mut at = 1;
        while let Some(word) = words.get(at)?.value {
            at += 1;
            match word {
                "-m" => {
                    return (words.get(at)?.value? == "pip")
                        .then(|| described("pip"))
                        .flatten()
                        .map(|pip| (pip, at + 1));
                }
                "-mpip" => return described("pip").map(|pip| (pip, at)),
                "-I" | "-E" | "-s" | "-S" | "-u" | "-B" | "-O" | "-OO" => {}
                _ => return None,
            }
        }
        return None;
    }
    let name = if matches!(unversioned, "pip" | "gem") { unversioned } else { name };
    described(name).map(|manager| (manager, 1))
}

/// The row of the verb, and the indices of the words that give it.
fn find_row(description: &'static Description, words: &[Argument<'_>]) -> (Row, Vec<usize>) {
    // Words before the verb that cannot be read are taken for options: `apt-get $OPTIONS install`.
    let mut operands = operands(description, words);
    operands.retain(|index| !words[*index].value.is_some_and(|word| is_selector(description.manager, word)));
    let unread = operands.iter().take_while(|index| words[**index].value.is_none()).count();
    let first = operands.first().copied();
    if unread < operands.len() {
        operands.drain(..unread);
    }
    let matching = description.rows.iter().filter(|row| {
        row.words.len() <= operands.len()
            && (!row.alone || row.words.len() == operands.len())
            && row.words.iter().zip(&operands).all(|(word, index)| words[*index].value == Some(*word))
    });
    if let Some(row) = matching.max_by_key(|row| row.words.len()) {
        return (*row, operands[..row.words.len()].to_vec());
    }
    match description.implied {
        Some(row) if operands.is_empty() || row.takes == Takes::Packages => (row, Vec::new()),
        _ => {
            let verb = if first.is_some_and(|index| words[index].value.is_some()) {
                description.otherwise
            } else {
                Verb::Other
            };
            (Row { verb, ..Row::OTHER }, first.into_iter().collect())
        }
    }
}

/// The indices of the words that are no options and no values of options known before the verb is.
fn operands(description: &Description, words: &[Argument<'_>]) -> Vec<usize> {
    let mut operands = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match words[at].value {
            Some("--") => {
                operands.extend(at + 1..words.len());
                break;
            }
            Some(option) if option.len() > 1 && option.starts_with('-') => {
                if split_option(description.dashes, option, &|name| description.values.contains(&name)).1 {
                    at += 1;
                }
            }
            _ => operands.push(at),
        }
        at += 1;
    }
    operands
}

/// Whether a word chooses which version of the program runs: `cargo +nightly`, `bundle _2.1.4_`.
fn is_selector(manager: Manager, word: &str) -> bool {
    match manager {
        Manager::Cargo => word.starts_with('+'),
        Manager::Bundle | Manager::Gem => word.len() > 2 && word.starts_with('_') && word.ends_with('_'),
        _ => false,
    }
}

fn span_of(words: &[Argument<'_>], indices: &[usize]) -> Option<Span> {
    indices.iter().map(|index| words[*index].span).reduce(Span::to)
}

/// The options in one word, and whether the value of the last is the next word.
fn split_option<'a>(
    dashes: Dashes,
    word: &'a str,
    takes_value: &dyn Fn(&str) -> bool,
) -> (Vec<(String, Option<&'a str>)>, bool) {
    let whole = |word: &'a str| match word.split_once('=') {
        Some((name, value)) => (vec![(name.to_owned(), Some(value))], false),
        None => (vec![(word.to_owned(), None)], takes_value(word)),
    };
    if word.starts_with("--") {
        return whole(word);
    }
    if dashes == Dashes::Words {
        // Java's properties and profiles have their value attached.
        for attached in ["-D", "-P"] {
            if let Some(value) = word.strip_prefix(attached).filter(|value| !value.is_empty())
                && takes_value(attached)
            {
                return (vec![(attached.to_owned(), Some(value))], false);
            }
        }
        return whole(word);
    }
    let mut options: Vec<(String, Option<&str>)> = Vec::new();
    for (at, letter) in word.char_indices().skip(1) {
        if letter == '=' {
            if let Some(last) = options.last_mut() {
                last.1 = Some(&word[at + 1..]);
            }
            return (options, false);
        }
        let name = format!("-{letter}");
        let rest = &word[at + letter.len_utf8()..];
        if takes_value(&name) {
            let value = rest.strip_prefix('=').unwrap_or(rest);
            options.push((name, (!rest.is_empty()).then_some(value)));
            return (options, rest.is_empty());
        }
        options.push((name, None));
    }
    (options, false)
}

struct Reader {
    description: &'static Description,
    row: Row,
    command: PackageCommand,
}

impl Reader {
    fn words(&mut self, words: &[Argument<'_>], verb_words: &[usize]) {
        let verb_at = verb_words.last().copied();
        let mut options_ended = false;
        let mut at = 0;
        while at < words.len() {
            let word = words[at];
            let is_verb = verb_words.contains(&at);
            at += 1;
            match word.value {
                _ if is_verb => {
                    // A verb that cannot be read may stand for anything.
                    self.command.unknown |= word.value.is_none();
                }
                Some("--") if !options_ended => options_ended = true,
                Some(option) if !options_ended && option.len() > 1 && option.starts_with('-') => {
                    let behind_verb = verb_at.is_none_or(|verb| at > verb);
                    let takes_value = |name: &str| {
                        self.description.values.contains(&name) || (behind_verb && self.row.values.contains(&name))
                    };
                    let (options, takes_next) = split_option(self.description.dashes, option, &takes_value);
                    self.options(options, word.span);
                    if takes_next {
                        self.next_value(words.get(at));
                        at += 1;
                    }
                }
                Some(operand) => self.operand(operand, word.span),
                None => self.command.unknown = true,
            }
        }
    }

    fn options(&mut self, options: Vec<(String, Option<&str>)>, span: Span) {
        self.command.options.extend(options.into_iter().map(|(name, value)| OptionUse {
            name,
            value: value.map(str::to_owned),
            span,
        }));
    }

    fn next_value(&mut self, word: Option<&Argument<'_>>) {
        let (Some(option), Some(word)) = (self.command.options.last_mut(), word) else { return };
        option.value = word.value.map(str::to_owned);
        option.span = option.span.to(word.span);
        self.command.unknown |= word.value.is_none();
    }

    fn operand(&mut self, word: &str, span: Span) {
        let style = self.description.style;
        let arguments = &mut self.command.arguments;
        match self.row.takes {
            _ if is_selector(self.description.manager, word) => arguments.push((word.to_owned(), span)),
            // Settings, such as `/p:Name=value` for MSBuild.
            Takes::Files if word.contains('=') => arguments.push((word.to_owned(), span)),
            Takes::Packages => self.command.packages.push(specifier::package(style, word, span)),
            Takes::Files => {
                let mut package = specifier::package(super::specifier::Style::Plain, word, span);
                package.is_file = true;
                self.command.packages.push(package);
            }
            Takes::Words => arguments.push((word.to_owned(), span)),
            // The second word of `luarocks install name version`.
            Takes::NameAndVersion => match self.command.packages.last_mut() {
                Some(package) => package.version = Some(word.to_owned()),
                None => self.command.packages.push(specifier::package(style, word, span)),
            },
        }
    }

    /// Managers whose verb is an option, such as `pacman -S`.
    fn decide_by_flags(&mut self) {
        let command = &mut self.command;
        for flags in self.description.flags {
            let used = |names: &&[&str]| command.options.iter().find(|option| names.contains(&option.name.as_str()));
            if !flags.all.iter().all(|names| used(names).is_some()) {
                continue;
            }
            command.verb_span = flags.all.first().and_then(used).map(|option| option.span);
            let named = !command.packages.is_empty() || command.unknown;
            command.verb = if named { flags.with_packages } else { flags.verb };
            return;
        }
    }
}
