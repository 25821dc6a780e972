//! `cargo xtask bench-source`: the speed of reading, looking at and rewriting Dockerfiles, and of linting them in
//! proportion to other linters in the same run.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jettison_ir::Level;
use jettison_ir::source::{Goal, RunStyle, Scripts, SourceOptions, SourceUnit};
use jettison_passes::{Fixes, Selection, Source, rewrite};
use jettison_syntax::dockerfile::Dockerfile;
use nix::sys::resource::{UsageWho, getrusage};

use super::corpus::{self, SourceFile};
use super::peers;
use crate::bench::measure::Sample;
use crate::bench::{jettison_binary, table, workspace_root};

/// Bytes a second of syntax alone, and times as fast as hadolint: the goals.
const SYNTAX_GOAL: f64 = 100e6;
const LINT_GOAL: f64 = 50.0;

/// Arguments of `cargo xtask bench-source`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for unpacked files and outputs.
    #[arg(long, value_name = "DIR", default_value = "target/bench-source")]
    work: PathBuf,
    /// Runs of each job in this process and of jettison; the fastest counts. Other linters run once.
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// A few hundred files, one run: proves that the bench works, and nothing about speed. Nothing is committed.
    #[arg(long)]
    quick: bool,
    /// The binary to measure, instead of building `target/release/jettison`.
    #[arg(long, value_name = "FILE")]
    jettison: Option<PathBuf>,
}

/// A job in this process, on one thread.
struct Job {
    name: &'static str,
    run: fn(Vec<Dockerfile>, &[SourceFile]),
}

const JOBS: [Job; 4] = [
    Job { name: "syntax alone: text to tree", run: |_, files| syntax(files) },
    Job { name: "tree to outline and shell trees", run: |trees, _| units(&trees) },
    Job { name: "all passes at -O2, nothing applied", run: |trees, _| passes(trees, Fixes::Reported) },
    Job { name: "rewrite at -O2", run: |trees, _| passes(trees, Fixes::Applied) },
];

fn options() -> SourceOptions {
    SourceOptions { level: Level::O2, goal: Goal::Release, style: RunStyle::Operators, denied: Vec::new() }
}

fn text(file: &SourceFile) -> String {
    String::from_utf8_lossy(&file.bytes).into_owned()
}

fn syntax(files: &[SourceFile]) {
    for file in files {
        black_box(Dockerfile::from_bytes(file.bytes.clone()));
    }
}

fn units(trees: &[Dockerfile]) {
    let options = options();
    for tree in trees {
        black_box(SourceUnit::new(tree, &options, None, None, &Scripts::default()).stages().len());
    }
}

fn passes(trees: Vec<Dockerfile>, fixes: Fixes) {
    let (options, selection) = (options(), Selection::of(Level::O2));
    for tree in trees {
        black_box(
            rewrite(Source { tree, context: None, observations: None }, &options, &selection, fixes, &mut |_| {})
                .found
                .len(),
        );
    }
}

/// Runs `cargo xtask bench-source`.
///
/// # Errors
/// No corpus, no room for it, a jettison that does not build. A linter that fails is a row, not an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace_root()?;
    let load = table::load();
    let files = corpus::read(options.quick.then_some(300))?;
    let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
    let folder = options.work.join("corpus");
    corpus::unpack(&files, &folder)?;
    let runs = if options.quick { 1 } else { options.runs.max(1) };
    let mut out = heading(&files, bytes, runs, load);
    let trees: Vec<Dockerfile> = files.iter().map(|file| Dockerfile::parse(text(file))).collect();
    let mut speed = 0.0;
    for job in &JOBS {
        let seconds = fastest(runs, || {
            let trees = trees.clone();
            let start = processor_seconds();
            (job.run)(trees, &files);
            processor_seconds() - start
        });
        eprintln!("{}: {seconds:.3} s", job.name);
        let rate = bytes as f64 / seconds;
        if speed == 0.0 {
            speed = rate;
        }
        let _ = writeln!(
            out,
            "| {} | {} | {:.1} MB | {:.0} |",
            job.name,
            shown(seconds),
            rate / 1e6,
            files.len() as f64 / seconds
        );
    }
    drop(trees);
    let jettison = jettison_binary(options.jettison.as_deref(), &root)?;
    let ratio = linters(&mut out, &jettison, &files, bytes, runs, &folder, &options.work)?;
    goals(&mut out, options.quick, speed, ratio);
    versions(&mut out, &jettison);
    let target = if options.quick { options.work.join("source.md") } else { root.join("bench/source.md") };
    std::fs::write(&target, &out)?;
    print!("{out}");
    eprintln!("written: {}", target.display());
    Ok(())
}

/// Processor time of this process so far. On a machine with other work it says more than the clock, and as much on a
/// quiet one.
fn processor_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return 0.0 };
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn fastest(runs: usize, mut job: impl FnMut() -> f64) -> f64 {
    (0..runs).map(|_| job()).fold(f64::INFINITY, f64::min)
}

