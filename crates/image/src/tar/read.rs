//! The streaming tar reader: one member after the other, with every offset known.

use std::io::{self, BufRead};

use super::sparse::{self, Extent, PaxSparse};
use super::{BLOCK, Mtime, pax};

/// One member of an archive, its extended headers resolved. Buffers are reused from member to member.
#[derive(Debug, Default)]
pub struct Member {
    /// The path as written: not cleaned, and of any bytes but NUL.
    pub path: Vec<u8>,
    /// The link target as written.
    pub link: Vec<u8>,
    /// What the member is.
    pub member_type: MemberType,
    /// The low 12 mode bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The time of last modification.
    pub mtime: Mtime,
    /// The file's size in bytes as a container sees it.
    pub size: u64,
    /// The bytes that follow in the archive, without padding.
    pub stored: u64,
    /// Major and minor device numbers.
    pub device: (u32, u32),
    /// Extended attributes from `SCHILY.xattr.*` records, in the order written.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The stored runs of a sparse file; `None` for all others.
    pub sparse: Option<Vec<Extent>>,
    /// Where the member's first header block stands in the archive.
    pub header_offset: u64,
    /// Where its content stands.
    pub data_offset: u64,
}

/// The kinds of member that a layer can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MemberType {
    /// Types `0`, NUL, `7`, and the sparse `S`.
    #[default]
    File,
    /// Type `1`.
    HardLink,
    /// Type `2`.
    Symlink,
    /// Type `3`.
    CharDevice,
    /// Type `4`.
    BlockDevice,
    /// Type `5`, and V7 files whose name ends in a slash.
    Directory,
    /// Type `6`.
    Fifo,
}

/// What is wrong with an archive, and where.
#[derive(Debug, thiserror::Error)]
#[error("{kind} at offset {offset}")]
pub struct TarError {
    /// The offset in the uncompressed archive, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub kind: TarErrorKind,
}

/// The ways in which an archive can be wrong.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum TarErrorKind {
    #[error("the archive ends in the middle of a member")]
    Truncated,
    #[error("the header's checksum does not match")]
    Checksum,
    #[error("the header's {0} is not a number")]
    Number(&'static str),
    #[error("a PAX record is malformed")]
    PaxRecord,
    #[error("a sparse map does not fit its file")]
    Sparse,
    #[error("extended headers of {0} bytes are larger than the limit of 16 MiB")]
    HeaderTooLarge(u64),
    #[error("a name holds a NUL byte")]
    NulInName,
    #[error("an extended header is not followed by a member")]
    Dangling,
    #[error("the member type {0:?} is not one that a layer can hold")]
    Type(char),
    #[error(transparent)]
    Io(io::Error),
}

/// The most bytes of extended headers that are read for one member, of sparse maps, and of all global
/// headers together. Linux limits a path to 4 KiB, all xattrs of a file to 64 KiB.
const MAX_EXTENDED: u64 = 16 << 20;

/// Largest size that is read: file systems' own limit, and far from where sums of sizes overflow.
const MAX_SIZE: u64 = 1 << 62;

/// Reads members from a stream.
pub struct Reader<R> {
    input: R,
    position: u64,
    /// Content bytes and padding of the current member not read yet.
    left: u64,
    padding: u64,
    global: Vec<Record>,
    /// The bytes of all global headers so far.
    global_size: u64,
}

/// What the headers before a member's own say of it.
#[derive(Default)]
struct Extended {
    gnu_path: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
    records: Vec<Record>,
    /// The bytes of all these headers together.
    size: u64,
    seen: bool,
}

impl<R: BufRead> Reader<R> {
    /// A reader at the start of an archive.
    pub fn new(input: R) -> Self {
        Self { input, position: 0, left: 0, padding: 0, global: Vec::new(), global_size: 0 }
    }

