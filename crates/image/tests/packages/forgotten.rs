//! Files of packages that stay, left out of the databases of rpm and pacman.

use std::collections::BTreeSet;

use jettison_image::packages::edit::{Change, EditError, Edited, forget};
use jettison_image::packages::{mtree, read};
use jettison_image::{Node, Tree};

use crate::berkeley::Order;
use crate::{File, Image, berkeley, ndb, sqlite, text};

fn edit(image: &Image, paths: &[&str]) -> Result<Edited, EditError> {
    let tree = Tree::of([&image.layer]).expect("a tree");
    let mut content = |node: Node| image.contents.get(&tree.path(node)).cloned();
    let packages = read(&tree, &mut content).expect("a database").remove(0);
    let paths = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
    forget(&tree, &mut content, &packages, &BTreeSet::new(), &paths)
}

fn written<'e>(edited: &'e Edited, path: &str) -> &'e [u8] {
    match edited.changes.get(path.as_bytes()) {
        Some(Change::Content(content)) => content,
        other => panic!("{path}: {other:?}"),
    }
}

/// A package with three files and a folder, of which one is another package's already.
fn package(name: &str, states: &[u8]) -> Vec<u8> {
    sqlite::header(&[
        (1000, sqlite::Tag::Text(name)),
        (1004, sqlite::Tag::Text(&"long ".repeat(900))),
        (1029, sqlite::Tag::States(states)),
        (1116, sqlite::Tag::Numbers(&[0, 1, 1, 2])),
        (1117, sqlite::Tag::Texts(&[name, name, "both", "doc"])),
        (1118, sqlite::Tag::Texts(&["/usr/bin/", "/usr/share/doc/", "/usr/share/"])),
    ])
}

#[test]
fn rpm_has_what_is_gone_as_left_out() {
    let headers = [package("gcc", &[0, 0, 0, 0]), package("make", &[0, 0, 1, 0]), package("vim", &[0, 2, 0, 0])];
    let expected = [package("gcc", &[0, 2, 2, 0]), package("make", &[0, 0, 1, 0]), package("vim", &[0, 2, 2, 0])];
    for (path, before, after) in [
        ("var/lib/rpm/rpmdb.sqlite", sqlite::database(&headers), sqlite::database(&expected)),
        ("usr/lib/sysimage/rpm/Packages.db", ndb::database(&headers), ndb::database(&expected)),
        (
            "var/lib/rpm/Packages",
            berkeley::database(&headers, Order::Little),
            berkeley::database(&expected, Order::Little),
        ),
        ("usr/share/rpm/Packages", berkeley::database(&headers, Order::Big), berkeley::database(&expected, Order::Big)),
    ] {
        let image = Image::of(&[(path, File::Content(before.clone()))]);
        let old = image.one();
        assert_eq!(old.packages[2].left_out, [b"usr/share/doc/vim"]);
        let edited = edit(&image, &["usr/share/doc/gcc", "usr/share/doc/both", "usr/share/other"]).expect("an edit");
        assert_eq!(edited.changes.len(), 1);
        let written = written(&edited, path);
        let new = Image::of(&[(path, File::Content(written.to_vec()))]).one();
        assert_eq!(new.packages, Image::of(&[(path, File::Content(after.clone()))]).one().packages, "{path}");
        assert_eq!(new.packages[0].left_out, [&b"usr/share/doc/gcc"[..], b"usr/share/doc/both"]);
        for (old, new) in old.packages.iter().zip(&new.packages) {
            assert_eq!((&old.record, &old.files), (&new.record, &new.files), "nothing else is said of {}", old.name);
        }
        if !path.ends_with(".sqlite") {
            assert_eq!(written, after, "headers are changed in place, and sums are those of what is there now");
        }
        assert_eq!(edit(&image, &["usr/other"]).expect("an edit"), Edited::default());
    }
    let open = [
        ("var/lib/rpm/Packages", File::Content(berkeley::database(&headers, Order::Little))),
        ("var/lib/rpm/__db.001", text("pages in memory")),
    ];
    let edited = edit(&Image::of(&open), &["usr/share/doc/gcc"]).expect("an edit");
    assert_eq!(edited.changes.get(&b"var/lib/rpm/__db.001"[..]), Some(&Change::Gone), "it has what was there before");
    assert_eq!(edit(&Image::of(&open), &["usr/other"]).expect("an edit"), Edited::default());
    let without = sqlite::header(&[
        (1000, sqlite::Tag::Text("old")),
        (1116, sqlite::Tag::Numbers(&[0])),
        (1117, sqlite::Tag::Texts(&["doc"])),
        (1118, sqlite::Tag::Texts(&["/usr/"])),
    ]);
    let image = Image::of(&[("var/lib/rpm/rpmdb.sqlite", File::Content(sqlite::database(&[without])))]);
    let error = edit(&image, &["usr/doc"]).expect_err("nothing says what is there").to_string();
    assert_eq!(error, "/var/lib/rpm/rpmdb.sqlite: a package has no states of its files");
}

#[test]
fn pacman_no_longer_lists_what_is_gone() {
    use std::io::Write as _;

    let lines = "#mtree\n/set type=file uid=0 gid=0 mode=644\n./.PKGINFO time=1.0 size=3\n./usr/bin/make mode=755\n\
                 ./usr/share/doc/a\\040b time=1.0\n./usr/share/doc type=dir\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.as_bytes()).expect("packs");
    let mtree = gzip.finish().expect("packs");
    let files = "%FILES%\nusr/\nusr/bin/make\nusr/share/doc/\nusr/share/doc/a b\n\n%BACKUP%\netc/make\t11\n\n";
    let image = Image::of(&[
        ("var/lib/pacman/local/make-1/desc", text("%NAME%\nmake\n\n%VERSION%\n1\n\n")),
        ("var/lib/pacman/local/make-1/files", text(files)),
        ("var/lib/pacman/local/make-1/mtree", File::Content(mtree)),
        ("var/lib/pacman/local/other-1/desc", text("%NAME%\nother\n\n%VERSION%\n1\n\n")),
        ("var/lib/pacman/local/other-1/files", text("%FILES%\nusr/\n")),
    ]);
    let edited = edit(&image, &["usr/share/doc", "usr/share/doc/a b", "usr/share/none"]).expect("an edit");
    assert_eq!(edited.changes.len(), 2);
    let list = written(&edited, "var/lib/pacman/local/make-1/files");
    assert_eq!(list, b"%FILES%\nusr/\nusr/bin/make\n\n%BACKUP%\netc/make\t11\n\n");
    let packed = written(&edited, "var/lib/pacman/local/make-1/mtree");
    let expected = lines.lines().filter(|line| !line.contains("doc")).map(|line| format!("{line}\n"));
    assert_eq!(mtree::unpacked(packed).expect("lines"), expected.collect::<String>().into_bytes());
}
