//! Services of packages that are gone: the links by which systemd's units were enabled, Debian's notes of these
//! (deb-systemd-helper(1p)), and the links of runlevels to scripts (update-rc.d(8)). Purging forgets all of them.

use hashbrown::HashSet;
use jettison_image::Kind;
use jettison_image::packages::Manager;

use super::databases::Compared;
use super::files::Files;

/// Where packages have units, and the links to those that are enabled.
const KINDS: [(&[u8], &[u8]); 2] =
    [(b"lib/systemd/system/", b"etc/systemd/system"), (b"lib/systemd/user/", b"etc/systemd/user")];

/// Where the notes are, each named by its unit.
const NOTES: [&[u8]; 4] = [
    b"var/lib/systemd/deb-systemd-helper-enabled",
    b"var/lib/systemd/deb-systemd-helper-masked",
    b"var/lib/systemd/deb-systemd-user-helper-enabled",
    b"var/lib/systemd/deb-systemd-user-helper-masked",
];

/// What belongs to units of packages that are gone, although no list has it.
pub(super) fn own(compared: &Compared<'_>, before: &Files<'_, '_>) -> Vec<Vec<u8>> {
    let mut own = Vec::new();
    if compared.old.manager != Manager::Dpkg {
        return own;
    }
    let mut all = HashSet::new();
    for (units, links) in KINDS {
        let names: HashSet<&[u8]> = compared
            .gone_packages()
            .flat_map(|package| &package.files)
            .filter(|path| compared.is_gone(path))
            .filter_map(|path| path.strip_prefix(b"usr/").unwrap_or(path).strip_prefix(units))
            .collect();
        for path in below(before, links) {
            let Some(target) = before.target(&path) else { continue };
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let leads = target.starts_with(b"/") && compared.is_gone(&compared.canonical(target));
            if leads || (target == b"/dev/null" && names.contains(name)) {
                own.push(path);
            }
        }
        all.extend(names);
    }
    for level in "0123456S".chars() {
        let links = before.within(format!("etc/rc{level}.d").as_bytes()).into_iter();
        own.extend(links.filter(|link| {
            let script = before.target(link).and_then(|target| target.strip_prefix(b"../init.d/"));
            script.is_some_and(|name| compared.is_gone(&[b"etc/init.d/", name].concat()))
        }));
    }
    let is_note = |path: &Vec<u8>| {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        all.contains(name.strip_suffix(b".dsh-also").unwrap_or(name))
    };
    own.extend(NOTES.iter().flat_map(|folder| below(before, folder)).filter(is_note));
    own
}

/// What is in a folder and in its own folders, but for these.
fn below(files: &Files<'_, '_>, folder: &[u8]) -> Vec<Vec<u8>> {
    let (mut all, mut left) = (Vec::new(), vec![folder.to_vec()]);
    while let Some(folder) = left.pop() {
        for path in files.within(&folder) {
            let is_folder = files.tree.find(&path).is_some_and(|node| files.tree.kind(node) == Kind::Directory);
            if is_folder { left.push(path) } else { all.push(path) }
        }
    }
    all
}
