//! A test of the tester: whatever single thing is changed in an image, the judge says so, and where.

use bstr::ByteSlice as _;
use jettison_image::text::{Content, EntryText, ImageText, Item, LayerText, What};
use jettison_image::{Config, Digest, Layer, Tree};
use jettison_ir::{Difference, Place, Verdict};
use jettison_verify::{Side, judge};
use proptest::prelude::{Strategy, any, prop, proptest};
use proptest::sample::Index;
use proptest::test_runner::Config as Cases;
use serde_json::{Map, Value, json};

/// An image of one layer, which is enough: the judge sees merged trees.
#[derive(Clone, Debug)]
struct Image {
    entries: Vec<EntryText>,
    settings: Map<String, Value>,
    /// The texts of metadata-only instructions.
    metadata: Vec<String>,
}

impl Image {
    fn layers(&self) -> Vec<Layer> {
        let layer = LayerText { history: None, entries: self.entries.clone() };
        ImageText { items: vec![Item::Layer(layer)], ..ImageText::default() }.layers().expect("a valid layer")
    }

    fn document(&self) -> Value {
        let mut history: Vec<Value> =
            self.metadata.iter().map(|text| json!({ "created_by": text, "empty_layer": true })).collect();
        history.insert(history.len() / 2, json!({ "created_by": "RUN x" }));
        let mut document = self.settings.clone();
        document.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": [Digest::of(b"")] }));
        document.insert("history".to_owned(), Value::from(history));
        Value::Object(document)
    }
}

fn config(document: &Value) -> Config {
    Config::parse(document.to_string().as_bytes()).expect("a config")
}

fn judged(before: (&Image, &Value), after: (&Image, &Value)) -> Verdict {
    let (old, new) = (before.0.layers(), after.0.layers());
    let (old, new) = (Tree::of(&old).expect("applies"), Tree::of(&new).expect("applies"));
    let (old_config, new_config) = (config(before.1), config(after.1));
    let before = Side { tree: &old, config: &old_config };
    judge(before, Side { tree: &new, config: &new_config }, &[], None)
}

fn place_of(entry: &EntryText) -> Place {
    Place::Path(format!("/{}", entry.path.escape_bytes()))
}

/// The judge finds the mutation, at one of these places, and in both directions.
#[track_caller]
fn caught(what: &str, before: &Image, after: &Image, places: &[Place]) {
    let (old, new) = (before.document(), after.document());
    for verdict in [judged((before, &old), (after, &new)), judged((after, &new), (before, &old))] {
        let found = verdict.differences.iter().any(|difference| places.contains(&difference.place));
        assert!(found, "{what} at {places:?} of {before:#?}\nfound: {:#?}", verdict.differences);
    }
}

/// The mutations of one entry that leave it what it is; each is named.
fn changed(entry: &EntryText) -> Vec<(&'static str, EntryText)> {
    let mut out = Vec::new();
    let mut add = |what, edit: &dyn Fn(&mut EntryText)| {
        let mut changed = entry.clone();
        edit(&mut changed);
        out.push((what, changed));
    };
    if entry.what.has_attributes() {
        for bit in 0..12 {
            add("mode", &|entry| entry.attributes.mode ^= 1 << bit);
        }
        add("uid", &|entry| entry.attributes.uid ^= 1);
        add("uid above 16 bits", &|entry| entry.attributes.uid ^= 1 << 31);
        add("gid", &|entry| entry.attributes.gid ^= 1);
        add("mtime, seconds", &|entry| entry.attributes.mtime.seconds += 1);
        add("mtime, before 1970", &|entry| entry.attributes.mtime.seconds = -entry.attributes.mtime.seconds - 1);
        add("mtime, nanoseconds", &|entry| entry.attributes.mtime.nanos ^= 1);
        add("xattr added", &|entry| entry.attributes.xattrs.push((b"user.zz".to_vec(), Vec::new())));
        for at in 0..entry.attributes.xattrs.len() {
            add("xattr removed", &|entry| drop(entry.attributes.xattrs.remove(at)));
            add("xattr's name", &|entry| entry.attributes.xattrs[at].0.push(b'x'));
            add("xattr's value", &|entry| entry.attributes.xattrs[at].1.push(0));
        }
    }
    match &entry.what {
        What::File(Content::Literal(bytes)) => {
            let longer = [&bytes[..], b"\0"].concat();
            add("longer", &|entry| entry.what = What::File(Content::Literal(longer.clone())));
            if !bytes.is_empty() {
                let shorter = bytes[1..].to_vec();
                add("shorter", &|entry| entry.what = What::File(Content::Literal(shorter.clone())));
                let mut other = bytes.clone();
                other[0] ^= 1;
                add("content", &|entry| entry.what = What::File(Content::Literal(other.clone())));
            }
        }
        What::Symlink(target) => {
            let (longer, shorter) = ([&target[..], b"/"].concat(), target[1..].to_vec());
            add("target", &|entry| entry.what = What::Symlink(longer.clone()));
            add("target", &|entry| entry.what = What::Symlink(shorter.clone()));
        }
        &What::CharDevice(major, minor) => {
            add("major", &|entry| entry.what = What::CharDevice(major ^ 1, minor));
            add("minor", &|entry| entry.what = What::CharDevice(major, minor ^ 1));
        }
        &What::BlockDevice(major, minor) => {
            add("major", &|entry| entry.what = What::BlockDevice(major ^ 1, minor));
            add("minor", &|entry| entry.what = What::BlockDevice(major, minor ^ 1));
        }
        _ => {}
    }
    out
}

