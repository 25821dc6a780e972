//! Cases of merging, 5: hard links.

use jettison_image::tree::TreeError;

use crate::{check, inapplicable};

/// Three names of one file, below each case.
const THREE: &str = "layer 1\n f 0640 1:2 @3 \"old\" /a user.x=\"1\"\n h /b => /a\n h /c => /b\nlayer 2\n";

#[test]
fn case_5_a_chain_of_names() {
    check(THREE, "f 0640 1:2 @3 \"old\" /a user.x=\"1\"\n h /b => /a\n h /c => /a");
}

#[test]
fn case_5_target_deleted() {
    check(&format!("{THREE} w /a"), "f 0640 1:2 @3 \"old\" /b user.x=\"1\"\n h /c => /b");
    check(&format!("{THREE} w /a\nlayer 3\n w /b"), "f 0640 1:2 @3 \"old\" /c user.x=\"1\"");
    check(&format!("{THREE} w /a\n w /b\n w /c"), "");
}

#[test]
fn case_5_target_overwritten_leaves_the_old_content_under_the_other_names() {
    check(
        &format!("{THREE} f 0644 0:0 \"new\" /a"),
        "f 0644 0:0 \"new\" /a\n f 0640 1:2 @3 \"old\" /b user.x=\"1\"\n h /c => /b",
    );
}

#[test]
fn case_5_a_copy_up_of_one_name_splits_it_off() {
    // The same content and metadata: still a file of its own.
    for name in ["a", "b", "c"] {
        let rest: Vec<&str> = ["a", "b", "c"].into_iter().filter(|&other| other != name).collect();
        let mut expected = [
            format!("f 0640 1:2 @3 \"old\" /{name} user.x=\"1\""),
            format!("f 0640 1:2 @3 \"old\" /{} user.x=\"1\"", rest[0]),
            format!("h /{} => /{}", rest[1], rest[0]),
        ];
        expected.sort_by_key(|line| line.split(" /").nth(1).map(|path| path.as_bytes()[0]));
        check(&format!("{THREE} f 0640 1:2 @3 \"old\" /{name} user.x=\"1\""), &expected.join("\n"));
    }
}

#[test]
fn case_5_a_copy_up_of_one_of_two_names() {
    for name in ["a", "b"] {
        check(
            &format!("layer 1\n f 0640 0:0 \"1\" /a\n h /b => /a\nlayer 2\n f 0640 0:0 \"1\" /{name}"),
            "f 0640 0:0 \"1\" /a\n f 0640 0:0 \"1\" /b",
        );
    }
}

#[test]
fn case_5_metadata_of_one_name_changed() {
    // A differ writes the whole file again for a chmod; all names that share it would be listed with it.
    check(
        &format!("{THREE} f 0600 1:2 \"old\" /a"),
        "f 0600 1:2 \"old\" /a\n f 0640 1:2 @3 \"old\" /b user.x=\"1\"\n h /c => /b",
    );
    check(
        &format!("{THREE} f 0600 1:2 \"old\" /a\n h /b => /a\n h /c => /a"),
        "f 0600 1:2 \"old\" /a\n h /b => /a\n h /c => /a",
    );
}

#[test]
fn case_5_links_to_links_fifos_and_devices() {
    check(
        "layer 1
           l 0777 0:0  /link -> nowhere
           h /link2 => /link
           p 0600 0:0  /fifo
           h /fifo2 => /fifo
           c 0666 0:0  1,3  /null
           h /null2 => /null
           b 0660 0:6  7,0  /loop
           h /loop2 => /loop
         layer 2
           w /link
           w /null",
        "p 0600 0:0 /fifo
         h /fifo2 => /fifo
         l 0777 0:0 /link2 -> nowhere
         b 0660 0:6 7,0 /loop
         h /loop2 => /loop
         c 0666 0:0 1,3 /null2",
    );
}

#[test]
fn case_5_the_target_lies_in_a_lower_layer() {
    check(
        "layer 1
           f 0640 1:2  \"old\"  /d/a
         layer 2
           h /b => /d/a",
        "f 0640 1:2 \"old\" /b\n d 0755 0:0 /d\n h /d/a => /b",
    );
    check("layer 1\n f 0640 1:2 \"old\" /a\nlayer 2\n h /b => /a\nlayer 3\n w /a", "f 0640 1:2 \"old\" /b");
}

#[test]
fn case_5_the_target_is_removed_in_the_layer_that_links_to_it() {
    // The whiteout comes first: it leaves nothing to link to.
    let error = inapplicable("layer 1\n f 0640 1:2 \"old\" /a\nlayer 2\n h /b => /a\n w /a");
    let (path, target) = (b"b".to_vec(), b"a".to_vec());
    assert_eq!(error, TreeError::MissingTarget { layer: 2, path, target });
}

