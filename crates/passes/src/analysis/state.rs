//! Which state of the shell a script leaves behind for a script that would follow it in the same shell.

use jettison_syntax::Span;
use jettison_syntax::shell::{Command, CommandKind, Item, Node, Operator, Pipeline, Script, Simple, WordPartKind};

/// How a script can be joined with a following one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// It is an and-list of plain external commands that leave no state: `A && B` means the same.
    Plain,
    /// It leaves state or has other operators: it needs a subshell of its own, `( A ) && B`.
    Subshell,
    /// It asks the shell to stop at errors, which does not work left of `&&`: `set -e; ( set +e; A ); B`.
    ErrorExit,
}

/// Builtins that change the shell that they run in, or end it.
const STATEFUL: &[&str] = &[
    ".",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "cd",
    "command",
    "complete",
    "continue",
    "declare",
    "dirs",
    "disown",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "fc",
    "fg",
    "getopts",
    "hash",
    "history",
    "jobs",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "times",
    "trap",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
];

/// Builtins that leave no state. An assignment before one may stay, though, as they are no external commands.
const STATELESS: &[&str] = &[":", "[", "echo", "false", "kill", "printf", "pwd", "test", "true", "type"];

/// How the script can be joined.
pub(crate) fn tier(script: &Script) -> Tier {
    if uses_errexit(script) {
        return Tier::ErrorExit;
    }
    let [item] = &script.body.items[..] else { return Tier::Subshell };
    let and_or = &item.and_or;
    let only_and = and_or.rest.iter().all(|(operator, _, _)| *operator == Operator::And);
    let pipelines = || std::iter::once(&and_or.first).chain(and_or.rest.iter().map(|(_, _, pipeline)| pipeline));
    if only_and && pipelines().all(is_plain) { Tier::Plain } else { Tier::Subshell }
}

/// What stands behind `set -e` in a script that is joined already: commands that stop it at errors, and leave no other
/// state. Their text can be part of another such script.
pub(crate) fn behind_set_e(script: &Script) -> Option<Span> {
    let [first, rest @ ..] = &script.body.items[..] else { return None };
    let is_alone = |item: &Item| item.and_or.rest.is_empty() && item.and_or.first.commands.len() == 1;
    let is_set_e = matches!(
        &item_command(first).kind,
        CommandKind::Simple(simple) if simple.name() == Some("set") && simple.words.len() == 2
            && simple.words[1].literal().as_deref() == Some("-e") && simple.assignments.is_empty()
    );
    let is_closed = |item: &Item| {
        let is_subshell = matches!(item_command(item).kind, CommandKind::Subshell(_));
        is_alone(item) && !item.and_or.first.negated && (is_subshell || is_plain(&item.and_or.first))
    };
    let last = rest.last()?;
    let all = is_alone(first) && is_set_e && rest.iter().all(is_closed);
    all.then(|| rest[0].span.to(last.span))
}

fn item_command(item: &Item) -> &Command {
    &item.and_or.first.commands[0]
}

/// The commands of a plain script, each with its pipes.
pub(crate) fn steps(script: &Script) -> Vec<&Pipeline> {
    let pipelines = script.body.items.iter().flat_map(|item| {
        std::iter::once(&item.and_or.first).chain(item.and_or.rest.iter().map(|(_, _, pipeline)| pipeline))
    });
    pipelines.collect()
}

fn is_plain(pipeline: &Pipeline) -> bool {
    let plain = |command: &Command| match &command.kind {
        CommandKind::Simple(simple) => is_plain_simple(simple) && !assigns(command),
        // What happens within a subshell stays there.
        CommandKind::Subshell(_) => true,
        // A group leaves what its commands leave: nothing, if all of them are plain.
        CommandKind::Group(list) => list.items.iter().all(|item| {
            let rest = item.and_or.rest.iter().map(|(_, _, pipeline)| pipeline);
            std::iter::once(&item.and_or.first).chain(rest).all(is_plain)
        }),
        _ => false,
    };
    !pipeline.negated && pipeline.commands.iter().all(plain)
}

/// Whether a plain script means the same in a shell that stops at errors: if it is a single command, or several with
/// a line each, and none holds others, which would stop at errors then.
pub(crate) fn is_same_with_errexit(script: &Script) -> bool {
    let mut compound = false;
    script.walk(&mut |node| match node {
        Node::Part(part) => {
            compound |= matches!(part.kind, WordPartKind::Command(_) | WordPartKind::Process(_));
        }
        Node::Command(command) => compound |= !matches!(command.kind, CommandKind::Simple(_)),
        _ => {}
    });
    !compound
}

