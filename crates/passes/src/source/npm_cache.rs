//! Removes the packages that npm, yarn, pnpm and bun keep, in the RUN that fetches them.

use std::slice;

use jettison_ir::source::{SourceRemark, SourceUnit};
use jettison_ir::{Assumption, Level, Pass, Run, Safety};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::folders::Folder;
use crate::analysis::leftovers::{self, CACHES, Leftover, Made, Role};

const YARN: Assumption = Assumption {
    name: "yarn-runs-nothing-out-of-its-cache",
    holds: "yarn puts packages into node_modules, as yarn 1 does",
};

pub(crate) const PASS: Pass = Pass {
    name: "npm-cache",
    summary: "packages that npm, yarn, pnpm and bun keep",
    level: Level::O2,
    safety: Safety::Assuming(&[CACHES, YARN]),
    page: include_str!("npm_cache.md"),
    aliases: &["DL3060"],
    run: Run::Source(run),
};

/// npm's packages.
const NPM: Leftover = Leftover {
    hints: &["npm"],
    what: "its packages",
    folders: &[
        Folder::Home { variable: "npm_config_cache", behind: "/_cacache", below: ".npm/_cacache" },
        Folder::Home { variable: "NPM_CONFIG_CACHE", behind: "/_cacache", below: ".npm/_cacache" },
    ],
    is_roots: false,
    role: |command, _| installs(command, Manager::Npm),
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &["npm config get cache"],
    removal: npm_removal,
};

/// The packages of yarn 1.
const YARN_1: Leftover = Leftover {
    hints: &["yarn"],
    what: "its packages",
    folders: &[
        Folder::Home { variable: "YARN_CACHE_FOLDER", behind: "", below: ".cache/yarn" },
        Folder::At("/usr/local/share/.cache"),
    ],
    is_roots: false,
    role: |command, _| installs(command, Manager::Yarn),
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &["yarn cache dir"],
    removal: |made| made.has_run.then(|| vec![format!("{} cache clean", made.program)]),
};

/// pnpm's notes about packages. The packages themselves are hard links into its store: to remove them there gains nothing.
const PNPM: Leftover = Leftover {
    hints: &["pnpm"],
    what: "its notes about packages",
    folders: &[Folder::Home { variable: "", behind: "", below: ".cache/pnpm" }],
    is_roots: false,
    role: |command, _| installs(command, Manager::Pnpm),
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &[],
    removal: |made| made.without(PNPM.folders),
};

/// bun's packages.
const BUN: Leftover = Leftover {
    hints: &["bun"],
    what: "its packages",
    folders: &[Folder::Home { variable: "BUN_INSTALL", behind: "/install/cache", below: ".bun/install/cache" }],
    is_roots: false,
    role: |command, _| installs(command, Manager::Bun),
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &["BUN_INSTALL_CACHE_DIR"],
    removed_as: &[],
    removal: |made| made.without(BUN.folders),
};

/// Signs of yarn 2 and later, which may run a project's packages right out of its cache.
const LATER_YARN: [&str; 7] = [".yarnrc.yml", ".yarn/", "corepack", "yarn set version", "berry", ".pnp", "--immutable"];

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if unit.may_assume(&CACHES) { all(unit) } else { Vec::new() }
}

fn all(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    let named = LATER_YARN.iter().any(|sign| unit.tree.text().contains(sign));
    let files = unit.context.map_or(&[][..], |context| &context.files);
    let present = files.iter().any(|file| file.path.rsplit('/').next() == Some(".yarnrc.yml"));
    let later = if named || present {
        Some(("later-yarn", "yarn 2 and later may run a project's packages out of its cache"))
    } else {
        (!unit.may_assume(&YARN)).then_some(("later-yarn", "yarn may run a project's packages out of its cache"))
    };
    let mut remarks = leftovers::run(unit, &NPM);
    remarks.extend(leftovers::run_unless(unit, &YARN_1, later));
    remarks.extend([&PNPM, &BUN].into_iter().flat_map(|leftover| leftovers::run(unit, leftover)));
    remarks
}

fn installs(command: &PackageCommand, manager: Manager) -> Role {
    if command.manager != manager {
        return Role::default();
    }
    // Without a verb yarn installs, unless it is asked something.
    let asks = command.has_option(&["--version", "-v", "--help", "-h"]);
    let installs = !asks && matches!(command.verb, Verb::Install | Verb::Upgrade);
    let offline = command.has_option(&["--offline"]);
    Role {
        makes: installs && !offline,
        needs: installs && offline,
        clears: command.verb == Verb::Clean,
        elsewhere: command.has_option(&["--cache", "--cache-folder", "--store-dir", "--cache-dir"]),
    }
}

/// npm's own command would leave a log of itself in the image.
fn npm_removal(made: &Made<'_>) -> Option<Vec<String>> {
    let is_set =
        |folder: &&Folder| matches!(folder, Folder::Home { variable, .. } if made.scope.get(variable).is_some());
    let folder = NPM.folders.iter().find(is_set).unwrap_or(&NPM.folders[0]);
    made.without(slice::from_ref(folder))
}
