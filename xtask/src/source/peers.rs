//! Linters as programs: jettison, hadolint and tally over the same files, each with what it cost.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::bench::measure::Sample;

/// Runs a linter over files below a folder. What it prints goes to `output`.
pub(crate) fn measured(
    program: &Path,
    arguments: &[&str],
    files: &[OsString],
    folder: &Path,
    output: &Path,
) -> Result<Sample> {
    let report = output.with_extension("report");
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("measured").arg("--report").arg(&report).args(["--limit", "3600", "--"]);
    command.arg(program).args(arguments).args(files).current_dir(folder).stdin(Stdio::null());
    let log = output.with_extension("log");
    command.stdout(File::create(output)?).stderr(File::create(&log)?);
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    let message = std::fs::read_to_string(&log).unwrap_or_default();
    ensure!(status.success(), "it fails: {}", message.lines().next().unwrap_or("no message"));
    serde_json::from_slice(&std::fs::read(&report)?).context("the report of a run is broken")
}

/// The arguments of a linter before the files: findings never make it fail.
pub(crate) fn arguments(tool: &str) -> &'static [&'static str] {
    match tool {
        "hadolint" => &["--no-fail", "--format", "json"],
        "tally" => &["lint", "--no-config", "--slow-checks", "off", "--fail-level", "none", "--format", "json"],
        _ => &["lint", "--error-on", "never", "--format", "json"],
    }
}

/// A program in PATH, past the shims of version managers, which would be measured with it.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let all = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&all).map(|folder| folder.join(name)).find(|path| path.is_file())?;
    let behind = Command::new("pyenv").args(["which", name]).stderr(Stdio::null()).output().ok();
    let behind = behind.filter(|output| output.status.success());
    let path = behind.and_then(|output| String::from_utf8(output.stdout).ok()).map(|path| PathBuf::from(path.trim()));
    path.filter(|path| path.is_file()).or(Some(found))
}

/// The first line that a program says about its version.
pub(crate) fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output().ok();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("does not say its version").to_owned()
}
