//! Packages that go with dnf, zypper and pacman themselves, which Debian has, from repositories of small packages. The mirror
//! is asked for the managers only.

use std::process::Command;

use serde_json::Value;

use crate::packages::{Bench, gone, withdrawn};
use crate::prepared;

/// Images with these managers, and with the packages.
pub(crate) fn bench() -> Bench {
    let bench = Bench::empty();
    prepared::copy("managers", &bench.at(""), |place| {
        let first = self::first();
        let cache = first.at("cache");
        let copied = Command::new("cp").arg("-a").arg(cache).arg(place).status().expect("cp runs");
        assert!(copied.success(), "{copied}");
    });
    bench
}

fn first() -> Bench {
    let bench = Bench::new();
    for target in ["repositories", "rpm", "pacman"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["build", "-O0", "--progress=quiet", "--target", target, "-t", &format!("{target}:1")]);
        command.arg("--cache-dir").arg(bench.at("cache"));
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/managers");
        let output = command.arg(folder).output().expect("jettison");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    bench
}

/// Proves a file that installs packages from these repositories.
fn prove(bench: &Bench, base: &str, install: &str) -> Value {
    let mounts =
        ["repo", "pkgs"].map(|name| format!("--mount=type=bind,from=repositories:1,source=/{name},target=/{name}"));
    let dockerfile =
        format!("FROM {base}:1\nRUN {} {install} gcc runs idle && gcc /usr/bin/app\nCMD [\"app\"]\n", mounts.join(" "));
    bench.prove_file(&dockerfile, &["--offline", "--smoke", "app", "--smoke", "runs"])
}

/// Has the text after all, and nothing was taken back.
fn proves(report: &Value, end: &str, all_gone: &[&str]) {
    assert_eq!(withdrawn(report), 0, "{report:#}");
    assert!(report["text"].as_str().is_some_and(|text| text.contains(end)), "{report:#}");
    let mut all = gone(report);
    all.sort_unstable();
    assert_eq!(all, all_gone, "{report:#}");
}

#[test]
fn what_nothing_uses_goes_with_its_own_manager() {
    let bench = bench();
    let report = prove(&bench, "rpm", "dnf install -y");
    let removal = "gcc /usr/bin/app && dnf mark install libhelp && dnf remove -y gcc idle\n";
    proves(&report, removal, &["cpp", "gcc", "gcc-docs", "idle"]);
    assert!(report.to_string().contains("dnf install --setopt=install_weak_deps=False -y gcc"), "{report:#}");

    let report = prove(&bench, "pacman", "pacman -Sy --noconfirm");
    let removal = "gcc /usr/bin/app && pacman -D --asexplicit libhelp && pacman -Rns --noconfirm gcc idle\n";
    proves(&report, removal, &["cpp", "gcc", "idle"]);

    // zypper has no command that keeps a library, so that what it came with stays.
    let report = prove(&bench, "rpm", "zypper -n --no-gpg-checks install");
    proves(&report, "install --no-recommends gcc runs idle", &["gcc-docs"]);
    let declined = report["declines"].to_string();
    assert!(declined.contains("needs-run-time-library") && declined.contains("libhelp"), "{report:#}");
    let base = "rpm:1\nRUN --mount=type=bind,from=repositories:1,source=/repo,target=/repo";
    let dockerfile = format!("FROM {base} zypper -n --no-gpg-checks install cpp runs idle && cpp\nCMD [\"runs\"]\n");
    let report = bench.prove_file(&dockerfile, &["--offline", "--smoke", "runs"]);
    proves(&report, "cpp && zypper --non-interactive remove --clean-deps cpp idle\n", &["cpp", "idle"]);
}
