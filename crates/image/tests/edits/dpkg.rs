//! dpkg: its status, its files about packages, triggers, marks, diversions, files and folders.

use std::collections::BTreeSet;

use jettison_image::packages::edit::{EditError, Rest};

use super::{File, Image, stanza};

const STATUS: &str = "var/lib/dpkg/status";

/// `tool` with configuration, `plain` without any, and what they need.
fn debian(more: &[File<'_>]) -> Image {
    let conffiles = "Depends: base\nConffiles:\n /etc/tool.conf 00\nDescription: a tool\n With more lines.\n";
    let status = [stanza("base", ""), stanza("tool", conffiles), stanza("plain", "")].concat();
    let mut files = vec![
        (STATUS, status.as_str()),
        ("var/lib/dpkg/info/base.list", "/.\n/usr\n/usr/bin\n/usr/bin/sh\n/usr/share\n/etc\n/usr/share/common\n"),
        (
            "var/lib/dpkg/info/tool.list",
            "/.\n/etc\n/etc/tool.conf\n/usr\n/usr/bin\n/usr/bin/tool\n/usr/share\n/usr/share/tool\n/usr/share/tool/data\n/usr/share/common\n\
             /usr/share/missing\n/usr/share/filled\n",
        ),
        ("var/lib/dpkg/info/tool.md5sums", "00  usr/bin/tool\n"),
        ("var/lib/dpkg/info/tool.prerm", "x"),
        ("var/lib/dpkg/info/plain.list", "/.\n/usr\n/usr/bin\n/usr/bin/plain\n"),
        ("var/lib/dpkg/info/plain.triggers", ""),
        ("var/lib/dpkg/info/plainer.list", "/.\n"),
        ("etc/tool.conf", "a"),
        ("usr/bin/sh", ""),
        ("usr/bin/tool", ""),
        ("usr/bin/plain", "-> tool"),
        ("usr/share/tool/data", ""),
        ("usr/share/common/", ""),
        ("usr/share/filled/mine", ""),
    ];
    files.retain(|(path, _)| !more.iter().any(|(other, _)| path == other));
    files.extend(more);
    Image::of(&files)
}

#[test]
fn a_package_without_configuration_leaves_nothing() {
    let status = [stanza("base", ""), stanza("tool", "Conffiles:\n /etc/tool.conf 00\n")].concat();
    let image = debian(&[(STATUS, &[status.as_str(), &stanza("plain", "")].concat())]);
    let expected = [
        "- usr/bin/plain".to_owned(),
        "- var/lib/dpkg/info/plain.list".to_owned(),
        "- var/lib/dpkg/info/plain.triggers".to_owned(),
        format!("{STATUS}: {}", status.replace('\n', "\\n")),
    ];
    assert_eq!(image.changes(&["plain"], Rest::Keep), expected);
}

#[test]
fn configuration_stays_with_its_list_and_its_stanza() {
    let image = debian(&[]);
    let changes = image.changes(&["tool"], Rest::Keep);
    let (last, others) = changes.split_last().expect("changes");
    assert_eq!(
        others,
        [
            "- usr/bin/tool",
            "- usr/share/tool",
            "- usr/share/tool/data",
            "var/lib/dpkg/info/tool.list: /etc\\n/etc/tool.conf\\n/usr\\n/usr/share\\n/usr/share/filled\\n",
            "- var/lib/dpkg/info/tool.md5sums",
            "- var/lib/dpkg/info/tool.prerm",
        ]
    );
    let left = "Package: tool\\nStatus: deinstall ok config-files\\nArchitecture: amd64\\nVersion: 1-1\\nConfig-Version: 1-1\\nDepends: base\\n\
                Conffiles:\\n /etc/tool.conf 00\\nDescription: a tool\\n With more lines.\\n\\n";
    assert!(last.contains(left), "{last}");
}

#[test]
fn a_script_for_purging_is_enough_to_be_remembered() {
    let image = debian(&[("var/lib/dpkg/info/plain.postrm", "y")]);
    let changes = image.changes(&["plain"], Rest::Keep);
    assert!(changes.contains(&"var/lib/dpkg/info/plain.list: ".to_owned()), "{changes:?}");
    assert!(!changes.contains(&"- var/lib/dpkg/info/plain.postrm".to_owned()), "{changes:?}");
    let changes = image.changes(&["plain"], Rest::Purge);
    assert!(changes.contains(&"- var/lib/dpkg/info/plain.postrm".to_owned()), "{changes:?}");
    assert!(changes.contains(&"- var/lib/dpkg/info/plain.list".to_owned()), "{changes:?}");
}

#[test]
fn purging_takes_the_configuration_along() {
    let changes = debian(&[]).changes(&["tool"], Rest::Purge);
    assert_eq!(changes[..2], ["- etc/tool.conf", "- usr/bin/tool"]);
    assert!(changes.contains(&"- var/lib/dpkg/info/tool.list".to_owned()));
    assert!(!changes.last().is_some_and(|status| status.contains("Package: tool")));
}

#[test]
fn what_others_have_stays() {
    let list = "/.\n/usr\n/usr/bin\n/usr/bin/plain\n/usr/bin/tool\n/usr/share/tool\n";
    let changes = debian(&[("var/lib/dpkg/info/plain.list", list)]).changes(&["tool"], Rest::Purge);
    assert!(!changes.contains(&"- usr/bin/tool".to_owned()), "a file of two packages: {changes:?}");
    assert!(!changes.contains(&"- usr/share/tool".to_owned()), "a folder of two packages: {changes:?}");
    assert!(changes.contains(&"- usr/share/tool/data".to_owned()));
    // Both names of a folder are the same one.
    let merged = debian(&[("bin", "-> usr/bin"), ("var/lib/dpkg/info/plain.list", "/.\n/bin\n/bin/tool\n")]);
    assert!(!merged.changes(&["tool"], Rest::Purge).contains(&"- usr/bin/tool".to_owned()));
    // What is left of a package has its configuration still.
    let left = stanza("old", "Conffiles:\n /usr/share/tool/data 00\n")
        .replace("install ok installed", "deinstall ok config-files");
    let status = [stanza("base", ""), stanza("tool", ""), stanza("plain", ""), left].concat();
    let old =
        debian(&[(STATUS, &status), ("var/lib/dpkg/info/old.list", "/usr\n/usr/share/tool\n/usr/share/tool/data\n")]);
    assert!(!old.changes(&["tool"], Rest::Purge).contains(&"- usr/share/tool/data".to_owned()));
}

#[test]
fn compiled_python_goes_with_its_source() {
    let list = "/.\n/usr\n/usr/lib/python3/dist-packages/six.py\n/usr/lib/python3/dist-packages\n/usr/lib/python3\n";
    let folder = "usr/lib/python3/dist-packages";
    let own = [folder, "/six.py"].concat();
    let [six, optimized, sixty, other] =
        ["six.cpython-311.pyc", "six.cpython-311.opt-1.pyc", "sixty.cpython-311.pyc", "six.txt"]
            .map(|name| format!("{folder}/__pycache__/{name}"));
    let files = [("var/lib/dpkg/info/plain.list", list), (own.as_str(), ""), (&six, ""), (&optimized, "")];
    let changes = debian(&files).changes(&["plain"], Rest::Keep);
    let expected = [
        "- usr/lib/python3".to_owned(),
        format!("- {folder}"),
        format!("- {folder}/__pycache__"),
        format!("- {optimized}"),
        format!("- {six}"),
        format!("- {own}"),
    ];
    assert_eq!(changes[..6], expected);
    let changes = debian(&[&files[..], &[(&sixty, ""), (&other, "")]].concat()).changes(&["plain"], Rest::Keep);
    assert_eq!(changes[..3], expected[3..], "what somebody else made stays, with its folders");
}

#[test]
fn packages_of_two_architectures() {
    let foreign = stanza("lib", "Multi-Arch: same\n").replace("amd64", "i386");
    let status = [stanza("base", ""), stanza("lib", "Multi-Arch: same\n"), foreign.clone()].concat();
    let image = debian(&[
        (STATUS, &status),
        ("var/lib/dpkg/info/lib:amd64.list", "/.\n/usr/lib/x86_64-linux-gnu/lib.so\n/usr/share/doc/lib\n"),
        ("var/lib/dpkg/info/lib:i386.list", "/.\n/usr/lib/i386-linux-gnu/lib.so\n/usr/share/doc/lib\n"),
        ("var/lib/dpkg/info/lib.prerm", "of both"),
        ("var/lib/dpkg/triggers/File", "/x lib:i386/noawait\n/x lib:amd64/noawait\n/x base\n"),
        ("usr/lib/x86_64-linux-gnu/lib.so", ""),
        ("usr/lib/i386-linux-gnu/lib.so", ""),
        ("usr/share/doc/lib", "shared"),
    ]);
    assert_eq!(
        image.changes(&["lib:amd64"], Rest::Keep),
        [
            "- usr/lib/x86_64-linux-gnu/lib.so".to_owned(),
            "- var/lib/dpkg/info/lib:amd64.list".to_owned(),
            format!("{STATUS}: {}", [stanza("base", ""), foreign].concat().replace('\n', "\\n")),
            "var/lib/dpkg/triggers/File: /x lib:i386/noawait\\n/x base\\n".to_owned(),
        ]
    );
    let both = image.changes(&["lib:amd64", "lib:i386"], Rest::Keep);
    assert!(both.contains(&"- var/lib/dpkg/info/lib.prerm".to_owned()), "{both:?}");
    assert!(both.contains(&"- usr/share/doc/lib".to_owned()), "{both:?}");
}

#[test]
fn triggers_and_marks() {
    let marks = "Package: plain\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: plain\nArchitecture: i386\nAuto-Installed: 1\n\n\
                 Package: tool\nArchitecture: amd64\nAuto-Installed: 1\n\n";
    let image = debian(&[
        ("var/lib/apt/extended_states", marks),
        ("var/lib/dpkg/triggers/File", "/usr/share/man plain/noawait\n/usr/share/plain tool\n"),
        ("var/lib/dpkg/triggers/ldconfig", "plain\ntool\n"),
        ("var/lib/dpkg/triggers/own", "plain/noawait\n"),
        ("var/lib/dpkg/triggers/Unincorp", ""),
    ]);
    let changes = image.changes(&["plain"], Rest::Keep);
    let left = &marks[marks.find("\n\n").expect("blocks") + 2..];
    assert!(changes.contains(&format!("var/lib/apt/extended_states: {}", left.replace('\n', "\\n"))), "{changes:?}");
    let expected = [
        "var/lib/dpkg/triggers/File: /usr/share/plain tool\\n",
        "var/lib/dpkg/triggers/ldconfig: tool\\n",
        "- var/lib/dpkg/triggers/own",
    ];
    assert_eq!(changes[changes.len() - 3..], expected);
}

const DIVERSION: &str = "/usr/bin/sh\n/usr/bin/sh.distrib\nplain\n/usr/x\n/usr/y\ntool\n";
const UNDO: &str = "dpkg-divert --package plain --quiet --remove --rename --divert /usr/bin/sh.distrib /usr/bin/sh\n";

/// `plain` has its own `sh`, and that of `base` was moved away.
fn diverted(more: &[File<'_>]) -> Image {
    let files = [
        ("var/lib/dpkg/diversions", DIVERSION),
        ("var/lib/dpkg/info/plain.list", "/.\n/usr/bin/sh\n"),
        ("var/lib/dpkg/info/plain.postrm", UNDO),
        ("usr/bin/sh", "plain's"),
        ("usr/bin/sh.distrib", "base's"),
    ];
    let others = files.into_iter().filter(|(path, _)| !more.iter().any(|(other, _)| path == other));
    debian(&[&others.collect::<Vec<_>>()[..], more].concat())
}

#[test]
fn diverted_files_return() {
    let changes = diverted(&[]).changes(&["plain"], Rest::Purge);
    assert_eq!(
        changes[..3],
        [
            "usr/bin/sh <- usr/bin/sh.distrib",
            "- usr/bin/sh.distrib",
            "var/lib/dpkg/diversions: /usr/x\\n/usr/y\\ntool\\n"
        ]
    );
    let changes = diverted(&[("var/lib/dpkg/info/tool.prerm", UNDO)]).changes(&["plain", "tool"], Rest::Purge);
    assert_eq!(changes[..1], ["- etc/tool.conf"], "and of tool's diversion there is no file");
}

#[test]
fn diversions_in_doubt() {
    let image = diverted(&[("var/lib/dpkg/info/plain.postrm", "exit 0\n")]);
    let expected = "/var/lib/dpkg/diversions: a package does not take its diversion back";
    assert_eq!(image.declined(&["plain"], Rest::Purge), expected);
    // Somebody put another file there.
    let image = diverted(&[("var/lib/dpkg/info/plain.list", "/.\n")]);
    let expected = "/usr/bin/sh: the place of a diverted file is taken";
    assert_eq!(image.declined(&["plain"], Rest::Purge), expected);
}

#[test]
fn images_without_dpkg() {
    let image = Image::of(&[
        ("var/lib/dpkg/status.d/base-files", "Package: base-files\nArchitecture: amd64\nVersion: 1\n"),
        ("var/lib/dpkg/status.d/tzdata", "Package: tzdata\nArchitecture: all\nVersion: 2\n"),
        ("var/lib/dpkg/status.d/tzdata.md5sums", "00  usr/share/zoneinfo/Etc/UTC\n00  usr/share/zoneinfo/tab\n"),
        ("usr/share/zoneinfo/Etc/UTC", ""),
        ("usr/share/zoneinfo/tab", ""),
    ]);
    assert_eq!(
        image.changes(&["tzdata"], Rest::Keep),
        [
            "- usr/share/zoneinfo",
            "- usr/share/zoneinfo/Etc",
            "- usr/share/zoneinfo/Etc/UTC",
            "- usr/share/zoneinfo/tab",
            "- var/lib/dpkg/status.d/tzdata",
            "- var/lib/dpkg/status.d/tzdata.md5sums",
        ]
    );
    let both = "Package: a\nArchitecture: all\nVersion: 2\n\nPackage: b\nArchitecture: all\nVersion: 2\n";
    let image = Image::of(&[("var/lib/dpkg/status.d/both", both)]);
    let expected = "/var/lib/dpkg/status.d/both: several packages share a list of files";
    assert_eq!(image.declined(&["a"], Rest::Keep), expected);
}

#[test]
fn what_may_not_go() {
    let status = |more: &str| {
        [stanza("base", more), stanza("tool", "Depends: plain | base (>= 1)\n"), stanza("plain", "")].concat()
    };
    for field in ["Essential: yes\n", "Protected: yes\n"] {
        assert_eq!(debian(&[(STATUS, &status(field))]).declined(&["base"], Rest::Keep), "base is essential");
    }
    let image = debian(&[(STATUS, &status(""))]);
    assert!(image.without(&["base"], Rest::Keep).is_ok(), "plain is enough");
    assert_eq!(image.declined(&["base", "plain"], Rest::Keep), "tool needs plain or base");
    let image = debian(&[(STATUS, &[stanza("dpkg", ""), stanza("tool", "")].concat())]);
    assert_eq!(image.declined(&["dpkg"], Rest::Keep), "dpkg is essential");
    let places = BTreeSet::from([2]);
    let expected = EditError::NoSuchPackage { place: 2, count: 2 };
    assert_eq!(image.without_places(&places, Rest::Keep), Err(expected));
    assert!(image.without_places(&BTreeSet::new(), Rest::Keep).expect("nothing").changes.is_empty());
}

#[test]
fn states_in_doubt() {
    for state in ["hold ok installed", "install ok half-configured", "install reinstreq installed"] {
        let image = debian(&[(STATUS, &stanza("plain", "").replace("install ok installed", state))]);
        assert_eq!(image.declined(&["plain"], Rest::Keep), format!("plain is in the state {state:?}"));
    }
    let image = debian(&[(STATUS, &[stanza("plain", ""), stanza("plain", "")].concat())]);
    assert_eq!(image.declined(&["plain"], Rest::Keep), format!("/{STATUS}: plain is not there exactly once"));
    let waiting = stanza("tool", "Triggers-Awaited: base plain\n");
    let image = debian(&[(STATUS, &[stanza("plain", ""), waiting].concat())]);
    assert_eq!(image.declined(&["plain"], Rest::Keep), format!("/{STATUS}: a package waits for one that is to go"));
}

#[test]
fn a_folder_in_place_of_a_file() {
    let image = debian(&[("usr/bin/tool", "-> /elsewhere")]);
    assert!(image.without(&["tool"], Rest::Keep).is_ok(), "a link is as good as a file");
    let image = debian(&[("usr/bin/tool/", ""), ("usr/bin/tool/mine", "")]);
    // The file of the table comes first in the layer, and the folder takes its place.
    assert_eq!(image.declined(&["tool"], Rest::Keep), "/usr/bin/tool: tool has a file there and the image a folder");
}
