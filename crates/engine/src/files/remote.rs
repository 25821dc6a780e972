//! What ADD fetches: files by URL and git repositories. They are brought into a folder first, and copied from there.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jettison_store::http;

use super::git::{CheckoutOptions, GitReference, checkout, decode};
use super::{FilesError, hash, identity};
use crate::build::Cancel;
use crate::plan::Copy;

/// Downloads files.
pub trait Download: Sync {
    /// Writes what is at `url` to the new file `to`.
    ///
    /// # Errors
    /// Where it cannot be had, whole and with a status that says so, or cannot be written.
    fn download(&self, url: &str, to: &Path) -> Result<Downloaded, Box<dyn Error + Send + Sync>>;
}

/// What a server said of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// `Last-Modified`.
    pub modified: Option<SystemTime>,
}

/// Downloads over HTTP.
#[derive(Clone, Copy)]
pub struct Http<'a> {
    /// What a download may take.
    pub limits: http::Limits,
    /// Hears how far it is.
    pub progress: &'a dyn jettison_store::Progress,
}

impl Download for Http<'_> {
    fn download(&self, url: &str, to: &Path) -> Result<Downloaded, Box<dyn Error + Send + Sync>> {
        let mut file = fs::File::create_new(to)?;
        let downloaded = http::download(url, &mut file, None, &self.limits, self.progress)?;
        let seconds = downloaded.last_modified.and_then(|seconds| u64::try_from(seconds).ok());
        Ok(Downloaded { modified: seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)) })
    }
}

/// How ADD fetches.
#[derive(Clone, Copy)]
pub struct FetchOptions<'a> {
    /// Into this folder, which must stay until the step was applied.
    pub folder: &'a Path,
    /// Nothing may be fetched.
    pub offline: bool,
    /// Downloads.
    pub download: &'a dyn Download,
    /// Stops it.
    pub cancel: &'a Cancel,
}

/// Something that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// A file, or the folder of a repository.
    pub at: PathBuf,
    /// The name that a file gets in a folder.
    pub name: OsString,
    /// As the instruction names it.
    pub location: String,
}

/// Where something is fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    Git(GitReference),
    Url,
}

/// What a source names, unless it is a path.
pub(super) fn location(source: &str) -> Result<Option<Location>, FilesError> {
    if let Some(reference) = GitReference::parse(source)? {
        return Ok(Some(Location::Git(reference)));
    }
    let is_url = source.starts_with("http://") || source.starts_with("https://");
    Ok(is_url.then_some(Location::Url))
}

/// Whether [`fetch`] has anything to do.
#[must_use]
pub fn is_remote(copy: &Copy) -> bool {
    copy.sources.iter().any(|source| !matches!(location(source), Ok(None)))
}

/// Brings what ADD names by URL or as git repositories, in the order of the sources.
///
/// # Errors
/// Where something cannot be fetched, or is not what `--checksum` says; where COPY names such a source, or
/// `--checksum` stands where it means nothing.
pub fn fetch(copy: &Copy, options: &FetchOptions<'_>) -> Result<Vec<Fetched>, FilesError> {
    let mut fetched = Vec::new();
    for (index, source) in copy.sources.iter().enumerate() {
        let Some(location) = location(source)? else { continue };
        if !copy.is_add {
            return Err(FilesError::OnlyAdd { location: source.clone() });
        }
        let folder = options.folder.join(format!("{index}"));
        fs::create_dir(&folder).map_err(FilesError::io("make the folder", &folder))?;
        fetched.push(match location {
            Location::Git(reference) => fetch_git(copy, source, &reference, &folder, options)?,
            Location::Url => fetch_url(copy, source, &folder, options)?,
        });
    }
    if copy.checksum.is_some() {
        let problem = if !copy.is_add {
            "cannot be given for COPY"
        } else if copy.sources.len() != 1 {
            "cannot be given for several sources"
        } else if fetched.is_empty() {
            "needs a source of HTTP or git"
        } else {
            return Ok(fetched);
        };
        return Err(FilesError::ChecksumUse { problem: problem.to_owned() });
    }
    Ok(fetched)
}

fn fetch_git(
    copy: &Copy,
    source: &str,
    reference: &GitReference,
    folder: &Path,
    options: &FetchOptions<'_>,
) -> Result<Fetched, FilesError> {
    if copy.keep_git_dir && reference.keep_git_dir == Some(false) {
        let problem = "--keep-git-dir says otherwise than the reference".to_owned();
        return Err(FilesError::GitReference { reference: source.to_owned(), problem });
    }
    let checkout_options = CheckoutOptions {
        keep_git_dir: copy.keep_git_dir,
        checksum: copy.checksum.as_deref(),
        offline: options.offline,
        cancel: options.cancel,
    };
    let at = checkout(reference, folder, &checkout_options)?;
    Ok(Fetched { at, name: OsString::new(), location: source.to_owned() })
}

