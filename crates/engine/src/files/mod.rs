//! COPY and ADD: which files they take, and how they are written.
//!
//! [`fetch`] brings what ADD names by URL or as a git repository; [`select`] finds the files, hashes
//! them and gives a [`Selection`], whose digest belongs into the step's key; [`apply`] writes them
//! into a workspace. The rules are BuildKit's (`dispatchCopy`, its file backend, and `fsutil`'s copy).
//! Nothing outside of a source's root is ever read, nor is anything outside of a workspace written:
//! links are followed by [`resolve`] alone, which knows no way out of a root.

mod apply;
mod archive;
pub mod context;
mod error;
pub mod git;
mod hash;
mod identity;
mod mode;
mod remote;
mod resolve;
mod select;
mod stat;
mod unpack;
mod walk;
mod wildcard;
mod write;

#[cfg(test)]
mod tests;

pub use apply::{Applied, Target, apply, make_folder};
pub use error::FilesError;
pub use hash::{Digests, Known};
pub use remote::{Download, Downloaded, FetchOptions, Fetched, Http, fetch, is_remote};
pub use select::{Ownership, Selection, Source, select};
pub use stat::{Stat, Time};

use std::path::{Path, PathBuf};

use crate::plan::Copy;

/// The place on the host that a path of a tree leads to, within the tree's root; the last part must be there.
///
/// # Errors
/// Where nothing is there, or links lead in circles.
pub fn within(root: &Path, path: &Path) -> Result<PathBuf, FilesError> {
    let at = resolve::below(root, &resolve::follow(root, path, resolve::Last::Follow)?);
    match std::fs::symlink_metadata(&at) {
        Ok(_) => Ok(at),
        Err(_) => Err(FilesError::NotFound { path: resolve::shown(path), hint: String::new() }),
    }
}

/// Whether a COPY or ADD is independent of what lies below: `--link`, which BuildKit takes no account
/// of where there is a `--chmod`. Such a step is applied to an empty tree (a workspace without
/// parents), so that folders of its destination are its layer's own and hide links below.
#[must_use]
pub fn is_independent(copy: &Copy) -> bool {
    copy.link && copy.chmod.is_none()
}
