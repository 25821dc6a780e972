//! The images, and what each reader must find in them before and after.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::engines::{Buildah, Docker, skopeo, umoci};
use crate::tools::{folder, jettison, optimize, run, shared, text};
use crate::trees::assert_same;

/// Does to files what Dockerfiles do, and sets what they set.
const DOCKERFILE: &str = r#"FROM alpine:3.20 AS build
RUN mkdir -p /out/deep && echo built > /out/deep/result && ln /out/deep/result /out/linked && ln -s deep /out/short
FROM alpine:3.20
LABEL a="b c" empty=""
RUN mkdir /app && dd if=/dev/zero of=/app/big bs=1024 count=3000 && echo one > /app/one
ENV A=1 B="two words"
COPY --from=build /out /app/out
COPY --chown=33:44 context.txt /app/owned
RUN chmod -R 750 /app && chown -R 5:6 /app/out
WORKDIR /srv/data
RUN rm /app/big && rm -rf /etc/apk && mkdir /etc/apk && echo new > /etc/apk/only
RUN mv /usr/share /usr/shared && ln -s shared /usr/share && mkfifo /app/pipe && chmod 4711 /app/one
RUN ln /app/one /app/same && mkdir -m 1777 /app/tmp && touch -d '2001-02-03 04:05:06' /app/old
RUN rm -rf /srv/data && mkdir -p /srv/data/again
VOLUME /data
EXPOSE 80/tcp
HEALTHCHECK --interval=30s CMD true
ONBUILD LABEL child="yes"
STOPSIGNAL SIGTERM
USER 5:6
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["find /app /etc/apk /srv | sort; echo $A $B"]
"#;

fn context() -> TempDir {
    let folder = folder();
    fs::write(folder.path().join("Dockerfile"), DOCKERFILE).expect("writes");
    fs::write(folder.path().join("context.txt"), "from the context\n").expect("writes");
    folder
}

/// Builds with one of Docker's builders, optimizes in every way, and has every reader compare.
fn built_by_docker(buildkit: &str) {
    let (docker, folder, context) = (Docker::start(), folder(), context());
    let at = |name: &str| folder.path().join(name);
    docker.import_alpine();
    docker.build(context.path(), "app:dev", buildkit);
    docker.save("app:dev", &at("app.tar"));
    docker.save("alpine:3.20", &at("base.tar"));
    let (files, settings) = (docker.export("app:dev"), docker.settings("app:dev"));
    let printed = docker.run(&["run", "--rm", "--network=none", "app:dev"]);
    let input = format!("docker-archive:{}", at("app.tar").display());
    let base = format!("docker-archive:{}", at("base.tar").display());
    let ways: [&[&str]; 6] = [
        &[],
        &["--base", &base],
        &["--squash-all"],
        &["--layers", "3"],
        &["--compression", "gzip"],
        &["--skip", "split-layers"],
    ];
    for (number, way) in ways.iter().enumerate() {
        let file = at(&format!("small-{number}.tar"));
        optimize(&input, &format!("docker-archive:{}", file.display()), way);
        docker.run(&["rmi", "-f", "app:dev"]);
        assert_same(&files, &docker.load_and_export(&file, "app:dev"), &format!("docker load, {way:?}"));
        assert_eq!(settings, docker.settings("app:dev"), "{way:?}");
        assert_eq!(printed, docker.run(&["run", "--rm", "--network=none", "app:dev"]), "{way:?}");
    }
    read_by_others(folder.path(), &input);
}

/// umoci, buildah and skopeo read the input and each output, and must see the same.
fn read_by_others(folder: &Path, input: &str) {
    let at = |name: &str| folder.join(name);
    skopeo(input, &format!("oci:{}:x", at("before").display()));
    let unpacked = umoci(&at("before"), "x");
    let buildah = Buildah::new();
    let mounted = buildah.mounted_from(input);
    for (number, compression) in ["gzip", "none", "gzip:12"].iter().enumerate() {
        let layout = at(&format!("after-{number}"));
        let place = format!("oci:{}:x", layout.display());
        optimize(input, &place, &["--compression", compression]);
        assert_same(&unpacked, &umoci(&layout, "x"), &format!("umoci, {compression}"));
        assert_same(&mounted, &buildah.mounted_from(&place), &format!("buildah, {compression}"));
        let copy = format!("docker-archive:{}:a:b", at(&format!("copy-{number}.tar")).display());
        skopeo(&place, &copy);
        assert!(jettison(&["diff", input, copy.trim_end_matches(":a:b")]).contains("equal"));
    }
    let archive = format!("oci-archive:{}", at("after.oci.tar").display());
    optimize(input, &archive, &["--layers", "2"]);
    skopeo(&archive, &format!("oci:{}:y", at("from-archive").display()));
    assert_same(&unpacked, &umoci(&at("from-archive"), "y"), "skopeo from an oci-archive");
    // Debian's umoci reads no zstd; skopeo and buildah do.
    let zstd = format!("oci:{}:x", at("zstd").display());
    optimize(input, &zstd, &["--compression", "zstd"]);
    assert_same(&mounted, &buildah.mounted_from(&zstd), "buildah, zstd");
}

