//! Removes what dnf, yum and microdnf keep, in the RUN that fetches it.

use jettison_ir::source::{SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::folders::Folder;
use crate::analysis::leftovers::{self, CACHES, Leftover, Made, Role};

pub(crate) const PASS: Pass = Pass {
    name: "dnf-cache",
    summary: "metadata and packages that dnf, yum and microdnf keep",
    level: Level::O2,
    safety: Safety::Assuming(&[CACHES]),
    page: include_str!("dnf_cache.md"),
    aliases: &["DL3032", "DL3040", "DD031", "DD033"],
    run: Run::Source(run),
};

const CACHE: Leftover = Leftover {
    hints: &["dnf", "yum"],
    what: "its metadata and packages",
    folders: &[Folder::At("/var/cache/dnf"), Folder::At("/var/cache/yum"), Folder::At("/var/cache/libdnf5")],
    is_roots: true,
    role,
    readers: &["repoquery", "yum-config-manager", "yum-builddep", "yumdownloader"],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &["keepcache=1", "keepcache=True", "keepcache=true"],
    removed_as: &[],
    removal,
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if unit.may_assume(&CACHES) { leftovers::run(unit, &CACHE) } else { Vec::new() }
}

fn role(command: &PackageCommand, _: &str) -> Role {
    if !matches!(command.manager, Manager::Dnf | Manager::Yum | Manager::Microdnf) {
        return Role::default();
    }
    let fetches = matches!(command.verb, Verb::Update | Verb::Install | Verb::Upgrade | Verb::Download);
    let offline = command.has_option(&["-C", "--cacheonly"]);
    Role {
        makes: fetches && !offline,
        needs: offline,
        clears: command.verb == Verb::Clean,
        elsewhere: command.has_option(&["--installroot"]),
    }
}

fn removal(made: &Made<'_>) -> Option<Vec<String>> {
    if !made.has_run {
        return made.without(CACHE.folders);
    }
    let clean = format!("{} clean all", made.program);
    // Its clean leaves the folders of repositories that are turned off meanwhile.
    let is_yum = made.program.ends_with("yum");
    Some(if is_yum { vec![clean, "rm -rf /var/cache/yum".to_owned()] } else { vec![clean] })
}
