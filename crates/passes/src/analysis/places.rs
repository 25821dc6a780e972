//! Places in an image: how absolute paths relate, and which folders a base image brings along.

use jettison_ir::source::SourceUnit;
use jettison_syntax::dockerfile::{Arguments, Kind};
use jettison_syntax::path::{self, clean};
use jettison_syntax::view::{Origin, Scope, Settings};

use super::steps;

/// Folders that base images usually have. That they are there says nothing about what is in them.
const FOLDERS_OF_BASES: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/libexec",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/include",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/local/share",
    "/usr/sbin",
    "/usr/share",
    "/usr/src",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// Folders below which packages and base images have files of their own.
const FOLDERS_OF_PACKAGES: &[&str] =
    &["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr", "/var"];

/// Folders among those that are left to people.
const FOLDERS_OF_PEOPLE: &[&str] = &["/usr/src", "/usr/local/src"];

/// Folders that base images for one purpose bring with files in them.
const FOLDERS_WITH_CONTENT: &[&str] = &[
    "/docker-entrypoint-initdb.d",
    "/go",
    "/opt/bitnami",
    "/opt/conda",
    "/opt/java",
    "/opt/jboss",
    "/opt/keycloak",
    "/usr/src/app",
    "/usr/src/redmine",
    "/usr/src/wordpress",
];

/// A path as it is meant where the settings hold; none where the working directory decides and is not known.
pub(crate) fn absolute(path: &str, settings: &Settings) -> Option<String> {
    path::absolute(path, settings.workdir.known().filter(|workdir| workdir.starts_with('/')))
}

/// Whether `path` is `folder` or lies below it.
pub(crate) fn is_within(path: &str, folder: &str) -> bool {
    folder == "/" || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether one of two paths lies in the other.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    is_within(one, other) || is_within(other, one)
}

/// The folder that a path lies in.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

/// The last part of a path.
pub(crate) fn name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Whether base images usually have a folder there.
pub(crate) fn is_of_bases(path: &str) -> bool {
    FOLDERS_OF_BASES.contains(&path)
}

/// Whether there may be something at a place before a Dockerfile says so: folders of bases and packages, and homes.
pub(crate) fn may_hold_something(path: &str) -> bool {
    let is_of_packages = FOLDERS_OF_PACKAGES.iter().any(|folder| is_within(path, folder))
        && !FOLDERS_OF_PEOPLE.iter().any(|folder| is_within(path, folder) && path != *folder);
    // Homes hold what new users get, and what programs put there without being asked.
    let is_home = parent(path) == "/home" || (is_within(path, "/home") && path.contains("/."));
    is_of_bases(path)
        || is_of_packages
        || is_home
        || FOLDERS_WITH_CONTENT.iter().any(|folder| overlap(folder, path) && path != "/")
}

/// Whether a package or a base image may have a file at a place: anything but what is left to people.
pub(crate) fn may_be_of_packages(path: &str) -> bool {
    let left_to_people = ["/root", "/usr/local", "/usr/src", "/var/tmp"];
    FOLDERS_OF_PACKAGES.iter().any(|folder| is_within(path, folder))
        && !left_to_people.iter().any(|folder| is_within(path, folder))
}

/// The instructions that make what a stage is at `at`: those of the stages below it, then its own.
pub(crate) fn lineage(unit: &SourceUnit<'_>, at: usize) -> Vec<usize> {
    let Some(mut stage) = unit.outline.stage_of(at) else { return Vec::new() };
    let own = stage.instructions.start..at.max(stage.instructions.start);
    let mut ranges: Vec<_> = std::iter::once(own).collect();
    while let Origin::Stage(below) = stage.base {
        stage = &unit.stages()[below];
        ranges.push(stage.instructions.clone());
    }
    ranges.into_iter().rev().flatten().collect()
}

/// Whether a folder is there before an instruction, since bases have it or an earlier instruction makes it.
pub(crate) fn exists(unit: &SourceUnit<'_>, folder: &str, lineage: &[usize]) -> bool {
    is_of_bases(folder) || lineage.iter().any(|at| is_made_by(unit, folder, *at))
}

