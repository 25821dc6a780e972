//! What a container sees is there; of the rest, what can be told is not.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use jettison_image::{Limits, Tree};
use proptest::prelude::*;

use super::*;

/// One entry of a layer.
#[derive(Clone, Debug)]
enum Op {
    File(String, u8),
    Folder(String),
    Symlink(String, String),
    HardLink(String, String),
    Whiteout(String),
    Opaque(String),
}

fn tar_of(ops: &[Op]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut entry = |path: &str, kind: tar::EntryType, link: Option<&str>, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        match link {
            Some(link) => tar.append_link(&mut header, path, link),
            None => tar.append_data(&mut header, path, content),
        }
        .expect("packs");
    };
    let hidden = |path: &str| match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/.wh.{name}"),
        None => format!(".wh.{path}"),
    };
    for op in ops {
        match op {
            Op::File(path, byte) => entry(path, tar::EntryType::Regular, None, &vec![*byte; 20_000]),
            Op::Folder(path) => entry(path, tar::EntryType::Directory, None, b""),
            Op::Symlink(path, to) => entry(path, tar::EntryType::Symlink, Some(to), b""),
            Op::HardLink(path, to) => entry(path, tar::EntryType::Link, Some(to), b""),
            Op::Whiteout(path) => entry(&hidden(path), tar::EntryType::Regular, None, b""),
            Op::Opaque(path) => entry(&format!("{path}/.wh..wh..opq"), tar::EntryType::Regular, None, b""),
        }
    }
    tar.into_inner().expect("packs")
}

/// Layers as files of their own, after all of them were read in this order.
struct Stack {
    tars: Vec<Vec<u8>>,
    layers: Vec<Arc<Layer>>,
    sections: Vec<Section>,
    files: Vec<std::fs::File>,
}

fn stack(layers: &[Vec<Op>], order: &[usize]) -> Stack {
    let tars: Vec<Vec<u8>> = layers.iter().map(|ops| tar_of(ops)).collect();
    let layers: Vec<Arc<Layer>> =
        tars.iter().map(|tar| Arc::new(Layer::read(tar.as_slice(), Limits::default()).expect("a layer"))).collect();
    let file = |tar: &Vec<u8>| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(tar).expect("writes");
        file
    };
    let files: Vec<std::fs::File> = tars.iter().map(file).collect();
    let section = |file: &std::fs::File| Section::whole(file.try_clone().expect("a file")).expect("a section");
    let sections: Vec<Section> = files.iter().map(section).collect();
    let cover = Cover::new(layers.len());
    for &at in order {
        cover.add(at, &layers[at], Some(sections[at].clone()));
    }
    Stack { tars, layers, sections, files }
}

impl Stack {
    fn content(&self, layer: usize, entry: usize) -> (Vec<u8>, &[u8]) {
        let entry = &self.layers[layer].entries[entry];
        let mut content = vec![0; usize::try_from(entry.size).expect("small")];
        self.sections[layer].read_at(entry.data_offset, &mut content).expect("reads");
        let start = usize::try_from(entry.data_offset).expect("small");
        let length = content.len();
        (content, &self.tars[layer][start..start + length])
    }

    /// Everything that a container sees is as it was. How many files are not seen, and of how many of these nothing is left.
    fn check(&self) -> (usize, usize) {
        let Ok(tree) = Tree::of(self.layers.iter().map(|layer| &**layer)) else { return (0, 0) };
        let mut seen = HashSet::new();
        for node in tree.walk() {
            let origin = tree.origin(node);
            if let Some(entry) = origin.entry.filter(|_| tree.kind(node) == Kind::File) {
                seen.insert((origin.layer, entry));
                let (content, original) = self.content(origin.layer, entry);
                assert!(content == original, "{:?}", String::from_utf8_lossy(&tree.path(node)));
            }
        }
        let (mut unseen, mut gone) = (0, 0);
        for (at, layer) in self.layers.iter().enumerate() {
            for (number, entry) in layer.entries.iter().enumerate() {
                if entry.kind == Kind::File && !seen.contains(&(at, number)) {
                    unseen += 1;
                    gone += usize::from(self.content(at, number).0.iter().all(|byte| *byte == 0));
                }
            }
        }
        (unseen, gone)
    }
}