/// Every kind of entry.
fn kinds() -> [What; 6] {
    [
        What::File(Content::Literal(b"content".to_vec())),
        What::Directory,
        What::Symlink(b"target".to_vec()),
        What::CharDevice(1, 3),
        What::BlockDevice(1, 3),
        What::Fifo,
    ]
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"))
}

/// Without an entry, what lies below it, and the links to any of that.
fn without(image: &Image, at: usize) -> Image {
    let gone = image.entries[at].path.clone();
    let mut image = image.clone();
    let is_gone = |path: &[u8]| path == gone || is_below(path, &gone);
    image.entries.retain(|entry| {
        let target = if let What::HardLink(target) = &entry.what { is_gone(target) } else { false };
        !is_gone(&entry.path) && !target
    });
    image
}

fn with_entry(image: &Image, at: usize, entry: EntryText) -> Image {
    let mut image = image.clone();
    image.entries[at] = entry;
    image
}

/// Every single mutation of every entry.
fn check_tree(image: &Image) {
    for (at, entry) in image.entries.iter().enumerate() {
        let place = [place_of(entry)];
        for (what, changed) in changed(entry) {
            caught(what, image, &with_entry(image, at, changed), &place);
        }
        caught("removed", image, &without(image, at), &place);
        let mut added = image.clone();
        added.entries.push(EntryText {
            path: [&entry.path[..], b"-new"].concat(),
            what: What::Fifo,
            attributes: entry.attributes.clone(),
        });
        caught("added", image, &added, &[place_of(&added.entries[added.entries.len() - 1])]);
        let is_linked = image.entries.iter().any(|other| other.what == What::HardLink(entry.path.clone()));
        if let What::HardLink(target) = &entry.what {
            check_link(image, at, target);
        } else if !is_linked {
            check_type(image, at);
        }
    }
}

/// The entry as something else.
fn check_type(image: &Image, at: usize) {
    let entry = &image.entries[at];
    for kind in kinds() {
        if std::mem::discriminant(&kind) == std::mem::discriminant(&entry.what) {
            continue;
        }
        let mut after = if entry.what == What::Directory { without(image, at) } else { image.clone() };
        after.entries.retain(|other| other.path != entry.path);
        after.entries.push(EntryText { what: kind, ..entry.clone() });
        caught("type", image, &after, &[place_of(entry)]);
    }
}

/// A link that becomes a file of its own, or a link to another file that looks the same.
fn check_link(image: &Image, at: usize, target: &[u8]) {
    let link = &image.entries[at];
    let file = image.entries.iter().find(|entry| entry.path == target).expect("a target");
    let places = [place_of(link), place_of(file)];
    let split = EntryText { path: link.path.clone(), ..file.clone() };
    caught("split", image, &with_entry(image, at, split), &places);
    // A twin of the file, and another link to it.
    let twin = EntryText { path: b"zz-twin".to_vec(), ..file.clone() };
    let to_twin =
        EntryText { path: b"zz-twin2".to_vec(), what: What::HardLink(twin.path.clone()), ..EntryText::of_nothing() };
    let mut twins = image.clone();
    twins.entries.extend([twin.clone(), to_twin.clone()]);
    let repointed = EntryText { what: What::HardLink(twin.path.clone()), ..link.clone() };
    let places = [place_of(link), place_of(file), place_of(&twin), place_of(&to_twin)];
    caught("re-pointed", &twins, &with_entry(&twins, at, repointed.clone()), &places);
    // Two links change places: the numbers of links stay what they were.
    let mut swapped = with_entry(&twins, at, repointed);
    let last = swapped.entries.len() - 1;
    swapped.entries[last].what = What::HardLink(file.path.clone());
    caught("swapped", &twins, &swapped, &places);
    let mut joined = twins.clone();
    joined.entries[last - 1] = EntryText { what: What::HardLink(file.path.clone()), ..to_twin.clone() };
    joined.entries[last - 1].path.clone_from(&twin.path);
    joined.entries[last].what = What::HardLink(file.path.clone());
    caught("joined", &twins, &joined, &places);
}

