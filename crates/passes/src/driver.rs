//! Runs the passes over an image until they find nothing more, and applies what they propose.

use std::sync::Arc;

use jettison_image::changes::Cut;
use jettison_image::{Changes, Node};
use jettison_ir::{
    Acted, Assumption, Changed, Claimed, Decline, Edit, Finding, ImageUnit, Level, Own, Owner, Pass, Plan, Remark, Run,
    Safety, UnitError, with_edits,
};

use crate::{PASSES, databases};

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
        // Of a Dockerfile's changes each says which assumptions it rests on.
        let is_assumed = matches!(pass.run, Run::Image(_))
            && assumptions(pass).iter().any(|one| self.skip.iter().any(|name| name == one.name));
        pass.level <= self.level && !named(&self.skip) && !is_assumed && (self.only.is_empty() || named(&self.only))
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
    /// A pass ended; the plan is the one after its fixes, and the claims are all that were made.
    End(&'static str, &'e Plan, &'e [Claimed]),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is to be written.
    pub plan: Plan,
    /// Every finding, with the pass that made it and what became of its fix.
    pub findings: Vec<Made>,
    /// What the passes left alone, and why.
    pub declines: Vec<(&'static str, Decline)>,
    /// The passes that changed the plan, each with what that saved.
    pub acted: Vec<Acted>,
    /// What the fixes claim.
    pub claims: Vec<Claimed>,
}

/// A finding, and what was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The pass that made it.
    pub pass: &'static str,
    /// What it found.
    pub finding: Finding,
    /// The changes of paths that were made: those of the fix without what is to be kept.
    pub changes: Vec<(Node, Changed)>,
}

impl Outcome {
    /// Of no pass: the image as it is.
    #[must_use]
    pub fn as_shipped() -> Self {
        let plan = Plan::as_shipped();
        Self { plan, findings: Vec::new(), declines: Vec::new(), acted: Vec::new(), claims: Vec::new() }
    }
}

