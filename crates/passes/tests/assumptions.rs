//! `docs/ASSUMPTIONS.md`: what is taken to hold at the levels that are not exact, written from the table of passes.
//! `cargo xtask assumptions` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jettison_ir::{Level, Pass, Run};
use jettison_passes::{PASSES, assumptions};

const HEAD: &str = "\
# Assumptions

On images `-O1` changes nothing that a container could see, unless its user names what is to go. What `-O2` and `-Os` take
away they take for useless, and on Dockerfiles some things cannot be read off the text: each pass names what it takes to
hold. This page lists it all; `cargo xtask assumptions` writes it from the table of passes, and a test fails where it is
not what they say.

Any of them can be turned off by its name, and the passes then do without: `jettison optimize IMAGE -Os --skip NAME`,
and the same with `rewrite`, `lint` and `build`. `jettison explain NAME` says what a name is, `--keep GLOB` keeps paths whatever
a pass says, `--remarks` says what was left alone and why, and the receipt lists each path that went with its pass.
";

/// What a pass looks at, as people say it.
fn subject(pass: &Pass) -> &'static str {
    match pass.run {
        Run::Image(_) => "images",
        Run::Source(_) => "Dockerfiles",
        Run::Development(_) => "Dockerfiles, for development",
    }
}

/// The page.
fn page() -> String {
    let mut all: BTreeMap<&str, (&str, Vec<&Pass>)> = BTreeMap::new();
    for pass in PASSES {
        for assumption in assumptions(pass) {
            let (holds, passes) = all.entry(assumption.name).or_insert((assumption.holds, Vec::new()));
            assert_eq!(*holds, assumption.holds, "{} says two things", assumption.name);
            passes.push(pass);
        }
    }
    let mut out = HEAD.to_owned();
    for (name, (holds, passes)) in all {
        let mut first = holds.chars();
        let holds: String = first.next().into_iter().flat_map(char::to_uppercase).chain(first).collect();
        let level = passes.iter().map(|pass| pass.level).min().unwrap_or(Level::O1);
        let _ = write!(out, "\n## {name}\n\n{holds}.\n\nFrom {level} on, unless `--skip {name}` is given. ");
        let _ = writeln!(out, "Passes that rest on it:\n");
        for pass in passes {
            let _ = writeln!(out, "- `{}` ({}, {}): {}", pass.name, subject(pass), pass.level, pass.summary);
        }
    }
    out
}

#[test]
fn the_page_says_what_the_passes_say() {
    let (text, path) = (page(), Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ASSUMPTIONS.md"));
    if std::env::var_os("JETTISON_BLESS").is_some() {
        std::fs::create_dir_all(path.with_file_name("")).expect("a folder");
        std::fs::write(&path, &text).expect("the page is written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/ASSUMPTIONS.md is not what the passes say: `cargo xtask assumptions` writes it. Now:\n{text}"
    );
}
