//! All that is said about an ELF file from its bytes.

use std::ops::Deref;

use super::file::{ObjectFile, Section};
use super::loading::Loading;
use super::opens::may_open;
use super::strip::{NotStripped, Strip, is_debug, strip};

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
    let mut may_open = may_open(bytes);
    may_open.retain(|name| !loading.needed.contains(name) && loading.soname.as_ref() != Some(name));
    Some(Elf {
        has_debug: has(&is_debug),
        has_symbols: has(&|section| section.kind == object::elf::SHT_SYMTAB.0 && !section.data.is_empty()),
        strippable: match strip(bytes, Strip::All) {
            Ok(stripped) => Strippable::Yes { bytes: (bytes.len() - stripped.len()) as u64 },
            Err(reason) => Strippable::No(reason),
        },
        may_open,
        loading,
    })
}
