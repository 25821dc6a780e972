//! Removes the archives of gems that gem and bundler keep, in the RUN that fetches them.

use jettison_ir::source::{SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::folders::Folder;
use crate::analysis::leftovers::{self, CACHES, Leftover, Made, Role};

pub(crate) const PASS: Pass = Pass {
    name: "gem-cache",
    summary: "archives of gems that gem and bundler keep",
    level: Level::O2,
    safety: Safety::Assuming(&[CACHES]),
    page: include_str!("gem_cache.md"),
    aliases: &["DD061"],
    run: Run::Source(run),
};

/// The archives.
const CACHE: Leftover = Leftover {
    hints: &["gem", "bundle"],
    what: "the archives of its gems",
    folders: FOLDERS,
    is_roots: false,
    role,
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &["gemdir", "/gems", "bundle/cache", ".gem", "GEM_HOME", ".bundle"],
    removal,
};

const FOLDERS: &[Folder] = &[
    Folder::Home { variable: "GEM_HOME", behind: "/cache", below: ".gem/cache" },
    Folder::At("/usr/local/bundle/cache"),
    Folder::At("/usr/local/lib/ruby/gems/*/cache"),
    Folder::At("/usr/lib/ruby/gems/*/cache"),
    Folder::At("/usr/share/gems/cache"),
    Folder::At("/var/lib/gems/*/cache"),
    Folder::At("/root/.bundle/cache"),
];

/// Signs that bundler installs into a folder of the project, where its archives are too.
const OWN_FOLDER: [&str; 6] =
    ["BUNDLE_PATH", "BUNDLE_DEPLOYMENT", "vendor/bundle", "BUNDLE_CACHE", "config set deployment", "config path"];

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if unit.may_assume(&CACHES) { all(unit) } else { Vec::new() }
}

fn all(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let has_own = OWN_FOLDER.iter().any(|sign| unit.tree.text().contains(sign));
    let kept = has_own.then_some(("own-folder", "bundler installs into a folder of the project"));
    leftovers::run_unless(unit, &CACHE, kept)
}

fn role(command: &PackageCommand, text: &str) -> Role {
    let verb = command.verb_span.filter(|_| !text.is_empty()).map_or("", |span| span.of(text));
    let installs = matches!(command.verb, Verb::Install | Verb::Upgrade);
    let local = command.has_option(&["--local", "-l"]);
    match command.manager {
        Manager::Gem => Role {
            makes: installs && !local,
            needs: (installs && local) || verb == "pristine",
            elsewhere: command.has_option(&["-i", "--install-dir", "--user-install"]),
            ..Role::default()
        },
        Manager::Bundle => Role {
            makes: installs && !local,
            needs: (installs && local) || matches!(verb, "pristine" | "cache" | "package"),
            elsewhere: command.has_option(&["--path", "--deployment"]),
            ..Role::default()
        },
        _ => Role::default(),
    }
}

fn removal(made: &Made<'_>) -> Option<Vec<String>> {
    let folder = match made.scope.value("GEM_HOME") {
        Some(home) => jettison_syntax::shell::quote(home).into_owned(),
        None => "\"$(gem env gemdir)\"".to_owned(),
    };
    Some(vec![format!("rm -rf {folder}/cache/*.gem")])
}
