//! Links that were claimed: names of files that were equal in everything, and no others.

use bstr::ByteSlice as _;
use jettison_image::text::ImageText;
use jettison_image::{Config, Kind, Layer, Tree};
use jettison_ir::{Claim, Claimed};
use jettison_verify::{Reads, Side, judge};

/// The files of an image, as lines of its text form.
fn layers(files: &str) -> Vec<Layer> {
    let text: ImageText = format!("layer 1\n  d 0755 0:0 /usr\n{files}").parse().expect("valid text");
    text.layers().expect("a layer")
}

/// What the judge has against `after`, where `linked` were claimed to be linked.
fn differences(before: &str, after: &str, linked: &[&str]) -> Vec<String> {
    let (old, new) = (layers(before), layers(after));
    let (old, new) = (Tree::of(&old).expect("a tree"), Tree::of(&new).expect("a tree"));
    let config = Config::parse(br#"{"rootfs":{"type":"layers","diff_ids":[]}}"#).expect("a config");
    let paths = linked.iter().map(|path| path.as_bytes().to_vec()).collect();
    let claims = [Claimed { claim: Claim::Linked, paths }];
    // The contents are letters that are repeated, and are asked for by nobody here.
    let content = |tree: &Tree<'_>, node| (tree.kind(node) == Kind::File).then(Vec::new);
    let (mut of_old, mut of_new) = (|node| content(&old, node), |node| content(&new, node));
    let reads = Reads { before: &mut of_old, after: &mut of_new };
    let sides = (Side { tree: &old, config: &config }, Side { tree: &new, config: &config });
    let verdict = judge(sides.0, sides.1, &claims, Some(reads));
    verdict.differences.iter().map(|one| format!("{:?}: {}", one.place, one.what)).collect()
}

#[track_caller]
fn accepted(before: &str, after: &str, linked: &[&str]) {
    let found = differences(before, after, linked);
    assert!(found.is_empty(), "{found:?}");
}

#[track_caller]
fn refused(before: &str, after: &str, linked: &[&str], why: &str) {
    let found = differences(before, after, linked);
    assert!(found.iter().any(|one| one.as_bytes().contains_str(why)), "{why}: {found:?}");
}

const TWO: &str = "  f 0644 0:0 5000*\"a\" /usr/a\n  f 0644 0:0 5000*\"a\" /usr/b\n";
const ONE: &str = "  f 0644 0:0 5000*\"a\" /usr/a\n  h /usr/b => /usr/a\n";

#[test]
fn equal_files_may_become_one() {
    accepted(TWO, ONE, &["usr/b"]);
    accepted(TWO, ONE, &["usr/a"]);
    refused(TWO, ONE, &[], "hard links");
    refused(TWO, ONE, &["usr/c"], "hard links");
}

#[test]
fn files_that_differ_may_not() {
    for (what, other) in [
        ("content", "0644 0:0 5000*\"b\""),
        ("size", "0644 0:0 5001*\"a\""),
        ("mode", "0755 0:0 5000*\"a\""),
        ("owner", "0644 5:0 5000*\"a\""),
        ("owner", "0644 0:5 5000*\"a\""),
        ("mtime", "0644 0:0 @5 5000*\"a\""),
    ] {
        let before = format!("  f 0644 0:0 5000*\"a\" /usr/a\n  f {other} /usr/b\n");
        refused(&before, ONE, &["usr/a", "usr/b"], what);
    }
    let before = "  f 0644 0:0 5000*\"a\" /usr/a\n  f 0644 0:0 5000*\"a\" /usr/b user.x=\"1\"\n";
    refused(before, ONE, &["usr/a", "usr/b"], "xattrs");
}

#[test]
fn names_that_were_not_there_are_no_links() {
    let before = "  f 0644 0:0 5000*\"a\" /usr/a\n";
    refused(before, ONE, &["usr/a", "usr/b"], "path");
}

#[test]
fn each_file_but_one_has_to_be_claimed() {
    let three = format!("{TWO}  f 0644 0:0 5000*\"a\" /usr/c\n");
    let one = format!("{ONE}  h /usr/c => /usr/a\n");
    accepted(&three, &one, &["usr/b", "usr/c"]);
    refused(&three, &one, &["usr/b"], "hard links");
}

#[test]
fn names_of_one_file_stay_together() {
    let before = format!("{TWO}  h /usr/c => /usr/b\n");
    let together = format!("{ONE}  h /usr/c => /usr/a\n");
    accepted(&before, &together, &["usr/b", "usr/c"]);
    refused(&before, &together, &["usr/b"], "hard links");
    let apart = format!("{ONE}  f 0644 0:0 5000*\"a\" /usr/c\n");
    refused(&before, &apart, &["usr/b", "usr/c"], "hard links");
}
