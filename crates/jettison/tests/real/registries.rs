//! Pulling from Debian's registry what skopeo pushed there, without and with a login.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use jettison_image::{Limits, Platform};
use jettison_store::registry::{Credentials, Options, pull, resolve};
use jettison_store::{ImageName, LocalStore, RemoteError, Wanted};
use tempfile::TempDir;

use crate::tools::{folder, run, run_with, shared, text};

pub(crate) const USER: &str = "tester";
pub(crate) const PASSWORD: &str = "open sesame";

/// A registry of the suite's own, ended by its own process id when dropped.
pub(crate) struct Registry {
    folder: TempDir,
    pub(crate) host: String,
    process: Child,
}

impl Registry {
    pub(crate) fn start(has_login: bool) -> Self {
        Self::start_in(folder(), has_login, false)
    }

    /// One that wants a login, and speaks TLS with a certificate of an authority of its own.
    pub(crate) fn start_encrypted() -> Self {
        let folder = folder();
        let path = |name: &str| text(&folder.path().join(name)).to_owned();
        let (ca, ca_key) = (path("ca.crt"), path("ca.key"));
        let new = ["req", "-newkey", "rsa:2048", "-nodes"];
        let authority = ["-x509", "-days", "2", "-subj", "/CN=suite", "-keyout", &ca_key, "-out", &ca];
        run("openssl", &[&new[..], &authority].concat());
        let (key, asked, cert) = (path("server.key"), path("server.csr"), path("server.crt"));
        run("openssl", &[&new[..], &["-subj", "/CN=127.0.0.1", "-keyout", &key, "-out", &asked]].concat());
        fs::write(path("names"), "subjectAltName=IP:127.0.0.1\n").expect("writes");
        let signed = ["x509", "-req", "-days", "2", "-in", &asked, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"];
        run("openssl", &[&signed[..], &["-extfile", &path("names"), "-out", &cert]].concat());
        Self::start_in(folder, true, true)
    }

    /// The authority's certificate.
    pub(crate) fn authority(&self) -> String {
        text(&self.folder.path().join("ca.crt")).to_owned()
    }

    fn start_in(folder: TempDir, has_login: bool, is_encrypted: bool) -> Self {
        let path = |name: &str| folder.path().join(name);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let host = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            path("data").display()
        );
        if is_encrypted {
            let (cert, key) = (path("server.crt"), path("server.key"));
            config += &format!("  tls:\n    certificate: {}\n    key: {}\n", cert.display(), key.display());
        }
        if has_login {
            fs::write(path("htpasswd"), run("htpasswd", &["-Bbn", USER, PASSWORD])).expect("writes");
            let login = path("htpasswd");
            config += &format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", login.display());
        }
        fs::write(path("config.yml"), config).expect("writes");
        let log = File::create(path("log")).expect("a log");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("docker-registry does not start: install Debian's docker-registry, or run ./test, which does");
        let registry = Self { folder, host, process };
        for _ in 0..100 {
            if std::net::TcpStream::connect(&registry.host).is_ok() {
                return registry;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(registry.folder.path().join("log")).unwrap_or_default();
        panic!("docker-registry does not answer:\n{log}");
    }

    /// Pushes an image of the test data, and gives its name and the digest that skopeo sees.
    fn push(&self, archive: &str, has_login: bool) -> (ImageName, String) {
        let place = format!("{}/suite/{}:v1", self.host, archive.trim_end_matches(".oci.tar"));
        let (from, to) = (format!("oci-archive:{}", text(&shared(archive))), format!("docker://{place}"));
        let login = format!("{USER}:{PASSWORD}");
        let mut copy = vec!["copy", "-q", "--insecure-policy", "--dest-tls-verify=false"];
        let mut inspect = vec!["inspect", "--tls-verify=false", "--format", "{{.Digest}}"];
        if has_login {
            copy.extend(["--dest-creds", &login]);
            inspect.extend(["--creds", &login]);
        }
        copy.extend([from.as_str(), to.as_str()]);
        inspect.push(&to);
        run("skopeo", &copy);
        let digest = run("skopeo", &inspect).trim().to_owned();
        (place.parse().expect("a name"), digest)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // The process is this suite's own child.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn platform() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

fn options(credentials: Credentials) -> Options {
    Options { credentials, ..Options::default() }
}

/// Pulls into a store of its own, and compares with what was pushed: by digest, and as containers see it.
fn pull_and_compare(name: &ImageName, digest: &str, archive: &str, credentials: Credentials) {
    let cache = folder();
    let store = LocalStore::open(&cache.path().join("images")).expect("a store");
    let options = options(credentials);
    let pulled = pull(name, &platform(), &store, &options, &()).expect("pulls");
    assert_eq!(pulled.digest.to_string(), digest);
    assert_eq!(resolve(name, &options, &()).expect("resolves"), pulled.digest);
    let found = store.find(name, &Wanted::Platform(platform()), Limits::default()).expect("reads");
    assert_eq!(found.expect("is there").images.len(), 1);
    let cache_folder = [("JETTISON_CACHE", text(cache.path()))];
    let (before, after) = (format!("oci-archive:{}", text(&shared(archive))), format!("local:{name}"));
    let binary = env!("CARGO_BIN_EXE_jettison");
    run_with(binary, &["diff", &before, &after], &cache_folder);
    // By its name alone, and out of the store again under another one.
    run_with(binary, &["optimize", &name.to_string(), "-O1", "-o", "local:suite/small:1"], &cache_folder);
    run_with(binary, &["diff", &before, "suite/small:1"], &cache_folder);
    // skopeo reads the store as the layout that it is.
    let layout = format!("oci:{}:v1", text(&cache.path().join("images")));
    assert_eq!(run("skopeo", &["inspect", "--format", "{{.Digest}}", &layout]).trim(), digest);
}

#[test]
fn images_come_from_an_open_registry() {
    let registry = Registry::start(false);
    for archive in ["busybox-glibc.oci.tar", "busybox-musl.oci.tar"] {
        let (name, digest) = registry.push(archive, false);
        pull_and_compare(&name, &digest, archive, Credentials::Anonymous);
        let by_digest: ImageName = format!("{}/{}@{digest}", name.domain(), name.path()).parse().expect("a name");
        let cache = folder();
        let store = LocalStore::open(cache.path()).expect("a store");
        pull(&by_digest, &platform(), &store, &options(Credentials::Anonymous), &()).expect("pulls");
        assert!(store.descriptor(&by_digest).expect("reads").is_some());
    }
    let none = format!("{}/suite/none:v1", registry.host).parse().expect("a name");
    let error = resolve(&none, &options(Credentials::Anonymous), &()).expect_err("is missing");
    assert!(matches!(error, RemoteError::NotFound { .. }), "{error}");
}

#[test]
fn images_come_from_a_registry_that_wants_a_login() {
    let registry = Registry::start(true);
    let archive = "busybox-musl.oci.tar";
    let (name, digest) = registry.push(archive, true);
    let given = |password: &str| Credentials::Given { user: USER.to_owned(), password: password.to_owned() };
    pull_and_compare(&name, &digest, archive, given(PASSWORD));
    for credentials in [Credentials::Anonymous, given("wrong")] {
        let error = resolve(&name, &options(credentials), &()).expect_err("is refused");
        assert!(matches!(error, RemoteError::Unauthorized { .. }), "{error}");
    }
}

/// A build from a registry, in a cache of its own.
struct Builds {
    folder: TempDir,
}

impl Builds {
    fn new() -> Self {
        Self { folder: folder() }
    }

    /// The digest of the base's layer in what `FROM base` gives, or what the build says when it fails. Docker's
    /// settings, if there are any, are in the folder `docker`.
    fn from(&self, base: &str, more: &[&str]) -> Result<String, String> {
        let context = self.folder.path().join("context");
        fs::create_dir_all(&context).expect("a folder");
        fs::write(context.join("Dockerfile"), format!("FROM {base}\nRUN echo 1 > /built\n")).expect("writes");
        let layout = self.folder.path().join("out");
        let _ = fs::remove_dir_all(&layout);
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["build", "-O0", "--progress", "plain"]).args(more).arg("--cache-dir");
        command.arg(self.folder.path().join("cache"));
        command.arg("-o").arg(format!("type=oci,tar=false,dest={}", layout.display())).arg(&context);
        command.env("DOCKER_CONFIG", self.folder.path().join("docker"));
        let output = command.output().expect("jettison");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            assert!(!layout.exists(), "a failed build writes nothing");
            return Err(said);
        }
        let layers = diff_ids(&format!("oci:{}", layout.display()));
        assert_eq!(layers.len(), 2, "the base's layer, and one more");
        Ok(layers[0].clone())
    }
}

/// The diff IDs of an image as skopeo sees it.
fn diff_ids(place: &str) -> Vec<String> {
    let config: serde_json::Value =
        serde_json::from_str(&run("skopeo", &["inspect", "--config", place])).expect("JSON");
    let ids = config["rootfs"]["diff_ids"].as_array().expect("diff IDs");
    ids.iter().map(|id| id.as_str().expect("a digest").to_owned()).collect()
}

#[test]
fn builds_start_from_what_a_registry_has() {
    let registry = Registry::start(false);
    let musl = diff_ids(&format!("oci-archive:{}", text(&shared("busybox-musl.oci.tar"))));
    let glibc = diff_ids(&format!("oci-archive:{}", text(&shared("busybox-glibc.oci.tar"))));
    assert_ne!(musl, glibc);
    let (pushed, digest) = registry.push("busybox-musl.oci.tar", false);
    // Docker's own way to say this machine.
    let port = registry.host.rsplit(':').next().expect("a port").to_owned();
    let name = format!("localhost:{port}/{}:v1", pushed.path());
    let builds = Builds::new();

    let offline = builds.from(&name, &["--offline"]).expect_err("it is not at hand");
    assert!(offline.contains(&name) && offline.contains("--offline"), "{offline}");
    assert_eq!(builds.from(&name, &[]).expect("is pulled"), musl[0]);
    assert_eq!(builds.from(&name, &["--offline"]).expect("is at hand"), musl[0]);
    let by_digest = format!("localhost:{port}/{}@{digest}", pushed.path());
    assert_eq!(builds.from(&by_digest, &[]).expect("is pulled by its digest"), musl[0]);

    // The tag moves on: only --pull asks for that.
    let place = format!("docker://{}/{}:v1", registry.host, pushed.path());
    let other = format!("oci-archive:{}", text(&shared("busybox-glibc.oci.tar")));
    run("skopeo", &["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", &other, &place]);
    assert_eq!(builds.from(&name, &[]).expect("is at hand"), musl[0]);
    assert_eq!(builds.from(&name, &["--pull"]).expect("is pulled anew"), glibc[0]);
    assert_eq!(builds.from(&name, &["--pull"]).expect("is the same"), glibc[0]);
    assert_eq!(builds.from(&by_digest, &["--pull"]).expect("stays"), musl[0]);

    let missing = builds.from(&format!("localhost:{port}/suite/none:v1"), &[]).expect_err("is missing");
    assert!(missing.contains("suite/none") && missing.contains("Dockerfile:1"), "{missing}");

    drop(registry);
    assert_eq!(builds.from(&name, &[]).expect("is at hand"), glibc[0]);
    let gone = builds.from(&name, &["--pull"]).expect_err("the registry is gone");
    assert!(gone.contains(&format!("localhost:{port}")), "{gone}");
}

#[test]
fn builds_ask_a_mirror_before_docker_hub() {
    let registry = Registry::start(false);
    let musl = format!("oci-archive:{}", text(&shared("busybox-musl.oci.tar")));
    let place = format!("docker://{}/library/busybox:1.37", registry.host);
    run("skopeo", &["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", &musl, &place]);
    let builds = Builds::new();
    let mirror = ["--registry-mirror", registry.host.as_str()];
    let base = diff_ids(&musl);
    assert_eq!(builds.from("busybox:1.37", &mirror).expect("the mirror has it"), base[0]);
    // It is the image by that name from then on.
    assert_eq!(builds.from("docker.io/library/busybox:1.37", &["--offline"]).expect("is at hand"), base[0]);
}

#[test]
fn builds_log_in_with_dockers_credentials() {
    let registry = Registry::start(true);
    let (name, _) = registry.push("busybox-musl.oci.tar", true);
    let builds = Builds::new();
    let refused = builds.from(&name.full(), &[]).expect_err("nobody logged in");
    assert!(refused.contains(&registry.host), "{refused}");
    let docker = builds.folder.path().join("docker");
    fs::create_dir(&docker).expect("a folder");
    let auth = run("sh", &["-c", &format!("printf '%s' '{USER}:{PASSWORD}' | base64 -w0")]);
    let settings = serde_json::json!({ "auths": { registry.host.as_str(): { "auth": auth } } });
    fs::write(docker.join("config.json"), settings.to_string()).expect("writes");
    builds.from(&name.full(), &[]).expect("somebody is logged in");
}
