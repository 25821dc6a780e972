//! Images for several platforms: which one is taken, and what becomes of all.

use serde_json::{Value, json};

use crate::image::{APP_SEEN, ELSEWHERE, HERE, Image, entries};
use crate::place::{Dialect, Layout, Packing, blob_of, for_platform};
use crate::run::{Folder, run, state};
use crate::written::Written;

fn elsewhere() -> Image {
    Image::app().of_architecture(ELSEWHERE)
}

/// An index of two platforms and an attestation.
fn two_platforms() -> Layout {
    let mut layout = Layout::default();
    let here = layout.image(&Image::app(), Packing::Gzip, Dialect::Oci);
    let there = layout.image(&elsewhere(), Packing::Zstd, Dialect::Oci);
    let attestation = layout.blob("application/vnd.oci.image.manifest.v1+json", b"{}");
    let manifests = [
        for_platform(there, &format!("linux/{ELSEWHERE}")),
        for_platform(here, &format!("linux/{HERE}")),
        for_platform(attestation, "unknown/unknown"),
    ];
    let index = layout.index(&manifests, Dialect::Oci);
    layout.tag(&index, "app:1");
    layout
}

#[test]
fn the_default_is_this_machines_and_another_can_be_chosen() {
    let folder = Folder::new();
    two_platforms().files().to_folder(folder.at("in"));
    let platform = |options: &str| {
        let report = run(&format!("weigh oci:{} --format json {options}", folder.at("in"))).ok().json();
        report["platform"].as_str().expect("a platform").to_owned()
    };
    assert_eq!(platform(""), format!("linux/{HERE}"));
    assert_eq!(platform(&format!("--platform linux/{HERE}")), format!("linux/{HERE}"));
    assert_eq!(platform(&format!("--platform linux/{ELSEWHERE}")), format!("linux/{ELSEWHERE}"));
    let spelled = if ELSEWHERE == "arm64" { "linux/aarch64/v8" } else { "linux/x86_64" };
    assert_eq!(platform(&format!("--platform {spelled}")), format!("linux/{ELSEWHERE}"));
}

#[test]
fn one_platform_is_written_without_an_index() {
    let folder = Folder::new();
    two_platforms().files().to_folder(folder.at("in"));
    run(&format!("optimize oci:{0}/in -o oci:{0}/out --platform linux/{ELSEWHERE}", folder.at(""))).ok();
    let written = Written::at(folder.at("out"));
    assert_eq!(written.image().config["config"]["Env"], json!([format!("ARCH={ELSEWHERE}")]));
    assert_eq!(written.names(), ["app:1"]);
}

#[test]
fn all_platforms_are_each_optimized_below_one_index() {
    let folder = Folder::new();
    two_platforms().files().to_folder(folder.at("in"));
    for (transport, platform) in [("oci", "--platform all"), ("oci-archive", ""), ("docker-archive", "")] {
        let target = folder.at(transport);
        let line = format!("optimize oci:{} -o {transport}:{target} {platform} --format json", folder.at("in"));
        let reports = run(&line).ok().json();
        let reports = reports.as_array().expect("a report for each platform");
        let written = Written::at(&target);
        assert_eq!(written.names(), ["app:1"]);
        let [listed] = &written.listed()[..] else { panic!("one index") };
        let index: Value = serde_json::from_slice(written.blob(listed)).expect("an index");
        assert_eq!(listed["mediaType"], "application/vnd.oci.image.index.v1+json");
        let manifests = index["manifests"].as_array().expect("manifests");
        assert_eq!((manifests.len(), reports.len()), (2, 2));
        for ((manifest, report), architecture) in manifests.iter().zip(reports).zip([ELSEWHERE, HERE]) {
            let image = written.image_of(manifest);
            assert_eq!(manifest["platform"], json!({ "architecture": architecture, "os": "linux" }));
            assert_eq!(image.config["architecture"], architecture);
            assert_eq!(report["platform"], format!("linux/{architecture}"));
            assert_eq!(report["digest"], image.digest);
            assert_eq!((image.tars.len(), image.seen()), (2, entries(APP_SEEN)));
        }
        if transport == "docker-archive" {
            // Engines that know this list alone give all that it lists one name.
            let listed = written.json("manifest.json");
            assert_eq!(listed.as_array().map(Vec::len), Some(1));
            assert_eq!(listed[0]["Config"], blob_of(&written.image_of(&manifests[0]).manifest["config"]));
        }
        // What was written is read again, platform by platform, and a second run changes nothing.
        let again = format!("optimize {transport}:{target} -o {transport}:{target} --platform all");
        run(&again).ok();
        assert_eq!(Written::at(&target).listed(), written.listed());
        run(&format!("diff oci:{0} {transport}:{target} --platform linux/{ELSEWHERE}", folder.at("in"))).ok();
    }
}

#[test]
fn all_platforms_of_one_image_are_that_image() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let line = format!("optimize oci:{0}/in -o oci:{0}/out --platform all --format json", folder.at(""));
    assert!(run(&line).ok().json().is_object());
    assert_eq!(Written::at(folder.at("out")).image().seen(), entries(APP_SEEN));
}

