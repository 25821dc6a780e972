//! Images of Docker's engine and of podman: read by name, optimized, loaded and run; and the plugin of the docker
//! command.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::engines::Docker;
use crate::tools::{folder, run, run_with, shared, text};

const JETTISON: &str = env!("CARGO_BIN_EXE_jettison");
const DOCKERFILE: &str = "FROM base\nRUN head -c 3000000 /bin/busybox > /big\nRUN rm /big && echo it runs > /said\n\
                          CMD [\"cat\", \"/said\"]\n";

fn archive() -> String {
    format!("oci-archive:{}", text(&shared("busybox-glibc.oci.tar")))
}

#[test]
fn docker_loads_what_is_built_and_optimized_and_runs_it() {
    let docker = Docker::start();
    let folder = folder();
    let context = folder.path().join("context");
    fs::create_dir(&context).expect("a folder");
    fs::write(context.join("Dockerfile"), DOCKERFILE).expect("writes");
    let (host, cache) = (docker.host(), text(&folder.path().join("cache")).to_owned());
    let environment = [("DOCKER_HOST", host.as_str()), ("JETTISON_CACHE", &cache)];
    let jettison = |arguments: &[&str]| run_with(JETTISON, arguments, &environment);
    let base = format!("base={}", archive());
    jettison(&["build", "-O0", "--build-context", &base, "-t", "app:dev", "--load", text(&context)]);
    assert_eq!(docker.run(&["run", "--rm", "--network=none", "app:dev"]), "it runs\n");
    // The local images know the name as well; only the engine is asked for this one.
    docker.run(&["tag", "app:dev", "other:dev"]);
    assert!(
        jettison(&["weigh", "other:dev", "--no-measure"]).contains("/big")
            || jettison(&["weigh", "other:dev"]).contains("3.0 MB")
    );
    let report = jettison(&["optimize", "other:dev", "-O1", "-t", "app:release", "-t", "app:v1"]);
    assert!(report.contains("docker-daemon:app:release, app:v1") && report.contains("proof: equal"), "{report}");
    for name in ["app:release", "app:v1"] {
        assert_eq!(docker.run(&["run", "--rm", "--network=none", name]), "it runs\n");
        jettison(&["diff", "docker-daemon:app:dev", &format!("docker-daemon:{name}")]);
    }
    let layers = |name: &str| docker.run(&["image", "inspect", "--format", "{{len .RootFS.Layers}}", name]);
    assert_eq!((layers("app:dev").trim(), layers("app:v1").trim()), ("3", "2"));
    // A file that the engine gave is no name of its own afterwards.
    let file = format!("oci:{}", text(&folder.path().join("layout")));
    jettison(&["copy", "docker-daemon:app:dev", &file]);
    jettison(&["diff", &file, "docker-daemon:app:release"]);
    jettison(&["copy", &file, "docker-daemon:copied:1"]);
    assert_eq!(docker.run(&["run", "--rm", "--network=none", "copied:1"]), "it runs\n");
}

