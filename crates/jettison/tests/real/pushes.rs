//! Pushing to Debian's registry, and what other programs read back from it.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::engines::Docker;
use crate::registries::{PASSWORD, Registry, USER};
use crate::tools::{folder, jettison, run, shared, text};

fn archive(name: &str) -> String {
    format!("oci-archive:{}", text(&shared(name)))
}

/// The digest that skopeo sees under a name.
fn digest(place: &str) -> String {
    run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", place]).trim().to_owned()
}

/// The tags of a repository, as the registry itself lists them.
fn tags(registry: &Registry, repository: &str) -> String {
    let place = format!("docker://{}/{repository}", registry.host);
    let output = Command::new("skopeo").args(["list-tags", "--tls-verify=false", &place]).output().expect("skopeo");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_is_pushed_others_read_and_what_is_there_is_not_sent() {
    let registry = Registry::start(false);
    let place = |name: &str| format!("docker://{}/suite/{name}", registry.host);
    let source = archive("busybox-glibc.oci.tar");
    let said = jettison(&["copy", &source, &place("glibc:1")]);
    assert!(said.contains("2 uploaded"), "{said}");
    assert!(said.contains(&digest(&place("glibc:1"))), "{said}");
    assert!(said.contains(run("skopeo", &["inspect", "--format", "{{.Digest}}", &source]).trim()), "{said}");
    let again = jettison(&["copy", &source, &place("glibc:2")]);
    assert!(again.contains("0 uploaded (0 B), 2 there already"), "{again}");
    let mounted = jettison(&["copy", &place("glibc:1"), &place("other:1")]);
    assert!(mounted.contains("2 mounted"), "{mounted}");

    // An image of several layers, in and out of the registry.
    let folder = folder();
    let context = folder.path().join("context");
    fs::create_dir(&context).expect("a folder");
    let base = place("glibc:1").replace("docker://", "");
    let lines = "RUN head -c 20000000 /dev/urandom > /a\nRUN head -c 1000 /a > /b && rm /a\nRUN echo c > /c\n";
    fs::write(context.join("Dockerfile"), format!("FROM {base}\n{lines}")).expect("writes");
    let cache = text(&folder.path().join("cache")).to_owned();
    let pushed = place("app:1").replace("docker://", "");
    let build = ["build", "-O0", "--cache-dir", &cache, "-t", &pushed, "--push", "--format", "json"];
    let said = jettison(&[&build[..], &[text(&context)]].concat());
    assert!(said.contains("1 mounted"), "the base lies on the same registry: {said}");
    let weighed = jettison(&["weigh", &place("app:1"), "--no-measure"]);
    assert!(weighed.contains("/a") || weighed.contains("20.0 MB"), "{weighed}");
    let report = jettison(&["optimize", &place("app:1"), "-O1", "-o", &place("small:1")]);
    assert!(report.contains("proof: equal") && report.contains("1 mounted"), "{report}");
    assert!(jettison(&["diff", &place("app:1"), &place("small:1")]).contains("equal"));
    let back = format!("oci-archive:{}", text(&folder.path().join("back.tar")));
    run("skopeo", &["copy", "-q", "--insecure-policy", "--src-tls-verify=false", &place("small:1"), &back]);
    jettison(&["diff", &place("app:1"), &back]);
    let file = format!("oci:{}", text(&folder.path().join("layout")));
    jettison(&["optimize", &place("app:1"), "-O1", "-o", &file]);
    jettison(&["diff", &file, &back]);
    assert_eq!(digest(&place("small:1")), digest(&file));
}

#[test]
fn a_registry_with_a_login_and_its_own_authority_is_spoken_to() {
    let registry = Registry::start_encrypted();
    let place = format!("docker://{}/suite/musl:1", registry.host);
    let source = archive("busybox-musl.oci.tar");
    let (login, authority) = (format!("{USER}:{PASSWORD}"), registry.authority());
    let refused = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_jettison")).args(["copy", &source, &place]).args(more).output();
        let output = output.expect("jettison");
        assert_eq!(output.status.code(), Some(3));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let untrusted = refused(&["--creds", &login]);
    assert!(untrusted.contains("certificate") && untrusted.contains("--tls-ca"), "{untrusted}");
    let nobody = refused(&["--tls-ca", &authority]);
    assert!(nobody.contains("credentials") && nobody.contains("docker login"), "{nobody}");
    let wrong = refused(&["--tls-ca", &authority, "--creds", "tester:wrong"]);
    assert!(wrong.contains("credentials") && !wrong.contains("wrong"), "{wrong}");
    jettison(&["copy", &source, &place, "--tls-ca", &authority, "--creds", &login]);
    let seen = ["inspect", "--tls-verify=false", "--creds", &login, "--format", "{{.Digest}}", &place];
    assert_eq!(run("skopeo", &seen), run("skopeo", &["inspect", "--format", "{{.Digest}}", &source]));
    jettison(&["diff", &source, &place, "--tls-ca", &authority, "--creds", &login]);
}

#[test]
fn a_killed_push_leaves_no_tag_and_the_next_one_is_whole() {
    let registry = Registry::start(false);
    let folder = folder();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).expect("a folder");
    let large = tree.join("large");
    run("sh", &["-c", &format!("head -c 400000000 /dev/urandom > {}", text(&large))]);
    let tar = folder.path().join("large.tar");
    fs::write(tree.join("Dockerfile"), "FROM scratch\nCOPY large /\n").expect("writes");
    let (cache, out) = (text(&folder.path().join("cache")).to_owned(), format!("docker-archive:{}", text(&tar)));
    jettison(&["build", "-O0", "--cache-dir", &cache, "-o", &out, text(&tree)]);
    let place = format!("docker://{}/suite/large:1", registry.host);
    for wait in [150, 400] {
        let mut push = Command::new(env!("CARGO_BIN_EXE_jettison"))
            .args(["copy", &format!("docker-archive:{}", text(&tar)), &place])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("jettison");
        thread::sleep(Duration::from_millis(wait));
        push.kill().expect("is killed");
        push.wait().expect("ends");
        assert!(!tags(&registry, "suite/large").contains("\"1\""), "a half image has a name");
    }
    jettison(&["copy", &format!("docker-archive:{}", text(&tar)), &place]);
    jettison(&["diff", &format!("docker-archive:{}", text(&tar)), &place]);
}

#[test]
fn docker_pulls_and_runs_what_was_pushed() {
    let registry = Registry::start(false);
    let docker = Docker::start();
    let name = format!("{}/suite/musl:1", registry.host);
    let place = format!("docker://{name}");
    for compression in ["gzip", "none"] {
        let more = ["-O1", "--squash-all", "--layers", "3", "--compression", compression, "--attach-receipt"];
        jettison(&[&["optimize", &archive("busybox-musl.oci.tar"), "-o", &place], &more[..]].concat());
        docker.run(&["pull", "-q", &name]);
        let said = docker.run(&["run", "--rm", "--network=none", &name, "busybox", "echo", "it runs"]);
        assert_eq!(said.trim(), "it runs");
        docker.run(&["rmi", "-f", &name]);
        // The receipt is a manifest about the image, which the registry keeps with it.
        assert!(jettison(&["receipt", &place]).contains("receipt of -O1"));
        let tag = digest(&place).replace(':', "-");
        assert!(tags(&registry, "suite/musl").contains(&tag), "Debian's registry lists no referrers by itself");
    }
}
