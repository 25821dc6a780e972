//! One step: its result from the cache, or made now and kept there.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jettison_image::Digest;

use super::error::StepError;
use super::execute::Cx;
use super::model::{BuiltStep, Outcome};
use super::state::{OwnLayer, State};
use super::time::now;
use crate::cache::{Snapshot, StepRecord, Work};
use crate::events::{End, Event, Vertex};
use crate::files::Fetched;
use crate::plan::{Copy, CopySource, FileMountKind, StagePlan, Step, StepKind};
use crate::trace::Trace;

/// What making a step's result gave: a snapshot, or nothing where nothing changed.
pub(crate) struct Made {
    pub(crate) snapshot: Option<Snapshot>,
}

/// A step's result.
pub(crate) struct Kept {
    pub(crate) key: Digest,
    /// When it was made, in seconds since 1970.
    pub(crate) created: i64,
    /// What it changed; none where it changed nothing.
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) outcome: Outcome,
    /// How long it took to make.
    pub(crate) made_in: Duration,
}

/// A step on its way.
pub(crate) struct Doing<'d> {
    /// Its stage's number, and its own within that.
    pub(crate) place: (usize, usize),
    pub(crate) stage: &'d StagePlan,
    pub(crate) step: &'d Step,
    pub(crate) vertex: Vertex,
    pub(crate) state: &'d State,
    /// What it wrote last, for the report of a failure.
    pub(crate) output: Vec<u8>,
    /// For how long it waited for other commands to end, and for its base to be unpacked.
    pub(crate) waited: Duration,
    /// What it fetched, and where that lies.
    pub(crate) fetched: OnceCell<(Work, Vec<Fetched>)>,
}

