//! Runs that end before they are done: killed, interrupted, out of space.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::image::{APP_SEEN, Image, entries};
use crate::place::{Layout, Packing, docker_archive};
use crate::run::{Folder, finish, jettison, run, state};
use crate::written::Written;

/// An image of so many megabytes, which take a second or two to pack.
fn slow(megabytes: usize) -> Image {
    let mut number: u32 = 7;
    let unit: String = (0..200_000)
        .map(|_| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("{:x}", number >> 8)
        })
        .collect();
    let half = megabytes * 500_000;
    Image::of(&format!(
        "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}
         layer 1 \"RUN a\"\n d 0755 0:0 /d\n f 0644 0:0 {half}*\"{unit}\" /d/a
         layer 2 \"RUN b\"\n d 0755 0:0 /d\n f 0644 0:0 {half}*\"{unit}\" /d/b\n f 0644 0:0 \"\" /d/c"
    ))
}

/// The slow image packed and plain, and what stands at the targets.
fn scene() -> Folder {
    let folder = Folder::new();
    let slow = slow(60);
    docker_archive(&[(&slow, &["slow:1"])], Packing::Plain).to_archive(folder.at("plain"));
    Layout::of(&slow, Packing::Zstd, "slow:1").files().to_folder(folder.at("packed"));
    fs::create_dir(folder.at("out")).expect("makes a folder");
    fs::write(folder.at("out/archive"), "precious").expect("writes");
    Layout::of(&Image::app(), Packing::Gzip, "app:1").files().to_folder(folder.at("out/layout"));
    folder
}

fn lines(folder: &Folder) -> [String; 2] {
    [
        "oci:IN/packed -o oci:IN/out/layout --compression gzip:11",
        "docker-archive:IN/plain -o oci-archive:IN/out/archive --compression gzip:12",
    ]
    .map(|line| format!("optimize {}", line.replace("IN", &folder.at(""))))
}

/// Starts a run and lets it work for a while from where its stage is there.
fn started(line: &str, out: &Path, work: Duration) -> Child {
    let mut command = jettison(line);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let start = Instant::now();
    while stages(out).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(20), "the run makes nothing beside its target");
        sleep(Duration::from_millis(1));
    }
    sleep(work);
    child
}

/// What runs have beside their targets.
fn stages(out: &Path) -> Vec<String> {
    let names = fs::read_dir(out).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.starts_with('.')).collect()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(status.expect("kill").success());
}

const MOMENTS: [u64; 4] = [0, 15, 80, 250];

#[test]
fn an_interrupted_run_leaves_nothing() {
    let folder = scene();
    let out = folder.path().join("out");
    let before = state(&out);
    for line in lines(&folder) {
        for name in ["TERM", "INT", "HUP"] {
            for moment in MOMENTS {
                let mut child = started(&line, &out, Duration::from_millis(moment));
                signal(&child, name);
                let status = child.wait().expect("ends");
                assert_eq!(status.code(), Some(130), "SIG{name} after {moment} ms: {line}");
                assert!(state(&out) == before, "SIG{name} after {moment} ms leaves {:?}: {line}", stages(&out));
            }
        }
    }
}

#[test]
fn a_killed_run_leaves_the_target_and_the_next_one_clears_away() {
    for (number, target) in ["oci:layout", "oci-archive:archive"].into_iter().enumerate() {
        let folder = scene();
        let out = folder.path().join("out");
        let before = state(&out);
        let line = &lines(&folder)[number];
        for moment in MOMENTS {
            let mut child = started(line, &out, Duration::from_millis(moment));
            child.kill().expect("kills");
            child.wait().expect("ends");
            let mut after = state(&out);
            after.retain(|path, _| !path.strip_prefix(&out).expect("below").to_string_lossy().starts_with('.'));
            assert!(after.len() == before.len(), "after {moment} ms: {line}");
            assert!(after == before, "after {moment} ms: {line}");
        }
        // Each killed run left one, but that the next to the same target took it away.
        assert_eq!(stages(&out).len(), 1, "{:?}", stages(&out));
        docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("small"));
        let (transport, name) = target.split_once(':').expect("a transport");
        let small = format!("optimize docker-archive:{} -o {transport}", folder.at("small"));
        run(&format!("{small}:{}", folder.at("out/other"))).ok();
        assert_eq!(stages(&out).len(), 1, "a run to another target has no business with it");
        run(&format!("{small}:{}", folder.at(&format!("out/{name}")))).ok();
        assert!(stages(&out).is_empty(), "{:?}", stages(&out));
        assert_eq!(Written::with_unused(out.join(name)).image().seen(), entries(APP_SEEN));
    }
}

#[test]
fn a_run_does_not_clear_away_what_another_one_is_making() {
    let folder = scene();
    let out = folder.path().join("out");
    let [_, line] = lines(&folder);
    let mut child = started(&line, &out, Duration::from_millis(50));
    let making = stages(&out);
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("small"));
    run(&format!("optimize docker-archive:{0}/small -o oci-archive:{0}/out/archive", folder.at(""))).ok();
    assert_eq!(stages(&out), making);
    assert_eq!(Written::at(out.join("archive")).names(), ["app:1"]);
    signal(&child, "TERM");
    child.wait().expect("ends");
    assert!(stages(&out).is_empty());
    assert_eq!(Written::at(out.join("archive")).names(), ["app:1"]);
}

