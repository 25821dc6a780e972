//! Trees of Berkeley DB: leaves with keys in their order and a value each, and above them pages that tell which leaf has a
//! key (`dbinc/db_page.h` and `btree/bt_verify.c` of Berkeley DB 5.3).

use super::write::{Head, Writer, count, long_item};
use super::{Entry, HEAD, Page, Pages, Parts, items, kinds};

/// Where numbers of the settings are.
mod places {
    pub(super) const LEAST_KEYS: usize = 76;
    pub(super) const ROOT: usize = 88;
}

/// The page of the root in a file that has one tree.
const ROOT: u32 = 1;

/// The bit of an item's kind that says that it is gone.
const GONE: u8 = 0x80;

/// Bytes of an item before a key or a value: in a leaf its length and its kind, above it also a page's number and a count.
const LEAF_HEAD: usize = 3;
const INNER_HEAD: usize = 12;
/// Bytes of an item that names pages.
const LONG: usize = 12;
/// Items are placed at multiples of this.
const STEP: usize = 4;
/// Bytes that a key or a value takes in a leaf beside itself, at most: its head, its place, what is to be filled up.
const ASIDE: usize = 10;

/// A page below another one, and a key that is greater than all before it and not greater than any in it.
struct Below {
    key: Vec<u8>,
    page: u32,
}

/// The entries in the order of their keys.
pub(super) fn entries(pages: &mut Pages<'_>) -> Result<Vec<Entry>, &'static str> {
    let (mut all, mut next) = (Vec::new(), vec![pages.number(pages.bytes, places::ROOT)?]);
    while let Some(at) = next.pop() {
        let page = pages.page(at)?;
        let count = pages.small(page.bytes, 20)?;
        match page.bytes[25] {
            kinds::TREE_LEAF => {
                // What lies in a page is no longer than it, whatever a damaged one says.
                let mut room = page.bytes.len();
                for at in (0..count).step_by(2) {
                    if at + 1 == count {
                        return Err("a key has no value");
                    }
                    let key = item(pages, &page, at, &mut room)?;
                    let value = item(pages, &page, at + 1, &mut room)?;
                    if let (Some(key), Some(value)) = (key, value) {
                        all.push(Entry { key, value });
                    }
                }
            }
            kinds::TREE_INNER => {
                for at in (0..count).rev() {
                    let start = pages.small(page.bytes, HEAD + 2 * at)?;
                    next.push(pages.number(page.bytes, start + 4)?);
                }
            }
            _ => return Err("a page is not one of a tree"),
        }
    }
    Ok(all)
}

/// A key or a value of a leaf: in the page itself, or from another page on. None where it is gone.
fn item(pages: &mut Pages<'_>, page: &Page<'_>, at: usize, room: &mut usize) -> Result<Option<Parts>, &'static str> {
    let start = pages.small(page.bytes, HEAD + 2 * at)?;
    match page.bytes.get(start + 2).ok_or("an entry is cut off")? {
        kind if kind & GONE != 0 => Ok(None),
        &items::WHOLE => {
            let length = pages.small(page.bytes, start)?;
            let end = start + LEAF_HEAD + length;
            if end > page.bytes.len() {
                return Err("an entry is cut off");
            }
            *room = room.checked_sub(length).ok_or("entries of a page share a place")?;
            Ok(Some(std::iter::once(page.start + start + LEAF_HEAD..page.start + end).collect()))
        }
        &items::LONG => {
            let (first, length) = (pages.number(page.bytes, start + 4)?, pages.number(page.bytes, start + 8)?);
            pages.long(first, length).map(Some)
        }
        _ => Err("an entry is of a kind that rpm does not use"),
    }
}

