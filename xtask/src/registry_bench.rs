//! `cargo xtask bench-registry`: images from registry to registry, by jettison and its peers in one run. Two registries
//! of Debian's run on this machine, started and ended here, so that the network costs nothing and work is what is seen.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::bench::images::{self, Image, Spec};
use crate::bench::measure::{Bench, Between, Sample, Step};
use crate::bench::peers::Tools;
use crate::bench::table::{load, machine};
use crate::bench::{jettison_binary, workspace_root};

/// Arguments of `cargo xtask bench-registry`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for images, registries and logs; images are kept there from run to run.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    work: PathBuf,
    /// Runs of each job; the fastest counts.
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// A small image, one run: proves that the bench works, and nothing about speed.
    #[arg(long)]
    quick: bool,
    /// The binary to measure, instead of building `target/release/jettison`.
    #[arg(long, value_name = "FILE")]
    jettison: Option<PathBuf>,
}

/// What jettison may take.
const MEMORY: u64 = 150_000_000;

/// A registry of this run's own.
struct Registry {
    host: String,
    process: Child,
}

impl Registry {
    fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let host = format!("127.0.0.1:{port}");
        let data = folder.join("data");
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            data.display()
        );
        std::fs::write(folder.join("config.yml"), config)?;
        let log = File::create(folder.join("log"))?;
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("docker-registry does not start: install Debian's docker-registry")?;
        let registry = Self { host, process };
        for _ in 0..100 {
            if TcpStream::connect(&registry.host).is_ok() {
                return Ok(registry);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("docker-registry does not answer: see {}", folder.join("log").display());
    }

    fn place(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.host)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // The process is this program's own child.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    CopyWithin,
    CopyBetween,
    Merge,
}

impl Work {
    const ALL: [Self; 3] = [Self::CopyWithin, Self::CopyBetween, Self::Merge];

    fn title(self) -> &'static str {
        match self {
            Self::CopyWithin => "copy to another repository of the registry",
            Self::CopyBetween => "copy to another registry",
            Self::Merge => "all layers merged into one, to another repository",
        }
    }
}

/// Who does it, and how.
struct Job {
    work: Work,
    tool: &'static str,
    /// None where the tool is not installed.
    step: Option<Step>,
}

struct Row {
    work: Work,
    tool: &'static str,
    best: Option<Sample>,
    memory: u64,
}

/// Measures, and writes the table: to `bench/registry.md` where it says something about speed.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.runs > 0, "--runs must be at least 1");
    let root = workspace_root()?;
    let work = root.join(&options.work);
    std::fs::create_dir_all(&work)?;
    let jettison = jettison_binary(options.jettison.as_deref(), &root)?;
    let tools = Tools::find(jettison.clone(), None, &work)?;
    let before = load();
    let mut specs = images::specs(options.quick);
    if options.quick {
        specs.truncate(1);
    } else {
        specs.retain(|spec| ["files-20k", "files-200k"].contains(&spec.name.as_str()));
    }
    let bench = Bench {
        helper: std::env::current_exe()?,
        work: work.clone(),
        runs: if options.quick { 1 } else { options.runs },
        between: if options.quick { Between::GoOn } else { Between::Settle },
        limit: Duration::from_secs(600),
        repeat_below: Duration::from_secs(60),
    };
    for folder in ["log", "tmp"] {
        std::fs::create_dir_all(work.join(folder))?;
    }
    let mut results = Vec::new();
    for spec in &specs {
        let image = images::ensure(spec, &work)?;
        results.push((spec, measure(&bench, &tools, &jettison, spec, &image)?));
    }
    let markdown = markdown(options, bench.runs, before, &tools, &results);
    let to = if options.quick { work } else { root.join("bench") };
    std::fs::write(to.join("registry.md"), &markdown)?;
    print!("{markdown}");
    eprintln!("written: {}/registry.md", to.display());
    Ok(())
}

fn measure(bench: &Bench, tools: &Tools, jettison: &Path, spec: &Spec, image: &Image) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(&bench.work)?;
    let one = Registry::start(&folder.path().join("one"))?;
    let source = one.place(&format!("source/{}:1", spec.name));
    // Packed as registries hold images.
    let archive = format!("docker-archive:{}", image.archive.display());
    let pushed = Command::new(jettison)
        .args(["optimize", "-O1", "--layers", "5", "--compression", "gzip", "-q", &archive, "-o", &source])
        .status()?;
    ensure!(pushed.success(), "the image cannot be brought to the registry");
    let mut rows: Vec<Row> = Vec::new();
    for round in 0..bench.runs {
        // Who knows where else on a registry a blob is, mounts it: each job has another registry of its own.
        let others: Vec<Registry> = (0..3)
            .map(|number| Registry::start(&folder.path().join(format!("other-{round}-{number}"))))
            .collect::<Result<_>>()?;
        for job in jobs(tools, jettison, (&one, &others), &source, round) {
            if bench.between == Between::Settle {
                nix::unistd::sync();
            }
            let log = format!("registry-{}-{}", spec.name, job.tool.replace(' ', "-"));
            let sample = job.step.map(|step| bench.step(&log, &step)).transpose()?;
            if let Some(sample) = sample {
                eprintln!("{}: {}: {}: {:.3} s", spec.name, job.work.title(), job.tool, sample.wall);
            }
            match rows.iter_mut().find(|row| row.work == job.work && row.tool == job.tool) {
                None => rows.push(Row {
                    work: job.work,
                    tool: job.tool,
                    best: sample,
                    memory: sample.map_or(0, |sample| sample.memory),
                }),
                Some(row) => {
                    row.memory = row.memory.max(sample.map_or(0, |sample| sample.memory));
                    let is_better = sample.zip(row.best).is_some_and(|(new, old)| new.wall < old.wall);
                    row.best = if is_better { sample } else { row.best };
                }
            }
        }
    }
    Ok(rows)
}

