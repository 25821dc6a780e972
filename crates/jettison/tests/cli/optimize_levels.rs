//! What levels above -O1 take out of an image, what stays whatever a pass says, and what is said of secrets.

use serde_json::{Value, json};

use crate::image::{Image, entries};
use crate::place::{Layout, Packing};
use crate::run::{Folder, Ran, run, state};
use crate::written::Written;

/// A Debian image with a compiler that nothing needs, a program with its library, and what a build leaves.
pub(crate) const DEBIAN: &str = r##"
config {"architecture":"ARCH","os":"linux","config":{"Cmd":["/usr/bin/app"]}}
layer 1 "ADD rootfs.tar / # buildkit"
  d 0755 0:0 /etc
  f 0644 0:0 70*"p" /etc/passwd
empty "CMD [\"/bin/sh\"]"
layer 2 "RUN apt-get install -y app gcc # buildkit"
  d 1777 0:0 /tmp
  f 0644 0:0 3000*"t" /tmp/build.o
  d 0755 0:0 /usr
  d 0755 0:0 /usr/bin
  f 0755 0:0 "app" /usr/bin/app
  f 0755 0:0 9000*"compiler" /usr/bin/gcc
  d 0755 0:0 /usr/lib
  f 0644 0:0 "foo" /usr/lib/libfoo.so.1
  d 0755 0:0 /var
  d 0755 0:0 /var/lib
  d 0755 0:0 /var/lib/apt
  d 0755 0:0 /var/lib/apt/lists
  f 0644 0:0 5000*"l" /var/lib/apt/lists/deb.debian.org_Packages
  f 0644 0:0 "Package: libfoo1\nArchitecture: amd64\nAuto-Installed: 1\n\n" /var/lib/apt/extended_states
  d 0755 0:0 /var/lib/dpkg
  d 0755 0:0 /var/lib/dpkg/info
  f 0644 0:0 "/.\n/usr\n/usr/bin\n/usr/bin/app\n" /var/lib/dpkg/info/app.list
  f 0644 0:0 "/.\n/usr\n/usr/bin\n/usr/bin/gcc\n" /var/lib/dpkg/info/gcc.list
  f 0644 0:0 "/.\n/usr\n/usr/lib\n/usr/lib/libfoo.so.1\n" /var/lib/dpkg/info/libfoo1.list
  f 0644 0:0 "Package: app\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nDepends: libfoo1\n\nPackage: gcc\nStatus: install ok installed\nSection: devel\nArchitecture: amd64\nVersion: 4:12.2\n\nPackage: libfoo1\nStatus: install ok installed\nSection: libs\nArchitecture: amd64\nVersion: 1\n\n" /var/lib/dpkg/status
"##;

/// Optimizes an image to `out` in the folder.
fn optimize(folder: &Folder, image: &Image, options: &str) -> Ran {
    Layout::of(image, Packing::Gzip, "app:1").files().to_archive(folder.at("in"));
    run(&format!("optimize oci-archive:{0}/in -o oci-archive:{0}/out {options}", folder.at("")))
}

/// The paths that a container sees of the output.
fn paths(folder: &Folder) -> Vec<String> {
    let seen = Written::at(folder.at("out")).image().seen();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    seen.lines().filter_map(path).collect()
}

fn has(paths: &[String], path: &str) -> bool {
    paths.iter().any(|one| one == path)
}

/// The changed paths of each pass of a report, without copies that no container saw.
fn changed(report: &Value) -> Vec<(String, Vec<String>)> {
    let items = report["receipt"]["items"].as_array().expect("items");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let paths =
        |item: &Value| item["paths"].as_array().expect("paths").iter().map(|path| text(&path["path"])).collect();
    let seen = items.iter().filter(|item| item["pass"] != "shadowed-files");
    seen.map(|item| (text(&item["pass"]), paths(item))).collect()
}

