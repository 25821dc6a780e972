//! Random layers over few names, so that entries collide, change their type and go through links often.

use jettison_image::tar::Mtime;
use jettison_image::text::{Attributes, Content, EntryText, LayerText, What};
use proptest::prelude::{Just, Strategy, prop, prop_oneof};
use proptest::sample::select;

pub(crate) fn layer() -> impl Strategy<Value = LayerText> {
    prop::collection::vec(entry(), 0..10).prop_map(|entries| LayerText { history: None, entries })
}

/// A path of one to three names; seldom the root.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let name = || select(vec!["a", "b", "c"]);
    prop_oneof![
        1 => Just(String::new()),
        8 => name().prop_map(str::to_owned),
        8 => (name(), name()).prop_map(|(first, second)| format!("{first}/{second}")),
        4 => (name(), name(), name()).prop_map(|(first, second, third)| format!("{first}/{second}/{third}")),
    ]
    .prop_map(String::into_bytes)
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let targets =
        ["a", "b", "c", "a/b", "../a", "/b", "/c/a", "..", ".", "/", "../../../c", "a/../b", "n", "", ".wh.a"];
    select(targets.to_vec()).prop_map(|target| target.as_bytes().to_vec())
}

fn content() -> impl Strategy<Value = Content> {
    let fill =
        (0..5000_u64, select(vec!["x", "yz"])).prop_map(|(size, unit)| Content::Fill { size, unit: unit.into() });
    prop_oneof![
        4 => select(vec!["", "1", "2"]).prop_map(|text| Content::Literal(text.into())),
        1 => fill,
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        6 => content().prop_map(What::File),
        4 => Just(What::Directory),
        3 => target().prop_map(What::Symlink),
        4 => path().prop_map(What::HardLink),
        1 => Just(What::CharDevice(1, 3)),
        1 => Just(What::BlockDevice(1, 3)),
        1 => Just(What::Fifo),
        5 => Just(What::Whiteout),
        2 => Just(What::Opaque),
    ]
}

/// Metadata of few values: an entry that says what the lower one said is a case of its own.
fn attributes() -> impl Strategy<Value = Attributes> {
    let mtime = select(vec![(0, 0), (0, 0), (7, 0), (-2, 500_000_000)]);
    let xattrs = select(vec![vec![], vec![], vec![], vec![(b"user.x".to_vec(), b"1".to_vec())]]);
    (select(vec![0o644, 0o755, 0o4755]), select(vec![0, 0, 3_000_000]), mtime, xattrs).prop_map(
        |(mode, uid, (seconds, nanos), xattrs)| Attributes {
            mode,
            uid,
            gid: 0,
            mtime: Mtime { seconds, nanos },
            xattrs,
        },
    )
}

fn entry() -> impl Strategy<Value = EntryText> {
    let parts = (path(), what(), attributes());
    // A whiteout of the root has no name that a tar could hold.
    let parts =
        parts.prop_filter("a whiteout has a name", |(path, what, _)| !path.is_empty() || *what != What::Whiteout);
    parts.prop_map(|(path, what, attributes)| {
        let attributes = if what.has_attributes() { attributes } else { Attributes::default() };
        EntryText { path, what, attributes }
    })
}
