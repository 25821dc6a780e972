//! What single changes become: entries of a layer, and files that stay in the snapshot.

use std::collections::HashMap;
use std::fs;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_engine::ids::{Ids, Owners};
use jettison_engine::snapshot::{Kind, SnapshotContents, SnapshotError, Snapshotter, remove_tree, write_tar};
use jettison_image::changes::Contents as _;
use jettison_image::{Digest, Entry, Layer};

const KINDS: [Kind; 3] = [Kind::Overlay, Kind::FuseOverlayfs, Kind::Copy];

/// A parent, made by hand, and a step above it. Gives the layer and the snapshot's files.
fn step(kind: Kind, parent: impl Fn(&Path), change: impl Fn(&Path)) -> (Layer, PathBuf, tempfile::TempDir) {
    crate::ordinary::needs_root();
    let place = tempfile::tempdir().expect("a folder");
    let (below, work) = (place.path().join("below"), place.path().join("work"));
    fs::create_dir(&below).expect("a folder");
    fs::create_dir(&work).expect("a folder");
    parent(&below);
    let snapshotter = Snapshotter::probe(place.path(), Some(kind), Ids::Many).expect("the kind works");
    let workspace = snapshotter.workspace(&[below], &work).expect("a workspace");
    change(workspace.root());
    let layer = workspace.finish(&HashMap::new(), &Owners::default()).expect("a layer");
    (layer, work.join("fs"), place)
}

fn entries(layer: &Layer) -> Vec<String> {
    let line = |entry: &Entry| format!("{:?} {}", entry.kind, String::from_utf8_lossy(layer.path(entry)));
    layer.entries.iter().map(line).collect()
}

/// fuse-overlayfs gives folders a new time when it copies them up, which steps see as well.
fn without_copied_folders(kind: Kind, layer: &Layer) -> Vec<String> {
    let mut entries = entries(layer);
    entries.retain(|entry| kind != Kind::FuseOverlayfs || !entry.starts_with("Directory "));
    entries
}

fn tree(root: &Path) {
    fs::create_dir_all(root.join("folder/inner")).expect("folders");
    fs::write(root.join("folder/inner/file"), "content").expect("a file");
    fs::write(root.join("other"), "content").expect("a file");
}

#[test]
fn what_is_touched_and_the_same_again_is_no_change() {
    for kind in KINDS {
        let (layer, files, _place) = step(kind, tree, |root| {
            let file = root.join("folder/inner/file");
            let time = fs::metadata(&file).expect("a file").modified().expect("a time");
            let folder = fs::metadata(root.join("folder/inner")).expect("a folder").modified().expect("a time");
            let open = fs::OpenOptions::new().write(true).open(&file).expect("open");
            open.set_modified(time).expect("set");
            fs::write(root.join("folder/inner/new"), "x").expect("a file");
            fs::remove_file(root.join("folder/inner/new")).expect("removed");
            fs::File::open(root.join("folder/inner")).expect("a folder").set_modified(folder).expect("set");
        });
        assert_eq!(without_copied_folders(kind, &layer), Vec::<String>::new(), "{kind}");
        if kind != Kind::FuseOverlayfs {
            assert_eq!(fs::read_dir(&files).expect("a folder").count(), 0, "{kind}");
        }
    }
}

#[test]
fn content_that_changed_behind_the_time_is_a_change() {
    for kind in KINDS {
        let (layer, _, _place) = step(kind, tree, |root| {
            let file = root.join("folder/inner/file");
            let time = fs::metadata(&file).expect("a file").modified().expect("a time");
            let mut open = fs::OpenOptions::new().write(true).open(&file).expect("open");
            open.write_all(b"CONTENT").expect("written");
            open.set_modified(time).expect("set");
        });
        // With the folders on the way, which did not change.
        let expected = ["Directory folder", "Directory folder/inner", "File folder/inner/file"];
        assert_eq!(entries(&layer), expected, "{kind}");
        assert_eq!(layer.entries.last().expect("an entry").digest, Digest::of(b"CONTENT"));
    }
}

#[test]
fn folders_made_anew_hide_what_was_there() {
    let (layer, files, _place) = step(Kind::Overlay, tree, |root| {
        remove_tree(&root.join("folder")).expect("removed");
        fs::create_dir(root.join("folder")).expect("made");
        fs::write(root.join("folder/new"), "x").expect("a file");
        fs::create_dir(root.join("fresh")).expect("made");
        fs::remove_file(root.join("other")).expect("removed");
    });
    let expected = ["Directory folder", "Opaque folder", "File folder/new", "Directory fresh", "Whiteout other"];
    assert_eq!(entries(&layer), expected);
    assert_eq!(fs::symlink_metadata(files.join("other")).expect("a whiteout").rdev(), 0);
}

