//! What is installed: databases of each manager as their programs write them, the look-ups, and damaged ones.

mod berkeley;
mod erased;
mod family;
mod forgotten;
mod graph;
mod ndb;
mod sqlite;

use std::collections::{BTreeMap, BTreeSet};

use berkeley::Order;
use jettison_image::packages::{Manager, Package, Packages, PackagesError, Reason, Ties, read};
use jettison_image::{Layer, Limits, Node, Tree};

/// What is at a path.
enum File {
    Content(Vec<u8>),
    Link(&'static str),
}

/// An image with these files; folders are those that they lie in.
struct Image {
    layer: Layer,
    contents: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Image {
    fn of(files: &[(impl AsRef<str>, File)]) -> Self {
        let mut builder = tar::Builder::new(Vec::new());
        let mut contents = BTreeMap::new();
        for (path, file) in files {
            let path = path.as_ref();
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            header.set_mode(0o644);
            match file {
                File::Content(content) => {
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, path, content.as_slice()).expect("packs");
                    contents.insert(path.as_bytes().to_vec(), content.clone());
                }
                File::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    builder.append_link(&mut header, path, target).expect("packs");
                }
            }
        }
        let bytes = builder.into_inner().expect("packs");
        Self { layer: Layer::read(bytes.as_slice(), Limits::default()).expect("a layer"), contents }
    }

    fn read(&self) -> Result<Vec<Packages>, PackagesError> {
        let tree = Tree::of([&self.layer]).expect("a tree");
        read(&tree, &mut |node: Node| self.contents.get(&tree.path(node)).cloned())
    }

