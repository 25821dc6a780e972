//! Packages that jettison takes out of a root file system with rpm's database: what is left is what `rpm --erase` leaves, and
//! rpm finds it whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bstr::ByteSlice as _;
use jettison_image::packages::edit::{Change, EditError, Edited, Rest, without};
use jettison_image::packages::{Packages, read};
use jettison_image::{Layer, Limits, Node, Tree};

use crate::tools::{folder, run};
use crate::walked::{Walked, walk};

/// Where Debian's rpm has no database by itself.
pub(crate) const PLACE: &str = "/var/lib/rpm";

/// A package: its name, what the header says more, what is installed, and the list of its files.
pub(crate) type Package = (&'static str, &'static str, &'static str, &'static str);

pub(crate) const PACKAGES: [Package; 3] = [
    (
        "tool",
        "Requires: lib1\nRecommends: other",
        "mkdir -p etc/tool.d usr/bin usr/share/tool/deep usr/share/both var/lib/tool
         echo bin >usr/bin/tool; ln usr/bin/tool usr/bin/tool-link; ln -s tool usr/bin/tool-sym
         for name in changed same missing noreplace; do echo $name >etc/tool.d/$name.conf; done
         ln -s same.conf etc/tool.d/link.conf
         echo g >var/lib/tool/ghost; echo g >var/lib/tool/ghost.conf; echo d >usr/share/tool/deep/data; echo s >usr/share/both/file",
        "/usr/bin/tool*\n%dir /etc/tool.d\n%config /etc/tool.d/changed.conf\n%config /etc/tool.d/same.conf\n\
         %config /etc/tool.d/missing.conf\n%config(noreplace) /etc/tool.d/noreplace.conf\n%config /etc/tool.d/link.conf\n\
         /usr/share/tool\n/usr/share/both\n%dir /var/lib/tool\n%ghost /var/lib/tool/ghost\n%ghost %config /var/lib/tool/ghost.conf",
    ),
    (
        "lib1",
        "Provides: capability = 1",
        "mkdir -p usr/lib usr/share/both; echo l >usr/lib/lib1.so; echo s >usr/share/both/file",
        "/usr/lib/lib1.so\n/usr/share/both",
    ),
    // Files enough for trees of several pages.
    (
        "other",
        "",
        "mkdir -p usr/share/other; for at in $(seq 900); do : >usr/share/other/a-name-of-some-length-$at; done",
        "/usr/share/other",
    ),
];

fn rpm(root: &Path, arguments: &[&str]) -> String {
    let root = root.to_str().expect("text");
    run("rpm", &[&["--root", root, "--dbpath", PLACE], arguments].concat())
}

