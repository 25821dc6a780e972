//! A database without some packages: all trees written anew from the entries that stay, in their order, without free
//! pages. Indexes need no sorting for that: what stays of them is in order.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{Builder, varint};
use super::{Object, Pages, Row, Value, columns, number};

/// Where the file's header has what.
mod places {
    pub(super) const CHANGES: usize = 24;
    pub(super) const SIZE: usize = 28;
    pub(super) const FREE: usize = 32;
    pub(super) const SCHEMA: usize = 40;
    pub(super) const LARGEST_ROOT: usize = 52;
    pub(super) const VALID_FOR: usize = 92;
}

/// A page with the byte at 2^30 is for locks, and holds nothing; files that have one are not written.
const MOST: usize = 1 << 30;

/// The column that says of which package an entry of an index is; the first one is the key.
const NUMBER: &str = "hnum";

/// rpm's database without the packages of some numbers. What is not as rpm makes it is refused.
pub(in super::super) fn without(bytes: &[u8], gone: &BTreeSet<u32>) -> Result<Vec<u8>, &'static str> {
    rewritten(bytes, gone, &BTreeMap::new())
}

/// The database with other headers for some packages, each as long as the one before it.
pub(in super::super) fn replaced(bytes: &[u8], headers: &BTreeMap<u32, Vec<u8>>) -> Result<Vec<u8>, &'static str> {
    rewritten(bytes, &BTreeSet::new(), headers)
}

fn rewritten(bytes: &[u8], gone: &BTreeSet<u32>, headers: &BTreeMap<u32, Vec<u8>>) -> Result<Vec<u8>, &'static str> {
    if bytes.len() >= MOST {
        return Err("it is too large to be written");
    }
    if number(bytes, places::LARGEST_ROOT, 4) != Some(0) {
        return Err("it shrinks by itself, which rpm's does not");
    }
    let mut pages = Pages::new(bytes)?;
    let objects = pages.objects()?;
    let is_known = |object: &Object| object.root != 0 && [&b"table"[..], b"index"].contains(&object.kind.as_slice());
    if !objects.iter().all(is_known) {
        return Err("it has more than tables and indexes");
    }
    let mut builder = Builder::new(pages.page, pages.usable, objects.len() + 1);
    let mut kept: BTreeMap<&[u8], usize> = BTreeMap::new();
    let mut dropped: BTreeMap<&[u8], BTreeSet<i64>> = BTreeMap::new();
    // Tables come first: indexes follow from them.
    for is_table in [true, false] {
        for (at, object) in objects.iter().enumerate().filter(|(_, object)| (object.kind == b"table") == is_table) {
            let (is_one, mut rows) = pages.tree(object.root)?;
            if is_one != is_table {
                return Err("a tree is of another kind than the schema says");
            }
            if is_table {
                let gone = numbers(object, &rows, gone)?;
                rows.retain(|row| row.number.is_none_or(|number| !gone.contains(&number)));
                if object.name == b"Packages" {
                    replace(&mut rows, headers)?;
                }
                kept.insert(&object.name, rows.len());
                dropped.insert(&object.name, gone);
            } else {
                let gone = dropped.get(object.table.as_slice()).ok_or("an index has no table")?;
                let mut staying = Vec::new();
                for row in rows {
                    match columns(&row.bytes)?.last() {
                        Some(Value::Number(number)) if gone.contains(number) => {}
                        Some(Value::Number(_)) => staying.push(row),
                        _ => return Err("an entry of an index names no row"),
                    }
                }
                rows = staying;
                if kept.get(object.table.as_slice()) != Some(&rows.len()) {
                    return Err("an index does not go with its table");
                }
            }
            builder.tree(at + 2, &rows, is_table)?;
        }
    }
    let schema: Result<Vec<Row>, &str> = pages.schema(&objects);
    builder.tree(1, &schema?, true)?;
    finish(bytes, builder.into_pages())
}

/// Puts other headers in the places of those that rows have: a row ends with its header.
fn replace(rows: &mut [Row], headers: &BTreeMap<u32, Vec<u8>>) -> Result<(), &'static str> {
    for (package, header) in headers {
        let row = rows.iter_mut().find(|row| row.number == Some(i64::from(*package))).ok_or("a package has no row")?;
        match columns(&row.bytes)?.last() {
            Some(Value::Bytes(old)) if old.len() == header.len() => {}
            _ => return Err("a header has another length"),
        }
        let start = row.bytes.len() - header.len();
        row.bytes[start..].copy_from_slice(header);
    }
    Ok(())
}

