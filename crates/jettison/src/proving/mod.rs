//! Proving a rewrite: both forms of a Dockerfile are built and their images compared. A change that makes another image
//! is found by bisection and taken back, and the rest is proven again.

mod command;
mod evidence;
mod final_stage;
mod images;
mod kept;
mod packages;
mod past;
mod rebuilds;
mod smoke;
#[cfg(debug_assertions)]
pub(crate) mod wrong;

pub(crate) use command::of_rewrite;
pub(crate) use final_stage::StageWish;
pub(crate) use past::learn;
pub(crate) use smoke::Smoke;

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jettison_engine::build::{Built, Cancel, Outcome, Request};
use jettison_image::Digest;
use jettison_ir::source::{Observations, PackageUse, PackageUser, SourceClaim};
use jettison_ir::{Difference, Evidence, Lines, Measured, Proof, Weighed, Withdrawal};
use jettison_passes::{Rewritten, Withdrawn};
use jettison_syntax::dockerfile::{Dockerfile, encode};

use crate::building::progress::Progress;
use crate::building::run::{Engine, Unfinished, explain};
use crate::cli::ProgressArg;
use crate::printer::Printer;
use crate::rewriting::Known;
use images::Form;
use kept::Kept;
pub(crate) use rebuilds::Replay;
use smoke::Expected;

/// Rewrites the Dockerfile by what is known of builds.
pub(crate) type Rewrite<'r> = dyn Fn(&Known<'_>) -> Rewritten + 'r;

/// What proofs are made with.
pub(crate) struct Prover<'p> {
    pub(crate) engine: &'p dyn Engine,
    /// The build of the Dockerfile as it is.
    pub(crate) request: &'p Request,
    /// The level, passes and form that are asked for: a proof holds for these.
    pub(crate) wish: &'p str,
    /// Whether it is asked for that packages go which nothing uses.
    pub(crate) weighs_packages: bool,
    /// Commands that have to do the same in both images.
    pub(crate) smoke: &'p [Smoke],
    /// How a final stage of its own is to be written, where one is looked for.
    pub(crate) stage: Option<StageWish<'p>>,
    pub(crate) cancel: &'p Cancel,
    pub(crate) progress: ProgressArg,
    pub(crate) printer: &'p Printer,
    /// Whether the command has a shell to offer where a step of the Dockerfile as it is fails.
    pub(crate) hints_at_shell: bool,
    /// What rebuilds are measured over, where something may be ordered anew for their sake.
    pub(crate) replay: Option<&'p Replay<'p>>,
    /// The keys of the steps that the proof's builds did rather than found in the cache.
    pub(crate) done: RefCell<HashSet<Digest>>,
}

/// Proves what can be proven of a rewrite. Nothing is proven where there is nothing to change.
///
/// # Errors
/// Where the Dockerfile as it is cannot be built, or the build is stopped.
pub(crate) fn prove(prover: &Prover<'_>, rewrite: &Rewrite<'_>) -> Result<(Rewritten, Option<Proof>)> {
    let start = Instant::now();
    let rewritten = rewrite(&Known::default());
    let wants_packages = prover.weighs_packages && prover.asks_for_packages(&rewritten);
    let wants_evidence = wants_packages || wants_evidence(&rewritten);
    let wants_stage = prover.stage.is_some() && !prover.smoke.is_empty();
    if !wants_evidence && !wants_stage && !rewritten.is_change(prover.request) {
        return Ok((rewritten, None));
    }
    let key = kept::key(prover)?;
    let is_anew = prover.request.no_cache || !prover.request.no_cache_stages.is_empty();
    if let Some(mut kept) = key.filter(|_| !is_anew).and_then(|key| Kept::find(prover.engine, key)) {
        let withdrawn: Vec<Withdrawn> = kept.proof.withdrawn.iter().map(withdrawn).collect();
        // What was seen then is in the cache with the steps.
        let observations = if kept.is_watched { Some(prover.original(true)?.observations) } else { None };
        let packages = kept.packages.take().map(Arc::new);
        let observations = observations.map(|observations| Observations { packages, ..observations });
        let observations = observations.as_ref();
        let rewritten = rewrite(&Known { withdrawn: &withdrawn, observations, ..Known::default() });
        if kept.is_of(&rewritten) {
            return Ok((
                rewritten,
                Some(Proof { builds: 0, took_ms: milliseconds(start), is_kept: true, ..kept.proof }),
            ));
        }
    }
    let mut proving = Proving::new(prover, rewrite, wants_evidence, wants_packages)?;
    let (rewritten, weighed, measured, gain) = proving.faster()?;
    let final_stage = prover.stage.map(|wish| proving.final_stage(&rewritten, wish)).transpose()?;
    let proof = Proof {
        weighed,
        withdrawn: proving.withdrawals,
        measured: Some(measured),
        notes: proving.notes,
        is_observed: wants_evidence && is_moved(&rewritten),
        gain,
        smoke: proving.expected.iter().map(Expected::said).collect(),
        final_stage,
        builds: proving.builds,
        took_ms: milliseconds(start),
        is_kept: false,
    };
    if let Some(key) = key {
        Kept::of(&rewritten, &proof, proving.observations.as_ref()).keep(prover.engine, key)?;
    }
    Ok((rewritten, Some(proof)))
}

