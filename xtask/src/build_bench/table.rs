//! The results as Markdown: the goals, then a table for each project.

use std::fmt::Write as _;

use super::projects::Project;
use super::{Row, Rows, Work};
use crate::bench::table::machine;

/// A load that the build of the bench itself leaves behind.
const QUIET: f64 = 1.5;
/// Seconds that a build may take in which nothing changed.
const NO_CHANGE: f64 = 0.2;
/// Ours, then those that it is measured against.
const OWN: [&str; 2] = ["jettison -O0", "jettison -O2"];
const BUILDKIT: &str = "BuildKit";
const PEERS: [&str; 2] = [BUILDKIT, "buildah"];

/// A whole run.
pub(super) struct Results<'r> {
    /// Processes that were running or waiting for the disk before the first build, on average over a minute.
    pub(super) load: f64,
    pub(super) rounds: usize,
    /// Small projects, of which the goals say nothing.
    pub(super) quick: bool,
    pub(super) versions: Vec<(&'static str, String)>,
    pub(super) projects: &'r [Project],
    pub(super) rows: &'r Rows,
}

impl Results<'_> {
    fn row(&self, project: &str, work: Work, builder: &str) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|((other, at, name), _)| *other == project && *at == work && *name == builder).map(|(_, row)| row)
    }

    fn median(&self, project: &str, work: Work, builder: &str) -> Option<f64> {
        self.row(project, work, builder)?.median()
    }

    /// The median of the faster peer.
    fn fastest_peer(&self, project: &str, work: Work) -> Option<f64> {
        PEERS.iter().filter_map(|peer| self.median(project, work, peer)).reduce(f64::min)
    }
}

impl Row {
    fn median(&self) -> Option<f64> {
        if self.failure.is_some() {
            return None;
        }
        median(self.samples.iter().map(|sample| sample.wall).collect())
    }

    fn least(&self) -> Option<f64> {
        self.samples.iter().map(|sample| sample.wall).reduce(f64::min)
    }

    fn memory(&self) -> u64 {
        self.samples.iter().map(|sample| sample.memory).max().unwrap_or_default()
    }
}

fn median(mut walls: Vec<f64>) -> Option<f64> {
    walls.sort_by(f64::total_cmp);
    let middle = walls.len() / 2;
    let upper = walls.get(middle)?;
    if walls.len() % 2 == 1 {
        return Some(*upper);
    }
    Some((walls.get(middle.checked_sub(1)?)? + upper) / 2.0)
}

/// All of `build.md`.
pub(super) fn markdown(results: &Results<'_>) -> String {
    let mut out = String::from("# Builds\n\n");
    let rounds = results.rounds;
    let _ = writeln!(out, "`cargo xtask bench-build` on {}, {rounds} rounds of each build.", machine());
    if results.load > QUIET {
        let _ = writeln!(out, "**The machine was not quiet: a load of {:.1} before the first build.**", results.load);
    }
    out.push_str(
        "\"Cold\" starts with nothing but the packed base image for jettison, and with the unpacked one for its peers. \
         All write the image to their local images; jettison reads it back and judges it as well. \"× faster peer\" is \
         the median in proportion to that of the faster of the two peers. BuildKit's memory is that of the engine or \
         the client, whichever is larger, without containerd's; its processor time would be the client's alone and is \
         left out.\n\n",
    );
    goals(&mut out, results);
    summary(&mut out, results);
    for project in results.projects {
        table(&mut out, results, project);
    }
    for (builder, version) in &results.versions {
        let _ = writeln!(out, "- {builder}: {version}");
    }
    out
}

