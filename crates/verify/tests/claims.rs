//! Claims that say too little, or something that is not so: the judge refuses what they do not cover.

use jettison_image::text::ImageText;
use jettison_image::{Config, Digest, Kind, Layer, Limits, Node, Tree};
use jettison_ir::{Claim, Claimed};
use jettison_verify::{Reads, Side, judge};

struct Image {
    tar: Vec<u8>,
    layer: Layer,
    config: Config,
}

fn image(entries: &str) -> Image {
    let text: ImageText = format!("layer 1\n{entries}").parse().expect("a text");
    let tar = text.tars().expect("contents").remove(0);
    let layer = Layer::read(&tar[..], Limits::default()).expect("a layer");
    let config = text.config(&[Digest::default()]).expect("a config");
    Image { tar, layer, config }
}

fn content(image: &Image, tree: &Tree<'_>, node: Node) -> Option<Vec<u8>> {
    let (_, entry) = tree.entry(tree.origin(node)).filter(|(_, entry)| entry.kind == Kind::File)?;
    let start = usize::try_from(entry.data_offset).ok()?;
    Some(image.tar[start..][..usize::try_from(entry.size).ok()?].to_vec())
}

/// What the judge refuses.
fn refused(before: &str, after: &str, claims: &[(Claim, &[&str])]) -> Vec<String> {
    let (before, after) = (image(before), image(after));
    let (old, new) = (Tree::of([&before.layer]).expect("a tree"), Tree::of([&after.layer]).expect("a tree"));
    let paths = |paths: &[&str]| paths.iter().map(|path| path.as_bytes().to_vec()).collect();
    let claims: Vec<Claimed> =
        claims.iter().map(|(claim, all)| Claimed { claim: claim.clone(), paths: paths(all) }).collect();
    let mut of_old = |node| content(&before, &old, node);
    let mut of_new = |node| content(&after, &new, node);
    let reads = Reads { before: &mut of_old, after: &mut of_new };
    let verdict = judge(
        Side { tree: &old, config: &before.config },
        Side { tree: &new, config: &before.config },
        &claims,
        Some(reads),
    );
    verdict.differences.iter().map(ToString::to_string).collect()
}

const NOTHING: &[String] = &[];

#[test]
fn a_path_is_gone_only_where_it_is_claimed_with_all_below() {
    let before = " f 0644 0:0 \"1\" /d/a\n f 0644 0:0 \"2\" /d/b\n f 0644 0:0 \"3\" /c\n";
    let gone = |paths: &'static [&'static str]| [(Claim::Gone, paths)];
    let without_a = " f 0644 0:0 \"2\" /d/b\n f 0644 0:0 \"3\" /c\n";
    assert_eq!(refused(before, without_a, &gone(&["d/a"])), NOTHING);
    assert_eq!(refused(before, without_a, &gone(&["d/b"])), ["/d/a is missing (file of 1 bytes)"]);
    let without_d = " f 0644 0:0 \"3\" /c\n";
    assert_eq!(refused(before, without_d, &gone(&["d", "d/a", "d/b"])), NOTHING);
    assert_eq!(refused(before, without_d, &gone(&["d", "d/a"])), ["/d is missing (directory)"]);
    // A claim that something is gone covers no other change of it, and nothing new.
    let other = " f 0644 0:0 \"x\" /d/a\n f 0644 0:0 \"2\" /d/b\n f 0644 0:0 \"3\" /c\n f 0644 0:0 \"4\" /e\n";
    let found = refused(before, other, &gone(&["d/a", "e"]));
    assert_eq!(found[0], "/e is new (file of 1 bytes)");
    assert!(found[1].starts_with("/d/a has another content"), "{found:?}");
}

#[test]
fn of_a_file_with_two_names_one_may_go() {
    let before = " f 0644 0:0 \"1\" /a\n h /b => /a\n";
    assert_eq!(refused(before, " f 0644 0:0 \"1\" /b\n", &[(Claim::Gone, &["a"])]), NOTHING);
    let split = " f 0644 0:0 \"1\" /a\n f 0644 0:0 \"1\" /b\n";
    assert_eq!(refused(before, split, &[(Claim::Linked, &["a", "b"])]).len(), 2, "names that are torn apart");
}

