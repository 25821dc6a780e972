//! What is taken from the cache belongs together.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::tree;

fn build(context: &Path, cache: &Path, tar: &Path, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_jettison"))
        .args(["build", "--progress", "plain", "--offline", "-O0", "--cache-dir"])
        .arg(cache)
        .arg("-o")
        .arg(format!("type=tar,dest={}", tar.display()))
        .args(more)
        .arg(context)
        .output()
        .expect("jettison runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn results_count_only_upon_what_they_were_made_upon() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("context")).expect("a folder");
    fs::copy(crate::suite::shared("alpine-minirootfs-3.20.3-x86_64.tar.gz"), at("context/rootfs")).expect("copies");
    let dockerfile = "FROM scratch AS root\nADD rootfs /\nFROM root AS low\nRUN cat /proc/sys/kernel/random/uuid > /stamp\n\
                      FROM low AS top\nRUN cp /stamp /copy\nFROM scratch\nCOPY --from=low /stamp /low\n\
                      COPY --from=top /stamp /copy /top/\n";
    fs::write(at("context/Dockerfile"), dockerfile).expect("writes");
    let stamps = |tar: &Path| {
        let tree = tree::read(tar);
        ["low", "top/stamp", "top/copy"].map(|path| tree.get(path).expect("a stamp").clone())
    };
    build(&at("context"), &at("cache"), &at("one.tar"), &[]);
    let one = stamps(&at("one.tar"));
    assert!(one[0] == one[1] && one[1] == one[2], "{one:?}");
    let again = build(&at("context"), &at("cache"), &at("again.tar"), &[]);
    assert!(!again.contains("DONE"), "{again}");
    build(&at("context"), &at("cache"), &at("two.tar"), &["--no-cache-filter", "low"]);
    let two = stamps(&at("two.tar"));
    assert!(two[0] == two[1] && two[1] == two[2] && two != one, "{two:?}");
}
