//! No level makes an image larger.

use serde_json::json;

use crate::image::Image;
use crate::place::{Layout, Packing};
use crate::run::{Folder, run};
use crate::written::Written;

/// Two tiny layers whose folders are not listed. Merged, the layer must list all of them.
fn tiny() -> Image {
    let deep = "a/b/c/d/e/f/g/h/i/j/k";
    Image::of(&format!(
        "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}
         layer 1 \"RUN 1\"\n f 0644 0:0 \"\" /{deep}/1
         layer 2 \"RUN 2\"\n f 0644 0:0 \"\" /{deep}/2"
    ))
}

#[test]
fn layers_that_would_grow_stay_as_they_are() {
    let folder = Folder::new();
    Layout::of(&tiny(), Packing::Plain, "1").files().to_folder(folder.at("in"));
    let before = Written::at(folder.at("in")).image();
    // 11 folders, 2 files and the end against 2 files and 2 ends.
    let grown = (11 + 2 + 2) * 512 - (2 + 4) * 512;
    let note =
        format!("the own layers stay as they are: merged they would be {} larger", jettison_report::bytes(grown));
    for transport in ["oci", "oci-archive", "docker-archive"] {
        for compression in ["none", "gzip", "zstd"] {
            let target = folder.at(&format!("{transport}-{compression}"));
            let line = format!("optimize oci:{} -o {transport}:{target} --compression {compression}", folder.at("in"));
            let report = run(&format!("{line} --format json")).ok().json();
            assert_eq!(report["notes"].as_array().map(Vec::len), Some(1), "{report}");
            assert!(report["notes"][0].as_str().is_some_and(|text| text.starts_with(&note)), "{report}");
            assert_eq!(report["passes"], json!([]));
            assert_eq!(report["before"], report["after"]);
            assert_eq!(Written::at(&target).image().digest, before.digest);
        }
    }
    let ran = run(&format!("optimize oci:{0}/in -o oci:{0}/human", folder.at(""))).ok();
    assert!(ran.out.contains(&format!("note: {note}")), "{}", ran.out);
    assert!(ran.out.contains("passes: none had anything to do"), "{}", ran.out);
}

#[test]
fn weigh_knows_that_they_would() {
    let folder = Folder::new();
    Layout::of(&tiny(), Packing::Plain, "1").files().to_folder(folder.at("in"));
    let ran = run(&format!("weigh oci:{}", folder.at("in"))).ok();
    assert!(ran.out.contains("-O1 would change nothing"), "{}", ran.out);
    let report = run(&format!("weigh oci:{} --format json", folder.at("in"))).ok().json();
    assert_eq!(report["o1_saves"]["unpacked"], 0);
    assert_eq!(report["o1_saves"]["own_layers_after"], 2);
}

#[test]
fn only_one_platform_of_several_may_have_to_stay() {
    let mut layout = Layout::default();
    let manifests: Vec<_> = [(Image::app(), "linux/one"), (tiny(), "linux/two"), (Image::app(), "linux/three")]
        .into_iter()
        .map(|(image, platform)| {
            let architecture = platform.trim_start_matches("linux/");
            let image = image.with_config(|config| config["architecture"] = json!(architecture));
            let manifest = layout.image(&image, Packing::Plain, crate::place::Dialect::Oci);
            crate::place::for_platform(manifest, platform)
        })
        .collect();
    let index = layout.index(&manifests, crate::place::Dialect::Oci);
    layout.tag(&index, "1");
    let folder = Folder::new();
    layout.files().to_folder(folder.at("in"));
    for transport in ["oci", "oci-archive"] {
        let target = folder.at(transport);
        run(&format!("optimize oci:{} -o {transport}:{target} --platform all --compression none", folder.at("in")))
            .ok();
        // What was written of the second one and taken back leaves no trace.
        let written = Written::at(&target);
        let index = written.json(&crate::place::blob_of(&written.listed()[0]));
        let counts = [0, 1, 2].map(|at| written.image_of(&index["manifests"][at]).tars.len());
        assert_eq!(counts, [2, 2, 2]);
        assert_eq!(written.image_of(&index["manifests"][1]).tars, tiny().layers);
        assert_eq!(written.image_of(&index["manifests"][2]).seen(), Image::app().seen());
    }
}

#[test]
fn repeated_blocks_that_pack_well_are_judged_as_stored() {
    // Two gzip layers that share all their content: apart they hold it twice.
    let text: String = (0..3000).map(|n: u32| format!("{:x} ", n.wrapping_mul(2_654_435_761))).collect();
    let image = Image::of(&format!(
        "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}
         layer 1 \"RUN 1\"\n f 0644 0:0 \"{text}\" /a\n
         layer 2 \"RUN 2\"\n f 0600 0:0 \"{text}\" /a"
    ));
    let folder = Folder::new();
    Layout::of(&image, Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let report = run(&format!("optimize oci:{0}/in -o oci:{0}/out --format json", folder.at(""))).ok().json();
    let stored = |side: &str| report[side]["stored"].as_u64().expect("a number");
    assert!(stored("after") * 2 < stored("before") + 1000, "{report}");
}
