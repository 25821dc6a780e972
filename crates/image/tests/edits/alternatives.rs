//! Alternatives: what is left when one of them goes.

use jettison_image::packages::edit::Rest;

use super::{File, Image, stanza};

const FILE: &str = "var/lib/dpkg/alternatives/awk";

/// `gawk` is the better `awk`; `mawk` has no manual page in the image.
const AWK: &str = "auto\n/usr/bin/awk\nawk.1.gz\n/usr/share/man/man1/awk.1.gz\nnawk\n/usr/bin/nawk\n\n\
                   /usr/bin/gawk\n10\n/usr/share/man/man1/gawk.1.gz\n\n\
                   /usr/bin/mawk\n5\n/usr/share/man/man1/mawk.1.gz\n/usr/bin/mawk\n\n";

fn image(more: &[File<'_>]) -> Image {
    let status = [stanza("gawk", ""), stanza("mawk", ""), stanza("other", "")].concat();
    let files = [
        ("var/lib/dpkg/status", status.as_str()),
        ("var/lib/dpkg/info/gawk.list", "/.\n/usr/bin/gawk\n/usr/share/man/man1/gawk.1.gz\n"),
        ("var/lib/dpkg/info/mawk.list", "/.\n/usr/bin/mawk\n/usr/share/man/man1/mawk.1.gz\n"),
        (FILE, AWK),
        ("usr/bin/gawk", ""),
        ("usr/bin/mawk", ""),
        ("usr/bin/awk", "-> /etc/alternatives/awk"),
        ("etc/alternatives/awk", "-> /usr/bin/gawk"),
        ("usr/share/man/man1/gawk.1.gz", ""),
        ("usr/share/man/man1/awk.1.gz", "-> /etc/alternatives/awk.1.gz"),
        ("etc/alternatives/awk.1.gz", "-> /usr/share/man/man1/gawk.1.gz"),
    ];
    let others = files.into_iter().filter(|(path, _)| !more.iter().any(|(other, _)| path == other));
    Image::of(&[&others.collect::<Vec<_>>()[..], more].concat())
}

/// The changes but for those of dpkg's own files.
fn changes(image: &Image, gone: &[&str]) -> Vec<String> {
    let all = image.changes(gone, Rest::Purge);
    all.into_iter().filter(|line| !line.contains("dpkg/info") && !line.contains("dpkg/status")).collect()
}

#[test]
fn the_next_best_is_taken_with_its_slaves() {
    assert_eq!(
        changes(&image(&[]), &["gawk"]),
        [
            "etc/alternatives/awk -> /usr/bin/mawk",
            "- etc/alternatives/awk.1.gz",
            "etc/alternatives/nawk -> /usr/bin/mawk",
            "- usr/bin/gawk",
            "usr/bin/nawk -> /etc/alternatives/nawk",
            "- usr/share/man/man1/awk.1.gz",
            "- usr/share/man/man1/gawk.1.gz",
            "var/lib/dpkg/alternatives/awk: auto\\n/usr/bin/awk\\nawk.1.gz\\n/usr/share/man/man1/awk.1.gz\\nnawk\\n/usr/bin/nawk\\n\\n\
             /usr/bin/mawk\\n5\\n/usr/share/man/man1/mawk.1.gz\\n/usr/bin/mawk\\n\\n",
        ],
        "mawk's manual page is not there"
    );
}

#[test]
fn a_lesser_one_goes_quietly() {
    assert_eq!(
        changes(&image(&[]), &["mawk"]),
        [
            "- usr/bin/mawk",
            "var/lib/dpkg/alternatives/awk: auto\\n/usr/bin/awk\\nawk.1.gz\\n/usr/share/man/man1/awk.1.gz\\n\\n\
             /usr/bin/gawk\\n10\\n/usr/share/man/man1/gawk.1.gz\\n\\n",
        ],
        "nobody has a nawk any more"
    );
}

#[test]
fn the_last_one_takes_the_links_along() {
    assert_eq!(
        changes(&image(&[]), &["gawk", "mawk"]),
        [
            "- etc/alternatives/awk",
            "- etc/alternatives/awk.1.gz",
            "- usr/bin/awk",
            "- usr/bin/gawk",
            "- usr/bin/mawk",
            "- usr/share/man/man1/awk.1.gz",
            "- usr/share/man/man1/gawk.1.gz",
            "- var/lib/dpkg/alternatives/awk",
        ]
    );
}

#[test]
fn what_somebody_chose() {
    let manual = AWK.replacen("auto", "manual", 1);
    let chosen = image(&[(FILE, &manual), ("etc/alternatives/awk", "-> /usr/bin/mawk")]);
    let stays = changes(&chosen, &["gawk"]);
    assert!(stays.iter().any(|line| line.starts_with("var/lib/dpkg/alternatives/awk: manual")), "{stays:?}");
    assert!(!stays.iter().any(|line| line.contains("etc/alternatives/awk ")), "{stays:?}");
    let goes = changes(&chosen, &["mawk"]);
    assert_eq!(goes[0], "etc/alternatives/awk -> /usr/bin/gawk");
    assert!(goes.iter().any(|line| line.starts_with("var/lib/dpkg/alternatives/awk: auto")), "{goes:?}");
}

#[test]
fn of_equals_the_first_is_taken() {
    let equals = "auto\n/usr/bin/awk\n\n/usr/bin/gawk\n10\n/usr/bin/mawk\n5\n/usr/bin/nawk\n5\n/usr/bin/oawk\n4\n\n";
    let image = image(&[(FILE, equals), ("usr/bin/nawk", ""), ("usr/bin/oawk", "")]);
    assert_eq!(changes(&image, &["gawk"])[0], "etc/alternatives/awk -> /usr/bin/mawk");
}

#[test]
fn files_in_place_of_links_are_somebodys() {
    let image = image(&[("usr/bin/awk", "mine")]);
    assert!(!changes(&image, &["gawk", "mawk"]).contains(&"- usr/bin/awk".to_owned()));
    assert!(!changes(&image, &["gawk"]).iter().any(|line| line.starts_with("usr/bin/awk")));
}

#[test]
fn in_doubt() {
    let elsewhere = image(&[("etc/alternatives/awk", "-> /opt/awk")]);
    let expected = "/var/lib/dpkg/alternatives/awk: its link leads to none of the alternatives";
    assert_eq!(elsewhere.declined(&["gawk"], Rest::Purge), expected);
    for content in ["maybe\n/usr/bin/awk\n\n/usr/bin/gawk\n10\n\n", "auto\n/usr/bin/awk\n\n/usr/bin/gawk\nten\n\n"] {
        let expected = "/var/lib/dpkg/alternatives/awk: it is not what update-alternatives writes";
        assert_eq!(image(&[(FILE, content)]).declined(&["gawk"], Rest::Purge), expected, "{content:?}");
    }
    // What is not understood and names nothing of gawk's is left as it is.
    assert!(image(&[(FILE, "auto\n/usr/bin/awk\n")]).without(&["gawk"], Rest::Purge).is_ok());
    assert!(image(&[("etc/alternatives/awk", "-> /opt/awk")]).without(&["other"], Rest::Purge).is_ok());
}
