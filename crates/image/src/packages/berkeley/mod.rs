//! Databases of Berkeley DB in memory, as rpm had them before SQLite: `Packages` is a hash of headers, and beside it are
//! indexes, trees or, in older systems, hashes as well. A file is a page with settings, then pages with keys and values, of
//! which long ones are in pages of their own (Berkeley DB 5.3, `dbinc/db_page.h`; rpm's `lib/backend/bdb_ro.c` reads the
//! same). Numbers are in the order of the machine that wrote them.

mod hash;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The settings' magic numbers.
const HASH: u32 = 0x0006_1561;
const TREE: u32 = 0x0005_3162;

/// Bytes before what a page holds: the number in a log, the page's own, the one before, the next one, how many items it
/// has, where they begin, its height in a tree, its kind.
const HEAD: usize = 26;

/// The bit of the settings' flags that says that pages have checksums; the other ones say that there are further files.
const CHECKSUMS: u8 = 1;

/// What a page holds, as its byte 25 says.
mod kinds {
    pub(super) const HASH_UNSORTED: u8 = 2;
    pub(super) const TREE_INNER: u8 = 3;
    pub(super) const TREE_LEAF: u8 = 5;
    pub(super) const LONG: u8 = 7;
    pub(super) const HASH: u8 = 13;
}

/// What an item of a page is.
mod items {
    /// It is the key or the value.
    pub(super) const WHOLE: u8 = 1;
    /// It names the first of the pages that have it.
    pub(super) const LONG: u8 = 3;
}

/// Where numbers of the settings are, in hashes and trees alike.
mod places {
    pub(super) const MAGIC: usize = 12;
    pub(super) const VERSION: usize = 16;
    pub(super) const PAGE: usize = 20;
    pub(super) const ENCRYPTION: usize = 24;
    pub(super) const FILE_FLAGS: usize = 26;
    pub(super) const FREE: usize = 28;
    pub(super) const LAST: usize = 32;
    pub(super) const PARTS: usize = 36;
    /// How many keys and how many values there were when they were last counted; zero where they never were.
    pub(super) const COUNTED: [usize; 2] = [40, 44];
    pub(super) const FLAGS: usize = 48;
}

/// A set of an index has so many bytes a member: the number of a package, and a place among the values of its tag.
const MEMBER: usize = 8;

/// The order of a number's bytes.
#[derive(Clone, Copy, Debug)]
enum Order {
    Little,
    Big,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Hash,
    Tree,
}

/// Where a key or a value lies in the file.
type Parts = Vec<Range<usize>>;

struct Entry {
    key: Parts,
    value: Parts,
}

/// A database in memory.
struct Pages<'b> {
    bytes: &'b [u8],
    form: Form,
    order: Order,
    version: u32,
    page: usize,
    last: u32,
    /// How many pages may still be looked at: each belongs to one place, so that a damaged file leads in no circle.
    left: usize,
}

struct Page<'b> {
    /// Where it is in the file.
    start: usize,
    bytes: &'b [u8],
}

/// Whether a file is a database of Berkeley DB.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    form(bytes).is_some()
}

/// The numbers of the packages and their headers, in the order of their numbers.
pub(super) fn blobs(bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, &'static str> {
    let mut pages = Pages::new(bytes)?;
    let entries = packages(&mut pages)?;
    // Under zero rpm keeps the last number that it gave.
    let headers = entries.iter().filter(|(number, _)| **number != 0);
    Ok(headers.map(|(number, entry)| (*number, pages.content(&entry.value))).collect())
}

/// The hash of headers without some packages. It is written anew, so that no page is left over.
pub(super) fn without(bytes: &[u8], gone: &BTreeSet<u32>) -> Result<Vec<u8>, &'static str> {
    let mut pages = Pages::new(bytes)?;
    pages.may_be_written()?;
    let mut entries = packages(&mut pages)?;
    entries.retain(|number, _| !gone.contains(number));
    let entries = entries.values().map(|entry| (pages.content(&entry.key), pages.content(&entry.value)));
    hash::build(&pages, entries.collect())
}