impl Cx<'_> {
    /// Takes a stage one step further.
    pub(crate) fn advance(
        &self,
        place: (usize, usize),
        stage: &StagePlan,
        step: &Step,
        name: &str,
        state: &mut State,
    ) -> Result<(), (StepError, Vec<u8>)> {
        if matches!(step.kind, StepKind::Settings) {
            state.note(&step.history, self.made_at(state.created), true);
            return Ok(());
        }
        // A step that waits for another stage has not begun; where that failed there is nothing to begin.
        for other in needed_stages(&step.kind) {
            self.stages.wait(other).ok_or((StepError::Cancelled, Vec::new()))?;
        }
        let vertex = self.vertex();
        let start = Instant::now();
        let mut doing = Doing {
            place,
            stage,
            step,
            vertex,
            state,
            output: Vec::new(),
            waited: Duration::ZERO,
            fetched: OnceCell::new(),
        };
        self.observer.hear(Event::Started { vertex, name: Arc::from(name) });
        let result = self.result_of(&mut doing);
        let (output, waited) = (doing.output, doing.waited);
        let took = start.elapsed();
        let end = match &result {
            Ok(Kept { outcome: Outcome::Cached, .. }) => End::Cached,
            Ok(Kept { outcome: Outcome::Done, .. }) => End::Done,
            Err(StepError::Cancelled) => End::Cancelled,
            Err(error) => End::Failed(error.to_string()),
        };
        self.observer.hear(Event::Finished { vertex, end, took });
        let Kept { key, created, snapshot, outcome, made_in } = result.map_err(|error| (error, output))?;
        let trace = snapshot.as_ref().and_then(|snapshot| snapshot.trace().ok().flatten()).map(Arc::new);
        self.did(BuiltStep {
            number: vertex.0,
            key,
            stage: stage.name.clone(),
            lines: step.lines,
            text: step.text.clone(),
            outcome,
            took: took.saturating_sub(waited),
            made_in,
            trace: trace.filter(|_| self.request.trace),
        });
        state.id = key;
        state.note(&step.history, self.made_at(created), snapshot.is_none());
        let own = |snapshot| OwnLayer { snapshot, instruction: step.text.clone(), step: vertex.0 };
        state.own.extend(snapshot.map(own));
        Ok(())
    }

    fn result_of(&self, doing: &mut Doing<'_>) -> Result<Kept, StepError> {
        self.check_stopped()?;
        match &doing.step.kind {
            StepKind::Run(run) => self.run(doing, run),
            StepKind::Copy(copy) => self.copy(doing, copy),
            StepKind::Workdir(path) => self.workdir(doing, path),
            StepKind::Settings => {
                let (key, created) = (doing.state.id, doing.state.created);
                Ok(Kept { key, created, snapshot: None, outcome: Outcome::Cached, made_in: Duration::ZERO })
            }
        }
    }

    /// The result under `key`: from the cache, from one that was given, or made now. Whoever makes it first, in this
    /// process or another, makes it for all. A result counts only upon the very snapshots in `parents`: a key says how
    /// those were made, and what is made twice in one way need not be the same.
    pub(crate) fn cached(
        &self,
        doing: &mut Doing<'_>,
        (key, parents): (Digest, Vec<String>),
        wants_trace: bool,
        make: impl FnOnce(&mut Doing<'_>) -> Result<Made, StepError>,
    ) -> Result<Kept, StepError> {
        let cache = &self.session.cache;
        let may_reuse = !self.request.no_cache && !self.request.no_cache_stages.contains(&doing.stage.name);
        if may_reuse && let Some(kept) = self.hit(key, &parents, wants_trace)? {
            return Ok(kept);
        }
        let _lock = cache.lock(key)?;
        if may_reuse && let Some(kept) = self.hit(key, &parents, wants_trace)? {
            return Ok(kept);
        }
        let (start, waited) = (Instant::now(), doing.waited);
        // That is the base's time, not the first step's upon it.
        self.folders(doing.state)?;
        doing.waited += start.elapsed();
        let made = make(doing)?;
        let made_in = start.elapsed().saturating_sub(doing.waited.saturating_sub(waited));
        let record = StepRecord {
            snapshot: made.snapshot.as_ref().map(|snapshot| snapshot.id().to_owned()),
            parents,
            created: now(),
            took_ms: u64::try_from(made_in.as_millis()).unwrap_or(u64::MAX),
            is_base: false,
        };
        cache.record(key, &record)?;
        self.note_key(key);
        Ok(Kept { key, created: record.created, snapshot: made.snapshot, outcome: Outcome::Done, made_in })
    }

    fn hit(&self, key: Digest, parents: &[String], wants_trace: bool) -> Result<Option<Kept>, StepError> {
        let cache = &self.session.cache;
        let fits = |found: &(StepRecord, Option<Snapshot>)| found.0.parents == parents;
        let found = match cache.step(key).filter(fits) {
            Some(found) => Some(found),
            None => self.imported(key)?.filter(fits),
        };
        let Some((record, snapshot)) = found else { return Ok(None) };
        let is_traced = |snapshot: &Snapshot| snapshot.trace().is_ok_and(|trace: Option<Trace>| trace.is_some());
        if wants_trace && !snapshot.as_ref().is_some_and(is_traced) {
            return Ok(None);
        }
        self.note_key(key);
        let made_in = Duration::from_millis(record.took_ms);
        Ok(Some(Kept { key, created: record.created, snapshot, outcome: Outcome::Cached, made_in }))
    }
}

impl Doing<'_> {
    /// Whether `copy` is the step itself rather than one that it is made of.
    pub(crate) fn is_own(&self, copy: &Copy) -> bool {
        matches!(&self.step.kind, StepKind::Copy(own) if std::ptr::eq(own, copy))
    }
}

/// The stages that a step takes files from.
fn needed_stages(kind: &StepKind) -> Vec<usize> {
    let of = |source: &CopySource| match source {
        CopySource::Stage(stage) => Some(*stage),
        _ => None,
    };
    match kind {
        StepKind::Copy(copy) => of(&copy.from).into_iter().collect(),
        StepKind::Run(run) => {
            let froms = run.mounts.iter().filter_map(|mount| match &mount.kind {
                FileMountKind::Bind { from, .. } => of(from),
                _ => None,
            });
            froms.collect()
        }
        _ => Vec::new(),
    }
}

/// The step that FROM is where a folder of the host takes an image's place.
pub(crate) fn of_folder(stage: &StagePlan, name: &str, copy: Copy) -> Step {
    let text = format!("FROM {name}");
    Step {
        lines: stage.lines,
        span: 0..0,
        history: text.clone(),
        text,
        user: String::new(),
        kind: StepKind::Copy(copy),
    }
}
