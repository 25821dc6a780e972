//! Hashes of Berkeley DB: keys are in buckets, each a page and those that it goes on in (`dbinc/hash.h` and
//! `hash/hash_page.c` of Berkeley DB 5.3).

use std::cmp::Ordering;

use super::write::{Head, Writer, count, long_item};
use super::{Entry, HEAD, Pages, Parts, items, kinds};

/// Where numbers of the settings are.
mod places {
    pub(super) const LAST_BUCKET: usize = 72;
    /// The bits of a key's number that tell its bucket, and those where there is none of that number.
    pub(super) const MASKS: [usize; 2] = [76, 80];
    pub(super) const ENTRIES: usize = 88;
    pub(super) const SAMPLE: usize = 92;
    /// How many pages that are no buckets are before each group of buckets.
    pub(super) const BEFORE: usize = 96;
}

/// Buckets come in so many groups at most, each for twice as many as there were.
const GROUPS: usize = 32;

/// Settings have the number of this key, so that a file that was made with another function is known by it.
const SAMPLE: &[u8] = b"%$sniglet^&\0";

/// So many items of one page a key or a value may take alone.
const SHARE: usize = 4;

/// Bytes of an item that names pages.
const LONG: usize = 12;

pub(super) fn entries(pages: &mut Pages<'_>) -> Result<Vec<Entry>, &'static str> {
    let (last, mut all) = (pages.number(pages.bytes, places::LAST_BUCKET)?, Vec::new());
    if last > pages.last {
        return Err("it has more buckets than pages");
    }
    for bucket in 0..=last {
        let group = usize::try_from(u32::BITS - bucket.leading_zeros()).map_err(|_| "a bucket has no place")?;
        let before = pages.number(pages.bytes, places::BEFORE + 4 * group)?;
        let mut next = bucket.checked_add(before).ok_or("a bucket has no place")?;
        while next != 0 {
            let Some(page) = pages.page_if_made(next)? else { break };
            if ![kinds::HASH_UNSORTED, kinds::HASH].contains(&page.bytes[25]) {
                return Err("a page is not one of a hash");
            }
            // Keys and values in turn, placed from the end of the page on.
            let mut end = page.bytes.len();
            let mut found: Vec<Parts> = Vec::new();
            for at in 0..pages.small(page.bytes, 20)? {
                let start = pages.small(page.bytes, HEAD + 2 * at)?;
                let bytes = page.bytes.get(start..end).filter(|item| !item.is_empty()).ok_or("an entry is cut off")?;
                found.push(item(pages, bytes, page.start + start)?);
                end = start;
            }
            let mut found = found.into_iter();
            while let Some(key) = found.next() {
                all.push(Entry { key, value: found.next().ok_or("a key has no value")? });
            }
            next = pages.number(page.bytes, 16)?;
        }
    }
    Ok(all)
}

/// A key or a value: in the page itself, or from another page on.
fn item(pages: &mut Pages<'_>, item: &[u8], start: usize) -> Result<Parts, &'static str> {
    match item[0] {
        items::WHOLE => Ok(std::iter::once(start + 1..start + item.len()).collect()),
        items::LONG if item.len() == LONG => pages.long(pages.number(item, 4)?, pages.number(item, 8)?),
        _ => Err("an entry is of a kind that rpm does not use"),
    }
}

/// A hash with these entries and otherwise the settings of one that was read. It has as few buckets as the entries need, in
/// one row behind the settings, as if it had been made for so many.
pub(super) fn build(pages: &Pages<'_>, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<u8>, &'static str> {
    if pages.number(pages.bytes, places::SAMPLE)? != number(SAMPLE) {
        return Err("its keys are placed by a function of its own");
    }
    let most = pages.page / SHARE;
    // The order of long keys depends on what they are compared with; rpm has none.
    if entries.iter().any(|(key, _)| key.len() > most) {
        return Err("a key is too long for a hash");
    }
    let size = |value: &Vec<u8>| if value.len() > most { LONG + 2 } else { 1 + value.len() + 2 };
    let needed: usize = entries.iter().map(|(key, value)| size(key) + size(value)).sum();
    let buckets = needed.div_ceil(pages.page - HEAD).max(2).next_power_of_two();
    let last = count(buckets - 1)?;
    let total = count(entries.len())?;

    let mut sorted: Vec<Vec<(Vec<u8>, Vec<u8>)>> = vec![Vec::new(); buckets];
    for (key, value) in entries {
        let bucket = usize::try_from(number(&key) & last).map_err(|_| "a bucket has no place")?;
        sorted[bucket].push((key, value));
    }
    let mut out = Writer::new(pages)?;
    let first = out.add(buckets)?;
    for (page, mut entries) in (first..).zip(sorted) {
        entries.sort_by(|(one, _), (other, _)| order(one, other));
        if entries.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err("a key is there twice");
        }
        bucket(pages, &mut out, page, &entries)?;
    }
    out.set(places::LAST_BUCKET, last);
    for (at, mask) in places::MASKS.into_iter().zip([last, last >> 1]) {
        out.set(at, mask);
    }
    out.set(places::ENTRIES, total);
    let groups = usize::try_from(u32::BITS - last.leading_zeros()).map_err(|_| "a bucket has no place")?;
    for group in 0..GROUPS {
        out.set(places::BEFORE + 4 * group, if group <= groups { first } else { 0 });
    }
    out.finish(total)
}

/// Writes a bucket's entries into its page and as many further ones as they need.
fn bucket(pages: &Pages<'_>, out: &mut Writer, first: u32, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<(), &'static str> {
    let mut groups: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    let mut left = pages.page - HEAD;
    for (key, value) in entries {
        let mut pair = Vec::new();
        for value in [key, value] {
            pair.push(if value.len() > pages.page / SHARE {
                long_item(0, 3, out.long(value)?)
            } else {
                [&[items::WHOLE], value.as_slice()].concat()
            });
        }
        let size = pair.iter().map(|item| item.len() + 2).sum();
        if size > left {
            groups.push(Vec::new());
            left = pages.page - HEAD;
        }
        left = left.checked_sub(size).ok_or("an entry is too long for a page")?;
        if let Some(group) = groups.last_mut() {
            group.extend(pair);
        }
    }
    // Before its ninth version, keys in pages were in no order, and pages that have one of another kind are not known.
    let kind = if pages.version < 9 { kinds::HASH_UNSORTED } else { kinds::HASH };
    let further = out.add(groups.len() - 1)?;
    let numbers: Vec<u32> = [first].into_iter().chain(further..).take(groups.len()).collect();
    for (at, items) in groups.iter().enumerate() {
        let before = at.checked_sub(1).map_or(0, |before| numbers[before]);
        let next = numbers.get(at + 1).copied().unwrap_or_default();
        out.fill(numbers[at], &Head { kind, level: 0, before, next }, items)?;
    }
    Ok(())
}

/// The number of a key, whose lowest bits tell its bucket (Fowler, Noll and Vo's, with zero to begin with).
fn number(key: &[u8]) -> u32 {
    key.iter().fold(0, |number: u32, byte| number.wrapping_mul(16_777_619) ^ u32::from(*byte))
}

/// The order of keys in a page: of two that begin alike, the longer one is the first.
fn order(one: &[u8], other: &[u8]) -> Ordering {
    let common = one.len().min(other.len());
    one[..common].cmp(&other[..common]).then(other.len().cmp(&one.len()))
}
