//! `jettison rewrite`: where it reads and writes, and what it says.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use serde_json::json;

use crate::run::{Folder, Ran, finish, jettison, run, state};

/// Three RUNs that one does for, and what is left alone.
const BEFORE: &str = "# What it is\nFROM alpine:3.20\nRUN touch /a\n# Why\nRUN touch /b\nCOPY x /x\nRUN touch /c\n";
const AFTER: &str =
    "# What it is\nFROM alpine:3.20\nRUN touch /a \\\n    # Why\n    && touch /b\nCOPY x /x\nRUN touch /c\n";

/// The only pass that acts here, whatever other ones there are.
const ONLY: &str = "--only adjacent-runs,latest-tag";

/// A folder with a Dockerfile.
fn folder_with(text: impl AsRef<[u8]>) -> Folder {
    let folder = Folder::new();
    fs::write(folder.at("Dockerfile"), text).expect("writes");
    folder
}

/// Runs with something on stdin.
fn with_stdin(line: &str, input: &str) -> Ran {
    let mut command = jettison(line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("writes");
    let output = child.wait_with_output().expect("ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { line: line.to_owned(), code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn a_diff_comes_to_stdout_and_a_line_a_change_to_stderr() {
    let folder = folder_with(BEFORE);
    let mut command = jettison(&format!("rewrite {ONLY}"));
    command.current_dir(folder.path());
    let ran = finish(command, "rewrite").ok();
    let expected = "--- a/Dockerfile\n+++ b/Dockerfile\n@@ -1,7 +1,7 @@\n # What it is\n FROM alpine:3.20\n\
                    -RUN touch /a\n-# Why\n-RUN touch /b\n+RUN touch /a \\\n+    # Why\n+    && touch /b\n COPY x /x\n RUN touch /c\n";
    assert_eq!(ran.out, expected);
    assert!(ran.err.starts_with("lines 3-5  adjacent-runs: "), "{}", ran.err);
    let layers = "layers: base + 4 → base + 3 by BuildKit, base + 4 → base + 3 by the classic builder\n";
    assert!(ran.err.ends_with(layers), "{}", ran.err);
    assert_eq!(fs::read_to_string(folder.at("Dockerfile")).expect("reads"), BEFORE, "nothing is written");
    // The diff is one that `patch` takes.
    fs::write(folder.at("diff"), ran.out).expect("writes");
    let status = std::process::Command::new("git").args(["apply", "diff"]).current_dir(folder.path()).status();
    assert!(status.expect("git").success());
    assert_eq!(fs::read_to_string(folder.at("Dockerfile")).expect("reads"), AFTER);
}

#[test]
fn colour_is_for_terminals_and_says_nothing_of_its_own() {
    let folder = folder_with(BEFORE);
    let plain = run(&format!("rewrite {} {ONLY}", folder.at(""))).ok();
    let coloured = run(&format!("rewrite {} {ONLY} --color always", folder.at(""))).ok();
    assert!(!plain.out.contains('\u{1b}') && coloured.out.contains('\u{1b}') && coloured.err.contains('\u{1b}'));
    for (coloured, plain) in [(coloured.out, plain.out), (coloured.err, plain.err)] {
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }
    let quiet = run(&format!("rewrite {} {ONLY} -q", folder.at(""))).ok();
    assert!(quiet.err.is_empty() && quiet.out.starts_with("--- "));
}

#[test]
fn a_file_with_nothing_to_change_is_told_so_and_left_alone() {
    let folder = folder_with(AFTER);
    let before = state(folder.path());
    for options in ["", "--write", "--check"] {
        let ran = run(&format!("rewrite {} {ONLY} {options}", folder.at(""))).ok();
        assert_eq!(ran.out, "");
        assert!(ran.err.contains("nothing to change"), "{}", ran.err);
    }
    assert!(state(folder.path()) == before);
}

#[test]
fn writing_replaces_the_file_once() {
    let folder = folder_with(BEFORE);
    fs::set_permissions(folder.at("Dockerfile"), fs::Permissions::from_mode(0o600)).expect("sets");
    symlink("Dockerfile", folder.at("link")).expect("links");
    let ran = run(&format!("rewrite -f {} {ONLY} --write", folder.at("link"))).ok();
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("adjacent-runs") && ran.err.contains(&format!("written: {}", folder.at("link"))));
    assert_eq!(fs::read_to_string(folder.at("Dockerfile")).expect("reads"), AFTER);
    assert!(folder.path().join("link").is_symlink());
    let mode = fs::metadata(folder.at("Dockerfile")).expect("is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(folder.names(), ["Dockerfile", "link"]);
    let before = state(folder.path());
    run(&format!("rewrite -f {} {ONLY} --write", folder.at("link"))).ok();
    assert!(state(folder.path()) == before, "a second run changes nothing, not even the inode");
}

#[test]
fn a_check_fails_where_anything_would_change() {
    let folder = folder_with(BEFORE);
    let before = state(folder.path());
    let ran = run(&format!("rewrite {} {ONLY} --check", folder.at("")));
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("+    && touch /b") && ran.err.contains("adjacent-runs"), "{}{}", ran.out, ran.err);
    assert!(state(folder.path()) == before);
}

#[test]
fn the_result_goes_where_it_is_sent() {
    let folder = folder_with(BEFORE);
    let ran = run(&format!("rewrite {} {ONLY} -o -", folder.at(""))).ok();
    assert_eq!(ran.out, AFTER);
    assert!(ran.err.contains("adjacent-runs"));
    for _ in 0..2 {
        run(&format!("rewrite {} {ONLY} -o {}", folder.at(""), folder.at("release"))).ok();
        assert_eq!(fs::read_to_string(folder.at("release")).expect("reads"), AFTER);
    }
    run(&format!("rewrite {} {ONLY} -o /dev/null", folder.at(""))).ok();
    assert!(!fs::metadata("/dev/null").expect("is there").is_file(), "a device stays one");
    let ran = run(&format!("rewrite {} {ONLY} -o /dev/stdout -q", folder.at(""))).ok();
    assert_eq!(ran.out, AFTER);
    assert_eq!(folder.names(), ["Dockerfile", "release"]);
}

#[test]
fn stdin_is_read_and_has_no_place_to_be_written_to() {
    for line in ["rewrite -f -", "rewrite -"] {
        let ran = with_stdin(&format!("{line} {ONLY} -o -"), BEFORE).ok();
        assert_eq!(ran.out, AFTER);
        let ran = with_stdin(&format!("{line} {ONLY}"), BEFORE).ok();
        assert!(ran.out.starts_with("--- a/<stdin>\n"), "{}", ran.out);
        run(&format!("{line} --write")).fails(2, &["stdin cannot be replaced", "hint: -o FILE"]);
    }
    with_stdin("rewrite -f - -q", "FROM alpine:3\nRUNN a\n").fails(3, &["<stdin>:2: there is no instruction RUNN"]);
}

#[test]
fn the_dockerfile_is_found_as_builders_find_it() {
    let folder = Folder::new();
    let named = |line: &str| run(&format!("rewrite {line} --format json {ONLY}"));
    named(&folder.at("")).fails(3, &["has neither a Dockerfile nor a Containerfile"]);
    fs::write(folder.at("Containerfile"), BEFORE).expect("writes");
    assert_eq!(named(&folder.at("")).ok().json()["dockerfile"], folder.at("Containerfile"));
    fs::write(folder.at("Dockerfile"), BEFORE).expect("writes");
    assert_eq!(named(&folder.at("")).ok().json()["dockerfile"], folder.at("Dockerfile"));
    fs::write(folder.at("other"), BEFORE).expect("writes");
    for line in [folder.at("other"), format!("-f {}", folder.at("other"))] {
        assert_eq!(named(&line).ok().json()["dockerfile"], folder.at("other"));
    }
    let both = format!("{} -f {}", folder.at(""), folder.at("other"));
    assert_eq!(named(&both).ok().json()["dockerfile"], folder.at("other"));
    named(&format!("{} -f other", folder.at(""))).fails(2, &["there is no other", &folder.at("other")]);
    named(&format!("{0}/other -f {0}/other", folder.at(""))).fails(2, &["is no folder"]);
}

#[test]
fn programs_get_one_document() {
    let folder = folder_with(format!("{BEFORE}FROM debian\n"));
    let ran = run(&format!("rewrite {} {ONLY} --format json", folder.at(""))).ok();
    let report = ran.json();
    assert_eq!(report["changed"], true);
    assert_eq!(report["text"], format!("{AFTER}FROM debian\n"));
    assert!(report["diff"].as_str().is_some_and(|diff| diff.contains("+RUN touch /a \\\n")), "{report}");
    let changes: Vec<_> = report["changes"].as_array().expect("changes").iter().collect();
    let [advice, change] = changes[..] else { panic!("{report}") };
    assert_eq!((&advice["pass"], &advice["lines"]), (&json!("latest-tag"), &json!([8, 8])));
    assert_eq!((&advice["applied"], &advice["fixable"]), (&json!(false), &json!(false)));
    assert!(advice["help"].is_string() && advice["message"].is_string());
    assert_eq!((&change["pass"], &change["lines"]), (&json!("adjacent-runs"), &json!([3, 5])));
    assert_eq!((&change["applied"], &change["aliases"]), (&json!(true), &json!(["DL3059"])));
    assert_eq!(report["layers"]["after"], json!({ "buildkit": 0, "classic": 0 }), "the last stage has none");
    assert_eq!(report["line_map"].as_array().map(Vec::len), Some(8));
    assert_eq!(report["line_map"][5], json!({ "new": 6, "old": [6, 6] }));
    assert_eq!((&report["dockerignore"], &report["written"]), (&json!(null), &json!([])));
    run(&format!("rewrite {} -o - --format json", folder.at(""))).fails(2, &["not both"]);
    let written = run(&format!("rewrite {} {ONLY} --write --format json", folder.at(""))).ok().json();
    assert_eq!(written["written"], json!([folder.at("Dockerfile")]));
}

#[test]
fn lines_are_mapped_to_where_they_come_from() {
    let folder = folder_with(BEFORE);
    let ran = run(&format!("rewrite {} {ONLY} --source-map --write", folder.at(""))).ok();
    let rows: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["old", "new", "text"]);
    assert_eq!(rows[2], ["2", "2", "FROM", "alpine:3.20"]);
    assert_eq!(rows[3], ["3", "3", "RUN", "touch", "/a", "\\"]);
    assert_eq!(rows[4], ["4", "4", "#", "Why"]);
    assert_eq!(rows[5], ["5", "5", "&&", "touch", "/b"]);
    assert_eq!(rows[6], ["6", "6", "COPY", "x", "/x"]);
    assert_eq!(rows.len(), 8);
}

