//! Where the base ends: named, annotated, noted in the history; and what is done where it can't be told.

use serde_json::{Value, json};

use crate::image::{APP_SEEN, ELSEWHERE, HERE, Image, entries};
use crate::place::{Dialect, Layout, Packing, docker_archive, for_platform};
use crate::run::{Folder, run, state};
use crate::written::Written;

/// An app of four layers whose history says nothing of its base.
fn untold() -> Image {
    Image::app().with_config(|config| {
        for (at, entry) in config["history"].as_array_mut().expect("a history").iter_mut().enumerate() {
            entry["created_by"] = json!(format!("step {at}"));
            entry.as_object_mut().expect("an entry").shift_remove("comment");
        }
    })
}

/// The image of the app's first `count` layers.
fn base_of(count: usize) -> Image {
    let mut image = Image::app().with_config(|config| {
        config["rootfs"]["diff_ids"].as_array_mut().expect("diff IDs").truncate(count);
        config.as_object_mut().expect("a config").shift_remove("history");
    });
    image.layers.truncate(count);
    image
}

/// Optimizes; gives the report, and the digests of the layers before and after.
fn optimized(folder: &Folder, input: &str, options: &str) -> (Value, Vec<Vec<u8>>) {
    let report =
        run(&format!("optimize {input} -o oci-archive:{} --format json {options}", folder.at("out"))).ok().json();
    let image = Written::at(folder.at("out")).image();
    assert_eq!(image.seen(), entries(APP_SEEN));
    (report, image.tars)
}