#[test]
fn docker_is_spoken_to_by_tls_and_by_its_own_words_for_ssh() {
    let (docker, host) = Docker::start_encrypted();
    let folder = folder();
    let (files, cache) = (text(docker.folder()).to_owned(), text(&folder.path().join("cache")).to_owned());
    let by_tls = [("DOCKER_HOST", host.as_str()), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", &files)];
    let by_tls = [&by_tls[..], &[("JETTISON_CACHE", &cache)]].concat();
    run_with(JETTISON, &["copy", &archive(), "docker-daemon:app:tls"], &by_tls);
    run_with(JETTISON, &["diff", &archive(), "docker-daemon:app:tls"], &by_tls);
    // What stands for ssh starts the words for the other machine on this one: `docker system dial-stdio`.
    let ssh = folder.path().join("ssh");
    fs::write(&ssh, "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec \"$@\"\n").expect("writes");
    run("chmod", &["755", text(&ssh)]);
    let path = format!("{}:/usr/bin:/bin", text(folder.path()));
    let far = format!("ssh://far{}", docker.host().trim_start_matches("unix://"));
    let by_ssh = [("DOCKER_HOST", far.as_str()), ("PATH", &path), ("JETTISON_CACHE", &cache)];
    run_with(JETTISON, &["copy", &archive(), "docker-daemon:app:ssh"], &by_ssh);
    run_with(JETTISON, &["diff", &archive(), "docker-daemon:app:ssh"], &by_ssh);
    let ids = docker.run(&["images", "--no-trunc", "--format", "{{.ID}}", "app"]);
    let ids: Vec<&str> = ids.lines().collect();
    assert!(matches!(ids[..], [one, other] if one == other), "{ids:?}");
}

#[test]
fn engines_that_are_not_there_or_do_not_have_an_image_are_told() {
    let folder = folder();
    let fails = |arguments: &[&str], host: &str| {
        let mut command = Command::new(JETTISON);
        command.args(arguments).env("DOCKER_HOST", host).env("JETTISON_CACHE", folder.path().join("cache"));
        let output = command.output().expect("jettison");
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let nobody = fails(&["weigh", "docker-daemon:app"], "unix:///nowhere/docker.sock");
    assert!(
        nobody.contains("cannot be reached at unix:///nowhere/docker.sock") && nobody.contains("DOCKER_HOST"),
        "{nobody}"
    );
    let pipe = fails(&["weigh", "docker-daemon:app"], "npipe:////./pipe/docker_engine");
    assert!(pipe.contains("only unix:, tcp: and ssh:") && pipe.contains("docker save"), "{pipe}");
    let docker = Docker::start();
    let missing = fails(&["weigh", "docker-daemon:none:1"], &docker.host());
    assert!(
        missing.contains("has no image docker.io/library/none:1") && missing.contains("docker images"),
        "{missing}"
    );
    // What the engine refuses leaves it as it was.
    let broken = folder.path().join("broken.tar");
    fs::write(&broken, "no archive").expect("writes");
    fails(&["copy", text(&broken), "docker-daemon:broken:1"], &docker.host());
    assert_eq!(docker.run(&["images", "-q"]), "");
    let nowhere = fails(&["weigh", "nowhere:1"], &docker.host());
    assert!(nowhere.contains("no local image is called nowhere:1"), "{nowhere}");
}

#[test]
fn the_docker_command_knows_the_plugin() {
    let docker = Docker::start();
    let folder = folder();
    let plugins = folder.path().join("config/cli-plugins");
    fs::create_dir_all(&plugins).expect("a folder");
    symlink(JETTISON, plugins.join("docker-jettison")).expect("links");
    let config = text(&folder.path().join("config")).to_owned();
    let cache = text(&folder.path().join("cache")).to_owned();
    let environment = [("DOCKER_CONFIG", config.as_str()), ("JETTISON_CACHE", &cache)];
    let plugged = |arguments: &[&str]| run_with("/usr/bin/docker", arguments, &environment);
    assert!(plugged(&["--help"]).contains("jettison*"));
    run_with(JETTISON, &["copy", &archive(), "docker-daemon:app:dev"], &[("DOCKER_HOST", &docker.host())]);
    let host = docker.host();
    let weighed = plugged(&["--host", &host, "jettison", "weigh", "app:dev", "--no-measure"]);
    assert!(weighed.starts_with("app:dev"), "{weighed}");
    let report = plugged(&["-H", &host, "jettison", "optimize", "app:dev", "-t", "app:release"]);
    assert!(report.contains("docker-daemon:app:release"), "{report}");
    assert!(docker.run(&["images"]).contains("release"));
}

/// An ordinary user with subordinate ids, who may use Docker's socket by a group: the build has a user namespace.
#[test]
fn an_ordinary_user_loads_what_is_built() {
    let docker = Docker::start();
    let folder = folder();
    let place = |name: &str| text(&folder.path().join(name)).to_owned();
    fs::create_dir(place("context")).expect("a folder");
    fs::write(folder.path().join("context/Dockerfile"), DOCKERFILE).expect("writes");
    fs::copy(JETTISON, place("jettison")).expect("copies");
    fs::copy(shared("busybox-glibc.oci.tar"), place("base")).expect("copies");
    fs::write(place("ranges"), "nobody:500000:65536\n").expect("writes");
    let socket = docker.host().trim_start_matches("unix://").to_owned();
    let script = format!(
        "set -e; for file in /etc/subuid /etc/subgid; do mount --bind {0}/ranges $file; done; mkdir -p {0}/home {0}/run; \
         chown -R nobody {0}; chmod 755 {0} $(dirname {socket}); chmod 700 {0}/run; chgrp 48321 {socket}; chmod 660 {socket}; \
         cd {0}/home; exec setpriv --reuid nobody --regid 65534 --groups 48321 env -i PATH=$PATH HOME={0}/home \
         XDG_RUNTIME_DIR={0}/run \"$@\"",
        text(folder.path())
    );
    let as_user = |words: &str| {
        let words = ["--mount", "sh", "-c", &script, "sh"].into_iter().chain(words.split(' '));
        run("unshare", &words.collect::<Vec<_>>())
    };
    let build =
        format!("{0}/jettison build -O1 --build-context base=oci-archive:{0}/base -t app:dev", text(folder.path()));
    let host = docker.host();
    as_user(&format!("env DOCKER_HOST={host} {build} --load {}", place("context")));
    assert_eq!(docker.run(&["run", "--rm", "--network=none", "app:dev"]), "it runs\n");
    // An engine of the machine's own would be asked first.
    let is_alone = !std::path::Path::new("/var/run/docker.sock").exists();
    let load = if is_alone { "--load" } else { "-o containers-storage:app:dev" };
    as_user(&format!("{build} {load} {}", place("context")));
    assert!(as_user("podman images --format {{.Repository}}:{{.Tag}}").contains("localhost/app:dev"));
    as_user(&format!("{}/jettison optimize containers-storage:app:dev -O1 -t app:release", text(folder.path())));
    assert!(as_user("podman images --format {{.Repository}}:{{.Tag}}").contains("localhost/app:release"));
    // They are this user's own: others have theirs.
    assert!(folder.path().join("home/.local/share/containers/storage").exists());
}

#[test]
fn podman_and_buildah_keep_their_images_by_the_same_words() {
    let folder = folder();
    let storage = folder.path().join("storage");
    // A store of the test's own.
    let settings = folder.path().join("storage.conf");
    let run_root = folder.path().join("run");
    let text_of = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        storage.display(),
        run_root.display()
    );
    fs::write(&settings, text_of).expect("writes");
    let cache = text(&folder.path().join("cache")).to_owned();
    let environment = [
        ("CONTAINERS_STORAGE_CONF", text(&settings)),
        ("JETTISON_CACHE", &cache),
        ("DOCKER_HOST", "unix:///nowhere/s"),
    ];
    let jettison = |arguments: &[&str]| run_with(JETTISON, arguments, &environment);
    jettison(&["copy", &archive(), "containers-storage:app:dev"]);
    let listed = run_with("buildah", &["images", "--format", "{{.Name}}:{{.Tag}}"], &environment);
    assert!(listed.contains("localhost/app:dev"), "{listed}");
    assert!(jettison(&["weigh", "app:dev", "--no-measure"]).contains("app:dev"));
    let report = jettison(&["optimize", "app:dev", "-O1", "-t", "app:release"]);
    assert!(report.contains("containers-storage:"), "{report}");
    jettison(&["diff", "containers-storage:app:dev", "containers-storage:localhost/app:release"]);
    // An image with a manifest of OCI's keeps its annotations, one of docker's its health check.
    run_with("podman", &["pull", "--quiet", &archive()], &environment);
    jettison(&[
        "copy",
        "containers-storage:localhost/busybox:1.38.0-glibc",
        &format!("oci:{}", text(&folder.path().join("annotated"))),
    ]);
    let manifest = run("skopeo", &["inspect", "--raw", &format!("oci:{}", text(&folder.path().join("annotated")))]);
    assert!(manifest.contains("org.opencontainers.image.version"), "{manifest}");
    let checked = folder.path().join("Dockerfile");
    fs::write(&checked, "FROM localhost/busybox:1.38.0-glibc\nHEALTHCHECK CMD true\n").expect("writes");
    let (file, context) = (text(&checked), text(folder.path()));
    run_with(
        "buildah",
        &["build", "--quiet", "--format", "docker", "-t", "checked", "-f", file, context],
        &environment,
    );
    let layout = format!("oci:{}", text(&folder.path().join("checked")));
    jettison(&["copy", "containers-storage:checked", &layout]);
    assert!(run("skopeo", &["inspect", "--config", "--raw", &layout]).contains("Healthcheck"));
    let inspected = run_with("buildah", &["inspect", "--type", "image", "localhost/app:release"], &environment);
    assert!(inspected.contains("\"OCIv1\""), "{inspected}");
    run("sh", &["-c", &format!("rm -rf {}", text(&storage))]);
}
