//! Indexes that are optimized as a whole: what they say stays, what is no longer true goes and is said.

use serde_json::{Value, json};

use crate::image::{APP, APP_SEEN, ELSEWHERE, HERE, Image, entries};
use crate::place::{Dialect, Layout, Packing, blob_of, for_platform};
use crate::run::{Folder, finish, jettison_under, run, state};
use crate::written::Written;

const SPDX: &str = "https://spdx.dev/Document";
const SLSA: &str = "https://slsa.dev/provenance/v0.2";
const IN_TOTO: &str = "application/vnd.in-toto+json";

fn image_for(layout: &mut Layout, architecture: &str, packing: Packing) -> Value {
    let image = Image::app().of_architecture(architecture);
    for_platform(layout.image(&image, packing, Dialect::Oci), &format!("linux/{architecture}"))
}

/// What BuildKit lists beside an image: its SBOM and how it was made.
fn attestation(layout: &mut Layout, of: &Value, predicates: &[&str]) -> Value {
    let config = "application/vnd.oci.image.config.v1+json";
    let statement = format!("statement {}", of["digest"]);
    let artifact = layout.artifact(config, (IN_TOTO, statement.as_bytes()), |manifest| {
        let layer = manifest["layers"][0].clone();
        let stated = predicates.iter().map(|predicate| {
            let mut layer = layer.clone();
            layer["annotations"] = json!({ "in-toto.io/predicate-type": predicate });
            layer
        });
        manifest["layers"] = stated.collect();
    });
    let mut listed = for_platform(artifact, "unknown/unknown");
    listed["annotations"] =
        json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of["digest"] });
    listed
}

/// An artifact that says what it is, and what it refers to.
fn artifact(layout: &mut Layout, kind: &str, subject: Option<&Value>) -> Value {
    let empty = "application/vnd.oci.empty.v1+json";
    let mut listed = layout.artifact(empty, ("application/x", kind.as_bytes()), |manifest| {
        manifest["artifactType"] = json!(kind);
        if let Some(subject) = subject {
            manifest["subject"] = subject.clone();
        }
    });
    listed["artifactType"] = json!(kind);
    listed
}

fn notes(report: &Value) -> Vec<&str> {
    report["notes"].as_array().expect("notes").iter().filter_map(Value::as_str).collect()
}

/// The short digest of what a descriptor names.
fn short(descriptor: &Value) -> String {
    descriptor["digest"].as_str().expect("a digest")[7..19].to_owned()
}

fn written_index(folder: &Folder, layout: &Layout, options: &str) -> (Value, Vec<Value>, Vec<Value>) {
    let _ = std::fs::remove_dir_all(folder.at("in"));
    let _ = std::fs::remove_dir_all(folder.at("out"));
    layout.files().to_folder(folder.at("in"));
    let reports =
        run(&format!("optimize oci:{0}/in -o oci:{0}/out --format json {options}", folder.at(""))).ok().json();
    let reports = reports.as_array().cloned().unwrap_or_else(|| vec![reports]);
    let (index, manifests) = Written::at(folder.at("out")).index();
    (index, manifests, reports)
}

