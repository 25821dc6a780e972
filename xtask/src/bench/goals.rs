//! The goals that were set for jettison's speed, and whether a run met them.

use serde::Serialize;

use super::images::Purpose;
use super::jobs::{Work, tool};
use super::measure::Measurement;
use super::{ImageResult, Results, peers};

/// What a goal asks of its numbers.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A number on one image; `open` when a peer was stopped, so that the true number is larger.
#[derive(Debug, Clone, Copy)]
struct Number {
    value: f64,
    open: bool,
}

/// The outcome of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// On every image where it could be measured.
    Met,
    /// On one image at least.
    NotMet,
    /// A tool is missing or failed on all images.
    NotMeasured,
}

/// A goal and what was seen of it.
#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    /// What it asks.
    pub(crate) text: &'static str,
    /// Each image and its number.
    pub(crate) seen: String,
    /// The outcome.
    pub(crate) verdict: Verdict,
}

/// Two images of one shape, the second ten times the first in files and twenty times in bytes.
const SMALL: &str = "files-20k";
const LARGE: &str = "files-200k";
const WHITEOUTS: &str = "whiteouts";

/// Judges all goals on the results of a run.
pub(crate) fn judge(results: &Results) -> Vec<Goal> {
    let mut goals = to_floor(results);
    goals.extend(to_peers(results));
    goals.extend(growth(results));
    goals
}

fn to_floor(results: &Results) -> Vec<Goal> {
    let ratio = |work, tool| move |image: &ImageResult| number(image.wall(work, tool)? / image.floor(work)?);
    vec![
        goal(
            "weigh: at most 1.3 times reading and hashing the input",
            Bound::AtMost(1.3),
            on_compared(results, ratio(Work::Weigh, tool::WEIGH)),
        ),
        goal(
            "-O1 to uncompressed: at most 1.5 times reading, hashing, writing, reading back and hashing",
            Bound::AtMost(1.5),
            on_compared(results, ratio(Work::Uncompressed, tool::OPTIMIZE)),
        ),
    ]
}

fn to_peers(results: &Results) -> Vec<Goal> {
    let dive = |image: &ImageResult| image.times_as_fast(Work::Weigh, tool::WEIGH, peers::DIVE);
    let plain = on(results, |image| image.image.purpose == Purpose::Compare && image.image.name != WHITEOUTS, dive);
    let squash = |image: &ImageResult| image.times_as_fast(Work::Uncompressed, tool::OPTIMIZE, peers::DOCKER_SQUASH);
    vec![
        goal("weigh: at least 4 times as fast as dive on plain images", Bound::AtLeast(4.0), plain),
        goal(
            "weigh: at least 30 times as fast as dive on the image with 400 whiteouts",
            Bound::AtLeast(30.0),
            on(results, |image| image.image.name == WHITEOUTS, dive),
        ),
        goal(
            "-O1 to uncompressed: at least 10 times as fast as docker-squash",
            Bound::AtLeast(10.0),
            on_compared(results, squash),
        ),
        goal(
            "-O1 --squash-all to gzip: at least 1.5 times the bytes compressed a second of skopeo copy",
            Bound::AtLeast(1.5),
            on_compared(results, |image| number(image.gzip_speed()?)),
        ),
        goal(
            "-O1 --squash-all to gzip: at most the size that skopeo copy makes of the same layers",
            Bound::AtMost(1.0),
            on_compared(results, |image| {
                let own = image.output(Work::Gzip, tool::SQUASH_ALL)?;
                number(own / image.output(Work::Gzip, peers::SKOPEO_OF_RESULT)?)
            }),
        ),
    ]
}

fn growth(results: &Results) -> Vec<Goal> {
    let memory = |image: &ImageResult| {
        let own = image.measurements.iter().filter(|row| row.best.is_some() && row.tool.starts_with("jettison"));
        number(own.map(|row| row.memory).max()? as f64 / 1e6)
    };
    let to_floor = |name: &str, work, tool| {
        let image = results.images.iter().find(|image| image.image.name == name)?;
        Some(image.wall(work, tool)? / image.floor(work)?)
    };
    let linear = |work: Work, tool| {
        let ratio = || number(to_floor(LARGE, work, tool)? / to_floor(SMALL, work, tool)?);
        (work.title().to_owned(), ratio())
    };
    let flat = |purpose, work: Work, tool| (work.title().to_owned(), flatness(results, purpose, work, tool));
    let mut goals = vec![
        goal(
            "peak memory below 150 MB on the 2 GB image, in MB",
            Bound::AtMost(150.0),
            on(results, |image| image.image.name == LARGE, memory),
        ),
        goal(
            "linear in bytes and entries: the ratio to the floor at most 1.25 times as large on the image 20 times as large",
            Bound::AtMost(1.25),
            vec![linear(Work::Weigh, tool::WEIGH), linear(Work::Uncompressed, tool::OPTIMIZE)],
        ),
    ];
    let series = [
        ("flat in layers: with 120 layers at most 1.25 times the time with 5", Purpose::LayerSeries),
        ("flat in whiteouts: with 4,000 at most 1.25 times the time with none", Purpose::WhiteoutSeries),
    ];
    for (text, purpose) in series {
        let rows = [(Work::Weigh, tool::WEIGH), (Work::Uncompressed, tool::OPTIMIZE)];
        let seen = rows.map(|(work, tool)| flat(purpose, work, tool));
        goals.push(goal(text, Bound::AtMost(1.25), seen.into()));
    }
    goals
}

