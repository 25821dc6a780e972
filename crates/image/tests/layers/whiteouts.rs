//! Cases of merging 1 to 4: whiteouts and opaque folders.

use jettison_image::layer::LayerError;

use crate::{check, unreadable};

#[test]
fn case_1_a_whiteout_speaks_of_lower_layers_only() {
    for (first, second) in [("w /x", "f 0644 0:0 \"new\" /x"), ("f 0644 0:0 \"new\" /x", "w /x")] {
        let layers = format!("layer 1\n f 0644 0:0 \"old\" /x\nlayer 2\n {first}\n {second}");
        check(&layers, "f 0644 0:0 \"new\" /x");
    }
}

#[test]
fn case_1_a_folder_and_its_whiteout_in_one_layer() {
    let expected = "d 0700 0:0 /d\n f 0644 0:0 \"2\" /d/new";
    check(
        "layer 1
           d 0755 0:0  /d
           f 0644 0:0  \"1\"  /d/old
         layer 2
           d 0700 0:0  /d
           f 0644 0:0  \"2\"  /d/new
           w /d",
        expected,
    );
}

#[test]
fn case_2_opaque_first_last_and_in_between() {
    let (folder, file, opaque) = ("d 0755 0:0 /d", "f 0644 0:0 \"2\" /d/new", "o /d");
    for order in [[opaque, folder, file], [folder, opaque, file], [folder, file, opaque]] {
        let layers = format!(
            "layer 1\n d 0755 0:0 /d\n f 0644 0:0 \"1\" /d/old\n d 0755 0:0 /d/sub\n f 0644 0:0 \"1\" /d/sub/old
             layer 2\n {}",
            order.join("\n ")
        );
        check(&layers, "d 0755 0:0 /d\n f 0644 0:0 \"2\" /d/new");
    }
}

#[test]
fn case_2_opaque_root() {
    check(
        "layer 1
           d 0755 0:0  /etc
           f 0644 0:0  \"1\"  /etc/os
           f 0644 0:0  \"1\"  /x
         layer 2
           o /
           f 0644 0:0  \"2\"  /x",
        "f 0644 0:0 \"2\" /x",
    );
}

#[test]
fn case_2_opaque_within_opaque() {
    check(
        "layer 1
           f 0644 0:0  \"1\"  /a/b/c/old
           f 0644 0:0  \"1\"  /a/b/old
           f 0644 0:0  \"1\"  /a/old
         layer 2
           f 0644 0:0  \"2\"  /a/b/c/new
           o /a/b/c
           o /a/b",
        "d 0755 0:0 /a
         d 0755 0:0 /a/b
         d 0755 0:0 /a/b/c
         f 0644 0:0 \"2\" /a/b/c/new
         f 0644 0:0 \"1\" /a/old",
    );
}

#[test]
fn case_2_a_name_that_begins_like_the_opaque_folder() {
    check(
        "layer 1
           f 0644 0:0  \"1\"  /foo/x
           f 0644 0:0  \"1\"  /foobar/x
           f 0644 0:0  \"1\"  /foo.bar
           f 0644 0:0  \"1\"  /gone
           f 0644 0:0  \"1\"  /gone2
         layer 2
           o /foo
           w /gone",
        "d 0755 0:0 /foo
         f 0644 0:0 \"1\" /foo.bar
         d 0755 0:0 /foobar
         f 0644 0:0 \"1\" /foobar/x
         f 0644 0:0 \"1\" /gone2",
    );
}

#[test]
fn case_2_opaque_hides_children_and_keeps_the_folder() {
    check(
        "layer 1
           d 1777 3:4  @5  /d
           f 0644 0:0  \"1\"  /d/x
         layer 2
           o /d",
        "d 1777 3:4 @5 /d",
    );
    // Where nothing lies below, there is nothing to hide and no folder to make.
    check("layer 1\n o /d\n o /\nlayer 2\n o /none/below", "");
}

#[test]
fn case_3_a_folder_made_again() {
    check(
        "layer 1
           d 0755 0:0  /d
           f 0644 0:0  \"1\"  /d/a
           d 0755 0:0  /d/sub
           f 0644 0:0  \"1\"  /d/sub/b
         layer 2
           w /d
         layer 3
           d 0750 7:7  /d
           f 0644 0:0  \"3\"  /d/c",
        "d 0750 7:7 /d\n f 0644 0:0 \"3\" /d/c",
    );
}

