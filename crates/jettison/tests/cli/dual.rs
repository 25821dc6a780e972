//! Images in two packings, and kept layers that are packed anew.

use jettison_image::Digest;
use serde_json::{Value, json};

use crate::image::{APP_SEEN, ELSEWHERE, HERE, Image, entries};
use crate::place::{Dialect, Layout, Packing, for_platform};
use crate::run::{Folder, run};
use crate::written::{Written, WrittenImage};

const ZSTD: &str = "io.github.containers.compression.zstd";

/// An index of this machine's platform and another one.
fn two_platforms(packings: [Packing; 2]) -> Layout {
    let mut layout = Layout::default();
    let all: Vec<Value> = [HERE, ELSEWHERE]
        .into_iter()
        .zip(packings)
        .map(|(architecture, packing)| {
            let image = Image::app().of_architecture(architecture);
            for_platform(layout.image(&image, packing, Dialect::Oci), &format!("linux/{architecture}"))
        })
        .collect();
    let index = layout.index(&all, Dialect::Oci);
    layout.tag(&index, "app:1");
    layout
}

/// The architectures of an index, each with whether its annotation says zstd.
fn instances(manifests: &[Value]) -> Vec<(&str, bool)> {
    let architecture = |manifest: &Value| manifest["platform"]["architecture"] == HERE;
    manifests
        .iter()
        .map(|manifest| {
            (if architecture(manifest) { HERE } else { ELSEWHERE }, manifest["annotations"][ZSTD] == "true")
        })
        .collect()
}

fn notes(report: &Value) -> Vec<&str> {
    report["notes"].as_array().expect("notes").iter().filter_map(Value::as_str).collect()
}

/// The one image of an output, and the notes of its report.
fn optimized(folder: &Folder, options: &str) -> (WrittenImage, Vec<String>) {
    let line = format!("optimize oci:{0}/in -o oci-archive:{0}/out --format json {options}", folder.at(""));
    let report = run(&line).ok().json();
    let notes = notes(&report).into_iter().map(str::to_owned).collect();
    (Written::at(folder.at("out")).image(), notes)
}

#[test]
fn one_image_becomes_an_index_of_two_instances() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Members, "app:1").files().to_folder(folder.at("in"));
    for transport in ["oci", "oci-archive"] {
        let target = folder.at(transport);
        let line = format!("optimize oci:{} -o {transport}:{target} --dual", folder.at("in"));
        let reports = run(&format!("{line} --format json")).ok().json();
        let written = Written::at(&target);
        let (_, manifests) = written.index();
        assert_eq!(written.names(), ["app:1"]);
        // Clients that know nothing of packings take the first one for their platform.
        assert_eq!(instances(&manifests), [(HERE, false), (HERE, true)]);
        let [gzip, zstd] = [0, 1].map(|at| written.image_of(&manifests[at]));
        assert_eq!((gzip.packings(), zstd.packings()), (packed(["+gzip", "+gzip"]), packed(["+gzip", "+zstd"])));
        assert_eq!(gzip.manifest["config"], zstd.manifest["config"], "one image ID");
        assert_eq!(gzip.blobs[0], Packing::Members.pack(&Image::app().layers[0]));
        assert_eq!(gzip.blobs[0], zstd.blobs[0], "the base's layer keeps its bytes");
        assert_eq!((gzip.seen(), zstd.seen()), (entries(APP_SEEN), entries(APP_SEEN)));
        // Each was judged, and measured on its own.
        let reports = reports.as_array().expect("a report for each");
        for ((report, image), packing) in reports.iter().zip([&gzip, &zstd]).zip(["gzip", "zstd"]) {
            assert_eq!((&report["digest"], &report["packing"]), (&json!(image.digest), &json!(packing)));
            assert_eq!(report["proof"]["equal"], true);
            assert_eq!(report["after"]["stored"], image.blobs.iter().map(Vec::len).sum::<usize>());
        }
        // Read again, the first one is taken.
        let weighed = run(&format!("weigh {transport}:{target} --format json")).ok().json();
        assert_eq!(weighed["digest"], gzip.digest[7..19]);
        let human = run(&line).ok().out;
        assert_eq!(human.matches("proof: equal").count(), 2, "{human}");
        assert_eq!(human.matches("pass split-layers").count(), 1, "what was done is said once: {human}");
    }
}

fn packed<const N: usize>(suffixes: [&str; N]) -> Vec<String> {
    suffixes.map(str::to_owned).to_vec()
}

