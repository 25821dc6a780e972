//! Which libraries a program may open while it runs: the names of libraries among its texts.
//!
//! Nobody can tell what reaches `dlopen`, so that this is a list of what may: each text that ends in a library's name,
//! and patterns of printf where such a name is made of pieces.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;

/// Names are no longer than file systems allow.
const LONGEST: usize = 255;

/// The names of libraries that a program's texts hold, sorted, each once: `libfoo.so.1`, paths that begin with a slash,
/// and `libnss_*.so*` where the text is a format with `%s`.
#[must_use]
pub fn may_open(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut names = BTreeSet::new();
    for at in bytes.find_iter(".so") {
        let Some(end) = end_of(bytes, at) else { continue };
        let start = bytes[..at].iter().rev().take(LONGEST).take_while(|byte| is_of_path(**byte)).count();
        let text = &bytes[at - start..end];
        if text.starts_with(b"/") {
            names.insert(pattern(text));
        }
        let name = text.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        // Linkers let one text be the end of another one, so that each `lib` may be where a name starts.
        for from in name.find_iter("lib") {
            let name = pattern(&name[from..]);
            // `lib%s.so` may be any library, which says nothing.
            if !name.starts_with(b"lib*") && !name.starts_with(b"lib.so") {
                names.insert(name);
            }
        }
    }
    names.into_iter().collect()
}

/// Where the name ends whose `.so` is at `at`: behind the numbers of its version. None where it is no such name.
fn end_of(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 3;
    if bytes[end..].starts_with(b"%s") || bytes[end..].starts_with(b"%d") {
        return Some(end + 2);
    }
    loop {
        let rest = bytes[end..].strip_prefix(b".").unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match digits {
            0 if rest.starts_with(b"%d") || rest.starts_with(b"%s") => return Some(end + 3),
            0 => break,
            _ => end += 1 + digits,
        }
    }
    // `.sort`, `.sock`, `.so_name` are other words; languages without zero bytes at the end of texts have capitals next.
    let next = bytes.get(end).copied().unwrap_or_default();
    (end > at + 3 || !(next.is_ascii_lowercase() || next == b'_')).then_some(end)
}

fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.' | b'/' | b'%' | b'@')
}

/// A text with a star for each conversion.
fn pattern(text: &[u8]) -> Vec<u8> {
    text.replace("%s", "*").replace("%d", "*").replace("%u", "*")
}

/// Whether a name is one of a pattern's.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut parts = pattern.split(|&byte| byte == b'*');
    let Some(mut rest) = parts.next().and_then(|start| name.strip_prefix(start)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> Vec<String> {
        may_open(bytes).into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn names_of_libraries_are_found_among_texts() {
        let texts = b"\0libfoo.so.1\0x libbar-2.0.so\0/opt/lib/libx.so.1.2.3\0libssl.so.3Rust goes on\0";
        assert_eq!(
            names(texts),
            ["/opt/lib/libx.so.1.2.3", "libbar-2.0.so", "libfoo.so.1", "libssl.so.3", "libx.so.1.2.3"]
        );
        assert_eq!(names(b"mylibz.so.1\0"), ["libz.so.1"], "as the end of a longer text");
        assert_eq!(names(b"glibc.libm.so"), ["libc.libm.so", "libm.so"]);
    }

    #[test]
    fn formats_are_patterns() {
        assert_eq!(names(b"\0libnss_%s.so%s\0"), ["libnss_*.so*"]);
        assert_eq!(names(b"libicu%d.so.%d"), ["libicu*.so.*"]);
        assert_eq!(names(b"lib%s.so\0%s.so\0"), Vec::<String>::new());
    }

    #[test]
    fn other_words_are_none() {
        assert_eq!(names(b"liberty.sort\0lib/x.socket\0foo.so\0lib.so\0.so"), Vec::<String>::new());
    }

    #[test]
    fn patterns_match_names() {
        assert!(matches(b"libnss_*.so*", b"libnss_dns.so.2"));
        assert!(matches(b"libnss_*.so*", b"libnss_dns.so"));
        assert!(!matches(b"libnss_*.so*", b"libnss.so.2"));
        assert!(!matches(b"liba*.so.*", b"liba.so"));
        assert!(matches(b"liba.so", b"liba.so"));
        assert!(!matches(b"liba.so", b"liba.so.1"));
        assert!(!matches(b"liba*a", b"liba"), "no byte is matched twice");
    }
}
