//! Running the real programs: each call checked, each missing program named with its package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// The programs, by the Debian package that brings them.
const PACKAGES: [(&str, &str); 16] = [
    ("/usr/bin/docker", "docker.io"),
    ("dockerd", "docker.io"),
    ("buildah", "buildah"),
    ("podman", "podman"),
    ("db5.3_dump", "db5.3-util"),
    ("db5.3_load", "db5.3-util"),
    ("db5.3_stat", "db5.3-util"),
    ("db5.3_verify", "db5.3-util"),
    ("docker-registry", "docker-registry"),
    ("htpasswd", "apache2-utils"),
    ("mmdebstrap", "mmdebstrap"),
    ("rpm", "rpm"),
    ("rpmbuild", "rpm"),
    ("rpmdb", "rpm"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
];

/// Runs a program and gives its output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    run_with(program, arguments, &[])
}

/// The same with more environment.
pub(crate) fn run_with(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = start(program, arguments, environment);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?} failed with {}:\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn start(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let environment = environment.iter().copied();
    Command::new(program).args(arguments).envs(environment).output().unwrap_or_else(|error| {
        let package = PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| package);
        panic!("{program} does not start ({error}): install Debian's {package}, or run ./test, which does")
    })
}

/// Runs the command under test.
pub(crate) fn jettison(arguments: &[&str]) -> String {
    run(env!("CARGO_BIN_EXE_jettison"), arguments)
}

/// Optimizes, and checks that the verdict is there.
pub(crate) fn optimize(input: &str, output: &str, more: &[&str]) {
    let report = jettison(&[&["optimize", input, "-O1", "-o", output], more].concat());
    assert!(report.contains("proof: equal"), "{report}");
}

/// A file of the shared test data.
pub(crate) fn shared(name: &str) -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("JETTISON_SHARED").map_or(default, PathBuf::from);
    let path = folder.join("images").join(name);
    assert!(path.exists(), "the test data {} is missing: set JETTISON_SHARED", path.display());
    path
}

/// A folder that is removed when dropped. buildah makes image names of paths, so there are no capitals in it.
pub(crate) fn folder() -> TempDir {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("jettison-real-{}-{number}", std::process::id());
    tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir().expect("a folder")
}

/// Takes away what engines leave mounted below a folder of the suite's own, the innermost first.
pub(crate) fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut places: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    places.retain(|place| Path::new(place).starts_with(folder));
    for place in places.into_iter().rev() {
        let _ = Command::new("umount").arg(place).status();
    }
}

/// A path as the tools' arguments want it.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}
