//! Receipts: what an optimization changed of what a container sees.

use std::fmt::Write as _;

use jettison_ir::{PathChange, Receipt, ReceiptItem};

use crate::style::{FAINT, HEADING, styled};
use crate::text::{bytes, count, one_line, signed, table};

/// The longest description of what was found.
const WHAT: usize = 46;
/// The longest instruction that is shown.
const INSTRUCTION: usize = 40;

/// What was changed, a finding a row, and what to write in a Dockerfile instead; empty where nothing was.
#[must_use]
pub fn receipt_summary(receipt: &Receipt) -> String {
    if receipt.items.is_empty() {
        return String::new();
    }
    let rows = receipt.items.iter().map(|item| {
        let stored = item.stored.map_or_else(|| "-".to_owned(), signed);
        vec![item.pass.clone(), item.what.clone(), bytes(item.bytes), stored, item.paths.len().to_string(), layer(item)]
    });
    let headings = ["pass", "what", "unpacked", "stored", "paths", "shipped by"];
    let mut out = format!("{}\n", table(&headings, &[2, 3, 4], rows.collect()));
    let mut said: Vec<&str> = Vec::new();
    for item in receipt.items.iter().filter(|item| !item.help.is_empty()) {
        if !said.contains(&item.help.as_str()) {
            said.push(&item.help);
            let what = one_line(&item.what, WHAT);
            let _ = writeln!(out, "{} {what}: {}", styled(FAINT, "in the Dockerfile:"), item.help);
        }
    }
    out
}

fn layer(item: &ReceiptItem) -> String {
    let instruction = one_line(&item.instruction, INSTRUCTION);
    if instruction.is_empty() {
        format!("layer {}", item.layer)
    } else {
        format!("layer {}: {instruction}", item.layer)
    }
}

/// The whole receipt: every path with the pass and the reason.
#[must_use]
pub fn receipt_human(receipt: &Receipt) -> String {
    let mut out = String::new();
    let title = format!("receipt of {} for {}", receipt.level, receipt.platform);
    let _ = writeln!(out, "{}", styled(HEADING, &title));
    if !receipt.input.is_empty() {
        let _ = writeln!(out, "made from {}", receipt.input);
    }
    if receipt.items.is_empty() {
        let _ = writeln!(out, "nothing was taken away");
    }
    for item in &receipt.items {
        let files = count(item.paths.len(), "path");
        let stored = item.stored.map(|stored| format!(", {} stored", signed(stored))).unwrap_or_default();
        let _ = writeln!(
            out,
            "\n{}: {} ({files}, {} unpacked{stored}; {})",
            item.pass,
            item.what,
            bytes(item.bytes),
            layer(item)
        );
        for package in &item.packages {
            let _ = writeln!(out, "  package {} {}", package.name, package.version);
        }
        for path in &item.paths {
            let what = match path.change {
                PathChange::Unshipped => format!("a copy that no container saw, {}", bytes(path.bytes)),
                PathChange::Removed if path.bytes == 0 => "removed".to_owned(),
                PathChange::Removed => format!("removed, {}", bytes(path.bytes)),
                PathChange::Rewritten => format!("rewritten, {} → {}", bytes(path.bytes), bytes(path.left)),
                PathChange::Stripped => format!("stripped, {} → {}", bytes(path.bytes), bytes(path.left)),
                PathChange::Relinked => "leads elsewhere".to_owned(),
                PathChange::Linked => format!("one file with others, {}", bytes(path.bytes)),
            };
            let _ = writeln!(out, "  {}  ({what})", path.path);
        }
    }
    out
}
