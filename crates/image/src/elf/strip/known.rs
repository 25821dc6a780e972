//! Which bytes of a file are known to be something.

use object::elf::{PT_GNU_RELRO, PT_NULL};

use super::NotStripped;
use crate::elf::file::{ObjectFile, Segment, slice};

/// The size of a page of memory.
const PAGE: usize = 4096;

/// The ranges of the file whose meaning is known, by their start.
fn covered(file: &ObjectFile<'_>) -> Result<Vec<(u64, u64)>, NotStripped> {
    let header = (0, if file.is_64 { 64 } else { 52 });
    let mut ranges = vec![header, file.segment_table, file.section_table];
    ranges.extend(file.segments.iter().filter(|segment| has_bytes(segment)).map(|one| (one.offset, one.size)));
    ranges.extend(file.sections.iter().map(|section| (section.offset, section.data.len() as u64)));
    ranges.retain(|(_, size)| *size > 0);
    if ranges.iter().any(|&(offset, size)| slice(file.bytes, offset, size).is_none()) {
        return Err(NotStripped::Damaged { what: "segment" });
    }
    ranges.sort_unstable();
    Ok(ranges)
}

/// Refuses files with bytes of which nobody knows what they are.
pub(super) fn all_is_known(file: &ObjectFile<'_>) -> Result<(), NotStripped> {
    let mut end = 0;
    for (offset, size) in covered(file)? {
        let gap = slice(file.bytes, end, offset.saturating_sub(end)).unwrap_or_default();
        if let Some(at) = gap.iter().position(|&byte| byte != 0) {
            return Err(NotStripped::Unknown { offset: end + at as u64 });
        }
        end = end.max(offset + size);
    }
    let rest = slice(file.bytes, end, file.bytes.len() as u64 - end).unwrap_or_default();
    // Some zeros fill up the last page, or are what a linker left.
    if rest.len() < PAGE && rest.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    Err(NotStripped::Appended { bytes: rest.len() as u64 })
}

/// Whether bytes of the file make up a segment. `PT_GNU_RELRO` speaks of memory that other segments fill, and lld lets it
/// reach behind what they have in the file.
pub(super) fn has_bytes(segment: &Segment) -> bool {
    segment.size > 0 && segment.kind != PT_NULL.0 && segment.kind != PT_GNU_RELRO.0
}
