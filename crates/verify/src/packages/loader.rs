//! What the loader keeps of libraries: `/etc/ld.so.cache` and ldconfig's own notes, without the libraries of packages that
//! are gone (glibc's `sysdeps/generic/dl-cache.h` and `elf/cache.c`).

use std::collections::BTreeSet;

use bstr::ByteSlice as _;

use super::databases::Compared;
use crate::forms::noted_libraries;

/// The header has 48 bytes, an entry 24: flags, the name's offset, the path's, a word that is not used, and the hardware.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// Set where the hardware is the number of a name in the file, which depends on what else is in it.
const NAMED_HARDWARE: u64 = 1 << 62;

/// A library: flags, hardware, name, path.
type Library = (u32, u64, Vec<u8>, Vec<u8>);

/// Whether the second cache is the first one without libraries of packages that are gone.
pub(super) fn is_smaller(compared: &Compared<'_>, old: &[u8], new: &[u8]) -> bool {
    let (Some(old), Some(new)) = (libraries(old), libraries(new)) else { return false };
    new.is_subset(&old) && old.difference(&new).all(|(_, _, _, path)| compared.is_gone(&compared.canonical(path)))
}

fn libraries(content: &[u8]) -> Option<BTreeSet<Library>> {
    if !content.starts_with(MAGIC) {
        return None;
    }
    let text = |at: u64| {
        let rest = content.get(usize::try_from(at).ok()?..)?;
        Some(rest[..rest.find_byte(0)?].to_vec())
    };
    let count = usize::try_from(number(content, MAGIC.len(), 4)?).ok()?;
    let mut all = BTreeSet::new();
    for at in 0..count {
        let at = at.checked_mul(ENTRY)?.checked_add(HEADER)?;
        let hardware = number(content, at + 16, 8)?;
        let hardware = if hardware & NAMED_HARDWARE == 0 { hardware } else { NAMED_HARDWARE };
        let flags = u32::try_from(number(content, at, 4)?).ok()?;
        all.insert((flags, hardware, text(number(content, at + 4, 4)?)?, text(number(content, at + 8, 4)?)?));
    }
    Some(all)
}

/// Whether ldconfig's notes are about no library that they were not about before, and lost only such of packages that are
/// gone. They hold inodes and times as well, which are other ones in every build, and names without their folders.
pub(super) fn are_fewer_notes(compared: &Compared<'_>, old: &[u8], new: &[u8]) -> bool {
    let names = |content: &[u8]| Some(noted_libraries(content)?.into_iter().collect::<BTreeSet<_>>());
    let (Some(old), Some(new)) = (names(old), names(new)) else { return false };
    let gone: BTreeSet<&[u8]> = compared
        .gone_packages()
        .flat_map(|package| &package.files)
        .map(|path| path.rsplit_once_str("/").map_or(path.as_slice(), |(_, name)| name))
        .collect();
    new.is_subset(&old) && old.difference(&new).all(|name| gone.contains(name.as_slice()))
}

/// A little-endian number of `width` bytes.
fn number(content: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = content.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}
