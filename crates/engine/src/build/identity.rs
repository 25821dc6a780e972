//! What a build depends on, as one digest, told without running a step.

use std::sync::atomic::AtomicUsize;

use jettison_image::Digest;
use jettison_syntax::dockerfile::Dockerfile;
use jettison_syntax::ignore::Ignore;

use super::error::BuildError;
use super::execute::options;
use super::model::{Cancel, ContextFolder, NamedContext, Request};
use super::mounts::whole;
use super::session::Session;
use crate::base::Resolver;
use crate::cache::FileDigests;
use crate::events::Observer;
use crate::files::{self, Ownership, Source};
use crate::plan::{Base, Copy, CopySource, FileMountKind, Plan, StagePlan, StepKind, plan};

/// Changes when the digest covers other things than before.
const VERSION: u32 = 1;

/// The digest of the Dockerfile, the arguments, the base images and the files of contexts that a build uses. None where
/// it uses something that only the building itself brings here, or a file is missing.
///
/// # Errors
/// Where the Dockerfile cannot be built or a base is missing.
pub fn identify(
    request: &Request,
    session: &Session,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<Option<Digest>, BuildError> {
    let tree = Dockerfile::from_bytes(request.dockerfile.clone());
    // What is pulled is numbered for an observer that hears of this alone.
    let next = AtomicUsize::new(1);
    let resolver = Resolver::new(request, session, observer, cancel, &next);
    let plan = plan(&tree, &options(request), &mut &resolver)?;
    let identifying = Identifying { request, session, resolver: &resolver, digests: session.cache.digests() };
    let parts = identifying.plan(&plan)?;
    identifying.digests.save()?;
    let arguments = (&request.build_args, &request.target, request.platform.to_string(), &request.labels);
    let surroundings = (&request.extra_hosts, request.network, request.source_date_epoch);
    let described =
        parts.map(|parts| (VERSION, Digest::of(&request.dockerfile).to_string(), arguments, surroundings, parts));
    Ok(described.map(|described| Digest::of(&serde_json::to_vec(&described).unwrap_or_default())))
}

struct Identifying<'i> {
    request: &'i Request,
    session: &'i Session,
    resolver: &'i Resolver<'i>,
    digests: FileDigests,
}

impl Identifying<'_> {
    /// What the needed stages take from elsewhere; none where that is not known.
    fn plan(&self, plan: &Plan) -> Result<Option<Vec<String>>, BuildError> {
        let mut parts = Vec::new();
        for stage in plan.stages.iter().filter(|stage| stage.is_needed) {
            let base = match &stage.base {
                Base::Image(name) => Some(self.image(name, stage)?),
                Base::Context(name) => self.files(&whole(&CopySource::Named(name.clone()), "/", "/")),
                Base::Scratch | Base::Stage(_) => Some(String::new()),
            };
            let Some(base) = base else { return Ok(None) };
            parts.push(base);
            for copy in stage.steps.iter().flat_map(|step| copies(&step.kind)) {
                let part = match &copy.from {
                    CopySource::Image(name) => Some(self.image(name, stage)?),
                    CopySource::Stage(_) => Some(String::new()),
                    CopySource::Context | CopySource::Named(_) => self.files(&copy),
                };
                let Some(part) = part else { return Ok(None) };
                parts.push(part);
            }
        }
        Ok(Some(parts))
    }

    /// An image's layers and settings.
    fn image(&self, name: &str, stage: &StagePlan) -> Result<String, BuildError> {
        let image = self
            .resolver
            .image(name, &stage.platform)
            .map_err(|source| BuildError::Base { image: name.to_owned(), source: Box::new(source) })?;
        Ok(Digest::of(&image.image.config.to_json()).to_string())
    }

    /// The files of a folder of the host that a copy takes.
    fn files(&self, copy: &Copy) -> Option<String> {
        if files::is_remote(copy) {
            return None;
        }
        let context = match &copy.from {
            CopySource::Named(name) => match self.request.contexts.get(name)? {
                NamedContext::Folder(context) => context,
                NamedContext::Image(_) => return None,
            },
            _ => &self.request.context,
        };
        let ContextFolder { folder, ignore } = context;
        let ignore = Ignore::parse(ignore);
        let source = Source {
            root: folder.as_deref(),
            ignore: Some(&ignore),
            owners: Ownership::Root,
            ids: self.session.ids,
            fetched: &[],
        };
        Some(files::select(copy, &source, &self.digests).ok()?.digest().to_string())
    }
}

/// What a step takes from elsewhere, as copies.
fn copies(kind: &StepKind) -> Vec<Copy> {
    match kind {
        StepKind::Copy(copy) => vec![copy.clone()],
        StepKind::Run(run) => {
            let mounted = run.mounts.iter().filter_map(|mount| match &mount.kind {
                FileMountKind::Bind { from, source } => Some(whole(from, source, "/")),
                FileMountKind::Cache { from: Some((from, source)), .. } => Some(whole(from, source, "/")),
                _ => None,
            });
            mounted.collect()
        }
        StepKind::Workdir(_) | StepKind::Settings => Vec::new(),
    }
}