fn is_plain_simple(simple: &Simple) -> bool {
    let Some(name) = simple.name() else { return false };
    !STATEFUL.contains(&name) && (simple.assignments.is_empty() || !STATELESS.contains(&name))
}

/// Whether expanding the words of a command sets a variable: `${name:=value}`, `$((name = 1))`.
fn assigns(command: &Command) -> bool {
    let mut found = false;
    command.walk(&mut |node| {
        if let Node::Part(part) = node {
            found |= match &part.kind {
                WordPartKind::Parameter { operator: Some(operator), .. } => {
                    operator.trim_start_matches(':').starts_with('=')
                }
                WordPartKind::Arithmetic(arithmetic) => !arithmetic.assigns.is_empty(),
                _ => false,
            };
        }
    });
    found
}

/// Whether the script may switch on that the shell stops at errors, or do something on errors: those do not work in a
/// command that is followed by `&&`.
pub(crate) fn uses_errexit(script: &Script) -> bool {
    script.simple_commands().iter().any(|(_, simple)| {
        let literals = || simple.arguments().iter().map(|word| word.literal());
        match simple.name() {
            Some("set") => literals()
                .any(|word| word.is_none_or(|word| (word.starts_with('-') && word.contains('e')) || word == "errexit")),
            Some("trap") => literals().any(|word| word.is_none_or(|word| word == "ERR")),
            Some("eval" | "." | "source") => true,
            _ => false,
        }
    })
}

/// The names of the commands that the shell looks up for the script, itself and in subshells; builtins are none.
pub(crate) fn looked_up(script: &Script) -> Vec<&str> {
    let names = script.simple_commands().into_iter().filter_map(|(_, simple)| simple.name());
    names.filter(|name| !name.contains('/') && !STATEFUL.contains(name) && !STATELESS.contains(name)).collect()
}

/// Package managers of distributions: nothing but a file of that very name, put into an earlier folder by hand, makes
/// their names lead elsewhere.
const SYSTEM_MANAGERS: &[&str] =
    &["apk", "apt", "apt-get", "apt-key", "apt-mark", "dnf", "dpkg", "microdnf", "pacman", "rpm", "yum", "zypper"];

/// Programs of the base system. Alpine has them twice: from busybox, and from a package of its own in another folder.
const BASE_PROGRAMS: &[&str] = &[
    "addgroup", "adduser", "cat", "chgrp", "chmod", "chown", "cp", "cut", "dirname", "find", "grep", "groupadd",
    "head", "ln", "ls", "mkdir", "mktemp", "mv", "rm", "rmdir", "sed", "sleep", "sort", "tail", "tar", "tee", "touch",
    "tr", "uname", "useradd", "usermod", "wc", "xargs",
];

/// Whether one of the scripts can change which program `name` leads to.
pub(crate) fn changes_lookup(name: &str, scripts: &[&Script]) -> bool {
    let mentions = |script: &Script| script.text.contains(&format!("bin/{name}"));
    let runs = |wanted: &str| scripts.iter().any(|script| looked_up(script).contains(&wanted));
    if SYSTEM_MANAGERS.contains(&name) {
        return scripts.iter().any(|script| mentions(script));
    }
    if BASE_PROGRAMS.contains(&name) {
        return scripts.iter().any(|script| mentions(script)) || runs("apk");
    }
    scripts.iter().any(|script| changes_lookups(script))
}

/// Whether the script can put programs into the folders that are searched for them.
pub(crate) fn changes_lookups(script: &Script) -> bool {
    let names_programs =
        |simple: &Simple| simple.arguments().iter().any(|word| word.literal().is_none_or(|word| word.contains("bin")));
    let writes_programs = |command: &Command| {
        command.redirects.iter().any(|redirect| redirect.target.literal().is_none_or(|word| word.contains("bin")))
    };
    script.simple_commands().iter().any(|(command, simple)| match simple.name() {
        None => !simple.words.is_empty(),
        Some("rm" | "mv" | "cp" | "ln" | "tar" | "tee" | "echo" | "printf" | "curl" | "wget" | "git" | "unzip") => {
            names_programs(simple) || writes_programs(command)
        }
        Some(name) => ![BASE_PROGRAMS, SYSTEM_MANAGERS, STATELESS, STATEFUL].iter().any(|known| known.contains(&name)),
    })
}
