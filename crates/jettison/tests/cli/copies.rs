//! `copy` from archives that name only what layers are unpacked: some tools pack them.

use jettison_image::Digest;

use crate::image::{APP, Image};
use crate::place::{Packing, docker_archive};
use crate::run::{Folder, run};
use crate::written::Written;

#[test]
fn layers_of_a_docker_archive_are_copied_as_they_lie() {
    let folder = Folder::new();
    let image = Image::of(APP);
    for packing in [Packing::Plain, Packing::Gzip, Packing::Members, Packing::Zstd, Packing::Framed] {
        docker_archive(&[(&image, &["app:1"][..])], packing).to_archive(folder.at("in"));
        for target in ["oci-archive", "docker-archive"] {
            let _ = std::fs::remove_file(folder.at("out"));
            let line = format!("copy docker-archive:{0}/in {target}:{0}/out", folder.at(""));
            run(&line).ok();
            run(&format!("diff docker-archive:{0}/in {target}:{0}/out", folder.at(""))).ok();
            if target == "oci-archive" {
                let written = Written::at(folder.at("out")).image();
                let blobs: Vec<Vec<u8>> = image.layers.iter().map(|tar| packing.pack(tar)).collect();
                assert!(written.blobs == blobs, "bytes stay");
                assert_eq!(written.seen(), image.seen());
            }
        }
    }
}

#[test]
fn a_packed_layer_that_is_another_one_is_not_copied() {
    let folder = Folder::new();
    let image = Image::of(APP);
    let mut files = docker_archive(&[(&image, &["app:1"][..])], Packing::Gzip);
    let second = format!("{}/layer.tar", Digest::of(b"0 1").hex());
    *files.bytes(&second) = Packing::Gzip.pack(&image.layers[0]);
    files.to_archive(folder.at("in"));
    let ran = run(&format!("copy docker-archive:{0}/in oci-archive:{0}/out", folder.at("")));
    ran.fails(3, &["layer 2 unpacks to", "but the config's diff ID is"]);
    assert!(!std::path::Path::new(&folder.at("out")).exists());
}
