//! Layers that are read where they lie: what is fetched, and what is not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jettison_image::layer::{ContentWatch, Layer};
use jettison_image::tar::{END, blob_header};
use jettison_image::{Descriptor, Digest, Limits, Manifest, media};
use serde_json::json;

use super::server::{Answer, Asked, Server};
use super::*;
use crate::open::{Opened, open_with};
use crate::platforms::Wanted;
use crate::reference::Reference;
use crate::scan::{Scans, Scope, Unpack, scan_watched};

/// A layer that holds one file.
fn layer(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = blob_header(name.as_bytes(), content.len() as u64).to_vec();
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar.extend_from_slice(&END);
    tar
}

/// A registry with an image of two layers, whose answers `fault` may change.
struct Image {
    server: Server,
    base: Digest,
    own: Digest,
}

impl Image {
    fn new(fault: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let layers = [layer("etc/base", b"of the base"), layer("srv/own", b"of the image")];
        let ids = [Digest::of(&layers[0]), Digest::of(&layers[1])];
        let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": ids } });
        let config = serde_json::to_vec(&config).expect("prints");
        let tar = "application/vnd.oci.image.layer.v1.tar";
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::OCI_MANIFEST.to_owned()),
            config: Descriptor::of(media::OCI_CONFIG, &config),
            layers: layers.iter().map(|layer| Descriptor::of(tar, layer)).collect(),
            rest: serde_json::Map::new(),
        };
        let manifest = serde_json::to_vec(&manifest).expect("prints");
        let [base, own] = layers;
        let blobs = [base, own, config];
        let server = Server::with_bodies(
            move |asked| {
                fault(asked).unwrap_or_else(|| {
                    let last = asked.path.rsplit('/').next().unwrap_or_default();
                    let blob = blobs.iter().find(|blob| Digest::of(blob).to_string() == last);
                    match blob {
                        _ if asked.path.contains("/manifests/") => Answer::new(200, &manifest),
                        Some(blob) => Answer::new(200, blob),
                        None => Answer::new(if asked.path == "/v2/" { 200 } else { 404 }, ""),
                    }
                })
            },
            |_| None,
        );
        Self { server, base: ids[0], own: ids[1] }
    }

    fn open(&self, options: &Options) -> crate::Result<Opened> {
        let reference: Reference = format!("docker://{}/app:1", self.server.host()).parse().expect("a reference");
        open_with(&reference, &Wanted::All, Limits::default(), options)
    }

    fn fetched(&self, blob: Digest) -> usize {
        self.server.asked().iter().filter(|asked| asked.ends_with(&blob.to_string())).count()
    }
}

fn options() -> Options {
    let retry = Retry { attempts: 2, pause: Duration::from_millis(2) };
    Options { credentials: Credentials::Anonymous, retry, ..Options::default() }
}

fn scope(folder: &std::path::Path, later: bool) -> Scope {
    Scope {
        limits: Limits::default(),
        unpack: Some(Unpack { first: 1, later, seen_only: false, folder: folder.to_owned() }),
    }
}

/// Sees everything, and keeps a text.
#[derive(Default)]
struct Watch {
    seen: Mutex<Vec<String>>,
    knows: bool,
}

impl ContentWatch for Watch {
    fn wants(&self, _path: &[u8], _size: u64) -> bool {
        true
    }

    fn content(&self, path: &[u8], _digest: Digest, _content: &[u8]) {
        self.seen.lock().expect("not poisoned").push(String::from_utf8_lossy(path).into_owned());
    }

    fn save(&self, layer: &Layer) -> Option<Vec<u8>> {
        Some(layer.path(&layer.entries[0]).to_vec())
    }

    fn restore(&self, saved: &[u8]) -> bool {
        self.seen.lock().expect("not poisoned").push(format!("kept {}", String::from_utf8_lossy(saved)));
        self.knows
    }
}

#[test]
fn a_base_is_unpacked_when_its_content_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = Image::new(|_| None);
    let opened = image.open(&options()).expect("opens");
    let read = |later| {
        let scope = scope(folder.path(), later);
        scan_watched("app".as_ref(), &opened.images[0], &scope, &Scans::default(), &(), None).expect("reads").0
    };
    let scanned = read(false);
    assert!(scanned[0].plain.section().is_none() && scanned[1].plain.section().is_some());
    let scanned = read(true);
    assert_eq!((image.fetched(image.base), image.fetched(image.own)), (2, 2));
    let plain = scanned[0].plain.section().expect("is unpacked").bytes().expect("reads");
    assert_eq!((Digest::of(&plain), image.fetched(image.base)), (image.base, 3));
    assert!(scanned[0].plain.section().is_some() && scanned[0].plain.take_failure().is_none());
    assert_eq!(image.fetched(image.base), 3);
}

