//! Every place and packing that an image may come in: each command reads each, with the same result.

use serde_json::Value;

use crate::image::{APP_SEEN, ELSEWHERE, HERE, HERE_ALONE, Image, entries};
use crate::place::{Dialect, Files, Layout, Packing, blob_of, docker_archive, for_platform, gzip};
use crate::run::{Folder, finish, jettison, run};
use crate::written::Written;

/// An image that is not the one asked for.
fn other() -> Image {
    Image::of("config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1\n f 0644 0:0 \"other\" /other")
}

/// The same app in every form; each with the argument that names it.
fn forms(folder: &Folder) -> Vec<String> {
    let app = Image::app();
    let mut names = Vec::new();
    let mut number = 0;
    let mut add = |transport: &str, files: &Files, suffix: &str, pack: fn(&[u8]) -> Vec<u8>| {
        number += 1;
        let path = folder.at(&format!("form{number}"));
        if transport == "oci:" {
            files.to_folder(&path);
        } else {
            std::fs::write(&path, pack(&files.tar())).expect("writes");
        }
        names.push(format!("{transport}{path}{suffix}"));
    };
    let plain = |bytes: &[u8]| bytes.to_vec();
    for packing in [Packing::Plain, Packing::Gzip, Packing::Members, Packing::Zstd, Packing::Framed] {
        add("docker-archive:", &docker_archive(&[(&app, &["app:1"])], packing), "", plain);
        let layout = Layout::of(&app, packing, "1").files();
        add("oci:", &layout, "", plain);
        add("oci-archive:", &layout, ":1", plain);
        add("docker-archive:", &docker_25(&app, packing), "", plain);
    }
    // One layer as a link to another image's, several images and tags in one file.
    let several =
        docker_archive(&[(&other(), &["other:1"]), (&app, &["app:0"]), (&app, &["app:1", "app:2"])], Packing::Plain);
    add("docker-archive:", &several, ":app:2", plain);
    add("docker-archive:", &several, "@2", plain);
    add("oci-archive:", &tagged(&app), ":app:2", plain);
    add("oci:", &tagged(&app), "@1", plain);
    // Docker's media types within OCI.
    for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
        let mut layout = Layout::default();
        let manifest = layout.image(&app, packing, Dialect::Docker);
        layout.tag(&manifest, "1");
        add("oci:", &layout.files(), "", plain);
    }
    add("oci:", &nested(&app), "", plain);
    add("oci-archive:", &flat_platforms(&app), "", plain);
    add("docker-archive:", &docker_25_index(&app), "", plain);
    // The whole archive packed, and bare paths.
    add("docker-archive:", &docker_archive(&[(&app, &["app:1"])], Packing::Plain), "", gzip);
    add("oci-archive:", &Layout::of(&app, Packing::Gzip, "1").files(), "", gzip);
    add("", &docker_25(&app, Packing::Gzip), "", |bytes| Packing::Framed.pack(bytes));
    add("", &docker_archive(&[(&app, &["app:1"])], Packing::Plain), ":app:1", plain);
    add("", &Layout::of(&app, Packing::Gzip, "1").files(), "", plain);
    names
}

/// What engines write from version 25 on.
fn docker_25(app: &Image, packing: Packing) -> Files {
    let mut layout = Layout::default();
    let manifest = layout.image(app, packing, Dialect::Oci);
    layout.tag(&manifest, "docker.io/library/app:1");
    layout.docker(&manifest, &["app:1"]);
    layout.files()
}

/// The same from an engine that keeps indexes: another platform is named and not at hand.
fn docker_25_index(app: &Image) -> Files {
    let mut layout = Layout::default();
    let manifest = layout.image(app, Packing::Gzip, Dialect::Oci);
    let mut missing = for_platform(manifest.clone(), &format!("linux/{ELSEWHERE}"));
    missing["digest"] = Value::from(format!("sha256:{}", "0".repeat(64)));
    let own = for_platform(manifest.clone(), &format!("linux/{HERE}"));
    let index = layout.index(&[missing, own], Dialect::Oci);
    layout.tag(&index, "docker.io/library/app:1");
    layout.docker(&manifest, &["app:1"]);
    layout.files()
}

