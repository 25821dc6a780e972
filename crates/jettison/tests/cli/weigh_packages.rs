//! What an image weighs by package: sums checked by hand, chains that say why each package is there, every manager.

use serde_json::{Value, json};

use crate::image::Image;
use crate::place::{Layout, Packing};
use crate::run::{Folder, run};

/// Debian's database in the base, and an own layer that adds packages, files of none, and hard links.
const DEBIAN: &str = r##"
config {"architecture":"ARCH","os":"linux"}
layer 1 "ADD rootfs.tar / # buildkit"
  d 0755 0:0 /bin
  f 0755 0:0 5000*"sh" /bin/sh
  d 0755 0:0 /etc
  f 0644 0:0 70*"p" /etc/passwd
  f 0644 0:0 3000*"c" /lib/libc.so.6
  f 0644 0:0 "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\n" /var/lib/dpkg/status
empty "CMD [\"/bin/sh\"]"
layer 2 "RUN apt-get install gcc # buildkit"
  f 0644 0:0 "STATUS" /var/lib/dpkg/status
  f 0644 0:0 "MARKS" /var/lib/apt/extended_states
  f 0644 0:0 "/.\n/bin\n/bin/sh\n" /var/lib/dpkg/info/dash.list
  f 0644 0:0 "/.\n/lib/libc.so.6\n" /var/lib/dpkg/info/libc6:amd64.list
  f 0644 0:0 "/.\n/usr/bin/gcc-12\n/usr/bin/gone\n" /var/lib/dpkg/info/gcc.list
  f 0644 0:0 "/.\n/usr/bin/cpp\n" /var/lib/dpkg/info/cpp.list
  f 0644 0:0 "/.\n/usr/share/doc/gcc\n" /var/lib/dpkg/info/gcc-doc.list
  f 0755 0:0 40000*"gcc" /usr/bin/gcc
  h /usr/bin/gcc-12 => /usr/bin/gcc
  f 0755 0:0 20000*"cpp" /usr/bin/cpp
  f 0644 0:0 6000*"doc" /usr/share/doc/gcc
  f 0644 0:0 900*"app" /usr/local/bin/app
  f 0644 0:0 100*"app" /start
  f 0644 0:0 200*"pw" /etc/passwd
"##;

const STATUS: &str = "Package: dash\\nEssential: yes\\nSection: shells\\nStatus: install ok installed\\nArchitecture: amd64\\nVersion: 0.5\\nDepends: libc6\\n\\n\
                      Package: libc6\\nPriority: optional\\nStatus: install ok installed\\nArchitecture: amd64\\nVersion: 2.36\\n\\n\
                      Package: gcc\\nStatus: install ok installed\\nArchitecture: amd64\\nVersion: 4:12\\nDepends: c-preprocessor, libc6\\nRecommends: gcc-doc\\n\\n\
                      Package: cpp\\nStatus: install ok installed\\nArchitecture: amd64\\nVersion: 12\\nProvides: c-preprocessor\\n\\n\
                      Package: gcc-doc\\nStatus: install ok installed\\nArchitecture: all\\nVersion: 12\\n";

const MARKS: &str = "Package: libc6\\nArchitecture: amd64\\nAuto-Installed: 1\\n\\nPackage: cpp\\nArchitecture: amd64\\nAuto-Installed: 1\\n\\n\
                     Package: gcc-doc\\nArchitecture: amd64\\nAuto-Installed: 1\\n";

fn debian() -> String {
    DEBIAN.replace("STATUS", STATUS).replace("MARKS", MARKS)
}

fn weigh(image: &str, packing: Packing, options: &str) -> String {
    let folder = Folder::new();
    Layout::of(&Image::of(image), packing, "app:1").files().to_archive(folder.at("in"));
    run(&format!("weigh oci-archive:{} --by package {options}", folder.at("in"))).ok().out
}

fn report(image: &str, packing: Packing) -> Value {
    serde_json::from_str(&weigh(image, packing, "--format json")).expect("JSON")
}

/// The words of each line.
fn lines(out: &str) -> Vec<String> {
    out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn for_people() {
    let out = weigh(&debian(), Packing::Plain, "");
    let lines = lines(&out);
    let start = lines.iter().position(|line| line.starts_with("dpkg:")).expect("a database");
    let database = "dpkg: 5 packages, as /var/lib/dpkg says";
    assert_eq!(
        lines[start..start + 7],
        [
            database,
            "bytes own files package version why it is there",
            // The file has two names, of which the package has one.
            "40.0 kB 40.0 kB 1 gcc 4:12 ← asked for",
            "20.0 kB 20.0 kB 1 cpp 12 ← gcc (c-preprocessor) ← asked for",
            "6.0 kB 6.0 kB 1 gcc-doc 12 ← gcc (recommends) ← asked for",
            "5.0 kB - 1 dash 0.5 ← part of the system",
            "3.0 kB - 1 libc6 2.36 ← gcc ← asked for",
        ],
        "{out}"
    );
    assert_eq!(lines[start + 7], "in packages: 74.0 kB in 5 files, 66.0 kB of it in own layers");
    for line in ["900 B 900 B 1 /usr/local", "200 B 200 B 1 /etc", "100 B 100 B 1 /"] {
        assert!(lines.iter().any(|one| one == line), "{line}\n{out}");
    }
    assert!(out.contains("waste: ") && out.contains("come on top (--by layer)"), "{out}");
    let short = weigh(&debian(), Packing::Plain, "--rows 2");
    assert!(short.contains("… and 3 more (--rows, --format json)") && !short.contains("libc6 "), "{short}");
}

#[test]
fn for_programs() {
    for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
        let report = report(&debian(), packing);
        let packages = &report["packages"];
        assert_eq!(packages["databases"], json!([{ "manager": "dpkg", "place": "/var/lib/dpkg", "packages": 5 }]));
        assert_eq!(packages["sums"]["packages"], json!({ "files": 5, "bytes": 74_000, "own": 66_000 }));
        let row = |name: &str| {
            let all = packages["packages"].as_array().expect("packages");
            all.iter().find(|row| row["name"] == name).expect(name).clone()
        };
        let cpp = row("cpp");
        assert_eq!(
            cpp["why"],
            json!([
                { "package": "cpp", "because": "depends", "by": "c-preprocessor" },
                { "package": "gcc", "because": "asked", "by": null },
            ])
        );
        assert_eq!(cpp["needed_by"], json!([{ "package": "gcc", "tie": "depends", "by": "c-preprocessor" }]));
        let dash = row("dash");
        assert_eq!((&dash["own"], &dash["bytes"], &dash["section"]), (&json!(0), &json!(5000), &json!("shells")));
        assert_eq!((&dash["essential"], &dash["reason"]), (&json!(true), &json!("asked")));
        assert_eq!(row("libc6")["priority"], "optional");
        // All else that the report says is in there as well.
        assert!(report["waste"].is_array() && report["o1_saves"].is_object(), "{packing:?}");
    }
}