#[test]
fn files_become_one_only_where_they_are_the_same() {
    let before = " f 0644 0:0 \"1\" /a\n f 0644 0:0 \"1\" /b\n f 0600 0:0 \"1\" /c\n f 0644 0:0 \"1\" /d\n";
    let linked = " f 0644 0:0 \"1\" /a\n h /b => /a\n f 0600 0:0 \"1\" /c\n f 0644 0:0 \"1\" /d\n";
    assert_eq!(refused(before, linked, &[(Claim::Linked, &["b"])]), NOTHING);
    assert!(!refused(before, linked, &[(Claim::Linked, &["d"])]).is_empty(), "another one was said to be");
    let other_mode = " f 0644 0:0 \"1\" /a\n f 0644 0:0 \"1\" /b\n h /c => /a\n f 0644 0:0 \"1\" /d\n";
    let found = refused(before, other_mode, &[(Claim::Linked, &["c"])]);
    assert!(found.iter().any(|one| one.starts_with("/c has another mode")), "{found:?}");
    let too_many = " f 0644 0:0 \"1\" /a\n h /b => /a\n f 0600 0:0 \"1\" /c\n h /d => /a\n";
    assert!(!refused(before, too_many, &[(Claim::Linked, &["b"])]).is_empty(), "d was not said to be linked");
}

#[test]
fn what_is_no_stripped_form_is_refused() {
    let (before, after) = (" f 0755 0:0 \"program\" /a\n", " f 0755 0:0 \"prog\" /a\n");
    assert_eq!(refused(before, after, &[(Claim::Stripped, &["a"])]).len(), 2);
}

#[test]
fn a_database_that_cannot_be_read_stays_as_it_is() {
    let image = |status: &str, more: &str| format!(" f 0644 0:0 \"{status}\" /var/lib/dpkg/status\n{more}");
    let (before, after) = (image("junk\\n", " f 0644 0:0 \"\" /a\n"), image("junk\\n", ""));
    assert_eq!(refused(&before, &after, &[(Claim::Gone, &["a"])]), NOTHING);
    let found = refused(&before, &image("Package: a\\nVersion: 1\\n", ""), &[(Claim::Gone, &["a"])]);
    assert!(found.iter().any(|one| one.contains("/var/lib/dpkg/status")), "{found:?}");
}

#[test]
fn databases_forget_what_is_gone_and_nothing_else() {
    let image = |list: &str, doc: &str| {
        format!(
            " f 0644 0:0 \"Package: a\\nStatus: install ok installed\\nArchitecture: all\\nVersion: 1\\n\\n\" /var/lib/dpkg/status\n \
             f 0644 0:0 \"{list}\" /var/lib/dpkg/info/a.list\n f 0644 0:0 \"\" /a\n{doc}"
        )
    };
    let before = image("/.\\n/a\\n/doc\\n/doc/a\\n", " f 0644 0:0 \"\" /doc/a\n");
    let claims: &[(Claim, &[&str])] = &[(Claim::Gone, &["doc", "doc/a"])];
    assert_eq!(refused(&before, &image("/.\\n/a\\n", ""), claims), NOTHING);
    let found = refused(&before, &image("/.\\n", ""), claims);
    assert!(found.iter().any(|one| one.contains("list of files")), "{found:?}");
    let found = refused(&before, &image("/.\\n/a\\n/b\\n", ""), claims);
    assert!(found.iter().any(|one| one.contains("list of files")), "{found:?}");
    let apk = |files: &str, doc: &str| {
        format!(
            " f 0644 0:0 \"a\\n\" /etc/apk/world\n f 0644 0:0 \"P:a\\nV:1\\n{files}\\n\" /lib/apk/db/installed\n f 0644 0:0 \"\" /a\n{doc}"
        )
    };
    let before = apk("F:\\nR:a\\nZ:Q1\\nF:doc\\nR:a\\nZ:Q1\\n", " f 0644 0:0 \"\" /doc/a\n");
    assert_eq!(refused(&before, &apk("F:\\nR:a\\nZ:Q1\\n", ""), claims), NOTHING);
    assert!(!refused(&before, &apk("F:\\nR:a\\nZ:Q2\\n", ""), claims).is_empty(), "another checksum");
    assert!(!refused(&before, &apk("F:\\n", ""), claims).is_empty(), "a file that is there");
}
