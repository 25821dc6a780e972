//! Which sections go.

use object::elf::{
    EM_MIPS, ET_REL, SHF_INFO_LINK, SHT_CREL, SHT_NULL, SHT_REL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, SHT_SYMTAB_SHNDX,
};

use super::Strip;
use crate::elf::file::{ObjectFile, Section};

/// How debug sections are named, by their start (the list of GNU binutils, `bfd/elf.c`).
const DEBUG: [&str; 8] =
    [".debug_", ".zdebug_", ".gnu.debuglto_", ".gnu.linkonce.wi.", ".stab", ".gdb_index", ".line", ".debug"];

/// Whether a section is debug information that no program has in memory.
pub(in crate::elf) fn is_debug(section: &Section<'_>) -> bool {
    let is_named = |start: &str| match start {
        // `.debug` and `.line` are whole names, of DWARF 1.
        ".debug" | ".line" | ".gdb_index" => section.name == start.as_bytes(),
        start => section.name.starts_with(start.as_bytes()),
    };
    !section.is_allocated() && section.kind != SHT_NULL.0 && DEBUG.iter().any(|start| is_named(start))
}

/// Whether a section is a list of relocations of another one.
pub(super) fn is_relocations(section: &Section<'_>) -> bool {
    [SHT_REL.0, SHT_RELA.0, SHT_CREL.0].contains(&section.kind)
}

/// Whether `sh_info` is a section's index.
pub(super) fn has_target(section: &Section<'_>) -> bool {
    section.info != 0 && (is_relocations(section) || section.flags & SHF_INFO_LINK.0 != 0)
}

/// For each section whether it goes.
pub(super) fn choose(file: &ObjectFile<'_>, what: Strip) -> Vec<bool> {
    let mut gone: Vec<bool> =
        file.sections.iter().enumerate().map(|(at, section)| at != file.names && is_debug(section)).collect();
    for (at, section) in file.sections.iter().enumerate() {
        let is_of_gone = || gone.get(section.info as usize).copied().unwrap_or_default();
        gone[at] |= is_relocations(section) && !section.is_allocated() && has_target(section) && is_of_gone();
    }
    if what == Strip::All && file.kind != ET_REL.0 {
        symbols(file, &mut gone);
    }
    gone
}

/// Marks the tables of symbols that nothing uses, and their names.
fn symbols(file: &ObjectFile<'_>, gone: &mut [bool]) {
    for (at, table) in file.sections.iter().enumerate() {
        if table.kind != SHT_SYMTAB.0 || table.is_allocated() || at == file.names {
            continue;
        }
        let mut users =
            file.sections.iter().zip(gone.iter()).filter(|(user, is_gone)| user.link as usize == at && !**is_gone);
        gone[at] = users.all(|(user, _)| user.kind == SHT_SYMTAB_SHNDX.0 || is_without_symbols(file, user));
    }
    for (at, section) in file.sections.iter().enumerate() {
        if section.kind == SHT_SYMTAB_SHNDX.0 {
            gone[at] |= gone.get(section.link as usize).copied().unwrap_or_default();
        }
    }
    for (at, names) in file.sections.iter().enumerate() {
        if names.kind == SHT_STRTAB.0 && !names.is_allocated() && at != file.names {
            let mut users =
                file.sections.iter().zip(gone.iter()).filter(|(user, _)| user.link as usize == at).peekable();
            gone[at] = users.peek().is_some() && users.all(|(_, is_gone)| *is_gone);
        }
    }
}

/// Whether relocations that a program applies to itself name a table of symbols and use none of them, as in static
/// programs.
fn is_without_symbols(file: &ObjectFile<'_>, section: &Section<'_>) -> bool {
    section.is_allocated()
        && file.machine != EM_MIPS.0
        && [SHT_REL.0, SHT_RELA.0].contains(&section.kind)
        && super::relocatable::symbols_of(file, section).is_some_and(|mut symbols| symbols.all(|symbol| symbol == 0))
}