/// An entry without anything, to be filled.
trait OfNothing {
    fn of_nothing() -> Self;
}

impl OfNothing for EntryText {
    fn of_nothing() -> Self {
        Self { path: Vec::new(), what: What::Fifo, attributes: jettison_image::text::Attributes::default() }
    }
}

/// Every place within a value, as a list of keys and positions.
fn places(value: &Value, path: &mut Vec<Value>, out: &mut Vec<Vec<Value>>) {
    let mut below = |key: Value, value: &Value| {
        path.push(key);
        out.push(path.clone());
        places(value, path, out);
        path.pop();
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| below(json!(key), value)),
        Value::Array(array) => array.iter().enumerate().for_each(|(at, value)| below(json!(at), value)),
        _ => {}
    }
}

fn at<'v>(value: &'v mut Value, path: &[Value]) -> &'v mut Value {
    path.iter().fold(value, |value, key| match key {
        Value::String(key) => &mut value[key.as_str()],
        key => &mut value[usize::try_from(key.as_u64().expect("a position")).expect("a position")],
    })
}

/// The setting that a difference at this place of the config is reported as.
fn names(path: &[Value]) -> Vec<Place> {
    let text = |key: &Value| key.as_str().map(str::to_owned).unwrap_or_default();
    let first = text(&path[0]);
    let second = path.get(1).map(|key| format!("{first}.{}", text(key)));
    [Some(first), second].into_iter().flatten().map(Place::Setting).collect()
}

#[track_caller]
fn caught_setting(what: &str, image: &Image, after: &Value, expected: &[Place]) {
    let before = image.document();
    for verdict in [judged((image, &before), (image, after)), judged((image, after), (image, &before))] {
        let found = verdict.differences.iter().any(|difference| expected.contains(&difference.place));
        assert!(found, "{what} at {expected:?}: {before}\n{after}\nfound: {:#?}", verdict.differences);
    }
}

/// Every single mutation of every setting, however deep.
fn check_settings(image: &Image) {
    let settings = Value::Object(image.settings.clone());
    let mut found = Vec::new();
    places(&settings, &mut Vec::new(), &mut found);
    let mutated = |edit: &dyn Fn(&mut Value)| {
        let mut document = image.document();
        edit(&mut document);
        document
    };
    for path in &found {
        let (last, above) = path.split_last().expect("a place");
        let changed = mutated(&|document| {
            let value = at(document, path);
            *value = if *value == json!("other") { json!(1) } else { json!("other") };
        });
        caught_setting("changed", image, &changed, &names(path));
        let removed = mutated(&|document| match at(document, above) {
            Value::Object(object) => drop(object.shift_remove(last.as_str().expect("a key"))),
            Value::Array(array) => drop(array.remove(0)),
            _ => {}
        });
        caught_setting("removed", image, &removed, &names(path));
        let added = mutated(&|document| match at(document, above) {
            Value::Object(object) => drop(object.insert("added".to_owned(), Value::Null)),
            Value::Array(array) => array.push(Value::Null),
            _ => {}
        });
        let mut beside = above.to_vec();
        beside.push(json!("added"));
        caught_setting("added", image, &added, &[names(path), names(&beside)].concat());
    }
}

fn check_history(image: &Image) {
    let place = [Place::Setting("history".to_owned())];
    for at in 0..image.metadata.len() {
        let mut dropped = image.clone();
        dropped.metadata.remove(at);
        caught_setting("metadata entry dropped", image, &dropped.document(), &place);
        let mut changed = image.clone();
        changed.metadata[at].push('x');
        caught_setting("metadata entry changed", image, &changed.document(), &place);
    }
    let mut added = image.clone();
    added.metadata.push("ENV added".to_owned());
    caught_setting("metadata entry added", image, &added.document(), &place);
    let mut swapped = image.clone();
    swapped.metadata.reverse();
    if swapped.metadata != image.metadata {
        caught_setting("metadata entries in another order", image, &swapped.document(), &place);
    }
}

