//! A header of rpm: an index of tags, and their data (rpm's `docs/manual/format_header.md`).

/// An index entry has a tag, a type, an offset and a count, each of four bytes, the highest first.
const ENTRY: usize = 16;

/// A package's header as the database holds it: without the magic number that files have.
pub(super) struct Header {
    bytes: Vec<u8>,
    /// Where the data starts.
    data: usize,
}

/// What an entry of the index says.
#[derive(Clone, Copy)]
struct Item {
    kind: u32,
    /// Counted from the start of the data.
    offset: usize,
    count: usize,
}

impl Header {
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, &'static str> {
        let (entries, length) = (number(&bytes, 0, 4), number(&bytes, 4, 4));
        let (Some(entries), Some(length)) = (entries, length) else { return Err("a header is too short") };
        let size = |count: u64| usize::try_from(count).ok();
        let data = size(entries).and_then(|entries| entries.checked_mul(ENTRY)?.checked_add(8));
        let end = data.zip(size(length)).and_then(|(data, length)| data.checked_add(length));
        match (data, end) {
            (Some(data), Some(end)) if end <= bytes.len() => Ok(Self { bytes, data }),
            _ => Err("a header is shorter than it says"),
        }
    }

    fn item(&self, tag: u32) -> Option<Item> {
        let entries = self.bytes[8..self.data].chunks_exact(ENTRY);
        let mut found = entries.filter(|entry| number(entry, 0, 4) == Some(u64::from(tag)));
        let entry = found.next()?;
        let field = |at: usize| usize::try_from(number(entry, at, 4)?).ok();
        Some(Item { kind: u32::try_from(field(4)?).ok()?, offset: field(8)?, count: field(12)? })
    }

    /// Numbers of one, two, four or eight bytes.
    pub(super) fn numbers(&self, tag: u32) -> Vec<u64> {
        let Some(item) = self.item(tag) else { return Vec::new() };
        let width = match item.kind {
            1 | 2 => 1,
            3 => 2,
            4 => 4,
            5 => 8,
            _ => return Vec::new(),
        };
        let data = &self.bytes[self.data..];
        let count = item.count.min(data.len());
        (0..count).map_while(|at| number(data, item.offset.checked_add(at * width)?, width)).collect()
    }

    /// Texts, each with a zero behind it.
    pub(super) fn bytes(&self, tag: u32) -> Vec<Vec<u8>> {
        let Some(item) = self.item(tag).filter(|item| matches!(item.kind, 6 | 8 | 9)) else { return Vec::new() };
        let data = self.bytes.get(self.data + item.offset..).unwrap_or_default();
        data.split(|&byte| byte == 0).take(item.count).map(<[u8]>::to_vec).collect()
    }

    pub(super) fn texts(&self, tag: u32) -> Vec<String> {
        self.bytes(tag).iter().map(|text| super::database::text(text)).collect()
    }

    /// Makes the numbers of a tag zero.
    pub(super) fn blank(&mut self, tag: u32) {
        let Some(item) = self.item(tag).filter(|item| item.kind == 4) else { return };
        let start = self.data.saturating_add(item.offset);
        let end = item.count.checked_mul(4).and_then(|length| start.checked_add(length));
        if let Some(data) = end.and_then(|end| self.bytes.get_mut(start..end)) {
            data.fill(0);
        }
    }

    /// Changes some of the numbers of a tag that has one of a byte each, as those of `from` that `is_meant` picks by their
    /// places become `to`. Says how many there were.
    pub(super) fn change(&mut self, tag: u32, from: u8, to: u8, is_meant: impl Fn(usize) -> bool) -> usize {
        let Some(item) = self.item(tag).filter(|item| matches!(item.kind, 1 | 2)) else { return 0 };
        let start = self.data.saturating_add(item.offset);
        let data = self.bytes.get_mut(start..).unwrap_or_default().iter_mut().take(item.count);
        let found = data.enumerate().filter(|(at, byte)| **byte == from && is_meant(*at));
        found.map(|(_, byte)| *byte = to).count()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A number of `width` bytes, the highest first.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}
