//! pacman: the folder of a package, configuration that was changed, folders.

use jettison_image::packages::edit::Rest;

use super::{File, Image};

const LOCAL: &str = "var/lib/pacman/local";

fn image(more: &[File<'_>]) -> Image {
    let desc = |name: &str| format!("%NAME%\n{name}\n\n%VERSION%\n2-1\n\n");
    let (tool, base, pacman) = (desc("tool"), desc("base"), desc("pacman"));
    // MD5 of `a=1\n` and of `b=1\n`.
    let files = "%FILES%\netc/\netc/a.conf\netc/b.conf\nusr/\nusr/bin/\nusr/bin/tool\nusr/lib/\nusr/lib/tool/\nusr/lib/link/\nusr/lib/tool/x\n\n\
                 %BACKUP%\netc/a.conf\td5e29449b9e66d5b4bb0d6ce48fbbcb1\netc/b.conf\tf9d9961d5c8c75cc7f8c3df138d002a1\n\n";
    let all = [
        ("var/lib/pacman/local/ALPM_DB_VERSION", "9\n"),
        ("var/lib/pacman/local/base-2-1/desc", &base),
        ("var/lib/pacman/local/base-2-1/files", "%FILES%\nusr/\nusr/bin/\nusr/bin/sh\n\n"),
        ("var/lib/pacman/local/pacman-2-1/desc", &pacman),
        ("var/lib/pacman/local/tool-2-1/desc", &tool),
        ("var/lib/pacman/local/tool-2-1/files", files),
        ("var/lib/pacman/local/tool-2-1/mtree", "x"),
        ("etc/a.conf", "a=2\n"),
        ("etc/b.conf", "b=1\n"),
        ("usr/bin/sh", ""),
        ("usr/bin/tool", ""),
        ("usr/lib/tool/x", ""),
        ("usr/lib/link", "-> elsewhere"),
    ];
    let others = all.into_iter().filter(|(path, _)| !more.iter().any(|(other, _)| path == other));
    Image::of(&[&others.collect::<Vec<_>>()[..], more].concat())
}

#[test]
fn changed_configuration_is_put_aside() {
    let own = ["", "/desc", "/files", "/mtree"].map(|name| format!("- {LOCAL}/tool-2-1{name}"));
    let kept = image(&[]).changes(&["tool"], Rest::Keep);
    let files = ["- usr/bin/tool", "- usr/lib/tool", "- usr/lib/tool/x"];
    assert_eq!(kept[..3], ["- etc/a.conf", "etc/a.conf.pacsave <- etc/a.conf", "- etc/b.conf"]);
    assert_eq!((&kept[3..6], &kept[6..]), (&files.map(str::to_owned)[..], &own[..]));
    let purged = image(&[]).changes(&["tool"], Rest::Purge);
    assert_eq!(purged[..2], ["- etc/a.conf", "- etc/b.conf"]);
    assert_eq!(purged[2..], kept[3..]);
}

#[test]
fn in_doubt() {
    let earlier = image(&[("etc/a.conf.pacsave", "")]);
    assert_eq!(earlier.declined(&["tool"], Rest::Keep), "/etc/a.conf.pacsave: there is one already");
    assert!(earlier.without(&["tool"], Rest::Purge).is_ok());
    assert_eq!(image(&[]).declined(&["pacman"], Rest::Keep), "pacman is essential");
    let folder = image(&[("usr/bin/tool/", ""), ("usr/bin/tool/mine", "")]);
    assert_eq!(folder.declined(&["tool"], Rest::Keep), "/usr/bin/tool: tool has a file there and the image a folder");
}
