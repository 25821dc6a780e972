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

use anyhow::{Context as _, Result, ensure};

use crate::bench::table::load;
use crate::bench::{jettison_binary, workspace_root};
use bases::Bases;
use measured::Measured;
use projects::Project;
use table::Results;
use tool::Tool;

/// Projects that need no network and are built in a second or two.
const QUICK: [&str; 3] = ["alpine-cron-backup", "alpine-static-site", "busybox-words"];

/// What the benches on projects have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Folder for base images, caches and results; base images are kept there from run to run.
    #[arg(long, value_name = "DIR", default_value = "target/bench-prove")]
    work: PathBuf,
    /// Only the projects whose name holds NAME (repeatable).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Few projects that need no network: shows in some seconds that the bench works.
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

impl Common {
    /// The folder to work in, made where it is missing, and the program to measure.
    fn start(&self, root: &Path) -> Result<(PathBuf, Tool)> {
        std::fs::create_dir_all(&self.work).with_context(|| format!("cannot create {}", self.work.display()))?;
        let tool = Tool { program: jettison_binary(self.jettison.as_deref(), root)?, limit: self.limit };
        Ok((self.work.canonicalize()?, tool))
    }

    /// The bases to build upon.
    fn bases<'t>(&self, tool: &'t Tool, work: &Path, root: &Path) -> Result<Bases<'t>> {
        Bases::new(tool, work, &root.join("bench/bases"), self.images.clone())
    }

    /// Those of the projects that were asked for, of which `quick` are those of the quick form.
    fn chosen(&self, mut projects: Vec<Project>, quick: &[&str]) -> Result<Vec<Project>> {
        if self.quick {
            projects.retain(|project| quick.contains(&project.name.as_str()));
            ensure!(projects.len() == quick.len(), "the projects of --quick are not all there");
        }
        if !self.only.is_empty() {
            projects.retain(|project| self.only.iter().any(|only| project.name.contains(only.as_str())));
        }
        ensure!(!projects.is_empty(), "no project is named so");
        Ok(projects)
    }

    /// Whether all projects are measured: what is committed comes from such runs alone.
    fn is_whole(&self) -> bool {
        !self.quick && self.only.is_empty()
    }
}

/// Arguments of `cargo xtask bench-prove`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Go on with an interrupted run: projects that were measured are not measured again.
    #[arg(long)]
    resume: bool,
}

/// Runs `cargo xtask bench-prove`.
///
/// # Errors
/// Base images cannot be made, jettison does not build, a project failed, or a proven form behaves in another way.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace_root()?;
    let common = &options.common;
    let (work, tool) = common.start(&root)?;
    let before = load();
    let projects = common.chosen(projects::all(&root.join("bench/projects"))?, &QUICK)?;
    let mut bases = common.bases(&tool, &work, &root)?;
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
    let results = Results { load: before, quick: common.quick, version: tool.version(), rows: &rows };
    write_results(common, &root, &work, &results)?;
    let wrong: Vec<String> = rows.iter().filter_map(Measured::wrong).collect();
    ensure!(wrong.is_empty(), "{} of {} projects went wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    Ok(())
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
fn write_results(common: &Common, root: &Path, work: &Path, results: &Results<'_>) -> Result<()> {
    let folder = if common.is_whole() { root.join("bench") } else { work.to_owned() };
    let markdown = table::markdown(results);
    std::fs::write(folder.join("prove.md"), &markdown)?;
    print!("{markdown}");
    eprintln!("written: {}/prove.md", folder.display());
    Ok(())
}
