//! Real Dockerfiles, by the embedded engine and by BuildKit: those of the test data that `corpus.txt` names, as
//! they build without network on the suite's own bases. The judge compares the images as a whole; what two builds by
//! BuildKit differ in does not count.
//!
//! The files that a Dockerfile copies are not there: each is a small script that says its name. With
//! `JETTISON_CORPUS_TRY=FILE` every Dockerfile on such a base is tried, and FILE tells what came of each; that is how
//! the names were found. `JETTISON_CORPUS_ONLY=TEXT` takes the names that hold the text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::bases::Bases;
use crate::each::each;
use crate::engines::Docker;
use crate::judged::{Difference, judge, printed};
use crate::tools::{folder, shared, text};

/// How many Dockerfiles are built at a time.
const WORKERS: usize = 4;

/// The names of base images, and what the suite has for them.
const FAMILIES: [(&str, &str); 4] = [
    ("alpine", "alpine:3.20"),
    ("busybox", "busybox:latest"),
    ("debian", "debian:bookworm-slim"),
    ("ubuntu", "debian:bookworm-slim"),
];

/// What came of a Dockerfile.
enum Outcome {
    Same,
    /// BuildKit does not build it here, and says why.
    Unbuilt(String),
    /// What the embedded engine says, or what differs.
    Wrong(String),
}

struct Suite<'d> {
    docker: &'d Docker,
    folder: TempDir,
}

/// The Dockerfiles of the test data, by their paths.
fn dockerfiles() -> BTreeMap<String, String> {
    let archive = shared("../corpus/dockerfiles.tar.zst");
    let mut archive = tar::Archive::new(zstd::Decoder::new(File::open(archive).expect("the corpus")).expect("zstd"));
    let mut found = BTreeMap::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().trim_start_matches("./").to_owned();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("content");
        if let Ok(text) = String::from_utf8(bytes) {
            found.insert(path, text);
        }
    }
    found
}

/// The Dockerfiles that `corpus.txt` names, with their paths.
pub(crate) fn named() -> Vec<(String, String)> {
    let mut all = dockerfiles();
    let names = include_str!("corpus.txt").lines().filter(|line| !line.starts_with('#'));
    let named = |name: &str| {
        let dockerfile = all.remove(name).unwrap_or_else(|| panic!("the test data has no {name}"));
        (name.to_owned(), dockerfile)
    };
    let named: Vec<(String, String)> = names.map(named).collect();
    assert!(named.len() >= 100, "only {} names", named.len());
    named
}

/// The images that a Dockerfile is built from, with the suite's image for each; nothing where there is none for one.
pub(crate) fn bases(dockerfile: &str) -> Option<BTreeMap<String, &'static str>> {
    let (mut stages, mut bases) = (BTreeSet::new(), BTreeMap::new());
    for line in dockerfile.lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        if words.len() < 2 || !words[0].eq_ignore_ascii_case("from") {
            continue;
        }
        if words[1] != "scratch" && !stages.contains(&words[1].to_lowercase()) {
            let is_plain = words[1].chars().all(|letter| letter.is_ascii_alphanumeric() || "._:-".contains(letter));
            let family = words[1].split(':').next().unwrap_or_default();
            let (_, image) = FAMILIES.iter().find(|(name, _)| is_plain && *name == family)?;
            bases.insert(words[1].to_owned(), *image);
        }
        stages.extend(words.get(3).map(|name| name.to_lowercase()));
    }
    Some(bases)
}

/// Makes what the instructions copy from the context.
pub(crate) fn write_context(dockerfile: &str, context: &Path) {
    fs::create_dir_all(context).expect("a folder");
    let joined = dockerfile.replace("\\\n", " ");
    for line in joined.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_copy = words.first().is_some_and(|word| ["COPY", "ADD"].iter().any(|c| c.eq_ignore_ascii_case(word)));
        if !is_copy || words.len() < 3 || words.iter().any(|word| word.starts_with("--from")) {
            continue;
        }
        let plain = |word: &&str| {
            word.trim_matches(['[', ']', ',', '"']).trim_start_matches("./").trim_start_matches('/').to_owned()
        };
        for source in words[1..words.len() - 1].iter().filter(|word| !word.starts_with("--")).map(plain) {
            let odd = source.is_empty()
                || source == "."
                || source.contains("://")
                || source.contains(['$', '*', '?', '"', '\\']);
            if odd || source.split('/').any(|part| part == "..") {
                continue;
            }
            let path = context.join(source.trim_end_matches('/'));
            let path = if source.ends_with('/') { path.join("file") } else { path };
            let made = path.parent().is_some_and(|parent| fs::create_dir_all(parent).is_ok());
            // A path may be a folder by another instruction.
            if made && !path.is_dir() && fs::write(&path, format!("#!/bin/sh\necho {source}\n")).is_ok() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
            }
        }
    }
    fs::write(context.join("Dockerfile"), dockerfile).expect("writes");
}

