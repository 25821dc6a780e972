//! Programs and libraries: what is loaded stays where it is, and what lies behind it is put together anew.

use object::elf::{SHT_DYNSYM, SHT_STRTAB, SHT_SYMTAB, SHT_SYMTAB_SHNDX};

use super::choice::choose;
use super::known::{all_is_known, has_bytes};
use super::write::{Kept, indexes, write};
use super::{NotStripped, Strip, shown};
use crate::elf::file::{ObjectFile, Section, slice};

/// Sections that are not loaded and that nobody finds by their offset: those of the toolchain, which every tool that
/// strips moves. Another one may be looked for in the file by the program itself, and stays where it is.
const MOVABLE: [&str; 13] = [
    ".comment",
    ".note",
    ".gnu.build.attributes",
    ".gnu_debugdata",
    ".gnu_debugaltlink",
    ".gnu.attributes",
    ".gnu.warning.",
    ".gnu.switches.text",
    ".GCC.command.line",
    ".ARM.attributes",
    ".riscv.attributes",
    ".rustc",
    ".stapsdt",
];

/// Takes symbols out of a program or library.
pub(super) fn strip(file: &ObjectFile<'_>, what: Strip) -> Result<Vec<u8>, NotStripped> {
    let mut gone = choose(file, what);
    if file.sections.get(file.names).is_none_or(|names| file.names == 0 || names.is_allocated()) {
        return Err(NotStripped::Damaged { what: "names of sections" });
    }
    all_is_known(file)?;
    let loaded = loaded(file, &gone);
    keep_before(file, loaded, &mut gone);
    if !gone.contains(&true) {
        return Err(NotStripped::Between);
    }
    let new_index = indexes(&gone);
    keeps_indexes(file, &gone, &new_index)?;
    let start = slice(file.bytes, 0, loaded).ok_or(NotStripped::Damaged { what: "segment" })?;
    let kept = file.sections.iter().zip(&gone).filter(|(_, is_gone)| !**is_gone);
    let kept = kept.map(|(section, _)| Kept {
        section: *section,
        content: None,
        is_pinned: section.is_allocated() || section.offset < loaded || !is_movable(section),
    });
    let kept: Vec<Kept<'_>> = kept.collect();
    if kept.iter().any(|kept| kept.is_pinned && !kept.section.data.is_empty() && kept.section.end() > loaded) {
        return Err(NotStripped::Damaged { what: "section" });
    }
    write(file, start, kept, &new_index)
}

/// Where that ends which stays at its offset.
fn loaded(file: &ObjectFile<'_>, gone: &[bool]) -> u64 {
    let header = if file.is_64 { 64 } else { 52 };
    let segments =
        file.segments.iter().filter(|segment| has_bytes(segment)).map(|segment| segment.offset + segment.size);
    let sections = file.sections.iter().zip(gone).filter(|(section, is_gone)| {
        !**is_gone && !section.data.is_empty() && (section.is_allocated() || !is_movable(section))
    });
    let sections = sections.map(|(section, _)| section.end());
    let table = file.segment_table.0 + file.segment_table.1;
    segments.chain(sections).chain([header, table]).max().unwrap_or(header)
}

fn is_movable(section: &Section<'_>) -> bool {
    let is_table = [SHT_SYMTAB.0, SHT_SYMTAB_SHNDX.0, SHT_STRTAB.0].contains(&section.kind);
    !section.is_allocated()
        && (is_table
            || super::choice::is_relocations(section)
            || section.data.is_empty()
            || super::is_debug(section)
            || MOVABLE.iter().any(|start| section.name.starts_with(start.as_bytes())))
}

/// What lies before `loaded` can't be cut off and stays, with what it names.
fn keep_before(file: &ObjectFile<'_>, loaded: u64, gone: &mut [bool]) {
    for (at, section) in file.sections.iter().enumerate() {
        if gone[at] && section.offset < loaded && !section.data.is_empty() {
            gone[at] = false;
        }
    }
    // What stays names others, which name others: two steps at most, from relocations over symbols to their names.
    for _ in 0..2 {
        for (at, section) in file.sections.iter().enumerate() {
            if gone[at] || section.is_allocated() {
                continue;
            }
            for named in [section.link, if super::choice::has_target(section) { section.info } else { 0 }] {
                if let Some(is_gone) = gone.get_mut(named as usize) {
                    *is_gone = false;
                }
            }
        }
    }
}

/// Symbols name sections by their index, also sections that are not loaded (`.rustc`). Tables of symbols that stay, stay as
/// they are, so that no section which they name may change its index; and none that is loaded, for whoever counts these.
fn keeps_indexes(file: &ObjectFile<'_>, gone: &[bool], new_index: &[Option<u32>]) -> Result<(), NotStripped> {
    let changes = |at: usize| new_index.get(at).copied().flatten() != u32::try_from(at).ok();
    if let Some((_, section)) =
        file.sections.iter().enumerate().find(|(at, section)| section.is_allocated() && changes(*at))
    {
        return Err(NotStripped::Used { section: shown(section.name) });
    }
    for (table, _) in file.sections.iter().zip(gone).filter(|(_, is_gone)| !**is_gone) {
        if table.kind != SHT_SYMTAB.0 && table.kind != SHT_DYNSYM.0 {
            continue;
        }
        let sections = super::relocatable::sections_of(file, table).ok_or(NotStripped::Damaged { what: "symbols" })?;
        let mut sections = sections.filter(|&at| at != 0 && (at as usize) < file.sections.len());
        if sections.any(|at| changes(at as usize)) || file.sections.iter().any(|one| one.kind == SHT_SYMTAB_SHNDX.0) {
            return Err(NotStripped::Used { section: shown(table.name) });
        }
    }
    Ok(())
}
