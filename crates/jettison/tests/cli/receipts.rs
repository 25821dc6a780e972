//! Receipts: what an optimization took out, in a file and with the image, in every place that images are written to.

use std::fs;

use serde_json::{Value, json};

use crate::image::{ELSEWHERE, HERE, Image};
use crate::optimize_levels::DEBIAN;
use crate::place::{Dialect, Layout, Packing, blob_name, for_platform};
use crate::run::{Folder, run, state};
use crate::written::Written;

/// A folder with an image of packages and waste in `in`.
fn input() -> Folder {
    let folder = Folder::new();
    Layout::of(&Image::of(DEBIAN), Packing::Gzip, "app:1").files().to_archive(folder.at("in"));
    folder
}

/// Runs a line in which `@` stands for the folder; gives the JSON on stdout.
fn json_of(folder: &Folder, line: &str) -> Value {
    run(&format!("{} --cache-dir {}", line.replace('@', &folder.at("")), folder.at("cache"))).ok().json()
}

fn notes(report: &Value) -> Vec<String> {
    let notes = report["notes"].as_array().expect("notes");
    notes.iter().map(|note| note.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_receipt_goes_with_the_image_into_every_place_and_from_there_on() {
    let places =
        ["oci:@/folder", "oci:@/tagged:1", "oci-archive:@/archive", "docker-archive:@/docker", "local:small:1"];
    let folder = input();
    for place in places {
        let options = "-Os --attach-receipt --format json";
        let report = json_of(&folder, &format!("optimize oci-archive:@/in -o {place} {options}"));
        let passes: Vec<&Value> =
            report["receipt"]["items"].as_array().expect("items").iter().map(|i| &i["pass"]).collect();
        assert_eq!(passes, ["build-only-packages", "package-caches", "temporary-files"], "{place}");
        let read = json_of(&folder, &format!("receipt {place} --format json"));
        assert_eq!(read, report["receipt"], "{place}");
        // It is still true of what is copied as it is.
        for target in ["oci:@/copy:1", "docker-archive:@/copied"] {
            json_of(&folder, &format!("optimize {place} -O0 -o {target} --format json"));
            assert_eq!(json_of(&folder, &format!("receipt {target} --format json")), read, "{place} to {target}");
        }
        // Every other command takes the image as it takes others.
        let cache = folder.at("cache");
        let place = place.replace('@', &folder.at(""));
        assert!(run(&format!("weigh {place} --cache-dir {cache}")).ok().out.contains("layers"));
        run(&format!("diff {place} oci:{}/copy:1 --cache-dir {cache}", folder.at(""))).ok();
    }
    // One image in a layout is one for tools that take the one that is there.
    for place in ["folder", "archive", "docker"] {
        let written = Written::at(folder.at(place));
        assert!(written.listed().iter().all(|one| one.get("artifactType").is_none()), "{place}");
        let digest = written.image().manifest["annotations"]["dev.jettison.receipt"].clone();
        assert!(written.has(&blob_name(digest.as_str().expect("a digest"))), "{place}");
    }
}

#[test]
fn a_receipt_for_people_names_packages_paths_and_reasons() {
    let folder = input();
    json_of(&folder, "optimize oci-archive:@/in -o oci:@/out -Os --attach-receipt --format json");
    let out = run(&format!("receipt oci:{}/out", folder.at(""))).ok().out;
    for part in [
        "receipt of -Os for linux/",
        "made from sha256:",
        "build-only-packages: gcc served to build",
        "  package gcc 4:12.2",
        "  /usr/bin/gcc  (removed, 9.0 kB)",
        "  /var/lib/dpkg/status  (rewritten, ",
        "temporary-files: temporary files (1 path, 3.0 kB unpacked, ",
        "layer 2: RUN apt-get install -y app gcc",
    ] {
        assert!(out.contains(part), "{part:?}\n{out}");
    }
}

#[test]
fn a_second_run_changes_nothing_and_a_receipt_that_is_no_longer_true_is_left_out() {
    let folder = input();
    let first = json_of(&folder, "optimize oci-archive:@/in -o oci:@/out -O2 --attach-receipt --format json");
    for options in ["", "--attach-receipt", "-O1"] {
        let again = json_of(
            &folder,
            &format!("optimize oci:@/out -o oci:@/again -O2 {options} --format json").replace("-O2 -O1", "-O1"),
        );
        assert_eq!(again["digest"], first["digest"], "{options}");
        assert_eq!(json_of(&folder, "receipt oci:@/again --format json"), first["receipt"], "{options}");
        assert!(notes(&again).iter().all(|note| !note.contains("receipt")), "{options}: {again}");
        Written::at(folder.at("again"));
        fs::remove_dir_all(folder.at("again")).expect("a folder");
    }
    let smaller = json_of(&folder, "optimize oci:@/out -o oci:@/smaller -Os --format json");
    let said = notes(&smaller);
    let note = said.iter().find(|note| note.starts_with("left out: the receipt ")).expect("a note");
    assert!(note.ends_with(", which would not be true of the result"), "{note}");
    let none = format!("receipt oci:{}/smaller", folder.at(""));
    run(&none).fails(2, &["carries no receipt for linux/", "hint: ", "--attach-receipt"]);
    assert!(Written::at(folder.at("smaller")).image().manifest.get("annotations").is_none());
    // A new one takes the place of the old one.
    let report = json_of(&folder, "optimize oci:@/out -o oci:@/new -Os --attach-receipt --format json");
    assert_eq!(json_of(&folder, "receipt oci:@/new --format json"), report["receipt"]);
    assert_eq!(report["receipt"]["input"], first["digest"]);
    // Where an image is replaced in a layout, its receipt goes with it.
    json_of(&folder, "optimize oci-archive:@/in -o oci:@/new -O0 --format json");
    Written::at(folder.at("new"));
}

#[test]
fn each_platform_has_its_own() {
    let folder = Folder::new();
    let mut layout = Layout::default();
    let there = Image::of(&DEBIAN.replace("ARCH", ELSEWHERE).replace("/tmp/build.o", "/tmp/elsewhere.o"));
    let manifests = [(Image::of(DEBIAN), HERE), (there, ELSEWHERE)].map(|(image, architecture)| {
        for_platform(layout.image(&image, Packing::Gzip, Dialect::Oci), &format!("linux/{architecture}"))
    });
    let index = layout.index(&manifests, Dialect::Oci);
    layout.tag(&index, "app:1");
    layout.files().to_folder(folder.at("in"));
    let line = "optimize oci:@/in -o oci:@/out -O2 --platform all --attach-receipt --format json";
    let reports = json_of(&folder, line);
    let receipts = json_of(&folder, "receipt oci:@/out --platform all --format json");
    assert_eq!(receipts, json!([reports[0]["receipt"], reports[1]["receipt"]]));
    let path = |at: usize| receipts[at]["items"][1]["paths"][0]["path"].clone();
    assert_eq!((path(0), path(1)), (json!("/tmp/build.o"), json!("/tmp/elsewhere.o")));
    let one = json_of(&folder, &format!("receipt oci:@/out --platform linux/{ELSEWHERE} --format json"));
    assert_eq!(one, receipts[1]);
    Written::at(folder.at("out"));
    // A file of several holds them all, and shows those that are asked for.
    json_of(&folder, "optimize oci:@/in -o oci:@/again -O2 --receipt @/all.json --format json");
    let all = json_of(&folder, "receipt @/all.json --format json");
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
    let one = json_of(&folder, &format!("receipt @/all.json --platform linux/{ELSEWHERE} --format json"));
    assert_eq!(one, all[1]);
    run(&format!("receipt {} --platform linux/s390x", folder.at("all.json")))
        .fails(2, &["has no receipt for the platform", "hint: it has those for linux/"]);
}

#[test]
fn a_receipt_is_written_to_a_file_or_to_standard_output() {
    let folder = input();
    let line = format!("optimize oci-archive:{0}/in -O2 -o oci-archive:{0}/out", folder.at(""));
    let report = run(&format!("{line} --receipt {}/receipt.json --format json", folder.at(""))).ok().json();
    let text = fs::read_to_string(folder.at("receipt.json")).expect("a receipt");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), report["receipt"]);
    assert_eq!(folder.names(), ["in", "out", "receipt.json"]);
    // The image does not carry it unless that is asked for.
    assert!(Written::at(folder.at("out")).image().manifest.get("annotations").is_none());
    let ran = run(&format!("{line} --receipt -")).ok();
    assert_eq!(ran.json(), report["receipt"]);
    assert!(ran.err.contains("bytes stored"), "{}", ran.err);
    fs::remove_file(folder.at("out")).expect("a file");
    let before = state(folder.path());
    run(&format!("{line} --receipt - --format json")).fails(2, &["both write to standard output", "hint: "]);
    run(&format!("{line} --receipt {}/none/receipt.json", folder.at("")))
        .fails(3, &["the receipt cannot be written to"]);
    assert_eq!(state(folder.path()), before, "nothing is written where the receipt cannot be");
}

