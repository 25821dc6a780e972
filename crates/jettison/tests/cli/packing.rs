//! How written layers are packed, and that kept ones are not packed anew.

use crate::image::{APP_SEEN, Image, entries};
use crate::place::{Layout, Packing, docker_archive};
use crate::run::{Folder, run};
use crate::written::{Written, check_canonical};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// An own layer of several hundred kilobytes that packs neither to nothing nor not at all.
fn large() -> Image {
    let words: Vec<String> = (0..40_000_u64).map(|n| format!("{:x}", n.wrapping_mul(n) % 65_537)).collect();
    Image::of(&format!(
        "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}
         layer 1 \"RUN a\"\n f 0644 0:0 \"{0}\" /words
         layer 2 \"RUN b\"\n f 0600 0:0 \"{0}\" /words",
        words.join(" ")
    ))
}

#[test]
fn every_format_and_level_is_what_was_asked_for() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Members, "1").files().to_folder(folder.at("in"));
    let base = Packing::Members.pack(&Image::app().layers[0]);
    for transport in ["oci", "oci-archive", "docker-archive"] {
        for (option, suffix, magic) in [
            ("none", "", &b"app/\0"[..]),
            ("gzip", "+gzip", GZIP),
            ("gzip:1", "+gzip", GZIP),
            ("gzip:12", "+gzip", GZIP),
            ("zstd", "+zstd", ZSTD),
            ("zstd:1", "+zstd", ZSTD),
            ("zstd:22", "+zstd", ZSTD),
            ("zstd:2,long=20", "+zstd", ZSTD),
            ("zstd,long", "+zstd", ZSTD),
        ] {
            let target = folder.at(&format!("{transport}-{}", option.replace(':', "-")));
            run(&format!("optimize oci:{} -o {transport}:{target} --compression {option}", folder.at("in"))).ok();
            let image = Written::at(&target).image();
            assert_eq!(image.packings(), ["+gzip", suffix]);
            assert!(image.blobs[1].starts_with(magic), "{transport} {option}");
            assert_eq!(image.blobs[0], base, "the base's layer is not packed anew");
            assert_eq!(image.seen(), entries(APP_SEEN));
            check_canonical(&image.tars[1]);
        }
    }
}

#[test]
fn without_a_choice_archives_for_docker_are_plain_and_layouts_gzip() {
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("docker"));
    Layout::of(&Image::app(), Packing::Zstd, "1").files().to_folder(folder.at("oci"));
    Layout::of(&Image::app(), Packing::Zstd, "1").files().to_archive(folder.at("archive"));
    for (input, target, expected) in [
        ("docker-archive:docker", "docker-archive:out1", ["", ""]),
        ("docker-archive:docker", "oci:out2", ["", "+gzip"]),
        ("docker-archive:docker", "out3", ["", ""]),
        ("oci:oci", "out4", ["+zstd", "+gzip"]),
        ("oci-archive:archive", "out5", ["+zstd", "+gzip"]),
        ("oci-archive:archive", "docker-archive:out6", ["+zstd", ""]),
    ] {
        let place = |name: &str| match name.split_once(':') {
            Some((transport, name)) => format!("{transport}:{}", folder.at(name)),
            None => folder.at(name),
        };
        run(&format!("optimize {} -o {}", place(input), place(target))).ok();
        let path = folder.at(target.rsplit(':').next().expect("a name"));
        let written = Written::at(&path);
        assert_eq!(written.image().packings(), expected, "{input} {target}");
        // A bare path is of the input's kind.
        let is_docker = input.starts_with("docker") && !target.contains("oci") || target.starts_with("docker");
        assert_eq!(written.has("manifest.json"), is_docker, "{input} {target}");
        let is_folder = target.starts_with("oci:") || input.starts_with("oci:") && !target.contains(':');
        assert_eq!(std::path::Path::new(&path).is_dir(), is_folder, "{input} {target}");
    }
}

#[test]
fn higher_levels_pack_smaller() {
    let folder = Folder::new();
    Layout::of(&large(), Packing::Plain, "1").files().to_folder(folder.at("in"));
    let size = |option: &str| {
        run(&format!("optimize oci:{0}/in -o oci-archive:{0}/out --compression {option}", folder.at(""))).ok();
        let image = Written::at(folder.at("out")).image();
        assert_eq!(image.seen(), large().seen());
        image.blobs[0].len()
    };
    for (low, high) in [("gzip:1", "gzip:12"), ("zstd:1", "zstd:19"), ("gzip", "none")] {
        let (low, high) = if high == "none" { (high, low) } else { (low, high) };
        assert!(size(low) > size(high), "{low} {high}");
    }
    assert_eq!(size("gzip"), size("gzip:3"));
    assert_eq!(size("zstd"), size("zstd:3"));
}

#[test]
fn formats_and_levels_that_do_not_exist_are_refused() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Plain, "1").files().to_folder(folder.at("in"));
    for (option, message) in [
        ("xz", "gzip, zstd, none"),
        ("gzip:0", "from 1 to 12"),
        ("gzip:13", "from 1 to 12"),
        ("zstd:23", "from 1 to 22"),
        ("none:1", "from 0 to 0"),
        ("gzip:", "from 1 to 12"),
        ("zstd,long=28", "10 to 27"),
        ("zstd,wide", "\"wide\""),
        ("gzip:3,long", "not gzip"),
        ("estargz", "no kept library writes it"),
        ("zstd:chunked", "no kept library writes it"),
    ] {
        run(&format!("optimize oci:{0}/in -o oci:{0}/out --compression {option}", folder.at("")))
            .fails(2, &[message, option]);
    }
    assert_eq!(folder.names(), ["in"]);
}

#[test]
fn packings_that_docker_reads_nowhere_stay_in_what_is_kept() {
    // zstd in an archive of old: there is no media type to go by, only the bytes.
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Framed).to_archive(folder.at("in"));
    run(&format!("optimize docker-archive:{0}/in -o oci:{0}/out -O0", folder.at(""))).ok();
    let image = Written::at(folder.at("out")).image();
    assert_eq!(image.packings(), ["+zstd"; 4]);
    let expected: Vec<Vec<u8>> = Image::app().layers.iter().map(|tar| Packing::Framed.pack(tar)).collect();
    assert_eq!(image.blobs, expected);
}
