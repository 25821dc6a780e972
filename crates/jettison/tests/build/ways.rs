//! Who builds, and how: other users, and the fallbacks for trees.

use std::fs;
use std::path::Path;

use crate::suite::Way;

/// The user that stands for anybody, and the first of 65536 ids that nobody has.
const USER: u32 = 1001;
const SUBORDINATE: u32 = 200_000;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Whether the tests run as root, who can be anybody.
pub(crate) fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t"))
}

/// As a user for whom no other ids are put aside.
pub(crate) fn with_one_id() -> Way {
    if !is_root() {
        return Way::default();
    }
    let become_user = format!("setpriv --reuid {USER} --regid {USER} --clear-groups --inh-caps=-all");
    Way { prefix: words(&become_user), owner: Some(USER), ..Way::default() }
}

/// As a user with subordinate ids: in a mount namespace whose `/etc` names them. `folder` holds the files that do.
pub(crate) fn with_many_ids(folder: &Path) -> Way {
    assert!(is_root(), "only root can give somebody subordinate ids");
    let etc = folder.join("etc");
    fs::create_dir(&etc).expect("a folder");
    fs::set_permissions(&etc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let passwd = fs::read_to_string("/etc/passwd").expect("the users");
    fs::write(etc.join("passwd"), format!("{passwd}anybody:x:{USER}:{USER}::/:/bin/sh\n")).expect("writes");
    for name in ["subuid", "subgid"] {
        fs::write(etc.join(name), format!("anybody:{SUBORDINATE}:65536\n")).expect("writes");
    }
    let lay = "mount -t overlay -o lowerdir=\"$0\":/etc overlay /etc && exec setpriv \"$@\"";
    let mut prefix = words("unshare --mount sh -c");
    prefix.extend([lay.to_owned(), etc.display().to_string()]);
    prefix.extend(words(&format!("--reuid {USER} --regid {USER} --clear-groups --inh-caps=-all")));
    Way { prefix, owner: Some(USER), has_subordinate_ids: true, ..Way::default() }
}

/// As whoever runs the tests, with trees made otherwise.
pub(crate) fn by_snapshotter(name: &str) -> Way {
    Way { arguments: words(&format!("--snapshotter {name}")), ..Way::default() }
}