/// The hash of headers with other ones for some packages, each as long as the one before it. What indexes say stays true of
/// it.
pub(super) fn replaced(bytes: &[u8], headers: &BTreeMap<u32, Vec<u8>>) -> Result<Vec<u8>, &'static str> {
    let mut pages = Pages::new(bytes)?;
    pages.may_be_written()?;
    let (entries, mut out) = (packages(&mut pages)?, bytes.to_vec());
    for (number, header) in headers {
        let entry = entries.get(number).filter(|_| *number != 0).ok_or("a package has no entry")?;
        if entry.value.iter().map(Range::len).sum::<usize>() != header.len() {
            return Err("a header has another length");
        }
        let mut rest = header.as_slice();
        for part in &entry.value {
            let (here, after) = rest.split_at(part.len());
            out[part.clone()].copy_from_slice(here);
            rest = after;
        }
    }
    Ok(out)
}

/// An index without some packages: keys that only these have go along. Where it has none of them it stays as it is.
pub(super) fn index_without(bytes: &[u8], gone: &BTreeSet<u32>) -> Result<Vec<u8>, &'static str> {
    let mut pages = Pages::new(bytes)?;
    pages.may_be_written()?;
    let entries = match pages.form {
        Form::Hash => hash::entries(&mut pages)?,
        Form::Tree => tree::entries(&mut pages)?,
    };
    let (mut kept, mut is_changed) = (Vec::new(), false);
    for entry in entries {
        let (key, set) = (pages.content(&entry.key), pages.content(&entry.value));
        if !set.len().is_multiple_of(MEMBER) {
            return Err("a set of packages is none");
        }
        let mut left = Vec::new();
        for member in set.chunks(MEMBER) {
            if !gone.contains(&pages.number(member, 0)?) {
                left.extend_from_slice(member);
            }
        }
        is_changed |= left.len() != set.len();
        if !left.is_empty() || set.is_empty() {
            kept.push((key, left));
        }
    }
    match pages.form {
        _ if !is_changed => Ok(bytes.to_vec()),
        Form::Hash => hash::build(&pages, kept),
        Form::Tree => tree::build(&pages, &kept),
    }
}

