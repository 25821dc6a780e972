//! Random steps, the same with every kind of snapshot: the layers must lead to what the steps left, and to
//! the same tree with each kind.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use jettison_engine::ids::{Ids, NodeKind, Owners, give, make_node};
use jettison_engine::snapshot::{Kind, Snapshotter, remove_tree, write_tar};
use jettison_image::{Layer, Limits};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::seen;

#[derive(Clone, Debug)]
enum Step {
    Write(String, u8),
    Append(String),
    Folder(String),
    Again(String),
    Remove(String),
    Rename(String, String),
    Mode(String, u32),
    Owner(String, u32),
    Symlink(String),
    Link(String, String),
    Device(String),
    Attribute(String, u8),
}

fn path() -> impl Strategy<Value = String> {
    let name = || select(vec!["a", "b", "c"]);
    prop_oneof![
        name().prop_map(str::to_owned),
        (name(), name()).prop_map(|(a, b)| format!("{a}/{b}")),
        (name(), name(), name()).prop_map(|(a, b, c)| format!("{a}/{b}/{c}")),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (path(), any::<u8>()).prop_map(|(path, content)| Step::Write(path, content)),
        1 => path().prop_map(Step::Append),
        4 => path().prop_map(Step::Folder),
        2 => path().prop_map(Step::Again),
        3 => path().prop_map(Step::Remove),
        2 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (path(), select(vec![0o700, 0o4755, 0o000])).prop_map(|(path, mode)| Step::Mode(path, mode)),
        1 => (path(), select(vec![0, 7])).prop_map(|(path, owner)| Step::Owner(path, owner)),
        1 => path().prop_map(Step::Symlink),
        2 => (path(), path()).prop_map(|(from, to)| Step::Link(from, to)),
        1 => path().prop_map(Step::Device),
        1 => (path(), any::<u8>()).prop_map(|(path, value)| Step::Attribute(path, value)),
        1 => Just(Step::Remove("a".to_owned())),
    ]
}

/// Does what can be done. Names that share a file are only ever removed: overlays part them otherwise, as
/// they do in every container engine.
fn apply(root: &Path, step: &Step, shared: &mut HashSet<PathBuf>, ids: Ids) {
    let at = |path: &str| root.join(path);
    let (Step::Write(name, _)
    | Step::Append(name)
    | Step::Folder(name)
    | Step::Again(name)
    | Step::Remove(name)
    | Step::Rename(name, _)
    | Step::Mode(name, _)
    | Step::Owner(name, _)
    | Step::Symlink(name)
    | Step::Link(name, _)
    | Step::Device(name)
    | Step::Attribute(name, _)) = step;
    let path = at(name);
    let below = Path::new(name).to_owned();
    let removes =
        matches!(step, Step::Write(..) | Step::Again(_) | Step::Remove(_) | Step::Symlink(_) | Step::Device(_));
    // Links in the middle of a path would lead out of the tested names.
    let folder_is_real = path.parent().is_some_and(|folder| fs::symlink_metadata(folder).is_ok_and(|m| m.is_dir()))
        && path.ancestors().skip(1).take_while(|&a| a != root).all(|a| !a.is_symlink());
    if !folder_is_real || (!removes && shared.contains(&below)) {
        return;
    }
    if removes {
        remove_tree(&path).expect("removed");
        shared.retain(|name| !name.starts_with(&below));
    }
    let metadata = fs::symlink_metadata(&path);
    let is_file = metadata.as_ref().is_ok_and(fs::Metadata::is_file);
    let is_there = metadata.is_ok();
    let is_link = metadata.is_ok_and(|metadata| metadata.is_symlink());
    match step {
        Step::Write(_, content) => fs::write(&path, vec![*content; usize::from(*content) * 40]).expect("written"),
        Step::Append(_) if is_file && fs::metadata(&path).expect("a file").len() > 0 => {
            use std::io::Write as _;
            fs::OpenOptions::new().append(true).open(&path).expect("open").write_all(b"more").expect("written");
        }
        Step::Folder(_) if !is_there => fs::create_dir(&path).expect("made"),
        Step::Again(_) => fs::create_dir(&path).expect("made"),
        Step::Rename(_, to) | Step::Link(_, to) if is_file => {
            let other = at(to);
            let fits = other.parent().is_some_and(|folder| fs::symlink_metadata(folder).is_ok_and(|m| m.is_dir()))
                && other.ancestors().skip(1).take_while(|&a| a != root).all(|a| !a.is_symlink());
            if !fits || fs::symlink_metadata(&other).is_ok() {
                return;
            }
            if matches!(step, Step::Rename(..)) {
                fs::rename(&path, &other).expect("renamed");
            } else {
                fs::hard_link(&path, &other).expect("linked");
                shared.extend([below, PathBuf::from(to)]);
            }
        }
        Step::Mode(_, mode) if is_there && !is_link => {
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("set");
        }
        Step::Owner(_, owner) if is_there && !is_link => give(&path, *owner, *owner, ids).expect("given"),
        Step::Symlink(_) => symlink("../target", &path).expect("made"),
        Step::Device(_) => make_node(&path, NodeKind::Char, 1, 3, 0o640, ids).expect("made"),
        Step::Attribute(_, value) if is_file => {
            rustix::fs::setxattr(&path, "user.x", &[*value], rustix::fs::XattrFlags::empty()).expect("set");
        }
        _ => {}
    }
}

