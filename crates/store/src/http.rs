//! Downloading a file: what `ADD` of an address does.

use std::io::Write;
use std::time::Duration;

use jettison_image::{Digest, Hasher};
use reqwest::header::{CONTENT_DISPOSITION, ETAG, HeaderMap, LAST_MODIFIED, RETRY_AFTER};
use reqwest::{Client, Url, redirect};

use crate::Progress;
use crate::remote::{CONNECT_TIMEOUT, READ_TIMEOUT, RemoteError, Retry, USER_AGENT, block_on, is_loopback};

/// Redirections that are followed, as in Go's client, which BuildKit uses.
const MAX_REDIRECTS: usize = 10;
/// The name of a file whose address gives none, as BuildKit has it.
const NAMELESS: &str = "download";

/// What a download may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes.
    pub bytes: u64,
    /// How long the whole of it may take.
    pub time: Option<Duration>,
    /// How often a request is tried before the first byte has come.
    pub retry: Retry,
}

impl Default for Limits {
    /// No limit but that of the disk.
    fn default() -> Self {
        Self { bytes: u64::MAX, time: None, retry: Retry::default() }
    }
}

/// What was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// In bytes.
    pub size: u64,
    /// Of the content.
    pub digest: Digest,
    /// When the server says it was changed, in seconds since 1970.
    pub last_modified: Option<i64>,
    /// What the server or the address call the file.
    pub file_name: String,
    /// The server's own mark of the version.
    pub etag: Option<String>,
}

