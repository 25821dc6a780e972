//! Whether proofs hold before other eyes: what `jettison rewrite --prove` accepts of the hostile Dockerfiles of
//! `rewrites/*.txt` and of the real ones of `corpus.txt` is built by buildah as it was and as it is, unpacked by umoci, and
//! compared by a walk of the suite's own.
//!
//! All are proven; buildah and umoci take some seconds each and see a sample. `JETTISON_PROOFS_SAMPLE=N` takes another
//! number of them, `JETTISON_PROOFS_ONLY=TEXT` those whose name holds the text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::bases::{Bases, DEBIAN_LIKE};
use crate::builds::ADDED;
use crate::cases::{self, Expect};
use crate::corpus;
use crate::each::each;
use crate::engines::{Buildah, Docker};
use crate::judged::printed;
use crate::tools::{folder, run, text};
use crate::walked::{Walked, differences, walk};

/// How many Dockerfiles are worked on at a time.
const WORKERS: usize = 3;

/// What buildah of Debian 12 has not learned yet.
const UNKNOWN_TO_BUILDAH: [&str; 9] =
    ["<<", "--mount", "--chmod", "--link", "--parents", "--exclude", "--network", "--checksum", "syntax="];

/// What the embedded engine does not build, and older BuildKits do: the case, and what the engine says.
const REFUSED: [(&str, &str); 1] = [("chown-by-name-before-the-user", "is not in the image's /etc/passwd")];

/// A Dockerfile to prove.
struct Subject {
    name: String,
    dockerfile: String,
    /// Arguments of `rewrite`.
    rewrite: Vec<String>,
    /// Arguments of a build.
    build: Vec<String>,
    /// What may differ, as its author says.
    noise: Vec<String>,
    /// Whether it does not build.
    fails: bool,
    context: PathBuf,
}

/// A proof that was accepted.
struct Accepted {
    text: String,
    /// Paths that may be gone.
    claimed: BTreeSet<String>,
    withdrawn: Vec<String>,
}

/// What came of a Dockerfile.
enum Outcome {
    Unchanged,
    BothFail,
    Proven(Accepted),
    Wrong(String),
}

struct Suite {
    folder: TempDir,
    buildah: Buildah,
    /// The archives of the base images, by the names that they are known by.
    bases: BTreeMap<String, PathBuf>,
}

impl Suite {
    /// With the bases of a Docker engine under further names.
    fn new(docker: &Docker, more: &BTreeMap<String, &'static str>) -> Self {
        let folder = folder();
        let mut bases = BTreeMap::new();
        for image in ["alpine:3.20", DEBIAN_LIKE[0], "busybox:latest"] {
            let archive = folder.path().join(format!("{}.tar", image.replace(':', "-")));
            docker.save(image, &archive);
            bases.insert(image.to_owned(), archive);
        }
        for name in DEBIAN_LIKE {
            bases.insert(name.to_owned(), bases[DEBIAN_LIKE[0]].clone());
        }
        for (name, image) in more {
            bases.insert(name.clone(), bases[*image].clone());
        }
        let suite = Self { folder, buildah: Buildah::new(), bases };
        let context = suite.at("base");
        fs::create_dir(&context).expect("a folder");
        fs::write(context.join("Dockerfile"), "FROM image\n").expect("writes");
        for (name, archive) in &suite.bases {
            let image = format!("image=docker-archive:{}", archive.display());
            let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
            command.args(["build", "-O0", "--offline", "--build-context", &image, "-t", name, "--cache-dir"]);
            let built = command.arg(suite.at("cache")).arg(&context).output().expect("jettison");
            assert!(built.status.success(), "{name}: {}", printed(&built));
        }
        let archives: BTreeSet<&PathBuf> = suite.bases.values().collect();
        for archive in archives {
            let id = suite.buildah.run(&["pull", "-q", &format!("docker-archive:{}", archive.display())]);
            for (name, _) in suite.bases.iter().filter(|(_, other)| *other == archive) {
                let library = if name.contains('/') { "docker.io" } else { "docker.io/library" };
                suite.buildah.run(&["tag", id.trim(), &format!("{library}/{name}")]);
            }
        }
        suite
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Proves what can be proven.
    fn prove(&self, subject: &Subject) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jettison"));
        command.args(["rewrite", "--prove", "--offline", "--network=host", "--timeout=60s", "--format=json"]);
        command.args(&subject.rewrite).args(&subject.build).arg("--cache-dir").arg(self.at("cache"));
        let output = command.arg("--progress=quiet").arg(&subject.context).output().expect("jettison");
        let file = fs::read_to_string(subject.context.join("Dockerfile")).expect("the file");
        if file != subject.dockerfile {
            return Outcome::Wrong("the file was touched".to_owned());
        }
        if !output.status.success() {
            let said = printed(&output);
            let mut refused = REFUSED.iter().filter(|(name, _)| subject.name.ends_with(name));
            let is_told = subject.fails || refused.any(|(_, says)| said.contains(says));
            let is_in_order = is_told && matches!(output.status.code(), Some(1..=3));
            return if is_in_order { Outcome::BothFail } else { Outcome::Wrong(said) };
        }
        let report: Value = match serde_json::from_slice(&output.stdout) {
            Ok(report) => report,
            Err(error) => return Outcome::Wrong(format!("no report: {error}")),
        };
        if report["changed"] == false {
            return Outcome::Unchanged;
        }
        let proof = &report["proof"];
        let is_proven = proof["weighed"]["refuting"].as_array().is_some_and(Vec::is_empty)
            && proof["weighed"]["paths"].as_u64().is_some_and(|paths| paths > 0)
            && proof["builds"].as_u64().is_some_and(|builds| builds > 1);
        if !is_proven || subject.fails {
            return Outcome::Wrong(format!("a change without a proof: {proof}"));
        }
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let claimed = list(&proof["weighed"]["excused"]);
        let claimed = claimed.iter().filter(|one| one["because"] == "claimed");
        let claimed = claimed.filter_map(|one| one["path"].as_str()).map(str::to_owned).collect();
        let withdrawn = list(&proof["withdrawn"]).iter().map(Value::to_string).collect();
        Outcome::Proven(Accepted { text: report["text"].as_str().unwrap_or_default().to_owned(), claimed, withdrawn })
    }

