//! A database of rpm as a hash of Berkeley DB, made by hand: two buckets of which each goes on in further pages, short
//! values in these, long ones in pages of their own; and its indexes as trees.

const PAGE: usize = 512;
const HEAD: usize = 26;

/// The order of a number's bytes.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    Little,
    Big,
}

/// Pages and the order of the numbers in them.
struct Writer {
    pages: Vec<Vec<u8>>,
    order: Order,
}

/// The database with an entry for each header, and one for the last number that was given.
pub(crate) fn database(headers: &[Vec<u8>], order: Order) -> Vec<u8> {
    let mut writer = Writer { pages: vec![vec![0; PAGE]; 3], order };
    let (mut chains, mut at) = ([vec![1u32], vec![2u32]], 0);
    let last = writer.number(u32::try_from(headers.len()).expect("small"));
    let mut entries = vec![(writer.number(0), last)];
    for header in headers {
        at += 1;
        entries.push((writer.number(at), header.clone()));
    }
    let mut filled: Vec<Vec<Vec<u8>>> = vec![Vec::new(); 3];
    for (at, (key, value)) in entries.into_iter().enumerate() {
        let key = [vec![1], key].concat();
        let value = if value.len() < 100 { [vec![1], value].concat() } else { writer.long(&value) };
        let chain = &mut chains[at % 2];
        let page = *chain.last().expect("a page") as usize;
        let used: usize = filled[page].iter().map(|item| item.len() + 2).sum();
        let page = if HEAD + used + key.len() + value.len() + 4 <= PAGE {
            page
        } else {
            writer.pages.push(vec![0; PAGE]);
            filled.resize(writer.pages.len(), Vec::new());
            chain.push(u32::try_from(writer.pages.len() - 1).expect("small"));
            writer.pages.len() - 1
        };
        filled[page].extend([key, value]);
    }
    for chain in chains {
        for (at, page) in chain.iter().enumerate() {
            let next = chain.get(at + 1).copied().unwrap_or_default();
            writer.bucket(*page, next, &filled[*page as usize]);
        }
    }
    let end = u32::try_from(writer.pages.len() - 1).expect("small");
    // Magic number, version, page size; last page; buckets; the sample key; how many pages are before each group of buckets.
    let settings = [(12, 0x0006_1561), (16, 9), (20, 512), (32, end), (72, 1), (92, 0x5e68_8dd1), (96, 1), (100, 1)];
    writer.settings(&settings, 8);
    writer.pages.concat()
}

/// An index as a tree of one leaf: keys in their order with the packages that have them, each with a place.
pub(crate) fn index(keys: &[(&str, &[(u32, u32)])], order: Order) -> Vec<u8> {
    let mut writer = Writer { pages: vec![vec![0; PAGE]; 2], order };
    let mut items = Vec::new();
    for (key, set) in keys {
        let set = set.iter().flat_map(|(package, place)| [writer.number(*package), writer.number(*place)]);
        for value in [key.as_bytes().to_vec(), set.flatten().collect()] {
            let mut item = [writer.small(value.len()), vec![1], value].concat();
            item.resize(item.len().next_multiple_of(4), 0);
            items.push(item);
        }
    }
    writer.bucket(1, 0, &items);
    // A number of a log that is not kept, the leaf's height and kind.
    let log = writer.number(1);
    writer.pages[1][4..8].copy_from_slice(&log);
    writer.pages[1][24..26].copy_from_slice(&[1, 5]);
    // Magic number, version, page size; last page; keys that a leaf has at least; the root.
    writer.settings(&[(12, 0x0005_3162), (16, 9), (20, 512), (32, 1), (76, 2), (88, 1)], 9);
    writer.pages.concat()
}

impl Writer {
    fn settings(&mut self, numbers: &[(usize, u32)], kind: u8) {
        for (at, number) in numbers {
            let number = self.number(*number);
            self.pages[0][*at..at + 4].copy_from_slice(&number);
        }
        self.pages[0][25] = kind;
    }

    fn number(&self, number: u32) -> Vec<u8> {
        match self.order {
            Order::Little => number.to_le_bytes().to_vec(),
            Order::Big => number.to_be_bytes().to_vec(),
        }
    }

    fn small(&self, number: usize) -> Vec<u8> {
        let number = u16::try_from(number).expect("small");
        match self.order {
            Order::Little => number.to_le_bytes().to_vec(),
            Order::Big => number.to_be_bytes().to_vec(),
        }
    }

    /// A page's head: its number, the next one, two numbers, its kind.
    fn head(&mut self, page: u32, next: u32, (entries, free): (usize, usize), kind: u8) {
        let head =
            [vec![0; 8], self.number(page), self.number(0), self.number(next), self.small(entries), self.small(free)];
        let place = &mut self.pages[page as usize];
        place[..24].copy_from_slice(&head.concat());
        place[25] = kind;
    }

    /// Keys and values from the end of a page on.
    fn bucket(&mut self, page: u32, next: u32, items: &[Vec<u8>]) {
        let mut end = PAGE;
        for (at, item) in items.iter().enumerate() {
            end -= item.len();
            let place = self.small(end);
            let content = &mut self.pages[page as usize];
            content[end..end + item.len()].copy_from_slice(item);
            content[HEAD + 2 * at..HEAD + 2 * at + 2].copy_from_slice(&place);
        }
        self.head(page, next, (items.len(), end), 13);
    }

    /// A value in pages of its own; gives what names it.
    fn long(&mut self, value: &[u8]) -> Vec<u8> {
        let first = u32::try_from(self.pages.len()).expect("small");
        let parts: Vec<&[u8]> = value.chunks(PAGE - HEAD).collect();
        for (at, part) in parts.iter().enumerate() {
            let page = u32::try_from(self.pages.len()).expect("small");
            let mut content = vec![0; PAGE];
            content[HEAD..HEAD + part.len()].copy_from_slice(part);
            self.pages.push(content);
            let next = if at + 1 < parts.len() { page + 1 } else { 0 };
            self.head(page, next, (1, part.len()), 7);
        }
        let length = u32::try_from(value.len()).expect("small");
        [vec![3, 0, 0, 0], self.number(first), self.number(length)].concat()
    }
}
