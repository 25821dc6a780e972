//! Cases of merging, 8: folders that are reached through symbolic links.

use jettison_image::text::ImageText;
use jettison_image::tree::TreeError;

use crate::{check, inapplicable};

const USR_MERGE: &str = "layer 1
    d 0755 0:0  /usr/lib
    f 0644 0:0  \"1\"  /usr/lib/old
    l 0777 0:0  /lib -> usr/lib
  layer 2
";

#[test]
fn case_8_a_file_below_a_link_lands_in_its_target() {
    check(
        &format!("{USR_MERGE} f 0644 0:0 \"2\" /lib/new"),
        "l 0777 0:0 /lib -> usr/lib
         d 0755 0:0 /usr
         d 0755 0:0 /usr/lib
         f 0644 0:0 \"2\" /usr/lib/new
         f 0644 0:0 \"1\" /usr/lib/old",
    );
}

#[test]
fn case_8_a_whiteout_below_a_link() {
    let expected = "l 0777 0:0 /lib -> usr/lib\n d 0755 0:0 /usr\n d 0755 0:0 /usr/lib";
    check(&format!("{USR_MERGE} w /lib/old"), expected);
    check(&format!("{USR_MERGE} o /lib"), expected);
}

#[test]
fn case_8_the_link_goes_and_its_target_stays() {
    check(&format!("{USR_MERGE} w /lib"), "d 0755 0:0 /usr\n d 0755 0:0 /usr/lib\n f 0644 0:0 \"1\" /usr/lib/old");
}

#[test]
fn case_8_a_folder_of_its_own_takes_the_links_place() {
    let expected = "d 0755 0:0 /lib
         f 0644 0:0 \"2\" /lib/new
         d 0755 0:0 /usr
         d 0755 0:0 /usr/lib
         f 0644 0:0 \"1\" /usr/lib/old";
    check(&format!("{USR_MERGE} d 0755 0:0 /lib\n f 0644 0:0 \"2\" /lib/new"), expected);
    // What the layer hides below the new folder is not hidden below the link's target.
    check(&format!("{USR_MERGE} d 0755 0:0 /lib\n f 0644 0:0 \"2\" /lib/new\n w /lib/old\n o /lib"), expected);
    check(&format!("{USR_MERGE} w /lib\n layer 3\n f 0644 0:0 \"2\" /lib/new"), expected);
}

#[test]
fn case_8_a_link_in_the_layer_that_uses_it() {
    check(
        "layer 1
           d 0755 0:0  /usr/lib
           l 0777 0:0  /lib -> usr/lib
           f 0644 0:0  \"1\"  /lib/x
           h /y => /lib/x",
        "l 0777 0:0 /lib -> usr/lib
         d 0755 0:0 /usr
         d 0755 0:0 /usr/lib
         f 0644 0:0 \"1\" /usr/lib/x
         h /y => /usr/lib/x",
    );
}

#[test]
fn case_8_links_that_lead_out_are_bounded_to_the_root() {
    let expected = "d 0755 0:0 /a\n l 0777 0:0 /a/out -> ../../../etc\n d 0755 0:0 /etc\n f 0644 0:0 \"2\" /etc/x";
    check("layer 1\n l 0777 0:0 /a/out -> ../../../etc\nlayer 2\n f 0644 0:0 \"2\" /a/out/x", expected);
    check(
        "layer 1\n l 0777 0:0 /a/out -> /etc/../..//./etc\nlayer 2\n f 0644 0:0 \"2\" /a/out/x",
        &expected.replace("../../../etc", "/etc/../..//./etc"),
    );
}

#[test]
fn case_8_links_to_links() {
    check(
        "layer 1
           l 0777 0:0  /a -> b
           l 0777 0:0  /b -> c/d
           l 0777 0:0  /c -> /e
         layer 2
           f 0644 0:0  \"2\"  /a/x
         layer 3
           w /b/x
           f 0644 0:0  \"3\"  /a/../a/y",
        "l 0777 0:0 /a -> b
         l 0777 0:0 /b -> c/d
         l 0777 0:0 /c -> /e
         d 0755 0:0 /e
         d 0755 0:0 /e/d
         f 0644 0:0 \"3\" /e/d/y",
    );
}

#[test]
fn case_8_dangling_links_are_legal_and_stay() {
    let links = "l 0777 0:0 /a -> nowhere\n l 0777 0:0 /b -> b\n l 0777 0:0 /c -> /../../x\n l 0777 0:0 /d -> c/e";
    check(&format!("layer 1\n {links}\nlayer 2\n w /a/x\n o /b\n w /d/x"), links);
}

#[test]
fn case_8_folders_that_cannot_be_reached() {
    for layers in [
        "layer 1\n l 0777 0:0 /a -> b\n l 0777 0:0 /b -> a\nlayer 2\n f 0644 0:0 \"1\" /a/x",
        "layer 1\n f 0644 0:0 \"1\" /f\n l 0777 0:0 /a -> f\nlayer 2\n f 0644 0:0 \"1\" /a/x",
        "layer 1\n l 0777 0:0 /a -> .wh.b\nlayer 2\n f 0644 0:0 \"1\" /a/x",
        "layer 1\n l 0777 0:0 /a -> b/.wh..wh..opq\nlayer 2\n f 0644 0:0 \"1\" /a/x",
    ] {
        assert!(matches!(inapplicable(layers), TreeError::Parent { layer: 2, .. }), "{layers}");
    }
}

#[test]
fn case_8_what_went_through_a_link_is_said() {
    let text = format!("{USR_MERGE} f 0644 0:0 \"2\" /lib/new\n f 0644 0:0 \"2\" /usr/lib/new2");
    let layers = text.parse::<ImageText>().expect("the text form").layers().expect("layers");
    let tree = jettison_image::Tree::of(&layers).expect("layers that apply");
    let said: Vec<_> =
        tree.through_links().iter().map(|link| (link.layer, &link.path[..], &link.resolved[..])).collect();
    assert_eq!(said, [(1, &b"lib/new"[..], &b"usr/lib/new"[..])]);
}
