//! Reading a hash of Berkeley DB that lies in memory, as rpm had it before SQLite (`Packages`): a page with settings, then
//! pages of buckets with keys and values, of which long ones are in pages of their own (Berkeley DB 5.3, `dbinc/db_page.h`;
//! rpm's `lib/backend/bdb_ro.c` reads the same). Numbers are in the order of the machine that wrote them.

/// The settings' magic number of a hash.
const HASH: u32 = 0x0006_1561;
/// The settings' magic number of a tree.
const TREE: u32 = 0x0005_3162;
/// Bytes before what a page holds.
const HEAD: usize = 26;

/// What a page holds, as its byte 25 says.
mod kinds {
    pub(super) const UNSORTED: u8 = 2;
    pub(super) const OVERFLOW: u8 = 7;
    pub(super) const SORTED: u8 = 13;
}

/// A database in memory.
struct Pages<'b> {
    bytes: &'b [u8],
    is_big_endian: bool,
    page: usize,
    last: u32,
    /// How many pages may still be looked at: each belongs to one place, so that a damaged file leads in no circle.
    left: usize,
}

/// The numbers of the packages and their headers, in the order of their numbers.
pub(super) fn blobs(bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, &'static str> {
    let mut pages = Pages::new(bytes)?;
    let (buckets, mut all) = (pages.number(bytes, 72)?, Vec::new());
    if buckets > pages.last {
        return Err("it has more buckets than pages");
    }
    for bucket in 0..=buckets {
        // Pages come in groups, each for twice as many buckets; the settings say how many other pages are before each.
        let group = usize::try_from(u32::BITS - bucket.leading_zeros()).map_err(|_| "a bucket has no place")?;
        let before = pages.number(bytes, 96 + 4 * group)?;
        let mut next = bucket.checked_add(before).ok_or("a bucket has no place")?;
        while next != 0 {
            let page = pages.page(next)?;
            if ![kinds::UNSORTED, kinds::SORTED].contains(&page[25]) {
                return Err("a page is not one of a hash");
            }
            pages.entries(page, &mut all)?;
            next = pages.number(page, 16)?;
        }
    }
    all.sort_by_key(|(number, _)| *number);
    if all.windows(2).any(|two| two[0].0 == two[1].0) {
        return Err("two entries have one package's number");
    }
    Ok(all)
}

impl<'b> Pages<'b> {
    fn new(bytes: &'b [u8]) -> Result<Self, &'static str> {
        let mut pages = Self { bytes, is_big_endian: false, page: 0, last: 0, left: 0 };
        if pages.number(bytes, 12)?.swap_bytes() == HASH || pages.number(bytes, 12)?.swap_bytes() == TREE {
            pages.is_big_endian = true;
        }
        match pages.number(bytes, 12)? {
            HASH => {}
            TREE => return Err("it is a tree, where rpm has a hash"),
            _ => return Err("it is no Berkeley DB"),
        }
        if !(8..=10).contains(&pages.number(bytes, 16)?) {
            return Err("its version is none that is known");
        }
        if bytes.get(24) != Some(&0) {
            return Err("it is encrypted");
        }
        pages.page = usize::try_from(pages.number(bytes, 20)?).map_err(|_| "its page size is none")?;
        if !pages.page.is_power_of_two() || !(512..=1 << 16).contains(&pages.page) {
            return Err("its page size is none");
        }
        pages.left = bytes.len() / pages.page;
        pages.last = pages.number(bytes, 32)?;
        Ok(pages)
    }

    fn page(&mut self, at: u32) -> Result<&'b [u8], &'static str> {
        self.left = self.left.checked_sub(1).ok_or("its pages lead in circles")?;
        let start = usize::try_from(at).ok().filter(|_| at <= self.last).and_then(|at| at.checked_mul(self.page));
        let page = start.and_then(|start| self.bytes.get(start..start.checked_add(self.page)?));
        let page = page.ok_or("a page is missing")?;
        if self.number(page, 8)? != at {
            return Err("a page has another's number");
        }
        Ok(page)
    }

    /// The entries of a page: keys and values in turn, placed from the end of the page on.
    fn entries(&mut self, page: &'b [u8], all: &mut Vec<(u32, Vec<u8>)>) -> Result<(), &'static str> {
        let count = self.small(page, 20)?;
        let mut end = page.len();
        let mut items = Vec::new();
        for at in 0..count {
            let start = self.small(page, HEAD + 2 * at)?;
            let item = page.get(start..end).filter(|item| !item.is_empty());
            items.push(item.ok_or("an entry is cut off")?);
            end = start;
        }
        for pair in items.chunks(2) {
            let [key, value] = pair else { return Err("a key has no value") };
            let (key, value) = (self.item(key)?, self.item(value)?);
            // Under zero rpm keeps the last number that it gave.
            match self.number(&key, 0)? {
                _ if key.len() != 4 => return Err("a key is no number"),
                0 => {}
                number => all.push((number, value)),
            }
        }
        Ok(())
    }

    /// A key or a value: in the page itself, or from another page on.
    fn item(&mut self, item: &[u8]) -> Result<Vec<u8>, &'static str> {
        match item[0] {
            1 => Ok(item[1..].to_vec()),
            3 if item.len() == 12 => {
                let length = usize::try_from(self.number(item, 8)?).map_err(|_| "a value is too long")?;
                let (mut next, mut value) = (self.number(item, 4)?, Vec::new());
                while value.len() < length {
                    let page = self.page(next)?;
                    if page[25] != kinds::OVERFLOW {
                        return Err("a page is not one of a long value");
                    }
                    let part = self.small(page, 22)?;
                    let part = page.get(HEAD..HEAD + part).filter(|part| part.len() <= length - value.len());
                    value.extend_from_slice(part.ok_or("a long value is cut off")?);
                    next = self.number(page, 16)?;
                }
                Ok(value)
            }
            _ => Err("an entry is of a kind that rpm does not use"),
        }
    }

    fn number(&self, bytes: &[u8], at: usize) -> Result<u32, &'static str> {
        let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().ok_or("it is too short")?;
        Ok(if self.is_big_endian { u32::from_be_bytes(found) } else { u32::from_le_bytes(found) })
    }

    fn small(&self, bytes: &[u8], at: usize) -> Result<usize, &'static str> {
        let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().ok_or("a page is cut off")?;
        Ok(usize::from(if self.is_big_endian { u16::from_be_bytes(found) } else { u16::from_le_bytes(found) }))
    }
}
