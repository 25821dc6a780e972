//! `jettison cache`: what the build cache holds, and making it smaller.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use jettison_engine::cache::{Cache, Entry, EntryKind, Filter, Part, Pruned, Usage};
use jettison_report::{bytes, table};
use jettison_store::{Collected, LocalStore};
use serde_json::json;

use crate::cli::{CacheAction, CacheCommand, Format, Prune};
use crate::folders;
use crate::printer::Printer;

/// Blobs that were written or used so lately may be about to be named by a build or a pull.
const GRACE: Duration = Duration::from_secs(3600);

pub(crate) fn run(args: &CacheCommand, printer: &Printer) -> Result<ExitCode> {
    let folder = args.place.find()?;
    let cache = Cache::open(&folder)?;
    match &args.action {
        CacheAction::Du { format } => {
            let usage = cache.du(&folders::images(&folder))?;
            let entries = cache.entries()?;
            match format {
                Format::Human => {
                    let all = if printer.is_verbose() { listed(&entries) } else { String::new() };
                    printer.result(&(shown(&usage, &entries) + &all))?;
                }
                Format::Json => {
                    let mut value = serde_json::to_value(usage)?;
                    value["entries"] = serde_json::to_value(&entries)?;
                    printer.result(&pretty(&value)?)?;
                }
            }
        }
        CacheAction::Prune(prune) => self::prune(&cache, &folder, prune, printer)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn prune(cache: &Cache, folder: &Path, args: &Prune, printer: &Printer) -> Result<()> {
    let filter = Filter { all: args.all, keep_bytes: args.keep_storage, older_than: args.older_than };
    let pruned = cache.prune(filter)?;
    let blobs = LocalStore::open(&folders::images(folder))?.collect(GRACE)?;
    match args.format {
        Format::Json => {
            let mut value = serde_json::to_value(pruned)?;
            value["blobs"] = json!({ "count": blobs.blobs, "bytes": blobs.bytes });
            printer.result(&pretty(&value)?)?;
        }
        Format::Human => printer.result(&said(&pruned, blobs))?,
    }
    Ok(())
}

fn pretty(value: &impl serde::Serialize) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

fn shown(usage: &Usage, entries: &[Entry]) -> String {
    let parts = [
        ("results of steps", usage.steps, Some(EntryKind::Step)),
        ("base images", usage.bases, Some(EntryKind::Base)),
        ("cache mounts", usage.mounts, Some(EntryKind::Mount)),
        ("local images (blobs)", usage.images, None),
        ("records", usage.other, None),
    ];
    let row = |(what, part, kind): &(&str, Part, Option<EntryKind>)| {
        let used = entries.iter().filter(|entry| Some(entry.kind) == *kind).map(|entry| entry.used).max();
        vec![(*what).to_owned(), part.count.to_string(), bytes(part.bytes), used.map(ago).unwrap_or_default()]
    };
    let mut rows: Vec<Vec<String>> = parts.iter().map(row).collect();
    rows.push(vec!["all".to_owned(), String::new(), bytes(usage.bytes()), String::new()]);
    table(&["what", "number", "size", "last used"], &[1, 2], rows) + "\n"
}

/// Each entry, the one that was used last first.
fn listed(entries: &[Entry]) -> String {
    let name = |entry: &Entry| match entry.kind {
        EntryKind::Step => "result of a step",
        EntryKind::Base => "base image",
        EntryKind::Mount => "cache mount",
    };
    let row = |entry: &Entry| {
        let id: String = entry.id.chars().take(12).collect();
        vec![id, name(entry).to_owned(), bytes(entry.bytes), ago(entry.used)]
    };
    "\n".to_owned() + &table(&["entry", "what", "size", "last used"], &[2], entries.iter().map(row).collect()) + "\n"
}

/// How long ago a time in seconds since 1970 was, as people say it.
fn ago(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let age = now.saturating_sub(seconds);
    let (number, unit) = match age {
        0..60 => return "just now".to_owned(),
        60..3600 => (age / 60, "minute"),
        3600..86_400 => (age / 3600, "hour"),
        _ => (age / 86_400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural} ago")
}

fn said(pruned: &Pruned, blobs: Collected) -> String {
    let freed = pruned.snapshots.bytes + pruned.mounts.bytes;
    let (snapshots, mounts) = (pruned.snapshots.count, pruned.mounts.count);
    let mut text = format!("removed {snapshots} results and {mounts} cache mounts: {} freed\n", bytes(freed));
    if blobs.blobs > 0 {
        text.push_str(&format!("removed {} blobs that no image needs: {} freed\n", blobs.blobs, bytes(blobs.bytes)));
    }
    if pruned.in_use > 0 {
        text.push_str(&format!("{} more are in use by a build\n", pruned.in_use));
    }
    text
}
