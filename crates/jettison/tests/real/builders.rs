//! `jettison build --engine`: Docker's engine and buildah build, and jettison optimizes what they built. There is no
//! buildctl in Debian: a stand-in records what it is asked for, and writes an archive.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::engines::Docker;
use crate::judged::{judge, printed};
use crate::tools::{folder, run, run_with, shared, text, unmount_below};

const DOCKERFILE: &str = "FROM alpine:3.20\nARG what=nothing\nRUN echo $what > /srv/a && touch /srv/gone\n\
                          RUN rm /srv/gone && mkdir /srv/d\nCOPY file /srv/d/\nENV MODE=full\nCMD [\"cat\", \"/srv/a\"]\n";

/// A context, and what is built of it.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: folder() };
        fs::create_dir(bench.at("context")).expect("a folder");
        fs::write(bench.at("context/Dockerfile"), DOCKERFILE).expect("writes");
        fs::write(bench.at("context/file"), "content\n").expect("writes");
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn build(&self, name: &str, more: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["build", "-O2", "--format", "json", "--network=host", "--build-arg", "what=something"]);
        command.arg("--cache-dir").arg(self.at("cache")).arg("-o");
        command.arg(format!("type=oci,dest={}", self.at(name).display())).args(more).arg(self.at("context"));
        command.envs(environment.iter().copied()).output().expect("jettison")
    }

    /// Builds by another engine and by the embedded one upon the same base, and has the judge compare. In `noise` is what
    /// the engine does otherwise.
    fn compare(&self, more: &[&str], environment: &[(&str, &str)], base: &Path, noise: &[&str]) {
        let output = self.build("other.tar", more, environment);
        assert!(output.status.success(), "{}", printed(&output));
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        assert_eq!(report.pointer("/outputs/0/proof/equal"), Some(&Value::Bool(true)), "{report}");
        let layers = |kind: &str| report.pointer(&format!("/outputs/0/image/{kind}")).and_then(Value::as_u64);
        assert_eq!((layers("base_layers"), layers("own_layers")), (Some(1), Some(1)), "{report}");
        let base = format!("alpine:3.20=docker-archive:{}", base.display());
        let own = self.build("own.tar", &["--offline", "--build-context", &base], &[]);
        assert!(own.status.success(), "{}", printed(&own));
        let place = |name: &str| format!("oci-archive:{}", self.at(name).display());
        let found = judge(&place("other.tar"), &place("own.tar"), 2).expect("a verdict");
        let found = found.iter().filter(|found| !noise.contains(&found.place.as_str()));
        let lines: Vec<&str> = found.map(|found| found.line.as_str()).collect();
        assert!(lines.is_empty(), "{lines:#?}");
        // Others read it.
        let config = run("skopeo", &["inspect", "--config", &place("other.tar")]);
        assert!(config.contains("MODE=full"), "{config}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        unmount_below(self.folder.path());
    }
}

#[test]
fn docker_builds_and_jettison_optimizes() {
    let docker = Docker::start();
    docker.import_alpine();
    let bench = Bench::new();
    docker.save("alpine:3.20", &bench.at("alpine.tar"));
    let engine = format!("docker={}", docker.host());
    bench.compare(&["--engine", &engine], &[("PATH", "/usr/bin:/usr/sbin:/bin:/sbin")], &bench.at("alpine.tar"), &[]);
    // Nothing of it stays in the engine, and what fails there fails here, with the engine's own words.
    assert_eq!(docker.run(&["image", "ls", "--format", "{{.Repository}}"]).trim(), "alpine");
    fs::write(bench.at("context/Dockerfile"), "FROM alpine:3.20\nRUN echo so it is >&2; exit 7\n").expect("writes");
    let failed = bench.build("failed.tar", &["--engine", &engine], &[("PATH", "/usr/bin:/usr/sbin:/bin:/sbin")]);
    let said = printed(&failed);
    assert!(!failed.status.success() && said.contains("so it is") && said.contains("docker ended with"), "{said}");
    assert!(!bench.at("failed.tar").exists());
}

