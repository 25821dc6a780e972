//! What a rewrite of a Dockerfile did.

use std::fmt::Write as _;

use jettison_ir::{Pass, Proof};
use serde_json::{Value, json};

use crate::layers::Layers;
use crate::lines::{Gain, gain_json};
use crate::place::readable;
use crate::proof::proof_human;
use crate::style::{FAINT, HEADING, styled};
use crate::text::{one_line, table};
use crate::unified::Diff;

/// A rewrite and what belongs to it.
#[derive(Clone, Debug)]
pub struct RewriteReport<'r> {
    /// The Dockerfile, as named by the user.
    pub name: &'r str,
    /// Its text before.
    pub before: &'r str,
    /// Its text after.
    pub after: &'r str,
    /// For each line of `after` the first and last line of `before` that it stands for, counted from 1.
    pub origin: Vec<(usize, usize)>,
    /// What became of `.dockerignore`, where a fix changed it.
    pub ignore: Option<IgnoreChange>,
    /// What building both forms showed, where that was asked for.
    pub proof: Option<Proof>,
    /// What was found, in the order in which it was.
    pub changes: Vec<Change>,
    /// What was left alone, and why.
    pub declined: Vec<Declined>,
    /// The layers before and after.
    pub layers: (Layers, Layers),
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// The files that were written.
    pub written: Vec<String>,
}

/// A changed `.dockerignore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreChange {
    /// Its name.
    pub name: String,
    /// Its text before; empty where there was none.
    pub before: String,
    /// Its text after.
    pub after: String,
}

/// Something that was found.
#[derive(Clone, Debug)]
pub struct Change {
    /// By which pass.
    pub pass: &'static Pass,
    /// The lines of the original that it is about, counted from 1.
    pub lines: (usize, usize),
    /// What and why.
    pub message: String,
    /// What a person can do or should know.
    pub help: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The file is changed.
    Applied,
    /// There is a change, which was not made: too many were before it, or it does not go together with others.
    NotApplied,
    /// It is for people to decide.
    Advice,
}

/// Something that was left alone.
#[derive(Clone, Debug)]
pub struct Declined {
    /// By which pass.
    pub pass: &'static str,
    /// The lines of the original that it is about, counted from 1.
    pub lines: (usize, usize),
    /// The reason's short name.
    pub code: String,
    /// The reason.
    pub reason: String,
}

impl RewriteReport<'_> {
    /// Whether the rewrite changes anything.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.before != self.after || self.ignore.is_some()
    }

    /// What each applied change saves, where that was measured.
    fn gains(&self) -> Vec<Option<Gain>> {
        let measured = self.proof.as_ref().and_then(|proof| proof.measured.as_ref());
        let mut told = Vec::new();
        let applied = self.changes.iter().filter(|change| change.outcome == Outcome::Applied);
        applied.map(|change| Gain::of(measured?, change.lines, &mut told)).collect()
    }

    /// The diffs of all files that it changes.
    #[must_use]
    pub fn diffs(&self) -> Vec<Diff> {
        let dockerfile = Diff::of(self.name, self.before, self.after, &self.origin);
        let ignore = self.ignore.as_ref().map(|ignore| Diff::of_texts(&ignore.name, &ignore.before, &ignore.after));
        std::iter::once(dockerfile).chain(ignore).filter(|diff| !diff.is_empty()).collect()
    }
}

