//! The shell parser over every `RUN` of the collection of real Dockerfiles.

#[path = "shell_check/mod.rs"]
mod shell_check;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jettison_syntax::shell::{Dialect, Script};

/// Where the collection lies: beside the repository unless the environment says otherwise.
fn shared() -> PathBuf {
    std::env::var_os("JETTISON_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from)
}

/// The texts of all `RUN` instructions in shell form, as the reference parser joined their lines.
fn texts() -> Vec<String> {
    let path = shared().join("corpus/expected.jsonl.zst");
    let packed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = zstd::decode_all(packed.as_slice()).expect("zstd");
    let mut texts = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let file: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        for command in file["cmds"].as_array().into_iter().flatten() {
            if command["cmd"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("run")) && command["json"] == false
            {
                texts.extend(command["value"][0].as_str().map(str::to_owned));
            }
        }
    }
    texts
}

/// What Bash accepts is parsed without an error, and with exact spans; what it refuses (PowerShell, `cmd` and typing
/// errors) is not.
#[test]
fn real_commands_are_understood() {
    let texts = texts();
    assert!(texts.len() > 20_000, "{} texts", texts.len());
    let (mut failed, mut inexact, mut exact) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bytes, mut commands) = (0, 0);
    let mut spent = Duration::ZERO;
    for text in &texts {
        let start = Instant::now();
        let script = Script::parse(text, Dialect::Sh);
        spent += start.elapsed();
        shell_check::check(&script);
        bytes += text.len();
        commands += script.simple_commands().len();
        if script.error.is_some() {
            failed.push(text);
        } else if !script.exact {
            inexact.push(text);
        } else {
            exact.push(text);
        }
    }
    let speed = bytes as f64 / 1e6 / spent.as_secs_f64();
    let count = texts.len();
    println!("{count} texts, {commands} commands, {speed:.1} MB/s, {} failed, {} inexact", failed.len(), inexact.len());
    // What Bash accepts and we do not may be a handful: `{in, out}` is one.
    let wrongly_refused: Vec<_> = failed.iter().chain(&inexact).filter(|text| bash_accepts(text)).collect();
    assert!(wrongly_refused.len() <= 4, "{wrongly_refused:#?}");
    let exact = exact.iter().step_by(30);
    let wrongly_accepted: Vec<_> = exact.filter(|text| !bash_accepts(text)).collect();
    assert!(wrongly_accepted.is_empty(), "{wrongly_accepted:#?}");
    assert!((failed.len() + inexact.len()) * 100 < count, "{} and {} of {count}", failed.len(), inexact.len());
}

/// Whether Bash finds no error of syntax.
fn bash_accepts(text: &str) -> bool {
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("bash");
    let mut input = bash.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("bash reads");
    drop(input);
    bash.wait().expect("bash ends").success()
}
