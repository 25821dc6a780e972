//! Reading the blobs of a table of a SQLite database that lies in memory: all that rpm's database needs of the format
//! ("Database File Format" of sqlite.org). The libraries for it want files, and bring an engine along.

/// The first file header's text.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// A database in memory.
struct Pages<'b> {
    bytes: &'b [u8],
    page: usize,
    /// Bytes of a page that rows can use.
    usable: usize,
    /// How many pages may still be looked at: each belongs to one place, so that a damaged file leads in no circle.
    left: usize,
    /// How many bytes may still be in rows.
    rest: usize,
}

/// A column of a row.
enum Value<'b> {
    Number(i64),
    Bytes(&'b [u8]),
    Other,
}

/// The blobs of a table, in the order of their rows.
pub(super) fn blobs(bytes: &[u8], table: &str) -> Result<Vec<Vec<u8>>, &'static str> {
    if !bytes.starts_with(MAGIC) {
        return Err("it is no SQLite database");
    }
    let page = match number(bytes, 16, 2).ok_or("it has no page size")? {
        1 => 1 << 16,
        size => usize::try_from(size).map_err(|_| "its page size is none")?,
    };
    let reserved = usize::from(*bytes.get(20).ok_or("it is too short")?);
    if !page.is_power_of_two() || page < 512 {
        return Err("its page size is none");
    }
    let mut pages = Pages { bytes, page, usable: page - reserved, left: bytes.len() / page, rest: bytes.len() };
    // The schema is a table, too: type, name, table, root page, statement.
    let mut root = None;
    for row in pages.rows(1)? {
        let columns = columns(&row)?;
        if let [Value::Bytes(b"table"), Value::Bytes(name), _, Value::Number(page), ..] = columns.as_slice()
            && *name == table.as_bytes()
        {
            root = u32::try_from(*page).ok();
        }
    }
    let mut blobs = Vec::new();
    for row in pages.rows(root.ok_or("it has no such table")?)? {
        let found = columns(&row)?.into_iter().rev().find_map(|value| match value {
            Value::Bytes(bytes) => Some(bytes.to_vec()),
            Value::Number(_) | Value::Other => None,
        });
        blobs.push(found.ok_or("a row has no blob")?);
    }
    Ok(blobs)
}

impl<'b> Pages<'b> {
    /// A page, and where in it its b-tree header starts: the first one begins with the file's header.
    fn page(&mut self, page: u32) -> Result<(&'b [u8], usize), &'static str> {
        self.left = self.left.checked_sub(1).ok_or("its pages lead in circles")?;
        let at = usize::try_from(page).ok().and_then(|page| page.checked_sub(1)?.checked_mul(self.page));
        let found = at.and_then(|at| self.bytes.get(at..at.checked_add(self.page)?));
        Ok((found.ok_or("a page is missing")?, if page == 1 { 100 } else { 0 }))
    }

    /// The rows of the table whose b-tree starts at a page.
    fn rows(&mut self, root: u32) -> Result<Vec<Vec<u8>>, &'static str> {
        let (mut rows, mut left) = (Vec::new(), vec![root]);
        while let Some(number_of_page) = left.pop() {
            let (page, start) = self.page(number_of_page)?;
            let kind = page[start];
            let cells = small(page, start + 3)?;
            // With what points at it a cell has four bytes at least.
            if cells > page.len() / 4 {
                return Err("a page has more rows than fit");
            }
            // Inner pages have another page behind their last cell.
            let (is_leaf, first) = match kind {
                0x0d => (true, start + 8),
                0x05 => (false, start + 12),
                _ => return Err("a page is not one of a table"),
            };
            let mut below = Vec::new();
            for cell in 0..cells {
                let at = small(page, first + 2 * cell)?;
                if is_leaf {
                    rows.push(self.row(page, at)?);
                } else {
                    below.push(pointer(page, at)?);
                }
            }
            if !is_leaf {
                below.push(pointer(page, start + 8)?);
            }
            left.extend(below.into_iter().rev());
        }
        Ok(rows)
    }

    /// A cell of a leaf: the length of the row, its number, and as much of it as fits; the rest is in further pages.
    fn row(&mut self, page: &[u8], at: usize) -> Result<Vec<u8>, &'static str> {
        let (length, at) = varint(page, at)?;
        let (_, at) = varint(page, at)?;
        let length = usize::try_from(length).map_err(|_| "a row is too long")?;
        self.rest = self.rest.checked_sub(length).ok_or("the rows are longer than the file")?;
        let most = self.usable.saturating_sub(35);
        let local = if length <= most {
            length
        } else {
            let least = (self.usable.saturating_sub(12)) * 32 / 255 - 23;
            let fitting = least + (length - least) % (self.usable - 4);
            if fitting <= most { fitting } else { least }
        };
        let mut row = page.get(at..at + local).ok_or("a row is cut off")?.to_vec();
        let mut next = if local < length { pointer(page, at + local)? } else { 0 };
        while row.len() < length {
            let (page, _) = self.page(next)?;
            next = pointer(page, 0)?;
            let take = (length - row.len()).min(self.usable - 4);
            row.extend_from_slice(&page[4..4 + take]);
        }
        Ok(row)
    }
}

/// The columns of a row: a list of types, then the values.
fn columns(row: &[u8]) -> Result<Vec<Value<'_>>, &'static str> {
    let (length, mut at) = varint(row, 0)?;
    let head = usize::try_from(length).map_err(|_| "a row's head is too long")?;
    let (mut values, mut place) = (Vec::new(), head);
    while at < head {
        let (kind, next) = varint(row, at)?;
        at = next;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return Err("a value has no type"),
            _ => (kind - 12) / 2,
        };
        let size = usize::try_from(size).map_err(|_| "a value is too long")?;
        let end = place.checked_add(size).ok_or("a value is too long")?;
        let bytes = row.get(place..end).ok_or("a value is cut off")?;
        place = end;
        values.push(match kind {
            1..=6 => Value::Number(bytes.iter().fold(0i64, |sum, &byte| sum << 8 | i64::from(byte))),
            8 => Value::Number(0),
            9 => Value::Number(1),
            12.. => Value::Bytes(bytes),
            _ => Value::Other,
        });
    }
    Ok(values)
}

/// Seven bits a byte, the highest first, for as long as the top bit is set; the ninth byte has eight.
fn varint(bytes: &[u8], at: usize) -> Result<(u64, usize), &'static str> {
    let mut sum = 0u64;
    for place in 0..9 {
        let byte = *bytes.get(at + place).ok_or("a number is cut off")?;
        if place == 8 {
            return Ok((sum << 8 | u64::from(byte), at + 9));
        }
        sum = sum << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok((sum, at + place + 1));
        }
    }
    Err("a number is too long")
}

fn small(bytes: &[u8], at: usize) -> Result<usize, &'static str> {
    number(bytes, at, 2).and_then(|number| usize::try_from(number).ok()).ok_or("a page is cut off")
}

fn pointer(bytes: &[u8], at: usize) -> Result<u32, &'static str> {
    number(bytes, at, 4).and_then(|number| u32::try_from(number).ok()).ok_or("a page is cut off")
}

/// A number of `width` bytes, the highest first.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}
