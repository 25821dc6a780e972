//! Services that packages had enabled: the links to systemd's units with the notes of `deb-systemd-helper` that it made
//! these (deb-systemd-helper(1p), `purge` and `unmask`), and the links of runlevels to scripts (`update-rc.d NAME remove`).

use std::collections::BTreeSet;

use bstr::ByteSlice as _;

use super::dpkg::Going;
use super::{Change, EditError, Editor, Package, Rest, info, within};
use crate::layer::Kind;

/// Where units of packages are, where the links of those that are enabled, and the helper's notes of these and of those
/// that it masked.
struct Units {
    own: [&'static str; 2],
    links: &'static str,
    enabled: &'static str,
    masked: &'static str,
}

const UNITS: [Units; 2] = [
    Units {
        own: ["lib/systemd/system", "usr/lib/systemd/system"],
        links: "etc/systemd/system",
        enabled: "var/lib/systemd/deb-systemd-helper-enabled",
        masked: "var/lib/systemd/deb-systemd-helper-masked",
    },
    Units {
        own: ["lib/systemd/user", "usr/lib/systemd/user"],
        links: "etc/systemd/user",
        enabled: "var/lib/systemd/deb-systemd-user-helper-enabled",
        masked: "var/lib/systemd/deb-systemd-user-helper-masked",
    },
];

/// Forgets units of packages that are purged, where a script of the package does so. Returned are folders that may be empty.
pub(super) fn forget(editor: &mut Editor<'_, '_>, going: &Going<'_>) -> Result<Vec<Vec<u8>>, EditError> {
    debug_assert_eq!(editor.rest, Rest::Purge, "what is removed only stays enabled");
    let mut folders = BTreeSet::new();
    for package in editor.gone_packages() {
        let script = info::content(editor, going, package, "postrm")?;
        if script.contains_str("update-rc.d") && script.contains_str("purge") {
            forget_runlevels(editor, package);
        }
        if !script.contains_str("deb-systemd-helper") || !script.contains_str("purge") {
            continue;
        }
        for path in &package.files {
            let Some((folder, unit)) = path.rsplit_once_str("/") else { continue };
            let is_own = |units: &&Units| units.own.iter().any(|own| own.as_bytes() == folder);
            let is_gone = editor.changes.get(path) == Some(&Change::Gone);
            if let Some(units) = UNITS.iter().find(is_own).filter(|_| is_gone) {
                forget_unit(editor, units, unit, &mut folders)?;
            }
        }
    }
    Ok(folders.into_iter().collect())
}

/// Takes away what starts and stops the scripts of a package: `/etc/rc2.d/S01cron`, which leads to `../init.d/cron`.
fn forget_runlevels(editor: &mut Editor<'_, '_>, package: &Package) {
    let is_gone = |path: &&Vec<u8>| editor.changes.get(*path) == Some(&Change::Gone);
    let scripts = package.files.iter().filter(is_gone).filter_map(|path| path.strip_prefix(b"etc/init.d/"));
    let targets: BTreeSet<Vec<u8>> = scripts.map(|name| [b"../init.d/", name].concat()).collect();
    for level in "0123456S".chars() {
        for link in editor.within(format!("etc/rc{level}.d").as_bytes()) {
            if editor.target(&link).is_some_and(|target| targets.contains(target)) {
                editor.remove(link);
            }
        }
    }
}

fn forget_unit(
    editor: &mut Editor<'_, '_>,
    units: &Units,
    unit: &[u8],
    folders: &mut BTreeSet<Vec<u8>>,
) -> Result<(), EditError> {
    let links = within(units.links.as_bytes(), b"");
    let notes = within(units.enabled.as_bytes(), &[unit, b".dsh-also"].concat());
    if let Some(file) = editor.database.text(&notes)? {
        for line in file.content.lines() {
            let link = line.strip_prefix(b"/").unwrap_or(line);
            let Some(name) = link.strip_prefix(links.as_slice()).filter(|name| !name.contains_str("..")) else {
                continue;
            };
            // Links of other names are aliases, and lead to the unit all the same.
            let leads = |target: &[u8]| target.rsplit(|&byte| byte == b'/').next() == Some(unit);
            if editor.target(link).is_some_and(leads) && !editor.is_held(link) {
                editor.remove(link.to_vec());
            }
            let note = within(units.enabled.as_bytes(), name);
            if editor.kind(&note) == Some(Kind::File) {
                editor.remove(note);
            }
            if let Some((folder, _)) = name.rsplit_once_str("/") {
                folders.insert(within(units.enabled.as_bytes(), folder));
                folders.insert(within(units.links.as_bytes(), folder));
            }
        }
        editor.remove(file.path);
    }
    let mask = within(units.masked.as_bytes(), unit);
    if editor.kind(&mask) == Some(Kind::File) {
        let link = within(units.links.as_bytes(), unit);
        if editor.target(&link) == Some(b"/dev/null") {
            editor.remove(link);
        }
        editor.remove(mask);
    }
    Ok(())
}
