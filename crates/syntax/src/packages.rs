//! Package-manager commands: which manager is called, to do what, with which options, for which packages.
//!
//! A command is read from its words alone, without a shell: words that hold an expansion have no value and make the
//! command [`PackageCommand::unknown`]. What the managers understand is one table, `packages/table.rs`.

mod read;
mod specifier;
mod table;
mod wrapper;

use crate::Span;
pub use read::read;

/// A word of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument<'a> {
    /// Its value; `None` where it holds an expansion or a glob.
    pub value: Option<&'a str>,
    /// Where it stands.
    pub span: Span,
}

/// The package managers that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the programs")]
pub enum Manager {
    AptGet,
    Apt,
    Aptitude,
    Dpkg,
    Apk,
    Dnf,
    Yum,
    Microdnf,
    Rpm,
    Zypper,
    Pacman,
    Emerge,
    Xbps,
    Pip,
    Uv,
    Poetry,
    Pipenv,
    Pdm,
    Conda,
    Mamba,
    Micromamba,
    Npm,
    Yarn,
    Pnpm,
    Bun,
    Gem,
    Bundle,
    Go,
    Cargo,
    Maven,
    Gradle,
    Sbt,
    Composer,
    Dotnet,
    Nuget,
    Luarocks,
    Cpanm,
    Opam,
    Cabal,
    Stack,
    Brew,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Fetches the index of packages.
    Update,
    /// Installs packages, or what a project's manifest names.
    Install,
    /// Removes packages.
    Remove,
    /// Removes packages with their configuration.
    Purge,
    /// Installs newer versions.
    Upgrade,
    /// Empties caches.
    Clean,
    /// Removes packages that nothing needs.
    AutoRemove,
    /// Fetches packages without installing them.
    Download,
    /// Builds the project.
    Build,
    /// Runs a script or program.
    Run,
    /// Only looks.
    Query,
    /// Anything else.
    Other,
}

/// An option as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionUse {
    /// The option with its dashes. Letters in one word, such as `-yq`, are options of their own.
    pub name: String,
    /// Its value, attached or the next word; `None` also where that word cannot be read.
    pub value: Option<String>,
    /// The option's word, up to its value.
    pub span: Span,
}

/// A package as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name; the whole word for files and addresses.
    pub name: String,
    /// The version or constraint with its operator: `=1.2`, `==1.2`, `~=3`, `@edge`, `/bookworm`.
    pub version: Option<String>,
    /// The architecture of `name:arch`, the extras of `name[extras]`, the channel of `channel::name`.
    pub qualifier: Option<String>,
    /// Whether it is a file, a folder or an address instead of a name.
    pub is_file: bool,
    /// Its word.
    pub span: Span,
}

/// A call of a package manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageCommand {
    /// The program.
    pub manager: Manager,
    /// What it is to do.
    pub verb: Verb,
    /// Its options in their order.
    pub options: Vec<OptionUse>,
    /// The packages it names.
    pub packages: Vec<Package>,
    /// Arguments that name no packages, such as `all` in `yum clean all`.
    pub arguments: Vec<(String, Span)>,
    /// Whether an argument could not be read: a variable, a list from standard input.
    pub unknown: bool,
    /// The program's word, `python3 -m pip` being one.
    pub name_span: Span,
    /// The words or the option that give the verb; `None` where the program alone does.
    pub verb_span: Option<Span>,
    project: bool,
    path_options: &'static [&'static str],
}

impl PackageCommand {
    /// Whether any of the options is used.
    #[must_use]
    pub fn has_option(&self, names: &[&str]) -> bool {
        self.options.iter().any(|option| names.contains(&option.name.as_str()))
    }

    /// The value of the last use of any of the options.
    #[must_use]
    pub fn option_value(&self, names: &[&str]) -> Option<&str> {
        self.options.iter().rev().find(|option| names.contains(&option.name.as_str()))?.value.as_deref()
    }

    /// Whether the manager belongs to a distribution: its packages are the system's.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.manager <= Manager::Xbps
    }

    /// Whether the command looks for a project in the working directory, whatever its arguments are.
    #[must_use]
    pub fn reads_working_directory(&self) -> bool {
        self.project && !self.has_option(&["-g", "--global"])
    }

    /// The arguments and values of options that are relative paths, with the words they are in.
    #[must_use]
    pub fn relative_paths(&self) -> Vec<(&str, Span)> {
        let files = self.packages.iter().filter(|package| package.is_file);
        let files = files.map(|package| (package.name.as_str(), package.span));
        let words = self.arguments.iter().map(|(word, span)| (word.as_str(), *span));
        let words = words.filter(|(word, _)| word.starts_with('.'));
        let options = self.options.iter().filter(|option| self.path_options.contains(&option.name.as_str()));
        let options = options.filter_map(|option| Some((option.value.as_deref()?, option.span)));
        let mut paths: Vec<_> =
            files.chain(words).chain(options).filter(|(path, _)| specifier::is_relative(path)).collect();
        paths.sort_by_key(|(_, span)| *span);
        paths
    }
}