/// The slowest point of a series in proportion to its first.
fn flatness(results: &Results, purpose: Purpose, work: Work, tool: &str) -> Option<Number> {
    let points = results.images.iter().filter(|image| image.image.purpose == purpose);
    let walls: Vec<f64> = points.map(|image| image.wall(work, tool)).collect::<Option<_>>()?;
    let (first, others) = walls.split_first()?;
    let slowest = others.iter().copied().reduce(f64::max)?;
    number(slowest / first)
}

type Seen = Vec<(String, Option<Number>)>;

fn on_compared(results: &Results, value: impl Fn(&ImageResult) -> Option<Number>) -> Seen {
    on(results, |image| image.image.purpose == Purpose::Compare, value)
}

fn on(
    results: &Results,
    chosen: impl Fn(&ImageResult) -> bool,
    value: impl Fn(&ImageResult) -> Option<Number>,
) -> Seen {
    let images = results.images.iter().filter(|image| chosen(image));
    images.map(|image| (image.image.name.clone(), value(image))).collect()
}

/// A peer that was stopped counts only where even the time that it was given shows the goal to be met.
fn goal(text: &'static str, bound: Bound, seen: Seen) -> Goal {
    let verdict_of = |number: Number| match bound {
        Bound::AtMost(most) if number.value <= most => Some(Verdict::Met),
        Bound::AtLeast(least) if number.value >= least => Some(Verdict::Met),
        _ if number.open => None,
        _ => Some(Verdict::NotMet),
    };
    let verdicts: Vec<_> = seen.iter().filter_map(|(_, number)| verdict_of((*number)?)).collect();
    let verdict = match verdicts.as_slice() {
        [] => Verdict::NotMeasured,
        some if some.contains(&Verdict::NotMet) => Verdict::NotMet,
        _ => Verdict::Met,
    };
    let show = |(name, number): &(String, Option<Number>)| match number {
        Some(Number { value, open }) => format!("{name} {}{value:.2}", if *open { "> " } else { "" }),
        None => format!("{name} –"),
    };
    Goal { text, seen: seen.iter().map(show).collect::<Vec<_>>().join(", "), verdict }
}

#[allow(clippy::unnecessary_wraps)] // Every caller computes in an `Option`.
fn number(value: f64) -> Option<Number> {
    Some(Number { value, open: false })
}

impl ImageResult {
    /// The row of a tool.
    pub(crate) fn row(&self, work: Work, tool: &str) -> Option<&Measurement> {
        self.measurements.iter().find(|row| row.work == work && row.tool == tool)
    }

    /// Seconds of a tool's fastest run.
    pub(crate) fn wall(&self, work: Work, tool: &str) -> Option<f64> {
        Some(self.row(work, tool)?.best?.wall)
    }

    /// The least seconds for `work`: weighing writes nothing, everything else does.
    pub(crate) fn floor(&self, work: Work) -> Option<f64> {
        let read = self.wall(Work::Floor, tool::READ)?;
        if work == Work::Weigh {
            return Some(read);
        }
        Some(read + self.wall(Work::Floor, tool::WRITE)? + self.wall(Work::Floor, tool::READ_BACK)?)
    }

    fn output(&self, work: Work, tool: &str) -> Option<f64> {
        Some(self.row(work, tool)?.output? as f64)
    }

    /// The peer's time in times of jettison's.
    fn times_as_fast(&self, work: Work, tool: &str, peer: &str) -> Option<Number> {
        let own = self.wall(work, tool)?;
        let peer = self.row(work, peer)?;
        let open = peer.best.is_none();
        let value = peer.best.map(|best| best.wall).or(peer.stopped_after)? / own;
        Some(Number { value, open })
    }

    /// How many times skopeo's bytes a second jettison compresses. Each one's own bytes count: what jettison drops before
    /// it compresses is not counted for it.
    fn gzip_speed(&self) -> Option<f64> {
        let own = self.output(Work::Uncompressed, tool::SQUASH_ALL)? / self.wall(Work::Gzip, tool::SQUASH_ALL)?;
        Some(own / (self.image.bytes as f64 / self.wall(Work::Gzip, peers::SKOPEO)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_that_misses_the_bound_decides() {
        let seen = |values: &[(f64, bool)]| -> Seen {
            values.iter().map(|(value, open)| ("x".to_owned(), Some(Number { value: *value, open: *open }))).collect()
        };
        let verdict = |bound, values: &[(f64, bool)]| goal("", bound, seen(values)).verdict;
        assert_eq!(verdict(Bound::AtMost(1.3), &[(1.0, false), (1.4, false)]), Verdict::NotMet);
        assert_eq!(verdict(Bound::AtMost(1.3), &[(1.0, false), (1.3, false)]), Verdict::Met);
        assert_eq!(verdict(Bound::AtLeast(4.0), &[(3.9, false)]), Verdict::NotMet);
        assert_eq!(verdict(Bound::AtLeast(4.0), &[(3.9, true)]), Verdict::NotMeasured);
        assert_eq!(verdict(Bound::AtLeast(4.0), &[(90.0, true)]), Verdict::Met);
        assert_eq!(verdict(Bound::AtLeast(4.0), &[]), Verdict::NotMeasured);
    }
}
