//! The projects of `bench/projects`: a folder each, with a Dockerfile, what it copies, and `smoke`, the commands that show
//! whether an image does its work, one a line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// A project as it lies in its folder.
#[derive(Debug)]
pub(super) struct Project {
    /// The folder's name.
    pub(super) name: String,
    folder: PathBuf,
    /// The Dockerfile's text.
    pub(super) dockerfile: String,
    /// What is run in its images.
    pub(super) smoke: Vec<String>,
}

/// All projects, by their names.
pub(super) fn all(folder: &Path) -> Result<Vec<Project>> {
    let listed = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut projects = Vec::new();
    for entry in listed {
        let folder = entry?.path();
        let read = |name: &str| {
            fs::read_to_string(folder.join(name)).with_context(|| format!("{} has no {name}", folder.display()))
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let smoke: Vec<String> = read("smoke")?.lines().map(str::to_owned).collect();
        ensure!(!smoke.is_empty(), "{name} has no smoke commands");
        projects.push(Project { name, dockerfile: read("Dockerfile")?, smoke, folder });
    }
    projects.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(projects)
}

impl Project {
    /// The images that its stages start from, `scratch` and its own stages apart.
    pub(super) fn bases(&self) -> Vec<String> {
        let (mut stages, mut bases) = (BTreeSet::from(["scratch"]), Vec::new());
        for line in self.dockerfile.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["FROM", base, rest @ ..] = words.as_slice() else { continue };
            if !stages.contains(base) && !bases.iter().any(|known| known == base) {
                bases.push((*base).to_owned());
            }
            if let ["AS", stage] = rest {
                stages.insert(stage);
            }
        }
        bases
    }

    /// The image that the last stage starts from.
    pub(super) fn last_base(&self) -> String {
        let last = self.dockerfile.lines().rev().find_map(|line| line.strip_prefix("FROM "));
        last.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned()
    }

    /// Copies it to where it is built. The smoke commands are no part of what a team would build.
    pub(super) fn lay(&self, target: &Path) -> Result<()> {
        copy(&self.folder, target)?;
        Ok(fs::remove_file(target.join("smoke"))?)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_no_bases() {
        let dockerfile = "FROM a:1 AS one\nRUN true\nFROM one AS two\nFROM b\nCOPY --from=two /x /x\n".to_owned();
        let project = Project { name: String::new(), folder: PathBuf::new(), dockerfile, smoke: Vec::new() };
        assert_eq!(project.bases(), ["a:1", "b"]);
        assert_eq!(project.last_base(), "b");
    }
}
