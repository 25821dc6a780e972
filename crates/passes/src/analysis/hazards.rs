//! What stands against running two scripts in one RUN, whatever form they are joined in.

use jettison_ir::source::SourceUnit;
use jettison_syntax::dockerfile::{Arguments, Kind, starts_with_array};
use jettison_syntax::shell::{Command, Node, RedirectOperator, Script, Simple, Terminator, Word, WordPartKind};

use super::{bases, directories};

/// Why two RUN instructions stay apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The same for all cases of one kind.
    pub(crate) code: &'static str,
    /// A whole sentence without its full stop.
    pub(crate) reason: String,
}

fn refuse<T>(code: &'static str, reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, reason: reason.into() })
}

/// What stands against merging a RUN with any other.
pub(crate) fn alone<'u>(unit: &'u SourceUnit<'_>, at: usize) -> Result<&'u Script, Refusal> {
    let body = &unit.instruction(at).body;
    debug_assert_eq!(body.kind, Kind::Run);
    if let Some(reason) = unit.kept(at) {
        let separator = if reason.is_empty() { "" } else { ": " };
        return refuse("allowed", format!("a comment keeps it as it is{separator}{reason}"));
    }
    if matches!(body.arguments, Arguments::Json(_)) {
        return refuse("exec-form", "it is in exec form, which no shell reads");
    }
    let Some(script) = unit.script(at) else {
        return refuse("unread-shell", "its shell is none whose language is read here");
    };
    if starts_with_array(&script.text) {
        return refuse("exec-form", "older builders take it for the exec form and ignore what follows the array");
    }
    if let Some(error) = &script.error {
        return refuse("unparsed", format!("its shell text does not parse: {}", error.message));
    }
    if !script.exact {
        return refuse("unparsed", "its shell text does not parse to the byte");
    }
    if script.body.items.is_empty() {
        return refuse("empty", "it holds no command");
    }
    if script.simple_commands().iter().any(|(_, simple)| simple.name() == Some("ulimit")) {
        return refuse("limits", "the first process of a container outlives limits that end another one");
    }
    if ["/proc/self", "/proc/$"].iter().any(|path| script.text.contains(path)) {
        return refuse("shell-asked", "it reads what its shell was started with");
    }
    let shell = &unit.settings(at).shell;
    if shell.has_option('l') || shell.argv.iter().any(|word| word == "--login") {
        return refuse(
            "login-shell",
            "its shell reads profile files at its start, which the RUN before may have written",
        );
    }
    if unit.names_variable("BASH_ENV") && unit.scope(at).get("BASH_ENV").is_some() {
        return refuse("login-shell", "BASH_ENV names a file that each shell reads at its start");
    }
    for flag in &body.flags {
        let value = flag.value().unwrap_or_default();
        let has = |field: &str| value.split(',').any(|part| part.trim() == field);
        if flag.name() != "mount" {
            continue;
        }
        if has("type=secret") || has("type=ssh") {
            return refuse("secret-mount", "its secret would be there for other commands too");
        }
        if has("type=tmpfs") {
            return refuse("tmpfs-mount", "what it leaves in its tmpfs would be there for other commands");
        }
        if (has("rw") || has("readwrite") || has("rw=true") || has("readwrite=true")) && !has("type=cache") {
            return refuse("written-mount", "what it writes to its mount would be there for other commands");
        }
    }
    Ok(script)
}

/// What stands against running `second` in the same RUN behind `first`. Both can be merged as such.
pub(crate) fn between(unit: &SourceUnit<'_>, first: usize, second: usize) -> Result<(), Refusal> {
    let flags = |at: usize| unit.instruction(at).body.flags.iter().map(|flag| flag.text.clone()).collect::<Vec<_>>();
    if flags(first) != flags(second) {
        return refuse("other-flags", "their flags differ: mounts, network or security would change for one of them");
    }
    if unit.settings(first).shell != unit.settings(second).shell {
        return refuse("other-shell", "they run in different shells");
    }
    if unit.settings(first).user != unit.settings(second).user {
        return refuse("other-user", "they run as different users");
    }
    let (Some(a), Some(b)) = (unit.script(first), unit.script(second)) else {
        return refuse("unread-shell", "its shell is none whose language is read here");
    };
    leaves_nothing_running(a)?;
    makes_no_hard_links(a)?;
    leaves_the_system(a)?;
    leaves_the_directory(unit, first, second, a)?;
    asks_nothing_of_the_shell(b)
}

