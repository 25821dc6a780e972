//! Absolute paths without `.`, `..`, doubled and trailing slashes.

/// Whether nothing is to be cleaned away.
pub(crate) fn is_clean(path: &[u8]) -> bool {
    if path == b"/" {
        return true;
    }
    let Some(rest) = path.strip_prefix(b"/") else {
        return false;
    };
    let mut name = 0;
    let mut dots = 0;
    for &byte in rest {
        match byte {
            b'/' if name == dots && name <= 2 => return false,
            b'/' => (name, dots) = (0, 0),
            b'.' => (name, dots) = (name + 1, dots + 1),
            _ => name += 1,
        }
    }
    !(name == dots && name <= 2)
}

/// The path without them. `..` takes the name before it away, also where that is a symbolic link.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for name in &names {
        out.push(b'/');
        out.extend_from_slice(name);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// Whether the path is the folder or within it.
pub(crate) fn is_below(path: &[u8], folder: &[u8]) -> bool {
    folder == b"/" || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Whether the path is one of those that the kernel makes up, the same for all images: they are in no trace.
pub(crate) fn is_of_the_system(path: &[u8]) -> bool {
    [&b"/proc"[..], b"/sys", b"/dev"].iter().any(|folder| is_below(path, folder))
}

/// The folder of a clean path and its name in it; nothing for the root.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    let (folder, name) = (&path[..slash], &path[slash + 1..]);
    if name.is_empty() {
        return None;
    }
    Some((if folder.is_empty() { b"/" } else { folder }, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../..", "/"),
            ("/a/b/", "/a/b"),
            ("/a//b/.", "/a/b"),
            ("/a/...", "/a/..."),
            ("/.a/..b", "/.a/..b"),
        ] {
            assert_eq!(clean(path.as_bytes()), expected.as_bytes(), "{path}");
            assert_eq!(is_clean(path.as_bytes()), path == expected, "{path}");
        }
    }

    #[test]
    fn a_longer_name_is_not_below() {
        assert!(is_below(b"/a/b", b"/a"));
        assert!(is_below(b"/a", b"/a"));
        assert!(!is_below(b"/ab", b"/a"));
        assert!(is_below(b"/ab", b"/"));
        assert!(is_of_the_system(b"/proc/1/stat"));
        assert!(!is_of_the_system(b"/process"));
    }
}
