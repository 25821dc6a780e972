//! Proving a rewrite: both forms of a Dockerfile are built and their images compared. A change that makes another image
//! is found by bisection and taken back, and the rest is proven again.

mod command;
mod evidence;
mod images;
mod kept;
mod past;
mod rebuilds;
#[cfg(debug_assertions)]
pub(crate) mod wrong;

pub(crate) use command::of_rewrite;
pub(crate) use past::learn;

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use jettison_engine::build::{Built, Cancel, Request};
use jettison_ir::source::Observations;
use jettison_ir::{Difference, Evidence, Proof, Weighed, Withdrawal};
use jettison_passes::{Rewritten, Withdrawn};
use jettison_syntax::dockerfile::encode;

use crate::building::progress::Progress;
use crate::building::run::{Engine, Unfinished, explain};
use crate::cli::ProgressArg;
use crate::printer::Printer;
use crate::rewriting::Known;
use images::Form;
use kept::Kept;
pub(crate) use rebuilds::Replay;

/// Rewrites the Dockerfile by what is known of builds.
pub(crate) type Rewrite<'r> = dyn Fn(&Known<'_>) -> Rewritten + 'r;

/// What proofs are made with.
pub(crate) struct Prover<'p> {
    pub(crate) engine: &'p dyn Engine,
    /// The build of the Dockerfile as it is.
    pub(crate) request: &'p Request,
    /// The level, passes and form that are asked for: a proof holds for these.
    pub(crate) wish: &'p str,
    pub(crate) cancel: &'p Cancel,
    pub(crate) progress: ProgressArg,
    pub(crate) printer: &'p Printer,
    /// Whether the command has a shell to offer where a step of the Dockerfile as it is fails.
    pub(crate) hints_at_shell: bool,
    /// What rebuilds are measured over, where something may be ordered anew for their sake.
    pub(crate) replay: Option<&'p Replay<'p>>,
}

/// Proves what can be proven of a rewrite. Nothing is proven where there is nothing to change.
///
/// # Errors
/// Where the Dockerfile as it is cannot be built, or the build is stopped.
pub(crate) fn prove(prover: &Prover<'_>, rewrite: &Rewrite<'_>) -> Result<(Rewritten, Option<Proof>)> {
    let start = Instant::now();
    let rewritten = rewrite(&Known::default());
    let wants_evidence = wants_evidence(&rewritten);
    if !wants_evidence && !rewritten.is_change(prover.request) {
        return Ok((rewritten, None));
    }
    let key = kept::key(prover)?;
    let is_anew = prover.request.no_cache || !prover.request.no_cache_stages.is_empty();
    if let Some(kept) = key.filter(|_| !is_anew).and_then(|key| Kept::find(prover.engine, key)) {
        let withdrawn: Vec<Withdrawn> = kept.proof.withdrawn.iter().map(withdrawn).collect();
        // What was seen then is in the cache with the steps.
        let observations = if kept.proof.is_observed { Some(prover.original(true)?.1) } else { None };
        let observations = observations.as_ref();
        let rewritten = rewrite(&Known { withdrawn: &withdrawn, observations, ..Known::default() });
        if kept.is_of(&rewritten) {
            return Ok((
                rewritten,
                Some(Proof { builds: 0, took_ms: milliseconds(start), is_kept: true, ..kept.proof }),
            ));
        }
    }
    let mut proving = Proving::new(prover, rewrite, wants_evidence)?;
    let (rewritten, weighed, gain) = proving.faster()?;
    let proof = Proof {
        weighed,
        withdrawn: proving.withdrawals,
        notes: proving.notes,
        is_observed: wants_evidence && is_moved(&rewritten),
        gain,
        builds: proving.builds,
        took_ms: milliseconds(start),
        is_kept: false,
    };
    if let Some(key) = key {
        Kept::of(&rewritten, &proof).keep(prover.engine, key)?;
    }
    Ok((rewritten, Some(proof)))
}

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

/// What came of trying a rewritten form.
enum Tried {
    Proven(Weighed),
    Refuted(Evidence),
}

struct Proving<'p> {
    prover: &'p Prover<'p>,
    rewrite: &'p Rewrite<'p>,
    original: Form,
    observations: Option<Observations>,
    /// What two builds of the original differ in, once that was asked.
    noise: Option<Vec<Difference>>,
    withdrawals: Vec<Withdrawal>,
    notes: Vec<String>,
    builds: usize,
}