#[test]
fn level_2_takes_what_is_waste_by_its_place_and_says_what_it_was() {
    let folder = Folder::new();
    let report = optimize(&folder, &Image::of(DEBIAN), "-O2 --format json").ok().json();
    let [caches, temporary] = &changed(&report)[..] else { panic!("{report}") };
    assert_eq!(*caches, ("package-caches".to_owned(), vec!["/var/lib/apt/lists/deb.debian.org_Packages".to_owned()]));
    assert_eq!(*temporary, ("temporary-files".to_owned(), vec!["/tmp/build.o".to_owned()]));
    let item = &report["receipt"]["items"][0];
    assert_eq!((&item["bytes"], &item["layer"]), (&json!(5000), &json!(2)));
    assert_eq!(item["instruction"], "RUN apt-get install -y app gcc");
    assert!(item["help"].as_str().is_some_and(|help| help.contains("/var/lib/apt/lists")), "{item}");
    assert!(item["stored"].as_i64().is_some_and(|stored| (1..5000).contains(&stored)), "{item}");
    assert_eq!(item["paths"][0], json!({ "path": caches.1[0], "change": "removed", "bytes": 5000, "left": 0 }));
    assert_eq!(report["level"], "-O2");
    assert_eq!(report["proof"]["equal"], true);
    let paths = paths(&folder);
    assert!(has(&paths, "/tmp") && has(&paths, "/var/lib/apt/lists") && has(&paths, "/usr/bin/gcc"), "{paths:?}");
    assert!(!has(&paths, "/tmp/build.o") && !has(&paths, &caches.1[0]), "{paths:?}");
    let folder = Folder::new();
    let out = optimize(&folder, &Image::of(DEBIAN), "-O1").ok().out;
    assert_eq!(Written::at(folder.at("out")).image().seen(), Image::of(DEBIAN).seen(), "{out}");
}

#[test]
fn a_plan_says_the_same_and_writes_nothing() {
    let folder = Folder::new();
    Layout::of(&Image::of(DEBIAN), Packing::Gzip, "app:1").files().to_archive(folder.at("in"));
    let before = state(folder.path());
    let line = format!("optimize oci-archive:{}/in -O2 --plan", folder.at(""));
    let planned = run(&format!("{line} --format json")).ok().json();
    let human = run(&line).ok().out;
    assert_eq!(state(folder.path()), before);
    let report = optimize(&folder, &Image::of(DEBIAN), "-O2 --format json --compression gzip").ok().json();
    for key in ["receipt", "after", "before", "passes", "proof", "secrets", "digest"] {
        assert_eq!(planned[key], report[key], "{key}");
    }
    assert!(human.contains("planned") && human.contains("temporary files"), "{human}");
    for other in ["--attach-receipt", "--receipt x", "-o x"] {
        run(&format!("{line} {other}")).fails(2, &["cannot be used with"]);
    }
}

#[test]
fn what_is_to_be_kept_stays_whatever_a_pass_says() {
    let folder = Folder::new();
    let report =
        optimize(&folder, &Image::of(DEBIAN), "-Os --keep /tmp/** --keep /usr/bin/gcc --format json").ok().json();
    let paths = paths(&folder);
    for kept in ["/tmp/build.o", "/usr/bin/gcc"] {
        assert!(has(&paths, kept), "{kept}: {paths:?}");
        assert!(changed(&report).iter().all(|(_, paths)| !paths.contains(&kept.to_owned())), "{kept}: {report}");
    }
    assert!(!has(&paths, "/var/lib/apt/lists/deb.debian.org_Packages"), "{paths:?}");
}

#[test]
fn empty_names_and_patterns_that_are_none_are_refused() {
    let folder = Folder::new();
    for (options, parts) in [
        ("--purge=", ["'--purge <NAME>'", "the name is empty"]),
        ("--purge=gcc,,app", ["'--purge <NAME>'", "the name is empty"]),
        ("--virtual=", ["'--virtual <NAME>'", "the name is empty"]),
        ("--keep-locale=", ["'--keep-locale <LANG>'", "the name is empty"]),
        ("--keep=/usr/[a", ["\"/usr/[a\"", "a [ at character 6 that no ] closes"]),
        ("--keep=usr", ["\"usr\"", "must be an absolute path"]),
    ] {
        optimize(&folder, &Image::of(DEBIAN), options).fails(2, &parts);
        assert_eq!(folder.names(), ["in"], "{options}");
    }
}

#[test]
fn a_pattern_that_matches_nothing_is_named() {
    let folder = Folder::new();
    let options = "--keep /usr/bin/gc --keep /tmp --keep /opt/** --format json";
    let ran = optimize(&folder, &Image::of(DEBIAN), options).ok();
    for (pattern, is_named) in [("/usr/bin/gc", true), ("/tmp", false), ("/opt/**", true)] {
        let line = format!("warning: --keep {pattern} matches nothing");
        assert_eq!(ran.err.lines().any(|one| one == line), is_named, "{pattern}\n{}", ran.err);
    }
}

