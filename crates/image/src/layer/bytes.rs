//! A layer as bytes for a cache: compact, versioned, and refused where anything in it is damaged.
//!
//! After the magic come the layer's text and tables, then the entries, numbers as LEB128, texts of an entry
//! as their distance from the end of the one before (nearly always 0). A sha256 of all this ends it.

use super::{Entry, Kind, Layer, Slice, Xattrs};
use crate::digest::Digest;
use crate::tar::{Extent, Mtime};

/// The last character is the version: other versions are refused, and what was cached is made anew.
const MAGIC: &[u8; 8] = b"jtlayer1";

/// The kinds by their number.
const KINDS: [Kind; 9] = [
    Kind::File,
    Kind::Directory,
    Kind::Symlink,
    Kind::HardLink,
    Kind::CharDevice,
    Kind::BlockDevice,
    Kind::Fifo,
    Kind::Whiteout,
    Kind::Opaque,
];

/// Why bytes are not a layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BytesError {
    /// They do not begin as this version of the form does.
    #[error("not an encoded layer of version 1")]
    Version,
    /// The digest at the end is not that of what stands before it.
    #[error("the encoded layer is damaged: its digest does not match")]
    Digest,
    /// A value that no layer can have.
    #[error("the encoded layer is damaged: {field} at offset {offset}")]
    Value {
        /// What was read.
        field: &'static str,
        /// Where, in bytes from the start.
        offset: usize,
    },
}

impl Layer {
    /// The layer as bytes that [`Layer::from_bytes`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + self.entries.len() * 64 + 128);
        out.extend_from_slice(MAGIC);
        put(&mut out, self.size);
        put_bytes(&mut out, &self.text);
        put(&mut out, self.dropped.len() as u64);
        self.dropped.iter().for_each(|path| put_bytes(&mut out, path));
        put(&mut out, self.xattrs.len() as u64);
        for xattrs in &self.xattrs {
            put(&mut out, xattrs.len() as u64);
            for (name, value) in xattrs {
                put_bytes(&mut out, name);
                put_bytes(&mut out, value);
            }
        }
        put(&mut out, self.sparse.len() as u64);
        for runs in &self.sparse {
            put(&mut out, runs.len() as u64);
            for run in runs {
                put(&mut out, run.offset);
                put(&mut out, run.length);
            }
        }
        put(&mut out, self.entries.len() as u64);
        let mut end = 0;
        for entry in &self.entries {
            put_entry(&mut out, entry, &mut end);
        }
        let digest = Digest::of(&out);
        out.extend_from_slice(&digest.0);
        out
    }

    /// Reads what [`Layer::to_bytes`] made.
    ///
    /// # Errors
    /// [`BytesError`] where the bytes are of another version, or damaged in any way.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BytesError> {
        if !bytes.starts_with(MAGIC) {
            return Err(BytesError::Version);
        }
        let (body, digest) = bytes.split_last_chunk::<32>().ok_or(BytesError::Digest)?;
        if body.len() < MAGIC.len() || Digest::of(body).0 != *digest {
            return Err(BytesError::Digest);
        }
        let mut input = Input { bytes: body, at: MAGIC.len() };
        let mut layer = Self { size: input.number("size")?, text: input.bytes("text")?.to_vec(), ..Self::default() };
        for _ in 0..input.count("dropped paths")? {
            layer.dropped.push(input.bytes("dropped path")?.to_vec());
        }
        for _ in 0..input.count("extended attributes")? {
            let count = input.count("extended attributes of an entry")?;
            let mut xattrs = Xattrs::with_capacity(count);
            for _ in 0..count {
                xattrs.push((input.bytes("attribute name")?.to_vec(), input.bytes("attribute value")?.to_vec()));
            }
            layer.xattrs.push(xattrs);
        }
        for _ in 0..input.count("sparse files")? {
            let count = input.count("runs")?;
            let mut runs = Vec::with_capacity(count);
            for _ in 0..count {
                runs.push(Extent { offset: input.number("run")?, length: input.number("run")? });
            }
            layer.sparse.push(runs);
        }
        let count = input.count("entries")?;
        layer.entries.reserve(count);
        let mut end = 0;
        for _ in 0..count {
            let at = input.at;
            let entry = input.entry(&mut end)?;
            layer.check(&entry).map_err(|field| BytesError::Value { field, offset: at })?;
            layer.entries.push(entry);
        }
        if input.at == body.len() { Ok(layer) } else { Err(input.wrong("bytes after the entries")) }
    }

    /// Whether what an entry refers to exists, and its runs lie in its content.
    fn check(&self, entry: &Entry) -> Result<(), &'static str> {
        for slice in [entry.path, entry.link] {
            let end = slice.start as usize + slice.length as usize;
            if end > self.text.len() {
                return Err("text beyond the end");
            }
        }
        let clean =
            |path: &[u8]| path.is_empty() || path.split(|&c| c == b'/').all(|name| !matches!(name, b"" | b"." | b".."));
        if !clean(self.path(entry)) || (entry.kind == Kind::HardLink && !clean(self.link(entry))) {
            return Err("path that is not clean");
        }
        if entry.xattrs as usize > self.xattrs.len() {
            return Err("extended attributes beyond the end");
        }
        if entry.sparse as usize > self.sparse.len() {
            return Err("runs beyond the end");
        }
        let mut end = 0;
        for run in self.sparse(entry).unwrap_or_default() {
            let next = run.offset.checked_add(run.length).filter(|&next| next <= entry.size);
            end = next.filter(|_| run.offset >= end).ok_or("runs that do not fit the file")?;
        }
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Small numbers of either sign become small numbers without one.
fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry, end: &mut u32) {
    let has_digest = entry.digest != Digest::default();
    let kind = KINDS.iter().position(|&kind| kind == entry.kind).unwrap_or_default();
    put(out, kind as u64 * 2 + u64::from(has_digest));
    for slice in [entry.path, entry.link] {
        put_signed(out, i64::from(slice.start) - i64::from(*end));
        put(out, u64::from(slice.length));
        *end = slice.start.saturating_add(slice.length);
    }
    put(out, entry.size);
    put(out, entry.data_offset);
    if has_digest {
        out.extend_from_slice(&entry.digest.0);
    }
    put_signed(out, entry.mtime_seconds);
    let numbers = [
        entry.mtime_nanos,
        entry.uid,
        entry.gid,
        entry.device.0,
        entry.device.1,
        entry.xattrs,
        entry.sparse,
        u32::from(entry.mode),
    ];
    numbers.iter().for_each(|&number| put(out, u64::from(number)));
}