#[test]
fn case_3_made_again_without_an_entry_of_its_own() {
    check(
        "layer 1
           d 0700 7:7  @9  /d  user.x=\"1\"
           f 0644 0:0  \"1\"  /d/a
         layer 2
           w /d
         layer 3
           f 0644 0:0  \"3\"  /d/c",
        "d 0755 0:0 /d\n f 0644 0:0 \"3\" /d/c",
    );
    check(
        "layer 1
           d 0700 7:7  @9  /d
           f 0644 0:0  \"1\"  /d/a
         layer 2
           f 0644 0:0  \"2\"  /d/c
           w /d",
        "d 0755 0:0 /d\n f 0644 0:0 \"2\" /d/c",
    );
}

#[test]
fn case_3_made_again_with_a_child_of_the_same_name() {
    check(
        "layer 1
           f 0644 0:0  \"1\"  /d/same
           f 0644 0:0  \"1\"  /d/gone
         layer 2
           w /d
         layer 3
           f 0644 0:0  \"1\"  /d/same",
        "d 0755 0:0 /d\n f 0644 0:0 \"1\" /d/same",
    );
}

#[test]
fn case_4_no_whiteout_where_nothing_lies_below() {
    check("layer 1\n w /x\n w /d/x\n o /d\n f 0644 0:0 \"1\" /y\nlayer 2\n w /x", "f 0644 0:0 \"1\" /y");
    // Below a path that is itself gone, is a file, or becomes one.
    check(
        "layer 1
           f 0644 0:0  \"1\"  /d/sub/x
           f 0644 0:0  \"1\"  /file
         layer 2
           w /d/sub/x
           w /file/x
           w /file/x/y
         layer 3
           w /d/sub
         layer 4
           f 0644 0:0  \"4\"  /d",
        "f 0644 0:0 \"4\" /d\n f 0644 0:0 \"1\" /file",
    );
}

#[test]
fn case_4_a_removed_folder_and_what_it_held() {
    for order in [["w /d", "w /d/x"], ["w /d/x", "w /d"]] {
        let layers =
            format!("layer 1\n f 0644 0:0 \"1\" /d/x\n f 0644 0:0 \"1\" /d/y\nlayer 2\n {}", order.join("\n "));
        check(&layers, "");
    }
}

#[test]
fn case_4_names_that_hold_the_prefix() {
    check(
        "layer 1
           f 0644 0:0  \"1\"  /a.wh.b
           f 0644 0:0  \"1\"  /b
           f 0644 0:0  \"1\"  /d.wh.e/x
           f 0644 0:0  \"1\"  /.whx
           f 0644 0:0  \"1\"  /.w
           f 0644 0:0  \"1\"  /x.wh.y
         layer 2
           w /x.wh.y",
        "f 0644 0:0 \"1\" /.w
         f 0644 0:0 \"1\" /.whx
         f 0644 0:0 \"1\" /a.wh.b
         f 0644 0:0 \"1\" /b
         d 0755 0:0 /d.wh.e
         f 0644 0:0 \"1\" /d.wh.e/x",
    );
}

#[test]
fn case_4_aufs_bookkeeping_is_dropped_and_said() {
    let layers = "layer 1
           d 0755 0:0  /.wh..wh.plnk
           f 0644 0:0  \"1\"  /.wh..wh.plnk/12.34
           f 0644 0:0  \"1\"  /.wh..wh.aufs
           f 0644 0:0  \"1\"  /d/.wh..wh.orph
           f 0644 0:0  \"1\"  /x";
    check(layers, "f 0644 0:0 \"1\" /x");
    let image: jettison_image::text::ImageText = layers.parse().expect("the text form");
    let dropped: Vec<_> = image.layers().expect("layers")[0]
        .dropped
        .iter()
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    assert_eq!(dropped, [".wh..wh.plnk", ".wh..wh.plnk/12.34", ".wh..wh.aufs", "d/.wh..wh.orph"]);
}

#[test]
fn case_4_a_whiteout_without_a_name_is_refused() {
    for path in ["/.wh.", "/d/.wh.", "/.wh..", "/d/.wh...", "/.wh.d/x"] {
        let image: jettison_image::text::ImageText =
            format!("layer 1\n f 0644 0:0 \"\" {path}").parse().expect("the text form");
        let tar = &image.tars().expect("contents")[0];
        assert!(matches!(unreadable(tar), LayerError::Whiteout { .. }), "{path}");
    }
}

#[test]
fn case_4_a_whiteout_of_any_type() {
    // Engines look at the name alone: overlay differs write character devices and files.
    check(
        "layer 1
           f 0644 0:0  \"1\"  /x
           f 0644 0:0  \"1\"  /y
           f 0644 0:0  \"1\"  /z/z
         layer 2
           c 0000 0:0  0,0  /.wh.x
           l 0777 0:0  /.wh.y -> x
           d 0755 0:0  /.wh.z",
        "",
    );
}