fn fetch_url(copy: &Copy, url: &str, folder: &Path, options: &FetchOptions<'_>) -> Result<Fetched, FilesError> {
    // A checksum that cannot be checked is found before anything is asked for.
    let checksum = copy.checksum.as_deref().map(Checksum::parse).transpose()?;
    if options.offline {
        return Err(FilesError::Offline { location: url.to_owned() });
    }
    let at = folder.join("file");
    let downloaded = options.download.download(url, &at).map_err(|source| match options.cancel.is_cancelled() {
        true => FilesError::Cancelled,
        false => FilesError::Download { location: url.to_owned(), source },
    })?;
    if let Some(checksum) = checksum {
        checksum.check(url, &at)?;
    }
    fs::set_permissions(&at, fs::Permissions::from_mode(0o600)).map_err(FilesError::io("change the mode of", &at))?;
    // Without a word from the server BuildKit's time is 1970's start.
    let modified = downloaded.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let seconds = i64::try_from(modified.as_secs()).unwrap_or(0);
    identity::set_time(&at, seconds, modified.subsec_nanos().into()).map_err(FilesError::io("set the time of", &at))?;
    Ok(Fetched { at, name: file_name(url).into(), location: url.to_owned() })
}

/// The name of the file at a URL: the last part of its path.
fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let path = path.split_once('/').map_or("", |(_, path)| path);
    match decode(path).trim_end_matches('/').rsplit('/').next() {
        None | Some("" | "." | "..") => "__unnamed__".to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// `--checksum` of a URL, in the algorithms that BuildKit knows.
#[derive(Clone, Copy)]
struct Checksum<'a> {
    text: &'a str,
    algorithm: Algorithm,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl<'a> Checksum<'a> {
    fn parse(text: &'a str) -> Result<Self, FilesError> {
        let (name, digits) = text.split_once(':').unwrap_or(("", text));
        let (algorithm, length) = match name {
            "sha256" => (Algorithm::Sha256, 64),
            "sha384" => (Algorithm::Sha384, 96),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return Err(FilesError::ChecksumUse { problem: format!("{text:?} names no known algorithm") }),
        };
        if digits.len() != length || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            let problem = format!("{text:?} is not {length} lower-case hexadecimal digits");
            return Err(FilesError::ChecksumUse { problem });
        }
        Ok(Self { text, algorithm })
    }

    fn check(self, url: &str, at: &Path) -> Result<(), FilesError> {
        let got = match self.algorithm {
            Algorithm::Sha256 => hash::content(at).map(|digest| digest.to_string()),
            Algorithm::Sha384 => with::<sha2::Sha384>("sha384", at),
            Algorithm::Sha512 => with::<sha2::Sha512>("sha512", at),
        };
        let got = got.map_err(FilesError::io("read", at))?;
        if got == self.text {
            return Ok(());
        }
        Err(FilesError::Checksum { location: url.to_owned(), expected: self.text.to_owned(), got })
    }
}

fn with<D: sha2::Digest>(name: &str, at: &Path) -> std::io::Result<String> {
    use std::fmt::Write as _;
    use std::io::Read as _;

    let mut file = hash::open(at)?;
    let mut hasher = D::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(hasher.finalize().iter().fold(format!("{name}:"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::{Duration, UNIX_EPOCH};

    use jettison_store::http::Limits;

    use super::{Download as _, Http, file_name};

    #[test]
    fn files_come_over_http_with_their_times() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}/a", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut request = [0; 4096];
            let read = stream.read(&mut request).expect("reads");
            assert!(request[..read].starts_with(b"GET /a "));
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLast-Modified: Mon, 12 Jan 1970 13:46:40 GMT";
            write!(stream, "{head}\r\nConnection: close\r\n\r\nhello").expect("writes");
        });
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("file");
        let downloaded = Http { limits: Limits::default(), progress: &() }.download(&url, &to).expect("downloads");
        server.join().expect("serves");
        assert_eq!(std::fs::read(to).expect("reads"), b"hello");
        assert_eq!(downloaded.modified, Some(UNIX_EPOCH + Duration::from_secs(1_000_000)));
    }

    #[test]
    fn files_are_named_by_their_urls() {
        for (url, name) in [
            ("https://example.org/a/b.tar?x=/y", "b.tar"),
            ("https://example.org/a%20b#c", "a b"),
            ("https://example.org/a/", "a"),
            ("https://example.org/", "__unnamed__"),
            ("https://example.org", "__unnamed__"),
            ("https://example.org/..%2f..", "__unnamed__"),
        ] {
            assert_eq!(file_name(url), name, "{url}");
        }
    }
}
