//! Builds that are killed, stopped, or run out of something: they say so, and leave cache and output as they were.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;

use crate::site::{Said, Site, names, until};

/// Sends a signal by its name.
fn send(child: &Child, signal: &str) {
    let script = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &script]).status().expect("sh runs").success());
}

/// A step whose processes have left their group and their parent, with a mark to find them by.
fn restless(mark: &str) -> String {
    format!("FROM alpine:3.20\nRUN (sleep {mark} &); setsid sleep {mark} & echo has started; sleep {mark}\n")
}

#[test]
fn a_killed_build_leaves_nothing_that_runs_and_the_next_one_works() {
    let site = Site::new();
    let mark = format!("7{}", std::process::id());
    site.dockerfile(&restless(&mark));
    let tar = site.path("out.tar");
    fs::write(&tar, "as before").expect("writes");
    let output = format!("type=tar,dest={}", tar.display());
    let mut child = site.start(&["-o", &output]);
    site.wait_for(" has started");
    send(&child, "KILL");
    child.wait().expect("ends");
    site.nothing_is_left(&mark);
    assert_eq!(fs::read(&tar).expect("reads"), b"as before");
    site.dockerfile("FROM alpine:3.20\nRUN echo again\n");
    site.build(&["-o", &output]).expect(0, &["again"]);
    assert_eq!(site.work(), [""; 0]);
}

#[test]
fn a_build_killed_while_it_copies_or_writes_is_made_good() {
    let site = Site::new();
    let context = site.path("context");
    for folder in 0..40 {
        fs::create_dir_all(context.join(format!("many/{folder}"))).expect("a folder");
        (0..100).for_each(|file| {
            fs::write(context.join(format!("many/{folder}/{file}")), format!("{folder} {file}\n")).expect("writes");
        });
    }
    fs::write(context.join("large"), vec![7; 64 << 20]).expect("writes");
    site.dockerfile("FROM alpine:3.20\nCOPY many /many\nCOPY large /large\n");
    let target = site.path("out");
    let output = format!("oci:{}", target.display());
    // Wherever the kill comes, from the first file copied to the last blob written.
    for delay in [20, 60, 120, 200, 300, 450, 700] {
        let mut child = site.start(&["-o", &output]);
        thread::sleep(std::time::Duration::from_millis(delay));
        let _ = child.kill();
        let is_done = child.wait().expect("ends").success();
        assert!(is_done || !target.join("index.json").exists(), "half an output is there after {delay} ms");
        if is_done {
            break;
        }
    }
    let _ = fs::remove_dir_all(&target);
    site.build(&["-o", &output]).expect(0, &["verdict: equal"]);
    assert_eq!(site.work(), [""; 0]);
    site.nothing_is_left("7777");
    let tree = site.path("tree");
    site.build(&["-o", &tree.display().to_string()]).expect(0, &[]);
    assert_eq!(fs::metadata(tree.join("large")).expect("is there").len(), 64 << 20);
    let files = (0..40).map(|folder| names(&tree.join(format!("many/{folder}"))).len()).sum::<usize>();
    assert_eq!(files, 4000);
}

#[test]
fn an_interrupted_build_ends_in_order() {
    let site = Site::new();
    for (signal, mark) in [("INT", "81"), ("TERM", "82")] {
        let mark = format!("{mark}{}", std::process::id());
        site.dockerfile(&restless(&mark));
        let mut child = site.start(&["-t", "app"]);
        site.wait_for(" has started");
        send(&child, signal);
        assert_eq!(child.wait().expect("ends").code(), Some(130));
        let said = fs::read_to_string(site.path("log")).expect("reads");
        assert!(said.contains("CANCELED") && said.contains("the build was stopped"), "{said}");
        site.nothing_is_left(&mark);
        assert_eq!(site.work(), [""; 0]);
    }
}

#[test]
fn a_step_that_hangs_is_ended_in_time() {
    let site = Site::new();
    let mark = format!("9{}", std::process::id());
    site.dockerfile(&restless(&mark));
    let said = site.build(&["--timeout", "1s"]);
    said.expect(1, &["took longer than --timeout (1s) allows", "Dockerfile:2", ">>> RUN"]);
    site.nothing_is_left(&mark);
    assert_eq!(site.work(), [""; 0]);
}

/// Runs a script of a shell in a mount namespace of its own, with a small disk at `disk`.
fn on_small_disk(site: &Site, size: &str, script: &str) -> Said {
    fs::create_dir_all(site.path("disk")).expect("a folder");
    let disk = site.path("disk").display().to_string();
    let script = format!("set -u; mount -t tmpfs -o size={size} none {disk}; {script}");
    let mut command = site.wrapped(&["unshare", "-m", "sh", "-c", &script], &[]);
    Said::of(&command.env("DISK", disk).output().expect("unshare runs"))
}

