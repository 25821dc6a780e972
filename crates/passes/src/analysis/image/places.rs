//! The places of an image that rules speak of: homes, variables, settings, programs.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use jettison_image::{Kind, Node, packages};
use jettison_ir::ImageUnit;

use super::rules::Setting;
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
    let files = expanded(unit, homes, setting.file).into_iter().flat_map(|file| match file.strip_suffix("/*") {
        None => vec![file],
        Some(folder) => within(unit, folder),
    });
    let files: Vec<String> = files.collect();
    let values = files.iter().filter_map(|file| value(&unit.text(file.trim_start_matches('/'))?, setting.key));
    values
        .filter(|value| is_folder_name(value))
        .map(|value| format!("{}{}", value.trim_end_matches('/'), setting.below))
        .collect()
}

/// The paths in a folder.
fn within(unit: &ImageUnit<'_>, folder: &str) -> Vec<String> {
    let Some(node) = packages::follow(&unit.upper, folder.as_bytes()) else { return Vec::new() };
    let names = unit.upper.children(node).into_iter().map(|node| unit.upper.name(node).to_str_lossy());
    names.map(|name| format!("{folder}/{name}")).collect()
}

/// Whether a value is a folder that may be nothing but a cache: absolute, and none that base images bring along.
fn is_folder_name(value: &str) -> bool {
    let value = value.trim_end_matches('/');
    value.starts_with('/') && !value.contains(['*', '?', '$']) && !is_of_bases(value)
}

/// The last value of a key in a configuration file: behind `=`, `:` or blanks, in quotes or not.
fn value(text: &[u8], key: &str) -> Option<String> {
    let mut last = None;
    for line in text.lines().filter_map(|line| line.to_str().ok()).map(str::trim) {
        let is_key = line.get(..key.len()).is_some_and(|start| start.eq_ignore_ascii_case(key));
        let Some(behind) = line.get(key.len()..).filter(|_| is_key) else { continue };
        let rest = behind.trim_start();
        let is_separated = rest.len() < behind.len() || rest.starts_with(['=', ':']);
        let value = rest.trim_start_matches(['=', ':']).trim().trim_end_matches(';').trim_matches(['"', '\'']);
        if is_separated && !value.is_empty() {
            last = Some(value.to_owned());
        }
    }
    last
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
    fn settings_are_read_in_the_forms_of_their_tools() {
        let value = |text: &str, key| super::value(text.as_bytes(), key);
        assert_eq!(value("[global]\ncache-dir = /srv/pip\n", "cache-dir").as_deref(), Some("/srv/pip"));
        assert_eq!(
            value("Dir::Cache::archives \"/srv/debs\";\n", "dir::cache::archives").as_deref(),
            Some("/srv/debs")
        );
        assert_eq!(value("cache=/a\ncache=/b", "cache").as_deref(), Some("/b"));
        assert_eq!(value("cacheFolder: \"/srv/yarn\"", "cacheFolder").as_deref(), Some("/srv/yarn"));
        assert_eq!(value("# cache = /a\ncached = /b", "cache"), None);
    }

    #[test]
    fn folders_of_the_system_are_no_caches() {
        assert!(["/srv/pip", "/cache", "/var/lib/x/"].iter().all(|value| is_folder_name(value)));
        assert!(
            ["/", "/usr", "/usr/", "/usr/lib", "/var/lib", "relative", "", "/a/*"]
                .iter()
                .all(|value| !is_folder_name(value))
        );
    }
}
