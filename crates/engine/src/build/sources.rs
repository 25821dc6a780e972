//! Which files a step takes from where: the context, named contexts, stages, images.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jettison_image::Digest;
use jettison_store::RemoteError;
use jettison_store::http::Limits;
use jettison_syntax::ignore::Ignore;

use super::Transfer;
use super::error::StepError;
use super::execute::Cx;
use super::keys;
use super::model::{ContextFolder, NamedContext};
use super::state::State;
use super::step::Doing;
use crate::base::BaseError;
use crate::files::{self, FetchOptions, Fetched, Ownership, Selection, Source};
use crate::plan::{Copy, CopySource, Plan, StepKind};

/// Files of the context, looked up ahead; `None` where that failed: the step says why.
pub(crate) type Selected = Option<Arc<Selection>>;

impl Cx<'_> {
    /// Places for what is looked up ahead.
    pub(crate) fn selections(plan: &Plan) -> HashMap<(usize, usize), OnceLock<Selected>> {
        let mut places = HashMap::new();
        for (stage, planned) in plan.stages.iter().enumerate().filter(|(_, stage)| stage.is_needed) {
            for (at, step) in planned.steps.iter().enumerate() {
                let is_local = |copy: &Copy| copy.from == CopySource::Context && !files::is_remote(copy);
                if matches!(&step.kind, StepKind::Copy(copy) if is_local(copy)) {
                    places.insert((stage, at), OnceLock::new());
                }
            }
        }
        places
    }

    /// Looks up the context's files while the first steps run.
    pub(crate) fn select_ahead(&self) {
        let mut places: Vec<_> = self.selected.iter().collect();
        places.sort_unstable_by_key(|(place, _)| **place);
        for ((stage, at), place) in places {
            if self.cancel.is_cancelled() {
                return;
            }
            if let StepKind::Copy(copy) = &self.plan.stages[*stage].steps[*at].kind {
                place.get_or_init(|| self.select_in_folder(copy, &[]).ok().map(Arc::new));
            }
        }
    }

    /// The digest of what a copy takes. Of trees that did not change it is remembered.
    pub(crate) fn content(&self, doing: &Doing<'_>, copy: &Copy) -> Result<Digest, StepError> {
        let tree = match &copy.from {
            CopySource::Context | CopySource::Named(_) => None,
            CopySource::Stage(_) | CopySource::Image(_) => Some(self.source_state(doing, &copy.from)?),
        };
        let key = tree.map(|tree| keys::selection(tree.id, &tree.parents(), copy));
        if let Some(key) = key
            && let Some(digest) = self.session.cache.value(key).and_then(|bytes| bytes.try_into().ok().map(Digest))
        {
            return Ok(digest);
        }
        let digest = self.with_selection(doing, copy, |selection| Ok(selection.digest()))?;
        if let Some(key) = key {
            self.session.cache.set_value(key, &digest.0)?;
        }
        Ok(digest)
    }

    /// Selects what a copy takes and has it used while the tree that it is in is mounted.
    pub(crate) fn with_selection<T>(
        &self,
        doing: &Doing<'_>,
        copy: &Copy,
        use_it: impl FnOnce(&Selection) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        match &copy.from {
            CopySource::Context | CopySource::Named(_) => match self.selected.get(&doing.place) {
                Some(place) if doing.is_own(copy) => {
                    match place.get_or_init(|| self.select_in_folder(copy, &[]).ok().map(Arc::new)) {
                        Some(selection) => use_it(selection),
                        None => use_it(&self.select_in_folder(copy, &[])?),
                    }
                }
                _ if files::is_remote(copy) => use_it(&self.select_in_folder(copy, self.fetched(doing, copy)?)?),
                _ => use_it(&self.select_in_folder(copy, &[])?),
            },
            CopySource::Stage(_) | CopySource::Image(_) => {
                let folders = self.source_folders(doing, &copy.from)?;
                let work = self.session.cache.work()?;
                let view = self.session.snapshotter.view(&folders, work.path())?;
                let source = Source {
                    root: Some(view.root()),
                    ignore: None,
                    owners: Ownership::Kept,
                    fetched: &[],
                    ids: self.session.ids,
                };
                let selection = files::select(copy, &source, &self.digests)?;
                let result = use_it(&selection);
                // The view goes before the folder that it lies in.
                drop((view, work));
                result
            }
        }
    }

    /// Selects from a folder of the host, of which the ignore file leaves out some.
    fn select_in_folder(&self, copy: &Copy, fetched: &[Fetched]) -> Result<Selection, StepError> {
        let parsed;
        let (folder, ignore) = match &copy.from {
            CopySource::Named(name) => match self.request.contexts.get(name) {
                Some(NamedContext::Folder(context)) => {
                    parsed = Ignore::parse(&context.ignore);
                    (context, &parsed)
                }
                _ => return Err(StepError::NoContext { name: name.clone() }),
            },
            _ => (&self.request.context, &self.ignore),
        };
        let ContextFolder { folder, .. } = folder;
        let source = Source {
            root: folder.as_deref(),
            ignore: Some(ignore),
            owners: Ownership::Root,
            ids: self.session.ids,
            fetched,
        };
        Ok(files::select(copy, &source, &self.digests)?)
    }

    /// What ADD names by URL or as a repository, fetched once for a step.
    fn fetched<'d>(&self, doing: &'d Doing<'_>, copy: &Copy) -> Result<&'d [Fetched], StepError> {
        if let Some((_, fetched)) = doing.fetched.get() {
            return Ok(fetched);
        }
        let work = self.session.cache.work()?;
        let transfer = Transfer::new(self.cancel, self.observer, doing.vertex);
        let download = files::Http { limits: Limits::default(), progress: &transfer };
        let options = FetchOptions {
            folder: work.path(),
            offline: self.request.offline,
            download: &download,
            cancel: self.cancel,
        };
        let fetched = files::fetch(copy, &options)?;
        Ok(&doing.fetched.get_or_init(|| (work, fetched)).1)
    }

    /// The state of the stage or image that files come from.
    pub(crate) fn source_state(&self, doing: &Doing<'_>, from: &CopySource) -> Result<State, StepError> {
        match from {
            CopySource::Stage(stage) => self.stages.wait(*stage).ok_or(StepError::Cancelled),
            CopySource::Image(name) => {
                let image = self.resolver.image(name, &doing.stage.platform);
                let image = image.map_err(|source| match source {
                    BaseError::Remote(RemoteError::Stopped) => StepError::Cancelled,
                    source => StepError::Base { image: name.clone(), source: Box::new(source) },
                })?;
                Ok(State::of_image(image))
            }
            CopySource::Context | CopySource::Named(_) => Ok(State::scratch()),
        }
    }

    /// The folders that a stage's or image's tree is made of.
    pub(crate) fn source_folders(&self, doing: &Doing<'_>, from: &CopySource) -> Result<Vec<PathBuf>, StepError> {
        self.folders(&self.source_state(doing, from)?)
    }

    /// The folders that a state's tree is made of.
    pub(crate) fn folders(&self, state: &State) -> Result<Vec<PathBuf>, StepError> {
        state.folders(&self.session.cache, self.session.ids).map_err(|source: BaseError| StepError::Base {
            image: state.base.as_ref().map(|base| base.name.clone()).unwrap_or_default(),
            source: Box::new(source),
        })
    }
}