#[test]
fn the_base_is_the_one_named() {
    let folder = Folder::new();
    Layout::of(&untold(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    for count in 1..=3 {
        docker_archive(&[(&base_of(count), &["base:1"])], Packing::Plain).to_archive(folder.at("base.tar"));
        Layout::of(&base_of(count), Packing::Zstd, "b").files().to_folder(folder.at(&format!("base{count}")));
        for base in [
            format!("docker-archive:{}", folder.at("base.tar")),
            format!("oci:{}:b", folder.at(&format!("base{count}"))),
        ] {
            let (report, tars) = optimized(&folder, &format!("oci:{}", folder.at("in")), &format!("--base {base}"));
            assert_eq!(report["base"], json!({ "layers": count, "evidence": format!("named by --base {base}") }));
            assert_eq!((tars.len(), &tars[..count]), (count + 1, &untold().layers[..count]));
            let weighed = run(&format!("weigh oci:{} --format json --base {base}", folder.at("in"))).ok().json();
            assert_eq!(weighed["base"], report["base"]);
        }
    }
}

#[test]
fn a_base_of_several_platforms_is_taken_for_the_images_own() {
    let folder = Folder::new();
    Layout::of(&untold(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let mut layout = Layout::default();
    let other = Image::of("config {}\nlayer 1\n f 0644 0:0 \"\" /other")
        .with_config(|config| config["architecture"] = json!(ELSEWHERE));
    let manifests = [(&other, ELSEWHERE), (&base_of(2), HERE)].map(|(image, architecture)| {
        for_platform(layout.image(image, Packing::Gzip, Dialect::Oci), &format!("linux/{architecture}"))
    });
    let index = layout.index(&manifests, Dialect::Oci);
    layout.tag(&index, "base:1");
    layout.files().to_folder(folder.at("base"));
    let (report, _) =
        optimized(&folder, &format!("oci:{}", folder.at("in")), &format!("--base oci:{}", folder.at("base")));
    assert_eq!(report["base"]["layers"], 2);
}

#[test]
fn what_is_not_the_base_is_refused() {
    let folder = Folder::new();
    Layout::of(&untold(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    Layout::of(&Image::of("config {}\nlayer 1\n f 0644 0:0 \"\" /x"), Packing::Gzip, "1")
        .files()
        .to_folder(folder.at("other"));
    let mut longer = untold();
    longer.layers.push(longer.layers[0].clone());
    let ids = longer.config_json()["rootfs"]["diff_ids"].clone();
    longer =
        longer.with_config(|config| config["rootfs"]["diff_ids"].as_array_mut().expect("IDs").push(ids[0].clone()));
    Layout::of(&longer, Packing::Gzip, "1").files().to_folder(folder.at("longer"));
    std::fs::write(folder.at("out"), "precious").expect("writes");
    let before = state(folder.path());
    for (base, layer) in [("other", "its layer 1"), ("longer", "its layer 5")] {
        for command in ["weigh IN", "optimize IN -o oci-archive:OUT"] {
            let line = command.replace("IN", &format!("oci:{}", folder.at("in"))).replace("OUT", &folder.at("out"));
            let base = format!("oci:{}", folder.at(base));
            run(&format!("{line} --base {base}"))
                .fails(2, &[&format!("{base} is not the base of oci:{}", folder.at("in")), layer, "hint:"]);
        }
    }
    run(&format!("weigh oci:{} --base oci:{}", folder.at("in"), folder.at("none"))).fails(3, &[&folder.at("none")]);
    run(&format!("weigh oci:{0}/in --base oci:{0}/other --squash-all", folder.at(""))).fails(2, &["--squash-all"]);
    assert_eq!(state(folder.path()), before);
}

/// The layout with the app, annotated, and its base beside it.
fn annotated(with_base: bool) -> Layout {
    let mut layout = Layout::default();
    let mut only_for_digest = Layout::default();
    let base =
        if with_base { &mut layout } else { &mut only_for_digest }.image(&base_of(2), Packing::Gzip, Dialect::Oci);
    let app = layout.image_with(&untold(), Packing::Gzip, Dialect::Oci, |manifest| {
        manifest["annotations"] = json!({
            "org.opencontainers.image.base.digest": base["digest"],
            "org.opencontainers.image.base.name": "docker.io/library/base:1",
            "other": "stays",
        });
    });
    layout.tag(&app, "app:1");
    layout.docker(&app, &["app:1"]);
    if with_base {
        layout.tag(&base, "base:1");
        layout.docker(&base, &["base:1"]);
    }
    layout
}

#[test]
fn the_base_is_the_one_annotated_where_it_is_at_hand() {
    let folder = Folder::new();
    annotated(true).files().to_folder(folder.at("oci"));
    annotated(true).files().to_archive(folder.at("tar"));
    for place in ["oci:oci:app:1", "oci-archive:tar:app:1", "docker-archive:tar:app:1"] {
        let place = place.replacen(':', &format!(":{}/", folder.path().display()), 1);
        let (report, tars) = optimized(&folder, &place, "");
        assert_eq!(report["base"]["layers"], 2, "{place}: {report}");
        assert!(report["base"]["evidence"].as_str().is_some_and(|text| text.contains("base annotation")), "{report}");
        assert_eq!(&tars[..2], &untold().layers[..2]);
        let annotations = &Written::at(folder.at("out")).image().manifest["annotations"];
        assert_eq!(annotations["org.opencontainers.image.base.name"], "docker.io/library/base:1");
    }
}

#[test]
fn an_annotated_base_that_is_not_at_hand_is_named_in_a_note() {
    let folder = Folder::new();
    annotated(false).files().to_folder(folder.at("in"));
    let (report, tars) = optimized(&folder, &format!("oci:{}", folder.at("in")), "");
    assert_eq!((&report["base"]["layers"], tars.len()), (&json!(0), 1));
    assert!(report["notes"].to_string().contains("docker.io/library/base:1"), "{report}");
    let ran = run(&format!("weigh oci:{}", folder.at("in"))).ok();
    assert!(ran.out.contains("note: the annotations name the base docker.io/library/base:1"), "{}", ran.out);
}

#[test]
fn merging_the_base_takes_its_annotations_away() {
    let folder = Folder::new();
    annotated(true).files().to_folder(folder.at("in"));
    let (report, tars) = optimized(&folder, &format!("oci:{}:app:1", folder.at("in")), "--squash-all");
    assert_eq!((&report["base"]["layers"], tars.len()), (&json!(0), 1));
    let annotations = &Written::at(folder.at("out")).image().manifest["annotations"];
    assert_eq!(*annotations, json!({ "other": "stays" }));
    for key in ["base.digest", "base.name"] {
        assert!(report["notes"].to_string().contains(key), "{report}");
    }
}

#[test]
fn the_history_tells_where_a_builder_noted_the_base() {
    let buildah = untold().with_config(|config| {
        config["history"][4]["comment"] = json!("FROM docker.io/library/base:1");
        config["history"][4]["created_by"] = json!("/bin/sh -c chmod 755 /app/run");
    });
    let imported = untold().with_config(|config| config["history"][0]["comment"] = json!("Imported from -"));
    let other_builder = untold().with_config(|config| {
        config["history"][0]["created_by"] = json!("/bin/sh -c #(nop) ADD file:1 in /");
        config["history"][2]["created_by"] = json!("/bin/sh -c make");
        config["history"][4]["created_by"] = json!("RUN /bin/sh -c chmod # buildkit");
        config["history"][5]["created_by"] = json!("RUN /bin/sh -c rm # buildkit");
    });
    let cases = [
        (buildah, 2, "FROM docker.io/library/base:1"),
        (imported, 1, "imported"),
        (other_builder, 2, "another builder"),
        (Image::app(), 1, "root file system"),
    ];
    let folder = Folder::new();
    for (number, (image, layers, evidence)) in cases.into_iter().enumerate() {
        Layout::of(&image, Packing::Gzip, "1").files().to_folder(folder.at(&number.to_string()));
        let (report, tars) = optimized(&folder, &format!("oci:{}", folder.at(&number.to_string())), "");
        assert_eq!(report["base"]["layers"], layers, "{evidence}: {report}");
        assert!(report["base"]["evidence"].to_string().contains(evidence), "{report}");
        assert_eq!(&tars[..layers], &image.layers[..layers]);
    }
}

#[test]
fn where_nothing_tells_all_layers_are_own_and_that_is_said() {
    let folder = Folder::new();
    Layout::of(&untold(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let (report, tars) = optimized(&folder, &format!("oci:{}", folder.at("in")), "");
    assert_eq!((&report["base"]["layers"], tars.len()), (&json!(0), 1));
    let ran = run(&format!("weigh oci:{}", folder.at("in"))).ok();
    assert!(
        ran.out.contains("base: 0 layers (no base could be told for certain; name it with --base IMAGE)"),
        "{}",
        ran.out
    );
}

#[test]
fn an_image_that_is_all_base_stays_as_it_is() {
    let folder = Folder::new();
    Layout::of(&untold(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let before = Written::at(folder.at("in")).image();
    let (report, _) =
        optimized(&folder, &format!("oci:{}", folder.at("in")), &format!("--base oci:{}", folder.at("in")));
    assert_eq!(report["base"]["layers"], 4);
    assert_eq!(Written::at(folder.at("out")).image().digest, before.digest);
}

#[test]
fn a_base_of_no_layers_keeps_none() {
    // `FROM scratch`, given a name.
    let folder = Folder::new();
    Layout::of(&untold(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    Layout::of(&base_of(0), Packing::Gzip, "1").files().to_folder(folder.at("scratch"));
    let options = format!("--base oci:{}", folder.at("scratch"));
    let (report, tars) = optimized(&folder, &format!("oci:{}", folder.at("in")), &options);
    assert_eq!((&report["base"]["layers"], tars.len()), (&json!(0), 1));
}
