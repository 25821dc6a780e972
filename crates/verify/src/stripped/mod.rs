//! Whether a file is another one without its debug symbols, and nothing else.
//!
//! The judge of stripping: it reads both files by themselves and knows nothing of how one was made of the other. What a
//! loader, a kernel or a linker sees has to be the same; what is gone has to be debug symbols.

mod sections;
mod symbols;

use object::elf::{ET_DYN, ET_EXEC, ET_REL, FileHeader32, FileHeader64, PT_GNU_RELRO, PT_NULL};
use object::pod::bytes_of_slice;
use object::read::elf::{FileHeader, ProgramHeader, SectionTable};
use object::{Endianness, elf};

use sections::Pairs;

/// Whether `after` is `before` without debug symbols: the same header but for the place of the section table, the same
/// segments byte for byte and at the same offsets, the same allocated sections, dynamic section and notes; of an object
/// file the same sections, symbols, relocations and groups. Gone are sections of debug information and, from programs and
/// libraries, tables of symbols that nothing uses. Bytes that nobody knows are all still there.
///
/// # Errors
/// The first difference that was found, as a sentence.
pub fn is_stripped_form(before: &[u8], after: &[u8]) -> Result<(), String> {
    if after.len() >= before.len() {
        return Err(format!("{} bytes are no fewer than {}", after.len(), before.len()));
    }
    if before.ends_with(b"~Module signature appended~\n") {
        return Err("a signature was appended to it".to_owned());
    }
    match (before.get(..5), after.get(..5)) {
        (Some(old), Some(new)) if old == new && old.starts_with(&elf::ELFMAG) => match old[4] {
            1 => compare::<FileHeader32<Endianness>>(before, after),
            2 => compare::<FileHeader64<Endianness>>(before, after),
            _ => Err("it is of no known class".to_owned()),
        },
        _ => Err("it is no ELF file, or not of the same class".to_owned()),
    }
}

/// One of the two files.
struct Side<'d, H: FileHeader<Endian = Endianness>> {
    bytes: &'d [u8],
    header: &'d H,
    endian: Endianness,
    segments: &'d [H::ProgramHeader],
    sections: SectionTable<'d, H>,
    /// The index of the section with the names of sections.
    names: usize,
}

impl<'d, H: FileHeader<Endian = Endianness>> Side<'d, H> {
    fn read(bytes: &'d [u8], which: &str) -> Result<Self, String> {
        let error = |error| format!("the file {which}: {error}");
        let header = H::parse(bytes).map_err(error)?;
        let endian = header.endian().map_err(error)?;
        Ok(Self {
            bytes,
            header,
            endian,
            segments: header.program_headers(endian, bytes).map_err(error)?,
            sections: header.sections(endian, bytes).map_err(error)?,
            names: header.section_strings_index(endian, bytes).map_err(error)?.0,
        })
    }

    fn is_relocatable(&self) -> bool {
        self.header.e_type(self.endian) == ET_REL
    }
}

fn compare<H: FileHeader<Endian = Endianness>>(before: &[u8], after: &[u8]) -> Result<(), String> {
    let (before, after) = (Side::<H>::read(before, "before")?, Side::<H>::read(after, "after")?);
    headers(&before, &after)?;
    segments(&before, &after)?;
    let pairs = Pairs::of(&before, &after)?;
    if before.is_relocatable() {
        symbols::compare(&before, &after, &pairs)?;
    } else {
        pairs.linked(&before, &after)?;
    }
    sections::unknown_bytes(&before, &after)
}

fn headers<H: FileHeader<Endian = Endianness>>(before: &Side<'_, H>, after: &Side<'_, H>) -> Result<(), String> {
    let fields = |side: &Side<'_, H>| {
        let (header, endian) = (side.header, side.endian);
        let ident = side.bytes.get(..16).map(<[u8]>::to_vec);
        let numbers: [u64; 10] = [
            header.e_type(endian).0.into(),
            header.e_machine(endian).0.into(),
            header.e_version(endian).into(),
            header.e_entry(endian).into(),
            header.e_phoff(endian).into(),
            u64::from(header.e_flags(endian).0),
            header.e_ehsize(endian).into(),
            header.e_phentsize(endian).into(),
            header.e_phnum(endian).into(),
            header.e_shentsize(endian).into(),
        ];
        (ident, numbers)
    };
    if fields(before) != fields(after) {
        return Err("the headers differ".to_owned());
    }
    match before.header.e_type(before.endian) {
        ET_EXEC | ET_DYN => Ok(()),
        ET_REL if before.segments.is_empty() => Ok(()),
        _ => Err("it is neither program nor library nor object file".to_owned()),
    }
}

fn segments<H: FileHeader<Endian = Endianness>>(before: &Side<'_, H>, after: &Side<'_, H>) -> Result<(), String> {
    if bytes_of_slice(before.segments) != bytes_of_slice(after.segments) {
        return Err("the tables of segments differ".to_owned());
    }
    // The fields that say where the table of sections is; the first segment often has the header in it.
    let free: &[std::ops::Range<usize>] =
        if before.header.is_type_64() { &[0x28..0x30, 0x3c..0x40] } else { &[0x20..0x24, 0x30..0x34] };
    for (number, segment) in before.segments.iter().enumerate() {
        let kind = segment.p_type(before.endian);
        let (offset, size) = segment.file_range(before.endian);
        // `PT_GNU_RELRO` speaks of memory that other segments fill.
        if kind == PT_NULL || kind == PT_GNU_RELRO || size == 0 {
            continue;
        }
        let data = |side: &Side<'_, H>| {
            let data = segment.data(side.endian, side.bytes).map(<[u8]>::to_vec);
            data.map_err(|()| format!("segment {number} lies outside of the file"))
        };
        let (mut old, mut new) = (data(before)?, data(after)?);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for at in free.iter().cloned().flatten().filter_map(|at| at.checked_sub(start)) {
            if let (Some(old), Some(new)) = (old.get_mut(at), new.get_mut(at)) {
                (*old, *new) = (0, 0);
            }
        }
        if let Some(at) = old.iter().zip(&new).position(|(old, new)| old != new) {
            return Err(format!("segment {number} (kind {:#x}) differs at {at:#x} of {size:#x}", kind.0));
        }
    }
    Ok(())
}