impl Suite<'_> {
    fn at(&self, number: usize, name: &str) -> PathBuf {
        self.folder.path().join(format!("{number}-{name}"))
    }

    fn by_buildkit(&self, number: usize, tag: &str, more: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["120", "/usr/bin/docker", "build", "--network=host", "--progress=plain", "-t", tag]).args(more);
        command.arg(self.at(number, "context")).env("DOCKER_BUILDKIT", "1").env("DOCKER_HOST", self.docker.host());
        command.output().expect("timeout")
    }

    fn by_the_embedded_engine(&self, number: usize, bases: &BTreeMap<String, &'static str>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["build", "-O0", "--offline", "--network=host", "--progress=plain", "--timeout=120s"]);
        for (name, image) in bases {
            let archive = self.folder.path().join(file_of(image));
            command.arg("--build-context").arg(format!("{name}=docker-archive:{}", archive.display()));
        }
        command.arg("--cache-dir").arg(self.folder.path().join("cache")).arg("-o");
        command.arg(format!("type=docker,dest={}", self.at(number, "own.tar").display()));
        command.arg(self.at(number, "context")).output().expect("jettison")
    }

    fn check(&self, number: usize, dockerfile: &str) -> Outcome {
        let Some(bases) = bases(dockerfile) else { return Outcome::Unbuilt("no base".to_owned()) };
        write_context(dockerfile, &self.at(number, "context"));
        for (name, image) in &bases {
            self.docker.run(&["tag", image, name]);
        }
        let (once, again) = (format!("once:{number}"), format!("again:{number}"));
        let by_buildkit = self.by_buildkit(number, &once, &[]);
        if !by_buildkit.status.success() {
            return Outcome::Unbuilt(printed(&by_buildkit));
        }
        let built = self.by_the_embedded_engine(number, &bases);
        if !built.status.success() {
            return Outcome::Wrong(printed(&built));
        }
        let (saved, own) = (self.at(number, "once.tar"), self.at(number, "own.tar"));
        let place = |path: &Path| format!("docker-archive:{}", path.display());
        let save = |tag: &str, path: &Path| {
            let mut command = Command::new("/usr/bin/docker");
            command.args(["save", "-o", text(path), tag]).env("DOCKER_HOST", self.docker.host());
            command.output().expect("docker").status.success()
        };
        if !save(&once, &saved) {
            // Docker saves no image without layers.
            return Outcome::Unbuilt("it has no layers".to_owned());
        }
        let mut found = match judge(&place(&saved), &place(&own), 1) {
            Ok(found) => found,
            Err(message) => return Outcome::Wrong(message),
        };
        if !found.is_empty() {
            let second = self.at(number, "again.tar");
            if !self.by_buildkit(number, &again, &["--no-cache"]).status.success() || !save(&again, &second) {
                return Outcome::Unbuilt("it builds once only".to_owned());
            }
            let noise = judge(&place(&saved), &place(&second), 1).unwrap_or_default();
            found.retain(|difference| !noise.iter().any(|noise| noise.place == difference.place));
        }
        for name in ["own.tar", "once.tar", "again.tar"] {
            let _ = fs::remove_file(self.at(number, name));
        }
        found.retain(|difference| !is_of_old_builders(difference));
        let lines: Vec<String> = found.into_iter().map(|difference| difference.line).collect();
        if lines.is_empty() { Outcome::Same } else { Outcome::Wrong(lines.join("\n")) }
    }
}

/// What Docker 20.10's BuildKit does, and newer ones do not: mount points stay on an empty base, and so does the slash
/// after a working directory.
fn is_of_old_builders(difference: &Difference) -> bool {
    let is_slash = || {
        let (_, values) = difference.line.split_once("value: ").unwrap_or_default();
        let values: Vec<String> = values.split(" → ").map(|value| value.replace("/\"", "\"")).collect();
        values.len() == 2 && values[0] == values[1]
    };
    match difference.place.as_str() {
        "/proc" | "/sys" => difference.is_missing,
        "config.WorkingDir" => is_slash(),
        _ => false,
    }
}

fn file_of(image: &str) -> String {
    format!("{}.tar", image.replace(':', "-"))
}

#[test]
fn corpus_builds_alike() {
    let trying = std::env::var_os("JETTISON_CORPUS_TRY").map(PathBuf::from);
    let only = std::env::var("JETTISON_CORPUS_ONLY").unwrap_or_default();
    let mut all = match &trying {
        None => named(),
        Some(_) => dockerfiles().into_iter().filter(|(_, dockerfile)| bases(dockerfile).is_some()).collect(),
    };
    all.retain(|(path, _)| path.contains(&only));
    let docker = Docker::start();
    let _bases = Bases::make(&docker);
    let suite = Suite { docker: &docker, folder: folder() };
    for image in FAMILIES.iter().map(|(_, image)| image).collect::<BTreeSet<_>>() {
        docker.save(image, &suite.folder.path().join(file_of(image)));
    }
    let outcomes = each(WORKERS, &all, |number, (_, dockerfile)| suite.check(number, dockerfile));
    let (mut tried, mut wrong) = (String::new(), String::new());
    for ((path, _), outcome) in all.iter().zip(&outcomes) {
        match outcome {
            Outcome::Same => writeln!(tried, "same {path}"),
            Outcome::Unbuilt(message) => writeln!(wrong, "######## unbuilt {path}\n{message}"),
            Outcome::Wrong(message) => writeln!(wrong, "######## wrong {path}\n{message}"),
        }
        .expect("memory");
    }
    if let Some(file) = trying {
        fs::write(file, format!("{tried}{wrong}")).expect("writes");
    } else {
        assert!(wrong.is_empty(), "{wrong}");
    }
}
