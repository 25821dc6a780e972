//! The builders: how each gets storage that holds nothing but the base, and builds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::docker::BuildKit;
use super::projects::{BASE, Project};
use crate::bench::measure::Sample;

/// The tag of what is built.
pub(super) const TAG: &str = "bench-app:1";

/// Someone who builds Dockerfiles.
pub(super) trait Builder {
    /// As the results name it.
    fn name(&self) -> &'static str;
    /// What it says about itself.
    fn version(&self) -> String;
    /// Begins with storage in a folder that is new, and with nothing in it but the base image.
    fn reset(&mut self, storage: &Path) -> Result<()>;
    /// Builds a project and measures that.
    fn build(&mut self, project: &Project) -> Result<Sample>;
    /// Uses its storage no more; the files stay.
    fn leave(&mut self);
}

/// What all builders are run with.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    /// This program, which measures one command when started as `xtask measured`.
    pub(super) helper: PathBuf,
    /// The binary of jettison.
    pub(super) jettison: PathBuf,
    /// The folder of the project that makes the base image.
    pub(super) base: PathBuf,
    /// The work folder.
    pub(super) work: PathBuf,
    /// After this time a build is stopped.
    pub(super) limit: Duration,
    /// Whether the run is to end soon: an engine goes on from project to project.
    pub(super) quick: bool,
}

/// Jettison's builds at -O0 and -O2, BuildKit, buildah.
pub(super) fn all(tools: &Tools) -> Vec<Box<dyn Builder>> {
    vec![
        Box::new(Jettison { tools: tools.clone(), level: "-O0", cache: PathBuf::new() }),
        Box::new(Jettison { tools: tools.clone(), level: "-O2", cache: PathBuf::new() }),
        Box::new(BuildKit::new(tools.clone())),
        Box::new(Buildah { tools: tools.clone(), driver: None, storage: PathBuf::new() }),
    ]
}

impl Tools {
    /// Runs a command in a process of its own that measures it.
    pub(super) fn measured(&self, command: &[&str], environment: &[(&str, &str)]) -> Result<Sample> {
        let (log, report) = (self.work.join("log"), self.work.join("report.json"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut measured = Command::new(&self.helper);
        measured.arg("measured").arg("--report").arg(&report);
        measured.arg("--limit").arg(self.limit.as_secs().to_string()).arg("--").args(command);
        measured.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = measured.status().with_context(|| format!("cannot start {}", self.helper.display()))?;
        ensure!(status.success(), "{}: {}", command.first().unwrap_or(&""), last_lines(&log));
        let sample: Sample = serde_json::from_slice(&fs::read(&report)?).context("the report of a build is broken")?;
        ensure!(!sample.stopped, "stopped after {} s", self.limit.as_secs());
        Ok(sample)
    }
}

/// The end of a log, in one line.
fn last_lines(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(4)..].join(" / ").chars().take(400).collect()
}

/// The first line that a program prints.
pub(super) fn first_line(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let Ok(output) = output else { return "not installed".to_owned() };
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

struct Jettison {
    tools: Tools,
    level: &'static str,
    cache: PathBuf,
}

impl Jettison {
    fn run(&self, tag: &str, folder: &Path) -> Result<Sample> {
        let (program, cache, folder) = (text(&self.tools.jettison)?, text(&self.cache)?, text(folder)?);
        let mut command = vec![program, "build", self.level, "--offline", "--progress", "plain", "--network", "none"];
        command.extend(["--cache-dir", cache, "-t", tag, folder]);
        self.tools.measured(&command, &[])
    }
}

impl Builder for Jettison {
    fn name(&self) -> &'static str {
        if self.level == "-O0" { "jettison -O0" } else { "jettison -O2" }
    }

    fn version(&self) -> String {
        first_line(&self.tools.jettison, &["--version"])
    }

    fn reset(&mut self, storage: &Path) -> Result<()> {
        self.cache = storage.to_owned();
        self.run(BASE, &self.tools.base)?;
        // The steps of the base's own build; its image stays, not unpacked.
        for name in ["steps", "snapshots", "values", "released"] {
            remove(&self.cache.join(name));
        }
        Ok(())
    }

    fn build(&mut self, project: &Project) -> Result<Sample> {
        self.run(TAG, &project.folder)
    }

    fn leave(&mut self) {}
}

/// buildah with storage of its own: over the kernel's overlayfs where that works, else in copies.
struct Buildah {
    tools: Tools,
    driver: Option<&'static str>,
    storage: PathBuf,
}

impl Buildah {
    fn command(&self, driver: &str, arguments: &[&str]) -> Result<Sample> {
        let folder = |name: &str| self.storage.join(name);
        let (root, run) = (folder("root"), folder("run"));
        let mut command = vec!["buildah", "--root", text(&root)?, "--runroot", text(&run)?];
        command.extend(["--storage-driver", driver]);
        command.extend(arguments);
        self.tools.measured(&command, &[])
    }

    fn bud(&self, driver: &str, tag: &str, folder: &Path) -> Result<Sample> {
        let options = ["bud", "--layers", "--isolation", "chroot", "--pull-never", "-t", tag, text(folder)?];
        self.command(driver, &options)
    }
}

impl Builder for Buildah {
    fn name(&self) -> &'static str {
        "buildah"
    }

    fn version(&self) -> String {
        let driver = self.driver.unwrap_or("none that works");
        format!(
            "{}; --layers --isolation chroot --storage-driver {driver}",
            first_line("buildah".as_ref(), &["--version"])
        )
    }

    fn reset(&mut self, storage: &Path) -> Result<()> {
        let drivers = self.driver.map_or(vec!["overlay", "vfs"], |driver| vec![driver]);
        let mut last = Ok(());
        for driver in drivers {
            self.storage = storage.join(driver);
            match self.bud(driver, BASE, &self.tools.base) {
                Ok(_) => {
                    self.driver = Some(driver);
                    return Ok(());
                }
                Err(error) => last = Err(error),
            }
            self.leave();
        }
        last
    }

    fn build(&mut self, project: &Project) -> Result<Sample> {
        self.bud(self.driver.unwrap_or("vfs"), TAG, &project.folder)
    }

    fn leave(&mut self) {
        // The overlay driver leaves its folder mounted on itself.
        let _ = Command::new("umount").arg(self.storage.join("root/overlay")).stderr(Stdio::null()).status();
    }
}

/// Removes a folder of the work folder, if it is there.
pub(super) fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not text", path.display()))
}
