//! Images without some packages, as the databases' editor says they are, beside what dpkg, apt and apk themselves leave. The
//! mirror is asked for Debian with some packages.

use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};

use jettison_image::packages::edit::{Change, Rest, without};
use jettison_image::packages::read;
use jettison_image::{Layer, Limits, Node, Tree};

use crate::tools::{folder, run, shared, text};

/// What managers write of their own doings, caches that their triggers make, and devices, which `diff` does not compare.
const NOTES: [&str; 12] = [
    "dev/",
    "lib/apk/db/lock",
    "usr/share/info/dir",
    "var/cache/apt",
    "var/cache/debconf",
    "var/cache/ldconfig",
    "var/cache/man",
    "var/lib/apt/lists/auxfiles",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers/Lock",
    "var/log",
];

/// What only a package's own script knows to take away.
const LEFT_BY_SCRIPTS: [&str; 5] = [
    "etc/python3",
    "usr/local/lib/python3.11",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/lock-frontend",
    "var/lib/python",
];

/// What two roots differ in, a line each, but for what managers note.
fn differing(bench: &Path, one: &str, other: &str) -> Vec<String> {
    let command =
        format!("cd '{}' && LC_ALL=C diff -rq --no-dereference {one} {other}; test $? -lt 2", bench.display());
    let is_noted = |line: &&str| {
        // `Only in FOLDER: NAME`, or `Files PATH and PATH differ`.
        let path = line.replace(": ", "/").replacen(&format!("{one}/"), "/", 1).replacen(&format!("{other}/"), "/", 1);
        let path = path.split_once('/').map_or("", |(_, path)| path).trim_start_matches('/').to_owned();
        NOTES.iter().chain(&LEFT_BY_SCRIPTS).any(|noted| path.starts_with(noted))
    };
    let output = run("/bin/sh", &["-c", &command]);
    output.lines().filter(|line| !is_noted(line)).map(str::to_owned).collect()
}

/// Takes the packages out of a root by what the editor says.
fn edit(root: &Path, archive: &Path, gone: &[&str], rest: Rest) {
    run("tar", &["-C", text(root), "-cf", text(archive), "."]);
    let file = fs::File::open(archive).expect("the tar");
    let layer = Layer::read(BufReader::new(&file), Limits::default()).expect("a layer");
    let tree = Tree::of([&layer]).expect("a tree");
    let mut content = |node: Node| {
        let (_, entry) = tree.entry(tree.origin(node))?;
        let mut bytes = vec![0; usize::try_from(entry.size).ok()?];
        file.read_exact_at(&mut bytes, entry.data_offset).ok()?;
        Some(bytes)
    };
    let packages = read(&tree, &mut content).expect("databases").remove(0);
    let place = |name: &&str| packages.position(name).unwrap_or_else(|| panic!("no package {name}"));
    let gone: BTreeSet<usize> = gone.iter().map(place).collect();
    let changes = without(&tree, &mut content, &packages, &gone, rest).expect("an image without them").changes;
    fs::remove_file(archive).expect("the tar");
    let at = |path: &[u8]| root.join(std::ffi::OsString::from_vec(path.to_vec()));
    for (path, change) in &changes {
        if let Change::Moved(from) = change {
            fs::rename(at(from), at(path)).expect("moves");
        }
    }
    // What is in a folder goes before it.
    for (path, change) in changes.iter().rev() {
        let path = at(path);
        let old = fs::symlink_metadata(&path).ok();
        match (change, old) {
            (Change::Gone, Some(old)) if old.is_dir() => fs::remove_dir(&path).expect("an empty folder"),
            (Change::Gone, Some(_)) => fs::remove_file(&path).expect("a file"),
            (Change::Content(content), _) => fs::write(&path, content).expect("writes"),
            (Change::Target(target), old) => {
                if old.is_some() {
                    fs::remove_file(&path).expect("what was there");
                }
                symlink(std::ffi::OsStr::from_bytes(target), &path).expect("a link");
            }
            (Change::Gone, None) | (Change::Moved(_), _) => {}
        }
    }
}

