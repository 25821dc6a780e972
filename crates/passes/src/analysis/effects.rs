//! Which paths and variables a RUN is known to touch, as far as its text tells, and whether an instruction can change
//! places with it.

use std::ops::Range;

use jettison_ir::Assumption;
use jettison_ir::source::{Observed, SourceUnit};
use jettison_syntax::packages::{self, Argument, Manager, Verb};
use jettison_syntax::path;
use jettison_syntax::shell::{Command, CommandKind, Script, Simple, Word};

use super::bases;

/// What lets a RUN of package managers change places with other instructions.
pub(crate) const PACKAGE_MANAGERS: Assumption = Assumption {
    name: "package-managers-keep-to-system-paths",
    holds: "package-manager commands without relative paths read and write the system's own folders only, and no \
            variables but their own",
};

/// What a RUN touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Paths that it names, absolute. It may touch all that is at, below or above them.
    pub(crate) paths: Vec<String>,
    /// Whether package managers may touch any of the system's folders.
    pub(crate) system: bool,
    /// Whether the working directory matters to it.
    pub(crate) uses_directory: bool,
    /// The variables in its text.
    pub(crate) variables: Vec<String>,
    /// Links on which the paths may lead elsewhere.
    pub(crate) links: Vec<String>,
    /// What it was seen to use, where its text does not tell: then this is all that is known.
    pub(crate) observed: Option<Observed>,
}

/// Where programs, libraries and what every program reads live.
const PROGRAM_PATHS: &[&str] = &[
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/local/lib",
    "/usr/share/locale",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/dev",
    "/proc",
    "/sys",
];

/// What belongs to packages: everything but `/app`, `/srv`, `/usr/src/app` and the like.
const SYSTEM_PATHS: &[&str] = &[
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/media", "/mnt", "/opt", "/proc",
    "/root", "/run", "/sbin", "/sys", "/tmp", "/var",
];

/// Whether one of two paths is the other one or lies below it.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    let below = |inner: &str, outer: &str| {
        let outer = outer.trim_end_matches('/');
        inner == outer || outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
    };
    below(a.trim_end_matches('/'), b) || below(b.trim_end_matches('/'), a)
}

/// Symbolic links that a stage makes, each with its instruction, as far as its commands name them: what is below one is
/// somewhere else.
pub(crate) fn links(unit: &SourceUnit<'_>, instructions: Range<usize>) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for at in instructions {
        let Some(script) = unit.script(at).filter(|script| script.text.contains("ln ")) else { continue };
        for (_, simple) in script.simple_commands().into_iter().filter(|(_, simple)| simple.name() == Some("ln")) {
            let operands: Vec<_> = simple.arguments().iter().filter_map(Word::literal).collect();
            let place = operands.iter().rev().find(|word| !word.starts_with('-'));
            links.extend(
                place.and_then(|place| path::absolute(place, bases::directory(unit, at))).map(|path| (at, path)),
            );
        }
    }
    links
}

/// Links that distributions have.
const SYSTEM_LINKS: [&str; 2] = ["/var/run", "/var/lock"];

/// Whether packages may own the path, or something above or below it.
fn is_system(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    if let Some(below) = path.strip_prefix("/usr/src/") {
        // Kernel headers and sources of packages have names of their own.
        return below.starts_with("linux") || below.starts_with("kernel") || below.starts_with("debug");
    }
    SYSTEM_PATHS.iter().any(|system| overlap(path, system)) || overlap(path, "/usr")
}

/// What an instruction touches: by its text, else by what it was seen to do; or why that is not known.
pub(crate) fn known(unit: &SourceUnit<'_>, at: usize) -> Result<Effects, String> {
    of(unit, at).or_else(|reason| match unit.observed(at) {
        Some(observed) => Ok(Effects { uses_directory: true, observed: Some(observed.clone()), ..Effects::default() }),
        None => Err(reason),
    })
}

/// What the script of an instruction touches, or why that is not known.
fn of(unit: &SourceUnit<'_>, at: usize) -> Result<Effects, String> {
    let Some(script) = unit.script(at).filter(|script| script.exact) else {
        return Err("what it runs is not known".to_owned());
    };
    if !unit.instruction(at).body.flags.is_empty() {
        return Err("it has mounts or other flags".to_owned());
    }
    let mut effects = Effects { variables: script.variables_read().into_iter().collect(), ..Effects::default() };
    let directory = bases::directory(unit, at);
    for command in script.commands() {
        match &command.kind {
            CommandKind::Simple(simple) => simple_effects(unit, script, command, simple, directory, &mut effects)?,
            CommandKind::Subshell(_) | CommandKind::Group(_) => redirects(command, directory, &mut effects)?,
            _ => return Err("it branches or loops".to_owned()),
        }
    }
    Ok(effects)
}