#[test]
fn a_second_run_gives_the_same_index() {
    let folder = Folder::new();
    two_platforms([Packing::Gzip, Packing::Zstd]).files().to_folder(folder.at("in"));
    for (number, (options, agains)) in [
        ("", &["--dual", "", "-O0", "--dual -O0", "--dual --compression zstd:9"][..]),
        ("--recompress-base", &["--dual", "", "--dual --recompress-base", "--recompress-base"]),
        ("--compression zstd:1,long", &["--dual", "", "--dual --compression zstd:1,long"]),
        ("--compression gzip:9 -O1 --layers 2", &["--dual -O0", "--dual --layers 2 -O1", "--layers 2"]),
        ("-O0", &["-O0", "--dual -O0"]),
    ]
    .into_iter()
    .enumerate()
    {
        let (first, again) = (folder.at(&number.to_string()), folder.at("again"));
        run(&format!("optimize oci:{} -o oci:{first} --dual {options}", folder.at("in"))).ok();
        let written = Written::at(&first);
        let (_, manifests) = written.index();
        // Where the base's layer stays zstd, both instances take zstd.
        let is_kept = !options.contains("recompress");
        let expected = [(HERE, false), (ELSEWHERE, is_kept), (HERE, true), (ELSEWHERE, true)];
        assert_eq!(instances(&manifests), expected, "{options}");
        for options_again in agains {
            run(&format!("optimize oci:{first} -o oci-archive:{again} {options_again}")).ok();
            let digest = |listed: Vec<Value>| listed[0]["digest"].clone();
            assert_eq!(digest(Written::at(&again).listed()), digest(written.listed()), "{options} / {options_again}");
        }
    }
    // One platform of it is the gzip instance, and in both packings again what it was.
    let one = format!("optimize oci:{0}/0 -o oci:{0}/one --platform linux/{HERE}", folder.at(""));
    run(&one).ok();
    let image = Written::at(folder.at("one")).image();
    let (_, manifests) = Written::at(folder.at("0")).index();
    assert_eq!(image.digest, manifests[0]["digest"]);
    run(&one.replace("/one", "/two").replace("--platform", "--dual --platform")).ok();
    let (_, both) = Written::at(folder.at("two")).index();
    assert_eq!(both, [manifests[0].clone(), manifests[2].clone()]);
}

