//! Alpine, Arch and systems with rpm: their databases before and after a removal.

use crate::bed::{Bed, all_refused, refuting};
use crate::berkeley::Order;
use crate::{berkeley, ndb, sqlite};

/// The scripts of packages as apk keeps them.
fn scripts(names: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in names {
        let content = format!("#!/bin/sh\necho {name}\n");
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        let path = format!("{name}-1.0-r0.Q1{name}=.post-install");
        builder.append_data(&mut header, path, content.as_bytes()).expect("packs");
    }
    builder.into_inner().expect("packs")
}

/// Each with what it needs and its files.
const ALPINE: [(&str, &str, &[&str]); 5] = [
    ("musl", "", &["lib/libc.so"]),
    ("zlib", "musl", &["usr/lib/libz.so"]),
    ("zlib-dev", "zlib", &["usr/lib/libz.a", "usr/include/zlib.h", "etc/zlib.conf"]),
    ("gcc", "musl binutils", &["usr/bin/gcc"]),
    ("binutils", "", &["usr/bin/ld"]),
];

fn alpine(names: &[&str], world: &str) -> Bed {
    let mut bed = Bed::default();
    let (mut installed, mut triggers) = (String::new(), String::new());
    for (name, needs, files) in ALPINE.iter().filter(|(name, ..)| names.contains(name)) {
        installed += &format!("C:Q1{name}=\nP:{name}\nV:1.0-r0\nA:x86_64\nD:{needs}\n");
        for path in *files {
            let (folder, file) = path.rsplit_once('/').expect("a folder");
            installed += &format!("F:{folder}\nR:{file}\nZ:Q1x=\n");
            bed.file(path, format!("{name} {file}"));
        }
        installed += "\n";
        triggers += &format!("Q1{name}= /usr/share/{name} /lib/*\n");
    }
    bed.file("lib/apk/db/installed", installed);
    bed.file("lib/apk/db/triggers", triggers);
    bed.file("lib/apk/db/scripts.tar", scripts(names));
    bed.file("etc/apk/world", world);
    bed.file("srv/data", "mine");
    bed
}

#[test]
fn apk() {
    let before = alpine(&["musl", "zlib", "zlib-dev", "gcc", "binutils"], "gcc\nmusl\nzlib-dev=1.0-r0\n");
    // The library that stays was asked for by name.
    let after = alpine(&["musl", "zlib"], "musl\nzlib\n");
    let claimed = ["gcc", "zlib-dev"];
    assert_eq!(refuting(&before, &after, &claimed), [""; 0]);
    // Changed configuration stays with whoever changed it.
    let mut kept = after.clone();
    kept.file("etc/zlib.conf", "zlib-dev zlib.conf");
    assert_eq!(refuting(&before, &kept, &claimed), [""; 0]);
    // busybox stands in for a tool that is gone; anything else that comes in its place does not.
    let with_busybox = |mut bed: Bed| {
        let installed = bed.text("lib/apk/db/installed");
        bed.file("lib/apk/db/installed", installed + "P:busybox\nV:1.0-r0\nA:x86_64\nF:bin\nR:busybox\n\n");
        bed.file("bin/busybox", "busybox");
        bed
    };
    let (busy_before, mut busy_after) = (with_busybox(before.clone()), with_busybox(after.clone()));
    busy_after.link("usr/bin/ld", "/bin/busybox");
    assert_eq!(refuting(&busy_before, &busy_after, &claimed), [""; 0]);
    busy_after.link("usr/bin/ld", "/srv/data");
    assert!(!refuting(&busy_before, &busy_after, &claimed).is_empty());
    assert!(refuting(&before, &after, &["gcc"]).iter().any(|one| one.starts_with("package zlib-dev is missing")));
    all_refused(
        &before,
        &after,
        &claimed,
        &[
            ("a file more is gone", |_, after| after.remove("srv/data"), "/srv/data is missing"),
            ("a file changed", |_, after| after.file("lib/libc.so", "other"), "/lib/libc.so has another content"),
            (
                "a version changed",
                |_, after| after.replace("lib/apk/db/installed", "V:1.0-r0", "V:1.0-r1"),
                "package musl has another version: 1.0-r0 → 1.0-r1",
            ),
            (
                "a file of a package that stays has another checksum",
                |_, after| after.replace("lib/apk/db/installed", "Z:Q1x=", "Z:Q1y="),
                "package musl has another entry in the database",
            ),
            (
                "another package needs it",
                |before, after| {
                    for bed in [before, after] {
                        bed.replace(
                            "lib/apk/db/installed",
                            "P:zlib\nV:1.0-r0\nA:x86_64\nD:musl",
                            "P:zlib\nV:1.0-r0\nA:x86_64\nD:binutils",
                        );
                    }
                },
                "package zlib has another need: binutils is there",
            ),
            (
                "something was asked for no longer",
                |_, after| after.file("etc/apk/world", "zlib\n"),
                "/etc/apk/world has another",
            ),
            (
                "something is asked for that is not there",
                |_, after| after.file("etc/apk/world", "musl\nzlib\nvim\n"),
                "/etc/apk/world has another",
            ),
            (
                "another trigger is gone",
                |_, after| after.file("lib/apk/db/triggers", "Q1musl= /usr/share/musl /lib/*\n"),
                "/lib/apk/db/triggers has another",
            ),
            (
                "another script is gone",
                |_, after| after.file("lib/apk/db/scripts.tar", scripts(&["musl"])),
                "/lib/apk/db/scripts.tar has another",
            ),
            (
                "a script is new",
                |_, after| after.file("lib/apk/db/scripts.tar", scripts(&["musl", "zlib", "vim"])),
                "/lib/apk/db/scripts.tar has another",
            ),
            (
                "the database is not true",
                |_, after| after.file("usr/bin/ld", "binutils ld"),
                "/usr/bin/ld has another owner among packages: binutils → no package",
            ),
        ],
    );
}

