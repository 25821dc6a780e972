//! Packages that only a build needs, on Debian with its own apt: removals that are proven, and what they take along. The
//! mirror is asked for the base and, by the builds, for the packages.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::prepared;
use crate::tools::{folder, run, text};

pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    /// Debian as an image in a cache.
    pub(crate) fn new() -> Self {
        let bench = Self::empty();
        prepared::copy("bookworm", bench.folder.path(), |place| {
            let first = Self::within(tempfile::tempdir_in(place).expect("a folder"));
            let root = first.at("base/root.tar");
            run("mmdebstrap", &["--variant=minbase", "--quiet", "bookworm", text(&root)]);
            first.base("debian:bookworm-slim", "FROM scratch\nADD root.tar /\nCMD [\"bash\"]\n");
            fs::rename(first.at("cache"), place.join("cache")).expect("renames");
        });
        bench.file("app/main.c", "int main(void) { return 7; }\n");
        bench
    }

    /// Nothing yet.
    pub(crate) fn empty() -> Self {
        Self::within(folder())
    }

    fn within(folder: TempDir) -> Self {
        let bench = Self { folder };
        for name in ["base", "app"] {
            fs::create_dir_all(bench.at(name)).expect("a folder");
        }
        bench
    }

    /// Builds an image of that name of what is in the folder `base`.
    pub(crate) fn base(&self, name: &str, dockerfile: &str) {
        self.file("base/Dockerfile", dockerfile);
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["build", "-O0", "--offline", "--network=none", "--progress=quiet", "-t", name]);
        let output = command.arg("--cache-dir").arg(self.at("cache")).arg(self.at("base")).output();
        let output = output.expect("jettison");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn file(&self, name: &str, content: &str) {
        fs::write(self.at(name), content).expect("writes");
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Rewrites a Dockerfile that has this command behind the list of packages, proven by building both forms.
    fn prove(&self, packages: &str, command: &str) -> Value {
        let run = format!("apt-get update -qq && apt-get install -qq -y {packages} && {command}");
        let dockerfile = format!(
            "FROM debian:bookworm-slim\nCOPY main.c /src/main.c\nRUN {run} && rm -rf /var/lib/apt/lists/*\nCMD [\"app\"]\n"
        );
        self.prove_file(&dockerfile, &[])
    }

    /// Rewrites a Dockerfile, proven by building both forms.
    pub(crate) fn prove_file(&self, dockerfile: &str, more: &[&str]) -> Value {
        fs::write(self.at("app/Dockerfile"), dockerfile).expect("writes");
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["rewrite", "-Os", "--prove", "--progress=quiet", "--format=json", "--cache-dir"]);
        let output = command.arg(self.at("cache")).args(more).arg(self.at("app")).output().expect("jettison");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a report")
    }
}

pub(crate) fn gone(report: &Value) -> Vec<&str> {
    let all = report.pointer("/proof/weighed/gone").and_then(Value::as_array).expect("a list");
    all.iter().filter_map(|one| one["name"].as_str()).collect()
}

pub(crate) fn withdrawn(report: &Value) -> usize {
    report.pointer("/proof/withdrawn").and_then(Value::as_array).expect("a list").len()
}

#[test]
fn removals_by_apt_are_proven() {
    let bench = Bench::new();
    let compile = "gcc -o /usr/local/bin/app /src/main.c";
    let report = bench.prove("--no-install-recommends gcc libc6-dev make python3", compile);
    let all = gone(&report);
    assert!(withdrawn(&report) == 0 && report["text"].as_str().is_some_and(|text| text.contains("purge")), "{report}");
    // apt keeps what anything that stays suggests: binutils.
    assert!(all.starts_with(&["gcc", "libc6-dev", "make"]) && all.len() > 10, "{all:?}");
    assert!(all.contains(&"cpp-12") && all.contains(&"linux-libc-dev"), "{all:?}");
    assert!(!all.iter().any(|name| name.starts_with("python3") || *name == "libc6"), "{all:?}");
    let bytes = report.pointer("/proof/weighed/gone_bytes").and_then(Value::as_u64);
    assert!(bytes.is_some_and(|bytes| bytes > 100_000_000), "{bytes:?}");

    // Scripts of packages, alternatives of several packages, questions, Python that was compiled.
    let packages =
        "--no-install-recommends build-essential libstdc++6 libgcc-s1 libgomp1 perl python3 ca-certificates gawk";
    let report = bench.prove(packages, &format!("{compile} && make -v"));
    assert!(withdrawn(&report) == 0 && gone(&report).contains(&"g++-12"), "{report}");

    // What else a command does where the packages are gone is no removal of packages.
    let trap = "printf '#!/bin/sh\\nrm -f /usr/local/bin/app\\n' > /var/lib/dpkg/info/make.postrm && chmod 755 /var/lib/dpkg/info/make.postrm";
    let report = bench.prove("--no-install-recommends gcc libc6-dev make", &format!("make -v && {trap} && {compile}"));
    let evidence = report.pointer("/proof/withdrawn").map(Value::to_string).unwrap_or_default();
    assert!(evidence.contains("/usr/local/bin/app") && gone(&report).is_empty(), "{report}");
}
