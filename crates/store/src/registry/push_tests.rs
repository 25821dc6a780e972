//! Pushes to a registry that misbehaves as real ones do, and copies between such.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jettison_image::{Descriptor, Digest, Limits, Manifest, media};
use serde_json::json;

use super::server::{Answer, Asked, Server};
use super::*;
use crate::copy::{Copied, CopyOrder, copy};
use crate::platforms::Wanted;
use crate::reference::Reference;

/// What a registry holds.
#[derive(Default)]
struct Held {
    blobs: HashMap<String, Vec<u8>>,
    /// By repository and tag or digest.
    manifests: HashMap<String, (String, Vec<u8>)>,
    uploads: HashMap<String, Vec<u8>>,
    /// Which repository has which blob.
    places: Vec<(String, String)>,
}

/// What a registry can do, beyond what all can.
#[derive(Clone, Copy)]
struct Skills {
    mounts: bool,
    takes_pieces: bool,
}

const ALL: Skills = Skills { mounts: true, takes_pieces: true };

impl Held {
    fn answer(&mut self, asked: &Asked, skills: Skills) -> Answer {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.replace("%3A", ":").replace("%2F", "/"))
        };
        let Some(rest) = path.strip_prefix("/v2/").filter(|rest| !rest.is_empty()) else {
            return Answer::new(200, "{}");
        };
        if let Some((repository, id)) = rest.split_once("/blobs/uploads/") {
            return self.upload(asked, skills, repository, id, &parameter);
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            let is_here = self.places.contains(&(repository.to_owned(), digest.to_owned()));
            let Some(blob) = self.blobs.get(digest).filter(|_| is_here) else { return Answer::new(404, "") };
            let from = asked
                .headers
                .get("range")
                .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
            return from.map_or_else(|| Answer::new(200, blob), |from: usize| Answer::new(206, &blob[from..]));
        }
        let Some((repository, reference)) = rest.split_once("/manifests/") else { return Answer::new(404, "") };
        let key = |reference: &str| format!("{repository}:{reference}");
        if asked.method == "PUT" {
            let media_type = asked.headers["content-type"].clone();
            // A registry refuses a manifest whose blobs or manifests it does not have.
            let value: serde_json::Value = serde_json::from_slice(&asked.body).expect("JSON");
            let below = |key: &str| value[key].as_array().cloned().unwrap_or_default();
            for needed in below("layers").iter().chain([&value["config"]]).filter_map(|blob| blob["digest"].as_str()) {
                if !self.places.contains(&(repository.to_owned(), needed.to_owned())) {
                    return Answer::new(
                        400,
                        r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown"}]}"#,
                    );
                }
            }
            for needed in below("manifests").iter().filter_map(|manifest| manifest["digest"].as_str()) {
                if !self.manifests.contains_key(&key(needed)) {
                    return Answer::new(
                        400,
                        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                    );
                }
            }
            let digest = Digest::of(&asked.body).to_string();
            for reference in [reference, &digest] {
                self.manifests.insert(key(reference), (media_type.clone(), asked.body.clone()));
            }
            return Answer::new(201, "");
        }
        match self.manifests.get(&key(reference)) {
            Some((media_type, bytes)) => Answer::new(200, bytes).with("Content-Type", media_type),
            None => Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
        }
    }

    fn upload(
        &mut self,
        asked: &Asked,
        skills: Skills,
        repository: &str,
        id: &str,
        parameter: &dyn Fn(&str) -> Option<String>,
    ) -> Answer {
        let there = |id: &str| format!("/v2/{repository}/blobs/uploads/{id}?state=1");
        let held = |upload: &[u8]| format!("0-{}", upload.len().saturating_sub(1));
        match asked.method.as_str() {
            "POST" => {
                let mount = parameter("mount").zip(parameter("from")).filter(|_| skills.mounts);
                if let Some((digest, from)) = mount
                    && self.places.contains(&(from, digest.clone()))
                {
                    self.places.push((repository.to_owned(), digest));
                    return Answer::new(201, "");
                }
                let id = format!("u{}", self.uploads.len());
                self.uploads.insert(id.clone(), Vec::new());
                Answer::new(202, "").with("Location", &there(&id))
            }
            "GET" => match self.uploads.get(id) {
                Some(upload) => Answer::new(204, "").with("Location", &there(id)).with("Range", &held(upload)),
                None => Answer::new(404, ""),
            },
            "PATCH" if !skills.takes_pieces => Answer::new(405, ""),
            "PATCH" => {
                let Some(upload) = self.uploads.get_mut(id) else { return Answer::new(404, "") };
                let from: usize =
                    asked.headers["content-range"].split('-').next().expect("a start").parse().expect("a number");
                if from != upload.len() {
                    return Answer::new(416, "").with("Range", &held(upload));
                }
                upload.extend_from_slice(&asked.body);
                Answer::new(202, "").with("Location", &there(id)).with("Range", &held(upload))
            }
            _ => {
                let Some(mut upload) = self.uploads.remove(id) else { return Answer::new(404, "") };
                upload.extend_from_slice(&asked.body);
                let digest = parameter("digest").expect("a digest");
                if Digest::of(&upload).to_string() != digest {
                    return Answer::new(400, r#"{"errors":[{"code":"DIGEST_INVALID","message":"not the digest"}]}"#);
                }
                self.places.push((repository.to_owned(), digest.clone()));
                self.blobs.insert(digest, upload);
                Answer::new(201, "")
            }
        }
    }
}

