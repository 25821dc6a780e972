//! `build --push` and `--load`: what was built goes on from the local images to registries or an engine.

use anyhow::Result;
use jettison_image::{Digest, Limits};
use jettison_report::push_human;
use jettison_store::registry::Options;
use jettison_store::{CopyOrder, Reference, Selector, Transport, Wanted, copy};

use super::outputs::Target;
use super::results::Product;
use crate::engines;
use crate::error::Usage;
use crate::load;
use crate::printer::Printer;
use crate::progress::Stage;

/// What is pushed has a name, which must be known before anything is built.
pub(crate) fn check(target: &Target, names: &[String]) -> Result<()> {
    if target.goes_to == Some(Transport::Registry) && target.names.is_empty() && names.is_empty() {
        let hint = "name the image on its registry, as in -t registry.example/team/app:v1";
        return Err(Usage::new("an image without a name cannot be pushed").with_hint(hint).into());
    }
    Ok(())
}

/// Has a written image go on under each of its names; says what came of each.
pub(crate) fn pass_on(
    images: &Reference,
    product: &mut Product,
    to: Transport,
    options: &Options,
    printer: &Printer,
) -> Result<()> {
    let Some((manifest, _)) = &product.image else { return Ok(()) };
    let named = product.names.iter().map(|name| Some(Selector::Name(to.stored_name(name))));
    // An engine takes an image without a name as well.
    let all: Vec<Option<Selector>> = if product.names.is_empty() { vec![None] } else { named.collect() };
    for selector in all {
        let target = Reference { transport: Some(to), path: std::path::PathBuf::new(), selector };
        let came = one(images, *manifest, &target, options, printer)?;
        product.notes.push(came);
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
    let order = CopyOrder {
        // One manifest is taken whatever its platform is.
        wanted: Wanted::Platform(load::this_platform()),
        limits: Limits::default(),
        source: options.clone(),
        target: options.clone(),
    };
    let folder = engines::folder()?;
    let written = engines::prepare(target, folder.path());
    let stage = Stage::start(printer, format!("writing {target}"), 0);
    let copied = copy(&source, &written, &order, &stage)?;
    stage.end();
    engines::deliver(&written, printer)?;
    Ok(match copied.pushed {
        Some(pushed) => format!("pushed {target}: {}", push_human(&load::pushed(pushed))),
        None => format!("loaded {target}"),
    })
}
