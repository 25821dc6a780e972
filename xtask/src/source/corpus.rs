//! The corpus of real Dockerfiles, in memory and as files.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::bench::workspace_root;

/// One Dockerfile.
pub(crate) struct SourceFile {
    /// Its path within the corpus.
    pub(crate) path: String,
    /// Its content.
    pub(crate) bytes: Vec<u8>,
}

/// All Dockerfiles, in order of path; where a number is given, so many of them spread over the whole.
pub(crate) fn read(at_most: Option<usize>) -> Result<Vec<SourceFile>> {
    let shared = match std::env::var_os("JETTISON_SHARED") {
        Some(path) => PathBuf::from(path),
        None => workspace_root()?.join("../shared"),
    };
    let path = shared.join("corpus/dockerfiles.tar.zst");
    let file = File::open(&path).with_context(|| format!("no corpus at {}: set JETTISON_SHARED", path.display()))?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(file)?);
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.push(SourceFile { path, bytes });
    }
    ensure!(!files.is_empty(), "the corpus is empty");
    files.sort_by(|one, other| one.path.cmp(&other.path));
    if let Some(count) = at_most {
        let step = files.len().div_ceil(count);
        files = files.into_iter().step_by(step).collect();
    }
    Ok(files)
}

/// Writes the files below a folder, which holds nothing else then.
pub(crate) fn unpack(files: &[SourceFile], folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    for file in files {
        let path = folder.join(&file.path);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        std::fs::write(path, &file.bytes)?;
    }
    Ok(())
}
