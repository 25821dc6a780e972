//! Receipts: what an optimization changed of what a container sees.

use std::fmt::Write as _;

use jettison_ir::{PathChange, Receipt, ReceiptItem};

use crate::style::{FAINT, HEADING, styled};
use crate::text::{bytes, count, one_line, signed, table};

/// The longest description of what was found: with the other columns a row is no wider than 160 characters.
const WHAT: usize = 52;
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
        // What hides files is told by a whole instruction, which would push the numbers out of sight.
        let what = one_line(&item.what, WHAT);
        vec![item.pass.clone(), what, bytes(item.bytes), stored, item.paths.len().to_string(), layer(item)]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn item(pass: &str, what: &str) -> ReceiptItem {
        ReceiptItem {
            pass: pass.to_owned(),
            what: what.to_owned(),
            help: "write the file once".to_owned(),
            layer: 12,
            instruction: format!("RUN {}", "apt-get install -y something ".repeat(20)),
            bytes: 123_400_000,
            stored: Some(-123_400_000),
            packages: Vec::new(),
            paths: Vec::new(),
        }
    }

    #[test]
    fn rows_fit_a_terminal_whatever_instructions_hide_files() {
        let by = format!("by layer 13: RUN {}", "set -eux; \\\n\tapt-get update && ".repeat(20));
        let whats = ["overwritten", "shipped again for a mode, owner or time"].map(|what| format!("{what} {by}"));
        let items = whats.iter().map(|what| item("build-only-packages", what)).collect();
        let receipt = Receipt { items, ..Receipt::default() };
        let summary = receipt_summary(&receipt);
        let rows: Vec<&str> = summary.lines().collect();
        assert_eq!(rows.len(), 4, "a heading, two rows and what to write: {summary}");
        let widths: Vec<usize> = rows.iter().map(|row| row.chars().count()).collect();
        assert!(widths.iter().all(|width| *width <= 160), "{widths:?}\n{summary}");
        for (row, starts) in rows[1..3]
            .iter()
            .zip(["overwritten by layer 13: RUN set", "shipped again for a mode, owner or time by layer 13"])
        {
            assert!(
                row.contains(starts) && row.contains(" 123.4 MB ") && row.contains(" layer 12: RUN apt-get"),
                "{row}"
            );
        }
        // The receipt itself has all of it.
        assert!(receipt_human(&receipt).contains(&whats[0]));
    }
}
