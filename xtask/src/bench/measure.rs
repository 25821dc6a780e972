//! Runs jobs in rounds and measures each: wall time, processor time, peak memory, bytes written.
//!
//! A timed step runs under a small process of its own (`xtask measured`), since the kernel's accounting of a child's
//! memory begins with that of the process which started it, and sums up all children of one process.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::jobs::{Job, Work};

/// One program to run.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    input: Option<PathBuf>,
}

impl Step {
    /// `program` with `arguments`.
    pub(crate) fn new<A: Into<OsString>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.to_owned(), arguments, environment: Vec::new(), input: None }
    }

    /// With an environment variable.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// With a file as standard input.
    pub(crate) fn input(mut self, path: &Path) -> Self {
        self.input = Some(path.to_owned());
        self
    }
}

/// What one run of a job cost.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, Default)]
pub(crate) struct Sample {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of processor time, in the program and in the kernel for it.
    pub(crate) cpu: f64,
    /// The largest resident set of any of its processes, in bytes.
    pub(crate) memory: u64,
    /// It did not end in time.
    pub(crate) stopped: bool,
}

/// The result of a job on an image.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measurement {
    /// What was done.
    pub(crate) work: Work,
    /// Who did it.
    pub(crate) tool: String,
    /// The row of jettison that did the same work.
    pub(crate) against: Option<&'static str>,
    /// The fastest run; none when the job failed or the tool is not installed.
    pub(crate) best: Option<Sample>,
    /// The largest memory of any run, in bytes.
    pub(crate) memory: u64,
    /// Wall times of all runs, in order.
    pub(crate) walls: Vec<f64>,
    /// Bytes of the files written.
    pub(crate) output: Option<u64>,
    /// Seconds after which it was stopped.
    pub(crate) stopped_after: Option<f64>,
    /// Why there is no result.
    pub(crate) failure: Option<String>,
}

impl Measurement {
    fn new(job: &Job) -> Self {
        Self {
            work: job.work,
            tool: job.tool.clone(),
            against: job.against,
            best: None,
            memory: 0,
            walls: Vec::new(),
            output: None,
            stopped_after: None,
            failure: job.unavailable.clone(),
        }
    }

    /// Why there is no result, or nothing.
    pub(crate) fn failure(&self) -> &str {
        self.failure.as_deref().unwrap_or_default()
    }

    fn add(&mut self, sample: Sample, output: Option<u64>) {
        self.walls.push(sample.wall);
        self.memory = self.memory.max(sample.memory);
        if self.best.is_none_or(|best| sample.wall < best.wall) {
            self.best = Some(sample);
        }
        self.output = output;
    }
}

/// What happens before each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    /// What earlier jobs left in memory is written to the disk, since that would slow down whoever comes next.
    Settle,
    /// Nothing: faster, where the times do not matter.
    GoOn,
}

/// How jobs are run.
#[derive(Debug)]
pub(crate) struct Bench {
    /// This program, which measures one step when started as `xtask measured`.
    pub(crate) helper: PathBuf,
    /// The work folder.
    pub(crate) work: PathBuf,
    /// Rounds.
    pub(crate) runs: usize,
    /// What happens before each run.
    pub(crate) between: Between,
    /// After this time a step is stopped.
    pub(crate) limit: Duration,
    /// A job slower than this runs once only.
    pub(crate) repeat_below: Duration,
}

impl Bench {
    /// Runs all jobs of an image, interleaved in rounds.
    pub(crate) fn run(&self, image: &str, jobs: &[Job]) -> Result<Vec<Measurement>> {
        for folder in ["log", "out", "tmp"] {
            std::fs::create_dir_all(self.work.join(folder))?;
        }
        let mut measurements: Vec<_> = jobs.iter().map(Measurement::new).collect();
        for (job, measurement) in jobs.iter().zip(&mut measurements) {
            if measurement.failure.is_none() {
                eprintln_if(!job.setup.is_empty(), image, job, "getting ready");
                measurement.failure = self.untimed(image, job, &job.setup).err().map(|error| format!("{error:#}"));
            }
        }
        for round in 0..self.runs {
            for (job, measurement) in jobs.iter().zip(&mut measurements) {
                let slow = measurement.best.is_some_and(|best| best.wall > self.repeat_below.as_secs_f64());
                if measurement.failure.is_none() && !slow {
                    self.run_once(image, job, round, measurement)?;
                }
            }
        }
        for job in jobs.iter().filter(|job| job.unavailable.is_none()) {
            // What a failed job never made cannot be taken away.
            let _ = self.untimed(image, job, &job.teardown);
        }
        Ok(measurements)
    }

    fn run_once(&self, image: &str, job: &Job, round: usize, measurement: &mut Measurement) -> Result<()> {
        self.clear(job)?;
        if self.between == Between::Settle {
            nix::unistd::sync();
        }
        let outcome = self.untimed(image, job, &job.prepare).and_then(|()| self.timed(image, job));
        let output = job.output.as_deref().map(size_of).transpose();
        // Removed at once, while most of it is in the page cache only: writing it back would disturb the next job.
        self.clear(job)?;
        let _ = self.untimed(image, job, &job.cleanup);
        match (outcome, output) {
            (Ok(sample), _) if sample.stopped => {
                eprintln_if(true, image, job, "stopped: it takes too long");
                measurement.stopped_after = Some(self.limit.as_secs_f64());
                measurement.failure = Some(format!("stopped after {} s", self.limit.as_secs()));
            }
            (Ok(sample), Ok(output)) => {
                let note = format!("round {}: {:.3} s", round + 1, sample.wall);
                eprintln_if(true, image, job, &note);
                measurement.add(sample, output);
            }
            (Err(error), _) | (_, Err(error)) => {
                eprintln_if(true, image, job, &format!("failed: {error:#}"));
                measurement.best = None;
                measurement.failure = Some(format!("{error:#}"));
            }
        }
        Ok(())
    }

