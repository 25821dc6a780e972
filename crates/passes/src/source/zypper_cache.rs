//! Removes what zypper keeps, in the RUN that fetches it.

use jettison_ir::source::{SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::folders::Folder;
use crate::analysis::leftovers::{self, CACHES, Leftover, Made, Role};

pub(crate) const PASS: Pass = Pass {
    name: "zypper-cache",
    summary: "metadata and packages that zypper keeps",
    level: Level::O2,
    safety: Safety::Assuming(&[CACHES]),
    page: include_str!("zypper_cache.md"),
    aliases: &["DL3036", "DD034"],
    run: Run::Source(run),
};

const CACHE: Leftover = Leftover {
    hints: &["zypper"],
    what: "its metadata and packages",
    folders: &[Folder::At("/var/cache/zypp")],
    is_roots: true,
    role,
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &[],
    removal,
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if unit.may_assume(&CACHES) { leftovers::run(unit, &CACHE) } else { Vec::new() }
}

fn role(command: &PackageCommand, _: &str) -> Role {
    if command.manager != Manager::Zypper {
        return Role::default();
    }
    let fetches = matches!(command.verb, Verb::Update | Verb::Install | Verb::Upgrade | Verb::Download);
    let offline = command.has_option(&["--no-refresh"]);
    Role {
        makes: fetches && !offline,
        needs: fetches && offline,
        clears: command.verb == Verb::Clean,
        elsewhere: command.has_option(&["-R", "--root", "--installroot", "--cache-dir"]),
    }
}

fn removal(made: &Made<'_>) -> Option<Vec<String>> {
    if !made.has_run {
        return made.without(CACHE.folders);
    }
    Some(vec![format!("{} clean -a", made.program)])
}
