//! Debian: dpkg's database and what goes along with it.

use jettison_ir::source::SourceClaim;
use jettison_ir::{Because, Difference, Place};

use crate::bed::{Bed, all_refused, claim, refuting, weighed};

struct Package {
    name: &'static str,
    is_automatic: bool,
    fields: &'static str,
    files: &'static [&'static str],
}

const fn package(
    name: &'static str,
    is_automatic: bool,
    fields: &'static str,
    files: &'static [&'static str],
) -> Package {
    Package { name, is_automatic, fields, files }
}

const ALL: [Package; 9] = [
    package("libc6", false, "", &["lib/libc.so.6", "usr/share/doc/libc6/copyright"]),
    package("libz1", true, "Depends: libc6 (>= 2.1)\n", &["lib/libz.so.1"]),
    package("mawk", false, "Depends: libc6\nProvides: awk\n", &["usr/bin/mawk"]),
    package(
        "curl",
        false,
        "Depends: libz1 | libz-ng\nConffiles:\n /etc/curlrc 0123\n",
        &["usr/bin/curl", "etc/curlrc"],
    ),
    package(
        "gcc",
        false,
        "Depends: cpp, libz1\nRecommends: libc6-dev\nConffiles:\n /etc/gcc.conf 0123\n",
        &["usr/bin/gcc", "usr/lib/gcc/cc1", "etc/gcc.conf", "usr/lib/gcc/tool.py", "usr/share/doc/gcc/copyright"],
    ),
    package("cpp", true, "Depends: libmpc3 (>= 1)\n", &["usr/bin/cpp"]),
    package("libmpc3", true, "", &["lib/libmpc.so.3"]),
    package("libc6-dev", true, "Depends: libc6\n", &["usr/include/stdio.h", "usr/lib/gcc/crt1.o"]),
    package("gawk", true, "Provides: awk\n", &["usr/bin/gawk"]),
];

pub(crate) const CLAIMED: [&str; 2] = ["gcc", "gawk"];
const STAYING: [&str; 4] = ["libc6", "libz1", "mawk", "curl"];

/// A cache of the loader with these libraries.
fn loader_cache(paths: &[&str]) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).expect("small").to_le_bytes();
    let mut names = Vec::new();
    let start = 48 + 24 * paths.len();
    let mut bytes = Vec::new();
    for path in paths {
        let name = path.rsplit('/').next().unwrap_or_default();
        let at = start + names.len();
        names.extend([name.as_bytes(), b"\0", path.as_bytes(), b"\0"].concat());
        bytes.extend([&word(0x303)[..], &word(at), &word(at + name.len() + 1), &[0; 12]].concat());
    }
    let head = [&b"glibc-ld.so.cache1.1"[..], &word(paths.len()), &word(names.len()), &[0; 20]].concat();
    [head, bytes, names].concat()
}