fn arch(names: &[&str], time: u32) -> Bed {
    let mut bed = Bed::default();
    for (name, reason, needs) in [("glibc", 0, ""), ("make", 0, "guile"), ("guile", 1, "glibc")] {
        if !names.contains(&name) {
            continue;
        }
        let folder = format!("var/lib/pacman/local/{name}-1.0-1");
        let reason = if reason == 1 { "%REASON%\n1\n\n" } else { "" };
        bed.file(
            &format!("{folder}/desc"),
            format!("%NAME%\n{name}\n\n%VERSION%\n1.0-1\n\n%INSTALLDATE%\n{time}\n\n{reason}%DEPENDS%\n{needs}\n\n"),
        );
        bed.file(&format!("{folder}/files"), format!("%FILES%\nusr/\nusr/bin/\nusr/bin/{name}\nusr/share/{name}/\n\n"));
        bed.file(&format!("{folder}/install"), format!("post_install() {{ touch /usr/share/{name}/made }}\n"));
        bed.file(&format!("usr/bin/{name}"), name);
        bed.file(&format!("usr/share/{name}/made"), "");
    }
    bed.file("var/lib/pacman/local/ALPM_DB_VERSION", "9\n");
    bed.file("var/log/pacman.log", time.to_string());
    bed
}

#[test]
fn pacman() {
    let (before, after) = (arch(&["glibc", "make", "guile"], 1), arch(&["glibc"], 2));
    assert_eq!(refuting(&before, &after, &["make"]), [""; 0]);
    all_refused(
        &before,
        &after,
        &["make"],
        &[
            (
                "a version changed",
                |_, after| after.replace("var/lib/pacman/local/glibc-1.0-1/desc", "1.0-1\n", "1.0-2\n"),
                "package glibc has another version",
            ),
            (
                "a file of the database changed",
                |_, after| after.file("var/lib/pacman/local/glibc-1.0-1/install", "other"),
                "/var/lib/pacman/local/glibc-1.0-1/install has another content",
            ),
            (
                "a file more is gone",
                |_, after| after.remove("usr/share/glibc/made"),
                "/usr/share/glibc/made is missing",
            ),
            (
                "a package that nobody claimed is gone",
                |_, after| *after = arch(&["guile"], 2),
                "package glibc is missing",
            ),
        ],
    );
}

fn rpm(names: &[&str], time: u32) -> Bed {
    rpm_in("var/lib/rpm/rpmdb.sqlite", sqlite::database, names, time)
}

fn rpm_in(path: &str, database: fn(&[Vec<u8>]) -> Vec<u8>, names: &[&str], time: u32) -> Bed {
    let mut bed = Bed::default();
    let mut headers = Vec::new();
    // Keys are packages, too, all of one name.
    let all = [
        ("bash", "1.0", ""),
        ("key", "1", ""),
        ("key", "2", ""),
        ("gcc", "1.0", "cpp"),
        ("cpp", "1.0", "/usr/bin/bash"),
    ];
    for (name, version, needs) in all {
        if !names.contains(&name) && name != "key" {
            continue;
        }
        headers.push(sqlite::header(&[
            (1000, sqlite::Tag::Text(name)),
            (1001, sqlite::Tag::Text(version)),
            (1002, sqlite::Tag::Text("1")),
            (1008, sqlite::Tag::Numbers(&[time])),
            (1030, sqlite::Tag::Small(&[0o100_755])),
            (1049, sqlite::Tag::Texts(&[needs])),
            (1116, sqlite::Tag::Numbers(&[0])),
            (1117, sqlite::Tag::Texts(&[name])),
            (1118, sqlite::Tag::Texts(&["/usr/bin/"])),
        ]));
        bed.file(&format!("usr/bin/{name}"), name);
    }
    if names.contains(&"gcc") {
        bed.file("var/lib/alternatives/cc", "auto\n/usr/bin/cc\n\n/usr/bin/gcc\n50\n");
        bed.link("usr/bin/cc", "/etc/alternatives/cc");
        bed.link("etc/alternatives/cc", "/usr/bin/gcc");
    }
    bed.folder("etc/alternatives");
    bed.folder("var/lib/alternatives");
    bed.file(path, database(&headers));
    bed.file("var/log/dnf.log", time.to_string());
    bed.folder("var/lib/zypp");
    let along = if names.contains(&"cpp") { "cpp\n" } else { "" };
    bed.file("var/lib/zypp/AutoInstalled", format!("# generated at {time}\n{along}"));
    bed
}

