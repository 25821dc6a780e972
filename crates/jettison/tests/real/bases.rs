//! The base images of the rewrite suite: Alpine with its real apk and a signed repository on loopback, busybox, and a
//! Debian-like root with dash, bash, shadow's tools and stand-ins for package managers, which needs no network.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use crate::engines::{Docker, skopeo};
use crate::tools::{folder, run, shared, text};

const PATH: &str = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The names that the Debian-like root gets: one file system with every manager, so that a pass that knows a
/// manager by its image finds it there.
pub(crate) const DEBIAN_LIKE: [&str; 8] = [
    "debian:bookworm-slim",
    "python:3.12-slim",
    "node:20-slim",
    "ruby:3.3-slim",
    "golang:1.22",
    "fedora:40",
    "opensuse/leap:15.6",
    "archlinux:latest",
];

/// Programs of this Debian that the root gets, with the libraries they need.
const PROGRAMS: [&str; 5] =
    ["/usr/bin/bash", "/usr/bin/dash", "/usr/sbin/useradd", "/usr/sbin/groupadd", "/usr/sbin/usermod"];

/// The repository's server on loopback, ended by its own process id when dropped.
pub(crate) struct Bases {
    _folder: TempDir,
    server: Child,
}

impl Bases {
    /// Makes all of them in an engine.
    pub(crate) fn make(docker: &Docker) -> Self {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let port = free_port();
        let repository = repository(docker, folder.path());
        let server = Command::new("/bin/busybox")
            .args(["httpd", "-f", "-p", &format!("127.0.0.1:{port}"), "-h", text(&repository)])
            .stdin(Stdio::null())
            .spawn()
            .expect("busybox does not start: install Debian's busybox-static");
        unpack_alpine(&at("alpine"));
        fs::copy(at("jt.rsa.pub"), at("alpine/etc/apk/keys/jt.rsa.pub")).expect("the key");
        write(&at("alpine/etc/apk/repositories"), &format!("http://127.0.0.1:{port}\n"));
        import(docker, &at("alpine"), &["alpine:3.20"]);
        debian(&at("debian"));
        import(docker, &at("debian"), &DEBIAN_LIKE);
        let archive = format!("docker-archive:{}:busybox:latest", at("busybox.tar").display());
        skopeo(&format!("oci-archive:{}", shared("busybox-musl.oci.tar").display()), &archive);
        docker.run(&["load", "-i", text(&at("busybox.tar"))]);
        Self { _folder: folder, server }
    }
}

