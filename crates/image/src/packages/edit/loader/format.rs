//! Reading and writing the loader's cache. There are three forms: the old one, the new one, and the new one within the
//! texts of the old one. A cache is understood if writing what was read gives the same bytes.

use std::collections::BTreeSet;

use super::texts::{Layout, Texts, lay_out};

/// Starts the old form: a byte that is not used and the number of entries follow, then entries of 12 bytes.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;

/// Starts the new form. The numbers of entries and of bytes of texts follow, a word of flags, the place of the extension,
/// and three words that are not used; then entries of 24 bytes.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// Starts the extension; a word with the number of sections follows, then sections of 16 bytes: what it is, flags, where
/// it is and how long.
const EXTENSION: u32 = 0xeaa4_2174;
const SECTION: usize = 16;

/// The sections: who wrote the cache, and the names of the folders for some hardware.
const GENERATOR: u32 = 0;
const HARDWARE: u32 = 1;

/// Set where the hardware of an entry is the number of such a name, in the lower half.
const NAMED_HARDWARE: u64 = 1 << 62;

/// A library.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    flags: u32,
    /// The oldest kernel that will do, which newer versions do not write.
    kernel: u32,
    hardware: u64,
    name: Vec<u8>,
    path: Vec<u8>,
}

/// What only newer versions write.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Extension {
    generator: Vec<u8>,
    hardware: Vec<Vec<u8>>,
}

/// Which forms a cache has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Old,
    Both,
    New,
}

/// A cache that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cache {
    form: Form,
    layout: Layout,
    flags: u32,
    entries: Vec<Entry>,
    extension: Option<Extension>,
}

impl Cache {
    /// Reads a cache; none where it is not understood to the last byte.
    pub(super) fn read(content: &[u8]) -> Option<Self> {
        let cache = if content.starts_with(MAGIC) { read_new(content, 0)? } else { read_old(content)? };
        let layouts = [Layout::Shared, Layout::Sequential];
        let mut forms = layouts.map(|layout| Self { layout, ..cache.clone() }).into_iter();
        forms.find(|cache| cache.write().as_deref() == Some(content))
    }

    /// Keeps the entries of some paths, and of the names of hardware those that these need.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&[u8]) -> bool) {
        self.entries.retain(|entry| stays(&entry.path));
        let used: BTreeSet<usize> = self.entries.iter().filter_map(Entry::hardware_name).collect();
        for entry in &mut self.entries {
            if let Some(number) = entry.hardware_name() {
                let before = used.range(..number).count() as u64;
                entry.hardware = entry.hardware >> 32 << 32 | before;
            }
        }
        if let Some(extension) = &mut self.extension {
            let mut at = 0..;
            extension.hardware.retain(|_| at.next().is_some_and(|at| used.contains(&at)));
        }
    }

    /// The bytes; none where a number is too large for its place.
    pub(super) fn write(&self) -> Option<Vec<u8>> {
        let hardware = self.extension.iter().flat_map(|extension| &extension.hardware).map(Vec::as_slice);
        let names = self.entries.iter().flat_map(|entry| [entry.name.as_slice(), &entry.path]);
        let texts: Vec<&[u8]> = names.chain(hardware).collect();
        let texts = lay_out(&texts, self.layout);
        let mut out = Vec::new();
        // Texts are counted from the start of the new form, in both.
        let base = if self.form == Form::Old { 0 } else { HEADER + ENTRY * self.entries.len() };
        if self.form != Form::New {
            self.write_old(&mut out, &texts, base)?;
        }
        if self.form != Form::Old {
            self.write_new(&mut out, &texts, base)?;
        } else {
            out.extend_from_slice(&texts.bytes);
        }
        Some(out)
    }

    /// Entries for some hardware alone are not part of the old form, unless that has a name.
    fn write_old(&self, out: &mut Vec<u8>, texts: &Texts, base: usize) -> Option<()> {
        let is_part = |at: &usize| self.entries[*at].hardware == 0 || self.entries[*at].hardware_name().is_some();
        let mut entries: Vec<usize> = (0..self.entries.len()).filter(is_part).collect();
        // The new form's numbers of eight bytes need a place that eight divides: the last entry is there twice then.
        if self.form == Form::Both && entries.len() % 2 == 1 {
            entries.extend(entries.last().copied());
        }
        out.extend_from_slice(OLD_MAGIC);
        out.push(0);
        word(out, entries.len())?;
        for at in entries {
            out.extend_from_slice(&self.entries[at].flags.to_le_bytes());
            word(out, base + texts.offsets[2 * at])?;
            word(out, base + texts.offsets[2 * at + 1])?;
        }
        Some(())
    }

    fn write_new(&self, out: &mut Vec<u8>, texts: &Texts, base: usize) -> Option<()> {
        let end = (out.len() + base + texts.bytes.len()).next_multiple_of(4);
        out.extend_from_slice(MAGIC);
        word(out, self.entries.len())?;
        word(out, texts.bytes.len())?;
        out.extend_from_slice(&self.flags.to_le_bytes());
        word(out, if self.extension.is_some() { end } else { 0 })?;
        out.extend_from_slice(&[0; 12]);
        for (at, entry) in self.entries.iter().enumerate() {
            out.extend_from_slice(&entry.flags.to_le_bytes());
            word(out, base + texts.offsets[2 * at])?;
            word(out, base + texts.offsets[2 * at + 1])?;
            out.extend_from_slice(&entry.kernel.to_le_bytes());
            out.extend_from_slice(&entry.hardware.to_le_bytes());
        }
        out.extend_from_slice(&texts.bytes);
        let Some(extension) = &self.extension else { return Some(()) };
        out.resize(end, 0);
        let sections = if extension.hardware.is_empty() { 1 } else { 2 };
        let hardware = end + 8 + SECTION * sections;
        let generator = hardware + 4 * extension.hardware.len();
        out.extend_from_slice(&EXTENSION.to_le_bytes());
        word(out, sections)?;
        for (what, at, size) in
            [(GENERATOR, generator, extension.generator.len()), (HARDWARE, hardware, generator - hardware)]
        {
            if what == GENERATOR || sections == 2 {
                out.extend_from_slice(&what.to_le_bytes());
                word(out, 0)?;
                word(out, at)?;
                word(out, size)?;
            }
        }
        for offset in &texts.offsets[2 * self.entries.len()..] {
            word(out, base + offset)?;
        }
        out.extend_from_slice(&extension.generator);
        Some(())
    }
}

