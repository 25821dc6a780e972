//! A build by lines, for people: a table that fits the terminal, with what is waste and what changes save below it.

use std::fmt::Write as _;
use std::time::Duration;

use bstr::ByteSlice as _;
use jettison_ir::Share;

use super::{ChangeOutcome, LineRow, LineStep, LinesReport, bare, on_lines};
use crate::place::readable;
use crate::style::{BAD, FAINT, HEADING, styled};
use crate::text::{bytes, count, one_line, table};

/// How many characters the largest row's bar has.
const BAR: u64 = 8;

/// From this width on there is room for what layers take as they are stored.
const WIDE: usize = 100;

/// So many kinds of waste are named, the largest first.
const WASTES: usize = 12;

/// The report. `width` is the terminal's.
#[must_use]
pub fn lines_human(report: &LinesReport, width: usize) -> String {
    let mut out = String::new();
    let form = if report.is_rewritten { ", as it was rewritten" } else { "" };
    let title = styled(HEADING, &readable(&report.dockerfile));
    let _ = writeln!(out, "{title}{form}  {}", report.level);
    let _ = writeln!(out, "{}", rows(report, width));
    for (name, lines) in &report.unneeded {
        let what = format!("{}: the stage {} is not needed and was not built", on_lines(*lines), readable(name));
        let _ = writeln!(out, "{}", styled(FAINT, &one_line(&what, width)));
    }
    out.push('\n');
    waste(&mut out, report, width);
    totals(&mut out, report, width);
    changes(&mut out, report, width);
    out
}

fn rows(report: &LinesReport, width: usize) -> String {
    let largest = report.rows.iter().filter_map(|row| row.share).map(|share| share.bytes).max().unwrap_or_default();
    let has_stored = width >= WIDE && report.rows.iter().any(|row| row.stored.is_some() && !row.is_base);
    let cells = |row: &LineRow| {
        let share = row.share.filter(|share| share.files > 0);
        let size = |of: fn(Share) -> u64| share.map_or_else(|| "-".to_owned(), |share| bytes(of(share)));
        let mut cells = vec![bare(row.lines), size(|share| share.seen)];
        let hidden = share.map_or(0, |share| share.bytes.saturating_sub(share.seen));
        cells.push(if hidden == 0 { "-".to_owned() } else { bytes(hidden) });
        cells.push(share.map_or_else(String::new, |share| bar(share, largest)));
        if has_stored {
            cells.push(row.stored.map_or_else(|| "-".to_owned(), bytes));
        }
        let step_time = |step: LineStep| time(if step.cached { step.made_in } else { step.took });
        let shown = row.step.map(step_time).or_else(|| row.prepared_in.map(time));
        cells.push(shown.unwrap_or_default());
        cells.push(if row.step.is_some_and(|step| step.cached) { "hit" } else { "" }.to_owned());
        cells
    };
    let mut headings = vec!["line", "ships", "waste", ""];
    let mut right = vec![1, 2];
    if has_stored {
        right.push(headings.len());
        headings.push("stored");
    }
    right.push(headings.len());
    headings.extend(["time", "cache", "instruction"]);
    let mut all: Vec<Vec<String>> = report.rows.iter().map(cells).collect();
    // Each cell has a blank on either side, and numbers have eight characters at least.
    let taken: usize = (0..headings.len() - 1)
        .map(|column| {
            let texts = all.iter().map(|row| row[column].chars().count()).chain([headings[column].len()]);
            let least = if right.contains(&column) { 8 } else { 0 };
            (texts.max().unwrap_or_default() + 2).max(least)
        })
        .sum();
    let room = width.saturating_sub(taken + 1).max(14);
    for (cells, row) in all.iter_mut().zip(&report.rows) {
        let stage = row.stage.as_deref().filter(|_| row.is_elsewhere);
        let stage = stage.map(|stage| format!("{}: ", readable(stage))).unwrap_or_default();
        cells.push(one_line(&format!("{stage}{}", readable(&row.instruction)), room));
    }
    table(&headings, &right, all)
}

/// What containers see as full blocks, what nobody sees as shaded ones; a row that holds anything has a bar.
fn bar(share: Share, largest: u64) -> String {
    let cells = |part: u64| -> usize {
        let cells = (u128::from(part) * u128::from(BAR) * 2 / u128::from(largest.max(1))).div_ceil(2);
        usize::try_from(cells).unwrap_or_default()
    };
    if share.bytes == 0 {
        return String::new();
    }
    let all = cells(share.bytes);
    if all == 0 {
        return "▏".to_owned();
    }
    let seen = cells(share.seen).min(all);
    format!("{}{}", "█".repeat(seen), "░".repeat(all - seen))
}

/// A time with as many digits as matter.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{}:{:02} min", seconds / 60, seconds % 60),
    }
}