fn redirects(command: &Command, directory: Option<&str>, effects: &mut Effects) -> Result<(), String> {
    for redirect in &command.redirects {
        if redirect.heredoc.is_some() {
            continue;
        }
        let Some(target) = redirect.target.literal() else {
            return Err("a redirect goes to a variable's value".to_owned());
        };
        if !target.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && !target.starts_with("/dev/") {
            touch(&target, directory, effects)?;
        }
    }
    Ok(())
}

fn touch(path: &str, directory: Option<&str>, effects: &mut Effects) -> Result<(), String> {
    if path.starts_with('~') || path.contains("..") {
        return Err(format!("what {path} is depends on more than the text"));
    }
    if path.starts_with('/') {
        effects.paths.push(path.to_owned());
        return Ok(());
    }
    effects.uses_directory = true;
    let Some(directory) = directory else { return Err(format!("{path} is relative to a directory that is not known")) };
    effects.paths.push(format!("{}/{}", directory.trim_end_matches('/'), path.trim_start_matches("./")));
    Ok(())
}

/// A pattern reaches what is in its folder.
fn pattern(script: &Script, word: &Word, directory: Option<&str>, effects: &mut Effects) -> Result<(), String> {
    let text = word.text(&script.text);
    let start = text.find(['*', '?', '[']).unwrap_or(text.len());
    let folder = text[..start].rfind('/').map_or("", |at| &text[..=at]);
    if word.has_expansion() || folder.contains(['"', '\'', '\\']) {
        return Err(format!("which files {text} stands for is not known"));
    }
    touch(folder, directory, effects)
}

fn simple_effects(
    unit: &SourceUnit<'_>,
    script: &Script,
    command: &Command,
    simple: &Simple,
    directory: Option<&str>,
    effects: &mut Effects,
) -> Result<(), String> {
    redirects(command, directory, effects)?;
    if package_effects(unit, simple, effects) {
        return Ok(());
    }
    let Some(name) = simple.name() else { return Err("a variable names the command".to_owned()) };
    if !simple.assignments.is_empty() {
        return Err("it sets variables for a command".to_owned());
    }
    let arguments = simple.arguments();
    match name {
        // Patterns look into folders also where the words are only shown.
        "echo" | "printf" | "true" | ":" => {
            let patterns = arguments.iter().filter(|word| word.is_glob());
            patterns.into_iter().try_for_each(|word| pattern(script, word, directory, effects))
        }
        "mkdir" | "touch" | "rm" | "rmdir" | "ln" | "cp" | "mv" | "cat" | "chmod" | "chown" | "chgrp" | "truncate" => {
            // The mode and the owner come first.
            let first = usize::from(matches!(name, "chmod" | "chown" | "chgrp"));
            let operands = arguments.iter().filter(|word| !word.text(&script.text).starts_with('-')).skip(first);
            for word in operands {
                match word.literal() {
                    Some(path) => touch(&path, directory, effects)?,
                    None if word.is_glob() => pattern(script, word, directory, effects)?,
                    None => return Err(format!("{} names a variable", word.text(&script.text))),
                }
            }
            Ok(())
        }
        other => Err(format!("which files {other} reads and writes is not known from its text; a trace could tell")),
    }
}

/// Takes in a package-manager command without relative paths, where that may be assumed.
fn package_effects(unit: &SourceUnit<'_>, simple: &Simple, effects: &mut Effects) -> bool {
    if !unit.may_assume(&PACKAGE_MANAGERS) {
        return false;
    }
    let literals: Vec<_> = simple.words.iter().map(|word| (word.literal(), word.span)).collect();
    let arguments: Vec<Argument<'_>> =
        literals.iter().map(|(value, span)| Argument { value: value.as_deref(), span: *span }).collect();
    let Some(read) = packages::read(&arguments) else { return false };
    let known_verb = matches!(
        read.verb,
        Verb::Update | Verb::Install | Verb::Remove | Verb::Purge | Verb::Upgrade | Verb::Clean | Verb::AutoRemove
    );
    let global = read.is_system()
        || (read.manager == Manager::Gem)
        || (read.manager == Manager::Pip && simple.name().is_some_and(|name| name.starts_with("pip")));
    // Lists of requirements may name folders that are relative to the working directory.
    let lists = read.has_option(&["-r", "--requirement", "-c", "--constraint", "-e", "--editable", "-g", "--file"]);
    let has_files = read.packages.iter().any(|package| package.is_file);
    let plain = !lists && !read.unknown && !has_files && read.relative_paths().is_empty();
    if !(known_verb && global && plain) {
        return false;
    }
    effects.system = true;
    // Paths among its arguments are touched as well: a list of requirements, another root folder.
    for (value, _) in &literals[1..] {
        let value = value.as_deref().unwrap_or_default();
        effects.paths.extend(
            value.find('/').filter(|at| *at == 0 || value[..*at].ends_with('=')).map(|at| value[at..].to_owned()),
        );
    }
    true
}

