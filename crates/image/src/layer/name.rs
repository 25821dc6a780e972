//! Names of entries: cleaned as engines clean them, and whiteouts told from ordinary ones.

use bstr::ByteSlice as _;

use super::Kind;

/// The name that marks its folder opaque (image-spec, layer.md, "Opaque Whiteout").
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";
/// The prefix of a whiteout's name (image-spec, layer.md, "Whiteouts").
pub(super) const WHITEOUT: &[u8] = b".wh.";
/// AUFS's own bookkeeping, which is no part of the tree (`.wh..wh.plnk`, `.wh..wh.aufs`, `.wh..wh.orph`).
const AUFS: &[u8] = b".wh..wh.";

/// Appends `path` in its shortest form, as Go's `filepath.Clean` below `/` makes it: engines clean names
/// by text before they look at links. `false` where `..` leads out.
pub(super) fn push_clean(out: &mut Vec<u8>, path: &[u8]) -> bool {
    let start = out.len();
    for component in path.split(|&c| c == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if out.len() == start {
                    return false;
                }
                let cut = out[start..].rfind_byte(b'/').unwrap_or(0);
                out.truncate(start + cut);
            }
            _ => {
                if out.len() > start {
                    out.push(b'/');
                }
                out.extend_from_slice(component);
            }
        }
    }
    true
}

/// What the name of an entry says that it is.
pub(super) enum Name {
    Ordinary,
    Bookkeeping,
    Invalid,
    Marks(Kind, Vec<u8>),
}

/// What a cleaned path that holds `.wh.` somewhere means.
pub(super) fn whiteout_of(path: &[u8]) -> Name {
    let (parent, name) = path.rsplit_once_str(b"/").unwrap_or((b"", path));
    if name == OPAQUE {
        return Name::Marks(Kind::Opaque, parent.to_vec());
    }
    let mut components = path.split(|&c| c == b'/');
    if components.clone().any(|component| component.starts_with(AUFS)) {
        return Name::Bookkeeping;
    }
    match name.strip_prefix(WHITEOUT) {
        Some(b"" | b"." | b"..") => Name::Invalid,
        _ if parent.split(|&c| c == b'/').any(|c| c.starts_with(WHITEOUT)) => Name::Invalid,
        Some(hidden) => Name::Marks(Kind::Whiteout, [parent, hidden].join(&b"/"[..usize::from(!parent.is_empty())])),
        None => {
            debug_assert!(components.all(|c| !c.starts_with(WHITEOUT)));
            Name::Ordinary
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(path: &str) -> Option<String> {
        let mut out = b"before".to_vec();
        push_clean(&mut out, path.as_bytes()).then(|| String::from_utf8(out.split_off(6)).expect("utf-8"))
    }

    #[test]
    fn paths_become_shortest() {
        for (path, expected) in [
            ("", ""),
            ("./", ""),
            ("/", ""),
            ("./a", "a"),
            ("/a//b/", "a/b"),
            ("a/./b", "a/b"),
            ("a/../b", "b"),
            ("a/b/..", "a"),
            ("a/..", ""),
        ] {
            assert_eq!(clean(path).as_deref(), Some(expected), "{path}");
        }
        for path in ["..", "../a", "a/../../b", "/.."] {
            assert_eq!(clean(path), None, "{path}");
        }
    }

    #[test]
    fn whiteouts_are_told_from_names_that_look_like_them() {
        let name = |path: &str| match whiteout_of(path.as_bytes()) {
            Name::Ordinary => "ordinary".to_owned(),
            Name::Bookkeeping => "bookkeeping".to_owned(),
            Name::Invalid => "invalid".to_owned(),
            Name::Marks(kind, path) => format!("{kind:?} {}", path.as_bstr()),
        };
        assert_eq!(name("a/.wh.b"), "Whiteout a/b");
        assert_eq!(name(".wh.b"), "Whiteout b");
        assert_eq!(name("a/.wh..wh..opq"), "Opaque a");
        assert_eq!(name(".wh..wh..opq"), "Opaque ");
        assert_eq!(name("a/.wh.b.wh.c"), "Whiteout a/b.wh.c");
        assert_eq!(name("a/b.wh.c"), "ordinary");
        assert_eq!(name("a.wh.b/c"), "ordinary");
        assert_eq!(name(".wh..wh.plnk/12.34"), "bookkeeping");
        assert_eq!(name(".wh..wh.aufs"), "bookkeeping");
        assert_eq!(name("a/.wh."), "invalid");
        assert_eq!(name("a/.wh.."), "invalid");
        assert_eq!(name("a/.wh.b/c"), "invalid");
    }
}
