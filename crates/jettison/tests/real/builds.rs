//! Whether other engines build the cases of `builds/*.txt` as they say: BuildKit, Docker's classic builder, buildah.
//! The build suite has the embedded engine build the same cases. Then jettison's judge compares its images with
//! BuildKit's as a whole.
//!
//! `JETTISON_BUILDS_ONLY=TEXT` takes the cases whose name or file holds the text.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::build_cases::{self, Case};
use crate::compare::{built_on_alpine, differences, settings};
use crate::engines::{Buildah, Docker};
use crate::tools::{folder, run, shared, text};
use crate::tree::{self, Tree};

/// How many cases are built at a time.
const WORKERS: usize = 4;

/// What an engine puts into a container's tree by itself.
const ADDED: [&str; 14] = [
    ".dockerenv",
    "dev",
    "dev/console",
    "dev/pts",
    "dev/shm",
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "sys",
    "run",
    "run/.containerenv",
];

fn cases_for(peer: &str) -> Vec<Case> {
    let only = std::env::var("JETTISON_BUILDS_ONLY").unwrap_or_default();
    let mut cases = build_cases::all();
    cases.retain(|case| case.peers.iter().any(|name| name == peer));
    assert!(cases.len() >= 100, "{peer} has only {} cases", cases.len());
    cases.retain(|case| case.draft.name.contains(&only) || case.draft.place.contains(&only));
    cases
}

/// Has a peer build all its cases; gives what was wrong.
fn check(peer: &str, workers: usize, build: impl Fn(usize, &Case, &Path) -> Result<(Tree, Value), Output> + Sync) {
    let (cases, contexts) = (cases_for(peer), folder());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let base = alpine();
    let one = |number: usize, case: &Case| -> Result<(), String> {
        let context = contexts.path().join(number.to_string());
        case.draft.write(&context);
        match (build(number, case, &context), &case.fails) {
            (Ok(_), Some(_)) => Err("it was built, and should have failed".to_owned()),
            // Engines have words of their own.
            (Err(_), Some(_)) => Ok(()),
            (Err(output), None) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            (Ok((mut tree, config)), None) => {
                let nothing = Tree::new();
                let mut base =
                    if built_on_alpine(&case.draft.dockerfile, &case.build) { &base } else { &nothing }.clone();
                for added in ADDED.iter().filter(|path| !case.tree.contains_key(**path)) {
                    tree.remove(*added);
                    base.remove(*added);
                }
                for path in case.config.get("Volumes").and_then(Value::as_object).into_iter().flat_map(|v| v.keys()) {
                    // A container of the image has its volumes' folders.
                    if !case.tree.contains_key(path.trim_matches('/')) {
                        tree.remove(path.trim_matches('/'));
                    }
                }
                let mut wrong = differences(case, &base, &tree);
                wrong.extend(settings(case, &config));
                if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { break };
                    if let Err(message) = one(number, case) {
                        wrong.lock().expect("no worker panicked").push((number, message));
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().expect("no worker panicked");
    wrong.sort();
    let shown: Vec<String> = wrong
        .iter()
        .map(|(number, message)| {
            let draft = &cases[*number].draft;
            format!("######## {} ({})\n{message}", draft.name, draft.place)
        })
        .collect();
    assert!(
        shown.is_empty(),
        "{peer} builds {} of {} cases otherwise:\n{}",
        shown.len(),
        cases.len(),
        shown.join("\n")
    );
}

/// Alpine's root file system, from its own archive.
fn alpine() -> Tree {
    let folder = folder();
    let plain = folder.path().join("rootfs.tar");
    let packed = shared("alpine-minirootfs-3.20.3-x86_64.tar.gz");
    let output = Command::new("gzip").args(["-dc", text(&packed)]).output().expect("gzip");
    fs::write(&plain, output.stdout).expect("writes");
    tree::read(&plain)
}

fn arguments(case: &Case, context: &Path) -> Vec<String> {
    let here = context.display().to_string();
    case.build.iter().map(|word| word.replace("@context", &here)).collect()
}

fn by_docker(peer: &str, buildkit: &str) {
    let docker = Docker::start();
    docker.import_alpine();
    let tars = folder();
    check(peer, WORKERS, |number, case, context| {
        let tag = format!("case:{number}");
        let mut command = Command::new("timeout");
        command.args(["120", "/usr/bin/docker", "build", "--network=host", "-t", &tag]);
        command.args(arguments(case, context)).arg(context);
        let output = command.env("DOCKER_BUILDKIT", buildkit).env("DOCKER_HOST", docker.host()).output();
        let output = output.expect("timeout");
        if !output.status.success() {
            return Err(output);
        }
        let tar: PathBuf = tars.path().join(format!("{number}.tar"));
        let container = docker.run(&["create", &tag, "true"]).trim().to_owned();
        docker.run(&["export", "-o", text(&tar), &container]);
        docker.run(&["rm", &container]);
        let tree = tree::read(&tar);
        let _ = fs::remove_file(&tar);
        let inspected = docker.run(&["image", "inspect", "-f", "{{json .Config}}", &tag]);
        let config: Value = serde_json::from_str(&inspected).expect("JSON");
        Ok((tree, serde_json::json!({ "config": config })))
    });
}

/// The three wait for their disks most of the time, so they do it side by side.
#[test]
fn builds_by_other_engines() {
    thread::scope(|scope| {
        scope.spawn(|| by_docker("buildkit", "1"));
        scope.spawn(|| by_docker("classic", "0"));
        scope.spawn(by_buildah);
    });
}

fn by_buildah() {
    let buildah = Buildah::new();
    let tars = folder();
    let rootfs = tars.path().join("alpine");
    fs::create_dir_all(&rootfs).expect("a folder");
    fs::copy(shared("alpine-minirootfs-3.20.3-x86_64.tar.gz"), rootfs.join("rootfs")).expect("copies");
    fs::write(rootfs.join("Dockerfile"), "FROM scratch\nADD rootfs /\nCMD [\"/bin/sh\"]\n").expect("writes");
    buildah.run(&["bud", "-q", "--isolation", "chroot", "-t", "docker.io/library/alpine:3.20", text(&rootfs)]);
    check("buildah", 1, |number, case, context| {
        let tag = format!("localhost/case:{number}");
        let mut all = vec!["bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "-t", &tag];
        let more = arguments(case, context);
        all.extend(more.iter().map(String::as_str));
        all.push(text(context));
        let output = buildah.try_run(&all);
        if !output.status.success() {
            return Err(output);
        }
        let container = buildah.run(&["from", "--pull-never", &tag]).trim().to_owned();
        let root = buildah.run(&["mount", &container]).trim().to_owned();
        let tar = tars.path().join(format!("{number}.tar"));
        run("tar", &["-C", &root, "--numeric-owner", "-cf", text(&tar), "."]);
        buildah.run(&["umount", &container]);
        buildah.run(&["rm", &container]);
        let tree = tree::read(&tar);
        let _ = fs::remove_file(&tar);
        let inspected: Value = serde_json::from_str(&buildah.run(&["inspect", "--type", "image", &tag])).expect("JSON");
        Ok((tree, inspected["Docker"].clone()))
    });
}
