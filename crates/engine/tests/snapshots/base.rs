//! Base images: what is unpacked is what the merged tree says, wherever hostile names would lead.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jettison_engine::ids::Ids;
use jettison_engine::snapshot::{BaseLayer, SnapshotError, remove_tree, unpack, write_tar};
use jettison_image::layer::NewEntry;
use jettison_image::tar::{END, Extent, Mtime, padding};
use jettison_image::{Digest, Kind, Layer, LayerBuilder, Limits};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::seen;

/// Path, kind, link target or content, mode, owner.
type Made = (String, Kind, String, u16, u32);

/// A layer of entries with little content, as the tar of it and as it is read.
fn layer(entries: &[Made]) -> (Layer, Vec<u8>) {
    let mut builder = LayerBuilder::default();
    let xattrs = [(b"user.x".to_vec(), b"1".to_vec())];
    for (path, kind, text, mode, owner) in entries {
        let runs = [Extent { offset: 70_000, length: text.len() as u64 }];
        let is_sparse = *kind == Kind::File && text.len() > 3;
        let mut content = vec![0; if is_sparse { 70_000 } else { 0 }];
        content.extend_from_slice(text.as_bytes());
        let new = NewEntry {
            mode: *mode,
            uid: *owner,
            gid: *owner,
            mtime: Mtime { seconds: 1_000_000_000, nanos: 7 },
            size: content.len() as u64,
            digest: Digest::of(&content),
            link: text.as_bytes(),
            device: (1, 3),
            xattrs: if *kind == Kind::File { &xattrs } else { &[] },
            sparse: is_sparse.then_some(&runs),
            ..NewEntry::new(path.as_bytes(), *kind)
        };
        builder.push(&new).expect("a name that a layer may hold");
    }
    let layer = builder.finish();
    let mut tar = Vec::new();
    for (entry, made) in layer.entries.iter().zip(entries) {
        let stored = layer.header(entry, &mut tar);
        if entry.kind == Kind::File {
            tar.extend_from_slice(made.2.as_bytes());
            tar.extend_from_slice(&END[..padding(stored)]);
        }
    }
    tar.extend_from_slice(&END);
    (layer, tar)
}

fn unpack_all(layers: &[(Layer, Vec<u8>)], to: &Path, ids: Ids) -> Result<Layer, SnapshotError> {
    let mut open: Vec<_> = layers
        .iter()
        .map(|(_, tar)| {
            let tar = tar.clone();
            move || Ok::<Box<dyn Read>, io::Error>(Box::new(io::Cursor::new(tar.clone())))
        })
        .collect();
    let mut layers: Vec<BaseLayer<'_>> =
        layers.iter().zip(&mut open).map(|((layer, _), open)| BaseLayer { layer, open }).collect();
    unpack(&mut layers, to, ids)
}

fn entry() -> impl Strategy<Value = Made> {
    let name = || select(vec!["a", "b", "c"]);
    let path = prop_oneof![
        name().prop_map(str::to_owned),
        (name(), name()).prop_map(|(a, b)| format!("{a}/{b}")),
        (name(), name(), name()).prop_map(|(a, b, c)| format!("{a}/{b}/{c}")),
    ];
    let link = select(vec!["a", "/b", "../../../../tmp", "/", "b/c", "."]);
    let other = prop_oneof![
        4 => select(vec!["", "1", "22", "sparse"]).prop_map(|text| (Kind::File, text.to_owned())),
        4 => Just((Kind::Directory, String::new())),
        2 => link.prop_map(|link| (Kind::Symlink, link.to_owned())),
        2 => (name(), name()).prop_map(|(a, b)| (Kind::HardLink, format!("{a}/{b}"))),
        1 => Just((Kind::CharDevice, String::new())),
        1 => Just((Kind::Fifo, String::new())),
        2 => Just((Kind::Whiteout, String::new())),
        1 => Just((Kind::Opaque, String::new())),
    ];
    (path, other, select(vec![0o644, 0o755, 0o4711, 0]), select(vec![0, 12]))
        .prop_map(|(path, (kind, text), mode, owner)| (path, kind, text, mode, owner))
}