struct Registry {
    server: Server,
    held: Arc<Mutex<Held>>,
}

impl Registry {
    fn new(
        skills: Skills,
        fault: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
        cut: impl Fn(&Asked) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let of_server = held.clone();
        let answer = move |asked: &Asked| {
            fault(asked).unwrap_or_else(|| of_server.lock().expect("not poisoned").answer(asked, skills))
        };
        Self { server: Server::with_bodies(answer, cut), held }
    }

    fn plain() -> Self {
        Self::new(ALL, |_| None, |_| None)
    }

    fn reference(&self, name: &str) -> Reference {
        format!("docker://{}/{name}", self.server.host()).parse().expect("a reference")
    }

    fn tags(&self) -> Vec<String> {
        let held = self.held.lock().expect("not poisoned");
        let mut tags: Vec<String> = held.manifests.keys().filter(|key| !key.contains("sha256")).cloned().collect();
        tags.sort();
        tags
    }

    fn asked(&self, start: &str) -> usize {
        self.server.asked().iter().filter(|asked| asked.starts_with(start)).count()
    }
}

/// An OCI layout with an image of two layers, the first one larger than two pieces of an upload.
struct Layout {
    folder: tempfile::TempDir,
    large: Digest,
    manifest: Digest,
}

impl Layout {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = folder.path().join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("makes a folder");
        let put = |media_type: &str, bytes: &[u8]| {
            std::fs::write(blobs.join(Digest::of(bytes).hex()), bytes).expect("writes");
            Descriptor::of(media_type, bytes)
        };
        let large: Vec<u8> =
            (0..18_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let tar = "application/vnd.oci.image.layer.v1.tar";
        let layers = vec![put(tar, &large), put(tar, b"small")];
        let ids = [layers[0].digest, layers[1].digest];
        let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": ids } });
        let config = put(media::OCI_CONFIG, &serde_json::to_vec(&config).expect("prints"));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media::OCI_MANIFEST.to_owned()),
            config,
            layers,
            rest: serde_json::Map::new(),
        };
        let manifest = put(media::OCI_MANIFEST, &serde_json::to_vec(&manifest).expect("prints"));
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        std::fs::write(folder.path().join("index.json"), index.to_string()).expect("writes");
        std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("writes");
        Self { folder, large: ids[0], manifest: manifest.digest }
    }

    fn reference(&self) -> Reference {
        format!("oci:{}", self.folder.path().display()).parse().expect("a reference")
    }
}