/// An image with these packages.
fn image(names: &[&str]) -> Bed {
    let mut bed = Bed::default();
    bed.link("lib", "usr/lib");
    bed.file("srv/data", "mine");
    bed.folder("usr/local/share");
    bed.folder("var/lib/apt/lists");
    let has = |name: &str| names.contains(&name);
    let (mut status, mut states, mut triggers) = (String::new(), String::new(), String::new());
    let (mut answers, mut templates) = (String::new(), String::new());
    let mut libraries = vec!["/usr/local/lib/libmine.so.1"];
    bed.file("usr/local/lib/libmine.so.1", "mine");
    for Package { name, is_automatic, fields, files } in ALL.iter().filter(|package| has(package.name)) {
        status +=
            &format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n{fields}\n");
        if *is_automatic {
            states += &format!("Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n\n");
        }
        let mut list = "/.\n/usr\n/usr/bin\n".to_owned();
        for path in *files {
            let (folder, _) = path.rsplit_once('/').expect("a folder");
            list += &format!("/{folder}\n/{path}\n");
            // The link leads there.
            let path = path.strip_prefix("lib/").map_or((*path).to_owned(), |rest| format!("usr/lib/{rest}"));
            bed.file(&path, format!("{name} {path}"));
        }
        libraries.extend(files.iter().filter(|path| path.contains(".so")));
        bed.file(&format!("var/lib/dpkg/info/{name}.list"), list);
        bed.file(&format!("var/lib/dpkg/info/{name}.postinst"), "");
        triggers += &format!("/usr/share/{name} {name}/noawait\n");
        answers += &format!("Name: {name}/question\nTemplate: {name}/text\nOwners: {name}\n\n");
        templates += &format!("Name: {name}/text\nDescription: Which {name}?\nOwners: {name}/question\n\n");
    }
    bed.file("var/lib/dpkg/triggers/File", triggers);
    bed.file("var/cache/debconf/config.dat", answers);
    bed.file("var/cache/debconf/templates.dat", templates);
    bed.file("var/log/dpkg.log", format!("{names:?}"));
    bed.file("var/lib/dpkg/status", status.clone());
    bed.file("var/lib/dpkg/status-old", status);
    bed.file("var/lib/apt/extended_states", states);
    bed.file("etc/ld.so.cache", loader_cache(&libraries));
    bed.link("usr/bin/awk", "/etc/alternatives/awk");
    bed.link("etc/alternatives/awk", if has("gawk") { "/usr/bin/gawk" } else { "/usr/bin/mawk" });
    let gawk = if has("gawk") { "/usr/bin/gawk\n10\n\n" } else { "" };
    bed.file(
        "var/lib/dpkg/alternatives/awk",
        format!("auto\n/usr/bin/awk\nnawk\n/usr/bin/nawk\n\n{gawk}/usr/bin/mawk\n5\n\n\n"),
    );
    if has("gcc") {
        bed.file("usr/lib/gcc/__pycache__/tool.cpython-311.pyc", "compiled");
        bed.file("usr/lib/gcc/made/by-script", "made");
        bed.folder("usr/local/share/gcc");
        bed.file(
            "var/lib/dpkg/info/gcc.postinst",
            "touch /usr/lib/gcc/made/by-script\nmkdir -p /usr/local/share/gcc\ntouch /srv/log\n",
        );
        bed.link("usr/bin/cc", "/etc/alternatives/cc");
        bed.link("etc/alternatives/cc", "/usr/bin/gcc");
        bed.file("var/lib/dpkg/alternatives/cc", "auto\n/usr/bin/cc\n\n/usr/bin/gcc\n20\n\n");
    }
    bed
}

pub(crate) fn all() -> Bed {
    image(&ALL.map(|package| package.name))
}

fn installs(bed: &mut Bed, name: &str) {
    let path = format!("usr/bin/{name}");
    let status = bed.text("var/lib/dpkg/status");
    let new = format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n\n");
    bed.file("var/lib/dpkg/status", status + &new);
    bed.file(&format!("var/lib/dpkg/info/{name}.list"), format!("/.\n/{path}\n"));
    bed.file(&path, name);
}

#[test]
fn packages_are_gone_with_all_that_was_theirs() {
    let weighed = weighed(&all(), &image(&STAYING), &[claim(&CLAIMED)], &[]);
    assert!(weighed.refuting.is_empty(), "{:#?}", weighed.refuting);
    let gone: Vec<(&str, bool)> = weighed.gone.iter().map(|one| (one.name.as_str(), one.is_claimed)).collect();
    let expected = [("gcc", true), ("gawk", true), ("cpp", false), ("libmpc3", false), ("libc6-dev", false)];
    assert_eq!(gone, expected);
    assert!(weighed.excused.iter().all(|one| one.because == Because::Packages), "{:#?}", weighed.excused);
    assert!(weighed.gone_bytes > 100, "{}", weighed.gone_bytes);
    // The same without a claim.
    assert!(!refuting(&all(), &image(&STAYING), &[]).is_empty());
}

#[test]
fn archives_that_packages_came_in_go_with_them() {
    let archive = |name: &str| format!("var/cache/apt/archives/{name}.deb");
    for (name, expected) in
        [("gcc_1.0_amd64", true), ("curl_1.0_amd64", false), ("gcc_2.0_amd64", false), ("gcc_1.0_arm64", false)]
    {
        let mut before = all();
        // The folder is apt's.
        before.file("var/cache/apt/archives/lock", "");
        let mut after = image(&STAYING);
        after.file("var/cache/apt/archives/lock", "");
        before.file(&archive(name), "packed");
        assert_eq!(refuting(&before, &after, &CLAIMED).is_empty(), expected, "{name}");
    }
}

#[test]
fn apt_makes_its_workplace_where_lists_were_removed() {
    let (before, mut after) = (all(), image(&STAYING));
    after.folder("var/lib/apt/lists/auxfiles");
    assert_eq!(refuting(&before, &after, &CLAIMED), [""; 0]);
    let mut same = all();
    same.folder("var/lib/apt/lists/auxfiles");
    assert!(!refuting(&before, &same, &CLAIMED).is_empty(), "no package is gone");
    after.file("var/lib/apt/lists/auxfiles/x", "");
    assert!(!refuting(&before, &after, &CLAIMED).is_empty());
}