#[test]
fn what_an_index_says_of_a_platform_stays() {
    // Configs of old lack the variant, and Windows images need their os.version in the index.
    let mut layout = Layout::default();
    let image = Image::app().with_config(|config| config["architecture"] = json!("arm"));
    let manifest = layout.image(&image, Packing::Gzip, Dialect::Oci);
    let mut seven = for_platform(manifest.clone(), "linux/arm/v7");
    seven["platform"]["os.version"] = json!("10.0.1");
    seven["platform"]["os.features"] = json!(["win32k"]);
    let six = layout.image(&image.with_config(|config| config["variant"] = json!("v6")), Packing::Gzip, Dialect::Oci);
    let six = for_platform(six, "linux/arm/v6");
    let index = layout.index(&[six, seven.clone()], Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    let report = run(&format!("weigh oci:{} --platform linux/arm/v7 --format json", folder.at("in"))).ok().json();
    assert_eq!(report["digest"], manifest["digest"].as_str().expect("a digest")[7..19]);
    run(&format!("optimize oci:{0}/in -o oci:{0}/out --platform all", folder.at(""))).ok();
    let written = Written::at(folder.at("out"));
    let index: Value = serde_json::from_slice(written.blob(&written.listed()[0])).expect("an index");
    assert_eq!(index["manifests"][0]["platform"], json!({ "os": "linux", "architecture": "arm", "variant": "v6" }));
    assert_eq!(index["manifests"][1]["platform"], seven["platform"]);
}

#[test]
fn a_platform_that_is_missing_names_those_present() {
    let folder = Folder::new();
    two_platforms().files().to_folder(folder.at("in"));
    std::fs::write(folder.at("out"), "precious").expect("writes");
    let before = state(folder.path());
    for command in ["weigh IN", "dump IN", "diff IN IN", "optimize IN -o oci-archive:OUT"] {
        let line = command.replace("IN", &format!("oci:{}", folder.at("in"))).replace("OUT", &folder.at("out"));
        let parts = [&folder.at("in"), "no image for linux/riscv64", "linux/amd64", "linux/arm64", "--platform"];
        run(&format!("{line} --platform linux/riscv64")).fails(3, &parts);
    }
    assert_eq!(state(folder.path()), before);
}

#[test]
fn a_platform_below_a_nested_index_is_named_where_another_is_missing() {
    let mut layout = Layout::default();
    let there = layout.image(&elsewhere(), Packing::Gzip, Dialect::Oci);
    let inner = layout.index(&[for_platform(there, &format!("linux/{ELSEWHERE}"))], Dialect::Oci);
    let outer = layout.index(&[inner], Dialect::Oci);
    layout.tag(&outer, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    run(&format!("weigh oci:{}", folder.at("in")))
        .fails(3, &[&format!("no image for linux/{HERE}"), &format!("linux/{ELSEWHERE}")]);
}

#[test]
fn an_image_that_is_alone_is_taken_whatever_its_platform_is() {
    let folder = Folder::new();
    Layout::of(&elsewhere(), Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let report = run(&format!("weigh oci:{} --format json", folder.at("in"))).ok().json();
    assert_eq!(report["platform"], format!("linux/{ELSEWHERE}"));
}

#[test]
fn an_index_of_attestations_only_is_no_image() {
    let mut layout = Layout::default();
    let attestation = layout.blob("application/vnd.oci.image.manifest.v1+json", b"{}");
    let index = layout.index(&[for_platform(attestation, "unknown/unknown")], Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    for platform in [format!("linux/{HERE}"), "all".to_owned()] {
        run(&format!("optimize oci:{0}/in -o oci:{0}/out --platform {platform}", folder.at("")))
            .fails(3, &["no image"]);
        assert_eq!(folder.names(), ["in"]);
    }
}

#[test]
fn an_archive_of_an_engine_with_indexes_gives_the_platform_that_was_asked_for() {
    let mut layout = two_platforms();
    let here = layout.image(&Image::app(), Packing::Gzip, Dialect::Oci);
    layout.docker(&here, &["app:1"]);
    let folder = Folder::new();
    layout.files().to_archive(folder.at("in"));
    for platform in [HERE, ELSEWHERE] {
        let line = format!("weigh docker-archive:{} --platform linux/{platform} --format json", folder.at("in"));
        assert_eq!(run(&line).ok().json()["platform"], format!("linux/{platform}"));
    }
    run(&format!("optimize docker-archive:{0}/in -o oci:{0}/out --platform all", folder.at(""))).ok();
    let written = Written::at(folder.at("out"));
    let index: Value = serde_json::from_slice(written.blob(&written.listed()[0])).expect("an index");
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2));
}

#[test]
fn commands_that_show_one_image_want_one_platform() {
    let folder = Folder::new();
    two_platforms().files().to_folder(folder.at("in"));
    let place = format!("oci:{}", folder.at("in"));
    for command in [format!("weigh {place}"), format!("dump {place}"), format!("diff {place} {place}")] {
        run(&format!("{command} --platform all")).fails(2, &["one platform", "--platform linux/arm64"]);
        run(&format!("{command} --platform linux/amd64,linux/arm64")).fails(2, &["one platform"]);
        run(&format!("{command} --platform linux")).fails(2, &["\"linux\"", "OS/ARCH"]);
    }
}
