//! The rules of the workspace that no compiler checks: which crate may use which, what the pure ones
//! must not touch, and how files are laid out (ARCHITECTURE.md, CONTRIBUTING.md).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// The crates, and those of the workspace that each may use.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("jettison-syntax", &[]),
    ("jettison-image", &[]),
    ("jettison-ir", &["jettison-image", "jettison-syntax"]),
    ("jettison-passes", &["jettison-ir", "jettison-image", "jettison-syntax"]),
    ("jettison-store", &["jettison-image"]),
    ("jettison-engine", &["jettison-image", "jettison-ir", "jettison-store", "jettison-syntax"]),
    // The judge shares no code with the judged.
    ("jettison-verify", &["jettison-ir", "jettison-image"]),
    ("jettison-report", &["jettison-ir", "jettison-image", "jettison-syntax"]),
    (
        "jettison",
        &[
            "jettison-engine",
            "jettison-image",
            "jettison-ir",
            "jettison-passes",
            "jettison-report",
            "jettison-store",
            "jettison-syntax",
            "jettison-verify",
        ],
    ),
];

/// The crates without effects.
const PURE: [&str; 6] = ["syntax", "image", "ir", "passes", "verify", "report"];

/// What those must not name: files, network, processes, environment, clocks, threads' own state, printing.
const EFFECTS: [&str; 17] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::os::",
    "std::path",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "Instant",
    "SystemTime",
    "File::",
    "OpenOptions",
    "println!",
    "rand::",
    "getrandom",
];

/// Outside crates that are effects.
const EFFECTFUL: [&str; 12] = [
    "rand",
    "getrandom",
    "tempfile",
    "rustix",
    "libc",
    "ctrlc",
    "indicatif",
    "anstream",
    "terminal_size",
    "rayon",
    "crossbeam-channel",
    "ureq",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace").to_owned()
}

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps().other_options(["--offline".to_owned()]);
    command.exec().expect("cargo metadata")
}

/// The Rust files below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{} has no Rust files", folder.display());
    files
}

/// The sources of every crate.
fn sources() -> Vec<PathBuf> {
    MAY_USE.iter().flat_map(|(name, _)| rust_files(&root().join("crates").join(folder_of(name)).join("src"))).collect()
}

fn folder_of(package: &str) -> &str {
    package.strip_prefix("jettison-").unwrap_or(package)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).expect("in the workspace").display().to_string()
}