#[test]
fn what_an_index_says_stays() {
    let mut layout = Layout::default();
    let mut here = image_for(&mut layout, HERE, Packing::Gzip);
    here["annotations"] = json!({ "a": "of here", "containerd.io/distribution.source.docker.io": "library/app" });
    here["x-new"] = json!([1]);
    let mut there = image_for(&mut layout, ELSEWHERE, Packing::Zstd);
    there["annotations"] = json!({ "io.github.containers.compression.zstd": "true" });
    there["data"] = json!("AAAA");
    let subject = json!({ "mediaType": "application/x", "digest": format!("sha256:{}", "1".repeat(64)), "size": 1 });
    let index = layout.index_with(&[here, there], Dialect::Oci, |index| {
        index["annotations"] = json!({ "b": "of the index" });
        index["artifactType"] = json!("application/x.bundle");
        index["subject"] = subject.clone();
        index["x-unknown"] = json!({ "c": null });
    });
    layout.tag(&index, "1");
    let folder = Folder::new();
    let (index, manifests, _) = written_index(&folder, &layout, "");
    assert_eq!(index["annotations"], json!({ "b": "of the index" }));
    assert_eq!((&index["artifactType"], &index["subject"]), (&json!("application/x.bundle"), &subject));
    assert_eq!(index["x-unknown"], json!({ "c": null }));
    // Where else the old bytes can be had, what they were, and how they were packed, is not true of the new ones.
    assert_eq!(manifests[0]["annotations"], json!({ "a": "of here" }));
    assert_eq!(manifests[0]["x-new"], json!([1]));
    assert_eq!((manifests[1].get("data"), manifests[1]["platform"]["architecture"].as_str()), (None, Some(ELSEWHERE)));
    // The base's layer is kept as zstd, which clients have to know.
    assert_eq!(manifests[1]["annotations"], json!({ "io.github.containers.compression.zstd": "true" }));
    let all = format!("optimize oci:{0}/out -o oci:{0}/again --format json", folder.at(""));
    run(&all).ok();
    assert_eq!(Written::at(folder.at("again")).listed(), Written::at(folder.at("out")).listed());
    let (_, manifests, _) = written_index(&folder, &layout, "--recompress-base");
    assert_eq!(manifests[1].get("annotations"), None);
}

#[test]
fn what_is_stated_of_images_that_changed_goes_and_is_said_by_its_kind() {
    let mut layout = Layout::default();
    let here = image_for(&mut layout, HERE, Packing::Gzip);
    let there = image_for(&mut layout, ELSEWHERE, Packing::Gzip);
    let both = attestation(&mut layout, &here, &[SLSA, SPDX]);
    let provenance = attestation(&mut layout, &there, &[SLSA]);
    let signature = artifact(&mut layout, "application/vnd.cncf.notary.signature", Some(&here));
    // A signature of what goes goes as well.
    let of_both = artifact(&mut layout, "application/vnd.dev.cosign.artifact.sig.v1+json", Some(&both));
    let sbom = artifact(&mut layout, "application/vnd.cyclonedx+json", None);
    let all = [&here, &there, &both, &provenance, &signature, &of_both, &sbom].map(Clone::clone);
    let index = layout.index(&all, Dialect::Oci);
    layout.tag(&index, "app:1");
    // cosign lists what it states under tags of its own, and others without any.
    let simple = ("application/vnd.dev.cosign.simplesigning.v1+json", &b"signed"[..]);
    let tagged = layout.artifact("application/vnd.oci.image.config.v1+json", simple, |_| {});
    layout.tag(&tagged, &format!("app:sha256-{}.sig", &index["digest"].as_str().expect("a digest")[7..]));
    let referrer = artifact(&mut layout, "application/spdx+json", Some(&index));
    layout.list(&referrer);
    let folder = Folder::new();
    let (_, manifests, reports) = written_index(&folder, &layout, "");
    assert_eq!(manifests.len(), 2);
    let gone =
        |what: &str, which: &Value| format!("left out: {what} {}, which would not be true of the result", short(which));
    let said = [notes(&reports[0]), notes(&reports[1])];
    for (report, what, which) in [
        (0, "SBOM and provenance", &both),
        (1, "provenance", &provenance),
        (0, "signature", &signature),
        (0, "signature", &of_both),
        (0, "SBOM", &sbom),
        (0, "signature", &tagged),
        (0, "SBOM", &referrer),
    ] {
        let note = gone(what, which);
        assert!(said[report].contains(&note.as_str()), "{note}: {said:?}");
        assert!(!said[1 - report].contains(&note.as_str()), "{note}: {said:?}");
    }
    assert_eq!(Written::at(folder.at("out")).names(), ["app:1"]);
    // What is weighed is one image out of its index.
    let weighed = run(&format!("weigh oci:{} --format json", folder.at("in"))).ok().json();
    assert!(notes(&weighed).contains(&gone("SBOM and provenance", &both).as_str()), "{weighed}");
}

