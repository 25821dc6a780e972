//! Writing the pages of a database of Berkeley DB: the settings of the one before, then pages in the order in which they
//! are added.

use super::{HEAD, Order, Pages, items, kinds, places};

const TOO_LARGE: &str = "it would be too large";

/// The number in a log that pages have where none is kept, as rpm keeps none.
const NOT_LOGGED: [u32; 2] = [0, 1];

/// The pages of a database that is written.
pub(super) struct Writer {
    bytes: Vec<u8>,
    page: usize,
    order: Order,
}

/// What a page says of itself.
pub(super) struct Head {
    pub(super) kind: u8,
    /// Leaves of trees have 1, what is above them more, and what is in no tree 0.
    pub(super) level: u8,
    pub(super) before: u32,
    pub(super) next: u32,
}

impl Writer {
    /// One that begins with the settings of a database that was read.
    pub(super) fn new(pages: &Pages<'_>) -> Result<Self, &'static str> {
        let settings = pages.bytes.get(..pages.page).ok_or("it is too short")?;
        Ok(Self { bytes: settings.to_vec(), page: pages.page, order: pages.order })
    }

    /// Adds pages; gives the number of the first.
    pub(super) fn add(&mut self, count: usize) -> Result<u32, &'static str> {
        let first = self.bytes.len() / self.page;
        let end = first.checked_add(count).filter(|end| u32::try_from(*end).is_ok());
        let length = end.and_then(|end| end.checked_mul(self.page)).ok_or(TOO_LARGE)?;
        self.bytes.resize(length, 0);
        u32::try_from(first).map_err(|_| TOO_LARGE)
    }

    /// Fills a page that was added: items from its end on, and where they are behind its head.
    pub(super) fn fill(&mut self, number: u32, head: &Head, items: &[Vec<u8>]) -> Result<(), &'static str> {
        let mut content = vec![0; self.page];
        let mut end = self.page;
        for (at, item) in items.iter().enumerate() {
            let place = HEAD + 2 * at;
            end = end.checked_sub(item.len()).filter(|end| place + 2 <= *end).ok_or("a page would be too full")?;
            content[end..end + item.len()].copy_from_slice(item);
            content[place..place + 2].copy_from_slice(&self.order.small(end));
        }
        self.put(number, head, (items.len(), end), content)
    }

    /// A value in pages of its own. Gives what is to stand in its place: the number of the first of them, and its length.
    pub(super) fn long(&mut self, value: &[u8]) -> Result<[[u8; 4]; 2], &'static str> {
        let parts = value.chunks(self.page - HEAD);
        let last = parts.len().saturating_sub(1);
        let first = self.add(parts.len())?;
        for (number, (at, part)) in (first..).zip(parts.enumerate()) {
            let mut content = vec![0; self.page];
            content[HEAD..HEAD + part.len()].copy_from_slice(part);
            let before = if at == 0 { 0 } else { number - 1 };
            let next = if at == last { 0 } else { number + 1 };
            let head = Head { kind: kinds::LONG, level: 0, before, next };
            // In place of items these pages have how often they are used and how many bytes of the value they hold.
            self.put(number, &head, (1, part.len()), content)?;
        }
        let length = u32::try_from(value.len()).map_err(|_| TOO_LARGE)?;
        Ok([first, length].map(|number| self.order.bytes(number)))
    }

    fn put(
        &mut self,
        number: u32,
        head: &Head,
        (items, end): (usize, usize),
        mut content: Vec<u8>,
    ) -> Result<(), &'static str> {
        let [log, place] = NOT_LOGGED;
        for (at, number) in [log, place, number, head.before, head.next].into_iter().enumerate() {
            content[4 * at..4 * at + 4].copy_from_slice(&self.order.bytes(number));
        }
        content[20..22].copy_from_slice(&self.order.small(items));
        content[22..24].copy_from_slice(&self.order.small(end));
        content[24..HEAD].copy_from_slice(&[head.level, head.kind]);
        let start = usize::try_from(number).map_err(|_| TOO_LARGE)? * self.page;
        self.bytes[start..start + self.page].copy_from_slice(&content);
        Ok(())
    }

    /// Changes a number of the settings.
    pub(super) fn set(&mut self, at: usize, number: u32) {
        self.bytes[at..at + 4].copy_from_slice(&self.order.bytes(number));
    }

    /// The file, which has so many entries.
    pub(super) fn finish(mut self, entries: u32) -> Result<Vec<u8>, &'static str> {
        let last = u32::try_from(self.bytes.len() / self.page - 1).map_err(|_| TOO_LARGE)?;
        self.set(places::FREE, 0);
        self.set(places::LAST, last);
        for at in places::COUNTED {
            if self.bytes[at..at + 4] != [0; 4] {
                self.set(at, entries);
            }
        }
        Ok(self.bytes)
    }
}

/// How many entries there are, as settings have it.
pub(super) fn count(entries: usize) -> Result<u32, &'static str> {
    u32::try_from(entries).map_err(|_| TOO_LARGE)
}

/// An item of a hash or a tree that stands for a value in pages of its own.
pub(super) fn long_item(before_kind: usize, after_kind: usize, [first, length]: [[u8; 4]; 2]) -> Vec<u8> {
    let mut item = vec![0; before_kind];
    item.push(items::LONG);
    item.resize(item.len() + after_kind, 0);
    item.extend([first, length].concat());
    item
}
