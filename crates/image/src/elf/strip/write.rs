//! Writes what stays: sections behind what is loaded, their table, and the header's fields that name it.

use object::elf::{SHT_NOBITS, SHT_NULL};

use super::NotStripped;
use super::choice::{has_target, is_relocations};
use super::names::Names;
use crate::elf::file::{ObjectFile, Section};

/// The largest alignment of a section that is believed: that of a large page.
const MOST_ALIGNMENT: u64 = 1 << 21;

/// A section as it is written.
pub(super) struct Kept<'d> {
    /// What it was.
    pub(super) section: Section<'d>,
    /// Its content where that is new.
    pub(super) content: Option<Vec<u8>>,
    /// Whether it stays at its offset.
    pub(super) is_pinned: bool,
}

/// For each section before its index after; none where it is gone.
pub(super) fn indexes(gone: &[bool]) -> Vec<Option<u32>> {
    let mut next = 0;
    let index = |is_gone: &bool| {
        (!is_gone).then(|| {
            next += 1;
            next - 1
        })
    };
    gone.iter().map(index).collect()
}

/// Writes a file that begins with `start`, in which the pinned sections are, and the others behind it. `kept` are the
/// sections that stay, in their order; `new_index` says what became of the old indexes.
pub(super) fn write(
    file: &ObjectFile<'_>,
    start: &[u8],
    mut kept: Vec<Kept<'_>>,
    new_index: &[Option<u32>],
) -> Result<Vec<u8>, NotStripped> {
    let names_at = new_index.get(file.names).copied().flatten().ok_or(NotStripped::Damaged { what: "names" })?;
    let places = section_names(&mut kept, file.names, names_at as usize);
    let mut out = start.to_vec();
    // In the order in which they were, for the compiler's and the linker's reasons.
    let mut order: Vec<usize> = (0..kept.len()).filter(|&at| !kept[at].is_pinned).collect();
    order.sort_by_key(|&at| (kept[at].section.offset, at));
    for at in order {
        let Kept { section, content, .. } = &mut kept[at];
        if section.kind == SHT_NULL.0 {
            continue;
        }
        pad(&mut out, section.alignment)?;
        // Sections may be many and their alignments large, which costs memory before the size is known.
        if out.len() > file.bytes.len() {
            return Err(NotStripped::Nothing);
        }
        section.offset = out.len() as u64;
        if section.kind != SHT_NOBITS.0 {
            let bytes = content.as_deref().unwrap_or(section.data);
            section.size = bytes.len() as u64;
            out.extend_from_slice(bytes);
        }
    }
    pad(&mut out, if file.is_64 { 8 } else { 4 })?;
    let table = out.len() as u64;
    for (Kept { section, .. }, name) in kept.iter().zip(places) {
        header(file, section, name, new_index, &mut out)?;
    }
    let count = u16::try_from(kept.len()).map_err(|_| NotStripped::Damaged { what: "counts" })?;
    let (table_at, count_at) = if file.is_64 { (0x28, 0x3c) } else { (0x20, 0x30) };
    let table = file.native_bytes(table);
    out[table_at..table_at + table.len()].copy_from_slice(&table);
    out[count_at..count_at + 2].copy_from_slice(&file.half_bytes(count));
    let names_at = u16::try_from(names_at).map_err(|_| NotStripped::Damaged { what: "counts" })?;
    out[count_at + 2..count_at + 4].copy_from_slice(&file.half_bytes(names_at));
    Ok(out)
}

/// Gives the section of names its new content, and says where each section's name is in it. Where symbols have their
/// names in the same section, or it can't change, it stays as it is.
fn section_names(kept: &mut [Kept<'_>], old_names_at: usize, names_at: usize) -> Vec<u32> {
    let is_shared = kept.iter().any(|kept| kept.section.link as usize == old_names_at);
    if is_shared || kept[names_at].is_pinned {
        return kept.iter().map(|kept| kept.section.name_at).collect();
    }
    let texts: Vec<&[u8]> = kept.iter().map(|kept| kept.section.name).collect();
    let names = Names::of(&texts);
    kept[names_at].content = Some(names.bytes);
    names.places
}

/// Appends a section's header.
fn header(
    file: &ObjectFile<'_>,
    section: &Section<'_>,
    name: u32,
    new_index: &[Option<u32>],
    out: &mut Vec<u8>,
) -> Result<(), NotStripped> {
    let index = |old: u32| new_index.get(old as usize).copied().flatten();
    let used = || NotStripped::Used { section: super::shown(section.name) };
    // Relocations without symbols name a table that is gone: they name none then, as in files that never had one.
    let link = match index(section.link) {
        Some(link) => link,
        None if is_relocations(section) => 0,
        None => return Err(used()),
    };
    let info = if has_target(section) { index(section.info).ok_or_else(used)? } else { section.info };
    out.extend_from_slice(&file.word_bytes(name));
    out.extend_from_slice(&file.word_bytes(section.kind));
    for value in [section.flags, section.address, section.offset, section.size] {
        out.extend_from_slice(&file.native_bytes(value));
    }
    out.extend_from_slice(&file.word_bytes(link));
    out.extend_from_slice(&file.word_bytes(info));
    out.extend_from_slice(&file.native_bytes(section.alignment));
    out.extend_from_slice(&file.native_bytes(section.entry_size));
    Ok(())
}

/// Zeros up to a multiple of an alignment.
fn pad(out: &mut Vec<u8>, alignment: u64) -> Result<(), NotStripped> {
    // An alignment that no page has is a damaged number, which would fill the memory with zeros.
    if alignment > MOST_ALIGNMENT || (alignment > 1 && !alignment.is_power_of_two()) {
        return Err(NotStripped::Damaged { what: "alignment" });
    }
    let alignment = usize::try_from(alignment.max(1)).unwrap_or(1);
    out.resize(out.len().next_multiple_of(alignment), 0);
    Ok(())
}
