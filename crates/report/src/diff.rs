//! Two images as running containers see them.

use std::fmt::Write as _;

use jettison_ir::{Difference, Place, Verdict};
use serde_json::{Value, json};

use crate::style::{BAD, FAINT, GOOD, styled};
use crate::text::{count, one_line};

/// The comparison for people; at most `rows` differences are listed.
#[must_use]
pub fn diff_human(verdict: &Verdict, rows: usize) -> String {
    let paths = count(verdict.paths, "path");
    if verdict.is_equal() {
        return format!("{}: {paths} and all settings are the same\n", styled(GOOD, "equal"));
    }
    let found = count(verdict.differences.len(), "difference");
    format!("{}{}: {found} ({paths} compared)\n", differences(verdict, rows), styled(BAD, "not equal"))
}

/// Lines such as `~ /etc/passwd  mode: 0644 → 0600`.
pub(crate) fn differences(verdict: &Verdict, rows: usize) -> String {
    let mut out = String::new();
    for difference in verdict.differences.iter().take(rows) {
        let _ = writeln!(out, "{}", line(difference));
    }
    let left = verdict.differences.len().saturating_sub(rows);
    if left > 0 {
        let _ = writeln!(out, "{}", styled(FAINT, &format!("… and {left} more (--rows, --format json)")));
    }
    out
}

fn line(difference: &Difference) -> String {
    let value = |value: &String| one_line(value, 100);
    let place = match &difference.place {
        Place::Setting(name) => format!("setting {name}"),
        place => place.to_string(),
    };
    match (&difference.before, &difference.after) {
        (Some(before), None) => format!("- {place}  {}", value(before)),
        (None, Some(after)) => format!("+ {place}  {}", value(after)),
        (before, after) => {
            let text = |side: &Option<String>| side.as_ref().map(value).unwrap_or_default();
            format!("~ {place}  {}: {} → {}", difference.what, text(before), text(after))
        }
    }
}

/// The comparison for programs.
#[must_use]
pub fn diff_json(before: &str, after: &str, verdict: &Verdict) -> Value {
    json!({
        "before": before,
        "after": after,
        "equal": verdict.is_equal(),
        "paths": verdict.paths,
        "differences": verdict.differences,
    })
}
