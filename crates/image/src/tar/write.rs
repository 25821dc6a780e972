//! The tar writer: one canonical header for each entry, so that equal trees give equal bytes.
//!
//! POSIX ustar where a value fits, PAX records where it does not: what Go's `archive/tar`, GNU tar and
//! libarchive all read. Never written: global headers, types `7` and `S`, GNU long names, user names.

use super::sparse::Extent;
use super::{BLOCK, Mtime, pax};

/// The two zero blocks that end an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The largest value of a 12-byte octal field, in which the last byte is a terminator.
const MAX_OCTAL_11: u64 = 0o777_7777_7777;
/// The same for an 8-byte field.
const MAX_OCTAL_7: u32 = 0o777_7777;

/// The values of one header.
#[derive(Clone, Copy, Debug)]
pub struct HeaderSpec<'a> {
    /// The type flag of POSIX ustar, `0` to `6`.
    pub type_flag: u8,
    /// The path, without a leading slash; directories end in a slash.
    pub path: &'a [u8],
    /// The link target; empty for what is no link.
    pub link: &'a [u8],
    /// The low 12 mode bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The time of last modification.
    pub mtime: Mtime,
    /// The bytes that will follow.
    pub size: u64,
    /// Major and minor device numbers.
    pub device: (u32, u32),
    /// Extended attributes; they are written sorted by name.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// How many zero bytes follow `size` bytes of content.
#[must_use]
pub fn padding(size: u64) -> usize {
    let over = size % BLOCK as u64;
    if over == 0 { 0 } else { BLOCK - usize::try_from(over).unwrap_or_default() }
}

/// Appends the header blocks of one entry to `out`.
pub fn header(spec: &HeaderSpec<'_>, out: &mut Vec<u8>) {
    with_records(spec, Vec::new(), out);
}

/// Appends the header blocks of a sparse file in PAX form 1.0, the one that Go, libarchive and GNU tar
/// all read, and the map that stands before its runs. The spec's size is that of the runs together.
pub fn sparse_header(spec: &HeaderSpec<'_>, real_size: u64, runs: &[Extent], out: &mut Vec<u8>) {
    let mut map = format!("{}\n", runs.len()).into_bytes();
    for run in runs {
        map.extend_from_slice(format!("{}\n{}\n", run.offset, run.length).as_bytes());
    }
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    let mut records = Vec::new();
    pax::push(&mut records, b"GNU.sparse.major", b"1");
    pax::push(&mut records, b"GNU.sparse.minor", b"0");
    pax::push(&mut records, b"GNU.sparse.name", spec.path);
    pax::push(&mut records, b"GNU.sparse.realsize", real_size.to_string().as_bytes());
    let spec = HeaderSpec { path: b"GNUSparseFile.0/x", size: spec.size + map.len() as u64, ..*spec };
    with_records(&spec, records, out);
    out.append(&mut map);
}

fn with_records(spec: &HeaderSpec<'_>, mut records: Vec<u8>, out: &mut Vec<u8>) {
    let (prefix, name) = split_path(spec.path).unwrap_or_else(|| {
        pax::push(&mut records, b"path", spec.path);
        (b"".as_slice(), &spec.path[..100])
    });
    if spec.link.len() > 100 {
        pax::push(&mut records, b"linkpath", spec.link);
    }
    if spec.size > MAX_OCTAL_11 {
        pax::push(&mut records, b"size", spec.size.to_string().as_bytes());
    }
    for (key, id) in [(b"uid", spec.uid), (b"gid", spec.gid)] {
        if id > MAX_OCTAL_7 {
            pax::push(&mut records, key, id.to_string().as_bytes());
        }
    }
    let is_device = matches!(spec.type_flag, b'3' | b'4');
    for (key, number) in [(b"SCHILY.devmajor", spec.device.0), (b"SCHILY.devminor", spec.device.1)] {
        if is_device && number > MAX_OCTAL_7 {
            pax::push(&mut records, key, number.to_string().as_bytes());
        }
    }
    let seconds = u64::try_from(spec.mtime.seconds).ok().filter(|&s| s <= MAX_OCTAL_11);
    if seconds.is_none() || spec.mtime.nanos != 0 {
        pax::push(&mut records, b"mtime", spec.mtime.to_string().as_bytes());
    }
    let mut xattrs: Vec<_> = spec.xattrs.iter().collect();
    xattrs.sort();
    for (key, value) in xattrs {
        pax::push(&mut records, &[b"SCHILY.xattr.", key.as_slice()].concat(), value);
    }
    if !records.is_empty() {
        let extended =
            Block::new(b"", b"PaxHeaders.0/x", b'x').number(100, 8, 0o644).number(124, 12, records.len() as u64);
        out.extend_from_slice(&extended.finish());
        out.extend_from_slice(&records);
        out.resize(out.len() + padding(records.len() as u64), 0);
    }
    let fit = |number: u32| u64::from(if number > MAX_OCTAL_7 { 0 } else { number });
    let mut block = Block::new(prefix, name, spec.type_flag)
        .number(100, 8, u64::from(spec.mode & 0o7777))
        .number(108, 8, fit(spec.uid))
        .number(116, 8, fit(spec.gid))
        .number(124, 12, if spec.size > MAX_OCTAL_11 { 0 } else { spec.size })
        .number(136, 12, seconds.unwrap_or_default())
        .bytes(157, &spec.link[..spec.link.len().min(100)]);
    if is_device {
        block = block.number(329, 8, fit(spec.device.0)).number(337, 8, fit(spec.device.1));
    }
    out.extend_from_slice(&block.finish());
}

