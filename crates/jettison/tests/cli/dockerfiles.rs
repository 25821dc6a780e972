//! Dockerfiles that are damaged, strange or out of reach: what is said, and that the file stays as it was.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::run::{Folder, Ran, finish, run, state};

const ONLY: &str = "--only adjacent-runs,latest-tag";

/// A Dockerfile that builders refuse: `rewrite` fails with a message of these parts, `lint` finds an error, and
/// whatever is asked for, nothing is written.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, parts: &[&str]) -> Ran {
    let folder = Folder::new();
    fs::write(folder.at("Dockerfile"), text).expect("writes");
    let before = state(folder.path());
    let file = folder.at("Dockerfile");
    let mut first = None;
    for options in ["", "--write", "--check", "--format json", "-o -", &format!("-o {}", folder.at("out"))] {
        let ran = run(&format!("rewrite {} {options}", folder.at(""))).fails(3, parts);
        assert!(ran.err.starts_with(&format!("error: {file}:")), "{}", ran.err);
        assert_eq!(ran.out, "");
        first.get_or_insert(ran);
    }
    let lint = run(&format!("lint {} --fix", folder.at("")));
    assert_eq!(lint.code, Some(1), "{}", lint.err);
    assert!(lint.out.contains("error[syntax-error]"), "{}", lint.out);
    assert!(state(folder.path()) == before);
    first.expect("a run")
}

/// What `rewrite --write` makes of a file.
#[track_caller]
fn rewritten(bytes: &[u8]) -> Vec<u8> {
    let folder = Folder::new();
    fs::write(folder.at("Dockerfile"), bytes).expect("writes");
    run(&format!("rewrite {} {ONLY} --write", folder.at(""))).ok();
    let first = fs::read(folder.at("Dockerfile")).expect("reads");
    run(&format!("rewrite {} {ONLY} --write", folder.at(""))).ok();
    assert_eq!(fs::read(folder.at("Dockerfile")).expect("reads"), first, "a second run changes nothing");
    first
}

#[test]
fn unknown_instructions() {
    let carets = "  |\n2 | RUNN x\n  | ^^^^\n  hint: did you mean RUN?\n";
    let ran = refused("FROM alpine:3\nRUNN x\n", &["Dockerfile:2: there is no instruction RUNN\n"]);
    assert!(ran.err.ends_with(carets), "{}", ran.err);
    refused(
        "FORM alpine\n",
        &["Dockerfile:1: there is no instruction FORM\n", "1 | FORM alpine", "did you mean FROM?"],
    );
    let several = "`jettison lint` shows all 2 errors";
    refused("FROM alpine:3\nXYZZY\nCOPY a\n", &[":2: there is no instruction XYZZY", several]);
}

#[test]
fn heredocs_without_an_end() {
    let parts = [":2: the heredoc has no closing line \"EOF\"", "2 | RUN cat <<EOF", "^^^^^"];
    refused("FROM alpine:3\nRUN cat <<EOF\na\nb\n", &parts);
}

#[test]
fn arrays_that_are_none() {
    // Builders take broken JSON for a shell's text, and so it is.
    for text in ["FROM alpine:3\nRUN [\"a\", \"b\"\n", "FROM alpine:3\nRUN [ 'a' ]\n", "FROM alpine:3\nCMD [a]\n"] {
        assert_eq!(rewritten(text.as_bytes()), text.as_bytes());
    }
    let parts = [":2: an array in JSON form can hold strings only", "2 | RUN [\"a\", 1]", "^^^^^^^^"];
    refused("FROM alpine:3\nRUN [\"a\", 1]\n", &parts);
}

#[test]
fn files_without_a_base_or_without_anything() {
    refused("RUN a\n", &[":1: RUN stands before the first FROM", "1 | RUN a"]);
    refused("ARG a\n", &[":1: the file has no FROM"]);
    refused("", &[":1: the file has no instructions"]);
    refused("# only this\n\n", &["the file has no instructions"]);
}

#[test]
fn flags_and_words_that_are_wrong() {
    refused("FROM alpine:3\nCOPY --form=x a b\n", &["COPY has no flag --form", "did you mean from?"]);
    refused("FROM alpine:3\nENV a=b c\n", &["\"c\" has no =", "2 | ENV a=b c", "        ^"]);
    refused("FROM alpine:3\nCOPY \\\n  a\n", &[":2: COPY needs at least one source"]);
}