#[test]
fn every_byte_is_counted_once() {
    let report = report(&debian(), Packing::Plain);
    let sums = &report["packages"]["sums"];
    let all = sums["packages"]["bytes"].as_u64().expect("a sum") + sums["no_package"]["bytes"].as_u64().expect("a sum");
    let own = |text: &str| text.replace("\\n", "\n").len() as u64;
    let lists: u64 = [
        "/.\\n/bin\\n/bin/sh\\n",
        "/.\\n/lib/libc.so.6\\n",
        "/.\\n/usr/bin/gcc-12\\n/usr/bin/gone\\n",
        "/.\\n/usr/bin/cpp\\n",
        "/.\\n/usr/share/doc/gcc\\n",
    ]
    .map(own)
    .iter()
    .sum();
    assert_eq!(all, 74_000 + 900 + 100 + 200 + own(STATUS) + own(MARKS) + lists);
    let files = |what: &str| sums[what]["files"].as_u64().expect("a number");
    assert_eq!((files("packages"), files("no_package")), (5, 3 + 7));
}

#[test]
fn alpine_with_a_group() {
    let image = r##"
config {"architecture":"ARCH","os":"linux"}
layer 1 "ADD rootfs.tar / # buildkit"
  f 0644 0:0 "P:.trash\nV:1\nT:virtual meta package\nD:gcc\n\nP:gcc\nV:13\nD:so:libz.so.1\nF:usr/bin\nR:gcc\n\nP:zlib\nV:1.3\np:so:libz.so.1=1\nF:lib\nR:libz.so.1\n" /lib/apk/db/installed
  f 0644 0:0 ".trash\n" /etc/apk/world
  f 0755 0:0 5000*"g" /usr/bin/gcc
  f 0755 0:0 100*"z" /lib/libz.so.1
"##;
    let out = weigh(image, Packing::Plain, "--squash-all");
    let lines = lines(&out);
    for line in [
        "apk: 3 packages, as /lib/apk/db says",
        "5.0 kB 5.0 kB 1 gcc 13 ← .trash ← asked for as a group",
        "100 B 100 B 1 zlib 1.3 ← gcc (so:libz.so.1) ← .trash ← asked for as a group",
        "0 B - 0 .trash 1 ← asked for as a group",
    ] {
        assert!(lines.iter().any(|one| one == line), "{line}\n{out}");
    }
}

#[test]
fn without_a_database_and_with_a_damaged_one() {
    let image =
        |files: &str| format!("config {{\"architecture\":\"ARCH\",\"os\":\"linux\"}}\nlayer 1 \"COPY\"\n{files}");
    let none = weigh(&image("  f 0644 0:0 700*\"x\" /opt/app/run\n"), Packing::Gzip, "");
    assert!(none.contains("packages: none, there is no database of dpkg, apk, rpm or pacman"), "{none}");
    assert!(lines(&none).iter().any(|line| line.ends_with("1 /opt/app")), "{none}");
    let damaged = "  f 0644 0:0 \"Package: a\\nVersion: 1\\nnothing\\n\" /var/lib/dpkg/status\n  f 0644 0:0 \"P:a\\nV:1\\n\" /lib/apk/db/installed\n";
    let out = weigh(&image(damaged), Packing::Gzip, "");
    assert!(out.contains("apk: 1 package, as /lib/apk/db says"), "{out}");
    let problem =
        "packages: not told apart, their database cannot be read: /var/lib/dpkg/status:3: a field has a colon";
    assert_eq!(out.lines().filter(|line| line.starts_with(problem)).count(), 1, "{out}");
    assert_eq!(out.matches("a field has a colon").count(), 1, "{out}");
    // Nothing says that there is none, where it alone is there.
    let alone = damaged.lines().next().expect("a file");
    let out = weigh(&image(&format!("{alone}\n")), Packing::Gzip, "");
    assert!(out.contains(problem) && !out.contains("packages: none"), "{out}");
    let report = report(&image(damaged), Packing::Gzip);
    let notes = report["notes"].to_string();
    assert!(notes.contains("/var/lib/dpkg/status:3: a field has a colon"), "{report}");
}
