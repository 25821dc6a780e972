//! The store keeps whole images through everything that writers, readers and collectors do at once.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use jettison_image::manifest::RECEIPT;
use jettison_image::{Digest, Manifest, Platform, media};
use serde_json::json;

use super::*;
use crate::Output;
use crate::section::Section;

fn name(text: &str) -> ImageName {
    text.parse().expect(text)
}

fn platform() -> Wanted {
    Wanted::Platform("linux/amd64".parse::<Platform>().expect("a platform"))
}

/// A config and a manifest over these layers, which are their own diff IDs.
fn image(layers: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
    let ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": ids } });
    let config = serde_json::to_vec(&config).expect("prints");
    let layers: Vec<_> =
        layers.iter().map(|layer| Descriptor::of("application/vnd.oci.image.layer.v1.tar", layer)).collect();
    let config_descriptor = Descriptor::of(media::OCI_CONFIG, &config);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config_descriptor, "layers": layers,
    });
    (config, serde_json::to_vec(&manifest).expect("prints"))
}

fn put_image(store: &LocalStore, text: &str, layers: &[&[u8]]) -> Descriptor {
    let (config, manifest) = image(layers);
    for layer in layers {
        store.put("layer", layer).expect("writes");
    }
    let config = store.put(media::OCI_CONFIG, &config).expect("writes");
    let descriptor = store.put(media::OCI_MANIFEST, &manifest).expect("writes");
    store.tag(&name(text), &descriptor, &[config.digest]).expect("tags");
    descriptor
}

#[test]
fn images_are_found_by_name_and_read_as_any_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("opens");
    let descriptor = put_image(&store, "app:dev", &[b"one"]);
    let found = store.find(&name("docker.io/library/app:dev"), &platform(), Limits::default()).expect("reads");
    let found = found.expect("is there");
    assert_eq!(found.images[0].stored_manifest.as_ref().map(|(_, d)| d.digest), Some(descriptor.digest));
    assert_eq!(found.names, ["docker.io/library/app:dev"]);
    assert!(store.find(&name("app:other"), &platform(), Limits::default()).expect("reads").is_none());
    // A second opening sees the same.
    let again = LocalStore::open(folder.path()).expect("opens");
    assert_eq!(again.names().expect("reads"), store.names().expect("reads"));
    let removed = store.untag(&name("app:dev")).expect("untags").map(|removed| removed.digest);
    assert_eq!((removed, store.untag(&name("app:dev")).expect("untags")), (Some(descriptor.digest), None));
    assert!(store.names().expect("reads").is_empty());
}

#[test]
fn references_resolve_to_the_store_and_files_come_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("opens");
    put_image(&store, "jettison-test/app:dev", &[b"one"]);
    let parse = |text: &str| text.parse::<Reference>().expect(text);
    for text in ["local:jettison-test/app:dev", "jettison-test/app:dev", "docker.io/jettison-test/app:dev"] {
        let reference = parse(text).found_in_store(folder.path()).expect(text);
        assert_eq!(reference.to_string(), "local:jettison-test/app:dev", "{text}");
        assert_eq!(open(&reference, &platform(), Limits::default()).expect("opens").images.len(), 1);
    }
    // What the store does not have stays the path that it is, and outputs are never guessed.
    for text in ["jettison-test/app:none", "./x.tar", "none.tar"] {
        assert_eq!(parse(text).found_in_store(folder.path()).expect(text), parse(text));
    }
    // What can be nothing but a name is missed as one.
    for (text, expected) in
        [("ap", vec!["jettison-test/app:dev"]), ("local:other/app", vec!["jettison-test/app:dev"]), ("none", vec![])]
    {
        let error = parse(text).found_in_store(folder.path()).expect_err(text);
        assert!(matches!(error, Error::NoSuchLocalImage { near, .. } if near == expected), "{text}");
    }
    assert_eq!(parse("jettison-test/app:dev").in_store(folder.path()).transport, None);
    let error = open(&parse("local:none").in_store(folder.path()), &platform(), Limits::default());
    assert!(matches!(error, Err(Error::NoSuchImage { .. })));
    let nowhere = parse("local:none").in_store(&folder.path().join("none"));
    assert!(matches!(open(&nowhere, &platform(), Limits::default()), Err(Error::NoSuchImage { .. })));
    assert!(Output::create(&parse("local:none"), Transport::Oci).is_err());
    assert!("local:Bad Name".parse::<Reference>().is_err());
}

