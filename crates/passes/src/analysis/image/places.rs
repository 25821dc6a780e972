//! The places of an image that rules speak of: homes, variables, settings, programs.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node, packages};
use jettison_ir::ImageUnit;
use jettison_syntax::path::clean;

use super::rules::Setting;
use super::settings;
use crate::analysis::places::is_of_bases;

/// The home folders, as paths with a leading slash: of the users that the image knows, and of its own `HOME`.
pub(crate) fn homes(unit: &ImageUnit<'_>) -> Vec<String> {
    let mut homes = vec!["/root".to_owned()];
    homes.extend(unit.variable("HOME"));
    let passwd = unit.text("etc/passwd").unwrap_or_default();
    let of_users = passwd.lines().filter_map(|line| line.split(|&byte| byte == b':').nth(5)?.to_str().ok());
    homes.extend(of_users.filter(|home| home.len() > 1 && home.starts_with('/')).map(str::to_owned));
    if let Some(folder) = packages::follow(&unit.upper, b"home") {
        let names = unit.upper.children(folder).into_iter().map(|node| unit.upper.name(node).to_str_lossy());
        homes.extend(names.map(|name| format!("/home/{name}")));
    }
    homes.sort();
    homes.dedup();
    homes
}

/// A rule's path in all its meanings: `~` for each home, a variable for its value. None where a variable is not set.
pub(crate) fn expanded(unit: &ImageUnit<'_>, homes: &[String], path: &str) -> Vec<String> {
    if let Some(rest) = path.strip_prefix('~') {
        return homes.iter().map(|home| format!("{}{rest}", home.trim_end_matches('/'))).collect();
    }
    let Some(rest) = path.strip_prefix('$') else { return vec![path.to_owned()] };
    let end = rest.find('/').unwrap_or(rest.len());
    let value = unit.variable(&rest[..end]).filter(|value| is_folder_name(value));
    value.map(|value| format!("{}{}", value.trim_end_matches('/'), &rest[end..])).into_iter().collect()
}

/// The paths that a setting leads to, in each file that has it.
pub(crate) fn set(unit: &ImageUnit<'_>, homes: &[String], setting: &Setting) -> Vec<String> {
    // A home's own file speaks of this home, and one for all of any.
    let of_homes = homes.iter().map(std::slice::from_ref).filter(|_| setting.file.starts_with('~'));
    let scopes = of_homes.chain((!setting.file.starts_with('~')).then_some(homes));
    let mut found = Vec::new();
    for scope in scopes {
        for file in expanded(unit, scope, setting.file) {
            let files = file.strip_suffix("/*").map_or_else(|| vec![file.clone()], |folder| within(unit, folder));
            let texts = files.iter().filter_map(|file| unit.text(file.trim_start_matches('/')));
            let values = texts.flat_map(|text| settings::values(&text, setting.key));
            found.extend(values.flat_map(|value| at_home(&value, scope)));
        }
    }
    // Whose home it is may keep anything there.
    found.retain(|value| is_folder_name(value) && !homes.iter().any(|home| clean(home) == clean(value)));
    found.into_iter().map(|value| format!("{}{}", clean(&value), setting.below)).collect()
}

/// A value with the homes that it may speak of.
fn at_home(value: &str, homes: &[String]) -> Vec<String> {
    const HOMES: [&str; 5] = ["~", "$HOME", "${HOME}", "{$HOME}", "${user.home}"];
    let rest = HOMES.iter().find_map(|home| value.strip_prefix(home).filter(|rest| rest.starts_with('/')));
    match rest {
        None => vec![value.to_owned()],
        Some(rest) => homes.iter().map(|home| format!("{}{rest}", home.trim_end_matches('/'))).collect(),
    }
}

/// The paths in a folder.
fn within(unit: &ImageUnit<'_>, folder: &str) -> Vec<String> {
    let Some(node) = packages::follow(&unit.upper, folder.as_bytes()) else { return Vec::new() };
    let names = unit.upper.children(node).into_iter().map(|node| unit.upper.name(node).to_str_lossy());
    names.map(|name| format!("{folder}/{name}")).collect()
}

/// Whether a value is a folder that may be nothing but a cache: absolute, and none that base images bring along.
fn is_folder_name(value: &str) -> bool {
    // A pattern would match more than this one folder.
    value.starts_with('/') && !value.contains(['*', '?', '[', '$']) && !is_of_bases(&clean(value))
}

/// The folders that programs are looked for in: those of `PATH`, and the usual ones.
pub(crate) fn program_folders(unit: &ImageUnit<'_>) -> BTreeSet<Node> {
    let path = unit.variable("PATH").unwrap_or_default();
    let usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let folders = path.split(':').chain(usual.split(':')).filter(|folder| folder.starts_with('/'));
    folders.filter_map(|folder| packages::follow(&unit.upper, folder.as_bytes())).collect()
}

/// Whether the image has a program of this name, in the folders of its `PATH` and the usual ones. `*` at the end of a name
/// stands for a version.
pub(crate) fn has_program(unit: &ImageUnit<'_>, name: &str, is_gone: &dyn Fn(Node) -> bool) -> bool {
    let is_there = |node: Node| unit.upper.kind(node) != Kind::Directory && !is_gone(node);
    program_folders(unit).into_iter().any(|folder| match name.strip_suffix('*') {
        None => unit.upper.child(folder, name.as_bytes()).is_some_and(is_there),
        Some(stem) => unit.upper.children(folder).into_iter().any(|node| {
            let version = unit.upper.name(node).strip_prefix(stem.as_bytes());
            version.is_some_and(|rest| rest.iter().all(|c| c.is_ascii_digit() || *c == b'.' || *c == b'-'))
                && is_there(node)
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_speak_of_homes() {
        let homes = ["/root".to_owned(), "/home/me/".to_owned()];
        for value in ["~/c", "$HOME/c", "${HOME}/c", "${user.home}/c"] {
            assert_eq!(at_home(value, &homes), ["/root/c", "/home/me/c"], "{value}");
        }
        for value in ["/c", "~other/c", "~", "$HOMES/c"] {
            assert_eq!(at_home(value, &homes), [value]);
        }
    }

    #[test]
    fn folders_of_the_system_are_no_caches() {
        assert!(["/srv/pip", "/cache", "/var/lib/x/"].iter().all(|value| is_folder_name(value)));
        assert!(
            [
                "/",
                "//",
                "/usr",
                "/usr/",
                "/usr/lib",
                "/usr/./lib",
                "/var/lib",
                "/data/..",
                "relative",
                "",
                "/a/*",
                "/a/[b]"
            ]
            .iter()
            .all(|value| !is_folder_name(value))
        );
    }
}