    /// How many bytes of the archive were read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads the next member's headers into `member`; `false` at the end marker, or at the end of the
    /// stream where there is none (engines accept both, and an empty stream).
    ///
    /// # Errors
    /// [`TarError`] with the offset of the header that is wrong.
    pub fn next(&mut self, member: &mut Member) -> Result<bool, TarError> {
        self.skip_data()?;
        let mut extended = Extended::default();
        let first = self.position;
        loop {
            let offset = self.position;
            let at = |kind| TarError { offset, kind };
            let mut block = [0; BLOCK];
            if !self.read_block(&mut block)? || block.iter().all(|&b| b == 0) {
                return if extended.seen { Err(at(TarErrorKind::Dangling)) } else { Ok(false) };
            }
            check_sum(&block).map_err(at)?;
            let size = number(&block[124..136], "size").map_err(at)?;
            let size = u64::try_from(size).map_err(|_| at(TarErrorKind::Number("size")))?;
            match block[156] {
                b'L' => extended.gnu_path = Some(self.extended_data(size, &mut extended.size, offset)?),
                b'K' => extended.gnu_link = Some(self.extended_data(size, &mut extended.size, offset)?),
                b'x' | b'X' => {
                    let data = self.extended_data(size, &mut extended.size, offset)?;
                    extended.records.extend(owned_records(&data).map_err(at)?);
                }
                b'g' => {
                    let mut total = self.global_size;
                    let data = self.extended_data(size, &mut total, offset)?;
                    self.global_size = total;
                    self.global.extend(owned_records(&data).map_err(at)?);
                    continue;
                }
                // A volume label says nothing of the tree.
                b'V' => {
                    self.begin_data(size);
                    self.skip_data()?;
                    continue;
                }
                _ => {
                    member.header_offset = first;
                    self.resolve(&block, size, &extended, member).map_err(at)?;
                    if block[156] == b'S' {
                        self.old_gnu_sparse(&block, member)?;
                    }
                    self.begin_data(member.stored);
                    if member.sparse.as_ref().is_some_and(Vec::is_empty) && extended_is_version_1(&extended) {
                        self.version_1_sparse(member)?;
                    }
                    member.data_offset = self.position;
                    if let Some(extents) = &member.sparse {
                        sparse::check(extents, member.size, member.stored).map_err(at)?;
                    }
                    return Ok(true);
                }
            }
            extended.seen = true;
        }
    }

    /// Gives the current member's stored bytes, piece by piece, to `each`.
    ///
    /// # Errors
    /// Where the archive ends before the content does, or cannot be read.
    pub fn data(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), TarError> {
        while self.left > 0 {
            let buffer = fill(&mut self.input, self.position)?;
            let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
            if take == 0 {
                return Err(TarError { offset: self.position, kind: TarErrorKind::Truncated });
            }
            each(&buffer[..take]);
            self.input.consume(take);
            self.left -= take as u64;
            self.position += take as u64;
        }
        Ok(())
    }