#[test]
fn nothing_goes_where_nothing_changes() {
    let mut layout = Layout::default();
    let here = image_for(&mut layout, HERE, Packing::Gzip);
    let there = image_for(&mut layout, ELSEWHERE, Packing::Zstd);
    let stated = attestation(&mut layout, &here, &[SLSA, SPDX]);
    let signature = artifact(&mut layout, "application/vnd.cncf.notary.signature", Some(&stated));
    let sbom = artifact(&mut layout, "application/vnd.cyclonedx+json", None);
    // A layer that is not there: whoever copied it left it behind.
    let lost = artifact(&mut layout, "application/spdx+json", Some(&there));
    let blob = layout.layers_of(&lost)[0].clone();
    layout.lose(&blob);
    let listed = [here.clone(), stated.clone(), there, signature.clone(), sbom.clone()];
    // Not as jettison would write it.
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "manifests": listed, "mediaType": kind, "schemaVersion": 2 });
    let index = layout.blob(kind, serde_json::to_string_pretty(&index).expect("JSON").as_bytes());
    layout.tag(&index, "app:1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    for transport in ["oci", "oci-archive", "docker-archive"] {
        let line = format!("optimize oci:{0}/in -o {transport}:{0}/{transport} -O0 --format json", folder.at(""));
        let reports = run(&line).ok().json();
        let said: &[&str] = match transport {
            "docker-archive" => &[&format!("engines that read no index in an archive load linux/{HERE} alone from it")],
            _ => &[],
        };
        assert_eq!((notes(&reports[0]), notes(&reports[1])), (said.to_vec(), vec![]));
        let written = Written::at(folder.at(transport));
        assert_eq!(written.listed()[0]["digest"], index["digest"]);
        assert!(written.has(&blob_of(&layout.layers_of(&stated)[0])), "its statements are there");
    }
    // What is not there whole cannot stay.
    let index = layout.index(&[&listed[..], std::slice::from_ref(&lost)].concat(), Dialect::Oci);
    let mut layout = layout.clone();
    layout.relist(&index, "app:1");
    let (_, manifests, reports) = written_index(&folder, &layout, "-O0");
    assert_eq!(manifests, listed);
    assert_eq!(notes(&reports[1]), [format!("left out: SBOM {}, which is not at hand", short(&lost))]);
    // One platform is taken out of the index, and what stands beside it stays behind.
    let one = format!("optimize oci:{0}/in -o oci:{0}/one -O0 --platform linux/{HERE} --format json", folder.at(""));
    assert_eq!(notes(&run(&one).ok().json()).len(), 4);
    assert_eq!(Written::at(folder.at("one")).image().digest, here["digest"]);
}

#[test]
fn what_is_stated_of_one_unchanged_platform_stays() {
    let mut layout = Layout::default();
    let merged =
        Image::of("config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1 \"RUN a\"\n f 0644 0:0 \"a\" /a");
    let here = for_platform(layout.image(&merged, Packing::Gzip, Dialect::Oci), &format!("linux/{HERE}"));
    let there = image_for(&mut layout, ELSEWHERE, Packing::Gzip);
    let [of_here, of_there] = [&here, &there].map(|image| attestation(&mut layout, image, &[SPDX]));
    let index = layout.index(&[here.clone(), there, of_here.clone(), of_there], Dialect::Oci);
    layout.tag(&index, "1");
    let (_, manifests, _) = written_index(&Folder::new(), &layout, "");
    assert_eq!(manifests.len(), 3);
    assert_eq!((&manifests[0], &manifests[2]), (&here, &of_here));
}

