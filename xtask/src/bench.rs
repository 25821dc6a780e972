//! `cargo xtask bench`: generated images, the floor, jettison and its peers, measured in one run on one machine.
//!
//! Each image is written once into the work folder and read once before it is measured, so that the page cache holds it.
//! The jobs of an image then run in rounds (every job once, then every job again), so that a noisy moment of the machine
//! hits all tools alike; a job's result is its fastest run. Peers that are not installed get a row that says so.

mod archive;
mod content;
pub(crate) mod daemon;
mod generate;
mod goals;
mod host;
pub(crate) mod images;
mod jobs;
pub(crate) mod measure;
pub(crate) mod peers;
pub(crate) mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

pub(crate) use measure::{MeasuredOptions, run_measured};

use daemon::Daemon;
use images::{Image, Spec};
use measure::{Bench, Between, Measurement};
use peers::Tools;

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for images, outputs and logs; images are kept there from run to run.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    work: PathBuf,
    /// Runs of each job; the fastest counts.
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// A job slower than this in its first run is not run again.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    repeat_below: u64,
    /// A job is stopped, and its row says so, after this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit: u64,
    /// Only the images whose name starts with NAME (repeatable).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Small images, one run: proves in half a minute that the bench works, and nothing about speed.
    #[arg(long)]
    quick: bool,
    /// The binary to measure, instead of building `target/release/jettison`.
    #[arg(long, value_name = "FILE")]
    jettison: Option<PathBuf>,
    /// Folder of peers' programs, searched before PATH.
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
    /// Install the peers that PyPI has into the work folder first (a Python environment of its own).
    #[arg(long)]
    install_peers: bool,
}

/// What was measured on one image.
#[derive(Debug, serde::Serialize)]
pub(crate) struct ImageResult {
    /// The image.
    pub(crate) image: Image,
    /// One for each job, in the order of the table.
    pub(crate) measurements: Vec<Measurement>,
}

/// A whole run, as `results.json` holds it.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Results {
    /// Processor, cores, memory and kernel.
    pub(crate) machine: String,
    /// Processes that were running or waiting for the disk before the first job, on average over a minute.
    pub(crate) load: f64,
    /// `--runs`.
    pub(crate) runs: usize,
    /// Each tool and the version that it names itself.
    pub(crate) versions: Vec<(String, String)>,
    /// Small images, of which the goals say nothing.
    pub(crate) quick: bool,
    /// In the order of [`images::specs`].
    pub(crate) images: Vec<ImageResult>,
}

/// Runs `cargo xtask bench`.
///
/// # Errors
/// Missing floor tools, an unwritable work folder, a jettison that does not build. A job that fails is a row, not an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace_root()?;
    std::fs::create_dir_all(&options.work).with_context(|| format!("cannot create {}", options.work.display()))?;
    let work = options.work.canonicalize()?;
    if options.install_peers {
        peers::install(&work)?;
    }
    let jettison = jettison_binary(options.jettison.as_deref(), &root)?;
    let tools = Tools::find(jettison, options.peers.as_deref(), &work)?;
    let specs = chosen(options)?;
    let load = table::load();
    let bench = bench(options, &work)?;
    let mut daemon = Daemon::new(&work);
    let mut images = Vec::new();
    for spec in &specs {
        let image = images::ensure(spec, &work)?;
        let measurements = measure_image(&bench, &tools, &mut daemon, spec, &image)?;
        images.push(ImageResult { image, measurements });
    }
    drop(daemon);
    let machine = table::machine();
    let results = Results { machine, load, runs: bench.runs, versions: tools.versions(), quick: options.quick, images };
    write_results(options, &root, &work, &results)
}

fn bench(options: &Options, work: &Path) -> Result<Bench> {
    ensure!(options.runs > 0, "--runs must be at least 1");
    Ok(Bench {
        helper: std::env::current_exe().context("cannot find the path of this program")?,
        work: work.to_owned(),
        runs: if options.quick { 1 } else { options.runs },
        between: if options.quick { Between::GoOn } else { Between::Settle },
        limit: Duration::from_secs(options.limit),
        repeat_below: Duration::from_secs(options.repeat_below),
    })
}

fn measure_image(
    bench: &Bench,
    tools: &Tools,
    daemon: &mut Daemon,
    spec: &Spec,
    image: &Image,
) -> Result<Vec<Measurement>> {
    let mut jobs = jobs::floor(tools, image, &bench.work);
    jobs.extend(jobs::jettison(tools, image, &bench.work));
    jobs.extend(peers::jobs(tools, daemon, spec, image, &bench.work));
    jobs.sort_by_key(|job| job.work);
    measure::warm(&image.archive)?;
    let measurements = bench.run(&image.name, &jobs)?;
    for floor in measurements.iter().filter(|measurement| measurement.work == jobs::Work::Floor) {
        ensure!(floor.best.is_some(), "the floor cannot be measured: {}: {}", floor.tool, floor.failure());
    }
    Ok(measurements)
}

fn chosen(options: &Options) -> Result<Vec<Spec>> {
    let mut specs = images::specs(options.quick);
    if !options.only.is_empty() {
        let names: Vec<_> = specs.iter().map(|spec| spec.name.clone()).collect();
        specs.retain(|spec| options.only.iter().any(|only| spec.name.starts_with(only.as_str())));
        if specs.is_empty() {
            bail!("--only {} matches no image; there are: {}", options.only.join(" --only "), names.join(", "));
        }
    }
    Ok(specs)
}

/// The committed `bench/results.*` come from whole runs only; others stay in the work folder.
fn write_results(options: &Options, root: &Path, work: &Path, results: &Results) -> Result<()> {
    let whole = !options.quick && options.only.is_empty();
    let folder = if whole { root.join("bench") } else { work.to_owned() };
    std::fs::create_dir_all(&folder)?;
    let markdown = table::markdown(results);
    std::fs::write(folder.join("results.md"), &markdown)?;
    std::fs::write(folder.join("results.json"), serde_json::to_string_pretty(results)? + "\n")?;
    print!("{markdown}");
    eprintln!("written: {}/results.md and results.json", folder.display());
    Ok(())
}

pub(crate) fn workspace_root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(manifest.parent().context("xtask lies in no workspace")?.to_owned())
}

/// The binary beside this one in the target folder, built first; or the one that is named.
pub(crate) fn jettison_binary(named: Option<&Path>, root: &Path) -> Result<PathBuf> {
    if let Some(path) = named {
        return path.canonicalize().with_context(|| format!("--jettison {}", path.display()));
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let status = cargo.args(["build", "--quiet", "--release", "-p", "jettison"]).current_dir(root).status()?;
    ensure!(status.success(), "`cargo build --release -p jettison` failed ({status})");
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("this program lies in no target folder")?;
    let binary = target.join("release/jettison");
    ensure!(binary.is_file(), "cargo built jettison, but {} does not exist", binary.display());
    Ok(binary)
}