/// The entries of the hash of headers by their numbers.
fn packages(pages: &mut Pages<'_>) -> Result<BTreeMap<u32, Entry>, &'static str> {
    if pages.form == Form::Tree {
        return Err("it is a tree, where rpm has a hash");
    }
    let mut all = BTreeMap::new();
    for entry in hash::entries(pages)? {
        let key = pages.content(&entry.key);
        let number = pages.number(&key, 0).ok().filter(|_| key.len() == 4).ok_or("a key is no number")?;
        if all.insert(number, entry).is_some() {
            return Err("two entries have one package's number");
        }
    }
    Ok(all)
}

fn form(bytes: &[u8]) -> Option<(Form, Order)> {
    let all = [(Form::Hash, HASH), (Form::Tree, TREE)];
    let mut all =
        all.into_iter().flat_map(|(form, magic)| [Order::Little, Order::Big].map(|order| (form, order, magic)));
    let magic: [u8; 4] = *bytes.get(places::MAGIC..)?.first_chunk()?;
    let found = all.find(|(_, order, number)| order.bytes(*number) == magic);
    found.map(|(form, order, _)| (form, order))
}

impl<'b> Pages<'b> {
    fn new(bytes: &'b [u8]) -> Result<Self, &'static str> {
        if bytes.len() < places::MAGIC + 4 {
            return Err("it is too short");
        }
        let (form, order) = form(bytes).ok_or("it is no Berkeley DB")?;
        let mut pages = Self { bytes, form, order, version: 0, page: 0, last: 0, left: 0 };
        pages.version = pages.number(bytes, places::VERSION)?;
        if !(8..=10).contains(&pages.version) {
            return Err("its version is none that is known");
        }
        if bytes.get(places::ENCRYPTION) != Some(&0) {
            return Err("it is encrypted");
        }
        if bytes.get(places::FILE_FLAGS).is_none_or(|flags| flags & CHECKSUMS != 0) {
            return Err("its pages have checksums");
        }
        pages.page = usize::try_from(pages.number(bytes, places::PAGE)?).map_err(|_| "its page size is none")?;
        if !pages.page.is_power_of_two() || !(512..=1 << 16).contains(&pages.page) {
            return Err("its page size is none");
        }
        pages.left = bytes.len() / pages.page;
        pages.last = pages.number(bytes, places::LAST)?;
        Ok(pages)
    }

    /// Whether it has nothing that rpm's databases do not have, so that it can be written anew.
    fn may_be_written(&self) -> Result<(), &'static str> {
        // The tenth version is that of Berkeley DB 6, which rpm was hardly ever built with.
        if self.version > 9 {
            return Err("its version is read and not written");
        }
        if self.bytes.get(places::FILE_FLAGS) != Some(&0) || self.number(self.bytes, places::PARTS)? != 0 {
            return Err("it is in several files");
        }
        if self.number(self.bytes, places::FLAGS)? != 0 {
            return Err("it has duplicates, counts its entries or holds databases, which rpm's do not");
        }
        Ok(())
    }

    fn page(&mut self, at: u32) -> Result<Page<'b>, &'static str> {
        self.page_if_made(at)?.ok_or("a page has another's number")
    }

    /// The same; none where the page is all zeros, as that of a bucket is that never had an entry.
    fn page_if_made(&mut self, at: u32) -> Result<Option<Page<'b>>, &'static str> {
        self.left = self.left.checked_sub(1).ok_or("its pages lead in circles")?;
        let start = usize::try_from(at).ok().filter(|_| at <= self.last).and_then(|at| at.checked_mul(self.page));
        let page = start.and_then(|start| Some((start, self.bytes.get(start..start.checked_add(self.page)?)?)));
        let (start, bytes) = page.ok_or("a page is missing")?;
        match self.number(bytes, 8)? {
            number if number == at => Ok(Some(Page { start, bytes })),
            _ if bytes.iter().all(|byte| *byte == 0) => Ok(None),
            _ => Err("a page has another's number"),
        }
    }

    /// What lies in pages of its own, from one on.
    fn long(&mut self, first: u32, length: u32) -> Result<Parts, &'static str> {
        let mut left = usize::try_from(length).map_err(|_| "a value is too long")?;
        let (mut next, mut parts) = (first, Vec::new());
        while left > 0 {
            let page = self.page(next)?;
            if page.bytes[25] != kinds::LONG {
                return Err("a page is not one of a long value");
            }
            let part = self.small(page.bytes, 22)?;
            if part > left || HEAD + part > page.bytes.len() {
                return Err("a long value is cut off");
            }
            parts.push(page.start + HEAD..page.start + HEAD + part);
            left -= part;
            next = self.number(page.bytes, 16)?;
        }
        Ok(parts)
    }

    fn content(&self, parts: &[Range<usize>]) -> Vec<u8> {
        parts.iter().flat_map(|part| &self.bytes[part.clone()]).copied().collect()
    }

    fn number(&self, bytes: &[u8], at: usize) -> Result<u32, &'static str> {
        let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).ok_or("it is too short")?;
        Ok(self.order.number(*found))
    }

    fn small(&self, bytes: &[u8], at: usize) -> Result<usize, &'static str> {
        let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().ok_or("a page is cut off")?;
        Ok(usize::from(match self.order {
            Order::Little => u16::from_le_bytes(found),
            Order::Big => u16::from_be_bytes(found),
        }))
    }
}

impl Order {
    fn number(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    fn bytes(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    /// A number that has two bytes in a page. The largest page's own size is written as zero.
    fn small(self, number: usize) -> [u8; 2] {
        let [low, high, ..] = number.to_le_bytes();
        match self {
            Self::Little => [low, high],
            Self::Big => [high, low],
        }
    }
}
