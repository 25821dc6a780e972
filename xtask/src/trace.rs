//! `cargo xtask bench-trace`: what watching a step costs, as a ratio to the same work unwatched.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use jettison_engine::sandbox::{User, Watch};
use jettison_engine::supervisor::{Supervisor, install};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

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
    /// Only the works with this in their names; the table is printed and not written.
    #[arg(long)]
    only: Option<String>,
    /// A small folder, each work once: proves in seconds that the bench works, and nothing about speed.
    #[arg(long)]
    quick: bool,
}

/// The folder of a quick run.
const SMALL: &str = "/usr/share/doc";
/// A load that disturbs what is measured.
const BUSY: f64 = 3.0;

/// A work: its name, the shell's words, and the ratio aimed at where it is what steps of builds do.
struct Work {
    name: &'static str,
    script: &'static str,
    goal: Option<f64>,
}

const WORKS: [Work; 8] = [
    Work {
        name: "find and read all files",
        script: "find \"$0\" -xdev -type f -exec cat {} + > /dev/null 2>&1; true",
        goal: Some(1.15),
    },
    Work {
        name: "pack all files with tar",
        script: "tar --one-file-system -cf - \"$0\" 2>/dev/null | cat > /dev/null; true",
        goal: Some(1.4),
    },
    Work { name: "only ask about files (du)", script: "du -s \"$0\" > /dev/null; true", goal: Some(2.0) },
    Work {
        name: "compile a C library (zstd)",
        script: "out=$(mktemp -d) && cd \"$ZSTD\" && for file in common/*.c decompress/*.c; do \
                 cc -O2 -c -DZSTD_DISABLE_ASM=1 -o \"$out/o\" \"$file\" || exit 1; done; rm -r \"$out\"",
        goal: Some(1.15),
    },
    Work {
        name: "start programs",
        script: "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done",
        goal: Some(1.4),
    },
    Work {
        name: "worst case: read small files only",
        script: "find \"$0\" -xdev -type f -size -64k | tr '\\n' '\\0' | xargs -0 cat > /dev/null 2>&1; true",
        goal: None,
    },
    Work {
        name: "worst case: ask by path about each, then read it",
        script: "find \"$0\" -xdev -type f -size -64k -links 1 -print0 | xargs -0 stat -c %s > /dev/null; \
                 find \"$0\" -xdev -type f -size -64k | tr '\\n' '\\0' | xargs -0 cat > /dev/null 2>&1; true",
        goal: None,
    },
    Work {
        name: "worst case: compile nearly nothing",
        script: "cd \"$(mktemp -d)\" && for i in 1 2 3 4 5; do printf '#include <stdio.h>\\n#include <stdlib.h>\\n\
                 #include <unistd.h>\\nint main(void){return puts(\"x\");}\\n' > $i.c; cc -c $i.c; done; rm -r \"$PWD\"",
        goal: None,
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
    let places = Places { folder, library: &library()? };
    let wanted = |work: &&'static Work| options.only.as_ref().is_none_or(|part| work.name.contains(part));
    let rows: Vec<Row> = WORKS.iter().filter(wanted).map(|work| measure(work, places, times)).collect::<Result<_>>()?;
    let floor = Floor::measure(times)?;
    let markdown = markdown(options, folder, times, (before, load()), &rows, &floor);
    if options.only.is_some() {
        print!("{markdown}");
        return Ok(());
    }
    let root = workspace_root()?;
    let to = if options.quick { root.join("target/bench-trace") } else { root.join("bench") };
    std::fs::create_dir_all(&to)?;
    std::fs::write(to.join("trace.md"), &markdown)?;
    print!("{markdown}");
    eprintln!("written: {}/trace.md", to.display());
    Ok(())
}

/// What the works work on.
#[derive(Clone, Copy)]
struct Places<'a> {
    folder: &'a Path,
    /// The C library that is compiled.
    library: &'a Path,
}

/// The sources of zstd, which cargo has: this workspace builds them too.
fn library() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(workspace_root()?)
        .stderr(Stdio::inherit())
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    let packages = metadata["packages"].as_array().context("cargo lists no packages")?;
    let package = packages.iter().find(|package| package["name"] == "zstd-sys").context("no zstd-sys")?;
    let manifest = Path::new(package["manifest_path"].as_str().context("zstd-sys is nowhere")?);
    Ok(manifest.with_file_name("zstd/lib"))
}

fn measure(work: &'static Work, places: Places<'_>, times: u32) -> Result<Row> {
    time(work, places, Watch::Nothing)?; // Fills the page cache.
    let mut row = Row { work, alone: Measured::MOST, traced: Measured::MOST };
    for _ in 0..times.max(1) {
        row.alone.take_fastest(&time(work, places, Watch::Nothing)?);
        row.traced.take_fastest(&time(work, places, Watch::Trace)?);
    }
    Ok(row)
}