/// A line a change, then advice, then the number of layers.
#[must_use]
pub fn rewrite_human(report: &RewriteReport<'_>, remarks: bool) -> String {
    let mut out = String::new();
    let labels = report.changes.iter().map(|change| change.lines);
    let labels = labels.chain(report.declined.iter().filter(|_| remarks).map(|declined| declined.lines));
    let width = labels.map(|label| lines(label).len()).max().unwrap_or_default() + 2;
    let of = |outcome: Outcome| report.changes.iter().filter(move |change| change.outcome == outcome);
    if !report.is_change() {
        let _ = writeln!(out, "{}: nothing to change", styled(HEADING, &readable(report.name)));
    }
    for (change, gain) in of(Outcome::Applied).zip(report.gains()) {
        let gain = gain.map(|gain| styled(FAINT, &format!("; {}", gain.sentence()))).unwrap_or_default();
        let _ = writeln!(out, "{}{gain}", line(change, "", width));
    }
    for change in of(Outcome::NotApplied) {
        let _ = writeln!(out, "{}", line(change, "not applied: ", width));
    }
    for change in of(Outcome::Advice) {
        let _ = writeln!(out, "{}", line(change, "advice: ", width));
        if let Some(help) = &change.help {
            let _ = writeln!(out, "{:width$}{}", "", styled(FAINT, &format!("help: {}", one_line(help, usize::MAX))));
        }
    }
    if remarks {
        for declined in &report.declined {
            let Declined { pass, reason, code, .. } = declined;
            let what = format!("{pass}: declined: {} ({code})", one_line(reason, usize::MAX));
            let _ = writeln!(out, "{:<width$}{}", lines(declined.lines), styled(FAINT, &what));
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {}", one_line(note, usize::MAX));
    }
    if let Some(proof) = &report.proof {
        out.push_str(&proof_human(proof, remarks));
    }
    let (before, after) = report.layers;
    if before != after {
        let buildkit = (layers(before, before.buildkit), layers(after, after.buildkit));
        let classic = (layers(before, before.classic), layers(after, after.classic));
        let change = |(from, to): (String, String)| format!("{from} → {to}");
        let _ = writeln!(out, "layers: {} by BuildKit, {} by the classic builder", change(buildkit), change(classic));
    }
    for written in &report.written {
        let _ = writeln!(out, "written: {}", readable(written));
    }
    out
}

fn line(change: &Change, kind: &str, width: usize) -> String {
    let message = one_line(&change.message, usize::MAX);
    format!("{:<width$}{}: {kind}{message}", lines(change.lines), styled(HEADING, change.pass.name))
}

/// `line 3`, `lines 3-4`.
fn lines((first, last): (usize, usize)) -> String {
    if first == last { format!("line {first}") } else { format!("lines {first}-{last}") }
}

fn layers(layers: Layers, own: usize) -> String {
    match (layers.has_base, own) {
        (true, 0) => "base".to_owned(),
        (true, own) => format!("base + {own}"),
        (false, own) => own.to_string(),
    }
}

/// Which lines of the original each line stands for, as a table.
#[must_use]
pub fn source_map(report: &RewriteReport<'_>) -> String {
    let texts = report.after.split_inclusive('\n').zip(&report.origin).enumerate();
    let rows = texts.map(|(at, (text, (first, last)))| {
        let from = if first == last { first.to_string() } else { format!("{first}-{last}") };
        vec![from, (at + 1).to_string(), one_line(&readable(text), 80)]
    });
    format!("{}\n", table(&["old", "new", "text"], &[0, 1], rows.collect()))
}

/// The report for programs. Bytes of the Dockerfile that are no UTF-8 are U+FFFD here.
#[must_use]
pub fn rewrite_json(report: &RewriteReport<'_>) -> Value {
    let mut gains = report.gains().into_iter();
    let changes: Vec<Value> = report
        .changes
        .iter()
        .map(|change| {
            let gain = if change.outcome == Outcome::Applied { gains.next().flatten() } else { None };
            json!({
                "pass": change.pass.name, "aliases": change.pass.aliases, "lines": change.lines,
                "message": readable(&change.message), "help": change.help.as_deref().map(readable),
                "fixable": change.outcome != Outcome::Advice, "applied": change.outcome == Outcome::Applied,
                "measured": gain.as_ref().map(gain_json),
            })
        })
        .collect();
    let declines: Vec<Value> = report
        .declined
        .iter()
        .map(|declined| {
            json!({
                "pass": declined.pass, "lines": declined.lines, "code": declined.code,
                "reason": readable(&declined.reason),
            })
        })
        .collect();
    let lines = report.after.split_inclusive('\n').zip(&report.origin).enumerate();
    let line_map: Vec<Value> =
        lines.map(|(at, (_, (first, last)))| json!({ "new": at + 1, "old": [first, last] })).collect();
    let layers = |layers: Layers| json!({ "buildkit": layers.buildkit, "classic": layers.classic });
    let diff: String = report.diffs().iter().map(|diff| readable(&diff.plain())).collect();
    let ignore = report.ignore.as_ref().map(|ignore| json!({ "name": ignore.name, "text": readable(&ignore.after) }));
    json!({
        "dockerfile": readable(report.name),
        "changed": report.is_change(),
        "text": readable(report.after),
        "diff": diff,
        "dockerignore": ignore,
        "changes": changes,
        "proof": report.proof,
        "declines": declines,
        "layers": {
            "has_base": report.layers.0.has_base,
            "before": layers(report.layers.0),
            "after": layers(report.layers.1),
        },
        "line_map": line_map,
        "notes": report.notes,
        "written": report.written,
    })
}
