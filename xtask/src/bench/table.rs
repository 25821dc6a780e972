//! The results as Markdown: a summary, the goals, then every row of every image.

use std::fmt::Write as _;

use super::goals::{self, Verdict};
use super::images::Purpose;
use super::jobs::{Work, tool};
use super::measure::Measurement;
use super::{ImageResult, Results, peers};

/// A load that the build of the bench itself leaves behind.
const QUIET: f64 = 1.5;

/// All of `results.md`.
pub(crate) fn markdown(results: &Results) -> String {
    let mut out = String::from("# Benchmark\n\n");
    let _ =
        writeln!(out, "`cargo xtask bench` on {}, the fastest of {} runs of each job.", results.machine, results.runs);
    if results.load > QUIET {
        let _ = writeln!(out, "**The machine was not quiet: a load of {:.1} before the first job.**", results.load);
    }
    out.push_str(
        "MB are 10^6 bytes. \"× floor\" is the time in proportion to reading and hashing the input with `openssl` ",
    );
    out.push_str("(for weigh), or to that, writing it and reading and hashing it back (for the rest). \"takes\" and ");
    out.push_str(
        "\"× jettison\" are a peer's time in proportion to jettison's for the same work; \"all\" is -O1 with ",
    );
    out.push_str("`--squash-all`, which compresses every layer, as skopeo does.\n\n");
    summary(&mut out, results);
    goals(&mut out, results);
    series(&mut out, results);
    for image in results.images.iter().filter(|image| image.image.purpose == Purpose::Compare) {
        details(&mut out, image);
    }
    versions(&mut out, results);
    out
}

/// Processor, cores, memory and kernel of this machine, as Linux tells them.
pub(crate) fn machine() -> String {
    let line = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = line("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = line("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = memory.unwrap_or_default() / (1024 * 1024);
    format!("{processor}, {cores} cores, {memory} GiB, Linux {}", kernel.trim())
}

/// The load average over the last minute (proc_loadavg(5)), or 0 where the system does not tell.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn summary(out: &mut String, results: &Results) {
    out.push_str("| image | weigh | × floor | dive takes | -O1 | × floor | docker-squash takes | all to gzip ");
    out.push_str("| skopeo takes | all to zstd | skopeo takes | peak memory |\n");
    out.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for image in results.images.iter().filter(|image| image.image.purpose == Purpose::Compare) {
        let own = |work, tool| image.wall(work, tool).map_or("–".to_owned(), seconds);
        let floor = |work, tool| ratio(image.wall(work, tool), image.floor(work));
        let peer = |work, peer| image.row(work, peer).map_or("–".to_owned(), |row| times_as_long(image, row));
        let memory = image.measurements.iter().filter(|row| row.tool.starts_with("jettison"));
        let memory = memory.map(|row| row.memory).max().unwrap_or_default();
        let cells = [
            image.image.name.clone(),
            own(Work::Weigh, tool::WEIGH),
            floor(Work::Weigh, tool::WEIGH),
            peer(Work::Weigh, peers::DIVE),
            own(Work::Uncompressed, tool::OPTIMIZE),
            floor(Work::Uncompressed, tool::OPTIMIZE),
            peer(Work::Uncompressed, peers::DOCKER_SQUASH),
            own(Work::Gzip, tool::SQUASH_ALL),
            peer(Work::Gzip, peers::SKOPEO),
            own(Work::Zstd, tool::SQUASH_ALL),
            peer(Work::Zstd, peers::SKOPEO),
            megabytes(memory),
        ];
        row(out, &cells);
    }
    out.push('\n');
}

fn goals(out: &mut String, results: &Results) {
    if results.quick {
        out.push_str("Small images, one run: goals are not judged.\n\n");
        return;
    }
    out.push_str("| goal | measured | |\n|---|---|---|\n");
    for goal in goals::judge(results) {
        let verdict = match goal.verdict {
            Verdict::Met => "met",
            Verdict::NotMet => "**not met**",
            Verdict::NotMeasured => "not measured",
        };
        row(out, &[goal.text.to_owned(), goal.seen, verdict.to_owned()]);
    }
    out.push('\n');
}