#[test]
fn a_receipt_that_is_not_there_whole_is_no_receipt() {
    let folder = input();
    json_of(&folder, "optimize oci-archive:@/in -o oci:@/out -O2 --attach-receipt --format json");
    let digest = Written::at(folder.at("out")).image().manifest["annotations"]["dev.jettison.receipt"].clone();
    let blob = folder.path().join("out").join(blob_name(digest.as_str().expect("a digest")));
    let line = format!("receipt oci:{}/out", folder.at(""));
    fs::write(&blob, r#"{"level":"","platform":"","input":"","items":[]}"#).expect("writes");
    run(&line).fails(2, &["is not there whole", "hint: tools that copy images leave it behind"]);
    fs::remove_file(&blob).expect("a file");
    run(&line).fails(2, &["is not there whole"]);
    let copied = json_of(&folder, "optimize oci:@/out -o oci:@/copy -O0 --format json");
    assert!(
        notes(&copied).iter().any(|note| note.starts_with("left out: the receipt ") && note.ends_with("not at hand"))
    );
    assert!(Written::at(folder.at("copy")).image().manifest.get("annotations").is_none());
    run(&format!("receipt oci-archive:{}/in", folder.at(""))).fails(2, &["carries no receipt"]);
}

#[test]
fn a_receipt_in_a_file_is_read_as_one_in_an_image() {
    let folder = input();
    json_of(
        &folder,
        "optimize oci-archive:@/in -o oci:@/out -Os --attach-receipt --receipt @/receipt.json --format json",
    );
    for options in ["", "--format json"] {
        let of_image = run(&format!("receipt oci:{} {options}", folder.at("out"))).ok().out;
        let of_file = run(&format!("receipt {} {options}", folder.at("receipt.json"))).ok().out;
        assert_eq!(of_file, of_image);
        assert!(of_file.contains("build-only-packages"), "{of_file}");
    }
    for (text, part) in [("{\"level\":\"-O2\"}", "missing field `platform`"), ("[{]", "at line 1 column 3")] {
        fs::write(folder.at("none.json"), text).expect("writes");
        run(&format!("receipt {}", folder.at("none.json"))).fails(3, &["none.json is no receipt", "caused by: ", part]);
    }
    // What is neither is still looked at as an image.
    fs::write(folder.at("text"), "words").expect("writes");
    run(&format!("receipt {}", folder.at("text"))).fails(3, &["neither an image archive nor an OCI layout"]);
}
