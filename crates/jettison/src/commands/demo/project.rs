//! The demo's project: a Dockerfile on top of the base, and files to copy.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::host::HostFiles;

/// Of so many small files one is copied.
const ONE_OF: usize = 5;

/// A Dockerfile as one writes it: what a layer makes, a later one changes or removes.
fn dockerfile(version: &str) -> String {
    format!(
        "FROM base\n\
         COPY files /srv/app\n\
         RUN mkdir /build && cp -r /srv/app /build\n\
         RUN chmod -R a+rX /srv/app\n\
         RUN rm -rf /build\n\
         CMD [\"/bin/sh\"]\n\
         RUN echo {version} > /srv/app/version\n"
    )
}

/// The folder of a project.
pub(super) struct Project {
    folder: PathBuf,
}

impl Project {
    /// Writes the project's files; what is there already is written over.
    pub(super) fn write(folder: PathBuf, files: &HostFiles) -> Result<Self> {
        for path in files.small.iter().step_by(ONE_OF) {
            let to = folder.join("files").join(path.strip_prefix("/").unwrap_or(path));
            copy(path, &to).with_context(|| format!("cannot copy {} to {}", path.display(), to.display()))?;
        }
        Ok(Self { folder })
    }

    /// Writes the Dockerfile, whose last line says the version, and gives its text.
    pub(super) fn set_version(&self, version: &str) -> Result<String> {
        let (path, text) = (self.folder.join("Dockerfile"), dockerfile(version));
        fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(text)
    }
}

/// Copies a file for its owner's eyes only.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, fs::read(from)?)?;
    fs::set_permissions(to, Permissions::from_mode(0o600))
}
