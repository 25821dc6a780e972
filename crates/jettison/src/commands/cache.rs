//! `jettison cache`: what the build cache holds, and making it smaller.

use std::process::ExitCode;

use anyhow::Result;
use jettison_engine::cache::{Cache, Filter, Pruned, Usage};
use jettison_report::{bytes, table};

use crate::cli::{CacheAction, CacheCommand, Format, Prune};
use crate::folders;
use crate::printer::Printer;

pub(crate) fn run(args: &CacheCommand, printer: &Printer) -> Result<ExitCode> {
    let folder = args.place.find()?;
    let cache = Cache::open(&folder)?;
    match &args.action {
        CacheAction::Du { format } => {
            let usage = cache.du(&folders::images(&folder))?;
            match format {
                Format::Human => printer.result(&shown(&usage))?,
                Format::Json => printer.result(&json(&usage)?)?,
            }
        }
        CacheAction::Prune(prune) => self::prune(&cache, prune, printer)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn prune(cache: &Cache, args: &Prune, printer: &Printer) -> Result<()> {
    let filter = Filter { all: args.all, keep_bytes: args.keep_storage, older_than: args.older_than };
    let pruned = cache.prune(filter)?;
    match args.format {
        Format::Json => printer.result(&json(&pruned)?)?,
        Format::Human => printer.result(&said(&pruned))?,
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String> {
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

fn said(pruned: &Pruned) -> String {
    let freed = pruned.snapshots.bytes + pruned.mounts.bytes;
    let (snapshots, mounts) = (pruned.snapshots.count, pruned.mounts.count);
    let mut text = format!("removed {snapshots} results and {mounts} cache mounts: {} freed\n", bytes(freed));
    if pruned.in_use > 0 {
        text.push_str(&format!("{} more are in use by a build\n", pruned.in_use));
    }
    text
}
