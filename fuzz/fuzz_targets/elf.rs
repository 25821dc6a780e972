//! Any bytes as an ELF file: what is read of them is read or not, stripping makes them shorter and leaves its own result
//! alone, the judge judges, and nothing panics.

#![no_main]

use jettison_image::elf::{Loading, Program, Strip, facts, strip};
use jettison_verify::is_stripped_form;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let elf = facts(data);
    assert_eq!(elf.is_some(), Loading::read(data).is_some());
    let _ = Program::of(data);
    for what in [Strip::Debug, Strip::All] {
        let Ok(stripped) = strip(data, what) else { continue };
        assert!(stripped.len() < data.len());
        assert!(strip(&stripped, what).is_err(), "a second time changes nothing");
        // It may refuse what is made of damaged files; most are fine.
        let _ = is_stripped_form(data, &stripped);
    }
    // Two files of which one was not made of the other.
    if let Some((first, rest)) = data.split_first() {
        let (before, after) = rest.split_at(rest.len() * usize::from(*first) / 256);
        let _ = is_stripped_form(before, after);
    }
});
