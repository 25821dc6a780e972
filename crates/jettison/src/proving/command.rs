//! `jettison rewrite --prove`.

use std::cell::RefCell;
use std::path::Path;

use anyhow::Result;
use jettison_engine::build::Cancel;
use jettison_engine::files::git::Commit;
use jettison_engine::ids::Ids;
use jettison_engine::sandbox::Host;
use jettison_ir::source::Goal;
use jettison_ir::{FinalStage, Level, Proof};
use jettison_passes::Rewritten;
use jettison_syntax::dockerfile::encode;

use super::final_stage::apply;
use super::{Prover, Replay, Smoke, StageWish, prove};
use crate::building::cancel::on_interrupt;
use crate::building::context::{Contexts, Fetching, Source};
use crate::building::embedded::Embedded;
use crate::building::request::Asked;
use crate::building::run::Engine as _;
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
    commits: &[Commit],
    printer: &Printer,
) -> Result<(Rewritten, Option<Proof>)> {
    let ProofArgs { inputs, steps, images, cache, progress, .. } = args;
    let smoke = Smoke::all(&args.smoke)?;
    let place = cache.place.find()?;
    let ids = host.map_or(Ids::Many, |host| host.ids);
    let engine = Embedded::open(&place, cache.snapshotter, ids)?;
    let source = Source::of_located(located, encode(rewriting.tree.text()))?;
    let cancel = Cancel::default();
    let guard = on_interrupt(&cancel);
    let download = |url: &str, to: &Path| engine.download(url, to, &cancel);
    let fetching = Fetching { folder: &place, offline: images.offline, download: &download, cancel: &cancel };
    let contexts = Contexts::read(&inputs.build_contexts, &fetching)?;
    let request = Asked { inputs, steps, images, cache, labels: &[] }.request(&source, &contexts)?;
    let wish = rewriting.wish();
    let looks_for_stage = rewriting.options.level == Level::Os && rewriting.options.goal == Goal::Release;
    let replay = located.context.as_deref().filter(|_| !commits.is_empty()).map(|folder| Replay {
        folder,
        commits,
        place: &place,
        snapshotter: cache.snapshotter,
        ids,
    });
    let prover = Prover {
        engine: &engine,
        request: &request,
        wish: &wish,
        weighs_packages: rewriting.weighs_packages(),
        smoke: &smoke,
        stage: looks_for_stage.then_some(StageWish { options: &rewriting.options, selection: &rewriting.selection }),
        cancel: &cancel,
        progress: *progress,
        printer,
        hints_at_shell: false,
        replay: replay.as_ref(),
        done: RefCell::default(),
    };
    let proven = prove(&prover, &|known| rewriting.again(known));
    drop(guard);
    let (mut rewritten, mut proof) = proven?;
    let stage = proof.as_mut().and_then(|proof| proof.final_stage.as_mut());
    if let (Some(FinalStage::Suggested(suggestion)), true) = (stage, args.multi_stage) {
        apply(suggestion, &mut rewritten);
    }
    Ok((rewritten, proof))
}
