//! A build keeps its commands from the host, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::suite::{Suite, Way};
use crate::{hostile, ways};

#[test]
fn attacks_by_whoever_runs_the_tests() {
    hostile::all_attacks(if ways::is_root() { Way::default() } else { ways::with_one_id() });
}

#[test]
fn attacks_by_an_ordinary_user() {
    hostile::all_attacks(ways::with_one_id());
}

/// A program with root's set-id bit in an image lies in the cache on the host: nobody else may come to it.
#[test]
fn nobody_else_enters_a_cache() {
    let suite = Suite::new(Way::default());
    let context = suite.path("set-id");
    fs::create_dir(&context).expect("a folder");
    fs::write(context.join("Dockerfile"), "FROM alpine:3.20\nRUN chmod 4755 /bin/busybox\n").expect("writes");
    // As anybody's cache may have been made by a careless hand.
    fs::set_permissions(suite.path("cache"), fs::Permissions::from_mode(0o755)).expect("a mode");
    let output = suite.build(&context, &suite.path("set-id.tar"), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mode = fs::metadata(suite.path("cache")).expect("the cache").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

/// The processes of a step end with the program, however that ends.
fn nothing_outlives(way: Way, seconds: &str) {
    let suite = Suite::new(way);
    let context = suite.path("long");
    fs::create_dir(&context).expect("a folder");
    let text = format!(
        "FROM alpine:3.20\nRUN setsid sleep {seconds} & trap '' TERM INT HUP; sleep {seconds}; sleep {seconds}\n"
    );
    fs::write(context.join("Dockerfile"), text).expect("writes");
    suite.give(&context);
    let mut build = suite
        .command()
        .args(["build", "--offline", "--progress", "plain", "--cache-dir"])
        .arg(suite.path("cache"))
        .arg(&context)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("jettison runs");
    let appeared = wait_until(|| sleepers(seconds) == 2);
    build.kill().expect("a child");
    build.wait().expect("a child");
    let vanished = wait_until(|| sleepers(seconds) == 0);
    assert_eq!((appeared, vanished), (true, true));
}

fn sleepers(seconds: &str) -> usize {
    let wanted = format!("sleep\0{seconds}\0");
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes())).count()
}

fn wait_until(is_so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn nothing_outlives_a_build_that_is_killed() {
    nothing_outlives(Way::default(), "86391");
}

#[test]
fn nothing_outlives_an_ordinary_users_build_that_is_killed() {
    nothing_outlives(ways::with_one_id(), "86392");
}
