//! `cargo xtask bench-pull`: what a client that has release N pulls for N+1, over ten releases of a Python application
//! whose requirements and system packages moved as the real ones did, by how the own layers are cut.

mod releases;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::bench::table::{load, machine};
use crate::bench::{jettison_binary, workspace_root};
use releases::{Release, Series};

/// Arguments of `cargo xtask bench-pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for images and layers; what was fetched is kept there from run to run.
    #[arg(long, value_name = "DIR", default_value = "target/bench/pull")]
    work: PathBuf,
    /// Two made-up releases without the network: proves that the bench works, and nothing else.
    #[arg(long)]
    quick: bool,
    /// The binary to measure, instead of building `target/release/jettison`.
    #[arg(long, value_name = "FILE")]
    jettison: Option<PathBuf>,
}

/// How many blobs are unpacked at a time: docker's and containerd's default is 3.
const WORKERS: [usize; 3] = [1, 3, 6];

/// How own layers are cut.
const CUTS: [(&str, &[&str]); 5] = [
    ("as built", &["-O0"]),
    ("one layer", &["-O1"]),
    ("--layers 8", &["-O1", "--layers", "8"]),
    ("--layers auto", &["-O1", "--layers", "auto"]),
    ("auto --previous", &["-O1", "--layers", "auto"]),
];

/// The blobs of an image in an OCI layout: digests with their sizes, the base's left out.
type Blobs = BTreeMap<String, u64>;

/// What came of one cut.
struct Row {
    name: &'static str,
    releases: Vec<Blobs>,
    /// Seconds to unpack the last release, by workers.
    unpacking: Vec<f64>,
}

/// What came of a series.
struct Table {
    title: &'static str,
    rows: Vec<Row>,
    /// Bytes that each release changes.
    changed: Vec<u64>,
}

/// Measures, and writes the table: to `bench/pull.md` where it says something.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace_root()?;
    let work = root.join(&options.work);
    std::fs::create_dir_all(&work)?;
    let folder = tempfile::tempdir_in(&work)?;
    let jettison = jettison_binary(options.jettison.as_deref(), &root)?;
    let before = load();
    let series = if options.quick { Series::made_up(folder.path())? } else { Series::real(folder.path(), &work)? };
    let mut tables = Vec::new();
    for (title, are_fixed) in [("the same times in every build", true), ("times of the build", false)] {
        let images = series.images(folder.path(), are_fixed)?;
        let judged: Vec<_> =
            CUTS.iter().filter(|(name, _)| are_fixed || ["as built", "--layers auto"].contains(name)).collect();
        // Bytes are the same however much runs at a time.
        let (jettison, folder, images) = (&jettison, folder.path(), &images);
        let measured = std::thread::scope(|scope| {
            let threads: Vec<_> = judged
                .into_iter()
                .map(|&(name, arguments)| scope.spawn(move || measure(jettison, folder, images, name, arguments)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread died")));
            joined.collect::<Result<Vec<(Row, TempDir)>>>()
        })?;
        let mut rows = Vec::new();
        for (mut row, last) in measured {
            let blobs = row.releases.last().context("there is no release")?;
            for workers in WORKERS {
                let image = last.path().join("image");
                let times = (0..3).map(|_| unpack(&image, blobs, workers, folder)).collect::<Result<Vec<f64>>>()?;
                row.unpacking.push(times.into_iter().fold(f64::INFINITY, f64::min));
            }
            rows.push(row);
        }
        let changed = images.iter().map(|release| release.changed).collect();
        tables.push(Table { title, rows, changed });
    }
    let markdown = markdown(options, before, &series, &tables);
    let to = if options.quick { work } else { root.join("bench") };
    std::fs::write(to.join("pull.md"), &markdown)?;
    print!("{markdown}");
    eprintln!("written: {}/pull.md", to.display());
    Ok(())
}

/// The blobs of each release, and the folder of the last one.
fn measure(
    jettison: &Path,
    folder: &Path,
    images: &[Release],
    name: &'static str,
    arguments: &[&str],
) -> Result<(Row, TempDir)> {
    let mut row = Row { name, releases: Vec::new(), unpacking: Vec::new() };
    let mut previous: Option<TempDir> = None;
    for (at, release) in images.iter().enumerate() {
        let out = tempfile::tempdir_in(folder)?;
        let target = format!("oci:{}", out.path().join("image").display());
        let mut command = Command::new(jettison);
        command.arg("optimize").args(arguments).args(["-q", &format!("docker-archive:{}", release.image.display())]);
        command.args(["-o", &target, "--compression", "gzip:6"]);
        if let Some(previous) = previous.as_ref().filter(|_| name.contains("--previous")) {
            command.args(["--previous", &format!("oci:{}", previous.path().join("image").display())]);
        }
        let output = command.output()?;
        ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let blobs = blobs(&out.path().join("image"))?;
        eprintln!("{name}: release {}: {} own layers, {} bytes", at + 1, blobs.len(), blobs.values().sum::<u64>());
        row.releases.push(blobs);
        previous = Some(out);
    }
    Ok((row, previous.context("there is no release")?))
}

fn json(path: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(path).with_context(|| path.display().to_string())?)?)
}