/// Whether an instruction makes a folder for sure.
fn is_made_by(unit: &SourceUnit<'_>, folder: &str, at: usize) -> bool {
    match unit.kind(at) {
        Kind::Workdir => {
            let Arguments::Text(span) = unit.instruction(at).body.arguments else { return false };
            let word = unit.tree.part(unit.instruction(at), span);
            let path = unit.scope(at).expand(word, unit.tree.escape);
            let path = path.and_then(|path| absolute(&path, unit.settings(at)));
            path.is_some_and(|path| is_within(&path, folder))
        }
        Kind::Copy | Kind::Add => {
            let Some(copied) = super::copies::read(unit, at) else { return false };
            is_within(parent(&copied.target), folder) || (copied.into_folder && copied.target == folder)
        }
        Kind::Run => {
            let Some(steps) = steps::of(unit, at) else { return false };
            steps.iter().filter_map(|step| step.simple).filter(|simple| simple.name() == Some("mkdir")).any(|simple| {
                let literals = simple.arguments().iter().filter_map(|word| word.literal());
                literals
                    .filter(|word| !word.starts_with('-'))
                    .filter_map(|word| absolute(&word, unit.settings(at)))
                    .any(|path| is_within(&path, folder))
            })
        }
        _ => false,
    }
}

/// Whether an instruction names a place, so that it may put something there; `scope` holds the variables that it may use.
pub(crate) fn is_named_by(unit: &SourceUnit<'_>, place: &str, at: usize, scope: &Scope) -> bool {
    match unit.kind(at) {
        Kind::Copy | Kind::Add => super::copies::read(unit, at).is_none_or(|copied| match copied.files(unit) {
            Some(files) => files.iter().any(|(file, _)| overlap(file, place)),
            None => overlap(&copied.target, place),
        }),
        Kind::Workdir => {
            is_made_by(unit, place, at) || matches!(unit.settings(at + 1).workdir.known(), None | Some(""))
        }
        Kind::Volume => unit.tree.part(unit.instruction(at), unit.instruction(at).body.rest).contains(place),
        Kind::Run => {
            let line = unit.tree.line(unit.instruction(at));
            let text = unit.text(at).map_or(line, |text| &text.text);
            // What runs in a folder may write into it, and one that has a name for the place may use it.
            let works_there = match unit.settings(at).workdir.known() {
                Some(workdir) => workdir != "/" && overlap(workdir, place),
                None => false,
            };
            works_there || mentions(text, place) || names_by_variable(text, place, scope)
        }
        _ => false,
    }
}

/// Whether a text holds a path as a whole.
pub(crate) fn mentions(text: &str, path: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.match_indices(path).any(|(at, _)| !text.as_bytes().get(at + path.len()).is_some_and(|byte| is_name(*byte)))
}

fn names_by_variable(text: &str, place: &str, scope: &Scope) -> bool {
    text.contains('$')
        && scope.iter().any(|(name, variable)| {
            text.contains(name)
                && variable
                    .value
                    .as_deref()
                    .is_none_or(|value| value.starts_with('/') && clean(value) != "/" && overlap(&clean(value), place))
        })
}

#[cfg(test)]
mod tests {
    use super::{is_within, may_hold_something, mentions, overlap, parent};

    #[test]
    fn paths_relate_by_whole_names() {
        assert!(is_within("/app/a", "/app") && is_within("/app", "/app") && is_within("/x", "/"));
        assert!(!is_within("/apple", "/app") && !is_within("/", "/app"));
        assert!(overlap("/a", "/a/b") && overlap("/a/b", "/a") && !overlap("/a/b", "/a/c"));
        assert_eq!((parent("/a/b"), parent("/a"), parent("/")), ("/a", "/", "/"));
        assert!(mentions("ls /app/x", "/app") && mentions("cd /app", "/app") && !mentions("ls /apple", "/app"));
    }

    #[test]
    fn bases_hold_something_at_known_places() {
        assert!(may_hold_something("/etc") && may_hold_something("/home/node") && may_hold_something("/var/www/html"));
        assert!(may_hold_something("/etc/unbound") && may_hold_something("/home/a/.ssh"));
        assert!(!may_hold_something("/home/a/app") && !may_hold_something("/usr/src/tool"));
        assert!(!may_hold_something("/app") && !may_hold_something("/srv/app") && !may_hold_something("/opt/tool"));
    }
}