#[test]
fn blobs_that_are_not_what_was_expected_leave_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("opens");
    let incoming = store.incoming().expect("a place");
    for (bytes, expected) in [(&b"hello"[..], 5), (b"hell", 5)] {
        let mut writer = store.writer(&incoming).expect("a writer");
        writer.write_all(bytes).expect("writes");
        assert!(writer.commit(Some((Digest::of(b"other"), expected))).is_err());
    }
    let mut writer = store.writer(&incoming).expect("a writer");
    writer.write_all(b"wrong").expect("writes");
    writer.restart().expect("starts again");
    writer.write_all(b"right").expect("writes");
    assert_eq!(writer.commit(Some((Digest::of(b"right"), 5))).expect("commits"), Digest::of(b"right"));
    assert_eq!(fs::read(store.blob_path(Digest::of(b"right"))).expect("reads"), b"right");
    drop(incoming);
    assert_eq!(fs::read_dir(folder.path().join("blobs/sha256")).expect("reads").count(), 1);
    let names: Vec<_> = fs::read_dir(folder.path()).expect("reads").flatten().map(|entry| entry.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("staged")), "{names:?}");
    let missing = store.tag(&name("a"), &Descriptor::of(media::OCI_MANIFEST, b"never written"), &[]);
    assert!(matches!(missing, Err(Error::Missing { .. })));
}

#[test]
fn only_what_no_image_needs_and_is_old_is_collected() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("opens");
    put_image(&store, "a", &[b"shared", b"of a"]);
    put_image(&store, "b", &[b"shared", b"of b"]);
    store.untag(&name("b")).expect("untags");
    let usage = store.usage().expect("reads");
    assert_eq!((usage.images, usage.blobs), (1, 7));
    assert_eq!(store.collect(Duration::from_secs(3600)).expect("collects"), Collected::default());
    let collected = store.collect(Duration::ZERO).expect("collects");
    assert_eq!((collected.blobs, collected.bytes), (3, usage.unused_bytes));
    assert!(store.has_blob(Digest::of(b"shared")) && !store.has_blob(Digest::of(b"of b")));
    assert!(store.find(&name("a"), &platform(), Limits::default()).expect("reads").is_some());
}

#[test]
fn a_receipt_stays_with_its_image_and_goes_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("opens");
    let (config, manifest) = image(&[b"layer"]);
    let receipt = store.put("receipt", b"{}").expect("writes");
    let mut manifest: Manifest = serde_json::from_slice(&manifest).expect("parses");
    manifest.set_annotation(RECEIPT, &receipt.digest.to_string());
    store.put("layer", b"layer").expect("writes");
    store.put(media::OCI_CONFIG, &config).expect("writes");
    let manifest = serde_json::to_vec(&manifest).expect("prints");
    let descriptor = store.put(media::OCI_MANIFEST, &manifest).expect("writes");
    store.tag(&name("a"), &descriptor, &[receipt.digest]).expect("tags");
    assert_eq!(store.collect(Duration::ZERO).expect("collects"), Collected::default());
    let found = store.find(&name("a"), &platform(), Limits::default()).expect("reads").expect("is there");
    let attached = found.images[0].receipt.clone().expect("a receipt");
    assert_eq!((attached.digest, attached.bytes()), (receipt.digest, Some(b"{}".to_vec())));
    store.untag(&name("a")).expect("untags");
    assert_eq!(store.collect(Duration::ZERO).expect("collects").blobs, 4);
}

#[test]
fn a_damaged_manifest_keeps_everything_from_being_collected() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("opens");
    let descriptor = put_image(&store, "a", &[b"layer"]);
    fs::write(store.blob_path(descriptor.digest), "{").expect("writes");
    assert!(matches!(store.collect(Duration::ZERO), Err(Error::Json { .. })));
    assert!(store.has_blob(Digest::of(b"layer")));
}

#[test]
fn writers_at_once_lose_no_name() {
    let folder = tempfile::tempdir().expect("a folder");
    LocalStore::open(folder.path()).expect("opens");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = folder.path();
            scope.spawn(move || {
                let store = LocalStore::open(path).expect("opens");
                put_image(&store, &format!("app:{number}"), &[b"shared", format!("{number}").as_bytes()]);
            });
        }
    });
    let store = LocalStore::open(folder.path()).expect("opens");
    assert_eq!(store.names().expect("reads").len(), 8);
    for number in 0..8 {
        let found = store.find(&name(&format!("app:{number}")), &platform(), Limits::default());
        assert!(found.expect("reads").is_some(), "{number}");
    }
}

/// Writes an image through an output, as commands that make images do.
fn write_output(store: &LocalStore, text: &str, layers: &[&[u8]]) -> Output {
    let target = text.parse::<Reference>().expect(text).in_store(store.folder());
    let mut output = Output::create(&target, Transport::Oci).expect("an output");
    for layer in layers {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(layer).expect("writes");
        let section = Section::whole(file).expect("a section");
        output.copy_blob(&section.into(), Digest::of(layer), &()).expect("copies");
    }
    let (config, bytes) = image(layers);
    let manifest: Manifest = serde_json::from_slice(&bytes).expect("parses");
    output.add_image(manifest, &bytes, &config).expect("adds");
    output.finish(&["other:name".to_owned()], None).expect("finishes");
    output
}