/// Downloads `url` into `to`, which is written from where it stands.
///
/// # Errors
/// Where the address is none of HTTP's, the server does not give it, the limits are passed, the digest is not the
/// expected one, or `to` cannot be written. What was written is then of no use.
pub fn download(
    url: &str,
    to: &mut dyn Write,
    expected: Option<Digest>,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Downloaded, RemoteError> {
    let address = |reason: String| RemoteError::Address { url: without_secrets(url), reason };
    let parsed = Url::parse(url).map_err(|error| address(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(address("only http and https are".to_owned()));
    }
    let host = parsed.host_str().ok_or_else(|| address("it has no host".to_owned()))?.to_owned();
    let job = Job { what: without_secrets(url), host, url: parsed, expected, limits: *limits, progress };
    let work = async {
        match limits.time {
            Some(time) => tokio::time::timeout(time, job.run(to)).await.unwrap_or_else(|elapsed| Err(job.cut(elapsed))),
            None => job.run(to).await,
        }
    };
    block_on(work, progress)
}

struct Job<'j> {
    what: String,
    host: String,
    url: Url,
    expected: Option<Digest>,
    limits: Limits,
    progress: &'j dyn Progress,
}

impl Job<'_> {
    async fn run(&self, to: &mut dyn Write) -> Result<Downloaded, RemoteError> {
        let client = self.client()?;
        let mut response = self.limits.retry.run(|| self.request(&client)).await?;
        let (what, host) = (self.what.clone(), self.host.clone());
        let too_large = || RemoteError::TooLarge { what: what.clone(), host: host.clone(), limit: self.limits.bytes };
        let stated = response.content_length();
        if stated.is_some_and(|stated| stated > self.limits.bytes) {
            return Err(too_large());
        }
        self.progress.expect(stated.unwrap_or_default());
        let headers = response.headers().clone();
        let (mut hasher, mut size) = (Hasher::default(), 0);
        while let Some(piece) = response.chunk().await.map_err(|error| self.failed(error))? {
            size += piece.len() as u64;
            if size > self.limits.bytes {
                return Err(too_large());
            }
            hasher.update(&piece);
            let write = crate::Error::io("write", std::path::Path::new(&self.what));
            to.write_all(&piece).map_err(write)?;
            self.progress.advance(piece.len() as u64);
        }
        let digest = hasher.finish();
        if let Some(expected) = self.expected.filter(|&expected| expected != digest) {
            return Err(RemoteError::digest(&self.what, &self.host, expected, digest));
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Ok(Downloaded {
            size,
            digest,
            last_modified: text(LAST_MODIFIED).and_then(seconds),
            file_name: file_name(&self.url, &headers),
            etag: text(ETAG).map(str::to_owned),
        })
    }

    fn client(&self) -> Result<Client, RemoteError> {
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::limited(MAX_REDIRECTS))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT);
        // A proxy never stands before this machine.
        let builder = if is_loopback(&self.host) { builder.no_proxy() } else { builder };
        builder.build().map_err(|error| RemoteError::Client { source: Box::new(error) })
    }

    async fn request(&self, client: &Client) -> Result<reqwest::Response, RemoteError> {
        let response = client.get(self.url.clone()).send().await.map_err(|error| self.failed(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let reason = status.canonical_reason().unwrap_or_default();
        let after = after.map(Duration::from_secs);
        Err(RemoteError::of_status(&self.what, &self.host, status.as_u16(), reason, after))
    }

    fn failed(&self, error: reqwest::Error) -> RemoteError {
        RemoteError::of_request(&self.what, &self.host, error)
    }

    fn cut(&self, elapsed: tokio::time::error::Elapsed) -> RemoteError {
        RemoteError::Cut { what: self.what.clone(), host: self.host.clone(), source: Box::new(elapsed) }
    }
}

/// The address without what stands before the host's `@`.
fn without_secrets(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    if parsed.password().is_some() {
        let _ = parsed.set_password(Some("xxxxx"));
    }
    parsed.to_string()
}

/// The file's name: the server's word, else the last part of the address, as BuildKit has it.
fn file_name(url: &Url, headers: &HeaderMap) -> String {
    let said = headers.get(CONTENT_DISPOSITION).and_then(|value| disposition_name(value.as_bytes()));
    let last = |path: &str| path.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
    let said = said.filter(|name| !name.ends_with('/')).and_then(|name| last(&name));
    let usable = |name: &String| !matches!(name.as_str(), "" | "." | "..");
    let own = || last(&unescaped(url.path()));
    said.filter(usable).or_else(|| own().filter(usable)).unwrap_or_else(|| NAMELESS.to_owned())
}

/// The `filename` or, first, `filename*` of a Content-Disposition (RFC 6266).
fn disposition_name(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let (mut plain, mut extended) = (None, None);
    let mut rest = text.split_once(';')?.1;
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (found, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted),
            None => {
                let (value, next) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        match key.trim().trim_start_matches(';').trim().to_ascii_lowercase().as_str() {
            "filename" => plain = Some(found),
            "filename*" => {
                let mut parts = found.splitn(3, '\'');
                let is_utf8 = parts.next().is_some_and(|charset| charset.eq_ignore_ascii_case("utf-8"));
                extended = parts.nth(1).filter(|_| is_utf8).map(unescaped);
            }
            _ => {}
        }
        rest = next;
    }
    extended.or(plain)
}

/// A quoted text without its quotes and backslashes, and what follows it.
fn quoted_text(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (out, &text[at + 1..]),
            '\\' => out.extend(letters.next().map(|(_, letter)| letter)),
            _ => out.push(letter),
        }
    }
    (out, "")
}

