//! Pulls from a registry that misbehaves as real ones do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jettison_image::{Descriptor, Digest, Limits, Platform, media};
use serde_json::json;

use super::server::{Answer, Server};
use super::*;
use crate::platforms::Wanted;

/// What the registry holds: blobs and manifests by digest, and tags.
struct Content {
    blobs: HashMap<String, Vec<u8>>,
    manifests: HashMap<String, (String, Vec<u8>)>,
    layer: Digest,
    manifest: Digest,
    index: Digest,
}

fn content() -> Arc<Content> {
    let layer: Vec<u8> = (0..200_000_u32).map(|number| (number * 7 % 251) as u8).collect();
    let small = b"small layer".to_vec();
    let ids = [Digest::of(&layer), Digest::of(&small)];
    let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": ids } });
    let config = serde_json::to_vec(&config).expect("prints");
    let tar = "application/vnd.oci.image.layer.v1.tar";
    // The spaces show that the bytes are kept.
    let manifest = format!(
        "{{ \"schemaVersion\": 2,  \"mediaType\": \"{}\", \"config\": {}, \"layers\": [{}, {}] }}\n",
        media::OCI_MANIFEST,
        serde_json::to_string(&Descriptor::of(media::OCI_CONFIG, &config)).expect("prints"),
        serde_json::to_string(&Descriptor::of(tar, &layer)).expect("prints"),
        serde_json::to_string(&Descriptor::of(tar, &small)).expect("prints"),
    );
    let manifest = manifest.into_bytes();
    let entry = |platform: &str, digest: Digest, size: u64| {
        let mut descriptor = Descriptor::new(media::OCI_MANIFEST, digest, size);
        descriptor.platform = Some(platform.parse::<Platform>().expect("a platform"));
        descriptor
    };
    let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [
        entry("linux/arm64", Digest::of(b"elsewhere"), 9),
        entry("linux/amd64", Digest::of(&manifest), manifest.len() as u64),
    ] });
    let index = serde_json::to_vec(&index).expect("prints");
    let (layer_digest, manifest_digest, index_digest) = (ids[0], Digest::of(&manifest), Digest::of(&index));
    let blobs = [layer, small, config].into_iter().map(|blob| (Digest::of(&blob).to_string(), blob)).collect();
    let mut manifests = HashMap::new();
    for (tag, digest, media_type, bytes) in
        [("one", manifest_digest, media::OCI_MANIFEST, manifest), ("list", index_digest, media::OCI_INDEX, index)]
    {
        manifests.insert(tag.to_owned(), (media_type.to_owned(), bytes.clone()));
        manifests.insert(digest.to_string(), (media_type.to_owned(), bytes));
    }
    let content = Content { blobs, manifests, layer: layer_digest, manifest: manifest_digest, index: index_digest };
    Arc::new(content)
}

impl Content {
    /// What a registry without faults answers.
    fn answer(&self, path: &str, headers: &HashMap<String, String>) -> Answer {
        let last = path.rsplit('/').next().unwrap_or_default();
        if path == "/v2/" {
            return Answer::new(200, "{}");
        }
        if path.contains("/manifests/") {
            return match self.manifests.get(last) {
                Some((media_type, bytes)) => Answer::new(200, bytes)
                    .with("Content-Type", media_type)
                    .with("Docker-Content-Digest", &Digest::of(bytes).to_string()),
                None => Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
            };
        }
        let Some(blob) = self.blobs.get(last) else { return Answer::new(404, "") };
        let range =
            headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
        match range {
            Some(from) => Answer::new(206, &blob[from..]),
            None => Answer::new(200, blob),
        }
    }
}

fn options() -> Options {
    let retry = Retry { attempts: 4, pause: Duration::from_millis(2) };
    Options { credentials: Credentials::Anonymous, retry, ..Options::default() }
}

struct Case {
    server: Server,
    folder: tempfile::TempDir,
}

impl Case {
    /// `fault` answers instead of the content where it has something to say.
    fn new(
        content: &Arc<Content>,
        fault: impl Fn(usize, &str, &HashMap<String, String>) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let content = content.clone();
        let server = Server::start(move |count, path, headers, _| {
            fault(count, path, headers).unwrap_or_else(|| content.answer(path, headers))
        });
        Self { server, folder: tempfile::tempdir().expect("a folder") }
    }

    fn name(&self, tag: &str) -> ImageName {
        format!("{}/team/app{tag}", self.server.host()).parse().expect("a name")
    }

    fn store(&self) -> LocalStore {
        LocalStore::open(self.folder.path()).expect("opens")
    }

    fn pull(&self, tag: &str, options: &Options) -> Result<Descriptor, RemoteError> {
        let platform = "linux/amd64".parse().expect("a platform");
        pull(&self.name(tag), &platform, &self.store(), options, &())
    }

