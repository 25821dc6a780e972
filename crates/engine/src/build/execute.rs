//! Walking the plan: a thread a stage, and the image that comes of the target's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use jettison_image::{Config, Digest};
use jettison_store::RemoteError;
use jettison_syntax::dockerfile::Dockerfile;
use jettison_syntax::ignore::Ignore;
use serde_json::{Value, json};

use super::error::{BuildError, FailedStep, StepError};
use super::model::{Built, BuiltStage, BuiltStep, Cancel, Request};
use super::session::Session;
use super::sources::Selected;
use super::stages::{Slots, Stages};
use super::state::State;
use super::time::rfc3339;
use crate::base::{BaseError, BaseImage, Resolver};
use crate::cache::{FileDigests, Import, Snapshot, StepRecord};
use crate::events::{End, Event, Observer, Vertex};
use crate::plan::{Base, Options, Plan, StagePlan, Step, StepKind, plan};

/// What all threads of a build share.
pub(crate) struct Cx<'b> {
    pub(crate) request: &'b Request,
    pub(crate) session: &'b Session,
    pub(crate) observer: &'b dyn Observer,
    pub(crate) cancel: &'b Cancel,
    pub(crate) plan: &'b Plan,
    pub(crate) resolver: &'b Resolver<'b>,
    pub(crate) stages: Stages,
    pub(crate) slots: Slots,
    pub(crate) ignore: Ignore,
    pub(crate) digests: FileDigests,
    /// Files of the context that are copied, by stage and step.
    pub(crate) selected: HashMap<(usize, usize), OnceLock<Selected>>,
    imports: Vec<Import>,
    next: &'b AtomicUsize,
    steps: Mutex<Vec<BuiltStep>>,
    keys: Mutex<Vec<Digest>>,
    failure: Mutex<Option<BuildError>>,
}

/// Builds the target.
///
/// # Errors
/// Where the Dockerfile cannot be built, a base is missing, or a step fails: the first of them, with its place.
pub fn build(
    request: &Request,
    session: &Session,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<Built, BuildError> {
    // A failed step stops this build, not whatever else the caller may stop.
    let cancel = &cancel.below();
    let tree = Dockerfile::from_bytes(request.dockerfile.clone());
    let next = AtomicUsize::new(1);
    let resolver = Resolver::new(request, session, observer, cancel, &next);
    let planned = plan(&tree, &options(request), &mut &resolver);
    if cancel.is_cancelled() {
        return Err(BuildError::Cancelled);
    }
    let plan = planned?;
    for message in &plan.warnings {
        observer.hear(Event::Warning { message: message.clone() });
    }
    let mut imports = Vec::new();
    for folder in &request.cache_from {
        if folder.exists() {
            imports.push(Import::open(folder)?);
        } else {
            // The first build of a series has none yet; the same command is to do.
            let message = format!("--cache-from {}: there is nothing yet", folder.display());
            observer.hear(Event::Warning { message });
        }
    }
    let cx = Cx {
        request,
        session,
        observer,
        cancel,
        plan: &plan,
        resolver: &resolver,
        stages: Stages::new(plan.stages.len()),
        slots: Slots::new(request.jobs),
        ignore: Ignore::parse(&request.context.ignore),
        digests: session.cache.digests(),
        selected: Cx::selections(&plan),
        imports,
        next: &next,
        steps: Mutex::default(),
        keys: Mutex::default(),
        failure: Mutex::default(),
    };
    thread::scope(|scope| {
        scope.spawn(|| cx.select_ahead());
        for (index, stage) in plan.stages.iter().enumerate().filter(|(_, stage)| stage.is_needed) {
            let cx = &cx;
            scope.spawn(move || {
                let state = cx.stage(index, stage);
                cx.stages.finish(index, state);
            });
        }
    });
    // What was learnt of the context's files is worth keeping also where the build failed.
    let saved = cx.digests.save();
    if let Some(failure) = cx.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(failure);
    }
    saved?;
    let state = cx.stages.wait(plan.target).ok_or(BuildError::Cancelled)?;
    cx.built(state)
}

