//! Object files and kernel modules: debug information goes, and symbols, relocations and groups are told of it.
//!
//! Nothing of such a file is mapped as it lies there, so that all sections are put together anew.

use object::elf::{SHN_LORESERVE, SHT_GROUP, SHT_REL, SHT_RELA, SHT_SYMTAB, SHT_SYMTAB_SHNDX, STB_LOCAL};

use super::choice::{choose, is_relocations};
use super::known::all_is_known;
use super::write::{Kept, indexes, write};
use super::{NotStripped, Strip, shown};
use crate::elf::file::{ObjectFile, Section};

/// Takes debug information out of an object file.
pub(super) fn strip(file: &ObjectFile<'_>) -> Result<Vec<u8>, NotStripped> {
    let mut gone = choose(file, Strip::Debug);
    if !file.segments.is_empty() || file.names == 0 || file.names >= file.sections.len() {
        return Err(NotStripped::Damaged { what: "header" });
    }
    all_is_known(file)?;
    groups(file, &mut gone)?;
    let new_index = indexes(&gone);
    let symbols = Symbols::of(file, &gone, &new_index)?;
    let mut kept = Vec::new();
    for (at, section) in file.sections.iter().enumerate().filter(|(at, _)| !gone[*at]) {
        let mut section = *section;
        let content = content(file, at, &mut section, &new_index, symbols.as_ref())?;
        kept.push(Kept { section, content, is_pinned: false });
    }
    let header = file.bytes.get(..if file.is_64 { 64 } else { 52 }).ok_or(NotStripped::Damaged { what: "header" })?;
    write(file, header, kept, &new_index)
}

/// Groups whose members are all gone go; of others the gone members do.
fn groups(file: &ObjectFile<'_>, gone: &mut [bool]) -> Result<(), NotStripped> {
    for (at, group) in file.sections.iter().enumerate().filter(|(_, section)| section.kind == SHT_GROUP.0) {
        let members: Vec<u32> =
            words(file, group.data).ok_or(NotStripped::Damaged { what: "groups" })?.skip(1).collect();
        let is_gone = |&member: &u32| gone.get(member as usize).copied().unwrap_or_default();
        gone[at] = !members.is_empty() && members.iter().all(is_gone);
    }
    Ok(())
}

/// The new content of a section, where it has one.
fn content(
    file: &ObjectFile<'_>,
    at: usize,
    section: &mut Section<'_>,
    new_index: &[Option<u32>],
    symbols: Option<&Symbols>,
) -> Result<Option<Vec<u8>>, NotStripped> {
    let used = || NotStripped::Used { section: shown(section.name) };
    if section.kind == SHT_GROUP.0 {
        let mut words = words(file, section.data).ok_or(NotStripped::Damaged { what: "groups" })?;
        let flags = words.next().unwrap_or_default();
        let members = words.filter_map(|member| new_index.get(member as usize).copied().flatten());
        let content = std::iter::once(flags).chain(members).flat_map(|word| file.word_bytes(word)).collect();
        if let Some(symbols) = symbols.filter(|symbols| symbols.table == section.link) {
            section.info = symbols.place(section.info).ok_or_else(used)?;
        }
        return Ok(Some(content));
    }
    let Some(symbols) = symbols else { return Ok(None) };
    if at == symbols.table as usize {
        section.info = symbols.locals;
        return Ok(Some(symbols.content.clone()));
    }
    if section.link != symbols.table {
        return Ok(None);
    }
    if !is_relocations(section) {
        // Something else counts symbols.
        return if symbols.is_same() { Ok(None) } else { Err(used()) };
    }
    symbols.relocations(file, section).ok_or_else(used).map(Some)
}

/// The table of symbols without those of gone sections.
struct Symbols {
    /// The table's old index.
    table: u32,
    content: Vec<u8>,
    /// How many are local: those come first.
    locals: u32,
    /// For each old symbol its new index.
    places: Vec<Option<u32>>,
}

