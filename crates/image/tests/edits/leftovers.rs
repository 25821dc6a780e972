//! What dpkg's packages leave elsewhere and purging takes along: answers to debconf's questions, units of systemd.

use jettison_image::packages::edit::Rest;

use super::{Image, stanza};

const ANSWERS: &str = "Name: man/install\nTemplate: man/install\nValue: false\nOwners: man\n\n\
                       Name: shared/question\nTemplate: shared/question\nOwners: other, man\n\n\
                       Name: other/question\nTemplate: other/question\nOwners: other\n";
const TEMPLATES: &str = "Name: man/install\nDescription: text\nExtended_description: Owners: of a text\nOwners: man/install\n\n\
                         Name: other/question\nOwners: man/install, other/question\n";

fn image() -> Image {
    let status = [stanza("man", ""), stanza("other", "")].concat();
    Image::of(&[
        ("var/lib/dpkg/status", &status),
        (
            "var/lib/dpkg/info/man.list",
            "/.\n/usr/lib/systemd/system/man.timer\n/usr/lib/systemd/system/plain.service\n",
        ),
        ("var/lib/dpkg/info/man.postrm", "if [ \"$1\" = purge ]; then deb-systemd-helper purge 'man.timer'; fi\n"),
        ("var/lib/dpkg/info/other.list", "/.\n/usr/lib/systemd/system/other.timer\n"),
        ("var/cache/debconf/config.dat", ANSWERS),
        ("var/cache/debconf/templates.dat", TEMPLATES),
        ("usr/lib/systemd/system/man.timer", ""),
        ("usr/lib/systemd/system/other.timer", ""),
        ("usr/lib/systemd/system/plain.service", ""),
        ("etc/systemd/system/timers.target.wants/man.timer", "-> /usr/lib/systemd/system/man.timer"),
        ("etc/systemd/system/plain.service", "-> /dev/null"),
        (
            "var/lib/systemd/deb-systemd-helper-enabled/man.timer.dsh-also",
            "/etc/systemd/system/timers.target.wants/man.timer\n",
        ),
        ("var/lib/systemd/deb-systemd-helper-enabled/timers.target.wants/man.timer", ""),
        (
            "var/lib/systemd/deb-systemd-helper-enabled/other.timer.dsh-also",
            "/etc/systemd/system/timers.target.wants/other.timer\n",
        ),
        ("var/lib/systemd/deb-systemd-helper-masked/plain.service", ""),
    ])
}

#[test]
fn purging_forgets_answers_and_units() {
    let changes = image().changes(&["man"], Rest::Purge);
    let (others, own): (Vec<String>, Vec<String>) =
        changes.into_iter().partition(|line| line.contains("dpkg") || line.contains("usr/lib"));
    assert_eq!(others.len(), 5, "{others:?}");
    assert_eq!(
        own,
        [
            "- etc/systemd/system/plain.service",
            "- etc/systemd/system/timers.target.wants",
            "- etc/systemd/system/timers.target.wants/man.timer",
            "var/cache/debconf/config.dat: Name: shared/question\\nTemplate: shared/question\\nOwners: other\\n\\n\
             Name: other/question\\nTemplate: other/question\\nOwners: other\\n",
            "var/cache/debconf/templates.dat: Name: other/question\\nOwners: other/question\\n",
            "- var/lib/systemd/deb-systemd-helper-enabled/man.timer.dsh-also",
            "- var/lib/systemd/deb-systemd-helper-enabled/timers.target.wants",
            "- var/lib/systemd/deb-systemd-helper-enabled/timers.target.wants/man.timer",
            "- var/lib/systemd/deb-systemd-helper-masked/plain.service",
        ]
    );
}

#[test]
fn purging_forgets_what_starts_scripts() {
    let status = [stanza("cron", "Conffiles:\n /etc/init.d/cron 00\n"), stanza("other", "")].concat();
    let image = Image::of(&[
        ("var/lib/dpkg/status", &status),
        ("var/lib/dpkg/info/cron.list", "/.\n/etc/init.d\n/etc/init.d/cron\n"),
        ("var/lib/dpkg/info/cron.postrm", "if [ \"$1\" = purge ]; then update-rc.d cron remove; fi\n"),
        ("var/lib/dpkg/info/other.list", "/.\n/etc/init.d\n/etc/init.d/other\n"),
        ("etc/init.d/cron", "changed"),
        ("etc/init.d/other", ""),
        ("etc/rc2.d/S01cron", "-> ../init.d/cron"),
        ("etc/rc2.d/S01other", "-> ../init.d/other"),
        ("etc/rcS.d/K01cron", "-> ../init.d/cron"),
    ]);
    let links = |rest| -> Vec<String> {
        image.changes(&["cron"], rest).into_iter().filter(|line| line.starts_with("- ")).collect()
    };
    assert_eq!(
        links(Rest::Purge),
        [
            "- etc/init.d/cron",
            "- etc/rc2.d/S01cron",
            "- etc/rcS.d/K01cron",
            "- var/lib/dpkg/info/cron.list",
            "- var/lib/dpkg/info/cron.postrm"
        ]
    );
    assert_eq!(links(Rest::Keep), [""; 0]);
}

#[test]
fn removing_leaves_both() {
    let changes = image().changes(&["man"], Rest::Keep);
    assert!(
        !changes.iter().any(|line| line.contains("debconf") || line.contains("etc/") || line.contains("helper")),
        "{changes:?}"
    );
}