fn waste(out: &mut String, report: &LinesReport, width: usize) {
    let listed: Vec<_> = report.waste.iter().filter(|waste| waste.bytes > 0).collect();
    if listed.is_empty() {
        let _ = writeln!(out, "waste: none, a container sees every file that the lines ship");
        return;
    }
    let all: u64 = listed.iter().map(|waste| waste.bytes).sum();
    let files: usize = listed.iter().map(|waste| waste.files).sum();
    let heading = format!("waste: {} in {}", bytes(all), count(files, "file"));
    let _ = writeln!(out, "{} that no container sees", styled(HEADING, &heading));
    for waste in listed.iter().take(WASTES) {
        let Some(row) = report.rows.get(waste.row) else { continue };
        let place = on_lines(row.lines);
        let (path, size) = &waste.largest;
        let path = format!("/{}", path.escape_bytes());
        let which = match waste.files {
            1 => path,
            _ => format!("the largest: {path}, {}", bytes(*size)),
        };
        let of = format!("{} in {} ({which})", bytes(waste.bytes), count(waste.files, "file"));
        item(out, &place, &format!("{of}, {}; {}", waste.sentence(report), waste.fate.sentence()), width);
    }
    if listed.len() > WASTES {
        let more = format!("  … and {} more (--report=json)", listed.len() - WASTES);
        let _ = writeln!(out, "{}", styled(FAINT, &more));
    }
}

fn totals(out: &mut String, report: &LinesReport, width: usize) {
    let (base, own) = report.seen();
    let files = format!("{} of files from these lines, {} from the base", bytes(own), bytes(base));
    let image = match report.image {
        Some(image) => format!("{}, {} stored; {files}", count(image.layers, "layer"), bytes(image.stored)),
        None => files,
    };
    item(out, "image:", &image, width);
    let (steps, cached, saved) = report.cache();
    let hits = match cached {
        0 => format!("none of {} was in the cache", count(steps, "step")),
        _ => format!("{cached} of {} came from the cache, which saved {}", count(steps, "step"), time(saved)),
    };
    item(out, "time:", &format!("{} in all; {hits}", time(report.took)), width);
}

fn changes(out: &mut String, report: &LinesReport, width: usize) {
    let of = |outcome: ChangeOutcome| report.changes.iter().filter(move |change| change.outcome == outcome);
    let is_measured = report.changes.iter().any(|change| change.gain.is_some());
    if is_measured {
        let _ = writeln!(out, "\n{}, measured by building both forms", styled(HEADING, "changes"));
    } else if of(ChangeOutcome::Proposed).next().is_some() {
        let _ = writeln!(out, "\n{}, not measured: --prove builds both forms", styled(HEADING, "possible changes"));
    } else if !report.changes.is_empty() {
        let _ = writeln!(out, "\n{}", styled(HEADING, "changes"));
    }
    for outcome in [ChangeOutcome::Applied, ChangeOutcome::Withdrawn, ChangeOutcome::Proposed, ChangeOutcome::Advice] {
        for change in of(outcome) {
            let kind = match outcome {
                ChangeOutcome::Withdrawn => format!("{}: ", styled(BAD, "withdrawn")),
                ChangeOutcome::Advice => "advice: ".to_owned(),
                ChangeOutcome::Applied | ChangeOutcome::Proposed => String::new(),
            };
            let message = one_line(&readable(&change.message), usize::MAX);
            let gain = change.gain.as_ref().map(|gain| format!("; {}", gain.sentence())).unwrap_or_default();
            item(out, &on_lines(change.lines), &format!("{}: {kind}{message}{gain}", change.pass), width);
        }
    }
}

/// A line with its place in front, and its words below each other where they don't fit.
fn item(out: &mut String, place: &str, text: &str, width: usize) {
    const INDENT: usize = 13;
    let place = format!("{place:<12} ");
    let room = width.saturating_sub(INDENT).max(40);
    let mut line = String::new();
    let mut first = true;
    let mut end = |line: &mut String| {
        let place = if std::mem::take(&mut first) { place.as_str() } else { "" };
        let _ = writeln!(out, "{}", format!("{place:<INDENT$}{line}").trim_end());
        line.clear();
    };
    for word in words(text) {
        if !line.is_empty() && shown(&line) + 1 + shown(&word) > room {
            end(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    end(&mut line);
}

/// The words of a text; a number stays with its unit.
fn words(text: &str) -> Vec<String> {
    const UNITS: [&str; 8] = ["B", "kB", "MB", "GB", "TB", "ms", "s", "min"];
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last) if UNITS.contains(&word.trim_matches([',', ';', ':', '(', ')'])) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// How many characters a text takes, without its styles.
fn shown(text: &str) -> usize {
    without_styles(text).chars().count()
}

/// A text without the escape sequences of [`anstyle`].
pub(super) fn without_styles(text: &str) -> String {
    let mut is_style = false;
    text.chars()
        .filter(|c| {
            let is_part = is_style || *c == '\u{1b}';
            is_style = is_part && !(is_style && *c == 'm');
            !is_part
        })
        .collect()
}
