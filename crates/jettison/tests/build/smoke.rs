//! `--smoke`: commands that have to do the same in the images of both forms.

use serde_json::Value;

use crate::prove::{Bench, PLAIN, builds, said, with_pip, withdrawn};

fn smoked(report: &Value) -> Vec<String> {
    let all = report["proof"]["smoke"].as_array().expect("a list");
    all.iter().map(|one| format!("{} {} {}", one["command"], one["exit_code"], one["noise"])).collect()
}

#[test]
fn commands_that_do_the_same_are_part_of_the_proof() {
    let bench = Bench::of(PLAIN);
    let smoke = ["--smoke", "cat /a/right", "--smoke", r#"["test", "-e", "/none"]"#];
    let report = bench.prove(None, &smoke);
    assert_eq!(smoked(&report), [r#""cat /a/right" 0 []"#, r#""[\"test\", \"-e\", \"/none\"]" 1 []"#], "{report}");
    assert_eq!((builds(&report), withdrawn(&report).len()), (2, 0), "{report}");
    let again = bench.prove(None, &smoke);
    assert_eq!((builds(&again), smoked(&again)), (0, smoked(&report)));
    let other = bench.prove(None, &["--smoke", "cat /a/link"]);
    assert_eq!(builds(&other), 2, "it proves something else");
    let shown = said(&bench.run(None, &smoke));
    assert!(shown.contains("smoke: cat /a/right: exit code 0 and the same output in both"), "{shown}");
    // What it changes is in no image.
    let report = bench.prove(None, &["--smoke", "rm /a/kept"]);
    assert_eq!((smoked(&report), withdrawn(&report).len()), (vec![r#""rm /a/kept" 0 []"#.to_owned()], 0));
}

#[test]
fn they_run_as_the_image_says() {
    let text = "FROM alpine:3.20\nENV X=y\nRUN touch /a\nRUN touch /b\nWORKDIR /w\nUSER daemon\nSHELL [\"/bin/sh\", \"-ec\"]\n";
    let bench = Bench::of(text);
    let report = bench.prove(
        None,
        &["--smoke", "test \"$(id -un) $X $PWD\" = 'daemon y /w'", "--smoke", "false; true", "--smoke", "[ -d /w ]"],
    );
    let codes: Vec<i64> = report["proof"]["smoke"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["exit_code"].as_i64())
        .collect();
    assert_eq!(codes, [0, 1, 0], "{report}");
}

#[test]
fn a_change_that_a_command_notices_is_taken_back() {
    let keeps = "case \"$*\" in *--no-cache-dir*) ;; *) mkdir -p ~/.cache/pip; touch ~/.cache/pip/x;; esac";
    let bench = Bench::of(&with_pip(keeps));
    let report = bench.prove(None, &["--smoke", "ls -A /root"]);
    let taken = withdrawn(&report);
    assert!(taken.len() == 1 && taken[0].starts_with("pip-cache") && taken[0].contains("smoke"), "{report}");
    assert!(taken[0].contains(".cache") && taken[0].contains("line 1 of its standard output"), "{report}");
    assert!(report["text"].as_str().is_some_and(|text| text.contains("&& pip install flask")), "{report}");
    let report = bench.prove(None, &["--smoke", "test -e /root/.cache"]);
    assert!(withdrawn(&report)[0].contains("ends with exit code 1, not with exit code 0"), "{report}");
    let report = bench.prove(None, &["--smoke", "ls /etc"]);
    assert!(withdrawn(&report).is_empty(), "{report}");
}

#[test]
fn what_differs_from_run_to_run_is_said() {
    let bench = Bench::of(PLAIN);
    let report = bench.prove(None, &["--smoke", "echo a; cat /proc/sys/kernel/random/uuid; echo b >&2"]);
    let all = smoked(&report);
    assert!(all[0].ends_with(r#"0 ["1 line of its standard output differs from run to run"]"#), "{report}");
    assert!(withdrawn(&report).is_empty(), "{report}");
}

#[test]
fn commands_that_show_nothing_end_the_proof() {
    let bench = Bench::of(PLAIN);
    for (command, part) in [
        ("no-such-program --version", "exit code 127"),
        (r#"["/no/such/program"]"#, "cannot be run"),
        ("/a/kept", "exit code 126"),
        ("exec sleep 100", "does not end in time"),
        ("sleep 1; exit $(($(cut -d. -f1 /proc/uptime) % 120))", "ends with exit code"),
    ] {
        let limit: &[&str] = if command.contains("100") { &["--timeout=1s"] } else { &[] };
        let output = bench.run(None, &[&["--write", "--smoke", command], limit].concat());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{command}: {text}");
        assert!(text.contains(part) && text.contains("the smoke command"), "{command}: {text}");
    }
    for wrong in [&["--smoke", " "][..], &["--smoke", "[]"]] {
        assert_eq!(bench.run(None, wrong).status.code(), Some(2), "{wrong:?}");
    }
    let without = bench.suite.command().args(["rewrite", "--smoke", "true"]).arg(&bench.context).output();
    let without = without.expect("jettison runs");
    assert!(without.status.code() == Some(2) && said(&without).contains("--prove"), "{}", said(&without));
}

#[test]
fn builds_run_them_as_well() {
    let bench = Bench::of(PLAIN);
    let tar = bench.suite.path("smoke.tar");
    let output = bench.suite.build(&bench.context, &tar, &["--prove", "--smoke", "cat /a/kept", "--format=json"]);
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(smoked(&report), [r#""cat /a/kept" 0 []"#], "{report}");
    let refused = bench.suite.build(&bench.context, &tar, &["--smoke", "true"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
}