#[test]
fn images_of_buildkit() {
    built_by_docker("1");
}

#[test]
fn images_of_the_classic_builder() {
    built_by_docker("0");
}

#[test]
fn images_of_buildah() {
    let (buildah, folder, context) = (Buildah::new(), folder(), context());
    let at = |name: &str| folder.path().join(name);
    let container = buildah.run(&["from", "scratch"]).trim().to_owned();
    let rootfs = shared("alpine-minirootfs-3.20.3-x86_64.tar.gz");
    buildah.run(&["add", &container, text(&rootfs), "/"]);
    buildah.run(&["commit", "-q", &container, "alpine:3.20"]);
    let build =
        ["bud", "-q", "--pull-never", "--layers", "--isolation", "chroot", "-t", "app:dev", text(context.path())];
    buildah.run(&build);
    let before = buildah.mounted("localhost/app:dev");
    buildah.run(&["push", "-q", "app:dev", &format!("oci:{}:x", at("app").display())]);
    let input = format!("oci:{}:x", at("app").display());
    let report = jettison(&["weigh", &input]);
    assert!(report.contains("the history says FROM"), "buildah notes the base:\n{report}");
    optimize(&input, &format!("oci:{}:x", at("small").display()), &[]);
    assert_same(&before, &buildah.mounted_from(&format!("oci:{}:x", at("small").display())), "buildah");
    assert_same(&umoci(&at("app"), "x"), &umoci(&at("small"), "x"), "umoci");
}

#[test]
fn images_made_by_hand() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    for name in ["nasty-dev", "nasty-dev-exotic"] {
        // A docker archive holds the layers plain, which Debian's umoci reads; the OCI one has zstd layers.
        let input = format!("docker-archive:{}", shared(&format!("nasty/{name}.docker25.tar")).display());
        for (number, way) in [&["--squash-all"][..], &["--squash-all", "--layers", "4"]].iter().enumerate() {
            let layout = at(&format!("{name}-{number}"));
            optimize(&input, &format!("oci:{}:x", layout.display()), way);
            let seen = umoci(&layout, "x");
            if name == "nasty-dev" {
                let before = at("nasty-before");
                if !before.exists() {
                    skopeo(&input, &format!("oci:{}:x", before.display()));
                }
                let mut expected = umoci(&before, "x");
                let mut seen = seen.clone();
                // Folders without an entry of their own have the time at which the tool made them.
                for (path, line) in &seen.clone() {
                    if line.contains(" 0.000000000") && line.starts_with("directory") {
                        expected.remove(path);
                        seen.remove(path);
                    }
                }
                assert_same(&expected, &seen, &format!("umoci, {name} {way:?}"));
            }
            assert!(seen.contains_key(Path::new("opt/meta/sparse-pax10")));
        }
    }
}

#[test]
fn file_capabilities_survive() {
    let (docker, folder) = (Docker::start(), folder());
    let at = |name: &str| folder.path().join(name);
    // A tar with a file that has capabilities, made by the system's own tools.
    fs::create_dir_all(at("root/bin")).expect("a folder");
    fs::copy("/bin/true", at("root/bin/capable")).expect("copies");
    run("setcap", &["cap_net_raw+ep", text(&at("root/bin/capable"))]);
    let (root, packed) = (at("root"), at("root.tar"));
    run("tar", &["--xattrs", "--xattrs-include=*", "-C", text(&root), "-cf", text(&packed), "."]);
    docker.import_alpine();
    fs::create_dir(at("context")).expect("a folder");
    fs::copy(at("root.tar"), at("context/root.tar")).expect("copies");
    fs::write(at("context/Dockerfile"), "FROM alpine:3.20\nADD root.tar /\nRUN rm -rf /media\n").expect("writes");
    docker.build(&at("context"), "cap:dev", "0");
    docker.save("cap:dev", &at("cap.tar"));
    let input = format!("docker-archive:{}", at("cap.tar").display());
    let dump = jettison(&["dump", &input]);
    assert!(dump.contains("security.capability="), "the builder kept the capability:\n{dump}");
    optimize(&input, &format!("oci:{}:x", at("small").display()), &[]);
    let seen = umoci(&at("small"), "x");
    let line = &seen[Path::new("bin/capable")];
    assert!(line.contains("security.capability=0x"), "{line}");
}
