//! A build by lines, for programs: all sizes in bytes, all times in milliseconds.

use std::time::Duration;

use bstr::ByteSlice as _;
use jettison_ir::Held;
use serde_json::{Value, json};

use super::{Fate, Gain, LineChange, LineRow, LineWaste, LinesReport};
use crate::place::readable;
use crate::text::one_line;
use crate::weigh::cause_name;

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The report. Names of fields stay as they are from version to version; new ones may come.
#[must_use]
pub fn lines_json(report: &LinesReport) -> Value {
    let (base, own) = report.seen();
    let (steps, cached, saved) = report.cache();
    let is_kept = |waste: &&LineWaste| matches!(waste.fate, Fate::Kept(_));
    let all_waste: u64 = report.waste.iter().map(|waste| waste.bytes).sum();
    let kept: u64 = report.waste.iter().filter(is_kept).map(|waste| waste.bytes).sum();
    let unneeded = report.unneeded.iter().map(|(name, lines)| json!({ "stage": readable(name), "lines": lines }));
    json!({
        "dockerfile": readable(&report.dockerfile),
        "level": report.level,
        "rewritten": report.is_rewritten,
        "lines": report.rows.iter().map(row).collect::<Vec<Value>>(),
        "unneeded_stages": unneeded.collect::<Vec<Value>>(),
        "waste": report.waste.iter().map(|one| waste(report, one)).collect::<Vec<Value>>(),
        "changes": report.changes.iter().map(change).collect::<Vec<Value>>(),
        "image": report.image.map(|image| json!({ "layers": image.layers, "stored_bytes": image.stored })),
        "totals": {
            "base_bytes": base,
            "own_bytes": own,
            "wasted_bytes": all_waste,
            "wasted_bytes_in_image": kept,
            "steps": steps,
            "cached_steps": cached,
            "saved_by_cache_ms": milliseconds(saved),
            "took_ms": milliseconds(report.took),
        },
    })
}

fn row(row: &LineRow) -> Value {
    let share = row.share.unwrap_or_default();
    json!({
        "lines": row.lines,
        "built_lines": row.built_lines,
        "stage": row.stage.as_deref().map(readable),
        "instruction": readable(&one_line(&row.instruction, usize::MAX)),
        "is_base": row.is_base,
        "in_image": row.share.is_some(),
        "files": share.files,
        "added_bytes": share.bytes,
        "shipped_bytes": share.seen,
        "wasted_bytes": share.bytes.saturating_sub(share.seen),
        "stored_bytes": row.stored,
        "cached": row.step.map(|step| step.cached),
        "took_ms": row.step.map(|step| step.took).or(row.prepared_in).map(milliseconds),
        "made_in_ms": row.step.map(|step| milliseconds(step.made_in)),
    })
}

fn waste(report: &LinesReport, waste: &LineWaste) -> Value {
    let row = |at: usize| report.rows.get(at);
    let (dropped_by, kept_because) = match &waste.fate {
        Fate::Dropped(pass) => (Some(pass.as_str()), None),
        Fate::Kept(reason) => (None, Some(reason.as_str())),
        Fate::NoLayers => (None, None),
    };
    json!({
        "lines": row(waste.row).map(|row| row.lines),
        "hidden_by_lines": row(waste.hidden_by).map(|row| row.lines),
        "is_base": row(waste.row).is_some_and(|row| row.is_base),
        "cause": cause_name(waste.cause),
        "files": waste.files,
        "bytes": waste.bytes,
        "largest_file": { "path": format!("/{}", waste.largest.0.escape_bytes()), "bytes": waste.largest.1 },
        "in_image": matches!(waste.fate, Fate::Kept(_)),
        "dropped_by": dropped_by,
        "kept_because": kept_because,
    })
}

fn change(change: &LineChange) -> Value {
    json!({
        "pass": change.pass,
        "lines": change.lines,
        "message": readable(&change.message),
        "outcome": change.outcome.name(),
        "measured": change.gain.as_ref().map(measured),
    })
}

/// What a change saves: `lines` are those of all instructions that the numbers are about.
pub(crate) fn measured(gain: &Gain) -> Value {
    let held = |held: Held| json!({ "layers": held.layers, "bytes": held.bytes, "seen_bytes": held.seen });
    json!({
        "before": held(gain.before),
        "after": held(gain.after),
        "saved_bytes": gain.before.bytes.cast_signed() - gain.after.bytes.cast_signed(),
        "lines": gain.lines,
        "shared": gain.is_shared,
    })
}
