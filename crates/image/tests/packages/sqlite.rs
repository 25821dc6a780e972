//! A database of rpm as SQLite writes it, made by hand: a header for each package, rows in leaves below one inner page,
//! and what does not fit in pages of its own.

const PAGE: usize = 1024;

/// The value of a header's tag.
#[derive(Clone)]
pub(crate) enum Tag<'t> {
    Text(&'t str),
    Texts(&'t [&'t str]),
    Numbers(&'t [u32]),
    Small(&'t [u16]),
    States(&'t [u8]),
}

/// A header: how many tags, how many bytes, the index, the data.
pub(crate) fn header(tags: &[(u32, Tag<'_>)]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, value) in tags {
        let (kind, count) = match value {
            Tag::Text(_) => (6, 1),
            Tag::Texts(texts) => (8, texts.len()),
            Tag::Numbers(numbers) => {
                data.resize(data.len().next_multiple_of(4), 0);
                (4, numbers.len())
            }
            Tag::Small(numbers) => {
                data.resize(data.len().next_multiple_of(2), 0);
                (3, numbers.len())
            }
            Tag::States(states) => (1, states.len()),
        };
        for field in [*tag, kind, narrow(data.len()), narrow(count)] {
            index.extend(field.to_be_bytes());
        }
        match value {
            Tag::Text(text) => data.extend([text.as_bytes(), b"\0"].concat()),
            Tag::Texts(texts) => texts.iter().for_each(|text| data.extend([text.as_bytes(), b"\0"].concat())),
            Tag::Numbers(numbers) => numbers.iter().for_each(|number| data.extend(number.to_be_bytes())),
            Tag::Small(numbers) => numbers.iter().for_each(|number| data.extend(number.to_be_bytes())),
            Tag::States(states) => data.extend_from_slice(states),
        }
    }
    [narrow(tags.len()).to_be_bytes().to_vec(), narrow(data.len()).to_be_bytes().to_vec(), index, data].concat()
}

/// The database with a row for each header.
pub(crate) fn database(headers: &[Vec<u8>]) -> Vec<u8> {
    let mut pages: Vec<Vec<u8>> = vec![Vec::new(), Vec::new()];
    let mut leaves: Vec<(u32, u64)> = Vec::new();
    let (mut cells, mut size, mut last) = (Vec::new(), 0, 0);
    for (at, header) in headers.iter().enumerate() {
        last = at as u64 + 1;
        // The number of the row stands for the first column.
        let row = row(&[(0, &[]), (header.len() as u64 * 2 + 12, header)]);
        let cell = cell(last, &row, &mut pages);
        if size + cell.len() + 2 > PAGE - 8 {
            pages.push(page(0x0d, 0, &std::mem::take(&mut cells), None));
            leaves.push((narrow(pages.len()), last - 1));
            size = 0;
        }
        size += cell.len() + 2;
        cells.push(cell);
    }
    pages.push(page(0x0d, 0, &cells, None));
    leaves.push((narrow(pages.len()), last));
    let (rightmost, inner) = leaves.split_last().expect("a leaf");
    let inner = inner.iter().map(|(page, key)| [page.to_be_bytes().to_vec(), varint(*key)].concat());
    pages[1] = page(0x05, 0, &inner.collect::<Vec<_>>(), Some(rightmost.0));
    let statement = "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)";
    let texts = ["table", "Packages", "Packages"];
    let mut columns: Vec<(u64, &[u8])> =
        texts.iter().map(|text| (text.len() as u64 * 2 + 13, text.as_bytes())).collect();
    columns.push((1, &[2]));
    columns.push((statement.len() as u64 * 2 + 13, statement.as_bytes()));
    let schema = cell(1, &row(&columns), &mut pages);
    let mut first = page(0x0d, 100, &[schema], None);
    first[..16].copy_from_slice(b"SQLite format 3\0");
    first[16..18].copy_from_slice(&u16::try_from(PAGE).expect("small").to_be_bytes());
    pages[0] = first;
    pages.concat()
}

/// A page of a b-tree: its header, pointers to the cells, and these from its end on.
fn page(kind: u8, start: usize, cells: &[Vec<u8>], rightmost: Option<u32>) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[start] = kind;
    page[start + 3..start + 5].copy_from_slice(&u16::try_from(cells.len()).expect("small").to_be_bytes());
    let mut pointers = start + 8;
    if let Some(rightmost) = rightmost {
        page[start + 8..start + 12].copy_from_slice(&rightmost.to_be_bytes());
        pointers += 4;
    }
    let mut end = PAGE;
    for (at, cell) in cells.iter().enumerate() {
        end -= cell.len();
        page[end..end + cell.len()].copy_from_slice(cell);
        let place = pointers + 2 * at;
        assert!(place + 2 <= end, "a page is full");
        page[place..place + 2].copy_from_slice(&u16::try_from(end).expect("small").to_be_bytes());
    }
    page
}

/// A row in a leaf; what does not fit becomes pages of its own.
fn cell(key: u64, row: &[u8], pages: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let most = PAGE - 35;
    let least = (PAGE - 12) * 32 / 255 - 23;
    let mut local = row.len();
    if local > most {
        let fitting = least + (local - least) % (PAGE - 4);
        local = if fitting <= most { fitting } else { least };
    }
    let mut cell = [varint(row.len() as u64), varint(key), row[..local].to_vec()].concat();
    let rest: Vec<&[u8]> = row[local..].chunks(PAGE - 4).collect();
    for (at, piece) in rest.iter().enumerate() {
        let number = narrow(pages.len() + 1);
        if at == 0 {
            cell.extend(number.to_be_bytes());
        }
        let next = if at + 1 < rest.len() { number + 1 } else { 0 };
        let mut page = [&next.to_be_bytes()[..], piece].concat();
        page.resize(PAGE, 0);
        pages.push(page);
    }
    cell
}

fn row(columns: &[(u64, &[u8])]) -> Vec<u8> {
    let kinds: Vec<u8> = columns.iter().flat_map(|(kind, _)| varint(*kind)).collect();
    // The length of the head counts itself.
    let length = varint(kinds.len() as u64 + 1);
    assert_eq!(length.len(), 1, "short heads only");
    let values = columns.iter().flat_map(|(_, value)| value.iter().copied());
    length.into_iter().chain(kinds.iter().copied()).chain(values).collect()
}

fn varint(number: u64) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(number & 0x7f).expect("seven bits")];
    let mut left = number >> 7;
    while left > 0 {
        bytes.push(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
        left >>= 7;
    }
    bytes.reverse();
    bytes
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("small")
}