/// What rpm answers, complaints of a check included, and whether it complains.
fn asked(root: &Path, question: &[&str]) -> (bool, String) {
    let output = Command::new("rpm").arg("--root").arg(root).args(["--dbpath", PLACE]).args(question).output();
    let output = output.expect("rpm");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds the packages; gives their files.
pub(crate) fn built(folder: &Path) -> Vec<String> {
    for (name, more, install, files) in PACKAGES {
        let spec = folder.join(format!("{name}.spec"));
        let text = format!(
            "Name: {name}\nVersion: 1\nRelease: 1\nSummary: {name}\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n{more}\n\
             %description\n{name}\n%install\ncd %{{buildroot}}\n{install}\n%files\n{files}\n"
        );
        fs::write(&spec, text).expect("a file");
        let top = format!("_topdir {}", folder.join("made").display());
        run("rpmbuild", &["-bb", "--quiet", "--define", &top, spec.to_str().expect("text")]);
    }
    let made = folder.join("made/RPMS/noarch");
    fs::read_dir(made).expect("packages").map(|entry| entry.expect("a file").path().display().to_string()).collect()
}

/// Does what the edit says, in place.
pub(crate) fn edit(root: &Path, gone: &[&str]) {
    change(root, |tree, content, packages| {
        let gone: BTreeSet<usize> = gone.iter().map(|name| packages.position(name).expect("a package")).collect();
        without(tree, content, packages, &gone, Rest::Keep)
    });
}

/// Does in place what an edit of a root's packages says.
pub(crate) fn change(
    root: &Path,
    edit: impl FnOnce(&Tree<'_>, &mut dyn FnMut(Node) -> Option<Vec<u8>>, &Packages) -> Result<Edited, EditError>,
) {
    let packed = run_for_bytes(root);
    let layer = Layer::read(packed.as_slice(), Limits::default()).expect("a layer");
    let tree = Tree::of([&layer]).expect("a tree");
    let at = |path: &[u8]| -> PathBuf { root.join(path.to_path().expect("a path")) };
    let mut content = |node: Node| fs::read(at(&tree.path(node))).ok();
    let packages = read(&tree, &mut content).expect("a database").remove(0);
    let edited = edit(&tree, &mut content, &packages).expect("an edit");
    for (path, change) in &edited.changes {
        match change {
            Change::Moved(from) => fs::rename(at(from), at(path)).expect("a file"),
            Change::Content(content) => fs::write(at(path), content).expect("a file"),
            Change::Target(_) => panic!("no link leads elsewhere"),
            Change::Gone => {}
        }
    }
    // What is in a folder comes behind it.
    for (path, _) in edited.changes.iter().rev().filter(|(_, change)| **change == Change::Gone) {
        let path = at(path);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir(&path).expect("an empty folder"),
            Ok(_) => fs::remove_file(&path).expect("a file"),
            // It was named otherwise.
            Err(_) => {}
        }
    }
}

fn run_for_bytes(root: &Path) -> Vec<u8> {
    let out = root.with_extension("tar");
    run("tar", &["-C", root.to_str().expect("text"), "-cf", out.to_str().expect("text"), "."]);
    fs::read(out).expect("an archive")
}

/// What is to be seen of a root, but for rpm's own files.
fn seen(root: &Path) -> Walked {
    let mut seen = walk(root);
    seen.retain(|path, _| !path.starts_with(&PLACE[1..]));
    seen
}

#[test]
fn what_rpm_leaves_is_left() {
    let folder = folder();
    let files = built(folder.path());
    let base = folder.path().join("base");
    fs::create_dir(&base).expect("a folder");
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    rpm(&base, &[&["--install"], &files[..]].concat());
    for (path, content) in [
        ("etc/tool.d/changed.conf", "other"),
        ("etc/tool.d/noreplace.conf", "other"),
        ("var/lib/tool/ghost", "made"),
        ("var/lib/tool/ghost.conf", "made"),
        ("usr/share/tool/deep/own", "own"),
    ] {
        fs::write(base.join(path), content).expect("a file");
    }
    fs::remove_file(base.join("etc/tool.d/missing.conf")).expect("a file");
    for (case, gone) in
        [&["tool"][..], &["other"], &["tool", "lib1"], &["tool", "lib1", "other"]].into_iter().enumerate()
    {
        let [theirs, ours] = ["theirs", "ours"].map(|name| folder.path().join(format!("{name}-{case}")));
        for copy in [&theirs, &ours] {
            run("cp", &["-a", base.to_str().expect("text"), copy.to_str().expect("text")]);
        }
        rpm(&theirs, &[&["--erase"], gone].concat());
        edit(&ours, gone);
        assert_eq!(seen(&ours), seen(&theirs), "{gone:?}");
        for question in [&["-qa"][..], &["-Va"], &["-qal"], &["-qa", "--provides"], &["-qa", "--requires"]] {
            assert_eq!(asked(&ours, question), asked(&theirs, question), "{gone:?} {question:?}");
        }
        run("rpmdb", &["--root", ours.to_str().expect("text"), "--dbpath", PLACE, "--verifydb"]);
        if !gone.contains(&"lib1") {
            assert_eq!(rpm(&ours, &["-q", "--whatprovides", "capability"]), "lib1-1-1.noarch\n");
            assert_eq!(rpm(&ours, &["-qf", "/usr/lib/lib1.so"]), "lib1-1-1.noarch\n");
        }
        // All of them can be installed again.
        let again: Vec<&str> = files
            .iter()
            .copied()
            .filter(|file| gone.iter().any(|name| file.contains(&format!("/{name}-1-"))))
            .collect();
        rpm(&ours, &[&["--install"], &again[..]].concat());
        assert_eq!(rpm(&ours, &["-qa"]).lines().count(), PACKAGES.len(), "{gone:?}");
    }
}