/// Removes packages with a command of their manager's, and by edits: both roots must be the same. Returned is the edited one.
/// `said` is what stands before each name in what the manager says.
fn check(bench: &Path, root: &str, command: &str, said: &str, rest: Rest) -> PathBuf {
    let at = |name: &str| bench.join(name);
    for name in ["by-manager", "by-edits"] {
        if at(name).exists() {
            fs::remove_dir_all(at(name)).expect("removes");
        }
        run("cp", &["-a", "--reflink=auto", text(&at(root)), text(&at(name))]);
    }
    let output = run("chroot", &[text(&at("by-manager")), "/bin/sh", "-c", command]);
    let names = output.lines().filter_map(|line| line.split_once(said)?.1.split(' ').next());
    // A diversion that is removed has a quotation mark there.
    let names: Vec<&str> = names.filter(|name| !name.starts_with('\'')).collect();
    assert!(!names.is_empty(), "{output}");
    edit(&at("by-edits"), &at("root.tar"), &names, rest);
    let differing = differing(bench, "by-manager", "by-edits");
    assert!(differing.is_empty(), "{command}: {differing:#?}");
    at("by-edits")
}

#[test]
fn debian_without_packages_is_what_dpkg_and_apt_leave() {
    let bench = folder();
    let packages = "--include=curl,gawk,less,nano,python3-six,vim-tiny,zutils";
    run(
        "mmdebstrap",
        &["--variant=minbase", "--quiet", "--format=directory", packages, "bookworm", text(&bench.path().join("root"))],
    );
    for (command, rest) in [
        ("dpkg --remove gawk nano zutils", Rest::Keep),
        ("apt-get purge -y --auto-remove curl less python3-six vim-tiny", Rest::Purge),
    ] {
        let root = check(
            bench.path(),
            "root",
            &format!("export DEBIAN_FRONTEND=noninteractive; {command}"),
            "Removing ",
            rest,
        );
        let inside = |command: &str| run("chroot", &[text(&root), "/bin/sh", "-c", command]);
        assert_eq!(inside("dpkg --audit; dpkg --verify"), "", "{command}");
        inside("apt-get check");
        inside("for name in /var/lib/dpkg/alternatives/*; do update-alternatives --query ${name##*/} || exit 1; done");
        inside("cp /etc/ld.so.cache /tmp/cache && ldconfig && cmp /etc/ld.so.cache /tmp/cache");
    }
}

/// Packages beside those of the shared script: a tool that busybox has, too, with configuration and scripts.
const PACKAGES: &str = "import sys
exec(open(sys.argv[2]).read())
pkg('jt-less','1-r0',[('usr/bin/less','f',0o755,b'#!/bin/sh\\n'),('etc/jt-less.conf','f',0o644,b'a=1\\n'),
  ('etc/jt-less/other.conf','f',0o644,b'b=1\\n'),('usr/share/jt-less/x','f',0o644,b'x')],
  scripts={'post-install':'#!/bin/sh\\nexit 0\\n','trigger':'#!/bin/sh\\nexit 0\\n'},triggers='/usr/share/jt-less')
";

#[test]
fn alpine_without_packages_is_what_apk_leaves() {
    let bench = folder();
    let root = bench.path().join("root");
    fs::create_dir_all(root.join("packages")).expect("a folder");
    run("tar", &["-C", text(&root), "-xzf", text(&shared("alpine-minirootfs-3.20.3-x86_64.tar.gz"))]);
    let script = shared("apk-repo/mkapk.py");
    run("python3", &["-c", PACKAGES, text(&root.join("packages")), text(&script)]);
    let add = "cd /packages/x86_64 && apk index -q --allow-untrusted -o APKINDEX.tar.gz *.apk && echo /packages > /etc/apk/repositories \
               && apk add --allow-untrusted jt-less jt-runtime && apk add --allow-untrusted --virtual .trash jt-gcc jt-make \
               && rm -rf /packages && echo changed >> /etc/jt-less/other.conf";
    run("chroot", &[text(&root), "/bin/sh", "-c", add]);
    for (command, rest) in [
        ("apk del .trash", Rest::Keep),
        ("apk del jt-less", Rest::Keep),
        ("apk del --purge jt-less jt-runtime", Rest::Purge),
    ] {
        let root = check(bench.path(), "root", command, "Purging ", rest);
        // All that apk finds is what the image itself changed.
        let audit = run("chroot", &[text(&root), "apk", "audit", "--system"]);
        assert_eq!(audit.lines().filter(|line| line.contains("jt-")).count(), 0, "{audit}");
    }
}
