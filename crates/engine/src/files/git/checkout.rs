//! Fetches repositories with the `git` program. The repository is not trusted: no hook, filter, helper or
//! prompt is run, whatever the user's configuration says, and only network protocols are spoken.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::GitReference;
use super::program::{Failure, Program, Reach, text};
use crate::build::Cancel;
use crate::files::FilesError;
use crate::files::resolve::{self, Last, below};

/// How a repository is fetched.
#[derive(Clone, Copy)]
pub struct CheckoutOptions<'a> {
    /// `--keep-git-dir`; the reference's own word on it comes first.
    pub keep_git_dir: bool,
    /// `--checksum`: the commit, or how it begins.
    pub checksum: Option<&'a str>,
    /// Nothing may be fetched.
    pub offline: bool,
    /// Stops it.
    pub cancel: &'a Cancel,
}

/// What git may be asked for over.
const PROTOCOLS: &str = "http:https:ssh:git";

/// Checks a reference out into the folder `to`, which is new and empty; gives the folder that is meant.
/// Modes become 0644, 0755 where git knows a file as executable, and 0755 of folders.
///
/// # Errors
/// Where git fails or is missing, the commit is not the one asked for, or the folder is not there.
pub fn checkout(reference: &GitReference, to: &Path, options: &CheckoutOptions<'_>) -> Result<PathBuf, FilesError> {
    if options.offline && !reference.is_local() {
        return Err(FilesError::Offline { location: reference.remote.clone() });
    }
    let protocols = if reference.is_local() { "file" } else { PROTOCOLS };
    let git = Git { remote: &reference.remote, folder: to, cancel: options.cancel, protocols };
    git.run("init", &["--quiet", "--template=", "."])?;
    git.run("config", &["remote.origin.url", &reference.remote])?;
    let commit = git.fetch(reference.reference.as_deref().unwrap_or("HEAD"))?;
    if options.checksum.is_some() && reference.checksum.is_some() && options.checksum != reference.checksum.as_deref() {
        return Err(FilesError::ChecksumUse { problem: "and the reference's own checksum differ".to_owned() });
    }
    if let Some(expected) = options.checksum.or(reference.checksum.as_deref()) {
        // BuildKit takes abbreviated commits too.
        if expected.len() < 7 || !commit.starts_with(&expected.to_ascii_lowercase()) {
            let expected = expected.to_owned();
            return Err(FilesError::Checksum { location: reference.remote.clone(), expected, got: commit });
        }
    }
    git.run("checkout", &["--quiet", "--detach", "--force", &commit])?;
    if reference.submodules != Some(false) && to.join(".gitmodules").exists() {
        // Those of a repository of this machine are not of this machine too: its author could name any other.
        let git = Git { protocols: PROTOCOLS, ..git };
        git.run("submodule", &["--quiet", "update", "--init", "--recursive", "--depth=1"])?;
    }
    let keeps = reference.keep_git_dir.unwrap_or(options.keep_git_dir);
    tidy(to, keeps).map_err(FilesError::io("tidy", to))?;
    let Some(folder) = &reference.folder else { return Ok(to.to_owned()) };
    let found = below(to, &resolve::follow(to, Path::new(folder), Last::Follow)?);
    if !found.is_dir() {
        return Err(FilesError::GitReference {
            reference: reference.remote.clone(),
            problem: format!("there is no folder {folder:?}"),
        });
    }
    Ok(found)
}

