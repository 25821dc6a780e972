//! The config is kept field for field, and the history says what was merged.

use serde_json::{Value, json};

use crate::image::{APP_SEEN, HERE, Image, entries};
use crate::place::{Layout, Packing};
use crate::run::{Folder, run};
use crate::written::{Written, WrittenImage};

/// Every field that engines write, and some that none does.
fn full() -> Image {
    Image::app().with_config(|config| {
        let object = config.as_object_mut().expect("an object");
        let rootfs = object.shift_remove("rootfs").expect("a rootfs");
        let history = object.shift_remove("history").expect("a history");
        *config = json!({
            "created": "2024-01-05T00:00:00.123456789Z",
            "author": "Ann <a@example.org>",
            "architecture": HERE,
            "variant": "v9",
            "os": "linux",
            "os.version": "1.2",
            "os.features": ["a", "b"],
            "docker_version": "20.10.1",
            "container": "abc",
            "container_config": { "Cmd": ["/bin/sh", "-c", "#(nop) CMD"], "Tty": false },
            "config": {
                "User": "1000:1000",
                "ExposedPorts": { "80/tcp": {} },
                "Env": ["PATH=/bin", "EMPTY=", "UTF=ä\u{1F600}<&>"],
                "Entrypoint": ["/app/run"],
                "Cmd": null,
                "Volumes": { "/data": {} },
                "WorkingDir": "/app",
                "Labels": { "b": "2", "a": "1" },
                "StopSignal": "SIGQUIT",
                "ArgsEscaped": true,
                "Healthcheck": { "Test": ["CMD", "true"], "Interval": 30_000_000_000_u64, "Retries": 3 },
                "OnBuild": ["RUN x"],
                "Shell": ["/bin/bash", "-c"],
                "Memory": -1,
                "unknown": { "nested": [{ "deep": 1.5 }] },
            },
            "rootfs": rootfs,
            "x-unknown": [1, "two", null, { "three": 3 }],
            "history": history,
            "moby.buildkit.buildinfo.v1": "eyJ9",
        });
    })
}

fn optimized(image: &Image, options: &str) -> WrittenImage {
    let folder = Folder::new();
    Layout::of(image, Packing::Gzip, "1").files().to_archive(folder.at("in"));
    run(&format!("optimize oci-archive:{0}/in -o oci-archive:{0}/out {options}", folder.at(""))).ok();
    Written::at(folder.at("out")).image()
}

fn settings(config: &Value) -> Value {
    let mut settings = config.clone();
    settings["rootfs"]["diff_ids"].take();
    settings["history"].take();
    settings
}

#[test]
fn every_field_stays_in_its_place() {
    let before = full().config_json();
    for options in ["-O1", "-O0", "--squash-all", "--layers 2", "--skip split-layers"] {
        let after = optimized(&full(), options).config;
        // Their texts, so that the order of fields counts as well.
        assert_eq!(settings(&after).to_string(), settings(&before).to_string(), "{options}");
    }
}

#[test]
fn the_manifests_own_fields_stay() {
    let folder = Folder::new();
    let mut layout = Layout::default();
    let manifest = layout.image_with(&full(), Packing::Gzip, crate::place::Dialect::Oci, |manifest| {
        manifest["annotations"] = json!({ "org.opencontainers.image.title": "app", "z": "1", "a": "2" });
        manifest["x-unknown"] = json!({ "a": [1] });
        manifest["layers"][0]["annotations"] = json!({ "of": "the base" });
    });
    layout.tag(&manifest, "1");
    layout.files().to_archive(folder.at("in"));
    run(&format!("optimize oci-archive:{0}/in -o oci-archive:{0}/out", folder.at(""))).ok();
    let manifest = Written::at(folder.at("out")).image().manifest;
    assert_eq!(manifest["annotations"], json!({ "org.opencontainers.image.title": "app", "z": "1", "a": "2" }));
    assert_eq!(manifest["x-unknown"], json!({ "a": [1] }));
    assert_eq!(manifest["layers"][0]["annotations"], json!({ "of": "the base" }));
    assert!(manifest["layers"][1].get("annotations").is_none());
}

