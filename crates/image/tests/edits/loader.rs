//! The loader's cache, built by hand here: each of its forms without a library.

use jettison_image::packages::edit::Rest;

use super::{Image, stanza};

const CACHE: &str = "etc/ld.so.cache";
const GENERATOR: &str = "ldconfig of a test";
const NAMED: u64 = 1 << 62;

/// An entry: hardware, name, path.
type Entry<'e> = (u64, &'e str, &'e str);

const ALL: [Entry<'_>; 5] = [
    (0, "libz.so.1", "/lib/libz.so.1"),
    (NAMED | 3 << 32, "libx.so.2", "/lib/glibc-hwcaps/v2/libx.so.2"),
    (NAMED | 4 << 32 | 1, "libz.so.1", "/lib/glibc-hwcaps/v3/libz.so.1"),
    (0, "libx.so.2", "/lib/libx.so.2"),
    (0, "liba.so", "/opt/liba.so"),
];

/// The texts of these and of the names of their hardware: from the last letter on, the greatest first.
const TABLE: [&str; 7] = [
    "/opt/liba.so",
    "v3",
    "v2",
    "/lib/libx.so.2",
    "/lib/glibc-hwcaps/v2/libx.so.2",
    "/lib/libz.so.1",
    "/lib/glibc-hwcaps/v3/libz.so.1",
];

/// The same without `libx.so.2`.
const LEFT: [Entry<'_>; 3] =
    [(0, "libz.so.1", "/lib/libz.so.1"), (NAMED | 4 << 32, "libz.so.1", "/lib/glibc-hwcaps/v3/libz.so.1"), ALL[4]];
const LEFT_TABLE: [&str; 4] = [TABLE[0], TABLE[1], TABLE[5], TABLE[6]];

fn word(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).expect("small").to_le_bytes());
}

/// Texts with zeros behind them, and where the last one that ends in a text has that.
struct Table(Vec<u8>);

impl Table {
    fn of(texts: &[&str]) -> Self {
        Self(texts.iter().flat_map(|text| text.bytes().chain([0])).collect())
    }

    fn place(&self, text: &str) -> usize {
        let wanted: Vec<u8> = text.bytes().chain([0]).collect();
        self.0.windows(wanted.len()).rposition(|window| window == wanted).expect("a text")
    }
}

