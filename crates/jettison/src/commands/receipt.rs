//! `jettison receipt`: what an optimization took out of an image, read back from the image, or from the file that it was
//! written to.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use jettison_image::Platform;
use jettison_ir::Receipt;
use jettison_report::receipt_human;
use jettison_store::{Reference, StoredImage, Wanted};
use serde_json::Value;

use crate::cli::{Format, ReceiptArgs};
use crate::error::Usage;
use crate::printer::Printer;

pub(crate) fn run(args: &ReceiptArgs, printer: &Printer) -> Result<ExitCode> {
    let receipts = match text(&args.image)? {
        Some(text) => of_file(&text, &args.image.path, &args.read.wanted_or(Wanted::All)?)?,
        None => {
            let opened = args.read.open(&args.image, &args.read.wanted()?)?;
            let name = args.image.to_string();
            opened.images.iter().map(|image| receipt(image, &name)).collect::<Result<Vec<Receipt>>>()?
        }
    };
    match args.format {
        Format::Json => {
            let mut values = receipts.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>()?;
            // As `optimize` has it: one image is an object, several are an array.
            let value = if values.len() == 1 { values.remove(0) } else { Value::from(values) };
            printer.json(&value)?;
        }
        Format::Human => {
            let texts: Vec<String> = receipts.iter().map(receipt_human).collect();
            printer.result(&texts.join("\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The receipt that an image carries.
fn receipt(image: &StoredImage, name: &str) -> Result<Receipt> {
    let Some(attached) = &image.receipt else {
        let error = Usage::new(format!("{name} carries no receipt for {}", image.config.platform()));
        let hint =
            "`jettison optimize --attach-receipt` makes an image that does; `--receipt FILE` writes one to a file";
        return Err(error.with_hint(hint).into());
    };
    let Some(bytes) = attached.bytes() else {
        let error = Usage::new(format!("the receipt {} of {name} is not there whole", attached.digest));
        let hint = "tools that copy images leave it behind: ask where jettison wrote the image";
        return Err(error.with_hint(hint).into());
    };
    serde_json::from_slice(&bytes).with_context(|| format!("the receipt {} of {name} is none", attached.digest))
}

/// The text of a file that a bare path names, where it starts as JSON does; no archive does.
fn text(reference: &Reference) -> Result<Option<Vec<u8>>> {
    let path = &reference.path;
    if reference.transport.is_some() || reference.selector.is_some() || !path.is_file() {
        return Ok(None);
    }
    let failed = || format!("{} cannot be read", path.display());
    let mut start = Vec::new();
    File::open(path).and_then(|file| file.take(512).read_to_end(&mut start)).with_context(failed)?;
    // The name of an archive's first entry may start so as well, but zeros fill what it leaves of its field.
    let is_json = matches!(start.trim_ascii_start(), [b'{' | b'[', ..]) && !start.contains(&0);
    if is_json { Ok(Some(fs::read(path).with_context(failed)?)) } else { Ok(None) }
}

/// The receipts for these platforms that `optimize --receipt` wrote: one is an object, several are an array.
fn of_file(text: &[u8], path: &Path, wanted: &Wanted) -> Result<Vec<Receipt>> {
    let failed = || format!("{} is no receipt as `jettison optimize --receipt` writes it", path.display());
    let is_one = text.trim_ascii_start().starts_with(b"{");
    let one = || serde_json::from_slice::<Receipt>(text).map(|one| vec![one]);
    let all = || serde_json::from_slice::<Vec<Receipt>>(text);
    let mut receipts = if is_one { one() } else { all() }.with_context(failed)?;
    let platforms: Vec<String> = receipts.iter().map(|receipt| receipt.platform.clone()).collect();
    let is_wanted = |receipt: &Receipt| match (wanted, receipt.platform.parse::<Platform>()) {
        (Wanted::All, _) => true,
        (_, Ok(platform)) => wanted.takes(&platform),
        (_, Err(_)) => false,
    };
    receipts.retain(is_wanted);
    if receipts.is_empty() && !platforms.is_empty() {
        let error = Usage::new(format!("{} has no receipt for the platform", path.display()));
        return Err(error.with_hint(format!("it has those for {}", platforms.join(", "))).into());
    }
    Ok(receipts)
}