/// A history that does not fit the layers that were written, or is gone.
fn check_history_of_layers(image: &Image) {
    let before = image.document();
    let mut more = before.clone();
    more["history"].as_array_mut().expect("a history").push(json!({ "created_by": "RUN more" }));
    let mut fewer = before.clone();
    fewer["history"].as_array_mut().expect("a history").retain(|entry| entry["empty_layer"] == true);
    let mut none = before.clone();
    none.as_object_mut().expect("an object").shift_remove("history");
    for (what, after) in [("one more", more), ("one fewer", fewer), ("none", none)] {
        let verdict = judged((image, &before), (image, &after));
        let is_history = |difference: &Difference| difference.place == Place::Setting("history".to_owned());
        assert!(verdict.differences.iter().any(is_history), "{what}: {after}");
    }
}

fn check_equal(image: &Image) {
    let document = image.document();
    let verdict = judged((image, &document), (image, &document));
    assert!(verdict.is_equal(), "{image:#?}\n{:#?}", verdict.differences);
    assert!(verdict.paths > image.entries.len());
}

/// Attributes of every size.
fn attributes() -> impl Strategy<Value = jettison_image::text::Attributes> {
    let xattrs = prop::collection::btree_map("user\\.[a-c]", prop::collection::vec(any::<u8>(), 0..4), 0..3);
    let mtime = (-2_000_000_000..9_000_000_000_i64, prop::sample::select(vec![0, 1, 999_999_999]));
    (0..=0o7777_u16, any::<u32>(), any::<u32>(), mtime, xattrs).prop_map(
        |(mode, uid, gid, (seconds, nanos), xattrs)| {
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            jettison_image::text::Attributes {
                mode,
                uid,
                gid,
                mtime: jettison_image::tar::Mtime { seconds, nanos },
                xattrs,
            }
        },
    )
}

/// What an entry may be; a link's target is chosen among the files before it.
#[derive(Clone, Debug)]
enum Wish {
    Entry(What),
    Link(Index),
}

fn wish() -> impl Strategy<Value = Wish> {
    let content = prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| What::File(Content::Literal(bytes)));
    let target = prop::collection::vec(1..=255_u8, 1..6).prop_map(What::Symlink);
    let device = (any::<u32>(), any::<u32>());
    proptest::prop_oneof![
        4 => content.prop_map(Wish::Entry),
        1 => target.prop_map(Wish::Entry),
        1 => device.prop_map(|(major, minor)| Wish::Entry(What::CharDevice(major, minor))),
        1 => device.prop_map(|(major, minor)| Wish::Entry(What::BlockDevice(major, minor))),
        1 => proptest::strategy::Just(Wish::Entry(What::Fifo)),
        2 => proptest::strategy::Just(Wish::Entry(What::Directory)),
        3 => any::<Index>().prop_map(Wish::Link),
    ]
}

/// Entries below folders that are listed, each path once.
fn entries() -> impl Strategy<Value = Vec<EntryText>> {
    let name = prop::sample::select(vec!["a", "b", "c", "ab", "a b", "\u{e4}\"", "x.wh.y"]);
    let entry = (any::<Index>(), name, wish(), attributes());
    prop::collection::vec(entry, 1..14).prop_map(|wishes| {
        let mut entries: Vec<EntryText> = Vec::new();
        for (folder, name, wish, attributes) in wishes {
            let is_folder = |entry: &&EntryText| entry.what == What::Directory;
            let folders: Vec<&[u8]> =
                entries.iter().filter(is_folder).map(|entry| &entry.path[..]).chain([&b""[..]]).collect();
            let path = [folders[folder.index(folders.len())], name.as_bytes()].join(&b"/"[..]);
            let path = path.strip_prefix(b"/").map(<[u8]>::to_vec).unwrap_or(path);
            if entries.iter().any(|entry| entry.path == path) {
                continue;
            }
            let can_be_linked = |entry: &&EntryText| !matches!(entry.what, What::Directory | What::HardLink(_));
            let targets: Vec<&EntryText> = entries.iter().filter(can_be_linked).collect();
            let entry = match wish {
                Wish::Entry(what) => EntryText { path, what, attributes },
                Wish::Link(_) if targets.is_empty() => continue,
                Wish::Link(target) => {
                    let what = What::HardLink(targets[target.index(targets.len())].path.clone());
                    EntryText { path, what, ..EntryText::of_nothing() }
                }
            };
            entries.push(entry);
        }
        entries
    })
}

fn settings() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = proptest::prop_oneof![
        proptest::strategy::Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        let object = prop::collection::btree_map("[a-d]", inner.clone(), 0..4);
        proptest::prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-d]|config|os", value, 0..4).prop_map(|object| object.into_iter().collect())
}

