//! What stripping takes out, what it leaves where it is, and when it leaves a file alone.

use jettison_image::elf::{NotStripped, Strip, Strippable, facts, strip};

use crate::assembled::{Assembly, NEEDED, PROGBITS, Part, RELA, STRTAB, SYMTAB, library, object, part, program};

fn reason(file: &Assembly) -> NotStripped {
    strip(&file.bytes(), Strip::All).expect_err("left alone")
}

#[test]
fn what_is_loaded_stays_and_symbols_go() {
    for (is_64, is_big_endian, machine) in [(true, false, 62), (false, false, 3), (true, true, 22), (false, true, 8)] {
        let mut file = program(&[(NEEDED, "libc.so.6")]);
        (file.is_64, file.is_big_endian, file.machine) = (is_64, is_big_endian, machine);
        let plain = file.bytes();
        let before = file.with_symbols().bytes();
        let after = strip(&before, Strip::All).expect("has symbols");
        // The names of sections lie closer together; nothing else tells it from a file that never had symbols.
        assert!(after.len() <= plain.len(), "{} and {}", after.len(), plain.len());
        let elf = facts(&after).expect("an ELF file");
        assert!(!elf.has_debug && !elf.has_symbols);
        assert_eq!(elf.needed, [b"libc.so.6"]);
        assert_eq!(elf.strippable, Strippable::No(NotStripped::Nothing));
        let saved = Strippable::Yes { bytes: (before.len() - after.len()) as u64 };
        assert_eq!(facts(&before).expect("an ELF file").strippable, saved);
        assert_eq!(strip(&before, Strip::All).as_ref(), Ok(&after), "the same each time");
    }
}

#[test]
fn debug_information_goes_alone_where_that_is_asked_for() {
    let before = program(&[]).with_symbols().bytes();
    let elf = facts(&strip(&before, Strip::Debug).expect("has debug information")).expect("an ELF file");
    assert!(!elf.has_debug && elf.has_symbols);
    assert_eq!(strip(&strip(&before, Strip::Debug).unwrap(), Strip::Debug), Err(NotStripped::Nothing));
}

#[test]
fn object_files_keep_their_symbols() {
    for (is_64, is_big_endian) in [(true, false), (false, false)] {
        let before = object(is_64, is_big_endian).bytes();
        let after = strip(&before, Strip::All).expect("has debug information");
        let elf = facts(&after).expect("an ELF file");
        assert!(!elf.has_debug && elf.has_symbols);
        assert!(before.len() - after.len() > 300);
    }
}

#[test]
fn a_global_symbol_keeps_its_section() {
    let mut file = object(true, false);
    let symbols = file.symbols(&[("", 0, 0), ("", 3, 1), ("", 3, 6), ("", 3, 6), ("main", 0x12, 4), ("puts", 0x10, 0)]);
    file.parts.iter_mut().find(|part| part.name == ".symtab").unwrap().data = symbols;
    assert_eq!(reason(&file), NotStripped::Used { section: ".symtab".to_owned() });
}

#[test]
fn a_relocation_keeps_the_symbol_that_it_names() {
    let mut file = object(true, false);
    let part = file.parts.iter_mut().find(|part| part.name == ".rela.text").unwrap();
    part.data[12..16].copy_from_slice(&2u32.to_le_bytes());
    assert_eq!(reason(&file), NotStripped::Used { section: ".rela.text".to_owned() });
}

#[test]
fn relocations_that_stay_keep_the_table_of_symbols() {
    // As `ld --emit-relocs` leaves them.
    let mut file = program(&[]).with_symbols();
    let relocations = [8u64.to_le_bytes(), (1u64 << 32 | 2).to_le_bytes(), [0; 8]].concat();
    let relocations = part(".rela.text", RELA, &relocations);
    file.parts.push(Part { link: ".symtab", about: ".text", entry_size: 24, ..relocations });
    let elf = facts(&strip(&file.bytes(), Strip::All).expect("has debug information")).expect("an ELF file");
    assert!(elf.has_symbols && !elf.has_debug);
}

#[test]
fn what_is_appended_stays_appended() {
    let mut file = program(&[]).with_symbols();
    file.appended = b"PK\x03\x04 an archive that the program reads from its own end".to_vec();
    assert_eq!(reason(&file), NotStripped::Appended { bytes: file.appended.len() as u64 });
    file.appended = b"\x00\x01~Module signature appended~\n".to_vec();
    assert_eq!(reason(&file), NotStripped::Signed);
    file.appended = vec![0; 7];
    assert!(strip(&file.bytes(), Strip::All).is_ok(), "zeros are no content");
}