/// A text with its `%XX` resolved.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.filter(|_| bytes[at] == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The seconds since 1970 of a date as HTTP writes it today: `Wed, 21 Oct 2015 07:28:00 GMT` (RFC 9110, 5.6.7).
fn seconds(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = date.split_once(", ")?.1.strip_suffix(" GMT")?.split([' ', ':']);
    let day: i64 = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()?;
    let year: i64 = parts.next()?.parse().ok().filter(|year| (1..=9999).contains(year))?;
    let mut number = |most: i64| parts.next()?.parse::<i64>().ok().filter(|value| (0..=most).contains(value));
    let (hour, minute, second) = (number(23)?, number(59)?, number(60)?);
    // Years that begin in March put the leap day last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::server::{Answer, Server};

    fn quick() -> Limits {
        let retry = Retry { attempts: 3, pause: Duration::from_millis(5) };
        Limits { retry, ..Limits::default() }
    }

    fn fetch(server: &Server, path: &str, limits: &Limits) -> Result<(Vec<u8>, Downloaded), RemoteError> {
        let mut out = Vec::new();
        let url = format!("http://{}{path}", server.host());
        download(&url, &mut out, None, limits, &()).map(|downloaded| (out, downloaded))
    }

    #[test]
    fn a_file_comes_with_what_is_known_of_it() {
        let server = Server::start(|_, path, _, _| match path {
            "/moved" => Answer::new(302, "").with("Location", "/d/a%20b.txt"),
            "/d/a%20b.txt" => Answer::new(200, "hello\n")
                .with("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
                .with("ETag", "\"v1\""),
            "/named" => Answer::new(200, "x").with("Content-Disposition", "attachment; filename=\"up/c d.tar\""),
            _ => Answer::new(404, ""),
        });
        let (bytes, found) = fetch(&server, "/d/a%20b.txt", &quick()).expect("downloads");
        assert_eq!(bytes, b"hello\n");
        let expected = Downloaded {
            size: 6,
            digest: Digest::of(b"hello\n"),
            last_modified: Some(1_445_412_480),
            file_name: "a b.txt".to_owned(),
            etag: Some("\"v1\"".to_owned()),
        };
        assert_eq!(found, expected);
        // A redirection gives the content; the name stays that of the address that was written.
        assert_eq!(fetch(&server, "/moved", &quick()).expect("downloads").1.file_name, "moved");
        assert_eq!(fetch(&server, "/named", &quick()).expect("downloads").1.file_name, "c d.tar");
        let error = fetch(&server, "/none", &quick()).expect_err("missing");
        assert!(matches!(error, RemoteError::NotFound { .. }), "{error}");
    }

    #[test]
    fn limits_digests_and_endless_redirections_are_kept_to() {
        let server = Server::start(|_, path, _, _| match path {
            "/round" => Answer::new(302, "").with("Location", "/round"),
            _ => Answer::new(200, "hello\n"),
        });
        let small = Limits { bytes: 5, ..quick() };
        assert!(matches!(fetch(&server, "/x", &small), Err(RemoteError::TooLarge { limit: 5, .. })));
        assert!(matches!(fetch(&server, "/round", &quick()), Err(RemoteError::Unreachable { .. })));
        let url = format!("http://{}/x", server.host());
        let wrong = download(&url, &mut Vec::new(), Some(Digest::of(b"other")), &quick(), &());
        assert!(matches!(wrong, Err(RemoteError::Digest { .. })));
        assert!(download(&url, &mut Vec::new(), Some(Digest::of(b"hello\n")), &quick(), &()).is_ok());
        for url in ["ftp://x/y", "no address", "file:///etc/passwd"] {
            let refused = download(url, &mut Vec::new(), None, &quick(), &());
            assert!(matches!(refused, Err(RemoteError::Address { .. })), "{url}");
        }
    }

    #[test]
    fn passing_failures_pass_and_slow_servers_are_left() {
        let server = Server::start(|count, path, _, _| match path {
            "/slow" => Answer::new(200, "late").after(Duration::from_secs(5)),
            "/busy" if count == 0 => Answer::new(429, "").with("Retry-After", "0"),
            "/busy" if count == 1 => Answer::new(503, ""),
            "/cut" => Answer::new(200, "only half of it").cut(4),
            _ => Answer::new(200, "fine"),
        });
        assert_eq!(fetch(&server, "/busy", &quick()).expect("downloads").0, b"fine");
        let short = Limits { time: Some(Duration::from_millis(100)), ..quick() };
        assert!(matches!(fetch(&server, "/slow", &short), Err(RemoteError::Cut { .. })));
        assert!(matches!(fetch(&server, "/cut", &quick()), Err(RemoteError::Cut { .. })));
    }

    #[test]
    fn names_and_dates_are_read_as_they_are_written() {
        let name = |text: &str| disposition_name(text.as_bytes());
        assert_eq!(name("attachment; filename=a.txt; size=3").as_deref(), Some("a.txt"));
        assert_eq!(name("attachment; filename=\"a\\\"b;c\"; x=y").as_deref(), Some("a\"b;c"));
        assert_eq!(name("attachment; filename=a; filename*=UTF-8''%c3%a4").as_deref(), Some("ä"));
        assert_eq!(name("inline"), None);
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Thu, 29 Feb 2024 12:00:01 GMT"), Some(1_709_208_001));
        assert_eq!(seconds("yesterday"), None);
        let secret = "http://user:secret@host/x";
        assert!(!without_secrets(secret).contains("secret"));
    }
}