    /// Checks that the image can be read, and that each blob is what its name says.
    fn check(&self, tag: &str) {
        let wanted = Wanted::Platform("linux/amd64".parse().expect("a platform"));
        let found = self.store().find(&self.name(tag), &wanted, Limits::default()).expect("reads").expect("is there");
        assert_eq!(found.images[0].layers.len(), 2);
        for entry in std::fs::read_dir(self.folder.path().join("blobs/sha256")).expect("reads").flatten() {
            let bytes = std::fs::read(entry.path()).expect("reads");
            assert_eq!(Digest::of(&bytes).hex(), entry.file_name().to_string_lossy());
        }
    }
}

#[test]
fn an_image_comes_byte_for_byte_and_only_once() {
    let content = content();
    let case = Case::new(&content, |_, _, _| None);
    let pulled = case.pull(":one", &options()).expect("pulls");
    assert_eq!((pulled.digest, pulled.media_type.as_str()), (content.manifest, media::OCI_MANIFEST));
    case.check(":one");
    let blobs = |asked: Vec<String>| asked.iter().filter(|path| path.contains("/blobs/")).count();
    assert_eq!(blobs(case.server.asked()), 3);
    case.pull(":one", &options()).expect("pulls");
    assert_eq!(blobs(case.server.asked()), 3);
    assert_eq!(resolve(&case.name(":one"), &options(), &()).expect("resolves"), content.manifest);
}

#[test]
fn of_an_index_the_wanted_platform_comes() {
    let content = content();
    let case = Case::new(&content, |_, _, _| None);
    assert_eq!(case.pull(":list", &options()).expect("pulls").digest, content.index);
    case.check(":list");
    // The other platform is known, and not at hand.
    let arm = Wanted::Platform("linux/arm64".parse().expect("a platform"));
    assert!(case.store().find(&case.name(":list"), &arm, Limits::default()).expect("reads").is_none());
    let digest = format!("@{}", content.index);
    case.pull(&digest, &options()).expect("pulls");
    case.check(&digest);
    let other = "linux/s390x".parse().expect("a platform");
    let error = pull(&case.name(":list"), &other, &case.store(), &options(), &()).expect_err("is missing");
    assert!(error.hint().expect("a hint").contains("linux/arm64, linux/amd64"), "{error}");
}

#[test]
fn a_cut_connection_is_taken_up_where_it_was_cut() {
    let content = content();
    let layer = content.layer.to_string();
    let case = {
        let blob = content.blobs[&layer].clone();
        Case::new(&content, move |count, path, headers| {
            let is_first = path.ends_with(&layer) && count == 0;
            assert!(!path.ends_with(&layer) || count == 0 || headers.contains_key("range"), "starts anew");
            is_first.then(|| Answer::new(200, &blob).cut(100_000))
        })
    };
    case.pull(":one", &options()).expect("pulls");
    case.check(":one");
}

#[test]
fn a_registry_that_knows_no_ranges_gives_the_blob_anew() {
    let content = content();
    let layer = content.layer.to_string();
    let blob = content.blobs[&layer].clone();
    let case = Case::new(&content, move |count, path, _| {
        let answer = || if count == 0 { Answer::new(200, &blob).cut(100_000) } else { Answer::new(200, &blob) };
        path.ends_with(&layer).then(answer)
    });
    case.pull(":one", &options()).expect("pulls");
    case.check(":one");
}

#[test]
fn passing_failures_pass() {
    let content = content();
    let case = Case::new(&content, |count, path, _| match count {
        0 if path.contains("/manifests/") => Some(Answer::new(500, "")),
        1 if path.contains("/manifests/") => Some(Answer::new(429, "").with("Retry-After", "0")),
        0 if path.contains("/blobs/") => Some(Answer::new(503, "")),
        _ => None,
    });
    case.pull(":one", &options()).expect("pulls");
    case.check(":one");
    let case = Case::new(&content, |_, path, _| path.contains("/blobs/").then(|| Answer::new(500, "")));
    let error = case.pull(":one", &options()).expect_err("fails for good");
    assert!(matches!(error, RemoteError::Status { code: 500, .. }), "{error}");
    assert!(case.store().names().expect("reads").is_empty());
}

#[test]
fn wrong_content_is_told_by_its_blob_and_host() {
    let content = content();
    let layer = content.layer.to_string();
    let wrong = vec![1; content.blobs[&layer].len()];
    for (bytes, is_expected) in [
        (wrong, (|error| matches!(error, &RemoteError::Digest { .. })) as fn(&RemoteError) -> bool),
        (vec![1; 300_000], |error| matches!(error, RemoteError::Size { .. })),
        (content.blobs[&layer][..1000].to_vec(), |error| {
            matches!(error, RemoteError::Size { .. } | RemoteError::Digest { .. })
        }),
    ] {
        let asked = layer.clone();
        let case = Case::new(&content, move |_, path, _| path.ends_with(&asked).then(|| Answer::new(200, &bytes)));
        let error = case.pull(":one", &options()).expect_err("is wrong");
        let text = error.to_string();
        assert!(is_expected(&error), "{text}");
        assert!(text.contains(&layer) && text.contains(case.server.host()), "{text}");
        assert!(!case.store().has_blob(content.layer) && case.store().names().expect("reads").is_empty());
    }
    let case = Case::new(&content, move |_, path, _| {
        path.contains("/manifests/").then(|| Answer::new(200, "{\"config\":{}}"))
    });
    let error = case.pull(&format!("@{}", content.manifest), &options()).expect_err("is wrong");
    assert!(matches!(error, RemoteError::Digest { .. }), "{error}");
}

