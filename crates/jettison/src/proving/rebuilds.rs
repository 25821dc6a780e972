//! How long rebuilds take after the last commits, by several forms of a Dockerfile: each is built at one commit after the
//! other, in a cache of its own, so that none has anything from another one or from earlier builds.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jettison_engine::build::{Built, Cancel, Outcome, Request};
use jettison_engine::files::git::{Commit, contents};
use jettison_engine::ids::Ids;
use jettison_ir::{Evidence, Gain, Measured, Rebuild, Weighed, Withdrawal, Work};
use jettison_passes::{Found, Rewritten};
use jettison_syntax::dockerfile::{Arguments, Dockerfile, Instruction, Kind};
use tempfile::TempDir;

use super::{Inputs as _, Proving, REORDERER, withdrawn};
use crate::building::embedded::Embedded;
use crate::building::progress::Progress;
use crate::building::run::{Engine as _, Unfinished};
use crate::cli::{ProgressArg, SnapshotterArg};
use crate::folders::images;
use crate::rewriting::Known;

/// The most commits that are built.
const MOST_COMMITS: usize = 10;
/// No build is started after this time, and no command runs longer.
const MOST_TIME: Duration = Duration::from_secs(600);
/// What is saved counts from this part of the time on,
const LEAST_PART: u64 = 20;
/// and from so many milliseconds a rebuild: two runs of the same differ by as much.
const LEAST_MILLISECONDS: u64 = 10;

/// What rebuilds are measured over, and where.
pub(crate) struct Replay<'r> {
    /// The context's folder.
    pub(crate) folder: &'r Path,
    /// The last commits that changed it, the newest first.
    pub(crate) commits: &'r [Commit],
    /// The cache's folder, for caches that are removed again.
    pub(crate) place: &'r Path,
    pub(crate) snapshotter: SnapshotterArg,
    pub(crate) ids: Ids,
}

/// A form of the Dockerfile, and the cache that it alone uses.
struct Builder {
    request: Request,
    engine: Embedded,
    /// Removes the cache, after the engine has closed it.
    _cache: TempDir,
}

/// What rebuilds took: of each commit, the oldest first, by each form.
struct Replayed {
    rebuilds: Vec<(String, Vec<Work>)>,
    /// Why there are not more.
    problem: Option<String>,
}

impl Replay<'_> {
    /// Builds the forms at each commit; `anew` are arguments that get the commit's name.
    fn measure(&self, forms: Vec<Request>, anew: &BTreeSet<String>, cancel: &Cancel) -> Result<Replayed> {
        let start = Instant::now();
        let builders: Vec<Builder> = forms.into_iter().map(|form| self.builder(form)).collect::<Result<_>>()?;
        let commits = &self.commits[..self.commits.len().min(MOST_COMMITS)];
        let first = commits.last().and_then(|oldest| oldest.parent.as_deref());
        let ids: Vec<&str> = first.into_iter().chain(commits.iter().rev().map(|commit| commit.id.as_str())).collect();
        let mut measured = Replayed { rebuilds: Vec::new(), problem: None };
        let mut is_filled = false;
        for (number, id) in ids.into_iter().enumerate() {
            let Some(left) = MOST_TIME.checked_sub(start.elapsed()) else {
                measured.problem = Some(format!("the time of {} s is used up", MOST_TIME.as_secs()));
                break;
            };
            match self.at(id, &builders, anew, (number, left), cancel)? {
                Ok(work) if is_filled => measured.rebuilds.push((id.to_owned(), work)),
                // What the first one takes is no rebuild.
                Ok(_) => is_filled = true,
                Err(problem) => measured.problem = Some(format!("{}: {problem}", short(id))),
            }
        }
        Ok(measured)
    }

    /// What the forms take at a commit; in another order each time, so that none is always the first one. Or why one of
    /// them cannot be built there.
    fn at(
        &self,
        id: &str,
        builders: &[Builder],
        anew: &BTreeSet<String>,
        (number, left): (usize, Duration),
        cancel: &Cancel,
    ) -> Result<Result<Vec<Work>, String>> {
        let folder = tempfile::Builder::new().prefix("context-").tempdir_in(self.place);
        let folder = folder.context("cannot write in the cache")?;
        let context = folder.path().join("context");
        std::fs::create_dir(&context).context("cannot write in the cache")?;
        if let Err(error) = contents(self.folder, id, &context, cancel) {
            return Ok(Err(error.to_string()));
        }
        let mut work = vec![Work::default(); builders.len()];
        for place in (0..builders.len()).map(|place| (place + number) % builders.len()) {
            let Builder { request, engine, .. } = &builders[place];
            let mut request = request.clone();
            request.context.folder = Some(context.clone());
            request.timeout = Some(request.timeout.map_or(left, |timeout| timeout.min(left)));
            for name in anew {
                request.build_args.entry(name.clone()).or_insert_with(|| id.to_owned());
            }
            let progress = Progress::start(ProgressArg::Quiet, true);
            let start = Instant::now();
            let built = engine.build(&request, &progress, cancel);
            let took = start.elapsed();
            progress.end();
            work[place] = match built {
                Ok(built) => Work { took_ms: milliseconds(took), runs: runs(&built) },
                Err(Unfinished::Stopped) => return Err(crate::building::run::stopped()),
                Err(Unfinished::Step(failed)) => return Ok(Err(failed.sentence())),
                Err(Unfinished::Plan(error)) => return Ok(Err(error.to_string())),
                Err(Unfinished::Other(error)) => return Ok(Err(format!("{error:#}"))),
            };
        }
        Ok(Ok(work))
    }

    /// A form with an empty cache that knows the images at hand.
    fn builder(&self, mut request: Request) -> Result<Builder> {
        request.cache_from.clear();
        request.no_cache = false;
        request.no_cache_stages.clear();
        request.trace = false;
        request.debug_shell = false;
        request.pull = false;
        let cache = tempfile::Builder::new().prefix("rebuilds-").tempdir_in(self.place);
        let cache = cache.context("cannot write in the cache")?;
        let place = self.place.canonicalize().context("cannot read the cache")?;
        symlink(images(&place), images(cache.path())).context("cannot write in the cache")?;
        Ok(Builder { request, engine: Embedded::open(cache.path(), self.snapshotter, self.ids)?, _cache: cache })
    }
}

