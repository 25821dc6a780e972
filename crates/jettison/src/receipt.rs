//! The receipt of an optimization: what was changed, with what that saves measured by packing it.

use std::io::Write;

use anyhow::Result;
use jettison_image::Node;
use jettison_image::tree::Hidden;
use jettison_ir::{Changed, Finding, ImageUnit, Receipt, ReceiptItem, unshipped};
use jettison_passes::Outcome;
use jettison_store::{Encoding, measure};

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

/// The packed bytes of copies that nobody saw.
fn hidden(unit: &ImageUnit<'_>, finding: &Finding, encoding: Encoding) -> Result<i64> {
    let is_of_this = |one: &&Hidden| {
        one.shipped.layer == finding.shipped_by
            && Some(one.by.layer) == finding.hidden_by
            && Some(one.cause) == finding.cause
    };
    let packed = measure(encoding, |out: &mut dyn Write| {
        let mut copies = unit.upper.hidden().iter().filter(is_of_this);
        copies.try_for_each(|one| out.write_all(&unit.shipped(one.shipped).unwrap_or_default()))
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