#[test]
fn rpms() {
    let (before, after) = (rpm(&["bash", "gcc", "cpp"], 1), rpm(&["bash"], 2));
    assert_eq!(refuting(&before, &after, &["gcc"]), [""; 0]);
    let mut new = before.clone();
    new.remove("var/lib/zypp/AutoInstalled");
    assert_eq!(refuting(&new, &after, &["gcc"]), [""; 0], "zypper makes its list");
    all_refused(
        &before,
        &after,
        &["gcc"],
        &[
            ("a file more is gone", |_, after| after.remove("usr/bin/bash"), "/usr/bin/bash is missing"),
            ("what stays needs it", |_, after| *after = rpm(&["bash", "gcc"], 2), "package gcc has another need: cpp"),
            ("what stays needs a file of it", |_, after| *after = rpm(&["cpp"], 2), "need: /usr/bin/bash is there"),
            (
                "a package that stays was brought along by none",
                |before, _| before.replace("var/lib/zypp/AutoInstalled", "cpp", "cpp\nbash"),
                "/var/lib/zypp/AutoInstalled has another content",
            ),
            (
                "the database cannot be read",
                |_, after| after.file("var/lib/rpm/rpmdb.sqlite", "x"),
                "it is no SQLite database",
            ),
        ],
    );
}

#[test]
fn older_databases_of_rpm() {
    let bed = |names: &[&str], time: u32| {
        let mut bed = rpm_in("usr/lib/sysimage/rpm/Packages.db", ndb::database, names, time);
        bed.file("usr/lib/sysimage/rpm/Index.db", time.to_string());
        bed
    };
    let (before, after) = (bed(&["bash", "gcc", "cpp"], 1), bed(&["bash"], 2));
    assert_eq!(refuting(&before, &after, &["gcc"]), [""; 0]);
    all_refused(
        &before,
        &after,
        &["gcc"],
        &[
            (
                "what stays needs it",
                |_, after| *after = rpm_in("usr/lib/sysimage/rpm/Packages.db", ndb::database, &["bash", "gcc"], 2),
                "package gcc has another need: cpp",
            ),
            ("a file beside it is another", |_, after| after.file("usr/lib/sysimage/rpm/own", "x"), "own is new"),
            (
                "the index is gone and the headers are the same",
                |before, after| {
                    *after = before.clone();
                    after.remove("usr/lib/sysimage/rpm/Index.db");
                },
                "/usr/lib/sysimage/rpm/Index.db is missing",
            ),
        ],
    );
    let mut after = after;
    after.remove("usr/lib/sysimage/rpm/Index.db");
    assert_eq!(refuting(&before, &after, &["gcc"]), [""; 0], "rpm makes it anew");
}

#[test]
fn rpms_in_berkeley_db() {
    let bed = |names: &[&str], time: u32, order: Order| {
        let database = match order {
            Order::Little => |headers: &[Vec<u8>]| berkeley::database(headers, Order::Little),
            Order::Big => |headers: &[Vec<u8>]| berkeley::database(headers, Order::Big),
        };
        let mut bed = rpm_in("var/lib/rpm/Packages", database, names, time);
        let keys: Vec<(&str, &[(u32, u32)])> = names.iter().map(|name| (*name, &[(1, 0)][..])).collect();
        for index in ["Name", "Filemd5s"] {
            bed.file(&format!("var/lib/rpm/{index}"), berkeley::index(&keys, order));
        }
        if time == 1 {
            bed.file("var/lib/rpm/__db.001", "in memory");
            bed.file("var/lib/rpm/__db.004", "in memory");
        }
        bed
    };
    let both = |order| (bed(&["bash", "gcc", "cpp"], 1, order), bed(&["bash"], 2, order));
    let (before, after) = both(Order::Big);
    assert_eq!(refuting(&before, &after, &["gcc"]), [""; 0]);
    let (before, after) = both(Order::Little);
    assert_eq!(refuting(&before, &after, &["gcc"]), [""; 0]);
    all_refused(
        &before,
        &after,
        &["gcc"],
        &[
            (
                "what is in memory is gone and the headers are the same",
                |before, after| {
                    *after = before.clone();
                    after.remove("var/lib/rpm/__db.004");
                },
                "/var/lib/rpm/__db.004 is missing",
            ),
            ("an index is gone", |_, after| after.remove("var/lib/rpm/Name"), "/var/lib/rpm/Name is missing"),
            (
                "what is not Berkeley DB's is gone",
                |before, _| before.file("var/lib/rpm/__db.own", "x"),
                "/var/lib/rpm/__db.own is missing",
            ),
        ],
    );
}
