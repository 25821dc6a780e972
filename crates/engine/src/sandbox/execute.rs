//! Finding the command and becoming it.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::error::Failure;
use super::mounts::c_string;
use super::points::path_of;
use super::spec::Spec;
use crate::kernel::process;

/// Where commands are looked up when the environment does not say (moby's default for Linux).
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command that can be executed any time: all that needs memory is done.
#[derive(Debug)]
pub(super) struct Command {
    name: String,
    candidates: Vec<PathBuf>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    pub(super) fn new(spec: &Spec) -> Result<Self, Failure> {
        let words = |words: &[Vec<u8>], what| -> Result<Vec<CString>, Failure> {
            words.iter().map(|word| c_string(word, what)).collect()
        };
        let Some(first) = spec.argv.first().filter(|word| !word.is_empty()) else {
            return Err(Failure::NotFound { command: "the empty command".to_owned() });
        };
        Ok(Self {
            name: String::from_utf8_lossy(first).into_owned(),
            candidates: candidates(first, &spec.env),
            arguments: words(&spec.argv, "pass the argument")?,
            environment: words(&spec.env, "set the variable")?,
        })
    }

    /// Becomes the command; comes back only with the reason why not.
    pub(super) fn execute(&self) -> Failure {
        let mut denied = None;
        for path in &self.candidates {
            let Ok(file) = CString::new(path.as_os_str().as_bytes()) else { continue };
            let error = process::execute(&file, &self.arguments, &self.environment);
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            let failure = Failure::NotExecutable { command: path.display().to_string(), errno };
            match errno {
                // A file that is there lacks its loader or interpreter.
                libc::ENOENT if exists(path) => return failure,
                libc::ENOENT | libc::ENOTDIR => {}
                // A later folder may have one that can be executed (execvp(3)).
                libc::EACCES => denied = denied.or(Some(failure)),
                _ => return failure,
            }
        }
        denied.unwrap_or_else(|| Failure::NotFound { command: self.name.clone() })
    }
}

fn exists(path: &Path) -> bool {
    !matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn candidates(command: &[u8], environment: &[Vec<u8>]) -> Vec<PathBuf> {
    if command.contains(&b'/') {
        return vec![path_of(command)];
    }
    let path = environment.iter().find_map(|variable| variable.strip_prefix(b"PATH=")).unwrap_or(PATH);
    path.split(|byte| *byte == b':')
        .map(|folder| {
            // An empty one is the working directory.
            let folder = if folder.is_empty() { b"." } else { folder };
            path_of(&[folder, b"/", command].concat())
        })
        .collect()
}