#[test]
fn buildah_builds_and_jettison_optimizes() {
    let bench = Bench::new();
    let storage = format!(
        "[storage]\ndriver = \"overlay\"\nrunroot = \"{}\"\ngraphroot = \"{}\"\n",
        bench.at("run").display(),
        bench.at("root").display()
    );
    fs::write(bench.at("storage.conf"), storage).expect("writes");
    let conf = bench.at("storage.conf");
    let environment = [("CONTAINERS_STORAGE_CONF", text(&conf)), ("BUILDAH_ISOLATION", "chroot")];
    fs::create_dir(bench.at("alpine")).expect("a folder");
    fs::copy(shared("alpine-minirootfs-3.20.3-x86_64.tar.gz"), bench.at("alpine/rootfs")).expect("copies");
    fs::write(bench.at("alpine/Dockerfile"), "FROM scratch\nADD rootfs /\nCMD [\"/bin/sh\"]\n").expect("writes");
    let alpine = bench.at("alpine");
    let name = "docker.io/library/alpine:3.20";
    run_with("buildah", &["bud", "-q", "--format", "docker", "-t", name, text(&alpine)], &environment);
    let archive = format!("docker-archive:{}", bench.at("alpine.tar").display());
    run_with("buildah", &["push", "-q", name, &archive], &environment);
    // It leaves where it mounts a file, and does not say that Windows' arguments are escaped.
    let noise = ["/etc/resolv.conf", "config.ArgsEscaped"];
    bench.compare(&["--engine", "buildah"], &environment, &bench.at("alpine.tar"), &noise);
    let images = run_with("buildah", &["images", "--format", "{{.Name}}"], &environment);
    assert!(!images.contains("jettison-build"), "{images}");
}

/// Only that the command is as buildctl's own help has it, and that the archive is taken: no BuildKit runs here.
#[test]
fn buildctl_is_asked_and_its_archive_optimized() {
    let bench = Bench::new();
    fs::create_dir(bench.at("bin")).expect("a folder");
    let stand_in = bench.at("bin/buildctl");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\nfor word; do case $word in type=oci,dest=*) cp {} \"${{word#type=oci,dest=}}\";; \
         esac; done\n",
        bench.at("asked").display(),
        shared("busybox-musl.oci.tar").display()
    );
    fs::write(&stand_in, script).expect("writes");
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).expect("its mode");
    let path = format!("{}:/usr/bin:/bin", bench.at("bin").display());
    let more = ["--engine", "buildkit=tcp://worker:1234", "--target", "x", "--secret", "id=s,src=/s"];
    let output = bench.build("out.tar", &more, &[("PATH", &path)]);
    assert!(output.status.success(), "{}", printed(&output));
    let asked = fs::read_to_string(bench.at("asked")).expect("what it was asked");
    let asked: Vec<&str> = asked.lines().collect();
    let context = bench.at("context").display().to_string();
    let (local, dockerfile) = (format!("context={context}"), format!("dockerfile={context}"));
    assert_eq!(asked[..5], ["--addr", "tcp://worker:1234", "build", "--progress", "plain"]);
    for pair in [
        ["--frontend", "dockerfile.v0"],
        ["--local", &local],
        ["--local", &dockerfile],
        ["--opt", "filename=Dockerfile"],
        ["--opt", "target=x"],
        ["--opt", "build-arg:what=something"],
        ["--opt", "force-network-mode=host"],
        ["--secret", "id=s,src=/s"],
    ] {
        assert!(asked.windows(2).any(|words| words == pair), "{pair:?} is not in {asked:?}");
    }
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report.pointer("/outputs/0/proof/equal"), Some(&Value::Bool(true)), "{report}");
    let place = format!("oci-archive:{}", bench.at("out.tar").display());
    assert!(run("skopeo", &["inspect", &place]).contains("sha256:"));
}
