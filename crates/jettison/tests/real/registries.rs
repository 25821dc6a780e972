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

const USER: &str = "tester";
const PASSWORD: &str = "open sesame";

/// A registry of the suite's own, ended by its own process id when dropped.
struct Registry {
    folder: TempDir,
    host: String,
    process: Child,
}

impl Registry {
    fn start(has_login: bool) -> Self {
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let host = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            path("data").display()
        );
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
    assert_eq!(resolve(name, &options).expect("resolves"), pulled.digest);
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
    let error = resolve(&none, &options(Credentials::Anonymous)).expect_err("is missing");
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
        let error = resolve(&name, &options(credentials)).expect_err("is refused");
        assert!(matches!(error, RemoteError::Unauthorized { .. }), "{error}");
    }
}
