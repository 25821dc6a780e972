//! A report by lines in all its forms.

use std::time::Duration;

use jettison_image::tree::Cause;
use jettison_ir::{Held, Share};

use serde_json::Value;

use super::human::without_styles;
use super::*;

fn row(lines: Lines, instruction: &str) -> LineRow {
    LineRow {
        lines,
        built_lines: None,
        stage: None,
        is_elsewhere: false,
        instruction: instruction.to_owned(),
        share: None,
        is_base: false,
        stored: None,
        prepared_in: None,
        step: None,
    }
}

fn share(files: usize, bytes: u64, seen: u64) -> Option<Share> {
    Some(Share { files, bytes, seen })
}

fn step(cached: bool, took: u64, made_in: u64) -> Option<LineStep> {
    Some(LineStep { cached, took: Duration::from_millis(took), made_in: Duration::from_millis(made_in) })
}

/// A build of two stages: what one line leaves another one removes, and what is below it stays in the base.
fn report() -> LinesReport {
    let elsewhere = |row: LineRow| LineRow { stage: Some("tools".to_owned()), is_elsewhere: true, ..row };
    let rows = vec![
        elsewhere(row((1, 1), "FROM alpine AS tools")),
        elsewhere(LineRow { step: step(true, 3, 61_000), ..row((2, 2), "RUN make") }),
        LineRow {
            is_base: true,
            share: share(80, 7_800_000, 7_786_400),
            stored: Some(3_400_000),
            prepared_in: Some(Duration::from_millis(2100)),
            ..row((4, 4), "FROM alpine")
        },
        LineRow {
            share: share(90, 41_000_000, 2_800_000),
            step: step(false, 12_300, 12_250),
            ..row((5, 7), "RUN pip install flask requests and many more")
        },
        LineRow { share: share(0, 0, 0), step: step(false, 80, 70), ..row((8, 8), "RUN rm -rf /root/.cache") },
        LineRow { share: share(1, 40, 40), step: step(true, 1, 9), ..row((9, 9), "COPY app.py /app/") },
        row((10, 10), "CMD [\"python\"]"),
    ];
    let waste = |row, hidden_by, cause, files, bytes, largest: &str, fate| LineWaste {
        row,
        hidden_by,
        cause,
        files,
        bytes,
        largest: (largest.as_bytes().to_vec(), bytes / files as u64),
        fate,
    };
    let held = |layers, bytes, seen| Held { layers, bytes, seen };
    LinesReport {
        dockerfile: "app/Dockerfile".to_owned(),
        level: "-O2".to_owned(),
        is_rewritten: false,
        rows,
        unneeded: vec![("old".to_owned(), (11, 12))],
        waste: vec![
            waste(3, 4, Cause::Deleted, 2, 38_200_000, "root/.cache/pip/x", Fate::Dropped("shadowed-files".to_owned())),
            waste(2, 3, Cause::Overwritten, 1, 13_600, "etc/x", Fate::Kept("base layers stay".to_owned())),
        ],
        changes: vec![
            LineChange {
                pass: "pip-cache".to_owned(),
                lines: (5, 7),
                message: "pip keeps\nwhat it downloaded: 100 %".to_owned(),
                outcome: ChangeOutcome::Applied,
                gain: Some(Gain {
                    before: held(2, 41_000_000, 2_800_000),
                    after: held(1, 2_800_000, 2_800_000),
                    lines: vec![(5, 7), (8, 8)],
                    is_shared: false,
                }),
            },
            LineChange {
                pass: "latest-tag".to_owned(),
                lines: (4, 4),
                message: "alpine has no tag".to_owned(),
                outcome: ChangeOutcome::Advice,
                gain: None,
            },
        ],
        image: Some(LinesImage { layers: 2, stored: 6_200_000 }),
        took: Duration::from_millis(14_200),
    }
}

