//! BuildKit in a Docker engine of the bench's own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::builders::{Builder, TAG, Tools, first_line};
use super::projects::{BASE, Project};
use crate::bench::daemon::Daemon;
use crate::bench::measure::Sample;

/// Debian's client, which has no plugin in front of the engine's BuildKit.
const DOCKER: &str = "/usr/bin/docker";
/// The engine.
const DOCKERD: &str = "/usr/sbin/dockerd";

/// `docker build` by BuildKit.
pub(super) struct BuildKit {
    tools: Tools,
    daemon: Daemon,
}

impl BuildKit {
    /// The engine is started when it is first needed.
    pub(super) fn new(tools: Tools) -> Self {
        let daemon = Daemon::new(&tools.work);
        Self { tools, daemon }
    }

    fn host(&mut self) -> Result<String> {
        ensure!(Path::new(DOCKERD).exists(), "{DOCKERD} is not installed");
        Ok(self.daemon.host(Path::new(DOCKERD))?.to_owned())
    }

    fn docker_build(&mut self, tag: &str, folder: &Path) -> Result<Sample> {
        let host = self.host()?;
        let folder = folder.to_str().context("the work folder's path is not text")?;
        let command = [DOCKER, "build", "--network=none", "--progress=plain", "-t", tag, folder];
        self.tools.measured(&command, &[("DOCKER_HOST", &host), ("DOCKER_BUILDKIT", "1")])
    }
}

impl Builder for BuildKit {
    fn name(&self) -> &'static str {
        "BuildKit"
    }

    fn version(&self) -> String {
        format!("in Docker, {}", first_line(Path::new(DOCKER), &["--version"]))
    }

    fn reset(&mut self, storage: &Path) -> Result<()> {
        if !self.tools.quick || self.daemon.pid().is_none() {
            self.daemon.end();
            self.daemon = Daemon::new(storage);
        }
        let base = self.tools.base.clone();
        self.docker_build(BASE, &base)?;
        // The base's image stays.
        let host = self.host()?;
        let mut prune = Command::new(DOCKER);
        prune.args(["builder", "prune", "-af"]).env("DOCKER_HOST", host).stdin(Stdio::null()).stdout(Stdio::null());
        ensure!(prune.status()?.success(), "docker builder prune failed");
        Ok(())
    }

    fn build(&mut self, project: &Project) -> Result<Sample> {
        self.host()?;
        let engine = self.daemon.pid().context("the engine is not running")?;
        // proc_pid_clear_refs(5): the peak begins anew.
        let _ = fs::write(format!("/proc/{engine}/clear_refs"), "5");
        let sample = self.docker_build(TAG, &project.folder)?;
        let memory = sample.memory.max(peak(engine)?);
        Ok(Sample { memory, ..sample })
    }

    fn leave(&mut self) {
        if !self.tools.quick {
            self.daemon.end();
        }
    }
}

/// A process's largest resident set, in bytes.
fn peak(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the engine is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells no peak")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("the kernel's peak is no number")?;
    Ok(kilobytes * 1024)
}
