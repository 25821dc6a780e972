//! What can go wrong when files are copied.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// Why files cannot be copied. Paths are shown as the context or the image has them, not the host.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A source is not there.
    #[error("\"{path}\": not found{hint}")]
    NotFound {
        /// The source, absolute in its context or image.
        path: String,
        /// What may be the reason, in parentheses with a space before it, or nothing.
        hint: String,
    },
    /// A wildcard that Go's `filepath.Match` refuses.
    #[error("syntax error in pattern {pattern:?}")]
    Pattern {
        /// The source's pattern.
        pattern: String,
    },
    /// A pattern of `--exclude` or `--parents` that cannot be read.
    #[error("pattern {pattern:?} cannot be used: {reason}")]
    Filter {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder would take the place of something else.
    #[error("cannot copy a folder to {path:?}, which is not a folder")]
    FolderOverFile {
        /// The path in the image.
        path: String,
    },
    /// A file would take the place of a folder.
    #[error("cannot replace the folder {path:?} with a file")]
    FileOverFolder {
        /// The path in the image.
        path: String,
    },
    /// A destination leads through something that is no folder.
    #[error("{path:?} is not a folder")]
    NotAFolder {
        /// The path in the image.
        path: String,
    },
    /// Links that lead in circles, or nearly.
    #[error("{path:?}: too many symbolic links")]
    TooManyLinks {
        /// The path with which it began.
        path: String,
    },
    /// `--chmod` that is neither octal nor symbolic.
    #[error("invalid chmod parameter {text:?}: it should be octal, between 0 and 07777, or symbolic as in u=rwX,go=rX")]
    Mode {
        /// As written.
        text: String,
    },
    /// An archive that cannot be unpacked.
    #[error("cannot unpack {archive}")]
    Archive {
        /// The archive's name.
        archive: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A member of an archive that leads out of the folder or cannot be made.
    #[error("cannot unpack {archive}: {member:?} {problem}")]
    Member {
        /// The archive's name.
        archive: String,
        /// The member's name as written.
        member: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// COPY of what only ADD can fetch.
    #[error("COPY cannot fetch {location}: only ADD can")]
    OnlyAdd {
        /// The URL or git reference.
        location: String,
    },
    /// `--checksum` where it means nothing.
    #[error("--checksum {problem}")]
    ChecksumUse {
        /// What is wrong.
        problem: String,
    },
    /// What was fetched is not what was asked for.
    #[error("{location}: the checksum does not match: expected {expected}, got {got}")]
    Checksum {
        /// The URL or git reference.
        location: String,
        /// The digest or commit that was asked for.
        expected: String,
        /// That of what was fetched.
        got: String,
    },
    /// Something must be fetched and may not be.
    #[error("{location} must be fetched, which --offline forbids")]
    Offline {
        /// The URL or git reference.
        location: String,
    },
    /// A download failed.
    #[error("cannot fetch {location}")]
    Download {
        /// The URL.
        location: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A reference to a git repository that cannot be understood, or may not be used.
    #[error("git reference {reference:?}: {problem}")]
    GitReference {
        /// As written.
        reference: String,
        /// What is wrong.
        problem: String,
    },
    /// The git program failed or is not there.
    #[error("git {command} of {remote}: {problem}")]
    Git {
        /// The repository.
        remote: String,
        /// The git command.
        command: &'static str,
        /// What it said last, or why it could not be started.
        problem: String,
    },
    /// The build was stopped.
    #[error("cancelled")]
    Cancelled,
    /// A system call failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl FilesError {
    /// For `map_err`: what was tried on which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