#[test]
fn people_see_the_heaviest_line_at_a_glance() {
    let text = without_styles(&lines_human(&report(), 80));
    let expected = "\
app/Dockerfile  -O2
 line   ships    waste                time  cache  instruction
 1          -        -                             tools: FROM alpine AS tools
 2          -        -            1:01 min  hit    tools: RUN make
 4     7.8 MB  13.6 kB  ██           2.1 s         FROM alpine
 5-7   2.8 MB  38.2 MB  █░░░░░░░    12.3 s         RUN pip install flask reques…
 8          -        -               80 ms         RUN rm -rf /root/.cache
 9       40 B        -  ▏             9 ms  hit    COPY app.py /app/
 10         -        -                             CMD [\"python\"]
lines 11-12: the stage old is not needed and was not built

waste: 38.2 MB in 3 files that no container sees
lines 5-7    38.2 MB in 2 files (the largest: /root/.cache/pip/x, 19.1 MB),
             deleted by line 8; not written (shadowed-files)
line 4       13.6 kB in 1 file (/etc/x), overwritten by lines 5-7; in the image:
             base layers stay
image:       2 layers, 6.2 MB stored; 2.8 MB of files from these lines, 7.8 MB
             from the base
time:        14.2 s in all; 2 of 4 steps came from the cache, which saved
             1:01 min

changes, measured by building both forms
lines 5-7    pip-cache: pip keeps what it downloaded: 100 %; measured: 41.0 MB →
             2.8 MB (38.2 MB less, all of it waste), layers 2 → 1
line 4       latest-tag: advice: alpine has no tag
";
    assert_eq!(text, expected, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn wide_terminals_show_whole_instructions_and_stored_sizes() {
    let mut report = report();
    report.rows[3].stored = Some(2_700_000);
    let text = without_styles(&lines_human(&report, 120));
    assert!(text.contains("stored") && text.contains("2.7 MB"), "{text}");
    assert!(text.contains("RUN pip install flask requests and many more"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

#[test]
fn nothing_is_said_of_what_is_not_there() {
    let mut report = report();
    (report.waste, report.changes, report.unneeded, report.image) = Default::default();
    let text = without_styles(&lines_human(&report, 80));
    assert!(text.contains("waste: none") && !text.contains("changes") && !text.contains("old"), "{text}");
    assert!(text.contains("image:       2.8 MB of files"), "{text}");
}

#[test]
fn programs_read_bytes_and_milliseconds() {
    let value = lines_json(&report());
    let expected = serde_json::json!({
        "lines": [5, 7], "built_lines": null, "stage": null, "instruction": "RUN pip install flask requests and many more",
        "is_base": false, "in_image": true, "files": 90, "added_bytes": 41_000_000, "shipped_bytes": 2_800_000,
        "wasted_bytes": 38_200_000, "stored_bytes": null, "cached": false, "took_ms": 12_300, "made_in_ms": 12_250,
    });
    assert_eq!(value["lines"][3], expected);
    assert_eq!(value["lines"][1]["in_image"], false);
    let expected = serde_json::json!({
        "lines": [5, 7], "hidden_by_lines": [8, 8], "is_base": false, "cause": "deleted", "files": 2, "bytes": 38_200_000,
        "largest_file": { "path": "/root/.cache/pip/x", "bytes": 19_100_000 }, "in_image": false,
        "dropped_by": "shadowed-files", "kept_because": null,
    });
    assert_eq!(value["waste"][0], expected);
    assert_eq!(value["changes"][0]["measured"]["saved_bytes"], 38_200_000);
    assert_eq!((&value["changes"][1]["outcome"], &value["changes"][1]["measured"]), (&"advice".into(), &Value::Null));
    let expected = serde_json::json!({
        "base_bytes": 7_786_400, "own_bytes": 2_800_040, "wasted_bytes": 38_213_600, "wasted_bytes_in_image": 13_600,
        "steps": 4, "cached_steps": 2, "saved_by_cache_ms": 61_005, "took_ms": 14_200,
    });
    assert_eq!(value["totals"], expected);
    assert_eq!(value["image"], serde_json::json!({ "layers": 2, "stored_bytes": 6_200_000 }));
    assert_eq!(value["unneeded_stages"], serde_json::json!([{ "stage": "old", "lines": [11, 12] }]));
}

#[test]
fn github_gets_notices_the_heaviest_line_first() {
    let expected = "\
::notice file=app/Dockerfile,line=5,endLine=7,title=41.0 MB::RUN pip install flask requests and many more%0Aships 2.8 MB%0A38.2 MB wasted: deleted by line 8; not written (shadowed-files)%0Atakes 12.3 s
::notice file=app/Dockerfile,line=4,endLine=4,title=7.8 MB::FROM alpine%0Aships 7.8 MB%0A13.6 kB wasted: overwritten by lines 5-7; in the image: base layers stay
::notice file=app/Dockerfile,line=9,endLine=9,title=40 B::COPY app.py /app/%0Aships 40 B%0Atakes 9 ms, which the cache saved
::notice file=app/Dockerfile,line=5,endLine=7,title=pip-cache::pip keeps%0Awhat it downloaded: 100 %25%0Ameasured: 41.0 MB → 2.8 MB (38.2 MB less, all of it waste), layers 2 → 1
::notice file=app/Dockerfile,line=4,endLine=4,title=latest-tag::advice: alpine has no tag
";
    assert_eq!(lines_github(&report()), expected);
}
