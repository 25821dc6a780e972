//! `jettison build --prove`: the Dockerfile's release form is built in place of the Dockerfile, as far as it is proven.

use anyhow::Result;
use jettison_engine::build::{Cancel, Request};
use jettison_ir::Proof;
use jettison_ir::source::{Goal, RunStyle, SourceOptions};
use jettison_passes::Selection;
use jettison_syntax::dockerfile::Dockerfile;

use super::run::Engine;
use crate::cli::Build;
use crate::context::{ignore_file, is_used, walk};
use crate::dockerfile;
use crate::printer::Printer;
use crate::proving::{Inputs as _, Prover, prove};
use crate::rewriting::Rewriting;

/// The build of the proven form, and the proof; none where nothing is to be changed.
pub(crate) fn release_form(
    args: &Build,
    request: Request,
    engine: &dyn Engine,
    cancel: &Cancel,
    printer: &Printer,
) -> Result<(Request, Option<Proof>)> {
    let tree = Dockerfile::from_bytes(request.dockerfile.clone());
    dockerfile::accept(&request.dockerfile_name, &tree)?;
    let walked = match &request.context.folder {
        Some(folder) if is_used(&tree) => Some(walk(folder, &ignore_file(args.file.as_deref(), folder))?),
        _ => None,
    };
    let options = SourceOptions {
        level: args.level,
        goal: Goal::Release,
        style: RunStyle::Operators,
        denied: args.passes.skip.clone(),
    };
    // Which passes run alone is said of those on images.
    let selection = Selection { skip: args.passes.skip.clone(), ..crate::pipeline::all(args.level) };
    let context = walked.as_ref().and_then(|walked| walked.context.as_ref());
    let rewriting = Rewriting { tree: &tree, context, options, selection };
    let (wish, progress) = (rewriting.wish(), args.results.progress);
    let prover = Prover {
        engine,
        request: &request,
        wish: &wish,
        cancel,
        progress,
        printer,
        hints_at_shell: !args.run.debug_shell,
        replay: None,
    };
    let (rewritten, proof) = prove(&prover, &|known| rewriting.again(known))?;
    if proof.is_none() {
        printer.say(&format!("proof: {} has nothing to prove at {}", request.dockerfile_name, args.level));
        return Ok((request, None));
    }
    let debug_shell = request.debug_shell;
    Ok((Request { debug_shell, ..rewritten.request(&request) }, proof))
}
