//! Takes an and-list of commands apart into steps that are worth a cache entry each.

use jettison_ir::source::SourceUnit;
use jettison_syntax::Span;
use jettison_syntax::packages::{self, Argument, Manager, PackageCommand, Verb};
use jettison_syntax::shell::{CommandKind, Dialect, Pipeline, Script, Simple};

use super::state;

/// A command of the list with its pipes.
struct Step<'s> {
    span: Span,
    text: &'s str,
    work: Work,
    package: Option<PackageCommand>,
}

/// What a step is to a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// It takes long: an installation, a download, a build.
    Heavy,
    /// It is done at once, and belongs to what stands before it.
    Light,
    /// It removes what a step before it made.
    Removal,
}

/// Programs that fetch, build or run something of a project's own.
const HEAVY: &[&str] = &[
    "aria2c",
    "bash",
    "bazel",
    "c++",
    "cc",
    "clang",
    "cmake",
    "cpan",
    "curl",
    "docker-php-ext-install",
    "dune",
    "g++",
    "gcc",
    "git",
    "git-lfs",
    "grunt",
    "gulp",
    "hg",
    "install-php-extensions",
    "install2.r",
    "java",
    "javac",
    "lein",
    "make",
    "meson",
    "mix",
    "ninja",
    "node",
    "npx",
    "nvm",
    "pear",
    "pecl",
    "perl",
    "phing",
    "php",
    "pipx",
    "python",
    "python2",
    "python3",
    "r",
    "rake",
    "rebar3",
    "rscript",
    "ruby",
    "rustup",
    "sh",
    "svn",
    "swift",
    "tsc",
    "waf",
    "webpack",
    "wget",
    "zig",
];

/// Longer lists are left alone: nobody wrote them by hand.
const MOST_STEPS: usize = 200;

/// The places of a list at which it can be cut: each the first step of a further group, as the span between the groups.
pub(crate) fn borders(unit: &SourceUnit<'_>, at: usize, script: &Script) -> Vec<Span> {
    let pipelines = state::steps(script);
    if pipelines.len() > MOST_STEPS {
        return Vec::new();
    }
    let steps: Vec<Step<'_>> = pipelines.into_iter().map(|step| read(step, script)).collect();
    if steps.iter().filter(|step| step.work == Work::Heavy).count() < 2 {
        return Vec::new();
    }
    let ranges = bound(&steps);
    let dialect = unit.settings(at).shell.dialect.unwrap_or(Dialect::Sh);
    let scripts: Vec<Script> = steps.iter().map(|step| Script::parse(step.text, dialect)).collect();
    let mut borders = Vec::new();
    let mut group_is_heavy = steps[0].work == Work::Heavy;
    for (place, step) in steps.iter().enumerate().skip(1) {
        let is_free = !ranges.iter().any(|(first, last)| *first < place && place <= *last);
        if step.work == Work::Heavy && group_is_heavy && is_free && keeps_lookups(&steps, &scripts, place) {
            borders.push(Span { start: steps[place - 1].span.end, end: step.span.start });
        }
        group_is_heavy |= step.work == Work::Heavy;
    }
    borders
}

fn read<'s>(pipeline: &Pipeline, script: &'s Script) -> Step<'s> {
    let mut step = Step { span: pipeline.span, text: pipeline.span.of(&script.text), work: Work::Light, package: None };
    for command in &pipeline.commands {
        let (work, package) = match &command.kind {
            CommandKind::Simple(simple) => classified(simple),
            // Whatever it holds, it was kept together on purpose.
            _ => (Work::Heavy, None),
        };
        if step.work == Work::Light || work == Work::Removal {
            step.work = work;
        }
        step.package = step.package.or(package);
    }
    step
}

fn classified(simple: &Simple) -> (Work, Option<PackageCommand>) {
    if let Some(package) = package_command(simple) {
        let work = match package.verb {
            Verb::Remove | Verb::Purge | Verb::Clean | Verb::AutoRemove => Work::Removal,
            Verb::Query | Verb::Other => Work::Light,
            _ => Work::Heavy,
        };
        return (work, Some(package));
    }
    let has = |wanted: &[&str]| {
        simple.arguments().iter().any(|word| word.literal().is_some_and(|word| wanted.contains(&&*word)))
    };
    let path = simple.name().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_of_project =
        path.contains('/') && !["/bin/", "/sbin/", "/usr/"].iter().any(|folder| path.starts_with(folder));
    let work = match &*name {
        "rm" | "rmdir" | "unlink" | "shred" => Work::Removal,
        "find" if has(&["-delete", "rm"]) => Work::Removal,
        "xargs" | "sudo" if has(&["rm"]) => Work::Removal,
        "docker-php-source" if has(&["delete"]) => Work::Removal,
        // Mostly a redirection that needs a shell of its own.
        "sh" | "bash" if has(&["-c"]) => Work::Light,
        "git" if !has(&["clone", "fetch", "pull", "submodule", "checkout"]) => Work::Light,
        name if HEAVY.contains(&name) || is_of_project => Work::Heavy,
        _ => Work::Light,
    };
    (work, None)
}

