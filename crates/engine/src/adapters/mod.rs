//! Other engines: their commands are made and run here, and nowhere else are processes of other tools started.
//!
//! Each builds the image as it is written and leaves it in an archive, which is optimized like any other.

mod buildah;
mod buildctl;
mod docker;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::build::Cancel;

/// How often a running tool is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Another engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// The `docker` command, with the builder that Docker has inside.
    Docker {
        /// `DOCKER_HOST`, where it is not the user's own setting.
        host: Option<String>,
    },
    /// A BuildKit daemon by `buildctl`.
    Buildkit {
        /// Its address, where it is not buildctl's own default.
        address: Option<String>,
    },
    /// The `buildah` command.
    Buildah,
}

/// What is to be built: flags as docker build has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// A folder, or an address of git or HTTP.
    pub context: String,
    /// The Dockerfile.
    pub file: Option<PathBuf>,
    /// `--target`.
    pub target: Option<String>,
    /// `--build-arg`, each with its value.
    pub build_args: Vec<(String, String)>,
    /// `--build-context`.
    pub contexts: Vec<(String, String)>,
    /// `--platform`.
    pub platform: Option<String>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// `--secret`, as given.
    pub secrets: Vec<String>,
    /// `--ssh`, as given.
    pub ssh: Vec<String>,
    /// `--add-host`: name and address.
    pub hosts: Vec<(String, String)>,
    /// `--network` where it is not the default: `host` or `none`.
    pub network: Option<String>,
    /// `--shm-size` in bytes, where it is not the default.
    pub shm_size: Option<u64>,
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--no-cache-filter`.
    pub no_cache_stages: Vec<String>,
    /// `--pull`.
    pub pull: bool,
}

/// A process to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The program.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What its environment has beyond this process's.
    pub environment: Vec<(&'static str, String)>,
}

/// The processes that make an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// One after the other; each must end well.
    pub steps: Vec<Invocation>,
    /// Run at the end in any case, to take away what the others left in the engine.
    pub cleanup: Option<Invocation>,
    /// The archive is Docker's, not OCI's.
    pub is_docker_archive: bool,
}

/// Why another engine built nothing.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// It has nothing for a flag.
    #[error("the engine {engine} has nothing for {flag}")]
    Unsupported {
        /// The engine.
        engine: &'static str,
        /// The flag.
        flag: String,
    },
    /// Its program is not installed.
    #[error("the engine {program} is not installed: the command {program} is not in PATH")]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// Its program cannot be run.
    #[error("cannot run {program}")]
    Start {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It failed; what it says of that was passed on.
    #[error("{program} ended with {status}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// The build was stopped.
    #[error("the build was stopped")]
    Cancelled,
}

impl Adapter {
    /// Its name, as `--engine` has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Docker { .. } => "docker",
            Self::Buildkit { .. } => "buildkit",
            Self::Buildah => "buildah",
        }
    }

    /// How it builds an order into `archive`. `tag` names the image in the engine meanwhile, where it must have a name.
    ///
    /// # Errors
    /// Where it has nothing for something that is asked.
    pub fn recipe(&self, order: &Order, tag: &str, archive: &Path) -> Result<Recipe, AdapterError> {
        match self {
            Self::Docker { host } => docker::recipe(order, host.as_deref(), tag, archive),
            Self::Buildkit { address } => buildctl::recipe(order, address.as_deref(), archive),
            Self::Buildah => buildah::recipe(order, tag, archive),
        }
    }
}

/// Runs a recipe. What the tools say goes to stderr.
///
/// # Errors
/// For the first tool that fails or is missing.
pub fn run(recipe: &Recipe, cancel: &Cancel) -> Result<(), AdapterError> {
    let result = recipe.steps.iter().try_for_each(|step| run_one(step, cancel));
    let is_missing = matches!(result, Err(AdapterError::Missing { .. }));
    if let Some(cleanup) = recipe.cleanup.as_ref().filter(|_| !is_missing) {
        // What is left behind is an image without use; the build's own result counts.
        let _ = command(cleanup).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
    result
}

fn command(invocation: &Invocation) -> Command {
    let mut command = Command::new(invocation.program);
    command.args(&invocation.arguments).envs(invocation.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null());
    command
}

fn run_one(invocation: &Invocation, cancel: &Cancel) -> Result<(), AdapterError> {
    let program = invocation.program;
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => AdapterError::Missing { program },
        _ => AdapterError::Start { program, source },
    };
    let mut command = command(invocation);
    // The standard output is for what this build writes there.
    let mut child = command.stdout(io::stderr()).spawn().map_err(failed)?;
    let status = wait(&mut child, cancel).map_err(failed)?.ok_or(AdapterError::Cancelled)?;
    if status.success() { Ok(()) } else { Err(AdapterError::Failed { program, status }) }
}

/// Waits for a tool; one whose build is stopped is ended.
fn wait(child: &mut Child, cancel: &Cancel) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if cancel.is_cancelled() { None } else { Some(status) });
        }
        if cancel.is_cancelled() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

/// Arguments, put together piece by piece.
#[derive(Default)]
pub(crate) struct Arguments(Vec<OsString>);

impl Arguments {
    pub(crate) fn of(words: &[&str]) -> Self {
        Self(words.iter().map(OsString::from).collect())
    }

    pub(crate) fn word(&mut self, word: impl Into<OsString>) -> &mut Self {
        self.0.push(word.into());
        self
    }

    /// A flag and its value, where there is one.
    pub(crate) fn flag(&mut self, flag: &str, value: Option<impl Into<OsString>>) -> &mut Self {
        if let Some(value) = value {
            self.0.extend([OsString::from(flag), value.into()]);
        }
        self
    }

    /// A flag for each pair.
    pub(crate) fn pairs(&mut self, flag: &str, pairs: &[(String, String)], between: &str) -> &mut Self {
        for (name, value) in pairs {
            self.flag(flag, Some(format!("{name}{between}{value}")));
        }
        self
    }

    pub(crate) fn into_invocation(self, program: &'static str) -> Invocation {
        Invocation { program, arguments: self.0, environment: Vec::new() }
    }
}

/// The flags that docker and buildah have in common.
pub(crate) fn common_flags(order: &Order, arguments: &mut Arguments) {
    arguments
        .flag("--file", order.file.as_ref())
        .flag("--target", order.target.as_ref())
        .pairs("--build-arg", &order.build_args, "=")
        .pairs("--build-context", &order.contexts, "=")
        .flag("--platform", order.platform.as_ref())
        .pairs("--label", &order.labels, "=")
        .pairs("--add-host", &order.hosts, ":")
        .flag("--network", order.network.as_ref())
        .flag("--shm-size", order.shm_size.map(|size| size.to_string()));
    for secret in &order.secrets {
        arguments.flag("--secret", Some(secret));
    }
    for ssh in &order.ssh {
        arguments.flag("--ssh", Some(ssh));
    }
    if order.no_cache {
        arguments.word("--no-cache");
    }
    if order.pull {
        arguments.word("--pull");
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An order with something for every flag that all engines have.
    pub(crate) fn order() -> Order {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        Order {
            context: "src".to_owned(),
            file: Some(PathBuf::from("src/D")),
            target: Some("x".to_owned()),
            build_args: pair("A", "1"),
            contexts: pair("c", "docker-image://alpine"),
            platform: Some("linux/arm64".to_owned()),
            labels: pair("l", "v"),
            secrets: vec!["id=s,src=f".to_owned()],
            ssh: vec!["default".to_owned()],
            hosts: pair("h", "::1"),
            network: Some("none".to_owned()),
            shm_size: Some(64),
            no_cache: true,
            no_cache_stages: Vec::new(),
            pull: true,
        }
    }

    pub(crate) fn line(invocation: &Invocation) -> String {
        let words: Vec<String> = invocation.arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        format!("{} {}", invocation.program, words.join(" "))
    }

    fn recipe(program: &'static str, arguments: &[&str]) -> Recipe {
        let steps = vec![Arguments::of(arguments).into_invocation(program)];
        Recipe { steps, cleanup: None, is_docker_archive: false }
    }

    #[test]
    fn failures_are_told_apart() {
        let cancel = Cancel::default();
        assert!(run(&recipe("true", &[]), &cancel).is_ok());
        assert!(matches!(run(&recipe("false", &[]), &cancel), Err(AdapterError::Failed { .. })));
        let missing = run(&recipe("jettison-no-such-tool", &[]), &cancel);
        assert!(matches!(missing, Err(AdapterError::Missing { .. })));
    }

    #[test]
    fn a_stopped_build_ends_the_tool() {
        let cancel = Cancel::default();
        let stopper = cancel.clone();
        let stopping = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            stopper.cancel();
        });
        let start = std::time::Instant::now();
        assert!(matches!(run(&recipe("sleep", &["60"]), &cancel), Err(AdapterError::Cancelled)));
        assert!(start.elapsed() < Duration::from_secs(30));
        stopping.join().expect("stops");
    }
}