/// How far two builds whose times are to differ are apart.
const APART: Duration = Duration::from_secs(1);

/// The passes that take packages out.
const REMOVERS: [&str; 2] = ["build-packages", "apt-recommends"];

/// The pass that orders instructions by how often they change.
const REORDERER: &str = "early-changes";
/// The passes that move instructions across RUNs.
const MOVERS: [&str; 2] = ["late-context", REORDERER];

/// Whether what RUNs do decides more.
fn wants_evidence(rewritten: &Rewritten) -> bool {
    rewritten.declined.iter().any(|left| MOVERS.contains(&left.pass.name) && left.decline.code == "not-proven")
}

fn is_moved(rewritten: &Rewritten) -> bool {
    rewritten.found.iter().any(|found| found.applied && MOVERS.contains(&found.pass.name))
}

fn milliseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn withdrawn(withdrawal: &Withdrawal) -> Withdrawn {
    Withdrawn {
        pass: withdrawal.pass.clone(),
        lines: withdrawal.lines,
        message: withdrawal.message.clone(),
        reason: withdrawal.evidence.summary(),
    }
}

/// What builders are given of a rewrite.
pub(crate) trait Inputs {
    /// The build of a rewritten form.
    fn request(&self, original: &Request) -> Request;
    /// Whether that is another build at all.
    fn is_change(&self, original: &Request) -> bool;
}

impl Inputs for Rewritten {
    fn request(&self, original: &Request) -> Request {
        let mut request = original.clone();
        request.dockerfile = encode(self.tree.text());
        if let Some(ignore) = &self.ignore {
            request.context.ignore.clone_from(ignore);
        }
        // The user knows nothing of this form.
        request.debug_shell = false;
        // What it has in common with the original was built just now.
        request.no_cache = false;
        request.no_cache_stages.clear();
        request
    }

    fn is_change(&self, original: &Request) -> bool {
        let request = self.request(original);
        request.dockerfile != original.dockerfile || request.context.ignore != original.context.ignore
    }
}

/// What came of building the Dockerfile as it is.
struct Original {
    built: Built,
    form: Form,
    observations: Observations,
}

/// What came of trying a rewritten form.
enum Tried {
    Proven(Weighed, Form),
    /// With the form, where it builds.
    Refuted(Evidence, Option<Form>),
}

struct Proving<'p> {
    prover: &'p Prover<'p>,
    start: Instant,
    rewrite: &'p Rewrite<'p>,
    /// What was built of the form that was proven last.
    built: Option<Built>,
    original: Form,
    observations: Option<Observations>,
    /// What the smoke commands do in the original's image.
    expected: Vec<Expected>,
    /// What two builds of the original differ in, once that was asked.
    noise: Option<Vec<Difference>>,
    withdrawals: Vec<Withdrawal>,
    notes: Vec<String>,
    builds: usize,
}

impl<'p> Proving<'p> {
    fn new(
        prover: &'p Prover<'p>,
        rewrite: &'p Rewrite<'p>,
        wants_evidence: bool,
        wants_packages: bool,
    ) -> Result<Self> {
        let start = Instant::now();
        prover.say(match wants_evidence {
            true => "building the Dockerfile as it is, and watching what each RUN uses",
            false => "building the Dockerfile as it is",
        });
        let mut original = prover.original(wants_evidence)?;
        let expected = Expected::all(prover, &original.built)?;
        let (mut notes, withdrawals) = (Vec::new(), Vec::new());
        if wants_packages {
            match packages::seen(prover, &original, &expected)? {
                Some(Ok(packages)) => original.observations.packages = Some(Arc::new(packages)),
                Some(Err(reason)) => notes.push(format!("what uses which package is not known: {reason}")),
                None => {}
            }
        }
        let Original { built, form: original, observations, .. } = original;
        let observations = Some(observations).filter(|_| wants_evidence);
        let built = Some(built);
        Ok(Self {
            prover,
            start,
            rewrite,
            built,
            original,
            observations,
            expected,
            noise: None,
            withdrawals,
            notes,
            builds: 1,
        })
    }