    /// Builds a text by buildah and walks what umoci unpacks; nothing where it is not built.
    fn seen(&self, subject: &Subject, number: usize, text_of: &str) -> Result<Walked, String> {
        let place = self.at(&format!("seen-{number}"));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).expect("a folder");
        let (dockerfile, layout) = (place.join("Dockerfile"), place.join("image"));
        fs::write(&dockerfile, text_of).expect("writes");
        let tag = format!("oci:{}:it", layout.display());
        let mut arguments = vec!["bud", "-q", "--isolation", "chroot", "--pull-never", "--no-cache", "--network=host"];
        // What is written has an OCI manifest all the same; but SHELL counts in Docker's format only.
        arguments.extend(["--format", "docker", "--cap-add", "CAP_MKNOD", "-t", &tag, "-f", text(&dockerfile)]);
        arguments.extend(subject.build.iter().map(String::as_str));
        arguments.push(text(&subject.context));
        let built = self.buildah.try_run(&arguments);
        if !built.status.success() {
            return Err(printed(&built));
        }
        let bundle = place.join("bundle");
        run("umoci", &["unpack", "--image", &format!("{}:it", layout.display()), text(&bundle)]);
        let mut walked = walk(&bundle.join("rootfs"));
        for added in ADDED {
            walked.remove(Path::new(added));
        }
        fs::remove_dir_all(&place).expect("removes");
        Ok(walked)
    }

    /// What speaks against a proof.
    fn refuted(&self, number: usize, subject: &Subject, accepted: &Accepted) -> Result<Vec<String>, String> {
        let before = self.seen(subject, number, &subject.dockerfile)?;
        let after = match self.seen(subject, number, &accepted.text) {
            Ok(after) => after,
            Err(message) => return Ok(vec![format!("the proven form does not build: {message}")]),
        };
        let mut found = differences(&before, &after);
        found.retain(|path, (_, after)| {
            let path = format!("/{}", path.display());
            let below = |prefix: &String| Path::new(&path).starts_with(prefix.trim_end_matches('/'));
            // Of a folder that is gone as a whole a proof names no more than that.
            let mut above = Path::new(&path).ancestors().filter_map(Path::to_str);
            let is_claimed = after.is_none() && above.any(|path| accepted.claimed.contains(path));
            !is_claimed && !subject.noise.iter().any(below)
        });
        if !found.is_empty() {
            let noise = differences(&before, &self.seen(subject, number, &subject.dockerfile)?);
            found.retain(|path, _| !noise.contains_key(path));
        }
        let side = |side: Option<String>| side.unwrap_or_else(|| "nothing".to_owned());
        Ok(found.into_iter().map(|(path, (a, b))| format!("/{}: {} → {}", path.display(), side(a), side(b))).collect())
    }

    /// Proves all, has a sample of the accepted proofs looked at, and says how many were what.
    fn check(&self, subjects: &[Subject], sample: usize) -> (String, String) {
        let outcomes = each(WORKERS, subjects, |_, subject| self.prove(subject));
        let (mut failed, mut notes) = (String::new(), String::new());
        let (mut accepted, mut counts) = (Vec::new(), [0_usize; 4]);
        for (subject, outcome) in subjects.iter().zip(&outcomes) {
            match outcome {
                Outcome::Unchanged => counts[0] += 1,
                Outcome::BothFail => counts[1] += 1,
                Outcome::Proven(proof) => {
                    counts[2] += 1;
                    counts[3] += usize::from(!proof.withdrawn.is_empty());
                    for one in &proof.withdrawn {
                        let _ = writeln!(notes, "withdrawn: {}: {one}", subject.name);
                    }
                    accepted.push((subject, proof));
                }
                Outcome::Wrong(message) => {
                    let _ = writeln!(failed, "######## {}\n{message}\n{}", subject.name, subject.dockerfile);
                }
            }
        }
        let [unchanged, both_fail, proven, withdrawn] = counts;
        accepted.retain(|(subject, proof)| {
            !UNKNOWN_TO_BUILDAH.iter().any(|word| subject.dockerfile.contains(word) || proof.text.contains(word))
        });
        // Spread over all files, and the same in every run.
        accepted.sort_by_key(|(subject, _)| spread(&subject.name));
        accepted.truncate(sample);
        let looks = each(WORKERS, &accepted, |number, (subject, proof)| self.refuted(number, subject, proof));
        let (mut held, mut unbuilt) = (0, 0);
        for ((subject, proof), look) in accepted.iter().zip(looks) {
            match look {
                Ok(found) if found.is_empty() => held += 1,
                Ok(found) => {
                    let (before, after, found) = (&subject.dockerfile, &proof.text, found.join("\n"));
                    let _ = writeln!(failed, "######## {} is refuted\n{found}\n{before}\n---\n{after}", subject.name);
                }
                Err(message) => {
                    let _ = writeln!(notes, "buildah does not build {}: {message}", subject.name);
                    unbuilt += 1;
                }
            }
        }
        let summary = format!(
            "{proven} proven ({withdrawn} with changes taken back), {unchanged} unchanged, {both_fail} do not build; \
             {held} of {} hold before buildah and umoci, {unbuilt} are not built by buildah\n{notes}",
            accepted.len()
        );
        if unbuilt * 5 > accepted.len() {
            failed.push_str("buildah builds too few of them to say anything\n");
        }
        (summary, failed)
    }
}

