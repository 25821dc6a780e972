//! Entering namespaces for real, as root and as an ordinary user: each case starts this program again, since it must
//! have one thread, which a test harness does not give.
//!
//! It speaks as much of the harness' language as test runners need: `--list`, and names of cases.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)] // It is a test.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use jettison_engine::sandbox::{Entered, enter};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, geteuid, kill_process};

const CASES: [(&str, fn()); 8] = [
    ("this_user_becomes_root_in_a_mount_namespace", this_user),
    ("an_ordinary_user_becomes_root", ordinary_user),
    ("subordinate_ids_are_mapped", subordinate),
    ("what_a_group_of_the_user_may_read_can_be_read", group),
    ("the_next_way_of_mapping_is_tried", next_way),
    ("root_who_may_not_mount_keeps_all_ids", weak_root),
    ("root_of_a_namespace_with_one_id_stays_so", nested),
    ("signals_reach_the_child_and_its_end_is_passed_on", signals),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--inside") {
        return inside(&arguments[1..]);
    }
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    if given("--list") {
        // None is ignored, so a list of those that are is empty.
        CASES.iter().filter(|_| !given("--ignored")).for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    for (name, case) in CASES {
        if names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str())) {
            println!("{name}");
            case();
        }
    }
    ExitCode::SUCCESS
}

/// What the started program does: enters, says where it is, and ends as it is told to.
fn inside(arguments: &[String]) -> ExitCode {
    let host = match enter() {
        Ok(Entered::Inside(host)) => host,
        Ok(Entered::Finished(code)) => return code,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(99);
        }
    };
    let folder = tempfile::tempdir().unwrap();
    mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), None).unwrap();
    unmount(folder.path(), UnmountFlags::empty()).unwrap();
    let ids = rustix::process::getgid().as_raw() + geteuid().as_raw();
    let namespace = fs::read_link("/proc/self/ns/mnt").unwrap();
    println!("{:?} {ids} {}", host.ids, namespace.display());
    if let Some(note) = host.note {
        eprintln!("{note}");
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.contains("SigBlk:\t0000000000000000"), "signals stay blocked");
    match arguments[0].as_str() {
        "wait" => {
            fs::write(&arguments[1], "ready").unwrap();
            std::thread::sleep(std::time::Duration::from_secs(60));
            ExitCode::SUCCESS
        }
        "read" => {
            print!("{}", fs::read_to_string(&arguments[1]).unwrap_or_else(|error| error.to_string()));
            ExitCode::SUCCESS
        }
        code => ExitCode::from(code.parse::<u8>().unwrap()),
    }
}

/// This program, started by another that makes it somebody else.
fn started_by(wrapper: &[&str], program: &Path) -> Command {
    let mut words: Vec<&std::ffi::OsStr> = wrapper.iter().map(std::ffi::OsStr::new).collect();
    words.push(program.as_os_str());
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg("--inside");
    command
}

/// A copy that any user can start.
fn copy() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = folder.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, program)
}

fn as_ordinary() -> &'static [&'static str] {
    if geteuid().is_root() { &["setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups"] } else { &[] }
}

fn said(output: &Output, code: i32) -> Vec<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

fn assert_elsewhere(namespace: &str) {
    assert_ne!(Path::new(namespace), fs::read_link("/proc/self/ns/mnt").unwrap());
}

fn this_user() {
    let (_folder, program) = copy();
    let words = said(&started_by(&[], &program).arg("7").output().unwrap(), 7);
    assert_eq!(words[1], "0", "{words:?}");
    if geteuid().is_root() && fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295") {
        assert_eq!(words[0], "Many");
    }
    assert_elsewhere(&words[2]);
}

fn ordinary_user() {
    let (_folder, program) = copy();
    let output = started_by(as_ordinary(), &program).arg("7").output().unwrap();
    let words = said(&output, 7);
    assert_eq!(words[1], "0", "{words:?}");
    let note = String::from_utf8_lossy(&output.stderr);
    match words[0].as_str() {
        // The other way was not taken, and this says why.
        "One" => assert!(note.contains("one user id only") || note.contains("could not be mapped"), "{note:?}"),
        other => assert_eq!((other, note.as_ref()), ("Many", "")),
    }
    assert_elsewhere(&words[2]);
}

/// Starts the program as a user with subordinate ids: with files over `/etc/subuid` and `/etc/subgid` that only a
/// mount namespace of the case's own sees.
fn with_ranges(user: &str, groups: &str, arguments: &[&std::ffi::OsStr]) -> Option<Output> {
    if !geteuid().is_root() {
        eprintln!("NOT TESTED: mapping subordinate ids, which needs root to lay down a file of ranges");
        return None;
    }
    let (folder, program) = copy();
    let ranges = folder.path().join("ranges");
    fs::write(&ranges, format!("{user}:500000:65536\n")).unwrap();
    let ranges = ranges.to_str().unwrap();
    let script = format!(
        "set -e; for file in /etc/subuid /etc/subgid; do mount --bind {ranges} $file; done; \
         exec setpriv --reuid {user} --regid 65534 {groups} \"$@\""
    );
    Some(started_by(&["unshare", "--mount", "sh", "-c", &script, "sh"], &program).args(arguments).output().unwrap())
}

fn subordinate() {
    if let Some(output) = with_ranges("nobody", "--clear-groups", &["7".as_ref()]) {
        assert_eq!(said(&output, 7)[..2], ["Many", "0"], "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// As Docker's socket is for the group docker.
fn group() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "it may be read").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    if geteuid().is_root() {
        std::os::unix::fs::chown(&file, Some(0), Some(48321)).unwrap();
    }
    for (groups, expected) in [("--groups 48321", "it may be read"), ("--clear-groups", "ermission denied")] {
        if let Some(output) = with_ranges("nobody", groups, &["read".as_ref(), file.as_os_str()]) {
            let words = said(&output, 0);
            assert_eq!(words[0], "Many");
            assert!(words.join(" ").contains(expected), "{groups}: {words:?}");
        }
    }
}

/// newuidmap refuses a user that `/etc/passwd` does not name.
fn next_way() {
    if let Some(output) = with_ranges("48123", "--clear-groups", &["7".as_ref()]) {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said(&output, 7)[..2], ["One", "0"], "{errors}");
        assert!(errors.starts_with("ids could not be mapped: newuidmap"), "{errors}");
    }
}

/// As in a container that was not given CAP_SYS_ADMIN.
fn weak_root() {
    if !geteuid().is_root() {
        eprintln!("NOT TESTED: root without CAP_SYS_ADMIN, which needs root");
        return;
    }
    let (_folder, program) = copy();
    let output = started_by(&["setpriv", "--bounding-set", "-sys_admin"], &program).arg("7").output().unwrap();
    let words = said(&output, 7);
    assert_eq!(words[..2], ["Many", "0"], "{}", String::from_utf8_lossy(&output.stderr));
}

fn nested() {
    let (_folder, program) = copy();
    let mut wrapper = as_ordinary().to_vec();
    wrapper.extend(["unshare", "-Ur"]);
    let words = said(&started_by(&wrapper, &program).arg("3").output().unwrap(), 3);
    assert_eq!(words[..2], ["One", "0"]);
}

fn signals() {
    let (folder, program) = copy();
    let ready = folder.path().join("ready");
    let mut command = started_by(as_ordinary(), &program);
    let started = command.arg("wait").arg(&ready).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut child = started;
    for _ in 0..500 {
        if ready.exists() || child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(ready.exists(), "it did not enter");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    // Not ended by the signal itself: it waited for its child, which was.
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGTERM));
}