#[test]
fn what_another_pass_takes_away_is_not_said_to_stay() {
    let image = DEBIAN.replace(
        "  d 0755 0:0 /usr\n",
        "  d 0700 0:0 /root\n  f 0600 0:0 40*\"ls -l\\n\" /root/.bash_history\n  d 0755 0:0 /usr\n",
    );
    for (options, stays) in [("-Os", false), ("-Os --skip backup-files", true)] {
        let folder = Folder::new();
        let report = optimize(&folder, &Image::of(&image), &format!("{options} --format json")).ok().json();
        let is_there = has(&paths(&folder), "/root/.bash_history");
        let is_said = report["declined"].to_string().contains("/root/.bash_history stays");
        assert_eq!((is_there, is_said), (stays, stays), "{options} {report}");
    }
}

#[test]
fn a_package_that_is_asked_for_goes_by_name_and_version() {
    let folder = Folder::new();
    let report = optimize(&folder, &Image::of(DEBIAN), "-O1 --purge gcc --format json").ok().json();
    let items = report["receipt"]["items"].as_array().expect("items");
    assert_eq!(items.len(), 1, "{report}");
    assert_eq!(items[0]["packages"], json!([{ "name": "gcc", "version": "4:12.2" }]));
    let all = &changed(&report)[0].1;
    for path in ["/usr/bin/gcc", "/var/lib/dpkg/info/gcc.list", "/var/lib/dpkg/status"] {
        assert!(has(all, path), "{all:?}");
    }
    let out = Written::at(folder.at("out")).image();
    let status = out.seen().lines().find(|line| line.ends_with("/var/lib/dpkg/status")).expect("a status").to_owned();
    let expected = r#"  f 0644 0:0 "Package: app\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nDepends: libfoo1\n\nPackage: libfoo1\nStatus: install ok installed\nSection: libs\nArchitecture: amd64\nVersion: 1\n\n" /var/lib/dpkg/status"#;
    assert!(entries(expected).contains(&status), "{status}");
}

#[test]
fn a_package_that_is_needed_is_refused_with_the_chain_and_nothing_is_written() {
    for (options, why) in [
        ("--purge libfoo1", "libfoo1 cannot be removed: app needs libfoo1"),
        ("--purge gcc,libfoo1", "libfoo1 cannot be removed: app needs libfoo1"),
        ("--purge nothing", "nothing cannot be removed: no database of the image has it"),
    ] {
        let folder = Folder::new();
        optimize(&folder, &Image::of(DEBIAN), options).fails(2, &[why]);
        assert_eq!(folder.names(), ["in"], "{options}");
    }
}

#[test]
fn a_database_that_cannot_be_read_leaves_its_packages_as_they_are() {
    let broken = DEBIAN.replace("\\n\\nPackage: gcc\\n", "\\n\\nPackage gcc\\n Status\\n");
    assert_ne!(broken, DEBIAN);
    let folder = Folder::new();
    let ran = optimize(&folder, &Image::of(&broken), "-Os --remarks --skip package-caches,temporary-files").ok();
    assert_eq!(Written::at(folder.at("out")).image().seen(), Image::of(&broken).seen());
    let said = ran
        .out
        .lines()
        .find(|line| line.contains("build-only-packages: no packages are taken away: /var/lib/dpkg/status"));
    assert!(said.is_some(), "{}", ran.out);
    let folder = Folder::new();
    optimize(&folder, &Image::of(&broken), "--purge gcc").fails(2, &["no packages are taken away: ", "dpkg/status"]);
    assert_eq!(folder.names(), ["in"]);
}

/// A key that is made up here, so that none stands in this file.
fn key(body: char) -> String {
    let label = format!("OPENSSH PRIVATE {}", "KEY");
    let line = body.to_string().repeat(64);
    format!("-----BEGIN {label}-----\\n{line}\\n{line}\\n{line}\\n-----END {label}-----\\n")
}

/// A key in the base, one that a later layer deleted, one that stands under two names, and one beside a file that stays.
fn with_secrets() -> Image {
    let text = format!(
        r#"
config {{"architecture":"ARCH","os":"linux","config":{{"Cmd":["/app/run"]}}}}
layer 1 "ADD rootfs.tar / # buildkit"
  d 0755 0:0 /etc
  f 0600 0:0 "{}" /etc/base/id_ed25519
empty "CMD [\"/bin/sh\"]"
layer 2 "COPY . / # buildkit"
  d 0755 0:0 /app
  f 0755 0:0 "run" /app/run
  f 0600 0:0 "{}" /root/.ssh/id_ed25519
  f 0600 0:0 "{}" /app/id_ed25519
  h /app/id_rsa => /app/id_ed25519
layer 3 "RUN rm /root/.ssh/id_ed25519 # buildkit"
  w /root/.ssh/id_ed25519
"#,
        key('b'),
        key('c'),
        key('d')
    );
    Image::of(&text)
}

