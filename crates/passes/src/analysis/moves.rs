//! Which instructions can change places with a RUN, and what a RUN needs then to mean the same.

use jettison_ir::source::{SourceUnit, TextEdit};
use jettison_syntax::Span;
use jettison_syntax::dockerfile::{Arguments, Instruction, Kind};
use jettison_syntax::expand;
use jettison_syntax::path::absolute;
use jettison_syntax::shell::{Command, CommandKind, Operator, Script, Word, quote};
use jettison_syntax::view::Scope;

use super::bases;
use super::effects::Effects;
use super::places::{exists, lineage, parent};
use super::state;

/// Whether an instruction of that kind may change places with a RUN at all.
pub(crate) fn is_movable(kind: Kind) -> bool {
    is_setting(kind) || matches!(kind, Kind::Copy | Kind::Add | Kind::Workdir | Kind::Env | Kind::Arg)
}

/// Settings of the image that no command sees while it is built.
pub(crate) fn is_setting(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Label
            | Kind::Expose
            | Kind::Cmd
            | Kind::Entrypoint
            | Kind::Healthcheck
            | Kind::Stopsignal
            | Kind::Maintainer
            | Kind::Onbuild
    )
}

/// Whether `later` may mean something else without `earlier` before it.
pub(crate) fn depends(unit: &SourceUnit<'_>, earlier: usize, later: usize) -> bool {
    let (a, b) = (unit.kind(earlier), unit.kind(later));
    let text = unit.tree.line(unit.instruction(later));
    let sets = matches!(a, Kind::Env | Kind::Arg);
    let files = |kind| matches!(kind, Kind::Copy | Kind::Add | Kind::Workdir);
    (sets && (text.contains('$') || matches!(b, Kind::Env | Kind::Arg)))
        || (files(a) && files(b))
        || (is_setting(a) && a == b)
        || (matches!(a, Kind::Cmd | Kind::Entrypoint) && matches!(b, Kind::Cmd | Kind::Entrypoint))
        || a == Kind::Onbuild
}

/// Why an instruction cannot go above a RUN.
pub(crate) fn up(
    unit: &SourceUnit<'_>,
    at: usize,
    run: usize,
    effects: &Result<Effects, String>,
) -> Result<(), String> {
    let kind = unit.kind(at);
    if is_setting(kind) {
        return Ok(());
    }
    // A WORKDIR that changes nothing can stand anywhere.
    if kind == Kind::Workdir
        && workdir(unit, at).as_deref() == bases::directory(unit, run)
        && bases::directory(unit, run).is_some()
    {
        return Ok(());
    }
    let effects = effects.as_ref().map_err(Clone::clone)?;
    match kind {
        Kind::Copy | Kind::Add => {
            let target = target(unit, at)?;
            if names_an_owner(unit.instruction(at)) && effects.may_make_owners() {
                return Err("its owner may be made by the command".to_owned());
            }
            stands_against_copy(unit, run, &target, effects).map_or(Ok(()), Err)
        }
        Kind::Workdir => {
            if effects.uses_directory {
                return Err("the command depends on its directory".to_owned());
            }
            if !bases::is_root(unit, at) {
                return Err("it is not known to run as root".to_owned());
            }
            let Some(target) = workdir(unit, at) else { return Err("its directory is not known".to_owned()) };
            effects.stands_against_path(&target).map_or(Ok(()), Err)
        }
        Kind::Env | Kind::Arg => {
            let names = names(unit, at);
            names.iter().find_map(|name| effects.stands_against_variable(name)).map_or(Ok(()), Err)
        }
        other => Err(format!("{} cannot be moved", other.keyword())),
    }
}

/// Where an instruction goes.
pub(crate) enum Way {
    /// Above the first RUN.
    Up,
    /// Below the second one, which gets this in front of its commands.
    Down(String),
}