/// The FNV-1a hash of a name.
fn spread(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn sample(default: usize) -> usize {
    std::env::var("JETTISON_PROOFS_SAMPLE").map_or(default, |number| number.parse().expect("a number"))
}

/// The hostile Dockerfiles of the rewrite suite.
fn hostile(folder: &Path) -> Vec<Subject> {
    let cases = cases::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/rewrites"));
    let subject = |(number, case): (usize, &cases::Case)| {
        let context = folder.join(format!("hostile-{number}"));
        case.write(&context);
        Subject {
            name: case.place.clone() + " " + &case.name,
            dockerfile: case.draft.dockerfile.clone(),
            rewrite: case.rewrite.clone(),
            build: case.build.clone(),
            noise: case.noise.clone(),
            fails: case.expect == Expect::Fails,
            context,
        }
    };
    cases.iter().enumerate().map(subject).collect()
}

/// The real Dockerfiles, with scripts for what they copy.
fn real(folder: &Path, dockerfiles: &[(String, String)]) -> Vec<Subject> {
    let subject = |(number, (name, dockerfile)): (usize, &(String, String))| {
        let context = folder.join(format!("real-{number}"));
        corpus::write_context(dockerfile, &context);
        Subject {
            name: name.clone(),
            dockerfile: dockerfile.clone(),
            rewrite: vec!["-O2".to_owned()],
            build: Vec::new(),
            noise: Vec::new(),
            fails: false,
            context,
        }
    };
    dockerfiles.iter().enumerate().map(subject).collect()
}

#[test]
fn proofs_hold_before_buildah_and_umoci() {
    let only = std::env::var("JETTISON_PROOFS_ONLY").unwrap_or_default();
    let dockerfiles = corpus::named();
    let names = dockerfiles.iter().filter_map(|(_, dockerfile)| corpus::bases(dockerfile)).flatten().collect();
    let docker = Docker::start();
    let bases = Bases::make(&docker);
    let suite = Suite::new(&docker, &names);
    // It has made the bases, and would only take from the cores.
    drop(docker);
    let mut failures = String::new();
    for (kind, mut subjects, sample) in [
        ("hostile", hostile(suite.folder.path()), sample(40)),
        ("real", real(suite.folder.path(), &dockerfiles), sample(12)),
    ] {
        let all = subjects.len();
        subjects.retain(|subject| subject.name.contains(&only));
        let start = std::time::Instant::now();
        let (summary, failed) = suite.check(&subjects, sample);
        println!("{kind}: of {all}: {:.0?}: {summary}{failed}", start.elapsed());
        failures.push_str(&failed);
    }
    drop(bases);
    assert!(failures.is_empty(), "{failures}");
}