impl Cx<'_> {
    /// A number for something that is shown.
    pub(crate) fn vertex(&self) -> Vertex {
        Vertex(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The time that the history states for what was made then.
    pub(crate) fn made_at(&self, created: i64) -> i64 {
        self.epoch().unwrap_or(created)
    }

    /// `SOURCE_DATE_EPOCH`.
    pub(crate) fn epoch(&self) -> Option<i64> {
        self.request.source_date_epoch.or(self.plan.source_date_epoch)
    }

    pub(crate) fn check_stopped(&self) -> Result<(), StepError> {
        if self.cancel.is_cancelled() { Err(StepError::Cancelled) } else { Ok(()) }
    }

    pub(crate) fn did(&self, step: BuiltStep) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// Remembers what the build stands on: what an exported cache holds.
    pub(crate) fn note_key(&self, key: Digest) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key);
    }

    /// Looks into the caches that were given.
    pub(crate) fn imported(&self, key: Digest) -> Result<Option<(StepRecord, Option<Snapshot>)>, StepError> {
        for import in &self.imports {
            if let Some(found) = import.step(&self.session.cache, key, self.session.ids)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn fail(&self, error: BuildError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        // What others report once the build is being stopped follows from the first failure.
        if failure.is_none() {
            *failure = Some(error);
        }
        self.cancel.cancel();
    }

    /// Builds a stage; `None` where it failed, which was noted.
    fn stage(&self, index: usize, stage: &StagePlan) -> Option<State> {
        let mut state = self.start(stage)?;
        let count = shown_steps(stage) + 1;
        let prefix = self.prefix(stage);
        let mut number = 1;
        for (at, step) in stage.steps.iter().enumerate() {
            number += usize::from(is_shown(step));
            let name = format!("[{prefix}{number}/{count}] {}", step.text);
            if let Err((error, output)) = self.advance((index, at), stage, step, &name, &mut state) {
                let (stage, lines, text) = (stage.name.clone(), step.lines, step.text.clone());
                self.fail(match error {
                    StepError::Cancelled => BuildError::Cancelled,
                    error => BuildError::Step(Box::new(FailedStep { stage, lines, text, output, error })),
                });
                return None;
            }
        }
        Some(state)
    }

    /// What a stage starts with.
    fn start(&self, stage: &StagePlan) -> Option<State> {
        match &stage.base {
            Base::Scratch => Some(State::scratch()),
            Base::Stage(other) => self.stages.wait(*other),
            Base::Image(name) => {
                let image = self.resolver.image(name, &stage.platform);
                match image {
                    Ok(image) => Some(self.announce(stage, image)),
                    Err(BaseError::Remote(RemoteError::Stopped)) => {
                        self.fail(BuildError::Cancelled);
                        None
                    }
                    Err(source) => {
                        self.fail(BuildError::Base { image: name.clone(), source: Box::new(source) });
                        None
                    }
                }
            }
            Base::Context(name) => match self.folder_as_base(stage, name) {
                Ok(state) => Some(state),
                Err(error) => {
                    let text = format!("FROM {name}");
                    let (stage, lines) = (stage.name.clone(), stage.lines);
                    self.fail(BuildError::Step(Box::new(FailedStep { stage, lines, text, output: Vec::new(), error })));
                    None
                }
            },
        }
    }

    /// How FROM is shown.
    pub(crate) fn name_of_from(&self, stage: &StagePlan, base: &str) -> String {
        format!("[{}1/{}] FROM {base}", self.prefix(stage), shown_steps(stage) + 1)
    }

    /// The stage's name in front of its steps' numbers, where there are several stages.
    fn prefix(&self, stage: &StagePlan) -> String {
        let several = self.plan.stages.iter().filter(|stage| stage.is_needed).count() > 1;
        let is_unnamed = stage.name.bytes().all(|byte| byte.is_ascii_digit());
        match (several, is_unnamed) {
            (false, _) => String::new(),
            (true, false) => format!("{} ", stage.name),
            // As BuildKit names them: a number alone would look like a step's.
            (true, true) => format!("stage-{} ", stage.name),
        }
    }

    fn announce(&self, stage: &StagePlan, image: Arc<BaseImage>) -> State {
        let vertex = self.vertex();
        let name = Arc::from(self.name_of_from(stage, &image.name));
        self.observer.hear(Event::Started { vertex, name });
        let end = if image.is_unpacked(&self.session.cache) { End::Cached } else { End::Done };
        self.observer.hear(Event::Finished { vertex, end, took: std::time::Duration::ZERO });
        State::of_image(image)
    }

    /// The image that the target's state is.
    fn built(self, state: State) -> Result<Built, BuildError> {
        let mut document = self.plan.stages[self.plan.target].settings.0.clone();
        // A base alone keeps its own time.
        let created = self.epoch().unwrap_or(state.created);
        if created != 0 || self.epoch().is_some() {
            document.insert("created".to_owned(), Value::from(rfc3339(created)));
        }
        let base_ids: Vec<String> =
            state.base.iter().flat_map(|base| base.image.config.diff_ids().iter().map(ToString::to_string)).collect();
        document.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": base_ids }));
        document.insert("history".to_owned(), serde_json::to_value(&state.history).unwrap_or_default());
        let text = serde_json::to_vec(&document).unwrap_or_default();
        let config = Config::parse(&text)?;
        let steps = self.steps.into_inner().unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (base, own, cache) = (state.base, state.own, self.session.cache.clone());
        let stages = self.plan.stages.iter().map(|stage| BuiltStage {
            name: stage.name.clone(),
            lines: stage.lines,
            base: stage.base.clone(),
            is_needed: stage.is_needed,
            prepared_in: match &stage.base {
                // It was found before, or the build would have ended there.
                Base::Image(name) if stage.is_needed => {
                    self.resolver.image(name, &stage.platform).ok().map(|image| image.prepared_in())
                }
                _ => None,
            },
        });
        let (stages, target) = (stages.collect(), self.plan.target);
        Ok(Built { base, own, cache, ids: self.session.ids, config, steps, stages, target, keys })
    }
}

/// Steps that have a number.
fn is_shown(step: &Step) -> bool {
    !matches!(step.kind, StepKind::Settings)
}

fn shown_steps(stage: &StagePlan) -> usize {
    stage.steps.iter().filter(|step| is_shown(step)).count()
}

/// What of a request the reading of the Dockerfile needs.
pub(crate) fn options(request: &Request) -> Options {
    Options {
        build_args: request.build_args.clone(),
        target: request.target.clone(),
        platform: request.platform.clone(),
        build_platform: super::platform::own(),
        labels: request.labels.iter().cloned().collect(),
        default_network: request.network,
    }
}
