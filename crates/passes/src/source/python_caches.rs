//! Removes what managers of Python packages keep of their downloads, or keeps them from it.

use jettison_ir::source::{SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::folders::Folder;
use crate::analysis::leftovers::{self, CACHES, Leftover, Made, Role};
use crate::analysis::switches::{self, Switch};

pub(crate) const PASS: Pass = Pass {
    name: "python-caches",
    summary: "what uv, poetry, pipenv, pdm and conda keep of their downloads",
    level: Level::O2,
    safety: Safety::Assuming(&[CACHES]),
    page: include_str!("python_caches.md"),
    aliases: &[],
    run: Run::Source(run),
};

/// uv's cache, which an option turns off.
const UV: Switch = Switch {
    hints: &["uv"],
    option: "--no-cache",
    folder: Folder::Home { variable: "UV_CACHE_DIR", behind: "", below: ".cache/uv" },
    fills: |command| {
        let options = ["--no-cache", "--no-cache-dir", "-n", "--cache-dir", "--offline", "--link-mode"];
        command.manager == Manager::Uv && command.verb == Verb::Install && !command.has_option(&options)
    },
    empties: |command| command.manager == Manager::Uv && command.verb == Verb::Clean,
    decided_by: &["UV_NO_CACHE"],
    moved_by: &["UV_CACHE_DIR", "XDG_CACHE_HOME"],
    // With links into it, the cache is part of what is installed.
    turned_off: &["UV_LINK_MODE=symlink", "UV_LINK_MODE symlink"],
};

/// poetry's downloads. Its virtual environments stand beside them.
const POETRY: Leftover = Leftover {
    hints: &["poetry"],
    what: "its downloads",
    folders: &[
        Folder::Home { variable: "POETRY_CACHE_DIR", behind: "/cache", below: ".cache/pypoetry/cache" },
        Folder::Home { variable: "POETRY_CACHE_DIR", behind: "/artifacts", below: ".cache/pypoetry/artifacts" },
    ],
    is_roots: false,
    role: |command, _| installs(command, Manager::Poetry),
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &[],
    removal: |made| made.without(POETRY.folders),
};

/// pipenv's downloads, and those of the pip that it runs.
const PIPENV: Leftover = Leftover {
    hints: &["pipenv"],
    what: "its downloads",
    folders: &[
        Folder::Home { variable: "PIPENV_CACHE_DIR", behind: "", below: ".cache/pipenv" },
        Folder::Home { variable: "PIP_CACHE_DIR", behind: "", below: ".cache/pip" },
    ],
    is_roots: false,
    role: |command, _| installs(command, Manager::Pipenv),
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &[],
    removed_as: &[],
    removal: |made| made.without(PIPENV.folders),
};

/// pdm's downloads.
const PDM: Leftover = Leftover {
    hints: &["pdm"],
    what: "its downloads",
    folders: &[Folder::Home { variable: "PDM_CACHE_DIR", behind: "", below: ".cache/pdm" }],
    is_roots: false,
    role: |command, _| installs(command, Manager::Pdm),
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &["install.cache"],
    removed_as: &[],
    removal: |made| made.without(PDM.folders),
};

/// The packages of conda and its like, packed and unpacked; environments hold hard links to the latter.
const CONDA: Leftover = Leftover {
    hints: &["conda", "mamba"],
    what: "its packages and index",
    folders: CONDA_FOLDERS,
    is_roots: false,
    role: conda,
    readers: &[],
    fetchers: &[],
    scripts_may_need: false,
    keeps: &["CONDA_OFFLINE"],
    removed_as: &["pkgs"],
    removal: conda_removal,
};

const CONDA_FOLDERS: &[Folder] = &[
    Folder::Home { variable: "CONDA_PKGS_DIRS", behind: "", below: ".conda/pkgs" },
    Folder::Home { variable: "MAMBA_ROOT_PREFIX", behind: "/pkgs", below: "micromamba/pkgs" },
    Folder::At("/opt/conda/pkgs"),
    Folder::At("/opt/*/pkgs"),
    Folder::At("/root/*/pkgs"),
    Folder::At("/home/*/*/pkgs"),
    Folder::At("/usr/local/*/pkgs"),
    Folder::At("/usr/local/pkgs"),
    Folder::At("/*/pkgs"),
    Folder::At("/root/.cache/conda"),
    Folder::At("/home/*/.cache/conda"),
];

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if unit.may_assume(&CACHES) {
        [&POETRY, &PIPENV, &PDM, &CONDA]
            .into_iter()
            .flat_map(|leftover| leftovers::run(unit, leftover))
            .chain(switches::run(unit, &UV))
            .collect()
    } else {
        Vec::new()
    }
}

fn installs(command: &PackageCommand, manager: Manager) -> Role {
    if command.manager != manager {
        return Role::default();
    }
    let installs = matches!(command.verb, Verb::Install | Verb::Upgrade);
    let offline = command.has_option(&["--offline"]);
    Role {
        makes: installs && !offline && !command.has_option(&["--no-cache"]),
        needs: installs && offline,
        clears: command.verb == Verb::Clean,
        ..Role::default()
    }
}

fn conda(command: &PackageCommand, _: &str) -> Role {
    match command.manager {
        manager @ (Manager::Conda | Manager::Mamba | Manager::Micromamba) => installs(command, manager),
        _ => Role::default(),
    }
}

fn conda_removal(made: &Made<'_>) -> Option<Vec<String>> {
    // Old releases know no `-f`; without it the unpacked packages stay that environments share, which cost nothing.
    made.has_run.then(|| vec![format!("{} clean -ay", made.program)])
}