    /// Reads what follows the end marker, so that a digest over the stream covers every byte of it; `false`
    /// where the stream is longer than `most` bytes in all, and was not read to its end.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub fn drain(&mut self, most: u64) -> Result<bool, TarError> {
        loop {
            let read = fill(&mut self.input, self.position)?.len();
            if read == 0 || self.position > most {
                return Ok(self.position <= most);
            }
            self.input.consume(read);
            self.position += read as u64;
        }
    }

    fn begin_data(&mut self, stored: u64) {
        self.left = stored;
        self.padding = stored.next_multiple_of(BLOCK as u64) - stored;
    }

    fn skip_data(&mut self) -> Result<(), TarError> {
        self.data(|_| {})?;
        self.left = std::mem::take(&mut self.padding);
        // An archive that was cut within the last padding has lost nothing: engines accept it.
        match self.data(|_| {}) {
            Err(TarError { kind: TarErrorKind::Truncated, .. }) => {
                self.left = 0;
                Ok(())
            }
            other => other,
        }
    }

    /// Reads one block; `false` where the stream is at its end.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < BLOCK {
            let buffer = fill(&mut self.input, self.position)?;
            let take = buffer.len().min(BLOCK - filled);
            if take == 0 {
                break;
            }
            block[filled..filled + take].copy_from_slice(&buffer[..take]);
            self.input.consume(take);
            self.position += take as u64;
            filled += take;
        }
        match filled {
            0 => Ok(false),
            BLOCK => Ok(true),
            _ => Err(TarError { offset: self.position, kind: TarErrorKind::Truncated }),
        }
    }

    /// Reads an extended header's content; `total` is the size of those that hold for the same members.
    fn extended_data(&mut self, size: u64, total: &mut u64, offset: u64) -> Result<Vec<u8>, TarError> {
        *total = total.saturating_add(size);
        if *total > MAX_EXTENDED {
            return Err(TarError { offset, kind: TarErrorKind::HeaderTooLarge(*total) });
        }
        let mut data = Vec::new();
        self.begin_data(size);
        self.data(|piece| data.extend_from_slice(piece))?;
        self.skip_data()?;
        Ok(data)
    }

    fn resolve(
        &self,
        block: &[u8; BLOCK],
        size: u64,
        extended: &Extended,
        member: &mut Member,
    ) -> Result<(), TarErrorKind> {
        member.xattrs.clear();
        member.sparse = None;
        fill_from_header(block, member)?;
        member.stored = size;
        if let Some(path) = &extended.gnu_path {
            member.path.clone_from(path);
        }
        if let Some(link) = &extended.gnu_link {
            member.link.clone_from(link);
        }
        let mut sparse = PaxSparse::default();
        for (key, value) in self.global.iter().chain(&extended.records) {
            record(member, key, value)?;
            sparse.record(key, value)?;
        }
        if member.stored > MAX_SIZE {
            return Err(TarErrorKind::Number("size"));
        }
        member.size = member.stored;
        if sparse.is_sparse {
            member.size = sparse.real_size.ok_or(TarErrorKind::Sparse)?;
            member.sparse = Some(sparse.extents);
            if let Some(name) = sparse.name {
                member.path = name;
            }
        }
        // GNU long names end with a NUL that is no part of them.
        for name in [&mut member.path, &mut member.link] {
            if name.last() == Some(&0) {
                name.pop();
            }
            if name.contains(&0) {
                return Err(TarErrorKind::NulInName);
            }
        }
        member.member_type = match block[156] {
            b'0' | 0 if member.path.ends_with(b"/") => MemberType::Directory,
            b'0' | 0 | b'7' | b'S' => MemberType::File,
            b'1' => MemberType::HardLink,
            b'2' => MemberType::Symlink,
            b'3' => MemberType::CharDevice,
            b'4' => MemberType::BlockDevice,
            b'5' => MemberType::Directory,
            b'6' => MemberType::Fifo,
            other => return Err(TarErrorKind::Type(char::from(other))),
        };
        // star's records name the device that holds a file, too.
        if !matches!(member.member_type, MemberType::CharDevice | MemberType::BlockDevice) {
            member.device = (0, 0);
        }
        // Only files have content; other headers may state a size all the same (POSIX, ustar "size").
        if member.member_type != MemberType::File {
            (member.size, member.stored) = (0, 0);
        }
        Ok(())
    }

    /// The old GNU form: four runs in the header, 21 in each block that follows while a flag says so.
    fn old_gnu_sparse(&mut self, block: &[u8; BLOCK], member: &mut Member) -> Result<(), TarError> {
        let mut extents = Vec::new();
        let offset = self.position;
        let at = |kind| TarError { offset, kind };
        let mut add = |area: &[u8]| -> Result<(), TarErrorKind> {
            for pair in area.chunks_exact(24).filter(|pair| pair[0] != 0) {
                let value = |field| number(field, "sparse map").map(|n| u64::try_from(n).unwrap_or(u64::MAX));
                extents.push(Extent { offset: value(&pair[..12])?, length: value(&pair[12..])? });
            }
            Ok(())
        };
        add(&block[386..482]).map_err(at)?;
        let mut more = block[482] != 0;
        let mut next = [0; BLOCK];
        while more {
            self.read_map_block(&mut next, offset)?;
            add(&next[..504]).map_err(at)?;
            more = next[504] != 0;
        }
        let size = number(&block[483..495], "real size").map_err(at)?;
        member.size = u64::try_from(size).map_err(|_| at(TarErrorKind::Sparse))?;
        member.sparse = Some(extents);
        Ok(())
    }

    /// Reads one block of the sparse map that began at `start`.
    fn read_map_block(&mut self, block: &mut [u8; BLOCK], start: u64) -> Result<(), TarError> {
        let length = self.position + BLOCK as u64 - start;
        if length > MAX_EXTENDED {
            return Err(TarError { offset: start, kind: TarErrorKind::HeaderTooLarge(length) });
        }
        if self.read_block(block)? {
            return Ok(());
        }
        Err(TarError { offset: self.position, kind: TarErrorKind::Truncated })
    }

    /// PAX form 1.0: the map stands before the content, as decimal lines padded to whole blocks.
    fn version_1_sparse(&mut self, member: &mut Member) -> Result<(), TarError> {
        let offset = self.position;
        let at = |kind| TarError { offset, kind };
        let mut text = Vec::new();
        let mut block = [0; BLOCK];
        let mut numbers: Vec<u64> = Vec::new();
        loop {
            if self.left < BLOCK as u64 {
                return Err(at(TarErrorKind::Sparse));
            }
            self.read_map_block(&mut block, offset)?;
            self.left -= BLOCK as u64;
            member.stored -= BLOCK as u64;
            text.extend_from_slice(&block);
            while let Some(end) = text.iter().position(|&c| c == b'\n') {
                numbers.push(sparse::number(&text[..end]).map_err(at)?);
                text.drain(..=end);
                if numbers.len() as u64 - 1 == numbers[0].saturating_mul(2) {
                    let pairs = numbers[1..].chunks_exact(2);
                    member.sparse = Some(pairs.map(|p| Extent { offset: p[0], length: p[1] }).collect());
                    return Ok(());
                }
            }
        }
    }
}

fn extended_is_version_1(extended: &Extended) -> bool {
    extended.records.iter().any(|(key, value)| key == b"GNU.sparse.major" && value == b"1")
}

