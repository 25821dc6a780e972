//! `rewrite -Os --prove`: which packages go, decided by what builds and smoke commands were seen to use.

use std::fs;

use serde_json::Value;

use crate::apk::{Package, make_base};
use crate::prove::{Bench, builds, said, withdrawn};

const NONE: Package<'static> = Package { name: "", depends: "", files: &[], scripts: &[] };

/// A compiler whose programs need an interpreter that comes with another package; a tool, and two programs.
const PACKAGES: [Package<'static>; 7] = [
    Package {
        name: "gcc",
        depends: "binutils",
        files: &[("usr/bin/gcc", "#!/bin/sh\nld && printf '#!/usr/bin/tool-run\\n' > $2 && chmod 755 $2\n")],
        ..NONE
    },
    Package { name: "binutils", files: &[("usr/bin/ld", "#!/bin/sh\n")], ..NONE },
    Package { name: "tool-dev", depends: "tool-run", files: &[("usr/include/tool.h", "1\n")], ..NONE },
    Package { name: "tool-run", files: &[("usr/bin/tool-run", "#!/bin/sh\necho it ran\n")], ..NONE },
    Package { name: "make", files: &[("usr/bin/make", "#!/bin/sh\n")], ..NONE },
    Package { name: "viewer", files: &[("usr/bin/viewer", "#!/bin/sh\necho seen\n")], ..NONE },
    Package { name: "helper", files: &[("usr/bin/helper", "#!/bin/sh\necho helped\n")], ..NONE },
];

const ADD: &str = "apk add --no-cache --allow-untrusted";

fn bench(dockerfile: &str) -> Bench {
    let bench = Bench::of(&dockerfile.replace("ADD-PACKAGES", ADD));
    make_base(&bench.suite, &PACKAGES);
    bench
}

fn write(bench: &Bench, dockerfile: &str) {
    bench.write(&dockerfile.replace("ADD-PACKAGES", ADD));
}

fn gone(report: &Value) -> Vec<&str> {
    let all = report["proof"]["weighed"]["gone"].as_array().into_iter().flatten();
    all.map(|one| one["name"].as_str().expect("a name")).collect()
}

fn text(report: &Value) -> &str {
    report["text"].as_str().expect("a text")
}

fn declined(report: &Value, code: &str) -> String {
    let all = report["declines"].as_array().expect("a list");
    all.iter().filter(|left| left["code"] == code).map(|left| left["reason"].to_string()).collect()
}

#[test]
fn what_a_built_program_needs_is_kept_by_its_name() {
    let bench = bench("FROM tools:1\nRUN ADD-PACKAGES gcc tool-dev && gcc -o /usr/bin/app && app\nCMD [\"app\"]\n");
    let report = bench.prove(None, &["-Os"]);
    let kept = format!("RUN {ADD} tool-run && {ADD} --virtual .build-packages gcc tool-dev && gcc -o");
    assert!(text(&report).contains(&kept) && withdrawn(&report).is_empty(), "{report}");
    assert_eq!(gone(&report), ["gcc", "tool-dev", "binutils"], "{report}");
    let help = report["changes"].to_string();
    assert!(help.contains("tool-run is kept by its name: the image's command needs /usr/bin/tool-run"), "{report}");
    let again = bench.prove(None, &["-Os"]);
    assert_eq!((builds(&again), text(&again)), (0, text(&report)));
    let with_smoke = bench.prove(None, &["-Os", "--smoke", "app"]);
    assert_eq!(text(&with_smoke), text(&report));
    let again = bench.prove(None, &["-Os", "--smoke", "app"]);
    assert_eq!((builds(&again), text(&again)), (0, text(&report)));
    // Without the level nothing of that is asked.
    assert!(!text(&bench.prove(None, &["-O2", "--smoke", "app"])).contains("apk del"));
}

#[test]
fn a_trace_tells_what_later_steps_use() {
    let later = "FROM tools:1\nRUN ADD-PACKAGES make && make\nCOPY setup.sh /srv/setup.sh\nRUN sh /srv/setup.sh\nCMD [\"app\"]\n";
    let bench = bench(later);
    fs::write(bench.context.join("setup.sh"), "touch /made\n").expect("writes");
    let report = bench.prove(None, &["-Os"]);
    assert!(gone(&report) == ["make"] && withdrawn(&report).is_empty(), "{report}");
    fs::write(bench.context.join("setup.sh"), "make && touch /made\n").expect("writes");
    let report = bench.prove(None, &["-Os"]);
    assert!(gone(&report).is_empty() && !text(&report).contains("apk del"), "{report}");
    // Where both are one RUN in the end, the second one uses it as the first does.
    write(&bench, &later.replace("COPY setup.sh /srv/setup.sh\nRUN sh /srv/setup.sh\n", "RUN make -v\n"));
    let report = bench.prove(None, &["-Os"]);
    assert!(gone(&report) == ["make"] && text(&report).contains("&& make -v \\\n    && apk del"), "{report}");
    write(&bench, &later.replace("RUN sh", "VOLUME /v\nUSER root\nRUN sh"));
    let report = bench.prove(None, &["-Os"]);
    let reason = declined(&report, "needed-later");
    assert!(gone(&report).is_empty() && reason.contains("uses /usr/bin/make"), "{report}");
}

