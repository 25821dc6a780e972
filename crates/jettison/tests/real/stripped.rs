//! Debug symbols: what real toolchains made runs the same without them, and other people's readers find nothing wrong.
//!
//! Needs Debian's gcc, g++, binutils and elfutils.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use jettison_image::elf::{NotStripped, Strip, facts, strip};
use jettison_verify::is_stripped_form;
use tempfile::TempDir;

use crate::tools::{folder, run, run_with};

const PROGRAM: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static __thread int mine = 40;
static void *count(void *more) { mine += *(int *)more; printf("%d\n", mine); return NULL; }
__attribute__((constructor)) static void early(void) { puts("early"); }
int main(int count_, char **words) {
    int more = count_ + 1;
    pthread_t thread;
    pthread_create(&thread, NULL, count, &more);
    pthread_join(thread, NULL);
    printf("%d %s\n", mine, getenv("PATH") ? "a path" : "none");
    return 0;
}
"#;
const LIBRARY: &str = r"
__thread int seen = 3;
static int one(void) { return seen + 1; }
static int two(void) { return seen + 2; }
static int (*choose(void))(void) { __builtin_cpu_init(); return __builtin_cpu_supports(\x22sse2\x22) ? two : one; }
int answer(void) __attribute__((ifunc(\x22choose\x22)));
";
const USER: &str = r"
#include <stdio.h>
extern int answer(void);
extern __thread int seen;
int main(void) { seen = 40; printf(\x22%d\n\x22, answer()); return 0; }
";
const EXCEPTIONS: &str = r#"
#include <iostream>
#include <stdexcept>
#include <string>
struct Loud { std::string name; ~Loud() { std::cout << "gone: " << name << std::endl; } };
template <typename T> T half(T value) { Loud loud{"half"}; if (value % 2) throw std::runtime_error("odd"); return value / 2; }
int main() {
    try { std::cout << half(4) << std::endl; std::cout << half(3L) << std::endl; }
    catch (const std::exception &error) { std::cout << error.what() << std::endl; }
    return 0;
}
"#;

/// A folder with sources.
struct Sources(TempDir);

