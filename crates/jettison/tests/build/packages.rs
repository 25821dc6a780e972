//! `rewrite -Os --prove` with packages that only a build needs: real ones of Alpine's apk, made here.

use crate::apk::{Package, make_base};
use crate::prove::{Bench, excused, withdrawn};

/// A compiler that writes a program, and what it brings along.
const PACKAGES: [Package<'static>; 6] = [
    Package {
        name: "gcc",
        depends: "binutils",
        files: &[
            ("usr/bin/gcc", "#!/bin/sh\nld && printf '#!/bin/sh\\necho built\\n' > $2 && chmod 755 $2\n"),
            ("usr/lib/gcc/cc1", "a large file"),
        ],
        scripts: &[("post-install", "#!/bin/sh\necho > /usr/lib/gcc/made\n"), ("pre-deinstall", REMOVES)],
    },
    Package {
        name: "binutils",
        depends: "dc",
        files: &[("usr/bin/ld", "#!/bin/sh\n"), ("etc/ld.conf", "1\n")],
        scripts: &[],
    },
    // busybox has one, too.
    Package { name: "dc", depends: "", files: &[("usr/bin/dc", "#!/bin/sh\n")], scripts: &[] },
    Package { name: "musl-dev", depends: "", files: &[("usr/include/stdio.h", "int puts();\n")], scripts: &[] },
    Package { name: "tool", depends: "libtool", files: &[("usr/bin/tool", "#!/bin/sh\n")], scripts: &[] },
    Package { name: "libtool", depends: "", files: &[("usr/lib/libtool.so", "a library")], scripts: &[] },
];

const REMOVES: &str = "#!/bin/sh\nrm /usr/lib/gcc/made\n";

/// A Dockerfile with a compiler in it.
const BUILDS: &str = "FROM tools:1\nRUN apk add --no-cache --allow-untrusted gcc musl-dev tool && gcc -o /usr/bin/app && app > /said\nCMD [\"app\"]\n";

fn bench(packages: &[Package<'_>], dockerfile: &str) -> Bench {
    let bench = Bench::of(dockerfile);
    make_base(&bench.suite, packages);
    bench
}

fn gone(report: &serde_json::Value) -> Vec<&str> {
    let all = report["proof"]["weighed"]["gone"].as_array().expect("a list");
    all.iter().map(|one| one["name"].as_str().expect("a name")).collect()
}

#[test]
fn packages_that_only_a_build_needs_are_proven_to_be_gone() {
    let bench = bench(&PACKAGES, BUILDS);
    let report = bench.prove(None, &["-Os"]);
    let text = report["text"].as_str().expect("a text");
    assert!(text.contains("apk del") && withdrawn(&report).is_empty(), "{report}");
    assert_eq!(gone(&report), ["gcc", "musl-dev", "binutils", "dc"], "{report}");
    assert!(report["proof"]["weighed"]["gone_bytes"].as_u64().is_some_and(|bytes| bytes > 80), "{report}");
    let found = excused(&report);
    for path in
        ["/usr/lib/gcc ", "/usr/bin/ld ", "/etc/ld.conf ", "/usr/bin/dc ", "/lib/apk/db/installed ", "/etc/apk/world "]
    {
        assert!(found.iter().any(|one| one.starts_with(path) && one.contains("packages")), "{path}: {found:?}");
    }
    let shown = String::from_utf8_lossy(&bench.run(None, &["-Os"]).stderr).into_owned();
    assert!(shown.contains("gone: gcc, musl-dev and 2 more packages"), "{shown}");
}

#[test]
fn what_a_removal_does_beside_that_is_refused() {
    let takes = |script: &'static str| {
        let mut packages = PACKAGES;
        packages[0].scripts = Box::leak(Box::new([("pre-deinstall", script)]));
        packages
    };
    let bench = Bench::of(BUILDS);
    for (script, place) in [
        ("#!/bin/sh\nrm /said\n", "/said is missing"),
        ("#!/bin/sh\necho more >> /said\n", "/said has another"),
        ("#!/bin/sh\nrm /usr/bin/tool\n", "/usr/bin/tool is missing"),
        ("#!/bin/sh\necho > /usr/share/left\n", "/usr/share/left is new"),
    ] {
        make_base(&bench.suite, &takes(script));
        let report = bench.prove(None, &["-Os"]);
        let taken = withdrawn(&report);
        let is_kept = report["text"].as_str().is_some_and(|text| !text.contains("apk del"));
        let is_told = taken.iter().any(|one| one.starts_with("build-packages"));
        let shown = String::from_utf8_lossy(&bench.run(None, &["-Os"]).stderr).into_owned();
        assert!(is_kept && is_told && shown.contains(place), "{script}: {shown}\n{report}");
    }
}
