//! What the databases' editor says of images without packages is what the judge accepts; and more than that is refused.

use jettison_image::packages::edit::Rest;

use crate::bed::{Bed, all_refused, refuting};
use crate::debian::{CLAIMED, all};

/// What goes with the claimed ones.
const GONE: [&str; 5] = ["gcc", "gawk", "cpp", "libmpc3", "libc6-dev"];

#[test]
fn edits_are_accepted() {
    for rest in [Rest::Keep, Rest::Purge] {
        let before = all();
        let after = before.without(&GONE, rest);
        assert_eq!(refuting(&before, &after, &CLAIMED), [""; 0], "{rest:?}");
        assert!(after.text("etc/ld.so.cache").len() < before.text("etc/ld.so.cache").len());
        assert_eq!(after.text("var/lib/dpkg/status").contains("config-files"), rest == Rest::Keep);
    }
}

/// A package with a unit and an editor whose manual page is translated, beside another of both; the library is there for
/// several architectures and has configuration.
fn image() -> Bed {
    let mut bed = Bed::default();
    let mut status = String::new();
    for (name, fields, files) in [
        ("nano", "", &["usr/bin/nano"][..]),
        ("vim", "", &["usr/bin/vim", "usr/share/man/da/vim.1"]),
        ("timer", "", &["usr/lib/systemd/system/own.timer", "usr/lib/systemd/system/masked.timer", "etc/init.d/timer"]),
        ("other", "", &["usr/lib/systemd/system/other.timer", "etc/init.d/other"]),
        ("lib:amd64", "Conffiles:\n /etc/lib.conf 00\n", &["etc/lib.conf", "usr/lib/lib.so"]),
    ] {
        let short = name.split(':').next().unwrap_or_default();
        status +=
            &format!("Package: {short}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n{fields}\n");
        let list: String = files.iter().map(|path| format!("/{path}\n")).collect();
        bed.file(&format!("var/lib/dpkg/info/{name}.list"), list);
        for path in files {
            bed.file(path, name);
        }
    }
    bed.file("var/lib/dpkg/status", status);
    bed.file("var/lib/dpkg/info/timer.postrm", "purge) deb-systemd-helper purge own.timer; update-rc.d timer remove\n");
    bed.link("etc/rc2.d/S01timer", "../init.d/timer");
    bed.link("etc/rc2.d/S01other", "../init.d/other");
    bed.file(
        "var/lib/dpkg/alternatives/editor",
        "auto\n/usr/bin/editor\neditor.da.1\n/usr/share/man/da/editor.1\n\n/usr/bin/nano\n40\n\n/usr/bin/vim\n15\n/usr/share/man/da/vim.1\n\n",
    );
    bed.link("usr/bin/editor", "/etc/alternatives/editor");
    bed.link("etc/alternatives/editor", "/usr/bin/nano");
    bed.link("etc/systemd/system/masked.timer", "/dev/null");
    bed.file("var/lib/systemd/deb-systemd-helper-masked/masked.timer", "");
    for name in ["own", "other"] {
        let link = format!("etc/systemd/system/{name}.wants/{name}.timer");
        bed.link(&link, &format!("/usr/lib/systemd/system/{name}.timer"));
        let notes = "var/lib/systemd/deb-systemd-helper-enabled";
        bed.file(&format!("{notes}/{name}.timer.dsh-also"), format!("/{link}\n"));
        bed.file(&format!("{notes}/{name}.wants/{name}.timer"), "");
    }
    bed
}

#[test]
fn links_of_alternatives_that_there_were_not() {
    let before = image();
    let after = before.without(&["nano"], Rest::Keep);
    assert_eq!(refuting(&before, &after, &["nano"]), [""; 0]);
    let link = |after: &mut Bed, path: &str| after.link(path, "/usr/bin/vim");
    all_refused(
        &before,
        &after,
        &["nano"],
        &[
            (
                "a link is new",
                |_, after| after.link("usr/bin/edit", "/etc/alternatives/editor"),
                "/usr/bin/edit is new",
            ),
            (
                "a slave leads elsewhere",
                |_, after| after.link("etc/alternatives/editor.da.1", "/usr/bin/vim"),
                "/etc/alternatives/editor.da.1 is new",
            ),
        ],
    );
    let mut other = after.clone();
    link(&mut other, "usr/share/man/da/editor.1");
    assert_eq!(
        refuting(&before, &other, &["nano"]).len(),
        2,
        "a link past the alternatives, and what it does not lead over"
    );
}

#[test]
fn units_that_are_purged() {
    let before = image();
    let after = before.without(&["timer"], Rest::Purge);
    assert_eq!(refuting(&before, &after, &["timer"]), [""; 0]);
    all_refused(
        &before,
        &after,
        &["timer"],
        &[
            (
                "another script is not started",
                |_, after| after.remove("etc/rc2.d/S01other"),
                "/etc/rc2.d/S01other is missing",
            ),
            (
                "another unit's link is gone",
                |_, after| after.remove("etc/systemd/system/other.wants/other.timer"),
                "/etc/systemd/system/other.wants/other.timer is missing",
            ),
            (
                "another unit's note is gone",
                |_, after| after.remove("var/lib/systemd/deb-systemd-helper-enabled/other.timer.dsh-also"),
                "other.timer.dsh-also is missing",
            ),
            (
                "another mask is gone",
                |before, _| before.link("etc/systemd/system/mine.timer", "/dev/null"),
                "/etc/systemd/system/mine.timer is missing",
            ),
        ],
    );
}

#[test]
fn lists_of_packages_for_several_architectures() {
    let before = image();
    let after = before.without(&["lib"], Rest::Keep);
    assert_eq!(refuting(&before, &after, &["lib"]), [""; 0]);
    assert_eq!(after.text("var/lib/dpkg/info/lib:amd64.list"), "/etc/lib.conf\n");
}
