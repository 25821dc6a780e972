//! `--report`: what each line of a Dockerfile ships, wastes and takes.

use std::fs;
use std::io::BufReader;

use serde_json::{Value, json};

use crate::site::Site;

/// Files of known sizes: one is removed again, one gets another mode, one comes from a stage, one from the context.
const DOCKERFILE: &str = "\
ARG SIZE=3000
FROM alpine:3.20 AS tools
RUN head -c 700 /dev/zero > /tool; sleep 0.2
FROM alpine:3.20 AS unused
RUN false
FROM alpine:3.20 AS base
ENV A=b
COPY --from=tools /tool /usr/bin/tool
FROM base
RUN mkdir /work && head -c 50000 /dev/zero > /work/large \\
    && head -c 2000 /dev/zero > /work/kept && head -c 900 /dev/zero > /work/one && ln /work/one /work/other
RUN rm /work/large && rm /etc/motd
RUN chmod 600 /work/kept
WORKDIR /srv
COPY data other /srv/
CMD [\"sh\"]
";

fn site() -> Site {
    let site = Site::new();
    site.dockerfile(DOCKERFILE);
    site.write("data", &"x".repeat(300));
    site.write("other", &"y".repeat(40));
    site
}

/// Builds, and gives the report as JSON.
fn report(site: &Site, more: &[&str]) -> Value {
    let words = [&["build", "--offline", "--progress", "plain", "--report=json,dest=../report.json"], more, &["."]];
    site.run(&words.concat()).expect(0, &[]);
    serde_json::from_slice(&fs::read(site.path("report.json")).expect("a report")).expect("JSON")
}

/// The row of a line.
fn row(report: &Value, line: usize) -> &Value {
    let rows = report["lines"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["lines"][0] == line);
    row.unwrap_or_else(|| panic!("line {line} is not in {report}"))
}

/// What a line added, and what of it is seen and what is not.
fn sizes(report: &Value, line: usize) -> (u64, u64, u64) {
    let row = row(report, line);
    let size = |name: &str| row[name].as_u64().expect(name);
    (size("added_bytes"), size("shipped_bytes"), size("wasted_bytes"))
}

/// The bytes of all files of a tar.
fn bytes_of(tar: &std::path::Path) -> u64 {
    let mut archive = tar::Archive::new(BufReader::new(fs::File::open(tar).expect("a tar")));
    let entries = archive.entries().expect("a tar").map(|entry| entry.expect("an entry"));
    entries.filter(|entry| entry.header().entry_type().is_file()).map(|entry| entry.size()).sum()
}

fn sum(report: &Value, name: &str) -> u64 {
    report["lines"].as_array().expect("rows").iter().filter_map(|row| row[name].as_u64()).sum()
}

#[test]
fn lines_say_what_they_ship_and_waste() {
    let site = site();
    let tree = site.path("tree.tar");
    let tar = format!("type=tar,dest={}", tree.display());
    let plain = report(&site, &["-O0", "-t", "app", "-o", "local:app", "-o", &tar]);
    for report in [&plain, &report(&site, &["-O2", "-t", "app"])] {
        assert_eq!(sizes(report, 8), (700, 700, 0));
        assert_eq!(sizes(report, 10), (52_900, 900, 52_000));
        assert_eq!(sizes(report, 12), (0, 0, 0));
        assert_eq!(sizes(report, 13), (2000, 2000, 0));
        assert_eq!(sizes(report, 15), (340, 340, 0));
        assert_eq!(row(report, 10)["lines"], json!([10, 11]));
        assert_eq!(report["totals"]["own_bytes"], 3940);
        assert_eq!(sum(report, "shipped_bytes"), bytes_of(&tree), "{report}");
        // Other stages ship nothing by themselves, and settings take no time.
        for (line, stage, has_step) in [(3, "tools", true), (7, "base", false), (9, "3", false), (16, "3", false)] {
            let row = row(report, line);
            assert_eq!((&row["stage"], row["took_ms"].is_u64()), (&json!(stage), has_step), "{row}");
            assert_eq!((&row["in_image"], &row["shipped_bytes"]), (&json!(false), &json!(0)), "{row}");
        }
        assert!(row(report, 1)["stage"].is_null() && row(report, 6)["is_base"] == true, "{report}");
        assert_eq!(row(report, 9)["is_base"], false);
        assert_eq!(report["unneeded_stages"], json!([{ "stage": "unused", "lines": [4, 5] }]));
        let waste = report["waste"].as_array().expect("a list");
        let of = |waste: &Value| ["lines", "hidden_by_lines", "cause", "bytes"].map(|name| waste[name].clone());
        assert_eq!(of(&waste[0]), [json!([10, 11]), json!([12, 12]), json!("deleted"), json!(50_000)], "{report}");
        assert_eq!(waste[0]["largest_file"], json!({ "path": "/work/large", "bytes": 50_000 }));
        assert_eq!(of(&waste[1])[1..], [json!([13, 13]), json!("metadata-only copy"), json!(2000)], "{report}");
        assert_eq!((&waste[2]["is_base"], &waste[2]["hidden_by_lines"]), (&json!(true), &json!([12, 12])), "{report}");
        assert!(waste[2]["kept_because"].as_str().is_some_and(|why| why.contains("base layers")), "{report}");
    }
    let optimized = report(&site, &["-O2", "-t", "app"]);
    for (report, in_image) in [(&plain, true), (&optimized, false)] {
        let waste = &report["waste"][0];
        assert_eq!((&waste["in_image"], &waste["kept_because"].is_string()), (&json!(in_image), &in_image), "{waste}");
        assert_eq!(waste["dropped_by"] == "shadowed-files", !in_image, "{waste}");
        // A layer of its own has a size of its own; a merged one has none a line.
        assert_eq!(row(report, 10)["stored_bytes"].is_u64(), in_image);
    }
    assert_eq!(sum(&plain, "stored_bytes"), plain["image"]["stored_bytes"].as_u64().expect("a size"));
    assert_eq!((&plain["image"]["layers"], &optimized["image"]["layers"]), (&json!(6), &json!(2)));
}

#[test]
fn what_the_cache_had_is_told_with_the_time_that_it_saved() {
    let site = site();
    let first = report(&site, &["-O1", "-t", "app"]);
    assert!(row(&first, 3)["cached"] == false && row(&first, 3)["took_ms"].as_u64() >= Some(200), "{first}");
    assert_eq!((&first["totals"]["cached_steps"], &first["totals"]["saved_by_cache_ms"]), (&json!(0), &json!(0)));
    site.write("data", "changed");
    let second = report(&site, &["-O1", "-t", "app"]);
    let kept = row(&second, 3);
    assert_eq!((&kept["cached"], &kept["made_in_ms"]), (&json!(true), &row(&first, 3)["made_in_ms"]), "{second}");
    assert!(kept["took_ms"].as_u64() < Some(200) && kept["made_in_ms"].as_u64() >= Some(200), "{second}");
    assert_eq!((&row(&second, 15)["cached"], sizes(&second, 15).0), (&json!(false), 47));
    let totals = &second["totals"];
    assert_eq!((&totals["steps"], &totals["cached_steps"]), (&json!(7), &json!(6)), "{second}");
    assert!(totals["saved_by_cache_ms"].as_u64() >= Some(200), "{second}");
    // What was written before is as well known as what is written now.
    let third = report(&site, &["-O1", "-t", "app"]);
    assert_eq!((&third["waste"], &third["image"]), (&second["waste"], &second["image"]));
}

#[test]
fn proofs_measure_what_changes_save() {
    let site = site();
    let text = "FROM alpine:3.20\n# files\nRUN head -c 9000 /dev/zero > /a && head -c 100 /dev/zero > /b\nRUN rm /a\n\
                COPY data /data\nRUN mkdir -p /root/.cache/pip && head -c 500 /dev/zero > /root/.cache/pip/x\n";
    site.dockerfile(text);
    let advised = report(&site, &["-O2", "-t", "app"]);
    let of = |change: &Value| (change["pass"].clone(), change["outcome"].clone(), change["measured"].is_object());
    let advised: Vec<_> = advised["changes"].as_array().expect("a list").iter().map(of).collect();
    assert!(advised.contains(&(json!("adjacent-runs"), json!("proposed"), false)), "{advised:?}");
    let proven = report(&site, &["-O2", "-t", "app", "--prove", "--no-cache"]);
    let changes = proven["changes"].as_array().expect("a list");
    let joined = changes.iter().find(|change| change["pass"] == "adjacent-runs").expect("a change");
    let measured = &joined["measured"];
    assert_eq!(joined["outcome"], "applied", "{proven}");
    // What is hidden in a layer below is not in the joined one.
    let size = |name: &str| measured[name]["bytes"].as_u64().expect("a size");
    assert_eq!((size("before") - size("after"), &measured["saved_bytes"]), (9000, &json!(9000)), "{proven}");
    assert_eq!(proven["rewritten"], true);
    let shipped = sum(&proven, "shipped_bytes") - sizes(&proven, 1).1;
    assert_eq!((shipped, &proven["totals"]["own_bytes"]), (900, &json!(900)), "{proven}");
    // The lines are the user's, and what the proof built was not in the cache before.
    let row = row(&proven, 3);
    assert!(row["lines"][1].as_u64() >= Some(4) && row["built_lines"].is_array(), "{proven}");
    assert_eq!((&row["cached"], &proven["totals"]["cached_steps"]), (&json!(false), &json!(0)), "{proven}");
    // What was proven before is measured as it was then.
    let kept = report(&site, &["-O2", "-t", "app", "--prove"]);
    assert_eq!((&kept["changes"], &kept["totals"]["cached_steps"]), (&proven["changes"], &kept["totals"]["steps"]));
    let shown = site.run(&["rewrite", "--prove", "--offline", "--progress", "plain", "."]).expect(0, &[]);
    let expected =
        ["own layers 4 → ", "9.9 kB → 900 B in them, 900 B that a container sees", "9.0 kB less, all of it waste"];
    for part in expected {
        assert!(shown.err.contains(part), "{part}:\n{}", shown.err);
    }
}

#[test]
fn withdrawn_changes_say_what_they_would_save() {
    let site = site();
    site.dockerfile("FROM alpine:3.20\nRUN head -c 9000 /dev/zero > /a\n");
    let mut command = site.jettison(&["build", "--offline", "--prove", "--format=json", "--report", "-t", "app", "."]);
    let output = command.env("JETTISON_WRONG_PASS", "9000=>4000").output().expect("runs");
    let build: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let changes = &build["report"]["changes"];
    assert_eq!((&changes[0]["pass"], &changes[0]["outcome"]), (&json!("wrong-on-purpose"), &json!("withdrawn")));
    assert_eq!(changes[0]["measured"]["saved_bytes"], 5000, "{build}");
    assert_eq!(build["report"]["totals"]["own_bytes"], 9000, "{build}");
}

#[test]
fn reports_are_printed_and_written_in_every_form() {
    let site = site();
    let build = |more: &[&str]| {
        let words = [&["build", "--offline", "--progress", "plain", "-t", "app"], more, &["."]].concat();
        let mut command = site.jettison(&words);
        crate::site::Said::of(&command.env("COLUMNS", "80").output().expect("runs"))
    };
    let table = build(&["-O0", "--report"]).expect(0, &["app:latest"]).out;
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    for part in
        ["Dockerfile  -O0\n", " 10-11 ", "52.0 kB", "deleted by line 12", "-O0 writes the layer", "tools: RUN head"]
    {
        assert!(table.contains(part), "{part}:\n{table}");
    }
    let github = build(&["-O2", "--report=github", "--report=human,dest=../table"]).expect(0, &[]).out;
    let first = github.lines().next().unwrap_or_default();
    assert!(first.starts_with("::notice file=Dockerfile,line=6,endLine=6,title="), "{github}");
    assert!(github.contains("line=10,endLine=11,title=52.9 kB::RUN mkdir"), "{github}");
    let table = fs::read_to_string(site.path("table")).expect("a report");
    assert!(table.contains("not written (shadowed-files)") && !table.contains('\u{1b}'), "{table}");
    let quiet = build(&["-q", "--report=json"]).expect(0, &[]);
    let value: Value = serde_json::from_str(&quiet.out).expect("JSON alone");
    assert_eq!(value["dockerfile"], "Dockerfile");
    // A tree has no layers for waste to be in.
    let tree = build(&["-o", "../tree", "--report=json"]).expect(0, &[]).out;
    let value: Value = serde_json::from_str(&tree).expect("JSON");
    assert!(value["image"].is_null() && value["waste"][0]["in_image"] == false, "{tree}");
    for (words, parts) in [
        (&["--report", "-o", "-"][..], &["standard output", "dest=FILE"][..]),
        (&["--report=pdf"], &["\"pdf\"", "human, json and github"]),
    ] {
        build(words).expect(2, parts);
    }
    for engine in ["buildah", "docker", "buildkit"] {
        let refusal = format!("the engine {engine} has nothing for --report");
        site.run(&["build", "-t", "app", "--report", "--engine", engine, "."]).expect(2, &[&refusal]);
    }
    build(&["--report=dest=/no/such/x"]).expect(3, &["there is no folder /no/such"]);
}

#[test]
fn folders_onbuild_and_nothing_at_all_have_their_lines() {
    let site = site();
    fs::create_dir(site.path("folder")).expect("a folder");
    fs::write(site.path("folder/file"), "12345").expect("writes");
    site.dockerfile("FROM folder\nCOPY data /data\n");
    let of_folder = report(&site, &["--build-context", "folder=../folder", "-t", "app"]);
    assert_eq!((sizes(&of_folder, 1).1, sizes(&of_folder, 2).1), (5, 300), "{of_folder}");
    assert_eq!(of_folder["lines"].as_array().map(Vec::len), Some(2), "{of_folder}");
    site.dockerfile("FROM alpine:3.20\nONBUILD RUN head -c 77 /dev/zero > /made\n");
    report(&site, &["-t", "parent"]);
    site.dockerfile("FROM parent\nCMD [\"x\"]\n");
    let child = report(&site, &["-t", "app"]);
    let rows = child["lines"].as_array().expect("rows");
    assert_eq!((rows.len(), &rows[0]["is_base"], &rows[1]["shipped_bytes"]), (3, &json!(true), &json!(77)), "{child}");
    assert_eq!(rows[1]["lines"], json!([1, 1]));
    site.dockerfile("FROM scratch\nLABEL a=b\n");
    let nothing = report(&site, &["-o", "oci:../empty"]);
    assert_eq!((&nothing["totals"]["own_bytes"], &nothing["waste"]), (&json!(0), &json!([])), "{nothing}");
}