impl Effects {
    /// Whether an owner by name may be another one before it.
    pub(crate) fn may_make_owners(&self) -> bool {
        self.system || self.observed.as_ref().is_some_and(Observed::changes_owners)
    }

    /// Why something that is written at `path` cannot be there before the RUN; nothing where it can.
    pub(crate) fn stands_against_path(&self, path: &str) -> Option<String> {
        if let Some(observed) = &self.observed {
            return observed.stands_against(path);
        }
        let mut links = self.links.iter().map(String::as_str).chain(SYSTEM_LINKS);
        if let Some(link) = links.find(|link| overlap(path, link) || self.paths.iter().any(|own| overlap(own, link))) {
            return Some(format!("{link} leads elsewhere"));
        }
        if self.system && is_system(path) {
            return Some(format!("package managers may read or write {path}"));
        }
        if let Some(program) = PROGRAM_PATHS.iter().find(|program| overlap(path, program)) {
            return Some(format!("programs read {program}"));
        }
        self.paths.iter().find(|own| overlap(path, own)).map(|own| format!("the command names {own}"))
    }

    /// Why a variable cannot be set before the RUN; nothing where it can.
    pub(crate) fn stands_against_variable(&self, name: &str) -> Option<String> {
        if self.observed.is_some() {
            return Some(format!("whether the command reads ${name} is not known"));
        }
        if self.variables.iter().any(|own| own == name) {
            return Some(format!("the command reads ${name}"));
        }
        let is_read = READ_BY_PROGRAMS.iter().any(|prefix| name.starts_with(prefix))
            || (self.system && READ_BY_MANAGERS.iter().any(|prefix| name.to_ascii_uppercase().starts_with(prefix)));
        is_read.then(|| format!("programs read ${name}"))
    }
}

/// What the C library and the basic programs read, by the start of the name.
const READ_BY_PROGRAMS: &[&str] = &[
    "PATH",
    "LD_",
    "LANG",
    "LC_",
    "LOCPATH",
    "NLSPATH",
    "POSIX",
    "TMPDIR",
    "HOME",
    "IFS",
    "ENV",
    "BASH",
    "PS",
    "SHELL",
    "TZ",
    "GLIBC",
    "MALLOC",
    "GCONV",
    "TERM",
    "COLUMNS",
    "LINES",
    "LS_",
    "BLOCK",
    "SIMPLE_BACKUP",
    "VERSION_CONTROL",
    "QUOTING_STYLE",
    "CDPATH",
    "PWD",
    "OLDPWD",
    "UID",
    "USER",
    "LOGNAME",
    "HOSTNAME",
    "RES_OPTIONS",
    "HOSTALIASES",
];

/// What package managers and their scripts read, by the start of the name.
const READ_BY_MANAGERS: &[&str] = &[
    "APT",
    "APK",
    "DEB",
    "DPKG",
    "UCF",
    "DNF",
    "YUM",
    "RPM",
    "ZYPP",
    "PACMAN",
    "PIP",
    "PYTHON",
    "VIRTUAL_ENV",
    "UV_",
    "GEM",
    "RUBY",
    "BUNDLE",
    "RAKE",
    "CC",
    "CXX",
    "CFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "MAKE",
    "HTTP",
    "HTTPS",
    "FTP",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL",
    "CURL",
    "WGET",
    "GIT",
    "XDG",
    "SOURCE_DATE_EPOCH",
    "NEEDRESTART",
    "SYSTEMD",
    "RUNLEVEL",
    "PERL",
    "NODE",
    "NPM",
    "JAVA",
    "ACCEPT_EULA",
    "CI",
    "DOCKER",
    "PKG_CONFIG",
    "OPENSSL",
    "CMAKE",
    "DISTUTILS",
    "SETUPTOOLS",
    "PBR",
    "GNUPG",
    "KEYSERVER",
];