/// Daemons and background jobs end with their RUN; in a merged one they would go on.
fn leaves_nothing_running(script: &Script) -> Result<(), Refusal> {
    let mut background = false;
    script.walk(&mut |node| match node {
        Node::List(list) => {
            background |= list.items.iter().any(|item| matches!(item.terminator, Some((Terminator::Background, _))));
        }
        // Nobody waits for what reads from `>(…)`.
        Node::Part(part) if matches!(part.kind, WordPartKind::Process(_)) => {
            background |= part.span.of(&script.text).starts_with('>');
        }
        _ => {}
    });
    if background {
        return refuse("background", "it leaves a process in the background, which ends with its RUN");
    }
    for (_, simple) in script.simple_commands() {
        let Some(name) = simple.name() else { continue };
        let name = name.rsplit('/').next().unwrap_or(name);
        let has = |wanted: &[&str]| {
            simple.arguments().iter().any(|word| word.literal().is_some_and(|word| wanted.contains(&&*word)))
        };
        let starts = match name {
            "nohup" | "setsid" | "daemon" | "start-stop-daemon" | "dockerd" | "containerd" | "supervisord"
            | "systemctl" | "rc-service" | "initctl" | "invoke-rc.d" | "mysqld_safe" | "Xvfb" | "sshd" | "crond" => {
                true
            }
            "service" | "pg_ctl" | "pg_ctlcluster" | "apachectl" | "apache2ctl" | "catalina.sh" | "adb"
            | "rabbitmqctl" | "neo4j" | "elasticsearch" => !has(&["stop", "status", "--version", "version"]),
            "nginx" | "httpd" | "mongod" | "mysqld" | "postgres" | "redis-server" | "memcached" | "cron"
            | "rsyslogd" | "slapd" | "startup.sh" => {
                !has(&["-t", "-v", "-V", "--version", "--initialize", "--initialize-insecure"])
            }
            _ => simple.words[0].literal().is_some_and(|path| path.starts_with("/etc/init.d/")),
        };
        if starts {
            return refuse("daemon", format!("{name} may leave a process running, which ends with its RUN"));
        }
    }
    Ok(())
}

