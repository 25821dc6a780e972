//! COPY, ADD and WORKDIR: files put into the stage's tree.

use std::collections::HashMap;
use std::path::Path;

use super::error::StepError;
use super::execute::Cx;
use super::keys;
use super::state::State;
use super::step::{Doing, Kept, Made};
use crate::files;
use crate::files::Target;
use crate::ids::Owners;
use crate::plan::{Copy, CopySource, StagePlan};
use crate::sandbox::users;

impl Cx<'_> {
    pub(crate) fn copy(&self, doing: &mut Doing<'_>, copy: &Copy) -> Result<Kept, StepError> {
        let content = self.content(doing, copy)?;
        let key = keys::copy(doing.state.id, copy, content);
        self.cached(doing, (key, doing.state.parents()), false, |doing| {
            // Names of owners are looked up in what lies below, so that such a layer is not independent of it.
            let is_named = |name: &String| name.parse::<u32>().is_err();
            let looks_up = copy
                .chown
                .as_ref()
                .is_some_and(|owner| is_named(&owner.user) || owner.group.as_ref().is_some_and(is_named));
            if !files::is_independent(copy) || looks_up {
                return self.make_copy(doing, copy);
            }
            let linked = keys::linked(copy, content);
            // It lies upon nothing.
            let kept = self.cached(doing, (linked, Vec::new()), false, |doing| self.make_copy(doing, copy))?;
            Ok(Made { snapshot: kept.snapshot })
        })
    }

    fn make_copy(&self, doing: &mut Doing<'_>, copy: &Copy) -> Result<Made, StepError> {
        let work = self.session.cache.work()?;
        let below = self.folders(doing.state)?;
        // A linked copy has no tree below it.
        let is_independent = files::is_independent(copy);
        let folders = if is_independent { &[][..] } else { &below[..] };
        let workspace = self.session.snapshotter.workspace(folders, work.path())?;
        let owner = match &copy.chown {
            None => None,
            Some(owner) if is_independent => {
                let names = self.session.cache.work()?;
                let view = self.session.snapshotter.view(&below, names.path())?;
                let owner = users::owner(view.root(), owner)?;
                drop((view, names));
                Some(owner)
            }
            Some(owner) => Some(users::owner(workspace.root(), owner)?),
        };
        let target = Target { observer: Some((self.observer, doing.vertex)), ..self.target(workspace.root(), owner) };
        let applied = self.with_selection(doing, copy, |selection| Ok(files::apply(selection, copy, &target)?))?;
        let layer = workspace.finish(&applied.digests, &applied.owners)?;
        Ok(Made { snapshot: Some(self.session.cache.adopt(work, &layer, None)?) })
    }

    pub(crate) fn workdir(&self, doing: &mut Doing<'_>, path: &str) -> Result<Kept, StepError> {
        let key = keys::workdir(doing.state.id, path, &doing.step.user);
        self.cached(doing, (key, doing.state.parents()), false, |doing| {
            let work = self.session.cache.work()?;
            let workspace = self.session.snapshotter.workspace(&self.folders(doing.state)?, work.path())?;
            let user = &doing.step.user;
            let user = if user.is_empty() { None } else { Some(users::find(workspace.root(), user)?) };
            let owner = user.map(|user| (user.uid, user.gid));
            files::make_folder(path, &self.target(workspace.root(), owner))?;
            let layer = workspace.finish(&HashMap::new(), &Owners::default())?;
            if layer.entries.is_empty() {
                return Ok(Made { snapshot: None });
            }
            Ok(Made { snapshot: Some(self.session.cache.adopt(work, &layer, None)?) })
        })
    }

    /// A folder of the host as what a stage starts with.
    pub(crate) fn folder_as_base(&self, stage: &StagePlan, name: &str) -> Result<State, StepError> {
        /// The step is none of the plan's.
        const NOWHERE: (usize, usize) = (usize::MAX, usize::MAX);
        let mut state = State::scratch();
        let copy = super::mounts::whole(&CopySource::Named(name.to_owned()), "/", "/");
        let step = super::step::of_folder(stage, name, copy);
        let shown = self.name_of_from(stage, name);
        self.advance(NOWHERE, stage, &step, &shown, &mut state).map_err(|(error, _)| error)?;
        Ok(state)
    }

    /// Where files are written, and how.
    pub(crate) fn target<'t>(&'t self, root: &'t Path, owner: Option<(u32, u32)>) -> Target<'t> {
        Target { root, owner, ids: self.session.ids, time: self.epoch(), observer: None, cancel: self.cancel }
    }
}
