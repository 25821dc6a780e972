//! The names of a build context, read as a builder would.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jettison_ir::source::{Context, ContextFile, Entry};
use jettison_syntax::dockerfile::{Arguments, Dockerfile, Kind, decode};
use jettison_syntax::ignore::Ignore;

/// The most entries that are looked at. Contexts with more are mostly folders that were never meant as such.
const MOST_ENTRIES: usize = 200_000;

/// A context, and what could not be read of it.
pub(crate) struct Walked {
    pub(crate) context: Option<Context>,
    pub(crate) notes: Vec<String>,
}

/// The ignore file that BuildKit uses for a Dockerfile: its own where it has one, else the context's, which may not be
/// there.
pub(crate) fn ignore_file(dockerfile: Option<&Path>, folder: &Path) -> PathBuf {
    match dockerfile.map(own_ignore_file).filter(|own| own.is_file()) {
        Some(own) => own,
        None if folder == Path::new(".") => PathBuf::from(".dockerignore"),
        None => folder.join(".dockerignore"),
    }
}

/// The ignore file that BuildKit uses for this Dockerfile alone.
pub(crate) fn own_ignore_file(dockerfile: &Path) -> PathBuf {
    let mut name = dockerfile.as_os_str().to_owned();
    name.push(".dockerignore");
    PathBuf::from(name)
}

/// Whether a Dockerfile reads anything from its context.
pub(crate) fn is_used(tree: &Dockerfile) -> bool {
    tree.instructions.iter().any(|instruction| {
        let body = instruction.body.effective();
        match body.kind {
            Kind::Copy | Kind::Add => body.flag("from").is_none() && body.arguments != Arguments::None,
            Kind::Run => body.flag("mount").is_some(),
            _ => false,
        }
    })
}

/// Reads the names below `folder` that the ignore file leaves.
pub(crate) fn walk(folder: &Path, ignore_file: &Path) -> Result<Walked> {
    let text = match fs::read(ignore_file) {
        Ok(bytes) => Some(decode(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", ignore_file.display())),
    };
    let ignore = Ignore::parse(text.as_deref().unwrap_or_default());
    let mut notes: Vec<String> =
        ignore.errors.iter().map(|error| format!("{}: {error}; builders refuse it", ignore_file.display())).collect();
    let mut walk = Walk { ignore, files: Vec::new(), looked_at: 0, unreadable: Vec::new() };
    let context = if walk.all(folder) {
        walk.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Some(Context { files: walk.files, ignore: text, history: None })
    } else {
        let folder = folder.display();
        notes.push(format!("{folder} has more than {MOST_ENTRIES} entries: its names are left out of account"));
        None
    };
    notes.append(&mut walk.unreadable);
    Ok(Walked { context, notes })
}

struct Walk {
    ignore: Ignore,
    files: Vec<ContextFile>,
    looked_at: usize,
    unreadable: Vec<String>,
}

impl Walk {
    /// Reads all folders; false where there is too much.
    fn all(&mut self, folder: &Path) -> bool {
        let mut waiting = vec![(folder.to_owned(), String::new())];
        while let Some((folder, below)) = waiting.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.unreadable.push(format!("cannot read {}: {error}", folder.display()));
                    continue;
                }
            };
            for entry in entries.flatten() {
                self.looked_at += 1;
                if self.looked_at > MOST_ENTRIES {
                    return false;
                }
                let name = decode(entry.file_name().as_bytes().to_vec());
                let path = if below.is_empty() { name } else { format!("{below}/{name}") };
                if let Some(path) = self.entry(&entry, path) {
                    waiting.push((entry.path(), path));
                }
            }
        }
        true
    }

    /// Takes an entry in; gives the path of a folder that is to be read.
    fn entry(&mut self, entry: &fs::DirEntry, path: String) -> Option<String> {
        let is_excluded = !self.ignore.rules.is_empty() && self.ignore.matches(&path);
        let Ok(metadata) = entry.metadata() else {
            self.unreadable.push(format!("cannot read {}", entry.path().display()));
            return None;
        };
        let kind = metadata.file_type();
        let what = if kind.is_dir() {
            Entry::Folder
        } else if kind.is_symlink() {
            Entry::Link
        } else if kind.is_file() {
            Entry::File
        } else {
            Entry::Other
        };
        let enters = what == Entry::Folder && (!is_excluded || self.ignore.could_reinclude_below(&path));
        if !is_excluded {
            let (mode, size) = (metadata.permissions().mode() & 0o7777, metadata.len());
            self.files.push(ContextFile { path: path.clone(), entry: what, mode, size });
        }
        enters.then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use jettison_ir::source::Entry;

    use super::{ignore_file, walk};

    #[test]
    fn what_is_not_excluded_is_listed_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        for path in ["src/deep", "modules/kept", "modules/gone"] {
            fs::create_dir_all(at(path)).expect("makes a folder");
        }
        for path in ["src/deep/a", "src-b", "modules/kept/a", "modules/gone/b", "x.log", "Dockerfile"] {
            fs::write(at(path), "12345").expect("writes");
        }
        symlink(".", at("loop")).expect("links");
        fs::write(at(".dockerignore"), "modules\n!modules/kept\n*.log\n.dockerignore\n[\n").expect("writes");
        let walked = walk(folder.path(), &ignore_file(Some(&at("Dockerfile")), folder.path())).expect("walks");
        let context = walked.context.expect("a context");
        let paths: Vec<&str> = context.files.iter().map(|file| &*file.path).collect();
        let expected =
            ["Dockerfile", "loop", "modules/kept", "modules/kept/a", "src", "src-b", "src/deep", "src/deep/a"];
        assert_eq!(paths, expected);
        assert_eq!((context.files[0].size, context.files[1].entry), (5, Entry::Link));
        assert!(walked.notes.len() == 1 && walked.notes[0].contains("line 5"), "{:?}", walked.notes);
        fs::write(at("Dockerfile.dockerignore"), "*\n").expect("writes");
        let own = ignore_file(Some(&at("Dockerfile")), folder.path());
        assert_eq!(own, at("Dockerfile.dockerignore"));
        assert!(walk(folder.path(), &own).expect("walks").context.expect("a context").files.is_empty());
    }
}
