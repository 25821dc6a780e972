//! What an image weighs: every number of a small image is checked by hand.

use serde_json::{Value, json};

use crate::image::Image;
use crate::place::{Layout, Packing};
use crate::run::{Folder, run};

/// A base of one layer and three own ones, with waste of every cause in both.
const WASTE: &str = r##"
config {"architecture":"ARCH","os":"linux"}
layer 1 "ADD rootfs.tar / # buildkit"
  d 0755 0:0 /etc
  f 0644 0:0 1000*"a" /etc/over
  f 0644 0:0 2000*"b" /etc/meta
  f 0644 0:0 800*"k" /etc/keep
  d 0755 0:0 /hidden
  f 0644 0:0 300*"c" /hidden/x
  f 0644 0:0 40*"t" /type
empty "CMD [\"/bin/sh\"]"
layer 2 "COPY . /app # buildkit"
  f 0600 0:0 2000*"b" /etc/meta
  d 0755 0:0 /app
  f 0644 0:0 5000*"d" /app/gone
  f 0644 0:0 700*"e" /app/twice
  f 0644 0:0 6000*"same" /app/same1
  f 0644 0:0 6000*"same" /app/same2
  h /app/same3 => /app/same2
  f 0644 0:0 800*"k" /app/keep
layer 3 "RUN make # buildkit"
  f 0644 0:0 1000*"A" /etc/over
  o /hidden
  d 0755 0:0 /type
  w /app/gone
  f 0644 0:0 800*"e" /app/twice
layer 4 "RUN touch /app/twice # buildkit"
  f 0644 0:0 @9 800*"e" /app/twice
"##;

fn weigh(packing: Packing, options: &str) -> (String, String) {
    let folder = Folder::new();
    Layout::of(&Image::of(WASTE), packing, "app:1").files().to_archive(folder.at("in"));
    let place = format!("oci-archive:{}", folder.at("in"));
    (run(&format!("weigh {place} {options}")).ok().out, place)
}

fn weight(packing: Packing, options: &str) -> Value {
    serde_json::from_str(&weigh(packing, &format!("--format json {options}")).0).expect("JSON")
}

#[test]
fn layers() {
    let report = weight(Packing::Plain, "");
    // A block for each entry, the contents in whole blocks, and two blocks at the end.
    let blocks = |entries: u64, contents: &[u64]| {
        512 * (entries + 2) + contents.iter().map(|size: &u64| size.next_multiple_of(512)).sum::<u64>()
    };
    let sizes = [
        blocks(7, &[1000, 2000, 800, 300, 40]),
        blocks(8, &[2000, 5000, 700, 6000, 6000, 800]),
        blocks(5, &[1000, 800]),
        blocks(1, &[800]),
    ];
    let instructions = ["ADD rootfs.tar /", "COPY . /app", "RUN make", "RUN touch /app/twice"];
    let (files, wasted) = ([5, 6, 2, 1], [3340, 5700, 800, 0]);
    let expected: Vec<Value> = (0..4)
        .map(|at| {
            json!({
                "layer": at + 1, "base": at == 0, "instruction": instructions[at], "unpacked": sizes[at],
                "stored": sizes[at], "files": files[at], "wasted": wasted[at],
            })
        })
        .collect();
    assert_eq!(report["layers"], Value::from(expected));
    assert_eq!((&report["wasted"], &report["paths"]), (&json!(9840), &json!(13)));
    assert_eq!(report["base"]["layers"], 1);
    assert_eq!(report["image"], "app:1");
}

#[test]
fn waste_by_cause() {
    let report = weight(Packing::Plain, "");
    let row = |cause: &str, shipped: usize, hidden: usize, bytes: u64| {
        json!({
            "cause": cause, "shipped_by": shipped, "hidden_by": hidden, "base": shipped == 1, "files": 1,
            "unpacked": bytes, "stored": bytes, "stored_is_estimate": false,
        })
    };
    let expected = [
        row("deleted", 2, 3, 5000),
        row("metadata-only copy", 1, 2, 2000),
        row("overwritten", 1, 3, 1000),
        row("metadata-only copy", 3, 4, 800),
        row("overwritten", 2, 3, 700),
        row("hidden by an opaque folder", 1, 3, 300),
        row("hidden by a type change", 1, 3, 40),
    ];
    assert_eq!(report["waste"], Value::from(expected.to_vec()));
}

