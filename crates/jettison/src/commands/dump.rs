//! `jettison dump`: an image's layers in the text form.

use std::process::ExitCode;

use anyhow::Result;
use jettison_image::Layer;
use jettison_image::text::ImageText;
use jettison_store::Scans;

use crate::cli::Dump;
use crate::load::{load, open_one};
use crate::printer::Printer;

pub(crate) fn run(args: &Dump, printer: &Printer) -> Result<ExitCode> {
    let (_, image) = open_one(&args.image, &args.read)?;
    let loaded = load(&args.image, image, &args.read, None, &Scans::default(), printer)?;
    let layers: Vec<Layer> = loaded.layers().cloned().collect();
    printer.result(&ImageText::of(&loaded.image.config, &layers).to_string())?;
    Ok(ExitCode::SUCCESS)
}
