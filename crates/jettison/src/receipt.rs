//! The receipt of an optimization: what was changed, with what that saves measured by packing it; and how it goes with the
//! image.

use std::io::Write;

use anyhow::Result;
use jettison_image::Node;
use jettison_image::manifest::RECEIPT;
use jettison_ir::{Changed, Finding, ImageUnit, Receipt, ReceiptItem, unshipped};
use jettison_passes::Outcome;
use jettison_store::{Encoding, Output, StoredImage, measure};

use crate::optimizer::Done;

/// What the findings of an outcome changed. Where an `encoding` is given, what is gone is packed by it to be measured; copies
/// that nobody saw only for a plan, since packing them takes as long as writing them.
pub(crate) fn of(
    unit: &ImageUnit<'_>,
    outcome: &Outcome,
    encoding: Option<Encoding>,
    is_plan: bool,
) -> Result<Receipt> {
    let mut receipt = Receipt::default();
    for made in &outcome.findings {
        if let Some(item) = unshipped(unit, made.pass, &made.finding) {
            let stored =
                encoding.filter(|_| is_plan).map(|encoding| hidden(unit, &made.finding, encoding)).transpose()?;
            receipt.items.push(ReceiptItem { stored, ..item });
        }
        if made.changes.is_empty() {
            continue;
        }
        let mut item = ReceiptItem::of(unit, made.pass, &made.finding, &made.changes);
        item.stored = encoding.map(|encoding| stored(unit, &made.changes, encoding)).transpose()?;
        receipt.items.push(item);
    }
    Ok(receipt)
}

/// The receipt that an image is to carry.
pub(crate) struct Attached<'r> {
    /// The one of this run, where it was asked for.
    pub(crate) new: Option<&'r Receipt>,
    /// Whether the image's layers are what they were, so that a receipt that it had is still true.
    pub(crate) is_old_true: bool,
}

/// Has a receipt go with the image that is `done`: the one that it came with, where that is still true of it, else that
/// of this run. Gives what is worth knowing.
pub(crate) fn attach(
    input: &StoredImage,
    attached: Attached<'_>,
    done: &mut Done,
    output: &mut Output,
) -> Result<Option<String>> {
    let mut note = None;
    if let Some(old) = &input.receipt {
        if let Some(bytes) = old.bytes().filter(|_| attached.is_old_true) {
            output.attach(&bytes)?;
            return Ok(None);
        }
        let why = if attached.is_old_true { "is not at hand" } else { "would not be true of the result" };
        note = Some(format!("left out: the receipt {}, which {why}", old.digest.short()));
        done.manifest.remove_annotation(RECEIPT);
    }
    if let Some(receipt) = attached.new {
        let digest = output.attach(&serde_json::to_vec(receipt)?)?;
        done.manifest.set_annotation(RECEIPT, &digest.to_string());
    }
    if input.receipt.is_some() || attached.new.is_some() {
        done.manifest_bytes = serde_json::to_vec(&done.manifest)?;
    }
    Ok(note)
}

/// The packed bytes of copies that nobody saw.
fn hidden(unit: &ImageUnit<'_>, finding: &Finding, encoding: Encoding) -> Result<i64> {
    let packed = measure(encoding, |out: &mut dyn Write| {
        finding.copies(unit).try_for_each(|one| out.write_all(&unit.shipped(one).unwrap_or_default()))
    })?;
    Ok(packed.cast_signed())
}

/// The packed bytes of changed files before, less those after.
fn stored(unit: &ImageUnit<'_>, changes: &[(Node, Changed)], encoding: Encoding) -> Result<i64> {
    let mut sides = [0, 0];
    for (side, packed) in sides.iter_mut().enumerate() {
        *packed = measure(encoding, |out: &mut dyn Write| {
            for (node, changed) in changes {
                let is_last = unit.upper.links(unit.upper.inode(*node)) == 1;
                match (changed, side) {
                    (Changed::Gone, 0) if !is_last => {}
                    (Changed::Target(_) | Changed::Moved(_), _) | (Changed::Gone | Changed::LinkTo(_), 1) => {}
                    (Changed::Content(new), 1) => out.write_all(new)?,
                    (Changed::Made { by, .. }, 1) => {
                        let new = unit.content(*node).and_then(|old| (by.make)(&old));
                        out.write_all(&new.unwrap_or_default())?;
                    }
                    _ => out.write_all(&unit.content(*node).unwrap_or_default())?,
                }
            }
            Ok(())
        })?;
    }
    Ok(sides[0].cast_signed() - sides[1].cast_signed())
}
