//! Choosing passes, and looking at what they do.

use jettison_image::text::ImageText;
use serde_json::{Value, json};

use crate::image::{APP_SEEN, Image, entries};
use crate::place::{Layout, Packing};
use crate::run::{Folder, Ran, run};
use crate::written::{Written, WrittenImage};

fn optimized(options: &str) -> (Ran, WrittenImage) {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_archive(folder.at("in"));
    let ran = run(&format!("optimize oci-archive:{0}/in -o oci-archive:{0}/out {options}", folder.at(""))).ok();
    let image = Written::at(folder.at("out")).image();
    assert_eq!(image.seen(), entries(APP_SEEN), "{options}");
    (ran, image)
}

/// The digest of the input's manifest.
fn input_digest() -> String {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_archive(folder.at("in"));
    Written::at(folder.at("in")).image().digest
}

/// The passes that acted, with their numbers of findings.
fn acted(options: &str) -> Vec<(String, u64)> {
    let report = optimized(&format!("{options} --format json")).0.json();
    let pass = |pass: &Value| {
        (pass["pass"].as_str().expect("a name").to_owned(), pass["findings"].as_u64().expect("a number"))
    };
    report["passes"].as_array().expect("passes").iter().map(pass).collect()
}

#[test]
fn level_0_copies() {
    for options in ["-O0", "-O 0", "-O0 --layers 1 --compression zstd"] {
        let (_, image) = optimized(options);
        assert_eq!(image.digest, input_digest());
    }
    run("optimize a -o b -O7").fails(2, &["this version has the levels 0, 1, 2 and s"]);
}

#[test]
fn passes_can_be_left_out_and_chosen() {
    let both = [("shadowed-files".to_owned(), 2), ("split-layers".to_owned(), 2)];
    assert_eq!(acted(""), both);
    assert_eq!(acted("--only shadowed-files,split-layers"), both);
    for (options, name, layers) in [
        ("--skip split-layers", "shadowed-files", 4),
        ("--only shadowed-files", "shadowed-files", 4),
        ("--skip shadowed-files", "split-layers", 2),
        ("--only split-layers", "split-layers", 2),
    ] {
        assert_eq!(acted(options), [(name.to_owned(), 2)], "{options}");
        assert_eq!(optimized(options).1.tars.len(), layers, "{options}");
    }
    for options in ["--skip shadowed-files --skip split-layers", "--skip shadowed-files,split-layers"] {
        assert_eq!(optimized(options).1.digest, input_digest());
    }
    // Merging drops what is hidden all the same: one way leads to the same layer as both.
    assert_eq!(optimized("--only split-layers").1.tars, optimized("").1.tars);
}

#[test]
fn a_limit_stops_after_so_many_fixes() {
    assert_eq!(optimized("--pass-limit 0").1.digest, input_digest());
    assert_eq!(acted("--pass-limit 1"), [("shadowed-files".to_owned(), 1)]);
    assert_eq!(acted("--pass-limit 2"), [("shadowed-files".to_owned(), 2)]);
    assert_eq!(acted("--pass-limit 3"), [("shadowed-files".to_owned(), 2), ("split-layers".to_owned(), 1)]);
}

#[test]
fn unknown_passes_are_refused_and_nothing_is_written() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    for option in ["--skip", "--only", "--print-after"] {
        run(&format!("optimize oci:{0}/in -o oci:{0}/out {option} nonsense", folder.at("")))
            .fails(2, &["there is no pass \"nonsense\"", "hint: `jettison passes` lists them"]);
    }
    run("explain nonsense").fails(2, &["there is no pass \"nonsense\""]);
    assert_eq!(folder.names(), ["in"]);
}

#[test]
fn the_judge_runs_between_passes() {
    assert_eq!(optimized("--verify-each").1.digest, optimized("").1.digest);
}