/// Random layers, unpacked and written as a tar again.
pub(crate) fn random_bases(ids: Ids, cases: u32) {
    let layers = (prop::collection::vec(prop::collection::vec(entry(), 0..9), 1..4), any::<bool>());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&layers, |(layers, _)| {
        let layers: Vec<_> = layers.iter().map(|entries| layer(entries)).collect();
        let values: Vec<Layer> = layers.iter().map(|(layer, _)| layer.clone()).collect();
        let place = tempfile::tempdir().expect("a folder");
        let to = place.path().join("fs");
        match unpack_all(&layers, &to, ids) {
            Ok(merged) => {
                assert_eq!(seen::on_disk(&to, ids), seen::in_layers(&values));
                assert_eq!(seen::in_layers(std::slice::from_ref(&merged)), seen::in_layers(&values));
                assert_eq!(seen::links_on_disk(&to), seen::links_in_layers(&values));
                let mut tar = Vec::new();
                write_tar(&merged, &to, &mut tar).expect("written");
                assert_eq!(Layer::read(&tar[..], Limits::default()).expect("a tar"), merged);
            }
            // Not all random layers fit on each other.
            Err(SnapshotError::Tree(_)) => assert!(!to.exists()),
            Err(error) => panic!("{error:?}"),
        }
        remove_tree(place.path()).expect("removed");
        Ok(())
    });
    result.expect("they agree");
}

#[test]
fn what_is_unpacked_is_the_merged_tree() {
    crate::ordinary::needs_root();
    random_bases(Ids::Many, 128);
    random_bases(Ids::One, 64);
}

#[test]
fn nothing_is_written_outside() {
    let place = tempfile::tempdir().expect("a folder");
    let outside = place.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    let to = place.path().join("fs");
    let made = |path: &str, kind, text: &str| (path.to_owned(), kind, text.to_owned(), 0o644, 0);
    let layers = [
        layer(&[
            made("absolute", Kind::Symlink, &outside.display().to_string()),
            made("relative", Kind::Symlink, "../outside"),
        ]),
        layer(&[made("absolute/one", Kind::File, "1"), made("relative/two", Kind::File, "2")]),
    ];
    unpack_all(&layers, &to, Ids::One).expect("unpacked");
    assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0);
    assert_eq!(fs::read(to.join("outside/two")).expect("within the root"), b"2");
    assert!(to.join(outside.strip_prefix("/").expect("absolute")).join("one").exists());
}

#[test]
fn holes_stay_holes_and_attributes_of_drivers_are_not_set() {
    let place = tempfile::tempdir().expect("a folder");
    let to = place.path().join("fs");
    let mut builder = LayerBuilder::default();
    let runs = [Extent { offset: 8 << 20, length: 3 }];
    let content = [&vec![0; 8 << 20][..], b"end"].concat();
    let xattrs = [(b"user.overlay.opaque".to_vec(), b"y".to_vec()), (b"user.jettison.owner".to_vec(), b"5:5".to_vec())];
    let new = NewEntry {
        mode: 0o644,
        size: content.len() as u64,
        digest: Digest::of(&content),
        xattrs: &xattrs,
        sparse: Some(&runs),
        ..NewEntry::new(b"file", Kind::File)
    };
    builder.push(&new).expect("a name");
    let layer = builder.finish();
    let mut tar = Vec::new();
    layer.header(&layer.entries[0], &mut tar);
    tar.extend_from_slice(b"end");
    tar.extend_from_slice(&END[..padding(3)]);
    tar.extend_from_slice(&END);
    unpack_all(&[(layer, tar)], &to, Ids::One).expect("unpacked");
    let file = to.join("file");
    assert!(fs::read(&file).expect("a file") == content);
    assert!(fs::metadata(&file).expect("a file").blocks() * 512 < 1 << 20, "the hole was filled");
    let mut value = [0_u8; 8];
    for name in ["user.overlay.opaque", "user.jettison.owner"] {
        rustix::fs::getxattr(&file, name, &mut value[..]).expect_err(name);
    }
}

#[test]
fn a_tar_that_is_another_one_is_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let made = |text: &str| ("file".to_owned(), Kind::File, text.to_owned(), 0o644, 0);
    let (layer_of_one, _) = layer(&[made("1")]);
    for other in [layer(&[made("22")]).1, layer(&[]).1] {
        let to = place.path().join("fs");
        let refused = unpack_all(&[(layer_of_one.clone(), other)], &to, Ids::One).expect_err("another one");
        assert!(matches!(refused, SnapshotError::Changed { layer: 1 }), "{refused:?}");
        remove_tree(&to).expect("removed");
    }
}