#[test]
fn what_was_written_by_others_is_optimized_in_both_packings() {
    // As `podman manifest` and `skopeo copy` make them, with own layers that are not merged yet.
    let mut layout = Layout::default();
    let mut instance =
        |packing: Packing| for_platform(layout.image(&Image::app(), packing, Dialect::Oci), &format!("linux/{HERE}"));
    let (gzip, mut zstd) = (instance(Packing::Gzip), instance(Packing::Zstd));
    zstd["annotations"] = json!({ ZSTD: "true", "note": "kept" });
    let index = layout.index(&[zstd, gzip], Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    let line = format!("optimize oci:{0}/in -o oci:{0}/out", folder.at(""));
    run(&line).ok();
    let written = Written::at(folder.at("out"));
    let (_, manifests) = written.index();
    // In the order that they had, each with the base's layers that it had.
    let images = [0, 1].map(|at| written.image_of(&manifests[at]));
    assert_eq!(images.each_ref().map(WrittenImage::packings), [packed(["+zstd"; 2]), packed(["+gzip"; 2])]);
    assert_eq!(images[0].blobs[0], Packing::Zstd.pack(&Image::app().layers[0]));
    assert_eq!(manifests[0]["annotations"], json!({ ZSTD: "true", "note": "kept" }));
    assert_eq!(manifests[1].get("annotations"), None);
    assert_eq!(images[0].manifest["config"], images[1].manifest["config"]);
    // Who asks for both gets gzip first; who asks for one gets one.
    run(&format!("{line}2 --dual")).ok();
    let (_, sorted) = Written::at(folder.at("out2")).index();
    assert_eq!(sorted, [manifests[1].clone(), manifests[0].clone()]);
    for (compression, kept) in [("gzip", &manifests[1]), ("zstd", &manifests[0])] {
        run(&format!("{line}3 --compression {compression}")).ok();
        let (_, one) = Written::at(folder.at("out3")).index();
        assert_eq!(one, std::slice::from_ref(kept), "{compression}");
    }
}

#[test]
fn own_layers_that_nothing_changes_are_in_both_packings_all_the_same() {
    let text = "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1 \"RUN a\"\n f 0644 0:0 4000*\"a\" /a";
    let folder = Folder::new();
    for (packing, suffix) in [(Packing::Zstd, "+zstd"), (Packing::Gzip, "+gzip"), (Packing::Plain, "")] {
        let target = folder.at(&format!("{packing:?}"));
        let input = folder.at(&format!("{packing:?}-in"));
        Layout::of(&Image::of(text), packing, "1").files().to_folder(&input);
        run(&format!("optimize oci:{input} -o oci:{target} --dual")).ok();
        let written = Written::at(&target);
        let (_, manifests) = written.index();
        let images = [0, 1].map(|at| written.image_of(&manifests[at]));
        assert_eq!(images.each_ref().map(WrittenImage::packings), [packed(["+gzip"]), packed(["+zstd"])]);
        assert!(images.iter().all(|image| image.tars == Image::of(text).layers));
        assert!(images.iter().all(|image| image.config == Image::of(text).config_json()));
        let given = Written::at(&input).image();
        assert_eq!(images.iter().any(|image| image.digest == given.digest), !suffix.is_empty(), "{suffix}");
    }
}

#[test]
fn an_image_that_is_all_base_has_one_packing() {
    let mut base = Image::app();
    base.layers.truncate(1);
    let base = base.with_config(|config| {
        config["rootfs"]["diff_ids"].as_array_mut().expect("diff IDs").truncate(1);
        config.as_object_mut().expect("a config").shift_remove("history");
    });
    let folder = Folder::new();
    Layout::of(&base, Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let line = format!("optimize oci:{0}/in -o oci:{0}/out --dual --base oci:{0}/in --format json", folder.at(""));
    let report = run(&line).ok().json();
    assert!(notes(&report).iter().any(|note| note.contains("one packing only")), "{report}");
    assert_eq!(Written::at(folder.at("out")).image().digest, Written::at(folder.at("in")).image().digest);
    run(&format!("{line} --recompress-base")).ok();
    assert_eq!(instances(&Written::at(folder.at("out")).index().1), [(HERE, false), (HERE, true)]);
}

#[test]
fn both_packings_share_one_receipt() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let line = "optimize oci:@/in -o oci:@/out --dual --attach-receipt --receipt @/receipt";
    run(&line.replace('@', folder.at("").trim_end_matches('/'))).ok();
    let receipt: Value =
        serde_json::from_slice(&std::fs::read(folder.at("receipt")).expect("a receipt")).expect("JSON");
    assert!(receipt.is_object());
    let written = Written::at(folder.at("out"));
    let attached: Vec<Value> = written
        .index()
        .1
        .iter()
        .map(|manifest| written.image_of(manifest).manifest["annotations"]["dev.jettison.receipt"].clone())
        .collect();
    assert!(attached[0].is_string() && attached[0] == attached[1], "{attached:?}");
    let shown = run(&format!("receipt oci:{} --format json", folder.at("out"))).ok().json();
    assert_eq!(shown, receipt);
}

#[test]
fn places_and_formats_that_hold_no_two_packings_are_refused() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let input = format!("oci:{}", folder.at("in"));
    run(&format!("optimize {input} -o docker-archive:{} --dual", folder.at("out")))
        .fails(2, &["--dual", "docker-archive", "oci-archive:FILE"]);
    run(&format!("optimize {input} -o docker-daemon:app --dual")).fails(2, &["--dual", "engines"]);
    run(&format!("optimize {input} -o oci:{} --dual --compression none", folder.at("out")))
        .fails(2, &["--dual", "gzip and zstd"]);
    assert_eq!(folder.names(), ["in"]);
}

#[test]
fn local_images_may_be_in_both_packings() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let cache = format!("--cache-dir {}", folder.at("cache"));
    run(&format!("optimize oci:{} -o local:app --dual {cache}", folder.at("in"))).ok();
    let weighed = run(&format!("weigh local:app {cache} --format json")).ok().json();
    run(&format!("optimize local:app -o oci:{} {cache}", folder.at("out"))).ok();
    let (_, manifests) = Written::at(folder.at("out")).index();
    assert_eq!(instances(&manifests), [(HERE, false), (HERE, true)]);
    assert_eq!(weighed["digest"], manifests[0]["digest"].as_str().expect("a digest")[7..19]);
}

