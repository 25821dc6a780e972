//! Input that is made to lead out, to exhaust, or to never end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use jettison_image::tar::{HeaderSpec, Mtime, header};

use crate::image::Image;
use crate::place::{Dialect, Files, Layout, Packing, docker_archive, gzip};
use crate::refused::Scene;
use crate::run::{Folder, run};
use crate::written::Written;

/// A header with this type, path and link.
fn entry(type_flag: u8, path: &str, link: &str, size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let (path, link) = (path.as_bytes(), link.as_bytes());
    let (mtime, device) = (Mtime::default(), (0, 0));
    header(
        &HeaderSpec { type_flag, path, link, mode: 0o644, uid: 0, gid: 0, mtime, size, device, xattrs: &[] },
        &mut out,
    );
    out
}

/// An extended header with these records, written as they stand.
fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut data = String::new();
    for (key, value) in records {
        let bare = key.len() + value.len() + 3;
        let length = (bare..).find(|length| bare + length.to_string().len() == *length).expect("a length");
        let _ = writeln!(data, "{length} {key}={value}");
    }
    let mut out = entry(b'x', "pax", "", data.len() as u64);
    out.extend_from_slice(data.as_bytes());
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// An image of one layer with these members.
fn of_members(members: &[Vec<u8>]) -> Image {
    Image::of_tars(vec![[members.concat(), vec![0; 1024]].concat()])
}

/// The image is refused from an archive of old and from a layout alike.
#[track_caller]
fn refused(image: &Image, parts: &[&str]) {
    let scene = Scene::new();
    scene.refuses(&scene.place("oci", &Layout::of(image, Packing::Gzip, "1").files()), parts);
    scene.refuses(&scene.place("docker-archive", &docker_archive(&[(image, &["a:1"])], Packing::Plain)), parts);
}

/// The same for layers that can each be read, and not be applied: they can be dumped.
#[track_caller]
fn inapplicable(layers: &str, parts: &[&str]) {
    let image = Image::of(&format!("config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\n{layers}"));
    let scene = Scene::new();
    let place = scene.place("oci", &Layout::of(&image, Packing::Gzip, "1").files());
    run(&format!("weigh {place}")).fails(3, parts);
    run(&format!("diff {place} {place}")).fails(3, parts);
    run(&format!("dump {place}")).ok();
    scene.leaves_targets(&place, 3, parts);
}

#[test]
fn paths_that_climb_out() {
    let file = entry(b'0', "fine", "", 0);
    for path in ["../x", "..", "a/../../x", "/../x", "./../x", "a/b/../../../x"] {
        let message = format!("entry {path:?} at offset 512 leads out of the layer");
        refused(&of_members(&[file.clone(), entry(b'0', path, "", 0)]), &[&message]);
        let link = entry(b'1', "link", path, 0);
        refused(&of_members(&[file.clone(), link]), &[&message]);
    }
    refused(&of_members(&[entry(b'1', "passwd", "../../etc/passwd", 0)]), &["\"../../etc/passwd\" at offset 0"]);
    // What stays within is cleaned by text, and symbolic links may point wherever they like.
    let image = of_members(&[entry(b'0', "a/../x", "", 0), entry(b'2', "l", "../../../etc/passwd", 0)]);
    let folder = Folder::new();
    Layout::of(&image, Packing::Plain, "1").files().to_folder(folder.at("in"));
    let dumped = run(&format!("dump oci:{}", folder.at("in"))).ok().out;
    assert!(dumped.contains(" /x\n") && dumped.contains("/l -> ../../../etc/passwd"), "{dumped}");
}

#[test]
fn whiteouts_of_nothing() {
    for path in [".wh.", "d/.wh.", ".wh..", "d/.wh...", ".wh.d/x"] {
        let message = format!("entry {path:?} at offset 0 is not a valid whiteout");
        refused(&of_members(&[entry(b'0', path, "", 0)]), &[&message]);
    }
}