impl Symbols {
    fn of(file: &ObjectFile<'_>, gone: &[bool], new_index: &[Option<u32>]) -> Result<Option<Self>, NotStripped> {
        let damaged = || NotStripped::Damaged { what: "symbols" };
        let mut tables = file.sections.iter().enumerate().filter(|(_, section)| section.kind == SHT_SYMTAB.0);
        let Some((table, section)) = tables.next() else { return Ok(None) };
        let has_indexes = file.sections.iter().any(|section| section.kind == SHT_SYMTAB_SHNDX.0);
        if tables.next().is_some() || has_indexes || gone[table] {
            return Err(damaged());
        }
        let size = symbol_size(file);
        if section.entry_size != size as u64 || !section.data.len().is_multiple_of(size) {
            return Err(damaged());
        }
        let mut out = Self {
            table: u32::try_from(table).unwrap_or_default(),
            content: Vec::new(),
            locals: 0,
            places: Vec::new(),
        };
        for (number, symbol) in section.data.chunks_exact(size).enumerate() {
            let (info, section_at) = if file.is_64 { (symbol[4], 6) } else { (symbol[12], 14) };
            let index = half(file, &symbol[section_at..]);
            let is_local = number < section.info as usize;
            let is_of_section = index != 0 && index < SHN_LORESERVE;
            let new =
                if is_of_section { new_index.get(usize::from(index)).copied().flatten() } else { Some(index.into()) };
            let Some(new) = new else {
                // Others may know of a global symbol.
                let is_inner = is_local && info >> 4 == STB_LOCAL.0;
                if !is_inner || usize::from(index) >= gone.len() {
                    return Err(NotStripped::Used { section: shown(section.name) });
                }
                out.places.push(None);
                continue;
            };
            out.places.push(u32::try_from(out.content.len() / size).ok());
            let start = out.content.len();
            out.content.extend_from_slice(symbol);
            let new = u16::try_from(new).map_err(|_| damaged())?;
            out.content[start + section_at..start + section_at + 2].copy_from_slice(&file.half_bytes(new));
            out.locals += u32::from(is_local);
        }
        Ok(Some(out))
    }

    fn place(&self, old: u32) -> Option<u32> {
        self.places.get(old as usize).copied().flatten()
    }

    fn is_same(&self) -> bool {
        self.places.iter().all(Option::is_some)
    }

    /// Relocations that name the symbols by their new indexes; none where one names a symbol that is gone.
    fn relocations(&self, file: &ObjectFile<'_>, section: &Section<'_>) -> Option<Vec<u8>> {
        let size = relocation_size(file, section)?;
        let mut out = section.data.to_vec();
        for entry in out.chunks_exact_mut(size) {
            if file.is_64 {
                let info = file.long(*entry.get(8..)?.first_chunk()?);
                let new = u64::from(self.place(u32::try_from(info >> 32).ok()?)?);
                entry[8..16].copy_from_slice(&file.native_bytes(new << 32 | info & 0xffff_ffff));
            } else {
                let info = file.word(*entry.get(4..)?.first_chunk()?);
                let new = self.place(info >> 8)?;
                entry[4..8].copy_from_slice(&file.word_bytes(new << 8 | info & 0xff));
            }
        }
        Some(out)
    }
}

/// The symbols that relocations name; none where it is not known how they are written.
pub(super) fn symbols_of<'s>(
    file: &'s ObjectFile<'_>,
    section: &'s Section<'_>,
) -> Option<impl Iterator<Item = u64> + use<'s>> {
    let size = relocation_size(file, section)?;
    Some(section.data.chunks_exact(size).map(move |entry| {
        let long = |at: usize| entry.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| file.long(*bytes));
        let word = |at: usize| entry.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| file.word(*bytes));
        let symbol = if file.is_64 { long(8).map(|info| info >> 32) } else { word(4).map(|info| u64::from(info >> 8)) };
        symbol.unwrap_or(u64::MAX)
    }))
}

/// The sections that symbols of a table are in, by index, the special numbers among them; none where the table is damaged.
pub(super) fn sections_of<'s>(
    file: &'s ObjectFile<'_>,
    table: &'s Section<'_>,
) -> Option<impl Iterator<Item = u32> + use<'s>> {
    let size = symbol_size(file);
    let is_whole = table.entry_size == size as u64 && table.data.len().is_multiple_of(size);
    let at = if file.is_64 { 6 } else { 14 };
    is_whole.then(|| table.data.chunks_exact(size).map(move |symbol| u32::from(half(file, &symbol[at..]))))
}

fn symbol_size(file: &ObjectFile<'_>) -> usize {
    if file.is_64 { 24 } else { 16 }
}

fn relocation_size(file: &ObjectFile<'_>, section: &Section<'_>) -> Option<usize> {
    let size = match (file.is_64, section.kind) {
        (true, kind) if kind == SHT_RELA.0 => 24,
        (true, kind) if kind == SHT_REL.0 => 16,
        (false, kind) if kind == SHT_RELA.0 => 12,
        (false, kind) if kind == SHT_REL.0 => 8,
        _ => return None,
    };
    (section.entry_size == size as u64 && section.data.len().is_multiple_of(size)).then_some(size)
}

fn half(file: &ObjectFile<'_>, bytes: &[u8]) -> u16 {
    let bytes = [bytes[0], bytes[1]];
    if file.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}

fn words<'s>(file: &'s ObjectFile<'_>, bytes: &'s [u8]) -> Option<impl Iterator<Item = u32> + use<'s>> {
    let (words, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| words.iter().map(|word| file.word(*word)))
}
