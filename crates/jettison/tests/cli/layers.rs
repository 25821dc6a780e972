//! At most so many own layers: balanced, stable from release to release, and the same tree.

use std::fmt::Write as _;

use crate::image::{Image, seen};
use crate::place::{Layout, Packing};
use crate::run::{Folder, run};
use crate::written::{Written, WrittenImage, check_canonical};

/// Own layers below the one that a release changes.
const STEPS: usize = 12;

/// The application of 480 files in 20 folders; a release changes a few of them in its last layer.
fn release(last_layer: &str) -> Image {
    let mut text = "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}
        layer 1 \"ADD rootfs.tar /\"\n d 0755 0:0 /etc\n f 0644 0:0 \"os\" /etc/os
        empty \"CMD [\\\"sh\\\"]\"\n"
        .to_owned();
    // Every builder lists the folders that a layer touches.
    let folders: String = (0..20).map(|at| format!(" d 0755 0:0 /srv/d{at:02}\n")).collect();
    for layer in 0..STEPS {
        let _ = writeln!(text, "layer {} \"RUN step {layer}\"\n d 0755 0:0 /srv\n{folders}", layer + 2);
        for file in 0..480 / STEPS {
            let (folder, size) = ((file * 7 + layer) % 20, 500 + (file * 97 + layer * 31) % 9000);
            let _ = writeln!(text, " f 0644 0:0 {size}*\"{layer}-{file} \" /srv/d{folder:02}/f{layer}-{file}");
        }
    }
    let last = STEPS + 2;
    let release = format!("layer {last} \"COPY release\"\n d 0755 0:0 /srv\n f 0644 0:0 \"1\" /srv/version");
    Image::of(&format!("{text}{release}\n{folders}{last_layer}"))
}

fn split(folder: &Folder, image: &Image, options: &str) -> WrittenImage {
    Layout::of(image, Packing::Plain, "1").files().to_archive(folder.at("in"));
    run(&format!("optimize oci-archive:{0}/in -o oci-archive:{0}/out --compression none {options}", folder.at("")))
        .ok();
    Written::at(folder.at("out")).image()
}

#[test]
fn there_are_at_most_so_many_and_their_tree_is_the_same() {
    let folder = Folder::new();
    let image = release("");
    for count in [1, 2, 3, 5, 8, 40, 120] {
        let split = split(&folder, &image, &format!("--layers {count} --squash-all"));
        let most = if count < image.layers.len() { count } else { image.layers.len() };
        assert_eq!(split.tars.len(), most, "--layers {count}");
        assert_eq!(split.seen(), image.seen());
        split.tars.iter().for_each(|tar| check_canonical(tar));
        let kept = self::split(&folder, &image, &format!("--layers {count}"));
        assert_eq!(kept.tars.len(), 1 + most.min(STEPS + 1), "--layers {count} above a base");
        assert_eq!(kept.tars[0], image.layers[0]);
        assert_eq!(kept.seen(), image.seen());
    }
}

#[test]
fn they_are_of_about_equal_size() {
    let folder = Folder::new();
    for count in [2, 3, 4, 8] {
        let sizes: Vec<usize> =
            split(&folder, &release(""), &format!("--layers {count} --squash-all")).tars.iter().map(Vec::len).collect();
        let ideal = sizes.iter().sum::<usize>() / count;
        // Borders move by at most a quarter of a part, so parts reach from a half to one and a half.
        let largest_file = 10_000 + 2 * 1024;
        assert!(
            sizes.iter().all(|&size| size > ideal / 2 - largest_file && size < ideal * 3 / 2 + largest_file),
            "{sizes:?}"
        );
    }
}

#[test]
fn a_release_that_changes_a_few_files_keeps_most_layers() {
    let folder = Folder::new();
    let options = "--layers 8 --squash-all";
    let before = split(&folder, &release(""), options).layer_digests();
    assert_eq!(before.len(), 8);
    let kept = |last_layer: &str| {
        let image = release(last_layer);
        let after = split(&folder, &image, options);
        assert_eq!(after.seen(), seen(&image.layers));
        after.layer_digests().iter().filter(|digest| before.contains(digest)).count()
    };
    let changed: String =
        (0..2).map(|at| format!(" f 0644 0:0 3000*\"new{at}\" /srv/d07/f0-{}\n", at * 20 + 1)).collect();
    assert!(kept(&changed) >= 6, "changed files of one folder: {}", kept(&changed));
    // Where files are added the borders near by may move: more than half of the layers stay on average.
    let added = |folder: usize| -> String {
        (0..6).map(|at| format!(" f 0644 0:0 3000*\"add{at}\" /srv/d{folder:02}/added{at}\n")).collect()
    };
    let counts: Vec<usize> = [0, 3, 7, 11, 15, 19].map(|folder| kept(&added(folder))).to_vec();
    assert!(counts.iter().all(|&count| count >= 4) && counts.iter().sum::<usize>() >= 5 * 6, "added files: {counts:?}");
    let removed: String = (0..6).map(|at| format!(" w /srv/d{:02}/f1-{at}\n", (at * 7 + 1) % 20)).collect();
    assert!(kept(&removed) >= 1, "removed files of six folders: {}", kept(&removed));
    assert_eq!(kept(" f 0644 0:0 \"2\" /srv/version\n"), 7, "one file");
}

#[test]
fn more_layers_than_files_are_as_many_as_files() {
    let folder = Folder::new();
    let image = Image::of(
        "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}
         layer 1 \"a\"\n f 0644 0:0 9000*\"a\" /a\n f 0644 0:0 9000*\"a\" /x
         layer 2 \"b\"\n f 0644 0:0 9000*\"b\" /b\n w /x
         layer 3 \"c\"\n f 0644 0:0 9000*\"c\" /c\n w /x",
    );
    let split = split(&folder, &image, "--layers 2");
    assert!(split.tars.len() <= 2);
    assert_eq!(split.seen(), image.seen());
}

#[test]
fn hard_links_stay_with_their_content_wherever_the_cut_is() {
    let folder = Folder::new();
    let mut text =
        "config {\"architecture\":\"ARCH\",\"os\":\"linux\"}\nlayer 1 \"a\"\n d 0755 0:0 /d\n d 0755 0:0 /links\n"
            .to_owned();
    for at in 0..30 {
        let _ = writeln!(text, " f 0644 0:0 2000*\"{at}\" /d/f{at:02}");
        let _ = writeln!(text, " h /links/f{at:02} => /d/f{at:02}");
    }
    let image =
        Image::of(&format!("{text}layer 2 \"b\"\n f 0644 0:0 \"b\" /b\nlayer 3 \"c\"\n f 0644 0:0 9000*\"c\" /b\n"));
    for count in 1..=3 {
        let split = split(&folder, &image, &format!("--layers {count}"));
        assert_eq!(split.seen(), image.seen());
        split.tars.iter().for_each(|tar| check_canonical(tar));
    }
}

#[test]
fn numbers_of_layers_that_make_no_sense_are_refused() {
    for number in ["0", "121", "-1", "x"] {
        run(&format!("optimize a -o b --layers={number}")).fails(2, &["--layers"]);
    }
}