impl Entry {
    /// The number of the name of its hardware.
    fn hardware_name(&self) -> Option<usize> {
        let number = usize::try_from(self.hardware & u64::from(u32::MAX)).ok()?;
        (self.hardware & NAMED_HARDWARE != 0).then_some(number)
    }
}

fn read_old(content: &[u8]) -> Option<Cache> {
    let rest = content.strip_prefix(OLD_MAGIC)?;
    let count = usize::try_from(number(rest, 1, 4)?).ok()?;
    let end = count.checked_mul(OLD_ENTRY)?.checked_add(OLD_HEADER)?;
    if content.get(end..).is_some_and(|rest| rest.starts_with(MAGIC)) {
        return Some(Cache { form: Form::Both, ..read_new(content, end)? });
    }
    let texts = content.get(end..)?;
    let entry = |at: usize| {
        let at = OLD_HEADER + OLD_ENTRY * at;
        let flags = u32::try_from(number(content, at, 4)?).ok()?;
        let text = |at: usize| text(texts, number(content, at, 4)?);
        Some(Entry { flags, kernel: 0, hardware: 0, name: text(at + 4)?, path: text(at + 8)? })
    };
    let entries = (0..count).map(entry).collect::<Option<_>>()?;
    Some(Cache { form: Form::Old, layout: Layout::Sequential, flags: 0, entries, extension: None })
}

/// Reads the new form from a place on.
fn read_new(content: &[u8], start: usize) -> Option<Cache> {
    let new = content.get(start..)?;
    let count = usize::try_from(number(new, MAGIC.len(), 4)?).ok()?;
    if count.checked_mul(ENTRY)? > new.len() {
        return None;
    }
    let flags = u32::try_from(number(new, 28, 4)?).ok()?;
    let entry = |at: usize| {
        let at = HEADER + ENTRY * at;
        let flags = u32::try_from(number(new, at, 4)?).ok()?;
        let text = |at: usize| text(new, number(new, at, 4)?);
        let (kernel, hardware) = (u32::try_from(number(new, at + 12, 4)?).ok()?, number(new, at + 16, 8)?);
        Some(Entry { flags, kernel, hardware, name: text(at + 4)?, path: text(at + 8)? })
    };
    let entries = (0..count).map(entry).collect::<Option<_>>()?;
    let extension = match usize::try_from(number(new, 32, 4)?).ok()? {
        0 => None,
        at => Some(read_extension(content, new, at)?),
    };
    Some(Cache { form: Form::New, layout: Layout::Sequential, flags, entries, extension })
}

/// Places count from the start of the file, but for those of texts.
fn read_extension(content: &[u8], new: &[u8], at: usize) -> Option<Extension> {
    let mut extension = Extension { generator: Vec::new(), hardware: Vec::new() };
    let sections = number(content, at.checked_add(4)?, 4).filter(|count| *count <= 2)?;
    for section in 0..usize::try_from(sections).ok()? {
        let at = at.checked_add(8 + SECTION * section)?;
        let start = usize::try_from(number(content, at + 8, 4)?).ok()?;
        let size = usize::try_from(number(content, at + 12, 4)?).ok()?;
        let bytes = content.get(start..start.checked_add(size)?)?;
        if number(content, at, 4)? == u64::from(GENERATOR) {
            extension.generator = bytes.to_vec();
        } else {
            let names = bytes.chunks(4).map(|word| text(new, number(word, 0, 4)?));
            extension.hardware = names.collect::<Option<_>>()?;
        }
    }
    Some(extension)
}

/// The text at a place, up to a zero.
fn text(bytes: &[u8], at: u64) -> Option<Vec<u8>> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    Some(rest[..rest.iter().position(|&byte| byte == 0)?].to_vec())
}

/// A little-endian number of `width` bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

fn word(out: &mut Vec<u8>, number: usize) -> Option<()> {
    out.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
    Some(())
}
