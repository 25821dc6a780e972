//! Paths as builders read them, by their text alone: no file is looked at.

/// The parts of a path without `.`, `..` and doubled slashes; nothing leads above its start.
#[must_use]
pub fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

/// An absolute path without `.`, `..`, doubled slashes and a slash at its end, as Go's `path.Clean` makes it.
#[must_use]
pub fn clean(path: &str) -> String {
    format!("/{}", parts(path).join("/"))
}

/// What a path means in a directory; none where it is relative and the directory is not known.
#[must_use]
pub fn absolute(path: &str, directory: Option<&str>) -> Option<String> {
    if path.starts_with('/') {
        return Some(clean(path));
    }
    Some(clean(&format!("{}/{path}", directory?)))
}

#[cfg(test)]
mod tests {
    use super::{absolute, clean};

    #[test]
    fn paths_are_cleaned() {
        for (path, cleaned) in [("/", "/"), ("//a/./b/", "/a/b"), ("/a/../../b", "/b"), ("a", "/a")] {
            assert_eq!(clean(path), cleaned);
        }
        assert_eq!(absolute("../x", Some("/a/b")).as_deref(), Some("/a/x"));
        assert_eq!(absolute("/x", None).as_deref(), Some("/x"));
        assert_eq!(absolute("x", None), None);
    }
}