#[test]
fn passes_are_chosen_shown_and_timed() {
    let folder = folder_with(format!("{BEFORE}FROM debian\nRUN a\nRUN exec b\n"));
    let rewrite = |options: &str| run(&format!("rewrite {} {options}", folder.at("")));
    assert_eq!(rewrite(&format!("{ONLY} --skip DL3059")).ok().out, "");
    let limited = rewrite(&format!("{ONLY} --pass-limit 0")).ok();
    assert!(limited.out.is_empty() && limited.err.contains("adjacent-runs: not applied: "), "{}", limited.err);
    let shown = rewrite(&format!("{ONLY} --print-after adjacent-runs --time-passes")).ok();
    assert!(shown.err.contains("after adjacent-runs:\n# What it is\n"), "{}", shown.err);
    assert!(shown.err.lines().any(|line| line.starts_with("pass latest-tag: ") && line.ends_with(" ms")));
    let advice = rewrite("--only latest-tag").ok();
    assert!(advice.err.contains("line 8  latest-tag: advice: debian has no tag"), "{}", advice.err);
    assert!(advice.err.contains("\n        help: "), "{}", advice.err);
    for option in ["--skip", "--only", "--print-after"] {
        rewrite(&format!("{option} nonsense")).fails(2, &["there is no pass \"nonsense\""]);
    }
    rewrite("--only split-layers").fails(2, &["split-layers is for images", "`jettison optimize`"]);
    run("optimize oci:a -o b --only latest-tag").fails(2, &["latest-tag is for Dockerfiles", "`jettison rewrite`"]);
}