#[test]
fn a_full_disk_of_the_cache_is_named() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN dd if=/dev/zero of=/x bs=1M count=90\n");
    site.write("small", "FROM alpine:3.20\nRUN echo fits > /y\n");
    site.write("copies", "FROM scratch\nCOPY large /\n");
    fs::write(site.path("context/large"), vec![1; 90 << 20]).expect("writes");
    // The folder of work is empty afterwards, and the next build has the room.
    let script = format!(
        "cp -a {} $DISK/cache; export JETTISON_CACHE=$DISK/cache; build='build --progress plain --offline'
        $0 $build -t app . ; echo code $?; ls $DISK/cache/work
        $0 $build -t app -f copies . ; echo code $?; ls $DISK/cache/work
        $0 $build -t app -f small . ; echo code $?",
        site.path("cache").display()
    );
    let said = on_small_disk(&site, "80m", &script).expect(0, &["the disk of the cache,", "is full", "Dockerfile:2"]);
    assert_eq!(said.out, "code 1\ncode 1\ncode 0\n", "{}", said.err);
    assert!(said.err.contains("COPY large /") && said.err.contains("No space left on device"), "{}", said.err);
}

#[test]
fn a_full_disk_of_the_output_is_named_and_nothing_stays_there() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN head -c 9000000 /dev/urandom > /x\n");
    let script =
        "for to in type=tar,dest=$DISK/a type=oci,dest=$DISK/b oci:$DISK/c type=docker,dest=$DISK/d $DISK/e; do
        $0 build --progress plain --offline -o $to . ; echo code $?; ls -A $DISK
        done";
    let said = on_small_disk(&site, "4m", script).expect(0, &["No space left on device"]);
    assert_eq!(said.out, "code 3\n".repeat(5), "{}", said.err);
    for name in ["", "/b", "/c", "/d", "/e"] {
        let place = format!("disk{name}\n  caused by");
        assert!(said.err.contains(&place), "it does not name {place:?}: {}", said.err);
    }
}

/// A memory cgroup with a limit, removed when dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn new() -> Self {
        let name = format!("jettison-test-{}", std::process::id());
        let version_1 = Path::new("/sys/fs/cgroup/memory");
        let is_version_1 = version_1.join("memory.limit_in_bytes").exists();
        let group = if is_version_1 { version_1.join(&name) } else { Path::new("/sys/fs/cgroup").join(&name) };
        if !is_version_1 {
            let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
        }
        fs::create_dir(&group).expect("memory cgroups (version 1 or 2) can be made here, as root");
        let limit = group.join(if is_version_1 { "memory.limit_in_bytes" } else { "memory.max" });
        fs::write(&limit, "80000000").expect("the memory controller is there");
        if !is_version_1 {
            fs::write(group.join("memory.swap.max"), "0").unwrap_or_default();
        }
        Self(group)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_command_without_memory_is_told_from_one_that_failed() {
    let site = Site::new();
    site.dockerfile("FROM alpine:3.20\nRUN tail /dev/zero\n");
    let group = Small::new();
    let script = format!("echo $$ > {}/cgroup.procs; exec \"$0\" \"$@\"", group.0.display());
    let words = ["build", "--progress", "plain", "--offline", "."];
    let output = site.wrapped(&["sh", "-c", &script], &words).output().expect("runs");
    Said::of(&output).expect(1, &["ran out of memory", "Dockerfile:2", ">>> RUN tail /dev/zero"]);
    assert_eq!(site.work(), [""; 0]);
    until("the end of the group's processes", || {
        fs::read_to_string(group.0.join("cgroup.procs")).is_ok_and(|all| all.is_empty())
    });
}

/// A registry that answers with a manifest, and breaks off within a layer.
fn breaking_registry() -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let zeros = "0".repeat(64);
    let config = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"]}}";
    let digest = jettison_image::Digest::of(config.as_bytes());
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"{digest}\",\"size\":{}}},\"layers\":[{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:{zeros}\",\"size\":1000000}}]}}",
        config.len()
    );
    let thread = thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 8192];
            let read = stream.read(&mut request).unwrap_or(0);
            let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
            if line.contains("/stop") {
                return;
            }
            let (kind, size, body) = if line.contains("/manifests/") {
                ("application/vnd.oci.image.manifest.v1+json", manifest.len(), manifest.as_bytes())
            } else if line.contains(&digest.hex()) {
                ("application/octet-stream", config.len(), config.as_bytes())
            } else if line.contains("/blobs/") {
                ("application/octet-stream", 1_000_000, &[0_u8; 1000][..])
            } else {
                ("text/plain", 0, &b""[..])
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    (port, thread)
}

#[test]
fn a_registry_that_goes_away_is_named_and_the_images_stay() {
    let site = Site::new();
    let (port, thread) = breaking_registry();
    let image = format!("127.0.0.1:{port}/team/app:1");
    site.dockerfile(&format!("FROM {image}\nRUN true\n"));
    let index = || fs::read_to_string(site.path("cache/images/index.json")).expect("reads");
    let before = (names(&site.path("cache/images/blobs/sha256")), index());
    let said = site.run(&["build", "--progress", "plain", "-t", "app", "."]);
    let host = format!("127.0.0.1:{port}");
    said.expect(3, &[&image, &host, "Dockerfile:1"]);
    // Whole blobs that came may stay for the next try; none of those that were there is gone.
    let after = names(&site.path("cache/images/blobs/sha256"));
    assert!(before.0.iter().all(|blob| after.contains(blob)));
    assert_eq!(before.1, index());
    assert!(names(&site.path("cache/images")).iter().all(|name| !name.starts_with(".staged")));
    let mut stop = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
    stop.write_all(b"GET /stop HTTP/1.1\r\n\r\n").expect("writes");
    thread.join().expect("ends");
}
