//! ELF files: what is read of them, what stripping makes of them, which files need which; and that nothing panics.

mod assembled;
mod linkage;
mod stripping;

use assembled::{NEEDED, RPATH, RUNPATH, SONAME, library, object, program};
use jettison_image::elf::{Class, Loading, NotStripped, ObjectKind, Program, Script, Strip, Strippable, facts, strip};
use proptest::prelude::*;

#[test]
fn what_a_loader_reads_is_read_of_all_classes_and_byte_orders() {
    let dynamic =
        [(NEEDED, "libc.so.6"), (NEEDED, "libz.so.1"), (SONAME, "liba.so.2"), (RPATH, "/a:$ORIGIN/b"), (RUNPATH, "/c")];
    for (is_64, is_big_endian, machine) in [(true, false, 62), (false, false, 3), (true, true, 22), (false, true, 8)] {
        let mut file = program(&dynamic);
        (file.is_64, file.is_big_endian, file.machine) = (is_64, is_big_endian, machine);
        let elf = facts(&file.bytes()).expect("an ELF file");
        assert_eq!(elf.class, if is_64 { Class::Bits64 } else { Class::Bits32 });
        assert_eq!((elf.machine, elf.is_big_endian, elf.kind), (machine, is_big_endian, ObjectKind::Shared));
        assert_eq!(elf.interpreter.as_deref(), Some(&b"/lib64/ld-linux-x86-64.so.2"[..]));
        assert_eq!(elf.needed, [b"libc.so.6", b"libz.so.1"]);
        assert_eq!(elf.soname.as_deref(), Some(&b"liba.so.2"[..]));
        assert_eq!(elf.rpath, [b"/a".to_vec(), b"$ORIGIN/b".to_vec()]);
        assert_eq!(elf.runpath, [b"/c"]);
        assert!(!elf.has_debug && !elf.has_symbols && elf.is_dynamic);
        assert_eq!(elf.strippable, Strippable::No(NotStripped::Nothing));
    }
}

#[test]
fn names_that_may_be_opened_are_told_without_those_that_are_loaded() {
    let mut file = library(&[(NEEDED, "libc.so.6"), (SONAME, "libnss.so")]);
    file.texts = b"\0libc.so.6\0libnss_%s.so\0libdl_me.so.3\0".to_vec();
    let elf = facts(&file.bytes()).expect("an ELF file");
    assert_eq!(elf.may_open, [b"libdl_me.so.3".to_vec(), b"libnss_*.so".to_vec()]);
}

#[test]
fn other_files_are_no_programs() {
    assert_eq!(Program::of(b"hello"), None);
    assert_eq!(facts(b""), None);
    assert_eq!(facts(b"\x7fELF"), None);
    assert!(matches!(Program::of(b"#!/bin/sh\n"), Some(Program::Script(Script { .. }))));
    assert!(matches!(Program::of(&library(&[]).bytes()), Some(Program::Elf(_))));
}

/// Files of all kinds, and one that a real toolchain made.
fn samples() -> Vec<Vec<u8>> {
    let shell = std::fs::read("/bin/sh").expect("a shell");
    let mut signed = object(true, false);
    signed.appended = b"~Module signature appended~\n".to_vec();
    let mut all = vec![
        program(&[(NEEDED, "libc.so.6"), (RPATH, "$ORIGIN")]).with_symbols().bytes(),
        library(&[]).with_symbols().bytes(),
        object(true, false).bytes(),
        object(false, true).bytes(),
        signed.bytes(),
        shell,
    ];
    let mut big = program(&[(NEEDED, "libc.so.6")]);
    (big.is_64, big.is_big_endian, big.machine) = (false, true, 8);
    all.push(big.with_symbols().bytes());
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_are_read_or_not_and_never_panic(
        which in 0..7usize,
        changes in proptest::collection::vec((any::<u32>(), any::<u8>(), 0..3u8), 1..12),
        cut in proptest::option::of(any::<u32>()),
    ) {
        let mut bytes = samples().swap_remove(which);
        let length = bytes.len();
        for (at, value, place) in changes {
            // Headers and tables are where numbers matter.
            let at = match place {
                0 => at as usize % 64.min(length),
                1 => length - 1 - at as usize % 1000.min(length),
                _ => at as usize % length,
            };
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut as usize % (length + 1));
        }
        let elf = facts(&bytes);
        prop_assert_eq!(elf.as_ref().map(|elf| elf.loading.clone()), Loading::read(bytes.as_slice()));
        for what in [Strip::Debug, Strip::All] {
            if let Ok(stripped) = strip(&bytes, what) {
                prop_assert!(stripped.len() < bytes.len());
                prop_assert!(strip(&stripped, what).is_err(), "a second time changes nothing");
            }
        }
    }
}
