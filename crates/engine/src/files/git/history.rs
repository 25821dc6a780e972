//! The last commits of the repository that a folder lies in: what they changed, and what the folder held then.
//!
//! The repository is not trusted. Only plumbing is asked, which looks at no attributes: contents are those that are
//! stored, without the filters that a checkout runs.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use jettison_syntax::dockerfile::decode;

use super::checkout::tidy;
use super::program::{Failure, Program, Reach, text};
use crate::build::Cancel;

/// The most bytes of a folder that are written.
const MOST_BYTES: u64 = 4 << 30;

/// Why a folder's history is not known.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is no git.
    #[error("the program `git` is not installed")]
    NotInstalled,
    /// The folder is in no repository's working tree.
    #[error("{folder} lies in no git repository")]
    NoRepository {
        /// The folder.
        folder: PathBuf,
    },
    /// Commits are missing.
    #[error("the git repository is a shallow one, which lacks commits")]
    Shallow,
    /// There is none yet.
    #[error("the git repository has no commit")]
    NoCommit,
    /// The folder is too large to be written.
    #[error("the folder holds {bytes} bytes at {commit}, more than the {MOST_BYTES} that are written")]
    TooLarge {
        /// The commit.
        commit: String,
        /// What the folder holds there.
        bytes: u64,
    },
    /// A name in a commit that no file can have.
    #[error("{commit} holds the path {path:?}, which no checkout has")]
    Path {
        /// The commit.
        commit: String,
        /// The path.
        path: String,
    },
    /// Git failed.
    #[error("git {command}: {problem}")]
    Git {
        /// The command.
        command: &'static str,
        /// What it said last.
        problem: String,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It was stopped.
    #[error("cancelled")]
    Cancelled,
}

/// A commit that changed something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub id: String,
    /// The name of its first parent; none for the first commit.
    pub parent: Option<String>,
    /// The paths that it changed, relative to the folder. Bytes that are no UTF-8 are kept as in Dockerfiles.
    pub paths: Vec<String>,
}

/// The last commits, at most so many, that changed something in a folder: the newest first, along first parents, so that
/// each comes right after the next one.
///
/// # Errors
/// Where there is no history to tell of.
pub fn history(folder: &Path, most: usize, cancel: &Cancel) -> Result<Vec<Commit>, HistoryError> {
    let repository = Repository { folder, cancel };
    let about = repository.lines("rev-parse", &["--is-inside-work-tree", "--is-shallow-repository"]);
    let about = about.map_err(|error| match error {
        HistoryError::Git { problem, .. } if problem.contains("not a git repository") => repository.none(),
        other => other,
    })?;
    match about.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["true", "false"] => {}
        ["true", ..] => return Err(HistoryError::Shallow),
        _ => return Err(repository.none()),
    }
    if repository.commit("HEAD")?.is_none() {
        return Err(HistoryError::NoCommit);
    }
    let most = format!("--max-count={most}");
    let ids = repository.lines("rev-list", &["--first-parent", &most, "HEAD", "--", "."])?;
    ids.into_iter().map(|id| repository.changed(id)).collect()
}

/// Writes what a folder held at a commit into `to`, which is new and empty. Files are 0644 or 0755, as git knows them;
/// submodules are empty folders.
///
/// # Errors
/// Where git fails, or the folder cannot be written as it was.
pub fn contents(folder: &Path, commit: &str, to: &Path, cancel: &Cancel) -> Result<(), HistoryError> {
    let repository = Repository { folder, cancel };
    let entries = repository.entries(commit)?;
    let bytes = entries.iter().map(|entry| entry.size).sum();
    if bytes > MOST_BYTES {
        return Err(HistoryError::TooLarge { commit: commit.to_owned(), bytes });
    }
    let mut blobs = repository.blobs(&entries)?;
    // As long as there is no link, no path leads out of the folder.
    let mut links = Vec::new();
    for entry in entries {
        let path = to.join(std::ffi::OsStr::from_bytes(&entry.path));
        let write = |source| HistoryError::Write { path: path.clone(), source };
        if entry.mode == Mode::Submodule {
            fs::create_dir_all(&path).map_err(write)?;
            continue;
        }
        fs::create_dir_all(path.parent().unwrap_or(to)).map_err(write)?;
        let content = next(&mut blobs, &entry)?;
        let mode = match entry.mode {
            Mode::Link => {
                links.push((path, content));
                continue;
            }
            Mode::Program => 0o755,
            _ => 0o644,
        };
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        file.and_then(|mut file| file.write_all(&content)).map_err(write)?;
    }
    tidy(to, true).map_err(|source| HistoryError::Write { path: to.to_owned(), source })?;
    for (path, target) in links {
        symlink(std::ffi::OsStr::from_bytes(&target), &path).map_err(|source| HistoryError::Write { path, source })?;
    }
    Ok(())
}

