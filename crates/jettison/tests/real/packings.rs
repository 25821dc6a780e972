//! Indexes of several platforms in two packings, and zstd with a long window: what clients of several ages take of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use jettison_image::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::engines::{Buildah, Docker, skopeo};
use crate::registries::Registry;
use crate::tools::{folder, jettison, run, run_with, shared, text, unmount_below};
use crate::trees::{Seen, assert_same};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const ZSTD: &str = "io.github.containers.compression.zstd";

/// Podman with its storage in a folder.
struct Podman(TempDir);

impl Podman {
    fn run(&self, arguments: &[&str]) -> String {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        let (root, runroot, temporary) = (path("root"), path("run"), path("tmp"));
        let storage = ["--root", &root, "--runroot", &runroot, "--tmpdir", &temporary, "--storage-driver", "overlay"];
        run("podman", &[&storage[..], arguments].concat())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        unmount_below(self.0.path());
    }
}

fn put(layout: &Path, media_type: &str, document: &Value) -> Value {
    let bytes = document.to_string();
    let digest = Digest::of(bytes.as_bytes());
    fs::write(layout.join("blobs/sha256").join(digest.hex()), &bytes).expect("writes");
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
}

fn get(layout: &Path, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
    serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(digest)).expect("a blob")).expect("JSON")
}

fn listed(layout: &Path) -> Value {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).expect("a list")).expect("JSON");
    index["manifests"][0].clone()
}

/// An image of a real base and own layers that hide each other, for two platforms: `oci:IN:1`.
fn two_platforms(folder: &Path) -> String {
    let (context, layout) = (folder.join("context"), folder.join("in"));
    fs::create_dir(&context).expect("a folder");
    fs::write(
        context.join("Dockerfile"),
        "FROM base\nRUN head -c 3000000 /bin/busybox > /data && cp /data /again\nRUN echo changed >> /data\n\
         RUN rm /again && mkdir /app && cp /data /app/data\nCMD [\"cat\", \"/app/data\"]\n",
    )
    .expect("writes");
    let cache = text(&folder.join("cache")).to_owned();
    let base = format!("base=oci-archive:{}", text(&shared("busybox-glibc.oci.tar")));
    let out = format!("oci:{}:1", text(&layout));
    jettison(&["build", "-O0", "--cache-dir", &cache, "--build-context", &base, "-o", &out, text(&context)]);
    let one = listed(&layout);
    let mut manifests = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let mut manifest = get(&layout, &one);
        let mut config = get(&layout, &manifest["config"]);
        config["architecture"] = json!(architecture);
        let kind = manifest["config"]["mediaType"].as_str().expect("a type").to_owned();
        manifest["config"] = put(&layout, &kind, &config);
        let mut listed = put(&layout, MANIFEST, &manifest);
        listed["platform"] = json!({ "os": "linux", "architecture": architecture });
        manifests.push(listed);
    }
    let mut index = put(&layout, INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }));
    index["annotations"] = json!({ "org.opencontainers.image.ref.name": "1" });
    let list = json!({ "schemaVersion": 2, "manifests": [index] });
    fs::write(layout.join("index.json"), list.to_string()).expect("writes");
    out
}

/// The instances of an index, by architecture and whether the annotation says zstd.
fn instances(index: &Value) -> Vec<(String, bool)> {
    let manifests = index["manifests"].as_array().expect("manifests").iter();
    let of = |manifest: &Value| {
        let architecture = manifest["platform"]["architecture"].as_str().expect("a platform").to_owned();
        (architecture, manifest["annotations"][ZSTD] == "true")
    };
    manifests.map(of).collect()
}

fn mounted(place: &str) -> Seen {
    Buildah::new().mounted_from(place)
}

#[test]
fn clients_take_their_platform_and_what_they_can_unpack() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let input = two_platforms(folder.path());
    let out = format!("oci:{}:1", text(&at("out")));
    jettison(&["optimize", &input, "-O1", "-o", &out, "--dual", "--recompress-base"]);
    let raw: Value = serde_json::from_str(&run("skopeo", &["inspect", "--raw", &out])).expect("JSON");
    let named = |name: &str, is_zstd: bool| (name.to_owned(), is_zstd);
    let expected = [named("arm64", false), named("amd64", false), named("arm64", true), named("amd64", true)];
    assert_eq!(instances(&raw), expected);
    let before = mounted(&input);
    // Debian's tools are of 2022: they know nothing of the annotation, and take the first of their platform.
    for (number, architecture) in ["arm64", "amd64"].iter().enumerate() {
        let to = format!("oci:{}:x", text(&at(architecture)));
        run("skopeo", &["copy", "-q", "--insecure-policy", "--override-arch", architecture, &out, &to]);
        let taken = listed(&at(architecture));
        assert_eq!(taken["digest"], raw["manifests"][number]["digest"]);
        assert_same(&before, &mounted(&to), &format!("buildah, {architecture}"));
    }
    // What takes all of an index takes all of it, and copies it byte for byte.
    let all = format!("oci:{}:x", text(&at("all")));
    run("skopeo", &["copy", "-q", "--insecure-policy", "--all", &out, &all]);
    assert_eq!(listed(&at("all"))["digest"], listed(&at("out"))["digest"]);
    let podman = Podman(crate::tools::folder());
    podman.run(&["pull", "-q", &out]);
    let image = podman.run(&["images", "-q", "--no-trunc"]);
    let inspected = podman.run(&["image", "inspect", image.trim(), "--format", "{{.Id}} {{.Architecture}}"]);
    let id = get(&at("out"), &raw["manifests"][1])["config"]["digest"].as_str().expect("one")[7..].to_owned();
    assert_eq!(inspected.trim(), format!("{id} amd64"));
    let mount = podman.run(&["image", "mount", image.trim()]);
    assert_same(&before, &crate::trees::folder(Path::new(mount.trim())), "podman");
    podman.run(&["image", "unmount", image.trim()]);
}