#[test]
fn outputs_add_to_the_store_and_share_what_is_there() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("opens");
    put_image(&store, "base", &[b"base"]);
    let base = store.blob_path(Digest::of(b"base"));
    let before = fs::metadata(&base).expect("is there").ino();
    let output = write_output(&store, "local:app:dev", &[b"base", b"own"]);
    // What is staged can be read as a layout of its own, and holds the store's very file.
    let staged = output.staged();
    assert_eq!(open(&staged, &platform(), Limits::default()).expect("opens").images[0].layers.len(), 2);
    let linked = fs::metadata(staged.path.join(blob_name(Digest::of(b"base")))).expect("is there").ino();
    assert_eq!(linked, before);
    assert!(store.find(&name("app:dev"), &platform(), Limits::default()).expect("reads").is_none());
    // Another image comes in meanwhile.
    put_image(&store, "meanwhile", &[b"m"]);
    output.publish(&()).expect("publishes");
    for text in ["app:dev", "base", "meanwhile"] {
        assert!(store.find(&name(text), &platform(), Limits::default()).expect("reads").is_some(), "{text}");
    }
    assert_eq!(fs::metadata(&base).expect("is there").ino(), before);
    assert_eq!(store.collect(Duration::ZERO).expect("collects"), Collected::default());
    // The same name again takes the place of the first.
    write_output(&store, "local:app:dev", &[b"base"]).publish(&()).expect("publishes");
    assert_eq!(store.names().expect("reads").len(), 3);
}

#[test]
fn an_output_that_is_dropped_leaves_the_store_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("opens");
    put_image(&store, "base", &[b"base"]);
    let usage = store.usage().expect("reads");
    drop(write_output(&store, "local:app", &[b"base", b"own"]));
    assert_eq!(store.usage().expect("reads"), usage);
    assert!(store.find(&name("base"), &platform(), Limits::default()).expect("reads").is_some());
}

#[test]
fn images_without_a_name_are_known_by_their_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LocalStore::open(folder.path()).expect("opens");
    let first = put_image(&store, "app", &[b"one"]);
    let second = put_image(&store, "app", &[b"two"]);
    // The first one has lost its name, and is still there.
    let images = store.images().expect("reads");
    let shown: Vec<(Vec<String>, Digest)> = images.iter().map(|i| (i.names.clone(), i.descriptor.digest)).collect();
    assert_eq!(shown, [(vec![], first.digest), (vec!["app:latest".to_owned()], second.digest)]);
    let id = images[0].id;
    for text in [id.hex(), id.hex()[..12].to_owned(), id.to_string(), first.digest.hex()[..8].to_owned()] {
        let found = store.lookup(&ImageName::or_id(&text).expect("an ID")).expect("reads").map(|found| found.digest);
        assert_eq!(found, Some(first.digest), "{text}");
        let reference = format!("local:{text}").parse::<Reference>().expect("parses");
        let reference = reference.found_in_store(folder.path()).expect("is there");
        assert_eq!(open(&reference, &platform(), Limits::default()).expect("opens").images.len(), 1, "{text}");
        assert!(
            store
                .find(&ImageName::or_id(&text).expect("an ID"), &platform(), Limits::default())
                .expect("reads")
                .is_some(),
            "{text}"
        );
    }
    assert_eq!(store.lookup(&name(&id.hex()[..5])).expect("reads"), None, "too few digits are a word");
    // With a name again it is listed once.
    store.tag(&name("old"), &first, &[]).expect("tags");
    store.tag(&name("older"), &first, &[]).expect("tags");
    assert_eq!(store.images().expect("reads").len(), 2);
    let several = store.remove(&name(&id.to_string()));
    assert!(matches!(several, Err(Error::SeveralNames { names, .. }) if names == ["old:latest", "older:latest"]));
    let removed = store.remove(&name("old")).expect("removes").expect("is there");
    assert_eq!((removed.names, removed.image), (vec!["old:latest".to_owned()], None));
    let removed = store.remove(&name(&id.hex()[..12])).expect("removes").expect("is there");
    assert_eq!((removed.names, removed.image), (vec!["older:latest".to_owned()], Some(id)));
    assert_eq!(store.remove(&name("older")).expect("reads"), None);
    assert_eq!(store.images().expect("reads").len(), 1);
    store.keep(&first, &[]).expect("lists");
    store.keep(&first, &[]).expect("lists it once");
    assert_eq!(store.images().expect("reads").len(), 2);
    assert_eq!(store.collect(Duration::ZERO).expect("collects").blobs, 3);
    assert_eq!(store.images().expect("reads").len(), 1);
}