#[test]
fn a_base_that_cannot_be_unpacked_any_more_is_no_base_without_contents() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = Image::new(|asked| (asked.path.contains("/blobs/") && asked.count == 1).then(|| Answer::new(404, "")));
    let opened = image.open(&options()).expect("opens");
    let scans = Scans::default();
    let scope = scope(folder.path(), true);
    let (scanned, _) = scan_watched("app".as_ref(), &opened.images[0], &scope, &scans, &(), None).expect("reads");
    assert!(scanned[0].plain.section().is_none());
    let failure = scanned[0].plain.take_failure().expect("a reason").to_string();
    assert!(failure.contains(&image.base.to_string()), "{failure}");
}

#[test]
fn a_layer_that_was_read_before_is_not_fetched_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("values");
    let image = Image::new(|_| None);
    let opened = image.open(&options()).expect("opens");
    let read = |watch: &Watch| {
        let scope = scope(folder.path(), false);
        let scans = Scans::kept_in(kept.clone());
        let scanned = scan_watched("app".as_ref(), &opened.images[0], &scope, &scans, &(), Some(watch)).expect("reads");
        let mut seen = watch.seen.lock().expect("not poisoned").clone();
        seen.sort();
        (scanned.0[0].diff_id, scanned.1[0].clone(), seen)
    };
    let knowing = || Watch { knows: true, ..Watch::default() };
    let (diff_id, first, seen) = read(&knowing());
    assert_eq!((diff_id, seen), (image.base, vec!["etc/base".to_owned(), "srv/own".to_owned()]));
    let (diff_id, second, seen) = read(&knowing());
    assert_eq!((diff_id, &second), (image.base, &first));
    // What is merged is read each time.
    assert_eq!(seen, ["kept etc/base", "srv/own"]);
    assert_eq!((image.fetched(image.base), image.fetched(image.own)), (1, 2));
    // Who cannot take what was kept sees the contents.
    let (_, _, seen) = read(&Watch::default());
    assert_eq!(seen, ["etc/base", "kept etc/base", "srv/own"]);
    assert_eq!(image.fetched(image.base), 2);
    // A damaged record is none.
    for entry in std::fs::read_dir(&kept).expect("reads").flatten() {
        let mut bytes = std::fs::read(entry.path()).expect("reads");
        bytes[3] ^= 1;
        std::fs::write(entry.path(), bytes).expect("writes");
    }
    assert_eq!(read(&knowing()).0, image.base);
    assert_eq!(image.fetched(image.base), 3);
}

#[test]
fn a_tag_that_moves_between_two_requests_makes_no_mixture() {
    // Whatever the tag means later, what is read is what it meant first.
    let moved =
        |asked: &Asked| (asked.path.ends_with("/manifests/1") && asked.count > 0).then(|| Answer::new(200, "{}"));
    let image = Image::new(moved);
    let opened = image.open(&options()).expect("opens");
    let folder = tempfile::tempdir().expect("a folder");
    let scope = scope(folder.path(), false);
    scan_watched("app".as_ref(), &opened.images[0], &scope, &Scans::default(), &(), None).expect("reads");
    assert_eq!(image.server.asked().iter().filter(|asked| asked.ends_with("/manifests/1")).count(), 1);
}

#[test]
fn a_server_that_falls_silent_is_asked_again_and_then_left() {
    let silent = Arc::new(Mutex::new(0));
    let count = silent.clone();
    let image = Image::new(move |asked| {
        let is_blob = asked.path.contains("/blobs/");
        is_blob.then(|| {
            *count.lock().expect("not poisoned") += 1;
            Answer::new(200, "late").after(Duration::from_secs(20))
        })
    });
    let patience = Duration::from_millis(200);
    let error = image.open(&Options { patience, ..options() }).expect_err("gives up");
    assert!(matches!(&error, crate::Error::Remote(error) if matches!(**error, RemoteError::Cut { .. })), "{error}");
    assert_eq!(*silent.lock().expect("not poisoned"), 2);
}
