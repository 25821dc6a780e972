//! An ELF file taken apart: header, segments, sections, as numbers that do not depend on class and byte order.

use object::Endianness;
use object::elf::{ELFMAG, FileHeader32, FileHeader64, SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS, SHT_NOTE, SHT_NULL};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

use super::strip::NotStripped;

/// The file.
pub(super) struct ObjectFile<'d> {
    pub(super) bytes: &'d [u8],
    pub(super) is_64: bool,
    pub(super) is_big_endian: bool,
    pub(super) kind: u16,
    pub(super) machine: u16,
    /// Where the table of segments is, and how long.
    pub(super) segment_table: (u64, u64),
    pub(super) segments: Vec<Segment>,
    /// Where the table of sections is, and how long.
    pub(super) section_table: (u64, u64),
    pub(super) sections: Vec<Section<'d>>,
    /// Which section has the names of the sections; 0 for none.
    pub(super) names: usize,
}

/// A piece of the file that is mapped or read by loaders.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) kind: u32,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// A section.
#[derive(Clone, Copy)]
pub(super) struct Section<'d> {
    pub(super) name: &'d [u8],
    /// Where the name is in the section of names.
    pub(super) name_at: u32,
    pub(super) kind: u32,
    pub(super) flags: u64,
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) link: u32,
    pub(super) info: u32,
    pub(super) alignment: u64,
    pub(super) entry_size: u64,
    /// Its bytes in the file; none where it has none.
    pub(super) data: &'d [u8],
}

impl Section<'_> {
    /// Whether it is in memory when the program runs.
    pub(super) fn is_allocated(&self) -> bool {
        self.flags & SHF_ALLOC.0 != 0
    }

    /// Where it ends in the file.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }
}

impl<'d> ObjectFile<'d> {
    /// Takes a file apart.
    pub(super) fn parse(bytes: &'d [u8]) -> Result<Self, NotStripped> {
        if !bytes.starts_with(&ELFMAG) {
            return Err(NotStripped::NotElf);
        }
        match bytes.get(4) {
            Some(1) => parse::<FileHeader32<Endianness>>(bytes),
            Some(2) => parse::<FileHeader64<Endianness>>(bytes),
            _ => Err(NotStripped::Damaged { what: "class" }),
        }
    }

    /// The section of a name.
    pub(super) fn section(&self, name: &[u8]) -> Option<&Section<'d>> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Whether the file has nothing but what was taken out of another one: debug symbols, and sections that are empty
    /// shells.
    pub(super) fn is_companion(&self) -> bool {
        let allocated = || self.sections.iter().filter(|section| section.is_allocated());
        let is_shell = |section: &Section<'_>| {
            section.kind == SHT_NOBITS.0 && section.flags & SHF_EXECINSTR.0 != 0 && section.size > 0
        };
        let is_content = |section: &Section<'_>| section.kind != SHT_NOBITS.0 && section.kind != SHT_NOTE.0;
        self.sections.len() > 1 && (allocated().any(is_shell) || !allocated().any(is_content))
    }

    /// A number of four bytes.
    pub(super) fn word(&self, bytes: [u8; 4]) -> u32 {
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// A number of eight bytes.
    pub(super) fn long(&self, bytes: [u8; 8]) -> u64 {
        if self.is_big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
    }

    /// The bytes of a number of four.
    pub(super) fn word_bytes(&self, value: u32) -> [u8; 4] {
        if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// The bytes of a number of two.
    pub(super) fn half_bytes(&self, value: u16) -> [u8; 2] {
        if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// The bytes of an address or offset: four or eight.
    pub(super) fn native_bytes(&self, value: u64) -> Vec<u8> {
        match (self.is_64, self.is_big_endian) {
            (true, true) => value.to_be_bytes().to_vec(),
            (true, false) => value.to_le_bytes().to_vec(),
            // What a 32-bit file says fits, and what is written lies before it.
            (false, _) => self.word_bytes(u32::try_from(value).unwrap_or(u32::MAX)).to_vec(),
        }
    }
}

fn parse<'d, H: FileHeader<Endian = Endianness>>(bytes: &'d [u8]) -> Result<ObjectFile<'d>, NotStripped> {
    let damaged = |what| NotStripped::Damaged { what };
    let header = H::parse(bytes).map_err(|_| damaged("header"))?;
    let endian = header.endian().map_err(|_| damaged("byte order"))?;
    let segments = header.program_headers(endian, bytes).map_err(|_| damaged("table of segments"))?;
    let headers = header.section_headers(endian, bytes).map_err(|_| damaged("table of sections"))?;
    let table = header.sections(endian, bytes).map_err(|_| damaged("names of sections"))?;
    // Counts that do not fit into the header are elsewhere; such files are giants, and nothing is known to make them.
    if (header.e_shnum(endian) == 0 && !headers.is_empty()) || usize::from(header.e_phnum(endian)) != segments.len() {
        return Err(damaged("counts"));
    }
    let names = header.shstrndx(endian, bytes).unwrap_or_default() as usize;
    let mut sections = Vec::with_capacity(headers.len());
    for section in headers {
        let kind = section.sh_type(endian);
        let (offset, size): (u64, u64) = (section.sh_offset(endian).into(), section.sh_size(endian).into());
        let has_bytes = kind != SHT_NOBITS && kind != SHT_NULL && size > 0;
        let data = if has_bytes { slice(bytes, offset, size).ok_or(damaged("section"))? } else { &[] };
        sections.push(Section {
            name: if kind == SHT_NULL {
                b""
            } else {
                table.section_name(endian, section).map_err(|_| damaged("name"))?
            },
            name_at: section.sh_name(endian),
            kind: kind.0,
            flags: section.sh_flags(endian).0,
            address: section.sh_addr(endian).into(),
            offset,
            size,
            link: section.sh_link(endian),
            info: section.sh_info(endian),
            alignment: section.sh_addralign(endian).into(),
            entry_size: section.sh_entsize(endian).into(),
            data,
        });
    }
    let length = |size: usize, count: usize| (size * count) as u64;
    Ok(ObjectFile {
        bytes,
        is_64: header.is_type_64(),
        is_big_endian: header.is_big_endian(),
        kind: header.e_type(endian).0,
        machine: header.e_machine(endian).0,
        segment_table: (header.e_phoff(endian).into(), length(size_of::<H::ProgramHeader>(), segments.len())),
        segments: segments
            .iter()
            .map(|segment| Segment {
                kind: segment.p_type(endian).0,
                offset: segment.p_offset(endian).into(),
                size: segment.p_filesz(endian).into(),
            })
            .collect(),
        section_table: (header.e_shoff(endian).into(), length(size_of::<H::SectionHeader>(), sections.len())),
        sections,
        names,
    })
}

/// The bytes of a range; none where they are not all there.
pub(super) fn slice(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let (start, size) = (usize::try_from(offset).ok()?, usize::try_from(size).ok()?);
    bytes.get(start..start.checked_add(size)?)
}