#[test]
fn sections_that_nobody_knows_stay_at_their_offset() {
    // As PyInstaller adds its archive: behind the symbols, which can't be cut off then.
    let mut file = program(&[]).with_symbols();
    file.parts.push(part("pydata", PROGBITS, b"an archive"));
    assert_eq!(reason(&file), NotStripped::Between);
    // Before them it does no harm.
    let mut file = program(&[]);
    file.parts.push(part("pydata", PROGBITS, b"an archive"));
    let file = file.with_symbols();
    let (before, after) = (file.bytes(), strip(&file.bytes(), Strip::All).expect("has symbols"));
    let place = |bytes: &[u8]| bytes.windows(10).position(|part| part == b"an archive").expect("is there");
    assert_eq!(place(&before), place(&after));
}

#[test]
fn what_belongs_to_no_section_is_not_lost() {
    let file = program(&[]).with_symbols();
    let mut bytes = file.bytes();
    // The table of symbols is aligned, which leaves some bytes before it.
    let table = bytes.windows(9).position(|part| part == b"int\0char\0").expect("is there") + 9;
    assert_eq!(bytes[table], 0, "the gap that this is about");
    bytes[table] = 1;
    assert_eq!(strip(&bytes, Strip::All), Err(NotStripped::Unknown { offset: table as u64 }));
}

#[test]
fn a_loaded_symbol_keeps_the_number_of_its_section() {
    // Rust's libraries: `.rustc` behind debug information, and a loaded symbol that is in it.
    let mut file = library(&[]).with_symbols();
    file.parts.push(part(".rustc", PROGBITS, b"metadata"));
    let rustc = u16::try_from(2 + file.parts.len()).unwrap();
    let symbols = file.symbols(&[("", 0, 0), ("main", 0x11, rustc)]);
    let table = Part { link: ".strtab", info: 1, entry_size: 24, alignment: 8, ..part(".dynsym", 11, &symbols) };
    file.parts.insert(0, Part { flags: 2, ..table });
    // The table comes before what it names.
    let symbols = file.symbols(&[("", 0, 0), ("main", 0x11, rustc + 1)]);
    file.parts[0].data = symbols;
    assert!(matches!(reason(&file), NotStripped::Used { .. }), "{:?}", reason(&file));
}

#[test]
fn what_is_checked_signed_or_paired_is_left_alone() {
    let with = |parts: &[Part]| {
        let mut file = library(&[]);
        file.parts.extend_from_slice(parts);
        reason(&file.with_symbols())
    };
    assert_eq!(with(&[part(".gnu_debuglink", PROGBITS, b"a.debug\0\0\0\0\0")]), NotStripped::DebugLink);
    let checksum = NotStripped::Checksum { section: ".note.fdo.integrity" };
    assert_eq!(with(&[part(".note.fdo.integrity", 7, &[0; 16])]), checksum);
    let mut core = library(&[]).with_symbols();
    core.kind = 4;
    assert_eq!(reason(&core), NotStripped::Kind { kind: 4 });
    let mut metadata = object(true, false);
    metadata.parts.push(part(".rmeta", PROGBITS, b"x"));
    assert_eq!(reason(&metadata), NotStripped::Compiler { section: ".rmeta".to_owned() });
    let mut other = object(true, false);
    other.machine = 8;
    assert_eq!(reason(&other), NotStripped::Machine { machine: 8 });
    assert_eq!(strip(b"!<arch>\n", Strip::All), Err(NotStripped::Archive));
    assert_eq!(strip(b"#!/bin/sh", Strip::All), Err(NotStripped::NotElf));
}

#[test]
fn files_with_the_symbols_of_others_are_left_alone() {
    // What is loaded is without content there (`objcopy --only-keep-debug`).
    let mut file = object(true, false);
    file.parts[0].kind = 8;
    assert_eq!(reason(&file), NotStripped::Companion);
    let mut alone = object(true, false);
    alone.parts.retain(|part| part.flags == 0 && part.kind != RELA);
    alone.parts.retain(|part| ![SYMTAB, STRTAB].contains(&part.kind) && part.name != ".group");
    assert_eq!(reason(&alone), NotStripped::Companion);
}