/// Runs on a disk of so many kilobytes, with a file at the target; gives what the run said and whether the
/// file was left as it was, and alone.
fn on_a_small_disk(folder: &Folder, kilobytes: usize, arguments: &str) -> crate::run::Ran {
    let disk = folder.at("disk");
    let _ = fs::create_dir(&disk);
    fs::write(folder.at("precious"), "precious").expect("writes");
    let script = format!(
        "mount -t tmpfs -o size={kilobytes}k none {disk} || exit 99
         cp {precious} {disk}/out
         TMPDIR={disk} {binary} {arguments}
         code=$?
         cmp {precious} {disk}/out || code=98
         [ \"$(ls -A {disk})\" = out ] || {{ ls -A {disk}; code=97; }}
         exit $code",
        precious = folder.at("precious"),
        binary = env!("CARGO_BIN_EXE_jettison"),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script]);
    let ran = finish(command, arguments);
    assert_ne!(ran.code, Some(99), "this test mounts a tmpfs, as root or in a user namespace: {}", ran.err);
    ran
}

#[test]
fn a_full_disk() {
    let folder = Folder::new();
    let mut image = slow(6);
    image.layers.truncate(1);
    let image = Image::of_tars(image.layers);
    docker_archive(&[(&image, &["slow:1"])], Packing::Plain).to_archive(folder.at("plain"));
    Layout::of(&image, Packing::Zstd, "slow:1").files().to_folder(folder.at("packed"));
    let target = folder.at("disk/out");
    let inputs = [format!("docker-archive:{}", folder.at("plain")), format!("oci:{}", folder.at("packed"))];
    for input in &inputs {
        for target in [format!("oci-archive:{target}"), format!("docker-archive:{target}"), format!("oci:{target}2")] {
            for options in ["-O0", "--compression gzip:1", "--compression zstd:1", "--compression none"] {
                let arguments = format!("optimize {input} -o {target} --squash-all {options}");
                on_a_small_disk(&folder, 1024, &arguments).fails(3, &["No space left on device", "disk/"]);
            }
        }
    }
    // A packed archive is unpacked where temporary files go.
    let packed = Packing::Gzip.pack(&fs::read(folder.at("plain")).expect("reads"));
    fs::write(folder.at("packed.tar.gz"), packed).expect("writes");
    on_a_small_disk(&folder, 1024, &format!("weigh {}", folder.at("packed.tar.gz")))
        .fails(3, &["No space left on device"]);
    // Room enough, to see that the disk is what fails.
    let ran = on_a_small_disk(&folder, 20 * 1024, &format!("weigh {}", folder.at("packed.tar.gz")));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
fn a_disk_that_is_full_at_the_very_end() {
    let folder = Folder::new();
    let text = format!(
        "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\nlayer 1\n f 0644 0:0 {}*\"0\" /x",
        1016 * 1024 - 2048
    );
    docker_archive(&[(&Image::of(&text), &["a:1"])], Packing::Plain).to_archive(folder.at("in"));
    // The layer fits; with each block less something of what follows it does not.
    for kilobytes in [1016, 1020, 1024] {
        let target = folder.at("disk/out");
        let line = format!("optimize docker-archive:{} -o docker-archive:{target} --squash-all", folder.at("in"));
        on_a_small_disk(&folder, kilobytes, &line).fails(3, &["No space left on device"]);
    }
}

#[test]
fn results_that_cannot_be_printed() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    for line in [format!("weigh oci:{}", folder.at("in")), format!("dump oci:{}", folder.at("in")), "passes".to_owned()]
    {
        let mut command = jettison(&line);
        command.stdout(fs::File::options().write(true).open("/dev/full").expect("/dev/full"));
        let output = command.output().expect("starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{line}: {said}");
        assert!(said.contains("No space left on device"), "{line}: {said}");
    }
}

#[test]
fn a_run_that_ends_at_any_moment_leaves_the_old_or_the_new() {
    let folder = Folder::new();
    let out = folder.path().join("out");
    fs::create_dir(&out).expect("makes a folder");
    let new = Image::of("config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1\n f 0644 0:0 \"new\" /new");
    docker_archive(&[(&new, &["app:1"])], Packing::Plain).to_archive(folder.at("in"));
    for (transport, name) in [("oci", "TERM"), ("oci", "KILL"), ("oci-archive", "TERM"), ("docker-archive", "KILL")] {
        let target = folder.at("out/target");
        for moment in 0..20 {
            let _ = fs::remove_dir_all(&target).or_else(|_| fs::remove_file(&target));
            let old = Layout::of(&Image::app(), Packing::Gzip, "app:1").files();
            if transport == "oci" {
                old.to_folder(&target)
            } else {
                old.to_archive(&target)
            }
            let line = format!("optimize docker-archive:{} -o {transport}:{target}", folder.at("in"));
            let mut child = jettison(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
            sleep(Duration::from_micros(moment * 700));
            signal(&child, name);
            let is_done = child.wait().expect("ends").success();
            let seen = Written::with_unused(&target).image().seen();
            assert!(seen == new.seen() || seen == Image::app().seen() && !is_done, "SIG{name} at {moment}: {line}");
            assert!(name == "KILL" || stages(&out).is_empty(), "SIG{name} at {moment} leaves {:?}", stages(&out));
        }
        run(&format!("optimize docker-archive:{} -o {transport}:{target}", folder.at("in"))).ok();
        assert!(stages(&out).is_empty(), "{:?}", stages(&out));
    }
}