#[test]
fn a_registry_keeps_both_packings_and_docker_pulls_the_one_it_knows() {
    let (registry, docker, folder) = (Registry::start(false), Docker::start(), folder());
    let input = two_platforms(folder.path());
    let place = format!("{}/suite/dual:1", registry.host);
    let pushed = format!("docker://{place}");
    jettison(&["optimize", &input, "-O1", "-o", &pushed, "--dual"]);
    let raw = run("skopeo", &["inspect", "--tls-verify=false", "--raw", &pushed]);
    let index: Value = serde_json::from_str(&raw).expect("JSON");
    assert_eq!(instances(&index).len(), 4);
    docker.run(&["pull", "-q", &place]);
    assert_eq!(docker.run(&["image", "inspect", "-f", "{{.Architecture}}", &place]).trim(), "amd64");
    let digests = docker.run(&["image", "inspect", "-f", "{{.RepoDigests}}", &place]);
    assert!(digests.contains(&Digest::of(raw.as_bytes()).to_string()), "{digests}");
    let printed = docker.run(&["run", "--rm", "--network=none", &place, "tail", "-c", "8", "/app/data"]);
    assert_eq!(printed, "changed\n");
    // An engine gets what it runs, wherever in the index that stands.
    for (command, name) in [("copy", "copied:1"), ("optimize", "small:1")] {
        let to = format!("docker-daemon:{name}");
        let arguments: Vec<&str> = match command {
            "copy" => vec!["copy", &input, &to],
            _ => vec!["optimize", &input, "-O1", "-o", &to],
        };
        run_with(env!("CARGO_BIN_EXE_jettison"), &arguments, &[("DOCKER_HOST", &docker.host())]);
        let architecture = docker.run(&["image", "inspect", "-f", "{{.Architecture}}", name]);
        assert_eq!(architecture.trim(), "amd64");
    }
    // Read where they lie, and written back to the same place: nothing changes.
    let again = jettison(&["optimize", &pushed, "-O1", "-o", &pushed, "--dual"]);
    assert!(again.contains("0 uploaded (0 B)"), "{again}");
    assert_eq!(run("skopeo", &["inspect", "--tls-verify=false", "--raw", &pushed]), raw);
}

#[test]
fn zstd_with_a_long_window_is_unpacked_by_all_that_know_zstd() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let input = two_platforms(folder.path());
    let out = format!("oci:{}:1", text(&at("out")));
    let packed = ["--compression", "zstd:19,long", "--recompress-base", "--platform", "linux/amd64"];
    jettison(&[&["optimize", &input, "-O1", "-o", &out][..], &packed].concat());
    let manifest = get(&at("out"), &listed(&at("out")));
    let layers = manifest["layers"].as_array().expect("layers");
    assert!(layers.iter().all(|layer| layer["mediaType"].as_str().is_some_and(|kind| kind.ends_with("+zstd"))));
    for layer in layers {
        let digest = layer["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
        // The reference program, which is not told of any window.
        let blob = at("out").join("blobs/sha256").join(digest);
        let status = Command::new("zstd").args(["-q", "-t", "--no-progress", text(&blob)]).status();
        assert!(status.expect("zstd: install Debian's zstd").success());
    }
    let before = mounted(&input);
    assert_same(&before, &mounted(&out), "buildah");
    let copied = format!("oci:{}:1", text(&at("copied")));
    skopeo(&out, &copied);
    assert!(jettison(&["diff", &input, &copied]).contains("equal"));
    let podman = Podman(crate::tools::folder());
    podman.run(&["pull", "-q", &out]);
    let image = podman.run(&["images", "-q", "--no-trunc"]);
    let mount = podman.run(&["image", "mount", image.trim()]);
    assert_same(&before, &crate::trees::folder(Path::new(mount.trim())), "podman");
    podman.run(&["image", "unmount", image.trim()]);
}
