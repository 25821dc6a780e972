//! apk: its blocks, what was asked for, scripts and triggers, changed configuration, busybox's links.

use jettison_image::packages::edit::Rest;
use jettison_image::tar::{END, HeaderSpec, Mtime, header, padding};

use super::Image;

/// SHA-1 of `a=1\n` and of a link's target `other`, in base 64.
const CONFIGURATION: &str = "Q1ncnP07OLd1YewitJpyNDLiYYEAM=";
const LINK: &str = "Q10JQeaNqPOBUf+Gph/Fn3xc+fyqI=";

const INSTALLED: &str = "P:busybox\nV:1.36\nC:Q1busybox=\np:cmd:sh=1.36\nF:bin\nR:busybox\nF:etc\nF:etc/busybox-paths.d\nR:busybox\n\n\
    C:Q1less=\nP:less\nV:6-r0\nF:etc\nR:less.conf\nZ:CONFIGURATION\nR:less.link\na:0:0:777\nZ:LINK\nR:less.none\nF:usr\nF:usr/bin\nR:less\nZ:Q1x=\n\
    F:usr/share/less\nR:x\nF:usr/share/link\n\n\
    P:lesser\nV:6-r0\nC:Q1lesser=\np:pager=6\n\n\
    P:gcc\nV:13\nC:Q1gcc=\nF:usr\nF:usr/bin\nR:gcc\n\n\
    P:.trash\nV:20240101.1\nD:gcc\n";

const PATHS: &str = "bin/sh\nusr/bin/less\nusr/bin/vi\n";

/// A tar with these members, as apk writes it.
fn scripts(names: &[&str]) -> Vec<u8> {
    let mut tar = Vec::new();
    for name in names {
        let size = name.len() as u64;
        let spec = HeaderSpec {
            type_flag: b'0',
            path: name.as_bytes(),
            link: b"",
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            size,
            device: (0, 0),
            xattrs: &[],
        };
        header(&spec, &mut tar);
        tar.extend_from_slice(name.as_bytes());
        tar.resize(tar.len() + padding(size), 0);
    }
    tar.extend_from_slice(&END);
    tar
}

const MEMBERS: [&str; 3] =
    ["busybox-1.36.Q1busybox=.trigger", "less-6-r0.Q1less=.post-install", "lesser-6-r0.Q1lesser=.post-install"];

fn image(more: &[(&str, &[u8])]) -> Image {
    let installed = INSTALLED.replace("CONFIGURATION", CONFIGURATION).replace("LINK", LINK);
    let scripts = scripts(&MEMBERS);
    let files: [(&str, &[u8]); 16] = [
        ("lib/apk/db/installed", installed.as_bytes()),
        ("lib/apk/db/triggers", b"Q1busybox= /bin /usr/bin\nQ1less= /usr/share/*\n"),
        ("lib/apk/db/scripts.tar", &scripts),
        ("etc/apk/world", b".trash=20240101.1\nbusybox\nless>6 pager\n!less\n"),
        ("etc/busybox-paths.d/busybox", PATHS.as_bytes()),
        ("etc/less.conf", b"a=1\n"),
        ("etc/less.link", b"-> other"),
        ("etc/less.none", b""),
        ("bin/busybox", b"\0sh\0less\0vi\0"),
        ("bin/sh", b"-> /bin/busybox"),
        ("usr/bin/less", b""),
        ("usr/bin/gcc", b""),
        ("usr/share/less/x", b""),
        ("usr/share/link", b"-> less"),
        ("lib/apk/db/lock", b""),
        ("etc/passwd", b""),
    ];
    let others = files.into_iter().filter(|(path, _)| !more.iter().any(|(other, _)| path == other));
    Image::of_bytes(&[&others.collect::<Vec<_>>()[..], more].concat())
}