/// Gives files the modes that git has in mind, whatever the process's mask is, and removes git's own.
pub(super) fn tidy(folder: &Path, keeps_git: bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        if entry.file_name() == ".git" && !keeps_git {
            if metadata.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        } else if metadata.is_dir() {
            tidy(&path, keeps_git)?;
        } else if metadata.is_file() {
            let mode = if metadata.mode() & 0o100 != 0 { 0o755 } else { 0o644 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

/// A repository that is worked on.
struct Git<'a> {
    remote: &'a str,
    folder: &'a Path,
    cancel: &'a Cancel,
    protocols: &'a str,
}

impl Git<'_> {
    /// Fetches a reference, no more than it needs where the server allows; gives the commit's name.
    fn fetch(&self, reference: &str) -> Result<String, FilesError> {
        let shallow = self.run("fetch", &["--quiet", "--no-tags", "--depth=1", "origin", reference]);
        let is_commit = (7..=64).contains(&reference.len()) && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        let target = match shallow {
            Ok(_) => "FETCH_HEAD",
            Err(FilesError::Git { .. }) if is_commit => {
                // Not every server gives commits by their names, and none by abbreviations.
                self.run("fetch", &["--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"])?;
                reference
            }
            Err(error) => return Err(error),
        };
        let commit = self.run("rev-parse", &["--verify", "--quiet", &format!("{target}^{{commit}}")])?;
        Ok(commit.trim().to_owned())
    }

    /// Runs git, and gives what it printed.
    fn run(&self, command: &'static str, arguments: &[&str]) -> Result<String, FilesError> {
        let failed = |problem: String| FilesError::Git { remote: self.remote.to_owned(), command, problem };
        let program =
            Program { folder: self.folder, reach: Reach::Folder, protocols: self.protocols, cancel: self.cancel };
        let printed = program.run(command, arguments, Stdio::null()).and_then(|mut output| text(&mut output));
        printed.map_err(|failure| match failure {
            Failure::Cancelled => FilesError::Cancelled,
            Failure::NotInstalled => failed("the program `git` is not installed".to_owned()),
            Failure::Failed(problem) => failed(problem),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::{CheckoutOptions, checkout};
    use crate::build::Cancel;
    use crate::files::FilesError;
    use crate::files::git::GitReference;
    use crate::files::git::program::testing::git;

    /// A repository with two commits, the first of them tagged; gives their names.
    fn repository(folder: &Path) -> (String, String) {
        fs::create_dir_all(folder.join("docs")).expect("makes");
        fs::write(folder.join("docs/a"), "one").expect("writes");
        fs::write(folder.join("run"), "#!/bin/sh\n").expect("writes");
        fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o700)).expect("sets");
        symlink("/etc", folder.join("out")).expect("links");
        git(folder, &["init", "-q"]);
        git(folder, &["add", "."]);
        git(folder, &["commit", "-q", "-m", "one"]);
        git(folder, &["tag", "-a", "v1", "-m", "v1"]);
        let first = git(folder, &["rev-parse", "HEAD"]);
        fs::write(folder.join("docs/a"), "two").expect("writes");
        git(folder, &["commit", "-q", "-a", "-m", "two"]);
        (first, git(folder, &["rev-parse", "HEAD"]))
    }

    #[test]
    fn references_are_checked_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let from = folder.path().join("from");
        let (first, second) = repository(&from);
        let remote = format!("file://{}", from.display());
        let cancel = Cancel::default();
        let mut number = 0;
        let mut check = |reference: &GitReference, keep_git_dir, checksum| {
            number += 1;
            let to = folder.path().join(format!("to{number}"));
            fs::create_dir(&to).expect("makes");
            // Nothing of it comes from elsewhere.
            let options = CheckoutOptions { keep_git_dir, checksum, offline: true, cancel: &cancel };
            checkout(reference, &to, &options)
        };
        let with = |reference: Option<&str>, folder: Option<&str>| GitReference {
            remote: remote.clone(),
            reference: reference.map(str::to_owned),
            folder: folder.map(str::to_owned),
            ..GitReference::default()
        };
        for (reference, content) in [
            (None, "two"),
            (Some("v1"), "one"),
            (Some("refs/heads/main"), "two"),
            (Some(&*first), "one"),
            (Some(&first[..9]), "one"),
        ] {
            let found = check(&with(reference, None), false, None).expect("checks out");
            assert_eq!(fs::read_to_string(found.join("docs/a")).expect("reads"), content, "{reference:?}");
            let mode = |name: &str| found.join(name).metadata().expect("is there").permissions().mode() & 0o7777;
            assert_eq!((mode("run"), mode("docs/a"), mode("docs")), (0o755, 0o644, 0o755));
            assert!(!found.join(".git").exists());
        }
        let found = check(&with(None, Some("docs")), false, Some(&second)).expect("checks out");
        assert!(found.ends_with("docs") && found.join("a").is_file());
        assert!(check(&with(None, None), true, None).expect("checks out").join(".git").is_dir());
        let outside = check(&with(None, Some("out")), false, None);
        assert!(matches!(outside, Err(FilesError::GitReference { .. })), "{outside:?}");
        let other = check(&with(None, None), false, Some(&first));
        assert!(
            matches!(&other, Err(FilesError::Checksum { expected, got, .. }) if *expected == first && *got == second)
        );
        let missing = check(&with(Some("nowhere"), None), false, None);
        assert!(matches!(missing, Err(FilesError::Git { command: "fetch", .. })), "{missing:?}");
    }

    #[test]
    fn files_of_the_host_are_no_repositories() {
        let folder = tempfile::tempdir().expect("a folder");
        repository(&folder.path().join("from"));
        let to = folder.path().join("to");
        fs::create_dir(&to).expect("makes");
        let remote = folder.path().join("from").display().to_string();
        let cancel = Cancel::default();
        let options = CheckoutOptions { keep_git_dir: false, checksum: None, offline: false, cancel: &cancel };
        let reference = GitReference { remote, ..GitReference::default() };
        let refused = checkout(&reference, &to, &options);
        assert!(
            matches!(&refused, Err(FilesError::Git { problem, .. }) if problem.contains("not allowed")),
            "{refused:?}"
        );
    }
}
