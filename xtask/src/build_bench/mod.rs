//! `cargo xtask bench-build`: the same Dockerfiles built by jettison, by BuildKit in a Docker engine of the bench's own,
//! and by buildah, in one run on one machine.
//!
//! A round takes every project to every builder: from empty storage that holds nothing but the base image, again with
//! nothing changed, again with the last line changed. Builders take turns within a round, so that a noisy moment of the
//! machine hits all alike. Results are medians and minima over the rounds.

mod builders;
mod disk;
mod docker;
mod projects;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::bench::measure::Sample;
use crate::bench::table::load;
use crate::bench::{jettison_binary, workspace_root};
use builders::{Builder, Tools};
use disk::Disk;
use projects::Project;
use table::Results;

/// Arguments of `cargo xtask bench-build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for projects, storage and logs; projects are kept there from run to run.
    #[arg(long, value_name = "DIR", default_value = "target/bench-build")]
    work: PathBuf,
    /// How often everything is built.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// A build is stopped, and its row says so, after this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit: u64,
    /// Only the projects of that name (repeatable): steps, tree, context.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Small projects, one round: proves in less than a minute that the bench works, and nothing about speed.
    #[arg(long)]
    quick: bool,
    /// The binary to measure, instead of building `target/release/jettison`.
    #[arg(long, value_name = "FILE")]
    jettison: Option<PathBuf>,
    /// Folder of images that holds an Alpine root file system; without it, `$JETTISON_SHARED/images`.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
}

/// A build of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// With nothing in the cache.
    Cold,
    /// Right after, with everything as it was.
    NoChange,
    /// With another last line.
    LastLine,
}

impl Work {
    const ALL: [Self; 3] = [Self::Cold, Self::NoChange, Self::LastLine];

    fn title(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::NoChange => "no change",
            Self::LastLine => "last line changed",
        }
    }
}

/// What was measured of one builder at one kind of work.
#[derive(Debug, Default)]
struct Row {
    samples: Vec<Sample>,
    failure: Option<String>,
}

/// All rows, by project, work and builder.
type Rows = BTreeMap<(&'static str, Work, &'static str), Row>;

/// Runs `cargo xtask bench-build`.
///
/// # Errors
/// There is no Alpine root file system, jettison does not build, or a row of jettison failed. A peer that fails has a
/// row that says so.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0, "--rounds must be at least 1");
    let root = workspace_root()?;
    std::fs::create_dir_all(&options.work).with_context(|| format!("cannot create {}", options.work.display()))?;
    let work = options.work.canonicalize()?;
    let jettison = jettison_binary(options.jettison.as_deref(), &root)?;
    let before = load();
    let projects = projects::make(&work, options.quick, &options.only)?;
    let base = projects::base(&work, &rootfs(options)?)?;
    let helper = std::env::current_exe().context("cannot find the path of this program")?;
    let limit = Duration::from_secs(options.limit);
    let tools = Tools { helper, jettison, base, work: work.clone(), limit, quick: options.quick };
    let mut builders = builders::all(&tools);
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut rows = Rows::new();
    let mut number = 0;
    let storage = work.join("storage");
    builders::remove(&storage);
    std::fs::create_dir_all(&storage)?;
    for project in &projects {
        for round in 0..rounds {
            for builder in &mut builders {
                // Short: the path of a socket, containerd's below it, has at most 108 bytes.
                number += 1;
                let own = storage.join(number.to_string());
                build_all(builder.as_mut(), project, (round, &own), options.quick, &mut rows)?;
            }
        }
    }
    let versions = builders.iter().map(|builder| (builder.name(), builder.version())).collect();
    let start = Instant::now();
    drop(builders);
    builders::remove(&storage);
    eprintln!("stopped the engine and removed all storage in {:.1} s", start.elapsed().as_secs_f64());
    let results = Results { load: before, rounds, quick: options.quick, versions, projects: &projects, rows: &rows };
    write_results(options, &root, &work, &results)?;
    let failed = rows.iter().find(|((_, _, builder), row)| builder.starts_with("jettison") && row.failure.is_some());
    match failed {
        Some(((project, work, builder), row)) => {
            bail!("{project}, {}, {builder}: {}", work.title(), row.failure.as_deref().unwrap_or_default())
        }
        None => Ok(()),
    }
}

/// One round of a project with a builder.
fn build_all(
    builder: &mut dyn Builder,
    project: &Project,
    (round, storage): (usize, &Path),
    quick: bool,
    rows: &mut Rows,
) -> Result<()> {
    // One engine serves all of a quick run, on the disk that is there.
    let disk = if quick { None } else { Some(Disk::at(storage)?) };
    let name = builder.name();
    project.set_last_line("first")?;
    // Beside `lost+found`: a builder may want an empty folder.
    let own = storage.join("s");
    std::fs::create_dir_all(&own)?;
    let mut ready = builder.reset(&own);
    for work in Work::ALL {
        let row = rows.entry((project.name, work, name)).or_default();
        if row.failure.is_some() {
            continue;
        }
        if work == Work::LastLine {
            project.set_last_line(&format!("changed {round}"))?;
        }
        if !quick {
            // What earlier builds left in memory would slow down whoever comes next.
            nix::unistd::sync();
        }
        let built = std::mem::replace(&mut ready, Ok(())).and_then(|()| builder.build(project));
        match built {
            Ok(sample) => {
                eprintln!("{}: {}: {name}: round {}: {:.3} s", project.name, work.title(), round + 1, sample.wall);
                row.samples.push(sample);
            }
            Err(error) => {
                eprintln!("{}: {}: {name}: failed: {error:#}", project.name, work.title());
                row.failure = Some(format!("{error:#}"));
            }
        }
    }
    builder.leave();
    drop(disk);
    Ok(())
}

fn rootfs(options: &Options) -> Result<PathBuf> {
    let folder = match &options.images {
        Some(folder) => folder.clone(),
        None => {
            let shared = std::env::var_os("JETTISON_SHARED");
            Path::new(&shared.context("where is an Alpine root file system? give --images DIR, or JETTISON_SHARED")?)
                .join("images")
        }
    };
    let listed = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = listed.filter_map(Result::ok).map(|entry| entry.path());
    let is_rootfs = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("alpine-minirootfs-") && name.ends_with(".tar.gz")
    };
    paths.filter(is_rootfs).max().with_context(|| format!("no alpine-minirootfs-*.tar.gz in {}", folder.display()))
}

/// The committed `bench/build.md` comes from whole runs only; others stay in the work folder.
fn write_results(options: &Options, root: &Path, work: &Path, results: &Results<'_>) -> Result<()> {
    let whole = !options.quick && options.only.is_empty();
    let folder = if whole { root.join("bench") } else { work.to_owned() };
    let markdown = table::markdown(results);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("build.md"), &markdown)?;
    print!("{markdown}");
    eprintln!("written: {}/build.md", folder.display());
    Ok(())
}