/// What is left to read.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn wrong(&self, field: &'static str) -> BytesError {
        BytesError::Value { field, offset: self.at }
    }

    fn number(&mut self, field: &'static str) -> Result<u64, BytesError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or_else(|| self.wrong(field))?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return Err(self.wrong(field));
            }
            number |= bits << shift;
            self.at += 1;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.wrong(field))
    }

    fn narrow(&mut self, field: &'static str) -> Result<u32, BytesError> {
        let number = self.number(field)?;
        u32::try_from(number).map_err(|_| self.wrong(field))
    }

    fn signed(&mut self, field: &'static str) -> Result<i64, BytesError> {
        let number = self.number(field)?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number of things that take a byte each at least: never more than what is left.
    fn count(&mut self, field: &'static str) -> Result<usize, BytesError> {
        let number = self.number(field)?;
        let left = self.bytes.len() - self.at;
        usize::try_from(number).ok().filter(|&count| count <= left).ok_or_else(|| self.wrong(field))
    }

    fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], BytesError> {
        let length = self.count(field)?;
        let bytes = &self.bytes[self.at..][..length];
        self.at += length;
        Ok(bytes)
    }

    fn slice(&mut self, end: &mut u32) -> Result<Slice, BytesError> {
        let distance = self.signed("text")?;
        let start = distance.checked_add(i64::from(*end)).and_then(|start| u32::try_from(start).ok());
        let start = start.ok_or_else(|| self.wrong("text"))?;
        let length = self.narrow("text")?;
        *end = start.saturating_add(length);
        Ok(Slice { start, length })
    }

    fn entry(&mut self, end: &mut u32) -> Result<Entry, BytesError> {
        let first = self.number("kind")?;
        let kind = usize::try_from(first / 2).ok().and_then(|kind| KINDS.get(kind).copied());
        let kind = kind.ok_or_else(|| self.wrong("kind"))?;
        let (path, link) = (self.slice(end)?, self.slice(end)?);
        let (size, data_offset) = (self.number("size")?, self.number("offset")?);
        let mut digest = Digest::default();
        if first % 2 == 1 {
            let bytes = self.bytes[self.at..].first_chunk::<32>().ok_or_else(|| self.wrong("digest"))?;
            digest = Digest(*bytes);
            self.at += 32;
        }
        let mtime = Mtime { seconds: self.signed("time")?, nanos: self.narrow("time")? };
        if mtime.nanos >= 1_000_000_000 {
            return Err(self.wrong("time"));
        }
        let (uid, gid) = (self.narrow("owner")?, self.narrow("group")?);
        let device = (self.narrow("device")?, self.narrow("device")?);
        let (xattrs, sparse) = (self.narrow("extended attributes")?, self.narrow("runs")?);
        let mode = self.number("mode")?;
        let mode = u16::try_from(mode).ok().filter(|mode| *mode <= 0o7777).ok_or_else(|| self.wrong("mode"))?;
        Ok(Entry {
            path,
            link,
            size,
            data_offset,
            digest,
            mtime_seconds: mtime.seconds,
            mtime_nanos: mtime.nanos,
            uid,
            gid,
            device,
            xattrs,
            sparse,
            mode,
            kind,
        })
    }
}