/// A name of a file that has several is changed alone by a later layer, and with the others in the same one.
fn makes_no_hard_links(script: &Script) -> Result<(), Refusal> {
    for (_, simple) in script.simple_commands() {
        let literals: Vec<_> = simple.words.iter().filter_map(Word::literal).collect();
        let has = |letter: char, long: &str| {
            literals.iter().any(|word| {
                word.starts_with(long) || (word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
            })
        };
        let runs = |name: &str| literals.iter().any(|word| word.rsplit('/').next() == Some(name));
        // Also behind `sudo`, `find -exec` and `xargs`, and in the text that another shell gets.
        let in_text = literals.iter().any(|word| word.contains("ln ") && !word.contains("ln -s"));
        let is_shell = matches!(simple.name(), Some("sh" | "bash" | "su" | "eval"));
        let links = (runs("ln") && !has('s', "--symbolic"))
            || (runs("cp") && has('l', "--link"))
            || simple.name() == Some("link")
            || (simple.name() == Some("rsync") && has('H', "--link-dest"))
            || (is_shell && in_text);
        if links {
            return refuse("hard-link", "it makes hard links, of which a later layer would change one name only");
        }
    }
    Ok(())
}

/// Paths that every RUN gets anew, and those that a running shell depends on.
const ANEW: [&str; 6] = ["/dev/", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/proc/", "/sys/"];
const SHELL_FILES: [&str; 14] = [
    "/bin/sh",
    "/bin/bash",
    "/bin/dash",
    "/bin/ash",
    "/bin/busybox",
    "/usr/bin/sh",
    "/usr/bin/bash",
    "/usr/bin/dash",
    "/bin",
    "/usr/bin",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/etc/ld.so.preload",
];

/// Devices that hold nothing.
const EMPTY_DEVICES: [&str; 10] =
    ["null", "stdout", "stderr", "stdin", "fd/", "tty", "zero", "random", "urandom", "full"];

/// Whether what is written to a path is gone with its RUN.
fn is_anew(path: &str) -> bool {
    let is_empty = |device: &str| EMPTY_DEVICES.iter().any(|empty| device.starts_with(empty));
    ANEW.iter().any(|anew| path.starts_with(anew)) && !path.strip_prefix("/dev/").is_some_and(is_empty)
}

fn leaves_the_system(script: &Script) -> Result<(), Refusal> {
    for (command, simple) in script.simple_commands() {
        let name = simple.name().unwrap_or_default();
        for redirect in &command.redirects {
            let writes = !matches!(
                redirect.operator,
                RedirectOperator::In
                    | RedirectOperator::DuplicateIn
                    | RedirectOperator::HereString
                    | RedirectOperator::Heredoc
            );
            let target = redirect.target.literal().unwrap_or_default();
            if writes && is_anew(&target) {
                return refuse("made-anew", format!("it writes to {target}, which every RUN gets anew"));
            }
            if writes && SHELL_FILES.contains(&&*target) {
                return refuse("shell-replaced", format!("it writes {target}, on which the running shell depends"));
            }
        }
        let words: Vec<_> = simple.arguments().iter().filter_map(Word::literal).collect();
        let reads_only = matches!(
            name,
            "ls" | "cat"
                | "grep"
                | "stat"
                | "test"
                | "["
                | "echo"
                | "printf"
                | "file"
                | "readlink"
                | "which"
                | "useradd"
                | "adduser"
                | "usermod"
                | "chsh"
                | "apt-get"
                | "apk"
                | "yum"
                | "dnf"
                | "head"
                | "tail"
                | "find"
                | "sh"
                | "bash"
                | "su"
                | "exec"
                | "SHELL"
                | "export"
                | "sudo"
                | "env"
                | "chroot"
                | "gosu"
        );
        if name == "mount" || name == "umount" {
            return refuse("made-anew", "it changes mounts, which every RUN gets anew");
        }
        if !reads_only {
            if let Some(path) = words.iter().find(|word| is_anew(word)) {
                return refuse("made-anew", format!("it names {path}, which every RUN gets anew"));
            }
            // A shell that is copied or linked from elsewhere: its own file as the last operand.
            let target = match name {
                "ln" | "cp" | "mv" | "install" | "rsync" => {
                    words.last().map(|word| word.trim_end_matches('/').to_owned())
                }
                "rm" | "update-alternatives" | "dpkg-divert" | "unlink" | "shred" | "truncate" | "tee" => words
                    .iter()
                    .map(|word| word.trim_end_matches('/').to_owned())
                    .find(|word| SHELL_FILES.contains(&word.as_str())),
                _ => None,
            };
            if let Some(target) = target.filter(|target| replaces_shell(name, &words, target)) {
                return refuse("shell-replaced", format!("it writes {target}, on which the running shell depends"));
            }
        }
        if name == "dpkg-reconfigure" && words.iter().any(|word| matches!(&**word, "dash" | "bash")) {
            return refuse("shell-replaced", "it may make another program /bin/sh");
        }
        if matches!(name, "apk" | "apt-get" | "apt") && words.iter().any(|word| word.ends_with("-binsh")) {
            return refuse("shell-replaced", "it makes another program /bin/sh");
        }
        if matches!(name, "tar" | "bsdtar" | "unzip" | "cpio") && unpacks_at_root(&words) {
            return refuse(
                "unpacked-root",
                "it unpacks over the root folder, and may replace what the running shell depends on",
            );
        }
    }
    Ok(())
}

fn replaces_shell(name: &str, words: &[std::borrow::Cow<'_, str>], target: &str) -> bool {
    if !SHELL_FILES.contains(&target) {
        return target.is_empty()
            && words.last().is_some_and(|word| &**word == "/")
            && name != "ln"
            && is_recursive(words);
    }
    let is_folder = matches!(target, "/bin" | "/usr/bin" | "/lib" | "/lib64" | "/usr/lib");
    // Files that are put into a folder of programs keep their names: only those of a shell matter.
    let names_shell = |word: &str| {
        matches!(word.rsplit('/').next().unwrap_or(word), "sh" | "bash" | "dash" | "ash" | "busybox")
            || word.contains('*')
    };
    let operands = words.iter().filter(|word| !word.starts_with('-')).count();
    !is_folder
        || name == "rm"
        || words[..words.len().saturating_sub(1)].iter().any(|word| names_shell(word))
        || operands < 2
}

fn is_recursive(words: &[std::borrow::Cow<'_, str>]) -> bool {
    words.iter().any(|word| word.starts_with('-') && word.contains(['r', 'R', 'a']))
}

fn unpacks_at_root(words: &[std::borrow::Cow<'_, str>]) -> bool {
    let pairs = words.windows(2).any(|pair| matches!(&*pair[0], "-C" | "-d" | "--directory") && &*pair[1] == "/");
    pairs || words.iter().any(|word| matches!(&**word, "-C/" | "--directory=/" | "-d/"))
}

/// Removing or renaming the working directory leaves the next command in a directory that is gone; a RUN of its own
/// gets it made anew.
fn leaves_the_directory(unit: &SourceUnit<'_>, first: usize, second: usize, script: &Script) -> Result<(), Refusal> {
    let directory = bases::directory(unit, second);
    match directories::removed(unit, first, script, directory) {
        None => Ok(()),
        Some(text) => refuse("directory-removed", format!("it may remove or rename the working directory: {text}")),
    }
}

/// What a script asks of its shell that tells whether other commands ran in it before.
fn asks_nothing_of_the_shell(script: &Script) -> Result<(), Refusal> {
    let read = script.variables_read();
    if let Some(name) = ["_", "!", "LINENO", "OLDPWD", "SECONDS", "BASH_COMMAND", "PIPESTATUS"]
        .iter()
        .find(|name| read.contains(**name))
    {
        return refuse("shell-asked", format!("${name} tells what ran in the shell before"));
    }
    let dumps = |command: &Command, simple: &Simple| match simple.name() {
        Some("env" | "printenv" | "set" | "declare" | "typeset" | "hash" | "jobs" | "times" | "history" | "alias" | "umask") => {
            simple.arguments().is_empty()
        }
        Some("export") => simple.arguments().first().is_none_or(|word| word.literal().is_some_and(|word| word == "-p")),
        Some("cd") => simple.arguments().first().is_some_and(|word| word.literal().is_some_and(|word| word == "-")),
        _ => false,
    } && (command.redirects.iter().any(|_| true) || simple.name() == Some("cd"));
    if script.simple_commands().iter().any(|(command, simple)| dumps(command, simple)) {
        return refuse("shell-asked", "it writes down the state of its shell");
    }
    Ok(())
}