impl Drop for Bases {
    fn drop(&mut self) {
        // The pid is this suite's own child.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, content).expect("writes");
}

fn unpack_alpine(root: &Path) {
    fs::create_dir_all(root).expect("a folder");
    run("tar", &["-xzf", text(&shared("alpine-minirootfs-3.20.3-x86_64.tar.gz")), "-C", text(root)]);
}

/// Imports a folder as an image of one layer.
fn import(docker: &Docker, root: &Path, names: &[&str]) {
    let packed = root.with_extension("tar");
    // Busybox's tools are links; Debian's tar keeps owners, links and modes.
    run("tar", &["-C", text(root), "--sort=name", "-cf", text(&packed), "."]);
    docker.run(&["import", "-c", "CMD [\"/bin/sh\"]", "-c", PATH, text(&packed), names[0]]);
    for name in &names[1..] {
        docker.run(&["tag", names[0], name]);
    }
}

/// Makes the packages, has the real apk index them, and signs the index, so that `apk add` needs no flag.
fn repository(docker: &Docker, folder: &Path) -> PathBuf {
    let repository = folder.join("repository");
    let script = shared("apk-repo/mkapk.py");
    run("python3", &[text(&script), text(&repository)]);
    let key = folder.join("jt.rsa");
    run("openssl", &["genrsa", "-out", text(&key), "2048"]);
    run("openssl", &["rsa", "-in", text(&key), "-pubout", "-out", text(&folder.join("jt.rsa.pub"))]);
    docker.import_alpine();
    let volume = format!("{}:/r", repository.join("x86_64").display());
    let index = "cd /r && apk index -q --allow-untrusted --rewrite-arch x86_64 -o unsigned.tar.gz *.apk";
    docker.run(&["run", "--rm", "--network=none", "-v", &volume, "alpine:3.20", "sh", "-c", index]);
    let unsigned = repository.join("x86_64/unsigned.tar.gz");
    let signature = folder.join("signature");
    run("openssl", &["dgst", "-sha1", "-sign", text(&key), "-out", text(&signature), text(&unsigned)]);
    let mut signed = signature_segment(&fs::read(&signature).expect("the signature"));
    signed.extend(fs::read(&unsigned).expect("the index"));
    fs::remove_file(&unsigned).expect("removes");
    fs::write(repository.join("x86_64/APKINDEX.tar.gz"), signed).expect("writes");
    repository
}

/// The member that apk expects before a signed index: a tar without an end, compressed on its own.
fn signature_segment(signature: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(".SIGN.RSA.jt.rsa.pub").expect("a short name");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(signature.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let padding = vec![0; signature.len().next_multiple_of(512) - signature.len()];
    for part in [&header.as_bytes()[..], signature, &padding] {
        gzip.write_all(part).expect("memory");
    }
    gzip.finish().expect("memory")
}

/// Alpine's tools without apk, with Debian's shells, users and shadow's tools, and the stand-ins.
fn debian(root: &Path) {
    unpack_alpine(root);
    for gone in ["sbin/apk", "lib/apk", "etc/apk", "etc/alpine-release", "etc/os-release", "bin/sh"] {
        run("rm", &["-rf", text(&root.join(gone))]);
    }
    for program in PROGRAMS {
        copy_with_libraries(program, root);
    }
    symlink("/usr/bin/dash", root.join("bin/sh")).expect("a link");
    symlink("/usr/bin/bash", root.join("bin/bash")).expect("a link");
    write(&root.join("etc/os-release"), "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n");
    write(
        &root.join("etc/login.defs"),
        "UMASK 022\nUID_MIN 1000\nGID_MIN 1000\nUSERGROUPS_ENAB yes\nENCRYPT_METHOD SHA512\n",
    );
    fs::copy("/usr/share/base-passwd/passwd.master", root.join("etc/passwd")).expect("Debian's base-passwd");
    fs::copy("/usr/share/base-passwd/group.master", root.join("etc/group")).expect("Debian's base-passwd");
    write(&root.join("etc/shadow"), "root:*:19000:0:99999:7:::\n");
    write(&root.join("etc/gshadow"), "root:*::\n");
    write(&root.join("var/lib/dpkg/status"), "Package: base-files\nStatus: install ok installed\n\n");
    let stand_ins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/stand-ins");
    for entry in fs::read_dir(&stand_ins).expect("the stand-ins") {
        let entry = entry.expect("an entry");
        let program = root.join("usr/bin").join(entry.file_name());
        // The root has busybox's applets under some of these names, as links.
        let _ = fs::remove_file(&program);
        fs::copy(entry.path(), &program).expect("copies");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    for (name, target) in [("pip3", "pip"), ("yarn", "npm"), ("yum", "dnf"), ("microdnf", "dnf")] {
        symlink(target, root.join("usr/bin").join(name)).expect("a link");
    }
    mirror(&root.join("usr/share/mirror"));
}

/// What the stand-ins for curl and wget find.
fn mirror(folder: &Path) {
    write(&folder.join("setup.sh"), "mkdir -p /opt/tool && echo 'set up' > /opt/tool/done\n");
    write(&folder.join("pool.deb"), "a package\n");
    let tool = folder.join("tool-1.0");
    write(&tool.join("bin/tool"), "#!/bin/sh\necho tool\n");
    write(&tool.join("README"), "read me\n");
    fs::set_permissions(tool.join("bin/tool"), fs::Permissions::from_mode(0o755)).expect("its mode");
    run("tar", &["-C", text(folder), "-czf", text(&folder.join("tool-1.0.tar.gz")), "tool-1.0"]);
    fs::remove_dir_all(tool).expect("removes");
}

/// A program at its own place, with what `ldd` says that it needs.
fn copy_with_libraries(program: &str, root: &Path) {
    let mut paths = BTreeSet::from([program.to_owned()]);
    for line in run("ldd", &[program]).lines() {
        paths.extend(line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned));
    }
    for path in paths {
        let target = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(target.parent().expect("a parent")).expect("a folder");
        fs::copy(&path, &target).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}
