//! Running a command in a built image, as a container of it would: with its user, variables and working directory.
//! What the command changes is thrown away. And what an image's own commands need to start.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jettison_image::Config;
use jettison_syntax::shell::{Dialect, Script};
use serde_json::Value;

use super::error::StepError;
use super::model::{Built, Cancel, Request};
use super::run::{HOSTNAME, watch};
use super::session::Session;
use crate::sandbox::{self, Console, Limits, Network, Spec, Status, users};
use crate::trace::{Closure, Trace, closure};

/// Where programs are looked for that no folder is named of, and no variable says where.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// So much output is kept; of a command that writes more, the rest is dropped and said.
const MOST_OUTPUT: usize = 16 << 20;

/// A command to run in a built image.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// Whether it is recorded which paths it uses.
    pub is_traced: bool,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// The network it sees.
    pub network: Network,
}

/// What came of a command that was run in a built image.
#[derive(Debug)]
pub struct Probed {
    /// How it ended.
    pub status: Status,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
    /// Whether it wrote more than is kept.
    pub is_cut: bool,
    /// What it used, where that was asked for.
    pub trace: Option<Trace>,
}

/// What an image's own commands need to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Startup {
    /// Programs, scripts that are named, interpreters, loaders and libraries, as they are named.
    pub paths: BTreeSet<Vec<u8>>,
    /// What could not be found out: one sentence each.
    pub gaps: Vec<String>,
}

/// Keeps what a command writes, the two streams apart.
#[derive(Default)]
struct Streams(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    is_cut: bool,
}

impl Console for Streams {
    fn write(&self, is_error: bool, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = if is_error { &mut kept.stderr } else { &mut kept.stdout };
        let left = MOST_OUTPUT.saturating_sub(stream.len());
        stream.extend_from_slice(&bytes[..bytes.len().min(left)]);
        kept.is_cut |= bytes.len() > left;
    }
}

impl Built {
    /// The command that a shell of the image's own gets a text with: as `SHELL` says, else `/bin/sh -c`.
    #[must_use]
    pub fn shell(&self) -> Vec<String> {
        shell(&self.config)
    }

    /// The folders that its tree is made of.
    fn folders(&self, session: &Session) -> Result<Vec<PathBuf>, StepError> {
        let mut folders = Vec::with_capacity(self.own.len() + 1);
        if let Some(base) = &self.base {
            let unpacked = base.unpacked(&session.cache, session.ids);
            let unpacked =
                unpacked.map_err(|source| StepError::Base { image: base.name.clone(), source: Box::new(source) })?;
            folders.push(unpacked.folder());
        }
        folders.extend(self.own.iter().map(|own| own.snapshot.folder()));
        Ok(folders)
    }
}

fn shell(config: &Config) -> Vec<String> {
    let shell = words(setting(config, "Shell"));
    if shell.is_empty() { vec!["/bin/sh".to_owned(), "-c".to_owned()] } else { shell }
}

fn setting<'c>(config: &'c Config, name: &str) -> Option<&'c Value> {
    config.get("config")?.get(name)
}

fn text<'c>(config: &'c Config, name: &str) -> &'c str {
    setting(config, name).and_then(Value::as_str).unwrap_or_default()
}

fn words(value: Option<&Value>) -> Vec<String> {
    let all = value.and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Runs a command in a built image. `request` is the build's, for what steps see of the machine.
///
/// # Errors
/// Where the command cannot be started, or the image's tree cannot be made; not where the command fails.
pub fn probe(
    built: &Built,
    probe: &Probe,
    request: &Request,
    session: &Session,
    cancel: &Cancel,
) -> Result<Probed, StepError> {
    super::platform::check(&built.config.platform())?;
    let work = session.cache.work()?;
    let workspace = session.snapshotter.workspace(&built.folders(session)?, work.path())?;
    let user = users::find(workspace.root(), text(&built.config, "User"))?;
    let mut env = words(setting(&built.config, "Env"));
    let has = |env: &[String], name: &str| env.iter().any(|set| set.split('=').next() == Some(name));
    if !has(&env, "HOME") {
        env.push(format!("HOME={}", String::from_utf8_lossy(&user.home)));
    }
    if !has(&env, "PATH") {
        env.push(format!("PATH={PATH}"));
    }
    let workdir = Some(text(&built.config, "WorkingDir")).filter(|folder| !folder.is_empty()).unwrap_or("/");
    let spec = Spec {
        root: workspace.root().to_owned(),
        argv: probe.argv.iter().map(|word| word.clone().into_bytes()).collect(),
        env: env.into_iter().map(String::into_bytes).collect(),
        workdir: workdir.as_bytes().to_vec(),
        user,
        mounts: Vec::new(),
        network: probe.network,
        hostname: HOSTNAME.to_owned(),
        extra_hosts: request.extra_hosts.clone(),
        ids: session.ids,
        shm_size: request.shm_size,
        terminal: false,
    };
    let streams = Streams::default();
    let limits = Limits { timeout: probe.timeout, cancel: cancel.clone() };
    let ended = sandbox::run(&spec, watch(probe.is_traced, session.ids), &streams, &limits)?;
    if ended.status == Status::Cancelled {
        return Err(StepError::Cancelled);
    }
    let Kept { stdout, stderr, is_cut } = streams.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Probed { status: ended.status, stdout, stderr, is_cut, trace: ended.trace })
}