fn fill<R: BufRead>(input: &mut R, offset: u64) -> Result<&[u8], TarError> {
    // The borrow of a retried `fill_buf` cannot be returned from a loop, so the loop only waits.
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TarError { offset, kind: TarErrorKind::Io(error) }),
        }
    }
    input.fill_buf().map_err(|error| TarError { offset, kind: TarErrorKind::Io(error) })
}

/// A PAX record's key and value.
type Record = (Vec<u8>, Vec<u8>);

fn owned_records(data: &[u8]) -> Result<Vec<Record>, TarErrorKind> {
    pax::records(data).map(|record| record.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}

fn fill_from_header(block: &[u8; BLOCK], member: &mut Member) -> Result<(), TarErrorKind> {
    let until_nul = |field: &'_ [u8]| field.iter().position(|&c| c == 0).unwrap_or(field.len());
    member.path.clear();
    member.link.clear();
    // The prefix field exists in POSIX ustar only; GNU keeps times there.
    if &block[257..263] == b"ustar\0" && block[345] != 0 {
        member.path.extend_from_slice(&block[345..][..until_nul(&block[345..500])]);
        member.path.push(b'/');
    }
    member.path.extend_from_slice(&block[..until_nul(&block[..100])]);
    member.link.extend_from_slice(&block[157..][..until_nul(&block[157..257])]);
    let id = |field: &[u8], name| {
        let value = number(field, name)?;
        u32::try_from(value).map_err(|_| TarErrorKind::Number(name))
    };
    member.mode = u16::try_from(number(&block[100..108], "mode")? & 0o7777).unwrap_or_default();
    member.uid = id(&block[108..116], "uid")?;
    member.gid = id(&block[116..124], "gid")?;
    member.mtime = Mtime { seconds: number(&block[136..148], "mtime")?, nanos: 0 };
    member.device = (0, 0);
    if matches!(block[156], b'3' | b'4') {
        member.device = (id(&block[329..337], "major number")?, id(&block[337..345], "minor number")?);
    }
    Ok(())
}

fn record(member: &mut Member, key: &[u8], value: &[u8]) -> Result<(), TarErrorKind> {
    let decimal = |name| {
        let text = std::str::from_utf8(value).ok();
        text.and_then(|t| t.parse::<u64>().ok()).ok_or(TarErrorKind::Number(name))
    };
    let id = |name| decimal(name).and_then(|n| u32::try_from(n).map_err(|_| TarErrorKind::Number(name)));
    match key {
        b"path" if !value.is_empty() => member.path = value.to_vec(),
        b"linkpath" if !value.is_empty() => member.link = value.to_vec(),
        b"size" => member.stored = decimal("size")?,
        b"uid" => member.uid = id("uid")?,
        b"gid" => member.gid = id("gid")?,
        b"mtime" if !value.is_empty() => {
            member.mtime = Mtime::parse(value).ok_or(TarErrorKind::Number("mtime"))?;
        }
        b"SCHILY.devmajor" => member.device.0 = id("major number")?,
        b"SCHILY.devminor" => member.device.1 = id("minor number")?,
        _ => {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                member.xattrs.retain(|(known, _)| known != name);
                member.xattrs.push((name.to_vec(), value.to_vec()));
            }
        }
    }
    Ok(())
}

/// The header's checksum counts its own field as blanks. Historic writers summed signed bytes.
fn check_sum(block: &[u8; BLOCK]) -> Result<(), TarErrorKind> {
    let stated = number(&block[148..156], "checksum")?;
    let fields = block[..148].iter().chain(&block[156..]);
    let unsigned: i64 = fields.clone().map(|&b| i64::from(b)).sum::<i64>() + 8 * 32;
    if stated == unsigned {
        return Ok(());
    }
    let signed: i64 = fields.map(|&b| i64::from(b.cast_signed())).sum::<i64>() + 8 * 32;
    if stated == signed { Ok(()) } else { Err(TarErrorKind::Checksum) }
}

/// An octal field, or GNU's base-256 where the top bit is set (negative where the next one is too).
fn number(field: &[u8], name: &'static str) -> Result<i64, TarErrorKind> {
    if field[0] & 0x80 != 0 {
        let negative = field[0] & 0x40 != 0;
        let start = i64::from(field[0] & 0x3f) - if negative { 0x40 } else { 0 };
        return field[1..]
            .iter()
            .try_fold(start, |sum, &byte| sum.checked_mul(256)?.checked_add(i64::from(byte)))
            .ok_or(TarErrorKind::Number(name));
    }
    let text = field.trim_ascii_start();
    let end = text.iter().position(|c| matches!(c, 0 | b' ')).unwrap_or(text.len());
    text[..end].iter().try_fold(0_i64, |sum, &digit| match digit {
        b'0'..=b'7' => Ok(sum * 8 + i64::from(digit - b'0')),
        _ => Err(TarErrorKind::Number(name)),
    })
}
