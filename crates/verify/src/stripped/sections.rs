//! Which sections stand for which, and what of the others may be gone.

use hashbrown::HashMap;
use object::Endianness;
use object::elf::{
    PT_GNU_RELRO, PT_NULL, SHF_ALLOC, SHF_INFO_LINK, SHN_LORESERVE, SHT_CREL, SHT_DYNSYM, SHT_GROUP, SHT_NOBITS,
    SHT_NULL, SHT_REL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, SHT_SYMTAB_SHNDX, SectionType,
};
use object::read::SectionIndex;
use object::read::elf::{FileHeader, ProgramHeader, Rel, Rela, SectionHeader, Sym};

use super::Side;

/// The size of a page of memory.
const PAGE: usize = 4096;

/// What a section is, in numbers that do not depend on the class.
#[derive(Clone, Copy)]
pub(super) struct Section<'d> {
    pub(super) name: &'d [u8],
    name_at: u32,
    pub(super) kind: SectionType,
    pub(super) flags: u64,
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) link: usize,
    pub(super) info: usize,
    pub(super) alignment: u64,
    pub(super) entry_size: u64,
    pub(super) data: &'d [u8],
}

impl Section<'_> {
    fn is_allocated(&self) -> bool {
        self.flags & SHF_ALLOC.0 != 0
    }

    pub(super) fn is_relocations(&self) -> bool {
        [SHT_REL, SHT_RELA, SHT_CREL].contains(&self.kind)
    }

    fn is_debug(&self) -> bool {
        const STARTS: [&[u8]; 5] = [b".debug_", b".zdebug_", b".gnu.debuglto_", b".gnu.linkonce.wi.", b".stab"];
        const NAMES: [&[u8]; 3] = [b".debug", b".line", b".gdb_index"];
        let is_named = STARTS.iter().any(|start| self.name.starts_with(start)) || NAMES.contains(&self.name);
        is_named && !self.is_allocated()
    }

    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }

    /// All but the content and what counts other things.
    fn outline(&self) -> (&[u8], SectionType, u64, u64, u64, u64) {
        (self.name, self.kind, self.flags, self.address, self.alignment, self.entry_size)
    }
}

/// The sections of both files, and which stands for which.
pub(super) struct Pairs<'d> {
    pub(super) before: Vec<Section<'d>>,
    pub(super) after: Vec<Section<'d>>,
    /// For each section before the one after; none for those that are gone.
    pub(super) places: Vec<Option<usize>>,
}

impl<'d> Pairs<'d> {
    /// Pairs the sections in their order: what is not gone is still there, in the same order, looking the same.
    pub(super) fn of<H: FileHeader<Endian = Endianness>>(old: &Side<'d, H>, new: &Side<'d, H>) -> Result<Self, String> {
        let (before, after) = (all(old)?, all(new)?);
        let is_relocatable = old.is_relocatable();
        for (section, name) in
            before.iter().flat_map(|section| [(section, ".gnu_debuglink"), (section, ".note.fdo.integrity")])
        {
            if section.name == name.as_bytes() {
                return Err(format!("a file with {name} is not to be changed"));
            }
        }
        let mut places = Vec::with_capacity(before.len());
        let mut next = 0;
        for (at, section) in before.iter().enumerate() {
            let may_go = may_go(old, &before, at, is_relocatable);
            // Of groups those go whose members do, and their looks are the same.
            let is_gone = may_go && section.kind == SHT_GROUP;
            let is_here = !is_gone && after.get(next).is_some_and(|other| other.outline() == section.outline());
            if is_here {
                places.push(Some(next));
                next += 1;
            } else if may_go && at != old.names {
                places.push(None);
            } else {
                return Err(format!("section {at} ({}) is gone or not the same", section.shown()));
            }
        }
        if next != after.len() {
            return Err(format!("section {next} ({}) is new", after[next].shown()));
        }
        if places.iter().all(Option::is_some) {
            return Err("no section is gone".to_owned());
        }
        if places.get(old.names).copied().flatten() != Some(new.names) {
            return Err("the names of sections are elsewhere".to_owned());
        }
        let pairs = Self { before, after, places };
        pairs.each(old, new)?;
        pairs.names_alone(old, new)?;
        Ok(pairs)
    }