#[test]
fn bytes_are_kept_as_they_are() {
    let latin = b"# caf\xe9 \xff\nFROM a:1\nRUN b\nRUN c\n";
    assert_eq!(rewritten(latin), b"# caf\xe9 \xff\nFROM a:1\nRUN b \\\n    && c\n");
    let crlf = b"\xef\xbb\xbf# a\r\nFROM a:1\r\nRUN b\r\nRUN c\r\n";
    assert_eq!(rewritten(crlf), b"\xef\xbb\xbf# a\r\nFROM a:1\r\nRUN b \\\r\n    && c\r\n");
    let backtick = b"# escape=`\nFROM a:1\nRUN b\nRUN c\n";
    assert_eq!(rewritten(backtick), b"# escape=`\nFROM a:1\nRUN b `\n    && c\n");
    let zero = b"FROM a:1\n# \0\nCOPY \0 /x\nRUN b\n";
    assert_eq!(rewritten(zero), zero);
    assert_eq!(rewritten(b"FROM a:1\nRUN b\nRUN c"), b"FROM a:1\nRUN b \\\n    && c");
    // The diff has them as well.
    let folder = Folder::new();
    fs::write(folder.at("Dockerfile"), b"# caf\xe9\nFROM a:1\nRUN b\nRUN c\n").expect("writes");
    let output = crate::run::jettison(&format!("rewrite {} {ONLY}", folder.at(""))).output().expect("starts");
    assert!(output.stdout.windows(7).any(|window| window == b" # caf\xe9"), "{output:?}");
}

#[test]
fn bytes_that_steer_terminals_are_shown_as_such() {
    let folder = Folder::new();
    fs::write(folder.at("Dockerfile"), "FROM a\u{1b}[2J\nRUN \u{1b}]0;x\u{7}\nRUN b\nRUNN \u{1b}[31m\n")
        .expect("writes");
    for line in ["rewrite", "lint"] {
        let ran = run(&format!("{line} {} --color always", folder.at("")));
        for code in ["\u{1b}[2J", "\u{1b}]0", "\u{1b}[31m\n"] {
            assert!(!ran.out.contains(code) && !ran.err.contains(code), "{line}: {:?}{:?}", ran.out, ran.err);
        }
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.at("folder")).expect("makes a folder");
    run(&format!("rewrite -f {}", folder.at("folder"))).fails(3, &["folder: it is a folder, not a Dockerfile"]);
    run(&format!("rewrite -f {}", folder.at("none"))).fails(3, &["cannot read", "none", "No such file"]);
    run(&format!("rewrite {}", folder.at("none"))).fails(3, &["cannot read", "none", "No such file"]);
    run("rewrite -f /proc/self/mem").fails(3, &["cannot read /proc/self/mem", "caused by:"]);
    run("rewrite -f /dev/zero").fails(3, &["cannot read /dev/zero", "more than 64 MiB"]);
    fs::write(folder.at("Dockerfile"), "FROM a:1\nRUN b\nRUN c\n").expect("writes");
    let line = |output: &str| format!("rewrite {} {ONLY} -o {}", folder.at(""), folder.at(output));
    run(&line("folder")).fails(3, &["cannot write", "it is a folder"]);
    run(&line("none/file")).fails(3, &["cannot write", "none/file"]);
    assert_eq!(folder.names(), ["Dockerfile", "folder"]);
}

#[test]
fn how_to_build_is_refused_where_nothing_is_built() {
    let folder = Folder::new();
    fs::write(folder.at("Dockerfile"), "FROM a:1\n").expect("writes");
    let rewrite = format!("rewrite {}", folder.at("Dockerfile"));
    for option in ["--build-arg A=1", "--offline", "--no-cache", "--jobs 2", "--progress plain", "--cache-dir /x"] {
        run(&format!("{rewrite} {option}")).fails(2, &["--prove"]);
    }
    for option in ["--time-passes", "--print-after adjacent-runs"] {
        run(&format!("{rewrite} --prove {option}")).fails(2, &["--prove", "cannot be used with"]);
    }
}