impl<'p> Proving<'p> {
    fn new(prover: &'p Prover<'p>, rewrite: &'p Rewrite<'p>, wants_evidence: bool) -> Result<Self> {
        prover.say(match wants_evidence {
            true => "building the Dockerfile as it is, and watching what each RUN uses",
            false => "building the Dockerfile as it is",
        });
        let (original, observations) = prover.original(wants_evidence)?;
        let observations = Some(observations).filter(|_| wants_evidence);
        let (notes, withdrawals) = (Vec::new(), Vec::new());
        Ok(Self { prover, rewrite, original, observations, noise: None, withdrawals, notes, builds: 1 })
    }

    /// Withdraws changes until the rest is proven.
    fn all(&mut self) -> Result<(Rewritten, Weighed)> {
        loop {
            let rewritten = self.rewritten(None);
            if !rewritten.is_change(self.prover.request) {
                return Ok((rewritten, Weighed { paths: self.original.paths()?, ..Weighed::default() }));
            }
            self.prover.say("building the rewritten form");
            match self.attempt(&rewritten)? {
                Tried::Proven(weighed) => return Ok((rewritten, weighed)),
                Tried::Refuted(evidence) => {
                    let withdrawal = self.culprit(&rewritten, evidence)?;
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
    fn culprit(&mut self, refuted: &Rewritten, evidence: Evidence) -> Result<Withdrawal> {
        let applied = |rewritten: &Rewritten| rewritten.found.iter().filter(|found| found.applied).count();
        let (mut proven, mut bad) = (0, applied(refuted));
        let mut evidence = evidence;
        while proven + 1 < bad {
            let middle = usize::midpoint(proven, bad);
            let rewritten = self.rewritten(Some(middle));
            self.prover.say(&format!("building with the first {middle} of {bad} changes"));
            match self.attempt(&rewritten)? {
                Tried::Proven(_) => proven = middle,
                Tried::Refuted(found) => (bad, evidence) = (middle, found),
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
        })
    }

    /// Builds a rewritten form and compares.
    fn attempt(&mut self, rewritten: &Rewritten) -> Result<Tried> {
        let request = rewritten.request(self.prover.request);
        let form = match self.prover.build(&request) {
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
                        return Ok(Tried::Refuted(Evidence::Fails(failed.sentence())));
                    }
                    Err(other) => {
                        return Err(explain(other, &request, self.prover.hints_at_shell, self.prover.printer));
                    }
                }
            }
            Err(Unfinished::Plan(error)) => return Ok(Tried::Refuted(Evidence::Fails(error.to_string()))),
            Err(other) => return Err(explain(other, &request, self.prover.hints_at_shell, self.prover.printer)),
        };
        self.builds += 1;
        let form = Form::of(&form)?;
        let claims = &rewritten.claims;
        let mut weighed = self.original.weigh(&form, claims, self.noise.as_deref().unwrap_or_default())?;
        if !weighed.refuting.is_empty() && self.noise.is_none() {
            self.noise = Some(self.listen()?);
            weighed = self.original.weigh(&form, claims, self.noise.as_deref().unwrap_or_default())?;
        }
        if weighed.refuting.is_empty() {
            return Ok(Tried::Proven(weighed));
        }
        Ok(Tried::Refuted(Evidence::Differs(weighed.refuting)))
    }

    /// What a second build of the original differs in from the first.
    fn listen(&mut self) -> Result<Vec<Difference>> {
        self.prover.say("building the Dockerfile as it is once more, for what differs in any two builds");
        let again = Request { no_cache: true, debug_shell: false, ..self.prover.request.clone() };
        let built = self.prover.build(&again);
        let built =
            built.map_err(|unfinished| explain(unfinished, &again, self.prover.hints_at_shell, self.prover.printer))?;
        self.builds += 1;
        let weighed = self.original.weigh(&Form::of(&built)?, &[], &[])?;
        Ok(weighed.refuting)
    }
}

impl Prover<'_> {
    fn say(&self, what: &str) {
        self.printer.say(&format!("proof: {what}"));
    }

    /// Builds the Dockerfile as it is; what was observed is empty without a trace.
    fn original(&self, is_traced: bool) -> Result<(Form, Observations)> {
        let request = Request { trace: is_traced || self.request.trace, ..self.request.clone() };
        let built = self.build(&request);
        let built = built.map_err(|unfinished| explain(unfinished, &request, self.hints_at_shell, self.printer))?;
        let form = Form::of(&built)?;
        let observations = form.observations(&built)?;
        Ok((form, observations))
    }

    fn build(&self, request: &Request) -> Result<Built, Unfinished> {
        let progress = Progress::start(self.progress, self.printer.is_quiet());
        let built = self.engine.build(request, &progress, self.cancel);
        progress.end();
        built
    }
}
