//! Build contexts: what the command line names, and how what is no folder becomes one.

use std::fs;
use std::io::{self, BufRead, Cursor, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::FilesError;
use super::archive;
use super::git::GitReference;
use super::hash;
use super::resolve::{self, Last, below, shown};
use super::unpack::{Devices, Unpacking};
use crate::build::Cancel;

/// What the argument CONTEXT names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder(PathBuf),
    /// `-`: a tar, also compressed, or a Dockerfile, on the standard input.
    StandardInput,
    /// A file that is a tar, also compressed.
    Archive(PathBuf),
    /// What is at this URL: a tar, also compressed, or a Dockerfile.
    Url(String),
    /// A git repository.
    Git(GitReference),
}

impl Kind {
    /// Reads the argument. What is there as a path is that path, whatever it looks like.
    ///
    /// # Errors
    /// Where it is neither a path that is there, nor a URL, nor a git reference.
    pub fn parse(text: &str) -> Result<Self, FilesError> {
        if text == "-" {
            return Ok(Self::StandardInput);
        }
        if let Ok(metadata) = fs::metadata(text) {
            let path = PathBuf::from(text);
            return Ok(if metadata.is_dir() { Self::Folder(path) } else { Self::Archive(path) });
        }
        if let Some(reference) = GitReference::parse_context(text)? {
            return Ok(Self::Git(reference));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(text.to_owned()));
        }
        let hint = " (a build context is a folder, a tar, a URL, a git reference, or -)".to_owned();
        Err(FilesError::NotFound { path: text.to_owned(), hint })
    }
}

/// What a stream held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// A context: it is in the folder.
    Context,
    /// A Dockerfile: the context is empty.
    Dockerfile(Vec<u8>),
}

/// What is looked at to tell a tar from a Dockerfile: enough for long extended headers.
const PEEKED: u64 = 64 * 1024;

/// Dockerfiles longer than this are none.
const LONGEST_DOCKERFILE: u64 = 16 << 20;

/// Unpacks a context into the folder `to`, which is new and empty, or finds that it is a Dockerfile. Files
/// become the process's own. `name` is for messages.
///
/// # Errors
/// Where the archive is malformed, leads out of the folder, or holds device nodes or pipes.
pub fn unpack_context(
    mut input: impl BufRead + Send,
    name: &str,
    to: &Path,
    cancel: &Cancel,
) -> Result<Unpacked, FilesError> {
    let failed = |source: io::Error| FilesError::Archive { archive: name.to_owned(), source: source.into() };
    let mut start = Vec::new();
    (&mut input).take(PEEKED).read_to_end(&mut start).map_err(failed)?;
    if !is_archive(&start) {
        (&mut input).take(LONGEST_DOCKERFILE).read_to_end(&mut start).map_err(failed)?;
        return Ok(Unpacked::Dockerfile(start));
    }
    let input = archive::decompressed(Cursor::new(start).chain(input)).map_err(failed)?;
    let unpacking = Unpacking { root: to, owner: None, giver: None, devices: Devices::Refused, name, cancel };
    unpacking.run(input)?;
    Ok(Unpacked::Context)
}

/// Whether a stream that begins so is a tar. A compressed one is believed to be.
fn is_archive(start: &[u8]) -> bool {
    archive::is_compressed(start) || archive::begins_with_member(start)
}

/// Reads a Dockerfile of a context by its name in it; links are followed within the context. Gives its path too.
///
/// # Errors
/// Where it is not there or cannot be read.
pub fn read_dockerfile(folder: &Path, name: &str) -> Result<(PathBuf, Vec<u8>), FilesError> {
    let path = Path::new(name);
    let at = below(folder, &resolve::follow(folder, path, Last::Follow)?);
    let missing = || FilesError::NotFound { path: shown(path), hint: " (it is the Dockerfile)".to_owned() };
    if !at.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(missing());
    }
    let mut bytes = Vec::new();
    let read = hash::open(&at).and_then(|file| file.take(LONGEST_DOCKERFILE).read_to_end(&mut bytes));
    read.map_err(FilesError::io("read", &at))?;
    Ok((at, bytes))
}

