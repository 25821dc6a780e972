//! What stands at the target: other images stay, and nothing else is ever replaced.

use std::fs;

use serde_json::json;

use crate::image::{APP_SEEN, Image, entries};
use crate::place::{Dialect, Layout, Packing, docker_archive};
use crate::run::{Folder, run, state};
use crate::written::Written;

fn other(number: usize) -> Image {
    Image::of(&format!(
        "config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\nlayer 1\n f 0644 0:0 \"{number}\" /other"
    ))
}

#[test]
fn other_images_of_a_layout_stay() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "app:1").files().to_folder(folder.at("in"));
    let mut layout = Layout::default();
    let others: Vec<_> = (0..3).map(|at| layout.image(&other(at), Packing::Zstd, Dialect::Docker)).collect();
    layout.tag(&others[0], "zero:1");
    layout.tag(&others[1], "one");
    layout.list(&others[2]);
    layout.files().to_folder(folder.at("out"));
    let before = Written::at(folder.at("out")).listed();
    run(&format!("optimize oci:{0}/in -o oci:{0}/out", folder.at(""))).ok();
    let written = Written::at(folder.at("out"));
    assert_eq!(written.listed()[..3], before);
    assert_eq!(written.image_of(&written.listed()[3]).seen(), entries(APP_SEEN));
    for (at, selector) in [(0, "zero:1"), (1, "one"), (2, "@2")] {
        let place = format!("oci:{}:{selector}", folder.at("out")).replace(":@", "@");
        assert!(
            run(&format!("dump {place}"))
                .ok()
                .out
                .contains(&jettison_image::Digest::of(at.to_string().as_bytes()).to_string())
        );
    }
    assert_eq!(folder.names(), ["in", "out"]);
}

#[test]
fn an_image_of_the_same_name_is_replaced() {
    let folder = Folder::new();
    for name in ["app:1", "v1"] {
        Layout::of(&other(0), Packing::Gzip, name).files().to_folder(folder.at("out"));
        Layout::of(&Image::app(), Packing::Gzip, name).files().to_folder(folder.at("in"));
        run(&format!("optimize oci:{0}/in -o oci:{0}/out", folder.at(""))).ok();
        let written = Written::with_unused(folder.at("out"));
        assert_eq!(written.names(), [name]);
        assert_eq!(written.image().seen(), entries(APP_SEEN));
        for name in ["in", "out"] {
            fs::remove_dir_all(folder.at(name)).expect("removes");
        }
    }
    // An image without a name takes the place of the one without.
    let mut layout = Layout::default();
    let manifest = layout.image(&other(0), Packing::Gzip, Dialect::Oci);
    layout.list(&manifest);
    layout.files().to_folder(folder.at("out"));
    docker_archive(&[(&Image::app(), &[])], Packing::Plain).to_archive(folder.at("in"));
    run(&format!("optimize {0}/in -o oci:{0}/out", folder.at(""))).ok();
    assert_eq!(Written::with_unused(folder.at("out")).image().seen(), entries(APP_SEEN));
}

#[test]
fn what_no_image_of_a_layout_uses_any_more_goes() {
    // Otherwise a layout that is optimized in its place would grow, not shrink.
    let folder = Folder::new();
    let mut layout = Layout::of(&Image::app(), Packing::Gzip, "app:1");
    let other = layout.image(&other(0), Packing::Gzip, Dialect::Oci);
    layout.tag(&other, "other:1");
    layout.files().to_folder(folder.at("in"));
    run(&format!("optimize oci:{0}/in:app:1 -o oci:{0}/in", folder.at(""))).ok();
    assert_eq!(Written::at(folder.at("in")).names(), ["other:1", "app:1"]);
}

#[test]
fn the_input_may_be_the_target() {
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("docker-archive"));
    Layout::of(&Image::app(), Packing::Gzip, "app:1").files().to_archive(folder.at("oci-archive"));
    Layout::of(&Image::app(), Packing::Zstd, "app:1").files().to_folder(folder.at("oci"));
    for transport in ["docker-archive", "oci-archive", "oci"] {
        let place = format!("{transport}:{}", folder.at(transport));
        let report = run(&format!("optimize {place} -o {place} --format json")).ok().json();
        assert_eq!((&report["before"]["layers"], &report["after"]["layers"]), (&json!(4), &json!(2)));
        let written = Written::with_unused(folder.at(transport));
        assert_eq!((written.image().seen(), written.names()), (entries(APP_SEEN), vec!["app:1".to_owned()]));
    }
    assert_eq!(folder.names(), ["docker-archive", "oci", "oci-archive"]);
}

