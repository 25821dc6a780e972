//! ELF files: what loaders and people can know of one ([`Elf`]), which files need which to run ([`Linkage`]), and how
//! debug symbols are taken out ([`strip()`]).
//!
//! All of it works on bytes that a hostile image may hold: nothing panics, and what is damaged counts as not there.

mod facts;
mod file;
mod linkage;
mod loading;
mod opens;
mod script;
mod strip;

pub use facts::{Elf, Strippable, facts};
pub use linkage::{Environment, Linkage, Reach, configured_folders, has_checksum_beside, with_origin};
pub use loading::{Class, Loading, ObjectKind};
pub use opens::may_open;
pub use script::Script;
pub use strip::{NotStripped, Strip, strip};

/// A file that can be run or loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A program, a library, an object file.
    Elf(Box<Elf>),
    /// A text that another program runs.
    Script(Script),
}

impl Program {
    /// What a file's content says of running it; none for other files.
    #[must_use]
    pub fn of(content: &[u8]) -> Option<Self> {
        match facts(content) {
            Some(elf) => Some(Self::Elf(Box::new(elf))),
            None => Script::read(content).map(Self::Script),
        }
    }
}