    /// What holds for sections of all files: contents that name no other thing, sizes, links, alignments.
    fn each<H: FileHeader<Endian = Endianness>>(&self, old: &Side<'d, H>, new: &Side<'d, H>) -> Result<(), String> {
        for (at, other) in self.both() {
            let (before, after) = (&self.before[at], &self.after[other]);
            let error = |what: &str| Err(format!("section {at} ({}): {what}", before.shown()));
            let is_remade =
                old.is_relocatable() && (before.is_relocations() || [SHT_GROUP, SHT_SYMTAB].contains(&before.kind));
            // The names are compared by what they say, unless symbols have theirs in the same place.
            let is_names = at == old.names && !self.before.iter().any(|section| section.link == at);
            if !is_remade && !is_names && (before.data != after.data || before.size != after.size) {
                return error("the contents differ");
            }
            if after.alignment > 1 && after.offset % after.alignment != 0 && old.is_relocatable() {
                return error("it is not aligned");
            }
            let link = self.places.get(before.link).copied().ok_or_else(|| format!("section {at} links nowhere"))?;
            let is_unlinked =
                link.is_none() && after.link == 0 && before.is_relocations() && uses_no_symbol(new, after);
            if link != Some(after.link) && !is_unlinked {
                return error("it links to another section");
            }
            let is_target = before.is_relocations() || before.flags & SHF_INFO_LINK.0 != 0;
            let info = if is_target { self.places.get(before.info).copied().flatten() } else { Some(before.info) };
            if info != Some(after.info) && (is_target || !is_remade) {
                return error("its target is another section");
            }
        }
        Ok(())
    }

    /// The names of sections are the one content that may be new: it must be nothing else at the same time.
    fn names_alone<H: FileHeader<Endian = Endianness>>(
        &self,
        old: &Side<'d, H>,
        new: &Side<'d, H>,
    ) -> Result<(), String> {
        let range = |section: &Section<'_>| (section.offset, section.offset.saturating_add(section.data.len() as u64));
        let names = range(&self.after[new.names]);
        let table: u64 = new.header.e_shoff(new.endian).into();
        let table = (table, table.saturating_add((self.after.len() * size_of::<H::SectionHeader>()) as u64));
        let others =
            self.after.iter().enumerate().filter(|(at, _)| *at != new.names).map(|(_, section)| range(section));
        let is_shared = |(start, end): (u64, u64)| start < end && start < names.1 && names.0 < end;
        if others.chain([table]).any(is_shared) {
            return Err("the names of sections are something else, too".to_owned());
        }
        let end = |section: &Section<'_>| section.name_at as usize + section.name.len() + 1;
        let is_filled = self.after.iter().map(end).max() == Some(self.after[new.names].data.len());
        let is_same = self.before[old.names].data == self.after[new.names].data;
        if is_filled || is_same { Ok(()) } else { Err("the names of sections are more than names".to_owned()) }
    }

    /// What holds for programs and libraries: what is loaded stays where it is and keeps its index, and so do sections of
    /// which nobody knows what they are.
    pub(super) fn linked<H: FileHeader<Endian = Endianness>>(
        &self,
        old: &Side<'d, H>,
        new: &Side<'d, H>,
    ) -> Result<(), String> {
        for (at, other) in self.both() {
            let (before, after) = (&self.before[at], &self.after[other]);
            let error = |what: &str| Err(format!("section {at} ({}): {what}", before.shown()));
            if before.is_allocated() && (at != other || before.offset != after.offset || before.size != after.size) {
                return error("it is loaded, and lies elsewhere or has another number");
            }
            if !before.data.is_empty() && before.offset != after.offset && !is_toolchains(before) {
                return error("it was found by its offset, perhaps");
            }
            if [SHT_SYMTAB, SHT_DYNSYM].contains(&before.kind) && !self.keeps_sections_of_symbols(new, other)? {
                return error("its symbols are in other sections");
            }
        }
        let is_there = |side: &Side<'_, H>| side.sections.dynamic_table(side.endian, side.bytes).map(|_| ());
        is_there(old).and(is_there(new)).map_err(|error| error.to_string())
    }

