//! Snapshots: what each step changed, kept as folders that are laid above each other.
//!
//! A snapshot's files are an overlayfs upper folder: changed files only, a character device 0:0 for what is
//! gone, `user.overlay.opaque=y` at folders that hide what lies below. A [`Workspace`] shows the parents with
//! an empty snapshot above them; when a step is done, [`Workspace::finish`] gives the layer of what it changed.

mod attributes;
mod content;
mod copy;
mod lower;
mod mount;
mod normalize;
mod probe;
mod remove;
mod restore;
mod scan;
mod tar;
mod unpack;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jettison_image::layer::LayerError;
use jettison_image::tar::TarError;
use jettison_image::tree::TreeError;
use jettison_image::{Digest, Layer};

pub use remove::remove_tree;
pub use restore::restore;
pub use tar::{SnapshotContents, write_tar};
pub use unpack::{BaseLayer, unpack};

use crate::ids::{Ids, Owners};
use copy::{Copied, copy_tree};
use lower::Lower;
use mount::{Mounted, Upper};

/// The most layers that the kernel's overlayfs takes (`OVL_MAX_STACK`).
const MAX_PARENTS: usize = 500;

/// The ways of laying snapshots above each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The kernel's overlayfs.
    Overlay,
    /// The fuse-overlayfs program. Folders that it copies up get a new time, which steps and layers both see.
    FuseOverlayfs,
    /// Copies: slow, and possible everywhere.
    Copy,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Overlay => "overlayfs",
            Self::FuseOverlayfs => "fuse-overlayfs",
            Self::Copy => "copying",
        })
    }
}