#[test]
fn the_history_names_what_was_merged_and_keeps_the_rest() {
    let merged =
        "COPY . /app # buildkit ; RUN chmod 755 /app/run # buildkit ; RUN rm /app/run.o /etc/shadow # buildkit";
    let image = optimized(&full(), "");
    let base = "ADD rootfs.tar / # buildkit";
    assert_eq!(image.history(), [base, "[CMD [\"/bin/sh\"]]", "[ENV PATH=/bin]", merged, "[CMD [\"/app/run\"]]"]);
    let before = full().config_json();
    let entry = |at: usize| &image.config["history"][at];
    assert_eq!(*entry(0), before["history"][0]);
    assert_eq!(*entry(4), before["history"][6], "with its author");
    assert_eq!(
        (&entry(3)["created"], &entry(3)["comment"]),
        (&json!("2024-01-04T00:00:00Z"), &json!("jettison -O1: 3 layers"))
    );
    let squashed = optimized(&full(), "--squash-all");
    assert_eq!(squashed.history()[2], format!("{base} ; {merged}"));
    assert_eq!(squashed.history().len(), 4);
}

#[test]
fn each_of_several_layers_has_its_entry() {
    let image = optimized(&full(), "--skip split-layers");
    let expected = [
        "ADD rootfs.tar / # buildkit",
        "[CMD [\"/bin/sh\"]]",
        "[ENV PATH=/bin]",
        "COPY . /app # buildkit",
        "RUN chmod 755 /app/run # buildkit",
        "RUN rm /app/run.o /etc/shadow # buildkit",
        "[CMD [\"/app/run\"]]",
    ];
    assert_eq!(image.history(), expected);
    assert_eq!(image.tars.len(), 4);
}

/// The entries that stand for layers.
fn entries_of_layers(image: &WrittenImage) -> usize {
    image.history().iter().filter(|text| !text.starts_with('[')).count()
}

#[test]
fn an_image_without_a_history_gets_none() {
    for history in [None, Some(Value::Null)] {
        let image = full().with_config(|config| {
            let config = config.as_object_mut().expect("an object");
            config.shift_remove("history");
            config.extend(history.clone().map(|history| ("history".to_owned(), history)));
        });
        for options in ["-O0", "-O1", "--squash-all"] {
            let after = optimized(&image, options);
            assert!(after.config.get("history").is_none_or(Value::is_null), "{}", after.config);
            assert_eq!(after.seen(), entries(APP_SEEN));
        }
    }
}

#[test]
fn a_history_that_does_not_fit_comes_out_fitting() {
    let with_history = |edit: &dyn Fn(&mut Vec<Value>)| {
        full().with_config(|config| edit(config["history"].as_array_mut().expect("a history")))
    };
    let short = with_history(&|history| history.truncate(3));
    let empty = with_history(&Vec::clear);
    let no_layers = with_history(&|history| history.retain(|entry| entry["empty_layer"] == true));
    let long =
        with_history(&|history| history.extend([json!({ "created_by": "more" }), json!({ "created_by": "and more" })]));
    for (name, image) in [("short", short), ("empty", empty), ("no layers", no_layers), ("long", long)] {
        let empty_entries = |config: &Value| -> Vec<Value> {
            let history = config["history"].as_array().expect("a history");
            history.iter().filter(|entry| entry["empty_layer"] == true).cloned().collect()
        };
        for options in ["-O1", "--squash-all", "--layers 2", "--skip split-layers"] {
            let after = optimized(&image, options);
            assert_eq!(entries_of_layers(&after), after.tars.len(), "{name} {options}: {:?}", after.history());
            assert_eq!(empty_entries(&after.config), empty_entries(&image.config_json()), "{name} {options}");
            assert_eq!(after.seen(), entries(APP_SEEN));
        }
    }
}

#[test]
fn a_history_that_does_not_fit_is_copied_and_said() {
    let folder = Folder::new();
    let image = full().with_config(|config| config["history"].as_array_mut().expect("a history").truncate(3));
    Layout::of(&image, Packing::Gzip, "1").files().to_archive(folder.at("in"));
    let before = Written::at(folder.at("in")).image();
    let ran = run(&format!("optimize oci-archive:{0}/in -O0 -o oci-archive:{0}/out", folder.at(""))).ok();
    assert_eq!(Written::at(folder.at("out")).image().digest, before.digest);
    let note = "note: the history names 2 layers, but the image has 4";
    assert!(ran.out.contains(note), "{}", ran.out);
    let weighed = run(&format!("weigh oci-archive:{}", folder.at("in"))).ok();
    assert!(weighed.out.contains(note), "{}", weighed.out);
}