#[test]
fn case_5_a_link_before_its_target() {
    check(
        "layer 1
           h /c => /b
           h /b => /sub/a
           f 0640 1:2  \"x\"  /sub/a",
        "f 0640 1:2 \"x\" /b\n h /c => /b\n d 0755 0:0 /sub\n h /sub/a => /b",
    );
    // The last entry of a path wins over a link that had to wait for its target.
    check(
        "layer 1
           h /b => /a
           f 0640 0:0  \"b\"  /b
           f 0640 0:0  \"a\"  /a",
        "f 0640 0:0 \"a\" /a\n f 0640 0:0 \"b\" /b",
    );
}

#[test]
fn case_5_a_link_means_what_its_target_is_at_that_point() {
    check(
        "layer 1
           f 0640 0:0  \"1\"  /a
         layer 2
           h /b => /a
           f 0640 0:0  \"2\"  /a
           h /c => /a",
        "f 0640 0:0 \"2\" /a\n f 0640 0:0 \"1\" /b\n h /c => /a",
    );
}

#[test]
fn case_5_a_link_to_itself() {
    check("layer 1\n f 0640 0:0 \"1\" /a\nlayer 2\n h /a => /a", "f 0640 0:0 \"1\" /a");
}

#[test]
fn case_5_a_link_over_what_stood_there() {
    check(
        "layer 1
           f 0640 0:0  \"1\"  /a
           f 0640 0:0  \"2\"  /b
           f 0640 0:0  \"3\"  /d/x
         layer 2
           h /b => /a
           h /d => /a",
        "f 0640 0:0 \"1\" /a\n h /b => /a\n h /d => /a",
    );
    // The target lies below the folder that the link replaces.
    check("layer 1\n f 0640 0:0 \"1\" /d/x\nlayer 2\n h /d => /d/x", "f 0640 0:0 \"1\" /d");
    // The target becomes the folder that the link lies in.
    check("layer 1\n f 0640 0:0 \"1\" /f\nlayer 2\n h /f/x => /f", "d 0755 0:0 /f\n f 0640 0:0 \"1\" /f/x");
}

#[test]
fn case_5_groups_that_meet_and_part() {
    check(
        "layer 1
           f 0640 0:0  \"1\"  /a
           h /b => /a
           f 0640 0:0  \"1\"  /c
           h /d => /c
         layer 2
           h /b => /c
         layer 3
           h /e => /a
           w /c",
        "f 0640 0:0 \"1\" /a\n f 0640 0:0 \"1\" /b\n h /d => /b\n h /e => /a",
    );
}

#[test]
fn case_5_a_new_name_for_a_file_of_the_base() {
    check(
        "layer 1
           f 0640 0:0  \"1\"  /m
           h /n => /m
         layer 2
           h /a => /n
         layer 3
           h /z => /a
         layer 4
           w /m",
        "f 0640 0:0 \"1\" /a\n h /n => /a\n h /z => /a",
    );
}

#[test]
fn case_5_links_over_several_written_layers() {
    // Names far apart, with large files between: ranges would part a link from its content.
    check(
        "layer 1
           d 0755 0:0  /a
         layer 2
           f 0640 0:0  9000*\"x\"  /a/1
           f 0640 0:0  9000*\"y\"  /a/2
           f 0640 0:0  9000*\"z\"  /m/3
           h /z/1 => /a/1
           h /z/2 => /m/3
         layer 3
           h /z/3 => /a/2
           f 0640 0:0  9000*\"w\"  /zz",
        "d 0755 0:0 /a
         f 0640 0:0 9000*\"x\" /a/1
         f 0640 0:0 9000*\"y\" /a/2
         d 0755 0:0 /m
         f 0640 0:0 9000*\"z\" /m/3
         d 0755 0:0 /z
         h /z/1 => /a/1
         h /z/2 => /m/3
         h /z/3 => /a/2
         f 0640 0:0 9000*\"w\" /zz",
    );
}

#[test]
fn case_5_links_that_cannot_be() {
    let missing = inapplicable("layer 1\n f 0640 0:0 \"1\" /x\n h /b => /a");
    assert_eq!(missing.to_string(), "layer 1: hard link \"b\" points to \"a\", which does not exist");
    let folder = inapplicable("layer 1\n d 0755 0:0 /d\nlayer 2\n h /b => /d");
    assert_eq!(folder.to_string(), "layer 2: hard link \"b\" points to \"d\", which is a directory");
    let circle = inapplicable("layer 1\n h /a => /b\n h /b => /a");
    assert!(matches!(circle, TreeError::MissingTarget { .. }));
    let root = inapplicable("layer 1\n f 0640 0:0 \"1\" /a\n h / => /a");
    assert_eq!(root, TreeError::Root { layer: 1 });
    let of_root = inapplicable("layer 1\n h /a => /");
    assert!(matches!(of_root, TreeError::MissingTarget { .. } | TreeError::DirectoryTarget { .. }));
}