#[test]
fn marks_and_rests_may_change() {
    let (before, mut after) = (all(), image(&STAYING));
    // What the removal needs to keep is marked as asked for; of gcc its configuration was left.
    after.file("var/lib/apt/extended_states", "");
    let status = after.text("var/lib/dpkg/status");
    let rest = "Package: gcc\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1.0\nConffiles:\n /etc/gcc.conf 0123\n\n";
    after.file("var/lib/dpkg/status", status + rest);
    after.file("var/lib/dpkg/info/gcc.list", "/.\n/etc/gcc.conf\n");
    after.file("etc/gcc.conf", "gcc etc/gcc.conf");
    assert_eq!(refuting(&before, &after, &CLAIMED), [""; 0]);
    after.file("var/lib/dpkg/info/gcc.list", "/.\n/etc/gcc.conf\n/usr/bin/other\n");
    assert!(!refuting(&before, &after, &CLAIMED).is_empty());
}

#[test]
fn whatever_else_happens_is_refused() {
    all_refused(
        &all(),
        &image(&STAYING),
        &CLAIMED,
        &[
            ("an extra file is gone", |_, after| after.remove("srv/data"), "/srv/data is missing"),
            ("a file of another package is gone", |_, after| after.remove("usr/bin/curl"), "/usr/bin/curl is missing"),
            (
                "a file of two packages is gone",
                |before, after| {
                    for bed in [before, after] {
                        bed.replace("var/lib/dpkg/info/curl.list", "/.\n", "/.\n/usr/bin/gcc\n");
                    }
                },
                "/usr/bin/gcc is missing",
            ),
            (
                "a folder of another package is gone",
                |before, after| {
                    for bed in [before, after] {
                        bed.replace("var/lib/dpkg/info/curl.list", "/.\n", "/.\n/usr/lib/gcc\n");
                    }
                },
                "/usr/lib/gcc is missing",
            ),
            (
                "a configuration changed",
                |_, after| after.file("etc/curlrc", "other"),
                "/etc/curlrc has another content",
            ),
            ("a file changed", |_, after| after.file("usr/bin/mawk", "other"), "/usr/bin/mawk has another content"),
            (
                "a version changed",
                |_, after| {
                    after.replace(
                        "var/lib/dpkg/status",
                        "Package: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0",
                        "Package: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.1",
                    )
                },
                "package curl has another version: 1.0 → 1.1",
            ),
            (
                "a state changed",
                |_, after| after.replace("var/lib/dpkg/status", "ok installed", "ok unpacked"),
                "package libc6 has another entry",
            ),
            ("something is new", |_, after| installs(after, "nano"), "package nano is new (1.0)"),
            (
                "a package is gone that nobody claimed",
                |before, _| installs(before, "vim"),
                "package vim is missing (1.0)",
            ),
            (
                "one that somebody asked for, and that a claimed one needs, is gone",
                |before, _| before.replace("var/lib/apt/extended_states", "Package: cpp", "Package: other"),
                "package cpp is missing (1.0)",
            ),
            (
                "something that stays needs it",
                |before, after| {
                    for bed in [before, after] {
                        bed.replace("var/lib/dpkg/status", "Depends: libz1 | libz-ng", "Depends: libmpc3");
                    }
                },
                "package curl has another need: libmpc3 is there → it is missing",
            ),
            (
                "the system needs it",
                |before, _| before.replace("var/lib/dpkg/status", "Package: gcc\n", "Package: gcc\nEssential: yes\n"),
                "package gcc is missing",
            ),
            (
                "the database is not true",
                |_, after| after.file("usr/bin/gcc", "gcc usr/bin/gcc"),
                "/usr/bin/gcc has another owner among packages: gcc → no package",
            ),
            (
                "the list of another package lost a file",
                |_, after| after.replace("var/lib/dpkg/info/curl.list", "/usr/bin/curl\n", ""),
                "package curl has another list of files",
            ),
            (
                "the database is damaged",
                |_, after| after.file("var/lib/dpkg/status", "nonsense"),
                "/var/lib/dpkg/status:1",
            ),
            (
                "the database is gone",
                |_, after| after.remove("var/lib/dpkg/status"),
                "/var/lib/dpkg is missing (9 packages of dpkg)",
            ),
            (
                "the loader lost another library",
                |_, after| after.file("etc/ld.so.cache", loader_cache(&["lib/libc.so.6", "lib/libz.so.1"])),
                "/etc/ld.so.cache has another content",
            ),
            (
                "the loader has a new library",
                |_, after| {
                    after.file(
                        "etc/ld.so.cache",
                        loader_cache(&["/usr/local/lib/libmine.so.1", "lib/libc.so.6", "lib/libz.so.1", "/x.so"]),
                    )
                },
                "/etc/ld.so.cache has another content",
            ),
            (
                "another trigger is gone",
                |_, after| after.replace("var/lib/dpkg/triggers/File", "/usr/share/curl curl/noawait\n", ""),
                "/var/lib/dpkg/triggers/File has another content",
            ),
            (
                "an answer is gone",
                |_, after| after.replace("var/cache/debconf/config.dat", "Name: curl/question", "Name: curl/other"),
                "/var/cache/debconf/config.dat has another content",
            ),
            (
                "the text of a question of another package is gone",
                |_, after| {
                    let text = "Name: curl/text\nDescription: Which curl?\nOwners: curl/question\n\n";
                    after.replace("var/cache/debconf/templates.dat", text, "");
                },
                "/var/cache/debconf/templates.dat has another content",
            ),
            (
                "a folder that a script names has something in it",
                |before, _| before.file("usr/local/share/gcc/mine", "mine"),
                "/usr/local/share/gcc is missing",
            ),
            (
                "a file that a script names lies elsewhere",
                |before, _| before.file("srv/log", "mine"),
                "/srv/log is missing",
            ),
            (
                "an empty folder that no script names is gone",
                |before, _| before.folder("usr/local/share/other"),
                "/usr/local/share/other is missing",
            ),
            (
                "a mark of something that never was",
                |_, after| after.file("var/lib/apt/extended_states", "Package: zsh\nAuto-Installed: 1\n"),
                "/var/lib/apt/extended_states has another content",
            ),
            (
                "an alternative leads to nothing",
                |_, after| after.link("etc/alternatives/awk", "/usr/bin/gone"),
                "/etc/alternatives/awk has another target",
            ),
            (
                "an alternative of others is gone",
                |_, after| {
                    after.remove("var/lib/dpkg/alternatives/awk");
                    after.remove("usr/bin/awk");
                },
                "/usr/bin/awk is missing",
            ),
            (
                "an alternative of others changed",
                |_, after| after.replace("var/lib/dpkg/alternatives/awk", "/usr/bin/mawk\n5", "/usr/bin/mawk\n6"),
                "/var/lib/dpkg/alternatives/awk has another content",
            ),
            (
                "a link leads elsewhere, although its alternative stays",
                |before, _| before.link("etc/alternatives/awk", "/usr/bin/other"),
                "/etc/alternatives/awk has another target",
            ),
            (
                "a file in a folder of theirs that no script names",
                |before, _| before.file("usr/lib/gcc/mine", "x"),
                "/usr/lib/gcc is missing",
            ),
            (
                "compiled Python without a source of theirs",
                |before, _| before.file("usr/lib/gcc/__pycache__/mine.cpython-311.pyc", "x"),
                "/usr/lib/gcc is missing",
            ),
            (
                "a folder that nobody has and that was empty",
                |before, _| before.folder("usr/lib/gcc/empty"),
                "/usr/lib/gcc is missing",
            ),
            ("a log is gone", |_, after| after.remove("var/log/dpkg.log"), "/var/log/dpkg.log is missing"),
        ],
    );
}

