//! Runs the passes over an image until they find nothing more, and applies what they propose.

use jettison_image::Changes;
use jettison_ir::{Acted, Assumption, Claim, Decline, Finding, ImageUnit, Level, Pass, Plan, Remark, Run, Safety};

use crate::PASSES;

/// Rounds after which the driver stops. Each pass acts at most once on an image, so the rounds needed
/// are fewer than the passes; more means that two of them undo each other.
const MAX_ROUNDS: usize = 8;

/// Which passes run.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Those of this level and below.
    pub level: Level,
    /// Not these.
    pub skip: Vec<String>,
    /// Only these, where any are named.
    pub only: Vec<String>,
    /// At most so many fixes are applied: for finding the one that breaks something.
    pub limit: Option<usize>,
    /// Changes to a Dockerfile that are not made: building showed what was wrong with them.
    pub withdrawn: Vec<Withdrawn>,
    /// Passes that are not in the table, after those that are: for those who test what becomes of a wrong one.
    pub extra: Vec<&'static Pass>,
}

/// A change to a Dockerfile that is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// The pass that proposes it.
    pub pass: String,
    /// The lines of the original that it is about, counted from 1.
    pub lines: (usize, usize),
    /// What the finding says.
    pub message: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A name in a selection that no pass has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionError {
    /// The name.
    pub name: String,
}

impl std::fmt::Display for SelectionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no pass {:?}", self.name)
    }
}

impl std::error::Error for SelectionError {}

impl Selection {
    /// All passes of a level.
    #[must_use]
    pub fn of(level: Level) -> Self {
        Self { level, skip: Vec::new(), only: Vec::new(), limit: None, withdrawn: Vec::new(), extra: Vec::new() }
    }

    /// Checks that every name is a pass's.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn check(&self) -> Result<(), SelectionError> {
        let unknown = |name: &&String| {
            let name = name.as_str();
            !PASSES.iter().any(|pass| is_named(pass, name) || assumptions(pass).iter().any(|one| one.name == name))
        };
        match self.skip.iter().chain(&self.only).find(unknown) {
            Some(name) => Err(SelectionError { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// Whether a pass runs.
    #[must_use]
    pub fn admits(&self, pass: &Pass) -> bool {
        let named = |names: &[String]| names.iter().any(|name| is_named(pass, name));
        pass.level <= self.level && !named(&self.skip) && (self.only.is_empty() || named(&self.only))
    }
}

/// Whether a pass goes by a name: its own, or another tool's code for the same waste.
#[must_use]
pub fn is_named(pass: &Pass, name: &str) -> bool {
    pass.name == name || pass.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
}

/// What a pass assumes.
#[must_use]
pub fn assumptions(pass: &Pass) -> &'static [Assumption] {
    match pass.safety {
        Safety::Assuming(all) => all,
        Safety::Exact | Safety::Advice => &[],
    }
}

/// What the driver tells while it works.
pub enum Event<'e> {
    /// A pass starts.
    Start(&'static str),
    /// A pass ended; the plan is the one after its fixes.
    End(&'static str, &'e Plan),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is to be written.
    pub plan: Plan,
    /// Every finding, with the pass that made it.
    pub findings: Vec<(&'static str, Finding)>,
    /// What the passes left alone, and why.
    pub declines: Vec<(&'static str, Decline)>,
    /// The passes that changed the plan, each with what that saved.
    pub acted: Vec<Acted>,
    /// What the fixes claim.
    pub claims: Vec<Claim>,
}

impl Outcome {
    /// Of no pass: the image as it is.
    #[must_use]
    pub fn as_shipped() -> Self {
        let plan = Plan::as_shipped();
        Self { plan, findings: Vec::new(), declines: Vec::new(), acted: Vec::new(), claims: Vec::new() }
    }
}

/// Runs the selected passes in order, in rounds, until a round changes nothing.
pub fn run(
    unit: &ImageUnit<'_>,
    changes: &Changes<'_, '_>,
    selection: &Selection,
    tell: &mut dyn FnMut(Event<'_>),
) -> Outcome {
    let mut outcome = Outcome::as_shipped();
    let mut size = outcome.plan.own_size(unit, changes);
    let mut fixes_left = selection.limit.unwrap_or(usize::MAX);
    for round in 0..MAX_ROUNDS {
        let before = outcome.plan;
        for pass in PASSES.iter().filter(|pass| selection.admits(pass)) {
            let Run::Image(run) = pass.run else { continue };
            tell(Event::Start(pass.name));
            let plan = outcome.plan;
            let mut found = 0;
            for remark in run(unit, &plan) {
                match remark {
                    Remark::Declined(decline) if round == 0 => outcome.declines.push((pass.name, decline)),
                    Remark::Found(finding) if fixes_left > 0 => {
                        fixes_left -= 1;
                        found += 1;
                        outcome.plan = outcome.plan.edited(finding.fix.edit);
                        outcome.claims.push(finding.fix.claim);
                        outcome.findings.push((pass.name, finding));
                    }
                    _ => {}
                }
            }
            if outcome.plan != plan {
                let (layers, bytes) = outcome.plan.own_size(unit, changes);
                outcome.acted.push(Acted {
                    name: pass.name,
                    findings: found,
                    saved: size.1.cast_signed() - bytes.cast_signed(),
                    layers: (size.0, layers),
                });
                size = (layers, bytes);
            }
            tell(Event::End(pass.name, &outcome.plan));
        }
        if outcome.plan == before {
            break;
        }
    }
    outcome
}
