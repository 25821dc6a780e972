//! Packages that go because nothing was seen to use them, on Debian with its own apt and packages of PyPI. The mirror is
//! asked for the base and, by the builds, for the packages.

use std::fs;

use serde_json::Value;

use crate::packages::{Bench, gone, withdrawn};

/// A program with a library that only its headers' package brings.
const PROGRAM: &str = "#include <stdio.h>\n#include <jansson.h>\n\
    int main(void) { printf(\"%s\\n\", json_dumps(json_pack(\"{s:i}\", \"answer\", 42), 0)); return 0; }\n";

fn file(packages: &str, command: &str) -> String {
    format!(
        "FROM debian:bookworm-slim\nCOPY main.c /src/main.c\nRUN apt-get update -qq \\\n    && apt-get install -y {packages} \\\n    \
         && {command} \\\n    && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb\nCMD [\"app\"]\n"
    )
}

fn text(report: &Value) -> &str {
    report["text"].as_str().expect("a text")
}

#[test]
fn libraries_that_a_program_is_linked_with_are_marked() {
    let bench = Bench::new();
    fs::write(bench.at("app/main.c"), PROGRAM).expect("writes");
    let compile = "gcc -o /usr/local/bin/app /src/main.c -ljansson";
    // The base holds zlib's library, and this one is there for its headers alone.
    let packages = "--no-install-recommends gcc libc6-dev libjansson-dev zlib1g-dev";
    let report = bench.prove_file(&file(packages, compile), &["--smoke", "app"]);
    assert_eq!(withdrawn(&report), 0, "{report}");
    let removal = "&& apt-mark manual libjansson4 \\\n    && apt-get purge -y --auto-remove gcc libc6-dev libjansson-dev zlib1g-dev";
    assert!(text(&report).contains(removal), "{report}");
    let all = gone(&report);
    assert!(all.contains(&"gcc-12") && all.contains(&"libjansson-dev") && all.contains(&"zlib1g-dev"), "{all:?}");
    assert!(!all.contains(&"libjansson4") && !all.contains(&"zlib1g"), "{all:?}");
}

#[test]
fn smoke_commands_keep_what_they_need_and_name_what_is_recommended() {
    let bench = Bench::new();
    let report = bench.prove_file(
        &file("curl jq file", "jq -n 1 && file /etc/passwd"),
        &["--smoke", "curl --version", "--smoke", "jq -n 2"],
    );
    let all = gone(&report);
    assert_eq!(withdrawn(&report), 0, "{report}");
    assert!(text(&report).contains("install --no-install-recommends -y curl jq file ca-certificates"), "{report}");
    assert!(text(&report).contains("apt-get purge -y --auto-remove file "), "{report}");
    for name in ["file", "libmagic1", "krb5-locales", "publicsuffix"] {
        assert!(all.contains(&name), "{name}: {all:?}");
    }
    for name in ["curl", "jq", "libjq1", "libcurl4", "ca-certificates"] {
        assert!(!all.contains(&name), "{name}: {all:?}");
    }
}

#[test]
fn compilers_of_python_packages_go() {
    let bench = Bench::new();
    let packages = "--no-install-recommends gcc libc6-dev python3-dev python3-pip python3";
    let install = "pip install --no-cache-dir --break-system-packages --no-binary markupsafe markupsafe==2.1.5";
    let smoke = "python3 -c 'import markupsafe._speedups; print(markupsafe.escape(chr(60)))'";
    let report = bench.prove_file(&file(packages, install), &["--smoke", smoke]);
    let all = gone(&report);
    assert_eq!(withdrawn(&report), 0, "{report}");
    for name in ["gcc-12", "python3-dev", "libpython3.11-dev", "python3-pip"] {
        assert!(all.contains(&name), "{name}: {all:?}");
    }
    for name in ["python3", "python3-minimal", "python3.11", "libpython3.11-stdlib"] {
        assert!(!all.contains(&name), "{name}: {all:?}");
    }
}
