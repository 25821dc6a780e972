//! Writing trees of SQLite in one go: leaves in the order of the entries, then the pages above them.

use std::ops::Range;

use super::{Row, local};

/// Bytes before the places of the cells in a leaf, and in a page above others, which also names the last one below it.
const LEAF: usize = 8;
const INNER: usize = 12;

/// The pages of a database that is written.
pub(super) struct Builder {
    pages: Vec<Vec<u8>>,
    page: usize,
    usable: usize,
}

/// What of a tree is in pages of one height.
struct Level {
    /// The entries of leaves; above them what is between one page below and the next.
    cells: Vec<Vec<u8>>,
    /// The pages below, one more than cells; none in leaves.
    below: Vec<u32>,
    is_table: bool,
}

impl Builder {
    /// One whose first pages are kept for roots.
    pub(super) fn new(page: usize, usable: usize, roots: usize) -> Self {
        Self { pages: vec![vec![0; page]; roots], page, usable }
    }

    pub(super) fn into_pages(self) -> Vec<Vec<u8>> {
        self.pages
    }

    /// Writes a tree whose root is a page that was kept for it.
    pub(super) fn tree(&mut self, root: usize, rows: &[Row], is_table: bool) -> Result<(), &'static str> {
        let mut level = Level { cells: Vec::new(), below: Vec::new(), is_table };
        for row in rows {
            level.cells.push(self.cell(row)?);
        }
        // The first page begins with the file's header.
        let start = if root == 1 { 100 } else { 0 };
        while !level.fits(0..level.cells.len(), self.usable - start) {
            let groups = level.groups(self.usable)?;
            let mut above = Level { cells: Vec::new(), below: Vec::new(), is_table };
            for group in groups {
                // Tables are told by numbers what is in a leaf; of indexes and further above it is what is left out here.
                if let Some(between) = level.cells.get(group.end) {
                    above.cells.push(match rows[group.end.min(rows.len()) - 1].number {
                        Some(number) if level.below.is_empty() => varint(number.cast_unsigned()),
                        _ => between.clone(),
                    });
                }
                let page = self.render(&level, group, 0)?;
                above.below.push(self.push(page)?);
            }
            level = above;
        }
        self.pages[root - 1] = self.render(&level, 0..level.cells.len(), start)?;
        Ok(())
    }

    /// A cell of a leaf; what does not fit into it goes to pages of its own.
    fn cell(&mut self, row: &Row) -> Result<Vec<u8>, &'static str> {
        let local = local(self.usable, row.bytes.len(), row.number.is_some());
        let mut cell = varint(row.bytes.len() as u64);
        if let Some(number) = row.number {
            cell.extend(varint(number.cast_unsigned()));
        }
        let (here, rest) = row.bytes.split_at(local);
        cell.extend_from_slice(here);
        let parts = rest.chunks(self.usable - 4);
        let count = parts.len();
        for (at, part) in parts.enumerate() {
            let next = small(self.pages.len() + 1)?;
            if at == 0 {
                cell.extend(next.to_be_bytes());
            }
            let following = if at + 1 == count { 0 } else { next + 1 };
            let mut page = [&following.to_be_bytes(), part].concat();
            page.resize(self.page, 0);
            self.push(page)?;
        }
        // No place is smaller.
        cell.resize(cell.len().max(4), 0);
        Ok(cell)
    }

    /// A page with some of the cells, placed from its end on.
    fn render(&self, level: &Level, cells: Range<usize>, start: usize) -> Result<Vec<u8>, &'static str> {
        let is_leaf = level.below.is_empty();
        let mut page = vec![0; self.page];
        page[start] = match (is_leaf, level.is_table) {
            (true, true) => 0x0d,
            (true, false) => 0x0a,
            (false, true) => 0x05,
            (false, false) => 0x02,
        };
        let (mut end, mut place) = (self.usable, start + LEAF);
        if !is_leaf {
            page[start + LEAF..start + INNER].copy_from_slice(&level.below[cells.end].to_be_bytes());
            place = start + INNER;
        }
        let (count, first) = (cells.len(), place);
        for at in cells {
            let below: &[u8] = if is_leaf { &[] } else { &level.below[at].to_be_bytes() };
            let cell = [below, &level.cells[at]].concat();
            end = end.checked_sub(cell.len()).filter(|end| *end >= first + 2 * count).ok_or("a page overflows")?;
            page[end..end + cell.len()].copy_from_slice(&cell);
            page[place..place + 2].copy_from_slice(&narrow(end)?.to_be_bytes());
            place += 2;
        }
        page[start + 3..start + 5].copy_from_slice(&narrow(count)?.to_be_bytes());
        // Of the largest pages the end has no number; zero stands for it.
        page[start + 5..start + 7].copy_from_slice(&narrow(end % (1 << 16))?.to_be_bytes());
        Ok(page)
    }

    /// Appends a page; gives its number.
    fn push(&mut self, page: Vec<u8>) -> Result<u32, &'static str> {
        self.pages.push(page);
        small(self.pages.len())
    }
}

impl Level {
    fn fits(&self, cells: Range<usize>, room: usize) -> bool {
        let (head, below) = if self.below.is_empty() { (LEAF, 0) } else { (INNER, 4) };
        head + cells.map(|at| self.cells[at].len() + below + 2).sum::<usize>() <= room
    }

    /// The cells of each page. Where pages stand above others, and in indexes, the cell between two groups is in neither.
    fn groups(&self, room: usize) -> Result<Vec<Range<usize>>, &'static str> {
        let between = usize::from(!(self.is_table && self.below.is_empty()));
        let count = self.cells.len();
        let (mut groups, mut start) = (Vec::new(), 0);
        while start < count {
            let mut end = start;
            while end < count && self.fits(start..end + 1, room) {
                end += 1;
            }
            // What is between is not the end.
            if end + between == count && between == 1 {
                end -= 1;
            }
            if end == start {
                return Err("an entry does not fit into a page");
            }
            groups.push(start..end);
            start = end + between;
        }
        if let [all] = groups.as_slice() {
            // They fit into any page but the first.
            let middle = count / 2;
            if middle == 0 || middle + between >= all.end {
                return Err("an entry does not fit into the first page");
            }
            groups = vec![0..middle, middle + between..count];
        }
        Ok(groups)
    }
}

/// Seven bits a byte, the highest first; what does not fit into eight of these takes nine bytes, of which the last has eight.
pub(super) fn varint(number: u64) -> Vec<u8> {
    let septets = (64 - number.leading_zeros()).div_ceil(7).max(1);
    let byte = |bits: u64| u8::try_from(bits & 0xff).unwrap_or_default();
    if septets > 8 {
        let mut bytes: Vec<u8> = (0..8).rev().map(|at| byte(number >> (8 + 7 * at) & 0x7f | 0x80)).collect();
        bytes.push(byte(number));
        return bytes;
    }
    (0..septets).rev().map(|at| byte(number >> (7 * at) & 0x7f | if at == 0 { 0 } else { 0x80 })).collect()
}

fn small(size: usize) -> Result<u32, &'static str> {
    u32::try_from(size).map_err(|_| "it would have too many pages")
}

fn narrow(size: usize) -> Result<u16, &'static str> {
    u16::try_from(size).map_err(|_| "a page is too large")
}
