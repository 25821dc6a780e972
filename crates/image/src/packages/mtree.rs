//! What pacman keeps of each package's files beside their list: a gzip of lines with a path and its attributes each (mtree(5)
//! of libarchive).

use std::io::{Read as _, Write as _};

use flate2::{Compression, GzBuilder, read::MultiGzDecoder};

/// So many bytes a package's lines have at most: more than 600,000 files.
const MOST: u64 = 64 << 20;

/// The lines; none where they are not packed as pacman packs them, or are too many.
#[must_use]
pub fn unpacked(content: &[u8]) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    MultiGzDecoder::new(content).take(MOST + 1).read_to_end(&mut lines).ok()?;
    (lines.len() as u64 <= MOST).then_some(lines)
}

/// Lines as pacman reads them, the same bytes for the same lines.
pub(super) fn packed(lines: &[u8]) -> Option<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(lines).ok()?;
    gzip.finish().ok()
}

/// The path that a line is about, without its leading `./`; none where it is about no path. Bytes that stand for something
/// else are written as three octal digits behind a backslash.
#[must_use]
pub fn path(line: &[u8]) -> Option<Vec<u8>> {
    let mut rest = line.split(|byte| *byte == b' ').next()?.strip_prefix(b"./")?;
    let mut path = Vec::new();
    while let [first, after @ ..] = rest {
        let digits = match after {
            [one @ b'0'..=b'3', two @ b'0'..=b'7', three @ b'0'..=b'7', ..] => Some((one, two, three)),
            _ => None,
        };
        match digits.filter(|_| *first == b'\\') {
            Some((one, two, three)) => {
                path.push((one - b'0') << 6 | (two - b'0') << 3 | (three - b'0'));
                rest = &after[3..];
            }
            None => {
                path.push(*first);
                rest = after;
            }
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::{packed, path, unpacked};

    #[test]
    fn lines_name_paths() {
        let cases: [(&str, Option<&[u8]>); 5] = [
            ("./usr/bin/a time=1.0 size=2", Some(b"usr/bin/a")),
            (r"./usr/a\040b\134c type=dir", Some(br"usr/a b\c")),
            (r"./usr/\303\244", Some("usr/ä".as_bytes())),
            ("/set type=file uid=0 gid=0 mode=644", None),
            ("#mtree", None),
        ];
        for (line, expected) in cases {
            assert_eq!(path(line.as_bytes()).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn lines_are_packed_and_unpacked() {
        let lines = b"#mtree\n./usr mode=755\n".to_vec();
        assert_eq!(unpacked(&packed(&lines).unwrap()), Some(lines));
        assert_eq!(unpacked(b"#mtree\n"), None);
    }
}
