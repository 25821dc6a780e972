//! The files in which projects name their dependencies, and the commands that install from nothing else.

use std::collections::BTreeSet;

use jettison_ir::source::{Context, Entry};
use jettison_syntax::ignore::Ignore;
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

/// A command that installs what manifests name.
struct Install {
    manager: Manager,
    verb: Verb,
    /// The manifests; the first must be there.
    files: &'static [&'static str],
    /// Options without which the command works on the project itself: one of each group is needed.
    needs: &'static [&'static [&'static str]],
    /// What the context must not hold at its top: the command reads more then, or writes there.
    unless: &'static [&'static str],
}

const fn install(manager: Manager, verb: Verb, files: &'static [&'static str]) -> Install {
    Install { manager, verb, files, needs: &[], unless: &[] }
}

/// All of them. Cargo is none: it wants the sources of its targets to be there even where it only fetches.
const INSTALLS: &[Install] = &[
    Install {
        unless: &["node_modules"],
        ..install(Manager::Npm, Verb::Install, &["package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"])
    },
    Install {
        unless: &["node_modules", ".yarn", ".yarnrc.yml", ".pnp.cjs"],
        ..install(Manager::Yarn, Verb::Install, &["package.json", "yarn.lock", ".npmrc", ".yarnrc"])
    },
    Install {
        unless: &["node_modules", "pnpm-workspace.yaml", "patches"],
        ..install(Manager::Pnpm, Verb::Install, &["package.json", "pnpm-lock.yaml", ".npmrc", ".pnpmfile.cjs"])
    },
    Install {
        unless: &["vendor", ".bundle", ".gemspec"],
        ..install(Manager::Bundle, Verb::Install, &["Gemfile", "Gemfile.lock", ".ruby-version", ".tool-versions"])
    },
    Install {
        needs: &[&["--no-autoloader"], &["--no-scripts"]],
        unless: &["vendor"],
        ..install(Manager::Composer, Verb::Install, &["composer.json", "composer.lock", "auth.json"])
    },
    Install { unless: &["go.work"], ..install(Manager::Go, Verb::Download, &["go.mod", "go.sum"]) },
    Install {
        needs: &[&["--no-root"]],
        unless: &[".venv"],
        ..install(Manager::Poetry, Verb::Install, &["pyproject.toml", "poetry.lock", "poetry.toml"])
    },
    Install { unless: &[".venv"], ..install(Manager::Pipenv, Verb::Install, &["Pipfile", "Pipfile.lock"]) },
];

/// Options that lead the commands to another folder, or to more than the manifests.
const ELSEWHERE: &[&str] = &[
    "-C",
    "-w",
    "-e",
    "--chdir",
    "--cwd",
    "--dir",
    "--directory",
    "--editable",
    "--filter",
    "--find-links",
    "--gemfile",
    "--include-workspace-root",
    "--path",
    "--prefix",
    "--project",
    "--recursive",
    "--root",
    "--target",
    "--working-dir",
    "--workspace",
    "--workspaces",
    "-d",
    "-f",
    "-g",
    "-r",
    "-t",
    "--global",
];

/// What of a context is sent, as far as installs look at it.
pub(crate) struct Project<'a> {
    /// The files at its top.
    files: BTreeSet<&'a str>,
    /// All names at its top.
    top: BTreeSet<&'a str>,
    /// The names of files below.
    nested: BTreeSet<&'a str>,
}

impl<'a> Project<'a> {
    /// Looks at a context.
    pub(crate) fn read(context: &'a Context, ignore: Option<&Ignore>) -> Self {
        let mut project = Self { files: BTreeSet::new(), top: BTreeSet::new(), nested: BTreeSet::new() };
        for file in &context.files {
            if file.entry == Entry::Folder || ignore.is_some_and(|ignore| ignore.matches(&file.path)) {
                continue;
            }
            match file.path.split_once('/') {
                None => {
                    project.top.insert(&file.path);
                    if file.entry == Entry::File {
                        project.files.insert(&file.path);
                    }
                }
                Some((top, below)) => {
                    project.top.insert(top);
                    project.nested.insert(below.rsplit('/').next().unwrap_or(below));
                }
            }
        }
        project
    }

    /// The manifests that a command reads, none where it is no installation of dependencies, and why it may read more.
    pub(crate) fn manifests(
        &self,
        package: &PackageCommand,
        directory: &str,
    ) -> Option<Result<Vec<&'a str>, (&'static str, &'static str)>> {
        if package.manager == Manager::Pip {
            return self.requirements(package, directory);
        }
        let install =
            INSTALLS.iter().find(|install| install.manager == package.manager && install.verb == package.verb)?;
        if !package.packages.is_empty() || !package.arguments.is_empty() || package.unknown {
            return None;
        }
        let is_missing = |group: &&&[&str]| !package.has_option(group);
        if package.has_option(ELSEWHERE) || install.needs.iter().any(|group| is_missing(&group)) {
            return Some(Err(("reads-project", "it installs the project itself, or works in another folder")));
        }
        if !self.files.contains(install.files[0]) {
            return Some(Err(("no-manifest", "the build context does not hold the manifest as a file")));
        }
        let found = |name: &&&str| {
            self.top.contains(**name) || self.top.iter().any(|top| top.ends_with(".gemspec") && **name == ".gemspec")
        };
        if install.unless.iter().any(|name| found(&name)) {
            return Some(Err(("reads-project", "the context holds more than manifests that it may read or write")));
        }
        if self.nested.contains(install.files[0]) {
            return Some(Err(("workspace", "there are manifests in folders below, which may belong to it")));
        }
        Some(Ok(install.files.iter().filter_map(|name| self.files.get(name)).copied().collect()))
    }

    /// The files that `pip install -r` reads: those it names, and all beside them that they may name.
    fn requirements(
        &self,
        package: &PackageCommand,
        directory: &str,
    ) -> Option<Result<Vec<&'a str>, (&'static str, &'static str)>> {
        const FILES: &[&str] = &["-r", "--requirement", "-c", "--constraint"];
        let is_install = package.verb == Verb::Install && package.has_option(&FILES[..2]);
        if !is_install || package.unknown || package.packages.iter().any(|package| package.is_file) {
            return None;
        }
        let more: Vec<&str> = ELSEWHERE.iter().copied().filter(|name| *name != "-r").collect();
        if package.has_option(&more) {
            return Some(Err(("reads-project", "it installs the project itself, or works in another folder")));
        }
        let is_list =
            |name: &&&str| name.ends_with(".txt") && (name.contains("requirements") || name.contains("constraints"));
        let mut files: BTreeSet<&str> = self.files.iter().filter(is_list).copied().collect();
        for option in package.options.iter().filter(|option| FILES.contains(&option.name.as_str())) {
            let value = option.value.as_deref()?;
            let value = value.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')).unwrap_or(value);
            let value = value.strip_prefix("./").unwrap_or(value);
            match self.files.get(value) {
                Some(name) => files.insert(name),
                None => return Some(Err(("no-manifest", "the build context does not hold the manifest as a file"))),
            };
        }
        Some(Ok(files.into_iter().collect()))
    }
}
