//! `RUN --mount`: what is mounted, made ready on the host, and cleared away afterwards.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jettison_image::Digest;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::error::StepError;
use super::execute::Cx;
use super::model::Secret;
use super::step::Doing;
use crate::cache::{MountFolder, Work};
use crate::files;
use crate::ids::{self, Ids};
use crate::plan::{Copy, CopySource, FileMount, FileMountKind, Run};
use crate::sandbox::{Mount, MountKind};
use crate::snapshot::Workspace;

/// Where agents' sockets are mounted that ask for no place, as BuildKit has it.
const AGENTS: &str = "/run/buildkit/ssh_agent";
/// Where the files of a bind mount are copied to in its own tree.
const SOURCE: &str = "/source/";

/// Mounts of a step, and what has to live as long.
#[derive(Default)]
pub(crate) struct Mounted {
    pub(crate) mounts: Vec<Mount>,
    /// `NAME=value` of secrets and agents.
    pub(crate) env: Vec<Vec<u8>>,
    // In the order in which they are dropped: trees before the folders that they lie in.
    workspaces: Vec<Workspace>,
    secrets: Option<Memory>,
    caches: Vec<MountFolder>,
    works: Vec<Work>,
}

/// A folder in memory: secrets never reach a disk.
struct Memory(PathBuf);