fn heading(files: &[SourceFile], bytes: usize, runs: usize, load: f64) -> String {
    let mut out = String::from("# Speed on Dockerfiles\n\n");
    let _ = writeln!(
        out,
        "`cargo xtask bench-source` on {}: {} real Dockerfiles with {:.1} MB (10^6 bytes), the fastest of {runs} runs of \
         each job, other linters once. Load before the first job: {load:.1}.\n",
        table::machine(),
        files.len(),
        bytes as f64 / 1e6
    );
    out.push_str("One thread, in memory, processor time:\n\n| job | time | bytes a second | files a second |\n|---|--:|--:|--:|\n");
    out
}

/// Measures the linters; how many times as fast as hadolint jettison is.
fn linters(
    out: &mut String,
    jettison: &Path,
    files: &[SourceFile],
    bytes: usize,
    runs: usize,
    folder: &Path,
    work: &Path,
) -> Result<Option<f64>> {
    out.push_str("\nLinting all files in one call, findings as JSON:\n\n");
    out.push_str("| linter | time | × jettison | processor | peak memory | bytes a second | findings |\n");
    out.push_str("|---|--:|--:|--:|--:|--:|--:|\n");
    let names: Vec<OsString> = files.iter().map(|file| OsString::from(&file.path)).collect();
    let work = work.canonicalize()?;
    let mut own: Option<f64> = None;
    let mut ratio = None;
    for tool in ["jettison", "hadolint", "tally"] {
        let program = if tool == "jettison" { Some(jettison.to_owned()) } else { peers::find(tool) };
        let Some(program) = program else {
            let _ = writeln!(out, "| {tool} | not installed | – | – | – | – | – |");
            continue;
        };
        eprintln!("{tool}: {} files", files.len());
        let output = work.join(format!("{tool}.json"));
        let run = || peers::measured(&program, peers::arguments(tool), &names, folder, &output);
        let mut samples = Vec::new();
        let mut failure = None;
        for _ in 0..if tool == "jettison" { runs } else { 1 } {
            match run() {
                Ok(sample) => samples.push(sample),
                Err(error) => failure = Some(format!("{error:#}")),
            }
        }
        let best = samples.iter().copied().min_by(|one, other| one.wall.total_cmp(&other.wall));
        let Some(best) = best.filter(|_| failure.is_none()) else {
            let why = failure.unwrap_or_default().replace(['\n', '|'], " ");
            let _ = writeln!(out, "| {tool} | no result: {why} | – | – | – | – | – |");
            continue;
        };
        let times = own.map(|own| best.wall / own);
        match tool {
            "jettison" => own = Some(best.wall),
            "hadolint" => ratio = times,
            _ => {}
        }
        row(out, tool, best, times, bytes, findings(&output)?);
    }
    Ok(ratio)
}

fn row(out: &mut String, tool: &str, best: Sample, times: Option<f64>, bytes: usize, findings: usize) {
    let _ = writeln!(
        out,
        "| {tool} | {} | {} | {} | {:.1} MB | {:.2} MB | {findings} |",
        shown(best.wall),
        times.map_or("–".to_owned(), |times| format!("{times:.1}×")),
        shown(best.cpu),
        best.memory as f64 / 1e6,
        bytes as f64 / best.wall / 1e6,
    );
}

/// How many findings a linter's JSON has.
fn findings(output: &Path) -> Result<usize> {
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(output)?)?;
    let of_file = |file: &serde_json::Value| file["violations"].as_array().map_or(0, Vec::len);
    Ok(match (&value, value["files"].as_array()) {
        (_, Some(files)) => files.iter().map(of_file).sum(),
        (serde_json::Value::Array(all), None) => all.len(),
        _ => 0,
    })
}

fn goals(out: &mut String, quick: bool, speed: f64, ratio: Option<f64>) {
    if quick {
        out.push_str("\nFew files, one run: goals are not judged.\n");
        return;
    }
    let verdict = |met: bool| if met { "met" } else { "**not met**" };
    out.push_str("\n| goal | measured | |\n|---|--:|---|\n");
    let megabytes = speed / 1e6;
    let met = verdict(speed >= SYNTAX_GOAL);
    let _ = writeln!(out, "| syntax alone: at least 100 MB a second | {megabytes:.1} MB | {met} |");
    let seen = ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.1}×"));
    let met = ratio.map_or("not measured", |ratio| verdict(ratio >= LINT_GOAL));
    let _ = writeln!(out, "| lint: at least 50 times as fast as hadolint | {seen} | {met} |");
}

fn versions(out: &mut String, jettison: &Path) {
    out.push('\n');
    let mut say = |tool: &str, program: Option<PathBuf>| {
        let version = program.map_or("not installed".to_owned(), |program| peers::version(&program));
        let _ = writeln!(out, "- {tool}: {version}");
    };
    say("jettison", Some(jettison.to_owned()));
    say("hadolint", peers::find("hadolint"));
    say("tally", peers::find("tally"));
}

fn shown(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}
