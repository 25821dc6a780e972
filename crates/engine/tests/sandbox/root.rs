//! A root folder that holds a shell, and what a command in it did.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use jettison_engine::ids::Ids;
use jettison_engine::sandbox::{Console, Ended, Limits, Network, SandboxError, Spec, Status, User, Watch, run};
use libtest_mimic::Failed;

/// The static build, which needs no libraries in the root.
const BUSYBOX: &str = "/bin/busybox";

pub(crate) struct Root {
    folder: tempfile::TempDir,
    pub(crate) spec: Spec,
    pub(crate) limits: Limits,
    pub(crate) watch: Watch,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) ended: Ended,
    pub(crate) output: String,
    pub(crate) errors: String,
}

#[derive(Default)]
struct Heard(Mutex<[Vec<u8>; 2]>);

impl Console for Heard {
    fn write(&self, is_error: bool, bytes: &[u8]) {
        if let Ok(mut heard) = self.0.lock() {
            heard[usize::from(is_error)].extend_from_slice(bytes);
        }
    }
}

impl Root {
    pub(crate) fn new(ids: Ids) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
        for name in ["bin", "etc", "tmp"] {
            fs::create_dir(root.join(name))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::copy(BUSYBOX, root.join("bin/busybox"))
            .map_err(|error| Failed::from(format!("{BUSYBOX} is needed (Debian's busybox-static): {error}")))?;
        for name in [
            "sh", "ls", "cat", "id", "echo", "sleep", "mknod", "mount", "unshare", "env", "head", "ip", "kill",
            "hostname", "touch", "rm", "mkdir", "stat", "chown", "grep", "yes", "readlink", "pwd", "true", "umask",
        ] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
        }
        let spec = Spec {
            root: root.to_owned(),
            argv: Vec::new(),
            env: vec![b"PATH=/bin".to_vec()],
            workdir: b"/".to_vec(),
            user: User { home: b"/".to_vec(), ..User::default() },
            mounts: Vec::new(),
            network: Network::None,
            hostname: "step".to_owned(),
            extra_hosts: Vec::new(),
            ids,
            shm_size: 1 << 20,
            terminal: false,
        };
        let watch = if ids == Ids::One { Watch::Owners } else { Watch::Nothing };
        // A test that fails shall not wait for ever.
        let limits = Limits { timeout: Some(Duration::from_secs(60)), ..Limits::default() };
        Ok(Self { folder, spec, limits, watch })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command line in the shell.
    pub(crate) fn shell(&mut self, line: &str) -> Result<Done, Failed> {
        self.run(&["sh", "-c", line]).map_err(|error| with_causes(&error).into())
    }

    pub(crate) fn run(&mut self, words: &[&str]) -> Result<Done, SandboxError> {
        self.spec.argv = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let heard = Heard::default();
        let ended = run(&self.spec, self.watch, &heard, &self.limits)?;
        let [output, errors] = heard.0.into_inner().unwrap_or_default();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Done { ended, output: text(output), errors: text(errors) })
    }

    /// The command line prints this, and succeeds.
    pub(crate) fn prints(&mut self, line: &str, expected: &str) -> Result<(), Failed> {
        let done = self.shell(line)?;
        same(&(done.ended.status, done.output.as_str()), &(Status::Exited(0), expected))
            .map_err(|failed| format!("{line}: {} {}", failed.message().unwrap_or_default(), done.errors).into())
    }

    /// The command line fails.
    pub(crate) fn fails(&mut self, line: &str) -> Result<(), Failed> {
        let done = self.shell(line)?;
        match done.ended.status {
            Status::Exited(code) if code != 0 => Ok(()),
            _ => Err(format!("{line} should have failed: {done:?}").into()),
        }
    }

    /// All paths in the root with kinds and times of change, but those of programs.
    pub(crate) fn listing(&self) -> io::Result<Vec<String>> {
        let mut all = Vec::new();
        let mut waiting = vec![self.path().to_owned()];
        while let Some(folder) = waiting.pop() {
            let changed = fs::metadata(&folder)?.modified()?;
            all.push(format!("{} {changed:?}", folder.display()));
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    waiting.push(entry.path());
                } else {
                    all.push(entry.path().display().to_string());
                }
            }
        }
        all.sort();
        Ok(all)
    }
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Both are the same.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(got: &T, expected: &T) -> Result<(), Failed> {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}").into()) }
}
