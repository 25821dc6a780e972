//! Object files: symbols, relocations and groups mean what they meant.

use object::elf::{GroupFlags, SHN_LORESERVE, SHT_GROUP, SHT_REL, SHT_RELA, SHT_SYMTAB, SHT_SYMTAB_SHNDX};
use object::read::SectionIndex;
use object::read::elf::{FileHeader, Rel, Rela, Sym};
use object::{Endianness, U32};

use super::Side;
use super::sections::{Pairs, Section};

/// Compares what names symbols or sections by numbers.
pub(super) fn compare<H: FileHeader<Endian = Endianness>>(
    before: &Side<'_, H>,
    after: &Side<'_, H>,
    pairs: &Pairs<'_>,
) -> Result<(), String> {
    let Some(at) = pairs.before.iter().position(|section| section.kind == SHT_SYMTAB) else { return Ok(()) };
    let is_other = |(other, section): (usize, &Section<'_>)| {
        (section.kind == SHT_SYMTAB && other != at) || section.kind == SHT_SYMTAB_SHNDX
    };
    if pairs.before.iter().enumerate().any(is_other) {
        return Err("it has several tables of symbols".to_owned());
    }
    let places = symbols(before, after, pairs, at)?;
    for (old, new) in pairs.both() {
        let (section, other) = (&pairs.before[old], &pairs.after[new]);
        let is_same = match section.kind {
            SHT_GROUP => {
                groups(before, after, pairs, (section, other)) && symbol(&places, section.info) == Some(other.info)
            }
            SHT_REL | SHT_RELA if section.link == at => {
                let entries = |side: &Side<'_, H>, section: &Section<'_>| relocations(side, section);
                let (old, new) = (entries(before, section), entries(after, other));
                let moved = old.map(|all| {
                    let moved = |(place, kind, addend, at)| Some((place, kind, addend, symbol(&places, at)?));
                    all.into_iter().map(moved).collect::<Option<Vec<_>>>()
                });
                new.is_some() && moved == Some(new)
            }
            SHT_SYMTAB => true,
            // Something else counts symbols: then none may be gone.
            _ if section.link == at => places.iter().all(Option::is_some),
            _ => true,
        };
        if !is_same {
            return Err(format!("section {old} ({}) names other symbols or sections", section.shown()));
        }
    }
    Ok(())
}

fn symbol(places: &[Option<usize>], at: usize) -> Option<usize> {
    places.get(at).copied().flatten()
}

/// For each symbol before the one after. Gone are local ones of sections that are gone.
fn symbols<H: FileHeader<Endian = Endianness>>(
    before: &Side<'_, H>,
    after: &Side<'_, H>,
    pairs: &Pairs<'_>,
    at: usize,
) -> Result<Vec<Option<usize>>, String> {
    let new_at = pairs.places[at].ok_or("the table of symbols is gone")?;
    let (old, new) = (described(before, at)?, described(after, new_at)?);
    let mut left = new.into_iter().enumerate().peekable();
    let mut places = Vec::with_capacity(old.len());
    let mut locals = 0;
    for (number, mut symbol) in old.into_iter().enumerate() {
        let is_local = number < pairs.before[at].info;
        let section = usize::from(symbol.section);
        if section != 0 && symbol.section < SHN_LORESERVE {
            let Some(place) = pairs.places.get(section).copied() else {
                return Err(format!("symbol {number} is in no section"));
            };
            let Some(place) = place else {
                if !is_local {
                    return Err(format!("symbol {number} was global, and its section is gone"));
                }
                places.push(None);
                continue;
            };
            symbol.section = u16::try_from(place).map_err(|error| error.to_string())?;
        }
        locals += usize::from(is_local);
        match left.next_if(|(_, other)| *other == symbol) {
            Some((place, _)) => places.push(Some(place)),
            None => return Err(format!("symbol {number} is gone or not the same")),
        }
    }
    if let Some((number, _)) = left.next() {
        return Err(format!("symbol {number} is new"));
    }
    if pairs.after[new_at].info != locals {
        return Err("the number of local symbols is wrong".to_owned());
    }
    Ok(places)
}

#[derive(PartialEq, Eq)]
struct Symbol<'d> {
    name: &'d [u8],
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

/// The symbols of a table.
fn described<'d, H: FileHeader<Endian = Endianness>>(side: &Side<'d, H>, at: usize) -> Result<Vec<Symbol<'d>>, String> {
    let endian = side.endian;
    let table = side.sections.symbol_table_by_index(endian, side.bytes, SectionIndex(at));
    let table = table.map_err(|error| error.to_string())?;
    let one = |symbol: &'d H::Sym| {
        Ok(Symbol {
            name: table.symbol_name(endian, symbol).map_err(|error| error.to_string())?,
            info: symbol.st_info().0,
            other: symbol.st_other().0,
            section: symbol.st_shndx(endian).0,
            value: symbol.st_value(endian).into(),
            size: symbol.st_size(endian).into(),
        })
    };
    table.iter().map(one).collect()
}

/// Relocations as place, kind, addend and symbol; none where they can't be read.
fn relocations<H: FileHeader<Endian = Endianness>>(
    side: &Side<'_, H>,
    section: &Section<'_>,
) -> Option<Vec<(u64, u32, i64, usize)>> {
    let endian = side.endian;
    if section.kind == SHT_REL {
        let all = object::pod::slice_from_all_bytes::<H::Rel>(section.data).ok()?;
        let one = |one: &H::Rel| (one.r_offset(endian).into(), one.r_type(endian).0, 0, one.r_sym(endian) as usize);
        return Some(all.iter().map(one).collect());
    }
    let all = object::pod::slice_from_all_bytes::<H::Rela>(section.data).ok()?;
    let is_mips = side.header.is_mips64el(endian);
    let one = |one: &H::Rela| {
        let symbol = one.r_sym(endian, is_mips) as usize;
        (one.r_offset(endian).into(), one.r_type(endian, is_mips).0, one.r_addend(endian).into(), symbol)
    };
    Some(all.iter().map(one).collect())
}

/// Whether two groups have the same flags, and the same members but for those that are gone.
fn groups<H: FileHeader<Endian = Endianness>>(
    before: &Side<'_, H>,
    after: &Side<'_, H>,
    pairs: &Pairs<'_>,
    (old, new): (&Section<'_>, &Section<'_>),
) -> bool {
    let kept = members(before, old.data).into_iter().filter_map(|at| pairs.places.get(at).copied().flatten());
    old.data.first_chunk::<4>() == new.data.first_chunk::<4>() && kept.eq(members(after, new.data))
}

/// The indexes of a group's members.
pub(super) fn members<H: FileHeader<Endian = Endianness>>(side: &Side<'_, H>, data: &[u8]) -> Vec<usize> {
    let Ok((_, members)) = object::pod::from_bytes::<U32<Endianness, GroupFlags>>(data) else { return Vec::new() };
    let members = object::pod::slice_from_all_bytes::<U32<Endianness>>(members).unwrap_or_default();
    members.iter().map(|member| member.get(side.endian) as usize).collect()
}