impl Memory {
    fn at(path: PathBuf) -> Result<Self, StepError> {
        fs::create_dir_all(&path).map_err(StepError::io("make", &path))?;
        mount("tmpfs", &path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0700")
            .map_err(|error| StepError::io("mount", &path)(error.into()))?;
        Ok(Self(path))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // It vanishes with the process's mount namespace at the latest.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

impl Cx<'_> {
    /// Makes ready all mounts of a RUN.
    pub(crate) fn mount(&self, doing: &Doing<'_>, run: &Run) -> Result<Mounted, StepError> {
        let mut mounted = Mounted::default();
        for (number, mount) in run.mounts.iter().enumerate() {
            match &mount.kind {
                FileMountKind::Tmpfs { size } => {
                    mounted.add(mount, MountKind::Tmpfs { size: *size, mode: 0o1777 });
                }
                FileMountKind::Bind { from, source } => self.bind(doing, mount, from, source, &mut mounted)?,
                FileMountKind::Cache { .. } => self.cache_mount(doing, mount, &mut mounted)?,
                FileMountKind::Secret { .. } => self.secret(mount, number, &mut mounted)?,
                FileMountKind::Ssh { id, required, .. } => {
                    let target =
                        if mount.target.is_empty() { format!("{AGENTS}.{number}") } else { mount.target.clone() };
                    // BuildKit says where it would be also when there is none.
                    if !mounted.env.iter().any(|set| set.starts_with(b"SSH_AUTH_SOCK=")) {
                        mounted.env.push(format!("SSH_AUTH_SOCK={target}").into_bytes());
                    }
                    match self.request.ssh.get(id) {
                        Some(socket) => mounted.mounts.push(Mount {
                            target: target.into_bytes(),
                            kind: MountKind::Bind(socket.clone()),
                            read_only: false,
                        }),
                        None if *required => return Err(StepError::NoAgent { id: id.clone() }),
                        None => {}
                    }
                }
            }
        }
        if let Some((target, text)) = &run.script {
            let work = self.session.cache.work()?;
            let path = work.path().join("script");
            fs::write(&path, text).map_err(StepError::io("write", &path))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .map_err(StepError::io("set the mode of", &path))?;
            mounted.mounts.push(Mount {
                target: target.clone().into_bytes(),
                kind: MountKind::Bind(path),
                read_only: true,
            });
            mounted.works.push(work);
        }
        Ok(mounted)
    }

    /// The content that a bind mount shows, for the key.
    pub(crate) fn mount_content(
        &self,
        doing: &Doing<'_>,
        from: &CopySource,
        source: &str,
    ) -> Result<Digest, StepError> {
        self.content(doing, &whole(from, source, SOURCE))
    }

    /// A bind mount: what is written to it is thrown away, so it is a tree of its own.
    fn bind(
        &self,
        doing: &Doing<'_>,
        mount: &FileMount,
        from: &CopySource,
        source: &str,
        mounted: &mut Mounted,
    ) -> Result<(), StepError> {
        let work = self.session.cache.work()?;
        let parents = match from {
            // Only what the ignore file leaves is to be seen, so it is copied.
            CopySource::Context | CopySource::Named(_) => Vec::new(),
            CopySource::Stage(_) | CopySource::Image(_) => self.source_folders(doing, from)?,
        };
        let workspace = self.session.snapshotter.workspace(&parents, work.path())?;
        if parents.is_empty() && matches!(from, CopySource::Context | CopySource::Named(_)) {
            let copy = whole(from, source, SOURCE);
            self.with_selection(doing, &copy, |selection| {
                Ok(files::apply(selection, &copy, &self.target(workspace.root(), None))?)
            })?;
            let shown = workspace.root().join("source");
            mounted.add(mount, MountKind::Bind(only_entry(&shown, source)?));
        } else {
            let path = files::within(workspace.root(), Path::new(source))
                .map_err(|_| StepError::NoMountSource { path: source.to_owned(), target: mount.target.clone() })?;
            mounted.add(mount, MountKind::Bind(path));
        }
        mounted.workspaces.push(workspace);
        mounted.works.push(work);
        Ok(())
    }

    fn cache_mount(&self, doing: &Doing<'_>, mount: &FileMount, mounted: &mut Mounted) -> Result<(), StepError> {
        let FileMountKind::Cache { id, sharing, from, mode, uid, gid } = &mount.kind else { return Ok(()) };
        let folder = self.session.cache.mount(id, *sharing)?;
        let path = folder.path().to_owned();
        if folder.is_new() {
            if let Some((from, source)) = from {
                let copy = whole(from, source, "/");
                self.with_selection(doing, &copy, |selection| {
                    Ok(files::apply(selection, &copy, &self.target(&path, None))?)
                })?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
                .map_err(StepError::io("set the mode of", &path))?;
            ids::give(&path, *uid, *gid, self.session.ids).map_err(StepError::io("give away", &path))?;
        }
        mounted.add(mount, MountKind::Bind(path));
        mounted.caches.push(folder);
        Ok(())
    }

    fn secret(&self, mount: &FileMount, number: usize, mounted: &mut Mounted) -> Result<(), StepError> {
        let FileMountKind::Secret { id, env, is_file, required, mode, uid, gid } = &mount.kind else { return Ok(()) };
        let value = match self.request.secrets.get(id) {
            Some(Secret::Value(value)) => value.clone(),
            Some(Secret::File(path)) => fs::read(path).map_err(StepError::io("read the secret", path))?,
            None if *required => return Err(StepError::NoSecret { id: id.clone() }),
            None => return Ok(()),
        };
        if let Some(name) = env {
            mounted.env.push([name.as_bytes(), b"=", &value].concat());
        }
        if !is_file {
            return Ok(());
        }
        if mounted.secrets.is_none() {
            let work = self.session.cache.work()?;
            mounted.secrets = Some(Memory::at(work.path().join("secrets"))?);
            mounted.works.push(work);
        }
        let Some(memory) = &mounted.secrets else { return Ok(()) };
        let path = memory.0.join(number.to_string());
        fs::write(&path, value).map_err(StepError::io("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
            .map_err(StepError::io("set the mode of", &path))?;
        match ids::give(&path, *uid, *gid, self.session.ids) {
            // Memory holds no record before Linux 6.6: then the file is root's.
            Err(error) if self.session.ids == Ids::One && error.kind() == io::ErrorKind::Unsupported => {}
            given => given.map_err(StepError::io("give away", &path))?,
        }
        mounted.mounts.push(Mount {
            target: mount.target.clone().into_bytes(),
            kind: MountKind::Bind(path),
            read_only: true,
        });
        Ok(())
    }
}

impl Mounted {
    fn add(&mut self, mount: &FileMount, kind: MountKind) {
        self.mounts.push(Mount { target: mount.target.clone().into_bytes(), kind, read_only: mount.read_only });
    }
}

/// A copy of one path with all that it holds.
pub(crate) fn whole(from: &CopySource, source: &str, destination: &str) -> Copy {
    Copy {
        is_add: false,
        from: from.clone(),
        sources: vec![source.to_owned()],
        heredocs: Vec::new(),
        destination: destination.to_owned(),
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        checksum: None,
        keep_git_dir: false,
        unpack: None,
    }
}

/// What a copied path became: the folder that holds its contents, or the one file in it.
fn only_entry(folder: &Path, source: &str) -> Result<PathBuf, StepError> {
    let name = Path::new(source).file_name();
    let file = name.map(|name| folder.join(name));
    match file {
        Some(file) if file.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) => Ok(file),
        _ => Ok(folder.to_owned()),
    }
}
