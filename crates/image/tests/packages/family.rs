//! What packages were built from: those of one source are upgraded together.

use jettison_image::Tree;
use jettison_image::packages::listed;

use crate::{Image, sqlite, text};

fn families(image: &Image) -> Vec<String> {
    image.one().packages.iter().map(|package| format!("{} of {}", package.name, package.family())).collect()
}

const STATUS: &str = "Package: libssl3\nStatus: install ok installed\nVersion: 3\nSource: openssl (3.0)\n\n\
                      Package: openssl\nStatus: install ok installed\nVersion: 3\n\n";

#[test]
fn every_manager_says_it() {
    let debian = Image::of(&[("var/lib/dpkg/status", text(STATUS))]);
    assert_eq!(families(&debian), ["libssl3 of openssl", "openssl of openssl"]);
    let alpine = Image::of(&[("lib/apk/db/installed", text("P:libssl3\nV:3\no:openssl\n\nP:musl\nV:1\n\n"))]);
    assert_eq!(families(&alpine), ["libssl3 of openssl", "musl of musl"]);
    let desc = text("%NAME%\ngcc-libs\n\n%VERSION%\n1\n\n%BASE%\ngcc\n\n");
    let arch = Image::of(&[("var/lib/pacman/local/gcc-libs-1/desc", desc)]);
    assert_eq!(families(&arch), ["gcc-libs of gcc"]);
    let header = |name, source: &[(u32, sqlite::Tag<'_>)]| {
        sqlite::header(&[&[(1000, sqlite::Tag::Text(name))], source].concat())
    };
    let rows =
        [header("glibc-common", &[(1044, sqlite::Tag::Text("glibc-2.34-100.el9.src.rpm"))]), header("gpg-pubkey", &[])];
    let fedora = Image::of(&[("var/lib/rpm/rpmdb.sqlite", crate::File::Content(sqlite::database(&rows)))]);
    assert_eq!(families(&fedora), ["glibc-common of glibc", "gpg-pubkey of gpg-pubkey"]);
}

#[test]
fn lists_that_stand_alone_are_told_by_it_too() {
    let files = [
        ("var/lib/dpkg/info/libssl3:amd64.list", text("/.\n/usr/lib/libssl.so.3\n")),
        ("var/lib/dpkg/info/tool.list", text("/usr/bin/tool\n")),
        ("var/lib/dpkg/status", text(STATUS)),
    ];
    for (count, library) in [(3, "openssl"), (2, "libssl3")] {
        let image = Image::of(&files[..count]);
        let tree = Tree::of([&image.layer]).expect("a tree");
        let found = listed(&tree, &mut |node| image.contents.get(&tree.path(node)).cloned());
        let named = |(path, name): (Vec<u8>, String)| (String::from_utf8_lossy(&path).into_owned(), name);
        let expected = [("", library), ("usr/lib/libssl.so.3", library), ("usr/bin/tool", "tool")];
        let expected = expected.map(|(path, name)| (path.to_owned(), name.to_owned()));
        assert_eq!(found.into_iter().map(named).collect::<Vec<_>>(), expected, "{count} files");
    }
}