/// Gives everything the same time: it differs from run to run otherwise. This also copies every file up, of
/// which none may be left because of that.
fn set_times(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("a file");
        if metadata.is_dir() {
            set_times(&path);
        }
        // fuse-overlayfs cannot copy a device up to set the time that it has.
        if metadata.file_type().is_char_device() && metadata.mtime() == 1_000_000_000 {
            continue;
        }
        let time = rustix::fs::Timespec { tv_sec: 1_000_000_000, tv_nsec: 123_456_789 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, flags).expect("set");
    }
}

/// Does all rounds of steps with one kind; gives the layers.
fn run(kind: Kind, ids: Ids, rounds: &[Vec<Step>]) -> Vec<Layer> {
    let place = tempfile::tempdir().expect("a folder");
    let snapshotter = Snapshotter::probe(place.path(), Some(kind), ids).expect("every kind works where this runs");
    let (mut parents, mut layers) = (Vec::new(), Vec::new());
    let mut shared = HashSet::new();
    for (number, steps) in rounds.iter().enumerate() {
        let work = place.path().join(number.to_string());
        fs::create_dir(&work).expect("a folder");
        let workspace = snapshotter.workspace(&parents, &work).expect("a workspace");
        for step in steps {
            apply(workspace.root(), step, &mut shared, ids);
        }
        set_times(workspace.root());
        let left = seen::on_disk(workspace.root(), ids);
        let layer = workspace.finish(&HashMap::new(), &Owners::default()).expect("a layer");
        let files = work.join("fs");
        let mut tar = Vec::new();
        write_tar(&layer, &files, &mut tar).expect("written");
        assert_eq!(Layer::read(&tar[..], Limits::default()).expect("a tar"), layer, "{kind}");
        layers.push(layer);
        parents.push(files);
        assert_eq!(seen::in_layers(&layers), left, "{kind}: round {number} of {rounds:?}");
        let view = snapshotter.view(&parents, &work).expect("a view");
        assert_eq!(seen::on_disk(view.root(), ids), left, "{kind}: the view of round {number} of {rounds:?}");
    }
    remove_tree(place.path()).expect("removed");
    layers
}

/// The random steps, with each of `kinds`.
pub(crate) fn all_agree(kinds: &[Kind], ids: Ids, cases: u32) {
    let rounds = prop::collection::vec(prop::collection::vec(step(), 0..9), 1..4);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&rounds, |rounds| {
        let first = run(kinds[0], ids, &rounds);
        for &kind in &kinds[1..] {
            let other = run(kind, ids, &rounds);
            assert_eq!(seen::in_layers(&other), seen::in_layers(&first), "{kind}");
            assert_eq!(seen::links_in_layers(&other), seen::links_in_layers(&first), "{kind}: {rounds:?}");
        }
        Ok(())
    });
    result.expect("they agree");
}

#[test]
fn all_kinds_keep_the_same() {
    crate::ordinary::needs_root();
    all_agree(&[Kind::Overlay, Kind::Copy, Kind::FuseOverlayfs], Ids::Many, 24);
}