/// How many RUN instructions ran.
fn runs(built: &Built) -> usize {
    built.steps.iter().filter(|step| step.outcome == Outcome::Done && step.text.starts_with("RUN")).count()
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A commit's name as people write it.
fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

impl Proving<'_> {
    /// Proves, and measures what a new order brings. Where that is nothing it is withdrawn, and the rest proven again.
    pub(super) fn faster(&mut self) -> Result<(Rewritten, Weighed, Measured, Option<Gain>)> {
        loop {
            let (rewritten, weighed, measured) = self.all()?;
            let original = Dockerfile::from_bytes(self.prover.request.dockerfile.clone());
            let moves: Vec<&Found> = rewritten.found.iter().filter(|found| is_measured(found, &original)).collect();
            let Some(replay) = self.prover.replay.filter(|_| !moves.is_empty()) else {
                return Ok((rewritten, weighed, measured, None));
            };
            let anew =
                moves.iter().filter_map(|found| moved(found, &original)).flat_map(|moved| arguments(moved, &original));
            let Some(gain) = self.replayed(replay, &rewritten, &anew.collect())? else {
                return Ok((rewritten, weighed, measured, None));
            };
            let (without, after) = (gain.without_ms.unwrap_or(gain.before().took_ms), gain.after().took_ms);
            let count = gain.rebuilds.len();
            let noise = (without / LEAST_PART).max(LEAST_MILLISECONDS * u64::try_from(count).unwrap_or(u64::MAX));
            if after.saturating_add(noise) < without {
                return Ok((rewritten, weighed, measured, Some(gain)));
            }
            for found in moves {
                self.prover.say(&format!("withdrawn: {}: it makes rebuilds no faster", found.pass.name));
                self.withdrawals.push(Withdrawal {
                    pass: found.pass.name.to_owned(),
                    lines: found.lines,
                    message: found.finding.message.clone(),
                    evidence: Evidence::Slow { rebuilds: count, without_ms: without, with_ms: after },
                    // It is no question of bytes.
                    measured: None,
                });
            }
        }
    }

    /// What rebuilds take by the Dockerfile as it is, by the other changes alone, and by all; none where that cannot be
    /// measured, which is noted.
    fn replayed(
        &mut self,
        replay: &Replay<'_>,
        rewritten: &Rewritten,
        anew: &BTreeSet<String>,
    ) -> Result<Option<Gain>> {
        let original = self.prover.request;
        let withdrawn: Vec<_> = self.withdrawals.iter().map(withdrawn).collect();
        let observations = self.observations.as_ref();
        let without =
            (self.rewrite)(&Known { withdrawn: &withdrawn, limit: None, observations, left_out: Some(REORDERER) });
        let mut forms = vec![original.clone(), rewritten.request(original)];
        forms.extend(without.is_change(original).then(|| without.request(original)));
        self.prover.say(&format!("building the last commits by {} forms, to measure rebuilds", forms.len()));
        let Replayed { rebuilds, problem } = match replay.measure(forms, anew, self.prover.cancel) {
            Err(error) if self.prover.cancel.is_cancelled() => return Err(error),
            // What is proven is proven.
            Err(error) => Replayed { rebuilds: Vec::new(), problem: Some(format!("{error:#}")) },
            Ok(measured) => measured,
        };
        if let Some(problem) = &problem {
            let what = if rebuilds.is_empty() { "rebuilds were not measured" } else { "not all commits were measured" };
            self.notes.push(format!("{what}: {problem}"));
        }
        if rebuilds.is_empty() {
            if problem.is_none() {
                self.notes.push("rebuilds were not measured: there is one commit alone".to_owned());
            }
            return Ok(None);
        }
        let others = |(_, work): &(String, Vec<Work>)| work.get(2).map(|work| work.took_ms);
        let without_ms = rebuilds.iter().map(others).sum();
        let rebuilds = rebuilds.into_iter().map(|(commit, work)| Rebuild { commit, before: work[0], after: work[1] });
        Ok(Some(Gain { rebuilds: rebuilds.collect(), without_ms }))
    }
}

/// The instruction of the original that a finding is about.
fn moved<'t>(found: &Found, original: &'t Dockerfile) -> Option<&'t Instruction> {
    let first = u32::try_from(found.lines.0).ok()?;
    original.instructions.iter().find(|instruction| instruction.lines.0 <= first && first <= instruction.lines.1)
}

/// Whether a change is a new order that rebuilds can show: labels, and values that stand in the file itself, change with
/// the file alone.
fn is_measured(found: &Found, original: &Dockerfile) -> bool {
    let shows = |moved: &Instruction| !matches!(moved.body.kind, Kind::Label | Kind::Env);
    found.applied && found.pass.name == REORDERER && moved(found, original).is_some_and(shows)
}

/// The arguments that an ARG declares.
fn arguments(instruction: &Instruction, original: &Dockerfile) -> Vec<String> {
    match (&instruction.body.arguments, instruction.body.kind) {
        (Arguments::Words(words), Kind::Arg) => {
            let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
            words.iter().map(|word| name(original.part(instruction, *word))).collect()
        }
        _ => Vec::new(),
    }
}
