//! Whether what `jettison rewrite` writes is the same image: every case of `rewrites/*.txt` is built by a real
//! BuildKit as it is and as rewritten, and the judge compares the two.
//!
//! `JETTISON_REWRITES=originals` only builds the originals; `JETTISON_REWRITES_ONLY=TEXT` takes the cases whose name
//! or file holds the text. `JETTISON_REWRITES_WITH=PROGRAM` runs another program in place of jettison, to see that the
//! cases catch one that rewrites wrongly.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::bases::Bases;
use crate::cases::{self, Case, Expect};
use crate::each::each;
use crate::engines::Docker;
use crate::judged::{Difference, judge, printed};
use crate::tools::{folder, text};

/// How many cases are built at a time. The engine and the judge take turns in using the cores.
const WORKERS: usize = 4;

/// What came of an original.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Original {
    Builds,
    Fails,
    /// The frontend did not get as far as building.
    IsUnreadable,
}

/// How a case ended well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Same,
    Declined,
    BothFail,
}

/// Runs a file of cases; the texts are the summary, and everything that went wrong.
fn theme(name: &str) -> (String, String) {
    let folder_of_cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/rewrites");
    let mut cases = cases::all(&folder_of_cases);
    cases.retain(|case| case.place.starts_with(&format!("{name}.txt:")));
    assert!(!cases.is_empty(), "{name}.txt has no cases");
    let only = std::env::var("JETTISON_REWRITES_ONLY").unwrap_or_default();
    cases.retain(|case| case.name.contains(&only) || case.place.contains(&only));
    if cases.is_empty() {
        return (format!("no case has {only:?} in its name"), String::new());
    }
    let is_originals = std::env::var("JETTISON_REWRITES").is_ok_and(|mode| mode == "originals");
    let docker = Docker::start();
    let _bases = Bases::make(&docker);
    let suite = Suite { docker: &docker, folder: folder() };
    let check = |number: usize, case: &Case| match suite.original(number, case)? {
        Original::Builds if is_originals => Ok(Outcome::Declined),
        _ if is_originals => Ok(Outcome::BothFail),
        original => suite.rewritten(number, case, original),
    };
    let results = each(WORKERS, &cases, check);
    assert_eq!(cases.len(), results.len(), "a case got lost");
    let (mut summary, failed) = report(&cases, &results);
    if is_originals {
        summary.push_str("; only originals were built");
    }
    (summary, failed)
}

fn report(cases: &[Case], results: &[Result<Outcome, String>]) -> (String, String) {
    let count = |wanted| results.iter().filter(|result| result.as_ref().ok() == Some(&wanted)).count();
    let (same, declined, both) = (count(Outcome::Same), count(Outcome::Declined), count(Outcome::BothFail));
    let mut failed = String::new();
    for (case, result) in cases.iter().zip(results) {
        if let Err(message) = result {
            let _ = writeln!(failed, "\n######## {} ({})\n{message}", case.name, case.place);
        }
    }
    let wrong = results.len() - same - declined - both;
    (format!("{same} same, {declined} declined, {both} both fail, {wrong} wrong"), failed)
}

struct Suite<'d> {
    docker: &'d Docker,
    folder: TempDir,
}

