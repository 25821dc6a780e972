//! The judge of stripping: it takes what stripping makes, and refuses it when any byte of it is another one.

#[path = "../../image/tests/elf/assembled.rs"]
#[allow(dead_code)] // The tests of the image crate use more of it.
mod assembled;

use assembled::{Assembly, NEEDED, PROGBITS, Part, RELA, library, object, part, program};
use jettison_image::elf::{Strip, strip};
use jettison_verify::is_stripped_form;
use proptest::prelude::*;

fn samples() -> Vec<(&'static str, Assembly)> {
    let mut big = program(&[(NEEDED, "libc.so.6")]);
    (big.is_64, big.is_big_endian, big.machine) = (false, true, 8);
    let relocations = [8u64.to_le_bytes(), 8u64.to_le_bytes(), [0; 8]].concat();
    let relocations = Part { flags: 2, link: ".symtab", entry_size: 24, ..part(".rela.plt", RELA, &relocations) };
    let mut fixed = library(&[]);
    fixed.parts.insert(0, relocations);
    vec![
        ("program", program(&[(NEEDED, "libc.so.6")]).with_symbols()),
        ("library", library(&[(NEEDED, "libc.so.6")]).with_symbols()),
        ("32 bits, highest byte first", big.with_symbols()),
        ("static relocations", fixed.with_symbols()),
        ("object file", object(true, false)),
        ("object file of 32 bits", object(false, false)),
    ]
}

/// Whether a byte is one of `sh_offset` of section 0, which nobody reads.
fn is_unread(after: &[u8], file: &Assembly, at: usize) -> bool {
    let table = match (file.is_64, file.is_big_endian) {
        (true, _) => usize::from(u16::from_le_bytes([after[0x28], after[0x29]])),
        (false, false) => usize::from(u16::from_le_bytes([after[0x20], after[0x21]])),
        (false, true) => usize::from(u16::from_be_bytes([after[0x22], after[0x23]])),
    };
    let offset = if file.is_64 { table + 24..table + 32 } else { table + 16..table + 20 };
    offset.contains(&at)
}

#[test]
fn what_stripping_makes_is_taken() {
    for (name, file) in samples() {
        let before = file.bytes();
        for what in [Strip::Debug, Strip::All] {
            let after = strip(&before, what).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(is_stripped_form(&before, &after), Ok(()), "{name}");
        }
    }
}

#[test]
fn each_byte_matters() {
    for (name, file) in samples() {
        let before = file.bytes();
        let after = strip(&before, Strip::All).expect("has symbols");
        for at in 0..after.len() {
            for flip in [1, 0x80, 0xff] {
                let mut wrong = after.clone();
                wrong[at] ^= flip;
                let is_refused = is_stripped_form(&before, &wrong).is_err();
                assert!(
                    is_refused || is_unread(&after, &file, at),
                    "{name}: byte {at:#x} of {:#x} by {flip:#x}",
                    after.len()
                );
            }
        }
        for length in 0..after.len() {
            assert!(is_stripped_form(&before, &after[..length]).is_err(), "{name}: cut off at {length:#x}");
        }
    }
}

#[test]
fn a_file_is_no_stripped_form_of_itself_or_of_another() {
    let (first, second) =
        (program(&[(NEEDED, "libc.so.6")]).with_symbols(), program(&[(NEEDED, "libd.so.6")]).with_symbols());
    let after = strip(&first.bytes(), Strip::All).expect("has symbols");
    assert!(is_stripped_form(&first.bytes(), &first.bytes()).is_err());
    assert!(is_stripped_form(&after, &after).is_err());
    assert!(is_stripped_form(&second.bytes(), &after).expect_err("another").contains("segment 0"));
}

#[test]
fn only_symbols_may_go() {
    let mut file = program(&[]);
    file.parts.push(part(".note.stapsdt", 7, &[0; 40]));
    let before = file.clone().with_symbols().bytes();
    file.parts.retain(|part| part.name != ".note.stapsdt");
    let after = strip(&file.with_symbols().bytes(), Strip::All).expect("has symbols");
    assert!(is_stripped_form(&before, &after).expect_err("a probe is gone").contains(".note.stapsdt"));
}

#[test]
fn nothing_that_was_appended_may_go() {
    let mut file = program(&[]).with_symbols();
    let after = strip(&file.bytes(), Strip::All).expect("has symbols");
    file.appended = b"an archive".to_vec();
    assert!(is_stripped_form(&file.bytes(), &after).expect_err("the archive is gone").contains("is gone"));
    file.appended = b"~Module signature appended~\n".to_vec();
    assert!(is_stripped_form(&file.bytes(), &after).expect_err("signed").contains("signature"));
}

#[test]
fn files_that_belong_to_others_may_not_be_changed() {
    for name in [".gnu_debuglink", ".note.fdo.integrity"] {
        let mut file = program(&[]);
        file.parts.push(part(name, PROGBITS, b"12345678"));
        // What differs from it is as stripping would make it, if it did.
        let after = file.bytes();
        assert!(is_stripped_form(&file.with_symbols().bytes(), &after).expect_err("paired").contains(name));
    }
}

#[test]
fn what_is_found_by_its_offset_may_not_move() {
    let before = program(&[]).with_symbols();
    let with = |mut file: Assembly, at: usize| {
        file.parts.insert(at, part("pydata", PROGBITS, b"an archive"));
        file
    };
    let last = with(before.clone(), before.parts.len()).bytes();
    let moved = with(program(&[]), 1).bytes();
    assert!(is_stripped_form(&last, &moved).expect_err("it moved").contains("offset"));
}

proptest! {
    #[test]
    fn damaged_files_are_judged_without_a_panic(
        which in 0..6usize,
        changes in proptest::collection::vec((any::<u32>(), any::<u8>(), any::<bool>()), 1..8),
    ) {
        let (_, file) = samples().swap_remove(which);
        let mut before = file.bytes();
        let mut after = strip(&before, Strip::All).expect("has symbols");
        for (at, value, is_before) in changes {
            let bytes = if is_before { &mut before } else { &mut after };
            let at = at as usize % bytes.len();
            bytes[at] = value;
        }
        let _ = is_stripped_form(&before, &after);
    }
}