    /// Withdraws changes until the rest is proven.
    fn all(&mut self) -> Result<(Rewritten, Weighed, Measured)> {
        loop {
            let rewritten = self.rewritten(None);
            if !rewritten.is_change(self.prover.request) {
                // What was built last has some of the changes that were taken back.
                self.built = self.built.take().filter(|_| self.withdrawals.is_empty());
                let weighed = Weighed { paths: self.original.paths()?, ..Weighed::default() };
                let measured = self.measured(&rewritten, &self.original)?;
                return Ok((rewritten, weighed, measured));
            }
            self.prover.say("building the rewritten form");
            match self.attempt(&rewritten)? {
                Tried::Proven(weighed, form) => {
                    let measured = self.measured(&rewritten, &form)?;
                    return Ok((rewritten, weighed, measured));
                }
                Tried::Refuted(evidence, form) => {
                    let withdrawal = self.culprit(&rewritten, evidence, form.as_ref())?;
                    // Or the same change would be withdrawn for ever.
                    ensure!(!self.knows(&withdrawal), "{} was withdrawn and made again", withdrawal.pass);
                    self.prover.say(&format!("withdrawn: {}: {}", withdrawal.pass, withdrawal.evidence.summary()));
                    self.withdrawals.push(withdrawal);
                }
            }
        }
    }

    fn knows(&self, withdrawal: &Withdrawal) -> bool {
        let change = |one: &Withdrawal| (one.pass.clone(), one.lines, one.message.clone());
        self.withdrawals.iter().any(|known| change(known) == change(withdrawal))
    }

    fn rewritten(&self, limit: Option<usize>) -> Rewritten {
        let withdrawn: Vec<Withdrawn> = self.withdrawals.iter().map(withdrawn).collect();
        let observations = self.observations.as_ref();
        (self.rewrite)(&Known { withdrawn: &withdrawn, limit, observations, left_out: None })
    }

    /// The first change with which the image is another one. Each change is made on top of those before it.
    fn culprit(&mut self, refuted: &Rewritten, evidence: Evidence, form: Option<&Form>) -> Result<Withdrawal> {
        let applied = |rewritten: &Rewritten| rewritten.found.iter().filter(|found| found.applied).count();
        let (mut proven, mut bad) = (0, applied(refuted));
        let mut evidence = evidence;
        let (mut without, mut with) = (self.original.all_held()?, form.map(Form::all_held).transpose()?);
        while proven + 1 < bad {
            let middle = usize::midpoint(proven, bad);
            let rewritten = self.rewritten(Some(middle));
            self.prover.say(&format!("building with the first {middle} of {bad} changes"));
            match self.attempt(&rewritten)? {
                Tried::Proven(_, form) => (proven, without) = (middle, form.all_held()?),
                Tried::Refuted(found, form) => {
                    (bad, evidence, with) = (middle, found, form.map(|form| form.all_held()).transpose()?);
                }
            }
        }
        let last = self.rewritten(Some(bad));
        let found = last.found.iter().filter(|found| found.applied).nth(bad.saturating_sub(1));
        let found = found.context("a change was refuted, and there is none")?;
        Ok(Withdrawal {
            pass: found.pass.name.to_owned(),
            lines: found.lines,
            message: found.finding.message.clone(),
            evidence,
            measured: with.map(|with| (without, with)),
        })
    }

    /// Builds a rewritten form and compares.
    fn attempt(&mut self, rewritten: &Rewritten) -> Result<Tried> {
        let request = rewritten.request(self.prover.request);
        let built = match self.prover.build(&request) {
            Ok(built) => built,
            Err(Unfinished::Step(failed)) => {
                self.builds += 1;
                // A network may have failed rather than the change.
                self.prover.say("that failed: once more");
                match self.prover.build(&request) {
                    Ok(built) => {
                        let text = jettison_report::one_line(&failed.text, 80);
                        self.notes.push(format!("{text} failed once, and did not when it was repeated"));
                        built
                    }
                    Err(Unfinished::Step(failed)) => {
                        self.builds += 1;
                        return Ok(Tried::Refuted(Evidence::Fails(failed.sentence()), None));
                    }
                    Err(other) => {
                        return Err(explain(other, &request, self.prover.hints_at_shell, self.prover.printer));
                    }
                }
            }
            Err(Unfinished::Plan(error)) => return Ok(Tried::Refuted(Evidence::Fails(error.to_string()), None)),
            Err(other) => return Err(explain(other, &request, self.prover.hints_at_shell, self.prover.printer)),
        };
        self.builds += 1;
        let form = Form::of(&built)?;
        let claims = &rewritten.claims;
        let mut weighed = self.original.weigh(&form, claims, self.noise.as_deref().unwrap_or_default())?;
        if !weighed.refuting.is_empty() && self.noise.is_none() {
            self.noise = Some(self.listen(claims)?);
            weighed = self.original.weigh(&form, claims, self.noise.as_deref().unwrap_or_default())?;
        }
        if !weighed.refuting.is_empty() {
            return Ok(Tried::Refuted(Evidence::Differs(weighed.refuting), Some(form)));
        }
        if let Some(used) = self.used(&weighed) {
            return Ok(Tried::Refuted(used, Some(form)));
        }
        Ok(match Expected::refuted(&self.expected, self.prover, &built, &mut self.notes)? {
            Some(evidence) => Tried::Refuted(evidence, Some(form)),
            None => {
                self.built = Some(built);
                Tried::Proven(weighed, form)
            }
        })
    }

