//! `jettison rewrite --prove`.

use anyhow::Result;
use jettison_engine::build::Cancel;
use jettison_engine::ids::Ids;
use jettison_engine::sandbox::Host;
use jettison_ir::Proof;
use jettison_passes::Rewritten;
use jettison_syntax::dockerfile::encode;

use super::{Prover, prove};
use crate::building::cancel::on_interrupt;
use crate::building::context::Source;
use crate::building::embedded::Embedded;
use crate::building::request::Asked;
use crate::cli::ProofArgs;
use crate::dockerfile::Located;
use crate::printer::Printer;
use crate::rewriting::Rewriting;

/// Builds both forms by the embedded engine.
pub(crate) fn of_rewrite(
    args: &ProofArgs,
    host: Option<&Host>,
    located: &Located,
    rewriting: &Rewriting<'_>,
    printer: &Printer,
) -> Result<(Rewritten, Option<Proof>)> {
    let ProofArgs { inputs, steps, images, cache, progress, .. } = args;
    let engine = Embedded::open(&cache.place.find()?, cache.snapshotter, host.map_or(Ids::Many, |host| host.ids))?;
    let source = Source::of_located(located, encode(rewriting.tree.text()))?;
    let request = Asked { inputs, steps, images, cache, labels: &[] }.request(&source)?;
    let cancel = Cancel::default();
    let guard = on_interrupt(&cancel);
    let wish = rewriting.wish();
    let prover =
        Prover { engine: &engine, request: &request, wish: &wish, cancel: &cancel, progress: *progress, printer };
    let proven = prove(&prover, &|known| rewriting.again(known));
    drop(guard);
    proven
}
