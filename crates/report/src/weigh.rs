//! What an image weighs.

use std::fmt::Write as _;

use bstr::ByteSlice as _;
use jettison_image::tree::Cause;
use jettison_ir::{Equal, Weight};
use serde_json::{Value, json};

use crate::style::{FAINT, HEADING, styled};
use crate::text::{bytes, count, grouped, one_line, percent, signed, table};

/// What the waste is listed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The layers, and the waste by what shipped and what hid it.
    Layer,
    /// Each wasted file.
    Path,
    /// The causes.
    Cause,
}

/// What `-O1` would save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saving {
    /// Own layers before and after.
    pub layers: (usize, usize),
    /// Unpacked bytes, exactly: the size of the layers that would be written is known.
    pub unpacked: i64,
    /// Bytes as stored, measured by packing the layers as the input's are; `None` where that was not asked for.
    pub stored: Option<i64>,
}

/// An image's weight and what belongs to it.
#[derive(Clone, Debug)]
pub struct WeighReport<'r> {
    /// The image as named by the user.
    pub image: &'r str,
    /// Its platform.
    pub platform: String,
    /// Its manifest's digest.
    pub digest: String,
    /// How many layers are the base's.
    pub base_layers: usize,
    /// What shows that.
    pub base: String,
    /// The weight.
    pub weight: &'r Weight,
    /// What `-O1` would save.
    pub saving: Saving,
    /// What is worth knowing.
    pub notes: &'r [String],
}

pub(crate) fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Overwritten => "overwritten",
        Cause::MetadataOnly => "metadata-only copy",
        Cause::Deleted => "deleted",
        Cause::Opaque => "hidden by an opaque folder",
        Cause::TypeChanged => "hidden by a type change",
    }
}

