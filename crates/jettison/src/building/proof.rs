//! `jettison build --prove`: the Dockerfile's release form is built in place of the Dockerfile, as far as it is proven.

use std::cell::RefCell;
use std::collections::HashSet;

use anyhow::Result;
use jettison_engine::build::{Cancel, Request};
use jettison_image::Digest;
use jettison_ir::source::{Goal, RunStyle, SourceOptions};
use jettison_ir::{Level, Proof};
use jettison_passes::{Rewritten, Selection};
use jettison_syntax::dockerfile::Dockerfile;

use super::run::Engine;
use crate::cli::Build;
use crate::context::{Walked, ignore_file, is_used, walk};
use crate::dockerfile;
use crate::printer::Printer;
use crate::proving::{Inputs as _, Prover, Smoke, prove};
use crate::rewriting::Rewriting;

/// A build's Dockerfile and the names of its context, as passes look at them.
pub(crate) struct Looked {
    tree: Dockerfile,
    walked: Option<Walked>,
}

impl Looked {
    pub(crate) fn read(args: &Build, request: &Request) -> Result<Self> {
        let tree = Dockerfile::from_bytes(request.dockerfile.clone());
        dockerfile::accept(&request.dockerfile_name, &tree)?;
        let walked = match &request.context.folder {
            Some(folder) if is_used(&tree) => Some(walk(folder, &ignore_file(args.file.as_deref(), folder))?),
            _ => None,
        };
        Ok(Self { tree, walked })
    }

    /// Without the context's names.
    pub(crate) fn text_of(request: &Request) -> Self {
        Self { tree: Dockerfile::from_bytes(request.dockerfile.clone()), walked: None }
    }

    /// The rewriting to the release form at a level.
    pub(crate) fn rewriting(&self, args: &Build, level: Level) -> Rewriting<'_> {
        let denied = args.passes.skip.clone();
        let options = SourceOptions { level, goal: Goal::Release, style: RunStyle::Operators, denied };
        // Which passes run alone is said of those on images.
        let selection = Selection { skip: args.passes.skip.clone(), ..crate::pipeline::all(level) };
        let context = self.walked.as_ref().and_then(|walked| walked.context.as_ref());
        Rewriting { tree: &self.tree, context, options, selection }
    }
}

/// The form that is built in place of the Dockerfile.
pub(crate) struct ReleaseForm {
    pub(crate) rewritten: Rewritten,
    /// The proof; none where nothing is to be changed.
    pub(crate) proof: Option<Proof>,
    /// The keys of the steps that the proof's builds did.
    pub(crate) done: HashSet<Digest>,
}

/// Proves the release form, and says how it is built.
pub(crate) fn release_form(
    args: &Build,
    request: &Request,
    engine: &dyn Engine,
    cancel: &Cancel,
    printer: &Printer,
) -> Result<(Request, ReleaseForm)> {
    let looked = Looked::read(args, request)?;
    let rewriting = looked.rewriting(args, args.level);
    let smoke = Smoke::all(&args.smoke)?;
    let (wish, progress) = (rewriting.wish(), args.results.progress);
    let prover = Prover {
        engine,
        request,
        wish: &wish,
        weighs_packages: rewriting.weighs_packages(),
        smoke: &smoke,
        stage: None,
        cancel,
        progress,
        printer,
        hints_at_shell: !args.run.debug_shell,
        replay: None,
        done: RefCell::default(),
    };
    let (rewritten, proof) = prove(&prover, &|known| rewriting.again(known))?;
    let done = prover.done.take();
    let form = match proof.is_some() {
        true => Request { debug_shell: request.debug_shell, ..rewritten.request(request) },
        false => {
            printer.say(&format!("proof: {} has nothing to prove at {}", request.dockerfile_name, args.level));
            request.clone()
        }
    };
    Ok((form, ReleaseForm { rewritten, proof, done }))
}