    fn one(&self) -> Packages {
        let mut all = self.read().expect("a database");
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

fn text(content: &str) -> File {
    File::Content(content.as_bytes().to_vec())
}

fn paths(package: &Package) -> Vec<String> {
    package.files.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

fn names(packages: &Packages, places: impl IntoIterator<Item = usize>) -> Vec<&str> {
    places.into_iter().map(|at| packages.packages[at].name.as_str()).collect()
}

fn owners<'p>(packages: &'p Packages, path: &str) -> Vec<&'p str> {
    names(packages, packages.owners(path.as_bytes()).iter().copied())
}

const APK: &str = "C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=\nP:musl\nV:1.2.5-r0\nA:x86_64\nS:1\nI:100\np:so:libc.musl-x86_64.so.1=1\nF:lib\n\
                   R:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1=\n\n\
                   P:busybox\nV:1.36.1-r29\nD:so:libc.musl-x86_64.so.1\np:/bin/sh cmd:sh=1.36.1-r29\nF:bin\nR:busybox\n\n\
                   P:gcc\nV:13.2.1-r1\nD:binutils=2.42-r0 !gcc-old so:libc.musl-x86_64.so.1\nF:usr\nF:usr/bin\nR:gcc\n\n\
                   P:binutils\nV:2.42-r0\nF:usr\nF:usr/bin\nR:ld\n\n\
                   P:gcc-doc\nV:13.2.1-r1\ni:docs gcc=13.2.1-r1\nF:usr/share/man\nR:gcc.1.gz\n\n\
                   P:build-base\nV:0.5\nD:gcc /bin/sh\n";

fn alpine() -> Image {
    Image::of(&[
        ("usr/lib/apk/db/installed", text(APK)),
        ("etc/apk/world", text("build-base=0.5 so:libc.musl-x86_64.so.1\n!gcc\n")),
        ("lib", File::Link("usr/lib")),
        ("usr/bin/gcc", text("gcc")),
    ])
}

#[test]
fn apk() {
    let packages = alpine().one();
    assert_eq!((packages.manager, packages.packages.len()), (Manager::Apk, 6));
    assert_eq!(packages.place, b"usr/lib/apk/db");
    let musl = packages.get("musl").expect("a package");
    assert_eq!((musl.version.as_str(), musl.size, musl.reason), ("1.2.5-r0", 100, Reason::Asked));
    assert_eq!(paths(musl), ["lib", "usr/lib/ld-musl-x86_64.so.1"], "folders that are links are followed");
    assert_eq!(packages.get("gcc").map(|gcc| gcc.reason), Some(Reason::Needed));
    assert_eq!(owners(&packages, "usr/bin"), ["gcc", "binutils"]);
    assert_eq!(owners(&packages, "usr/bin/ld"), ["binutils"]);
    assert!(packages.get("so:libc.musl-x86_64.so.1").is_none(), "that is not its name");
}

#[test]
fn who_needs_whom() {
    let packages = alpine().one();
    let at = |name: &str| packages.position(name).expect("a package");
    let closure = |ties| names(&packages, packages.closure([at("build-base")], ties));
    assert_eq!(closure(Ties::Needs), ["musl", "busybox", "gcc", "binutils", "build-base"]);
    assert_eq!(closure(Ties::All), ["musl", "busybox", "gcc", "binutils", "gcc-doc", "build-base"]);
    assert_eq!(names(&packages, packages.needing(at("busybox"))), ["build-base"]);
    let missed = |gone: &[&str]| {
        let gone: BTreeSet<usize> = gone.iter().map(|name| at(name)).collect();
        let missed = packages.missed_without(&gone);
        missed.iter().map(|(at, _)| packages.packages[*at].name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(missed(&["build-base", "gcc", "binutils", "gcc-doc"]), [""; 0]);
    assert_eq!(missed(&["binutils"]), ["gcc"]);
    assert_eq!(missed(&["musl"]), ["busybox", "gcc"]);
}

const DPKG: &str = "Package: libc6\nStatus: install ok installed\nPriority: optional\nSection: libs\nInstalled-Size: 12\nArchitecture: amd64\nMulti-Arch: same\n\
                    Version: 2.36-9\nDescription: C library\n More of it.\n .\n And more.\n\n\
                    Package: dash\nEssential: yes\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.5\nPre-Depends: libc6 (>= 2.34)\n\
                    Conffiles:\n /etc/dash.conf 0123456789abcdef\n /etc/old 0123 remove-on-upgrade\n\n\
                    Package: cpp\nStatus: install ok installed\nArchitecture: all\nVersion: 12\nProvides: c-preprocessor (= 12), virtual\n\n\
                    Package: gcc\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 4:12\nDepends: c-preprocessor (>= 3) | other:any,\n libc6:any\n\
                    Recommends: libc6-dev | libc-dev\n\n\
                    Package: libc6-dev\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nDepends: virtual (>= 1)\n\n\
                    Package: vim\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 9\n\n\
                    Package: none\nStatus: unknown ok not-installed\nArchitecture: amd64\n\n";

fn debian() -> Image {
    Image::of(&[
        ("var/lib/dpkg/status", text(DPKG)),
        ("var/lib/dpkg/info/libc6:amd64.list", text("/.\n/lib\n/lib/libc.so.6\n/usr\n/usr/share/doc\n")),
        ("var/lib/dpkg/info/dash.list", text("/.\n/bin\n/bin/sh\n/bin/dash\n/usr/bin/ash\n")),
        ("var/lib/dpkg/info/gcc.list", text("/.\n/usr/bin/gcc\n/usr/bin/ash\n")),
        ("var/lib/dpkg/diversions", text("/usr/bin/ash\n/usr/bin/ash.distrib\ndash\n")),
        (
            "var/lib/apt/extended_states",
            text(
                "Package: cpp\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: libc6-dev\nArchitecture: i386\nAuto-Installed: 1\n\n\
                 Package: libc6\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: gcc\nArchitecture: amd64\nAuto-Installed: 0\n",
            ),
        ),
        ("lib", File::Link("usr/lib")),
        ("bin", File::Link("/usr/bin")),
        ("usr/lib/libc.so.6", text("")),
        ("usr/bin/gcc", text("")),
    ])
}

#[test]
fn dpkg() {
    let packages = debian().one();
    assert_eq!(packages.manager, Manager::Dpkg);
    let all: Vec<(&str, Reason)> = packages.packages.iter().map(|one| (one.name.as_str(), one.reason)).collect();
    let expected = [
        ("libc6", Reason::Needed),
        ("dash", Reason::Asked),
        ("cpp", Reason::Needed),
        ("gcc", Reason::Asked),
        ("libc6-dev", Reason::Asked),
    ];
    assert_eq!(all, expected);
    assert_eq!(packages.removed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["vim"]);
    let libc = packages.get("libc6:amd64").expect("a package");
    assert_eq!(paths(libc), ["lib", "usr/lib/libc.so.6", "usr", "usr/share/doc"]);
    assert_eq!((libc.size, libc.version.as_str()), (12288, "2.36-9"));
    assert!(packages.get("libc6:i386").is_none());
    let dash = packages.get("dash").expect("a package");
    assert!(dash.is_essential && dash.configuration == [b"etc/dash.conf".to_vec()]);
    assert_eq!(owners(&packages, "usr/bin/ash"), ["dash"], "the other one was moved away");
    assert_eq!(owners(&packages, "usr/bin/ash.distrib"), ["gcc"]);
    let at = |name: &str| packages.position(name).expect("a package");
    assert_eq!(names(&packages, packages.closure([at("gcc")], Ties::Needs)), ["libc6", "cpp", "gcc"]);
    let all = names(&packages, packages.closure([at("gcc")], Ties::All));
    assert_eq!(all, ["libc6", "cpp", "gcc", "libc6-dev"], "what is provided without a version meets no version");
}

#[test]
fn distroless() {
    let image = Image::of(&[
        ("var/lib/dpkg/status.d/tzdata", text("Package: tzdata\nVersion: 2024\nArchitecture: all\n")),
        ("var/lib/dpkg/status.d/tzdata.md5sums", text("0123  usr/share/zoneinfo/UTC\n0456  usr/share/a  b\n")),
    ]);
    let packages = image.one();
    assert_eq!(paths(&packages.packages[0]), ["usr/share/zoneinfo/UTC", "usr/share/a  b"]);
    assert_eq!(owners(&packages, "usr/share/zoneinfo/UTC"), ["tzdata"]);
}

#[test]
fn pacman() {
    let desc = "%NAME%\nmake\n\n%VERSION%\n4.4-1\n\n%ARCH%\nx86_64\n\n%INSTALLDATE%\n1700000000\n\n%SIZE%\n77\n\n%REASON%\n1\n\n\
                %DEPENDS%\nglibc>=2.3\nguile\n\n%OPTDEPENDS%\nx: for y\n\n";
    let image = Image::of(&[
        ("var/lib/pacman/local/ALPM_DB_VERSION", text("9\n")),
        ("var/lib/pacman/local/make-4.4-1/desc", text(desc)),
        (
            "var/lib/pacman/local/make-4.4-1/files",
            text("%FILES%\nusr/\nusr/bin/\nusr/bin/make\n\n%BACKUP%\netc/x\t01\n\n"),
        ),
        (
            "var/lib/pacman/local/glibc-2.38-1/desc",
            text("%NAME%\nglibc\n\n%VERSION%\n2.38-1\n\n%PROVIDES%\nlibc.so=6-64\n\n"),
        ),
    ]);
    let packages = image.one();
    assert_eq!((packages.manager, packages.place.as_slice()), (Manager::Pacman, &b"var/lib/pacman/local"[..]));
    let make = packages.get("make").expect("a package");
    assert_eq!((make.reason, make.size, make.version.as_str()), (Reason::Needed, 77, "4.4-1"));
    assert_eq!(
        (paths(make).join(" "), &make.configuration),
        ("usr usr/bin usr/bin/make".into(), &vec![b"etc/x".to_vec()])
    );
    assert!(!String::from_utf8_lossy(&make.record).contains("1700000000"));
    assert_eq!(packages.get("glibc").map(|glibc| glibc.reason), Some(Reason::Asked));
    let at = packages.position("glibc").expect("a package");
    assert_eq!(names(&packages, packages.needing(at)), ["make"]);
}

#[test]
fn rpm() {
    let header = |name: &str, requires: &[&str], time: u32| {
        let folders = ["/usr/bin/", "/etc/"];
        sqlite::header(&[
            (1000, sqlite::Tag::Text(name)),
            (1001, sqlite::Tag::Text("1.0")),
            (1002, sqlite::Tag::Text("2")),
            (1003, sqlite::Tag::Numbers(&[3])),
            (1008, sqlite::Tag::Numbers(&[time])),
            (1009, sqlite::Tag::Numbers(&[55])),
            (1022, sqlite::Tag::Text("x86_64")),
            (1037, sqlite::Tag::Numbers(&[0, 1])),
            (1047, sqlite::Tag::Texts(&[name, "lib.so()(64bit)"])),
            (1049, sqlite::Tag::Texts(requires)),
            (1116, sqlite::Tag::Numbers(&[0, 1])),
            (1117, sqlite::Tag::Texts(&[name, "conf"])),
            (1118, sqlite::Tag::Texts(&folders)),
            // So long that the row goes on in further pages.
            (1004, sqlite::Tag::Text(&"long ".repeat(900))),
        ])
    };
    let rows =
        [header("bash", &[], 1), header("gcc", &["/usr/bin/bash", "(make if cmake)"], 2), header("make", &[], 3)];
    let image = |log: &str, place: &str| {
        let files = [
            (format!("{place}/rpmdb.sqlite"), File::Content(sqlite::database(&rows))),
            (format!("{place}/rpmdb.sqlite-wal"), text(log)),
        ];
        Image::of(&files)
    };
    let packages = image("", "var/lib/rpm").one();
    let gcc = packages.get("gcc").expect("a package");
    assert_eq!((gcc.version.as_str(), gcc.size, gcc.reason), ("3:1.0-2", 55, Reason::Unknown));
    assert_eq!(
        (paths(gcc).join(" "), &gcc.configuration),
        ("usr/bin/gcc etc/conf".into(), &vec![b"etc/conf".to_vec()])
    );
    let at = packages.position("gcc").expect("a package");
    assert_eq!(names(&packages, packages.closure([at], Ties::Needs)), ["bash", "gcc", "make"]);
    let later = header("gcc", &["/usr/bin/bash", "(make if cmake)"], 9);
    assert_ne!(later, rows[1]);
    let again = Image::of(&[("var/lib/rpm/rpmdb.sqlite", File::Content(sqlite::database(&[later])))]).one();
    assert_eq!(again.packages[0].record, gcc.record, "when it was installed does not count");
    assert_eq!(image("", "usr/lib/sysimage/rpm").one().packages.len(), 3);
    let error = image("x", "var/lib/rpm").read().expect_err("a log").to_string();
    assert_eq!(error, "/var/lib/rpm/rpmdb.sqlite-wal: an unfinished log of SQLite is not read");
}

#[test]
fn many_rows_lie_in_several_pages() {
    let names: Vec<String> = (0..200).map(|number| format!("package-{number}")).collect();
    let rows: Vec<Vec<u8>> = names.iter().map(|name| sqlite::header(&[(1000, sqlite::Tag::Text(name))])).collect();
    let packages = Image::of(&[("var/lib/rpm/rpmdb.sqlite", File::Content(sqlite::database(&rows)))]).one();
    assert_eq!(packages.packages.iter().map(|one| &one.name).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
}

#[test]
fn what_is_damaged_is_named_with_its_place() {
    for (path, content, expected) in [
        (
            "lib/apk/db/installed",
            "P:a\nV:1\n\nP:b\nrubbish\n",
            "/lib/apk/db/installed:5: a line is a letter, a colon and a value",
        ),
        ("lib/apk/db/installed", "P:a\nV:1\n\nP:b\n", "/lib/apk/db/installed:4: a package has a name and a version"),
        ("lib/apk/db/installed", "P:a\nV:1\nI:many\n", "/lib/apk/db/installed:3: a size is a number"),
        ("var/lib/dpkg/status", "Package: a\nVersion: 1\nnothing\n", "/var/lib/dpkg/status:3: a field has a colon"),
        ("var/lib/dpkg/status", "\n more\n", "/var/lib/dpkg/status:2: a value has a field"),
        (
            "var/lib/dpkg/status",
            "Package: a\nVersion: 1\n\nVersion: 2\n",
            "/var/lib/dpkg/status:4: a package has a name",
        ),
        ("var/lib/pacman/local/a-1/desc", "a\n", "/var/lib/pacman/local/a-1/desc:1: a line is in a section"),
        ("var/lib/rpm/Packages", "", "/var/lib/rpm/Packages: it is too short"),
        ("var/lib/rpm/Packages", "0123456789abcdef", "/var/lib/rpm/Packages: it is no Berkeley DB"),
        ("usr/lib/sysimage/rpm/Packages.db", "", "/usr/lib/sysimage/rpm/Packages.db: it is no ndb database"),
        ("var/lib/rpm/rpmdb.sqlite", "x", "/var/lib/rpm/rpmdb.sqlite: it is no SQLite database"),
    ] {
        let error = Image::of(&[(path, text(content))]).read().expect_err(path);
        assert_eq!(error.to_string(), expected);
    }
    let mut image = debian();
    image.contents.remove(&b"var/lib/dpkg/info/gcc.list"[..]);
    let error = image.read().expect_err("a list cannot be had").to_string();
    assert_eq!(error, "/var/lib/dpkg/info/gcc.list: its content is not at hand");
}

#[test]
fn damaged_databases_of_rpm_are_errors_and_no_more() {
    let rows: Vec<Vec<u8>> = (0..40)
        .map(|number| sqlite::header(&[(1000, sqlite::Tag::Text(&format!("package-{number}-{}", "x".repeat(90))))]))
        .collect();
    let mut state = 7u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("small") % below
    };
    for (path, whole) in [
        ("var/lib/rpm/rpmdb.sqlite", sqlite::database(&rows)),
        ("usr/lib/sysimage/rpm/Packages.db", ndb::database(&rows)),
        ("var/lib/rpm/Packages", berkeley::database(&rows, Order::Little)),
        ("usr/share/rpm/Packages", berkeley::database(&rows, Order::Big)),
    ] {
        for _ in 0..1500 {
            let mut damaged = whole.clone();
            for _ in 0..=random(4) {
                let at = random(damaged.len());
                damaged[at] = u8::try_from(random(256)).expect("a byte");
            }
            damaged.truncate(damaged.len() - random(2) * random(damaged.len()));
            let _ = Image::of(&[(path, File::Content(damaged))]).read();
        }
    }
}

#[test]
fn older_databases_of_rpm() {
    // The first one lies in its page, the others go on in further ones.
    let lengths = [0, 3000, 90, 40_000];
    let rows: Vec<Vec<u8>> = (0..61)
        .map(|number| {
            let (name, text) = (format!("package-{number}"), "x".repeat(lengths[number % lengths.len()]));
            sqlite::header(&[(1000, sqlite::Tag::Text(&name)), (1004, sqlite::Tag::Text(&text))])
        })
        .collect();
    let expected = Image::of(&[("var/lib/rpm/rpmdb.sqlite", File::Content(sqlite::database(&rows)))]).one();
    for (path, content) in [
        ("usr/lib/sysimage/rpm/Packages.db", ndb::database(&rows)),
        ("usr/share/rpm/Packages", berkeley::database(&rows, Order::Little)),
        ("var/lib/rpm/Packages", berkeley::database(&rows, Order::Big)),
    ] {
        let read = Image::of(&[(path, File::Content(content.clone()))]).one();
        assert_eq!(read.packages, expected.packages, "{path}");
        assert_eq!(read.place, path.rsplit_once('/').expect("a folder").0.as_bytes());
        // Other managers' files are not taken for them, and what rpm has today counts before what it had.
        let both = Image::of(&[
            (path, File::Content(content)),
            ("var/lib/rpm/rpmdb.sqlite", File::Content(sqlite::database(&rows[..2]))),
        ]);
        assert_eq!(both.one().packages.len(), 2);
    }
}

#[test]
fn damage_of_older_databases_is_named() {
    let rows: Vec<Vec<u8>> =
        (0..3).map(|_| sqlite::header(&[(1000, sqlite::Tag::Text(&"long".repeat(400)))])).collect();
    let problem = |path: &str, mut content: Vec<u8>, at: usize, bytes: &[u8]| {
        content[at..at + bytes.len()].copy_from_slice(bytes);
        let error = Image::of(&[(path, File::Content(content))]).read().expect_err("damaged").to_string();
        error.rsplit_once(": ").expect("a place").1.to_owned()
    };
    let whole = ndb::database(&rows);
    for (at, bytes, expected) in [
        (4, &[1][..], "its version is none that is known"),
        (12, &[9], "its slots are cut off"),
        (32, b"slot", "a slot is none"),
        (32 + 8, &[0xff, 0xff], "a slot leads out of the file"),
        (32 + 8, &[1, 1], "two slots share a place"),
        (32 + 4, &[2], "two slots have one package's number"),
        (4096, b"blob", "a blob has no head"),
        (4096 + 12, &[1], "a blob does not fill its place"),
        (4096 + 100, &[1], "a blob's sum is another"),
    ] {
        assert_eq!(problem("var/lib/rpm/Packages.db", whole.clone(), at, bytes), expected, "{at}");
    }
    let whole = berkeley::database(&rows, Order::Little);
    for (at, bytes, expected) in [
        (12, &[0x62, 0x31, 5, 0][..], "it is a tree, where rpm has a hash"),
        (16, &[4], "its version is none that is known"),
        (20, &[3], "its page size is none"),
        (24, &[1], "it is encrypted"),
        (72, &[0xff], "it has more buckets than pages"),
        (512 + 8, &[7], "a page has another's number"),
        (512 + 16, &[2], "its pages lead in circles"),
        (512 + 25, &[5], "a page is not one of a hash"),
        (512 + 26, &[0xff, 0xff], "an entry is cut off"),
        (512 + 20, &[1], "a key has no value"),
    ] {
        assert_eq!(problem("var/lib/rpm/Packages", whole.clone(), at, bytes), expected, "{at}");
    }
}

#[test]
fn images_without_any() {
    assert!(Image::of(&[("etc/passwd", text(""))]).read().expect("none").is_empty());
}