/// The report for people. `width` is that of the terminal, `rows` the most waste that is listed.
#[must_use]
pub fn weigh_human(report: &WeighReport<'_>, by: By, width: usize, rows: usize) -> String {
    let mut out = String::new();
    let weight = report.weight;
    let _ = writeln!(out, "{}  {}  {}", styled(HEADING, report.image), report.platform, report.digest);
    let _ = writeln!(out, "base: {} ({})\n", count(report.base_layers, "layer"), report.base);
    if by == By::Layer {
        let _ = writeln!(out, "{}\n", layers(weight, width));
    }
    let unpacked: u64 = weight.layers.iter().map(|layer| layer.unpacked).sum();
    if weight.waste.is_empty() {
        let _ = writeln!(out, "waste: none, a container sees every file that the layers ship");
    } else {
        let files: usize = weight.waste.iter().map(|waste| waste.files).sum();
        let share = percent(weight.wasted(), unpacked);
        let heading = format!("waste: {} in {}", bytes(weight.wasted()), count(files, "file"));
        let _ = writeln!(out, "{} that no container sees ({share} of all layers)", styled(HEADING, &heading));
        let _ = writeln!(out, "{}", waste(weight, by, width, rows));
    }
    let Equal { files, bytes: size, .. } = weight.equal_all;
    if files > 0 {
        let own = bytes(weight.equal_own.bytes);
        let _ = writeln!(
            out,
            "\nequal content: {} with {} repeat another file's ({own} of it within own layers)",
            count(files, "file"),
            bytes(size)
        );
    }
    let _ = writeln!(out, "\nefficiency as dive computes it: {:.1} %", weight.dive.0 * 100.0);
    let _ = writeln!(out, "{}", saving(&report.saving));
    for note in report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn layers(weight: &Weight, width: usize) -> String {
    let mut rows: Vec<Vec<String>> = weight
        .layers
        .iter()
        .enumerate()
        .map(|(at, layer)| {
            vec![
                (at + 1).to_string(),
                if layer.is_base { "base" } else { "own" }.to_owned(),
                bytes(layer.unpacked),
                bytes(layer.stored),
                grouped(layer.files),
                if layer.wasted == 0 { "-".to_owned() } else { bytes(layer.wasted) },
                instruction(&layer.instruction, width.saturating_sub(62)),
            ]
        })
        .collect();
    let sum = |of: fn(&jettison_ir::LayerWeight) -> u64| weight.layers.iter().map(of).sum();
    let files: usize = weight.layers.iter().map(|layer| layer.files).sum();
    rows.push(vec![
        "all".to_owned(),
        String::new(),
        bytes(sum(|layer| layer.unpacked)),
        bytes(sum(|layer| layer.stored)),
        grouped(files),
        bytes(weight.wasted()),
        format!("{} visible", count(weight.paths, "path")),
    ]);
    table(&["layer", "of", "unpacked", "stored", "files", "wasted", "instruction"], &[2, 3, 4, 5], rows)
}

fn instruction(text: &str, width: usize) -> String {
    if text.is_empty() { "(not in the history)".to_owned() } else { one_line(text, width.max(20)) }
}

fn waste(weight: &Weight, by: By, width: usize, rows: usize) -> String {
    let text = |layer: usize, width: usize| {
        let base = if weight.layers[layer].is_base { "(base) " } else { "" };
        let instruction = instruction(&weight.layers[layer].instruction, width.saturating_sub(base.len()));
        format!("{} {base}{instruction}", layer + 1)
    };
    let (listed, left) = match by {
        By::Layer => {
            let width = width.saturating_sub(60) / 2;
            let row = |waste: &jettison_ir::Waste| {
                vec![
                    bytes(waste.unpacked),
                    stored(weight, waste.shipped_by, waste.stored),
                    grouped(waste.files),
                    cause_name(waste.cause).to_owned(),
                    text(waste.shipped_by, width),
                    text(waste.hidden_by, width),
                ]
            };
            let headings = ["bytes", "stored", "files", "cause", "shipped by", "hidden by"];
            let listed = weight.waste.iter().take(rows).map(row).collect();
            (table(&headings, &[0, 1, 2], listed), weight.waste.len().saturating_sub(rows))
        }
        By::Path => {
            let row = |file: &jettison_ir::WastedFile| {
                vec![
                    bytes(file.bytes),
                    grouped(file.versions),
                    cause_name(file.cause).to_owned(),
                    format!("{} → {}", file.shipped_by + 1, file.hidden_by + 1),
                    format!("/{}", file.path.escape_bytes()),
                ]
            };
            let headings = ["bytes", "versions", "cause", "layers", "path"];
            let listed = weight.files.iter().take(rows).map(row).collect();
            (table(&headings, &[0, 1], listed), weight.files.len().saturating_sub(rows))
        }
        By::Cause => (table(&["bytes", "base", "own", "files", "cause"], &[0, 1, 2, 3], causes(weight)), 0),
    };
    let more = if left > 0 {
        styled(FAINT, &format!("\n … and {left} more (--rows, --format json)"))
    } else {
        String::new()
    };
    listed + &more
}

fn causes(weight: &Weight) -> Vec<Vec<String>> {
    let all = [Cause::Overwritten, Cause::MetadataOnly, Cause::Deleted, Cause::Opaque, Cause::TypeChanged];
    let mut rows: Vec<(u64, Vec<String>)> = all
        .into_iter()
        .filter_map(|cause| {
            let of_cause = || weight.waste.iter().filter(|waste| waste.cause == cause);
            let files: usize = of_cause().map(|waste| waste.files).sum();
            let total: u64 = of_cause().map(|waste| waste.unpacked).sum();
            let base: u64 =
                of_cause().filter(|waste| weight.layers[waste.shipped_by].is_base).map(|waste| waste.unpacked).sum();
            let row =
                vec![bytes(total), bytes(base), bytes(total - base), grouped(files), cause_name(cause).to_owned()];
            (files > 0).then_some((total, row))
        })
        .collect();
    rows.sort_by_key(|(total, _)| std::cmp::Reverse(*total));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A part of a compressed layer has no size of its own: its share is an estimate, and marked as one.
fn stored(weight: &Weight, layer: usize, share: u64) -> String {
    let layer = &weight.layers[layer];
    if layer.stored == layer.unpacked { bytes(share) } else { format!("~{}", bytes(share)) }
}

fn saving(saving: &Saving) -> String {
    let (before, after) = saving.layers;
    if before == after && saving.unpacked == 0 {
        return "-O1 would change nothing".to_owned();
    }
    let layers = format!("{} → {after}", count(before, "own layer"));
    let stored = match saving.stored {
        // Plain layers are stored as they are unpacked.
        Some(stored) if stored != saving.unpacked => format!(", {} as stored (measured)", signed(stored)),
        _ => String::new(),
    };
    format!("-O1 would save {} unpacked (exact){stored}: {layers}", signed(saving.unpacked))
}

/// The report for programs: all bytes as numbers, layers counted from 1.
#[must_use]
pub fn weigh_json(report: &WeighReport<'_>) -> Value {
    let weight = report.weight;
    let layers: Vec<Value> = weight
        .layers
        .iter()
        .enumerate()
        .map(|(at, layer)| {
            json!({
                "layer": at + 1, "base": layer.is_base, "instruction": layer.instruction, "unpacked": layer.unpacked,
                "stored": layer.stored, "files": layer.files, "wasted": layer.wasted,
            })
        })
        .collect();
    let waste: Vec<Value> = weight
        .waste
        .iter()
        .map(|waste| {
            let layer = &weight.layers[waste.shipped_by];
            json!({
                "cause": cause_name(waste.cause), "shipped_by": waste.shipped_by + 1, "hidden_by": waste.hidden_by + 1,
                "base": layer.is_base, "files": waste.files, "unpacked": waste.unpacked, "stored": waste.stored,
                "stored_is_estimate": layer.stored != layer.unpacked,
            })
        })
        .collect();
    let files: Vec<Value> = weight
        .files
        .iter()
        .map(|file| {
            json!({
                "path": format!("/{}", file.path.escape_bytes()), "bytes": file.bytes, "versions": file.versions,
                "cause": cause_name(file.cause), "shipped_by": file.shipped_by + 1, "hidden_by": file.hidden_by + 1,
            })
        })
        .collect();
    let equal = |equal: &Equal| json!({ "contents": equal.contents, "files": equal.files, "bytes": equal.bytes });
    json!({
        "image": report.image,
        "platform": report.platform,
        "digest": report.digest,
        "base": { "layers": report.base_layers, "evidence": report.base },
        "layers": layers,
        "waste": waste,
        "wasted_files": files,
        "wasted": weight.wasted(),
        "equal_content": { "all": equal(&weight.equal_all), "own": equal(&weight.equal_own) },
        "paths": weight.paths,
        "dive_efficiency": weight.dive.0,
        "o1_saves": {
            "own_layers_before": report.saving.layers.0,
            "own_layers_after": report.saving.layers.1,
            "unpacked": report.saving.unpacked,
            "stored": report.saving.stored,
        },
        "notes": report.notes,
    })
}
