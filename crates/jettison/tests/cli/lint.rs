//! `jettison lint`: what it finds where, in every format.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::run::{Folder, Ran, finish, jettison, run};

const ONLY: &str = "--only adjacent-runs,latest-tag";

/// A project with Dockerfiles in several places.
fn project() -> Folder {
    let folder = Folder::new();
    for path in ["a/b", ".hidden", "node_modules/x"] {
        fs::create_dir_all(folder.at(path)).expect("makes a folder");
    }
    for (path, text) in [
        ("a/Dockerfile", "FROM debian\n"),
        ("a/b/web.Dockerfile", "FROM debian:12\nRUN touch /a\n\nRUN touch /b\n"),
        ("a/b/Containerfile", "FROM debian:12\n"),
        (".hidden/Dockerfile", "FROM debian\n"),
        ("node_modules/x/Dockerfile", "FROM debian\n"),
        ("a/Dockerfile.md", "FROM debian\n"),
        ("named", "FROM debian\nRUNN a\n"),
    ] {
        fs::write(folder.at(path), text).expect("writes");
    }
    symlink("..", folder.at("a/b/up")).expect("links");
    folder
}

/// Runs in a folder.
fn lint_in(folder: &Folder, line: &str) -> Ran {
    let line = format!("lint {line} {ONLY}");
    let mut command = jettison(&line);
    command.current_dir(folder.path());
    finish(command, &line)
}

#[test]
fn folders_are_searched_and_findings_shown_with_their_lines() {
    let folder = project();
    let ran = lint_in(&folder, "");
    assert_eq!((ran.code, &*ran.err), (Some(1), ""));
    let expected = "warning[latest-tag]: debian has no tag, so that what is built changes from day to day
 --> a/Dockerfile:1:6
  |
1 | FROM debian
  |      ^^^^^^
  |
  = help: name a version, and a digest where builds must be the same

warning[adjacent-runs]: 2 RUN instructions follow each other: one layer does
 --> a/b/web.Dockerfile:2:1
  |
2 | / RUN touch /a
3 | |
4 | | RUN touch /b
  | |____________^

2 findings in 2 files
";
    assert_eq!(ran.out, expected);
    for path in ["a", "./a", "a a"] {
        assert_eq!(lint_in(&folder, path).json_findings(), 2, "{path}");
    }
    assert_eq!(lint_in(&folder, ".hidden").json_findings(), 1, "a folder that is named is searched");
    assert_eq!(lint_in(&folder, "a/b/Containerfile").ok().out, "no findings in 1 file\n");
}

impl Ran {
    /// How many findings the summary counts.
    fn json_findings(&self) -> usize {
        let last = self.out.lines().last().expect("a summary");
        last.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{}", self.out))
    }
}

#[test]
fn errors_are_findings() {
    let folder = project();
    let ran = lint_in(&folder, "named");
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.starts_with("error[syntax-error]: there is no instruction RUNN\n --> named:2:1\n"), "{}", ran.out);
    assert!(ran.out.contains("\n2 | RUNN a\n  | ^^^^\n") && ran.out.contains("= help: did you mean RUN?"));
    assert_eq!(lint_in(&folder, "named --error-on error").code, Some(1));
    assert_eq!(lint_in(&folder, "a --error-on error").code, Some(0));
    assert_eq!(lint_in(&folder, "named a --error-on never").code, Some(0));
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_looked_at() {
    let folder = project();
    let ran = lint_in(&folder, "none a /proc/self/mem").fails(3, &["cannot read none", "cannot read /proc/self/mem"]);
    assert!(ran.out.contains("2 findings in 2 files"), "{}", ran.out);
    fs::create_dir(folder.at("empty")).expect("makes a folder");
    let ran = lint_in(&folder, "empty").ok();
    assert!(ran.err.contains("no Dockerfile"), "{}", ran.err);
}