#[test]
fn what_other_changes_claim_may_lie_among_it() {
    let mut before = all();
    before.file("usr/lib/gcc/cache/x", "x");
    let gone = SourceClaim::Gone(vec!["/usr/lib/gcc/cache/**".to_owned()]);
    assert!(!refuting(&before, &image(&STAYING), &CLAIMED).is_empty());
    let weighed = weighed(&before, &image(&STAYING), &[claim(&CLAIMED), gone], &[]);
    assert!(weighed.refuting.is_empty(), "{:#?}", weighed.refuting);
}

#[test]
fn what_differs_in_any_two_builds_does_so_in_databases() {
    let (mut before, mut after) = (all(), image(&STAYING));
    before.replace("var/lib/dpkg/status", "Package: curl\n", "Package: curl\nBuilt: 1\n");
    after.replace("var/lib/dpkg/status", "Package: curl\n", "Package: curl\nBuilt: 2\n");
    let is_noise = |noise: &[Difference]| weighed(&before, &after, &[claim(&CLAIMED)], noise).refuting.is_empty();
    assert!(!is_noise(&[]));
    let mut again = all();
    again.replace("var/lib/dpkg/status", "Package: curl\n", "Package: curl\nBuilt: 3\n");
    let noise = weighed(&before, &again, &[claim(&[])], &[]).refuting;
    assert_eq!(noise.iter().map(|one| &one.place).collect::<Vec<_>>(), [&Place::Package("curl".to_owned())]);
    assert!(is_noise(&noise));
}