#[test]
fn an_archive_that_stands_there_is_replaced() {
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("in"));
    for transport in ["docker-archive", "oci-archive"] {
        fs::write(folder.at("out"), vec![1; 1 << 20]).expect("writes");
        run(&format!("optimize {0}/in -o {transport}:{0}/out", folder.at(""))).ok();
        assert_eq!(Written::at(folder.at("out")).image().seen(), entries(APP_SEEN));
    }
}

#[test]
fn an_empty_folder_is_a_place_for_a_layout() {
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("in"));
    fs::create_dir(folder.at("out")).expect("makes a folder");
    run(&format!("optimize {0}/in -o oci:{0}/out", folder.at(""))).ok();
    assert_eq!(Written::at(folder.at("out")).image().seen(), entries(APP_SEEN));
}

#[test]
fn folders_of_something_else_are_left_alone() {
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("in"));
    fs::create_dir(folder.at("home")).expect("makes a folder");
    fs::write(folder.at("home/letter"), "precious").expect("writes");
    fs::create_dir(folder.at("empty")).expect("makes a folder");
    fs::write(folder.at("file"), "precious").expect("writes");
    let before = state(folder.path());
    for target in ["oci:home", "docker-archive:home", "oci-archive:home", "home", "docker-archive:empty", "oci:file"] {
        let place = match target.split_once(':') {
            Some((transport, name)) => format!("{transport}:{}", folder.at(name)),
            None => folder.at(target),
        };
        let path = folder.at(target.rsplit(':').next().expect("a name"));
        run(&format!("optimize {} -o {place}", folder.at("in"))).fails(3, &[&path]);
        assert_eq!(state(folder.path()), before, "{target}");
    }
}

#[test]
fn a_layout_that_is_damaged_is_left_alone() {
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("in"));
    let mut files = Layout::of(&other(0), Packing::Gzip, "1").files();
    *files.bytes("index.json") = b"{".to_vec();
    files.to_folder(folder.at("out"));
    let before = state(folder.path());
    run(&format!("optimize {0}/in -o oci:{0}/out", folder.at(""))).fails(3, &[&folder.at("out"), "index.json"]);
    assert_eq!(state(folder.path()), before);
}

#[test]
fn a_target_that_cannot_be_is_said_before_the_work() {
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("in"));
    for target in ["oci:none/out", "docker-archive:none/out", "oci-archive:in/out"] {
        let (transport, name) = target.split_once(':').expect("a transport");
        run(&format!("optimize {} -o {transport}:{}", folder.at("in"), folder.at(name))).fails(3, &[&folder.at(name)]);
    }
    assert_eq!(folder.names(), ["in"]);
}

#[test]
fn a_symbolic_link_at_the_target_never_leads_to_a_loss() {
    let folder = Folder::new();
    docker_archive(&[(&Image::app(), &["app:1"])], Packing::Plain).to_archive(folder.at("in"));
    Layout::of(&other(0), Packing::Gzip, "other:1").files().to_folder(folder.at("layout"));
    fs::write(folder.at("file"), "precious").expect("writes");
    std::os::unix::fs::symlink("layout", folder.at("to-layout")).expect("links");
    std::os::unix::fs::symlink("file", folder.at("to-file")).expect("links");
    let (layout, file) = (state(folder.at("layout")), state(folder.at("file")));
    run(&format!("optimize {0}/in -o oci:{0}/to-layout", folder.at(""))).ok();
    run(&format!("optimize {0}/in -o docker-archive:{0}/to-file", folder.at(""))).ok();
    assert_eq!((state(folder.at("layout")), state(folder.at("file"))), (layout, file));
    // The result is at the name that was given, with what was reached through it.
    assert_eq!(Written::at(folder.at("to-layout")).names(), ["other:1", "app:1"]);
    assert_eq!(Written::at(folder.at("to-file")).image().seen(), entries(APP_SEEN));
}

#[test]
fn outputs_of_several_runs_gather_in_one_layout() {
    let folder = Folder::new();
    for at in 0..3 {
        docker_archive(&[(&other(at), &["x:1"])], Packing::Plain).to_archive(folder.at("in"));
        run(&format!("optimize {0}/in -o oci:{0}/out:v{at}", folder.at(""))).ok();
    }
    let written = Written::at(folder.at("out"));
    assert_eq!(written.names(), ["v0", "v1", "v2"]);
    let seen: Vec<String> = written.listed().iter().map(|listed| written.image_of(listed).seen()).collect();
    assert_eq!(seen, (0..3).map(|at| other(at).seen()).collect::<Vec<_>>());
}