#[test]
fn artifacts_for_themselves_stay_beside_images_and_alone_are_no_image() {
    let chart = "application/vnd.cncf.helm.config.v1+json";
    let mut layout = Layout::default();
    let here = image_for(&mut layout, HERE, Packing::Gzip);
    let listed = layout.artifact(chart, ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart"), |_| {});
    let typed = artifact(&mut layout, "application/x.wasm", None);
    let index = layout.index(&[listed.clone(), here, typed.clone()], Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    let (_, manifests, reports) = written_index(&folder, &layout, "");
    assert_eq!((&manifests[0], &manifests[2], manifests.len()), (&listed, &typed, 3));
    assert!(notes(&reports[0]).is_empty(), "{reports:?}");
    let written = Written::at(folder.at("out"));
    assert_eq!(written.blob(&layout.layers_of(&listed)[0]), b"chart");
    assert_eq!(written.image_of(&manifests[1]).seen(), entries(APP_SEEN));
    // A damaged one is no less damaged than an image.
    let mut files = layout.files();
    *files.bytes(&blob_of(&layout.layers_of(&listed)[0])) = b"chatr".to_vec();
    files.to_folder(folder.at("damaged"));
    run(&format!("optimize oci:{0}/damaged -o oci:{0}/no", folder.at("")))
        .fails(3, &[&blob_of(&layout.layers_of(&listed)[0]), "not the sha256:"]);
    let mut alone = Layout::default();
    let chart_alone = alone.artifact(chart, ("application/x", b"chart"), |_| {});
    alone.tag(&chart_alone, "1");
    alone.files().to_folder(folder.at("alone"));
    for command in ["weigh oci:IN", "optimize oci:IN -o oci:OUT"] {
        let line = command.replace("IN", &folder.at("alone")).replace("OUT", &folder.at("no"));
        run(&line).fails(3, &["is no container image", chart, "hint:"]);
    }
    assert!(!folder.names().contains(&"no".to_owned()));
}

#[test]
fn a_subject_stays_unless_it_was_optimized_as_well() {
    let mut layout = Layout::default();
    let here = image_for(&mut layout, HERE, Packing::Gzip);
    let image = Image::app().of_architecture(ELSEWHERE);
    let elsewhere = json!({ "mediaType": "application/x", "digest": format!("sha256:{}", "2".repeat(64)), "size": 1 });
    let mut with = |subject: &Value, variant: &str| {
        let manifest = layout.image_with(&image, Packing::Gzip, Dialect::Oci, |m| m["subject"] = subject.clone());
        for_platform(manifest, &format!("linux/{ELSEWHERE}/{variant}"))
    };
    let (of_here, of_another) = (with(&here, "v8"), with(&elsewhere, "v9"));
    let index = layout.index(&[of_here, here.clone(), of_another], Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    let (_, manifests, reports) = written_index(&folder, &layout, "");
    let written = Written::at(folder.at("out"));
    let subjects: Vec<Value> = manifests.iter().map(|m| written.image_of(m).manifest["subject"].clone()).collect();
    assert_eq!(subjects, [Value::Null, Value::Null, elsewhere]);
    assert!(notes(&reports[0])[0].contains(&format!("the subject {}", short(&here))), "{reports:?}");
    let (_, manifests, _) = written_index(&folder, &layout, "-O0");
    assert_eq!(manifests, Written::at(folder.at("in")).index().1);
}

#[test]
fn platforms_that_are_listed_and_not_there_are_said() {
    let mut layout = Layout::default();
    let here = image_for(&mut layout, HERE, Packing::Gzip);
    let there = image_for(&mut layout, ELSEWHERE, Packing::Gzip);
    // Engines pull an index with what they need: of the others nothing, or nothing but the manifest and config.
    let unfetched = image_for(&mut layout, "riscv64", Packing::Plain);
    let bare = image_for(&mut layout, "s390x", Packing::Zstd);
    layout.layers_of(&bare).iter().for_each(|layer| layout.lose(layer));
    layout.lose(&unfetched);
    let index = layout.index(&[unfetched.clone(), here.clone(), bare, there.clone()], Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    let report = run(&format!("optimize oci:{0}/in -o oci:{0}/out --format json", folder.at(""))).ok().json();
    let (_, manifests) = Written::at(folder.at("out")).index();
    let platforms: Vec<&Value> = manifests.iter().map(|manifest| &manifest["platform"]["architecture"]).collect();
    assert_eq!(platforms, [HERE, ELSEWHERE]);
    for platform in ["linux/riscv64", "linux/s390x"] {
        let note = format!("left out: {platform}, which the index lists but is not there");
        assert!(notes(&report[0]).contains(&note.as_str()), "{report}");
    }
    // Who asks for one of them by name gets an error.
    let name = blob_of(&unfetched);
    for platform in ["linux/riscv64", "linux/s390x"] {
        let line = format!("optimize oci:{0}/in -o oci:{0}/no --platform {platform}", folder.at(""));
        run(&line).fails(3, &[&folder.at("in"), "missing"]);
    }
    run(&format!("optimize oci:{0}/in -o oci:{0}/no --platform linux/riscv64,linux/{HERE}", folder.at("")))
        .fails(3, &["no image for linux/riscv64", "linux/riscv64 (its blobs are not there)"]);
    // An image that lacks some of its blobs is damaged.
    let mut damaged = layout.clone();
    damaged.lose(&layout.layers_of(&there)[2]);
    damaged.files().to_folder(folder.at("damaged"));
    run(&format!("optimize oci:{0}/damaged -o oci:{0}/no", folder.at(""))).fails(3, &["missing"]);
    let mut none = Layout::default();
    let index = none.index(&[unfetched], Dialect::Oci);
    none.tag(&index, "1");
    none.files().to_folder(folder.at("none"));
    run(&format!("optimize oci:{0}/none -o oci:{0}/no", folder.at(""))).fails(3, &[&name, "missing"]);
    assert!(!folder.names().contains(&"no".to_owned()));
}

#[test]
fn copying_takes_what_was_asked_for_and_is_there() {
    let mut layout = Layout::default();
    let here = image_for(&mut layout, HERE, Packing::Gzip);
    let there = image_for(&mut layout, ELSEWHERE, Packing::Zstd);
    let third = image_for(&mut layout, "riscv64", Packing::Plain);
    let [of_here, of_third] = [&here, &third].map(|image| attestation(&mut layout, image, &[SPDX]));
    let listed = [here.clone(), third.clone(), there.clone(), of_here.clone(), of_third.clone()];
    let index = layout.index_with(&listed, Dialect::Oci, |index| index["annotations"] = json!({ "a": "b" }));
    layout.tag(&index, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    let copy = |from: &str, to: &str, options: &str| {
        let line = format!("copy oci:{} oci:{} --format json {options}", folder.at(from), folder.at(to));
        run(&line).ok().json()
    };
    assert_eq!(copy("in", "whole", "")["digest"], index["digest"]);
    let report = copy("in", "two", &format!("--platform linux/{HERE},linux/{ELSEWHERE}"));
    let (written, manifests) = Written::at(folder.at("two")).index();
    assert_eq!(manifests, [here.clone(), there.clone(), of_here]);
    assert_eq!(written["annotations"], json!({ "a": "b" }));
    assert_eq!(report["left_out"], json!([format!("SBOM {}", short(&of_third))]));
    assert_eq!(report["manifests"], 3);
    // Of an image that an engine saved, what it has.
    let mut sparse = layout.clone();
    sparse.lose(&third);
    sparse.files().to_folder(folder.at("sparse"));
    let report = copy("sparse", "there", "");
    assert_eq!(report["left_out"][0], "linux/riscv64");
    assert_eq!(Written::at(folder.at("there")).index().1, manifests);
}

#[test]
fn several_platforms_can_be_chosen() {
    let mut layout = Layout::default();
    let all = ["amd64", "arm64", "arm/v6", "arm/v7"].map(|platform| {
        let architecture = platform.split('/').next().expect("an architecture");
        let image = Image::app().of_architecture(architecture).with_config(|config| config["x-for"] = json!(platform));
        for_platform(layout.image(&image, Packing::Gzip, Dialect::Oci), &format!("linux/{platform}"))
    });
    let index = layout.index(&all, Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    for (asked, expected) in [
        ("linux/arm64,linux/amd64", &["amd64", "arm64"][..]),
        ("linux/arm,linux/amd64", &["amd64", "arm/v6", "arm/v7"]),
        ("linux/arm/v7,linux/aarch64", &["arm64", "arm/v7"]),
    ] {
        let (_, manifests, _) = written_index(&folder, &layout, &format!("--platform {asked}"));
        let written = Written::at(folder.at("out"));
        let platforms: Vec<Value> =
            manifests.iter().map(|manifest| written.image_of(manifest).config["x-for"].clone()).collect();
        assert_eq!(platforms, expected, "{asked}");
    }
    let line = format!("optimize oci:{0}/in -o oci:{0}/no --platform", folder.at(""));
    run(&format!("{line} linux/arm64,linux/s390x")).fails(3, &["no image for linux/s390x", "linux/arm/v6"]);
    run(&format!("{line} linux/arm64,")).fails(2, &["OS/ARCH"]);
    assert!(!folder.names().contains(&"no".to_owned()));
}

#[test]
fn indexes_within_an_index_become_part_of_it() {
    let mut layout = Layout::default();
    let here = image_for(&mut layout, HERE, Packing::Gzip);
    let there = image_for(&mut layout, ELSEWHERE, Packing::Gzip);
    let inner = layout.index(&[there.clone(), here.clone()], Dialect::Docker);
    let other = layout.index(std::slice::from_ref(&here), Dialect::Oci);
    let index = layout.index(&[inner, other, here.clone()], Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    let (_, manifests, reports) = written_index(&folder, &layout, "-O0");
    // What is listed three times over is one image.
    assert_eq!(manifests, [there, here]);
    assert!(notes(&reports[0]).contains(&"the indexes within the index are written as parts of it"), "{reports:?}");
}

#[test]
fn images_for_one_platform_are_told_by_more_than_its_name() {
    let mut layout = Layout::default();
    let all = ["10.0.17763.1", "10.0.20348.2"].map(|version| {
        let image = Image::app().with_config(|config| {
            config["os"] = json!("windows");
            config["os.version"] = json!(version);
        });
        let manifest = layout.image(&image, Packing::Gzip, Dialect::Docker);
        let mut listed = for_platform(manifest, &format!("windows/{HERE}"));
        listed["platform"]["os.version"] = json!(version);
        listed["platform"]["os.features"] = json!(["win32k"]);
        listed
    });
    let index = layout.index(&all, Dialect::Docker);
    layout.tag(&index, "1");
    let folder = Folder::new();
    let (_, manifests, reports) = written_index(&folder, &layout, "");
    assert_eq!(reports.len(), 2);
    let written = Written::at(folder.at("out"));
    for (old, new) in all.iter().zip(&manifests) {
        assert_eq!(old["platform"], new["platform"]);
        assert_eq!(written.image_of(new).config["os.version"], old["platform"]["os.version"]);
    }
}

#[test]
fn platforms_at_once_give_what_they_give_one_after_the_other() {
    let mut layout = Layout::default();
    let all = ["amd64", "arm64", "s390x", "riscv64"].map(|architecture| {
        let image = Image::of(&APP.replace("program", architecture)).of_architecture(architecture);
        for_platform(layout.image(&image, Packing::Gzip, Dialect::Oci), &format!("linux/{architecture}"))
    });
    let index = layout.index(&all, Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    let mut runs = Vec::new();
    for (number, cores) in ["taskset -c 0", "env", "env"].iter().enumerate() {
        let options = "--dual -Os --time-passes --format json";
        let line = format!("optimize oci:{0}/in -o oci-archive:{0}/{number} {options}", folder.at(""));
        let mut reports = finish(jettison_under(cores, &line), &line).ok().json();
        for report in reports.as_array_mut().expect("reports") {
            report["seconds"].take();
            report["output"].take();
        }
        runs.push((reports, std::fs::read(folder.at(&number.to_string())).expect("an archive")));
    }
    assert!(runs[0] == runs[1] && runs[0] == runs[2]);
    let platforms: Vec<&Value> = runs[0].0.as_array().expect("reports").iter().map(|one| &one["platform"]).collect();
    let [a, b, c, d] = ["linux/amd64", "linux/arm64", "linux/s390x", "linux/riscv64"];
    assert_eq!(platforms, [a, a, b, b, c, c, d, d]);
    // Where two platforms are damaged, the first one is said, and nothing is written.
    let mut damaged = layout.files();
    let own = [3, 1].map(|at| blob_of(&layout.layers_of(&all[at])[1]));
    for blob in &own {
        let middle = damaged.bytes(blob).len() / 2;
        damaged.bytes(blob)[middle] ^= 1;
    }
    damaged.to_folder(folder.at("damaged"));
    let before = state(folder.at("damaged"));
    for _ in 0..3 {
        run(&format!("optimize oci:{0}/damaged -o oci:{0}/damaged", folder.at(""))).fails(3, &[&own[1]]);
    }
    assert_eq!(state(folder.at("damaged")), before);
}
