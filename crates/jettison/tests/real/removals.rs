//! Packages that go because nothing was seen to use them, on Debian with its own apt. The mirror is asked
//! for the base and, by the builds, for the packages.

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
    assert!(text(&report).contains("&& apt-get purge -y --auto-remove file \\\n"), "{report}");
    for name in ["file", "libmagic1", "krb5-locales", "publicsuffix"] {
        assert!(all.contains(&name), "{name}: {all:?}");
    }
    for name in ["curl", "jq", "libjq1", "libcurl4", "ca-certificates"] {
        assert!(!all.contains(&name), "{name}: {all:?}");
    }
}

/// A module of Python in C, and what says how it is built.
const MODULE: [(&str, &str); 2] = [
    (
        "setup.py",
        "from setuptools import Extension, setup\nsetup(name='speed', version='1', ext_modules=[Extension('speed', ['speed.c'])])\n",
    ),
    (
        "speed.c",
        "#include <Python.h>\nstatic struct PyModuleDef module = {PyModuleDef_HEAD_INIT, \"speed\", 0, -1};\n\
         PyMODINIT_FUNC PyInit_speed(void) { return PyModule_Create(&module); }\n",
    ),
];

#[test]
fn compilers_of_python_packages_go() {
    let bench = Bench::new();
    for (name, content) in MODULE {
        fs::write(bench.at("app").join(name), content).expect("writes");
    }
    let packages = "--no-install-recommends gcc libc6-dev python3-dev python3-pip python3";
    // Compiled in a folder of another name each time, it would have that name in it.
    let install =
        "cd /src && CFLAGS=-g0 pip install --no-cache-dir --no-index --no-build-isolation --break-system-packages .";
    let dockerfile = file(packages, install).replace("COPY main.c /src/main.c", "COPY setup.py speed.c /src/");
    let report = bench.prove_file(&dockerfile, &["--smoke", "python3 -c 'import speed; print(speed.__name__)'"]);
    let all = gone(&report);
    assert_eq!(withdrawn(&report), 0, "{report}");
    for name in ["gcc-12", "python3-dev", "libpython3.11-dev"] {
        assert!(all.contains(&name), "{name}: {all:?}");
    }
    for name in ["python3", "python3-minimal", "python3.11", "libpython3.11-stdlib", "libexpat1"] {
        assert!(!all.contains(&name), "{name}: {all:?}");
    }
}