#[test]
fn sockets_stay_out_and_links_stay_links() {
    for kind in KINDS {
        let (layer, files, _place) = step(kind, tree, |root| {
            // Only the name of the socket stays.
            let short = tempfile::tempdir().expect("a folder");
            drop(UnixListener::bind(short.path().join("s")).expect("a socket"));
            rustix::fs::mknodat(
                rustix::fs::CWD,
                root.join("socket"),
                rustix::fs::FileType::Socket,
                rustix::fs::Mode::RWXU,
                0,
            )
            .expect("a socket");
            fs::hard_link(root.join("other"), root.join("further")).expect("linked");
        });
        assert_eq!(entries(&layer), ["File further", "HardLink other"], "{kind}");
        assert!(!files.join("socket").exists());
    }
}

#[test]
fn known_digests_are_taken_and_holes_are_kept() {
    crate::ordinary::needs_root();
    for kind in [Kind::Overlay, Kind::Copy] {
        let place = tempfile::tempdir().expect("a folder");
        let (below, work) = (place.path().join("below"), place.path().join("work"));
        fs::create_dir(&below).expect("a folder");
        fs::create_dir(&work).expect("a folder");
        tree(&below);
        let snapshotter = Snapshotter::probe(place.path(), Some(kind), Ids::Many).expect("the kind works");
        let workspace = snapshotter.workspace(&[below], &work).expect("a workspace");
        let file = workspace.root().join("new");
        fs::write(&file, "x").expect("a file");
        let mut sparse = fs::File::create(workspace.root().join("sparse")).expect("a file");
        sparse.seek(std::io::SeekFrom::Start(4 << 20)).expect("a hole");
        sparse.write_all(b"end").expect("written");
        drop(sparse);
        let known = HashMap::from([(fs::metadata(&file).expect("a file").ino(), Digest::of(b"told"))]);
        let layer = workspace.finish(&known, &Owners::default()).expect("a layer");
        assert_eq!(entries(&layer), ["File new", "File sparse"]);
        assert_eq!(layer.entries[0].digest, Digest::of(b"told"), "{kind}");
        assert!(layer.sparse(&layer.entries[1]).is_some(), "{kind}");
        assert!(layer.size < 1 << 20, "{kind}");
        contents_are_those_of_the_tar(&layer, &work.join("fs"));
    }
}

/// Every entry's content, by the layer's offsets, is what stands there in the tar; and another reader of
/// tars finds the same names.
fn contents_are_those_of_the_tar(layer: &Layer, files: &Path) {
    let mut tar = Vec::new();
    write_tar(layer, files, &mut tar).expect("written");
    assert_eq!(tar.len() as u64, layer.size);
    let mut contents = SnapshotContents::new(vec![(Arc::new(layer.clone()), files.to_owned())]);
    for entry in &layer.entries {
        let runs = layer.sparse(entry).map(|runs| runs.iter().map(|run| run.length).sum());
        let stored: u64 = runs.unwrap_or(entry.size);
        let mut out = Vec::new();
        contents.copy(0, entry.data_offset, stored, &mut out).expect("copied");
        let start = usize::try_from(entry.data_offset).expect("small");
        assert!(out[..] == tar[start..][..out.len()] && out.len() as u64 == stored);
        contents.copy(0, entry.data_offset, stored + 1, &mut out).expect_err("beyond the content");
    }
    let mut archive = tar::Archive::new(&tar[..]);
    let names =
        archive.entries().expect("entries").map(|entry| entry.expect("an entry").header().size().expect("a size"));
    assert_eq!(names.count(), layer.entries.len());
}

#[test]
fn many_parents_and_too_many() {
    crate::ordinary::needs_root();
    let place = tempfile::tempdir().expect("a folder");
    let parents: Vec<PathBuf> =
        (0..501).map(|number| place.path().join(format!("a-long-name-{number:0100}"))).collect();
    for (number, parent) in parents.iter().enumerate() {
        fs::create_dir(parent).expect("a folder");
        fs::write(parent.join("file"), number.to_string()).expect("a file");
    }
    let work = place.path().join("work");
    fs::create_dir(&work).expect("a folder");
    let snapshotter = Snapshotter::probe(place.path(), None, Ids::Many).expect("a kind");
    assert_eq!(snapshotter.kind(), Kind::Overlay);
    let workspace = snapshotter.workspace(&parents[..500], &work).expect("a workspace");
    assert_eq!(fs::read_to_string(workspace.root().join("file")).expect("a file"), "499");
    fs::write(workspace.root().join("file"), "new").expect("written");
    assert_eq!(entries(&workspace.finish(&HashMap::new(), &Owners::default()).expect("a layer")), ["File file"]);
    let view = snapshotter.view(&parents[..500], &work).expect("a view");
    fs::write(view.root().join("file"), "x").expect_err("read-only");
    drop(view);
    let one = snapshotter.view(&parents[..1], &work).expect("a view");
    assert_eq!(fs::read_to_string(one.root().join("file")).expect("a file"), "0");
    fs::write(one.root().join("file"), "x").expect_err("read-only");
    let refused = snapshotter.workspace(&parents, &work).expect_err("too many");
    assert!(matches!(refused, SnapshotError::TooManyParents { count: 501 }), "{refused:?}");
}
