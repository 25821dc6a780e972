//! Cases of merging 6, 7, 9, 11, 12 and 14: repeated paths, changed types, folders' metadata, extended
//! attributes, special files, and what must survive; and the waste that comes of it.

use jettison_image::Tree;
use jettison_image::text::ImageText;
use jettison_image::tree::{Cause, TreeError};

use crate::{check, inapplicable};

#[test]
fn case_6_the_last_entry_of_a_path_wins() {
    check(
        "layer 1
           f 0644 0:0  \"1\"  /x
           f 0600 0:0  \"2\"  /x
           d 0755 0:0  /d
           d 0700 1:1  /d
           l 0777 0:0  /l -> a
           l 0777 0:0  /l -> b",
        "d 0700 1:1 /d\n l 0777 0:0 /l -> b\n f 0600 0:0 \"2\" /x",
    );
}

#[test]
fn case_6_a_path_as_different_things_in_one_layer() {
    check(
        "layer 1
           d 0755 0:0  /x
           f 0644 0:0  \"1\"  /x/below
           f 0644 0:0  \"2\"  /x
           l 0777 0:0  /y -> x
           f 0644 0:0  \"3\"  /y
           f 0644 0:0  \"4\"  /z
           f 0644 0:0  \"5\"  /z/below",
        "f 0644 0:0 \"2\" /x\n f 0644 0:0 \"3\" /y\n d 0755 0:0 /z\n f 0644 0:0 \"5\" /z/below",
    );
}

#[test]
fn case_6_a_folder_that_is_replaced_between_two_of_its_files() {
    for replaced in ["f 0644 0:0 \"2\" /d", "h /d => /a"] {
        check(
            &format!("layer 1\n f 0644 0:0 \"1\" /a\n f 0644 0:0 \"1\" /d/x\n {replaced}\n f 0644 0:0 \"3\" /d/y"),
            "f 0644 0:0 \"1\" /a\n d 0755 0:0 /d\n f 0644 0:0 \"3\" /d/y",
        );
    }
    // By another path, and again by its own.
    for replaced in ["f 0644 0:0 \"2\" /l/d", "h /l/d => /a"] {
        check(
            &format!(
                "layer 1\n f 0644 0:0 \"1\" /a\n l 0777 0:0 /l -> .
                 f 0644 0:0 \"1\" /d/x\n {replaced}\n f 0644 0:0 \"3\" /d/y"
            ),
            "f 0644 0:0 \"1\" /a\n d 0755 0:0 /d\n f 0644 0:0 \"3\" /d/y\n l 0777 0:0 /l -> .",
        );
    }
    check(
        "layer 1
           d 0755 0:0  /e
           f 0644 0:0  \"1\"  /d/x
           l 0777 0:0  /d -> e
           f 0644 0:0  \"3\"  /d/y",
        "l 0777 0:0 /d -> e\n d 0755 0:0 /e\n f 0644 0:0 \"3\" /e/y",
    );
}

#[test]
fn case_6_one_path_by_two_spellings() {
    check("layer 1\n f 0644 0:0 \"1\" /d/x\n f 0644 0:0 \"2\" /./d//x", "d 0755 0:0 /d\n f 0644 0:0 \"2\" /d/x");
}

/// Each type of entry above each other one; folders with a child that must go with them.
#[test]
fn case_7_every_change_of_type() {
    let kinds = [
        "f 0644 0:0  \"1\"  /x",
        "d 0755 0:0  /x",
        "l 0777 0:0  /x -> y",
        "c 0666 0:0  1,3  /x",
        "b 0660 0:0  7,0  /x",
        "p 0600 0:0  /x",
    ];
    for lower in kinds {
        let child = if lower.starts_with('d') { "f 0644 0:0 \"stale\" /x/stale\n d 0755 0:0 /x/sub/sub" } else { "" };
        for upper in kinds {
            if lower.starts_with('d') && upper.starts_with('d') {
                continue;
            }
            check(&format!("layer 1\n {lower}\n {child}\nlayer 2\n {upper}"), upper);
            let (file, full) = ("f 0644 0:0 \"2\" /x/new", format!("{upper}\n f 0644 0:0 \"2\" /x/new"));
            if upper.starts_with('d') {
                check(&format!("layer 1\n {lower}\nlayer 2\n {upper}\nlayer 3\n {file}"), &full);
            }
        }
    }
}