    fn timed(&self, image: &str, job: &Job) -> Result<Sample> {
        let mut sum = Sample::default();
        for step in &job.steps {
            if sum.stopped {
                break;
            }
            let sample = self.measure(image, job, step)?;
            sum.wall += sample.wall;
            sum.cpu += sample.cpu;
            sum.memory = sum.memory.max(sample.memory);
            sum.stopped |= sample.stopped;
        }
        Ok(sum)
    }

    fn untimed(&self, image: &str, job: &Job, steps: &[Step]) -> Result<()> {
        for step in steps {
            ensure!(!self.measure(image, job, step)?.stopped, "stopped after {} s", self.limit.as_secs());
        }
        Ok(())
    }

    fn measure(&self, image: &str, job: &Job, step: &Step) -> Result<Sample> {
        self.step(&format!("{image}-{}", job.file_name()), step)
    }

    /// Runs one program and says what it cost; what it prints goes to the log of this name.
    pub(crate) fn step(&self, log: &str, step: &Step) -> Result<Sample> {
        let log = self.work.join(format!("log/{log}.log"));
        let report = self.work.join("report.json");
        let mut command = Command::new(&self.helper);
        command.arg("measured").arg("--report").arg(&report);
        command.arg("--limit").arg(self.limit.as_secs().to_string());
        command.arg("--").arg(&step.program).args(&step.arguments);
        command.env("TMPDIR", self.work.join("tmp")).envs(step.environment.iter().map(|(name, value)| (name, value)));
        let input = step.input.as_ref().map(File::open).transpose()?;
        command.stdin(input.map_or_else(Stdio::null, Stdio::from));
        let file = File::create(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let status = command.status().with_context(|| format!("cannot start {}", self.helper.display()))?;
        ensure!(status.success(), "{} ({})", last_line(&log), log.display());
        serde_json::from_slice(&std::fs::read(&report)?).context("the report of a step is broken")
    }

    fn clear(&self, job: &Job) -> Result<()> {
        for path in job.output.iter().chain(&job.scratch).chain([&self.work.join("tmp")]) {
            remove(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(std::fs::create_dir_all(self.work.join("tmp"))?)
    }
}

/// Reads `path` once, so that the page cache holds it.
pub(crate) fn warm(path: &Path) -> Result<()> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    std::io::copy(&mut file, &mut std::io::sink())?;
    Ok(())
}

/// Arguments of `xtask measured`.
#[derive(Debug, clap::Args)]
pub(crate) struct MeasuredOptions {
    /// Where the [`Sample`] goes, as JSON.
    #[arg(long)]
    report: PathBuf,
    /// Seconds after which the program is stopped.
    #[arg(long)]
    limit: u64,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs `xtask measured`: one program, whose cost goes into the report.
///
/// # Errors
/// The program cannot start, ends with a failure, or was stopped after the limit.
pub(crate) fn run_measured(options: &MeasuredOptions) -> Result<()> {
    let [program, arguments @ ..] = options.command.as_slice() else { bail!("no program") };
    let start = Instant::now();
    let mut child = Command::new(program).args(arguments).spawn().context("cannot start the program")?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let (done, wait) = mpsc::channel::<()>();
    let limit = Duration::from_secs(options.limit);
    let watch = std::thread::spawn(move || {
        let late = wait.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
        late && kill(pid, Signal::SIGKILL).is_ok()
    });
    let status = child.wait()?;
    let wall = start.elapsed().as_secs_f64();
    drop(done);
    let stopped = watch.join().is_ok_and(|late| late);
    ensure!(status.success() || stopped, "ended with {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    // Linux counts in KiB (getrusage(2)).
    let sample = Sample { wall, cpu, memory: u64::try_from(usage.max_rss())? * 1024, stopped };
    Ok(std::fs::write(&options.report, serde_json::to_vec(&sample)?)?)
}

/// Bytes of the file, or of all files in the folder.
fn size_of(path: &Path) -> Result<u64> {
    let metadata = path.symlink_metadata().with_context(|| format!("no output at {}", path.display()))?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut sum = 0;
    for child in std::fs::read_dir(path)? {
        sum += size_of(&child?.path())?;
    }
    Ok(sum)
}

fn remove(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_dir() => Ok(std::fs::remove_dir_all(path)?),
        Ok(_) => Ok(std::fs::remove_file(path)?),
    }
}

/// The line of a log that most likely says what went wrong.
fn last_line(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let mut lines = text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let telling = lines.clone().find(|line| !line.starts_with("Error: ended with"));
    telling.or(lines.next()).unwrap_or("no message").chars().take(300).collect()
}

fn eprintln_if(condition: bool, image: &str, job: &Job, text: &str) {
    if condition {
        eprintln!("{image}: {}: {}: {text}", job.work.title(), job.tool);
    }
}