/// What a simple command tells a package manager.
pub(crate) fn package_command(simple: &Simple) -> Option<PackageCommand> {
    let values: Vec<_> = simple.words.iter().map(|word| (word.literal(), word.span)).collect();
    let words: Vec<Argument<'_>> =
        values.iter().map(|(value, span)| Argument { value: value.as_deref(), span: *span }).collect();
    packages::read(&words)
}

/// The managers that share an index and a store.
fn family(manager: Manager) -> Manager {
    match manager {
        Manager::Apt | Manager::Aptitude | Manager::Dpkg => Manager::AptGet,
        Manager::Yum | Manager::Microdnf | Manager::Rpm => Manager::Dnf,
        Manager::Mamba | Manager::Micromamba => Manager::Conda,
        manager => manager,
    }
}

/// Ranges of steps that stay together: an index with what is installed from it, and what is removed with its maker.
fn bound(steps: &[Step<'_>]) -> Vec<(usize, usize)> {
    let of = |step: &Step<'_>| step.package.as_ref().map(|package| family(package.manager));
    let mut ranges = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let updates = step.package.as_ref().is_some_and(|package| package.verb == Verb::Update && package.is_system());
        if updates && let Some(last) = steps.iter().rposition(|other| of(other) == of(step)) {
            ranges.push((at, last));
        }
        if step.work == Work::Removal {
            let maker = match of(step) {
                Some(manager) => steps[..at].iter().position(|other| of(other) == Some(manager)).unwrap_or(at),
                None => removed_from(steps, at),
            };
            ranges.push((maker, at));
        }
    }
    ranges
}

/// The first step that may have made something of what a step removes.
fn removed_from(steps: &[Step<'_>], at: usize) -> usize {
    let of_manager = |manager: Manager| {
        let found = steps[..at]
            .iter()
            .position(|step| step.package.as_ref().is_some_and(|package| family(package.manager) == manager));
        found.unwrap_or(at)
    };
    let maker = |word: &str| {
        let word = word.trim_matches(['"', '\'']);
        let folders = [
            ("/var/lib/apt", Manager::AptGet),
            ("/var/cache/apt", Manager::AptGet),
            ("/var/cache/apk", Manager::Apk),
            ("/var/cache/yum", Manager::Dnf),
            ("/var/cache/dnf", Manager::Dnf),
        ];
        if let Some((_, manager)) = folders.iter().find(|(folder, _)| word.starts_with(folder)) {
            return of_manager(*manager);
        }
        let name = word.trim_end_matches(['*', '/']).rsplit('/').next().unwrap_or_default();
        // A pattern, a variable, or a name so short that it may be anywhere.
        if name.len() < 3 || word.contains(['$', '`', '?', '[', '{', '~']) || name.contains('*') || name == "tmp" {
            return 0;
        }
        steps[..at].iter().position(|step| step.text.contains(name)).unwrap_or(0)
    };
    let mut words = steps[at].text.split_whitespace().skip(1).filter(|word| !word.starts_with('-')).peekable();
    // What other commands remove is not in their words in an order that is read here.
    let is_rm = steps[at].text.starts_with("rm ");
    if !is_rm || words.peek().is_none() { 0 } else { words.map(maker).min().unwrap_or(0) }
}

/// Whether cutting before a step changes no lookup: a shell remembers where it found a command, and a new one does not.
fn keeps_lookups(steps: &[Step<'_>], scripts: &[Script], place: usize) -> bool {
    let changed = steps[..place].iter().zip(scripts).any(|(step, script)| {
        !installs_below_project(step) && !removes_leftovers(step) && state::changes_lookups(script)
    });
    let before = || scripts[..place].iter().flat_map(state::looked_up);
    !changed || !scripts[place..].iter().flat_map(state::looked_up).any(|name| before().any(|other| other == name))
}

/// Whether a step only removes things below folders that hold no programs.
fn removes_leftovers(step: &Step<'_>) -> bool {
    let mut words = step.text.split_whitespace().skip(1).filter(|word| !word.starts_with('-'));
    let is_apart = |word: &str| {
        ["/var/lib/", "/var/cache/", "/var/log/", "/var/tmp/", "/tmp/"].iter().any(|folder| word.starts_with(folder))
            && !word.contains("..")
            && !word.contains("bin")
    };
    step.text.starts_with("rm ") && words.all(is_apart)
}

/// Whether a step only fills a project's own folders and the manager's cache: no folder that is searched for programs.
fn installs_below_project(step: &Step<'_>) -> bool {
    let Some(package) = &step.package else { return false };
    let is_local = matches!(
        package.manager,
        Manager::Npm
            | Manager::Yarn
            | Manager::Pnpm
            | Manager::Bun
            | Manager::Composer
            | Manager::Cargo
            | Manager::Go
            | Manager::Maven
            | Manager::Gradle
            | Manager::Dotnet
    );
    is_local
        && matches!(package.verb, Verb::Install | Verb::Download)
        && package.reads_working_directory()
        && !package.unknown
        && !step.text.contains("global")
        && !step.text.contains('|')
}
