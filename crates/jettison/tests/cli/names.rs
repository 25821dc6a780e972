//! Names of images: kept, chosen by, and given.

use jettison_image::Digest;
use serde_json::{Value, json};

use crate::image::{APP_SEEN, Image, entries};
use crate::place::{Dialect, Layout, Packing, docker_archive};
use crate::run::{Folder, run, state};
use crate::written::Written;

fn numbered(number: usize) -> Image {
    let text =
        format!("config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\nlayer 1\n f 0644 0:0 \"{number}\" /number");
    Image::of(&text)
}

/// Three images; the second has two names, the last has none.
fn three(folder: &Folder) -> Vec<String> {
    let images: Vec<Image> = (0..3).map(numbered).collect();
    let tags: [&[&str]; 3] = [&["one:latest"], &["localhost:5000/two:a", "docker.io/library/two:b"], &[]];
    let listed: Vec<(&Image, &[&str])> = images.iter().zip(tags).collect();
    docker_archive(&listed, Packing::Plain).to_archive(folder.at("docker"));
    let mut layout = Layout::default();
    for (image, tags) in listed {
        let manifest = layout.image(image, Packing::Gzip, Dialect::Oci);
        tags.iter().for_each(|tag| layout.tag(&manifest, tag));
        if tags.is_empty() {
            layout.list(&manifest);
        }
        layout.docker(&manifest, tags);
    }
    layout.files().to_archive(folder.at("docker25"));
    layout.files().to_folder(folder.at("oci"));
    layout.files().to_archive(folder.at("archive"));
    ["docker-archive:docker", "docker-archive:docker25", "oci:oci", "oci-archive:archive"]
        .map(|place| place.replace(':', &format!(":{}/", folder.path().display())))
        .to_vec()
}

