//! Keeps pip from filling its cache.

use jettison_ir::source::{SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::folders::Folder;
use crate::analysis::leftovers::CACHES;
use crate::analysis::switches::{self, Switch};

pub(crate) const PASS: Pass = Pass {
    name: "pip-cache",
    summary: "downloads and built wheels that pip install keeps",
    level: Level::O2,
    safety: Safety::Assuming(&[CACHES]),
    page: include_str!("pip_cache.md"),
    aliases: &["DL3042", "DD009"],
    run: Run::Source(run),
};

const CACHE: Switch = Switch {
    hints: &["pip"],
    option: "--no-cache-dir",
    folder: Folder::Home { variable: "PIP_CACHE_DIR", behind: "", below: ".cache/pip" },
    fills,
    empties: |command| command.manager == Manager::Pip && command.verb == Verb::Clean,
    decided_by: &["PIP_NO_CACHE_DIR"],
    moved_by: &["PIP_CACHE_DIR", "XDG_CACHE_HOME"],
    turned_off: &["global.no-cache-dir", "install.no-cache-dir", "global.cache-dir"],
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if unit.may_assume(&CACHES) { switches::run(unit, &CACHE) } else { Vec::new() }
}

fn fills(command: &PackageCommand) -> bool {
    // From local files alone pip keeps nothing; with --download older versions only fetch.
    let options = ["--no-cache-dir", "--no-cache", "--cache-dir", "--no-index", "--dry-run", "--download", "-d"];
    command.manager == Manager::Pip && command.verb == Verb::Install && !command.has_option(&options)
}
