//! Whether other engines build the cases of `builds/*.txt` as they say: BuildKit, Docker's classic builder, buildah.
//! The build suite has the embedded engine build the same cases; here jettison's judge compares its images with
//! BuildKit's as a whole.
//!
//! `JETTISON_BUILDS_ONLY=TEXT` takes the cases whose name or file holds the text, `JETTISON_BUILDS_BY=PEER` one engine.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::build_cases::{self, Case};
use crate::compare::{built_on_alpine, differences, settings};
use crate::engines::{Buildah, Docker};
use crate::judged::{judge, printed};
use crate::saved::{self, Reader};
use crate::tools::{folder, shared, text};
use crate::tree::Tree;

/// How many cases an engine builds at a time. Each waits for its engine more than it computes.
const WORKERS: usize = 3;

/// What an engine puts into a container's tree by itself, and may leave in an image.
pub(crate) const ADDED: [&str; 14] = [
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

/// An engine: how it builds a case into a docker-archive, and what else is to be seen of that.
trait Peer: Sync {
    fn name(&self) -> &'static str;

    fn build(&self, number: usize, arguments: &[String], context: &Path, archive: &Path) -> Output;

    /// What is wrong with the image beyond what its case says.
    fn wrong(&self, _arguments: &[String], _context: &Path, _archive: &Path) -> Vec<String> {
        Vec::new()
    }
}

/// Docker's engine, with either of its builders.
struct ByDocker<'d> {
    docker: &'d Docker,
    /// What BuildKit's images are compared with.
    embedded: Option<&'d Embedded>,
}

impl Peer for ByDocker<'_> {
    fn name(&self) -> &'static str {
        if self.embedded.is_some() { "buildkit" } else { "classic" }
    }

    fn build(&self, number: usize, arguments: &[String], context: &Path, archive: &Path) -> Output {
        let tag = format!("{}:{number}", self.name());
        let mut command = Command::new("timeout");
        command.args(["120", "/usr/bin/docker", "build", "--network=host", "-t", &tag]).args(arguments).arg(context);
        let buildkit = if self.embedded.is_some() { "1" } else { "0" };
        let output = command.env("DOCKER_BUILDKIT", buildkit).env("DOCKER_HOST", self.docker.host()).output();
        let output = output.expect("timeout");
        if output.status.success() {
            let inspected: Value = serde_json::from_str(&self.docker.run(&["image", "inspect", &tag])).expect("JSON");
            match inspected[0]["RootFS"]["Layers"].as_array().is_none_or(Vec::is_empty) {
                true => write_without_layers(&inspected[0], archive),
                false => self.docker.save(&tag, archive),
            }
        }
        output
    }

    fn wrong(&self, arguments: &[String], context: &Path, archive: &Path) -> Vec<String> {
        let Some(embedded) = self.embedded else { return Vec::new() };
        let own = archive.with_extension("own");
        let built = embedded.build(arguments, context, &own);
        if !built.status.success() {
            return vec![format!("the embedded engine does not build it:\n{}", printed(&built))];
        }
        let place = |path: &Path| format!("docker-archive:{}", path.display());
        let judged = judge(&place(archive), &place(&own), 0);
        let _ = fs::remove_file(&own);
        match judged {
            Ok(found) => found.into_iter().map(|found| format!("the judge: {}", found.line)).collect(),
            Err(message) => vec![message],
        }
    }
}

/// Writes what `docker save` would give for an image without layers, which it refuses to save.
fn write_without_layers(inspected: &Value, archive: &Path) {
    let config = json!({
        "config": inspected["Config"],
        "architecture": inspected["Architecture"],
        "os": inspected["Os"],
        "author": inspected["Author"],
        "rootfs": { "type": "layers", "diff_ids": [] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["none:none"], "Layers": [] }]);
    let mut tar = tar::Builder::new(fs::File::create(archive).expect("a file"));
    for (name, document) in [("config.json", config), ("manifest.json", manifest)] {
        let bytes = document.to_string().into_bytes();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes.as_slice()).expect("writes");
    }
    tar.finish().expect("writes");
}

/// Jettison's own engine, building on Docker's `alpine:3.20`.
struct Embedded {
    folder: TempDir,
}

impl Embedded {
    fn new(docker: &Docker) -> Self {
        let folder = folder();
        docker.save("alpine:3.20", &folder.path().join("alpine.tar"));
        Self { folder }
    }

    fn build(&self, arguments: &[String], context: &Path, archive: &Path) -> Output {
        let base = format!("alpine:3.20=docker-archive:{}", self.folder.path().join("alpine.tar").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["build", "-O0", "--offline", "--network=host", "--progress=plain", "--build-context", &base]);
        command.arg("--cache-dir").arg(self.folder.path().join("cache")).arg("-o");
        command.arg(format!("type=docker,dest={}", archive.display())).args(arguments).arg(context);
        command.output().expect("jettison")
    }
}

struct ByBuildah {
    buildah: Buildah,
}