#[test]
fn links_that_lead_nowhere() {
    inapplicable("layer 1\n h /a => /none", &["layer 1", "hard link \"a\" points to \"none\", which does not exist"]);
    inapplicable("layer 1\n h /a => /b\n h /b => /a", &["layer 1", "which does not exist"]);
    inapplicable("layer 1\n d 0755 0:0 /d\nlayer 2\n h /a => /d", &["layer 2", "\"d\", which is a directory"]);
    inapplicable(
        "layer 1\n l 0777 0:0 /a -> b\n l 0777 0:0 /b -> a\nlayer 2\n f 0644 0:0 \"\" /a/x",
        &["layer 2", "\"a/x\"", "leads to no folder"],
    );
    inapplicable("layer 1\n l 0777 0:0 /a -> a\n f 0644 0:0 \"\" /a/x", &["layer 1", "\"a/x\""]);
    inapplicable(
        "layer 1\n f 0644 0:0 \"\" /f\n l 0777 0:0 /a -> f\nlayer 2\n f 0644 0:0 \"\" /a/x",
        &["layer 2", "\"a/x\""],
    );
    let long: String = (0..60).map(|at| format!(" l 0777 0:0 /l{at} -> l{}\n", at + 1)).collect();
    inapplicable(
        &format!("layer 1\n{long} d 0755 0:0 /l60\nlayer 2\n f 0644 0:0 \"\" /l0/x"),
        &["layer 2", "\"l0/x\""],
    );
}

#[test]
fn a_root_that_is_no_folder() {
    let scene = Scene::new();
    let image = of_members(&[entry(b'0', "./.", "", 0)]);
    let place = scene.place("oci", &Layout::of(&image, Packing::Gzip, "1").files());
    run(&format!("weigh {place}")).fails(3, &["layer 1", "the root is not a directory"]);
    scene.leaves_targets(&place, 3, &["the root is not a directory"]);
}

#[test]
fn layers_that_unpack_to_more_than_the_limit() {
    let text = |size: u64| {
        format!(
            "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\nlayer 1\n f 0644 0:0 \"\" /small\n f 0644 0:0 {size}*\"\\x00\" /huge"
        )
    };
    let image = Image::of(&text(40_000_000));
    let scene = Scene::new();
    for packing in [Packing::Gzip, Packing::Zstd] {
        let files = Layout::of(&image, packing, "1").files();
        let place = scene.place("oci", &files);
        let start = Instant::now();
        let message = "more than the limit of 1000000 bytes (reached in entry \"huge\" at offset 512)";
        run(&format!("weigh {place} --max-layer-size 1M")).fails(3, &[message, "hint:", "--max-layer-size"]);
        scene.leaves_targets(&format!("{place} --max-layer-size 1M"), 3, &[message]);
        assert!(start.elapsed() < Duration::from_secs(5), "the limit is met before the bytes are");
        // Without a limit, a layer of this size is nothing special.
        run(&format!("weigh {place} --max-layer-size {}", image.layers[0].len())).ok();
        run(&format!("weigh {place} --max-layer-size 39999999")).fails(3, &["more than the limit"]);
        run(&format!("weigh {place}")).ok();
    }
}

#[test]
fn bytes_behind_the_end_count_towards_the_limit() {
    let image = Image::of_tars(vec![[entry(b'0', "x", "", 0), vec![0; 30_000_000]].concat()]);
    let scene = Scene::new();
    let place = scene.place("oci", &Layout::of(&image, Packing::Zstd, "1").files());
    scene.refuses(&format!("{place} --max-layer-size 1M"), &["more than the limit of 1000000 bytes"]);
    run(&format!("weigh {place}")).ok();
}

