//! Reading and rewriting `Packages.db` of rpm's ndb format, which SUSE uses: pages of slots that say where blobs are, then
//! the blobs, each with a head, a sum and a tail (rpm's `lib/backend/ndb/rpmpkg.c`). All numbers have their lowest byte
//! first.

use std::collections::{BTreeMap, BTreeSet};

const MAGIC: &[u8] = b"RpmP";
const SLOT: &[u8] = b"Slot";
const HEAD: &[u8] = b"BlbS";
const TAIL: &[u8] = b"BlbE";

/// Blobs are placed in units of so many bytes; a slot takes as much.
const BLOCK: usize = 16;
/// Slots come in pages.
const PAGE: usize = 4096;
/// The header takes the room of the first two slots.
const HEADER: usize = 32;
/// Magic number, package's number, time, length.
const HEAD_SIZE: usize = 16;
/// Sum, length, magic number.
const TAIL_SIZE: usize = 12;

/// Where a package's blob is, in bytes.
#[derive(Clone, Copy)]
struct Slot {
    number: u32,
    start: usize,
    end: usize,
}

/// The numbers of the packages and their headers, in the order of their numbers.
pub(super) fn blobs(bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, &'static str> {
    let mut slots = slots(bytes)?;
    slots.sort_by_key(|slot| slot.number);
    if slots.windows(2).any(|two| two[0].number == two[1].number) {
        return Err("two slots have one package's number");
    }
    slots.into_iter().map(|slot| Ok((slot.number, content(bytes, slot)?.to_vec()))).collect()
}

/// The database without some packages: the blobs of the others close together, in their order.
pub(super) fn without(bytes: &[u8], gone: &BTreeSet<u32>) -> Result<Vec<u8>, &'static str> {
    let mut slots = slots(bytes)?;
    slots.retain(|slot| !gone.contains(&slot.number));
    let pages = (HEADER + slots.len() * BLOCK).div_ceil(PAGE);
    let mut out = Vec::new();
    out.extend_from_slice(&bytes[..HEADER]);
    // Indexes count for the generation that they were made of.
    let generation = number(bytes, 8)?.wrapping_add(1);
    out[8..12].copy_from_slice(&generation.to_le_bytes());
    out[12..16].copy_from_slice(&small(pages)?.to_le_bytes());
    let mut start = pages * PAGE;
    for slot in &slots {
        let length = slot.end - slot.start;
        out.extend_from_slice(SLOT);
        for number in [slot.number, small(start / BLOCK)?, small(length / BLOCK)?] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        start += length;
    }
    while out.len() < pages * PAGE {
        out.extend_from_slice(SLOT);
        out.extend_from_slice(&[0; BLOCK - 4]);
    }
    for slot in slots {
        content(bytes, slot)?;
        out.extend_from_slice(&bytes[slot.start..slot.end]);
    }
    Ok(out)
}

/// The database with other headers for some packages, each as long as the one before it. What indexes say stays true of it.
pub(super) fn replaced(bytes: &[u8], headers: &BTreeMap<u32, Vec<u8>>) -> Result<Vec<u8>, &'static str> {
    let (slots, mut out) = (slots(bytes)?, bytes.to_vec());
    for (package, header) in headers {
        let slot = slots.iter().find(|slot| slot.number == *package).ok_or("a package has no slot")?;
        if content(bytes, *slot)?.len() != header.len() {
            return Err("a header has another length");
        }
        let start = slot.start + HEAD_SIZE;
        out[start..start + header.len()].copy_from_slice(header);
        let tail = slot.end - TAIL_SIZE;
        let sum = adler(&out[slot.start..tail]);
        out[tail..tail + 4].copy_from_slice(&sum.to_le_bytes());
    }
    Ok(out)
}

/// The slots in use, in the order of their blobs, of which no two may share a byte.
fn slots(bytes: &[u8]) -> Result<Vec<Slot>, &'static str> {
    if !bytes.starts_with(MAGIC) {
        return Err("it is no ndb database");
    }
    if number(bytes, 4)? != 0 {
        return Err("its version is none that is known");
    }
    let end = size(number(bytes, 12)?)?.checked_mul(PAGE).ok_or("it has more slots than fit")?;
    let table = bytes.get(HEADER..end).ok_or("its slots are cut off")?;
    let mut all = Vec::new();
    for slot in table.chunks_exact(BLOCK) {
        if !slot.starts_with(SLOT) {
            return Err("a slot is none");
        }
        let (package, block, count) = (number(slot, 4)?, size(number(slot, 8)?)?, size(number(slot, 12)?)?);
        if block == 0 {
            continue;
        }
        let start = block.checked_mul(BLOCK);
        let stop = count.checked_mul(BLOCK).and_then(|length| start?.checked_add(length));
        match (start, stop) {
            (Some(start), Some(stop)) if package != 0 && start >= end && stop <= bytes.len() => {
                all.push(Slot { number: package, start, end: stop });
            }
            _ => return Err("a slot leads out of the file"),
        }
    }
    all.sort_by_key(|slot| slot.start);
    if all.windows(2).any(|two| two[0].end > two[1].start) {
        return Err("two slots share a place");
    }
    Ok(all)
}

/// What a blob holds between its head and its tail.
fn content(bytes: &[u8], slot: Slot) -> Result<&[u8], &'static str> {
    let blob = &bytes[slot.start..slot.end];
    if blob.len() < HEAD_SIZE + TAIL_SIZE || !blob.starts_with(HEAD) || number(blob, 4)? != slot.number {
        return Err("a blob has no head");
    }
    let length = size(number(blob, 12)?)?;
    let tail = blob.len() - TAIL_SIZE;
    let needed = length.checked_add(HEAD_SIZE + TAIL_SIZE).ok_or("a blob is longer than its place")?;
    if needed.div_ceil(BLOCK) * BLOCK != blob.len() {
        return Err("a blob does not fill its place");
    }
    if &blob[tail + 8..] != TAIL || size(number(blob, tail + 4)?)? != length {
        return Err("a blob has no tail");
    }
    // The sum is that of all before it, the bytes that fill the place included.
    if number(blob, tail)? != adler(&blob[..tail]) {
        return Err("a blob's sum is another");
    }
    Ok(&blob[HEAD_SIZE..HEAD_SIZE + length])
}

/// The sum of RFC 1950, section 9.
fn adler(bytes: &[u8]) -> u32 {
    const BASE: u32 = 65521;
    let (mut low, mut high) = (1u32, 0u32);
    // So many bytes cannot make the numbers too large.
    for part in bytes.chunks(5552) {
        for &byte in part {
            low += u32::from(byte);
            high += low;
        }
        low %= BASE;
        high %= BASE;
    }
    high << 16 | low
}

fn number(bytes: &[u8], at: usize) -> Result<u32, &'static str> {
    let found = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    found.map(|bytes| u32::from_le_bytes(*bytes)).ok_or("it is too short")
}

fn size(number: u32) -> Result<usize, &'static str> {
    usize::try_from(number).map_err(|_| "a number is too large")
}

fn small(size: usize) -> Result<u32, &'static str> {
    u32::try_from(size).map_err(|_| "it would be too large")
}