    /// Whether the sections that symbols of a kept table are in have the numbers that they had.
    fn keeps_sections_of_symbols<H: FileHeader<Endian = Endianness>>(
        &self,
        new: &Side<'d, H>,
        table: usize,
    ) -> Result<bool, String> {
        let table = new.sections.symbol_table_by_index(new.endian, new.bytes, SectionIndex(table));
        let table = table.map_err(|error| error.to_string())?;
        Ok(table.iter().all(|symbol| {
            let at = usize::from(symbol.st_shndx(new.endian).0);
            at >= usize::from(SHN_LORESERVE) || self.places.get(at).is_none_or(|place| *place == Some(at))
        }))
    }

    /// Each section that is still there, before and after.
    pub(super) fn both(&self) -> impl Iterator<Item = (usize, usize)> {
        self.places.iter().enumerate().filter_map(|(at, place)| Some((at, (*place)?)))
    }
}

/// All sections of a file.
fn all<'d, H: FileHeader<Endian = Endianness>>(side: &Side<'d, H>) -> Result<Vec<Section<'d>>, String> {
    let mut out = Vec::new();
    for (at, section) in side.sections.iter().enumerate() {
        let kind = section.sh_type(side.endian);
        let has_data = kind != SHT_NOBITS && kind != SHT_NULL;
        let data = if has_data { section.data(side.endian, side.bytes) } else { Ok(&[][..]) };
        let name = side.sections.section_name(side.endian, section);
        out.push(Section {
            name: name.map_err(|error| format!("section {at}: {error}"))?,
            name_at: section.sh_name(side.endian),
            kind,
            flags: section.sh_flags(side.endian).0,
            address: section.sh_addr(side.endian).into(),
            offset: section.sh_offset(side.endian).into(),
            size: section.sh_size(side.endian).into(),
            link: section.sh_link(side.endian) as usize,
            info: section.sh_info(side.endian) as usize,
            alignment: section.sh_addralign(side.endian).into(),
            entry_size: section.sh_entsize(side.endian).into(),
            data: data.map_err(|error| format!("section {at}: {error}"))?,
        });
    }
    Ok(out)
}