fn order() -> CopyOrder {
    let retry = Retry { attempts: 4, pause: Duration::from_millis(2) };
    let options = Options { credentials: Credentials::Anonymous, retry, ..Options::default() };
    CopyOrder { wanted: Wanted::All, limits: Limits::default(), source: options.clone(), target: options }
}

fn push(layout: &Layout, registry: &Registry, name: &str) -> crate::Result<Copied> {
    copy(&layout.reference(), &registry.reference(name), &order(), &())
}

/// Reads an image back, into a folder; its digest is that of what was pushed.
fn check(layout: &Layout, registry: &Registry, name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = format!("oci:{}", folder.path().join("back").display()).parse().expect("a reference");
    let copied = copy(&registry.reference(name), &target, &order(), &()).expect("copies");
    assert_eq!((copied.digest, copied.blobs, copied.pushed), (layout.manifest, 3, None));
    let read = std::fs::read(folder.path().join("back/blobs/sha256").join(layout.large.hex())).expect("reads");
    assert_eq!(Digest::of(&read), layout.large);
}

#[test]
fn an_image_goes_there_byte_for_byte_and_only_once() {
    let (layout, registry) = (Layout::new(), Registry::plain());
    let pushed = push(&layout, &registry, "team/app:v1").expect("pushes").pushed.expect("is pushed");
    assert_eq!((pushed.there, pushed.mounted, pushed.uploaded), (0, 0, 3));
    assert!(pushed.bytes > 18_000_000);
    check(&layout, &registry, "team/app:v1");
    let again = push(&layout, &registry, "team/app:v2").expect("pushes").pushed.expect("is pushed");
    assert_eq!((again.there, again.mounted, again.uploaded, again.bytes), (3, 0, 0, 0));
    assert_eq!(registry.tags(), ["team/app:v1", "team/app:v2"]);
}

#[test]
fn a_registry_is_read_from_and_written_to_without_a_file_between() {
    let (layout, source, target) = (Layout::new(), Registry::plain(), Registry::plain());
    push(&layout, &source, "a:1").expect("pushes");
    let copied = copy(&source.reference("a:1"), &target.reference("b:1"), &order(), &()).expect("copies");
    assert_eq!(copied.pushed.expect("is pushed").uploaded, 3);
    check(&layout, &target, "b:1");
    // Within one registry nothing is sent, and only the config is read.
    let reads = source.asked("GET /v2/a/blobs");
    let mounted = copy(&source.reference("a:1"), &source.reference("c:1"), &order(), &()).expect("copies");
    assert_eq!(mounted.pushed.expect("is pushed").mounted, 3);
    assert_eq!(source.asked("GET /v2/a/blobs") - reads, 1);
    check(&layout, &source, "c:1");
}

#[test]
fn registries_that_do_not_mount_or_take_no_pieces_get_it_all_the_same() {
    for skills in [Skills { mounts: false, ..ALL }, Skills { takes_pieces: false, ..ALL }] {
        let (layout, registry) = (Layout::new(), Registry::new(skills, |_| None, |_| None));
        push(&layout, &registry, "a:1").expect("pushes");
        let copied = copy(&registry.reference("a:1"), &registry.reference("b:1"), &order(), &()).expect("copies");
        let pushed = copied.pushed.expect("is pushed");
        assert_eq!((pushed.mounted, pushed.uploaded), if skills.mounts { (3, 0) } else { (0, 3) });
        check(&layout, &registry, "b:1");
    }
}

#[test]
fn a_cut_upload_goes_on_where_it_was_cut() {
    let layout = Layout::new();
    // In the middle of the second piece, and again in what is left of it.
    let cut = |asked: &Asked| (asked.method == "PATCH" && (1..=2).contains(&asked.count)).then_some(3_000_000);
    let registry = Registry::new(ALL, |_| None, cut);
    push(&layout, &registry, "a:1").expect("pushes");
    check(&layout, &registry, "a:1");
    let large = registry.server.asked().iter().filter(|asked| asked.starts_with("PATCH")).count();
    assert_eq!((large, registry.asked("POST")), (5, 3), "{:?}", registry.server.asked());
}

