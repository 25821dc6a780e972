//! Running the cases.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::build_cases::{self as cases, Case};
use crate::compare::{built_on_alpine, differences, settings};
use crate::prepared;
use crate::tree::{self, Tree};

/// How many cases are built at a time.
const WORKERS: usize = 4;

/// Who builds, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// What the command is run by: `setpriv` with its arguments, or nothing.
    pub(crate) prefix: Vec<String>,
    /// Whom the folders belong to.
    pub(crate) owner: Option<u32>,
    /// More arguments of every build.
    pub(crate) arguments: Vec<String>,
    /// Whether the steps' users are an ordinary user's subordinate ids.
    pub(crate) has_subordinate_ids: bool,
    /// Of so many cases one is built; 0 and 1 are all.
    pub(crate) one_of: usize,
}

/// A place to build in, with a cache of its own that the cases share.
pub(crate) struct Suite {
    folder: TempDir,
    base: Tree,
    way: Way,
}

pub(crate) fn shared(name: &str) -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("JETTISON_SHARED").map_or(default, PathBuf::from);
    let path = folder.join("images").join(name);
    assert!(path.exists(), "the test data {} is missing: set JETTISON_SHARED", path.display());
    path
}

impl Suite {
    pub(crate) fn new(way: Way) -> Self {
        if way.prefix.is_empty() && way.arguments.is_empty() && crate::ways::is_root() {
            return Self::prepared(way);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut suite = Self { folder, base: Tree::new(), way };
        suite.give(suite.folder.path());
        suite.make_base();
        suite
    }

    /// With a copy of a cache that was made once for all processes of this test program.
    fn prepared(way: Way) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        prepared::copy("alpine", folder.path(), |place| {
            let first = tempfile::tempdir_in(place).expect("a folder");
            let mut first = Self { folder: first, base: Tree::new(), way: way.clone() };
            first.make_base();
            for entry in fs::read_dir(first.folder.path()).expect("a folder") {
                let entry = entry.expect("an entry");
                fs::rename(entry.path(), place.join(entry.file_name())).expect("renames");
            }
        });
        let base = tree::read(&folder.path().join("alpine.tar"));
        Self { folder, base, way }
    }

    /// Makes the root file system an image of one layer, by the engine itself.
    fn make_base(&mut self) {
        let context = self.path("alpine");
        fs::create_dir_all(&context).expect("a folder");
        fs::copy(shared("alpine-minirootfs-3.20.3-x86_64.tar.gz"), context.join("rootfs")).expect("copies");
        fs::write(context.join("Dockerfile"), "FROM scratch\nADD rootfs /\nCMD [\"/bin/sh\"]\n").expect("writes");
        let tar = self.path("alpine.tar");
        let output = self.build(&context, &tar, &["-t", "alpine:3.20", "-O1"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.base = tree::read(&tar);
    }

    /// Gives a path and all below it to whoever builds.
    pub(crate) fn give(&self, path: &Path) {
        let Some(owner) = self.way.owner else { return };
        let metadata = path.symlink_metadata().expect("a file");
        lchown(path, Some(owner), Some(owner)).expect("root gives files away");
        if !metadata.is_symlink() {
            // The kernel took the set-id bits.
            fs::set_permissions(path, metadata.permissions()).expect("a mode");
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path).expect("a folder") {
                self.give(&entry.expect("an entry").path());
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn build(&self, context: &Path, tar: &Path, more: &[&str]) -> Output {
        let metadata = tar.with_extension("oci");
        self.command()
            .arg("build")
            .args(&self.way.arguments)
            .args(["--progress", "plain", "--offline", "--cache-dir"])
            .arg(self.path("cache"))
            .arg("-o")
            .arg(format!("type=tar,dest={}", tar.display()))
            .arg("-o")
            .arg(format!("type=oci,tar=false,dest={}", metadata.display()))
            .args(if more.contains(&"-t") { vec!["-o", "local:alpine:3.20"] } else { Vec::new() })
            .args(more)
            .arg(context)
            .output()
            .expect("jettison runs")
    }

    /// The program, as the one who builds.
    pub(crate) fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_jettison");
        let Some((first, rest)) = self.way.prefix.split_first() else { return Command::new(program) };
        let mut command = Command::new(first);
        command.args(rest).arg(program).env("HOME", self.folder.path());
        command
    }

    fn check(&self, number: usize, case: &Case) -> Result<(), String> {
        let context = self.path(&format!("context-{number}"));
        case.draft.write(&context);
        self.give(&context);
        let tar = self.path(&format!("{number}.tar"));
        let here = context.display().to_string();
        let arguments: Vec<String> = case.build.iter().map(|word| word.replace("@context", &here)).collect();
        let mut more: Vec<&str> = vec!["-O0"];
        more.extend(arguments.iter().map(String::as_str));
        let output = self.build(&context, &tar, &more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if let Some(text) = &case.fails {
            return match output.status.success() {
                true => Err("it was built, and should have failed".to_owned()),
                false if said.contains(text) => Ok(()),
                false => Err(format!("it does not say {text:?}:\n{said}")),
            };
        }
        if !output.status.success() {
            return Err(format!("{}:\n{said}", output.status));
        }
        let from_scratch = !built_on_alpine(&case.draft.dockerfile, &case.build);
        let nothing = Tree::new();
        let base = if from_scratch { &nothing } else { &self.base };
        let tree = tree::read(&tar);
        let mut wrong = differences(case, base, &tree);
        wrong.extend(settings(case, &config(&tar.with_extension("oci"))));
        let _ = fs::remove_dir_all(tar.with_extension("oci"));
        let _ = fs::remove_file(&tar);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }
}

/// The config document of the one image in an OCI layout.
fn config(layout: &Path) -> Value {
    let blob = |digest: &Value| {
        let hex = digest.as_str().expect("a digest").trim_start_matches("sha256:").to_owned();
        let bytes = fs::read(layout.join("blobs/sha256").join(hex)).expect("a blob");
        serde_json::from_slice::<Value>(&bytes).expect("JSON")
    };
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).expect("an index")).expect("JSON");
    let manifest = blob(&index["manifests"][0]["digest"]);
    blob(&manifest["config"]["digest"])
}

/// Builds the cases this way, and says how many could not mean anything there.
pub(crate) fn run(way: Way) -> usize {
    let mut cases = cases::all();
    assert!(cases.len() >= 200, "there are only {} cases", cases.len());
    let only = std::env::var("JETTISON_BUILDS_ONLY").unwrap_or_default();
    cases.retain(|case| case.draft.name.contains(&only) || case.draft.place.contains(&only));
    let all = cases.len();
    if way.has_subordinate_ids {
        cases.retain(|case| case.subordinate_ids.is_none());
    }
    let skipped = all - cases.len();
    let mut number = 0;
    cases.retain(|_| {
        number += 1;
        way.one_of < 2 || number % way.one_of == 0
    });
    let suite = Suite::new(way);
    let wrong = cases::wrong_ones(WORKERS, &cases, |number, case| suite.check(number, case));
    assert!(wrong.is_empty(), "{} of {} cases are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    skipped
}