/// A tree with these entries and otherwise the settings of one that was read: its pages are as full as they can be.
pub(super) fn build(pages: &Pages<'_>, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<u8>, &'static str> {
    if entries.windows(2).any(|two| two[0].0 >= two[1].0) {
        return Err("its keys are in another order than rpm's are");
    }
    // Each leaf must have room for so many keys with their values; what would take more is in pages of its own.
    let least = usize::try_from(pages.number(pages.bytes, places::LEAST_KEYS)?).ok().filter(|least| *least >= 2);
    let share = least.and_then(|least| ((pages.page - HEAD) / least / 2).checked_sub(ASIDE));
    let most = share.ok_or("its pages must hold more keys than they can")?;
    let room = pages.page - HEAD;
    let size = |value: &Vec<u8>| 2 + if value.len() > most { LONG } else { padded(LEAF_HEAD + value.len()) };
    let leaves = groups(entries.iter().map(|(key, value)| size(key) + size(value)), room);

    let mut out = Writer::new(pages)?;
    let root = out.add(1)?;
    let first = if leaves.len() == 1 { root } else { out.add(leaves.len())? };
    let mut below = Vec::new();
    let mut start = 0usize;
    for (page, length) in (first..).zip(&leaves) {
        let key = match start.checked_sub(1) {
            Some(before) => between(&entries[before].0, &entries[start].0),
            None => Vec::new(),
        };
        if key.len() > most {
            return Err("its keys begin alike for too long");
        }
        below.push(Below { key, page });
        start += length;
    }
    raise(&mut out, pages, root, below)?;

    let (mut start, last) = (0, first + count(leaves.len() - 1)?);
    for (page, length) in (first..).zip(leaves) {
        let mut items = Vec::with_capacity(2 * length);
        for value in entries[start..start + length].iter().flat_map(|(key, value)| [key, value]) {
            items.push(if value.len() > most { long_item(2, 1, out.long(value)?) } else { leaf_item(pages, value) });
        }
        let before = if page == first { 0 } else { page - 1 };
        let next = if page == last { 0 } else { page + 1 };
        out.fill(page, &Head { kind: kinds::TREE_LEAF, level: 1, before, next }, &items)?;
        start += length;
    }
    out.set(places::ROOT, ROOT);
    out.finish(count(entries.len())?)
}

/// Writes the pages above leaves, up to the root.
fn raise(out: &mut Writer, pages: &Pages<'_>, root: u32, leaves: Vec<Below>) -> Result<(), &'static str> {
    let (mut below, mut level) = (leaves, 1u8);
    while below.len() > 1 {
        level = level.checked_add(1).ok_or("its tree would be too high")?;
        let mut counts = groups(below.iter().map(|one| 2 + padded(INNER_HEAD + one.key.len())), pages.page - HEAD);
        // A page above a single one says nothing.
        if let [.., before, last @ 1] = counts.as_mut_slice() {
            (*before, *last) = (*before - 1, 2);
        }
        let first = if counts.len() == 1 { root } else { out.add(counts.len())? };
        let mut above = Vec::new();
        let mut rest = below.into_iter();
        for (page, count) in (first..).zip(counts) {
            let group: Vec<Below> = rest.by_ref().take(count).collect();
            let items: Vec<Vec<u8>> = group.iter().map(|one| inner_item(pages, one)).collect();
            out.fill(page, &Head { kind: kinds::TREE_INNER, level, before: 0, next: 0 }, &items)?;
            above.extend(group.into_iter().next().map(|one| Below { key: one.key, page }));
        }
        below = above;
    }
    Ok(())
}

/// How many of some things that take so many bytes each are in each page; there is one page at least.
fn groups(sizes: impl Iterator<Item = usize>, room: usize) -> Vec<usize> {
    let (mut all, mut count, mut used) = (Vec::new(), 0, 0);
    for size in sizes {
        if count > 0 && used + size > room {
            all.push(count);
            (count, used) = (0, 0);
        }
        (count, used) = (count + 1, used + size);
    }
    all.push(count);
    all
}

/// The shortest key that is greater than one and not greater than the next.
fn between(one: &[u8], next: &[u8]) -> Vec<u8> {
    let common = one.iter().zip(next).take_while(|(one, next)| one == next).count();
    next[..next.len().min(common + 1)].to_vec()
}

fn leaf_item(pages: &Pages<'_>, value: &[u8]) -> Vec<u8> {
    let mut item = pages.order.small(value.len()).to_vec();
    item.push(items::WHOLE);
    item.extend_from_slice(value);
    item.resize(padded(item.len()), 0);
    item
}

fn inner_item(pages: &Pages<'_>, below: &Below) -> Vec<u8> {
    let mut item = pages.order.small(below.key.len()).to_vec();
    item.extend([items::WHOLE, 0]);
    item.extend(pages.order.bytes(below.page));
    // Only trees that count have a count.
    item.extend([0; 4]);
    item.extend_from_slice(&below.key);
    item.resize(padded(item.len()), 0);
    item
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(STEP)
}
