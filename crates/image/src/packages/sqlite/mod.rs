//! Reading the blobs of a table of a SQLite database that lies in memory, and writing the database anew without some
//! rows: all that rpm's database needs of the format ("Database File Format" of sqlite.org). The libraries for it want
//! files, and bring an engine along.

mod build;
mod rewrite;

pub(super) use rewrite::{replaced, without};

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

/// An entry of a tree.
struct Row {
    /// Its number; none in an index, whose entries name the row that they are for in their last column.
    number: Option<i64>,
    /// A head with the types of the columns, and the columns.
    bytes: Vec<u8>,
}

/// Something that the schema names and that has a tree of its own, or none.
struct Object {
    /// `table`, `index`, `view` or `trigger`.
    kind: Vec<u8>,
    name: Vec<u8>,
    /// The table that it belongs to.
    table: Vec<u8>,
    /// Where its tree starts; zero where it has none.
    root: u32,
    /// How it was made.
    statement: Vec<u8>,
}

/// A column of a row.
enum Value<'b> {
    Number(i64),
    Bytes(&'b [u8]),
    Other,
}

/// The numbers and the blobs of a table's rows, in their order.
pub(super) fn blobs(bytes: &[u8], table: &str) -> Result<Vec<(u32, Vec<u8>)>, &'static str> {
    let mut pages = Pages::new(bytes)?;
    let objects = pages.objects()?;
    let table = objects.iter().find(|object| object.kind == b"table" && object.name == table.as_bytes());
    let mut blobs = Vec::new();
    for row in pages.rows(table.ok_or("it has no such table")?.root)? {
        let found = columns(&row.bytes)?.into_iter().rev().find_map(|value| match value {
            Value::Bytes(bytes) => Some(bytes.to_vec()),
            Value::Number(_) | Value::Other => None,
        });
        let number = row.number.and_then(|number| u32::try_from(number).ok());
        blobs.push((number.ok_or("a row has no number")?, found.ok_or("a row has no blob")?));
    }
    Ok(blobs)
}

impl<'b> Pages<'b> {
    fn new(bytes: &'b [u8]) -> Result<Self, &'static str> {
        if !bytes.starts_with(MAGIC) {
            return Err("it is no SQLite database");
        }
        let page = match number(bytes, 16, 2).ok_or("it has no page size")? {
            1 => 1 << 16,
            size => usize::try_from(size).map_err(|_| "its page size is none")?,
        };
        let reserved = usize::from(*bytes.get(20).ok_or("it is too short")?);
        if !page.is_power_of_two() || page < 512 || page - reserved < 480 {
            return Err("its page size is none");
        }
        Ok(Self { bytes, page, usable: page - reserved, left: bytes.len() / page, rest: bytes.len() })
    }

    /// What there is; the schema is a table, too: type, name, table, root page, statement.
    fn objects(&mut self) -> Result<Vec<Object>, &'static str> {
        let mut objects = Vec::new();
        for row in self.rows(1)? {
            let columns = columns(&row.bytes)?;
            let [Value::Bytes(kind), Value::Bytes(name), Value::Bytes(table), root, rest @ ..] = columns.as_slice()
            else {
                return Err("its schema is none");
            };
            let statement = match rest {
                [Value::Bytes(statement), ..] => statement.to_vec(),
                _ => Vec::new(),
            };
            let root = match root {
                Value::Number(root) => u32::try_from(*root).map_err(|_| "its schema is none")?,
                Value::Bytes(_) | Value::Other => 0,
            };
            objects.push(Object { kind: kind.to_vec(), name: name.to_vec(), table: table.to_vec(), root, statement });
        }
        Ok(objects)
    }

    /// A page, and where in it its b-tree header starts: the first one begins with the file's header.
    fn page(&mut self, page: u32) -> Result<(&'b [u8], usize), &'static str> {
        self.left = self.left.checked_sub(1).ok_or("its pages lead in circles")?;
        let at = usize::try_from(page).ok().and_then(|page| page.checked_sub(1)?.checked_mul(self.page));
        let found = at.and_then(|at| self.bytes.get(at..at.checked_add(self.page)?));
        Ok((found.ok_or("a page is missing")?, if page == 1 { 100 } else { 0 }))
    }

    fn rows(&mut self, root: u32) -> Result<Vec<Row>, &'static str> {
        Ok(self.tree(root)?.1)
    }