#[test]
fn smoke_commands_tell_what_an_image_is_for() {
    let bench = bench("FROM tools:1\nRUN ADD-PACKAGES viewer helper && helper > /made\nCMD [\"sh\"]\n");
    assert!(gone(&bench.prove(None, &["-Os"])).is_empty(), "nothing tells what they are for");
    let report = bench.prove(None, &["-Os", "--smoke", "viewer"]);
    assert!(gone(&report) == ["helper"] && withdrawn(&report).is_empty(), "{report}");
    assert!(text(&report).contains(&format!("RUN {ADD} viewer && {ADD} --virtual .build-packages helper")), "{report}");
    let report = bench.prove(None, &["-Os", "--smoke", "viewer", "--smoke", "helper"]);
    assert!(gone(&report).is_empty(), "{report}");
    // It opens nothing of it, and notices all the same.
    let report = bench.prove(None, &["-Os", "--smoke", "test ! -e /usr/bin/helper || echo there"]);
    let taken = withdrawn(&report);
    assert!(taken.len() == 1 && taken[0].contains("smoke") && taken[0].contains("there"), "{report}");
    assert!(!text(&report).contains("apk del"), "{report}");
}

/// Noise is asked for once, with the claims of the form that was refuted first.
#[test]
fn what_differs_in_databases_is_noise_for_later_forms_too() {
    let bench = bench(
        "FROM tools:1\nCOPY stamp.sh /srv/\nRUN ADD-PACKAGES viewer helper && helper > /made && sh /srv/stamp.sh\n\
         RUN touch /more\nCMD [\"sh\"]\n",
    );
    let stamp = "sed -i \"s/^P:musl\\$/&\\nx:$(cut -d' ' -f1 /proc/uptime)/\" /lib/apk/db/installed\n";
    fs::write(bench.context.join("stamp.sh"), stamp).expect("writes");
    let report = bench.prove(None, &["-Os", "--smoke", "test ! -e /usr/bin/helper || echo there"]);
    let taken = withdrawn(&report);
    assert!(taken.len() == 1 && taken[0].starts_with("build-packages"), "{report}");
    assert!(text(&report).contains("&& touch /more") && !text(&report).contains("apk del"), "{report}");
}

#[test]
fn builds_ship_what_is_left() {
    let bench = bench("FROM tools:1\nRUN ADD-PACKAGES viewer helper && helper > /made\nCMD [\"viewer\"]\n");
    let built = |more: &[&str]| {
        let mut command = bench.suite.command();
        command.args(["build", "-Os", "--offline", "--network=none", "--progress=plain", "--format=json"]);
        command.arg("--cache-dir").arg(bench.suite.path("cache")).args(more);
        command.arg(&bench.context).output().expect("jettison runs")
    };
    let output = built(&["--prove", "--smoke", "viewer", "--report=json"]);
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(gone(&report), ["helper"], "{report}");
    assert!(report["report"]["changes"].to_string().contains("build-packages"), "{report}");
    let output = built(&[]);
    assert!(output.status.code() == Some(2) && said(&output).contains("by proof only"), "{}", said(&output));
}

#[test]
fn scripts_of_the_command_name_what_they_need() {
    let bench = bench(
        "FROM tools:1\nCOPY start.sh /srv/start.sh\nRUN ADD-PACKAGES viewer helper && helper > /made\nCMD [\"sh\", \"/srv/start.sh\"]\n",
    );
    fs::write(bench.context.join("start.sh"), "#!/bin/sh\nif [ \"$X\" ]; then viewer; fi\n").expect("writes");
    let report = bench.prove(None, &["-Os", "--smoke", "sh /srv/start.sh"]);
    assert_eq!(gone(&report), ["helper"], "{report}");
}

#[test]
fn what_the_base_holds_stays() {
    let bench = bench("FROM tools:1\nRUN ADD-PACKAGES make\n");
    let mut command = bench.suite.command();
    command.args(["build", "-O0", "--offline", "--network=none", "--progress=plain", "-t", "tools:2", "--cache-dir"]);
    let output = command.arg(bench.suite.path("cache")).arg(&bench.context).output().expect("jettison runs");
    assert!(output.status.success(), "{}", said(&output));
    write(&bench, "FROM tools:2\nRUN ADD-PACKAGES gcc make && make && gcc -o /usr/bin/app\nCMD [\"app\"]\n");
    let report = bench.prove(None, &["-Os"]);
    assert_eq!(gone(&report), ["gcc", "binutils"], "{report}");
    write(&bench, "FROM tools:2\nRUN ADD-PACKAGES make && make\nCMD [\"app\"]\n");
    let report = bench.prove(None, &["-Os"]);
    assert!(gone(&report).is_empty() && declined(&report, "base-may-have-them").contains("make"), "{report}");
}