/// Whether a section may be gone: debug information, what relocates or groups it, and tables of symbols with their names.
fn may_go<H: FileHeader<Endian = Endianness>>(
    side: &Side<'_, H>,
    sections: &[Section<'_>],
    at: usize,
    is_relocatable: bool,
) -> bool {
    let section = &sections[at];
    let is_debug = |at: usize| sections.get(at).is_some_and(Section::is_debug);
    if section.is_allocated() {
        return false;
    }
    if section.is_debug() || (section.is_relocations() && is_debug(section.info)) {
        return true;
    }
    if section.kind == SHT_GROUP {
        let members = super::symbols::members(side, section.data);
        return is_relocatable
            && !members.is_empty()
            && members.iter().all(|&at| {
                is_debug(at) || sections.get(at).is_some_and(|one| one.is_relocations() && is_debug(one.info))
            });
    }
    let is_symbols =
        |section: &Section<'_>| [SHT_SYMTAB, SHT_SYMTAB_SHNDX].contains(&section.kind) && !section.is_allocated();
    let mut users = sections.iter().filter(|user| user.link == at).peekable();
    let is_their_names =
        section.kind == SHT_STRTAB && users.peek().is_some() && users.all(|user| is_symbols(user) || user.is_debug());
    !is_relocatable && (is_symbols(section) || is_their_names)
}

/// Whether relocations name no symbol.
fn uses_no_symbol<H: FileHeader<Endian = Endianness>>(side: &Side<'_, H>, section: &Section<'_>) -> bool {
    let is_mips = side.header.is_mips64el(side.endian);
    match section.kind {
        SHT_RELA => object::pod::slice_from_all_bytes::<H::Rela>(section.data)
            .is_ok_and(|all| all.iter().all(|one| one.r_sym(side.endian, is_mips) == 0)),
        SHT_REL => object::pod::slice_from_all_bytes::<H::Rel>(section.data)
            .is_ok_and(|all| !is_mips && all.iter().all(|one| one.r_sym(side.endian) == 0)),
        _ => false,
    }
}

/// Whether a section that is not loaded is one that compilers and linkers make and that is found by its name.
fn is_toolchains(section: &Section<'_>) -> bool {
    const STARTS: [&[u8]; 10] = [
        b".comment",
        b".note",
        b".gnu.",
        b".gnu_debugdata",
        b".gnu_debugaltlink",
        b".GCC.",
        b".ARM.attributes",
        b".riscv.attributes",
        b".rustc",
        b".stapsdt",
    ];
    [SHT_STRTAB, SHT_SYMTAB, SHT_SYMTAB_SHNDX].contains(&section.kind)
        || section.is_relocations()
        || section.is_debug()
        || STARTS.iter().any(|start| section.name.starts_with(start))
}

/// Refuses that bytes are lost, or new, which belong to nothing that is known.
pub(super) fn unknown_bytes<H: FileHeader<Endian = Endianness>>(
    before: &Side<'_, H>,
    after: &Side<'_, H>,
) -> Result<(), String> {
    let (old, new) = (unknown(before)?, unknown(after)?);
    for (at, byte) in &old {
        if after.bytes.get(*at) != Some(byte) {
            return Err(format!("the byte at {at:#x} belongs to nothing that is known, and is gone"));
        }
    }
    for (at, byte) in &new {
        if before.bytes.get(*at) != Some(byte) {
            return Err(format!("the byte at {at:#x} belongs to nothing, and is new"));
        }
    }
    Ok(())
}

/// The bytes other than zero that are in no section, segment, table and header, and all behind the last of these.
fn unknown<H: FileHeader<Endian = Endianness>>(side: &Side<'_, H>) -> Result<HashMap<usize, u8>, String> {
    let table = |offset: u64, bytes: usize| (offset, bytes as u64);
    let mut ranges = vec![
        (0, size_of::<H>() as u64),
        table(side.header.e_phoff(side.endian).into(), std::mem::size_of_val(side.segments)),
        table(side.header.e_shoff(side.endian).into(), side.sections.len() * size_of::<H::SectionHeader>()),
    ];
    let segments =
        side.segments.iter().filter(|segment| ![PT_NULL, PT_GNU_RELRO].contains(&segment.p_type(side.endian)));
    ranges.extend(segments.map(|segment| segment.file_range(side.endian)));
    ranges.extend(side.sections.iter().filter_map(|section| section.file_range(side.endian)));
    ranges.sort_unstable();
    let mut out = HashMap::new();
    let mut end = 0;
    for (offset, size) in ranges.into_iter().chain([(side.bytes.len() as u64, 0)]) {
        let is_last = offset == side.bytes.len() as u64;
        let offset = usize::try_from(offset).map_err(|error| error.to_string())?;
        let size = usize::try_from(size).map_err(|error| error.to_string())?;
        for at in end..offset.min(side.bytes.len()) {
            // Zeros fill up the last page.
            if side.bytes[at] != 0 || (is_last && side.bytes.len() - end >= PAGE) {
                out.insert(at, side.bytes[at]);
            }
        }
        end = end.max(offset.saturating_add(size));
    }
    Ok(out)
}