fn markdown(options: &Options, folder: &Path, times: u32, load: (f64, f64), rows: &[Row], floor: &Floor) -> String {
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
        let goal = row.work.goal.map_or_else(|| "-".to_owned(), |goal| format!("{goal:.2}"));
        let verdict = match row.work.goal {
            Some(_) if options.quick => "",
            None => "",
            Some(goal) if row.ratio() <= goal => "met",
            Some(_) => "**not met**",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.2} | {goal} | {verdict} | {:.2} | {} | {} |",
            row.work.name,
            seconds(row.alone.took),
            seconds(row.traced.took),
            row.ratio(),
            row.busy_ratio(),
            row.traced.paths,
            seconds(row.traced.afterwards)
        );
    }
    let microseconds = |duration: Duration| duration.as_secs_f64() * 1e6;
    let _ = writeln!(
        out,
        "\n\"Afterwards\" is from the end of the work to the finished trace, and not part of the ratio. The worst cases \
         do little but the calls that are notified, and have no goal.\n\nA notification is two switches between \
         threads, from the one that calls to the one that answers and back, so the machine sets the floor: here two \
         switches (a byte sent to a thread and back through pipes, on one processor) take {:.1} µs, and a `stat` takes \
         {:.1} µs alone and {:.1} µs traced.",
        microseconds(floor.switches),
        microseconds(floor.alone),
        microseconds(floor.traced)
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
fn time(work: &Work, places: Places<'_>, watch: Watch) -> Result<Measured> {
    let (send, receive) = mpsc::channel();
    let before = busy()?;
    std::thread::scope(|scope| -> Result<Measured> {
        let thread = scope.spawn(move || -> Result<(Instant, Duration)> {
            let listener = install(watch).context("installing the filter (it needs root)")?;
            send.send(listener)?;
            let start = Instant::now();
            let status = Command::new("sh")
                .args(["-c", work.script])
                .arg(places.folder)
                .env("ZSTD", places.library)
                // Cargo sets it for us: every program would look for its libraries there in vain.
                .env_remove("LD_LIBRARY_PATH")
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
        let supervisor = listener
            .map(|listener| Supervisor::start(listener, Path::new("/"), watch, None, &User::default()))
            .transpose()?;
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

/// What one call takes.
struct Floor {
    /// Two switches between threads on one processor, and the four calls that make them.
    switches: Duration,
    /// A `stat`.
    alone: Duration,
    /// A `stat` that is notified.
    traced: Duration,
}

/// So often, to be above what the clock and the scheduler disturb.
const CALLS: u32 = 50_000;

impl Floor {
    fn measure(times: u32) -> Result<Self> {
        let mut floor = Self { switches: Duration::MAX, alone: Duration::MAX, traced: Duration::MAX };
        for _ in 0..times.max(1) {
            floor.switches = floor.switches.min(switches()?);
            floor.alone = floor.alone.min(stat(Watch::Nothing)?);
            floor.traced = floor.traced.min(stat(Watch::Trace)?);
        }
        Ok(floor)
    }
}

/// A byte goes to another thread and back.
fn switches() -> Result<Duration> {
    let (mut here, mut to) = std::io::pipe()?;
    let (mut back, mut there) = std::io::pipe()?;
    let echo = move || -> Result<()> {
        on_one_processor()?;
        let mut byte = [0];
        while here.read(&mut byte)? > 0 {
            there.write_all(&byte)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let echo = scope.spawn(echo);
        let player = scope.spawn(move || -> Result<Duration> {
            on_one_processor()?;
            let mut byte = [0];
            let start = Instant::now();
            for _ in 0..CALLS {
                to.write_all(&byte)?;
                back.read_exact(&mut byte)?;
            }
            Ok(start.elapsed() / CALLS)
        });
        let took = player.join().map_err(|_| anyhow::anyhow!("a thread failed"))?;
        echo.join().map_err(|_| anyhow::anyhow!("a thread failed"))??;
        took
    })
}

/// Keeps this thread on the first processor, where those that switch do not have to wake another one.
fn on_one_processor() -> Result<()> {
    let mut set = CpuSet::new();
    set.set(0)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// A `stat` of a path, by a thread that is watched.
fn stat(watch: Watch) -> Result<Duration> {
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || -> Result<Duration> {
            send.send(install(watch)?)?;
            let start = Instant::now();
            for _ in 0..CALLS {
                std::fs::metadata("/usr")?;
            }
            Ok(start.elapsed() / CALLS)
        });
        let listener = receive.recv().ok().flatten();
        let supervisor = listener
            .map(|listener| Supervisor::start(listener, Path::new("/"), watch, None, &User::default()))
            .transpose()?;
        let took = thread.join().map_err(|_| anyhow::anyhow!("the thread that works failed"))?;
        if let Some(supervisor) = supervisor {
            supervisor.finish(&[]);
        }
        took
    })
}
