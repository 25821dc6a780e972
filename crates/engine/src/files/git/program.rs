//! Runs the `git` program so that nothing else runs: no hook, filter, helper, monitor or prompt, whatever the
//! configuration of the repository and of the user says.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::build::Cancel;

/// Variables that lead git to another repository or configuration: those of `git rev-parse --local-env-vars`, and
/// those that name programs.
const FOREIGN: [&str; 26] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ASKPASS",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_SYSTEM",
    "GIT_DIR",
    "GIT_EDITOR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_PROXY_COMMAND",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_TRACE",
    "GIT_WORK_TREE",
];

/// Settings that leave nothing to run. `protocol.*` is set by `GIT_ALLOW_PROTOCOL`.
const SETTINGS: [&str; 11] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.askPass=",
    "core.symlinks=true",
    "core.fileMode=true",
    "credential.helper=",
    "init.defaultBranch=main",
    "advice.detachedHead=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
];

/// Which repository is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The folder's own, never one around it.
    Folder,
    /// The one that the folder lies in, whoever it belongs to: nothing of it is run.
    Around,
}

/// Why git gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such program.
    NotInstalled,
    /// It was stopped.
    Cancelled,
    /// The last that it said.
    Failed(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// How git is run.
#[derive(Clone, Copy)]
pub(super) struct Program<'a> {
    /// Where it is run.
    pub(super) folder: &'a Path,
    pub(super) reach: Reach,
    /// What it may fetch over, separated by colons.
    pub(super) protocols: &'a str,
    pub(super) cancel: &'a Cancel,
}

impl Program<'_> {
    /// Runs git, and gives what it printed, from its start.
    pub(super) fn run(&self, command: &str, arguments: &[&str], input: Stdio) -> Result<File, Failure> {
        let (mut output, mut errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let status = self.wait(command, arguments, input, &output, &errors);
        let status = status.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::NotInstalled,
            _ => error.into(),
        })?;
        let Some(status) = status else { return Err(Failure::Cancelled) };
        if !status.success() {
            let text = text(&mut errors)?;
            let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
            return Err(Failure::Failed(last.map_or_else(|| status.to_string(), str::to_owned)));
        }
        output.rewind()?;
        Ok(output)
    }

    /// Waits for git to end; `None` where the build was cancelled and git with what it started was killed.
    fn wait(
        &self,
        command: &str,
        arguments: &[&str],
        input: Stdio,
        output: &File,
        errors: &File,
    ) -> io::Result<Option<ExitStatus>> {
        let mut git = Command::new("git");
        for name in FOREIGN {
            git.env_remove(name);
        }
        for setting in SETTINGS {
            git.args(["-c", setting]);
        }
        match self.reach {
            Reach::Folder => {
                let above = self.folder.parent().unwrap_or(self.folder);
                git.env("GIT_CEILING_DIRECTORIES", above);
            }
            Reach::Around => {
                git.args(["-c", "safe.directory=*", "--no-pager", "--literal-pathspecs"]);
                // What a partial clone lacks is not fetched, by a program that its configuration names.
                git.env("GIT_NO_LAZY_FETCH", "1").env("LC_ALL", "C").env_remove("GIT_CEILING_DIRECTORIES");
            }
        }
        git.arg(command).args(arguments).current_dir(self.folder).process_group(0);
        git.env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ALLOW_PROTOCOL", self.protocols)
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_ASKPASS", "/bin/false")
            .env("SSH_ASKPASS", "/bin/false")
            .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
            .stdin(input)
            .stdout(output.try_clone()?)
            .stderr(errors.try_clone()?);
        let mut child = git.spawn()?;
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if self.cancel.is_cancelled() {
                if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                    let _ = rustix::process::kill_process_group(group, Signal::KILL);
                }
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// What a file holds, as text.
pub(super) fn text(file: &mut File) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
pub(super) mod testing {
    use std::path::Path;
    use std::process::Command;

    /// Runs git as somebody with no settings; gives what it printed.
    pub(in crate::files::git) fn git(folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .current_dir(folder)
            .output()
            .expect("git is installed");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
