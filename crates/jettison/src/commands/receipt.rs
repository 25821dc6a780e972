//! `jettison receipt`: what an optimization took out of an image, read back from the image.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use jettison_ir::Receipt;
use jettison_report::receipt_human;
use jettison_store::StoredImage;
use serde_json::Value;

use crate::cli::{Format, ReceiptArgs};
use crate::error::Usage;
use crate::printer::Printer;

pub(crate) fn run(args: &ReceiptArgs, printer: &Printer) -> Result<ExitCode> {
    let opened = args.read.open(&args.image, &args.read.wanted()?)?;
    let name = args.image.to_string();
    let receipts = opened.images.iter().map(|image| receipt(image, &name)).collect::<Result<Vec<Receipt>>>()?;
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