/// The parser behind scripts gives up on some texts: that costs what the rules could say of one RUN, and not the run.
#[test]
fn a_script_that_no_parser_reads_is_left_alone() {
    let folder = Folder::new();
    let odd = "\u{192a}L\"*=\\\"$`\u{ce2}\u{f87}`)/*\"?";
    let text = format!("FROM a:1\nRUN {odd}\nRUN b\nRUN c\n");
    fs::write(folder.at("odd"), &text).expect("writes");
    let ran = run(&format!("rewrite -f {} --only adjacent-runs -q -o {}", folder.at("odd"), folder.at("out")));
    ran.ok();
    let out = fs::read_to_string(folder.at("out")).expect("reads");
    assert!(out.contains(odd) && out.matches("RUN").count() == 2, "{out}");
}

#[test]
fn large_files_end_soon() {
    let folder = Folder::new();
    for (name, text) in [
        ("comments", format!("FROM a:1\n{}RUN b\nRUN c\n", "# a comment\n".repeat(900_000))),
        (
            "heredoc",
            format!("FROM a:1\nRUN <<EOF\n{}EOF\n", "touch /a/longer/name/of/a/file/than/most\n".repeat(250_000)),
        ),
        ("bases", "FROM a\n".repeat(4000)),
        ("words", format!("FROM a:1\n{}", "ENV A=1 B=2 C=3 D=4 E=5 F=6\n".repeat(10_000))),
    ] {
        fs::write(folder.at(name), text).expect("writes");
        let start = Instant::now();
        run(&format!("rewrite -f {} {ONLY} -q -o {}", folder.at(name), folder.at("out"))).ok();
        run(&format!("lint {} {ONLY} --error-on never", folder.at(name))).ok();
        assert!(start.elapsed() < Duration::from_secs(60), "{name}: {:?}", start.elapsed());
    }
    let line = format!("FROM a:1\nRUN {}\n", "x".repeat(10_000_000));
    let ran = refused(line, &[":2: the line has 10000004 bytes"]);
    assert!(ran.err.len() < 2000, "{} bytes of message", ran.err.len());
}

/// Rewrites a Dockerfile in a place that a script prepares, which gets its path as `$1`; the file and what is beside it
/// must stay.
fn in_a_bad_place(script: &str) -> Ran {
    let folder = Folder::new();
    let place = folder.at("place");
    fs::create_dir(&place).expect("makes a folder");
    let long = format!("# {}\n", "x".repeat(5000));
    fs::write(folder.at("precious"), format!("{long}FROM a:1\nRUN b\nRUN c\n")).expect("writes");
    let script = format!(
        "{script} || exit 99
         TMPDIR=$1 {binary} rewrite -f $1/Dockerfile {ONLY} --write
         code=$?
         cmp {precious} $1/Dockerfile || code=98
         [ \"$(ls -A $1)\" = Dockerfile ] || {{ ls -A $1; code=97; }}
         exit $code",
        precious = folder.at("precious"),
        binary = env!("CARGO_BIN_EXE_jettison"),
    );
    let script = script.replace("PRECIOUS", &folder.at("precious"));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh", &place]);
    let ran = finish(command, "rewrite --write");
    assert_ne!(ran.code, Some(99), "this test mounts a tmpfs, as root or in a user namespace: {}", ran.err);
    ran
}

#[test]
fn a_full_disk() {
    in_a_bad_place("mount -t tmpfs -o size=8k none $1 && cp PRECIOUS $1/Dockerfile")
        .fails(3, &["cannot write", "place/Dockerfile", "No space left on device"]);
}

#[test]
fn a_folder_that_cannot_be_written_to() {
    let script = "mount -t tmpfs none $1 && cp PRECIOUS $1/Dockerfile && mount -o remount,ro $1";
    in_a_bad_place(script).fails(3, &["cannot write", "place/Dockerfile", "Read-only file system"]);
}

#[test]
fn results_that_cannot_be_printed() {
    let folder = Folder::new();
    fs::write(folder.at("Dockerfile"), "FROM a\nRUN b\nRUN c\n").expect("writes");
    for line in ["rewrite", "rewrite -o -", "rewrite --format json", "lint", "lint --format sarif"] {
        let line = line.replacen(' ', &format!(" {} ", folder.at("")), 1);
        let line = if line.contains(' ') { line } else { format!("{line} {}", folder.at("")) };
        let mut command = crate::run::jettison(&line);
        command.stdout(fs::File::options().write(true).open("/dev/full").expect("/dev/full"));
        let output = command.output().expect("starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{line}: {said}");
        assert!(said.contains("No space left on device"), "{line}: {said}");
    }
}
