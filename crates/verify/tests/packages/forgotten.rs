//! Files of packages that stay, which are gone on purpose: databases may say no more than that.

use std::io::Write as _;

use crate::bed::{Bed, forgetting};
use crate::sqlite;

const FILES: [&str; 3] = ["usr/bin/a", "usr/doc/a", "usr/doc/b"];

/// A package of rpm with three files in these states.
fn rpm(states: [u8; 3], name: &str) -> Bed {
    let header = sqlite::header(&[
        (1000, sqlite::Tag::Text("a")),
        (1029, sqlite::Tag::States(&states)),
        (1116, sqlite::Tag::Numbers(&[0, 1, 1])),
        (1117, sqlite::Tag::Texts(&["a", name, "b"])),
        (1118, sqlite::Tag::Texts(&["/usr/bin/", "/usr/doc/"])),
    ]);
    let mut bed = Bed::default();
    bed.file("var/lib/rpm/rpmdb.sqlite", sqlite::database(&[header]));
    for (path, state) in FILES.iter().zip(states) {
        if state == 0 {
            bed.file(path, "");
        }
    }
    bed
}

#[test]
fn rpm_says_what_was_left_out() {
    let path = &["var/lib/rpm/rpmdb.sqlite"];
    let said = |before: &Bed, after: &Bed, forgotten: &[&str]| forgetting(before, after, forgotten, path);
    let before = rpm([0, 0, 0], "a");
    let none: (Vec<String>, Vec<bool>) = (Vec::new(), vec![true]);
    assert_eq!(said(&before, &rpm([0, 2, 0], "a"), &["usr/doc/a"]), none);
    assert_eq!(said(&rpm([0, 0, 2], "a"), &rpm([0, 2, 2], "a"), &["usr/doc/a"]), none);
    for (old, new, differs) in [
        ([0, 0, 0], rpm([0, 2, 2], "a"), "files left out"),
        ([0, 0, 2], rpm([0, 2, 0], "a"), "files left out"),
        // Another state is another one's file.
        ([0, 0, 0], rpm([0, 1, 0], "a"), "entry in the database"),
        ([0, 0, 0], rpm([0, 2, 0], "c"), "entry in the database"),
    ] {
        let (differences, _) = said(&rpm(old, "a"), &new, &["usr/doc/a"]);
        assert!(differences.iter().any(|one| one.contains(differs)), "{differences:?}");
    }
}

/// A package of pacman with three files, of which lists name some.
fn pacman(files: &[&str], mtree: &[&str]) -> Bed {
    let mut bed = Bed::default();
    bed.file("var/lib/pacman/local/a-1/desc", "%NAME%\na\n\n%VERSION%\n1\n\n");
    let lines = |files: &[&str], start: &str| files.iter().map(|file| format!("{start}{file}\n")).collect::<String>();
    bed.file("var/lib/pacman/local/a-1/files", format!("%FILES%\n{}", lines(files, "")));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines(mtree, "./").as_bytes()).expect("packs");
    bed.file("var/lib/pacman/local/a-1/mtree", gzip.finish().expect("packs"));
    bed
}

#[test]
fn pacman_lists_what_is_there() {
    let paths = ["files", "mtree"].map(|name| format!("var/lib/pacman/local/a-1/{name}"));
    let paths = [paths[0].as_str(), paths[1].as_str()];
    let before = pacman(&FILES, &FILES);
    let said = |files: &[&str], mtree: &[&str]| forgetting(&before, &pacman(files, mtree), &["usr/doc/a"], &paths);
    let without = ["usr/bin/a", "usr/doc/b"];
    assert_eq!(said(&without, &without), (Vec::new(), vec![true, true]));
    let (differences, same) = said(&["usr/bin/a"], &["usr/bin/a"]);
    assert!(differences.iter().any(|one| one.contains("list of files")), "{differences:?}");
    assert_eq!(same, [false, false]);
    assert_eq!(said(&without, &["usr/bin/a", "usr/doc/b", "usr/doc/c"]).1, [true, false]);
    let (_, same) = forgetting(&before, &pacman(&without, &without), &[], &paths);
    assert_eq!(same, [false, false], "nothing was meant to be gone");
}