/// The jobs of one round; each goes to a repository in which nothing is.
fn jobs(
    tools: &Tools,
    jettison: &Path,
    (one, others): (&Registry, &[Registry]),
    source: &str,
    round: usize,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    let peer = |name: &str, arguments: &[&str]| tools.program(name).map(|path| Step::new(&path, arguments.to_vec()));
    for work in Work::ALL {
        let target = |tool: &str| {
            let name = format!("{tool}{}/{round}:1", work as usize);
            let own = ["jettison", "skopeo", "crane"].iter().position(|known| *known == tool);
            let other = own.and_then(|at| others.get(at)).filter(|_| work == Work::CopyBetween);
            other.unwrap_or(one).place(&name)
        };
        let own = target("jettison");
        let bare = |place: &str| place.trim_start_matches("docker://").to_owned();
        let copy = ["copy", "-q", source, own.as_str()];
        let merge = ["optimize", "-O1", "--squash-all", "-q", source, "-o", own.as_str()];
        let arguments = if work == Work::Merge { merge.to_vec() } else { copy.to_vec() };
        jobs.push(Job { work, tool: "jettison", step: Some(Step::new(jettison, arguments)) });
        if work == Work::Merge {
            let to = bare(&target("crane"));
            let step = peer("crane", &["flatten", &bare(source), "-t", &to, "--insecure"]);
            jobs.push(Job { work, tool: "crane flatten", step });
        } else {
            let to = target("skopeo");
            let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
            let step =
                peer("skopeo", &[&["copy", "-q", "--insecure-policy"], &plain[..], &[source, to.as_str()]].concat());
            jobs.push(Job { work, tool: "skopeo copy", step });
            let to = bare(&target("crane"));
            let step = peer("crane", &["copy", "--insecure", &bare(source), &to]);
            jobs.push(Job { work, tool: "crane copy", step });
        }
    }
    jobs
}

fn markdown(options: &Options, runs: usize, load: f64, tools: &Tools, results: &[(&Spec, Vec<Row>)]) -> String {
    let mut out = String::from("# Registry to registry\n\n");
    let _ = writeln!(
        out,
        "`cargo xtask bench-registry` on {}, the fastest of {runs} runs; load before: {load:.1}. Debian's \
         docker-registry on this machine; every target is a repository in which nothing is, another registry an empty one. MB are 10^6 bytes; \"takes\" is a \
         peer's time in proportion to jettison's for the same work. skopeo: {}.\n",
        machine(),
        version(tools, "skopeo")
    );
    if options.quick {
        out.push_str("A small image, once: goals are not judged.\n\n");
    }
    out.push_str("| image | work | tool | time | takes | processor | peak memory |\n|---|---|---|--:|--:|--:|--:|\n");
    let mut largest = 0;
    for (spec, rows) in results {
        for row in rows {
            let own = rows.iter().find(|own| own.work == row.work && own.tool == "jettison").and_then(|own| own.best);
            if row.tool == "jettison" {
                largest = largest.max(row.memory);
            }
            let Some(best) = row.best else {
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | not installed | – | – | – |",
                    spec.name,
                    row.work.title(),
                    row.tool
                );
                continue;
            };
            let takes = match own {
                Some(own) if row.tool != "jettison" => format!("{:.2}×", best.wall / own.wall),
                _ => "–".to_owned(),
            };
            let _ = writeln!(
                out,
                "| {} | {} | {} | {:.2} s | {takes} | {:.2} s | {:.1} MB |",
                spec.name,
                row.work.title(),
                row.tool,
                best.wall,
                best.cpu,
                row.memory as f64 / 1e6
            );
        }
    }
    if !options.quick {
        let verdict = if largest < MEMORY { "met" } else { "**not met**" };
        let _ = writeln!(
            out,
            "\n| goal | measured | |\n|---|---|---|\n| jettison's peak memory below 150 MB | {:.1} MB | {verdict} |",
            largest as f64 / 1e6
        );
    }
    out
}

fn version(tools: &Tools, program: &str) -> String {
    let output = tools.program(program).and_then(|path| Command::new(path).arg("--version").output().ok());
    output
        .map_or_else(|| "not installed".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
