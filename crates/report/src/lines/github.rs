//! A build by lines, as annotations of GitHub's workflows.

use std::fmt::Write as _;

use super::human::time;
use super::{ChangeOutcome, LineRow, LinesReport};
use crate::lint::{data, property};
use crate::text::{bytes, one_line};

/// One notice a line of the Dockerfile that ships files or waste, the heaviest first, then one a change: GitHub shows only
/// the first ten of a step.
#[must_use]
pub fn lines_github(report: &LinesReport) -> String {
    let mut out = String::new();
    let mut rows: Vec<(usize, &LineRow)> = report.rows.iter().enumerate().collect();
    let held = |row: &LineRow| row.share.map_or(0, |share| share.bytes);
    rows.retain(|(_, row)| held(row) > 0);
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(held(row)));
    for (at, row) in rows {
        let share = row.share.unwrap_or_default();
        let mut message = format!("{}\nships {}", one_line(&row.instruction, 120), bytes(share.seen));
        for waste in report.waste.iter().filter(|waste| waste.row == at && waste.bytes > 0) {
            let what = (waste.sentence(report), waste.fate.sentence());
            let _ = write!(message, "\n{} wasted: {}; {}", bytes(waste.bytes), what.0, what.1);
        }
        if let Some(step) = row.step {
            let cached = if step.cached { ", which the cache saved" } else { "" };
            let _ = write!(message, "\ntakes {}{cached}", time(if step.cached { step.made_in } else { step.took }));
        }
        notice(&mut out, report, row.lines, &bytes(share.bytes), &message);
    }
    for change in &report.changes {
        let kind = match change.outcome {
            ChangeOutcome::Withdrawn => "withdrawn: ",
            ChangeOutcome::Advice => "advice: ",
            ChangeOutcome::Applied => "",
            ChangeOutcome::Proposed => "not measured: ",
        };
        let gain = change.gain.as_ref().map(|gain| format!("\n{}", gain.sentence())).unwrap_or_default();
        notice(&mut out, report, change.lines, &change.pass, &format!("{kind}{}{gain}", change.message));
    }
    out
}

fn notice(out: &mut String, report: &LinesReport, lines: (usize, usize), title: &str, message: &str) {
    let (first, last) = lines;
    let (file, title, message) = (property(&report.dockerfile), property(title), data(message));
    let _ = writeln!(out, "::notice file={file},line={first},endLine={last},title={title}::{message}");
}