#[test]
fn waste_by_file() {
    let report = weight(Packing::Plain, "");
    let row = |path: &str, bytes: u64, versions: usize, cause: &str, shipped: usize, hidden: usize| {
        json!({
            "path": path, "bytes": bytes, "versions": versions, "cause": cause, "shipped_by": shipped,
            "hidden_by": hidden,
        })
    };
    let expected = [
        row("/app/gone", 5000, 1, "deleted", 2, 3),
        row("/etc/meta", 2000, 1, "metadata-only copy", 1, 2),
        row("/app/twice", 1500, 2, "metadata-only copy", 2, 4),
        row("/etc/over", 1000, 1, "overwritten", 1, 3),
        row("/hidden/x", 300, 1, "hidden by an opaque folder", 1, 3),
        row("/type", 40, 1, "hidden by a type change", 1, 3),
    ];
    assert_eq!(report["wasted_files"], Value::from(expected.to_vec()));
}

#[test]
fn equal_content_and_the_score_of_dive() {
    let report = weight(Packing::Plain, "");
    // Hard links are no copies; what equals a file of the base is not within own layers.
    let equal = |contents: u64, files: u64, bytes: u64| json!({ "contents": contents, "files": files, "bytes": bytes });
    assert_eq!(report["equal_content"], json!({ "all": equal(2, 2, 6800), "own": equal(1, 1, 6000) }));
    // The least size of each path over the sum of all: gone counts 0 for its whiteout.
    let least = 1000 + 2000 + 800 + 300 + 40 + 700 + 6000 + 6000 + 800;
    let sum = 2000 + 4000 + 800 + 300 + 40 + 5000 + 700 + 800 + 800 + 12000 + 800;
    let score = report["dive_efficiency"].as_f64().expect("a number");
    assert!((score - f64::from(least) / f64::from(sum)).abs() < 1e-9, "{score}");
}

#[test]
fn stored_bytes_of_packed_layers_are_measured_and_their_shares_estimated() {
    for packing in [Packing::Gzip, Packing::Members, Packing::Zstd, Packing::Framed] {
        let report = weight(packing, "");
        for (at, tar) in Image::of(WASTE).layers.iter().enumerate() {
            let stored = packing.pack(tar).len() as u64;
            assert_eq!(report["layers"][at]["stored"], stored, "{packing:?}");
            for waste in report["waste"].as_array().expect("waste").iter().filter(|row| row["shipped_by"] == at + 1) {
                let share = waste["unpacked"].as_u64().expect("a number") * stored / tar.len() as u64;
                assert_eq!((&waste["stored"], &waste["stored_is_estimate"]), (&json!(share), &json!(true)));
            }
        }
    }
}

#[test]
fn what_o1_saves_is_what_optimize_saves() {
    for (packing, compression) in [
        (Packing::Plain, "none"),
        (Packing::Gzip, "gzip"),
        (Packing::Members, "gzip"),
        (Packing::Zstd, "zstd"),
        (Packing::Framed, "zstd"),
    ] {
        for options in ["", "--squash-all"] {
            let folder = Folder::new();
            Layout::of(&Image::of(WASTE), packing, "1").files().to_folder(folder.at("in"));
            let saves = &run(&format!("weigh oci:{} --format json {options}", folder.at("in"))).ok().json()["o1_saves"];
            let line = format!(
                "optimize oci:{0}/in -o oci:{0}/out --compression {compression} --format json {options}",
                folder.at("")
            );
            let report = run(&line).ok().json();
            let saved = |what: &str| {
                let number = |side: &str| report[side][what].as_i64().expect("a number");
                number("before") - number("after")
            };
            assert_eq!(saves["unpacked"], saved("unpacked"), "{packing:?} {options}");
            // A plain layer is stored as it is unpacked, and nothing needs to be measured.
            let stored = if packing == Packing::Plain { &saves["unpacked"] } else { &saves["stored"] };
            assert_eq!(*stored, saved("stored"), "{packing:?} {options}: {report}");
            let own = |side: &str| {
                report[side]["layers"].as_u64().expect("a number")
                    - report[side]["base_layers"].as_u64().expect("a number")
            };
            assert_eq!(
                (&saves["own_layers_before"], &saves["own_layers_after"]),
                (&json!(own("before")), &json!(own("after")))
            );
        }
    }
}

#[test]
fn packing_only_to_measure_can_be_left_out() {
    assert_eq!(weight(Packing::Gzip, "--no-measure")["o1_saves"]["stored"], Value::Null);
    assert!(weight(Packing::Gzip, "")["o1_saves"]["stored"].is_i64());
}