fn goals(out: &mut String, results: &Results<'_>) {
    if results.quick {
        out.push_str("Small projects, one round: goals are not judged.\n\n");
        return;
    }
    out.push_str("| goal | measured | |\n|---|---|---|\n");
    let mut goal = |text: &str, most: f64, seen: Vec<(String, Option<f64>)>| {
        let verdict = match seen.iter().filter_map(|(_, value)| *value).reduce(f64::max) {
            None => "not measured",
            Some(worst) if worst <= most => "met",
            Some(_) => "**not met**",
        };
        let shown = seen.iter().map(|(name, value)| match value {
            Some(value) => format!("{name} {value:.2}"),
            None => format!("{name} –"),
        });
        let _ = writeln!(out, "| {text} | {} | {verdict} |", shown.collect::<Vec<_>>().join(", "));
    };
    for work in Work::ALL {
        let ratios = |project: &Project| {
            let own = results.median(project.name, work, OWN[0]);
            (project.name.to_owned(), own.zip(results.fastest_peer(project.name, work)).map(|(own, peer)| own / peer))
        };
        let text = format!("{}, -O0: at most the time of the faster peer", work.title());
        goal(&text, 1.0, results.projects.iter().map(ratios).collect());
    }
    let seconds = |project: &Project| {
        let slower = OWN.iter().filter_map(|own| results.median(project.name, Work::NoChange, own)).reduce(f64::max);
        (project.name.to_owned(), slower)
    };
    goal("no change, any level: below 0.2 s", NO_CHANGE, results.projects.iter().map(seconds).collect());
    let optimized = |project: &Project| {
        let own = results.median(project.name, Work::Cold, OWN[1]);
        let peer = results.median(project.name, Work::Cold, BUILDKIT);
        (project.name.to_owned(), own.zip(peer).map(|(own, peer)| own / peer))
    };
    let text = "-O2 from nothing: at most BuildKit's time, export included";
    goal(text, 1.0, results.projects.iter().map(optimized).collect());
    out.push('\n');
}

/// The table that the README has too.
fn summary(out: &mut String, results: &Results<'_>) {
    out.push_str("| build | | jettison -O0 | BuildKit takes | buildah takes | jettison -O2 | BuildKit takes |\n");
    out.push_str("|---|---|--:|--:|--:|--:|--:|\n");
    for project in results.projects {
        for work in Work::ALL {
            let own = |at: usize| results.median(project.name, work, OWN[at]);
            let time = |at: usize| own(at).map_or("failed".to_owned(), seconds);
            let takes = |at: usize, peer: &str| {
                let ratio = own(at).zip(results.median(project.name, work, peer)).map(|(own, peer)| peer / own);
                ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}×"))
            };
            let against = (takes(0, PEERS[0]), takes(0, PEERS[1]), takes(1, BUILDKIT));
            let cells =
                [project.name, work.title(), &time(0), &against.0, &against.1, &time(1), &against.2].join(" | ");
            let _ = writeln!(out, "| {cells} |");
        }
    }
    out.push('\n');
}

fn table(out: &mut String, results: &Results<'_>, project: &Project) {
    let _ = writeln!(out, "## {}: {}\n", project.name, project.what);
    out.push_str("| build | builder | median | least | × faster peer | peak memory |\n|---|---|--:|--:|--:|--:|\n");
    let mut failures = String::new();
    for work in Work::ALL {
        let fastest = results.fastest_peer(project.name, work);
        for builder in OWN.iter().chain(&PEERS) {
            let Some(row) = results.row(project.name, work, builder) else { continue };
            let (Some(median), Some(least)) = (row.median(), row.least()) else {
                let reason = row.failure.as_deref().unwrap_or("an earlier build failed").replace(['\n', '\r'], " ");
                let _ = writeln!(failures, "- {}, {builder}: {reason}", work.title());
                let _ = writeln!(out, "| {} | {builder} | failed | – | – | – |", work.title());
                continue;
            };
            let ratio = fastest.map_or("–".to_owned(), |fastest| format!("{:.2}×", median / fastest));
            let memory = row.memory() as f64 / 1e6;
            let times = format!("{} | {}", seconds(median), seconds(least));
            let _ = writeln!(out, "| {} | {builder} | {times} | {ratio} | {memory:.0} MB |", work.title());
        }
    }
    let _ = writeln!(out, "\n{failures}");
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }
}
