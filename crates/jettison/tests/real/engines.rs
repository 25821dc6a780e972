//! The engines and readers: a Docker engine of the suite's own, buildah with storage of its own, umoci, skopeo.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::tools::{folder, run, run_with, shared, text, unmount_below};
use crate::trees::{self, Seen};

/// A Docker engine, ended by its own process id when dropped.
pub(crate) struct Docker {
    folder: TempDir,
    process: Child,
}

impl Docker {
    pub(crate) fn start() -> Self {
        Self::start_with(folder(), &[])
    }

    /// One that listens by TLS as well, with the address at which it does: `ca.pem`, `cert.pem` and `key.pem` for its
    /// clients are in [`Docker::folder`].
    pub(crate) fn start_encrypted() -> (Self, String) {
        let folder = folder();
        let path = |name: &str| text(&folder.path().join(name)).to_owned();
        let (ca, ca_key) = (path("ca.pem"), path("ca.key"));
        let new = ["req", "-newkey", "rsa:2048", "-nodes"];
        let authority = ["-x509", "-days", "2", "-subj", "/CN=suite", "-keyout", &ca_key, "-out", &ca];
        run("openssl", &[&new[..], &authority].concat());
        let certify = |subject: &str, extension: &str, key: &str, certificate: &str| {
            let (asked, extensions) = (path("asked"), path("extensions"));
            run("openssl", &[&new[..], &["-subj", subject, "-keyout", key, "-out", &asked]].concat());
            std::fs::write(&extensions, extension).expect("writes");
            let signed = ["x509", "-req", "-days", "2", "-in", &asked, "-CA", &ca, "-CAkey", &ca_key];
            run("openssl", &[&signed[..], &["-CAcreateserial", "-extfile", &extensions, "-out", certificate]].concat());
        };
        let (server, server_key) = (path("server.pem"), path("server.key"));
        certify("/CN=127.0.0.1", "subjectAltName=IP:127.0.0.1\n", &server_key, &server);
        certify("/CN=client", "extendedKeyUsage=clientAuth\n", &path("key.pem"), &path("cert.pem"));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let host = format!("tcp://127.0.0.1:{port}");
        let files = ["--tlsverify", "--tlscacert", &ca, "--tlscert", &server, "--tlskey", &server_key];
        let docker = Self::start_with(folder, &[&files[..], &["--host", &host]].concat());
        (docker, host)
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn start_with(folder: TempDir, more: &[&str]) -> Self {
        let path = |name: &str| folder.path().join(name);
        let log = std::fs::File::create(path("log")).expect("a log");
        let process = Command::new("dockerd")
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("--host")
            .arg(format!("unix://{}", path("socket").display()))
            .args(["--iptables=false", "--bridge=none"])
            .args(more)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("dockerd does not start: install Debian's docker.io, or run ./test, which does");
        let docker = Self { folder, process };
        for _ in 0..150 {
            let answers = Command::new("/usr/bin/docker").arg("version").env("DOCKER_HOST", docker.host()).output();
            if answers.is_ok_and(|output| output.status.success()) {
                return docker;
            }
            thread::sleep(Duration::from_millis(200));
        }
        let log = std::fs::read_to_string(docker.folder.path().join("log")).unwrap_or_default();
        panic!("dockerd does not answer:\n{log}");
    }

    /// Where the engine listens.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> String {
        let host = self.host();
        let environment = [&[("DOCKER_HOST", host.as_str())], more].concat();
        run_with("/usr/bin/docker", arguments, &environment)
    }

    /// Imports the Alpine root file system as `alpine:3.20`.
    pub(crate) fn import_alpine(&self) {
        let rootfs = shared("alpine-minirootfs-3.20.3-x86_64.tar.gz");
        self.run(&["import", "-c", "CMD [\"/bin/sh\"]", text(&rootfs), "alpine:3.20"]);
    }

    /// Builds a context; `buildkit` is `1` or `0`.
    pub(crate) fn build(&self, context: &Path, tag: &str, buildkit: &str) {
        self.run_with(&["build", "-q", "--network=none", "-t", tag, text(context)], &[("DOCKER_BUILDKIT", buildkit)]);
    }

    pub(crate) fn save(&self, tag: &str, file: &Path) {
        self.run(&["save", tag, "-o", text(file)]);
    }

    /// Loads an archive and gives the image's file system as the engine exports it.
    pub(crate) fn load_and_export(&self, file: &Path, tag: &str) -> Seen {
        self.run(&["load", "-i", text(file)]);
        self.export(tag)
    }

    /// The file system of a container of an image.
    pub(crate) fn export(&self, tag: &str) -> Seen {
        let container = self.run(&["create", tag, "true"]).trim().to_owned();
        let file = self.folder.path().join("export.tar");
        self.run(&["export", "-o", text(&file), &container]);
        self.run(&["rm", &container]);
        trees::tar(&std::fs::read(&file).expect("an export"))
    }

    /// An image's settings, as the engine tells them.
    pub(crate) fn settings(&self, tag: &str) -> String {
        self.run(&["image", "inspect", "-f", "{{json .Config}} {{.Architecture}} {{.Os}}", tag])
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // The pid is this suite's own child; SIGTERM lets the engine unmount what it mounted.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        unmount_below(self.folder.path());
    }
}

/// buildah with its storage in a folder.
pub(crate) struct Buildah {
    folder: TempDir,
}

impl Buildah {
    pub(crate) fn new() -> Self {
        Self { folder: folder() }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let (root, runroot) = self.storage();
        let storage = ["--root", &root, "--runroot", &runroot, "--storage-driver", "overlay"];
        run("buildah", &[&storage[..], arguments].concat())
    }

    /// The same for what may fail.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> Output {
        let (root, runroot) = self.storage();
        let storage = ["--root", &root, "--runroot", &runroot, "--storage-driver", "overlay"];
        // A step that hangs must not hang the suite.
        Command::new("timeout").args(["120", "buildah"]).args(storage).args(arguments).output().expect("timeout")
    }

    fn storage(&self) -> (String, String) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        (path("root"), path("run"))
    }

    /// What a working container of an image mounts as its root.
    pub(crate) fn mounted(&self, image: &str) -> Seen {
        let container = self.run(&["from", "--pull-never", image]).trim().to_owned();
        self.seen(&container)
    }

    /// The same for an image in another place.
    pub(crate) fn mounted_from(&self, place: &str) -> Seen {
        let container = self.run(&["from", place]).trim().to_owned();
        self.seen(&container)
    }

    fn seen(&self, container: &str) -> Seen {
        let root = self.run(&["mount", container]).trim().to_owned();
        let seen = trees::folder(Path::new(&root));
        self.run(&["umount", container]);
        self.run(&["rm", container]);
        seen
    }
}

impl Drop for Buildah {
    fn drop(&mut self) {
        unmount_below(self.folder.path());
    }
}

/// What `umoci unpack` makes of an image in an OCI layout.
pub(crate) fn umoci(layout: &Path, tag: &str) -> Seen {
    let folder = folder();
    let bundle: PathBuf = folder.path().join("bundle");
    run("umoci", &["unpack", "--image", &format!("{}:{tag}", layout.display()), text(&bundle)]);
    trees::folder(&bundle.join("rootfs"))
}

/// Copies an image with skopeo.
pub(crate) fn skopeo(from: &str, to: &str) {
    run("skopeo", &["copy", "-q", "--insecure-policy", from, to]);
}
