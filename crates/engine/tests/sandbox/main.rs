//! Sandboxed commands with real namespaces.
//!
//! They run with a harness of their own, since the engine's runner is the calling program started again: `main` has to
//! hand over to it first. Real root is needed, or an ordinary user who may make user namespaces.

mod cases;
mod root;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use jettison_engine::ids::Ids;
use jettison_engine::sandbox::{Entered, enter, run_if_asked};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::root::Root;

/// The first argument of a process that is an engine which is to be killed.
const ENGINE: &str = "__engine-that-dies";

/// The first argument of a process that runs a shell on its terminal, and then uses that itself.
const TERMINAL: &str = "__engine-with-a-terminal";
/// Set where the tests run once more, with less power.
const INSIDE: &str = "JETTISON_TEST_INSIDE";
/// A user that owns nothing, and the first of 65536 ids that nobody has.
const ORDINARY: &str = "1001";
const SUBORDINATE: &str = "200000";

fn main() -> ExitCode {
    run_if_asked();
    let ids = match enter() {
        Ok(Entered::Finished(code)) => return code,
        Ok(Entered::Inside(host)) => host.ids,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "these tests need namespaces: {}", root::with_causes(&error));
            return ExitCode::FAILURE;
        }
    };
    if std::env::args().nth(1).as_deref() == Some(ENGINE) {
        let seconds = std::env::args().nth(2).unwrap_or_default();
        let ended = Root::new(ids).and_then(|mut root| root.shell(&format!("sleep {seconds} & sleep {seconds}")));
        return ended.map_or(ExitCode::FAILURE, |_| ExitCode::SUCCESS);
    }
    if std::env::args().nth(1).as_deref() == Some(TERMINAL) {
        return on_terminal(ids).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = cases::ALL.iter().map(|(name, case)| Trial::test(*name, move || case(ids))).collect();
    if std::env::var_os(INSIDE).is_none() {
        trials.push(Trial::test("a_container_ends_with_its_engine", a_container_ends_with_its_engine));
        trials.push(Trial::test("a_shell_on_a_terminal", a_shell_on_a_terminal));
        // An ordinary user cannot become somebody else; the tests above are his own then.
        if is_real_root().unwrap_or(false) {
            trials.push(Trial::test("all_as_an_ordinary_user", all_as_an_ordinary_user));
            trials.push(Trial::test("all_with_subordinate_ids", all_with_subordinate_ids));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn on_terminal(ids: Ids) -> Result<(), Failed> {
    let mut root = Root::new(ids)?;
    root.spec.terminal = true;
    root.shell("busybox tty && test -t 1 && test -t 2 && read line && echo \"shell: $line\"; : < /dev/tty && : < $(busybox tty)")?;
    // Whoever uses the terminal next finds it as it was.
    let modes = rustix::termios::tcgetattr(std::io::stdin())?.local_modes;
    let is_usual = modes.contains(rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO);
    Ok(writeln!(std::io::stdout(), "engine: {is_usual}")?)
}

fn a_shell_on_a_terminal() -> Result<(), Failed> {
    let command = format!("{} {TERMINAL}", std::env::current_exe()?.display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    let mut child = once_more(&mut script).stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().ok_or("no input")?;
    input.write_all(b"one\r")?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let parts = ["/dev/pts/0", "shell: one", "engine: true"];
    let is_right = output.status.success() && parts.iter().all(|part| said.contains(part));
    if is_right { Ok(()) } else { Err(said.into_owned().into()) }
}

fn all_as_an_ordinary_user() -> Result<(), Failed> {
    let (_place, program) = program_for_all()?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", ORDINARY, "--regid", ORDINARY, "--clear-groups"]).arg(program);
    all_passed(once_more(&mut command).spawn()?)
}

/// As where the user has subordinate ids, which `newuidmap` maps.
fn all_with_subordinate_ids() -> Result<(), Failed> {
    let (_place, program) = program_for_all()?;
    let mut command = Command::new("unshare");
    let line = "echo; read line; exec setpriv --reuid 0 --regid 0 --clear-groups \"$0\"";
    command.args(["--user", "--keep-caps", "sh", "-c", line]).arg(program).stdin(Stdio::piped());
    let mut child = once_more(&mut command).spawn()?;
    let mut empty = [0];
    child.stdout.as_mut().ok_or("no output")?.read_exact(&mut empty)?;
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", child.id()), format!("0 {SUBORDINATE} 65536\n"))?;
    }
    child.stdin.take().ok_or("no input")?.write_all(b"\n")?;
    all_passed(child)
}

/// A copy of this program, which may lie in a folder that only its owner can enter.
fn program_for_all() -> Result<(tempfile::TempDir, PathBuf), Failed> {
    let place = tempfile::tempdir()?;
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777))?;
    let program = place.path().join("tests");
    fs::copy(std::env::current_exe()?, &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok((place, program))
}

fn once_more(command: &mut Command) -> &mut Command {
    // The temporary folder of whoever runs this may be his own.
    command.env("TMPDIR", "/tmp").env(INSIDE, "1").current_dir("/").stdout(Stdio::piped()).stderr(Stdio::piped())
}

fn all_passed(child: Child) -> Result<(), Failed> {
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let expected = format!("{} passed; 0 failed", cases::ALL.len());
    if output.status.success() && said.contains(&expected) { Ok(()) } else { Err(said.into()) }
}

/// Whether this is the machine's root, in no user namespace.
fn is_real_root() -> Result<bool, Failed> {
    let map = fs::read_to_string("/proc/self/uid_map")?;
    Ok(map.split_whitespace().eq(["0", "0", "4294967295"]))
}

fn a_container_ends_with_its_engine() -> Result<(), Failed> {
    let seconds = &long_time(3);
    // What is killed cannot tidy up.
    let place = tempfile::tempdir()?;
    let mut engine = Command::new(std::env::current_exe()?);
    let mut engine = engine.args([ENGINE, seconds]).env("TMPDIR", place.path()).stdout(Stdio::piped()).spawn()?;
    let appeared = wait_until(|| sleepers(seconds).len() == 2);
    engine.kill()?;
    engine.wait()?;
    let mut rest = String::new();
    // Nobody who was left holds the engine's output open either.
    engine.stdout.take().ok_or("no output")?.read_to_string(&mut rest)?;
    let vanished = wait_until(|| sleepers(seconds).is_empty());
    root::same(&(appeared, vanished), &(true, true))
}

/// A time that no process sleeps but those of one case of this run, in seconds.
fn long_time(case: u32) -> String {
    format!("8639{case}.{}", std::process::id())
}

/// Waits for a process that sleeps so many seconds, and kills it from outside its container.
fn kill_sleeper(seconds: &str) -> Result<(), Failed> {
    if !wait_until(|| !sleepers(seconds).is_empty()) {
        return Err("nobody sleeps".into());
    }
    for sleeper in sleepers(seconds) {
        let pid = rustix::process::Pid::from_raw(sleeper).ok_or("no process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    }
    Ok(())
}

/// Kills the one that started such a process: its runner.
fn kill_parent_of_sleeper(seconds: &str) -> Result<(), Failed> {
    Ok(rustix::process::kill_process(parent_of_sleeper(seconds)?, rustix::process::Signal::KILL)?)
}

/// Waits for such a process, and finds its runner.
fn parent_of_sleeper(seconds: &str) -> Result<rustix::process::Pid, Failed> {
    if !wait_until(|| !sleepers(seconds).is_empty()) {
        return Err("nobody sleeps".into());
    }
    let sleeper = *sleepers(seconds).first().ok_or("nobody sleeps any more")?;
    let status = fs::read_to_string(format!("/proc/{sleeper}/status"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).ok_or("no parent")?;
    Ok(rustix::process::Pid::from_raw(parent.trim().parse()?).ok_or("no process")?)
}

/// The processes that sleep that long.
fn sleepers(seconds: &str) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter(|process| {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            line.starts_with(format!("sleep\0{seconds}\0").as_bytes())
        })
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

fn wait_until(is_so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