    /// Whether the tree that starts at a page is a table's, and its entries in their order.
    fn tree(&mut self, root: u32) -> Result<(bool, Vec<Row>), &'static str> {
        /// What is still to be looked at.
        enum Next {
            Page(u32),
            /// An entry between two pages, which only indexes have.
            Entry(Row),
        }
        let (mut rows, mut left, mut tree) = (Vec::new(), vec![Next::Page(root)], None);
        while let Some(next) = left.pop() {
            let (page, start) = match next {
                Next::Page(page) => self.page(page)?,
                Next::Entry(row) => {
                    rows.push(row);
                    continue;
                }
            };
            let cells = small(page, start + 3)?;
            // With what points at it a cell has four bytes at least.
            if cells > page.len() / 4 {
                return Err("a page has more rows than fit");
            }
            // Inner pages have another page behind their last cell.
            let (is_leaf, is_table, first) = match page[start] {
                0x0d => (true, true, start + 8),
                0x0a => (true, false, start + 8),
                0x05 => (false, true, start + 12),
                0x02 => (false, false, start + 12),
                _ => return Err("a page is not one of a tree"),
            };
            if *tree.get_or_insert(is_table) != is_table {
                return Err("a page is one of another tree");
            }
            let mut below = Vec::new();
            for cell in 0..cells {
                let at = small(page, first + 2 * cell)?;
                if is_leaf {
                    rows.push(self.row(page, at, is_table)?);
                    continue;
                }
                below.push(Next::Page(pointer(page, at)?));
                if !is_table {
                    below.push(Next::Entry(self.row(page, at + 4, is_table)?));
                }
            }
            if !is_leaf {
                below.push(Next::Page(pointer(page, start + 8)?));
            }
            left.extend(below.into_iter().rev());
        }
        Ok((tree == Some(true), rows))
    }

    /// A cell: the length of the row, its number in a table, and as much of it as fits; the rest is in further pages.
    fn row(&mut self, page: &[u8], at: usize, is_table: bool) -> Result<Row, &'static str> {
        let (length, mut at) = varint(page, at)?;
        let mut number = None;
        if is_table {
            let (found, next) = varint(page, at)?;
            number = Some(found.cast_signed());
            at = next;
        }
        let length = usize::try_from(length).map_err(|_| "a row is too long")?;
        self.rest = self.rest.checked_sub(length).ok_or("the rows are longer than the file")?;
        let local = local(self.usable, length, is_table);
        let mut bytes = page.get(at..at + local).ok_or("a row is cut off")?.to_vec();
        let mut next = if local < length { pointer(page, at + local)? } else { 0 };
        while bytes.len() < length {
            let (page, _) = self.page(next)?;
            next = pointer(page, 0)?;
            let take = (length - bytes.len()).min(self.usable - 4);
            bytes.extend_from_slice(&page[4..4 + take]);
        }
        Ok(Row { number, bytes })
    }
}

/// How many bytes of a row are in its cell; the rest is in further pages.
fn local(usable: usize, length: usize, is_table: bool) -> usize {
    let most = if is_table { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
    if length <= most {
        return length;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let fitting = least + (length - least) % (usable - 4);
    if fitting <= most { fitting } else { least }
}

/// The columns of a row: a list of types, then the values.
fn columns(row: &[u8]) -> Result<Vec<Value<'_>>, &'static str> {
    let (length, mut at) = varint(row, 0)?;
    let head = usize::try_from(length).map_err(|_| "a row's head is too long")?;
    let (mut values, mut place) = (Vec::new(), head);
    while at < head {
        let (kind, next) = varint(row, at)?;
        at = next;
        let size = width(kind)?;
        let end = place.checked_add(size).ok_or("a value is too long")?;
        let bytes = row.get(place..end).ok_or("a value is cut off")?;
        place = end;
        values.push(match kind {
            // Sums start with the sign.
            1..=6 => {
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
                Value::Number(bytes.iter().fold(sign, |sum, &byte| sum << 8 | i64::from(byte)))
            }
            8 => Value::Number(0),
            9 => Value::Number(1),
            12.. => Value::Bytes(bytes),
            _ => Value::Other,
        });
    }
    Ok(values)
}

/// How many bytes a value of a type has.
fn width(kind: u64) -> Result<usize, &'static str> {
    let size = match kind {
        0 | 8 | 9 => 0,
        1..=4 => kind,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return Err("a value has no type"),
        _ => (kind - 12) / 2,
    };
    usize::try_from(size).map_err(|_| "a value is too long")
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