#[test]
fn an_upload_that_the_registry_has_lost_starts_again() {
    let layout = Layout::new();
    let is_over = AtomicBool::new(false);
    let lost = move |asked: &Asked| {
        let is_second_piece = asked.method == "PATCH" && asked.count == 1;
        (is_second_piece && !is_over.swap(true, Ordering::SeqCst)).then(|| Answer::new(404, ""))
    };
    let registry = Registry::new(ALL, lost, |_| None);
    push(&layout, &registry, "a:1").expect("pushes");
    check(&layout, &registry, "a:1");
    assert_eq!(registry.asked("POST"), 4);
}

#[test]
fn passing_failures_pass_and_servers_say_how_long_to_wait() {
    let layout = Layout::new();
    let fault = |asked: &Asked| match (asked.count, asked.method.as_str()) {
        (0, "HEAD") => Some(Answer::new(503, "")),
        (0, "PUT") if asked.path.contains("/manifests/") => Some(Answer::new(429, "").with("Retry-After", "1")),
        (0, "PATCH") => Some(Answer::new(500, "")),
        _ => None,
    };
    let registry = Registry::new(ALL, fault, |_| None);
    let start = std::time::Instant::now();
    push(&layout, &registry, "a:1").expect("pushes");
    assert!(start.elapsed() >= Duration::from_secs(1), "the server was not heard");
    check(&layout, &registry, "a:1");
}

#[test]
fn servers_say_until_when_to_wait() {
    let layout = Layout::new();
    // To whole seconds: from one to two of them from now on.
    let until = std::time::SystemTime::now() + Duration::from_secs(2);
    let fault = move |asked: &Asked| {
        let is_first = asked.count == 0 && asked.method == "PUT" && asked.path.contains("/manifests/");
        is_first.then(|| Answer::new(503, "").with("Retry-After", &httpdate::fmt_http_date(until)))
    };
    let registry = Registry::new(ALL, fault, |_| None);
    push(&layout, &registry, "a:1").expect("pushes");
    let late = std::time::SystemTime::now() + Duration::from_secs(1);
    assert!(late >= until, "the server was not heard");
    check(&layout, &registry, "a:1");
}

#[test]
fn a_registry_that_keeps_a_part_of_a_piece_gets_the_rest_and_one_that_keeps_nothing_an_end() {
    let layout = Layout::new();
    for kept in [0, 5_000_000] {
        let held = Arc::new(Mutex::new(Held::default()));
        let of_server = held.clone();
        let forget = move |asked: &Asked| {
            let mut held = of_server.lock().expect("not poisoned");
            let answer = held.answer(asked, ALL);
            if asked.method == "PATCH" && asked.body.len() > kept {
                let id = asked.path.rsplit('/').next().and_then(|last| last.split('?').next()).expect("an upload");
                let upload = held.uploads.get_mut(id)?;
                upload.truncate(upload.len() - asked.body.len() + kept);
                let range = format!("0-{}", upload.len().saturating_sub(1));
                return Some(Answer::new(202, "").with("Location", &asked.path).with("Range", &range));
            }
            Some(answer)
        };
        let registry = Registry { held, ..Registry::new(ALL, forget, |_| None) };
        let pushed = push(&layout, &registry, "a:1");
        if kept == 0 {
            let error = pushed.expect_err("nothing gets there");
            assert!(error.to_string().contains("it has 0 bytes where 8388608 were sent"), "{error}");
            assert!(registry.tags().is_empty());
        } else {
            pushed.expect("pushes");
            check(&layout, &registry, "a:1");
        }
    }
}