#[test]
fn a_missing_tag_and_a_refusing_host_are_told() {
    let content = content();
    let case = Case::new(&content, |_, _, _| None);
    let error = case.pull(":none", &options()).expect_err("is missing");
    assert!(matches!(error, RemoteError::NotFound { .. }) && error.to_string().contains("team/app:none"), "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address");
    drop(listener);
    let name: ImageName = format!("{host}/app").parse().expect("a name");
    let error = resolve(&name, &options(), &()).expect_err("is refused");
    assert!(matches!(error, RemoteError::Unreachable { .. }), "{error}");
    assert!(crate::remote::chain(&error).contains("refused"), "{error:?}");
    let offline = resolve(&name, &Options { offline: true, ..options() }, &());
    assert!(matches!(offline, Err(RemoteError::Offline { .. })));
}

/// A registry that wants a token for `user` and `secret`, or for nobody if `is_open`.
fn with_tokens(content: &Arc<Content>, is_open: bool) -> Case {
    let content = content.clone();
    let server = Server::start(move |_, path, headers, _| {
        let given = headers.get("authorization").map(String::as_str);
        if path.starts_with("/token") {
            assert!(path.contains("scope=repository%3Ateam%2Fapp%3Apull"), "{path}");
            // user:secret
            return match given {
                Some("Basic dXNlcjpzZWNyZXQ=") => Answer::new(200, r#"{"token":"tok"}"#),
                None if is_open => Answer::new(200, r#"{"token":"tok"}"#),
                _ => Answer::new(401, ""),
            };
        }
        if given == Some("Bearer tok") {
            return content.answer(path, headers);
        }
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"test\"", headers["host"]);
        Answer::new(401, "").with("WWW-Authenticate", &realm)
    });
    Case { server, folder: tempfile::tempdir().expect("a folder") }
}

#[test]
fn tokens_are_fetched_for_nobody_and_for_users() {
    let content = content();
    let case = with_tokens(&content, true);
    case.pull(":one", &options()).expect("pulls");
    case.check(":one");
    let case = with_tokens(&content, false);
    let error = case.pull(":one", &options()).expect_err("is refused");
    assert!(matches!(error, RemoteError::Unauthorized { .. }), "{error}");
    let given = |password: &str| Credentials::Given { user: "user".to_owned(), password: password.to_owned() };
    let wrong = case.pull(":one", &Options { credentials: given("wrong"), ..options() }).expect_err("is refused");
    assert!(matches!(wrong, RemoteError::Unauthorized { .. }) && !format!("{wrong:?}").contains("wrong\""));
    case.pull(":one", &Options { credentials: given("secret"), ..options() }).expect("pulls");
    case.check(":one");
}

#[test]
fn mirrors_are_asked_first_and_only_for_the_default_registry() {
    let content = content();
    let broken = Case::new(&content, |_, _, _| Some(Answer::new(404, "")));
    let case = Case::new(&content, |_, path, headers| {
        assert!(!headers.contains_key("authorization"), "{path}");
        None
    });
    let mirrors = vec![broken.server.host().to_owned(), format!("http://{}/", case.server.host())];
    let credentials = Credentials::Given { user: "user".to_owned(), password: "secret".to_owned() };
    let options = Options { mirrors, credentials, ..options() };
    let (name, platform) = ("team/app:one".parse().expect("a name"), "linux/amd64".parse().expect("a platform"));
    pull(&name, &platform, &case.store(), &options, &()).expect("pulls");
    assert!(case.store().descriptor(&name).expect("reads").is_some());
    assert!(!broken.server.asked().is_empty());
    let before = case.server.asked().len();
    assert!(resolve(&broken.name(":one"), &options, &()).is_err());
    assert_eq!(case.server.asked().len(), before);
}

#[test]
fn redirected_blobs_come_from_where_they_are() {
    let content = content();
    let elsewhere = Case::new(&content, |_, _, headers| {
        assert!(!headers.contains_key("authorization"));
        None
    });
    let host = elsewhere.server.host().to_owned();
    let case = Case::new(&content, move |_, path, _| {
        path.contains("/blobs/").then(|| Answer::new(307, "").with("Location", &format!("http://{host}{path}")))
    });
    case.pull(":one", &options()).expect("pulls");
    case.check(":one");
}
