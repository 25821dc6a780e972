//! A folder with a cache that has a base image, a context, and what is looked at after a build went wrong.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::suite::{Suite, Way};

/// How long anything may take that should take no time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A place to build in. Its cache has `alpine:3.20`.
pub(crate) struct Site(Suite);

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Fails the test where it ended otherwise, or did not say all of that on stderr.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "it does not say {part:?}:\n{}", self.err);
        }
        self
    }

    /// Whether the step that has the text came from the cache, by the plain progress.
    #[track_caller]
    pub(crate) fn is_cached(&self, text: &str) -> bool {
        let line = self.err.lines().find(|line| line.starts_with('#') && line.contains(text));
        let line = line.unwrap_or_else(|| panic!("there is no step {text:?}:\n{}", self.err));
        let number = line.split(' ').next().expect("a number");
        self.err.lines().any(|line| line == format!("{number} CACHED"))
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self(Suite::new(Way::default()));
        fs::create_dir_all(site.path("context")).expect("a folder");
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path("context").join(name), text).expect("writes");
    }

    pub(crate) fn dockerfile(&self, text: &str) {
        self.write("Dockerfile", text);
    }

    /// `jettison` with the site's cache, run in its folder.
    pub(crate) fn jettison(&self, words: &[&str]) -> Command {
        self.wrapped(&[], words)
    }

    /// The same by another command.
    pub(crate) fn wrapped(&self, prefix: &[&str], words: &[&str]) -> Command {
        let mut all: Vec<&str> = prefix.to_vec();
        all.push(env!("CARGO_BIN_EXE_jettison"));
        all.extend(words);
        let mut command = Command::new(all[0]);
        command.args(&all[1..]).env("JETTISON_CACHE", self.path("cache")).current_dir(self.path("context"));
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Said::of(&self.jettison(words).output().expect("jettison runs"))
    }

    /// Builds the context with further arguments, offline.
    pub(crate) fn build(&self, more: &[&str]) -> Said {
        let words = [&["build", "--progress", "plain", "--offline", "-O0"], more, &["."]].concat();
        self.run(&words)
    }

    /// Starts a build whose talk goes to a file, in a process group of its own.
    pub(crate) fn start(&self, more: &[&str]) -> Child {
        let words = [&["build", "--progress", "plain", "--offline", "-O0"], more, &["."]].concat();
        let log = fs::File::create(self.path("log")).expect("a file");
        self.jettison(&words).stdout(Stdio::null()).stderr(log).process_group(0).spawn().expect("jettison runs")
    }

    /// Waits until the build that was started has said something.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        let said = || fs::read_to_string(self.path("log")).unwrap_or_default();
        until(text, || said().contains(text));
    }

    /// The names below the cache's folder of work under way.
    pub(crate) fn work(&self) -> Vec<String> {
        names(&self.path("cache/work"))
    }

    /// Fails the test where a process of a step, or a mount, is left.
    #[track_caller]
    pub(crate) fn nothing_is_left(&self, mark: &str) {
        until("the end of the step's processes", || processes(mark) == 0);
        let mounts = fs::read_to_string("/proc/self/mounts").expect("reads");
        let here = self.path("").display().to_string();
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(here.trim_end_matches('/'))).collect();
        assert!(left.is_empty(), "mounts are left: {left:?}");
    }
}

/// Waits for something.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The names in a folder, in order.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// How many processes of this machine have a word in their arguments.
pub(crate) fn processes(word: &str) -> usize {
    let has_it = |folder: &Path| {
        let arguments = fs::read(folder.join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    };
    fs::read_dir("/proc").expect("lists").flatten().filter(|entry| has_it(&entry.path())).count()
}