#[test]
fn a_tool_of_its_own_is_followed_by_busybox() {
    let edited = image(&[]);
    let changes = edited.changes(&["less"], Rest::Keep);
    assert_eq!(changes[0], "etc/apk/world: .trash=20240101.1\\nbusybox\\npager\\n!less\\n");
    assert_eq!(changes[1..3], ["- etc/less.conf", "- etc/less.link"], "no sum says that the third one is as it was");
    assert!(changes[3].starts_with("lib/apk/db/installed: P:busybox\\n"), "{changes:?}");
    assert!(!changes[3].contains("P:less\\n") && changes[3].contains("R:busybox\\n\\nP:lesser\\n"), "{changes:?}");
    assert!(changes[4].starts_with("lib/apk/db/scripts.tar: "));
    assert_eq!(
        changes[5..],
        [
            "lib/apk/db/triggers: Q1busybox= /bin /usr/bin\\n",
            "usr/bin/less -> /bin/busybox",
            "- usr/share/less",
            "- usr/share/less/x"
        ]
    );
    let left = edited.content_after("lib/apk/db/scripts.tar", &["less"], Rest::Keep);
    assert_eq!(left, scripts(&[MEMBERS[0], MEMBERS[2]]));
}

#[test]
fn changed_configuration_stays_unless_it_is_purged() {
    let changed = image(&[("etc/less.conf", b"a=2\n"), ("etc/less.link", b"-> another")]);
    let gone = |rest| {
        changed.changes(&["less"], rest).into_iter().filter(|line| line.starts_with("- etc")).collect::<Vec<_>>()
    };
    assert_eq!(gone(Rest::Keep), [""; 0]);
    assert_eq!(gone(Rest::Purge), ["- etc/less.conf", "- etc/less.link", "- etc/less.none"]);
    let unprotected =
        image(&[("etc/less.conf", b"a=2\n"), ("etc/apk/protected_paths.d/x.list", b"# x\n-etc\n@etc/init.d\n")]);
    assert!(unprotected.changes(&["less"], Rest::Keep).contains(&"- etc/less.conf".to_owned()));
    let patterns = image(&[("etc/apk/protected_paths.d/x.list", b"-etc/*.conf\n")]);
    let expected = "/etc/apk/protected_paths.d/x.list: it protects paths by patterns";
    assert_eq!(patterns.declined(&["less"], Rest::Keep), expected);
}

#[test]
fn virtual_packages() {
    let changes = image(&[]).changes(&[".trash", "gcc"], Rest::Keep);
    assert_eq!(changes[0], "etc/apk/world: busybox\\nless>6 pager\\n!less\\n");
    assert!(!changes[1].contains("gcc") && changes[1].ends_with("p:pager=6\\n\\n"), "{changes:?}");
    assert_eq!(changes[2..], ["- usr/bin/gcc"]);
    assert_eq!(image(&[]).declined(&["gcc"], Rest::Keep), ".trash needs gcc");
    // What a name that goes provided was asked for by another name.
    assert!(image(&[]).changes(&["lesser"], Rest::Keep)[0].contains("less>6\\n!less"));
}

#[test]
fn older_busyboxes_have_no_list() {
    let list = INSTALLED.replace("F:etc\nF:etc/busybox-paths.d\nR:busybox\n\n", "\n");
    let without_list = |program: &[u8]| {
        Image::of_bytes(&[
            ("lib/apk/db/installed", list.as_bytes()),
            ("bin/busybox", program),
            ("usr/bin/less", b""),
            ("etc/apk/world", b"less\n"),
        ])
    };
    let expected = "/usr/bin/less: it is not known whether busybox stands in for it";
    assert_eq!(without_list(b"\0sh\0less\0").declined(&["less"], Rest::Keep), expected);
    assert!(without_list(b"\0sh\0lesser\0").changes(&["less"], Rest::Keep).contains(&"- usr/bin/less".to_owned()));
    let no_link = image(&[("bin/sh", b"")]);
    let expected = "/usr/bin/less: busybox has no link that shows how it makes them";
    assert_eq!(no_link.declined(&["less"], Rest::Keep), expected);
}

#[test]
fn in_doubt() {
    let twice = INSTALLED.replace("P:lesser\n", "P:less\n");
    let image_twice = image(&[("lib/apk/db/installed", twice.as_bytes())]);
    assert_eq!(image_twice.declined(&["less"], Rest::Purge), "/lib/apk/db/installed: less is not there exactly once");
    assert_eq!(
        image(&[("lib/apk/db/scripts.tar", &[1; 600])]).declined(&["less"], Rest::Purge),
        "/lib/apk/db/scripts.tar: it is no tar"
    );
    assert_eq!(image(&[]).declined(&["busybox"], Rest::Purge), "busybox is essential");
    let folder = image(&[("usr/bin/less/", b""), ("usr/bin/less/mine", b"")]);
    assert_eq!(folder.declined(&["less"], Rest::Purge), "/usr/bin/less: less has a file there and the image a folder");
}
