//! Which state of the shell a script leaves behind for a script that would follow it in the same shell.

use jettison_syntax::shell::{Command, CommandKind, Node, Operator, Pipeline, Script, Simple, WordPartKind};

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
        _ => false,
    };
    !pipeline.negated && pipeline.commands.iter().all(plain)
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

/// Commands after which a name still leads to the same program: they put nothing into the folders that are searched
/// earlier than where a package manager or the base put it.
const NEUTRAL: &[&str] = &[
    "adduser",
    "addgroup",
    "apk",
    "apt",
    "apt-get",
    "apt-key",
    "apt-mark",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cut",
    "debconf-set-selections",
    "dnf",
    "find",
    "gpg",
    "grep",
    "groupadd",
    "head",
    "ls",
    "microdnf",
    "mkdir",
    "pacman",
    "rmdir",
    "sed",
    "sleep",
    "sort",
    "tail",
    "tee",
    "touch",
    "tr",
    "useradd",
    "usermod",
    "wc",
    "xargs",
    "yum",
    "zypper",
];

/// Whether the script can change which program a name leads to.
pub(crate) fn changes_lookups(script: &Script) -> bool {
    let names_programs =
        |simple: &Simple| simple.arguments().iter().any(|word| word.literal().is_none_or(|word| word.contains("bin")));
    script.simple_commands().iter().any(|(command, simple)| match simple.name() {
        None => !simple.words.is_empty(),
        Some("rm" | "mv" | "cp" | "ln" | "echo" | "printf" | "tar" | "curl" | "wget" | "git" | "unzip") => {
            names_programs(simple)
                || command
                    .redirects
                    .iter()
                    .any(|redirect| redirect.target.literal().is_none_or(|word| word.contains("bin")))
        }
        Some(name) => !NEUTRAL.contains(&name) && !STATELESS.contains(&name) && !STATEFUL.contains(&name),
    })
}