#[test]
fn sparse_files_count_as_what_they_claim_to_be() {
    let sparse = |size: &str| {
        let records = [
            ("GNU.sparse.major", "0"),
            ("GNU.sparse.minor", "1"),
            ("GNU.sparse.name", "s"),
            ("GNU.sparse.size", size),
            ("GNU.sparse.map", "0,0"),
        ];
        of_members(&[pax(&records), entry(b'0', "GNUSparseFile.0/s", "", 0)])
    };
    for size in ["99999999999999", "18446744073709551615"] {
        refused(&sparse(size), &["more than the limit of", "\"s\" at offset 0"]);
    }
    refused(&sparse("18446744073709551616"), &["sparse map does not fit"]);
    let scene = Scene::new();
    let place = scene.place("oci", &Layout::of(&sparse("2000000"), Packing::Gzip, "1").files());
    scene.refuses(&format!("{place} --max-layer-size 1M"), &["more than the limit of 1000000 bytes"]);
    run(&format!("weigh {place}")).ok();
}

#[test]
fn what_goes_of_a_sparse_file_is_what_its_layer_held() {
    let records = [
        ("GNU.sparse.major", "0"),
        ("GNU.sparse.minor", "1"),
        ("GNU.sparse.name", "var/log/faillog"),
        ("GNU.sparse.size", "30000000"),
        ("GNU.sparse.map", "1024,700"),
    ];
    let data = [vec![b'l'; 700], vec![0; 324]].concat();
    let image =
        of_members(&[entry(b'0', "app", "", 0), pax(&records), entry(b'0', "GNUSparseFile.0/faillog", "", 700), data]);
    let folder = Folder::new();
    Layout::of(&image, Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let line = format!("optimize oci:{} --plan --squash-all", folder.at("in"));
    let report = run(&format!("{line} --format json")).ok().json();
    let item = &report["receipt"]["items"][0];
    assert_eq!(
        (&item["pass"], &item["paths"][0]["path"]),
        (&"build-logs".into(), &"/var/log/faillog".into()),
        "{report}"
    );
    assert_eq!((&item["bytes"], &item["paths"][0]["bytes"]), (&700.into(), &700.into()), "{report}");
}

#[test]
fn sizes_that_overflow() {
    for size in ["18446744073709551615", "18446744073709551000", "9223372036854775807"] {
        let image = of_members(&[entry(b'0', "first", "", 0), pax(&[("size", size)]), entry(b'0', "x", "", 0)]);
        refused(&image, &["offset"]);
        // The same in the archive around.
        let scene = Scene::new();
        let mut bytes = docker_archive(&[(&Image::app(), &["a:1"])], Packing::Plain).tar();
        bytes.splice(0..0, [pax(&[("size", size)]), entry(b'0', "x", "", 0)].concat());
        let place = scene.place("docker-archive", &Files::default());
        std::fs::write(scene.folder.at("in"), bytes).expect("writes");
        scene.refuses(&place, &[&scene.folder.at("in")]);
    }
    // A negative size in base 256.
    let mut negative = entry(b'0', "x", "", 0);
    negative[124..136].fill(0xff);
    let sum: u32 = negative[..148].iter().chain(&negative[156..]).map(|&byte| u32::from(byte)).sum::<u32>() + 8 * 32;
    negative[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    refused(&of_members(&[negative]), &["size is not a number at offset 0"]);
}

#[test]
fn headers_that_are_too_large() {
    let mut long = entry(b'L', "././@LongLink", "", 20 << 20);
    long.resize(512 + (20 << 20), b'n');
    let image = of_members(&[long, entry(b'0', "x", "", 0)]);
    let scene = Scene::new();
    let place = scene.place("oci", &Layout::of(&image, Packing::Zstd, "1").files());
    scene.refuses(&place, &["of 20971520 bytes", "larger than the limit of 16 MiB at offset 0"]);
}

#[test]
fn archives_that_unpack_without_end() {
    // A gigabyte of nothing in a gzip of a megabyte, and of a kilobyte in another gzip.
    let image =
        Image::of("config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1\n f 0644 0:0 30000000*\"\\x00\" /x");
    let scene = Scene::new();
    let place = scene.place("docker-archive", &docker_archive(&[(&image, &["a:1"])], Packing::Plain));
    let packed = gzip(&std::fs::read(scene.folder.at("in")).expect("reads"));
    std::fs::write(scene.folder.at("in"), packed).expect("writes");
    scene.refuses(&format!("{place} --max-layer-size 1k"), &[&scene.folder.at("in"), "limit"]);
    run(&format!("weigh {place}")).ok();
}

#[test]
fn indexes_that_are_nested_too_deep() {
    let nested = |depth: usize| {
        let mut layout = Layout::default();
        let mut descriptor = layout.image(&Image::app(), Packing::Gzip, Dialect::Oci);
        for _ in 0..depth {
            descriptor = layout.index(&[descriptor], Dialect::Oci);
        }
        layout.tag(&descriptor, "1");
        layout.files()
    };
    let scene = Scene::new();
    run(&format!("weigh {}", scene.place("oci", &nested(8)))).ok();
    for depth in [9, 100] {
        let place = scene.place("oci", &nested(depth));
        scene.refuses(&place, &[&scene.folder.at("in"), "indexes are nested more than 8 deep"]);
    }
}

/// Reads, weighs, optimizes and compares; gives the time that all took.
fn survives(image: &Image) -> Duration {
    let folder = Folder::new();
    Layout::of(image, Packing::Gzip, "1").files().to_folder(folder.at("in"));
    let start = Instant::now();
    run(&format!("weigh oci:{}", folder.at("in"))).ok();
    run(&format!("optimize oci:{0}/in -o oci:{0}/out --verify-each", folder.at(""))).ok();
    let time = start.elapsed();
    assert_eq!(Written::at(folder.at("out")).image().seen(), image.seen());
    run(&format!("diff oci:{0}/in oci:{0}/out", folder.at(""))).ok();
    time
}

#[test]
fn folders_ten_thousand_deep() {
    let deep = "d/".repeat(10_000);
    let image = Image::of(&format!(
        "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}
         layer 1\n f 0644 0:0 \"1\" /{deep}x
         layer 2\n f 0644 0:0 \"2\" /{deep}x\n f 0644 0:0 \"2\" /{deep}y
         layer 3\n w /d\n f 0644 0:0 \"3\" /z"
    ));
    assert!(survives(&image) < Duration::from_secs(10));
    // Still there in the end: the layers stay, for merged they would have to list every folder.
    let image = Image::of(&format!(
        "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}
         layer 1\n f 0644 0:0 \"1\" /{0}x\nlayer 2\n f 0644 0:0 \"2\" /{0}x",
        "d/".repeat(3_000)
    ));
    assert!(survives(&image) < Duration::from_secs(10));
}

#[test]
fn a_folder_of_a_hundred_thousand_files() {
    let mut text = "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1\n d 0755 0:0 /d\n".to_owned();
    for at in 0..100_000 {
        let _ = writeln!(text, " f 0644 0:0 \"\" /d/{at}");
    }
    text += "layer 2\n d 0755 0:0 /d\n";
    for at in 0..400 {
        let _ = writeln!(text, " w /d/{}", at * 250);
    }
    assert!(survives(&Image::of(&text)) < Duration::from_secs(10));
}

#[test]
fn hundreds_of_layers() {
    let layers: String =
        (1..=500).map(|at| format!("layer {at} \"RUN {at}\"\n f 0644 0:0 \"{at}\" /x{}\n", at % 50)).collect();
    let image = Image::of(&format!("config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\n{layers}"));
    assert!(survives(&image) < Duration::from_secs(10));
}

#[test]
fn names_that_files_cannot_have() {
    let image = of_members(&[pax(&[("path", "a\0b")]), entry(b'0', "x", "", 0)]);
    refused(&image, &["a name holds a NUL byte at offset"]);
    let image = of_members(&[entry(b'9', "x", "", 0)]);
    refused(&image, &["the member type '9' is not one that a layer can hold at offset 0"]);
    let image = of_members(&[pax(&[("uid", "4294967296")]), entry(b'0', "x", "", 0)]);
    refused(&image, &["uid is not a number at offset"]);
    let image = of_members(&[pax(&[("mtime", "soon")]), entry(b'0', "x", "", 0)]);
    refused(&image, &["mtime is not a number at offset"]);
}
