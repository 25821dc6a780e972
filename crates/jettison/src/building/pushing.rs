//! `build --push`: what was built goes on from the local images to the registries that its names name.

use anyhow::Result;
use jettison_image::{Digest, Limits, Platform};
use jettison_report::push_human;
use jettison_store::registry::Options;
use jettison_store::{CopyOrder, Reference, Selector, Wanted, copy};

use super::outputs::Target;
use super::results::Product;
use crate::error::Usage;
use crate::load;
use crate::printer::Printer;
use crate::progress::Stage;

/// The names that a target is pushed under, all of which must be there before anything is built.
pub(crate) fn check(target: &Target, names: &[String]) -> Result<()> {
    if target.pushes && target.names.is_empty() && names.is_empty() {
        let hint = "name the image on its registry, as in -t registry.example/team/app:v1";
        return Err(Usage::new("an image without a name cannot be pushed").with_hint(hint).into());
    }
    Ok(())
}

/// Pushes a written image under each of its names; says what came of each.
pub(crate) fn push(images: &Reference, product: &mut Product, options: &Options, printer: &Printer) -> Result<()> {
    let Some((manifest, _)) = &product.image else { return Ok(()) };
    for name in &product.names {
        let target: Reference = format!("docker://{name}").parse()?;
        let pushed = one(images, *manifest, &target, options, printer)?;
        product.notes.push(format!("pushed {target}: {pushed}"));
    }
    Ok(())
}

fn one(
    images: &Reference,
    manifest: Digest,
    target: &Reference,
    options: &Options,
    printer: &Printer,
) -> Result<String> {
    let source = Reference { selector: Some(Selector::Digest(manifest)), ..images.clone() };
    // One manifest is taken whatever its platform is.
    let any: Platform = load::this_platform();
    let order = CopyOrder {
        wanted: Wanted::Platform(any),
        limits: Limits::default(),
        source: options.clone(),
        target: options.clone(),
    };
    let stage = Stage::start(printer, format!("pushing {target}"), 0);
    let copied = copy(&source, target, &order, &stage)?;
    stage.end();
    Ok(copied.pushed.map(|pushed| push_human(&load::pushed(pushed))).unwrap_or_default())
}