/// Leaves out what a RUN would need for an ENV whose names a later one sets again, before any value refers to them.
pub(crate) fn drop_replaced(unit: &SourceUnit<'_>, ways: &mut [(usize, Way)]) {
    for at in 0..ways.len() {
        if unit.kind(ways[at].0) != Kind::Env {
            continue;
        }
        let mut open = names(unit, ways[at].0);
        for (later, _) in ways[at + 1..].iter().filter(|(later, _)| unit.kind(*later) == Kind::Env) {
            let line = unit.tree.line(unit.instruction(*later));
            let refers =
                expand::references(line, unit.tree.escape).iter().any(|reference| open.contains(&reference.name));
            if refers {
                break;
            }
            let set = names(unit, *later);
            open.retain(|name| !set.contains(name));
        }
        if open.is_empty()
            && let Way::Down(prefix) = &mut ways[at].1
        {
            prefix.clear();
        }
    }
}

/// What a RUN needs in front of its commands when an instruction before it goes below it.
pub(crate) struct Down {
    /// And-list items, each with ` && ` behind it.
    pub(crate) prefix: String,
}

/// What it takes for an instruction to go below a RUN, or why it cannot.
pub(crate) fn down(
    unit: &SourceUnit<'_>,
    at: usize,
    run: usize,
    effects: &Result<Effects, String>,
) -> Result<Down, String> {
    let nothing = Down { prefix: String::new() };
    let kind = unit.kind(at);
    if matches!(kind, Kind::Workdir | Kind::Env) && !unit.instruction(run).body.flags.is_empty() {
        return Err("the flags of the RUN may depend on it".to_owned());
    }
    match kind {
        kind if is_setting(kind) => Ok(nothing),
        Kind::Workdir => {
            let Some(path) = workdir(unit, at) else { return Err("its directory is not known".to_owned()) };
            if !bases::is_root(unit, at) {
                return Err("it is not known to run as root, which makes directories for it".to_owned());
            }
            let Some(script) = unit.script(run) else { return Err("the command is not read".to_owned()) };
            let read = script.variables_read();
            if read.contains("OLDPWD") || script.text.contains("cd -") {
                return Err("the command asks for the directory before".to_owned());
            }
            // A directory reached through a link is another one for `..` and `pwd`: -P follows links as a builder does.
            let physical = if script.text.contains("..") || read.contains("PWD") || script.text.contains("pwd") {
                "-P "
            } else {
                ""
            };
            let word = quote(&path);
            let made = if is_made(unit, at, run, &path) { String::new() } else { format!("mkdir -p {word} && ") };
            Ok(Down { prefix: format!("{made}cd {physical}{word} && ") })
        }
        Kind::Env => exported(unit, at).map(|prefix| Down { prefix }),
        Kind::Copy | Kind::Add => {
            let effects = effects.as_ref().map_err(Clone::clone)?;
            let target = target(unit, at)?;
            if names_an_owner(unit.instruction(at)) {
                return Err("its owner may be made by the command".to_owned());
            }
            stands_against_copy(unit, at, &target, effects).map_or(Ok(nothing), Err)
        }
        other => Err(format!("the command may read what {} sets", other.keyword())),
    }
}

/// Why something that is copied to `target` cannot change places with the command: also what the command does below a
/// folder that the copying makes on the way, unless that is there `before`.
fn stands_against_copy(unit: &SourceUnit<'_>, before: usize, target: &str, effects: &Effects) -> Option<String> {
    let lineage = lineage(unit, before);
    let mut folder = parent(target);
    let mut reason = effects.stands_against_path(target);
    while reason.is_none() && !exists(unit, folder, &lineage) {
        reason = effects.stands_against_path(folder).map(|reason| format!("{folder} is made there, and {reason}"));
        folder = parent(folder);
    }
    reason
}

/// Whether a directory is there before `run`, because a plain `mkdir` of a RUN before it or a WORKDIR made it.
pub(crate) fn is_made(unit: &SourceUnit<'_>, at: usize, run: usize, path: &str) -> bool {
    let Some(stage) = unit.outline.stage_of(at) else { return false };
    let before = |other: usize| match unit.kind(other) {
        Kind::Workdir => other != at && workdir(unit, other).as_deref() == Some(path),
        Kind::Run => unit.script(other).is_some_and(|script| makes(script, bases::directory(unit, other), path)),
        _ => false,
    };
    let maker = (stage.from + 1..run).rev().find(|other| before(*other));
    // Nothing may have taken it away since.
    maker.is_some_and(|maker| {
        (maker..run).filter(|other| unit.kind(*other) == Kind::Run).all(|other| {
            unit.script(other)
                .is_some_and(|script| super::directories::removed(unit, other, script, Some(path)).is_none())
        })
    })
}