fn blob(image: &Path, digest: &str) -> PathBuf {
    image.join("blobs").join(digest.replace(':', "/"))
}

/// The own layers of an image: all but the first.
fn blobs(image: &Path) -> Result<Blobs> {
    let index = json(&image.join("index.json"))?;
    let digest = index["manifests"][0]["digest"].as_str().context("an index without a manifest")?;
    let manifest = json(&blob(image, digest))?;
    let layers = manifest["layers"].as_array().context("a manifest without layers")?;
    let of = |layer: &Value| Some((layer["digest"].as_str()?.to_owned(), layer["size"].as_u64()?));
    layers.iter().skip(1).map(|layer| of(layer).context("a layer without a digest")).collect()
}

/// Seconds to unpack all blobs, so many at a time, each to a folder of its own as snapshotters do.
fn unpack(image: &Path, blobs: &Blobs, workers: usize, folder: &Path) -> Result<f64> {
    // In memory where that can be had: a disk that is still busy with the last run would be measured otherwise.
    let memory = Path::new("/dev/shm");
    let to = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir_in(folder) }?;
    // The largest first, as it ends last.
    let mut order: Vec<(&String, &u64)> = blobs.iter().collect();
    order.sort_by_key(|&(_, size)| *size);
    let queue = Mutex::new(order);
    let start = Instant::now();
    let work = || -> Result<()> {
        loop {
            let next = queue.lock().ok().and_then(|mut queue| queue.pop());
            let Some((digest, _)) = next else { return Ok(()) };
            let layer = to.path().join(digest.replace(':', "-"));
            std::fs::create_dir(&layer)?;
            let status = Command::new("tar").arg("-xzf").arg(blob(image, digest)).arg("-C").arg(&layer).status()?;
            ensure!(status.success(), "{digest} cannot be unpacked");
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread died"))))
    })?;
    Ok(start.elapsed().as_secs_f64())
}

/// What a client with one release pulls for the next.
fn pulled(before: &Blobs, after: &Blobs) -> u64 {
    let have: BTreeSet<&String> = before.keys().collect();
    after.iter().filter(|(digest, _)| !have.contains(digest)).map(|(_, size)| size).sum()
}

#[expect(clippy::cast_precision_loss, reason = "megabytes for people")]
fn mb(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

fn markdown(options: &Options, load: f64, series: &Series, tables: &[Table]) -> String {
    let mut out = String::from("# Pulling the next release\n\n");
    let _ = writeln!(
        out,
        "`cargo xtask bench-pull` on {}; load before: {load:.1}. What a client that has all layers of release N pulls for \
         N+1, as stored (gzip's level 6 everywhere), above a base that does not change. Bytes are exact; MB are 10^6 bytes. \"What changed\" is the entries that are not as they were, packed in one: no \
         layers can be less. {}\n",
        machine(),
        series.about
    );
    if options.quick {
        out.push_str("Made-up releases: nothing is judged.\n\n");
    }
    for Table { title, rows, changed } in tables {
        let _ = writeln!(out, "## Files have {title}\n");
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        let _ = writeln!(
            out,
            "| step | what moves | what changed | {} |\n|---|---|--:|{}",
            names.join(" | "),
            "--:|".repeat(rows.len())
        );
        for (at, moves) in series.moves.iter().enumerate().skip(1) {
            let _ = write!(out, "| {at} → {} | {} | {} |", at + 1, moves, mb(changed[at]));
            for row in rows {
                let _ = write!(out, " {} |", mb(pulled(&row.releases[at - 1], &row.releases[at])));
            }
            out.push('\n');
        }
        let line = |out: &mut String, what: &str, of: &dyn Fn(&Row) -> String| {
            let cells: Vec<String> = rows.iter().map(of).collect();
            let _ = writeln!(out, "| {what} | | | {} |", cells.join(" | "));
        };
        let sum = |row: &Row| row.releases.windows(2).map(|pair| pulled(&pair[0], &pair[1])).sum::<u64>();
        let cells: Vec<String> = rows.iter().map(|row| format!("**{}**", mb(sum(row)))).collect();
        let whole: u64 = changed.iter().sum();
        let _ = writeln!(out, "| **all steps**, MB | | **{}** | {} |", mb(whole), cells.join(" | "));
        let last = |row: &Row| row.releases.last().cloned().unwrap_or_default();
        line(&mut out, "own layers, last release", &|row| last(row).len().to_string());
        line(&mut out, "all of the last release, MB", &|row| mb(last(row).values().sum()));
        for (at, workers) in WORKERS.iter().enumerate() {
            let what = format!("unpacking it, {workers} at a time, s");
            line(&mut out, &what, &|row| format!("{:.1}", row.unpacking[at]));
        }
        out.push('\n');
    }
    out.push_str(
        "Unpacking is the fastest of three runs by GNU tar, to memory. A layer whose files got other times is another layer whatever is in it: releases \
         share layers where builds give files the times of their sources or one time (`SOURCE_DATE_EPOCH`).\n",
    );
    out
}
