//! What an optimization did.

use std::fmt::Write as _;

use jettison_ir::{Measure, OptimizeReport, ReceiptItem};
use serde_json::{Value, json};

use crate::diff::differences;
use crate::receipt::receipt_summary;
use crate::secrets::{fates_human, fates_json};
use crate::style::{BAD, FAINT, GOOD, HEADING, styled};
use crate::text::{bytes, count, grouped, table};

/// The most secrets that are listed.
const SECRETS: usize = 20;

/// The report for people.
#[must_use]
pub fn optimize_human(report: &OptimizeReport, remarks: bool) -> String {
    let mut out = String::new();
    let OptimizeReport { before, after, .. } = report;
    let title = format!("{} → {}", report.input, report.output);
    let packing = report.packing.as_ref().map(|packing| format!("  {packing}")).unwrap_or_default();
    let _ = writeln!(out, "{}  {}  {}{packing}", styled(HEADING, &title), report.platform, report.level);
    let _ = writeln!(out, "base: {} kept ({})\n", count(after.base_layers, "layer"), report.base);
    let own = |measure: &Measure| measure.layers - measure.base_layers;
    let row = |name: &str, old: String, new: String, change: String| vec![name.to_owned(), old, new, change];
    let rows = vec![
        row("layers", layers(before), layers(after), String::new()),
        row("own layers", own(before).to_string(), own(after).to_string(), String::new()),
        row("bytes stored", bytes(before.stored), bytes(after.stored), change(before.stored, after.stored)),
        row("bytes unpacked", bytes(before.unpacked), bytes(after.unpacked), change(before.unpacked, after.unpacked)),
        row(
            "entries in layers",
            grouped(before.entries),
            grouped(after.entries),
            change_of(before.entries, after.entries),
        ),
        row("paths seen", grouped(before.paths), grouped(after.paths), String::new()),
    ];
    let _ = writeln!(out, "{}\n", table(&["", "before", "after", "change"], &[1, 2, 3], rows));
    // A further packing of the same image: all else was said of the first one.
    if !report.is_further {
        said_once(report, &mut out);
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    if remarks && !report.is_further {
        for decline in &report.declines {
            let _ = writeln!(out, "{} {decline}", styled(FAINT, "declined:"));
        }
    }
    let _ = writeln!(out, "digest: {}", report.digest);
    let seconds = report.took.as_secs_f64();
    let _ = match report.verdict.is_equal() {
        true => {
            let paths = count(report.verdict.paths, "path");
            let changed: usize = report.receipt.items.iter().map(ReceiptItem::seen).sum();
            let proof = match changed {
                0 => "proof: equal".to_owned(),
                _ => format!("proof: equal but for {} in the receipt", count(changed, "path")),
            };
            writeln!(out, "{} ({paths} and all settings compared, {seconds:.2} s)", styled(GOOD, &proof))
        }
        false => write!(out, "{}\n{}", styled(BAD, "proof: NOT equal"), differences(&report.verdict, 10)),
    };
    out
}

/// What was done, which is the same for all packings of an image.
fn said_once(report: &OptimizeReport, out: &mut String) {
    let changed = receipt_summary(&report.receipt);
    if !changed.is_empty() {
        let _ = writeln!(out, "{changed}");
    }
    let fates = fates_human(&report.secrets.fates(), SECRETS);
    if !fates.is_empty() {
        let advice = "revoke what was real: whoever has the input can read it";
        let _ = writeln!(out, "{fates}{}\n", styled(FAINT, advice));
    }
    if report.acted.is_empty() {
        let _ = writeln!(out, "passes: none had anything to do");
    }
    for acted in &report.acted {
        let (from, to) = acted.layers;
        let layers = if from == to { String::new() } else { format!(", {} → {to}", count(from, "own layer")) };
        let found = count(acted.findings, "finding");
        // Layers made for pulling repeat folders.
        let did = if acted.saved < 0 { "added" } else { "saved" };
        let size = bytes(acted.saved.unsigned_abs());
        let _ = writeln!(out, "pass {}: {did} {size} unpacked ({found}{layers})", acted.name);
    }
}

fn layers(measure: &Measure) -> String {
    measure.layers.to_string()
}

fn change(before: u64, after: u64) -> String {
    if before == after {
        return "-".to_owned();
    }
    let difference = after.cast_signed() - before.cast_signed();
    #[allow(clippy::cast_precision_loss)] // One digit is shown.
    let share = difference as f64 * 100.0 / before.max(1) as f64;
    format!("{share:+.1} %")
}

fn change_of(before: usize, after: usize) -> String {
    change(before as u64, after as u64)
}

/// The report for programs: all bytes as numbers.
#[must_use]
pub fn optimize_json(report: &OptimizeReport) -> Value {
    let measure = |measure: &Measure| {
        json!({
            "layers": measure.layers, "base_layers": measure.base_layers, "stored": measure.stored,
            "unpacked": measure.unpacked, "entries": measure.entries, "paths": measure.paths,
        })
    };
    let passes: Vec<Value> = report
        .acted
        .iter()
        .map(|acted| {
            json!({
                "pass": acted.name, "findings": acted.findings, "saved_unpacked": acted.saved,
                "own_layers_before": acted.layers.0, "own_layers_after": acted.layers.1,
            })
        })
        .collect();
    json!({
        "input": report.input,
        "output": report.output,
        "level": report.level,
        "platform": report.platform,
        "packing": report.packing,
        "base": { "layers": report.after.base_layers, "evidence": report.base },
        "digest": report.digest,
        "before": measure(&report.before),
        "after": measure(&report.after),
        "passes": passes,
        "receipt": report.receipt,
        "secrets": fates_json(&report.secrets.fates(), &report.secrets.instructions),
        "notes": report.notes,
        "declined": report.declines,
        "proof": { "equal": report.verdict.is_equal(), "paths": report.verdict.paths, "differences": report.verdict.differences },
        "seconds": report.took.as_secs_f64(),
    })
}
