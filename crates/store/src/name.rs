//! Names of images as container engines write them (distribution/reference): `alpine` is
//! `docker.io/library/alpine:latest`.

use std::fmt;
use std::str::FromStr;

use jettison_image::Digest;

/// The registry of names that give none.
const DEFAULT_DOMAIN: &str = "docker.io";
/// What older engines called it.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// Where the default registry keeps the images that have no owner.
const OFFICIAL: &str = "library/";
/// The tag of names that have neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// The longest domain and path together (distribution/reference, `NameTotalLengthMax`).
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;

/// An image's full name: the registry, the repository, and a tag, a digest or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no image name: {reason}")]
pub struct NameError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl ImageName {
    /// A name, or an ID in its place: one that is written whole is no name, but `sha256:` and one looks like a name and
    /// its tag.
    ///
    /// # Errors
    /// Where the text is neither.
    pub fn or_id(text: &str) -> Result<Self, NameError> {
        let is_id = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        if is_id { format!("sha256:{text}").parse() } else { text.parse() }
    }

    /// The registry, with its port where it has one: `docker.io`, `localhost:5000`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/alpine`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; `None` only where there is a digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest or index, which counts more than the tag.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Whether the registry is the one that names without a registry mean.
    #[must_use]
    pub fn is_of_default_registry(&self) -> bool {
        self.domain == DEFAULT_DOMAIN
    }

    /// The name with nothing left out: `docker.io/library/alpine:latest`.
    #[must_use]
    pub fn full(&self) -> String {
        self.with_repository(&format!("{}/{}", self.domain, self.path))
    }

    fn with_repository(&self, repository: &str) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{repository}{tag}{digest}")
    }
}

/// As engines show it to people: without what the default registry goes without.
impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_of_default_registry() {
            return f.write_str(&self.full());
        }
        let official = self.path.strip_prefix(OFFICIAL).filter(|rest| !rest.contains('/'));
        f.write_str(&self.with_repository(official.unwrap_or(&self.path)))
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        parse(text).map_err(|reason| NameError { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<ImageName, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|error| error.to_string())?)),
        None => (text, None),
    };
    let (domain, remainder) = split_domain(rest);
    // A tag follows the last colon after the last slash; a port stands before one.
    let (path, tag) = match remainder.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (remainder, None),
    };
    check_domain(domain)?;
    check_path(path)?;
    tag.map_or(Ok(()), check_tag)?;
    let domain = if domain == LEGACY_DOMAIN { DEFAULT_DOMAIN } else { domain };
    let path =
        if domain == DEFAULT_DOMAIN && !path.contains('/') { format!("{OFFICIAL}{path}") } else { path.to_owned() };
    if domain.len() + 1 + path.len() > MAX_NAME {
        return Err(format!("it is longer than {MAX_NAME} characters"));
    }
    if digest.is_none() && rest.len() == 64 && Digest::from_hex(rest).is_ok() {
        return Err("64 hexadecimal digits are an image's ID".to_owned());
    }
    let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
    Ok(ImageName { domain: domain.to_owned(), path, tag, digest })
}

/// What stands before the first slash is a registry if it cannot be part of a repository.
fn split_domain(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, text),
    }
}

fn check_domain(domain: &str) -> Result<(), String> {
    let refused = || format!("{domain:?} is no host of a registry");
    let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| refused())?;
            (None, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(refused)?) })
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(format!("{domain:?} has no number as its port"));
    }
    let is_component = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if host.is_some_and(|host| !host.split('.').all(is_component)) {
        return Err(refused());
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("the repository is missing".to_owned());
    }
    if path.chars().any(char::is_uppercase) {
        return Err("the repository must be in lower case".to_owned());
    }
    let wrong = path.split('/').find(|part| !is_path_component(part));
    wrong.map_or(Ok(()), |part| Err(format!("{part:?} cannot be part of a repository")))
}

/// Letters and digits, between which stand one dot, one or two underscores, or any number of dashes.
fn is_path_component(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().is_some_and(|&byte| is_plain(byte)) && bytes.last().is_some_and(|&byte| is_plain(byte));
    let mut separators = bytes.split(|&byte| is_plain(byte)).filter(|run| !run.is_empty());
    ends && separators.all(|run| matches!(run, b"." | b"_" | b"__") || run.iter().all(|&byte| byte == b'-'))
}

fn check_tag(tag: &str) -> Result<(), String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_valid = tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
        && tag.len() <= MAX_TAG;
    if is_valid { Ok(()) } else { Err(format!("{tag:?} is no tag")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_completed_and_shown_as_engines_do() {
        for (text, full, shown) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
            ("me/app", "docker.io/me/app:latest", "me/app:latest"),
            ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("index.docker.io/library/alpine:1", "docker.io/library/alpine:1", "alpine:1"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000/a/b:t"),
            ("ghcr.io/o/a__b-c.d", "ghcr.io/o/a__b-c.d:latest", "ghcr.io/o/a__b-c.d:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
            ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
            ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ] {
            let name: ImageName = text.parse().expect(text);
            assert_eq!((name.full().as_str(), name.to_string().as_str()), (full, shown), "{text}");
            assert_eq!(name.to_string().parse(), Ok(name.clone()), "{text}");
            assert_eq!(name.full().parse(), Ok(name), "{text}");
        }
    }

    #[test]
    fn a_digest_takes_the_place_of_the_default_tag() {
        let name: ImageName = format!("alpine@{DIGEST}").parse().expect("parses");
        assert_eq!((name.tag(), name.digest().map(|d| d.to_string()).as_deref()), (None, Some(DIGEST)));
        let name: ImageName = format!("localhost:5000/a:1@{DIGEST}").parse().expect("parses");
        assert_eq!((name.tag(), name.domain()), (Some("1"), "localhost:5000"));
        assert_eq!(name.full(), format!("localhost:5000/a:1@{DIGEST}"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("", "empty"),
            ("Alpine", "lower case"),
            ("ghcr.io/Org/app", "lower case"),
            ("a:", "\"\" is no tag"),
            ("a:b c", "is no tag"),
            ("a//b", "\"\" cannot be part"),
            ("a..b", "cannot be part"),
            ("-a", "cannot be part"),
            ("./x.tar", "no host"),
            ("/x", "cannot be part"),
            ("ghcr.io:x/a", "port"),
            ("ghcr.io/", "missing"),
            ("a@sha256:00", "64 lower-case"),
            ("a@md5:00", "sha256"),
            (&DIGEST[7..], "ID"),
        ] {
            let error = text.parse::<ImageName>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!("a".repeat(256).parse::<ImageName>().is_err());
        assert!(format!("a:{}", "t".repeat(129)).parse::<ImageName>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it_and_what_parses_prints_and_parses(text in "[a-zA-Z0-9:/@._\\[\\] -]{0,24}") {
            if let Ok(name) = text.parse::<ImageName>() {
                proptest::prop_assert_eq!(name.full().parse::<ImageName>(), Ok(name.clone()));
                proptest::prop_assert_eq!(name.to_string().parse::<ImageName>(), Ok(name));
            }
        }
    }
}
