//! Removes apt's package lists in the RUN that fetches them.

use jettison_ir::source::{SourceRemark, SourceUnit};
use jettison_ir::{Level, Pass, Run, Safety};
use jettison_syntax::packages::{Manager, PackageCommand, Verb};

use crate::analysis::folders::Folder;
use crate::analysis::leftovers::{self, INDEXES, Leftover, Made, Role, SCRIPTS};

pub(crate) const PASS: Pass = Pass {
    name: "apt-lists",
    summary: "package lists that apt-get update leaves behind",
    level: Level::O2,
    safety: Safety::Assuming(&[INDEXES, SCRIPTS]),
    page: include_str!("apt_lists.md"),
    aliases: &["DL3009", "DD004"],
    run: Run::Source(run),
};

const LISTS: Leftover = Leftover {
    hints: &["apt"],
    what: "its package lists",
    folders: &[Folder::At("/var/lib/apt/lists")],
    is_roots: true,
    role,
    readers: &[
        "apt-cache",
        "apt-file",
        "apt-fast",
        "apt-show-versions",
        "apt-rdepends",
        "gdebi",
        "grep-aptavail",
        "install_packages",
        "mk-build-deps",
        "nala",
        "rosdep",
        "tasksel",
    ],
    // They fetch the lists themselves.
    fetchers: &["add-apt-repository", "apt-add-repository"],
    scripts_may_need: true,
    keeps: &[],
    removed_as: &[],
    removal,
};

fn run(unit: &SourceUnit<'_>) -> Vec<SourceRemark> {
    if unit.may_assume(&INDEXES) { leftovers::run(unit, &LISTS) } else { Vec::new() }
}

fn role(command: &PackageCommand, text: &str) -> Role {
    if !matches!(command.manager, Manager::AptGet | Manager::Apt | Manager::Aptitude) {
        return Role::default();
    }
    let verb = command.verb_span.map_or("", |span| if text.is_empty() { "" } else { span.of(text) });
    Role {
        makes: command.verb == Verb::Update,
        needs: matches!(
            command.verb,
            Verb::Install | Verb::Upgrade | Verb::Download | Verb::Query | Verb::Other | Verb::Build
        ),
        clears: matches!(verb, "distclean" | "dist-clean"),
        // Another root, or other folders, by options of configuration.
        elsewhere: command.options.iter().any(|option| {
            option.value.as_deref().is_some_and(|value| value.starts_with("Dir") || value.starts_with("RootDir"))
        }),
    }
}

fn removal(_: &Made<'_>) -> Option<Vec<String>> {
    Some(vec!["rm -rf /var/lib/apt/lists/*".to_owned()])
}