    /// What the layers of the original and of a rewritten form hold, by the lines that changed together.
    fn measured(&self, rewritten: &Rewritten, form: &Form) -> Result<Measured> {
        let tree = Dockerfile::from_bytes(self.prover.request.dockerfile.clone());
        let lines = |lines: (u32, u32)| (lines.0 as usize, lines.1 as usize);
        let instructions: Vec<Lines> = tree.instructions.iter().map(|one| lines(one.lines)).collect();
        let applied = rewritten.found.iter().filter(|found| found.applied);
        let changes: Vec<Lines> = applied.map(|found| found.lines).collect();
        let before = self.original.held(|lines| vec![lines])?;
        let origin: Vec<Lines> = rewritten.lines.iter().collect();
        let original = |line: usize| origin.get(line.checked_sub(1)?).copied();
        let after = form.held(|(first, last)| (first..=last).filter_map(original).collect())?;
        Ok(Measured::of(&instructions, &before, &after, &changes))
    }

    /// A package that is gone and that the image needs, whatever it was taken for.
    fn used(&self, weighed: &Weighed) -> Option<Evidence> {
        let seen = self.observations.as_ref()?.packages.as_deref()?;
        weighed.gone.iter().find_map(|gone| {
            let of_build = |used: &&PackageUse| !matches!(used.by, PackageUser::Run(_));
            let used = seen.packages.get(&gone.name)?.uses.iter().find(of_build)?;
            Some(Evidence::Uses(gone.name.clone(), used.to_string()))
        })
    }

    /// What a second build of the original differs in from the first, its packages included where changes claim some.
    fn listen(&mut self, claims: &[SourceClaim]) -> Result<Vec<Difference>> {
        self.prover.say("building the Dockerfile as it is once more, for what differs in any two builds");
        // Within one second two builds have the same times.
        std::thread::sleep(APART.saturating_sub(self.start.elapsed()));
        let again = Request { no_cache: true, debug_shell: false, ..self.prover.request.clone() };
        let built = self.prover.build(&again);
        let built =
            built.map_err(|unfinished| explain(unfinished, &again, self.prover.hints_at_shell, self.prover.printer))?;
        self.builds += 1;
        let form = Form::of(&built)?;
        let mut noise = self.original.weigh(&form, &[], &[])?.refuting;
        if claims.iter().any(|claim| matches!(claim, SourceClaim::PackagesGone(_))) {
            noise.extend(self.original.weigh(&form, &[SourceClaim::PackagesGone(Vec::new())], &[])?.refuting);
        }
        Ok(noise)
    }
}

impl Prover<'_> {
    /// Whether what packages are used for decides anything.
    fn asks_for_packages(&self, rewritten: &Rewritten) -> bool {
        let found = rewritten.found.iter().map(|found| found.pass.name);
        let mut all = found.chain(rewritten.declined.iter().map(|left| left.pass.name));
        !self.smoke.is_empty() || all.any(|pass| REMOVERS.contains(&pass))
    }

    fn say(&self, what: &str) {
        self.printer.say(&format!("proof: {what}"));
    }

    /// Builds the Dockerfile as it is; what was observed is empty without a trace.
    fn original(&self, is_traced: bool) -> Result<Original> {
        let request = Request { trace: is_traced || self.request.trace, ..self.request.clone() };
        let built = self.build(&request);
        let built = built.map_err(|unfinished| explain(unfinished, &request, self.hints_at_shell, self.printer))?;
        let form = Form::of(&built)?;
        let observations = form.observations(&built)?;
        Ok(Original { built, form, observations })
    }

    fn build(&self, request: &Request) -> Result<Built, Unfinished> {
        let progress = Progress::start(self.progress, self.printer.is_quiet());
        let built = self.engine.build(request, &progress, self.cancel);
        progress.end();
        if let Ok(built) = &built {
            let done = built.steps.iter().filter(|step| step.outcome == Outcome::Done).map(|step| step.key);
            self.done.borrow_mut().extend(done);
        }
        built
    }
}
