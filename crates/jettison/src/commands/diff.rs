//! `jettison diff`: two images as running containers see them.

use std::process::ExitCode;

use anyhow::Result;
use jettison_image::Tree;
use jettison_report::{diff_human, diff_json};
use jettison_store::Scans;
use jettison_verify::{Side, compare};

use super::FAILED;
use crate::cli::{Diff, Format};
use crate::load::{load, open_one};
use crate::printer::Printer;

pub(crate) fn run(args: &Diff, printer: &Printer) -> Result<ExitCode> {
    let scans = Scans::default();
    let (_, image) = open_one(&args.before, &args.read)?;
    let before = load(&args.before, image, &args.read, None, &scans, printer)?;
    scans.remember(&before.scanned, &before.layers);
    let (_, image) = open_one(&args.after, &args.read)?;
    let after = load(&args.after, image, &args.read, None, &scans, printer)?;
    let (before_tree, after_tree) = (Tree::of(before.layers())?, Tree::of(after.layers())?);
    let verdict = compare(
        Side { tree: &before_tree, config: &before.image.config },
        Side { tree: &after_tree, config: &after.image.config },
    );
    match args.format {
        Format::Json => printer.json(&diff_json(&args.before.to_string(), &args.after.to_string(), &verdict))?,
        Format::Human => printer.result(&diff_human(&verdict, args.rows))?,
    }
    Ok(if verdict.is_equal() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
