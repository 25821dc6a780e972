//! `--trace=FILE`: what each RUN read and wrote.

use std::fs;

use serde_json::Value;

use crate::suite::{Suite, Way};
use crate::ways::with_one_id;

const DOCKERFILE: &str = "FROM alpine:3.20\n\
                          COPY hello /srv/hello\n\
                          RUN cat /srv/hello && nosuch || ls /etc/apk && [ ! -e /nowhere ] && echo x > /out && rm /etc/motd\n\
                          RUN touch \"$(printf '/caf\\351')\"\n";

fn list<'t>(trace: &'t Value, name: &str) -> Vec<&'t str> {
    let paths = trace[name].as_array().unwrap_or_else(|| panic!("{name} is not in {trace}"));
    paths.iter().map(|path| path.as_str().expect("a path")).collect()
}

/// Builds and checks the trace, which is the same from the cache.
fn check(way: Way) {
    let suite = Suite::new(way);
    let context = suite.path("traced");
    fs::create_dir(&context).expect("a folder");
    fs::write(context.join("Dockerfile"), DOCKERFILE).expect("writes");
    fs::write(context.join("hello"), "hello\n").expect("writes");
    suite.give(&context);
    let file = suite.path("trace.json");
    let option = format!("--trace={}", file.display());
    let traced = |cached: bool| {
        let output = suite.build(&context, &suite.path("traced.tar"), &["-O0", &option]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value: Value = serde_json::from_slice(&fs::read(&file).expect("a trace")).expect("JSON");
        let steps = value["steps"].as_array().expect("steps").clone();
        assert_eq!(steps.len(), 3, "{value}");
        assert!(steps[0]["trace"].is_null() && steps[0]["step"] == "COPY hello /srv/hello", "{value}");
        assert_eq!(steps[1]["lines"], serde_json::json!([3, 3]), "{value}");
        // A name that is no text.
        assert_eq!(steps[2]["trace"]["written"], serde_json::json!([{ "hex": "2f636166e9" }]), "{value}");
        assert!(steps.iter().all(|step| step["cached"] == cached), "{value}");
        steps[1]["trace"].clone()
    };
    let trace = traced(false);
    assert_eq!(list(&trace, "opened"), ["/srv/hello"], "{trace}");
    assert_eq!(list(&trace, "listed"), ["/etc/apk"], "{trace}");
    assert_eq!(list(&trace, "written"), ["/etc/motd", "/out"], "{trace}");
    assert!(list(&trace, "gaps").is_empty(), "{trace}");
    // The shell, what it was asked for, and the loader that the kernel opened.
    for path in ["/bin/sh", "/bin/cat", "/bin/ls", "/bin/rm", "/lib/ld-musl-x86_64.so.1"] {
        assert!(list(&trace, "executed").contains(&path), "{path}: {trace}");
    }
    // A name is looked for in every folder of PATH before the one that has it.
    for path in ["/nowhere", "/usr/local/sbin/cat", "/usr/bin/cat", "/sbin/cat", "/usr/bin/nosuch", "/bin/nosuch"] {
        assert!(list(&trace, "missed").contains(&path), "{path}: {trace}");
    }
    assert!(!list(&trace, "missed").contains(&"/bin/cat"), "{trace}");
    assert!(list(&trace, "examined").contains(&"/etc/apk/world"), "{trace}");
    assert_eq!(traced(true), trace, "from the cache");
}

#[test]
fn a_trace_says_what_a_run_used() {
    check(Way::default());
}

#[test]
fn a_trace_needs_no_root() {
    check(with_one_id());
}