#[test]
fn case_7_a_file_that_is_used_as_a_folder() {
    check("layer 1\n f 0600 5:5 \"1\" /x\nlayer 2\n f 0644 0:0 \"2\" /x/y", "d 0755 0:0 /x\n f 0644 0:0 \"2\" /x/y");
}

#[test]
fn case_7_there_and_back() {
    check(
        "layer 1
           f 0644 0:0  \"1\"  /d/a
           f 0644 0:0  \"1\"  /d/b
         layer 2
           f 0644 0:0  \"2\"  /d
         layer 3
           d 0755 0:0  /d
           f 0644 0:0  \"1\"  /d/a",
        "d 0755 0:0 /d\n f 0644 0:0 \"1\" /d/a",
    );
}

#[test]
fn case_9_an_upper_entry_replaces_a_folders_metadata() {
    check(
        "layer 1
           d 0700 1:2  @3.5  /d  user.old=\"1\"  user.same=\"1\"
           f 0644 0:0  \"1\"  /d/x
         layer 2
           d 1777 4:5  @-6.25  /d  user.same=\"2\"",
        "d 1777 4:5 @-6.25 /d user.same=\"2\"\n f 0644 0:0 \"1\" /d/x",
    );
}

#[test]
fn case_9_an_implicit_parent_keeps_the_lower_metadata() {
    check(
        "layer 1
           d 0700 1:2  @3  /d  user.old=\"1\"
         layer 2
           f 0644 0:0  \"2\"  /d/sub/x
         layer 3
           d 0711 0:0  @9  /d/sub",
        "d 0700 1:2 @3 /d user.old=\"1\"\n d 0711 0:0 @9 /d/sub\n f 0644 0:0 \"2\" /d/sub/x",
    );
}

#[test]
fn case_9_the_roots_own_metadata() {
    check("layer 1\n d 0755 0:0 @7 /\nlayer 2\n f 0644 0:0 \"2\" /x", "d 0755 0:0 @7 /\n f 0644 0:0 \"2\" /x");
    check("layer 1\n d 0700 1:1 @7 / user.x=\"1\"\nlayer 2\n d 0755 0:0 /", "");
    for entry in ["f 0644 0:0 \"1\" /", "l 0777 0:0 / -> x", "p 0600 0:0 /"] {
        assert_eq!(inapplicable(&format!("layer 1\n {entry}")), TreeError::Root { layer: 1 });
    }
}

#[test]
fn case_11_extended_attributes() {
    check(
        "layer 1
           f 0755 0:0  \"1\"  /ping  security.capability=\"\\x01\\x00\\x00\\x02\\x00 \\x00\\x00\"
           f 0644 0:0  \"1\"  /x  user.empty=\"\"  user.bytes=\"a=b\\n\\xff\\x00\"
           d 0755 0:0  /d  user.d=\"1\"
           l 0777 0:0  /l -> x  security.selinux=\"u:r:t:s0\"
           p 0600 0:0  /p  user.p=\"1\"
         layer 2
           f 0644 0:0  \"2\"  /x",
        "d 0755 0:0 /d user.d=\"1\"
         l 0777 0:0 /l -> x security.selinux=\"u:r:t:s0\"
         p 0600 0:0 /p user.p=\"1\"
         f 0755 0:0 \"1\" /ping security.capability=\"\\x01\\x00\\x00\\x02\\x00 \\x00\\x00\"
         f 0644 0:0 \"2\" /x",
    );
    check(
        "layer 1\n f 0644 0:0 \"1\" /x user.a=\"1\"\nlayer 2\n f 0644 0:0 \"1\" /x user.a=\"2\"",
        "f 0644 0:0 \"1\" /x user.a=\"2\"",
    );
}