/// The ignore file for a context and a Dockerfile, as BuildKit chooses it: the Dockerfile's own
/// (`NAME.dockerignore` beside it) where there is one, else the context's `.dockerignore`, which may be missing.
/// Gives its path and its text.
///
/// # Errors
/// Where it is there and cannot be read.
pub fn read_ignore_file(folder: &Path, dockerfile: Option<&Path>) -> Result<Option<(PathBuf, String)>, FilesError> {
    let own = dockerfile.map(|dockerfile| {
        let mut name = dockerfile.as_os_str().to_owned();
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    let common = below(folder, &resolve::follow(folder, Path::new(".dockerignore"), Last::Follow)?);
    for path in own.into_iter().chain([common]) {
        // A folder of that name is not one.
        if !fs::metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.size() <= LONGEST_DOCKERFILE) {
            continue;
        }
        let bytes = fs::read(&path).map_err(FilesError::io("read", &path))?;
        return Ok(Some((path, jettison_syntax::dockerfile::decode(bytes))));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufReader, Cursor};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{Kind, Unpacked, read_dockerfile, read_ignore_file, unpack_context};
    use crate::build::Cancel;
    use crate::files::FilesError;

    fn tar(members: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, entry_type, text) in members {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*entry_type);
            header.set_mode(0o644);
            header.set_mtime(1_000_000);
            // The library refuses to write what leads out: names go in as bytes.
            header.as_gnu_mut().expect("a GNU header").name[..name.len()].copy_from_slice(name.as_bytes());
            let is_file = *entry_type == tar::EntryType::Regular;
            if !is_file {
                header.as_gnu_mut().expect("a GNU header").linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_size(if is_file { text.len() as u64 } else { 0 });
            header.set_cksum();
            let content = if is_file { text.as_bytes() } else { b"" };
            builder.append(&header, content).expect("appends");
        }
        builder.into_inner().expect("finishes")
    }

    fn unpack(bytes: Vec<u8>, to: &Path) -> Result<Unpacked, FilesError> {
        unpack_context(BufReader::new(Cursor::new(bytes)), "-", to, &Cancel::default())
    }

    #[test]
    fn arguments_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_str().expect("a name").to_owned();
        fs::write(folder.path().join("a.git"), "").expect("writes");
        assert_eq!(Kind::parse(&path).expect("reads"), Kind::Folder(path.clone().into()));
        let file = format!("{path}/a.git");
        assert_eq!(Kind::parse(&file).expect("reads"), Kind::Archive(file.into()));
        assert_eq!(Kind::parse("-").expect("reads"), Kind::StandardInput);
        let url = "https://example.org/a.tar.gz";
        assert_eq!(Kind::parse(url).expect("reads"), Kind::Url(url.to_owned()));
        for git in ["github.com/a/b", "https://example.org/a.git#b", "git@example.org:a.git"] {
            assert!(matches!(Kind::parse(git), Ok(Kind::Git(_))), "{git}");
        }
        assert!(matches!(Kind::parse("/nowhere/at/all"), Err(FilesError::NotFound { .. })));
    }

    #[test]
    fn tars_and_dockerfiles_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = b"FROM scratch\n".to_vec();
        assert_eq!(unpack(text.clone(), folder.path()).expect("reads"), Unpacked::Dockerfile(text));
        let plain = tar(&[("a/b", tar::EntryType::Regular, "hello")]);
        let zstd = zstd::encode_all(&plain[..], 1).expect("packs");
        for bytes in [plain, zstd] {
            assert_eq!(unpack(bytes, folder.path()).expect("unpacks"), Unpacked::Context);
            assert_eq!(fs::read_to_string(folder.path().join("a/b")).expect("reads"), "hello");
            fs::remove_dir_all(folder.path().join("a")).expect("removes");
        }
    }

    #[test]
    fn hostile_archives_stay_within() {
        let folder = tempfile::tempdir().expect("a folder");
        let (to, outside) = (folder.path().join("to"), folder.path().join("outside"));
        fs::create_dir(&to).expect("makes");
        fs::create_dir(&outside).expect("makes");
        let outside_name = outside.to_str().expect("a name");
        let file = tar::EntryType::Regular;
        let through_link = tar(&[
            ("up", tar::EntryType::Symlink, ".."),
            ("up/outside/a", file, "x"),
            ("abs", tar::EntryType::Symlink, outside_name),
            ("abs/b", file, "x"),
            ("file", tar::EntryType::Symlink, &format!("{outside_name}/c")),
            ("file", file, "in place of the link"),
            ("/rooted", file, "x"),
        ]);
        unpack(through_link, &to).expect("unpacks");
        assert_eq!(fs::read_dir(&outside).expect("lists").count(), 0);
        assert!(to.join("outside/a").is_file() && to.join("rooted").is_file());
        assert!(to.join("file").symlink_metadata().expect("is there").is_file());
        assert!(to.join(outside_name.trim_start_matches('/')).join("b").is_file());
        for bad in [
            tar(&[("../outside/d", file, "x")]),
            tar(&[("a/../../outside/d", file, "x")]),
            tar(&[("null", tar::EntryType::Char, "")]),
            tar(&[("pipe", tar::EntryType::Fifo, "")]),
            tar(&[("passwd", tar::EntryType::Link, "../../../../etc/passwd")]),
            tar(&[("passwd", tar::EntryType::Link, "/etc/passwd")]),
        ] {
            let result = unpack(bad, &to);
            assert!(matches!(result, Err(FilesError::Member { .. })), "{result:?}");
        }
        assert_eq!(fs::read_dir(&outside).expect("lists").count(), 0);
    }

    #[test]
    fn folders_that_became_links_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (to, outside) = (folder.path().join("to"), folder.path().join("outside"));
        fs::create_dir(&to).expect("makes");
        fs::create_dir_all(outside.join("b")).expect("makes");
        let before = |path: &Path| {
            let metadata = path.metadata().expect("is there");
            (metadata.permissions(), metadata.modified().expect("has"))
        };
        let all = [before(&outside), before(&outside.join("b"))];
        let outside_name = outside.to_str().expect("a name");
        let bytes = tar(&[
            ("a/", tar::EntryType::Directory, ""),
            ("a/b/", tar::EntryType::Directory, ""),
            ("a", tar::EntryType::Symlink, outside_name),
            ("c/", tar::EntryType::Directory, ""),
            ("c", tar::EntryType::Symlink, outside_name),
        ]);
        unpack(bytes, &to).expect("unpacks");
        assert_eq!(fs::read_link(to.join("a")).expect("reads"), outside);
        assert_eq!([before(&outside), before(&outside.join("b"))], all);
    }

    #[test]
    fn dockerfiles_and_their_ignore_files_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("Dockerfile"), "FROM a\n").expect("writes");
        symlink("/Dockerfile", folder.path().join("linked")).expect("links");
        symlink("/etc/passwd", folder.path().join("out")).expect("links");
        let (path, bytes) = read_dockerfile(folder.path(), "linked").expect("reads");
        assert_eq!(bytes, b"FROM a\n");
        assert!(matches!(read_dockerfile(folder.path(), "out"), Err(FilesError::NotFound { .. })));
        assert_eq!(read_ignore_file(folder.path(), Some(&path)).expect("reads"), None);
        fs::write(folder.path().join(".dockerignore"), "a\n").expect("writes");
        let text = |found: Option<(_, String)>| found.map(|(_, text)| text);
        assert_eq!(text(read_ignore_file(folder.path(), Some(&path)).expect("reads")).as_deref(), Some("a\n"));
        fs::write(folder.path().join("Dockerfile.dockerignore"), "b\n").expect("writes");
        assert_eq!(text(read_ignore_file(folder.path(), Some(&path)).expect("reads")).as_deref(), Some("b\n"));
        assert_eq!(text(read_ignore_file(folder.path(), None).expect("reads")).as_deref(), Some("a\n"));
    }
}
