//! Running jettison, and reading what it reports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The program that is measured.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) program: PathBuf,
    /// Seconds after which a step is stopped.
    pub(super) limit: u64,
}

/// A Dockerfile with its context, and the cache that it is built with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'s> {
    pub(super) cache: &'s Path,
    pub(super) dockerfile: &'s Path,
    pub(super) context: &'s Path,
}

/// A report, and how long it took, in seconds.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) report: Value,
    pub(super) seconds: f64,
}

impl Tool {
    /// What it says about itself.
    pub(super) fn version(&self) -> String {
        let output = Command::new(&self.program).arg("--version").output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    }

    /// Builds at a level.
    pub(super) fn build(&self, subject: Subject<'_>, level: &str, more: &[String]) -> Result<Answer> {
        self.run(subject, &["build", level], more).with_context(|| format!("build {level}"))
    }

    /// Proves what can be proven of a rewrite.
    pub(super) fn prove(&self, subject: Subject<'_>, level: &str, more: &[String]) -> Result<Answer> {
        self.run(subject, &["rewrite", "--prove", level], more).with_context(|| format!("rewrite --prove {level}"))
    }

    fn run(&self, subject: Subject<'_>, words: &[&str], more: &[String]) -> Result<Answer> {
        let mut command = Command::new(&self.program);
        command.args(words).args(["--progress=plain", "--format=json", "--cache-dir"]).arg(subject.cache);
        command.arg(format!("--timeout={}s", self.limit)).args(more).arg("-f").arg(subject.dockerfile);
        command.arg(subject.context).stdin(Stdio::null());
        let start = Instant::now();
        let output = command.output().with_context(|| format!("cannot start {}", self.program.display()))?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(output.status.success(), "{}: {}", output.status, last_lines(&output.stderr));
        Ok(Answer { report: serde_json::from_slice(&output.stdout).context("the report is broken")?, seconds })
    }
}

/// The end of what a program said, in one line.
fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join(" / ").chars().take(600).collect()
}

/// Removes a folder of the work folder, if it is there.
pub(super) fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}