#[test]
fn what_is_declined_is_said_when_asked_for() {
    let folder = folder_with("FROM alpine:3\nRUN touch /a\nRUN [\"touch\", \"/b\"]\n");
    let quiet = run(&format!("rewrite {} {ONLY}", folder.at(""))).ok();
    assert!(!quiet.err.contains("declined"), "{}", quiet.err);
    for option in ["--remarks", "-v"] {
        let ran = run(&format!("rewrite {} {ONLY} {option}", folder.at(""))).ok();
        assert!(ran.err.contains("adjacent-runs: declined: "), "{}", ran.err);
    }
    let report = run(&format!("rewrite {} {ONLY} --format json", folder.at(""))).ok().json();
    assert!(report["declines"][0]["code"].is_string(), "{report}");
}

#[test]
fn comments_keep_passes_away() {
    let allowed = BEFORE.replace("# Why", "# jettison: allow adjacent-runs the cache is worth more");
    let folder = folder_with(&allowed);
    let ran = run(&format!("rewrite {} {ONLY} --remarks --write", folder.at(""))).ok();
    assert_eq!(fs::read_to_string(folder.at("Dockerfile")).expect("reads"), allowed);
    assert!(ran.err.contains("the cache is worth more (allowed)"), "{}", ran.err);
    for comment in ["# hadolint ignore=DL3059", "# jettison: allow DL3059"] {
        fs::write(folder.at("Dockerfile"), BEFORE.replace("# Why", comment)).expect("writes");
        assert_eq!(run(&format!("rewrite {} {ONLY}", folder.at(""))).ok().out, "");
    }
    fs::write(folder.at("Dockerfile"), format!("# jettison: allow-file adjacent-runs\n{BEFORE}")).expect("writes");
    assert_eq!(run(&format!("rewrite {} {ONLY}", folder.at(""))).ok().out, "");
}

