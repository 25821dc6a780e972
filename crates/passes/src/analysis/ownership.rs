//! The commands `chown` and `chmod`: what they set, and on what.

use jettison_ir::source::SourceUnit;
use jettison_syntax::Span;
use jettison_syntax::shell::{Simple, Word, WordPartKind};

use super::places::absolute;

/// What a command changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// The owner, as `--chown` takes it; the group is left out where the command leaves it as it is.
    Owner {
        /// The user.
        user: String,
        /// The group.
        group: Option<String>,
        /// Variables that stand in one of them.
        variables: Vec<String>,
    },
    /// The permission bits.
    Mode {
        /// As they are written.
        text: String,
        /// Their value.
        bits: u32,
    },
    /// More permission bits, besides those that are set already.
    Adds {
        /// These.
        bits: u32,
    },
}

/// A `chown` or `chmod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// What it sets.
    pub(crate) setting: Setting,
    /// The option that makes it descend, and the text without that option.
    pub(crate) recursion: Option<(Span, String)>,
    /// What it is done to, as absolute paths where they are known, with their places in the shell text.
    pub(crate) operands: Vec<(Option<String>, Span)>,
}

/// Why such a command is not one that an instruction can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The short name of the reason.
    pub(crate) code: &'static str,
    /// The reason.
    pub(crate) reason: &'static str,
}

const OPTIONS: Refusal = Refusal { code: "options", reason: "an option of the command has no counterpart in COPY" };
/// That a mode is not a number.
pub(crate) const SYMBOLIC: Refusal = Refusal {
    code: "symbolic-mode",
    reason: "only frontends from 1.14 on take a symbolic mode in --chmod, and the octal one is not known here",
};
const OWNER: Refusal = Refusal {
    code: "owner-form",
    reason: "--chown takes a user and a group, and the command names the owner in a way that says something else",
};

/// Variables that shells set themselves, whatever the Dockerfile says.
const SET_BY_SHELLS: [&str; 12] =
    ["UID", "EUID", "GID", "PPID", "GROUPS", "RANDOM", "SECONDS", "PWD", "OLDPWD", "HOSTNAME", "LINENO", "HOME"];

/// Reads a command; none where it is neither `chown` nor `chmod`.
pub(crate) fn read(unit: &SourceUnit<'_>, at: usize, simple: &Simple) -> Option<Result<Change, Refusal>> {
    let name = simple.name()?;
    let is_chown = matches!(name, "chown" | "/bin/chown");
    if !is_chown && !matches!(name, "chmod" | "/bin/chmod") {
        return None;
    }
    Some(read_words(unit, at, simple, is_chown))
}

fn read_words(unit: &SourceUnit<'_>, at: usize, simple: &Simple, is_chown: bool) -> Result<Change, Refusal> {
    let mut recursion = None;
    let mut words: Vec<&Word> = Vec::new();
    for word in simple.arguments() {
        let text = word.literal();
        match text.as_deref() {
            Some("--recursive") => recursion = Some((word.span, String::new())),
            Some(option) if option.len() > 1 && option.starts_with('-') && !is_symbolic_minus(option, is_chown) => {
                if option.starts_with("--") || !option[1..].chars().all(|letter| "Rfvc".contains(letter)) {
                    return Err(OPTIONS);
                }
                if option.contains('R') {
                    let rest = option.replace('R', "");
                    recursion = Some((word.span, if rest == "-" { String::new() } else { rest }));
                }
            }
            _ => words.push(word),
        }
    }
    let Some((value, operands)) = words.split_first() else { return Err(OPTIONS) };
    let setting = if is_chown { owner(value)? } else { mode(value)? };
    if recursion.is_some() && matches!(setting, Setting::Adds { .. }) {
        return Err(SYMBOLIC);
    }
    let operands = operands.iter().map(|word| (path(unit, at, word), word.span)).collect();
    Ok(Change { setting, recursion, operands })
}

/// Whether a word with a dash is a mode such as `-x`.
fn is_symbolic_minus(option: &str, is_chown: bool) -> bool {
    !is_chown && option[1..].chars().all(|letter| "rwxXst".contains(letter))
}

fn mode(word: &Word) -> Result<Setting, Refusal> {
    let text = word.literal().ok_or(SYMBOLIC)?;
    if let Some(bits) = added(&text) {
        return Ok(Setting::Adds { bits });
    }
    let is_octal = (1..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let bits = u32::from_str_radix(&text, 8).ok().filter(|_| is_octal).ok_or(SYMBOLIC)?;
    Ok(Setting::Mode { text: text.into_owned(), bits })
}

/// The bits that a mode such as `+x` or `ug+rx` adds, with the mask that builders run commands with: 022.
fn added(mode: &str) -> Option<u32> {
    let (who, permissions) = mode.split_once('+')?;
    let whose = |letter| match letter {
        'u' => Some(0o700),
        'g' => Some(0o070),
        'o' => Some(0o007),
        'a' => Some(0o777),
        _ => None,
    };
    let what = |letter| match letter {
        'r' => Some(0o444),
        // Who is meant without being named depends on the mask here.
        'w' if !who.is_empty() => Some(0o222),
        'x' => Some(0o111),
        _ => None,
    };
    let all = |letters: &str, bits: &dyn Fn(char) -> Option<u32>| {
        letters.chars().try_fold(0, |sum, letter| Some(sum | bits(letter)?))
    };
    let who = if who.is_empty() { 0o777 } else { all(who, &whose)? };
    Some(who & all(permissions, &what)?).filter(|bits| *bits != 0)
}

fn owner(word: &Word) -> Result<Setting, Refusal> {
    let mut text = String::new();
    let mut variables = Vec::new();
    for part in &word.parts {
        match &part.kind {
            WordPartKind::Literal(literal) => text.push_str(literal),
            WordPartKind::Parameter { name, prefix: None, operator: None, .. }
                if !name.is_empty() && !SET_BY_SHELLS.contains(&name.as_str()) =>
            {
                text.push_str(&format!("${{{name}}}"));
                variables.push(name.clone());
            }
            _ => return Err(OWNER),
        }
    }
    let is_plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-${}".contains(&byte))
    };
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text.as_str(), None),
    };
    if !is_plain(user) || group.is_some_and(|group| !is_plain(group)) {
        return Err(OWNER);
    }
    Ok(Setting::Owner { user: user.to_owned(), group: group.map(str::to_owned), variables })
}

/// The absolute path that a word names, where the Dockerfile alone decides it.
pub(crate) fn path(unit: &SourceUnit<'_>, at: usize, word: &Word) -> Option<String> {
    let mut text = String::new();
    for part in &word.parts {
        match &part.kind {
            WordPartKind::Literal(literal) => text.push_str(literal),
            WordPartKind::Parameter { name, prefix: None, operator: None, .. } => {
                let scope = unit.scope(at);
                let variable = scope.get(name).filter(|variable| variable.is_env)?;
                let value = variable.value.as_deref()?;
                let assigned = unit.script(at)?.variables_assigned().contains(name);
                if assigned || value.contains([' ', '\t', '*', '?', '[']) || SET_BY_SHELLS.contains(&name.as_str()) {
                    return None;
                }
                text.push_str(value);
            }
            _ => return None,
        }
    }
    if text.is_empty() {
        return None;
    }
    absolute(&text, unit.settings(at))
}