#[test]
fn without_a_base_all_waste_is_own() {
    let report = weight(Packing::Plain, "--squash-all");
    assert!(report["waste"].as_array().expect("waste").iter().all(|row| row["base"] == false));
    assert_eq!(report["base"]["layers"], 0);
    assert_eq!(report["equal_content"]["own"], report["equal_content"]["all"]);
}

#[test]
fn the_table_for_people() {
    let (out, _) = weigh(Packing::Plain, "");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("app:1  linux/"), "{out}");
    assert_eq!(lines[1], "base: 1 layer (the history shows a root file system with its command)");
    let row = |start: &str| -> Vec<&str> {
        let line =
            lines.iter().find(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("{start}\n{out}"));
        line.split_whitespace().collect()
    };
    assert_eq!(row("layer"), ["layer", "of", "unpacked", "stored", "files", "wasted", "instruction"]);
    assert_eq!(row("1  "), "1 base 9.7 kB 9.7 kB 5 3.3 kB ADD rootfs.tar /".split(' ').collect::<Vec<_>>());
    assert_eq!(row("4  "), "4 own 2.6 kB 2.6 kB 1 - RUN touch /app/twice".split(' ').collect::<Vec<_>>());
    assert_eq!(row("all")[..6], ["all", "44.5", "kB", "44.5", "kB", "14"]);
    assert!(out.contains("waste: 9.8 kB in 7 files that no container sees (22.1 % of all layers)"), "{out}");
    assert_eq!(row("5.0 kB"), "5.0 kB 5.0 kB 1 deleted 2 COPY . /app 3 RUN make".split(' ').collect::<Vec<_>>());
    assert!(out.contains("equal content: 2 files with 6.8 kB repeat another file's (6.0 kB of it within own layers)"));
    assert!(out.contains("efficiency as dive computes it: 64.8 %"), "{out}");
    assert!(out.contains("(exact)") && out.ends_with(": 3 own layers → 1\n"), "{out}");
}

#[test]
fn waste_by_cause_and_by_path_for_people() {
    let (out, _) = weigh(Packing::Plain, "--by cause");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = out.lines().map(words).collect();
    let start = lines.iter().position(|line| line == "bytes base own files cause").expect("a heading");
    assert_eq!(
        lines[start + 1..start + 6],
        [
            "5.0 kB 0 B 5.0 kB 1 deleted",
            "2.8 kB 2.0 kB 800 B 2 metadata-only copy",
            "1.7 kB 1.0 kB 700 B 2 overwritten",
            "300 B 300 B 0 B 1 hidden by an opaque folder",
            "40 B 40 B 0 B 1 hidden by a type change",
        ]
    );
    assert!(!out.contains("instruction"), "{out}");
    let (out, _) = weigh(Packing::Gzip, "--by path --rows 2");
    let lines: Vec<String> = out.lines().map(words).collect();
    let start = lines.iter().position(|line| line == "bytes versions cause layers path").expect("a heading");
    assert_eq!(
        lines[start + 1..start + 4],
        [
            "5.0 kB 1 deleted 2 → 3 /app/gone",
            "2.0 kB 1 metadata-only copy 1 → 2 /etc/meta",
            "… and 4 more (--rows, --format json)",
        ]
    );
}

#[test]
fn estimates_are_marked() {
    assert!(weigh(Packing::Gzip, "").0.lines().any(|line| line.contains('~') && line.contains("deleted")));
    assert!(!weigh(Packing::Plain, "").0.contains('~'));
}

#[test]
fn an_image_without_waste_says_so() {
    let folder = Folder::new();
    let image =
        Image::of("config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1 \"COPY a /\"\n f 0644 0:0 \"a\" /a");
    Layout::of(&image, Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let out = run(&format!("weigh oci:{}", folder.at("in"))).ok().out;
    assert!(out.contains("waste: none, a container sees every file that the layers ship"), "{out}");
    assert!(out.contains("-O1 would change nothing"), "{out}");
    assert!(!out.contains("equal content"), "{out}");
}

#[test]
fn an_image_of_no_layers_weighs_nothing() {
    let folder = Folder::new();
    Layout::of(&Image::of_tars(Vec::new()), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let report = run(&format!("weigh oci:{} --format json", folder.at("in"))).ok().json();
    assert_eq!((&report["layers"], &report["paths"]), (&json!([]), &json!(1)));
    run(&format!("weigh oci:{}", folder.at("in"))).ok();
    run(&format!("optimize oci:{0}/in -o oci:{0}/out --squash-all", folder.at(""))).ok();
    run(&format!("diff oci:{0}/in oci:{0}/out", folder.at(""))).ok();
}
