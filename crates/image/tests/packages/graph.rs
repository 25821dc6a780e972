//! Why packages are there, by chains of those that ask for them.

use jettison_image::packages::{Because, Packages, Tie};

use crate::{Image, alpine, debian, sqlite, text};

/// A chain as people read it.
fn why(packages: &Packages, name: &str) -> String {
    let at = packages.position(name).expect("a package");
    let steps = packages.why(at);
    assert_eq!(steps[0].package, at);
    let shown = steps.iter().map(|step| {
        let name = packages.packages[step.package].name.as_str();
        match &step.because {
            Because::Edge(tie, capability) => {
                let tie = match tie {
                    Tie::Depends => "",
                    Tie::Recommends => "recommends ",
                    Tie::Supplements => "goes with ",
                };
                format!("{name} <- {tie}{} by ", capability.name)
            }
            end => format!("{name}: {end:?}"),
        }
    });
    shown.collect()
}

fn needed_by(packages: &Packages, name: &str) -> Vec<(String, Tie)> {
    let at = packages.position(name).expect("a package");
    let edges = packages.needed_by(at);
    edges.iter().map(|edge| (packages.packages[edge.package].name.clone(), edge.tie)).collect()
}

#[test]
fn apk() {
    let packages = alpine().one();
    assert_eq!(why(&packages, "build-base"), "build-base: Asked");
    assert_eq!(why(&packages, "musl"), "musl: Asked");
    assert_eq!(why(&packages, "busybox"), "busybox <- /bin/sh by build-base: Asked");
    assert_eq!(why(&packages, "binutils"), "binutils <- binutils by gcc <- gcc by build-base: Asked");
    assert_eq!(why(&packages, "gcc-doc"), "gcc-doc <- goes with gcc by gcc <- gcc by build-base: Asked");
    assert_eq!(needed_by(&packages, "musl"), [("busybox".into(), Tie::Depends), ("gcc".into(), Tie::Depends)]);
}

#[test]
fn groups_of_apk() {
    let packages = Image::of(&[
        (
            "lib/apk/db/installed",
            text(
                "P:.trash\nV:20240101.000000\nT:virtual meta package\nD:gcc so:libz.so.1\n\n\
                 P:deps\nV:0\nT:virtual meta package\nD:make\n\n\
                 P:gcc\nV:1\nT:a compiler\n\nP:zlib\nV:1\np:so:libz.so.1=1\n\nP:make\nV:1\n",
            ),
        ),
        ("etc/apk/world", text(".trash\ndeps\n")),
    ])
    .one();
    let groups: Vec<&str> =
        packages.packages.iter().filter(|one| packages.is_group(one)).map(|one| one.name.as_str()).collect();
    assert_eq!(groups, [".trash", "deps"]);
    assert_eq!(crate::names(&packages, packages.members(0)), ["gcc", "zlib"]);
    assert_eq!(why(&packages, "zlib"), "zlib <- so:libz.so.1 by .trash: Asked");
}

#[test]
fn dpkg() {
    let packages = debian().one();
    assert_eq!(why(&packages, "dash"), "dash: System");
    assert_eq!(why(&packages, "cpp"), "cpp <- c-preprocessor by gcc: Asked");
    // Both ways are of one length; what was asked for counts before the system.
    assert_eq!(why(&packages, "libc6"), "libc6 <- libc6 by gcc: Asked");
    assert_eq!(needed_by(&packages, "libc6-dev"), [("gcc".into(), Tie::Recommends)]);
    let libc = packages.get("libc6").expect("a package");
    assert_eq!((libc.priority.as_str(), libc.section.as_str()), ("optional", "libs"));
    // A longer chain of stronger ties does not count before a shorter one.
    let status = "Package: a\nVersion: 1\nRecommends: c\nDepends: b\n\nPackage: b\nVersion: 1\nDepends: c, d\n\n\
                  Package: c\nVersion: 1\n\nPackage: d\nVersion: 1\nPriority: required\n\nPackage: left\nVersion: 1\nDepends: more\n\n\
                  Package: more\nVersion: 1\nDepends: most\n\nPackage: most\nVersion: 1\nDepends: more\n\n";
    let marks: String = ["b", "c", "left", "more", "most"]
        .iter()
        .map(|name| format!("Package: {name}\nAuto-Installed: 1\n\n"))
        .collect();
    let files = [("var/lib/dpkg/status", text(status)), ("var/lib/apt/extended_states", text(&marks))];
    let packages = Image::of(&files).one();
    assert_eq!(why(&packages, "c"), "c <- recommends c by a: Asked");
    assert_eq!(why(&packages, "d"), "d: System");
    assert_eq!(why(&packages, "left"), "left: Unneeded");
    assert_eq!(why(&packages, "most"), "most <- most by more <- more by left: Unneeded");
}

#[test]
fn rpm() {
    let header = |name: &str, requires: &[&str], recommends: &[&str]| {
        sqlite::header(&[
            (1000, sqlite::Tag::Text(name)),
            (1016, sqlite::Tag::Text("Tools")),
            (1049, sqlite::Tag::Texts(requires)),
            (1116, sqlite::Tag::Numbers(&[0])),
            (1117, sqlite::Tag::Texts(&[name])),
            (1118, sqlite::Tag::Texts(&["/usr/bin/"])),
            (5046, sqlite::Tag::Texts(recommends)),
        ])
    };
    let rows = [
        header("glibc", &["glibc-common"], &[]),
        header("glibc-common", &["glibc"], &[]),
        header("app", &["/usr/bin/tool"], &["docs"]),
        header("tool", &[], &[]),
        header("docs", &[], &[]),
    ];
    let packages = Image::of(&[("var/lib/rpm/rpmdb.sqlite", crate::File::Content(sqlite::database(&rows)))]).one();
    assert_eq!(why(&packages, "app"), "app: Unneeded");
    assert_eq!(why(&packages, "tool"), "tool <- /usr/bin/tool by app: Unneeded");
    assert_eq!(why(&packages, "docs"), "docs <- recommends docs by app: Unneeded");
    assert_eq!(why(&packages, "glibc"), "glibc: Circle");
    assert_eq!(why(&packages, "glibc-common"), "glibc-common <- glibc-common by glibc: Circle");
    assert_eq!(packages.packages[0].section, "Tools");
}