#[test]
fn the_bases_layers_are_packed_anew_where_that_is_asked_for() {
    let folder = Folder::new();
    let mut layout = Layout::default();
    let digest = format!("sha256:{}", "3".repeat(64));
    let manifest = layout.image_with(&Image::app(), Packing::Zstd, Dialect::Oci, |manifest| {
        manifest["annotations"] = json!({ "org.opencontainers.image.base.digest": digest });
        manifest["layers"][0]["annotations"] = json!({
            "io.github.containers.zstd-chunked.manifest-checksum": "sha256:0",
            "containerd.io/uncompressed": "sha256:1",
        });
        manifest["layers"][0]["urls"] = json!(["https://example.org/layer"]);
    });
    layout.tag(&manifest, "1");
    layout.files().to_folder(folder.at("in"));
    let (kept, _) = optimized(&folder, "-O1");
    assert_eq!(kept.packings(), ["+zstd", "+gzip"]);
    let (image, notes) = optimized(&folder, "-O1 --recompress-base");
    assert_eq!(image.packings(), ["+gzip", "+gzip"]);
    assert_eq!((&image.tars, &image.config), (&kept.tars, &kept.config));
    // What is said of the base is true of its content still; what is said of the old bytes is not.
    assert_eq!(image.manifest["annotations"], kept.manifest["annotations"]);
    assert_eq!(image.manifest["layers"][0]["annotations"], json!({ "containerd.io/uncompressed": "sha256:1" }));
    assert_eq!(image.manifest["layers"][0].get("urls"), None);
    assert!(notes.iter().any(|note| note.contains("the base's layers are packed anew")), "{notes:?}");
    for (options, packings) in [
        ("-O1 --recompress-base --compression zstd:19,long", packed(["+zstd", "+zstd"])),
        ("-O1 --recompress-base --compression none", packed(["", ""])),
        ("-O0 --recompress-base", packed(["+gzip"; 4])),
    ] {
        let (image, _) = optimized(&folder, options);
        assert_eq!(image.packings(), packings, "{options}");
        assert_eq!(image.seen(), entries(APP_SEEN), "{options}");
    }
    let (image, notes) = optimized(&folder, "-O1 --recompress-base --squash-all");
    assert_eq!(image.packings(), ["+gzip"]);
    assert!(!notes.iter().any(|note| note.contains("anew")), "{notes:?}");
}

#[test]
fn layers_that_may_not_be_handed_on_keep_their_bytes() {
    let mut layout = Layout::default();
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    let manifest = layout.image_with(&Image::app(), Packing::Gzip, Dialect::Oci, |manifest| {
        manifest["layers"][0]["mediaType"] = json!(foreign);
    });
    layout.tag(&manifest, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    run(&format!("optimize oci:{0}/in -o oci:{0}/out --recompress-base --compression zstd", folder.at(""))).ok();
    let bytes = std::fs::read(folder.at("out/index.json")).expect("an index");
    let index: Value = serde_json::from_slice(&bytes).expect("JSON");
    let name = index["manifests"][0]["digest"].as_str().expect("a digest").replace(':', "/");
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.at(&format!("out/blobs/{name}"))).expect("a manifest"))
            .expect("JSON");
    assert_eq!(manifest["layers"][0]["mediaType"], foreign);
    assert_eq!(manifest["layers"][0]["digest"], Digest::of(&Packing::Gzip.pack(&Image::app().layers[0])).to_string());
}

#[test]
fn own_layers_that_stay_are_not_packed_anew_unasked_and_that_is_said() {
    let folder = Folder::new();
    let text = "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1 \"RUN a\"\n f 0644 0:0 4000*\"a\" /a";
    Layout::of(&Image::of(text), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let before = Written::at(folder.at("in")).image();
    for (options, packing, says) in [
        ("--compression zstd", "+gzip", true),
        ("--compression gzip:9", "+gzip", false),
        ("", "+gzip", false),
        ("--compression zstd --recompress-base", "+zstd", false),
    ] {
        let (image, notes) = optimized(&folder, options);
        assert_eq!(image.packings(), [packing], "{options}");
        assert_eq!(image.digest == before.digest, packing == "+gzip", "{options}");
        let said = notes.iter().any(|note| note.contains("packed by gzip: --recompress-base packs them by zstd"));
        assert_eq!(said, says, "{options}: {notes:?}");
    }
}

#[test]
fn an_image_for_old_clients_that_they_cannot_read_is_said() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Zstd, "1").files().to_folder(folder.at("in"));
    for (options, says) in [("", true), ("--recompress-base", false)] {
        let line = format!("optimize oci:{0}/in -o oci:{0}/out --dual {options} --format json", folder.at(""));
        let reports = run(&line).ok().json();
        let said = notes(&reports[0]).iter().any(|note| note.contains("which old clients cannot read"));
        assert_eq!(said, says, "{reports}");
        assert_eq!(instances(&Written::at(folder.at("out")).index().1)[0], (HERE, says));
    }
}