#[test]
fn programs_get_an_array() {
    let folder = project();
    let found = lint_in(&folder, "--format json").json();
    let [latest, adjacent] = &found.as_array().expect("an array")[..] else { panic!("{found}") };
    assert_eq!(
        latest,
        &json!({
            "file": "a/Dockerfile", "line": 1, "column": 6, "endLine": 1, "endColumn": 12, "pass": "latest-tag",
            "aliases": ["DL3006", "DL3007"], "level": "warning",
            "message": "debian has no tag, so that what is built changes from day to day",
            "help": "name a version, and a digest where builds must be the same", "fix": null,
        })
    );
    let text = fs::read_to_string(folder.at("a/b/web.Dockerfile")).expect("reads");
    assert_eq!(applied(&text, &adjacent["fix"]), "FROM debian:12\nRUN touch /a \\\n    && touch /b\n");
    assert_eq!(lint_in(&folder, "a/b/Containerfile --format json").ok().json(), json!([]));
}

/// A text after the edits of a fix, made from the last to the first.
fn applied(text: &str, fix: &Value) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for edit in fix["edits"].as_array().expect("edits").iter().rev() {
        let at = |name: &str| usize::try_from(edit[name].as_u64().expect("a number")).expect("small");
        bytes.splice(at("start")..at("end"), edit["replacement"].as_str().expect("a text").bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn fixes_count_the_files_own_bytes_and_line_ends() {
    let folder = Folder::new();
    fs::write(folder.at("Dockerfile"), b"# caf\xe9\r\nFROM a:1\r\nRUN b\r\nRUN c\r\n").expect("writes");
    let found = lint_in(&folder, "--format json").json();
    let edit = &found[0]["fix"]["edits"][0];
    assert_eq!((&edit["start"], &edit["end"]), (&json!(18), &json!(30)), "{found}");
    assert_eq!(edit["replacement"], "RUN b \\\r\n    && c");
}

#[test]
fn sarif_holds_rules_results_fixes_and_suppressions() {
    let folder = project();
    let allowed = "# jettison: allow latest-tag it is a test\nFROM debian\n";
    fs::write(folder.at("a/b/Containerfile"), allowed).expect("writes");
    let log = lint_in(&folder, "a named --format sarif").json();
    assert_eq!((&log["version"], log["runs"].as_array().map(Vec::len)), (&json!("2.1.0"), Some(1)));
    let run = &log["runs"][0];
    assert_eq!((&run["tool"]["driver"]["name"], &run["columnKind"]), (&json!("jettison"), &json!("unicodeCodePoints")));
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    for rule in rules {
        assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string(), "{rule}");
        assert!(["warning", "error"].map(Value::from).contains(&rule["defaultConfiguration"]["level"]), "{rule}");
    }
    let results = run["results"].as_array().expect("results");
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().expect("a number")).expect("small")];
        assert_eq!(rule["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].is_string() && result["message"]["text"].is_string());
        let number = |name: &str| place["region"][name].as_u64().expect("a number");
        let (start, end) = (("startLine", "startColumn"), ("endLine", "endColumn"));
        assert!((number(start.0), number(start.1)) <= (number(end.0), number(end.1)), "{result}");
    }
    let of = |rule: &str, uri: &str| -> &Value {
        let place = |result: &Value| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
        let found = results.iter().find(|result| result["ruleId"] == rule && place(result) == uri);
        found.unwrap_or_else(|| panic!("{rule} in {uri}: {log}"))
    };
    let change = &of("adjacent-runs", "a/b/web.Dockerfile")["fixes"][0]["artifactChanges"][0];
    assert_eq!(
        change["replacements"][0],
        json!({
            "deletedRegion": { "startLine": 2, "startColumn": 1, "endLine": 4, "endColumn": 13 },
            "insertedContent": { "text": "RUN touch /a \\\n    && touch /b" },
        })
    );
    let suppressed = of("latest-tag", "a/b/Containerfile");
    assert_eq!(suppressed["suppressions"], json!([{ "kind": "inSource", "justification": "it is a test" }]));
    assert_eq!(of("latest-tag", "a/Dockerfile")["suppressions"], Value::Null);
    assert_eq!(of("syntax-error", "named")["level"], "error");
    let page = rules.iter().find(|rule| rule["id"] == "latest-tag").expect("the rule")["help"]["markdown"].clone();
    assert!(page.as_str().is_some_and(|page| page.contains("## Why it is safe") && !page.contains("## Cases")));
}