impl ByBuildah {
    fn new() -> Self {
        let buildah = Buildah::new();
        let context = folder();
        fs::copy(shared("alpine-minirootfs-3.20.3-x86_64.tar.gz"), context.path().join("rootfs")).expect("copies");
        let dockerfile = "FROM scratch\nADD rootfs /\nCMD [\"/bin/sh\"]\n";
        fs::write(context.path().join("Dockerfile"), dockerfile).expect("writes");
        buildah.run(&["bud", "-q", "-t", "docker.io/library/alpine:3.20", text(context.path())]);
        Self { buildah }
    }
}

impl Peer for ByBuildah {
    fn name(&self) -> &'static str {
        "buildah"
    }

    fn build(&self, _number: usize, arguments: &[String], context: &Path, archive: &Path) -> Output {
        // It writes the archive at once, in place of an image in its storage.
        let tag = format!("docker-archive:{}", archive.display());
        // Docker's steps may make device nodes; buildah's may only where that is said.
        let mut all = vec![
            "bud",
            "--isolation",
            "chroot",
            "--cap-add",
            "CAP_MKNOD",
            "--pull-never",
            "--format",
            "docker",
            "-t",
            &tag,
        ];
        all.extend(arguments.iter().map(String::as_str));
        all.push(text(context));
        self.buildah.try_run(&all)
    }
}

fn cases_for(peer: &str) -> Vec<Case> {
    let only = std::env::var("JETTISON_BUILDS_ONLY").unwrap_or_default();
    let mut cases = build_cases::all();
    cases.retain(|case| case.peers.iter().any(|name| name == peer));
    assert!(cases.len() >= 100, "{peer} has only {} cases", cases.len());
    cases.retain(|case| case.draft.name.contains(&only) || case.draft.place.contains(&only));
    cases
}

/// What is the same for all engines.
struct Bench {
    base: Tree,
    reader: Reader,
}

impl Bench {
    /// Builds a case, and says what is wrong with what comes of it.
    fn check(&self, peer: &dyn Peer, number: usize, case: &Case, place: &Path) -> Result<(), String> {
        let (context, archive) = (place.join(number.to_string()), place.join(format!("{number}.tar")));
        case.draft.write(&context);
        let here = context.display().to_string();
        let arguments: Vec<String> = case.build.iter().map(|word| word.replace("@context", &here)).collect();
        let output = peer.build(number, &arguments, &context, &archive);
        match (output.status.success(), &case.fails) {
            (true, Some(_)) => return Err("it was built, and should have failed".to_owned()),
            // Engines have words of their own.
            (false, Some(_)) => return Ok(()),
            (false, None) => return Err(printed(&output)),
            (true, None) => {}
        }
        let (mut tree, mut config) = self.reader.read(&archive);
        if let Some(labels) = config.pointer_mut("/config/Labels").and_then(Value::as_object_mut) {
            labels.remove("io.buildah.version");
        }
        let nothing = Tree::new();
        let mut base = if built_on_alpine(&case.draft.dockerfile, &case.build) { &self.base } else { &nothing }.clone();
        for added in ADDED.iter().filter(|path| !case.tree.contains_key(**path)) {
            tree.remove(*added);
            base.remove(*added);
        }
        let mut wrong = differences(case, &base, &tree);
        wrong.extend(settings(case, &config));
        wrong.extend(peer.wrong(&arguments, &context, &archive));
        let _ = fs::remove_file(&archive);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// Has an engine build all its cases; gives what was wrong.
    fn run(&self, peer: &dyn Peer) -> String {
        let (cases, folder) = (cases_for(peer.name()), folder());
        let check = |number: usize, case: &Case| self.check(peer, number, case, folder.path());
        let wrong = build_cases::wrong_ones(WORKERS, &cases, check);
        if wrong.is_empty() {
            return String::new();
        }
        let (name, count, all) = (peer.name(), wrong.len(), cases.len());
        format!("{name} builds {count} of {all} cases otherwise:\n{}\n", wrong.join("\n"))
    }
}

#[test]
fn builds_by_other_engines() {
    let only = std::env::var("JETTISON_BUILDS_BY").unwrap_or_default();
    let docker = Docker::start();
    docker.import_alpine();
    let base = saved::of_gzip(&shared("alpine-minirootfs-3.20.3-x86_64.tar.gz"));
    let bench = Bench { base, reader: Reader::default() };
    let embedded = Embedded::new(&docker);
    let peers: [Box<dyn Peer>; 3] = [
        Box::new(ByDocker { docker: &docker, embedded: Some(&embedded) }),
        Box::new(ByDocker { docker: &docker, embedded: None }),
        Box::new(ByBuildah::new()),
    ];
    let wrong: Vec<String> = thread::scope(|scope| {
        let mut running = Vec::new();
        for peer in peers.iter().filter(|peer| peer.name().contains(&only)) {
            let bench = &bench;
            running.push(scope.spawn(move || {
                let start = std::time::Instant::now();
                let wrong = bench.run(peer.as_ref());
                println!("{}: {:.0?}", peer.name(), start.elapsed());
                wrong
            }));
        }
        running.into_iter().map(|thread| thread.join().expect("a peer")).collect()
    });
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{wrong}");
}