/// What the image's `ENTRYPOINT`, `CMD` and `HEALTHCHECK` need to start: the programs that they name, scripts among their
/// arguments, and all that is loaded with these.
///
/// # Errors
/// Where the image's tree cannot be looked at.
pub fn startup(built: &Built, session: &Session) -> Result<Startup, StepError> {
    let work = session.cache.work()?;
    let view = session.snapshotter.view(&built.folders(session)?, work.path())?;
    let io = |source: io::Error| StepError::io("read the tree in", view.root())(source);
    let mut candidates: BTreeSet<Vec<u8>> = BTreeSet::new();
    for word in started(&built.config) {
        candidates.extend(places(&built.config, &word).into_iter().map(String::into_bytes));
    }
    let tree = crate::trace::judge::Tree::open(view.root()).map_err(io)?;
    let is_file = |path: &[u8]| {
        let opened = tree.open_file(path, rustix::fs::OFlags::PATH);
        let found = opened.and_then(|file| Ok(rustix::fs::fstat(file)?));
        found.is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_file())
    };
    let programs: Vec<Vec<u8>> = candidates.into_iter().filter(|path| is_file(path)).collect();
    let found = closure(view.root(), &programs).map_err(io)?;
    let paths = programs.into_iter().chain(found.executed).chain(found.libraries).collect();
    Ok(Startup { paths, gaps: found.gaps })
}

/// What files of a built image need to run, each for itself: script interpreters, loaders, libraries.
///
/// # Errors
/// Where the image's tree cannot be looked at.
pub fn needs(built: &Built, files: &[Vec<u8>], session: &Session) -> Result<Vec<Closure>, StepError> {
    let work = session.cache.work()?;
    let view = session.snapshotter.view(&built.folders(session)?, work.path())?;
    let closure = |file: &Vec<u8>| closure(view.root(), std::slice::from_ref(file));
    files.iter().map(closure).collect::<io::Result<_>>().map_err(StepError::io("read the tree in", view.root()))
}

/// The words of the image's commands that may name files.
fn started(config: &Config) -> Vec<String> {
    let mut all = Vec::new();
    let health = words(setting(config, "Healthcheck").and_then(|check| check.get("Test")));
    let health = match health.split_first() {
        Some((kind, words)) if kind == "CMD" => words.to_vec(),
        Some((kind, words)) if kind == "CMD-SHELL" => [shell(config), words.to_vec()].concat(),
        _ => Vec::new(),
    };
    // CMD is the arguments of ENTRYPOINT, or the command where there is none; its words are looked at in both cases.
    for command in [words(setting(config, "Entrypoint")), words(setting(config, "Cmd")), health] {
        for word in command {
            // A shell's text, or a word, which is as good as the text of one command.
            let script = Script::parse(&word, Dialect::Sh);
            for (_, simple) in script.simple_commands() {
                all.extend(simple.words.iter().filter_map(|word| word.literal()).map(|word| word.into_owned()));
            }
            all.push(word);
        }
    }
    all
}

/// Where a word may be a file: as a path, or by `PATH`.
fn places(config: &Config, word: &str) -> Vec<String> {
    let workdir = text(config, "WorkingDir");
    if word.starts_with('/') {
        return vec![word.to_owned()];
    }
    if word.is_empty() || word.contains('\0') {
        return Vec::new();
    }
    let relative = format!("{workdir}/{word}");
    if word.contains('/') {
        return vec![relative];
    }
    let env = words(setting(config, "Env"));
    let path = env.iter().find_map(|set| set.strip_prefix("PATH=")).unwrap_or(PATH);
    let named = path.split(':').filter(|folder| folder.starts_with('/')).map(|folder| format!("{folder}/{word}"));
    named.chain([relative]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &str) -> Config {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{settings},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        Config::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn words_of_all_commands_count() {
        let config = config(
            r#"{"Entrypoint":["/bin/sh","-c","exec nginx -g 'daemon off;' && /opt/x.sh"],"Cmd":["serve"],
                "Healthcheck":{"Test":["CMD-SHELL","curl -f http://localhost"]},"Shell":["/bin/bash","-c"]}"#,
        );
        let words = started(&config);
        for word in ["/bin/sh", "nginx", "/opt/x.sh", "serve", "/bin/bash", "curl"] {
            assert!(words.iter().any(|own| own == word), "{word} is missing in {words:?}");
        }
        let none = started(&self::config(r#"{"Healthcheck":{"Test":["NONE"]}}"#));
        assert!(none.is_empty(), "{none:?}");
    }

    #[test]
    fn words_are_looked_for_where_they_would_be_run() {
        let config = config(r#"{"Env":["PATH=/opt/bin:relative:/bin"],"WorkingDir":"/srv"}"#);
        assert_eq!(places(&config, "app"), ["/opt/bin/app", "/bin/app", "/srv/app"]);
        assert_eq!(places(&config, "bin/app"), ["/srv/bin/app"]);
        assert_eq!(places(&config, "/app"), ["/app"]);
        assert!(places(&config, "").is_empty());
        assert!(places(&self::config("{}"), "app").contains(&"/usr/local/bin/app".to_owned()));
    }
}
