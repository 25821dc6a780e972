//! Searching folders for Dockerfiles.

use std::fs;
use std::path::{Path, PathBuf};

/// Endings of templates, of other files about Dockerfiles, and of what editors leave.
const NO_DOCKERFILES: [&str; 18] = [
    "dockerignore",
    "md",
    "txt",
    "rst",
    "j2",
    "jinja",
    "jinja2",
    "erb",
    "ejs",
    "tmpl",
    "tpl",
    "template",
    "in",
    "mustache",
    "bak",
    "orig",
    "rej",
    "swp",
];

/// Dockerfiles that were found, in order of path, and folders that could not be read.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) unreadable: Vec<(PathBuf, std::io::Error)>,
}

/// Whether builders and people take a file of this name for a Dockerfile.
fn is_dockerfile(name: &str) -> bool {
    if name.ends_with('~') || name.rsplit_once('.').is_some_and(|(_, ending)| NO_DOCKERFILES.contains(&ending)) {
        return false;
    }
    matches!(name, "Dockerfile" | "dockerfile")
        || name.starts_with("Dockerfile.")
        || name.starts_with("Containerfile")
        || name.ends_with(".Dockerfile")
        || name.ends_with(".dockerfile")
}

/// All Dockerfiles below a folder. Hidden folders and `node_modules` are left out; links to folders are not followed.
pub(crate) fn dockerfiles(folder: &Path) -> Found {
    let mut found = Found::default();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        // Paths below the folder that commands start in are named from there.
        let listed = if folder.as_os_str().is_empty() { fs::read_dir(".") } else { fs::read_dir(&folder) };
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) => {
                found.unreadable.push((folder, error));
                continue;
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let path = folder.join(&name);
            let name = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if !name.starts_with('.') && name != "node_modules" {
                    waiting.push(path);
                }
            } else if is_dockerfile(&name) && (kind.is_file() || path.is_file()) {
                found.files.push(path);
            }
        }
    }
    found.files.sort();
    found.unreadable.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{dockerfiles, is_dockerfile};

    #[test]
    fn names() {
        for name in
            ["Dockerfile", "dockerfile", "Dockerfile.dev", "app.Dockerfile", "app.dockerfile", "Containerfile.x"]
        {
            assert!(is_dockerfile(name), "{name}");
        }
        for name in
            ["Dockerfile.dockerignore", "Dockerfile.md", "Dockerfiles", "Dockerfile.j2", "Dockerfile.a~", "docker"]
        {
            assert!(!is_dockerfile(name), "{name}");
        }
    }

    #[test]
    fn folders_are_searched_in_order_and_loops_end() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["b/node_modules", ".git", "b/c"] {
            fs::create_dir_all(folder.path().join(path)).expect("makes a folder");
        }
        for path in
            ["b/Dockerfile", "a.Dockerfile", "b/node_modules/Dockerfile", ".git/Dockerfile", "b/c/Containerfile"]
        {
            fs::write(folder.path().join(path), "FROM a\n").expect("writes");
        }
        symlink("..", folder.path().join("b/up")).expect("links");
        symlink("Dockerfile", folder.path().join("b/Dockerfile.link")).expect("links");
        let found = dockerfiles(folder.path()).files;
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(folder.path()).expect("below")).collect();
        let expected = ["a.Dockerfile", "b/Dockerfile", "b/Dockerfile.link", "b/c/Containerfile"];
        assert_eq!(names, expected.map(std::path::Path::new));
    }
}