impl Sources {
    fn new() -> Self {
        let place = folder();
        let texts = [("program.c", PROGRAM), ("library.c", LIBRARY), ("user.c", USER), ("exceptions.cc", EXCEPTIONS)];
        for (name, text) in texts {
            fs::write(place.path().join(name), text.replace("\\x22", "\"")).expect("writes");
        }
        Self(place)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Compiles, and gives the path of the result.
    fn compile(&self, compiler: &str, output: &str, source: &str, flags: &[&str]) -> String {
        let (output, source) = (self.path(output), self.path(source));
        run(compiler, &[&["-O1", "-o", &output, &source], flags].concat());
        output
    }
}

/// Strips a file in its place, checks the result by the judge and other people's readers, and gives the bytes saved.
fn stripped(path: &str, what: Strip) -> usize {
    let before = fs::read(path).expect("reads");
    let after = strip(&before, what).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(is_stripped_form(&before, &after), Ok(()), "{path}");
    assert!(strip(&after, what).is_err(), "{path} a second time");
    let gnu = format!("{path}.gnu");
    let is_object = path.ends_with(".o");
    run("strip", &[if is_object || what == Strip::Debug { "--strip-debug" } else { "--strip-all" }, "-o", &gnu, path]);
    // Of static programs GNU strip leaves relocations without a table of symbols as well, which eu-elflint does not like.
    let known: BTreeSet<String> = complaints(path).into_iter().chain(complaints(&gnu)).collect();
    let mode = fs::metadata(path).expect("is there").permissions();
    fs::write(path, &after).expect("writes");
    fs::set_permissions(path, mode).expect("sets the mode");
    let new: Vec<String> = complaints(path).difference(&known).cloned().collect();
    assert!(new.is_empty(), "{path}: {new:?}");
    let gnu = usize::try_from(fs::metadata(&gnu).expect("is there").len()).expect("small");
    // Of object files GNU strip writes the names of symbols anew.
    assert!(is_object || after.len() <= gnu + 1024, "{path}: {} bytes, and {gnu} by GNU strip", after.len());
    before.len() - after.len()
}

/// What readelf and eu-elflint say against a file, without the numbers of sections.
fn complaints(path: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (program, arguments, package) in
        [("readelf", ["-aW", path], "binutils"), ("eu-elflint", ["--gnu-ld", path], "elfutils")]
    {
        let output = Command::new(program).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{program} does not start ({error}): install {package}"));
        // readelf prints contents to its output and complaints beside it; eu-elflint prints nothing but complaints.
        let text = if program == "readelf" { output.stderr } else { output.stdout };
        let lines = String::from_utf8_lossy(&text).into_owned();
        let without_numbers = |line: &str| line.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        all.extend(lines.lines().filter(|line| *line != "No errors").map(without_numbers));
    }
    all
}

#[test]
fn programs_run_the_same_without_symbols() {
    let sources = Sources::new();
    let forms: [(&str, &str, &str, &[&str]); 8] = [
        ("gcc", "fixed", "program.c", &["-g", "-no-pie"]),
        ("gcc", "pie", "program.c", &["-g", "-pie"]),
        ("gcc", "static", "program.c", &["-g", "-static"]),
        ("gcc", "static-pie", "program.c", &["-g", "-static-pie"]),
        ("gcc", "macros", "program.c", &["-g3", "-gz"]),
        ("gcc", "links", "program.c", &["-g", "-Wl,-z,separate-code", "-Wl,-z,now", "-Wl,--build-id=none"]),
        ("g++", "exceptions", "exceptions.cc", &["-g"]),
        ("g++", "static-exceptions", "exceptions.cc", &["-g", "-static"]),
    ];
    for (compiler, output, source, flags) in forms {
        let path = sources.compile(compiler, output, source, flags);
        let said = run(&path, &[]);
        assert!(stripped(&path, Strip::All) > 1000, "{path}");
        assert_eq!(run(&path, &[]), said, "{path}");
        let elf = facts(&fs::read(&path).expect("reads")).expect("an ELF file");
        assert!(!elf.has_debug, "{path}");
    }
}

#[test]
fn relocations_that_stay_keep_all_symbols() {
    let sources = Sources::new();
    let path = sources.compile("gcc", "relocations", "program.c", &["-g", "-Wl,--emit-relocs"]);
    let reason = strip(&fs::read(&path).expect("reads"), Strip::All).err();
    assert_eq!(reason, Some(NotStripped::Used { section: ".symtab".to_owned() }));
}

#[test]
fn libraries_load_the_same_without_symbols() {
    let sources = Sources::new();
    let library = sources.compile("gcc", "libanswer.so", "library.c", &["-g", "-shared", "-fPIC"]);
    let search = [format!("-Wl,-rpath,{}", sources.path("")), format!("-L{}", sources.path(""))];
    let search = [search[0].as_str(), search[1].as_str()];
    let user = sources.compile("gcc", "user", "user.c", &[&["-g"][..], &search, &["-lanswer"]].concat());
    assert_eq!(run(&user, &[]), "42\n");
    assert!(stripped(&library, Strip::All) > 500);
    assert!(stripped(&user, Strip::All) > 500);
    assert_eq!(run(&user, &[]), "42\n");
    // Others can still be linked with it.
    let again = sources.compile("gcc", "again", "user.c", &[&["-g"][..], &search, &["-lanswer"]].concat());
    assert_eq!(run(&again, &[]), "42\n");
}

#[test]
fn object_files_are_linked_the_same_without_debug_information() {
    let sources = Sources::new();
    for (compiler, source, flags) in [
        ("gcc", "program.c", &["-c", "-g"][..]),
        ("gcc", "program.c", &["-c", "-g3", "-gdwarf-4", "-fdebug-types-section"]),
        ("g++", "exceptions.cc", &["-c", "-g", "-ffunction-sections"]),
    ] {
        let object = sources.compile(compiler, "one.o", source, flags);
        let program = sources.path("linked");
        run(compiler, &["-o", &program, &object]);
        let said = run(&program, &[]);
        let before = fs::read(&object).expect("reads");
        match strip(&before, Strip::All) {
            // Macros are in groups whose names are global symbols of what would go.
            Err(NotStripped::Used { section }) if flags.contains(&"-g3") => assert_eq!(section, ".symtab"),
            _ => assert!(stripped(&object, Strip::All) > 1000),
        }
        run(compiler, &["-o", &program, &object]);
        assert_eq!(run(&program, &[]), said, "{source} {flags:?}");
    }
}

#[test]
fn programs_with_something_at_their_end_are_left_alone() {
    let sources = Sources::new();
    let path = sources.compile("gcc", "fixed", "program.c", &["-g"]);
    let program = fs::read(&path).expect("reads");
    let appended = [program.as_slice(), b"PK an archive"].concat();
    assert_eq!(strip(&appended, Strip::All).err(), Some(NotStripped::Appended { bytes: 13 }));
    // As PyInstaller and others add their archive.
    let payload = sources.path("program.c");
    run("objcopy", &["--add-section", &format!("pydata={payload}"), &path]);
    let archive = fs::read(&payload).expect("reads");
    let place = |bytes: &[u8]| bytes.windows(archive.len()).position(|part| part == archive).expect("is there");
    let before = fs::read(&path).expect("reads");
    let after = strip(&before, Strip::All).expect("has symbols behind the archive");
    assert_eq!(place(&before), place(&after), "who looks for it at its offset finds it");
    // Debug symbols that were put into a file of their own, which has to fit.
    let pair = sources.compile("gcc", "pair", "program.c", &["-g"]);
    run("objcopy", &["--only-keep-debug", &pair, &format!("{pair}.debug")]);
    run("objcopy", &["--add-gnu-debuglink", &format!("{pair}.debug"), &pair]);
    assert_eq!(strip(&fs::read(&pair).expect("reads"), Strip::All).err(), Some(NotStripped::DebugLink));
    let companion = fs::read(format!("{pair}.debug")).expect("reads");
    assert_eq!(strip(&companion, Strip::All).err(), Some(NotStripped::Companion));
}

#[test]
fn a_compiler_compiles_with_libraries_without_symbols() {
    let sysroot = PathBuf::from(run("rustc", &["--print", "sysroot"]).trim_end());
    let place = folder();
    let mut count = 0;
    for entry in fs::read_dir(sysroot.join("lib")).expect("the compiler's libraries").flatten() {
        let Ok(before) = fs::read(entry.path()) else { continue };
        let Ok(after) = strip(&before, Strip::All) else { continue };
        assert_eq!(is_stripped_form(&before, &after), Ok(()), "{:?}", entry.path());
        fs::write(place.path().join(entry.file_name()), after).expect("writes");
        count += 1;
    }
    assert!(count > 0, "the compiler's libraries have symbols");
    let source = place.path().join("a.rs");
    fs::write(&source, "fn main() { println!(\"{}\", (1..=9).product::<u32>()); }").expect("writes");
    let program = place.path().join("a");
    let paths = [&program, &source].map(|path| path.to_str().expect("UTF-8"));
    let rustc = sysroot.join("bin/rustc");
    let libraries = place.path().to_str().expect("UTF-8");
    // The compiler looks for its standard library beside its own libraries.
    let arguments = ["-g", "--sysroot", sysroot.to_str().expect("UTF-8"), "-o", paths[0], paths[1]];
    run_with(rustc.to_str().expect("UTF-8"), &arguments, &[("LD_LIBRARY_PATH", libraries)]);
    assert_eq!(run(paths[0], &[]), "362880\n");
    assert!(stripped(paths[0], Strip::All) > 100_000);
    assert_eq!(run(paths[0], &[]), "362880\n");
}

#[test]
fn the_machines_own_files_keep_all_that_is_loaded() {
    let (mut count, mut saved, mut reasons) = (0, 0, HashSet::new());
    for place in ["/usr/bin", "/usr/sbin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/gcc/x86_64-linux-gnu/12"] {
        for path in files(Path::new(place)) {
            let before = fs::read(&path).unwrap_or_default();
            match strip(&before, Strip::All) {
                Ok(after) => {
                    assert_eq!(is_stripped_form(&before, &after), Ok(()), "{}", path.display());
                    count += 1;
                    saved += before.len() - after.len();
                }
                Err(reason) => drop(reasons.insert(std::mem::discriminant(&reason))),
            }
        }
    }
    assert!(
        count > 3 && saved > 10_000 && reasons.len() > 1,
        "{count} files, {saved} bytes, {} reasons",
        reasons.len()
    );
}

/// The regular files of a folder that are larger than headers.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let is_file = |path: &PathBuf| {
        fs::symlink_metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() > 1000 && metadata.permissions().mode() != 0)
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_file).collect();
    files.sort();
    files
}