impl Suite<'_> {
    fn at(&self, number: usize, name: &str) -> PathBuf {
        self.folder.path().join(format!("{number}-{name}"))
    }

    /// Builds a case as it is written.
    fn original(&self, number: usize, case: &Case) -> Result<Original, String> {
        let context = self.at(number, "context");
        case.write(&context);
        let built = self.build(&context.join("Dockerfile"), &context, &format!("before:{number}"), &case.build);
        let output = printed(&built);
        match (built.status.success(), &case.says) {
            (true, None) => Ok(Original::Builds),
            (false, Some(says)) if output.contains(says.as_str()) => {
                let is_refused = output.contains("failed to create LLB definition");
                Ok(if is_refused { Original::IsUnreadable } else { Original::Fails })
            }
            (true, Some(_)) => Err(format!("the original should fail and builds:\n{}", case.draft.dockerfile)),
            (false, Some(says)) => Err(format!("the original fails without saying {says:?}:\n{output}")),
            (false, None) => Err(format!("the original does not build:\n{output}\n{}", case.draft.dockerfile)),
        }
    }

    /// Rewrites, builds the result, and compares.
    fn rewritten(&self, number: usize, case: &Case, original: Original) -> Result<Outcome, String> {
        let (context, out) = (self.at(number, "context"), self.at(number, "Dockerfile"));
        let program = std::env::var_os("JETTISON_REWRITES_WITH");
        let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_jettison").into()));
        command.arg("rewrite").arg("-f").arg(context.join("Dockerfile")).arg(&context).args(&case.rewrite);
        let run = command.args(["--remarks", "-o"]).arg(&out).output().expect("jettison");
        let remarks = printed(&run);
        if !run.status.success() && original == Original::IsUnreadable {
            return Ok(Outcome::BothFail);
        }
        if !run.status.success() {
            return Err(format!("jettison rewrite fails with {}:\n{remarks}", run.status));
        }
        let result = fs::read_to_string(&out).map_err(|error| format!("there is no result: {error}"))?;
        let both = format!("--- original\n{}\n--- rewritten\n{result}\n--- remarks\n{remarks}", case.draft.dockerfile);
        expected(case, &result).map_err(|message| format!("{message}\n{both}"))?;
        if result == case.draft.dockerfile {
            return Ok(if original == Original::Builds { Outcome::Declined } else { Outcome::BothFail });
        }
        let after = self.build(&out, &context, &format!("after:{number}"), &case.build);
        match (original == Original::Builds, after.status.success()) {
            (false, false) => return Ok(Outcome::BothFail),
            (false, true) => return Err(format!("the original fails, the result builds\n{both}")),
            (true, false) => return Err(format!("the result does not build:\n{}\n{both}", printed(&after))),
            (true, true) => {}
        }
        let differences = self.differences(number, case).map_err(|message| format!("{message}\n{both}"))?;
        if differences.is_empty() { Ok(Outcome::Same) } else { Err(format!("{}\n{both}", differences.join("\n"))) }
    }

    /// What differs and is neither claimed nor noise. Noise is what differs between two builds of the original.
    fn differences(&self, number: usize, case: &Case) -> Result<Vec<String>, String> {
        let below = |path: &str, prefix: &String| {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (before, after, again) = (format!("before:{number}"), format!("after:{number}"), format!("again:{number}"));
        let mut found = self.compare(number, &before, &after)?;
        found.retain(|difference| {
            let claimed = difference.is_missing && case.gone.iter().any(|prefix| below(&difference.place, prefix));
            !claimed && !case.noise.iter().any(|prefix| below(&difference.place, prefix))
        });
        if !found.is_empty() {
            let context = self.at(number, "context");
            let arguments = [&["--no-cache".to_owned()], &case.build[..]].concat();
            let built = self.build(&context.join("Dockerfile"), &context, &again, &arguments);
            if !built.status.success() {
                return Err(format!("the original builds once and not again:\n{}", printed(&built)));
            }
            let noise = self.compare(number, &before, &again)?;
            found.retain(|difference| !noise.iter().any(|noise| noise.place == difference.place));
        }
        Ok(found.into_iter().map(|difference| difference.line).collect())
    }

    /// Saves two images into one archive and has the judge compare them.
    fn compare(&self, number: usize, before: &str, after: &str) -> Result<Vec<Difference>, String> {
        let archive = self.at(number, "images.tar");
        self.docker.run(&["save", "-o", text(&archive), before, after]);
        let place = |tag: &str| format!("docker-archive:{}:{tag}", archive.display());
        let judged = judge(&place(before), &place(after), 2);
        let _ = fs::remove_file(&archive);
        judged
    }

    fn build(&self, file: &Path, context: &Path, tag: &str, more: &[String]) -> Output {
        // The apk repository is served on this machine's loopback.
        let mut command = Command::new("timeout");
        command.args(["120", "/usr/bin/docker", "build", "--network=host", "--progress=plain", "-t", tag, "-f"]);
        command.arg(file).args(more).arg(context).env("DOCKER_BUILDKIT", "1").env("DOCKER_HOST", self.docker.host());
        command.output().expect("timeout")
    }
}

/// Whether the text changed as the case says.
fn expected(case: &Case, result: &str) -> Result<(), String> {
    let is_changed = result != case.draft.dockerfile;
    let is_right = match case.expect {
        Expect::Merged => is_changed && runs(result) < runs(&case.draft.dockerfile),
        Expect::Changed => is_changed,
        Expect::Unchanged => !is_changed,
        Expect::Any | Expect::Fails => true,
    };
    if is_right { Ok(()) } else { Err(format!("expected: {:?}", case.expect)) }
}

fn runs(dockerfile: &str) -> usize {
    let is_run = |line: &&str| line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("run"));
    dockerfile.lines().filter(is_run).count()
}

#[test]
fn rewrites_of_merging() {
    let (summary, failed) = theme("merging");
    println!("merging: {summary}");
    assert!(failed.is_empty(), "{summary}\n{failed}");
}

#[test]
fn rewrites_of_hoisting() {
    let (summary, failed) = theme("hoisting");
    println!("hoisting: {summary}");
    assert!(failed.is_empty(), "{summary}\n{failed}");
}

#[test]
fn rewrites_of_metadata() {
    let (summary, failed) = theme("metadata");
    println!("metadata: {summary}");
    assert!(failed.is_empty(), "{summary}\n{failed}");
}

#[test]
fn rewrites_of_leftovers() {
    let (summary, failed) = theme("leftovers");
    println!("leftovers: {summary}");
    assert!(failed.is_empty(), "{summary}\n{failed}");
}

#[test]
fn rewrites_of_ownership() {
    let (summary, failed) = theme("ownership");
    println!("ownership: {summary}");
    assert!(failed.is_empty(), "{summary}\n{failed}");
}

#[test]
fn rewrites_of_removal() {
    let (summary, failed) = theme("removal");
    println!("removal: {summary}");
    assert!(failed.is_empty(), "{summary}\n{failed}");
}

#[test]
fn rewrites_of_packages() {
    let (summary, failed) = theme("packages");
    println!("packages: {summary}");
    assert!(failed.is_empty(), "{summary}\n{failed}");
}

#[test]
fn rewrites_of_layout() {
    let (summary, failed) = theme("layout");
    println!("layout: {summary}");
    assert!(failed.is_empty(), "{summary}\n{failed}");
}

#[test]
fn rewrites_of_stages() {
    let (summary, failed) = theme("stages");
    println!("stages: {summary}");
    assert!(failed.is_empty(), "{summary}\n{failed}");
}

#[test]
fn rewrites_are_all_run() {
    let cases = cases::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/rewrites"));
    let source = include_str!("rewrites.rs");
    for case in &cases {
        let name = case.place.split('.').next().expect("a name");
        assert!(source.contains(&format!("theme(\"{name}\")")), "no test runs {}", case.place);
    }
    assert!(cases.len() >= 170, "only {} cases were read", cases.len());
}