/// A source without comments, without the contents of texts and without its tests.
fn code(source: &str) -> String {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut out = String::with_capacity(source.len());
    let mut rest = source.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match c {
            '/' if source[at..].starts_with("//") => while rest.next_if(|(_, c)| *c != '\n').is_some() {},
            '"' => {
                while let Some((_, c)) = rest.next() {
                    match c {
                        '\\' => drop(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                out.push_str("\"\"");
            }
            // A quote as a character is no text.
            '\'' if source[at..].starts_with("'\"'") => drop((rest.next(), rest.next())),
            '\'' if source[at..].starts_with("'\\") => drop((rest.next(), rest.next(), rest.next())),
            c => out.push(c),
        }
    }
    out
}

#[test]
fn the_scan_sees_code_and_nothing_else() {
    let source = "//! std::fs\nuse std::io; // std::env\nlet a = \"std::net \\\" x\"; let b = '\"'; let c = '\\''; std::process\n#[cfg(test)]\nmod tests { std::fs }";
    let code = code(source);
    assert!(code.contains("use std::io;") && code.contains("std::process"), "{code}");
    for gone in ["std::fs", "std::env", "std::net"] {
        assert!(!code.contains(gone), "{code}");
    }
}

#[test]
fn each_crate_uses_only_what_it_may() {
    let metadata = metadata();
    let table: BTreeMap<&str, BTreeSet<&str>> =
        MAY_USE.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    let ours: BTreeSet<&str> = table.keys().copied().collect();
    let members: BTreeSet<String> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .filter(|name| name != "xtask")
        .collect();
    assert_eq!(members, ours.iter().map(|name| (*name).to_owned()).collect(), "a crate is missing in the table");
    for package in metadata.workspace_packages() {
        let Some(allowed) = table.get(package.name.as_str()) else { continue };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            // Tests of one crate may build on another; what is shipped may not.
            let is_shipped = dependency.kind != DependencyKind::Development;
            assert!(
                !is_shipped || !ours.contains(name) || allowed.contains(name),
                "{} must not use {name}",
                package.name
            );
            let judge = package.name.as_str() == "jettison-verify" && name == "jettison-passes";
            assert!(!judge, "the judge never uses passes, not even in its tests");
        }
    }
}

#[test]
fn only_the_binary_uses_passes() {
    for package in metadata().workspace_packages() {
        let uses = package.dependencies.iter().any(|dependency| dependency.name == "jettison-passes");
        assert!(!uses || ["jettison", "xtask"].contains(&package.name.as_str()), "{} uses passes", package.name);
    }
}

#[test]
fn pure_crates_have_no_effects() {
    for folder in PURE {
        for path in rust_files(&root().join("crates").join(folder).join("src")) {
            let code = code(&fs::read_to_string(&path).expect("UTF-8"));
            for (number, line) in code.lines().enumerate() {
                for effect in EFFECTS {
                    // The name of another module may end like that of one with effects.
                    let is_word = |(at, _): (usize, &str)| !line[..at].ends_with(|c: char| c.is_alphanumeric());
                    assert!(
                        !line.match_indices(effect).any(is_word),
                        "{}:{}: {effect} in a crate without effects",
                        shown(&path),
                        number + 1
                    );
                }
                // A group import such as `use std::{fs, io}` names effects one by one.
                if let Some((_, group)) = line.split_once("use std::{") {
                    let names = group.split(|c: char| !c.is_alphanumeric() && c != '_');
                    for name in names {
                        assert!(
                            !["fs", "net", "process", "env", "time", "thread"].contains(&name),
                            "{}: {line}",
                            shown(&path)
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn pure_crates_use_no_crates_with_effects() {
    for package in metadata().workspace_packages() {
        if !PURE.contains(&folder_of(package.name.as_str())) {
            continue;
        }
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal) {
            assert!(
                !EFFECTFUL.contains(&dependency.name.as_str()),
                "{} must not use {}",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn only_the_binary_prints_exits_and_reads_arguments() {
    // A step's runner is a program of its own that shares the binary's file.
    let is_program = |path: &str| path.starts_with("crates/jettison/") || path == "crates/engine/src/sandbox/runner.rs";
    for path in sources().iter().filter(|path| !is_program(&shown(path))) {
        let code = code(&fs::read_to_string(path).expect("UTF-8"));
        for effect in ["println!", "eprintln!", "print!(", "process::exit", "env::args", "env::var", "anyhow"] {
            assert!(!code.contains(effect), "{}: {effect}", shown(path));
        }
    }
}

#[test]
fn no_module_is_named_for_nothing() {
    let files = sources().into_iter().chain(tests());
    for path in files {
        for part in Path::new(&shown(&path)).with_extension("").components() {
            let name = part.as_os_str().to_string_lossy();
            assert!(
                !["utils", "util", "common", "helpers", "helper", "core", "misc"].contains(&&*name),
                "{}",
                shown(&path)
            );
        }
    }
}

/// The tests beside the sources.
fn tests() -> Vec<PathBuf> {
    let folders = MAY_USE.iter().map(|(name, _)| root().join("crates").join(folder_of(name)).join("tests"));
    folders.filter(|folder| folder.is_dir()).flat_map(|folder| rust_files(&folder)).collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in sources().into_iter().chain(tests()) {
        let text = fs::read_to_string(&path).expect("UTF-8");
        assert!(text.starts_with("//! "), "{} does not open with what it is for", shown(&path));
        let paragraph: String = text.lines().take_while(|line| line.starts_with("//! ")).collect();
        assert!(paragraph.contains('.'), "{}: the first paragraph has no sentence", shown(&path));
    }
}

#[test]
fn no_file_is_longer_than_can_be_read() {
    for path in sources().into_iter().chain(tests()) {
        let lines = fs::read_to_string(&path).expect("UTF-8").lines().count();
        let name = shown(&path);
        let is_pass =
            ["crates/passes/src/image/", "crates/passes/src/source/"].iter().any(|folder| name.starts_with(folder));
        let limit = if is_pass {
            200
        } else if name.starts_with("crates/jettison/src/commands/") {
            150
        } else {
            600
        };
        assert!(lines <= limit, "{name} has {lines} lines, more than {limit}");
    }
}

#[test]
fn every_pass_has_its_page() {
    for folder in ["image", "source"] {
        each_pass_has_its_page(&root().join("crates/passes/src").join(folder));
    }
}

fn each_pass_has_its_page(folder: &Path) {
    let mut passes = 0;
    for path in rust_files(folder) {
        let page = path.with_extension("md");
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        let name = path.file_stem().expect("a name").to_string_lossy().replace('_', "-");
        assert!(text.starts_with(&format!("# {name}\n")), "{}", shown(&page));
        let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, ["What it finds", "Why it is safe", "When it stays quiet", "Cases"], "{}", shown(&page));
        let case = text.split("## Cases").nth(1).unwrap_or_default();
        assert!(case.contains("```layers") || case.contains("```dockerfile"), "{} has no case", shown(&page));
        let source = fs::read_to_string(&path).expect("UTF-8");
        assert!(source.contains(&format!("name: \"{name}\"")), "{} is not named for its waste", shown(&path));
        passes += 1;
    }
    let pages = fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "md"));
    assert_eq!(pages.count(), passes, "a page without its pass");
}

#[test]
fn lints_hold_everywhere() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("UTF-8");
    for lint in
        ["unsafe_code = \"deny\"", "missing_docs = \"warn\"", "unwrap_used = \"warn\"", "print_stdout = \"warn\""]
    {
        assert!(manifest.contains(lint), "{lint}");
    }
    for (name, _) in MAY_USE {
        let manifest =
            fs::read_to_string(root().join("crates").join(folder_of(name)).join("Cargo.toml")).expect("UTF-8");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} has its own lints");
    }
}

#[test]
fn only_the_kernel_module_is_unsafe() {
    for path in sources() {
        let shown = shown(&path);
        let code = code(&fs::read_to_string(&path).expect("a source"));
        if !shown.starts_with("crates/engine/src/kernel/") {
            assert!(!code.contains("unsafe"), "{shown} has unsafe code");
        }
    }
}