/// Of each secret: its path, the layer that shipped it, and the one that still does.
fn fates(report: &Value) -> Vec<(String, u64, Option<u64>)> {
    let fate = |found: &Value| {
        let path = found["path"].as_str().expect("a path").to_owned();
        (path, found["layer"].as_u64().expect("a layer"), found["still_in"].as_u64())
    };
    report["secrets"].as_array().expect("secrets").iter().map(fate).collect()
}

#[test]
fn secrets_are_reported_at_every_level_and_merged_images_no_longer_ship_deleted_ones() {
    let base = ("/etc/base/id_ed25519".to_owned(), 1, Some(1));
    for level in ["-O0", "-O1", "-O2", "-Os"] {
        let folder = Folder::new();
        let report = optimize(&folder, &with_secrets(), &format!("{level} --format json")).ok().json();
        let deleted = ("/root/.ssh/id_ed25519".to_owned(), 2, (level == "-O0").then_some(2));
        let seen = ("/app/id_ed25519".to_owned(), 2, Some(2));
        assert_eq!(fates(&report), [base.clone(), seen, deleted], "{level}");
        assert_eq!(report["secrets"][1]["instruction"], "COPY . /", "{level}");
        assert!(!report.to_string().contains("cccc"), "{report}");
    }
    let folder = Folder::new();
    let out = optimize(&folder, &with_secrets(), "").ok().out;
    assert!(out.contains("secrets: 1 of 3 no longer shipped") && out.contains("revoke"), "{out}");
    let planned = run(&format!("optimize oci-archive:{}/in --plan", folder.at(""))).ok().out;
    assert!(planned.contains("secrets: 1 of 3 no longer shipped"), "{planned}");
    // An image without any says nothing of them.
    let folder = Folder::new();
    assert!(!optimize(&folder, &Image::app(), "").ok().out.contains("secrets:"));
}

#[test]
fn secrets_go_where_that_is_asked_for() {
    let folder = Folder::new();
    let ran = optimize(&folder, &with_secrets(), "--remove-secrets --format json").ok();
    let report = ran.json();
    let left: Vec<_> = fates(&report).into_iter().map(|(path, _, still)| (path, still)).collect();
    let left: Vec<_> = left.iter().map(|(path, still)| (path.as_str(), *still)).collect();
    assert_eq!(left, [("/etc/base/id_ed25519", Some(1)), ("/app/id_ed25519", None), ("/root/.ssh/id_ed25519", None)]);
    let gone = vec!["/app/id_ed25519".to_owned(), "/app/id_rsa".to_owned()];
    assert_eq!(changed(&report), [("shipped-secrets".to_owned(), gone)]);
    let declined = report["declined"].as_array().expect("declines").iter().filter_map(Value::as_str);
    let said = "stays: a base layer ships it, which stays as it is (--squash-all merges it)";
    assert!(declined.clone().any(|text| text.starts_with("shipped-secrets: ") && text.contains(said)), "{report}");
    // No byte of it is in the output.
    let tars = Written::at(folder.at("out")).image().tars;
    assert!(tars.iter().all(|tar| !tar.windows(64).any(|bytes| bytes == [b'd'; 64])));
    for options in ["--remove-secrets --squash-all", "--remove-secrets --keep /app/id_rsa"] {
        let folder = Folder::new();
        let report = optimize(&folder, &with_secrets(), &format!("{options} --format json")).ok().json();
        let still = fates(&report).iter().filter(|(.., still)| still.is_some()).count();
        assert_eq!(still, if options.contains("squash") { 0 } else { 2 }, "{options}");
    }
    let folder = Folder::new();
    let skipped = optimize(&folder, &with_secrets(), "--remove-secrets --skip secrets-are-not-read --format json").ok();
    assert_eq!(changed(&skipped.json()), []);
}

#[test]
fn passes_on_images_are_listed_with_their_levels_and_assumptions_are_explained() {
    let out = run("passes").ok().out;
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    for (level, name) in [("-O1", "shipped-secrets"), ("-O2", "temporary-files"), ("-Os", "build-only-packages")] {
        assert!(words.iter().any(|line| line[..3] == [level, "image", name]), "{name}\n{out}");
    }
    let out = run("explain secrets-are-not-read").ok().out;
    assert!(out.contains("shipped-secrets") && out.contains("--skip secrets-are-not-read"), "{out}");
}
