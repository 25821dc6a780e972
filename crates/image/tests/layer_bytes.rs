//! Layers that are built entry by entry, and layers as bytes: what comes back is what was put in, and
//! damaged bytes are refused.

use jettison_image::layer::NewEntry;
use jettison_image::tar::{END, Extent, Mtime, padding};
use jettison_image::{Digest, Kind, Layer, LayerBuilder, Limits};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

/// One random entry, owned.
#[derive(Clone, Debug)]
struct Owned {
    path: Vec<u8>,
    kind: Kind,
    mode: u16,
    ids: (u32, u32),
    mtime: (i64, u32),
    content: Vec<u8>,
    link: Vec<u8>,
    device: (u32, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    is_sparse: bool,
}

fn entries() -> impl Strategy<Value = Vec<Owned>> {
    let name = || prop::collection::vec(97..123_u8, 1..90);
    let path = prop::collection::vec(name(), 1..4).prop_map(|names| names.join(&b'/'));
    let kind = prop_oneof![
        6 => Just(Kind::File),
        3 => Just(Kind::Directory),
        1 => Just(Kind::Symlink),
        1 => Just(Kind::HardLink),
        1 => Just(Kind::CharDevice),
        1 => Just(Kind::BlockDevice),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Whiteout),
        1 => Just(Kind::Opaque),
    ];
    let times = (-(1_i64 << 40)..1 << 40, 0..1_000_000_000_u32);
    let xattrs = prop::collection::btree_map(
        prop::collection::vec(97..123_u8, 1..9).prop_map(|name| [b"user.", &name[..]].concat()),
        prop::collection::vec(any::<u8>(), 0..20),
        0..3,
    );
    let content = prop::collection::vec(any::<u8>(), 0..1500);
    let rest =
        (0..0o10000_u16, any::<(u32, u32)>(), times, content, name(), any::<(u32, u32)>(), xattrs, any::<bool>());
    let entry =
        (path, kind, rest).prop_map(|(path, kind, (mode, ids, mtime, content, link, device, xattrs, sparse))| {
            let marks = matches!(kind, Kind::Whiteout | Kind::Opaque);
            Owned {
                path,
                kind,
                mode: if marks { 0 } else { mode },
                ids: if marks { (0, 0) } else { ids },
                mtime: if marks { (0, 0) } else { mtime },
                content,
                link,
                device,
                xattrs: xattrs.into_iter().collect(),
                is_sparse: sparse,
            }
        });
    prop::collection::vec(entry, 0..8)
}

/// A sparse file's content is a run, a hole of 700 bytes, and one byte.
fn whole(entry: &Owned) -> Vec<u8> {
    if entry.is_sparse { [&entry.content[..], &[0; 700], b"x"].concat() } else { entry.content.clone() }
}

fn build(entries: &[Owned]) -> (Layer, Vec<u8>) {
    let mut builder = LayerBuilder::default();
    for entry in entries {
        let length = entry.content.len() as u64;
        let runs = [Extent { offset: 0, length }, Extent { offset: length + 700, length: 1 }];
        let content = whole(entry);
        let new = NewEntry {
            mode: entry.mode,
            uid: entry.ids.0,
            gid: entry.ids.1,
            mtime: Mtime { seconds: entry.mtime.0, nanos: entry.mtime.1 },
            size: content.len() as u64,
            digest: Digest::of(&content),
            link: &entry.link,
            device: entry.device,
            xattrs: &entry.xattrs,
            sparse: entry.is_sparse.then_some(&runs),
            ..NewEntry::new(&entry.path, entry.kind)
        };
        builder.push(&new).expect("a name that a layer may hold");
    }
    let layer = builder.finish();
    let mut tar = Vec::new();
    for (entry, owned) in layer.entries.iter().zip(entries) {
        let stored = layer.header(entry, &mut tar);
        assert_eq!(tar.len() as u64, entry.data_offset);
        if entry.kind == Kind::File {
            tar.extend_from_slice(&owned.content);
            tar.extend_from_slice(if owned.is_sparse { b"x" } else { b"" });
            tar.resize(tar.len() + padding(stored), 0);
        }
    }
    tar.extend_from_slice(&END);
    (layer, tar)
}

proptest! {
    #[test]
    fn a_built_layer_is_the_one_that_its_tar_reads_as(entries in entries()) {
        let (layer, tar) = build(&entries);
        let read = Layer::read(&tar[..], Limits::default()).expect("a valid tar");
        prop_assert_eq!(&read, &layer);
        prop_assert_eq!(Layer::from_bytes(&layer.to_bytes()), Ok(layer));
    }

    #[test]
    fn damage_is_refused(entries in entries(), at: prop::sample::Index, bits in 1..=255_u8) {
        let mut bytes = build(&entries).0.to_bytes();
        let at = at.index(bytes.len());
        prop_assert!(Layer::from_bytes(&bytes[..at]).is_err());
        bytes[at] ^= bits;
        prop_assert!(Layer::from_bytes(&bytes).is_err());
    }

    /// Damage with a right digest is still no way to a panic: what is accepted can be looked at and written.
    #[test]
    fn forged_bytes_never_panic(entries in entries(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = build(&entries).0.to_bytes();
        let body = bytes.len() - 32;
        for (at, value) in changes {
            bytes[8 + at.index(body - 8)] = value;
        }
        let digest = Digest::of(&bytes[..body]);
        bytes[body..].copy_from_slice(&digest.0);
        if let Ok(layer) = Layer::from_bytes(&bytes) {
            for entry in &layer.entries {
                let seen = (layer.path(entry), layer.link(entry), layer.xattrs(entry), layer.sparse(entry));
                prop_assert!(seen.0.len() <= bytes.len());
            }
            let again = layer.to_bytes();
            prop_assert_eq!(Layer::from_bytes(&again), Ok(layer));
        }
    }
}

#[test]
fn names_that_would_be_whiteouts_are_refused() {
    for path in [&b".wh.a"[..], b"a/.wh..wh..opq", b"a/.wh.b/c", b".wh..wh.plnk", b"../a"] {
        let mut builder = LayerBuilder::default();
        assert!(builder.push(&NewEntry::new(path, Kind::File)).is_err(), "{path:?}");
    }
}