/// Which of the numbered images a place names.
#[track_caller]
fn number(place: &str) -> usize {
    let text = run(&format!("dump {place}")).ok().out;
    let found = (0..3).find(|number| text.contains(&Digest::of(number.to_string().as_bytes()).to_string()));
    found.unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn a_tag_or_name_chooses() {
    let folder = Folder::new();
    for place in three(&folder) {
        for (name, expected) in [
            ("latest", 0),
            ("one", 0),
            ("one:latest", 0),
            ("docker.io/library/one:latest", 0),
            ("a", 1),
            ("localhost:5000/two:a", 1),
            ("b", 1),
            ("two:b", 1),
            ("docker.io/library/two:b", 1),
        ] {
            assert_eq!(number(&format!("{place}:{name}")), expected, "{place}:{name}");
        }
    }
}

#[test]
fn a_position_chooses() {
    let folder = Folder::new();
    for place in three(&folder) {
        assert_eq!(number(&format!("{place}@0")), 0);
        // A layout's positions count names, an archive's images.
        let last = if place.starts_with("docker") { 2 } else { 3 };
        assert_eq!(number(&format!("{place}@1")), 1);
        assert_eq!(number(&format!("{place}@{last}")), 2);
        run(&format!("dump {place}@4")).fails(3, &["has no image at position 4", "one:latest"]);
    }
}

#[test]
fn a_digest_chooses() {
    let folder = Folder::new();
    let places = three(&folder);
    let mut layout = Layout::default();
    let manifest = layout.image(&numbered(1), Packing::Gzip, Dialect::Oci);
    let manifest = manifest["digest"].as_str().expect("a digest");
    let config = Digest::of(&numbered(1).config);
    for place in &places[1..] {
        assert_eq!(number(&format!("{place}@{manifest}")), 1, "{place}");
    }
    for place in &places[..2] {
        // What `docker images` shows as the image's ID.
        assert_eq!(number(&format!("{place}@{config}")), 1, "{place}");
    }
    let none = Digest::of(b"none");
    for place in &places {
        run(&format!("dump {place}@{none}")).fails(3, &["has no image", &none.to_string()]);
    }
}

#[test]
fn without_a_choice_the_names_are_listed() {
    let folder = Folder::new();
    for place in three(&folder) {
        let names = ["several images", "hint:", "one:latest", "localhost:5000/two:a", "docker.io/library/two:b"];
        for command in [format!("weigh {place}"), format!("optimize {place} -o oci:{}", folder.at("out"))] {
            run(&command).fails(3, &names);
        }
        run(&format!("weigh {place}:three")).fails(3, &["has no image three", "one:latest"]);
    }
    assert!(!folder.names().contains(&"out".to_owned()));
}

#[test]
fn images_without_names_are_chosen_by_position() {
    let folder = Folder::new();
    let mut layout = Layout::default();
    for at in 0..2 {
        let manifest = layout.image(&numbered(at), Packing::Gzip, Dialect::Oci);
        layout.list(&manifest);
    }
    layout.files().to_folder(folder.at("in"));
    let place = format!("oci:{}", folder.at("in"));
    run(&format!("weigh {place}")).fails(3, &["several images", "@0"]);
    assert_eq!(number(&format!("{place}@1")), 1);
}

#[test]
fn names_are_kept_from_every_place_to_every_place() {
    let folder = Folder::new();
    for place in three(&folder) {
        for transport in ["docker-archive", "oci", "oci-archive"] {
            let target = folder.at(&format!("out-{transport}"));
            run(&format!("optimize {place}:two:b -o {transport}:{target}")).ok();
            let written = Written::at(&target);
            let names = ["localhost:5000/two:a", "docker.io/library/two:b"];
            assert_eq!(written.names(), names, "{place}");
            let tags: Vec<Value> = written.listed();
            let tag = |at: usize| &tags[at]["annotations"]["org.opencontainers.image.ref.name"];
            assert_eq!((tag(0), tag(1)), (&json!("a"), &json!("b")));
            if transport == "docker-archive" {
                assert_eq!(written.json("manifest.json")[0]["RepoTags"], json!(names));
            }
            // Chosen again by each of its names.
            assert_eq!(number(&format!("{transport}:{target}:a")), 1);
            assert_eq!(number(&format!("{transport}:{target}:two:b")), 1);
            std::fs::remove_dir_all(&target).or_else(|_| std::fs::remove_file(&target)).expect("removes");
        }
    }
}

#[test]
fn a_name_in_the_target_takes_the_place_of_the_others() {
    let folder = Folder::new();
    let places = three(&folder);
    for place in &places {
        run(&format!("optimize {place}:one -o docker-archive:{}:new/app:2", folder.at("out"))).ok();
        let written = Written::at(folder.at("out"));
        assert_eq!(written.names(), ["new/app:2"]);
        assert_eq!(written.json("manifest.json")[0]["RepoTags"], json!(["new/app:2"]));
        run(&format!("optimize {place}:one -o oci-archive:{}:v2", folder.at("out"))).ok();
        assert_eq!(Written::at(folder.at("out")).names(), ["v2"]);
    }
}

#[test]
fn an_image_without_a_name_stays_without() {
    let folder = Folder::new();
    let places = three(&folder);
    run(&format!("optimize {}@2 -o docker-archive:{}", places[0], folder.at("out"))).ok();
    let written = Written::at(folder.at("out"));
    assert!(written.names().is_empty());
    assert_eq!(written.json("manifest.json")[0]["RepoTags"], json!([]));
    assert_eq!(number(&format!("docker-archive:{}", folder.at("out"))), 2);
}

#[test]
fn one_image_under_several_names_needs_no_choice() {
    let folder = Folder::new();
    let mut layout = Layout::default();
    let manifest = layout.image(&Image::app(), Packing::Gzip, Dialect::Oci);
    layout.tag(&manifest, "1");
    layout.tag(&manifest, "latest");
    layout.files().to_folder(folder.at("in"));
    run(&format!("optimize oci:{0}/in -o oci:{0}/out", folder.at(""))).ok();
    let written = Written::at(folder.at("out"));
    assert_eq!(written.names(), ["1", "latest"]);
    assert_eq!(written.image().seen(), entries(APP_SEEN));
}

#[test]
fn a_path_with_colons_that_exists_is_that_path() {
    let folder = Folder::new();
    Layout::of(&Image::app(), Packing::Gzip, "1").files().to_archive(folder.at("a:b@c.tar"));
    let before = state(folder.at("a:b@c.tar"));
    run(&format!("weigh {}", folder.at("a:b@c.tar"))).ok();
    run(&format!("weigh oci-archive:{}", folder.at("a:b@c.tar"))).ok();
    assert_eq!(state(folder.at("a:b@c.tar")), before);
}