fn names() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b"], 1..4).prop_map(|parts| parts.join("/"))
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (names(), 1..=255_u8).prop_map(|(path, byte)| Op::File(path, byte)),
        3 => names().prop_map(Op::Folder),
        2 => (names(), names()).prop_map(|(path, to)| Op::Symlink(path, format!("/{to}"))),
        1 => (names(), names()).prop_map(|(path, to)| Op::HardLink(path, to)),
        2 => names().prop_map(Op::Whiteout),
        1 => names().prop_map(Op::Opaque),
    ];
    // Most builders list the folders above what they list.
    (proptest::collection::vec(op, 1..6), any::<bool>()).prop_map(|(ops, lists_folders)| {
        let mut all: Vec<Op> = Vec::new();
        for op in ops {
            if let (true, Op::File(path, _) | Op::HardLink(path, _)) = (lists_folders, &op) {
                all.extend(path.match_indices('/').map(|(at, _)| Op::Folder(path[..at].to_owned())));
            }
            all.push(op);
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_container_sees_stays(
        (layers, order) in proptest::collection::vec(ops(), 1..5).prop_flat_map(|layers| {
            let order = Just((0..layers.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(layers), order)
        }),
    ) {
        stack(&layers, &order).check();
    }
}

fn file(path: &str) -> Op {
    Op::File(path.to_owned(), 7)
}

fn folder(path: &str) -> Op {
    Op::Folder(path.to_owned())
}

#[test]
fn what_upper_layers_hide_takes_no_room() {
    let below = vec![folder("a"), folder("a/b"), file("a/b/written"), file("a/b/removed"), file("a/kept"), file("top")];
    let layers = [
        below.clone(),
        vec![folder("a"), folder("a/b"), file("a/b/written"), Op::Whiteout("a/b/removed".to_owned())],
        vec![Op::Symlink("top".to_owned(), "a".to_owned())],
    ];
    for order in [[2, 1, 0], [0, 1, 2], [1, 0, 2]] {
        let stack = stack(&layers, &order);
        assert_eq!(stack.check(), (3, 3), "{order:?}");
        let blocks: Vec<u64> =
            stack.files.iter().map(|file| file.metadata().expect("its size").blocks() * 512).collect();
        assert!(blocks[0] < 45_000, "{blocks:?}: one file of 20 kB and the ends of three others");
        assert!(blocks[1] > 20_000, "{blocks:?}");
    }
    let whole = [below, vec![Op::Opaque("a".to_owned())], vec![file("a")]];
    assert_eq!(stack(&whole, &[0, 1, 2]).check(), (3, 3));
}

#[test]
fn what_names_do_not_tell_stays() {
    let hidden = vec![file("b/x")];
    let hard = vec![folder("b"), file("b/x"), Op::HardLink("y".to_owned(), "b/x".to_owned())];
    let own = |ops: Vec<Op>| [ops, hidden.clone()];
    // The folder may be a link in a lower layer.
    assert_eq!(stack(&own(vec![file("b/x")]), &[0, 1]).check(), (1, 0));
    assert_eq!(stack(&own(vec![folder("b"), file("b/x")]), &[0, 1]).check(), (1, 1));
    // Its other name is seen.
    assert_eq!(stack(&own(hard), &[0, 1]).check(), (0, 0));
    // The layer above has another name for it.
    let linked = [vec![folder("b"), file("b/x")], vec![Op::HardLink("y".to_owned(), "b/x".to_owned())], hidden.clone()];
    assert_eq!(stack(&linked, &[2, 1, 0]).check(), (0, 0));
}