proptest! {
    #![proptest_config(Cases { cases: 48, failure_persistence: None, ..Cases::default() })]

    #[test]
    fn every_mutation_of_a_tree_is_caught(entries in entries()) {
        let image = Image { entries, settings: Map::new(), metadata: Vec::new() };
        check_equal(&image);
        check_tree(&image);
    }

    #[test]
    fn every_mutation_of_a_config_is_caught(settings in settings(), metadata in prop::collection::vec("[A-C]", 0..4)) {
        let image = Image { entries: Vec::new(), settings, metadata };
        check_settings(&image);
        check_history(&image);
        check_history_of_layers(&image);
    }
}

/// One image with every kind of entry, twice over, links included.
fn every_kind() -> Image {
    let text = r#"
        layer 1
          d 1777 5:6  @1700000000.5  /d  user.a="1"  user.b="2"
          f 4755 0:0  @1700000000.000000001  "content"  /d/f  security.capability="\x01\x00"
          f 0644 0:0  ""  /d/empty
          h /d/h => /d/f
          h /h => /d/f
          l 0777 1:1  @-1.5  /l -> d/f
          h /l2 => /l
          c 0666 0:0  1,3  /c
          b 0660 0:6  4294967295,4294967295  /b
          p 0600 0:0  /p
          h /p2 => /p
          d 0755 0:0  /d/deep
          f 0644 4294967295:4294967295  @9999999999  "x"  "/d/deep/odd \xff\n"
    "#;
    let image: ImageText = text.parse().expect("the text form");
    let entries = image.layer_texts().flat_map(|layer| layer.entries.clone()).collect();
    let settings = json!({
        "architecture": "amd64", "os": "linux", "os.version": "1", "created": "2024-01-01T00:00:00Z",
        "config": {
            "Env": ["A=1", "B=2"], "Cmd": null, "Entrypoint": ["/x"], "Volumes": { "/data": {} }, "User": "me",
            "Healthcheck": { "Test": ["CMD", "true"], "Interval": 1 }, "Labels": { "a": "b" }, "ArgsEscaped": true,
        },
        "x-unknown": [{ "deep": [1, 2.5] }],
    });
    let Value::Object(settings) = settings else { unreachable!("an object") };
    Image { entries, settings, metadata: vec!["ENV A=1".to_owned(), "CMD x".to_owned(), "USER me".to_owned()] }
}

#[test]
fn every_mutation_of_the_image_with_every_kind_is_caught() {
    let image = every_kind();
    check_equal(&image);
    check_tree(&image);
    check_settings(&image);
    check_history(&image);
}

#[test]
fn a_history_that_does_not_fit_the_written_layers_is_caught() {
    check_history_of_layers(&every_kind());
}

#[test]
fn the_root_has_attributes_as_well() {
    let root = |mode| {
        let mut image = every_kind();
        let attributes = jettison_image::text::Attributes { mode, ..Default::default() };
        image.entries.insert(0, EntryText { path: Vec::new(), what: What::Directory, attributes });
        image
    };
    for mode in [0o700, 0o1755] {
        caught("mode", &every_kind(), &root(mode), &[Place::Path("/".to_owned())]);
    }
}

#[test]
fn what_else_the_root_file_system_says_is_a_setting_too() {
    let image = every_kind();
    for edit in [|rootfs: &mut Value| rootfs["type"] = json!("other"), |rootfs: &mut Value| rootfs["added"] = json!(1)]
    {
        let mut after = image.document();
        edit(&mut after["rootfs"]);
        let verdict = judged((&image, &image.document()), (&image, &after));
        assert!(!verdict.is_equal(), "{after}");
    }
}

#[test]
fn every_field_of_a_metadata_entry_counts() {
    let image = every_kind();
    for (key, value) in [
        ("author", json!("other")),
        ("created", json!("2024-01-01T00:00:00Z")),
        ("comment", json!("x")),
        ("added", json!(1)),
    ] {
        let mut after = image.document();
        after["history"][0][key] = value;
        let verdict = judged((&image, &image.document()), (&image, &after));
        assert!(!verdict.is_equal(), "{after}");
    }
}

#[test]
fn a_change_that_stays_within_one_name_is_one_difference() {
    let image = every_kind();
    let mut after = image.clone();
    after.entries[2].attributes.mode ^= 1;
    let verdict = judged((&image, &image.document()), (&after, &after.document()));
    let expected = Difference {
        place: Place::Path("/d/empty".to_owned()),
        what: "mode".to_owned(),
        before: Some("0644".to_owned()),
        after: Some("0645".to_owned()),
    };
    assert_eq!(verdict.differences, [expected]);
}