/// The one header block of a member of an archive that holds blobs: sizes beyond an octal field's are
/// written in base 256, so that the block can be put in place once the size is known.
#[must_use]
pub fn blob_header(path: &[u8], size: u64) -> [u8; BLOCK] {
    let mut block = Block::new(b"", &path[..path.len().min(100)], b'0').number(100, 8, 0o644);
    if size > MAX_OCTAL_11 {
        block.0[124] = 0x80;
        block.0[128..136].copy_from_slice(&size.to_be_bytes());
    } else {
        block = block.number(124, 12, size);
    }
    block.finish()
}

/// Splits a path over the name and prefix fields; `None` where it does not fit.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    if path.len() > 256 {
        return None;
    }
    // The name must not be empty, so a directory's own trailing slash is no place to split.
    let earliest = path.len() - 101;
    let cut = (earliest..path.len() - 1).find(|&i| path[i] == b'/' && i > 0 && i <= 155)?;
    Some((&path[..cut], &path[cut + 1..]))
}

struct Block([u8; BLOCK]);

impl Block {
    fn new(prefix: &[u8], name: &[u8], type_flag: u8) -> Self {
        let mut block = [0; BLOCK];
        block[156] = type_flag;
        Self(block)
            .bytes(0, name)
            .bytes(257, b"ustar\x0000")
            .bytes(345, prefix)
            .number(108, 8, 0)
            .number(116, 8, 0)
            .number(136, 12, 0)
    }

    fn bytes(mut self, at: usize, value: &[u8]) -> Self {
        self.0[at..at + value.len()].copy_from_slice(value);
        self
    }

    /// An octal number with leading zeros and a NUL at the end.
    fn number(mut self, at: usize, width: usize, mut value: u64) -> Self {
        for digit in self.0[at..at + width - 1].iter_mut().rev() {
            *digit = b'0' + u8::try_from(value % 8).unwrap_or_default();
            value /= 8;
        }
        self
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum = self.0.iter().map(|&b| u64::from(b)).sum();
        self = self.number(148, 7, sum);
        self.0[154] = 0;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::super::{Member, Reader};
    use super::*;

    fn spec<'a>(path: &'a [u8], xattrs: &'a [(Vec<u8>, Vec<u8>)]) -> HeaderSpec<'a> {
        HeaderSpec {
            type_flag: b'2',
            path,
            link: b"target",
            mode: 0o777,
            uid: 1,
            gid: 2,
            mtime: Mtime::default(),
            size: 0,
            device: (0, 0),
            xattrs,
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(
            path in prop::collection::vec(prop::collection::vec(1..=255_u8, 1..120), 1..4),
            link in prop::collection::vec(1..=255_u8, 1..300),
            mode in 0..=0o7777_u16,
            uid: u32,
            gid: u32,
            seconds in any::<i32>(),
            nanos in 0..1_000_000_000_u32,
            xattr in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let path = path.join(&b'/');
            let xattrs = [(b"user.x".to_vec(), xattr)];
            let mtime = Mtime { seconds: i64::from(seconds) * 3, nanos };
            let spec = HeaderSpec { link: &link, mode, uid, gid, mtime, ..spec(&path, &xattrs) };
            let mut out = Vec::new();
            header(&spec, &mut out);
            out.extend_from_slice(&END);
            let mut member = Member::default();
            assert!(Reader::new(&out[..]).next(&mut member).expect("reads"));
            assert_eq!((&member.path, &member.link), (&path, &link));
            assert_eq!((member.mode, member.uid, member.gid, member.mtime), (mode, uid, gid, mtime));
            assert_eq!(member.xattrs, xattrs);
        }
    }

    #[test]
    fn names_at_the_field_borders() {
        for length in [99, 100, 101, 155, 156, 255, 256, 257, 300] {
            for slash in [1, 50, 100, 154, 155, 156] {
                let mut path = vec![b'p'; length];
                if slash < length - 1 {
                    path[slash] = b'/';
                }
                let mut out = Vec::new();
                header(&spec(&path, &[]), &mut out);
                let mut member = Member::default();
                assert!(Reader::new(&out[..]).next(&mut member).expect("reads"));
                assert_eq!(member.path, path, "{length} {slash}");
                let mut archive = tar::Archive::new(&out[..]);
                let entry = archive.entries().expect("entries").next().expect("one").expect("valid");
                assert_eq!(&*entry.path_bytes(), &path[..]);
            }
        }
    }
}