#[test]
fn layers_are_shown_after_a_pass() {
    // Passes run until a round changes nothing, so each is shown more than once.
    let shown = |name: &str| -> Vec<ImageText> {
        let (ran, _) = optimized(&format!("--print-after {name}"));
        let heading = format!("after {name}:\n");
        let texts = ran.err.split(&heading).skip(1).map(|text| text.parse().expect("the text form"));
        assert!(ran.err.starts_with(&heading), "{}", ran.err);
        texts.collect()
    };
    let texts = shown("shadowed-files");
    let layers: Vec<String> = texts[0].layer_texts().map(ToString::to_string).collect();
    assert_eq!(layers.len(), 4);
    assert!(layers[1].contains("/app/link") && !layers[1].contains("/app/run"), "{layers:?}");
    assert!(layers[2].contains("/app/run") && !layers[2].contains("run.o"), "{layers:?}");
    assert!(layers[3].contains("w /etc/shadow") && !layers[3].contains("run.o"), "{layers:?}");
    assert!(shown("split-layers").iter().all(|text| text.layer_texts().count() == 2));
}

#[test]
fn each_pass_is_timed() {
    let (ran, _) = optimized("--time-passes");
    for name in ["shadowed-files", "split-layers"] {
        let line = ran.err.lines().find(|line| line.starts_with(&format!("pass {name}: "))).expect("a line");
        assert!(line.ends_with(" ms"), "{line}");
    }
    assert!(!optimized("").0.err.contains("pass "));
}

#[test]
fn remarks_say_what_was_left_alone_and_why() {
    let declined = "declined: shadowed-files: 1 files with 900 bytes of base layer 1 are hidden by layer 4";
    for options in ["--remarks", "-v"] {
        let (ran, _) = optimized(options);
        assert!(ran.out.contains(declined), "{}", ran.out);
    }
    let (ran, _) = optimized("");
    assert!(!ran.out.contains("declined"), "{}", ran.out);
    let report = optimized("--format json").0.json();
    assert_eq!(report["declined"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_each_pass_saved_adds_up_to_what_was_saved() {
    let report = optimized("--format json --compression none").0.json();
    let number = |value: &Value| value.as_i64().expect("a number");
    let passes: i64 =
        report["passes"].as_array().expect("passes").iter().map(|pass| number(&pass["saved_unpacked"])).sum();
    assert_eq!(passes, number(&report["before"]["unpacked"]) - number(&report["after"]["unpacked"]));
    let image = Image::app();
    let before: usize = image.layers.iter().map(Vec::len).sum();
    assert_eq!(report["before"]["unpacked"], before);
    let after: usize = optimized("--compression none").1.tars.iter().map(Vec::len).sum();
    assert_eq!(report["after"]["unpacked"], after);
    assert_eq!(report["before"]["entries"], 16);
    assert_eq!(report["after"]["entries"], 11);
    assert_eq!((&report["before"]["paths"], &report["after"]["paths"]), (&json!(9), &json!(9)));
    assert_eq!(report["proof"], json!({ "equal": true, "paths": 9, "differences": [] }));
}

#[test]
fn every_pass_is_listed_and_explained() {
    let listed = run("passes").ok().out;
    for name in ["shadowed-files", "split-layers"] {
        assert!(listed.lines().any(|line| line.starts_with("-O1") && line.contains(name)), "{listed}");
        let page = run(&format!("explain {name}")).ok().out;
        assert!(page.starts_with(&format!("# {name}\n")), "{page}");
        assert!(
            page.contains("## Why it is safe")
                && page.ends_with("Level -O1, exact: a container cannot tell the difference.\n")
        );
    }
}

#[test]
fn lists_say_what_a_pass_looks_at_and_what_others_call_it() {
    let listed = run("passes").ok().out;
    let line = |name: &str| listed.lines().find(|line| line.contains(&format!(" {name} "))).expect("a line");
    assert!(line("shadowed-files").contains("  image  "), "{listed}");
    assert!(line("latest-tag").contains("  Dockerfile  ") && line("latest-tag").ends_with("(DL3006, DL3007)"));
    for name in ["latest-tag", "DL3006", "dl3007"] {
        let page = run(&format!("explain {name}")).ok().out;
        assert!(page.starts_with("# latest-tag\n") && page.contains("Other linters' codes: DL3006, DL3007."), "{page}");
    }
    let text = run("explain bases-copy-nothing").ok().out;
    assert!(text.contains("wide-context") && text.contains("`--skip bases-copy-nothing`"), "{text}");
}
