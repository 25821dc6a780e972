//! The promises that hold for every target and every combination of options: the same bytes whatever
//! the machine does, and a second run that changes nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use crate::image::{APP_SEEN, Image, entries};
use crate::place::{Layout, Packing, docker_archive};
use crate::run::{Folder, Ran, finish, jettison_under, run, state};
use crate::written::Written;

const TRANSPORTS: [&str; 3] = ["docker-archive", "oci", "oci-archive"];

/// Several megabytes in several layers: enough to be cut into pieces and packed by several threads.
fn large() -> Image {
    let mut number: u32 = 1;
    let mut text = |length: usize| -> String {
        let mut out = String::with_capacity(length + 8);
        while out.len() < length {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            out.push_str(&(number >> 12).to_string());
        }
        out
    };
    let mut form = "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\n".to_owned();
    for layer in 1..=4 {
        form += &format!("layer {layer} \"RUN {layer}\"\n d 0755 0:0 /d\n");
        for file in 0..3 {
            form += &format!(" f 0644 0:0 \"{}\" /d/f{}\n", text(500_000), file + layer);
        }
    }
    Image::of(&form)
}

/// The bytes below a path, without inodes.
fn bytes(path: &str) -> Vec<(String, Vec<u8>)> {
    let relative = |found: &std::path::Path| found.strip_prefix(path).expect("below").display().to_string();
    state(path).into_iter().map(|(found, (_, bytes))| (relative(&found), bytes)).collect()
}

#[test]
fn the_same_input_gives_the_same_bytes_whatever_the_threads() {
    let folder = Folder::new();
    Layout::of(&large(), Packing::Gzip, "app:1").files().to_folder(folder.at("in"));
    for (number, compression) in ["none", "gzip", "zstd:1"].iter().enumerate() {
        let transport = TRANSPORTS[number];
        let mut first = None;
        for (run, cores) in ["taskset -c 0", "env", "env SOURCE_DATE_EPOCH=1 TZ=Asia/Tokyo LC_ALL=C"].iter().enumerate()
        {
            let target = folder.at(&format!("{number}-{run}"));
            let line = format!(
                "optimize oci:{} -o {transport}:{target} --layers 3 --compression {compression}",
                folder.at("in")
            );
            finish(jettison_under(cores, &line), &line).ok();
            let bytes = bytes(&target);
            assert!(bytes.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 1 << 20);
            assert!(*first.get_or_insert_with(|| bytes.clone()) == bytes, "{compression}: {cores}");
        }
    }
}

#[test]
fn reports_are_the_same_whatever_the_threads() {
    let folder = Folder::new();
    Layout::of(&large(), Packing::Zstd, "app:1").files().to_folder(folder.at("in"));
    for line in [format!("weigh oci:{} --format json", folder.at("in")), format!("dump oci:{}", folder.at("in"))] {
        let one = finish(jettison_under("taskset -c 0", &line), &line).ok().out;
        assert_eq!(run(&line).ok().out, one);
    }
}

#[test]
fn a_second_run_changes_nothing() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "app:1").files().to_archive(folder.at("in"));
    let mut base = Image::app().with_config(|config| {
        config["rootfs"]["diff_ids"].as_array_mut().expect("diff IDs").truncate(2);
        config.as_object_mut().expect("a config").shift_remove("history");
    });
    base.layers.truncate(2);
    docker_archive(&[(&base, &["base:1"])], Packing::Plain).to_archive(folder.at("base"));
    let named = format!("--base docker-archive:{}", folder.at("base"));
    let options = [
        "",
        "-O0",
        "--squash-all",
        "--layers 2",
        "--layers 2 --squash-all",
        "--skip split-layers",
        "--only split-layers --layers 3",
        &named,
    ];
    for (number, option) in options.iter().enumerate() {
        for (kind, transport) in TRANSPORTS.iter().enumerate() {
            let compression = ["none", "gzip", "zstd"][(number + kind) % 3];
            let place = |name: &str| format!("{transport}:{}", folder.at(&format!("{number}-{transport}-{name}")));
            let line = |from: &str, to: &str| {
                format!("optimize {from} -o {to} {option} --compression {compression} --format json")
            };
            let first = run(&line(&format!("oci-archive:{}", folder.at("in")), &place("1"))).ok().json();
            let second = run(&line(&place("1"), &place("2"))).ok().json();
            assert_eq!(first["digest"], second["digest"], "{option} {transport} {compression}: {second}");
            let path = |name: &str| folder.at(&format!("{number}-{transport}-{name}"));
            assert_eq!(bytes(&path("1")), bytes(&path("2")), "{option} {transport} {compression}");
            assert_eq!(Written::at(path("2")).image().seen(), entries(APP_SEEN));
            // In its own place as well.
            run(&line(&place("2"), &place("2"))).ok();
            assert_eq!(bytes(&path("1")), bytes(&path("2")), "{option} {transport} {compression}");
        }
    }
}

