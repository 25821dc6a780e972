//! `cargo xtask bench-prove`: real projects (`bench/projects`), built as they are written and in their proven forms: layers
//! and bytes of each, whether their smoke commands say the same, and what a proof costs in proportion to one build.
//!
//! Every project starts with a cache that holds base images, unpacked, and nothing else. It is built once (that is the build
//! which proofs are measured against), then its rewriting is proven at each level with that build in the cache; once more
//! it is proven with the cache as it was at first. What came of a project is kept in the
//! work folder, so that a run that was interrupted goes on (`--resume`).

mod bases;
mod measured;
mod projects;
pub(crate) mod savings;
mod smoke;
mod table;
mod tool;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::bench::table::load;
use crate::bench::{jettison_binary, workspace_root};
use bases::Bases;
use measured::Measured;
use projects::Project;
use table::Results;
use tool::Tool;

/// Projects that need no network and are built in a second or two.
const QUICK: [&str; 3] = ["alpine-cron-backup", "alpine-static-site", "busybox-words"];

/// Arguments of `cargo xtask bench-prove`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for base images, caches and results; base images are kept there from run to run.
    #[arg(long, value_name = "DIR", default_value = "target/bench-prove")]
    work: PathBuf,
    /// Only the projects whose name holds NAME (repeatable).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Go on with an interrupted run: projects that were measured are not measured again.
    #[arg(long)]
    resume: bool,
    /// Three projects that need no network: shows in some seconds that the bench works.
    #[arg(long)]
    quick: bool,
    /// A step of a build is stopped, and the project's row says so, after this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit: u64,
    /// The binary to measure, instead of building `target/release/jettison`.
    #[arg(long, value_name = "FILE")]
    jettison: Option<PathBuf>,
    /// Folder of images that holds an Alpine root file system and busybox; without it, `$JETTISON_SHARED/images`.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
}

/// Runs `cargo xtask bench-prove`.
///
/// # Errors
/// Base images cannot be made, jettison does not build, a project failed, or a proven form behaves in another way.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace_root()?;
    std::fs::create_dir_all(&options.work).with_context(|| format!("cannot create {}", options.work.display()))?;
    let work = options.work.canonicalize()?;
    let tool = Tool { program: jettison_binary(options.jettison.as_deref(), &root)?, limit: options.limit };
    let before = load();
    let projects = chosen(options, projects::all(&root.join("bench/projects"))?)?;
    let mut bases = Bases::new(&tool, &work, &root.join("bench/bases"), options.images.clone())?;
    let results = work.join("results");
    if !options.resume {
        tool::remove(&results);
    }
    std::fs::create_dir_all(&results)?;
    let mut rows = Vec::new();
    for project in &projects {
        let kept = results.join(format!("{}.json", project.name));
        let row = match Measured::read(&kept).filter(|row| row.failure.is_none()) {
            Some(row) => row,
            None => {
                let row = measure(&tool, &mut bases, project, &work);
                row.write(&kept)?;
                row
            }
        };
        rows.push(row);
    }
    let results = Results { load: before, quick: options.quick, version: tool.version(), rows: &rows };
    write_results(options, &root, &work, &results)?;
    let wrong: Vec<String> = rows.iter().filter_map(Measured::wrong).collect();
    ensure!(wrong.is_empty(), "{} of {} projects went wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    Ok(())
}

fn chosen(options: &Options, mut projects: Vec<Project>) -> Result<Vec<Project>> {
    if options.quick {
        projects.retain(|project| QUICK.contains(&project.name.as_str()));
        ensure!(projects.len() == QUICK.len(), "the projects of --quick are not all there");
    }
    if !options.only.is_empty() {
        projects.retain(|project| options.only.iter().any(|only| project.name.contains(only.as_str())));
    }
    if projects.is_empty() {
        bail!("no project is named so");
    }
    Ok(projects)
}

fn measure(tool: &Tool, bases: &mut Bases<'_>, project: &Project, work: &Path) -> Measured {
    let start = Instant::now();
    let row = measured::measure(tool, bases, project, &work.join("project"));
    tool::remove(&work.join("project"));
    let row = row.unwrap_or_else(|error| Measured::failed(project, &format!("{error:#}")));
    let end = row.wrong().unwrap_or_else(|| "measured".to_owned());
    eprintln!("{}: {end} in {:.0} s", project.name, start.elapsed().as_secs_f64());
    row
}

/// The committed `bench/prove.md` comes from whole runs only; others stay in the work folder.
fn write_results(options: &Options, root: &Path, work: &Path, results: &Results<'_>) -> Result<()> {
    let whole = !options.quick && options.only.is_empty();
    let folder = if whole { root.join("bench") } else { work.to_owned() };
    let markdown = table::markdown(results);
    std::fs::write(folder.join("prove.md"), &markdown)?;
    print!("{markdown}");
    eprintln!("written: {}/prove.md", folder.display());
    Ok(())
}
