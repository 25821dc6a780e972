//! The trees of an image that are installed and not written to: those that a system, a program or a language's packages are
//! put into.

use jettison_ir::ImageUnit;

/// Top folders that hold nothing but what was installed.
const INSTALLED: [&[u8]; 9] = [b"bin", b"gnu", b"lib", b"lib32", b"lib64", b"libx32", b"nix", b"sbin", b"usr"];
/// Top folders that are for what changes (FHS 3.0, 3 and 5).
const WRITTEN: [&[u8]; 14] = [
    b"boot", b"dev", b"etc", b"home", b"media", b"mnt", b"proc", b"root", b"run", b"srv", b"sys", b"tmp", b"var",
    b"volumes",
];
/// Folders that installers of languages fill, and nobody else.
const PACKAGES: [&[u8]; 4] = [b"dist-packages", b"gems", b"node_modules", b"site-packages"];
/// Folders in installed trees that are written to all the same, by their names.
const INNER: [&[u8]; 15] = [
    b".cache", b"cache", b"conf", b"data", b"db", b"etc", b"html", b"log", b"logs", b"src", b"state", b"temp", b"tmp",
    b"var", b"www",
];
/// Ends of the names of files that programs keep what they know in.
const STATE: [&[u8]; 8] = [b".db", b".sqlite", b".sqlite3", b".log", b".pid", b".lock", b".conf", b".dat"];

/// What an image says of where it writes.
pub(crate) struct Trees {
    /// The folder that its command starts in; none where that is the root.
    working: Option<Vec<u8>>,
}

impl Trees {
    pub(crate) fn of(unit: &ImageUnit<'_>) -> Self {
        let settings = unit.config.settings();
        let working = settings.get("config").and_then(|config| config.get("WorkingDir")?.as_str());
        let working = working.map(|path| path.trim_matches('/').as_bytes().to_vec());
        Self { working: working.filter(|path| !path.is_empty()) }
    }

    /// The installed tree that a path is in; none where it may be written to.
    pub(crate) fn place(&self, path: &[u8]) -> Option<Vec<u8>> {
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let (file, folders) = names.split_last()?;
        let top = folders.first()?;
        let is_state = STATE.iter().any(|end| file.ends_with(end));
        if WRITTEN.contains(top) || is_state || folders.contains(&&b".cache"[..]) {
            return None;
        }
        let packages = folders.iter().position(|name| PACKAGES.contains(name));
        let before = &folders[..packages.unwrap_or(folders.len())];
        let is_working = self
            .working
            .as_ref()
            .is_some_and(|working| path.strip_prefix(&working[..]).is_some_and(|rest| rest.starts_with(b"/")));
        let is_inner = before.iter().skip(1).any(|name| INNER.contains(name));
        match (INSTALLED.contains(top), folders) {
            (true, _) if !is_working && !is_inner => Some(top.to_vec()),
            (_, [b"opt", program, ..]) if !is_working && !is_inner => Some([b"opt/", *program].concat()),
            _ => packages.map(|at| folders[..=at].join(&b'/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(working: &str, path: &str, expected: Option<&str>) {
        let working = Some(working.as_bytes().to_vec()).filter(|path| !path.is_empty());
        let place = Trees { working }.place(path.as_bytes());
        assert_eq!(place, expected.map(|place| place.as_bytes().to_vec()), "{path}");
    }

    #[test]
    fn trees_are_what_was_installed_together() {
        check("", "usr/lib/a.so", Some("usr"));
        check("", "usr/local/lib/python3.12/site-packages/a/data/x", Some("usr"));
        check("", "opt/venv/lib/x", Some("opt/venv"));
        check("", "app/node_modules/a/node_modules/b/x.js", Some("app/node_modules"));
    }

    #[test]
    fn what_may_be_written_to_is_in_none() {
        for path in ["etc/a", "var/lib/a/node_modules/x", "home/me/.venv/lib/site-packages/x", "srv/a", "tmp/a"] {
            check("", path, None);
        }
        for path in ["app/x", "usr/share/nginx/html/x", "usr/local/var/x", "usr/lib/x.sqlite", "a", "opt/a"] {
            check("", path, None);
        }
        check("", "app/node_modules/.cache/x", None);
    }

    #[test]
    fn the_folder_that_a_program_starts_in_is_its_own() {
        check("opt/app", "opt/app/x", None);
        check("opt/app", "opt/application/x", Some("opt/application"));
        check("usr/src/app", "usr/src/app/node_modules/x", Some("usr/src/app/node_modules"));
    }
}