/// The numbers of the rows that go: packages themselves, and what indexes have of them.
fn numbers(table: &Object, rows: &[Row], gone: &BTreeSet<u32>) -> Result<BTreeSet<i64>, &'static str> {
    if table.name.starts_with(b"sqlite_") {
        return Ok(BTreeSet::new());
    }
    let is_gone = |number: i64| u32::try_from(number).is_ok_and(|number| gone.contains(&number));
    if table.name == b"Packages" {
        let all: BTreeSet<i64> = rows.iter().filter_map(|row| row.number).filter(|number| is_gone(*number)).collect();
        return if all.len() == gone.len() { Ok(all) } else { Err("a package has no row") };
    }
    let statement = String::from_utf8_lossy(&table.statement).into_owned();
    let second = statement.split_once('(').and_then(|(_, all)| all.split(',').nth(1));
    if second.and_then(|column| column.split_whitespace().next()) != Some(NUMBER) {
        return Err("it has a table that is not rpm's");
    }
    let mut all = BTreeSet::new();
    for row in rows {
        let columns = columns(&row.bytes)?;
        match (columns.get(1), row.number) {
            (Some(Value::Number(package)), Some(number)) if is_gone(*package) => {
                all.insert(number);
            }
            (Some(Value::Number(_)), Some(_)) => {}
            _ => return Err("an entry is of no package"),
        }
    }
    Ok(all)
}

impl Pages<'_> {
    /// The rows of the schema with the new roots.
    fn schema(&self, objects: &[Object]) -> Result<Vec<Row>, &'static str> {
        // It is read anew, since only what rpm needs of it is in the objects.
        let rows = Pages::new(self.bytes)?.rows(1)?;
        let mut all = Vec::new();
        for (at, row) in rows.into_iter().take(objects.len()).enumerate() {
            let root = u16::try_from(at + 2).map_err(|_| "it has too many tables")?;
            all.push(Row { number: row.number, bytes: with_root(&row.bytes, root)? });
        }
        Ok(all)
    }
}

/// A row of the schema with another root, which is a number of two bytes.
fn with_root(row: &[u8], root: u16) -> Result<Vec<u8>, &'static str> {
    /// The type of such a number.
    const SHORT: u64 = 2;
    let (length, mut at) = super::varint(row, 0)?;
    let head = usize::try_from(length).ok().filter(|head| *head <= row.len()).ok_or("its schema is cut off")?;
    let (mut types, mut place, mut values) = (Vec::new(), head, Vec::new());
    for column in 0.. {
        if at >= head {
            break;
        }
        let (kind, next) = super::varint(row, at)?;
        at = next;
        let end = place.checked_add(super::width(kind)?).ok_or("its schema is cut off")?;
        let value = row.get(place..end).ok_or("its schema is cut off")?;
        place = end;
        if column == 3 {
            types.extend(varint(SHORT));
            values.extend(root.to_be_bytes());
        } else {
            types.extend(varint(kind));
            values.extend_from_slice(value);
        }
    }
    // The head's length counts itself; a schema's five types never make it longer than one byte can say.
    let head = u8::try_from(types.len() + 1).ok().filter(|head| *head < 0x80).ok_or("its schema is none")?;
    Ok([&[head], types.as_slice(), values.as_slice()].concat())
}

/// The file: its header with what is true of it now.
fn finish(before: &[u8], mut pages: Vec<Vec<u8>>) -> Result<Vec<u8>, &'static str> {
    let header = before.get(..100).ok_or("it is too short")?;
    let count = u32::try_from(pages.len()).map_err(|_| "it would have too many pages")?;
    let raised = |at: usize| {
        let found = number(header, at, 4).and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
        found.wrapping_add(1)
    };
    let (changes, schema) = (raised(places::CHANGES), raised(places::SCHEMA));
    let first = pages.first_mut().ok_or("it would have no page")?;
    first[..100].copy_from_slice(header);
    let mut set = |at: usize, number: u32| first[at..at + 4].copy_from_slice(&number.to_be_bytes());
    set(places::CHANGES, changes);
    set(places::VALID_FOR, changes);
    set(places::SCHEMA, schema);
    set(places::SIZE, count);
    set(places::FREE, 0);
    set(places::FREE + 4, 0);
    Ok(pages.concat())
}
