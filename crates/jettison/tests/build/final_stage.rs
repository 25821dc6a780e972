//! A final stage of its own: what is suggested and what is not, and that what is written ships a part of the image that
//! does the same.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::prove::{Bench, builds, said};
use crate::tree::{self, Tree};

/// What no application needs.
const WASTE: &str = "RUN yes unused | head -c 3000000 > /opt/unused";

fn suggestion(report: &Value) -> &Value {
    let found = &report["proof"]["final_stage"]["suggested"];
    assert!(found.is_object(), "nothing is suggested: {}", report["proof"]["final_stage"]);
    found
}

fn bytes(report: &Value) -> (u64, u64) {
    let number = |name: &str| suggestion(report)[name].as_u64().expect("a number");
    (number("bytes_before"), number("bytes_after"))
}

/// The reports of a look for a stage, and of one that is put into the file.
fn both(bench: &Bench, smoke: &[&str]) -> (Value, Value) {
    let mut arguments = vec!["-Os"];
    arguments.extend(smoke.iter().flat_map(|command| ["--smoke", command]));
    let suggested = bench.prove(None, &arguments);
    let applied = bench.prove(None, &[&arguments[..], &["--multi-stage"]].concat());
    (suggested, applied)
}

/// The tree of the image that the context makes with this Dockerfile, read by other code than jettison's own.
fn built(bench: &Bench, dockerfile: &str) -> Tree {
    let file = bench.suite.path("Dockerfile.tried");
    fs::write(&file, dockerfile).expect("writes");
    let tar = bench.suite.path("tried.tar");
    let output = bench.suite.build(&bench.context, &tar, &["-O1", "-f", &file.display().to_string()]);
    assert!(output.status.success(), "{}", said(&output));
    tree::read(&tar)
}

/// Checks that an image is a part of another one, and has these paths and not those.
fn check_part(bench: &Bench, report: &Value, has: &[&str], has_not: &[&str]) {
    let (whole, part) = (built(bench, &bench.text()), built(bench, report["text"].as_str().expect("a text")));
    for (path, seen) in &part {
        assert_eq!(whole.get(path), Some(seen), "{path}");
    }
    for path in has {
        assert!(part.contains_key(*path), "{path} is missing in {:?}", part.keys());
    }
    for path in has_not {
        assert!(!part.contains_key(*path) && whole.contains_key(*path), "{path}");
    }
}

/// The new lines of the text, but for the blank one and the comment before them.
fn stage(report: &Value) -> Vec<&str> {
    let text = report["text"].as_str().expect("a text");
    let at = text.find("\n# Only what the command").unwrap_or_else(|| panic!("no stage in\n{text}"));
    text[at..].lines().skip(2).collect()
}

const APPLICATION: &str = r#"FROM alpine:3.20
# an application of one user
ARG GREETING=hello
RUN adduser -D -u 1000 app && mkdir -p /srv/app/data && echo hello > /srv/app/data/greeting && touch /srv/app/data/other \
    && yes unused | head -c 3000000 > /opt/unused && echo dev > /usr/local/bin/unused \
    && printf '#!/bin/sh\nls data; cat data/greeting "$@"; echo $GREETING; echo > state/last; echo > /tmp/x' > /usr/local/bin/app-1 \
    && chmod 755 /usr/local/bin/app-1 && ln -s app-1 /usr/local/bin/app && mkdir -m 2750 /srv/app/state \
    && chown app:app /srv/app/state && echo extra > /srv/app/extra && rm /etc/motd
ENV GREETING="$GREETING \"you\""
LABEL one=1
USER app
WORKDIR /srv/app
LABEL two="2 3"
VOLUME /data
EXPOSE 80/udp
STOPSIGNAL SIGINT
SHELL ["/bin/sh", "-eu", "-c"]
HEALTHCHECK --interval=5s CMD test -e /srv/app/data/other
ONBUILD RUN true
ENTRYPOINT ["app"]
CMD ["data/other"]
"#;