#[test]
fn github_gets_commands() {
    let folder = project();
    fs::write(folder.at("a:b,100%"), "FROM debian\n").expect("writes");
    let ran = lint_in(&folder, "named a:b,100% --format github");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.out);
    let expected = "::error file=named,line=2,col=1,endColumn=5,endLine=2,title=syntax-error::\
                    there is no instruction RUNN%0Ahelp: did you mean RUN?";
    assert_eq!(lines[0], expected);
    assert!(lines[1].starts_with("::warning file=a%3Ab%2C100%25,line=1,col=6,"), "{}", lines[1]);
}

#[test]
fn exact_fixes_are_applied_in_place() {
    let folder = project();
    let ran = lint_in(&folder, "a --fix");
    assert_eq!(ran.code, Some(1), "what people must decide is left: {}", ran.out);
    assert!(ran.out.ends_with("1 finding fixed, 1 finding left in 1 file\n"), "{}", ran.out);
    let fixed = fs::read_to_string(folder.at("a/b/web.Dockerfile")).expect("reads");
    assert_eq!(fixed, "FROM debian:12\nRUN touch /a \\\n    && touch /b\n");
    assert_eq!(fs::read_to_string(folder.at("a/Dockerfile")).expect("reads"), "FROM debian\n");
    let ran = lint_in(&folder, "a --fix");
    assert!(ran.out.ends_with("\n1 finding in 1 file\n"), "{}", ran.out);
    // A file with errors is left as it is.
    lint_in(&folder, "named --fix");
    assert_eq!(fs::read_to_string(folder.at("named")).expect("reads"), "FROM debian\nRUNN a\n");
    run("lint - --fix").fails(2, &["stdin cannot be fixed"]);
}

#[test]
fn comments_allow_and_unknown_ones_are_findings() {
    let folder = Folder::new();
    for (comment, findings) in [
        ("# jettison: allow latest-tag why", 0),
        ("# jettison: allow DL3007", 0),
        ("# jettison: allow-file latest-tag", 0),
        ("# hadolint ignore=DL3006", 0),
        ("# hadolint global ignore=DL3006", 0),
        ("# jettison: allow adjacent-runs", 1),
        ("# hadolint ignore=DL3059", 1),
        ("# jettison: allow latest", 2),
        ("# jettison: forgive latest-tag", 2),
    ] {
        fs::write(folder.at("Dockerfile"), format!("{comment}\nFROM debian\n")).expect("writes");
        let found = lint_in(&folder, "--format json").json();
        assert_eq!(found.as_array().map(Vec::len), Some(findings), "{comment}: {found}");
    }
    let ran = lint_in(&folder, "");
    assert!(ran.out.contains("warning[unknown-comment]: jettison reads no comment with \"forgive\""), "{}", ran.out);
}

#[test]
fn the_order_is_that_of_the_files_whatever_the_threads() {
    let folder = Folder::new();
    for number in 0..60 {
        fs::write(folder.at(&format!("{number:02}.Dockerfile")), "FROM debian\n".repeat(number % 7)).expect("writes");
    }
    let line = format!("lint {} {ONLY} --format github", folder.at(""));
    let one = finish(crate::run::jettison_under("taskset -c 0", &line), &line);
    assert_eq!(one.out, run(&line).out);
    let files: Vec<&str> = one.out.lines().map(|line| line.split(['=', ',']).nth(1).expect("a file")).collect();
    assert!(files.is_sorted(), "{files:?}");
}