#[test]
fn a_push_that_fails_leaves_the_tag_as_it_was() {
    let layout = Layout::new();
    let refused = |asked: &Asked| {
        let is_upload = asked.method == "PUT" && asked.path.contains("/blobs/");
        is_upload.then(|| Answer::new(403, r#"{"errors":[{"code":"DENIED","message":"the quota is used up"}]}"#))
    };
    let registry = Registry::new(ALL, refused, |_| None);
    let error = push(&layout, &registry, "a:1").expect_err("is refused");
    assert!(matches!(&error, crate::Error::Remote(error) if matches!(**error, RemoteError::Denied { .. })), "{error}");
    assert!(registry.tags().is_empty());
    // What a file holds is checked before the registry is asked to take it.
    let registry = Registry::plain();
    let path = layout.folder.path().join("blobs/sha256").join(layout.large.hex());
    let mut bytes = std::fs::read(&path).expect("reads");
    bytes[17_000_000] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    let error = push(&layout, &registry, "a:1").expect_err("is damaged");
    assert!(error.to_string().contains(&layout.large.to_string()), "{error}");
    let is_end = |asked: &String| asked.starts_with("PUT") && asked.contains(&layout.large.to_string());
    assert!(!registry.server.asked().iter().any(is_end), "{:?}", registry.server.asked());
    assert!(registry.tags().is_empty());
}

#[test]
fn wrong_bytes_of_the_source_reach_no_target() {
    let layout = Layout::new();
    let good = Registry::plain();
    push(&layout, &good, "a:1").expect("pushes");
    let bad = {
        let held = good.held.clone();
        let large = layout.large.to_string();
        Registry::new(
            ALL,
            move |asked| {
                let mut held = held.lock().expect("not poisoned");
                let is_large = asked.method == "GET" && asked.path.ends_with(&large);
                Some(if is_large {
                    Answer::new(200, vec![7; held.blobs[&large].len()])
                } else {
                    held.answer(asked, ALL)
                })
            },
            |_| None,
        )
    };
    let target = Registry::plain();
    let error = copy(&bad.reference("a:1"), &target.reference("b:1"), &order(), &()).expect_err("is wrong");
    assert!(error.to_string().contains("digest"), "{error}");
    assert!(target.tags().is_empty());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("back");
    let file = format!("oci:{}", path.display()).parse().expect("a reference");
    let error = copy(&bad.reference("a:1"), &file, &order(), &()).expect_err("is wrong");
    assert!(error.to_string().contains("digest") && !path.exists(), "{error}");
}

#[test]
fn mounting_asks_to_be_let_into_both_repositories() {
    let (layout, held) = (Layout::new(), Arc::new(Mutex::new(Held::default())));
    let scopes = Arc::new(Mutex::new(Vec::new()));
    let (of_server, seen) = (held.clone(), scopes.clone());
    let server = Server::with_bodies(
        move |asked| {
            if asked.path.starts_with("/token") {
                seen.lock().expect("not poisoned").push(asked.path.clone());
                return Answer::new(200, r#"{"access_token":"tok"}"#);
            }
            if asked.headers.get("authorization").map(String::as_str) == Some("Bearer tok") {
                return of_server.lock().expect("not poisoned").answer(asked, ALL);
            }
            let realm = format!("Bearer realm=\"http://{}/token\",service=\"test\"", asked.headers["host"]);
            Answer::new(401, "").with("WWW-Authenticate", &realm)
        },
        |_| None,
    );
    let registry = Registry { server, held };
    push(&layout, &registry, "team/a:1").expect("pushes");
    copy(&registry.reference("team/a:1"), &registry.reference("team/b:1"), &order(), &()).expect("copies");
    let last = scopes.lock().expect("not poisoned").last().cloned().expect("a token");
    for scope in ["repository%3Ateam%2Fb%3Apull%2Cpush", "repository%3Ateam%2Fa%3Apull"] {
        assert!(last.contains(scope), "{last}");
    }
}