/// Why a snapshot could not be made, shown or kept.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file could not be read, written or removed.
    #[error("{}: cannot keep it in a snapshot", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// Snapshots could not be mounted above each other, or not be unmounted.
    #[error("{kind} cannot be mounted at {}", path.display())]
    Mount {
        /// The way that was tried.
        kind: Kind,
        /// The mount point.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A mount did not end: something still uses it.
    #[error("{} cannot be unmounted", path.display())]
    Unmount {
        /// The mount point.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The kind that was asked for does not work here.
    #[error("snapshots by {kind} are not possible here: {reason}")]
    Unavailable {
        /// The kind.
        kind: Kind,
        /// What is missing.
        reason: String,
    },
    /// More snapshots above each other than the kernel takes.
    #[error("{count} snapshots above each other are more than the {MAX_PARENTS} that overlayfs takes")]
    TooManyParents {
        /// How many.
        count: usize,
    },
    /// A file's name is one that no layer can hold.
    #[error("the changes are not a layer")]
    Layer(#[source] LayerError),
    /// The layers of a base image do not fit on each other.
    #[error("the base image cannot be unpacked")]
    Tree(#[from] TreeError),
    /// A layer of a base image could not be read.
    #[error("layer {layer} of the base image cannot be read")]
    Tar {
        /// Counted from 1, the lowest.
        layer: usize,
        /// What is wrong with it.
        #[source]
        source: TarError,
    },
    /// A layer of a base image could not be opened.
    #[error("layer {layer} of the base image cannot be opened")]
    Open {
        /// Counted from 1, the lowest.
        layer: usize,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A layer of a base image is not the one that its entries were read from.
    #[error("layer {layer} of the base image changed since it was read")]
    Changed {
        /// Counted from 1, the lowest.
        layer: usize,
    },
}

/// What went wrong, with the file where it did.
fn at(path: &Path) -> impl Fn(io::Error) -> SnapshotError {
    |source| SnapshotError::File { path: path.to_owned(), source }
}

/// Makes workspaces and views.
#[derive(Clone, Copy, Debug)]
pub struct Snapshotter {
    kind: Kind,
    ids: Ids,
}

/// The parents with an empty snapshot above, to be changed by a step. Unmounted when it is dropped.
#[derive(Debug)]
pub struct Workspace {
    kind: Kind,
    ids: Ids,
    parents: Lower,
    work: PathBuf,
    root: PathBuf,
    mounted: Option<Mounted>,
    copied: Option<Copied>,
}

/// The parents, to be read. Unmounted when it is dropped.
#[derive(Debug)]
pub struct View {
    root: PathBuf,
    _mounted: Option<Mounted>,
}

impl View {
    /// The folder that shows the merged parents.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Snapshotter {
    /// Finds out which kind works in `folder`, by really doing it there: the one that is `wanted`, else the
    /// first of overlayfs, fuse-overlayfs and copying.
    ///
    /// # Errors
    /// Where the wanted kind, or even copying, does not work there.
    pub fn probe(folder: &Path, wanted: Option<Kind>, ids: Ids) -> Result<Self, SnapshotError> {
        probe::probe(folder, wanted, ids)
    }

    /// How this one lays snapshots above each other.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Lays an empty snapshot, the folder `fs` in `work`, above `parents` (their files' folders, the lowest
    /// first). What `work` holds of an earlier attempt is removed.
    ///
    /// # Errors
    /// Where the parents cannot be mounted or copied.
    pub fn workspace(&self, parents: &[PathBuf], work: &Path) -> Result<Workspace, SnapshotError> {
        let files = work.join("fs");
        remove_tree(&files).map_err(at(&files))?;
        fs::create_dir(&files).map_err(at(&files))?;
        let lower = Lower::root(parents);
        let mut workspace = Workspace {
            kind: self.kind,
            ids: self.ids,
            parents: lower.clone(),
            work: work.to_owned(),
            root: files.clone(),
            mounted: None,
            copied: None,
        };
        if self.kind == Kind::Copy && !parents.is_empty() {
            workspace.copied = Some(copy_tree(&lower, &files, self.ids).map_err(at(&files))?);
        }
        // A mount shows its upper folder's attributes as those of the root.
        let shown = match lower.top() {
            Some(top) => fs::symlink_metadata(top).and_then(|now| attributes::copy_raw(top, &now, &files, self.ids)),
            None => scan::root_of_nothing().apply(&files, self.ids),
        };
        shown.map_err(at(&files))?;
        // Above nothing there is nothing to hide: the folder itself will do.
        if self.kind != Kind::Copy && !parents.is_empty() {
            let at = folder(work, "root")?;
            let upper = Upper { files: &files, work: &work.join("overlay") };
            workspace.mounted = Some(self.mount(parents, Some(upper), work, &at)?);
            workspace.root = at;
        }
        Ok(workspace)
    }

    /// Shows `parents` (the lowest first) read-only, below `work`.
    ///
    /// # Errors
    /// Where they cannot be mounted or copied.
    pub fn view(&self, parents: &[PathBuf], work: &Path) -> Result<View, SnapshotError> {
        // A step may look into several: each has its own place.
        let place = tempfile::Builder::new().prefix("view").tempdir_in(work).map_err(at(work))?.keep();
        let root = folder(&place, "root")?;
        let mounted = match (parents, self.kind) {
            ([], _) => None,
            ([parent], kind) => match mount::bind(parent, &root) {
                Ok(mounted) => Some(mounted),
                // Where nothing can be mounted the files themselves are looked at.
                Err(_) if kind == Kind::Copy => return Ok(View { root: parent.clone(), _mounted: None }),
                Err(source) => return Err(SnapshotError::Mount { kind, path: root, source }),
            },
            (_, Kind::Copy) => {
                copy_tree(&Lower::root(parents), &root, self.ids).map_err(at(&root))?;
                None
            }
            _ => Some(self.mount(parents, None, &place, &root)?),
        };
        Ok(View { root, _mounted: mounted })
    }

    fn mount(
        &self,
        parents: &[PathBuf],
        upper: Option<Upper<'_>>,
        work: &Path,
        at: &Path,
    ) -> Result<Mounted, SnapshotError> {
        if parents.len() > MAX_PARENTS {
            return Err(SnapshotError::TooManyParents { count: parents.len() });
        }
        let mounted = match self.kind {
            Kind::FuseOverlayfs => mount::fuse(parents, upper, &work.join("lower"), at),
            Kind::Overlay | Kind::Copy => mount::overlay(parents, upper, at),
        };
        mounted.map_err(|source| SnapshotError::Mount { kind: self.kind, path: at.to_owned(), source })
    }
}

/// An empty folder in `work`.
fn folder(work: &Path, name: &str) -> Result<PathBuf, SnapshotError> {
    let path = work.join(name);
    remove_tree(&path).map_err(at(&path))?;
    fs::create_dir(&path).map_err(at(&path))?;
    Ok(path)
}

impl Workspace {
    /// The folder in which the step works.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Unmounts, and gives the layer of what changed; the folder `fs` then holds just that. `known` are
    /// digests of new files by their inode in [`Workspace::root`], `owners` those of symbolic links.
    ///
    /// # Errors
    /// Where something still uses the workspace, or the changes cannot be read.
    pub fn finish(mut self, known: &HashMap<u64, Digest>, owners: &Owners) -> Result<Layer, SnapshotError> {
        if let Some(mounted) = self.mounted.take() {
            mounted.end().map_err(|source| SnapshotError::Unmount { path: self.root.clone(), source })?;
        }
        let files = self.work.join("fs");
        if self.kind == Kind::FuseOverlayfs {
            normalize::normalize(&files).map_err(at(&files))?;
        }
        // fuse-overlayfs shows inode numbers of its own.
        let nothing = HashMap::new();
        let known = if self.kind == Kind::FuseOverlayfs && self.root != files { &nothing } else { known };
        let how = scan::Scan { ids: self.ids, owners, known, copied: self.copied.as_ref() };
        let layer = scan::scan(&files, &self.parents, &how)?;
        for left in ["overlay", "root", "lower"] {
            let left = self.work.join(left);
            remove_tree(&left).map_err(at(&left))?;
        }
        Ok(layer)
    }
}
