//! Removes the packages that pacman keeps, in the RUN that fetches them.

use jettison_ir::source::{SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::folders::Folder;
use crate::analysis::leftovers::{self, CACHES, Leftover, Made, Role};

pub(crate) const PASS: Pass = Pass {
    name: "pacman-cache",
    summary: "packages that pacman keeps",
    level: Level::O2,
    safety: Safety::Assuming(&[CACHES]),
    page: include_str!("pacman_cache.md"),
    aliases: &[],
    run: Run::Source(run),
};

const CACHE: Leftover = Leftover {
    hints: &["pacman"],
    what: "its packages",
    folders: &[Folder::At("/var/cache/pacman/pkg")],
    is_roots: true,
    role,
    readers: &[],
    fetchers: &["yay", "paru", "makepkg"],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &[],
    removal,
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if unit.may_assume(&CACHES) { leftovers::run(unit, &CACHE) } else { Vec::new() }
}

fn role(command: &PackageCommand, _: &str) -> Role {
    if command.manager != Manager::Pacman {
        return Role::default();
    }
    // Files that are installed with -U are not copied there.
    let is_file = command.has_option(&["-U", "--upgrade"]);
    Role {
        makes: !is_file && matches!(command.verb, Verb::Install | Verb::Upgrade | Verb::Download),
        clears: command.verb == Verb::Clean,
        elsewhere: command.has_option(&["-b", "-r", "--root", "--dbpath", "--cachedir", "--config"]),
        ..Role::default()
    }
}

fn removal(_: &Made<'_>) -> Option<Vec<String>> {
    // With --noconfirm, `pacman -Scc` answers its own question with no.
    Some(vec!["rm -rf /var/cache/pacman/pkg/*".to_owned()])
}