/// Whether a script cannot end well without having made a directory: its and-list has a `mkdir` of it.
fn makes(script: &Script, directory: Option<&str>, path: &str) -> bool {
    let [item] = &script.body.items[..] else { return false };
    if item.and_or.rest.iter().any(|(operator, _, _)| *operator != Operator::And) {
        return false;
    }
    let is_path = |word: &Word| word.literal().and_then(|word| absolute(&word, directory)).as_deref() == Some(path);
    state::steps(script).into_iter().any(|step| match &step.commands[..] {
        [Command { kind: CommandKind::Simple(simple), .. }] => {
            simple.name() == Some("mkdir") && simple.arguments().iter().any(is_path)
        }
        _ => false,
    })
}

/// The directory that a WORKDIR leads to.
pub(crate) fn workdir(unit: &SourceUnit<'_>, at: usize) -> Option<String> {
    let instruction = unit.instruction(at);
    let Arguments::Text(span) = instruction.body.arguments else { return None };
    let word = unit.expand(at, unit.tree.part(instruction, span))?;
    if word.contains([':', '\\']) {
        return None;
    }
    absolute(&word, bases::directory(unit, at))
}

/// Where COPY or ADD writes: the destination, below which its sources come.
pub(crate) fn target(unit: &SourceUnit<'_>, at: usize) -> Result<String, String> {
    let instruction = unit.instruction(at);
    if !instruction.heredocs.is_empty() {
        return Err("it writes heredocs".to_owned());
    }
    let word = match &instruction.body.arguments {
        Arguments::Words(words) => words.last().map(|word| unit.tree.part(instruction, *word).to_owned()),
        Arguments::Json(strings) => strings.last().map(|string| string.value.clone()),
        _ => None,
    };
    let known = word.and_then(|word| unit.expand(at, &word));
    let Some(word) = known else { return Err("its destination depends on a variable".to_owned()) };
    absolute(&word, bases::directory(unit, at))
        .ok_or_else(|| "its destination is relative to a directory that is not known".to_owned())
}

/// Whether COPY or ADD has an owner by name, which is looked up when it runs.
pub(crate) fn names_an_owner(instruction: &Instruction) -> bool {
    let owner = instruction.body.flag("chown").and_then(|flag| flag.value());
    owner.is_some_and(|owner| !owner.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'))
}

/// The names that ENV or ARG sets.
pub(crate) fn names(unit: &SourceUnit<'_>, at: usize) -> Vec<String> {
    let instruction = unit.instruction(at);
    let part = |span| unit.tree.part(instruction, span);
    match &instruction.body.arguments {
        Arguments::Pairs { pairs, .. } => pairs.iter().map(|pair| part(pair.name).to_owned()).collect(),
        Arguments::Words(words) => {
            words.iter().map(|word| part(*word).split('=').next().unwrap_or_default().to_owned()).collect()
        }
        _ => Vec::new(),
    }
}

/// Variables that shells treat in their own way, so that `export` is not the same as being started with them.
const SHELL_VARIABLES: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "EUID",
    "GROUPS",
    "HISTFILE",
    "IFS",
    "LINENO",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "POSIXLY_CORRECT",
    "PPID",
    "PS1",
    "PS2",
    "PS4",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "UID",
    "_",
];

/// Variables that a runtime or a shell sets by itself: a builder does not see them in `ENV`.
const RUNTIME_VARIABLES: &[&str] =
    &["HOME", "HOSTNAME", "TERM", "USER", "LOGNAME", "SHELL", "MAIL", "LINES", "COLUMNS"];

