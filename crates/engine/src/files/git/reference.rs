//! References to git repositories as BuildKit reads them: `https://host/path.git#ref:folder`,
//! `git@host:path.git`, `ssh://…`, `git://…`, and queries (`?branch=main&subdir=docs`).

use crate::files::FilesError;

/// A repository, and what of it is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitReference {
    /// As git takes it.
    pub remote: String,
    /// A branch, a tag or a commit; the remote's HEAD where there is none.
    pub reference: Option<String>,
    /// The folder in the repository.
    pub folder: Option<String>,
    /// The commit that it must be, or how it begins.
    pub checksum: Option<String>,
    /// Whether `.git` is kept.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched: they are, unless this says no.
    pub submodules: Option<bool>,
}

/// The schemes of URLs that name repositories whatever their paths are.
const SCHEMES: [&str; 2] = ["ssh", "git"];

/// How repositories of this machine begin.
const LOCAL: &str = "file://";

impl GitReference {
    /// Reads a reference; `None` for what is none. A URL of HTTP is one where its path ends in `.git`.
    ///
    /// # Errors
    /// [`FilesError::GitReference`] for a reference that contradicts itself or asks for what is not known.
    pub fn parse(text: &str) -> Result<Option<Self>, FilesError> {
        let address = text.split(['#', '?']).next().unwrap_or_default();
        let is_git = match address.split_once("://") {
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "http" | "https" => rest.split_once('/').is_some_and(|(_, path)| path.ends_with(".git")),
                scheme => SCHEMES.contains(&scheme),
            },
            None => is_scp_style(address),
        };
        if is_git { Self::read(text) } else { Ok(None) }
    }

    /// Whether it is a repository of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.remote.starts_with(LOCAL)
    }

    fn read(text: &str) -> Result<Option<Self>, FilesError> {
        let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (address, query) = address.split_once('?').unwrap_or((address, ""));
        let problem = |problem: String| FilesError::GitReference { reference: text.to_owned(), problem };
        let mut found = Self { remote: address.to_owned(), ..Self::default() };
        let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
        found.reference = Some(decode(reference)).filter(|reference| !reference.is_empty());
        found.folder = Some(decode(folder)).filter(|folder| !folder.is_empty());
        found.read_query(query).map_err(problem)?;
        if found.remote.starts_with('-') {
            return Err(problem("begins with a dash".to_owned()));
        }
        let refused = |character: char| character.is_ascii_control() || " :+^~*?[\\".contains(character);
        if let Some(reference) = found.reference.as_ref().filter(|name| name.starts_with('-') || name.contains(refused))
        {
            return Err(problem(format!("{reference:?} is no branch, tag or commit")));
        }
        Ok(Some(found))
    }

    /// Reads what only build contexts, which the user names himself, may be as well: the short form
    /// `github.com/owner/name`, and repositories of this machine, `file:///path`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_context(text: &str) -> Result<Option<Self>, FilesError> {
        if text.starts_with(LOCAL) {
            return Self::read(text);
        }
        match text.strip_prefix("github.com/") {
            Some(rest) => {
                let (path, fragment) = rest
                    .split_once('#')
                    .map_or((rest, String::new()), |(path, fragment)| (path, format!("#{fragment}")));
                let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
                Self::parse(&format!("https://github.com/{path}.git{fragment}"))
            }
            None => Self::parse(text),
        }
    }

    fn read_query(&mut self, query: &str) -> Result<(), String> {
        let (mut tag, mut branch) = (None, None);
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key), decode(&value.replace('+', " ")));
            if seen.contains(&key) {
                return Err(format!("the query {key:?} is given twice"));
            }
            match key.as_str() {
                "keep-git-dir" => self.keep_git_dir = Some(boolean(&key, &value)?),
                "submodules" => self.submodules = Some(boolean(&key, &value)?),
                _ if value.is_empty() => return Err(format!("the query {key:?} has no value")),
                "ref" => set(&mut self.reference, value, "ref")?,
                "subdir" => set(&mut self.folder, value, "subdir")?,
                "tag" => tag = Some(prefixed("refs/tags/", value)),
                "branch" => branch = Some(prefixed("refs/heads/", value)),
                "checksum" | "commit" => set(&mut self.checksum, value, "commit")?,
                _ => return Err(format!("the query {key:?} is not known")),
            }
            seen.push(key);
        }
        if tag.is_some() && branch.is_some() {
            return Err("names a branch and a tag".to_owned());
        }
        if let Some(reference) = tag.or(branch) {
            set(&mut self.reference, reference, "ref")?;
        }
        if self.reference.is_none() {
            self.reference.clone_from(&self.checksum);
        }
        Ok(())
    }
}

