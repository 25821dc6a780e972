//! All that is said about an ELF file from its bytes.

use std::ops::Deref;

use bstr::ByteSlice as _;

use super::file::{ObjectFile, Section};
use super::loading::{Loading, ObjectKind};
use super::opens::may_open;
use super::strip::{NotStripped, Strip, is_debug, is_signed, strip};

/// Where debug symbols are that were taken out (`.gnu_debuglink`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugLink {
    /// The name of the file that has them.
    pub file: Vec<u8>,
    /// The CRC-32 of that file.
    pub checksum: u32,
}

/// Whether symbols can be taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strippable {
    /// They can, by [`Strip::All`].
    Yes {
        /// How many bytes the file is shorter then.
        bytes: u64,
    },
    /// They can't, or there are none.
    No(NotStripped),
}

/// An ELF file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// What a loader reads of it; its fields are the file's own ([`Deref`]).
    pub loading: Loading,
    /// Whether it has debug information (DWARF or stabs).
    pub has_debug: bool,
    /// Whether it has a table of symbols that is not loaded.
    pub has_symbols: bool,
    /// What stripping would do.
    pub strippable: Strippable,
    /// Whether it is a program that runs without a loader and libraries.
    pub is_static: bool,
    /// Whether the Linux kernel loads it.
    pub is_kernel_module: bool,
    /// Whether a signature is appended to it, as for kernel modules.
    pub is_signed: bool,
    /// Where its debug symbols were put.
    pub debug_link: Option<DebugLink>,
    /// The identifier that its debug symbols are found by.
    pub build_id: Option<Vec<u8>>,
    /// Whether Go's linker made it.
    pub is_go: bool,
    /// Whether Rust's compiler made it or a part of it.
    pub is_rust: bool,
    /// Which libraries it may open while it runs ([`may_open()`]), without those that are loaded in any case.
    pub may_open: Vec<Vec<u8>>,
}

impl Deref for Elf {
    type Target = Loading;

    fn deref(&self) -> &Loading {
        &self.loading
    }
}

/// What can be said of a file; none where it is no ELF file. Never panics.
#[must_use]
pub fn facts(bytes: &[u8]) -> Option<Elf> {
    let loading = Loading::read(bytes)?;
    let file = ObjectFile::parse(bytes).ok();
    let has = |test: &dyn Fn(&Section<'_>) -> bool| file.as_ref().is_some_and(|file| file.sections.iter().any(test));
    let named = |name: &str| has(&|section| section.name == name.as_bytes());
    let is_program = matches!(loading.kind, ObjectKind::Executable | ObjectKind::Shared);
    let mut may_open = may_open(bytes);
    may_open.retain(|name| !loading.needed.contains(name) && loading.soname.as_ref() != Some(name));
    Some(Elf {
        has_debug: has(&is_debug),
        has_symbols: has(&|section| section.kind == object::elf::SHT_SYMTAB.0 && !section.data.is_empty()),
        strippable: match strip(bytes, Strip::All) {
            Ok(stripped) => Strippable::Yes { bytes: (bytes.len() - stripped.len()) as u64 },
            Err(reason) => Strippable::No(reason),
        },
        // A static position-independent program has a dynamic section, but no loader and needs nothing. So has a library
        // that needs nothing, which has a name instead.
        is_static: is_program
            && loading.interpreter.is_none()
            && loading.needed.is_empty()
            && loading.soname.is_none()
            && (loading.kind == ObjectKind::Executable || is_position_independent(&loading, file.as_ref())),
        is_kernel_module: loading.kind == ObjectKind::Relocatable
            && (named(".modinfo") || named(".gnu.linkonce.this_module")),
        is_signed: is_signed(bytes),
        debug_link: file.as_ref().and_then(debug_link),
        build_id: file.as_ref().and_then(build_id),
        is_go: named(".go.buildinfo") || named(".note.go.buildid") || named(".gopclntab"),
        is_rust: is_rust(bytes, file.as_ref()),
        may_open,
        loading,
    })
}

/// Whether a shared object is a program: it says so, or it is entered somewhere.
fn is_position_independent(loading: &Loading, file: Option<&ObjectFile<'_>>) -> bool {
    let entry_at = 24;
    let size = if loading.class == super::Class::Bits64 { 8 } else { 4 };
    let entry = file.and_then(|file| file.bytes.get(entry_at..entry_at + size)).unwrap_or_default();
    loading.kind == ObjectKind::Shared && entry.iter().any(|&byte| byte != 0)
}

fn is_rust(bytes: &[u8], file: Option<&ObjectFile<'_>>) -> bool {
    let section = |name: &[u8]| file.and_then(|file| file.section(name)).copied();
    section(b".rustc").is_some()
        || section(b".comment").is_some_and(|comment| comment.data.contains_str("rustc version "))
        // The standard library's sources, as messages of panics name them.
        || bytes.find_iter("/rustc/").any(|at| {
            let hash = bytes.get(at + 7..at + 47).unwrap_or_default();
            hash.len() == 40 && hash.iter().all(u8::is_ascii_hexdigit)
        })
}

/// `.gnu_debuglink`: a name, a zero, zeros to a multiple of four, a checksum.
fn debug_link(file: &ObjectFile<'_>) -> Option<DebugLink> {
    let data = file.section(b".gnu_debuglink")?.data;
    let end = data.iter().position(|&byte| byte == 0)?;
    let checksum = data.get((end / 4 + 1) * 4..)?.first_chunk()?;
    Some(DebugLink { file: data[..end].to_vec(), checksum: file.word(*checksum) })
}

/// The note of the kind `NT_GNU_BUILD_ID` (3) by `GNU`.
fn build_id(file: &ObjectFile<'_>) -> Option<Vec<u8>> {
    let data = file.section(b".note.gnu.build-id")?.data;
    let word = |at: usize| data.get(at..)?.first_chunk().map(|bytes| file.word(*bytes));
    let length = usize::try_from(word(4)?).ok()?;
    let is_build_id = word(0)? == 4 && word(8)? == 3 && data.get(12..16)? == b"GNU\0";
    data.get(16..16usize.checked_add(length)?).filter(|_| is_build_id).map(<[u8]>::to_vec)
}