fn tagged(app: &Image) -> Files {
    let mut layout = Layout::default();
    for (image, names) in [(&other(), &["other:1"][..]), (app, &["app:1", "app:2"])] {
        let manifest = layout.image(image, Packing::Gzip, Dialect::Oci);
        names.iter().for_each(|name| layout.tag(&manifest, name));
    }
    layout.files()
}

/// An index within an index, with other platforms and attestations beside.
fn nested(app: &Image) -> Files {
    let mut layout = Layout::default();
    let app = layout.image(app, Packing::Gzip, Dialect::Oci);
    let other = other().with_config(|config| config["architecture"] = Value::from(ELSEWHERE));
    let other = layout.image(&other, Packing::Gzip, Dialect::Oci);
    let mut attestation =
        for_platform(layout.blob("application/vnd.oci.image.manifest.v1+json", b"{}"), "unknown/unknown");
    attestation["annotations"] = serde_json::json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let other = for_platform(other, &format!("linux/{ELSEWHERE}"));
    let app = for_platform(app, &format!("linux/{HERE}"));
    let elsewhere = layout.index(std::slice::from_ref(&other), Dialect::Oci);
    let inner = layout.index(&[attestation.clone(), other, app], Dialect::Docker);
    let outer = layout.index(&[elsewhere, inner], Dialect::Oci);
    layout.tag(&outer, "1");
    layout.list(&attestation);
    layout.files()
}

/// A layout whose `index.json` is the list of platforms.
fn flat_platforms(app: &Image) -> Files {
    let mut layout = Layout::default();
    let other = other().with_config(|config| config["architecture"] = Value::from(ELSEWHERE));
    for (image, architecture) in [(&other, ELSEWHERE), (app, HERE)] {
        let manifest = layout.image(image, Packing::Gzip, Dialect::Oci);
        layout.list(&for_platform(manifest, &format!("linux/{architecture}")));
    }
    layout.files()
}

/// What `weigh` says, without what depends on names and packing.
fn weight(argument: &str) -> Value {
    let mut report = run(&format!("weigh {argument} --format json")).ok().json();
    for name in ["image", "digest", "notes"] {
        report[name].take();
    }
    report["o1_saves"]["stored"].take();
    for list in ["layers", "waste"] {
        for row in report[list].as_array_mut().expect("rows") {
            row["stored"].take();
            row["stored_is_estimate"].take();
        }
    }
    report
}

#[test]
fn weigh_and_dump_say_the_same_of_every_form() {
    let folder = Folder::new();
    let forms = forms(&folder);
    let (weighed, dumped) = (weight(&forms[0]), run(&format!("dump {}", forms[0])).ok().out);
    assert_eq!(weighed["layers"].as_array().map(Vec::len), Some(4));
    for form in &forms[1..] {
        assert_eq!(weight(form), weighed, "{form}");
        assert_eq!(run(&format!("dump {form}")).ok().out, dumped, "{form}");
    }
}

#[test]
fn diff_finds_every_form_equal() {
    let folder = Folder::new();
    let forms = forms(&folder);
    for form in &forms {
        let ran = run(&format!("diff {form} {}", forms[0])).ok();
        assert_eq!(ran.out, "equal: 9 paths and all settings are the same\n");
        // The other way round, the one that was read first is known already.
        run(&format!("diff {} {form}", forms[0])).ok();
    }
}

#[test]
fn optimize_makes_the_same_of_every_form() {
    let folder = Folder::new();
    let target = folder.at("out");
    let mut first = None;
    for form in forms(&folder) {
        run(&format!("optimize {form} -O1 -o oci-archive:{target} --compression none --squash-all {HERE_ALONE}")).ok();
        let image = Written::at(&target).image();
        assert_eq!(image.seen(), entries(APP_SEEN));
        let result = (image.config, image.blobs);
        assert_eq!(*first.get_or_insert_with(|| result.clone()), result, "{form}");
    }
}

