//! The Docker engine that docker-squash needs: started when first asked for, with its own data and socket, and stopped
//! (it alone) at the end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

/// An engine that may have been started.
#[derive(Debug)]
pub(crate) struct Daemon {
    folder: PathBuf,
    socket: PathBuf,
    host: String,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Running(Child),
    Failed(String),
}

impl Daemon {
    /// An engine with its data below `work`, not yet started.
    pub(crate) fn new(work: &Path) -> Self {
        // Not in the work folder: a socket's path has at most 107 bytes (unix(7)).
        let socket = std::env::temp_dir().join(format!("jettison-bench-{}.sock", std::process::id()));
        let host = format!("unix://{}", socket.display());
        Self { folder: work.join("docker"), socket, host, state: State::Idle }
    }

    /// The engine's address, as `DOCKER_HOST` takes it. Starts `dockerd` unless it was started.
    ///
    /// # Errors
    /// The engine does not start, now or before.
    pub(crate) fn host(&mut self, dockerd: &Path) -> Result<&str> {
        if let State::Idle = self.state {
            self.state = match self.start(dockerd) {
                Ok(child) => State::Running(child),
                Err(error) => State::Failed(format!("{error:#}")),
            };
        }
        match &self.state {
            State::Failed(reason) => bail!("{reason}"),
            _ => Ok(&self.host),
        }
    }

    /// The engine's process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.state {
            State::Running(child) => Some(child.id()),
            _ => None,
        }
    }

    /// Ends the engine; its data stays.
    pub(crate) fn end(&mut self) {
        if let State::Running(child) = &mut self.state {
            stop(child);
            // The overlay driver leaves the folder mounted on itself.
            let _ = Command::new("umount").arg(self.folder.join("data")).stderr(Stdio::null()).status();
            let _ = std::fs::remove_file(&self.socket);
        }
        self.state = State::Idle;
    }

    fn start(&self, dockerd: &Path) -> Result<Child> {
        ensure!(geteuid().is_root(), "needs a Docker engine, which only root can start");
        std::fs::create_dir_all(&self.folder)?;
        let log = File::create(self.folder.join("log"))?;
        let mut command = Command::new(dockerd);
        command.arg("--data-root").arg(self.folder.join("data"));
        command.arg("--exec-root").arg(self.folder.join("exec"));
        command.arg("--pidfile").arg(self.folder.join("pid"));
        // Nothing runs in it, so it needs no network; without these two it would change the machine's firewall.
        command.args(["--iptables=false", "--bridge=none", "-H", &self.host]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn().context("cannot start dockerd")?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            if let Some(status) = child.try_wait()? {
                bail!("dockerd ended with {status}; see {}", self.folder.join("log").display());
            }
            // It opens the socket when it is ready for requests.
            if std::os::unix::net::UnixStream::connect(&self.socket).is_ok() {
                return Ok(child);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        stop(&mut child);
        bail!("dockerd was not ready after 30 s; see {}", self.folder.join("log").display())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let State::Running(_) = self.state {
            self.end();
            // Its images only; the log stays for who wants to know why a row failed.
            for folder in ["data", "exec"] {
                let _ = std::fs::remove_dir_all(self.folder.join(folder));
            }
        }
    }
}

/// Asks the engine to end, so that it stops the containerd that it started, and waits for it.
fn stop(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let _ = child.wait();
}
