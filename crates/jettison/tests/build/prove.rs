//! `--prove`: what is proven, what is taken back, and what is reported as what it is.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::suite::{Suite, Way};
use crate::{tree, ways};

/// A place with a Dockerfile.
pub(crate) struct Bench {
    pub(crate) suite: Suite,
    pub(crate) context: PathBuf,
}

/// A Dockerfile whose RUNs become one.
pub(crate) const PLAIN: &str = "FROM alpine:3.20\n# what it needs\nRUN mkdir /a && echo kept > /a/kept\nRUN echo right > /a/right\n\
                     RUN chmod 0640 /a/right && ln /a/right /a/link\nCOPY data /a/data\nCMD [\"sh\"]\n";

impl Bench {
    pub(crate) fn new(way: Way, dockerfile: &str) -> Self {
        let suite = Suite::new(way);
        let context = suite.path("proved");
        fs::create_dir(&context).expect("a folder");
        fs::write(context.join("data"), "1\n").expect("writes");
        let bench = Self { suite, context };
        bench.write(dockerfile);
        bench
    }

    pub(crate) fn of(dockerfile: &str) -> Self {
        Self::new(Way::default(), dockerfile)
    }

    pub(crate) fn write(&self, dockerfile: &str) {
        fs::write(self.context.join("Dockerfile"), dockerfile).expect("writes");
        self.suite.give(&self.context);
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.context.join("Dockerfile")).expect("reads")
    }

    pub(crate) fn run(&self, wrong: Option<&str>, more: &[&str]) -> Output {
        let mut command = self.suite.command();
        command.args(["rewrite", "--prove", "--offline", "--network=none", "--progress=plain", "--cache-dir"]);
        command.arg(self.suite.path("cache")).args(more).arg(&self.context);
        if let Some(wrong) = wrong {
            command.env("JETTISON_WRONG_PASS", wrong);
        }
        command.output().expect("jettison runs")
    }

    /// The report of a proof that ends well.
    pub(crate) fn prove(&self, wrong: Option<&str>, more: &[&str]) -> Value {
        let output = self.run(wrong, &[&["--format=json"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn builds(report: &Value) -> u64 {
    report["proof"]["builds"].as_u64().expect("a number")
}

pub(crate) fn withdrawn(report: &Value) -> Vec<String> {
    let all = report["proof"]["withdrawn"].as_array().expect("a list");
    all.iter().map(|one| format!("{} {}", one["pass"].as_str().expect("a pass"), one["evidence"])).collect()
}

/// The places that do not count, each with the reason.
pub(crate) fn excused(report: &Value) -> Vec<String> {
    let all = report["proof"]["weighed"]["excused"].as_array().expect("a list");
    all.iter().map(|one| format!("{} {}", one["path"].as_str().unwrap_or_default(), one["because"])).collect()
}

#[test]
fn a_proof_is_kept_until_something_changes() {
    let bench = Bench::of(&format!("ARG X=1\n{PLAIN}ARG X\nLABEL x=$X\n"));
    let first = bench.prove(None, &[]);
    assert_eq!((builds(&first), withdrawn(&first).len()), (2, 0), "{first}");
    assert!(first["proof"]["weighed"]["paths"].as_u64().is_some_and(|paths| paths > 400), "{first}");
    assert!(first["text"].as_str().is_some_and(|text| text.matches("RUN").count() == 1), "{first}");
    let again = bench.prove(None, &[]);
    assert_eq!((builds(&again), &again["text"]), (0, &first["text"]));
    // Everything that a proof depends on.
    fs::write(bench.context.join("data"), "2\n").expect("writes");
    assert_eq!(builds(&bench.prove(None, &[])), 2, "a copied file");
    fs::write(bench.context.join("unused"), "2\n").expect("writes");
    assert_eq!(builds(&bench.prove(None, &[])), 0, "a file that nothing copies");
    assert_eq!(builds(&bench.prove(None, &["--build-arg", "X=2"])), 2, "an argument");
    assert_eq!(builds(&bench.prove(None, &["-O1"])), 2, "the level");
    assert_eq!(builds(&bench.prove(None, &["--no-cache"])), 2, "by request");
    assert_eq!(builds(&bench.prove(None, &["--no-cache-filter", "0"])), 2, "by request, of a stage");
    bench.write(&format!("ARG X=1\n{PLAIN}ARG X\nLABEL x=$X y=\n"));
    assert_eq!(builds(&bench.prove(None, &[])), 2, "the file");
}

#[test]
fn wrong_changes_are_taken_back_and_the_others_stay() {
    let bench = Bench::of(PLAIN);
    let right = bench.prove(None, &[])["text"].clone();
    for wrong in [
        "echo right=>echo wrong",
        "0640=>0600",
        "ln /a=>cp /a",
        "> /a/kept=>> /a/Kept",
        "mkdir /a=>mkdir -m 700 /a",
        "echo kept=>echo kept; echo 1 > /usr/bin/new",
        "chmod 0640 /a/right=>chown 7 /a/right",
        "data /a/data=>data /a/other",
        // These do not build.
        "chmod 0640=>chmod 0x0640",
        "data /a=>nodata /a",
    ] {
        let report = bench.prove(Some(wrong), &[]);
        let taken = withdrawn(&report);
        assert_eq!(report["text"], right, "{wrong}: {report}");
        assert!(!taken.is_empty() && taken.iter().all(|one| one.starts_with("wrong-on-purpose")), "{wrong}: {taken:?}");
        let fails = taken.iter().any(|one| one.contains("\"fails\""));
        assert_eq!(fails, wrong.contains("0x0640") || wrong.contains("nodata"), "{wrong}: {taken:?}");
    }
    let shown = said(&bench.run(Some("0640=>0600"), &["--no-cache"]));
    assert!(shown.contains("withdrawn") && shown.contains("/a/right has another mode: 0640 → 0600"), "{shown}");
    // Nobody asked for the file to be written.
    assert_eq!(bench.text(), PLAIN);
}

#[test]
fn what_differs_in_any_two_builds_is_shown_as_that() {
    let bench = Bench::of(
        "FROM alpine:3.20\nRUN head -c 8 /dev/urandom > /random\nRUN mktemp /srv/XXXXXX\n\
         RUN mkdir -p /var/log && cat /proc/uptime > /up && seconds=$(head -c 2 /proc/sys/kernel/random/uuid | tr a-f 0-5) \
         && echo \"2026-01-01 00:00:$seconds did\" > /var/log/x.log\n",
    );
    let report = bench.prove(None, &[]);
    let found = excused(&report);
    assert_eq!((builds(&report), withdrawn(&report).len()), (3, 0), "{report}");
    for part in ["/random \"noise\"", "/up \"noise\"", "/srv/"] {
        assert!(found.iter().any(|one| one.contains(part)), "{part}: {found:?}");
    }
    // But what else happens there counts.
    let report = bench.prove(Some("> /random=>> /random && chmod 600 /random"), &[]);
    assert_eq!(withdrawn(&report).len(), 1, "{report}");
}

#[test]
fn what_depends_on_the_number_of_layers_is_left_alone() {
    let text = "FROM alpine:3.20\nRUN touch /a\nRUN touch /b\nRUN grep ' / ' /proc/mounts | tr ':,' '\\n\\n' | wc -l > /layers\n";
    let bench = Bench::of(text);
    let report = bench.prove(None, &[]);
    assert_eq!(report["text"], text, "{report}");
    assert!(
        withdrawn(&report).iter().all(|one| one.starts_with("adjacent-runs") && one.contains("/layers")),
        "{report}"
    );
    let refuted = report["declines"].as_array().is_some_and(|all| all.iter().any(|one| one["code"] == "refuted"));
    assert!(refuted, "{report}");
}

#[test]
fn a_step_that_fails_once_is_no_evidence() {
    let bench = Bench::of(
        "FROM alpine:3.20\nRUN touch /a\nRUN touch /b\n\
         RUN --mount=type=cache,target=/runs echo >> /runs/count; test $(wc -l < /runs/count) != 2\n",
    );
    let report = bench.prove(None, &[]);
    assert!(withdrawn(&report).is_empty(), "{report}");
    let notes = report["proof"]["notes"].to_string();
    assert!(notes.contains("failed once"), "{report}");
}

#[test]
fn a_file_that_does_not_build_is_unharmed() {
    let text = "FROM alpine:3.20\nRUN true\nRUN false\n";
    let bench = Bench::of(text);
    let output = bench.run(None, &["--write"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("RUN false") && output.stdout.is_empty(), "{}", said(&output));
    // That command has no such option.
    assert!(!said(&output).contains("--debug-shell"), "{}", said(&output));
    assert_eq!(bench.text(), text);
}

/// A pip that installs a file, and keeps a cache where it is not told otherwise.
pub(crate) fn with_pip(script: &str) -> String {
    format!(
        "FROM alpine:3.20\nCOPY data /data\nRUN printf '#!/bin/sh\\n{script}\\n' > /usr/bin/pip && chmod 755 /usr/bin/pip\nRUN pip install flask\n"
    )
}

#[test]
fn only_what_changes_claim_may_be_gone() {
    let keeps =
        "touch /srv/flask; case \"$*\" in *--no-cache-dir*) ;; *) mkdir -p ~/.cache/pip; touch ~/.cache/pip/x;; esac";
    let bench = Bench::of(&with_pip(keeps));
    let report = bench.prove(None, &[]);
    assert!(
        report["text"].as_str().is_some_and(|text| text.contains("&& pip install --no-cache-dir flask")),
        "{report}"
    );
    let found = excused(&report);
    assert!(
        withdrawn(&report).is_empty() && found.iter().any(|one| one.contains(".cache") && one.contains("claimed")),
        "{report}"
    );
    // The same change, where it also does what it does not claim.
    let loses = format!("{keeps}; case \"$*\" in *--no-cache-dir*) rm /srv/flask;; esac");
    bench.write(&with_pip(&loses));
    let report = bench.prove(None, &[]);
    let taken = withdrawn(&report);
    assert!(taken.len() == 1 && taken[0].contains("pip") && taken[0].contains("/srv/flask"), "{report}");
    assert!(report["text"].as_str().is_some_and(|text| text.contains("&& pip install flask")), "{report}");
}

/// The text of a Dockerfile in which an instruction stands between two RUNs.
fn between(first: &str, instruction: &str, second: &str) -> String {
    format!("FROM alpine:3.20\nRUN {first}\n{instruction}\nRUN {second}\n")
}

#[test]
fn instructions_move_across_runs_that_were_seen_to_use_nothing_of_theirs() {
    let bench = Bench::of("FROM scratch\n");
    let uses_both = "sed -n p /srv/data /x/data > /seen; ls / > /roots";
    for (first, instruction) in [
        ("sed -i s/e/E/ /etc/motd", "COPY data /srv/data"),
        ("awk 'BEGIN { print 1 > \"/one\" }'", "COPY data /srv/new/data"),
        ("sed -i s/e/E/ /etc/motd", "COPY --chown=daemon:daemon data /srv/data"),
        ("find /etc /usr/share -name motd | sort > /found", "COPY data /x/data"),
        ("sh -c 'cd /tmp && sed s/1/2/ /etc/motd > motd'", "ADD data /srv/"),
    ] {
        bench.write(&between(first, instruction, uses_both));
        let report = bench.prove(None, &[]);
        let text = report["text"].as_str().expect("a text");
        assert_eq!(text.matches("RUN").count(), 1, "{first}; {instruction}: {report}");
        assert!(report["proof"]["is_observed"] == true && withdrawn(&report).is_empty(), "{report}");
        assert!(text.find(instruction) < text.find("RUN"), "{text}");
        let again = bench.prove(None, &[]);
        assert_eq!((builds(&again), &again["text"]), (0, &report["text"]), "{first}; {instruction}");
    }
}

/// What a RUN uses is used by both here, so that an instruction can go neither above nor below.
#[test]
fn instructions_stay_where_runs_use_what_they_change() {
    let bench = Bench::of("FROM scratch\n");
    for (command, instruction, reason) in [
        // It reads the file, or looks for it in vain.
        ("sed -n p /etc/motd > /x", "COPY data /etc/motd", "/etc/motd"),
        ("sed -n p /srv/none > /x || true", "COPY data /srv/none", "/srv/none"),
        ("test -e /opt/app || sed -n 1p /etc/motd > /x", "COPY data /opt/app/data", "/opt/app"),
        // It lists a folder above.
        ("find /srv > /x", "COPY data /srv/data", "/srv"),
        ("sh -c 'echo /*' > /x", "COPY data /new", "list /"),
        // It makes the folder, or the link, or changes who they belong to.
        ("install -d -m 700 /data", "COPY data /data/data", "/data"),
        ("sh -c 'ln -sfn /srv /link'", "COPY data /link/data", "/link"),
        ("find /home -exec chown daemon {} +", "COPY data /home/data", "/home"),
        ("sed -n p /srv/x > /run/y || true", "COPY data /var/run/data", "/var/run is a link"),
        // It makes the owner.
        ("adduser -D app || true", "COPY --chown=app data /srv/data", "owner"),
        // A program is looked for where the file would be.
        ("tool || sed -n 1p /etc/motd > /x", "COPY --chmod=755 data /usr/local/bin/tool", "/usr/local/bin/tool"),
        // No trace shows which variables it reads.
        ("env | sed -n /SEEN/p > /env", "ARG SEEN=1", "SEEN"),
    ] {
        let text = between(command, instruction, command);
        bench.write(&text);
        let report = bench.prove(None, &["-O1"]);
        let left = report["declines"].as_array().expect("a list").iter().find(|left| left["code"] == "not-proven");
        let is_kept = report["text"].as_str().is_some_and(|text| text.matches("RUN").count() == 2);
        let said = left.map(|left| left["reason"].to_string()).unwrap_or_default();
        assert!(is_kept && said.contains(reason), "{command}; {instruction}: {said}\n{report}");
    }
}

#[test]
fn builds_ship_the_proven_form() {
    let bench = Bench::of(PLAIN);
    let tar = bench.suite.path("proved.tar");
    let output = bench.suite.build(&bench.context, &tar, &["--prove", "--format=json"]);
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((builds(&report), &report["steps"]["all"]), (2, &Value::from(2)), "{report}");
    let built = tree::read(&tar);
    assert!(built.contains_key("a/link") && built.contains_key("a/data"), "{built:?}");
    bench.write("FROM alpine:3.20\nRUN true\n");
    let nothing = bench.suite.build(&bench.context, &tar, &["--prove"]);
    assert!(nothing.status.success() && said(&nothing).contains("nothing to prove at -O2"), "{}", said(&nothing));
    let refused = bench.suite.build(&bench.context, &tar, &["--prove", "-O0"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
}

#[test]
fn ordinary_users_prove_as_well() {
    let bench = Bench::new(ways::with_one_id(), PLAIN);
    let report = bench.prove(None, &[]);
    assert_eq!((builds(&report), withdrawn(&report).len()), (2, 0), "{report}");
    let report = bench.prove(Some("0640=>0600"), &[]);
    assert_eq!(withdrawn(&report).len(), 1, "{report}");
}