/// The new form; `before` bytes stand before it in the file.
fn new(entries: &[Entry<'_>], table: &Table, kernel: usize, hardware: Option<&[&str]>, before: usize) -> Vec<u8> {
    let base = 48 + 24 * entries.len();
    let end = (before + base + table.0.len()).next_multiple_of(4);
    let mut out = b"glibc-ld.so.cache1.1".to_vec();
    word(&mut out, entries.len());
    word(&mut out, table.0.len());
    word(&mut out, 2);
    word(&mut out, if hardware.is_some() { end } else { 0 });
    out.extend([0; 12]);
    for (own, name, path) in entries {
        word(&mut out, 0x303);
        word(&mut out, base + table.place(name));
        word(&mut out, base + table.place(path));
        word(&mut out, kernel);
        out.extend(own.to_le_bytes());
    }
    out.extend(&table.0);
    let Some(hardware) = hardware else { return out };
    out.resize(end - before, 0);
    let sections = if hardware.is_empty() { 1 } else { 2 };
    let names = end + 8 + 16 * sections;
    out.extend([0x74, 0x21, 0xa4, 0xea]);
    for number in [sections, 0, 0, names + 4 * hardware.len(), GENERATOR.len()] {
        word(&mut out, number);
    }
    if sections == 2 {
        [1, 0, names, 4 * hardware.len()].iter().for_each(|number| word(&mut out, *number));
    }
    hardware.iter().for_each(|name| word(&mut out, base + table.place(name)));
    out.extend(GENERATOR.bytes());
    out
}

/// The old form; `base` is where texts start behind its entries.
fn old(entries: &[Entry<'_>], table: &Table, base: usize) -> Vec<u8> {
    let mut out = b"ld.so-1.7.0\0".to_vec();
    word(&mut out, entries.len());
    for (_, name, path) in entries {
        word(&mut out, 0x303);
        word(&mut out, base + table.place(name));
        word(&mut out, base + table.place(path));
    }
    out
}

/// A package with `libx.so.2`, whose link ldconfig made, and one with `liba.so`.
fn image(cache: &[u8]) -> Image {
    let status = [stanza("libx", ""), stanza("other", "")].concat();
    Image::of_bytes(&[
        ("var/lib/dpkg/status", status.as_bytes()),
        ("var/lib/dpkg/info/libx.list", b"/.\n/lib/libx.so.2.0\n/usr/lib/glibc-hwcaps/v2/libx.so.2\n"),
        ("var/lib/dpkg/info/other.list", b"/.\n/opt/a\n"),
        ("lib", b"-> usr/lib"),
        ("usr/lib/libx.so.2", b"-> libx.so.2.0"),
        ("usr/lib/libx.so.2.0", b""),
        ("usr/lib/libz.so.1", b""),
        ("usr/lib/glibc-hwcaps/v2/libx.so.2", b""),
        ("opt/liba.so", b""),
        ("opt/a", b""),
        (CACHE, cache),
    ])
}

fn check(cache: &[u8], expected: &[u8]) {
    let image = image(cache);
    assert_eq!(image.content_after(CACHE, &["libx"], Rest::Keep), expected);
    assert!(!image.without(&["other"], Rest::Keep).expect("a form").changes.contains_key(CACHE.as_bytes()));
}

#[test]
fn the_new_form() {
    let (all, left) = (Table::of(&TABLE), Table::of(&LEFT_TABLE));
    check(&new(&ALL, &all, 0, Some(&["v2", "v3"]), 0), &new(&LEFT, &left, 0, Some(&["v3"]), 0));
    let plain = |entries: &[Entry<'static>]| entries.iter().copied().filter(|entry| entry.0 == 0).collect::<Vec<_>>();
    let (all, left) = (Table::of(&[TABLE[0], TABLE[3], TABLE[5]]), Table::of(&[TABLE[0], TABLE[5]]));
    check(&new(&plain(&ALL), &all, 0, Some(&[]), 0), &new(&plain(&LEFT), &left, 0, Some(&[]), 0));
}

#[test]
fn texts_one_after_the_other() {
    let texts =
        |entries: &[Entry<'static>]| Table::of(&entries.iter().flat_map(|one| [one.1, one.2]).collect::<Vec<_>>());
    // Of another name each, so that each text is there once.
    let all = [(0, "libz", "/lib/libz.so.1"), (0, "libx", "/lib/libx.so.2"), (4, "liba", "/opt/liba.so")];
    let left = [all[0], all[2]];
    let cache = |entries: &[Entry<'static>]| new(entries, &texts(entries), 0x30200, None, 0);
    check(&cache(&all), &cache(&left));
}

#[test]
fn both_forms() {
    let cache = |entries: &[Entry<'_>], table: &Table, hardware: &[&str]| {
        // The last entry is there twice where their number is odd.
        let padded: Vec<Entry<'_>> =
            entries.iter().chain(entries.last().filter(|_| entries.len() % 2 == 1)).copied().collect();
        let mut out = old(&padded, table, 48 + 24 * entries.len());
        out.extend(new(entries, table, 0, Some(hardware), out.len()));
        out
    };
    check(&cache(&ALL, &Table::of(&TABLE), &["v2", "v3"]), &cache(&LEFT, &Table::of(&LEFT_TABLE), &["v3"]));
}

#[test]
fn the_old_form() {
    let cache = |entries: &[Entry<'_>], table: &[&str]| {
        let table = Table::of(table);
        [old(entries, &table, 0), table.0].concat()
    };
    check(&cache(&[ALL[0], ALL[3]], &[TABLE[3], TABLE[5]]), &cache(&[ALL[0]], &[TABLE[5]]));
}

#[test]
fn what_is_not_understood() {
    let whole = new(&ALL, &Table::of(&TABLE), 0, Some(&["v2", "v3"]), 0);
    let expected = "/etc/ld.so.cache: it is not what ldconfig writes";
    for damaged in [[&whole[..], b"x"].concat(), whole[..whole.len() - 1].to_vec(), b"/lib/libx.so.2.0\0".to_vec()] {
        let image = image(&damaged);
        assert_eq!(image.declined(&["libx"], Rest::Keep), expected);
        assert!(image.without(&["other"], Rest::Keep).is_ok(), "nothing of it is in there");
    }
    // Every number in it, one larger: the bytes would be other ones, or there is no such place.
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] = damaged[at].wrapping_add(0x81);
        if let Ok(edited) = image(&damaged).without(&["libx"], Rest::Keep) {
            let is_text_or_flag = at >= 48 || (28..32).contains(&at);
            assert!(is_text_or_flag, "{at}: {edited:?}");
        }
    }
}

#[test]
fn images_without_a_cache() {
    let status = stanza("libx", "");
    let image = Image::of(&[("var/lib/dpkg/status", &status), ("lib/libx.so", "")]);
    assert_eq!(image.changes(&["libx"], Rest::Keep), ["var/lib/dpkg/status: "]);
}