/// A build context of which half is never read.
fn context() -> Folder {
    let folder = folder_with("FROM debian:12\nCOPY src /src\n");
    fs::create_dir(folder.at("src")).expect("makes a folder");
    fs::write(folder.at("src/a"), "a").expect("writes");
    fs::write(folder.at("film"), vec![0; 1 << 20]).expect("writes");
    folder
}

#[test]
fn the_ignore_file_is_written_with_the_dockerfile() {
    let folder = context();
    let line = format!("rewrite {} --only wide-context", folder.at(""));
    let ran = run(&line).ok();
    let ignore = folder.at(".dockerignore");
    assert!(ran.out.starts_with(&format!("--- /dev/null\n+++ {ignore}\n@@ ")), "{}", ran.out);
    assert!(ran.out.ends_with("+film\n") && !ran.err.contains("layers:"), "{}{}", ran.out, ran.err);
    assert_eq!(run(&format!("{line} --check")).code, Some(1));
    let report = run(&format!("{line} --format json")).ok().json();
    assert_eq!(report["dockerignore"]["name"], ignore);
    assert_eq!(folder.names(), ["Dockerfile", "film", "src"]);
    let dockerfile = state(folder.at("Dockerfile"));
    run(&format!("{line} --write")).ok();
    assert!(fs::read_to_string(&ignore).expect("reads").ends_with("film\n"));
    assert!(state(folder.at("Dockerfile")) == dockerfile, "what does not change is not written");
    assert!(run(&format!("{line} --write")).ok().err.contains("nothing to change"));
    // The names of the context count for a Dockerfile from stdin where it is named.
    fs::remove_file(&ignore).expect("removes");
    let ran = with_stdin(&format!("{line} -f -"), "FROM debian:12\nCOPY src /src\n").ok();
    assert!(ran.out.contains("+film\n"), "{}", ran.out);
    assert_eq!(with_stdin("rewrite --only wide-context -f -", "FROM debian:12\nCOPY src /src\n").ok().out, "");
}

#[test]
fn a_result_elsewhere_gets_an_ignore_file_of_its_own() {
    let folder = context();
    run(&format!("rewrite {} --only wide-context -o {}", folder.at(""), folder.at("release"))).ok();
    assert_eq!(folder.names(), ["Dockerfile", "film", "release", "release.dockerignore", "src"]);
    let folder = context();
    let ran = run(&format!("rewrite {} --only wide-context -o -", folder.at(""))).ok();
    assert_eq!(ran.out, "FROM debian:12\nCOPY src /src\n");
    assert!(ran.err.contains("note: .dockerignore is not written"), "{}", ran.err);
}

#[test]
fn a_context_that_cannot_be_read_whole_is_noted() {
    let folder = context();
    fs::write(folder.at(".dockerignore"), "[\n").expect("writes");
    let ran = run(&format!("rewrite {}", folder.at(""))).ok();
    assert!(ran.err.contains("note: ") && ran.err.contains("builders refuse it"), "{}", ran.err);
    fs::remove_file(folder.at(".dockerignore")).expect("removes");
    fs::create_dir(folder.at(".dockerignore")).expect("makes a folder");
    run(&format!("rewrite {}", folder.at(""))).fails(3, &["cannot read", ".dockerignore"]);
}

#[test]
fn contradictions_are_refused() {
    for line in ["rewrite --write --check", "rewrite --write -o x", "rewrite -o x --check", "rewrite --for ever"] {
        assert_eq!(run(line).code, Some(2), "{line}");
    }
    run("rewrite -O0").fails(2, &["rewritten at the levels 1, 2 and s"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let text: String = (0..3000).map(|at| format!("FROM scratch\nCOPY {at} /\nRUN a{at}\nRUN b\n")).collect();
    let folder = folder_with(text);
    let mut command = jettison(&format!("rewrite {} -q --only adjacent-runs", folder.at("")));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut first = [0; 4];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("reads");
    assert_eq!(&first, b"--- ");
    let output = child.wait_with_output().expect("ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
