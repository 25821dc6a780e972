//! `--prove` against a pass that is wrong on purpose: every kind of difference that an image can have is caught, whatever
//! else the proof has to do.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::prove::{Bench, withdrawn};

/// A Dockerfile with something of every kind in its image.
const EVERYTHING: &str = "FROM alpine:3.20\nARG SAYS=right\nRUN mkdir /w && printf right > /w/file && printf 'a\\nb\\n' > /w/lines\n\
                          RUN mkdir /w/folder && ln -s file /w/soft && touch /w/empty && ln /w/empty /w/hard\n\
                          RUN mkfifo /w/pipe && mknod /w/null c 1 3\n\
                          RUN chmod 0640 /w/file && chown 7:9 /w/lines && chmod 1777 /w/folder\n\
                          COPY data /w/copied\nADD marked.tar /w/\nRUN rm /etc/motd && printf \"$SAYS\" > /w/said\n\
                          ENV SAID=$SAYS\nWORKDIR /w\nUSER daemon\n";

/// A tar of one file with an extended attribute.
fn marked(path: &Path, value: &str) {
    let mut tar = tar::Builder::new(fs::File::create(path).expect("a file"));
    tar.append_pax_extensions([("SCHILY.xattr.user.note", value.as_bytes())]).expect("writes");
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(2);
    tar.append_data(&mut header, "marked", &b"1\n"[..]).expect("writes");
    tar.finish().expect("writes");
}

/// Tries wrong changes, each with the path or setting that differs and the kind of difference.
fn are_caught(bench: &Bench, wrong_ones: &[(&str, &str, &str)]) {
    let right = bench.prove(None, &[])["text"].clone();
    for (wrong, place, what) in wrong_ones {
        let report = bench.prove(Some(wrong), &[]);
        let all = report["proof"]["withdrawn"].as_array().expect("a list");
        assert_eq!(report["text"], right, "{wrong}: {report}");
        assert!(!all.is_empty() && all.iter().all(|one| one["pass"] == "wrong-on-purpose"), "{wrong}: {report}");
        let differs = |one: &Value| {
            let found = one["evidence"]["differs"].as_array().cloned().unwrap_or_default();
            found.iter().any(|found| (found["path"] == *place || found["setting"] == *place) && found["what"] == *what)
        };
        assert!(all.iter().any(differs), "{wrong}: {:?}", withdrawn(&report));
    }
}

fn everything() -> Bench {
    let bench = Bench::of(EVERYTHING);
    marked(&bench.context.join("marked.tar"), "right");
    marked(&bench.context.join("other.tar"), "wrong");
    bench
}

#[test]
fn wrong_files_are_caught() {
    are_caught(
        &everything(),
        &[
            ("printf right > /w/file=>printf wrong > /w/file", "/w/file", "content"),
            ("a\\nb\\n=>a\\nb\\nc\\n", "/w/lines", "content"),
            ("mkfifo /w/pipe=>true", "/w/pipe", "path"),
            ("touch /w/empty=>touch /w/empty /w/new", "/w/new", "path"),
            ("mkdir /w/folder=>touch /w/folder", "/w/folder", "type"),
            ("ln -s file=>ln -s lines", "/w/soft", "target"),
            ("rm /etc/motd=>true", "/etc/motd", "path"),
            ("printf \"$SAYS\"=>printf \"%s.\" \"$SAYS\"", "/w/said", "content"),
        ],
    );
}

#[test]
fn wrong_attributes_are_caught() {
    are_caught(
        &everything(),
        &[
            ("chmod 0640=>chmod 4640", "/w/file", "mode"),
            ("1777 /w/folder=>0777 /w/folder", "/w/folder", "mode"),
            ("chown 7:9=>chown 7:8", "/w/lines", "owner"),
            ("COPY data=>COPY --chmod=600 data", "/w/copied", "mode"),
            ("ln /w/empty=>cp -p /w/empty", "/w/hard", "hard links"),
            ("c 1 3=>c 1 5", "/w/null", "device"),
            ("c 1 3=>b 1 3", "/w/null", "type"),
            ("mkfifo=>touch", "/w/pipe", "type"),
            ("ADD marked.tar=>ADD other.tar", "/w/marked", "xattrs"),
        ],
    );
}

/// What an instruction sets, and the base with all that it sets, the driver itself does not let a pass change.
#[test]
fn wrong_settings_are_caught() {
    let bench = everything();
    let right = bench.prove(None, &[])["text"].clone();
    for wrong in [
        "USER daemon=>USER root",
        "WORKDIR /w=>WORKDIR /etc",
        "WORKDIR /w=>WORKDIR /w\nENV A=1",
        "USER daemon=>USER daemon\nCMD ls",
        "FROM alpine:3.20=>FROM alpine:3.20\nLABEL a=b",
        "FROM alpine:3.20=>FROM scratch",
        "SAYS=right=>SAYS=wrong",
    ] {
        // As a line of its own, where it is to be one.
        let report = bench.prove(Some(&wrong.replace("\\n", "\n")), &[]);
        assert_eq!(report["text"], right, "{wrong}: {report}");
        let refused =
            report["declines"].as_array().expect("a list").iter().any(|one| one["pass"] == "wrong-on-purpose");
        assert!(refused || !withdrawn(&report).is_empty(), "{wrong}: {report}");
    }
}