#[test]
fn a_stage_ships_what_is_used_and_does_the_same() {
    let bench = Bench::of(APPLICATION);
    let (suggested, applied) = both(&bench, &["app", r#"["app", "/none"]"#]);
    let (before, after) = bytes(&suggested);
    assert!(before > 3_000_000 && after < 100_000, "{before} {after}");
    assert_eq!(suggested["text"], APPLICATION, "it is only suggested");
    assert_eq!((builds(&suggested), builds(&applied)), (2, 0), "what was found is kept");
    assert!(applied["text"].as_str().is_some_and(|text| text.starts_with("FROM alpine:3.20 AS build\n# an app")));
    let expected = [
        "FROM alpine:3.20",
        "RUN rm -rf /etc/motd \\",
        "    && mkdir -p /srv/app/state \\",
        "    && chown 1000:1000 /srv/app/state \\",
        "    && chmod 2750 /srv/app/state \\",
        "    && ln -s app-1 /usr/local/bin/app",
    ];
    let lines = stage(&applied);
    assert_eq!(lines[..expected.len()], expected, "{lines:#?}");
    let has = ["srv/app/data/greeting", "srv/app/data/other", "srv/app/state", "usr/local/bin/app", "home/app"];
    check_part(&bench, &applied, &has, &["opt/unused", "usr/local/bin/unused", "srv/app/extra"]);
    // A command that uses it keeps it.
    let (_, more) = both(&bench, &["app", "app extra"]);
    check_part(&bench, &more, &["srv/app/extra"], &["opt/unused"]);
    let shown = said(&bench.run(None, &["-Os", "--smoke", "app"]));
    assert!(shown.contains("suggestion") && shown.contains("(--multi-stage writes it)"), "{shown}");
}

#[test]
fn a_stage_that_is_written_is_all_there_is_to_change() {
    let bench = Bench::of(APPLICATION);
    let ask = ["-Os", "--smoke", "app", "--multi-stage"];
    let status = |more: &[&str]| bench.run(None, &[&ask[..], more].concat()).status.code();
    assert_eq!(
        (status(&["--check"]), bench.run(None, &["-Os", "--smoke", "app", "--check"]).status.code()),
        (Some(1), Some(0))
    );
    assert_eq!(bench.text(), APPLICATION);
    assert_eq!(status(&["--write"]), Some(0));
    let written = bench.text();
    assert!(written.contains("\nCOPY --from=build "), "{written}");
    let report = bench.prove(None, &ask);
    assert_eq!(report["text"], written, "{report}");
    let reason = report["proof"]["final_stage"]["declined"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("not worth it"), "{}", report["proof"]["final_stage"]);
    assert_eq!(status(&["--check"]), Some(0));
}

#[test]
fn a_static_program_needs_no_base() {
    let bench = Bench::of(&format!("FROM alpine:3.20 AS Final\n{WASTE}\nCOPY program /app\nENTRYPOINT [\"/app\"]\n"));
    let source = bench.suite.path("program.c");
    fs::write(&source, "#include <unistd.h>\nint main(void) { return write(1, \"ran\\n\", 4) == 4 ? 0 : 1; }\n")
        .expect("writes");
    let program = bench.context.join("program");
    let compiled = Command::new("cc").args(["-static", "-o"]).arg(&program).arg(&source).status().expect("cc runs");
    assert!(compiled.success(), "{compiled}");
    let (suggested, applied) = both(&bench, &[r#"["/app"]"#]);
    let (before, after) = bytes(&suggested);
    // Without the base all that ships counts.
    assert!(before > 10_000_000 && after < 2_000_000, "{before} {after}");
    let lines = stage(&applied);
    assert_eq!(lines[..2], ["FROM scratch AS Final", "COPY --from=build /app /"], "{lines:#?}");
    check_part(&bench, &applied, &["app", "etc/passwd"], &["bin/busybox", "opt/unused"]);
    // The name that was the last stage's still finds what ships.
    let targeted = bench.prove(None, &["-Os", "--smoke", r#"["/app"]"#, "--multi-stage", "--target=final"]);
    assert_eq!(targeted["text"], applied["text"]);
    // A command in a shell needs the shell.
    let (_, shell) = both(&bench, &["/app"]);
    assert_eq!(stage(&shell)[..2], ["FROM alpine:3.20 AS Final", "COPY --from=build /app /"]);
}

#[test]
fn what_commands_miss_is_added() {
    let bench =
        Bench::of(&format!("FROM alpine:3.20\n{WASTE}\nRUN mkdir /used /empty && touch /used/x\nCMD [\"ls\"]\n"));
    // Which folders the root has is not copied for whoever lists it, until that makes a difference.
    let (suggested, applied) = both(&bench, &["echo /*", "ls /used"]);
    assert_eq!(suggestion(&suggested)["rounds"], 1, "{suggested}");
    check_part(&bench, &applied, &["used/x", "empty"], &["opt/unused"]);
}

#[test]
fn a_stage_that_does_something_else_is_not_suggested() {
    let text = format!("FROM alpine:3.20\n{WASTE}\nCMD [\"sh\"]\n");
    let bench = Bench::of(&text);
    let layers = "grep ' / ' /proc/mounts | tr ':,' '\\n\\n' | wc -l";
    let last = format!("FROM alpine:3.20\nRUN touch /a /b && {}\nCOPY data /data\nCMD [\"sh\"]\n", &WASTE[4..]);
    bench.write(&last);
    let refuted = |wrong: Option<&str>, smoke: &[&str]| {
        let report = bench.prove(wrong, &[&["-Os", "--multi-stage"], smoke].concat());
        assert_eq!(report["text"], last.as_str(), "{report}");
        report["proof"]["final_stage"]["refuted"]["evidence"].clone()
    };
    let evidence = refuted(None, &["--smoke", layers, "--smoke", "cat /a /data"]);
    assert!(evidence["smoke"]["command"] == layers, "{evidence}");
    // A stage that copies something else is refuted by the images.
    for (wrong, smoke) in [
        ("--from=build /a =>--from=build --chmod=600 /a ", "cat /a"),
        ("--from=build /a /=>--from=build /a /c/", "cat /a; true"),
    ] {
        let evidence = refuted(Some(wrong), &["--smoke", smoke]);
        assert!(evidence["differs"].is_array(), "{wrong}: {evidence}");
    }
    let evidence = refuted(Some("--from=build /a =>--from=build /none "), &["--smoke", "test -e /a"]);
    assert!(evidence["fails"].is_string(), "{evidence}");
}

#[test]
fn where_no_stage_can_be_the_reason_is_said() {
    let bench = Bench::of(&format!("FROM alpine:3.20 AS first\n{WASTE}\nFROM first\nRUN touch /x\nCMD [\"sh\"]\n"));
    let reason = |more: &[&str]| {
        let report = bench.prove(None, &[&["-Os"], more].concat());
        report["proof"]["final_stage"]["declined"]["reason"].as_str().unwrap_or_else(|| panic!("{report}")).to_owned()
    };
    assert!(reason(&["--smoke", "true", "--target", "first"]).contains("--target asks for first"));
    // Both stages are left out together.
    let (suggested, applied) = both(&bench, &["cat /x"]);
    assert!(bytes(&suggested).1 < 10_000);
    check_part(&bench, &applied, &["x"], &["opt/unused"]);
    bench.write(&format!("FROM alpine:3.20\n{WASTE}\nRUN touch /x\n"));
    assert!(reason(&[]).contains("--smoke"), "no command shows anything");
    assert!(reason(&["--smoke", "find /opt"]).contains("not worth it"));
    // The user hears of it where it was looked for.
    assert!(said(&bench.run(None, &["-Os", "--smoke", "find /opt"])).contains("no final stage of its own: "));
    for (arguments, part) in [
        (&["-Os", "--multi-stage"][..], "--smoke"),
        (&["-O2", "--multi-stage", "--smoke", "true"], "-Os"),
        (&["-Os", "--multi-stage", "--smoke", "true", "--for=development"], "release"),
    ] {
        let output = bench.run(None, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(part), "{arguments:?}: {}", said(&output));
    }
    let unproven =
        bench.suite.command().args(["rewrite", "-Os", "--smoke=true", "--multi-stage"]).arg(&bench.context).output();
    let unproven = unproven.expect("jettison runs");
    assert!(unproven.status.code() == Some(2) && said(&unproven).contains("--prove"), "{}", said(&unproven));
}
