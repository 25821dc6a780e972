//! `cargo xtask bench-trace`: what watching a step costs, as a ratio to the same work unwatched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use jettison_engine::sandbox::Watch;
use jettison_engine::supervisor::{Supervisor, install};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder whose files are read and asked about.
    #[arg(long, default_value = "/usr")]
    folder: PathBuf,
    /// How often each work is done; the fastest counts.
    #[arg(long, default_value_t = 5)]
    times: u32,
    /// How much slower than the goals a work may be before this fails, in hundredths.
    #[arg(long, default_value_t = 15)]
    slack: u32,
}

/// A work: its name, the shell's words, and the ratio aimed at.
struct Work {
    name: &'static str,
    script: &'static str,
    goal: f64,
}

const WORKS: [Work; 5] = [
    Work {
        name: "open and read files",
        script: "find \"$0\" -xdev -type f -size -64k | tr '\\n' '\\0' | xargs -0 cat > /dev/null 2>&1; true",
        goal: 1.15,
    },
    Work {
        name: "ask about files, then read them",
        script: "find \"$0\" -xdev -type f -size -64k -links 1 -print0 | xargs -0 stat -c %s > /dev/null; \
                 find \"$0\" -xdev -type f -size -64k | tr '\\n' '\\0' | xargs -0 cat > /dev/null 2>&1; true",
        goal: 1.4,
    },
    Work { name: "only ask about files", script: "du -s \"$0\" > /dev/null; true", goal: 2.0 },
    Work { name: "start programs", script: "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done", goal: 1.4 },
    Work {
        name: "compile",
        script: "cd \"$(mktemp -d)\" && for i in 1 2 3 4 5; do printf '#include <stdio.h>\\n#include <stdlib.h>\\n\
                 #include <unistd.h>\\nint main(void){return puts(\"x\");}\\n' > $i.c; cc -c $i.c; done; rm -r \"$PWD\"",
        goal: 1.15,
    },
];

/// Measures and prints a table.
pub(crate) fn run(options: &Options) -> Result<()> {
    println!(
        "| work | alone | traced | ratio | goal | ratio of processor time | paths | afterwards |\n|---|---|---|---|---|---|---|---|"
    );
    let mut failed = Vec::new();
    for work in &WORKS {
        let (mut alone, mut traced) = (Duration::MAX, Duration::MAX);
        let (mut paths, mut afterwards) = (0, Duration::MAX);
        let (mut busy_alone, mut busy_traced) = (Duration::MAX, Duration::MAX);
        time(work, &options.folder, Watch::Nothing)?; // Fills the page cache.
        for _ in 0..options.times {
            let measured = time(work, &options.folder, Watch::Nothing)?;
            alone = alone.min(measured.took);
            busy_alone = busy_alone.min(measured.busy);
            let measured = time(work, &options.folder, Watch::Trace)?;
            traced = traced.min(measured.took);
            busy_traced = busy_traced.min(measured.busy);
            afterwards = afterwards.min(measured.afterwards);
            paths = measured.paths;
        }
        let ratio = traced.as_secs_f64() / alone.as_secs_f64();
        println!(
            "| {} | {:.3} s | {:.3} s | {ratio:.2} | {:.2} | {:.2} | {paths} | {:.3} s |",
            work.name,
            alone.as_secs_f64(),
            traced.as_secs_f64(),
            work.goal,
            busy_traced.as_secs_f64() / busy_alone.as_secs_f64(),
            afterwards.as_secs_f64()
        );
        if ratio > work.goal + f64::from(options.slack) / 100.0 {
            failed.push(work.name);
        }
    }
    if !failed.is_empty() {
        bail!("slower than the goal: {}", failed.join(", "));
    }
    Ok(())
}

struct Measured {
    took: Duration,
    /// The time of processors, ours and the programs': it says more on a machine that does other things too.
    busy: Duration,
    /// From the end of the work to the trace.
    afterwards: Duration,
    paths: usize,
}

/// The processor time so far, of this process and all that ended.
fn busy() -> Result<Duration> {
    let mut sum = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        sum += usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    }
    Ok(Duration::from_micros(sum.unsigned_abs()))
}

/// A filter is a thread's and its children's: one thread of ours installs it and starts the work.
fn time(work: &Work, folder: &Path, watch: Watch) -> Result<Measured> {
    let (send, receive) = mpsc::channel();
    let before = busy()?;
    std::thread::scope(|scope| -> Result<Measured> {
        let thread = scope.spawn(move || -> Result<(Instant, Duration)> {
            let listener = install(watch).context("installing the filter (it needs root)")?;
            send.send(listener)?;
            let start = Instant::now();
            let status = Command::new("sh")
                .args(["-c", work.script])
                .arg(folder)
                .stdin(Stdio::null())
                .stderr(Stdio::inherit())
                .status()?;
            let took = start.elapsed();
            if !status.success() {
                bail!("the work ended with {status}");
            }
            Ok((Instant::now(), took))
        });
        let listener = receive.recv().ok().flatten();
        let supervisor =
            listener.map(|listener| Supervisor::start(listener, Path::new("/"), watch, None)).transpose()?;
        let (end, took) = thread.join().map_err(|_| anyhow::anyhow!("the thread that works failed"))??;
        let busy = busy()?.saturating_sub(before);
        let Some(supervisor) = supervisor else {
            return Ok(Measured { took, busy, afterwards: Duration::ZERO, paths: 0 });
        };
        let (trace, _) = supervisor.finish(&[]);
        if !trace.gaps.is_empty() {
            bail!("the trace has gaps: {}", trace.gaps.join("; "));
        }
        let lists = [&trace.opened, &trace.executed, &trace.listed, &trace.examined, &trace.missed, &trace.written];
        Ok(Measured { took, busy, afterwards: end.elapsed(), paths: lists.iter().map(|list| list.len()).sum() })
    })
}
