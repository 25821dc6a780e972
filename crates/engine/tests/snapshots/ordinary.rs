//! The same for an ordinary user, in a user namespace with one id.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use jettison_engine::ids::Ids;
use jettison_engine::snapshot::Kind;

/// Says what is missing where these tests are run by somebody who may not mount.
pub(crate) fn needs_root() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts file systems and must be run by root");
}

/// An id that owns nothing.
const ORDINARY: &str = "1001";

#[test]
fn an_ordinary_user_keeps_the_same() {
    // The test program may lie in a folder that only its owner can enter.
    let place = tempfile::tempdir().expect("a folder");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).expect("open to all");
    let program = place.path().join("tests");
    fs::copy(std::env::current_exe().expect("this program"), &program).expect("copied");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("open to all");
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups", "unshare"]);
        command
    } else {
        Command::new("unshare")
    };
    command.args(["--user", "--map-root-user", "--mount"]).arg(&program);
    command.args(["--exact", "ordinary::inside_the_namespace", "--ignored", "--nocapture"]);
    let output = command.env("TMPDIR", place.path()).output().expect("setpriv and unshare of util-linux");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "started by the test above, in a namespace"]
fn inside_the_namespace() {
    all_agree();
    crate::base::random_bases(Ids::One, 24);
}

fn all_agree() {
    crate::kinds::all_agree(&[Kind::Overlay, Kind::Copy], Ids::One, 16);
}