/// Runs the selected passes in order, in rounds, until a round changes nothing. `changes` are those of the tree without
/// edits.
///
/// # Errors
/// Where edits cannot be carried out.
pub fn run(
    unit: &ImageUnit<'_>,
    changes: &Changes<'_, '_>,
    selection: &Selection,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, UnitError> {
    let mut outcome = Outcome::as_shipped();
    let mut size = outcome.plan.own_size(unit, changes);
    let mut fixes_left = selection.limit.unwrap_or(usize::MAX);
    for round in 0..MAX_ROUNDS {
        let before = outcome.plan.clone();
        for pass in PASSES.iter().filter(|pass| selection.admits(pass)) {
            let Run::Image(run) = pass.run else { continue };
            tell(Event::Start(pass.name));
            let plan = outcome.plan.clone();
            let mut found = 0;
            for remark in run(unit, &plan) {
                match remark {
                    Remark::Declined(decline) if round == 0 => outcome.declines.push((pass.name, decline)),
                    Remark::Found(finding) if fixes_left > 0 => {
                        let is_made = outcome.apply(unit, pass.name, finding);
                        fixes_left -= usize::from(is_made);
                        found += usize::from(is_made);
                    }
                    _ => {}
                }
            }
            if outcome.plan != plan {
                let (layers, bytes) = own_size(unit, changes, &outcome.plan)?;
                outcome.acted.push(Acted {
                    name: pass.name,
                    findings: found,
                    saved: size.1.cast_signed() - bytes.cast_signed(),
                    layers: (size.0, layers),
                });
                size = (layers, bytes);
            }
            tell(Event::End(pass.name, &outcome.plan, &outcome.claims));
        }
        if outcome.plan == before {
            break;
        }
    }
    outcome.forget_untrue_declines(unit);
    Ok(outcome)
}

/// The size of what a plan leads to; the changes are worked out anew where it has edits.
fn own_size(unit: &ImageUnit<'_>, changes: &Changes<'_, '_>, plan: &Plan) -> Result<(usize, u64), UnitError> {
    if plan.edits.is_empty() {
        return Ok(plan.own_size(unit, changes));
    }
    with_edits(unit, &plan.edits, |changes, _| plan.own_size(unit, changes))
}

impl Outcome {
    /// Carries out the fix of a finding, but for what is to be kept; whether anything came of it.
    fn apply(&mut self, unit: &ImageUnit<'_>, pass: &'static str, finding: Finding) -> bool {
        let changes = match &finding.fix.edit {
            Edit::Nothing => Ok(Vec::new()),
            Edit::DropHidden => {
                self.plan.own = std::mem::replace(&mut self.plan.own, Own::AsShipped).written();
                Ok(Vec::new())
            }
            Edit::Regroup { at_most } => {
                self.plan.own = Own::Written(Cut::Ranges(*at_most));
                Ok(Vec::new())
            }
            Edit::Group(grouping) => {
                self.plan.own = Own::Grouped(Arc::clone(grouping));
                Ok(Vec::new())
            }
            Edit::RemovePackages(packages) => self.remove_packages(unit, packages),
            edit @ (Edit::Change(_) | Edit::ChangeAll(_)) => self.change(unit, edit),
        };
        match changes {
            Ok(changes) => {
                let is_about_paths = !finding.fix.edit.changes().is_empty();
                if is_about_paths && changes.is_empty() {
                    return false;
                }
                let mut paths: Vec<Vec<u8>> = changes.iter().map(|(node, _)| unit.upper.path(*node)).collect();
                paths.sort_unstable();
                self.claims.push(Claimed { claim: finding.fix.claim.clone(), paths });
                self.findings.push(Made { pass, finding, changes });
                true
            }
            Err(reason) => {
                let reason = format!("{}: {reason}", finding.what);
                self.decline(pass, Decline { layer: Some(finding.shipped_by), reason, stays: Vec::new() });
                false
            }
        }
    }

    /// Changes paths, without those that are to be kept, and what lists them.
    fn change(&mut self, unit: &ImageUnit<'_>, edit: &Edit) -> Result<Vec<(Node, Changed)>, String> {
        let is_kept = |node: Node| unit.options.keeps(&unit.upper.path(node));
        let wanted = edit.changes();
        let kept = wanted.iter().find_map(|(node, _)| Some((*node, is_kept(*node)?)));
        if let (Some((node, pattern)), Edit::ChangeAll(_)) = (kept, edit) {
            return Err(format!("{} is kept by --keep {pattern}", unit.shown(node)));
        }
        let wanted: Vec<(Node, Changed)> =
            wanted.iter().filter(|(node, _)| is_kept(*node).is_none()).cloned().collect();
        let before = self.plan.edits.clone();
        let mut changes = self.plan.edits.add(&unit.upper, &wanted);
        let is_of_packages = |node: Node| unit.owner(node).is_some();
        if changes.iter().any(|(node, changed)| *changed == Changed::Gone && is_of_packages(*node))
            && let Err(reason) = databases::follow(unit, &mut self.plan.edits)
        {
            // What no package has can go all the same.
            self.plan.edits = before;
            let others: Vec<_> = wanted.into_iter().filter(|(node, _)| !is_of_packages(*node)).collect();
            if matches!(edit, Edit::ChangeAll(_)) || others.is_empty() {
                return Err(reason);
            }
            changes = self.plan.edits.add(&unit.upper, &others);
        }
        if !changes.is_empty() {
            self.plan.own = std::mem::replace(&mut self.plan.own, Own::AsShipped).written();
        }
        Ok(changes)
    }

    /// Takes packages away; gives all that changes for them.
    fn remove_packages(&mut self, unit: &ImageUnit<'_>, packages: &[Owner]) -> Result<Vec<(Node, Changed)>, String> {
        let before = self.plan.edits.clone();
        self.plan.edits.add_packages(packages);
        if let Err(reason) = databases::follow(unit, &mut self.plan.edits) {
            self.plan.edits = before;
            return Err(reason);
        }
        self.plan.own = std::mem::replace(&mut self.plan.own, Own::AsShipped).written();
        let new = self.plan.edits.follows().iter().filter(|(node, changed)| before.of(**node) != Some(changed));
        Ok(new.map(|(node, changed)| (*node, changed.clone())).collect())
    }

    /// What one pass leaves alone may go by another that comes behind it: that it stays is not said then.
    fn forget_untrue_declines(&mut self, unit: &ImageUnit<'_>) {
        let edits = &self.plan.edits;
        let is_gone = |node: &Node| edits.is_gone(&unit.upper, *node);
        self.declines.retain(|(_, decline)| decline.stays.is_empty() || !decline.stays.iter().all(is_gone));
    }

    /// Notes once why something was left alone.
    fn decline(&mut self, pass: &'static str, decline: Decline) {
        if !self.declines.contains(&(pass, decline.clone())) {
            self.declines.push((pass, decline));
        }
    }
}