/// Sets what may be said twice but not differently.
fn set(field: &mut Option<String>, value: String, name: &str) -> Result<(), String> {
    match field {
        Some(old) if *old != value => Err(format!("{name} is given as {old:?} and as {value:?}")),
        _ => {
            *field = Some(value);
            Ok(())
        }
    }
}

fn prefixed(prefix: &str, name: String) -> String {
    if name.starts_with(prefix) { name } else { format!("{prefix}{name}") }
}

/// As Go's `ParseBool`; nothing is true.
fn boolean(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("the query {key:?} is neither true nor false: {value:?}")),
    }
}

/// `user@host:path`, as scp names files.
fn is_scp_style(address: &str) -> bool {
    let Some((user, rest)) = address.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    let is_word = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
    };
    is_word(user, "-_") && is_word(host, "-.") && !user.starts_with('-') && !host.starts_with('-')
}

/// Resolves `%20` and the like; what is malformed stays as it is.
pub(in crate::files) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::GitReference;

    fn check(text: &str, remote: &str, reference: Option<&str>, folder: Option<&str>) {
        let found = GitReference::parse(text).expect(text).expect(text);
        assert_eq!((&*found.remote, found.reference.as_deref(), found.folder.as_deref()), (remote, reference, folder));
    }

    #[test]
    fn references_are_read() {
        let https = "https://example.org/a/b.git";
        check(https, https, None, None);
        check("https://example.org/a/b.git#v1:docs/x", https, Some("v1"), Some("docs/x"));
        check("https://example.org/a/b.git#:docs", https, None, Some("docs"));
        check("git@example.org:a/b.git#main", "git@example.org:a/b.git", Some("main"), None);
        check("https://example.org/a/b.git?branch=x&subdir=d%2Fe", https, Some("refs/heads/x"), Some("d/e"));
        check("ssh://git@example.org:2222/a?tag=v1", "ssh://git@example.org:2222/a", Some("refs/tags/v1"), None);
        for none in ["a/b", "./x.git", "https://example.org/a.tar", "ftp://x/a.git", "a@b", "https://host.git", "@x:y"]
        {
            assert_eq!(GitReference::parse(none).expect(none), None, "{none}");
        }
        let short = GitReference::parse_context("github.com/a/b#main").expect("reads").expect("a reference");
        assert_eq!((&*short.remote, short.reference.as_deref()), ("https://github.com/a/b.git", Some("main")));
        // What a Dockerfile names never is on this machine.
        let local = "file:///a/b#main:docs";
        assert_eq!(GitReference::parse(local).expect("reads"), None);
        let local = GitReference::parse_context(local).expect("reads").expect("a reference");
        assert_eq!((&*local.remote, local.folder.as_deref(), local.is_local()), ("file:///a/b", Some("docs"), true));
    }

    #[test]
    fn contradictions_and_options_in_disguise_are_refused() {
        for bad in [
            "https://x/a.git?branch=a&tag=b",
            "https://x/a.git?nonsense=1",
            "https://x/a.git?ref=a#b",
            "https://x/a.git?ref",
            "https://x/a.git?keep-git-dir=maybe",
            "https://x/a.git#--upload-pack=touch",
            "https://x/a.git#a%20b",
            "https://x/a.git?ref=+refs/heads/a:refs/heads/b",
        ] {
            assert!(GitReference::parse(bad).is_err(), "{bad}");
        }
    }
}
