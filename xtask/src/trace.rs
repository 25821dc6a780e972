//! `cargo xtask bench-trace`: what watching a step costs, as a ratio to the same work unwatched.

use std::fmt::Write as _;
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

use crate::bench::table::{load, machine};
use crate::bench::workspace_root;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder whose files are read and asked about.
    #[arg(long, default_value = "/usr")]
    folder: PathBuf,
    /// How often each work is done; the fastest counts.
    #[arg(long, default_value_t = 5)]
    times: u32,
    /// A small folder, each work once: proves in seconds that the bench works, and nothing about speed.
    #[arg(long)]
    quick: bool,
}

/// The folder of a quick run.
const SMALL: &str = "/usr/share/doc";
/// A load that disturbs what is measured.
const BUSY: f64 = 3.0;

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

/// What a work took at its fastest, alone and traced.
struct Row {
    work: &'static Work,
    alone: Measured,
    traced: Measured,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.traced.took.as_secs_f64() / self.alone.took.as_secs_f64()
    }

    fn busy_ratio(&self) -> f64 {
        self.traced.busy.as_secs_f64() / self.alone.busy.as_secs_f64()
    }
}

/// Measures, and writes the table: to `bench/trace.md` where it says something about speed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (folder, times) = if options.quick { (Path::new(SMALL), 1) } else { (options.folder.as_path(), options.times) };
    let before = load();
    let rows: Vec<Row> = WORKS.iter().map(|work| measure(work, folder, times)).collect::<Result<_>>()?;
    let markdown = markdown(options, folder, times, (before, load()), &rows);
    let root = workspace_root()?;
    let to = if options.quick { root.join("target/bench-trace") } else { root.join("bench") };
    std::fs::create_dir_all(&to)?;
    std::fs::write(to.join("trace.md"), &markdown)?;
    print!("{markdown}");
    eprintln!("written: {}/trace.md", to.display());
    Ok(())
}

fn measure(work: &'static Work, folder: &Path, times: u32) -> Result<Row> {
    time(work, folder, Watch::Nothing)?; // Fills the page cache.
    let mut row = Row { work, alone: Measured::MOST, traced: Measured::MOST };
    for _ in 0..times.max(1) {
        row.alone.take_fastest(&time(work, folder, Watch::Nothing)?);
        row.traced.take_fastest(&time(work, folder, Watch::Trace)?);
    }
    Ok(row)
}

fn markdown(options: &Options, folder: &Path, times: u32, load: (f64, f64), rows: &[Row]) -> String {
    let mut out = String::from("# Tracing\n\n");
    let _ = writeln!(
        out,
        "`cargo xtask bench-trace` on {}: what it costs that each step tells which paths it uses. Every work is done \
         alone and traced in turn, the fastest of {times} counts; the files are those of `{}`. Load before: {:.1}, \
         after (the works themselves count): {:.1}.\n",
        machine(),
        folder.display(),
        load.0,
        load.1
    );
    if load.0 >= BUSY {
        out.push_str("**The machine was not quiet.**\n\n");
    }
    if options.quick {
        out.push_str("A small folder, once: goals are not judged.\n\n");
    }
    out.push_str("| work | alone | traced | ratio | goal | | ratio of processor time | paths | afterwards |\n");
    out.push_str("|---|--:|--:|--:|--:|---|--:|--:|--:|\n");
    for row in rows {
        let seconds = |duration: Duration| format!("{:.3} s", duration.as_secs_f64());
        let verdict = match row.ratio() <= row.work.goal {
            _ if options.quick => "",
            true => "met",
            false => "**not met**",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.2} | {:.2} | {verdict} | {:.2} | {} | {} |",
            row.work.name,
            seconds(row.alone.took),
            seconds(row.traced.took),
            row.ratio(),
            row.work.goal,
            row.busy_ratio(),
            row.traced.paths,
            seconds(row.traced.afterwards)
        );
    }
    out.push_str(
        "\n\"Afterwards\" is from the end of the work to the finished trace, and not part of the ratio. A notification \
         is two switches between the process and the one that answers; the works here do little but the calls that are \
         notified, which is the worst case.\n",
    );
    out
}

struct Measured {
    took: Duration,
    /// The time of processors, ours and the programs': it says more on a machine that does other things too.
    busy: Duration,
    /// From the end of the work to the trace.
    afterwards: Duration,
    paths: usize,
}

impl Measured {
    const MOST: Self = Self { took: Duration::MAX, busy: Duration::MAX, afterwards: Duration::MAX, paths: 0 };

    fn take_fastest(&mut self, other: &Self) {
        self.took = self.took.min(other.took);
        self.busy = self.busy.min(other.busy);
        self.afterwards = self.afterwards.min(other.afterwards);
        self.paths = other.paths;
    }
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
