//! What a loader reads of an ELF file: its architecture, its interpreter, its dynamic section.

use object::Endianness;
use object::elf::{
    DT_AUDIT, DT_AUXILIARY, DT_DEPAUDIT, DT_FILTER, DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB,
    DynamicTag, ELFMAG, ET_CORE, ET_DYN, ET_EXEC, ET_REL, FileHeader32, FileHeader64, PT_DYNAMIC, PT_INTERP, PT_LOAD,
};
use object::read::ReadRef;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

/// So many libraries and folders are read of one file: far more than any has, and an end for those made to have none.
const MOST_LIBRARIES: usize = 4096;
const MOST_FOLDERS: usize = 256;

/// The size of a program's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Class {
    Bits32,
    Bits64,
}

/// What an ELF file is (`e_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Not linked yet: `.o`, `.ko`.
    Relocatable,
    /// A program with fixed addresses.
    Executable,
    /// A library, or a program that is loaded anywhere.
    Shared,
    /// The memory of a program that crashed.
    Core,
    /// Anything else, by its number.
    Other(u16),
}

/// What a loader reads of an ELF file (gabi, chapter 5; ld.so(8)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loading {
    /// The size of addresses.
    pub class: Class,
    /// The architecture (`EM_*`).
    pub machine: u16,
    /// Whether numbers are stored with the highest byte first.
    pub is_big_endian: bool,
    /// What the file is.
    pub kind: ObjectKind,
    /// The loader, as the file names it.
    pub interpreter: Option<Vec<u8>>,
    /// Whether there is a dynamic section.
    pub is_dynamic: bool,
    /// The name that others need the library by.
    pub soname: Option<Vec<u8>>,
    /// The libraries that are loaded along with it, in order.
    pub needed: Vec<Vec<u8>>,
    /// The libraries that are loaded along with it if they are there: filters and auditors.
    pub filters: Vec<Vec<u8>>,
    /// The folders of `DT_RPATH`, as written.
    pub rpath: Vec<Vec<u8>>,
    /// The folders of `DT_RUNPATH`, as written.
    pub runpath: Vec<Vec<u8>>,
}

impl Loading {
    /// Reads no more of `content` than headers, the interpreter's name and the dynamic section with its texts; none
    /// where it is no ELF file. What is damaged counts as not there.
    pub fn read<'d, R: ReadRef<'d>>(content: R) -> Option<Self> {
        let start = content.read_bytes_at(0, 5).ok()?;
        if start[..4] != ELFMAG {
            return None;
        }
        match start[4] {
            1 => Self::of(FileHeader32::<Endianness>::parse(content).ok()?, content),
            2 => Self::of(FileHeader64::<Endianness>::parse(content).ok()?, content),
            _ => None,
        }
    }

    fn of<'d, H, R>(header: &'d H, content: R) -> Option<Self>
    where
        H: FileHeader<Endian = Endianness>,
        R: ReadRef<'d>,
    {
        let endian = header.endian().ok()?;
        let mut out = Self {
            class: if header.is_type_64() { Class::Bits64 } else { Class::Bits32 },
            machine: header.e_machine(endian).0,
            is_big_endian: header.is_big_endian(),
            kind: match header.e_type(endian) {
                ET_REL => ObjectKind::Relocatable,
                ET_EXEC => ObjectKind::Executable,
                ET_DYN => ObjectKind::Shared,
                ET_CORE => ObjectKind::Core,
                other => ObjectKind::Other(other.0),
            },
            interpreter: None,
            is_dynamic: false,
            soname: None,
            needed: Vec::new(),
            filters: Vec::new(),
            rpath: Vec::new(),
            runpath: Vec::new(),
        };
        let segments = header.program_headers(endian, content).unwrap_or_default();
        for segment in segments {
            if segment.p_type(endian) == PT_INTERP {
                let name = segment.data(endian, content).unwrap_or_default();
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                out.interpreter = (!name.is_empty()).then(|| name.to_vec());
            }
            if segment.p_type(endian) == PT_DYNAMIC {
                out.is_dynamic = true;
                if let Ok(Some(entries)) = segment.dynamic(endian, content) {
                    out.dynamic::<H, R>(entries, endian, segments, content);
                }
            }
        }
        Some(out)
    }

    /// Reads the dynamic section: the names in it are offsets into a table, which is given by its address.
    fn dynamic<'d, H, R>(&mut self, entries: &[H::Dyn], endian: Endianness, segments: &[H::ProgramHeader], content: R)
    where
        H: FileHeader<Endian = Endianness>,
        R: ReadRef<'d>,
    {
        // Addresses are where the segments are loaded; the file has them elsewhere.
        let offset = |address: u64| {
            segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD).find_map(|segment| {
                let (start, size): (u64, u64) = (segment.p_vaddr(endian).into(), segment.p_filesz(endian).into());
                let inside = address.checked_sub(start).filter(|inside| *inside < size)?;
                Into::<u64>::into(segment.p_offset(endian)).checked_add(inside)
            })
        };
        let values = |tag: DynamicTag| {
            entries.iter().filter(move |entry| entry.d_tag(endian) == tag).map(|entry| entry.d_val(endian).into())
        };
        let (Some(start), Some(size)) = (values(DT_STRTAB).next().and_then(offset), values(DT_STRSZ).next()) else {
            return;
        };
        let strings = content.read_bytes_at(start, size).unwrap_or_default();
        let text = |at: u64| {
            let rest = strings.get(usize::try_from(at).ok()?..)?;
            rest.split(|&byte| byte == 0).next().filter(|text| !text.is_empty()).map(<[u8]>::to_vec)
        };
        let list = |tag: DynamicTag| -> Vec<Vec<u8>> {
            let text = values(tag).next().and_then(text).unwrap_or_default();
            let parts = text.split(|&byte| byte == b':').filter(|part| !part.is_empty());
            parts.take(MOST_FOLDERS).map(<[u8]>::to_vec).collect()
        };
        self.soname = values(DT_SONAME).next().and_then(text);
        self.needed = values(DT_NEEDED).filter_map(text).take(MOST_LIBRARIES).collect();
        let filters = [DT_AUXILIARY, DT_FILTER].into_iter().flat_map(values).filter_map(text);
        self.filters = filters.take(MOST_LIBRARIES).collect();
        self.filters.extend([DT_AUDIT, DT_DEPAUDIT].into_iter().flat_map(list));
        self.rpath = list(DT_RPATH);
        self.runpath = list(DT_RUNPATH);
    }
}