#[test]
fn a_second_run_to_another_kind_of_place_keeps_the_image() {
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("in"));
    let mut from = format!("docker-archive:{}", folder.at("in"));
    let mut digests = Vec::new();
    for transport in ["oci", "docker-archive", "oci-archive", "oci", "docker-archive"] {
        let to = format!("{transport}:{}", folder.at(&digests.len().to_string()));
        digests.push(run(&format!("optimize {from} -o {to} --format json")).ok().json()["digest"].clone());
        from = to;
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[test]
fn nothing_is_left_beside_the_target() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "app:1").files().to_folder(folder.at("in"));
    let temporary = folder.at("tmp");
    fs::create_dir(&temporary).expect("makes a folder");
    let lines =
        TRANSPORTS.map(|transport| format!("optimize oci:{} -o {transport}:{}", folder.at("in"), folder.at(transport)));
    for line in lines.iter().cloned().chain([format!("weigh oci:{}", folder.at("in"))]) {
        finish(jettison_under(&format!("env TMPDIR={temporary}"), &line), &line).ok();
    }
    assert_eq!(folder.names(), ["docker-archive", "in", "oci", "oci-archive", "tmp"]);
    assert!(fs::read_dir(&temporary).expect("a folder").next().is_none());
}

/// Builds, and checks what it says of it.
fn check_demo(ran: &Ran, folder: &Path) {
    let said = format!("{}\n{}", ran.out, ran.err);
    for part in ["$ jettison build -O2 ", "equal: ", "proof: equal"] {
        assert!(ran.out.contains(part), "{part}: {said}");
    }
    let count = |part: &str| ran.err.lines().filter(|line| line.contains(part)).count();
    // The base and four steps at the second build, and all of them at the third.
    assert_eq!((count(" CACHED"), count("verdict: equal")), (11, 3), "{said}");
    assert!(ran.err.contains("-O0  1 base + 5 own layers") && ran.err.contains("-O2  1 base + 1 own layers"), "{said}");
    let image = |name: &str| format!("docker-archive:{}/{name}", folder.display());
    run(&format!("diff {} {}", image("demo.tar"), image("demo-optimized.tar"))).ok();
}

#[test]
fn the_demo_proves_what_it_says() {
    let folder = Folder::new();
    let ran = run(&format!("demo {}", folder.at("demo"))).ok();
    check_demo(&ran, Path::new(&folder.at("demo")));
    // Again in the same place, as somebody does who looks twice.
    let ran = run(&format!("demo {}", folder.at("demo"))).ok();
    check_demo(&ran, Path::new(&folder.at("demo")));
}

#[test]
fn the_demo_needs_no_root() {
    let folder = Folder::new();
    let demo = folder.at("demo");
    fs::create_dir(&demo).expect("a folder");
    let owner = fs::metadata(&demo).expect("a folder").uid();
    // An ordinary user runs the other test as one.
    if owner == 0 {
        chown(&demo, Some(1001), Some(1001)).expect("root gives folders away");
        let command = "setpriv --reuid 1001 --regid 1001 --clear-groups --inh-caps=-all";
        let line = format!("demo {demo}");
        let ran = finish(jettison_under(command, &line), &line).ok();
        check_demo(&ran, Path::new(&demo));
    }
}