fn series(out: &mut String, results: &Results) {
    let points: Vec<_> = results.images.iter().filter(|image| image.image.purpose != Purpose::Compare).collect();
    if points.is_empty() {
        return;
    }
    out.push_str("The same files in more layers, and with more whiteouts:\n\n");
    out.push_str("| layers | whiteouts | files | size | weigh | -O1 | dive |\n|--:|--:|--:|--:|--:|--:|--:|\n");
    for point in points {
        let own = |work, tool| point.wall(work, tool).map_or("–".to_owned(), seconds);
        let dive = point.row(Work::Weigh, peers::DIVE).map_or("–".to_owned(), wall);
        let image = &point.image;
        let numbers = [image.layers, image.whiteouts, image.files].map(|number| number.to_string());
        let [layers, whiteouts, files] = numbers;
        let walls = [own(Work::Weigh, tool::WEIGH), own(Work::Uncompressed, tool::OPTIMIZE), dive];
        let [weigh, optimize, dive] = walls;
        row(out, &[layers, whiteouts, files, megabytes(image.bytes), weigh, optimize, dive]);
    }
    out.push('\n');
}

fn details(out: &mut String, image: &ImageResult) {
    let facts = &image.image;
    let _ = writeln!(
        out,
        "## {}: {}, {} files, {} layers, {} whiteouts\n",
        facts.name,
        megabytes(facts.bytes),
        facts.files,
        facts.layers,
        facts.whiteouts
    );
    out.push_str("| work | tool | time | × floor | × jettison | processor | peak memory | input a second | output |\n");
    out.push_str("|---|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for measurement in &image.measurements {
        let floor = match measurement.work {
            Work::Floor => "–".to_owned(),
            work => ratio(measurement.best.map(|best| best.wall), image.floor(work)),
        };
        let best = |show: fn(super::measure::Sample) -> String| measurement.best.map_or("–".to_owned(), show);
        let speed = measurement.best.map(|best| format!("{:.0} MB", facts.bytes as f64 / best.wall / 1e6));
        let cells = [
            measurement.work.title().to_owned(),
            measurement.tool.clone(),
            wall(measurement),
            floor,
            times_as_long(image, measurement),
            best(|best| seconds(best.cpu)),
            measurement.best.map_or("–".to_owned(), |_| megabytes(measurement.memory)),
            speed.unwrap_or_else(|| "–".to_owned()),
            measurement.output.map_or("–".to_owned(), megabytes),
        ];
        row(out, &cells);
    }
    out.push('\n');
    let failed = image.measurements.iter().filter(|row| row.failure.is_some());
    for measurement in failed {
        let reason = measurement.failure().replace(['\n', '\r'], " ");
        let _ = writeln!(out, "- {}, {}: {reason}", measurement.tool, measurement.work.title());
    }
    out.push('\n');
}

fn versions(out: &mut String, results: &Results) {
    out.push_str("Processor time and memory of docker-squash are without those of the engine that it asks.\n\n");
    for (tool, version) in &results.versions {
        let _ = writeln!(out, "- {tool}: {version}");
    }
}

/// The time of a row, or in a word why there is none.
fn wall(row: &Measurement) -> String {
    match (row.best, row.stopped_after, row.failure()) {
        (Some(best), _, _) => seconds(best.wall),
        (None, Some(limit), _) => format!("> {}", seconds(limit)),
        (None, None, reason) if reason.ends_with("is not installed") => "not installed".to_owned(),
        _ => "failed".to_owned(),
    }
}

/// A peer's time in times of the jettison row that it is compared with.
fn times_as_long(image: &ImageResult, row: &Measurement) -> String {
    let own = row.against.and_then(|tool| image.wall(row.work, tool));
    match (row.best, row.stopped_after) {
        (Some(best), _) => ratio(Some(best.wall), own),
        (None, Some(limit)) if own.is_some() => format!("> {}", ratio(Some(limit), own)),
        _ if row.against.is_some() => wall(row),
        _ => "–".to_owned(),
    }
}

fn row(out: &mut String, cells: &[String]) {
    let _ = writeln!(out, "| {} |", cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "));
}

fn ratio(numerator: Option<f64>, denominator: Option<f64>) -> String {
    match (numerator, denominator) {
        (Some(numerator), Some(denominator)) if numerator / denominator >= 10.0 => {
            format!("{:.0}×", numerator / denominator)
        }
        (Some(numerator), Some(denominator)) => format!("{:.2}×", numerator / denominator),
        _ => "–".to_owned(),
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