/// What git knows a file as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    File,
    Program,
    Link,
    Submodule,
}

/// A file of a commit.
struct Entry {
    mode: Mode,
    /// Its content's name.
    id: String,
    /// In bytes.
    size: u64,
    /// Relative to the folder.
    path: Vec<u8>,
}

/// The repository that a folder lies in.
struct Repository<'r> {
    folder: &'r Path,
    cancel: &'r Cancel,
}

impl Repository<'_> {
    fn none(&self) -> HistoryError {
        HistoryError::NoRepository { folder: self.folder.to_owned() }
    }

    fn run(&self, command: &'static str, arguments: &[&str], input: Stdio) -> Result<File, HistoryError> {
        let program = Program { folder: self.folder, reach: Reach::Around, protocols: "none", cancel: self.cancel };
        program.run(command, arguments, input).map_err(|failure| failed(command, failure))
    }

    fn bytes(&self, command: &'static str, arguments: &[&str]) -> Result<Vec<u8>, HistoryError> {
        let mut bytes = Vec::new();
        let mut printed = self.run(command, arguments, Stdio::null())?;
        printed.read_to_end(&mut bytes).map_err(|error| failed(command, error.into()))?;
        Ok(bytes)
    }

    fn lines(&self, command: &'static str, arguments: &[&str]) -> Result<Vec<String>, HistoryError> {
        let mut printed = self.run(command, arguments, Stdio::null())?;
        let text = text(&mut printed).map_err(|failure| failed(command, failure))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The name of a commit; none where there is none.
    fn commit(&self, revision: &str) -> Result<Option<String>, HistoryError> {
        match self.lines("rev-parse", &["--verify", "--quiet", &format!("{revision}^{{commit}}")]) {
            Ok(lines) => Ok(lines.into_iter().next()),
            Err(HistoryError::Git { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a commit changed in the folder, beside its first parent.
    fn changed(&self, id: String) -> Result<Commit, HistoryError> {
        let parent = self.commit(&format!("{id}^1"))?;
        let how = ["-r", "-z", "--name-only", "--no-renames", "--no-commit-id", "--relative", "--root"];
        let between: Vec<&str> = parent.iter().map(String::as_str).chain([id.as_str()]).collect();
        let printed = self.bytes("diff-tree", &[&how[..], &between].concat())?;
        let names = printed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let paths = names.map(|name| decode(name.to_vec())).collect();
        Ok(Commit { id, parent, paths })
    }

    /// The files of the folder at a commit.
    fn entries(&self, commit: &str) -> Result<Vec<Entry>, HistoryError> {
        let printed = self.bytes("ls-tree", &["-r", "-z", "-l", commit])?;
        let strange = |line: &[u8]| HistoryError::Git {
            command: "ls-tree",
            problem: format!("a line that is not read: {}", String::from_utf8_lossy(line)),
        };
        let mut seen = HashSet::new();
        let lines = printed.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        let entries = lines.map(|line| {
            let entry = entry(line).ok_or_else(|| strange(line))?;
            let mut names = entry.path.split(|byte| *byte == b'/');
            let is_odd = names.any(|name| matches!(name, b"" | b"." | b".."));
            if is_odd || !seen.insert(entry.path.clone()) {
                return Err(HistoryError::Path { commit: commit.to_owned(), path: decode(entry.path) });
            }
            Ok(entry)
        });
        entries.collect()
    }

    /// The contents of files, one after the other.
    fn blobs(&self, entries: &[Entry]) -> Result<BufReader<File>, HistoryError> {
        let names: String = entries
            .iter()
            .filter(|entry| entry.mode != Mode::Submodule)
            .map(|entry| format!("{}\n", entry.id))
            .collect();
        let input = || {
            let mut input = tempfile::tempfile()?;
            input.write_all(names.as_bytes())?;
            input.rewind()?;
            Ok(input)
        };
        let input: File = input().map_err(|error: io::Error| failed("cat-file", error.into()))?;
        Ok(BufReader::new(self.run("cat-file", &["--batch"], input.into())?))
    }
}

fn failed(command: &'static str, failure: Failure) -> HistoryError {
    match failure {
        Failure::NotInstalled => HistoryError::NotInstalled,
        Failure::Cancelled => HistoryError::Cancelled,
        Failure::Failed(problem) => HistoryError::Git { command, problem },
    }
}

/// A line of `git ls-tree -l`: mode, type, name and size, a tab, the path.
fn entry(line: &[u8]) -> Option<Entry> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let mut fields = std::str::from_utf8(&line[..tab]).ok()?.split_ascii_whitespace();
    let mode = match fields.next()? {
        "120000" => Mode::Link,
        "160000" => Mode::Submodule,
        "100755" => Mode::Program,
        mode if mode.starts_with("100") => Mode::File,
        _ => return None,
    };
    let id = fields.nth(1)?.to_owned();
    let size = fields.next()?;
    let size = if mode == Mode::Submodule { 0 } else { size.parse().ok()? };
    Some(Entry { mode, id, size, path: line[tab + 1..].to_vec() })
}

/// The next content of `git cat-file --batch`: name, type and size on a line, the content, a line end.
fn next(blobs: &mut BufReader<File>, entry: &Entry) -> Result<Vec<u8>, HistoryError> {
    let mut read = || {
        let mut line = String::new();
        blobs.read_line(&mut line)?;
        if line.trim_end() != format!("{} blob {}", entry.id, entry.size) {
            return Err(io::Error::other(format!("{} is not there", entry.id)));
        }
        let mut content = vec![0; usize::try_from(entry.size).map_err(io::Error::other)?];
        blobs.read_exact(&mut content)?;
        blobs.read_exact(&mut [0])?;
        Ok(content)
    };
    read().map_err(|error| failed("cat-file", error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::git::program::testing::git;
    use std::os::unix::fs::PermissionsExt as _;

    fn write(path: &Path, content: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
        fs::write(path, content).expect("writes");
    }

    fn commit(folder: &Path, message: &str) {
        git(folder, &["add", "-A"]);
        git(folder, &["commit", "-q", "-m", message]);
    }

    /// A repository with a folder `app` that three of its five commits change.
    fn repository(folder: &Path) -> PathBuf {
        let app = folder.join("app");
        write(&app.join("src/a b"), "1");
        write(&app.join("run"), "#!/bin/sh");
        fs::set_permissions(app.join("run"), fs::Permissions::from_mode(0o700)).expect("sets");
        symlink("../../etc", app.join("out")).expect("links");
        git(folder, &["init", "-q"]);
        commit(folder, "one");
        write(&folder.join("README"), "1");
        commit(folder, "two");
        write(&app.join("src/a b"), "2\n");
        write(&folder.join("README"), "2");
        commit(folder, "three");
        git(folder, &["checkout", "-q", "-b", "side"]);
        fs::remove_file(app.join("run")).expect("removes");
        write(&app.join("new"), "");
        commit(folder, "four");
        git(folder, &["checkout", "-q", "main"]);
        git(folder, &["merge", "-q", "--no-ff", "--no-edit", "side"]);
        app
    }

    #[test]
    fn commits_tell_what_they_changed_below_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let app = repository(folder.path());
        let cancel = Cancel::default();
        let commits = history(&app, 50, &cancel).expect("a history");
        let paths: Vec<Vec<&str>> =
            commits.iter().map(|commit| commit.paths.iter().map(String::as_str).collect()).collect();
        assert_eq!(paths, [vec!["new", "run"], vec!["src/a b"], vec!["out", "run", "src/a b"]]);
        assert_eq!(commits[2].parent, None);
        assert_eq!(history(&app, 1, &cancel).expect("a history"), commits[..1]);
        let all = history(folder.path(), 50, &cancel).expect("a history");
        assert_eq!((all.len(), all[1].paths.as_slice()), (4, ["README", "app/src/a b"].map(str::to_owned).as_slice()));
        let read = |commit: &str, name: &str| {
            let to = folder.path().join(name);
            fs::create_dir(&to).expect("makes");
            contents(&app, commit, &to, &cancel).expect("writes");
            to
        };
        let first = read(&commits[2].id, "first");
        assert_eq!(fs::read_to_string(first.join("src/a b")).expect("reads"), "1");
        assert_eq!(fs::read_link(first.join("out")).expect("a link"), Path::new("../../etc"));
        let mode = |path: &str| first.join(path).metadata().expect("is there").permissions().mode() & 0o7777;
        assert_eq!((mode("run"), mode("src/a b"), mode("src")), (0o755, 0o644, 0o755));
        let last = read(&commits[0].id, "last");
        assert_eq!(fs::read_to_string(last.join("src/a b")).expect("reads"), "2\n");
        assert!(last.join("new").is_file() && !last.join("run").exists() && !last.join("README").exists());
    }

    #[test]
    fn what_has_no_history_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let cancel = Cancel::default();
        let told = |at: &Path| history(at, 50, &cancel).expect_err("no history");
        assert!(matches!(told(folder.path()), HistoryError::NoRepository { .. }));
        let from = folder.path().join("from");
        fs::create_dir(&from).expect("makes");
        git(&from, &["init", "-q"]);
        assert!(matches!(told(&from), HistoryError::NoCommit));
        repository(&from);
        let address = format!("file://{}", from.display());
        git(folder.path(), &["clone", "-q", "--depth=1", &address, "shallow"]);
        assert!(matches!(told(&folder.path().join("shallow")), HistoryError::Shallow));
        cancel.cancel();
        assert!(matches!(history(&from, 50, &cancel), Err(HistoryError::Cancelled)));
    }

    #[test]
    fn nothing_of_a_hostile_repository_is_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let app = repository(folder.path());
        let sign = folder.path().join("it-ran");
        let program = folder.path().join("program");
        write(&program, &format!("#!/bin/sh\ntouch {}\ncat\n", sign.display()));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("sets");
        write(&app.join(".gitattributes"), "* filter=evil diff=evil\n");
        commit(folder.path(), "five");
        let program = program.to_str().expect("UTF-8");
        for name in [
            "core.fsmonitor",
            "core.pager",
            "core.sshCommand",
            "core.editor",
            "gpg.program",
            "diff.external",
            "diff.evil.command",
            "diff.evil.textconv",
            "filter.evil.smudge",
            "filter.evil.clean",
            "filter.evil.process",
            "pager.rev-list",
            "credential.helper",
            "remote.origin.uploadpack",
        ] {
            git(folder.path(), &["config", name, program]);
        }
        git(folder.path(), &["config", "log.showSignature", "true"]);
        git(folder.path(), &["config", "remote.origin.url", "ext::sh -c touch%"]);
        git(folder.path(), &["config", "remote.origin.promisor", "true"]);
        let hooks = folder.path().join(".git/hooks");
        fs::create_dir_all(&hooks).expect("makes");
        for hook in ["post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"] {
            fs::copy(program, hooks.join(hook)).expect("copies");
        }
        let cancel = Cancel::default();
        let commits = history(&app, 50, &cancel).expect("a history");
        let to = folder.path().join("to");
        fs::create_dir(&to).expect("makes");
        contents(&app, &commits[0].id, &to, &cancel).expect("writes");
        assert_eq!(fs::read_to_string(to.join("src/a b")).expect("reads"), "2\n");
        // What is missing is not fetched.
        let blobs = folder.path().join(".git/objects");
        fs::rename(&blobs, folder.path().join(".git/gone")).expect("renames");
        fs::create_dir(&blobs).expect("makes");
        assert!(history(&app, 50, &cancel).is_err());
        assert!(!sign.exists(), "a program of the repository ran");
    }
}
