//! `examples/busybox` end to end, from development to release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::suite::shared;
use crate::tree;

/// Builds, and gives the report.
fn build(folder: &Path, file: &Path, level: &str, name: &str) -> Value {
    let base = format!("busybox:1.37=oci-archive:{}", shared("busybox-musl.oci.tar").display());
    let output = Command::new(env!("CARGO_BIN_EXE_jettison"))
        .args(["build", "--offline", "--progress", "quiet", "--format", "json", "--build-context", &base, level])
        .arg("--cache-dir")
        .arg(folder.join("cache"))
        .arg("-o")
        .arg(format!("type=oci,dest={}", folder.join(name).display()))
        .arg("-o")
        .arg(format!("type=tar,dest={}", folder.join(name).with_extension("tree").display()))
        .arg("-f")
        .args([file, folder])
        .output()
        .expect("jettison runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a report")
}

fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {report}"))
}

fn layers(report: &Value) -> (u64, u64) {
    assert_eq!(report.pointer("/outputs/0/proof/equal"), Some(&Value::Bool(true)), "{report}");
    (number(report, "/outputs/0/image/base_layers"), number(report, "/outputs/0/image/own_layers"))
}

fn steps(report: &Value) -> (u64, u64) {
    (number(report, "/steps/cached"), number(report, "/steps/all"))
}

#[test]
fn the_example_with_busybox_at_every_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let example: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/busybox");
    let dockerfile = fs::read_to_string(example.join("Dockerfile")).expect("the example");
    let file = folder.join("Dockerfile");
    fs::write(&file, &dockerfile).expect("writes");

    // The folders that WORKDIR names are there already, so that the three RUNs are what makes layers.
    let first = build(folder, &file, "-O0", "first.tar");
    assert_eq!((layers(&first), steps(&first)), ((1, 3), (0, 6)));
    let tree = tree::read(&folder.join("first.tree"));
    for path in ["home/test", "home/test/test.txt", "home/test2"] {
        assert!(tree.contains_key(path), "{path} is missing");
    }

    // Touched in its last line, all before that is reused.
    fs::write(&file, dockerfile.replace("mkdir test2", "mkdir test3")).expect("writes");
    let touched = build(folder, &file, "-O0", "touched.tar");
    assert_eq!((layers(&touched), steps(&touched)), ((1, 3), (5, 6)));
    assert!(tree::read(&folder.join("touched.tree")).contains_key("home/test3"));

    // Released, there is one layer on the base, whether jettison merges layers or rewrote the Dockerfile before.
    fs::write(&file, &dockerfile).expect("writes");
    for level in ["-O1", "-O2"] {
        let released = build(folder, &file, level, "released.tar");
        assert_eq!((layers(&released), steps(&released)), ((1, 1), (6, 6)), "{level}");
        assert_eq!(tree::read(&folder.join("released.tree")), tree, "{level}");
    }
    let rewritten = build(folder, &example.join("Dockerfile.release"), "-O0", "rewritten.tar");
    assert_eq!(layers(&rewritten), (1, 1));
    assert_eq!(tree::read(&folder.join("rewritten.tree")), tree);
}
