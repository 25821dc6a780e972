//! Running the binary, and the folders that a test works in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A finished run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) line: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The binary with these arguments, set apart from the caller's terminal settings.
pub(crate) fn jettison(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
    with_arguments(&mut command, line);
    command
}

/// The binary under another command, such as `taskset -c 0`.
pub(crate) fn jettison_under(wrapper: &str, line: &str) -> Command {
    let mut words = wrapper.split_whitespace();
    let mut command = Command::new(words.next().expect("a command"));
    command.args(words).arg(env!("CARGO_BIN_EXE_jettison"));
    with_arguments(&mut command, line);
    command
}

fn with_arguments(command: &mut Command, line: &str) {
    command.args(line.split_whitespace());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "SOURCE_DATE_EPOCH"] {
        command.env_remove(variable);
    }
}

/// Runs the binary with arguments that are separated by blanks.
pub(crate) fn run(line: &str) -> Ran {
    finish(jettison(line), line)
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command, line: &str) -> Ran {
    let output = command.output().unwrap_or_else(|error| panic!("{:?} does not start: {error}", command.get_program()));
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { line: line.to_owned(), code: status.code(), out: text(stdout), err: text(stderr) }
}

impl Ran {
    /// The run, which must have ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "jettison {}\n{}{}", self.line, self.out, self.err);
        self
    }

    /// The run, which must have failed with this exit code and a message that holds all of `parts`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "jettison {}\n{}{}", self.line, self.out, self.err);
        assert!(self.err.starts_with("error:"), "jettison {}\n{}", self.line, self.err);
        for part in parts {
            assert!(self.err.contains(part), "jettison {}\n{part:?} is not in:\n{}", self.line, self.err);
        }
        self
    }

    /// The JSON on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{}: {error}\n{}", self.line, self.out))
    }
}

/// A folder for one test, removed at its end.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("jettison-cli-").tempdir().expect("a temporary folder"))
    }

    /// A path in the folder, as an argument; the folder's own for an empty name.
    pub(crate) fn at(&self, name: &str) -> String {
        let path = if name.is_empty() { self.path().to_owned() } else { self.path().join(name) };
        path.to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// What the folder holds, hidden names included.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("a folder");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string();
        let mut names: Vec<String> = entries.map(|entry| name(entry).expect("UTF-8")).collect();
        names.sort();
        names
    }
}

/// All that can be told of a file or folder from outside: names, inodes, contents.
pub(crate) fn state(path: impl AsRef<Path>) -> BTreeMap<PathBuf, (u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![path.as_ref().to_owned()];
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let mut bytes = Vec::new();
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if metadata.is_file() {
            bytes = fs::read(&path).expect("a file");
        }
        found.insert(path, (metadata.ino(), bytes));
    }
    found
}
