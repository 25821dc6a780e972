//! `jettison cache`: what the build cache holds, and making it smaller.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use jettison_engine::cache::{Cache, Filter, Pruned, Usage};
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
            match format {
                Format::Human => printer.result(&shown(&usage))?,
                Format::Json => printer.result(&pretty(&usage)?)?,
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

fn shown(usage: &Usage) -> String {
    let parts = [
        ("results of steps", usage.steps),
        ("base images", usage.bases),
        ("cache mounts", usage.mounts),
        ("local images (blobs)", usage.images),
        ("records", usage.other),
    ];
    let mut rows: Vec<Vec<String>> =
        parts.iter().map(|(what, part)| vec![(*what).to_owned(), part.count.to_string(), bytes(part.bytes)]).collect();
    rows.push(vec!["all".to_owned(), String::new(), bytes(usage.bytes())]);
    table(&["what", "number", "size"], &[1, 2], rows) + "\n"
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