#[test]
fn case_11_the_overlay_drivers_bookkeeping_is_left_out() {
    check(
        "layer 1
           d 0755 0:0  /d  trusted.overlay.opaque=\"y\"  trusted.other=\"1\"
           f 0755 0:0  \"1\"  /x  trusted.overlay.redirect=\"/y\"",
        "d 0755 0:0 /d trusted.other=\"1\"\n f 0755 0:0 \"1\" /x",
    );
}

#[test]
fn case_12_special_files_and_mode_bits() {
    let entries = "p 0622 0:0 @1 /a
        b 0660 0:6 259,1048575 /b
        c 0600 0:0 0,1 /c
        c 0600 0:0 4095,255 /d
        c 0600 0:0 4294967295,2097152 /e
        f 4755 0:0 \"1\" /f
        f 2755 0:5 \"1\" /g
        d 3777 0:0 /h
        f 7777 4294967295:2097152 \"1\" /i
        f 0000 0:0 \"\" /j
        l 0000 0:0 /k -> \"\"";
    check(&format!("layer 1\n {entries}\nlayer 2\n w /none"), entries);
}

#[test]
fn case_14_volumes_empty_folders_and_tmp() {
    check(
        "config {\"config\":{\"Volumes\":{\"/data\":{}}}}
         layer 1
           d 0755 0:0  /data
           f 0644 0:0  \"1\"  /data/in-volume
           d 0755 0:0  /empty
           d 1777 0:0  /tmp
         layer 2
           f 0644 0:0  \"2\"  /data/late
           f 0644 0:0  \"\"  /empty-file",
        "d 0755 0:0 /data
         f 0644 0:0 \"1\" /data/in-volume
         f 0644 0:0 \"2\" /data/late
         d 0755 0:0 /empty
         f 0644 0:0 \"\" /empty-file
         d 1777 0:0 /tmp",
    );
}

/// What no container can see, as `LAYER PATH cause` in the order in which it was hidden.
fn hidden(layers: &str) -> Vec<String> {
    let image: ImageText = layers.parse().expect("the text form");
    let layers = image.layers().expect("layers");
    let tree = Tree::of(&layers).expect("layers that apply");
    let hidden = tree.hidden().iter().map(|hidden| {
        let (layer, entry) = tree.entry(hidden.shipped).expect("files have entries");
        let (path, by) = (String::from_utf8_lossy(layer.path(entry)), hidden.by.layer + 1);
        let cause = match hidden.cause {
            Cause::Overwritten => "overwritten",
            Cause::MetadataOnly => "metadata",
            Cause::Deleted => "deleted",
            Cause::Opaque => "opaque",
            Cause::TypeChanged => "type",
        };
        format!("{} {path} {cause} by {by}", hidden.shipped.layer + 1)
    });
    hidden.collect()
}

#[test]
fn waste_is_named_by_its_cause_and_counted_once() {
    let base = "layer 1\n f 0644 0:0 1000*\"a\" /x\n f 0644 0:0 1000*\"b\" /d/y\n h /z => /x\nlayer 2\n";
    assert_eq!(hidden(&format!("{base} f 0600 0:0 1000*\"a\" /x")), [""; 0]);
    assert_eq!(hidden(&format!("{base} f 0600 0:0 1000*\"b\" /d/y")), ["1 d/y metadata by 2"]);
    assert_eq!(hidden(&format!("{base} f 0644 0:0 999*\"b\" /d/y")), ["1 d/y overwritten by 2"]);
    assert_eq!(hidden(&format!("{base} w /d")), ["1 d/y deleted by 2"]);
    assert_eq!(hidden(&format!("{base} o /d")), ["1 d/y opaque by 2"]);
    assert_eq!(hidden(&format!("{base} l 0777 0:0 /d -> e")), ["1 d/y type by 2"]);
    assert_eq!(hidden(&format!("{base} w /x\nlayer 3\n f 0644 0:0 \"\" /z")), ["1 x overwritten by 3"]);
    assert_eq!(hidden(&format!("{base} w /x\nlayer 3\n w /z")), ["1 x deleted by 3"]);
}
