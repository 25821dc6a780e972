//! Takes debug symbols out of ELF files.
//!
//! Written by hand and not with `object`'s builder: that one lays out the whole file anew, so that what is loaded may lie
//! elsewhere afterwards, and it panics on some large libraries. Here all that is loaded stays where it is, byte for byte;
//! what lies behind it is cut off, and what of that has to stay is put back together, with a new table of sections. What is
//! not known to be safe is left alone, with the reason.

mod choice;
mod known;
mod linked;
mod names;
mod relocatable;
mod write;

use object::elf::{
    EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64, ET_DYN, ET_EXEC, ET_REL, Machine,
};

use super::file::ObjectFile;
pub(super) use choice::is_debug;

/// What is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strip {
    /// Debug information; the table of symbols stays (`strip --strip-debug`).
    Debug,
    /// Debug information and, but for files that are still to be linked or loaded by a kernel, the table of symbols
    /// (`strip --strip-all`).
    All,
}

/// Why a file was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStripped {
    /// It is no ELF file.
    #[error("it is no ELF file")]
    NotElf,
    /// It is a static archive: what links with it may want all of it.
    #[error("it is a static archive")]
    Archive,
    /// It is not what the format says.
    #[error("its {what} is not what the format says")]
    Damaged {
        /// The part.
        what: &'static str,
    },
    /// It has no debug symbols.
    #[error("it has no symbols to take out")]
    Nothing,
    /// It is a core dump, or of a kind that is not known.
    #[error("it is neither a program nor a library nor an object file")]
    Kind {
        /// The kind's number.
        kind: u16,
    },
    /// It is an object file of an architecture whose relocations are not known.
    #[error("its architecture, {machine}, is not known well enough")]
    Machine {
        /// The architecture's number.
        machine: u16,
    },
    /// A signature of it is appended.
    #[error("it is signed")]
    Signed,
    /// It holds a checksum of itself.
    #[error("its section {section} is a checksum of the file")]
    Checksum {
        /// The section.
        section: &'static str,
    },
    /// Its debug symbols are in another file, which belongs to it as it is.
    #[error("its debug symbols were put into a file of their own before")]
    DebugLink,
    /// It is the file with the debug symbols of another one.
    #[error("it holds the debug symbols of another file")]
    Companion,
    /// It holds a compiler's own form of the program.
    #[error("its section {section} is read by a compiler or linker")]
    Compiler {
        /// The section.
        section: String,
    },
    /// Something was appended: an archive that the program unpacks, a script that it runs.
    #[error("{bytes} bytes are appended to it")]
    Appended {
        /// How many.
        bytes: u64,
    },
    /// It has bytes that belong to no section and no segment.
    #[error("its bytes at {offset} belong to nothing that is known")]
    Unknown {
        /// The first of them.
        offset: u64,
    },
    /// Its symbols lie before something that is loaded or not known, so that they can't be cut off.
    #[error("its symbols lie before what is loaded")]
    Between,
    /// Something that stays uses what would go.
    #[error("its section {section} uses what would be taken out")]
    Used {
        /// The section.
        section: String,
    },
}

/// The end of a file that the kernel's `sign-file` signed.
const SIGNATURE: &[u8] = b"~Module signature appended~\n";
/// Sections whose content is a checksum of the file: libgcrypt's, and that of OpenSSL's provider in Fedora and Red Hat.
const CHECKSUMS: [&str; 2] = [".note.fdo.integrity", ".rodata1"];
/// The start of the names of sections that compilers and linkers read, of object files alone.
const COMPILERS: [&str; 6] = [".gnu.lto_", ".gnu.offload_lto_", ".llvmbc", ".llvm.lto", ".rmeta", ".rustc"];

/// Takes symbols out of a file. The result is shorter, and the same for the same bytes; it is itself left as
/// it is.
///
/// # Errors
/// Where the file is left as it is, for whatever reason.
pub fn strip(bytes: &[u8], what: Strip) -> Result<Vec<u8>, NotStripped> {
    if bytes.starts_with(b"!<arch>\n") || bytes.starts_with(b"!<thin>\n") {
        return Err(NotStripped::Archive);
    }
    if is_signed(bytes) {
        return Err(NotStripped::Signed);
    }
    let file = ObjectFile::parse(bytes)?;
    let is_relocatable = file.kind == ET_REL.0;
    if !is_relocatable && file.kind != ET_EXEC.0 && file.kind != ET_DYN.0 {
        return Err(NotStripped::Kind { kind: file.kind });
    }
    if !choice::choose(&file, what).contains(&true) {
        return Err(NotStripped::Nothing);
    }
    if let Some(section) = CHECKSUMS.into_iter().find(|name| file.section(name.as_bytes()).is_some()) {
        return Err(NotStripped::Checksum { section });
    }
    if file.is_companion() {
        return Err(NotStripped::Companion);
    }
    if file.section(b".gnu_debuglink").is_some() {
        return Err(NotStripped::DebugLink);
    }
    let stripped = if is_relocatable { relocatable(&file)? } else { linked::strip(&file, what)? };
    if stripped.len() < bytes.len() { Ok(stripped) } else { Err(NotStripped::Nothing) }
}

fn relocatable(file: &ObjectFile<'_>) -> Result<Vec<u8>, NotStripped> {
    const KNOWN: [Machine; 8] = [EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64];
    let is_compilers = |name: &[u8]| COMPILERS.iter().any(|start| name.starts_with(start.as_bytes()));
    if let Some(section) = file.sections.iter().find(|section| is_compilers(section.name)) {
        return Err(NotStripped::Compiler { section: shown(section.name) });
    }
    if !KNOWN.contains(&Machine(file.machine)) {
        return Err(NotStripped::Machine { machine: file.machine });
    }
    relocatable::strip(file)
}

/// Whether the kernel's signature is appended to a file.
pub(super) fn is_signed(bytes: &[u8]) -> bool {
    bytes.ends_with(SIGNATURE)
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