#[test]
fn base_layers_come_out_byte_for_byte_from_every_form() {
    let folder = Folder::new();
    for (number, form) in forms(&folder).iter().enumerate() {
        let (transport, target) = [("docker-archive:", "a"), ("oci:", "b"), ("oci-archive:", "c")][number % 3];
        let target = folder.at(&format!("{target}{number}"));
        let report = run(&format!("optimize {form} -o {transport}{target} --format json {HERE_ALONE}")).ok().json();
        assert_eq!((&report["base"]["layers"], &report["after"]["layers"]), (&1.into(), &2.into()), "{form}");
        let image = Written::at(&target).image();
        let base = &Image::app().layers[0];
        assert_eq!(image.tars[0], *base);
        // The packings are deterministic, and jettison's own are none of them: equal bytes were copied.
        let packings = [Packing::Plain, Packing::Gzip, Packing::Members, Packing::Zstd, Packing::Framed];
        assert!(packings.iter().any(|packing| packing.pack(base) == image.blobs[0]), "{form}");
        assert_eq!(image.seen(), entries(APP_SEEN));
    }
}

#[test]
fn attestations_are_left_out_and_that_is_said() {
    let folder = Folder::new();
    nested(&Image::app()).to_folder(folder.at("in"));
    for command in
        [format!("weigh oci:{}", folder.at("in")), format!("optimize oci:{0}/in -o oci:{0}/out", folder.at(""))]
    {
        let ran = run(&command).ok();
        assert!(ran.out.contains("note: left out: attestation 44136fa355b3"), "{}", ran.out);
    }
    let written = Written::at(folder.at("out"));
    let [listed] = &written.listed()[..] else { panic!("one index") };
    assert_eq!(written.json(&blob_of(listed))["manifests"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_layer_that_stands_twice_is_read_twice_and_stored_once() {
    let text = "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}
        layer 1 \"RUN a\"\n f 0644 0:0 \"a\" /a
        layer 2 \"RUN b\"\n f 0644 0:0 \"b\" /a\n f 0644 0:0 1000*\"b\" /b
        layer 3 \"RUN a\"\n f 0644 0:0 \"a\" /a";
    let image = Image::of(text);
    let folder = Folder::new();
    docker_archive(&[(&image, &["app:1"])], Packing::Plain).to_archive(folder.at("old"));
    Layout::of(&image, Packing::Gzip, "1").files().to_folder(folder.at("oci"));
    for form in [format!("docker-archive:{}", folder.at("old")), format!("oci:{}", folder.at("oci"))] {
        run(&format!("optimize {form} -O0 -o oci-archive:{}", folder.at("out"))).ok();
        let copied = Written::at(folder.at("out")).image();
        assert_eq!(copied.layer_digests()[0], copied.layer_digests()[2]);
        assert_eq!(copied.tars, image.layers);
        run(&format!("optimize {form} -o oci-archive:{}", folder.at("out"))).ok();
        assert_eq!(Written::at(folder.at("out")).image().seen(), image.seen());
    }
}

#[test]
fn an_archive_comes_through_a_pipe_as_well() {
    let folder = Folder::new();
    docker_archive(&[(&other(), &["other:1"]), (&Image::app(), &["app:1"])], Packing::Plain)
        .to_archive(folder.at("in"));
    let line = format!("optimize docker-archive:-:app:1 -o docker-archive:{}", folder.at("out"));
    let mut command = jettison(&line);
    command.stdin(std::fs::File::open(folder.at("in")).expect("opens"));
    finish(command, &line).ok();
    let written = Written::at(folder.at("out"));
    assert_eq!((written.names(), written.image().seen()), (vec!["app:1".to_owned()], entries(APP_SEEN)));
}