/// An ENV as `export`, with values that shells read as builders do.
fn exported(unit: &SourceUnit<'_>, at: usize) -> Result<String, String> {
    let instruction = unit.instruction(at);
    let Arguments::Pairs { pairs, .. } = &instruction.body.arguments else {
        return Err("it has no pairs".to_owned());
    };
    let has_references = unit.tree.line(instruction).contains('$');
    let scope = if has_references { unit.scope(at) } else { Scope::default() };
    let names: Vec<&str> = pairs.iter().map(|pair| unit.tree.part(instruction, pair.name)).collect();
    let mut words = Vec::new();
    for pair in pairs {
        let name = unit.tree.part(instruction, pair.name);
        let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || SHELL_VARIABLES.contains(&name) || name.starts_with("BASH") {
            return Err(format!("shells treat {name} in their own way"));
        }
        let value = unit.tree.part(instruction, pair.value);
        let references = expand::references(value, unit.tree.escape);
        if references.is_empty() {
            let Some(literal) = expand::literal(value, unit.tree.escape) else {
                return Err(format!("the value of {name} is not read"));
            };
            words.push(format!("{name}={}", quote(&literal)));
            continue;
        }
        // Only plain references, in a value that a shell reads in double quotes as a builder does without.
        let plain = value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value);
        if plain.contains(['"', '\'', '\\', '`', '\n']) {
            return Err(format!("builders and shells read the value of {name} differently"));
        }
        for reference in &references {
            let own = &reference.name;
            let is_known = scope.get(own).is_some_and(|variable| variable.is_env) || own == "PATH";
            let other =
                SHELL_VARIABLES.contains(&own.as_str()) || (RUNTIME_VARIABLES.contains(&own.as_str()) && !is_known);
            let positional = own.starts_with(|c: char| !c.is_ascii_alphabetic() && c != '_');
            if reference.modifier.is_some() || other || positional {
                return Err(format!("${own} in the value of {name} may be another one for a shell"));
            }
            if !is_known && scope.get(own).is_some() {
                return Err(format!("${own} is a build argument"));
            }
        }
        words.push(format!("{name}=\"{plain}\""));
    }
    if names.contains(&"PATH") && unit.settings(at).shell.dialect.is_none() {
        return Err("the shell is not read".to_owned());
    }
    Ok(format!("export {} && ", words.join(" ")))
}

/// The edits that put and-list items in front of a RUN's commands.
pub(crate) fn prefixed(unit: &SourceUnit<'_>, run: usize, prefix: &str) -> Vec<TextEdit> {
    let (Some(text), Some(script)) = (unit.text(run), unit.script(run)) else { return Vec::new() };
    let [first, ..] = &script.body.items[..] else { return Vec::new() };
    let start = text.source_of(script.body.span.start);
    let and_or = &first.and_or;
    let is_and_list =
        script.body.items.len() == 1 && and_or.rest.iter().all(|(operator, _, _)| *operator == Operator::And);
    if is_and_list && !and_or.first.negated && !state::uses_errexit(script) {
        return vec![TextEdit::insert(start, prefix)];
    }
    // A subshell, so that what is put in front neither takes part in its `||` nor keeps it from stopping at errors.
    let last = script.body.items.last().map_or(first.span, |item| item.span);
    let end = unit.source_span(run, last).end;
    vec![TextEdit::insert(start, format!("{prefix}( ")), TextEdit::insert(end, " )")]
}

/// Whole lines, with the end of the last one.
pub(crate) fn ended(text: String) -> String {
    if text.ends_with('\n') { text } else { text + "\n" }
}

/// The whole lines of an instruction with the comments directly above it.
pub(crate) fn block(unit: &SourceUnit<'_>, at: usize) -> Span {
    let lines = unit.lines_of(at);
    let (first, end) = unit.instruction(at).above;
    if first == end {
        return lines;
    }
    let comment = unit.tree.comments[first as usize].span.start;
    let start = unit.tree.text()[..comment as usize].rfind('\n').map_or(0, |at| at + 1);
    Span { start: Span::new(0, start).end, end: lines.end }
}
